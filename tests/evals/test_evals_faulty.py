"""A server of faults: whatever an endpoint does, a verdict comes out in time, and it is never worse than the rules'."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import get_args

import pytest

from agent.backend import Budget, parse_endpoint
from agent.backends.openai import OpenAIBackend
from agent.graph import investigate
from agent.judge import judge
from agent.policy import SitePolicy
from agent.run import Run
from agent.seat import Terms
from agent.types import Verdict
from agent.verdicts import build_verdict
from evals.faulty import FAULTS, FaultyServer, RawServer, Wire
from evals.leaks import LEAKS
from evals.scripted import ScriptedServer
from tools.entities import make_gpu
from tools.evidence import EvidenceBook
from tools.tool import ToolContext
from tools.types import Coverage, Event, Facts, Moment, Quote

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TIMEOUT_SECONDS = 0.4
BUDGET = Budget(steps=6, seconds=1.5)
TOO_LATE_SECONDS = BUDGET.seconds + 1.0
LINE = "gx07 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=52110, GPU has fallen off the bus."
FACTS = Facts(
    events=(
        Event(
            Moment("utc", 1_772_330_000.0),
            make_gpu("gx07", pci="0000:3b:00"),
            "xid:79",
            Quote("kern.log", 1, LINE),
            {},
            "kernel",
        ),
    ),
    coverage=(Coverage("node:gx07", "kernel_log", "read"),),
)
LATE = "no whole answer in time"
COSTS_THE_OPINION = {
    "trouble: hang": LATE,
    "trouble: drip": LATE,
    "trouble: cut": "broke off",
    "trouble: html": "web page",
    "trouble: empty": "empty body",
    "trouble: empty_choices": "no choices",
    "trouble: malformed": "malformed JSON",
    "trouble: error_401": "DAYTWO_MODEL_KEY",
    "trouble: error_404": "must list models",
    "trouble: error_500": "out of memory",
    "trouble: limit_429": "slow down",
    "hangs after its head": LATE,
    "drips its answer": LATE,
    "cut at the start": "broke off",
    "cut in a call": "broke off",
    "stream cut in a piece": "broke off",
    "stream without its end": "without its end",
    "stream with an error": "CUDA error",
    "stream of no objects": "without its end",
    "stream of wrong types": "without its end",
    "stream of a wrong delta": "without its end",
    "stream that is plain JSON": "without its end",
    "not UTF-8": "no choices",
    "nested without end": "malformed JSON",
    "an error with status 200": "model is loading",
    "a list": "no choices",
    "a number": "no choices",
    "choices of no objects": "no choices",
    "no message": "no message",
    "an empty message": "could not be used",
    "text in parts": "could not be used",
    "a refusal": "could not be used",
    "an HTML error page": "answered 502",
    "429": "limits requests",
    "429, over in an hour": "limits requests",
    "429 with a date": "limits requests",
    "429, negative": "limits requests",
    "429, not a number": "limits requests",
    "500": "EngineCore",
    "503 while it loads": "Loading model",
    "204": "empty body",
    "wrong model, vLLM": "shows the names that are served",
    "wrong model, OpenAI": "shows the names that are served",
    "no parser": "--enable-auto-tool-choice",
    "key not taken": "DAYTWO_MODEL_KEY",
    "overflow, vLLM": "no prompt so long",
    "overflow, vLLM, input alone": "no prompt so long",
    "overflow, llama.cpp": "no prompt so long",
    "overflow, OpenAI": "no prompt so long",
    "huge answer": "larger than",
    "huge stream": "larger than|in time",
    "packed, but not": "broke off",
    "redirect 302": "elsewhere",
    "redirect 307": "elsewhere",
    "redirect 308": "elsewhere",
}
"""Fault to what the verdict gives as the reason why no model was heard; all others cost nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    """Serve all faults, one after the other, with the client's own first start behind it."""
    with FaultyServer() as running:
        verdict, _ = look(running.spec, timeout_seconds=10.0, budget=Budget(seconds=20))
        assert verdict.decided_by == "rules+model"
        yield running


@cache
def open_backend(spec: str, timeout_seconds: float) -> OpenAIBackend:
    """One client for all faults: to make one costs more than to ask it, and no fault may spoil it for the next."""
    return OpenAIBackend(*parse_endpoint(spec), None, timeout_seconds)


def look(spec: str, *, timeout_seconds: float = TIMEOUT_SECONDS, budget: Budget = BUDGET) -> tuple[Verdict, Run]:
    runs: list[Run] = []
    verdict = investigate(
        judge(FACTS)[0],
        ToolContext(FACTS, EvidenceBook()),
        library=None,
        backend=open_backend(spec, timeout_seconds),
        terms=Terms(SitePolicy(), budget, NOW),
        record=runs.append,
    )
    return verdict, runs[0]


def check_rules_stand(verdict: Verdict) -> None:
    alone = build_verdict(judge(FACTS)[0], EvidenceBook(), facts=FACTS, site=SitePolicy(), now=NOW)
    assert verdict.decided_by == "rules"
    for name in ("fault", "status", "confidence", "severity", "action", "urgency", "follow_up", "plan", "summary"):
        assert getattr(verdict, name) == getattr(alone, name), name


@pytest.mark.parametrize("fault", COSTS_THE_OPINION)
def test_a_fault_costs_the_model_s_opinion_and_nothing_else(server: FaultyServer, fault: str) -> None:
    server.fault = fault
    server.requests.clear()
    started = time.monotonic()
    verdict, run = look(server.spec)
    assert time.monotonic() - started < TOO_LATE_SECONDS
    check_rules_stand(verdict)
    assert run.rejected == verdict.reason
    assert any(words in (verdict.reason or "") for words in COSTS_THE_OPINION[fault].split("|")), verdict.reason


RECOVERED = sorted(name for name in set(FAULTS) - set(COSTS_THE_OPINION) if not name.startswith("leak: "))


@pytest.mark.parametrize("fault", RECOVERED)
def test_a_fault_that_can_be_mended_costs_nothing(server: FaultyServer, fault: str) -> None:
    server.fault = fault
    verdict, run = look(server.spec, timeout_seconds=5.0, budget=Budget(steps=3, seconds=20))
    assert verdict.decided_by == "rules+model", verdict.reason
    assert verdict.fault == "gpu_off_bus"
    assert run.usage.tokens_in > 0
    assert run.usage.tokens_out >= 0


@pytest.mark.parametrize("shape", LEAKS)
def test_a_leak_of_each_shape_becomes_calls(server: FaultyServer, shape: str) -> None:
    server.fault = f"leak: {shape}"
    verdict, run = look(server.spec, timeout_seconds=5.0, budget=Budget(steps=3, seconds=20))
    assert verdict.decided_by == "rules+model"
    assert sum(count for name, count in run.repairs.items() if name.startswith("leaked")) == 2
    assert run.tool_counts["calls"] == 2
    assert not run.tool_counts.get("invalid")


def test_a_call_told_two_hundred_times_is_made_once(server: FaultyServer) -> None:
    server.fault = "two hundred calls"
    _, run = look(server.spec, timeout_seconds=5.0, budget=Budget(steps=3, seconds=20))
    assert run.tool_counts["calls"] - run.tool_counts["repeated"] == 1
    assert run.tool_counts["calls"] <= 6


def test_a_window_that_an_error_names_is_tried_once_more(server: FaultyServer) -> None:
    overflows = [name for name in FAULTS if name.startswith("overflow")]
    assert len(overflows) == 4
    for fault in overflows:
        server.fault = fault
        server.requests.clear()
        open_backend.cache_clear()
        look(server.spec)
        assert len(server.requests) == 2, fault
    open_backend.cache_clear()


@pytest.mark.parametrize("status", [302, 307, 308])
def test_nothing_follows_a_redirect(server: FaultyServer, status: int) -> None:
    server.fault = f"redirect {status}"
    with ScriptedServer() as elsewhere:
        server.elsewhere = elsewhere.url
        look(server.spec)
        assert elsewhere.requests == []


@pytest.mark.parametrize("wire", get_args(Wire))
def test_what_no_web_server_does_ends_in_time_too(server: FaultyServer, wire: Wire) -> None:
    with RawServer(wire) as raw:
        started = time.monotonic()
        verdict, _ = look(raw.spec)
        assert time.monotonic() - started < TOO_LATE_SECONDS
    check_rules_stand(verdict)
    assert verdict.reason
    assert "Next: " in verdict.reason
