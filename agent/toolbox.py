"""Where the model's tools meet: the read functions of `tools/`, found by walking, and search over the runbooks.

Every call ends in a text that the model can go on with, whatever it asked for; nothing here raises on a bad call.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

from agent.backend import ToolCall
from agent.repair import match_name
from prompts.render import fence_evidence, neutralise_data
from rag.errors import RagError
from tools.read_evidence import open_evidence
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

    def section(self, runbook: str, section: str) -> Passage | None:
        """Read one section by name; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave: the text for the model, how it was read, and the handles that it showed."""

    text: str
    reading: Reading
    evidence: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """A call that can be made: its tool, its arguments and its number."""

    call: ToolCall
    spec: ToolSpec[Any]
    arguments: Mapping[str, Any]
    number: int


Watch = Callable[[ToolCall], AbstractContextManager[object]]


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
        self._whole: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    @property
    def schemas(self) -> dict[str, Mapping[str, Any]]:
        """Tool name to the schema of its parameters."""
        return {name: spec.schema for name, spec in self._tools.items()}

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """The tools in the form of the chat completions API; the same bytes for every case."""
        return build_definitions()

    @property
    def available(self) -> dict[str, bool]:
        """Tool name to whether there is anything for it to read; decided here, not by the model."""
        return {name: NEEDS.get(name, _always)(self._context, self._library) for name in self._tools}

    def call(self, call: ToolCall) -> Answer:
        """Do what a call asks, or say what would be valid instead."""
        return self.call_all([call])[0]

    def call_all(self, calls: Sequence[ToolCall], watch: Watch | None = None) -> list[Answer]:
        """Do what the calls of one answer ask, side by side; the answers come in the order of the calls.

        Args:
            calls: They do not wait for one another: none can ask for what another one is about to show.
            watch: Opened around each call that is made, in its thread.
        """
        asked = [self._prepare(call) for call in calls]
        questions = [one for one in asked if isinstance(one, Question)]
        opened = watch or _unwatched
        if len(questions) < 2:
            results = [self._look(one, self._context, opened) for one in questions]
        else:
            results = self._look_abreast(questions, opened)
        answers = iter([self._spell(one, *result) for one, result in zip(questions, results, strict=True)])
        return [next(answers) if isinstance(one, Question) else one for one in asked]

    def _prepare(self, call: ToolCall) -> Question | Answer:
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
        return Question(call, spec, arguments, self.counts["calls"])

    def _look_abreast(self, questions: Sequence[Question], watch: Watch) -> list[tuple[ToolResult, float]]:
        book = self._context.book
        pages = [book.open_page(str(one.number)) for one in questions]
        contexts = [replace(self._context, book=page) for page in pages]
        with ThreadPoolExecutor(max_workers=len(questions)) as pool:
            running = [
                pool.submit(copy_context().run, self._look, one, context, watch)
                for one, context in zip(questions, contexts, strict=True)
            ]
            looked = [one.result() for one in running]
        numbered = []
        for (result, seconds), page in zip(looked, pages, strict=True):
            text, real = book.take_in(page, result.text)
            shown = tuple(real.get(one, one) for one in result.evidence)
            numbered.append((replace(result, text=text, evidence=shown), seconds))
        return numbered

    def _look(self, question: Question, context: ToolContext, watch: Watch) -> tuple[ToolResult, float]:
        began = time.monotonic()
        with watch(question.call):
            result = self._run(question.spec, question.arguments, context)
        return result, time.monotonic() - began

    def _spell(self, question: Question, result: ToolResult, seconds: float) -> Answer:
        if result.reading != "ok":
            self.counts[result.reading] += 1
        text = _render(result, question.number)
        if len(result.text) > MAX_RESULT_CHARACTERS:
            self._whole[name_answer(question.number)] = result.text
        return Answer(text, result.reading, result.evidence, seconds)

    def _run(self, spec: ToolSpec[Any], arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        if spec.name == search_runbooks.name:
            return _search(self._library, str(arguments["query"]))
        if spec.name == open_evidence.name and (whole := self._whole.get(str(arguments["id"]).strip().lower())):
            return _open_page(whole, str(arguments["id"]).strip().lower(), int(arguments["offset"]))
        return spec(context, **arguments)


@tool
def search_runbooks(context: ToolContext, query: str) -> ToolResult:
    """Search the runbooks: what a fault looks like, and how it is told from others.

    They are advice, not evidence: never cite them. Like `daytwo runbook search 'WORDS'`.

    Args:
        context: The facts and the book of evidence.
        query: The symptom in a few words; or FAULT#confirm for what confirms that fault.
    """
    return _search(None, query)


def _always(context: ToolContext, library: Library | None) -> bool:
    return True


def _unwatched(call: ToolCall) -> AbstractContextManager[object]:
    return nullcontext()


def _has_kind(context: ToolContext, kind: str) -> bool:
    return any(entity.kind == kind for window in context.everything.windows for entity in window.entities)


def _has_relation(context: ToolContext, *relations: str) -> bool:
    return any(link.relation in relations for link in context.everything.links)


NEEDS: Mapping[str, Callable[[ToolContext, Library | None], bool]] = {
    "read_disks_and_guests": lambda context, _: _has_kind(context, "disk") or _has_relation(context, "uses"),
    "read_jobs": lambda context, _: _has_relation(context, "runs_on") or any(e.job for e in context.everything.events),
    "read_neighbours": lambda context, _: len(context.everything.inventory) > 1 or bool(context.everything.links),
    "read_nic_counters": lambda context, _: _has_kind(context, "nic"),
    "read_past_cases": lambda context, _: bool(context.past),
    "read_readings": lambda context, _: bool(context.everything.windows),
    "search_runbooks": lambda _, library: library is not None,
}
"""What a tool lives on; one that is not named can always be asked."""


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
        passages = _look_up(library, query)
    except RagError as error:
        return ToolResult(f"the runbooks could not be searched: {error}", 0, 0, command, "not_read")
    rows = [
        f"{one.runbook}#{one.section} | {' '.join(one.text.split())[:PASSAGE_CHARACTERS]}"
        for one in passages[:PASSAGES]
    ]
    return ToolResult("\n".join(rows) or "no runbook fits", len(rows), len(rows), command, "ok" if rows else "empty")


def _look_up(library: Library, query: str) -> Sequence[Passage]:
    runbook, mark, section = query.strip().partition("#")
    if mark and runbook.isidentifier() and section.isidentifier():
        named = library.section(runbook, section)
        return [named] if named else []
    return library.search(query, limit=PASSAGES)


def _read_arguments(spec: ToolSpec[Any], text: str) -> tuple[dict[str, Any], list[str]]:
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}, [f"the arguments are no JSON: {text[:80]!r}"]
    if not isinstance(given, dict):
        return {}, [f"the arguments must be a JSON object, not {text[:80]!r}"]
    arguments = {**spec.defaults, **given}
    return arguments, spec.find_problems(arguments)


def name_answer(number: int) -> str:
    """The handle of a whole answer: ``a3`` for that of the third call."""
    return f"a{number}"


def _open_page(whole: str, name: str, offset: int) -> ToolResult:
    """Page on in an answer that was too long, in whole rows."""
    start = min(max(offset, 0), len(whole))
    page = _cut(whole[start:])
    end = _find_next(whole, start + len(page))
    rows, total = page.count("\n") + 1, whole.count("\n") + 1
    narrow = f"open_evidence {name} offset {end}" if end < len(whole) else ""
    return ToolResult(page, rows, total, "", "ok" if page else "empty", narrow=narrow)


def _find_next(text: str, end: int) -> int:
    return end + (text[end : end + 1] == "\n")


def _cut(text: str) -> str:
    if len(text) <= MAX_RESULT_CHARACTERS:
        return text
    return text[:MAX_RESULT_CHARACTERS].rpartition("\n")[0] or text[:MAX_RESULT_CHARACTERS]


def _render(result: ToolResult, number: int) -> str:
    text, narrow = _cut(result.text), result.narrow
    if len(text) < len(result.text):
        offset = _find_next(result.text, len(text))
        narrow = f"{narrow or 'ask for fewer rows'}, or open_evidence {name_answer(number)} offset {offset}"
    heads = {"ok": f"{result.rows_shown} of {result.rows_total}", "empty": "empty", "not_read": "not read"}
    head = f"call {number}: {heads[result.reading]}"
    head += f"; to see others: {narrow}" if narrow else ""
    head += f"; same as: {' '.join(result.command.split())[:160]}" if result.command else ""
    # The command may hold file names, which are foreign text too.
    return fence_evidence(f"{head}\n{text}")
