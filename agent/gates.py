"""The gates between a verdict and a deed, in the order in which they are looked at. One table; every stop is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.history import spell_time
from agent.proposals import ENDED, IDLE_GPUS, Answer, Proposal, Stop, Wanted, is_allowed
from agent.site import ActionRules, Autonomy
from tools.entities import same_node
from tools.types import Inventory

Shuts = Literal["proposing", "acting alone", "doing"]
"""What a gate stops: that it is proposed at all; that it is done with nobody's word; that it is done."""
HOUR_SECONDS = 3600.0
CLOCK_SLACK_SECONDS = 60.0
"""Clocks of two machines that share a store may be so far apart (a guess; NTP keeps them within milliseconds)."""


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The breaker as the store keeps it: since when it is open (None where it is shut), why, and its last reset."""

    opened_seconds: float | None = None
    why: str = ""
    reset_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the gates know beside what is wanted.

    Attributes:
        inventory: What the site's own inventory says, never one that lies among the evidence; None where none is named.
        executors: Names of those that there are.
        halted: Why nothing is done at all; empty where the kill switch is off.
        programs: Host to whether programs run on its GPUs; a host that could not be asked is not in it.
        past: Proposals that were made or begun lately, and all of the same targets.
    """

    now_seconds: float
    autonomy: Autonomy
    inventory: tuple[Inventory, ...] | None = None
    executors: frozenset[str] = frozenset()
    halted: str = ""
    programs: dict[str, bool] = field(default_factory=dict)
    past: tuple[Proposal, ...] = ()
    breaker: BreakerState = BreakerState()


@dataclass(frozen=True, slots=True)
class Question:
    """May this be done? With the proposal and the answer, once there are any."""

    wanted: Wanted
    situation: Situation
    proposal: Proposal | None = None
    answer: Answer | None = None

    @property
    def rules(self) -> ActionRules:
        """What the site says of the action."""
        return self.situation.autonomy.rules_of(self.wanted.action)

    @property
    def begun(self) -> list[Proposal]:
        """What was begun of the same action; in shadow mode what would have been."""
        shadow = self.situation.autonomy.shadow
        return [
            one
            for one in self.situation.past
            if one.wanted.action == self.wanted.action
            and (one.state == "would" if shadow else one.started_seconds is not None)
            and (self.proposal is None or one.proposal_id != self.proposal.proposal_id)
        ]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate.

    Attributes:
        means: What it asks, for the documentation.
        find: Says why it is shut; empty where it is open.
        fix: What to type, with ``{id}``, ``{action}``, ``{target}``, ``{node}``, ``{case}`` filled in.
    """

    name: str
    shuts: Shuts
    means: str
    find: Callable[[Question], str]
    fix: str


def _find_level(q: Question) -> str:
    return f"the site's level for {q.wanted.action} is observe" if q.rules.level == "observe" else ""


def _find_executor(q: Question) -> str:
    if not q.rules.executor:
        return f"the site names no executor for {q.wanted.action}"
    if q.rules.executor not in q.situation.executors:
        return f"there is no executor {q.rules.executor!r}, only {', '.join(sorted(q.situation.executors))}"
    if q.proposal is not None and q.proposal.executor != q.rules.executor:
        return f"it was proposed for the executor {q.proposal.executor}, and the site now names {q.rules.executor}"
    return ""


def _find_target(q: Question) -> str:
    wanted = q.wanted
    if wanted.action == "restart_service" and not wanted.target.startswith("service:"):
        return "the evidence names no unit"
    on_no_host = wanted.target.partition(":")[0] == "job"
    return "" if wanted.node or on_no_host else "the evidence does not name the host"


def _find_allowance(q: Question) -> str:
    if is_allowed(q.wanted.target, q.rules.allow):
        return ""
    named = ", ".join(q.rules.allow) or "nothing"
    return f"{q.wanted.target} is not on the allow-list, which names {named}"


def _find_asset(q: Question) -> str:
    if not q.wanted.node:
        return ""
    if q.situation.inventory is None:
        return "the site names no inventory, so every machine is unknown"
    count = len(_list_assets(q))
    return "" if count == 1 else f"the inventory has {count or 'no'} machine{'s' * (count != 1)} named {q.wanted.node}"


def _list_assets(q: Question) -> list[Inventory]:
    rows = q.situation.inventory or ()
    return [row for row in rows if any(same_node(q.wanted.node, one) for one in (row.node, *row.aliases) if one)]


def _find_asset_state(q: Question) -> str:
    rows = _list_assets(q) if q.wanted.node else []
    state = next((row.state for row in rows if row.state != "production"), "")
    return f"the inventory has {q.wanted.node} in {state}" if state else ""


def _find_answered(q: Question) -> str:
    """What was done to a target, and a case that was refused, are not proposed again on what was known then."""
    if q.proposal is not None:
        return ""
    before = [one for one in q.situation.past if one.state in ENDED and _is_the_same(one, q.wanted)]
    if not before:
        return ""
    last = max(before, key=lambda one: one.answered_seconds)
    told = f"{last.proposal_id} was {last.state.replace('_', ' ')} at {spell_time(last.answered_seconds)}"
    if q.wanted.seen_seconds is None or q.wanted.seen_seconds <= last.answered_seconds:
        return f"{told}, and nothing new has been seen since"
    rest = q.rules.cooldown_minutes * 60.0
    is_fresh = last.state == "rejected" and q.situation.now_seconds < last.answered_seconds + rest
    return f"{told}, less than {q.rules.cooldown_minutes:g} minutes ago" if is_fresh else ""


def _is_the_same(proposal: Proposal, wanted: Wanted) -> bool:
    """A no is to one case; a deed is over for every case whose evidence is older."""
    if proposal.state == "rejected":
        return proposal.wanted.key == wanted.key
    return (proposal.wanted.action, proposal.wanted.target) == (wanted.action, wanted.target)


def _find_asking(q: Question) -> str:
    return "the site's level is propose: a person decides" if q.rules.level == "propose" else ""


def _find_proof(q: Question) -> str:
    if q.wanted.decided_by == "model":
        return "only a model names the fault"
    return f"the verdict is {q.wanted.confidence}, not confirmed" if q.wanted.confidence != "confirmed" else ""


def _find_presence(q: Question) -> str:
    if not q.wanted.live:
        return "the evidence is a file, of whatever age and origin, not this machine as it runs"
    minutes = q.situation.autonomy.expiry_minutes
    if q.wanted.seen_seconds is None:
        return "the evidence does not tell when it was"
    age = q.situation.now_seconds - q.wanted.seen_seconds
    return "" if age <= minutes * 60.0 else f"the newest evidence is {age / 60:.0f} minutes old, more than {minutes:g}"


def _find_window(q: Question) -> str:
    return "it waits for a maintenance window" if q.wanted.urgency == "maintenance" else ""


def _find_second(q: Question) -> str:
    return f"the site wants two persons' word for {q.wanted.action}" if count_persons(q) > 1 else ""


def count_persons(q: Question) -> int:
    """How many persons must approve."""
    return 2 if q.wanted.action in q.situation.autonomy.second_person else 1


def _find_state(q: Question) -> str:
    state = q.proposal.state if q.proposal else "open"
    if q.proposal is None or state == "open" or (state == "would" and q.situation.autonomy.shadow):
        return ""
    if state == "would":
        return "it was made in shadow mode, to be looked at only"
    by = q.proposal.rejection or next(iter(q.proposal.approvals[-1:]), None)
    who = f" by {by.who}" if by else ""
    at = spell_time(q.proposal.answered_seconds)
    return f"{q.proposal.proposal_id} is {state.replace('_', ' ')} since {at}{who}: a word counts once"


def _find_expiry(q: Question) -> str:
    if q.proposal is None or q.proposal.state != "open":
        return ""
    now, proposal = q.situation.now_seconds, q.proposal
    if now < proposal.created_seconds - CLOCK_SLACK_SECONDS:
        return f"it was made at {spell_time(proposal.created_seconds)}, and the clock says {spell_time(now)}"
    return f"it expired at {spell_time(proposal.expires_seconds)}" if now >= proposal.expires_seconds else ""


def _find_same_person(q: Question) -> str:
    if q.proposal is None or q.answer is None:
        return ""
    said = [one.who for one in q.proposal.approvals if one.who.casefold() == q.answer.who.casefold()]
    return f"{said[0]} has approved it already: the second word is another person's" if said else ""


def _find_shadow(q: Question) -> str:
    return "the site is in shadow mode" if q.situation.autonomy.shadow else ""


def _find_halt(q: Question) -> str:
    return q.situation.halted


def _find_breaker(q: Question) -> str:
    state = q.situation.breaker
    if state.opened_seconds is None:
        return ""
    return f"the breaker is open since {spell_time(state.opened_seconds)}: {state.why}"


def _find_rate(q: Question) -> str:
    since = q.situation.now_seconds - HOUR_SECONDS
    count = sum(_began(one) > since for one in q.begun)
    if count < q.rules.per_hour:
        return ""
    return f"{q.wanted.action} was begun {count} times within the hour, and {q.rules.per_hour} are allowed"


def _find_cooldown(q: Question) -> str:
    rest = q.rules.cooldown_minutes * 60.0
    last = max((_began(one) for one in q.begun if one.wanted.target == q.wanted.target), default=None)
    if last is None or q.situation.now_seconds >= last + rest:
        return ""
    return f"{q.wanted.target} had it at {spell_time(last)}, and is left alone until {spell_time(last + rest)}"


def _began(proposal: Proposal) -> float:
    return proposal.created_seconds if proposal.started_seconds is None else proposal.started_seconds


def _find_precondition(q: Question) -> str:
    if not q.wanted.precondition:
        return ""
    runs = next((runs for node, runs in q.situation.programs.items() if same_node(node, q.wanted.node)), None)
    if runs:
        return f"programs run on the GPUs of {q.wanted.node}"
    # Idle GPUs are no proof that no job runs: it may be between two steps, or use none.
    is_known = runs is False and q.wanted.precondition == IDLE_GPUS
    said = q.answer is not None and q.answer.checked
    return "" if is_known or said else f"it needs that {q.wanted.precondition}, which is not known here"


_AGAIN = "daytwo triage --host, and answer the new proposal"
GATES: Sequence[Gate] = (
    Gate("level", "proposing", "the site's level for the action is above `observe`", _find_level,
         "set autonomy.actions.{action}.level in the site's file, see docs/actions.md"),
    Gate("executor", "proposing", "the site names an executor that there is", _find_executor,
         "set autonomy.actions.{action}.executor in the site's file"),
    Gate("target", "proposing", "the evidence names host and unit", _find_target,
         "daytwo triage … --node NAME, or do it by hand"),
    Gate("allow_list", "proposing", "the target is on the action's allow-list", _find_allowance,
         "add it to autonomy.actions.{action}.allow in the site's file"),
    Gate("unknown_asset", "proposing", "the site's inventory has exactly one machine of that name", _find_asset,
         "export DAYTWO_INVENTORY=inventory.csv, with a row for {node}"),
    Gate("asset_state", "proposing", "it is in production: not in burn-in, maintenance or retired", _find_asset_state,
         "change the state of {node} in the inventory"),
    Gate("answered", "proposing", "neither was it done, nor the case rejected, or something new was seen since",
         _find_answered, "daytwo proposals --case {case} --all"),
    Gate("asking", "acting alone", "the level is `act`, not `propose`", _find_asking, "daytwo approve {id} --why TEXT"),
    Gate("proof", "acting alone", "rules decided it, and it is confirmed", _find_proof,
         "daytwo approve {id} --why TEXT"),
    Gate("presence", "acting alone", "it was seen on this machine as it runs, within the time of expiry",
         _find_presence, "daytwo approve {id} --why TEXT"),
    Gate("window", "acting alone", "it need not wait for a maintenance window", _find_window,
         "daytwo approve {id} --why TEXT"),
    Gate("persons", "acting alone", "no second person is wanted", _find_second, "daytwo approve {id} --why TEXT"),
    Gate("shadow", "doing", "the site is not in shadow mode", _find_shadow,
         "set autonomy.shadow = false in the site's file"),
    Gate("kill_switch", "doing", "the kill switch's file is not there", _find_halt,
         "remove the file, once all is well"),
    Gate("single_use", "doing", "it was neither done nor rejected before", _find_state,
         "daytwo proposals --case {case} --all"),
    Gate("expiry", "doing", "it has not expired, and the clock was not turned back", _find_expiry, _AGAIN),
    Gate("second_person", "doing", "the second word comes from another person", _find_same_person,
         "another person types: daytwo approve {id} --why TEXT"),
    Gate("breaker", "doing", "the breaker is shut", _find_breaker, "daytwo breaker reset --why TEXT"),
    Gate("rate_limit", "doing", "the action was not done too often within the hour", _find_rate,
         "wait, or do it by hand"),
    Gate("cooldown", "doing", "the same target has not just had it", _find_cooldown, "wait, or do it by hand"),
    Gate("precondition", "doing", "its precondition holds: read, or seen by the person who approves",
         _find_precondition, "look, then: daytwo approve {id} --checked --why TEXT"),
)  # fmt: skip
"""In this order; the first that is shut is told first, and all that are shut are written down."""


def find_stops(question: Question, shuts: Iterable[Shuts]) -> list[Stop]:
    """Find the gates that are shut among those that stop one of some things."""
    wanted, proposal = question.wanted, question.proposal
    names = {
        "id": proposal.proposal_id if proposal else "ID",
        "action": wanted.action,
        "target": wanted.target,
        "node": wanted.node or "NODE",
        "case": wanted.case_id,
    }
    asked = frozenset(shuts)
    found = ((gate, gate.find(question)) for gate in GATES if gate.shuts in asked)
    return [Stop(gate.name, why, gate.fix.format_map(names)) for gate, why in found if why]
