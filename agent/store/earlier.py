"""Events of earlier triages: what stood in logs that are not read now, of these machines and of those beside them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.store.models import EventRow
from tools.entities import parse_entity
from tools.types import Event, Moment, Quote

MAX_EVENTS = 400


def read_events(session: Session, nodes: Iterable[str]) -> list[Event]:
    """Read the newest events of some machines, one of each code, entity and triage, in order of time.

    Args:
        session: Open.
        nodes: Host names as logs spell them.
    """
    query = (
        select(EventRow)
        .where(EventRow.node.in_(sorted({node for node in nodes if node})))
        .order_by(EventRow.event_id.desc())
        .limit(MAX_EVENTS)
    )
    events = {
        (row.code, row.entity, row.document["text"]): event
        for row in session.scalars(query)
        if (event := _read_row(row)) is not None
    }
    return sorted(events.values(), key=lambda event: event.moment.seconds or 0.0)


def _read_row(row: EventRow) -> Event | None:
    entity = parse_entity(row.entity)
    if entity is None:
        return None
    told = row.document
    source, _, line = str(told["source"]).rpartition(":")
    numbered = bool(source) and line.isdecimal()
    quote = Quote(source if numbered else told["source"], int(line) if numbered else None, told["text"])
    moment = Moment() if row.last_seconds is None else Moment("local", row.last_seconds)
    return Event(moment, entity, row.code, quote, dict(told.get("fields", {})), "tool")
