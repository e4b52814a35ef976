"""The audit in the store: rows are added at the end of the transaction that they tell of, one writer at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from agent.audit import AuditLine, Entry, Head, audit_run, audit_verdict, chain_entry
from agent.run import Run
from agent.store.models import AuditHeadRow, AuditRow
from agent.types import Verdict

BATCH = 1000
COLUMNS = (
    AuditRow.number, AuditRow.time_seconds, AuditRow.kind, AuditRow.case_id, AuditRow.body, AuditRow.previous,
    AuditRow.hash,
)  # fmt: skip


def append_entries(session: Session, entries: Iterable[Entry], *, now_seconds: float | None = None) -> None:
    """Add rows behind the last one; comes last in a transaction, so that the head is held for a moment only."""
    entries = list(entries)
    if not entries:
        return
    now = time.time() if now_seconds is None else now_seconds
    # A write, so that on either database nobody else adds a row until this transaction ends.
    session.execute(update(AuditHeadRow).where(AuditHeadRow.head_id == 1).values(number=AuditHeadRow.number))
    head = read_head(session)
    lines = []
    for entry in entries:
        lines.append(chain_entry(entry, head, now))
        head = Head(lines[-1].number, lines[-1].hash)
    rows = [
        {
            "number": line.number,
            "time_seconds": line.time_seconds,
            "kind": line.kind,
            "case_id": line.case_id,
            "body": line.body,
            "previous": line.previous,
            "hash": line.hash,
        }
        for line in lines
    ]
    session.execute(insert(AuditRow), rows)
    session.execute(update(AuditHeadRow).where(AuditHeadRow.head_id == 1).values(number=head.number, hash=head.hash))


def append_decisions(session: Session, verdicts: Iterable[Verdict], runs: Iterable[Run] = ()) -> None:
    """Add what a triage decided, and what was asked of a model on the way."""
    append_entries(session, [*map(audit_run, runs), *map(audit_verdict, verdicts)])


def read_head(session: Session) -> Head:
    """What the store says the last row is."""
    row = session.execute(select(AuditHeadRow.number, AuditHeadRow.hash).where(AuditHeadRow.head_id == 1)).one_or_none()
    return Head() if row is None else Head(row.number, row.hash)


def read_lines(session: Session, *, case_id: str = "", limit: int | None = None) -> Iterator[AuditLine]:
    """Read rows by number; with a limit the last so many.

    Args:
        session: Open for as long as rows are taken.
        case_id: Only of this case.
        limit: At most so many, the newest.
    """
    query = select(*COLUMNS)
    if case_id:
        query = query.where(AuditRow.case_id == case_id)
    if limit is not None:
        rows = session.execute(query.order_by(AuditRow.number.desc()).limit(limit)).all()
        yield from (AuditLine(*row) for row in reversed(rows))
        return
    for row in session.execute(query.order_by(AuditRow.number).execution_options(yield_per=BATCH)):
        yield AuditLine(*row)
