"""A recorded model in the seat: it gives the answers of a kept run again, in their order, without any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.backend import EndpointKind, Message, Reply, ToolCall
from tools.errors import ModelError


class ReplayBackend:
    """Answers from a record.

    Args:
        name: How the model was called.
        replies: Its answers, in order.
    """

    endpoint_kind: EndpointKind = "scripted"

    def __init__(self, name: str, replies: Sequence[Reply]) -> None:
        self.name = name
        self._left = list(replies)

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Give the next answer.

        Raises:
            ModelError: The record holds no more.
        """
        return self._take()

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Give the next answer.

        Raises:
            ModelError: The record holds no more.
        """
        return self._take()

    def _take(self) -> Reply:
        if not self._left:
            raise ModelError("The record ends here: the investigation asks for more than it holds.", fix="")
        return self._left.pop(0)


def parse_replies(rows: Sequence[Mapping[str, Any]]) -> tuple[Reply, ...]:
    """Read the answers of a kept run.

    Raises:
        ModelError: They are not what a run keeps.
    """
    try:
        return tuple(Reply(**{**row, "calls": tuple(ToolCall(**call) for call in row["calls"])}) for row in rows)
    except (KeyError, TypeError):
        raise ModelError("The record holds no answers of a model.", fix="daytwo runs list") from None


def find_divergence(recorded: Sequence[Message], replayed: Sequence[Message]) -> str:
    """Say where a replayed conversation leaves the recorded one; empty where it is the same to the letter."""
    for number, (before, now) in enumerate(zip(recorded, replayed, strict=False)):
        if before != now:
            return f"message {number + 1} ({now.get('role', '?')}) differs"
    if len(recorded) != len(replayed):
        return f"{len(recorded)} messages were recorded, {len(replayed)} were exchanged now"
    return ""
