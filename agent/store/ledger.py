"""What is kept once: records of history by their key, and cursors that say how far each source was read.

All of it happens inside the transaction of the report that it came with: after a kill either everything of a triage
is there or nothing, and reading the same evidence again adds what was missing and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from agent.history import Past, Record, merge, spell_host
from agent.store.models import CursorRow, RecordRow, VerdictRow
from agent.store.past_file import read_record
from tools.types import Entity, Event

BATCH = 400
"""Values in one `IN`: below the limits of either database."""
MAX_CURSORS = 1000
"""Sources of one host that are looked through, the last read first: a guess."""
WRITER_LOCK = 0x0DA7_2000
"""One number that all writers of history agree on, for PostgreSQL's advisory lock."""


def serialise_writers(session: Session) -> None:
    """Let one writer at a time read and advance cursors; SQLite does that by itself from the first write on."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": WRITER_LOCK})


def add_records(session: Session, records: Iterable[Record], run_id: str | None) -> int:
    """Add the records that are not there yet, and put the others together with what is.

    Returns:
        How many were new.
    """
    fresh = {record.key: record for record in records}
    rows: dict[str, RecordRow] = {}
    for keys in _batch(fresh):
        rows |= {row.key: row for row in session.scalars(select(RecordRow).where(RecordRow.key.in_(keys)))}
    for key, record in fresh.items():
        if key not in rows:
            session.add(_build_record_row(record, run_id))
            continue
        known = _read_record(rows[key])
        merged = merge(known, record)
        if merged != known:
            rows[key].document = _to_document(merged)
    return len(fresh) - len(rows)


def read_past(session: Session, hosts: Iterable[str]) -> Past:
    """Read the history of some hosts, named as `spell_host` does."""
    records: list[Record] = []
    for names in _batch({host for host in hosts if host}):
        records += map(_read_record, session.scalars(select(RecordRow).where(RecordRow.host.in_(names))))
    return Past(tuple(sorted(records, key=lambda record: record.order)))


def read_records_of(session: Session, entity: Entity) -> Past:
    """Read the history of an entity that is on no host, such as a job."""
    rows = session.scalars(select(RecordRow).where(RecordRow.entity == str(entity)))
    return Past(tuple(sorted(map(_read_record, rows), key=lambda record: record.order)))


def count_verdicts(session: Session, case_ids: Iterable[str]) -> dict[str, int]:
    """How often each case was told."""
    counts: dict[str, int] = {}
    for ids in _batch(set(case_ids)):
        query = select(VerdictRow.case_id, func.count()).where(VerdictRow.case_id.in_(ids)).group_by(VerdictRow.case_id)
        counts |= {case_id: count for case_id, count in session.execute(query)}
    return counts


def take_unread(session: Session, events: Iterable[Event], seen_seconds: float) -> list[Event]:
    """Leave out the events that were read before, and advance the cursor of each source.

    A source is recognised by the fingerprint of the last event that was read of it, so that a log which grew, was
    rotated, packed or copied elsewhere is still known; the beginning of a known log by its first event. A piece out of
    the middle is not. Must run after the first write of its transaction.
    """
    by_source: dict[str, list[Event]] = {}
    for event in events:
        by_source.setdefault(event.quote.source, []).append(event)
    unread: list[Event] = []
    for source, listed in by_source.items():
        prints = [name_event(event) for event in listed]
        cursor, start = _find_cursor(session, listed, prints)
        fresh = listed[start:]
        if not fresh:
            continue
        unread += fresh
        if cursor is None:
            cursor = CursorRow(source=source, host=_host_of(listed), first=prints[0], events=0)
            session.add(cursor)
        cursor.line = listed[-1].quote.line or 0
        cursor.fingerprint = prints[-1]
        cursor.events += len(fresh)
        cursor.seen_seconds = seen_seconds
        session.flush()
    return unread


def _find_cursor(session: Session, events: Sequence[Event], prints: Sequence[str]) -> tuple[CursorRow | None, int]:
    """The cursor that reaches farthest into a source, and the index of the first event behind it."""
    query = select(CursorRow).where(CursorRow.host == _host_of(events)).order_by(CursorRow.seen_seconds.desc())
    last_of = {name: index for index, name in enumerate(prints)}
    # Lines that are equal to the letter: the one at the known line number was read, the later ones were not.
    exact = {
        (event.quote.line or 0, name): index for index, (event, name) in enumerate(zip(events, prints, strict=True))
    }
    best: tuple[CursorRow | None, int] = (None, 0)
    for cursor in session.scalars(query.limit(MAX_CURSORS)):
        end = exact.get((cursor.line, cursor.fingerprint), last_of.get(cursor.fingerprint, -1)) + 1
        if end == 0 and cursor.first == prints[0]:
            # A log that begins alike has the same line numbers; of a storm the reader keeps the ends only.
            end = sum((event.quote.line or 0) <= cursor.line for event in events)
        if end > best[1]:
            best = (cursor, end)
    return best


def _host_of(events: Sequence[Event]) -> str:
    return next((spell_host(event.node) for event in events if event.node), "")


def name_event(event: Event) -> str:
    """Fingerprint of an event: code, time and words, not the file or line where it stands."""
    moment = event.moment
    when = f"{moment.clock}{moment.seconds:.3f}" if moment.seconds is not None and moment.year_known else ""
    words = f"{event.code}|{when}|{event.quote.text.strip()}"
    return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:24]


def _build_record_row(record: Record, run_id: str | None) -> RecordRow:
    return RecordRow(
        key=record.key,
        run_id=run_id,
        kind=record.kind,
        host=spell_host(record.entity.node),
        entity=str(record.entity),
        at_seconds=record.at_seconds,
        document=_to_document(record),
    )


def _to_document(record: Record) -> dict[str, Any]:
    document = asdict(record)
    document["entity"] = {**document["entity"], "ids": record.entity.id_map}
    return document


def _read_record(row: RecordRow) -> Record:
    return read_record(row.document)


def _batch(values: Iterable[str]) -> Iterator[list[str]]:
    listed = sorted(values)
    yield from (listed[start : start + BATCH] for start in range(0, len(listed), BATCH))
