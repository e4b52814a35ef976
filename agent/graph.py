"""The investigation on one screen: brief -> investigate <-> tools -> conclude -> ground -> decide -> record.

A failure of the model at any step leads straight to `ground`, where its opinion is a rejected one: the rules' verdict
stands, with the reason. The nodes themselves are in `agent/seat.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent.backend import Backend
from agent.judge import possible_faults
from agent.run import Run
from agent.seat import Seat, Terms
from agent.state import State
from agent.toolbox import Library, Toolbox
from agent.tracing import trace_case
from agent.types import Case, Verdict
from tools.tool import ToolContext

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


def investigate(
    case: Case,
    context: ToolContext,
    *,
    library: Library | None,
    backend: Backend,
    terms: Terms,
    record: Callable[[Run], None] | None = None,
) -> Verdict:
    """Look into one case with a model, or the rules' own policy, in the seat.

    Args:
        case: The case as rules see it.
        context: All that the tools may read, and the evidence book of the triage.
        library: Runbooks to search, or None.
        backend: Who sits in the seat.
        terms: Site, budget and time; the last step of the budget concludes.
        record: Called once with the record of the run.

    Returns:
        A verdict in every case: a model that is late, broken or wrong in form costs only its opinion.
    """
    possible = possible_faults(case, context.everything)
    seat = Seat(case, context, Toolbox(context, library), backend, terms, possible, record)
    with trace_case(case, backend.name) as tell:
        state = build_graph().invoke({}, {"recursion_limit": 2 * terms.budget.steps + 10}, context=seat)
        verdict: Verdict = state["verdict"]
        tell(verdict)
    return verdict


def _seated(node: Node) -> Seated:
    def run(state: State, *, runtime: Runtime[Seat]) -> State:
        return node(runtime.context, state)

    return run


def _choose_next(state: State, runtime: Runtime[Seat]) -> str:
    return runtime.context.choose_next(state)
