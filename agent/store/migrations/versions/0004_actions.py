"""Actions: proposals, the breaker, and the audit, which the database itself keeps from being changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
ROOT_HASH = "0" * 64


def upgrade() -> None:
    """Make the four tables, the single rows of two of them, and what keeps the audit from being changed."""
    op.create_table(
        "proposals",
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("open_key", sa.String(), nullable=True),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_seconds", sa.Double(), nullable=False),
        sa.Column("expires_seconds", sa.Double(), nullable=False),
        sa.Column("started_seconds", sa.Double(), nullable=True),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("proposal_id", name="pk_proposals"),
        sa.UniqueConstraint("open_key", name="uq_proposals_open_key"),
    )
    breaker = op.create_table(
        "breaker",
        sa.Column("breaker_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("opened_seconds", sa.Double(), nullable=True),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("reset_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("breaker_id", name="pk_breaker"),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("time_seconds", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("head_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("head_id", name="pk_audit_head"),
    )
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.bulk_insert(breaker, [{"breaker_id": 1, "looks": 0, "why": "", "reset_seconds": 0.0}])
    op.bulk_insert(head, [{"head_id": 1, "number": 0, "hash": ROOT_HASH}])
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Drop them again."""
    for table in ("audit_head", "audit", "breaker", "proposals"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION IF EXISTS refuse_audit_change()")


INDEXES = [
    ("proposals", "case_id"),
    ("proposals", "target"),
    ("proposals", "created_seconds"),
    ("audit", "time_seconds"),
    ("audit", "case_id"),
]
REFUSAL = "rows of the audit are never changed"
GUARDS = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{word.lower()} BEFORE {word} ON audit BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        for word in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
    ],
}
