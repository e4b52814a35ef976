"""Verdicts, runs and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the first three tables."""
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("time_seconds", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("time_seconds", sa.Double(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("fault", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_verdicts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_verdicts_run_id"),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_seconds", sa.Double(), nullable=True),
        sa.Column("last_seconds", sa.Double(), nullable=True),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_events_run_id"),
    )
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_index("ix_events_entity_code", "events", ["entity", "code"])


def downgrade() -> None:
    """Drop them again."""
    for table in ("events", "verdicts", "runs"):
        op.drop_table(table)


INDEXES = [
    ("runs", "time_seconds"),
    ("runs", "case_id"),
    ("verdicts", "run_id"),
    ("verdicts", "case_id"),
    ("verdicts", "time_seconds"),
    ("verdicts", "entity"),
    ("verdicts", "node"),
    ("verdicts", "fault"),
    ("events", "run_id"),
    ("events", "node"),
]
