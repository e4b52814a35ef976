"""The endpoint as a preflight sees it: one question, one answer, with whatever went wrong as part of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.backend import Message, Reply, ToolCall


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Attributes:
        extra: What else stands in the body: tools, tool_choice, response_format, seed.
        model: Another name than the endpoint's own; empty for that.
        seconds: Longest wait for this one; None is the endpoint's own.
    """

    messages: Sequence[Message]
    extra: Mapping[str, Any]
    max_tokens: int
    temperature: float = 0.0
    stream: bool = False
    model: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; nothing is estimated: a count that the server does not tell is None.

    Attributes:
        status: HTTP status; 0 where nothing came, or not in time.
        message: What went wrong in words; empty where the answer is one.
        seconds: Until the answer was whole.
        first_token_seconds: Until the first words or call of a streamed answer.
        streamed: True where it came in pieces.
        late: True where it did not come in time.
    """

    status: int
    message: str = ""
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    seconds: float = 0.0
    first_token_seconds: float | None = None
    streamed: bool = False
    late: bool = False

    @property
    def ok(self) -> bool:
        """True where it is an answer of a model."""
        return self.status == 200 and not self.message

    @property
    def refused(self) -> bool:
        """True where the server understood and does not do it: asking again changes nothing."""
        return 400 <= self.status < 500 and self.status != 429

    def as_reply(self) -> Reply:
        """The answer as the agent would see it."""
        return Reply(self.text, self.calls, finish_reason=self.finish_reason)


class Endpoint(Protocol):
    """Whoever answers; `agent/backends/http.py` does over HTTP. Neither call raises for what the server does."""

    @property
    def url(self) -> str:
        """Base URL."""
        ...

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """Longest wait for one answer."""
        ...

    def ask(self, question: Question) -> Answer:
        """Ask once, within the endpoint's own time-out."""
        ...

    def read(self, path: str) -> Mapping[str, Any] | None:
        """Read a JSON object beside the API, such as ``/version``; None where there is none."""
        ...
