"""How long a conclusion may be: its strings and lists are bounded, so that a small model cannot write on and on.

Three sizes. A model that writes slowly is asked for a shorter conclusion, and is waited for as long as its own speed
says that it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Size = Literal["full", "short", "terse"]
CHARACTERS_PER_TOKEN = 2.5
"""Numbers and names take a token for two or three characters (a guess on the safe side; prose has four)."""
FAULT_CHARACTERS = 30
HANDLE_CHARACTERS = 7
MARGIN = 1.25
"""A busy server writes slower than when it was measured (a guess)."""
LEAST_SECONDS = 10.0
CONCLUDING_SHARE = 0.5
"""Most of an investigation's seconds that its conclusion may take (a guess)."""
LIMITS = frozenset({"minLength", "maxLength", "maxItems", "pattern"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """The longest conclusion, in characters and in how many of each."""

    summary: int
    claims: int
    claim: int
    handles: int
    alternatives: int
    why: int
    check_next: int

    @property
    def tokens(self) -> int:
        """How many tokens the longest conclusion takes, keys and braces included."""
        claim = self.claim + self.handles * (HANDLE_CHARACTERS + len('"",')) + len('{"text":"","evidence":[]},')
        alternative = self.why + FAULT_CHARACTERS + len('{"fault":"","why":""},')
        frame = len('{"fault":"","summary":"","claims":[],"alternatives":[],"check_next":""}') + FAULT_CHARACTERS
        written = self.summary + self.claims * claim + self.alternatives * alternative + self.check_next + frame
        return round(written / CHARACTERS_PER_TOKEN)


SIZES: Mapping[Size, Bounds] = {
    "full": Bounds(summary=400, claims=5, claim=240, handles=4, alternatives=3, why=160, check_next=200),
    "short": Bounds(summary=200, claims=3, claim=160, handles=3, alternatives=2, why=100, check_next=100),
    "terse": Bounds(summary=120, claims=2, claim=120, handles=2, alternatives=1, why=80, check_next=60),
}
"""From the longest to the shortest."""


def measure_seconds(size: Size, tokens_per_second: float, first_token_seconds: float = 0.0) -> float:
    """How long the longest conclusion of a size takes at a speed, with a margin."""
    return max(SIZES[size].tokens / tokens_per_second * MARGIN + first_token_seconds, LEAST_SECONDS)


def choose_size(
    tokens_per_second: float | None, allowed_seconds: float, first_token_seconds: float = 0.0
) -> tuple[Size, float | None]:
    """Choose the longest conclusion that is written in time, else the shortest.

    Args:
        tokens_per_second: How fast the model writes alone; None where nobody measured it.
        allowed_seconds: How long a conclusion may take.
        first_token_seconds: Until it begins to write, after a long beginning that it has not seen.

    Returns:
        The size, and how long to wait for it; None where the speed is not known.
    """
    if not tokens_per_second:
        return "full", None
    told = {size: measure_seconds(size, tokens_per_second, first_token_seconds) for size in SIZES}
    fits: Size = next((size for size, seconds in told.items() if seconds <= allowed_seconds), "terse")
    return fits, round(told[fits], 1)


def drop_limits(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema without lengths and patterns, for a server that does not know them."""
    return {
        key: {name: drop_limits(one) for name, one in value.items()} if key == "properties" else _drop_below(value)
        for key, value in schema.items()
        if key not in LIMITS
    }


def _drop_below(value: object) -> object:
    return drop_limits(value) if isinstance(value, Mapping) else value
