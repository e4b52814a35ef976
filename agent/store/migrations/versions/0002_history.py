"""History: records of what happened, and a cursor for each source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "records",
        sa.Column("record_id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("at_seconds", sa.Double(), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("record_id", name="pk_records"),
        sa.UniqueConstraint("key", name="uq_records_key"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_records_run_id"),
    )
    op.create_table(
        "cursors",
        sa.Column("cursor_id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("first", sa.String(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("seen_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("cursor_id", name="pk_cursors"),
    )
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    """Drop them again."""
    for table in ("cursors", "records"):
        op.drop_table(table)


INDEXES = [("records", "host"), ("records", "entity"), ("cursors", "host")]
