"""Plumbing repair: a chain of small pure functions that turn leaked markup back into tool calls, each one counted.

Repairs change the form of an answer, never its content: what is not clearly a tool call stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.backend import Reply, ToolCall

_THINKING = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_CALL_TAG = re.compile(r"(?:<tool_call>)?\s*(\{.*?\})\s*</tool_call>|<tool_call>\s*(\{.*\})", re.DOTALL)
_FUNCTION = re.compile(r"<function=([\w.\-]+)>(.*?)(?:</function>|(?=<function=)|$)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=(\w+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|$)", re.DOTALL)
_FENCE = re.compile(r"```(?:json|tool_call|\w*)\s*\n?(.*?)(?:```|$)", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_STRING = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_MARKUP = re.compile(r"</?tool_call>|</?function[^>]*>|</?parameter[^>]*>")


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer on its way through the chain, and the repairs that it needed so far."""

    text: str
    calls: tuple[ToolCall, ...]
    repairs: tuple[str, ...] = ()

    def counted(self, repair: str, times: int = 1) -> Draft:
        """Return the same draft with a repair noted."""
        return replace(self, repairs=self.repairs + (repair,) * times)


def repair_reply(reply: Reply, schemas: Mapping[str, Mapping[str, Any]]) -> tuple[Reply, tuple[str, ...]]:
    """Run the whole chain over an answer.

    Args:
        reply: The answer as it came.
        schemas: Tool name to the JSON schema of its parameters.

    Returns:
        The answer with its calls in proper form, and the name of each repair once per time that it was needed.
    """
    draft = Draft(reply.text, reply.calls)
    for step in _CHAIN:
        draft = step(draft, schemas)
    return replace(reply, text=draft.text, calls=draft.calls), draft.repairs


def has_markup(text: str) -> bool:
    """Say whether the markup of a tool call stands in a text, readable or not."""
    return bool(_MARKUP.search(text))


def parse_lenient_json(text: str) -> object:
    """Read the first JSON value of a text: fences, prose around it, raw tabs and trailing commas are forgiven.

    Raises:
        ValueError: There is no JSON in it.
    """
    fenced = _FENCE.search(text)
    candidates = [text.strip(), fenced[1].strip() if fenced else "", _cut_object(text)]
    for candidate in candidates:
        for attempt in (candidate, drop_trailing_commas(candidate)):
            try:
                parsed: object = json.loads(attempt, strict=False)
                return parsed
            except (ValueError, RecursionError):
                continue
    raise ValueError("there is no JSON object in the answer")


def drop_trailing_commas(text: str) -> str:
    """Remove commas before a closing bracket, outside of strings."""
    pieces: list[str] = []
    position = 0
    kept: list[str] = []
    for match in _STRING.finditer(text):
        pieces.append(text[position : match.start()])
        kept.append(match[0])
        position = match.end()
    pieces.append(text[position:])
    marked = "\0".join(pieces)
    cleaned = _TRAILING_COMMA.sub(r"\1", marked).split("\0")
    return "".join(piece + string for piece, string in zip(cleaned, [*kept, ""], strict=True))


def _cut_object(text: str) -> str:
    """The text from the first ``{`` to the bracket that closes it; to the end where none does."""
    start = text.find("{")
    if start < 0:
        return ""
    depth = 0
    blanked = _STRING.sub(lambda match: "x" * len(match[0]), text[start:])
    for offset, character in enumerate(blanked):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[start : start + offset + 1]
    return text[start:]


def _drop_thinking(draft: Draft, _schemas: Mapping[str, Mapping[str, Any]]) -> Draft:
    text = _THINKING.sub("", draft.text)
    if text == draft.text:
        return draft
    # A call that stands inside the thinking was not meant to be made.
    return replace(draft, text=text.strip()).counted("thinking_in_text")


def _lift_call_tags(draft: Draft, schemas: Mapping[str, Mapping[str, Any]]) -> Draft:
    if draft.calls or "tool_call>" not in draft.text:
        return draft
    found = [_read_call(match[1] or match[2], schemas) for match in _CALL_TAG.finditer(draft.text)]
    return _with_calls(draft, found, "leaked_tool_call_tag")


def _lift_function_blocks(draft: Draft, schemas: Mapping[str, Mapping[str, Any]]) -> Draft:
    if draft.calls or "<function=" not in draft.text:
        return draft
    found: list[tuple[str, str] | None] = []
    for match in _FUNCTION.finditer(draft.text):
        arguments = {name: value.strip() for name, value in _PARAMETER.findall(match[2])}
        found.append((match[1], json.dumps(arguments)))
    return _with_calls(draft, found, "leaked_function_block")


def _lift_bare_json(draft: Draft, schemas: Mapping[str, Mapping[str, Any]]) -> Draft:
    if draft.calls or '"name"' not in draft.text:
        return draft
    fenced = [match[1] for match in _FENCE.finditer(draft.text)]
    bare = _cut_object(draft.text)
    found = [_read_call(text, schemas) for text in fenced or [bare]]
    lifted = _with_calls(draft, found, "leaked_json_call")
    return lifted if lifted is draft else replace(lifted, text=lifted.text.replace(bare, "").strip())


def _fix_names(draft: Draft, schemas: Mapping[str, Mapping[str, Any]]) -> Draft:
    for position, call in enumerate(draft.calls):
        name = match_name(call.name, schemas)
        if name and name != call.name:
            calls = list(draft.calls)
            calls[position] = replace(call, name=name)
            draft = replace(draft, calls=tuple(calls)).counted("name_off_by_case")
    return draft


def _fix_arguments(draft: Draft, schemas: Mapping[str, Mapping[str, Any]]) -> Draft:
    for position, call in enumerate(draft.calls):
        try:
            given = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            given = None
        fixed = _unwrap(call.arguments if given is None else given)
        if isinstance(fixed, dict):
            fixed = _fit_types(fixed, schemas.get(call.name, {}))
        if fixed != given and isinstance(fixed, dict):
            calls = list(draft.calls)
            calls[position] = replace(call, arguments=json.dumps(fixed))
            draft = replace(draft, calls=tuple(calls)).counted("arguments_in_wrong_form")
    return draft


_CHAIN: tuple[Callable[[Draft, Mapping[str, Mapping[str, Any]]], Draft], ...] = (
    _drop_thinking,
    _lift_call_tags,
    _lift_function_blocks,
    _lift_bare_json,
    _fix_names,
    _fix_arguments,
)


def match_name(name: str, known: Collection[str]) -> str:
    """Find a known name that differs only by case, dashes, spaces or a ``functions.`` prefix; empty where none does."""
    plain = _plain(name)
    return next((one for one in known if _plain(one) == plain), "")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.strip().lower().removeprefix("functions.").removeprefix("tools."))


def _read_call(text: str, schemas: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    try:
        parsed = parse_lenient_json(text)
    except ValueError:
        return None
    if isinstance(parsed, dict) and isinstance(parsed.get("function"), dict):
        parsed = parsed["function"]
    if not isinstance(parsed, dict) or not match_name(str(parsed.get("name", "")), schemas):
        return None
    arguments = parsed.get("arguments", parsed.get("parameters", {}))
    return str(parsed["name"]), arguments if isinstance(arguments, str) else json.dumps(arguments)


def _with_calls(draft: Draft, found: list[tuple[str, str] | None], repair: str) -> Draft:
    calls = tuple(ToolCall(f"repaired-{number}", *pair) for number, pair in enumerate(found) if pair is not None)
    if not calls:
        return draft
    text = _MARKUP.sub(" ", _FENCE.sub("", _CALL_TAG.sub("", _FUNCTION.sub("", draft.text)))).strip()
    return Draft(text, calls, draft.repairs).counted(repair, len(calls))


def _unwrap(value: object) -> object:
    for _ in range(3):
        if not isinstance(value, str):
            break
        try:
            value = parse_lenient_json(value)
        except ValueError:
            break
    return value


def _fit_types(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    fitted: dict[str, Any] = {}
    for name, value in arguments.items():
        known = name if name in properties else match_name(name, properties) or name
        fitted[known] = _fit_type(value, properties.get(known, {}))
    return fitted


def _fit_type(value: object, schema: Mapping[str, Any]) -> object:
    kind = schema.get("type")
    if kind == "string" and value is None:
        return ""
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value):
        return int(value)
    if kind == "array" and not isinstance(value, list):
        unwrapped = _unwrap(value)
        if isinstance(unwrapped, list):
            return unwrapped
        return [] if value in (None, "") else [value]
    return value
