"""Traces and metrics of investigations, in the GenAI conventions of OpenTelemetry; nothing is sent unless asked for.

One trace a case: its span is `invoke_agent`, below it a `chat` for each call of the model and an `execute_tool` for
each tool. No text of prompts, answers or evidence is in them: names, counts and times alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from agent.backend import Backend, EndpointKind, Hear, Message, Reply, stream_reply
from agent.types import Case, Verdict
from tools.errors import DaytwoError

AGENT_NAME = "daytwo"
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304)
SECONDS_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Both as the conventions advise for `gen_ai.client.token.usage` and `gen_ai.client.operation.duration`."""


@contextmanager
def trace_case(case: Case, model: str) -> Iterator[Callable[[Verdict], None]]:
    """Open the span of a case; what is yielded takes the verdict."""
    named = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": AGENT_NAME,
        "gen_ai.conversation.id": case.case_id,
        "gen_ai.request.model": model,
        "daytwo.fault.rules": case.primary.fault,
    }
    with _open_span(f"invoke_agent {AGENT_NAME}", SpanKind.INTERNAL, named) as span:

        def tell(verdict: Verdict) -> None:
            told = {"daytwo.fault": verdict.fault, "daytwo.decided_by": verdict.decided_by}
            span.set_attributes({**told, "daytwo.action": verdict.action, "daytwo.verdict_id": verdict.verdict_id})

        yield tell


@contextmanager
def trace_tool(name: str, call_id: str) -> Iterator[None]:
    """Open the span of a tool."""
    named = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.id": call_id}
    with _open_span(f"execute_tool {name}", SpanKind.INTERNAL, named):
        yield


@dataclass(frozen=True)
class TracedBackend:
    """A backend whose calls are spans, and whose tokens and seconds are counted.

    Attributes:
        provider: Who serves the model, as the conventions name it: a well-known name, or the host.
    """

    inner: Backend
    provider: str

    @property
    def name(self) -> str:
        """The name of the model behind."""
        return self.inner.name

    @property
    def endpoint_kind(self) -> EndpointKind:
        """Where the model behind runs."""
        return self.inner.endpoint_kind

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """As of the backend behind; see :class:`agent.backend.Backend`."""
        return self._trace(lambda: self.inner.step(messages, tools, seconds=seconds))

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """As of the backend behind; see :class:`agent.backend.Backend`."""
        return self._trace(lambda: self.inner.conclude(messages, schema, seconds=seconds))

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float, hear: Hear
    ) -> Reply:
        """As of the backend behind; see :func:`agent.backend.stream_reply`."""
        return self._trace(lambda: stream_reply(self.inner, messages, tools, seconds=seconds, hear=hear))

    def _trace(self, ask: Callable[[], Reply]) -> Reply:
        named = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.inner.name,
        }
        started, failed = time.monotonic(), ""
        try:
            with _open_span(f"chat {self.inner.name}", SpanKind.CLIENT, named) as span:
                reply = ask()
                span.set_attributes(_describe(reply))
        except DaytwoError as error:
            failed = type(error).__name__
            raise
        finally:
            told = {**named, "error.type": failed} if failed else named
            _open_seconds().record(time.monotonic() - started, told)
        for kind, count in (("input", reply.tokens_in), ("output", reply.tokens_out)):
            _open_tokens().record(count, {**named, "gen_ai.token.type": kind})
        return reply


def _describe(reply: Reply) -> dict[str, int | list[str]]:
    return {
        "gen_ai.usage.input_tokens": reply.tokens_in,
        "gen_ai.usage.cache_read.input_tokens": reply.tokens_cached,
        "gen_ai.usage.output_tokens": reply.tokens_out,
        "gen_ai.response.finish_reasons": [reply.finish_reason],
    }


@contextmanager
def _open_span(name: str, kind: SpanKind, attributes: Mapping[str, str]) -> Iterator[Span]:
    tracer = trace.get_tracer(AGENT_NAME)
    with tracer.start_as_current_span(
        name, kind=kind, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except DaytwoError as error:
            # The words of an error may quote evidence; its kind does not.
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise


def _open_tokens() -> metrics.Histogram:
    return metrics.get_meter(AGENT_NAME).create_histogram(
        "gen_ai.client.token.usage", "{token}", "Tokens of one call", explicit_bucket_boundaries_advisory=TOKEN_BUCKETS
    )


def _open_seconds() -> metrics.Histogram:
    return metrics.get_meter(AGENT_NAME).create_histogram(
        "gen_ai.client.operation.duration", "s", "One call", explicit_bucket_boundaries_advisory=SECONDS_BUCKETS
    )
