"""Where the model's tools meet: the read functions of `tools/`, found by walking, and search over the runbooks.

Every call ends in a text that the model can go on with, whatever it asked for; nothing here raises on a bad call.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from agent.backend import ToolCall
from agent.repair import match_name
from prompts.render import fence_evidence, neutralise_data
from rag.errors import RagError
from tools.tool import Reading, ToolContext, ToolResult, ToolSpec, tool
from tools.walk import walk_modules

MAX_RESULT_CHARACTERS = 4000
PASSAGES = 4
PASSAGE_CHARACTERS = 600


class Passage(Protocol):
    """A section of a runbook, as retrieval returns it."""

    @property
    def runbook(self) -> str:
        """Fault that the runbook is for."""
        ...

    @property
    def section(self) -> str:
        """Section within it."""
        ...

    @property
    def text(self) -> str:
        """The words."""
        ...


class Library(Protocol):
    """What has been written: `rag.library.Library` is one."""

    def search(self, query: str, *, limit: int = 5) -> Sequence[Passage]:
        """Find the sections nearest to a query, best first."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave: the text for the model, how it was read, and the handles that it showed."""

    text: str
    reading: Reading
    evidence: tuple[str, ...] = ()


class Toolbox:
    """The tools of one investigation; remembers what was asked, so that nothing is asked twice.

    Args:
        context: Facts and evidence book of the case.
        library: Runbooks, or None where none are indexed.
    """

    def __init__(self, context: ToolContext, library: Library | None = None) -> None:
        self._context = context
        self._library = library
        self._tools = find_tools()
        self._asked: dict[tuple[str, str], int] = {}
        self.counts: Counter[str] = Counter()

    @property
    def schemas(self) -> dict[str, Mapping[str, Any]]:
        """Tool name to the schema of its parameters."""
        return {name: spec.schema for name, spec in self._tools.items()}

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """The tools in the form of the chat completions API; the same bytes for every case."""
        return build_definitions()

    def call(self, call: ToolCall) -> Answer:
        """Do what a call asks, or say what would be valid instead."""
        self.counts["calls"] += 1
        name = match_name(call.name, self._tools)
        spec = self._tools.get(name)
        if spec is None:
            self.counts["unknown"] += 1
            valid = "; ".join(one.spell_signature() for one in self._tools.values())
            return Answer(f"There is no tool {neutralise_data(call.name[:60])!r}. Valid calls: {valid}", "not_read")
        arguments, problems = _read_arguments(spec, call.arguments)
        if problems:
            self.counts["invalid"] += 1
            told = neutralise_data("; ".join(problems))
            return Answer(f"Not called: {told}. Valid: {spec.spell_signature()}", "not_read")
        key = (name, json.dumps(arguments, sort_keys=True))
        if key in self._asked:
            self.counts["repeated"] += 1
            return Answer(
                f"Already asked: the answer of call {self._asked[key]} stands above and has not changed. "
                "Ask something else, or conclude.",
                "empty",
            )
        self._asked[key] = self.counts["calls"]
        result = self._run(spec, arguments)
        if result.reading != "ok":
            self.counts[result.reading] += 1
        return Answer(_render(result, self.counts["calls"]), result.reading, result.evidence)

    def _run(self, spec: ToolSpec[Any], arguments: Mapping[str, Any]) -> ToolResult:
        if spec.name == search_runbooks.name:
            return _search(self._library, str(arguments["query"]))
        return spec(self._context, **arguments)


@tool
def search_runbooks(context: ToolContext, query: str) -> ToolResult:
    """Search the runbooks: what a fault looks like, and how it is told from others.

    They are advice, not evidence of this case: never cite them. Like `daytwo runbook search 'WORDS'`.

    Args:
        context: The facts and the book of evidence.
        query: The symptom in a few words.
    """
    return _search(None, query)


@cache
def find_tools() -> Mapping[str, ToolSpec[Any]]:
    """Find every tool: each `@tool` function of a module directly in `tools/`, and the search; sorted by name."""
    found = [search_runbooks]
    for module in walk_modules("tools"):
        found += [value for value in vars(module).values() if isinstance(value, ToolSpec)]
    return {spec.name: spec for spec in sorted(found, key=lambda spec: spec.name)}


def build_definitions() -> list[dict[str, Any]]:
    """Build the tools in the form of the chat completions API; the same bytes for every case."""
    return [
        {
            "type": "function",
            "function": {
                "name": spec.name,
                "description": spec.description,
                "parameters": spec.schema,
                "strict": True,
            },
        }
        for spec in find_tools().values()
    ]


def _search(library: Library | None, query: str) -> ToolResult:
    command = f"daytwo runbook search {json.dumps(query)}"
    if library is None:
        return ToolResult("no runbooks are indexed here", 0, 0, command, "not_read")
    try:
        passages = library.search(query, limit=PASSAGES)
    except RagError as error:
        return ToolResult(f"the runbooks could not be searched: {error}", 0, 0, command, "not_read")
    rows = [
        f"{one.runbook}#{one.section} | {' '.join(one.text.split())[:PASSAGE_CHARACTERS]}"
        for one in passages[:PASSAGES]
    ]
    return ToolResult("\n".join(rows) or "no runbook fits", len(rows), len(rows), command, "ok" if rows else "empty")


def _read_arguments(spec: ToolSpec[Any], text: str) -> tuple[dict[str, Any], list[str]]:
    try:
        given = json.loads(text or "{}")
    except ValueError:
        return {}, [f"the arguments are no JSON: {text[:80]!r}"]
    if not isinstance(given, dict):
        return {}, [f"the arguments must be a JSON object, not {text[:80]!r}"]
    arguments = {**spec.defaults, **given}
    return arguments, spec.find_problems(arguments)


def _render(result: ToolResult, number: int) -> str:
    text, narrow = result.text, result.narrow
    if len(text) > MAX_RESULT_CHARACTERS:
        text = text[:MAX_RESULT_CHARACTERS].rpartition("\n")[0] or text[:MAX_RESULT_CHARACTERS]
        narrow = narrow or "ask for fewer rows"
    heads = {"ok": f"{result.rows_shown} of {result.rows_total}", "empty": "empty", "not_read": "not read"}
    head = f"call {number}: {heads[result.reading]}"
    head += f"; to see others: {narrow}" if narrow else ""
    head += f"; same as: {' '.join(result.command.split())[:160]}" if result.command else ""
    # The command may hold file names, which are foreign text too.
    return fence_evidence(f"{head}\n{text}")
