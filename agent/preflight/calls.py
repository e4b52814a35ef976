"""Tool calls and conclusions, tried so often that a leak in twenty shows; the plumbing repair is tried with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from agent.backend import ToolCall
from agent.bounds import SIZES, Bounds
from agent.conclude import Unusable, build_schema, parse_conclusion
from agent.dialect import FINISH, FINISH_TOOL, drop_strict, list_schemas, read_text_calls, spell_as_text
from agent.preflight.dialogue import (
    ANSWER_TOKENS,
    ASKED_TOOL,
    CALL_TOKENS,
    POSSIBLE,
    ask_conclusion,
    build_form,
    open_case,
)
from agent.preflight.endpoint import Answer, Endpoint, Question
from agent.profile import Tries
from agent.repair import has_markup, repair_reply
from agent.toolbox import build_definitions, find_tools

WORKERS = 4
FEW = 3
"""Tries of what is only looked at: named and parallel calls."""
GIVE_UP_AFTER = 2
Form = Literal["bounded", "unbounded", "words"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What one answer was worth."""

    clean: bool = False
    repaired: bool = False
    leaked: bool = False
    prose: bool = False
    right: bool = False
    calls: int = 0
    error: str = ""


def try_tools(endpoint: Endpoint, choice: object, tries: int, *, strict: bool = True) -> Tries:
    """Offer the agent's tools and let the model call: ``auto``, ``required`` or one by name."""
    tools: list[Mapping[str, Any]] = list(build_definitions())
    if choice == "required":
        tools.append(FINISH_TOOL)
    offered = list(tools) if strict else list(drop_strict(tools))
    schemas = list_schemas(tools)
    return run_tries(
        lambda number: Question(open_case(number), {"tools": offered, "tool_choice": choice}, CALL_TOKENS),
        lambda answer: mark_calls(answer, schemas),
        endpoint,
        tries,
    )


def try_both(endpoint: Endpoint, choice: str, *, strict: bool) -> Tries:
    """Ask for two calls in one answer."""
    tools: list[Mapping[str, Any]] = list(build_definitions() if strict else drop_strict(build_definitions()))
    schemas = list_schemas(tools)
    return run_tries(
        lambda number: Question(open_case(number, both=True), {"tools": tools, "tool_choice": choice}, 2 * CALL_TOKENS),
        lambda answer: mark_calls(answer, schemas),
        endpoint,
        FEW,
    )


def try_text(endpoint: Endpoint, tries: int) -> Tries:
    """Tell of the tools in words and let the model answer in JSON."""
    tools = build_definitions()

    def mark(answer: Answer) -> Mark:
        calls = read_text_calls(answer.as_reply(), tools).calls
        return Mark(clean=fits_tools(calls), right=_is_right(calls), calls=len(calls))

    return run_tries(
        lambda number: Question(spell_as_text(open_case(number), tools), {}, CALL_TOKENS), mark, endpoint, tries
    )


def try_conclusions(
    endpoint: Endpoint, tries: int, form: Form, *, bounds: Bounds = SIZES["full"], seconds: float | None = None
) -> Tries:
    """Ask for the conclusion, under the JSON schema or in words alone.

    Args:
        endpoint: Who is asked.
        tries: How often.
        form: Under the schema, under one without lengths, or in words.
        bounds: How long it may be.
        seconds: How long one may take; None is the endpoint's own time-out.
    """
    extra = {} if form == "words" else {"response_format": build_form(bounds, bounded=form == "bounded")}
    return run_tries(
        lambda number: Question(ask_conclusion(number, bounds), extra, ANSWER_TOKENS, seconds=seconds),
        mark_conclusion,
        endpoint,
        tries,
    )


def run_tries(ask: Callable[[int], Question], mark: Callable[[Answer], Mark], endpoint: Endpoint, tries: int) -> Tries:
    """Ask again and again, each time about another case, and count; what is refused twice is not asked again."""

    def look(number: int) -> Mark:
        answer = endpoint.ask(ask(number))
        if answer.ok:
            return mark(answer)
        return Mark(error=f"{answer.status}: {answer.message}" if answer.status else answer.message)

    # The first ones alone: they fill the prefix cache, and show what is refused.
    marks = [look(number) for number in range(1, min(GIVE_UP_AFTER, tries) + 1)]
    if not all(mark.error for mark in marks):
        with ThreadPoolExecutor(WORKERS) as pool:
            marks += pool.map(look, range(len(marks) + 1, tries + 1))
    return count_marks(marks)


def count_marks(marks: Sequence[Mark]) -> Tries:
    """Count what answers were worth."""
    return Tries(
        tries=len(marks),
        clean=sum(mark.clean for mark in marks),
        repaired=sum(mark.repaired for mark in marks),
        leaked=sum(mark.leaked for mark in marks),
        prose=sum(mark.prose for mark in marks),
        right=sum(mark.right for mark in marks),
        failed=sum(bool(mark.error) for mark in marks),
        calls=max((mark.calls for mark in marks), default=0),
        error=next((mark.error for mark in marks if mark.error), ""),
    )


def mark_calls(answer: Answer, schemas: Mapping[str, Mapping[str, Any]]) -> Mark:
    """Judge the calls of an answer as they came, and after the plumbing repair."""
    mended, repairs = repair_reply(answer.as_reply(), schemas)
    fits = fits_tools(mended.calls)
    clean = fits and not repairs and not has_markup(answer.text)
    leaked = not clean and (any(one.startswith("leaked") for one in repairs) or has_markup(answer.text))
    return Mark(
        clean=clean,
        repaired=fits and not clean,
        leaked=leaked,
        prose=bool(mended.calls and mended.text.strip()),
        right=fits and _is_right(mended.calls),
        calls=len(mended.calls) if fits else 0,
    )


def fits_tools(calls: Sequence[ToolCall]) -> bool:
    """Say whether each call can be made as it stands, and one does more than finish at once."""
    return any(call.name != FINISH for call in calls) and all(_fits(call) for call in calls)


def _fits(call: ToolCall) -> bool:
    if call.name == FINISH:
        return True
    spec = find_tools().get(call.name)
    try:
        given = json.loads(call.arguments or "{}")
    except ValueError:
        return False
    return spec is not None and isinstance(given, dict) and not spec.find_problems({**spec.defaults, **given})


def _is_right(calls: Sequence[ToolCall]) -> bool:
    return any(call.name == ASKED_TOOL for call in calls)


def mark_conclusion(answer: Answer) -> Mark:
    """Judge a conclusion: clean where it is the JSON that was asked for, repaired where it could be read."""
    conclusion = parse_conclusion(answer.text, POSSIBLE)
    if isinstance(conclusion, Unusable):
        return Mark(error="" if answer.text else "an empty answer")
    try:
        given = json.loads(answer.text, strict=False)
    except ValueError:
        return Mark(repaired=True)
    wanted = build_schema(POSSIBLE)
    clean = isinstance(given, dict) and set(given) == set(wanted["properties"])
    return Mark(clean=clean, repaired=not clean, right=conclusion.fault == POSSIBLE[0])
