"""What was told of machines before, as plain data: who knows it puts it into the context of the tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tools.types import Entity

PastState = Literal["open", "ended", "not_told"]


@dataclass(frozen=True, slots=True)
class PastCase:
    """An earlier verdict.

    Attributes:
        seconds: Unix seconds of the fault; None where it was not told.
        confidence: ``confirmed``, ``likely`` or ``inconclusive``.
        state: Whether anything ended it since.
        ended_by: What ended it: a reset, a boot, a person's clear with the reason.
        sign: The first line or reading that it rested on.
    """

    entity: Entity
    fault: str
    seconds: float | None = None
    confidence: str = "inconclusive"
    action: str = ""
    state: PastState = "not_told"
    ended_by: str = ""
    sign: str = ""
    case_id: str = ""
