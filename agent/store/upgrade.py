"""Migrations: bring the tables of a database to the newest revision, from inside the program."""

from __future__ import annotations

from sqlalchemy import Engine, inspect, text

from agent.store.past_file import MIGRATIONS, find_head

MIGRATION_LOCK = 0x0DA7_2001
"""One number that all programs agree on, for PostgreSQL's advisory lock."""


def needs_upgrade(engine: Engine) -> bool:
    """Say whether the tables are older than this program; Alembic is not even imported where they are not."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return True
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found != find_head()


def upgrade(engine: Engine) -> None:
    """Run every migration that the database has not seen."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # SQLite is held by a lock file beside it; here two programs may start at once.
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
