"""The whole preflight, stage by stage; ends in a profile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from agent.bounds import SIZES, Bounds, choose_size
from agent.dialect import FINISH_TOOL, drop_strict, list_schemas
from agent.preflight.calls import (
    FEW,
    fits_tools,
    mark_calls,
    try_both,
    try_conclusions,
    try_text,
    try_tools,
)
from agent.preflight.dialogue import ASKED_TOOL, CALL_TOKENS, ask_plainly, open_case
from agent.preflight.endpoint import Answer, Endpoint, Question
from agent.preflight.judge import choose_mode, judge_model
from agent.preflight.speed import choose_concurrency, measure_prefix, measure_speeds, tell_slow
from agent.preflight.window import prove_window
from agent.profile import ModelProfile, Tries
from agent.toolbox import build_definitions
from tools.errors import ModelError
from tools.harmless import redact_url

Tell = Callable[[str], None]
WRONG_NAME = "no-such-model"
CONCLUDING_SECONDS = 90.0
"""Half of an investigation's seconds by default (`agent/bounds.py`)."""


def check_model(
    endpoint: Endpoint,
    *,
    tries: int,
    now: datetime,
    salt: str,
    tell: Tell,
    concluding_seconds: float = CONCLUDING_SECONDS,
) -> ModelProfile:
    """Prove an endpoint.

    Args:
        endpoint: Who is asked.
        tries: How often calls and conclusions are tried.
        now: Date of the profile.
        salt: Something that no cache has seen.
        tell: Hears which stage begins.
        concluding_seconds: How long a conclusion may take.

    Raises:
        ModelError: The endpoint gives no answer at all.
    """
    started = time.monotonic()
    tell("one plain question")
    first = _ask_first(endpoint)
    engine, version = _identify(endpoint)
    tools, strict = _try_calls(endpoint, tries, tell)
    tell("prefix cache and speed")
    fresh, again, cached = measure_prefix(endpoint, salt=salt)
    speeds = measure_speeds(endpoint, salt=salt)
    size, needed = choose_size(speeds[0].tokens_per_second, concluding_seconds, again or 0.0)
    ends = _Ends(SIZES[size], needed)
    under_schema, bounded, in_words = _try_conclusions(endpoint, tries, ends, tell)
    tell("context window")
    window = prove_window(endpoint, claimed_tokens=_read_claim(endpoint), salt=salt)
    tell("streams and seeds")
    streams, streams_tools = _try_stream(endpoint, choose_mode(tools), strict=strict)
    seed = _try_seed(endpoint)
    wrong = endpoint.ask(Question(ask_plainly("Say yes."), {}, 1, model=WRONG_NAME))
    slow = tell_slow(speeds, size, needed, concluding_seconds)
    judgement = judge_model(tools, under_schema, in_words, window, strict=strict, slow=slow)
    return ModelProfile(
        url=redact_url(endpoint.url), name=endpoint.name, date=now, engine=engine, engine_version=version,
        flags=_tell_flags(tools, cached), fitness=judgement.fitness, reasons=judgement.reasons,
        tool_mode=judgement.tool_mode, strict=strict, json_schema=judgement.json_schema,
        bounded=bounded, conclusion_size=size, conclusion_seconds=needed,
        window_tokens=window.proven_tokens, concurrency=choose_concurrency(speeds),
        tools=tools, conclusions=under_schema if judgement.json_schema else in_words, window=window,
        streams=streams, streams_tools=streams_tools, tells_usage=first.tokens_in is not None,
        tells_cached=cached is not None, seed=seed, prefix_fresh_seconds=fresh, prefix_again_seconds=again,
        speed=speeds, wrong_name_status=wrong.status or None, wrong_name_message=wrong.message,
        seconds=round(time.monotonic() - started, 1),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Ends:
    """How long a conclusion may be, and take."""

    bounds: Bounds
    seconds: float | None


def _try_conclusions(endpoint: Endpoint, tries: int, ends: _Ends, tell: Tell) -> tuple[Tries, bool, Tries]:
    """Try them under the schema, without its lengths where the server refuses those, and in words where that fails."""
    waited = max(ends.seconds or 0.0, endpoint.timeout_seconds)
    tell("conclusions under a JSON schema")
    under_schema, bounded = try_conclusions(endpoint, tries, "bounded", bounds=ends.bounds, seconds=waited), True
    if under_schema.failed == under_schema.tries:
        loose = try_conclusions(endpoint, tries, "unbounded", bounds=ends.bounds, seconds=waited)
        if loose.failed < loose.tries:
            under_schema, bounded = loose, False
    in_words = Tries()
    if under_schema.usable < under_schema.tries:
        tell("conclusions in words")
        in_words = try_conclusions(endpoint, tries, "words", bounds=ends.bounds, seconds=waited)
    return under_schema, bounded, in_words


def _ask_first(endpoint: Endpoint) -> Answer:
    answer = endpoint.ask(Question(ask_plainly("Say yes."), {}, 8))
    if not answer.ok:
        url = redact_url(endpoint.url)
        status = f" (status {answer.status})" if answer.status not in (0, 200) else ""
        raise ModelError(
            f"{url} gives no answer of {endpoint.name}: {answer.message}{status}.",
            fix=f"curl {url}/models: it must list {endpoint.name}; a key goes into DAYTWO_MODEL_KEY",
        )
    return answer


def _identify(endpoint: Endpoint) -> tuple[str, str]:
    """Engine and version, as vLLM and llama.cpp tell them; empty where neither answers."""
    told: dict[str, Any] = dict(endpoint.read("/version") or {})
    if isinstance(told.get("version"), str):
        return "vLLM", told["version"][:60]
    props = endpoint.read("/props") or {}
    if "build_info" in props or "default_generation_settings" in props:
        return "llama.cpp", str(props.get("build_info", ""))[:60]
    return "", ""


def _read_claim(endpoint: Endpoint) -> int | None:
    """The window that the server claims for this model: vLLM in its list of models, llama.cpp in its properties."""
    listed = endpoint.read("models") or {}
    rows = [row for row in listed.get("data") or [] if isinstance(row, dict) and row.get("id") == endpoint.name]
    settings = (endpoint.read("/props") or {}).get("default_generation_settings")
    claims = [row.get("max_model_len") for row in rows]
    claims += [settings.get("n_ctx")] if isinstance(settings, dict) else []
    return next((claim for claim in claims if isinstance(claim, int) and claim > 0), None)


def _try_calls(endpoint: Endpoint, tries: int, tell: Tell) -> tuple[dict[str, Tries], bool]:
    """Try every way of calling tools; the text protocol only where no native way will do."""
    tell("tool calls as the model likes (auto)")
    auto, strict = try_tools(endpoint, "auto", tries), True
    if auto.failed == auto.tries:
        loose = try_tools(endpoint, "auto", tries, strict=False)
        if loose.failed < loose.tries:
            auto, strict = loose, False
    tell("tool calls on demand (required)")
    tools = {"auto": auto, "required": try_tools(endpoint, "required", tries, strict=strict)}
    named = {"type": "function", "function": {"name": ASKED_TOOL}}
    tell("tool calls by name, and two at once")
    tools["named"] = try_tools(endpoint, named, min(FEW, tries), strict=strict)
    mode = choose_mode(tools)
    tools["both"] = try_both(endpoint, "required" if mode == "required" else "auto", strict=strict)
    if mode == "none" or (mode == "auto" and auto.leaked):
        tell("tool calls in words")
        tools["text"] = try_text(endpoint, tries)
    return tools, strict


def _try_stream(endpoint: Endpoint, mode: str, *, strict: bool) -> tuple[bool, bool | None]:
    """Whether answers come in pieces, and whether a call comes whole in pieces; None where no native way works."""
    plain = endpoint.ask(Question(ask_plainly("Say yes."), {}, 8, stream=True))
    streams = plain.ok and plain.streamed
    if mode not in ("auto", "required"):
        return streams, None
    tools = [*build_definitions(), *([FINISH_TOOL] if mode == "required" else [])]
    extra = {"tools": tools if strict else drop_strict(tools), "tool_choice": mode}
    called = endpoint.ask(Question(open_case(1), extra, CALL_TOKENS, stream=True))
    mended = mark_calls(called, list_schemas(tools))
    whole = fits_tools(called.calls) or mended.repaired
    return streams, called.ok and called.streamed and whole


def _try_seed(endpoint: Endpoint) -> Literal["repeats", "differs", "unknown"]:
    """Ask twice with one seed and once with another, at a temperature at which answers differ."""
    asked = ask_plainly("Write ten random words.")
    texts = []
    for seed in (7, 7, 8):
        answer = endpoint.ask(Question(asked, {"seed": seed}, 32, temperature=1.0))
        if not answer.ok:
            return "unknown"
        texts.append(answer.text)
    if texts[0] != texts[1]:
        return "differs"
    # The same words whatever the seed prove nothing.
    return "repeats" if texts[2] != texts[0] else "unknown"


def _tell_flags(tools: dict[str, Tries], cached: int | None) -> tuple[str, ...]:
    """Flags of vLLM that its answers give away."""
    refused = "enable-auto-tool-choice" in tools["auto"].error
    flags = ["--enable-auto-tool-choice is off"] if refused else []
    return (*flags, *(["--enable-prompt-tokens-details"] if cached is not None else []))
