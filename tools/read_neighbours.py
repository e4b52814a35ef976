"""The agent's look beside: who shares what with an entity, and what was found on them."""

from __future__ import annotations

from collections import Counter

from tools.entities import same_node
from tools.lookup import EntityIndex, covers, list_names, read_state
from tools.tool import ToolContext, ToolResult, show_evidence, tool
from tools.topology import Neighbour, find_neighbours, spell_node
from tools.types import Entity, Event, Quote

MAX_NEIGHBOURS = 16
CODES_OF_EACH = 3
COMMAND = "grep HOST inventory.csv; scontrol show topology; virsh domblklist GUEST"


@tool
def read_neighbours(context: ToolContext, entity: str) -> ToolResult:
    """Read who shares rack, leaf switch, NVLink domain, storage, disk or job with an entity, and what was found there.

    Those with events come first. Like `scontrol show topology`.

    Args:
        context: The facts and the book of evidence.
        entity: As in the brief.
    """
    index = EntityIndex(context.everything)
    wanted = index.find(entity)
    if not wanted:
        return ToolResult(f"no entity {entity!r}; known: {list_names(index.known)}", 0, 0, "", "not_read")
    neighbours = find_neighbours(context.everything, wanted[0])
    if not neighbours:
        state, note = read_state(context.everything, ("inventory", "guests", "jobs"))
        return ToolResult(f"no neighbour is known{f' ({note})' if note else ''}", 0, 0, COMMAND, state)
    by_other: dict[Entity, list[Neighbour]] = {}
    for neighbour in neighbours:
        by_other.setdefault(neighbour[1], []).append(neighbour)
    events = {other: _find_events(context, index.resolve(other), index) for other in by_other}
    ranked = sorted(by_other, key=lambda other: (not events[other], str(other)))
    rows: list[str] = []
    handles: list[str] = []
    for other in ranked[:MAX_NEIGHBOURS]:
        for text, handle in _describe(context, other, by_other[other], events[other]):
            rows.append(text)
            handles.append(handle)
    narrow = "name one of them" if len(ranked) > MAX_NEIGHBOURS else ""
    shown = min(len(ranked), MAX_NEIGHBOURS)
    return ToolResult("\n".join(rows), shown, len(ranked), COMMAND, "ok", tuple(handles), narrow)


def _find_events(context: ToolContext, other: Entity, index: EntityIndex) -> list[Event]:
    return [event for event in context.everything.events if covers(other, index.resolve(event.entity))]


def _describe(
    context: ToolContext, other: Entity, shared: list[Neighbour], events: list[Event]
) -> list[tuple[str, str]]:
    told = next((quote for _, _, quote in shared if quote is not None), None)
    words = ", ".join(dict.fromkeys(what for what, _, _ in shared))
    counts = Counter(event.code for event in events)
    # Whether logs of that very host were read: a row about a file may be of any host and proves nothing here.
    read = any(
        row.status in ("read", "partial")
        and same_node(row.entity.partition(":")[2].partition("/")[0], spell_node(other))
        for row in context.everything.coverage
        if ":" in row.entity and spell_node(other)
    )
    found = ", ".join(f"{code} x{count}" for code, count in counts.most_common(CODES_OF_EACH))
    state = found or ("nothing found" if read else "nothing told of it")
    text = f"{other}: {words}; {state}"
    place = told.place if told else "inventory"
    head = context.book.add(Quote(f"neighbour {other} in {place}", None, text), values=dict(counts))
    rows = [(show_evidence(head), head.id)]
    for code, _ in counts.most_common(CODES_OF_EACH):
        first = next(event for event in events if event.code == code)
        shown = context.book.add(first.quote, start=first.moment)
        rows.append(("  " + show_evidence(shown, f"{first.entity} {code}"), shown.id))
    return rows
