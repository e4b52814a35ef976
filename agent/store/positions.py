"""Followed logs in the store: a position moves in the same transaction that keeps what the lines before it told."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from agent.follow import Followed, Step
from agent.history import spell_host
from agent.store.ledger import name_event, take_unread
from agent.store.models import CursorRow, PositionRow, RunRow
from tools.errors import OperatorError
from tools.types import Event


def find_followed(session: Session, source: str) -> Followed:
    """Find how far a source was followed."""
    row = session.get(PositionRow, source)
    return Followed(source) if row is None else Followed(source, row.position, dict(row.told))


def move_position(session: Session, step: Step) -> None:
    """Move a position on; the first write of its transaction, so that no other writer is overtaken.

    Raises:
        OperatorError: Another follower has moved it meanwhile.
    """
    now = time.time()
    own = (PositionRow.source == step.before.source, PositionRow.position == step.before.position)
    moved = session.execute(update(PositionRow).where(*own).values(position=step.position, seen_seconds=now))
    if cast("CursorResult[Any]", moved).rowcount:
        return
    if session.get(PositionRow, step.before.source) is not None:
        raise OperatorError(
            f"Another daytwo follows {step.before.source} too: its position moved meanwhile.",
            fix="end one of the two; pgrep -af 'daytwo follow'",
        )
    session.add(PositionRow(source=step.before.source, position=step.position, told={}, seen_seconds=now))


def note_told(session: Session, source: str, told: Mapping[str, str]) -> None:
    """Keep which verdicts were told."""
    row = session.get(PositionRow, source)
    if row is not None:
        row.told = dict(told)


def build_run(step: Step) -> RunRow:
    """Build the run that the events of a step belong to."""
    report = step.report
    document = {
        "origin": {"host": True, "paths": [step.before.source], "model": ""},
        "coverage": [row.model_dump(mode="json") for row in report.coverage] if report else [],
    }
    run_id = f"r-{secrets.token_hex(8)}"
    case_id = report.verdicts[0].case_id if report else ""
    return RunRow(run_id=run_id, time_seconds=time.time(), kind="follow", case_id=case_id, document=document)


def take_followed(session: Session, step: Step) -> list[Event]:
    """The events of a step that were not read before, with the cursors moved on for the readers that have no position.

    Where there was no position, a triage may have read the same lines: its cursors tell.
    """
    now = time.time()
    if not step.before.position:
        return take_unread(session, step.events, now)
    lined = [event for event in step.events if event.quote.line is not None]
    by_source: dict[str, list[Event]] = {}
    for event in lined:
        by_source.setdefault(event.quote.source, []).append(event)
    for source, events in by_source.items():
        _move_cursor(session, source, events, now)
    return list(step.events)


def _move_cursor(session: Session, source: str, events: Sequence[Event], now: float) -> None:
    host = next((spell_host(event.node) for event in events if event.node), "")
    query = select(CursorRow).where(CursorRow.host == host, CursorRow.source == source)
    cursor = session.scalars(query.order_by(CursorRow.seen_seconds.desc()).limit(1)).one_or_none()
    if cursor is None:
        cursor = CursorRow(source=source, host=host, first=name_event(events[0]), events=0)
        session.add(cursor)
    cursor.line, cursor.fingerprint = events[-1].quote.line or 0, name_event(events[-1])
    cursor.events += len(events)
    cursor.seen_seconds = now
    session.flush()
