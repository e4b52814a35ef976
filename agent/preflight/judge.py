"""What was proven, put into one word: does this model do the job, in which way is it asked, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.profile import Fitness, ToolMode, Tries, WindowProof

CLEAN_SHARE = 0.95
"""Of the calls as they come: one bad call in an investigation of eight is already much (a guess)."""
USABLE_SHARE = 0.9
TEXT_SHARE = 0.8
"""The text protocol is the last way, so less of it will do (a guess)."""
NEEDED_TOKENS = 6144
"""System prompt, tools and brief (4k), one answer of a tool (1k) and the conclusion (1k)."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the way to ask, and the reasons, the gravest first."""

    fitness: Fitness
    tool_mode: ToolMode
    json_schema: bool
    reasons: tuple[str, ...]


def choose_mode(tools: Mapping[str, Tries]) -> ToolMode:
    """Choose the way to ask for tools: `auto` where it is clean, then `required`, then mended `auto`, then words."""
    auto, required = tools.get("auto", Tries()), tools.get("required", Tries())
    if _share(auto.clean, auto) >= CLEAN_SHARE and not auto.leaked:
        return "auto"
    if _share(required.usable, required) >= USABLE_SHARE:
        return "required"
    if _share(auto.usable, auto) >= USABLE_SHARE:
        return "auto"
    text = tools.get("text", Tries())
    return "text" if _share(text.usable, text) >= TEXT_SHARE else "none"


def judge_model(
    tools: Mapping[str, Tries],
    under_schema: Tries,
    in_words: Tries,
    window: WindowProof,
    *,
    strict: bool,
    slow: str = "",
) -> Judgement:
    """Judge what was found.

    Args:
        tools: By way of asking.
        under_schema: Conclusions under the JSON schema.
        in_words: Conclusions asked for in words alone; without tries where the schema works.
        window: The context window.
        strict: Whether the server takes `strict` in tools.
        slow: That a long answer would come too late; empty where it would not.
    """
    mode = choose_mode(tools)
    schema_works = _share(under_schema.usable, under_schema) >= USABLE_SHARE
    concludes = schema_works or _share(in_words.usable, in_words) >= USABLE_SHARE
    proven = window.proven_tokens or 0
    best = max((one.usable for one in tools.values()), default=0)
    wrong = [
        (mode == "none", f"no way of calling tools works: at best {best} of {_most_tries(tools)} calls can be used"),
        (not concludes, f"conclusions: {_of(under_schema)} under the schema{_tell_words(in_words)}"),
        (proven < NEEDED_TOKENS, f"window: {proven:,} tokens proven, {NEEDED_TOKENS:,} needed{_tell_note(window)}"),
    ]
    if any(holds for holds, _ in wrong):
        return Judgement("not fit", mode, schema_works, tuple(words for holds, words in wrong if holds))
    auto = tools.get("auto", Tries())
    mended = [
        (auto.leaked > 0, f"calls leak into the text in `auto`: {auto.leaked} of {auto.tries}"),
        (auto.failed > 0, f"`auto` fails: {auto.error}"),
        (
            _share(auto.clean, auto) < CLEAN_SHARE and not auto.leaked and not auto.failed,
            f"`auto` gives a proper call {auto.clean} of {auto.tries} times",
        ),
        (mode == "required", f"`required` gives {_of(tools.get('required', Tries()))}"),
        (mode == "text", f"tools in words give {_of(tools.get('text', Tries()))}"),
        (not schema_works, f"no JSON schema ({under_schema.error or 'not kept'}): {_of(in_words)} in words"),
        (under_schema.repaired > 0, f"conclusions want repair: {under_schema.repaired} of {under_schema.tries}"),
        (not strict, "the server takes no `strict` tools"),
        (bool(slow), slow),
        (window.overflow == "truncates", "too long a prompt is cut without a word: only the proven window is used"),
    ]
    reasons = tuple(words for holds, words in mended if holds)
    if reasons:
        return Judgement("fit with repair", mode, schema_works, reasons)
    good = f"calls {_of(auto)}, conclusions {_of(under_schema)}, window {proven:,} tokens"
    return Judgement("fit", mode, schema_works, (good,))


def _share(count: int, tries: Tries) -> float:
    return count / tries.tries if tries.tries else 0.0


def _of(tries: Tries) -> str:
    return f"{tries.usable} of {tries.tries} valid"


def _most_tries(tools: Mapping[str, Tries]) -> int:
    return max((one.tries for one in tools.values()), default=0)


def _tell_words(in_words: Tries) -> str:
    return f", {_of(in_words)} in words" if in_words.tries else ""


def _tell_note(window: WindowProof) -> str:
    return f" ({window.note})" if window.note else ""
