"""The store: add and find verdicts, runs and events; foreign exceptions end here."""

from __future__ import annotations

import fcntl
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, create_engine, event, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from agent.follow import Followed, Step
from agent.history import Past, Record, spell_host
from agent.run import Run
from agent.store.audit_log import append_decisions
from agent.store.earlier import read_events
from agent.store.ledger import add_records, count_verdicts, read_past, read_records_of, serialise_writers, take_unread
from agent.store.models import EventRow, RunRow, VerdictRow
from agent.store.past_file import BUSY_SECONDS, DATABASE_NAME, find_folder
from agent.store.positions import build_run, find_followed, move_position, note_told, take_followed
from agent.store.upgrade import needs_upgrade, upgrade
from agent.types import TriageReport, Verdict
from tools.errors import OperatorError, SiteConfigError
from tools.harmless import redact_url
from tools.types import Entity, Event

MAX_ROWS = 1000


class Store:
    """Verdicts, runs and events of this installation. Safe for several processes at once."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self.place = place

    def __enter__(self) -> Self:
        """Close it at the end of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_report(
        self,
        report: TriageReport,
        *,
        events: Iterable[Event] = (),
        origin: Mapping[str, Any] | None = None,
        records: Iterable[Record] = (),
        runs: Sequence[Run] = (),
    ) -> str:
        """Keep one triage, in one transaction: its verdicts, its coverage, and what it read that was not read before.

        Args:
            report: What was found; the order of its verdicts is kept.
            events: What was read; what the cursors say was not read before is counted per entity and code.
            origin: Where it came from (command, paths), for the audit.
            records: What is worth remembering; each is kept once, see :meth:`read_past`.
            runs: Audits of the investigations.

        Returns:
            The id of the run that the verdicts belong to.
        """
        run_id = f"r-{secrets.token_hex(8)}"
        document = {
            "origin": dict(origin or {}),
            "coverage": [row.model_dump(mode="json") for row in report.coverage],
        }
        first = report.verdicts[0]
        run = RunRow(
            run_id=run_id,
            time_seconds=_read_seconds(first.time),
            kind="triage",
            case_id=first.case_id,
            document=document,
        )
        rows = [_build_row(run_id, position, verdict) for position, verdict in enumerate(report.verdicts)]
        with self._write() as session:
            serialise_writers(session)
            session.add(run)
            session.flush()
            session.add_all(rows)
            session.add_all(_build_audit(audit) for audit in runs)
            session.add_all(_count_events(run_id, take_unread(session, events, run.time_seconds)))
            add_records(session, records, run_id)
            append_decisions(session, report.verdicts, runs)
        return run_id

    def add_step(self, step: Step) -> Followed:
        """Keep what a follower read: the new position and all that the lines before it told, or nothing of it.

        Raises:
            OperatorError: Another follower reads the same source.
        """
        with self._write() as session:
            serialise_writers(session)
            move_position(session, step)
            session.flush()
            if step.events or step.report:
                run = build_run(step)
                session.add(run)
                session.flush()
                verdicts = step.report.verdicts if step.report else []
                session.add_all(_build_row(run.run_id, place, verdict) for place, verdict in enumerate(verdicts))
                session.add_all(_count_events(run.run_id, take_followed(session, step)))
                add_records(session, step.records, run.run_id)
                append_decisions(session, verdicts)
        return Followed(step.before.source, step.position, step.before.told)

    def find_followed(self, source: str) -> Followed:
        """How far a growing log was followed, and which verdicts were told."""
        with self._read() as session:
            return find_followed(session, source)

    def note_told(self, followed: Followed) -> None:
        """Keep which verdicts a follower has told."""
        with self._write() as session:
            note_told(session, followed.source, followed.told)

    def list_verdicts(
        self, *, limit: int = 50, fault: str = "", entity: str = "", since: float | None = None
    ) -> list[Verdict]:
        """List verdicts, newest first and the primary of a triage before its others.

        Args:
            limit: At most so many, 1 to 1000.
            fault: Only this fault id.
            entity: Only this entity; ``node:NAME`` stands for everything on that node.
            since: Unix seconds; only verdicts given then or later.
        """
        query = select(VerdictRow).order_by(VerdictRow.time_seconds.desc(), VerdictRow.run_id, VerdictRow.position)
        if fault:
            query = query.where(VerdictRow.fault == fault)
        if entity:
            kind, _, name = entity.partition(":")
            on_node = [VerdictRow.node == name] if kind == "node" else []
            query = query.where(or_(VerdictRow.entity == entity, *on_node))
        if since is not None:
            query = query.where(VerdictRow.time_seconds >= since)
        with self._read() as session:
            rows = session.scalars(query.limit(max(1, min(limit, MAX_ROWS)))).all()
            return [Verdict.model_validate(row.document) for row in rows]

    def find_verdict(self, verdict_id: str) -> Verdict | None:
        """Find one verdict by its id; None where it is not kept."""
        with self._read() as session:
            row = session.get(VerdictRow, verdict_id)
            return Verdict.model_validate(row.document) if row else None

    def find_case(self, case_id: str) -> list[Verdict]:
        """Find all verdicts on a case, newest first.

        Args:
            case_id: The id, or a beginning of it that only one case has.

        Returns:
            The verdicts; empty where no case begins so.

        Raises:
            OperatorError: More than one case begins so; names them.
        """
        with self._read() as session:
            begins = VerdictRow.case_id.startswith(case_id, autoescape=True)
            ids = session.scalars(select(VerdictRow.case_id).where(begins).distinct().limit(6)).all()
            if case_id not in ids and len(ids) > 1:
                raise OperatorError(
                    f"{len(ids)} cases begin with '{case_id}': {', '.join(sorted(ids))}.",
                    fix=f"daytwo explain {sorted(ids)[0]}",
                )
            exact = case_id if case_id in ids else (ids[0] if ids else case_id)
            order = (VerdictRow.time_seconds.desc(), VerdictRow.position)
            rows = session.scalars(select(VerdictRow).where(VerdictRow.case_id == exact).order_by(*order)).all()
            return [Verdict.model_validate(row.document) for row in rows]

    def find_runs(self, case_id: str) -> list[dict[str, Any]]:
        """The audits of a case's investigations, newest first, each with `run_id`, `kind` and `time_seconds`."""
        query = select(RunRow).where(RunRow.case_id == case_id).order_by(RunRow.time_seconds.desc())
        with self._read() as session:
            return [
                {"run_id": row.run_id, "kind": row.kind, "time_seconds": row.time_seconds, **row.document}
                for row in session.scalars(query)
            ]

    def list_investigations(self, *, limit: int = 20) -> list[dict[str, Any]]:
        """The audits of investigations, newest first, each with `run_id` and `time_seconds`."""
        query = select(RunRow).where(RunRow.kind == "investigation").order_by(RunRow.time_seconds.desc())
        with self._read() as session:
            rows = session.scalars(query.limit(max(1, min(limit, MAX_ROWS))))
            return [{"run_id": row.run_id, "time_seconds": row.time_seconds, **row.document} for row in rows]

    def find_investigations(self, run_id: str) -> list[dict[str, Any]]:
        """The audits whose id begins so, at most six."""
        query = select(RunRow).where(RunRow.kind == "investigation", RunRow.run_id.startswith(run_id, autoescape=True))
        with self._read() as session:
            rows = session.scalars(query.limit(6))
            return [{"run_id": row.run_id, "time_seconds": row.time_seconds, **row.document} for row in rows]

    def add_records(self, records: Iterable[Record]) -> int:
        """Keep records beside a triage, such as a person's clear.

        Returns:
            How many were new.
        """
        with self._write() as session:
            serialise_writers(session)
            return add_records(session, records, None)

    def read_past(self, hosts: Iterable[str]) -> Past:
        """Read all that is remembered of some hosts, named as :func:`agent.history.spell_host` does."""
        with self._read() as session:
            return read_past(session, hosts)

    def read_events(self, nodes: Iterable[str]) -> list[Event]:
        """Read what earlier triages saw on some machines, in order of time."""
        with self._read() as session:
            return read_events(session, nodes)

    def read_records_of(self, entity: Entity) -> Past:
        """Read all that is remembered of an entity: of its host, or of itself where it is on none."""
        host = spell_host(entity.node)
        with self._read() as session:
            return read_past(session, [host]) if host else read_records_of(session, entity)

    def count_verdicts(self, case_ids: Iterable[str]) -> dict[str, int]:
        """How often each case was told; a case that was never told is not in it."""
        with self._read() as session:
            return count_verdicts(session, case_ids)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with _map_errors(self.place), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with _map_errors(self.place), Session(self._engine) as session:
            yield session


def open_store(data_dir: Path | None = None, *, url: str | None = None) -> Store:
    """Open the store and bring its tables up to date; see :func:`agent.store.open_store`."""
    if url is None:
        folder = find_folder(data_dir)
        _make_folder(folder)
        place = str(folder / DATABASE_NAME)
        engine = _build_sqlite_engine(folder / DATABASE_NAME)
        with _map_errors(place), _lock(folder):
            _bring_up_to_date(engine)
    else:
        with _map_errors(redact_url(url)):
            engine = _build_engine(url)
            place = redact_url(engine.url.render_as_string(hide_password=True))
            _bring_up_to_date(engine)
    return Store(engine, place)


def _build_engine(url: str) -> Engine:
    try:
        return create_engine(url)
    except ModuleNotFoundError as error:
        raise SiteConfigError(
            f"The store needs the Python package {error.name}, which is not installed.",
            fix="pip install 'daytwo[postgres]'",
        ) from None


def _bring_up_to_date(engine: Engine) -> None:
    if needs_upgrade(engine):
        upgrade(engine)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SiteConfigError(
            f"The data folder {folder} cannot be made: {error.strerror}.",
            fix="export DAYTWO_DATA_DIR=/some/other/folder",
        ) from None


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time change the tables."""
    try:
        handle = (folder / "store.lock").open("w", encoding="utf-8")
    except OSError as error:
        raise SiteConfigError(
            f"The data folder {folder} cannot be written: {error.strerror}.",
            fix="export DAYTWO_DATA_DIR=/some/other/folder",
        ) from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build_sqlite_engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    def set_pragmas(connection: sqlite3.Connection, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", set_pragmas)
    return engine


@contextmanager
def _map_errors(place: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = redact_url(str(getattr(error, "orig", None) or error)).splitlines()[0]
        raise SiteConfigError(
            f"The store {place} cannot be used: {reason}.",
            fix="run again with --no-store, or move that file away and let Daytwo make a new one",
        ) from error


def _build_audit(run: Run) -> RunRow:
    document = asdict(run)
    document["usage"] = run.usage.model_dump(mode="json")
    return RunRow(
        run_id=run.run_id, time_seconds=time.time(), kind="investigation", case_id=run.case_id, document=document
    )


def _build_row(run_id: str, position: int, verdict: Verdict) -> VerdictRow:
    entity = verdict.subject.entity
    return VerdictRow(
        verdict_id=verdict.verdict_id,
        run_id=run_id,
        position=position,
        case_id=verdict.case_id,
        time_seconds=_read_seconds(verdict.time),
        entity=entity,
        node=_read_node(entity),
        fault=verdict.fault,
        status=verdict.status,
        severity=verdict.severity,
        document=verdict.model_dump(mode="json", by_alias=True),
    )


def _read_node(entity: str) -> str:
    kind, _, rest = entity.partition(":")
    return rest if kind == "node" else rest.partition("/")[0] if "/" in rest else ""


def _read_seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


def _count_events(run_id: str, events: Iterable[Event]) -> list[EventRow]:
    rows: dict[tuple[str, str], EventRow] = {}
    for item in events:
        seconds = item.moment.seconds if item.moment.clock in ("utc", "local") else None
        key = (str(item.entity), item.code)
        row = rows.get(key)
        if row is None:
            rows[key] = _build_event_row(run_id, item, seconds)
            continue
        row.count += 1
        if seconds is not None:
            row.first_seconds = min(row.first_seconds if row.first_seconds is not None else seconds, seconds)
            row.last_seconds = max(row.last_seconds if row.last_seconds is not None else seconds, seconds)
    return list(rows.values())


def _build_event_row(run_id: str, item: Event, seconds: float | None) -> EventRow:
    document = {"source": item.quote.place, "text": item.quote.text, "fields": dict(item.fields), "writer": item.writer}
    return EventRow(
        run_id=run_id,
        entity=str(item.entity),
        node=item.node,
        code=item.code,
        count=1,
        first_seconds=seconds,
        last_seconds=seconds,
        document=document,
    )
