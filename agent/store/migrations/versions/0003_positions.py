"""Positions: where the follower of a growing log goes on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "positions",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("told", DOCUMENT, nullable=False),
        sa.Column("seen_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_positions"),
    )


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("positions")
