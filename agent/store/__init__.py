"""The store: verdicts, runs and events, in SQLite here and in PostgreSQL later.

Importing this package costs nothing; SQLAlchemy comes in with the first call.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.history import Past
    from agent.store.store import Store


def open_store(data_dir: Path | None = None, *, url: str | None = None) -> Store:
    """Open the store and bring its tables up to date.

    Args:
        data_dir: Folder that holds `daytwo.db`; made where it is missing.
        url: SQLAlchemy URL in place of the folder, such as ``postgresql+psycopg://…``.

    Raises:
        SiteConfigError: The folder or the database cannot be used; says which and what to do.
    """
    from agent.store.store import open_store as open_real_store

    return open_real_store(data_dir, url=url)


def read_past_file(data_dir: Path | None, hosts: Iterable[str]) -> Past | None:
    """Read the history of some hosts without SQLAlchemy; None where only the store can tell.

    Args:
        data_dir: Folder that holds `daytwo.db`.
        hosts: Named as :func:`agent.history.spell_host` does.
    """
    from agent.store.past_file import read_past_file as read_file

    return read_file(data_dir, hosts)
