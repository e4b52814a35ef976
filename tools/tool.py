"""The read functions of an investigator: one decorator makes a typed function a tool with a strict schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Concatenate, Generic, Literal, ParamSpec, get_args, get_origin, get_type_hints

from tools.clock import format_moment
from tools.errors import BugError
from tools.evidence import Evidence, EvidenceBook
from tools.past import PastCase
from tools.types import Facts, Moment

P = ParamSpec("P")
Reading = Literal["ok", "empty", "not_read"]

MAX_ROW_CHARACTERS = 240
_TYPE_WORDS: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_SECTION = re.compile(r"^(Args|Returns|Raises):\s*$", re.MULTILINE)
_ARGUMENT = re.compile(r"^\s{4}(\w+): (.*(?:\n\s{8}.*)*)", re.MULTILINE)


@dataclass(frozen=True)
class ToolContext:
    """What a tool may look at, and the book in which it numbers what it shows.

    Attributes:
        facts: What was judged in this triage.
        past: Earlier verdicts, of these machines and of others; None where none are kept.
        beside: What is known besides and was not judged: older lines, other machines.
    """

    facts: Facts
    book: EvidenceBook
    past: tuple[PastCase, ...] | None = None
    beside: Facts | None = None

    @cached_property
    def everything(self) -> Facts:
        """What was judged, and what is known besides."""
        return self.facts if self.beside is None else self.facts + self.beside


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool found.

    Attributes:
        text: Rows for the reader, one evidence handle at the head of each; capped.
        rows_shown, rows_total: How many of how many.
        command: What a person would type to see the same.
        reading: ``ok``; ``empty`` (it was read, nothing is there); ``not_read`` (nobody looked, it says nothing).
        evidence: Handles of what is shown.
        narrow: How to ask for less where not everything is shown.
    """

    text: str
    rows_shown: int
    rows_total: int
    command: str
    reading: Reading = "ok"
    evidence: tuple[str, ...] = ()
    narrow: str = ""


@dataclass(frozen=True)
class ToolSpec(Generic[P]):
    """A tool: its name, what the model is told of it, and the function behind it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    function: Callable[Concatenate[ToolContext, P], ToolResult]
    defaults: Mapping[str, object] = field(default_factory=dict)

    def __call__(self, context: ToolContext, *args: P.args, **kwargs: P.kwargs) -> ToolResult:
        """Call the function itself."""
        return self.function(context, *args, **kwargs)

    def find_problems(self, arguments: Mapping[str, object]) -> list[str]:
        """Say what is wrong with arguments, in words that tell what is right; empty where they fit."""
        properties: Mapping[str, Mapping[str, Any]] = self.schema["properties"]
        problems = [f"no argument {name!r}" for name in arguments if name not in properties]
        problems += [f"{name!r} is missing" for name in properties if name not in arguments]
        problems += [
            f"{name!r} must be {_spell_type(properties[name])}"
            for name, value in arguments.items()
            if name in properties and not _fits(value, properties[name])
        ]
        return problems

    def spell_signature(self) -> str:
        """Spell the call with its types: ``read_events(entity: string, limit: integer)``."""
        parts = [f"{name}: {_spell_type(kind)}" for name, kind in self.schema["properties"].items()]
        return f"{self.name}({', '.join(parts)})"


def tool(function: Callable[Concatenate[ToolContext, P], ToolResult]) -> ToolSpec[P]:
    """Make a typed function with a Google docstring a tool.

    The first parameter is the :class:`ToolContext`; the others become a strict JSON schema: all required, no others
    allowed. A Python default fills what a lenient caller leaves out. Summary and description are told to the model.

    Raises:
        BugError: A parameter has no description or a type that the schema cannot say.
    """
    document = inspect.getdoc(function) or ""
    name = function.__name__
    description, _, rest = _split_sections(document)
    told = {match[1]: " ".join(match[2].split()) for match in _ARGUMENT.finditer(rest)}
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    properties: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name not in told:
            raise BugError(f"Tool {name}: argument {parameter.name} is not described in its docstring.")
        properties[parameter.name] = {**_schema_of(hints[parameter.name], name), "description": told[parameter.name]}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    return ToolSpec(name, description, schema, function, defaults)


def show_evidence(evidence: Evidence, words: str = "") -> str:
    """Spell evidence as one row: ``[e1] place | time | words | text``; long text is cut, its handle opens it."""
    text = " / ".join(part.strip() for part in evidence.quote.splitlines() if part.strip())
    if len(text) > MAX_ROW_CHARACTERS:
        text = f"{text[:MAX_ROW_CHARACTERS]}… (open_evidence {evidence.id} shows all)"
    time = evidence.span[0] if evidence.span else "-"
    return f"[{evidence.id}] {evidence.source} | {time} | {words or '-'} | {text}"


def spell_moment(moment: Moment) -> str:
    """Spell a moment on whatever clock it is; ``no time`` where there is none."""
    if moment.seconds is None:
        return "no time"
    return format_moment(moment) or f"{moment.seconds:.3f} s since boot"


def _split_sections(document: str) -> tuple[str, str, str]:
    match = _SECTION.search(document)
    if match is None:
        return " ".join(document.split()), "", ""
    arguments = document[match.end() :]
    following = _SECTION.search(arguments)
    return (
        " ".join(document[: match.start()].split()),
        match[1],
        arguments[: following.start()] if following else arguments,
    )


def _schema_of(hint: object, name: str) -> dict[str, Any]:
    if hint in _TYPE_WORDS:
        return {"type": _TYPE_WORDS[hint]}
    if get_origin(hint) is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    if get_origin(hint) is list:
        return {"type": "array", "items": _schema_of(get_args(hint)[0], name)}
    raise BugError(f"Tool {name}: the type {hint} has no strict JSON schema here.")


def _spell_type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if schema["type"] == "array":
        return f"a list of {_spell_type(schema['items'])}"
    return str(schema["type"])


def _fits(value: object, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema["type"]
    if kind == "array":
        return isinstance(value, list) and all(_fits(item, schema["items"]) for item in value)
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    python: dict[str, type | tuple[type, ...]] = {"string": str, "integer": int, "number": (int, float)}
    return isinstance(value, python[kind])
