"""The agent's opening of one handle: the whole text, its numbers, and the events on the lines beside it."""

from __future__ import annotations

from tools.evidence import Evidence
from tools.tool import ToolContext, ToolResult, show_evidence, tool
from tools.types import Event

PAGE_CHARACTERS = 1200
NEIGHBOUR_LINES = 5


@tool
def open_evidence(context: ToolContext, id: str, offset: int = 0) -> ToolResult:
    """Open one handle: all of its text, its numbers, and the events within five lines of it.

    Like `sed -n '113,123p' kern.log`.

    Args:
        context: The facts and the book of evidence.
        id: A handle seen before, such as e3; or a4 for the rest of a long answer.
        offset: Character to start from; 0 for the beginning.
    """
    evidence = context.book.find(id)
    if evidence is None:
        known = f"e1 to e{len(context.book)}" if len(context.book) else "none yet"
        return ToolResult(f"no evidence {id!r}; handles: {known}", 0, 0, "", "not_read")
    start = max(offset, 0)
    page = evidence.quote[start : start + PAGE_CHARACTERS]
    rows = [f"[{evidence.id}] {evidence.source}{f' {evidence.span[0]}' if evidence.span else ''}", page]
    rows += [f"  {name} = {value}" for name, value in evidence.values.items()]
    handles = [evidence.id]
    for event in _find_neighbours(context, evidence):
        beside = context.book.add(event.quote, start=event.moment)
        rows.append(show_evidence(beside, f"{event.entity} {event.code}"))
        handles.append(beside.id)
    rest = len(evidence.quote) - start - len(page)
    narrow = f"offset {start + len(page)} shows the remaining {rest} characters" if rest > 0 else ""
    return ToolResult(
        "\n".join(rows), len(handles), len(handles), _spell_command(evidence), "ok", tuple(handles), narrow
    )


def _find_neighbours(context: ToolContext, evidence: Evidence) -> list[Event]:
    source, _, line = evidence.source.rpartition(":")
    if not line.isdecimal():
        return []
    return [
        event
        for event in context.everything.events
        if event.quote.source == source
        and event.quote.line is not None
        and 0 < abs(event.quote.line - int(line)) <= NEIGHBOUR_LINES
    ]


def _spell_command(evidence: Evidence) -> str:
    source, _, line = evidence.source.rpartition(":")
    if not line.isdecimal():
        return evidence.source
    first, last = max(int(line) - NEIGHBOUR_LINES, 1), int(line) + NEIGHBOUR_LINES
    return f"sed -n '{first},{last}p' {source}"
