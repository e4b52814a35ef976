"""What models cost in the last hour: read from the store where the site limits it, and kept of conversations."""

from __future__ import annotations

import time

from agent.settings import Settings
from agent.site import Models
from agent.spending import HOUR_SECONDS, Spent
from agent.types import Usage
from serve.store import open_site_store
from serve.terminal import note
from tools.errors import DaytwoError


def read_spent(settings: Settings, models: Models) -> Spent | None:
    """What was spent in the last hour; nothing where no limit asks, None where it could not be read."""
    if not models.spending.by_hour and not models.escalation.per_hour:
        return Spent()
    try:
        from agent.store.spending import SpendingBook

        with open_site_store(settings) as store:
            return SpendingBook(store).read_spent(time.time() - HOUR_SECONDS)
    except DaytwoError as error:
        note(f"daytwo: {error}")
        return None


def keep_talk(settings: Settings, models: Models, usage: Usage, model: str) -> None:
    """Keep what a question of a conversation cost, where the site limits an hour; what goes wrong costs a note."""
    if not usage.calls or not models.spending.by_hour:
        return
    try:
        from agent.store.spending import SpendingBook

        with open_site_store(settings) as store:
            SpendingBook(store).add_talk(usage, model)
    except DaytwoError as error:
        note(f"daytwo: what this cost was not kept. {error}")
