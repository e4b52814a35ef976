"""The seat of the investigator: what a backend must do, and the shapes that pass between it and the loop."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from agent.bounds import SIZES, Bounds
from tools.errors import OperatorError
from tools.harmless import redact_url

Message = dict[str, Any]
Hear = Callable[[str], None]
"""Told each piece of an answer as it comes."""
EndpointKind = Literal["rules", "local", "remote", "scripted"]
CONCLUDING_SHARE = 0.3
"""Of the seconds, kept for the conclusion: one long answer after several short ones (a guess)."""
MOST_CONCLUDING_SHARE = 0.7
"""A slow model still gets to look at something (a guess)."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the investigator asks for; `arguments` is JSON text as it came."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Token counts are the server's; where it gives none they are an estimate of characters / 4."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one investigation may cost: model steps before it must conclude, seconds, tokens in and out.

    Attributes:
        window_tokens: How long one prompt may be, where that is proven.
        dollars: What it may cost, where its price is known; None is no limit.
        bounds: How long the conclusion may be.
        concluding_seconds: How long the conclusion takes at the model's own speed, where that was measured.
    """

    steps: int = 8
    seconds: float = 180.0
    tokens: int = 100_000
    window_tokens: int | None = None
    dollars: float | None = None
    bounds: Bounds = SIZES["full"]
    concluding_seconds: float | None = None

    def find_concluding_seconds(self) -> float:
        """The seconds that are kept for the conclusion: what it takes, or a share, and never nearly all of them."""
        if self.concluding_seconds is None:
            return self.seconds * CONCLUDING_SHARE
        return min(max(self.concluding_seconds, self.seconds * CONCLUDING_SHARE), self.seconds * MOST_CONCLUDING_SHARE)


class Backend(Protocol):
    """Whoever sits in the seat.

    Both calls raise `ModelError` for anything that is no answer, and return within about `seconds`.
    """

    @property
    def name(self) -> str:
        """How the model is called in verdicts."""
        ...

    @property
    def endpoint_kind(self) -> EndpointKind:
        """Where it runs; ``rules`` is no model at all."""
        ...

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Go on with the investigation: ask for tools, or answer in words when enough was seen."""
        ...

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Answer with one JSON object that fits the schema; no tools."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """A backend whose answers can be heard as they grow."""

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float, hear: Hear
    ) -> Reply:
        """As :meth:`Backend.step`; no tools means that it must answer in words."""
        ...


def stream_reply(
    backend: Backend, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float, hear: Hear
) -> Reply:
    """Ask, and hear the answer as it grows; one who cannot stream is heard all at once.

    Raises:
        ModelError: As for :meth:`Backend.step`.
    """
    if isinstance(backend, Streaming):
        return backend.stream(messages, tools, seconds=seconds, hear=hear)
    reply = backend.step(messages, tools, seconds=seconds)
    hear(reply.text)
    return reply


def parse_endpoint(text: str) -> tuple[str, str]:
    """Split ``URL#NAME`` of a model endpoint into its base URL and the model's name.

    Raises:
        OperatorError: There is no URL or no name, it is no http(s) URL, or a secret stands in it.
    """
    shown = redact_url(text.strip())
    if shown != text.strip():
        raise OperatorError(
            f"Model endpoint {shown!r} holds a secret, which lists of processes and logs would show.",
            fix="export DAYTWO_MODEL_KEY=KEY, and --model http://HOST:8000/v1#NAME without it",
        )
    url, _, name = text.strip().partition("#")
    fix = "--model http://127.0.0.1:8000/v1#Qwen/Qwen3-Coder-30B-A3B-Instruct"
    if not url.startswith(("http://", "https://")) or not url.partition("://")[2].strip("/"):
        raise OperatorError(f"Model endpoint {text!r} is no http(s) URL.", fix=fix)
    if not name.strip():
        raise OperatorError(f"Model endpoint {text!r} does not name a model after '#'.", fix=f"--model {url}#NAME")
    return url.rstrip("/"), name.strip()


def is_private(host: str) -> bool:
    """Whether a host is of the own network, by its address or by its name."""
    if host == "localhost" or host.endswith((".local", ".internal", ".localhost")):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private
