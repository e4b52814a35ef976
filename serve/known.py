"""What is known besides the evidence of a triage: earlier verdicts, and what logs of these machines said before."""

from __future__ import annotations

from dataclasses import dataclass

from agent.past_cases import MAX_VERDICTS, build_past_cases
from agent.remember import find_hosts
from agent.settings import Settings
from serve.store import open_site_store
from serve.terminal import note
from tools.errors import DaytwoError
from tools.past import PastCase
from tools.topology import find_neighbours, spell_node
from tools.types import Entity, Facts


@dataclass(frozen=True, slots=True)
class Besides:
    """What tools may tell of that was not judged; `past` is None where nothing is kept."""

    past: tuple[PastCase, ...] | None = None
    facts: Facts | None = None

    def name_all(self, facts: Facts) -> Facts:
        """The facts with every name that a tool may tell, for what masks names."""
        named = facts if self.facts is None else facts + self.facts
        return named + Facts(entities=tuple(case.entity for case in self.past or ()))


def read_besides(facts: Facts, settings: Settings) -> Besides:
    """Read what the store knows of the machines of some facts and of those beside them.

    A store that cannot be read costs no triage: the tools then say that nothing is kept.
    """
    nodes = sorted({event.node for event in facts.events} | {spell_node(entity) for entity in facts.entities})
    nodes = [node for node in nodes if node]
    beside = [spell_node(other) for node in nodes for _, other, _ in find_neighbours(facts, Entity("node", node=node))]
    around = list(dict.fromkeys([*nodes, *beside]))
    try:
        with open_site_store(settings) as store:
            past = store.read_past([*find_hosts(facts), *around])
            cases = build_past_cases(past, store.list_verdicts(limit=MAX_VERDICTS), facts)
            earlier = store.read_events(around)
    except DaytwoError as error:
        note(f"daytwo: the model goes without earlier verdicts. {error}")
        return Besides()
    present = {event.quote.text for event in facts.events}
    events = tuple(event for event in earlier if event.quote.text not in present)
    return Besides(cases, Facts(events=events) if events else None)
