"""What Alembic runs: the caller hands the connection over, so there is no ini file."""

from __future__ import annotations

from alembic import context

from agent.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
