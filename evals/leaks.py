"""Every shape in which a model leaves a tool call in its text; `agent/repair.py` makes each of them a call again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Calls = Sequence[tuple[str, str]]


def spell_call(name: str, arguments: str) -> str:
    """A call as the JSON that most chat templates ask for."""
    return f'{{"name": "{name}", "arguments": {arguments}}}'


def _each(before: str, behind: str) -> Callable[[Calls], str]:
    return lambda calls: "\n".join(f"{before}{spell_call(*call)}{behind}" for call in calls)


def _block(ends: tuple[str, str, str], calls: Calls) -> str:
    after_value, after_call, around = ends
    blocks = []
    for name, arguments in calls:
        values = _read(arguments)
        rows = "".join(
            f"<parameter={key}>\n{value if isinstance(value, str) else json.dumps(value)}\n{after_value}"
            for key, value in values.items()
        )
        blocks.append(f"<function={name}>\n{rows}{after_call}")
    text = "\n".join(blocks)
    return f"<tool_call>\n{text}\n</tool_call>" if around else text


def _read(arguments: str) -> dict[str, Any]:
    try:
        values = json.loads(arguments or "{}")
    except ValueError:
        values = arguments
    return values if isinstance(values, dict) else {"arguments": values}


LEAKS: Mapping[str, Callable[[Calls], str]] = {
    "tag": _each("<tool_call>\n", "\n</tool_call>"),
    "tag without its start": lambda calls: "I will look.\n" + _each("", "\n</tool_call>")(calls[:1]),
    "tag without its end": lambda calls: _each("<tool_call>\n", "")(calls[:1]),
    "fenced JSON": _each("```json\n", "\n```"),
    "fence without its end": lambda calls: _each("Sure, here it is:\n```json\n", "")(calls[:1]),
    "bare JSON": lambda calls: _each("", "")(calls[:1]),
    "arguments as text": lambda calls: "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'
        for name, arguments in calls
    ),
    "trailing comma": lambda calls: _each("<tool_call>\n", "\n</tool_call>")(calls).replace("}}", ",},}"),
    "name off by case": lambda calls: _each("<tool_call>\n", "\n</tool_call>")(
        [(name.title().replace("_", "-"), arguments) for name, arguments in calls]
    ),
    "function block": lambda calls: _block(("</parameter>\n", "</function>", "around"), calls),
    "bare function block": lambda calls: _block(("</parameter>\n", "</function>", ""), calls),
    "function block, cut": lambda calls: _block(("", "", ""), calls[:1]),
    "after thinking": lambda calls: "<think>Which tool fits?</think>\n" + _each("<tool_call>", "</tool_call>")(calls),
}
"""Shape to the text in which it leaves calls."""
