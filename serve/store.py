"""The store that the settings name: PostgreSQL by its URL, else SQLite in the data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.settings import Settings
from agent.store import open_store

if TYPE_CHECKING:
    from agent.store.store import Store


def open_site_store(settings: Settings) -> Store:
    """Open the store of this installation and bring its tables up to date.

    Raises:
        SiteConfigError: It cannot be used; says why and what to do.
    """
    url = settings.store_url.get_secret_value() if settings.store_url else None
    return open_store(settings.data_dir, url=url)
