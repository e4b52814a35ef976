"""The agent's reading of jobs: what the scheduler says of them, and what their ranks said."""

from __future__ import annotations

from tools.lookup import EntityIndex, covers, read_state
from tools.tool import ToolContext, ToolResult, show_evidence, spell_moment, tool
from tools.topology import spell_node
from tools.types import Entity, Event, Link, Quote

MAX_JOBS = 12
MAX_RANK_ROWS = 6
COMMAND = "sacct -X -N HOST --format=JobID,JobName,User,State,Start,End,NodeList"


@tool
def read_jobs(context: ToolContext, entity: str = "") -> ToolResult:
    """Read the jobs of a node or one job: user, state, start, end, nodes, and what their ranks logged.

    Like `sacct -j ID -o State,Start,End,NodeList`.

    Args:
        context: The facts and the book of evidence.
        entity: job:ID, a node or a device; "" for all.
    """
    facts = context.everything
    index = EntityIndex(facts)
    wanted = index.find(entity)
    links = [link for link in facts.links if link.relation == "runs_on" and _concerns(link, wanted, entity)]
    events = [event for event in facts.events if event.job and _is_of(event, wanted, entity, index)]
    jobs = list(dict.fromkeys([*(link.subject.name for link in links), *(event.job for event in events)]))
    if not jobs:
        state, note = read_state(facts, ("jobs",))
        what = f"no job{f' of {entity}' if entity else ''}"
        return ToolResult(f"{what}{f' ({note})' if note else ''}", 0, 0, COMMAND, state)
    rows: list[str] = []
    handles: list[str] = []
    for job in jobs[:MAX_JOBS]:
        for text, handle in _describe(context, job):
            rows.append(text)
            handles.append(handle)
    narrow = "name one job" if len(jobs) > MAX_JOBS else ""
    return ToolResult(
        "\n".join(rows), min(len(jobs), MAX_JOBS), len(jobs), COMMAND, "ok", tuple(dict.fromkeys(handles)), narrow
    )


def _concerns(link: Link, wanted: list[Entity], entity: str) -> bool:
    if not entity:
        return True
    return any(
        (one.kind == "job" and one.name == link.subject.name)
        or (spell_node(one) and covers(link.object, Entity("node", node=spell_node(one))))
        for one in wanted
    )


def _is_of(event: Event, wanted: list[Entity], entity: str, index: EntityIndex) -> bool:
    if not entity:
        return True
    own = index.resolve(event.entity)
    return any(covers(one, own) or (one.kind == "job" and one.name == event.job) for one in wanted)


def _describe(context: ToolContext, job: str) -> list[tuple[str, str]]:
    facts = context.everything
    rows = []
    for quote in dict.fromkeys(link.quote for link in facts.links if link.subject == Entity("job", name=job)):
        shown = context.book.add(quote)
        rows.append((show_evidence(shown, f"job:{job}"), shown.id))
    told = [event for event in facts.events if event.job == job]
    for event in told[:MAX_RANK_ROWS]:
        shown = context.book.add(event.quote, start=event.moment)
        rank = f" rank {event.fields['rank']}" if "rank" in event.fields else ""
        rows.append(("  " + show_evidence(shown, f"{event.entity} {event.code}{rank}"), shown.id))
    if len(told) > MAX_RANK_ROWS:
        ranks = {event.fields["rank"] for event in told if "rank" in event.fields}
        text = f"job:{job}: {len(told)} events of {len(ranks)} ranks, the first {spell_moment(told[0].moment)}"
        total = context.book.add(Quote(f"read_jobs entity=job:{job}", None, text), values={"events": len(told)})
        rows.append(("  " + show_evidence(total), total.id))
    return rows
