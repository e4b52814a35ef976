"""A streamed chat completion put together from its pieces, whatever borders the network cut them at."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.backend import ToolCall
from agent.backends.wire import read_calls, read_error

MAX_ERROR_CHARACTERS = 300
CUT = "the stream ended without its end"


@dataclass(slots=True)
class Pieces:
    """A streamed answer as it grows.

    Attributes:
        hear: Told each piece of text as it comes.
        first_seconds: When the first piece of text, thinking or a call came; on the clock of :meth:`feed`.
        error: What the stream itself said went wrong, or that it is no JSON.
    """

    hear: Callable[[str], None] | None = None
    text: str = ""
    finish_reason: str = ""
    usage: object = None
    first_seconds: float | None = None
    error: str = ""
    _pending: bytes = b""
    _calls: dict[int, dict[str, str]] = field(default_factory=dict)

    def feed(self, chunk: bytes, seconds: float = 0.0) -> None:
        """Take the bytes that came, at so many seconds; half a line waits for its rest."""
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            self._add(line, seconds)

    def close(self, seconds: float = 0.0) -> str:
        """Take what is left, and say what is wrong with the answer; empty where it is whole."""
        self._add(self._pending, seconds)
        self._pending = b""
        return self.error or ("" if self.finish_reason else CUT)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far."""
        return read_calls(
            [
                {"id": call["id"], "function": {"name": call["name"], "arguments": call["arguments"]}}
                for call in self._calls.values()
            ]
        )

    def _add(self, line: bytes, seconds: float) -> None:
        data = line.strip().removeprefix(b"data:").strip()
        if not line.strip().startswith(b"data:") or data == b"[DONE]":
            return
        try:
            piece = json.loads(data)
        except (ValueError, RecursionError):
            self.error = self.error or "a piece of the stream is no JSON"
            return
        if not isinstance(piece, dict) or "error" in piece:
            self.error = self.error or read_error(data.decode("utf-8", "replace"))[:MAX_ERROR_CHARACTERS]
            return
        self.usage = piece.get("usage") or self.usage
        for choice in _keep(piece.get("choices")):
            delta = choice.get("delta")
            self._add_delta(delta if isinstance(delta, dict) else {}, seconds)
            self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)

    def _add_delta(self, delta: Mapping[str, Any], seconds: float) -> None:
        rows = _keep(delta.get("tool_calls"))
        text = delta.get("content")
        text = text if isinstance(text, str) else ""
        if (text or delta.get("reasoning_content") or rows) and self.first_seconds is None:
            self.first_seconds = seconds
        self.text += text
        if text and self.hear is not None:
            self.hear(text)
        for row in rows:
            index, function = row.get("index"), row.get("function")
            place = index if isinstance(index, int) else 0
            call = self._calls.setdefault(place, {"id": "", "name": "", "arguments": ""})
            call["id"] = str(row.get("id") or call["id"])
            for part in ("name", "arguments"):
                said = function.get(part) if isinstance(function, dict) else None
                call[part] += said if isinstance(said, str) else ""


def _keep(rows: object) -> list[dict[str, Any]]:
    """The objects of a list; whatever else a server sends in their place is none."""
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
