"""The investigation on one screen: brief -> investigate <-> tools -> conclude -> ground -> decide -> record.

A failure of the model at any step leads straight to `ground`, where its opinion is a rejected one: the rules' verdict
stands, with the reason. The nodes themselves are in `agent/seat.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Protocol

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent.backend import Backend, Budget
from agent.judge import possible_faults
from agent.policy import SitePolicy
from agent.run import Run
from agent.seat import Seat
from agent.state import State
from agent.toolbox import Library, Toolbox
from agent.types import Case, Verdict
from tools.evidence import EvidenceBook
from tools.tool import ToolContext
from tools.types import Facts

Node = Callable[[Seat, State], State]


class Seated(Protocol):
    """A node as LangGraph calls it: the seat comes in the runtime."""

    def __call__(self, state: State, *, runtime: Runtime[Seat]) -> State:
        """Run the node."""
        ...


LINE: dict[str, Node] = {"conclude": Seat.conclude, "ground": Seat.ground, "decide": Seat.decide, "record": Seat.record}
LOOP: dict[str, Node] = {"brief": Seat.brief, "investigate": Seat.investigate, "tools": Seat.tools}


@cache
def build_graph() -> CompiledStateGraph[State, Seat, State, State]:
    """Compile the graph; the same one serves every investigation, whose seat comes as its context."""
    graph = StateGraph(State, context_schema=Seat)
    for name, node in (LOOP | LINE).items():
        graph.add_node(name, _seated(node))
    graph.add_edge(START, "brief")
    for name in LOOP:
        graph.add_conditional_edges(name, _choose_next, ["investigate", "tools", "conclude", "ground"])
    for name, following in zip(LINE, [*list(LINE)[1:], END], strict=True):
        graph.add_edge(name, following)
    return graph.compile()


def investigate(  # noqa: PLR0913 - the one door to the room; every argument is named
    case: Case,
    *,
    facts: Facts,
    book: EvidenceBook,
    library: Library | None,
    backend: Backend,
    site: SitePolicy,
    budget: Budget,
    now: datetime,
    record: Callable[[Run], None] | None = None,
) -> Verdict:
    """Look into one case with a model, or the rules' own policy, in the seat.

    Args:
        case: The case as rules see it.
        facts: All that the tools may read.
        book: Evidence book of the triage.
        library: Runbooks to search, or None.
        backend: Who sits in the seat.
        site: Whose commands the plan shows.
        budget: Steps, seconds and tokens; the last step concludes.
        now: The time that the verdict carries.
        record: Called once with the record of the run.

    Returns:
        A verdict in every case: a model that is late, broken or wrong in form costs only its opinion.
    """
    toolbox = Toolbox(ToolContext(facts, book), library)
    possible = possible_faults(case, facts)
    seat = Seat(case, facts, book, toolbox, backend, site, budget, now, possible, record)
    state = build_graph().invoke({}, {"recursion_limit": 2 * budget.steps + 10}, context=seat)
    verdict: Verdict = state["verdict"]
    return verdict


def _seated(node: Node) -> Seated:
    def run(state: State, *, runtime: Runtime[Seat]) -> State:
        return node(runtime.context, state)

    return run


def _choose_next(state: State, runtime: Runtime[Seat]) -> str:
    return runtime.context.choose_next(state)
