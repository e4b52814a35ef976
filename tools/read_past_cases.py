"""The agent's reading of earlier verdicts: of the entity, of its node, and of the same fault elsewhere."""

from __future__ import annotations

from tools.clock import format_time
from tools.lookup import EntityIndex, covers
from tools.past import PastCase
from tools.tool import ToolContext, ToolResult, show_evidence, tool
from tools.topology import spell_node
from tools.types import Entity, Moment, Quote

MAX_CASES = 12


@tool
def read_past_cases(context: ToolContext, entity: str = "", fault: str = "") -> ToolResult:
    """Read earlier verdicts: what an entity and its node had before and what ended it, and where else a fault was.

    Like `daytwo history ENTITY`.

    Args:
        context: The facts and the book of evidence.
        entity: As in the brief; "" for all.
        fault: A fault id; "" for all.
    """
    command = f"daytwo history {entity}".rstrip()
    if context.past is None:
        return ToolResult("no earlier verdicts are kept here", 0, 0, command, "not_read")
    index = EntityIndex(context.everything)
    named = index.find(entity)
    cases = [
        case
        for case in context.past
        if (not entity or str(case.entity) == entity or any(_is_near(case.entity, one, index) for one in named))
        and (not fault or case.fault == fault.strip().lower())
    ]
    if not cases:
        return ToolResult("no earlier verdict", 0, 0, command, "empty")
    # Those of the very thing first, then the newest.
    ranked = sorted(cases, key=lambda case: (index.resolve(case.entity) not in named, -(case.seconds or 0.0)))
    rows: list[str] = []
    handles: list[str] = []
    for case in ranked[:MAX_CASES]:
        moment = Moment("utc", case.seconds) if case.seconds is not None else Moment()
        place = Quote(f"daytwo history {case.case_id or case.entity}", None, _spell(case))
        evidence = context.book.add(place, start=moment)
        rows.append(show_evidence(evidence, f"{case.entity} past"))
        handles.append(evidence.id)
    narrow = "give a fault or another entity" if len(cases) > MAX_CASES else ""
    return ToolResult("\n".join(rows), len(rows), len(cases), command, "ok", tuple(handles), narrow)


def _is_near(past: Entity, named: Entity, index: EntityIndex) -> bool:
    own = index.resolve(past)
    node = Entity("node", node=spell_node(named))
    return own == named or bool(spell_node(named) and covers(node, own))


def _spell(case: PastCase) -> str:
    when = f" at {format_time(case.seconds)}" if case.seconds is not None else ""
    ends = {"open": "nothing has ended it since", "ended": f"ended by {case.ended_by or 'something that is not told'}"}
    end = ends.get(case.state, "whether it ended is not told")
    sign = f'; its first sign: "{case.sign}"' if case.sign else ""
    return f"{case.entity} had {case.fault} ({case.confidence}){when}; {end}{sign}"
