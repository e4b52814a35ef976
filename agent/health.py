"""How much a healthy verdict is worth: by how much was read, and how old it is."""

from __future__ import annotations

from datetime import datetime

from agent.types import Confidence
from tools.clock import format_time
from tools.types import Facts

FEW_LINES = 20
"""A log of fewer lines has hardly had room for a fault (a guess)."""
OLD_SECONDS = 86_400.0
"""A log that ended earlier says nothing of today (a guess: a day)."""
HOUR_SECONDS = 3600.0


def weigh_health(facts: Facts, now: datetime) -> tuple[Confidence, str]:
    """Say how sure it is that nothing is wrong, and on what that rests.

    Readings of a machine speak for themselves; a log that is short or old is a likely answer at best.

    Args:
        facts: In which nothing was found.
        now: Time of the verdict.
    """
    rows = [row for row in facts.coverage if row.lines]
    lines = sum(row.lines for row in rows)
    if not lines:
        return "confirmed", ""
    ends = [row.end_seconds for row in rows if row.end_seconds is not None]
    words = f"{lines} line{'s' if lines > 1 else ''} of logs" + (f", up to {format_time(max(ends))}" if ends else "")
    doubts = []
    if lines < FEW_LINES and not facts.windows:
        doubts.append("that is little")
    if ends and (age := now.timestamp() - max(ends)) > OLD_SECONDS:
        doubts.append(f"it ends {_spell_age(age)} ago and tells nothing since")
    return "likely" if doubts else "confirmed", f"Read: {'; '.join([words, *doubts])}."


def _spell_age(seconds: float) -> str:
    hours = round(seconds / HOUR_SECONDS)
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"
