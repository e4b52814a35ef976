"""Tables of the store. What is searched for is a column; the whole document stands beside it as JSON."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Dialect, Double, ForeignKey, Index, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

Document = dict[str, Any]


class DocumentType(TypeDecorator[Document]):
    """JSON, and JSONB on PostgreSQL; what belongs to that database is imported for it alone."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type on one database."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON())
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB())


DOCUMENT_TYPE = DocumentType()

# Constraint names are fixed, so that a migration can name what it changes on either database.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {Document: DOCUMENT_TYPE, float: Double()}  # noqa: RUF012 - SQLAlchemy's own form


class RunRow(Base):
    """One triage or one investigation: what it read, what it did, what it cost."""

    __tablename__ = "runs"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    time_seconds: Mapped[float] = mapped_column(index=True)
    kind: Mapped[str]
    case_id: Mapped[str] = mapped_column(index=True)
    document: Mapped[Document]


class VerdictRow(Base):
    """One verdict, as it was given; never changed afterwards."""

    __tablename__ = "verdicts"

    verdict_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"), index=True)
    position: Mapped[int]
    case_id: Mapped[str] = mapped_column(index=True)
    time_seconds: Mapped[float] = mapped_column(index=True)
    entity: Mapped[str] = mapped_column(index=True)
    node: Mapped[str] = mapped_column(index=True)
    fault: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    severity: Mapped[str]
    document: Mapped[Document]


class EventRow(Base):
    """All events of one code on one entity in one run, counted; the first of them in full."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_entity_code", "entity", "code"),)

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"), index=True)
    entity: Mapped[str]
    node: Mapped[str] = mapped_column(index=True)
    code: Mapped[str]
    count: Mapped[int]
    first_seconds: Mapped[float | None]
    last_seconds: Mapped[float | None]
    document: Mapped[Document]


class RecordRow(Base):
    """One thing of an entity's history; `key` lets the same thing be kept once only, see `agent/history.py`."""

    __tablename__ = "records"

    record_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(unique=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.run_id"))
    kind: Mapped[str]
    host: Mapped[str] = mapped_column(index=True)
    entity: Mapped[str] = mapped_column(index=True)
    at_seconds: Mapped[float]
    document: Mapped[Document]


class CursorRow(Base):
    """How far one source was read: fingerprints of its first and last event, and the line of the last."""

    __tablename__ = "cursors"

    cursor_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    source: Mapped[str]
    host: Mapped[str] = mapped_column(index=True)
    first: Mapped[str]
    line: Mapped[int]
    fingerprint: Mapped[str]
    events: Mapped[int]
    seen_seconds: Mapped[float]


class PositionRow(Base):
    """Where the follower of a growing log goes on, and which verdicts it has told: moved with what the lines told."""

    __tablename__ = "positions"

    source: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[str]
    told: Mapped[Document]
    seen_seconds: Mapped[float]


class ProposalRow(Base):
    """One proposal; `open_key` is unique, so that the same step waits for a word only once; null when over."""

    __tablename__ = "proposals"

    proposal_id: Mapped[str] = mapped_column(primary_key=True)
    open_key: Mapped[str | None] = mapped_column(unique=True)
    case_id: Mapped[str] = mapped_column(index=True)
    action: Mapped[str]
    target: Mapped[str] = mapped_column(index=True)
    state: Mapped[str]
    created_seconds: Mapped[float] = mapped_column(index=True)
    expires_seconds: Mapped[float]
    started_seconds: Mapped[float | None]
    document: Mapped[Document]


class BreakerRow(Base):
    """The one row of the breaker. Whoever decides anything changes it first, so that one at a time does."""

    __tablename__ = "breaker"

    breaker_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    looks: Mapped[int]
    opened_seconds: Mapped[float | None]
    why: Mapped[str]
    reset_seconds: Mapped[float]


class AuditRow(Base):
    """One row of the audit, see `agent/audit.py`; the database itself refuses to change or delete it."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time_seconds: Mapped[float] = mapped_column(index=True)
    kind: Mapped[str]
    case_id: Mapped[str] = mapped_column(index=True)
    body: Mapped[str] = mapped_column(Text)
    previous: Mapped[str]
    hash: Mapped[str]


class AuditHeadRow(Base):
    """The one row that says how many there are in the audit, and the hash of the last."""

    __tablename__ = "audit_head"

    head_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    hash: Mapped[str]
