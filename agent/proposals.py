"""From a verdict to what is proposed: each step that changes something, its target, and what stands in the way.

Nothing here does anything. What may be done, and what stops it, is the table of `agent/gates.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from agent.history import spell_time
from agent.plan import FREE
from agent.types import Action, Confidence, DecidedBy, PlanStep, Urgency, Verdict
from tools.entities import parse_entity
from tools.types import Entity

ProposalState = Literal["open", "running", "done", "handed_over", "failed", "rejected", "expired", "would"]
"""`open` waits for a person; `running` was begun and has not told its end; `handed_over` was taken by another system,
which has not said what came of it; `would` is shadow mode's: it would have been done."""
ENDED: frozenset[ProposalState] = frozenset({"done", "handed_over", "failed", "rejected", "running"})
"""States after which the same case needs something new before it is proposed again."""

CHANGES_NOTHING: frozenset[str] = frozenset({"none", "watch", "check_workload"})
UNITS: Mapping[str, str] = {"fabric_manager_down": "nvidia-fabricmanager"}
"""The unit that a fault is about, where its verdict is on the node."""
IDLE_GPUS = "no program runs on the GPUs"
WHEN_JOBS_END = {"restart_service": IDLE_GPUS}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One step of a verdict's plan that would change something.

    Attributes:
        target: Entity as the allow-list names it: of a service its unit, ``service:n7/nvidia-fabricmanager``.
        node: Host of the target; empty where the evidence does not name it.
        precondition: What must be so before; empty where nothing must.
        seen_seconds: When the newest evidence was, in Unix seconds; None where it does not tell.
        live: Whether the evidence was read of the running machine, not of a file of whatever age and origin.
    """

    case_id: str
    verdict_id: str
    fault: str
    action: Action
    target: str
    node: str
    precondition: str
    command: str
    urgency: Urgency
    confidence: Confidence
    decided_by: DecidedBy
    summary: str
    seen_seconds: float | None = None
    live: bool = False

    @property
    def key(self) -> str:
        """What only one open proposal may be for."""
        return f"{self.case_id}|{self.action}|{self.target}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's word on a proposal.

    Attributes:
        who: As the person calls themselves; the account's own name where they said nothing else.
        account: Login name that the operating system knows.
        checked: The person says to have seen that the precondition holds.
    """

    who: str
    account: str
    why: str
    at_seconds: float
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """A gate that is shut: its name, why, and what to type."""

    gate: str
    why: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What waits for a word, or has had it.

    Attributes:
        stops: Why it was not done at once, when it was made.
        approvals: Of persons, in order; none where the site lets Daytwo act.
        outcome: What came of it, in words.
    """

    proposal_id: str
    wanted: Wanted
    executor: str
    state: ProposalState
    created_seconds: float
    expires_seconds: float
    stops: tuple[Stop, ...] = ()
    approvals: tuple[Answer, ...] = ()
    rejection: Answer | None = None
    started_seconds: float | None = None
    ended_seconds: float | None = None
    outcome: str = ""

    def state_at(self, now_seconds: float) -> ProposalState:
        """The state, with what the clock has made of it."""
        return "expired" if self.state == "open" and now_seconds >= self.expires_seconds else self.state

    @property
    def answered_seconds(self) -> float:
        """When it was last dealt with."""
        told = (self.ended_seconds, self.started_seconds, self.rejection.at_seconds if self.rejection else None)
        return max((one for one in told if one is not None), default=self.created_seconds)


def find_wanted(verdict: Verdict, *, live: bool) -> list[Wanted]:
    """Find the steps up to the remedy that change something; what comes after it is for the next triage to say."""
    if verdict.action in CHANGES_NOTHING:
        return []
    return [
        Wanted(
            case_id=verdict.case_id,
            verdict_id=verdict.verdict_id,
            fault=verdict.fault,
            action=action,
            target=target,
            node=_find_node(target),
            precondition=step.precondition or _wait_for_jobs(verdict, action),
            command=step.command or "",
            urgency=verdict.urgency,
            confidence=verdict.confidence,
            decided_by=verdict.decided_by,
            summary=verdict.summary,
            seen_seconds=find_seen(verdict),
            live=live,
        )
        for action, step in _find_changes(verdict)
        for target in [_name_target(verdict, action, step)]
    ]


def _find_changes(verdict: Verdict) -> Iterator[tuple[Action, PlanStep]]:
    for step in verdict.plan:
        action = _ACTIONS.get(step.action)
        if action is not None:
            yield action, step
        if step.action == verdict.action:
            return


_ACTIONS: dict[str, Action] = {name: name for name in get_args(Action) if name not in CHANGES_NOTHING}


def _name_target(verdict: Verdict, action: Action, step: PlanStep) -> str:
    """The target as the allow-list names it; the step's own where no unit is known."""
    entity = parse_entity(step.target)
    if action != "restart_service" or entity is None:
        return step.target
    unit = entity.name if entity.kind == "service" else UNITS.get(verdict.fault, "")
    return str(Entity("service", entity.node, unit.removesuffix(".service"))) if unit else step.target


def _find_node(target: str) -> str:
    entity = parse_entity(target)
    return entity.node if entity is not None and entity.node.strip("?") else ""


def _wait_for_jobs(verdict: Verdict, action: Action) -> str:
    """An action that waits for the end of the jobs has that as its precondition; draining is what makes them end."""
    if verdict.urgency != "job_end" or action == "drain_node":
        return ""
    return WHEN_JOBS_END.get(action, FREE)


def find_seen(verdict: Verdict) -> float | None:
    """When the newest evidence of a verdict was, in Unix seconds; None where no row tells."""
    ends = [datetime.fromisoformat(row.span[1]).timestamp() for row in verdict.evidence if row.span]
    return max(ends, default=None)


def is_allowed(target: str, patterns: tuple[str, ...]) -> bool:
    """Whether an allow-list names a target; host and name are held against their own part of a pattern.

    So a star for the host matches no name that has a slash in it, and a unit is itself with and without ``.service``.
    """
    spelled = _split(target)
    return spelled is not None and any(_fits(spelled, pattern) for pattern in patterns)


def _fits(spelled: tuple[str, str, str], pattern: str) -> bool:
    wanted = _split(pattern)
    return wanted is not None and all(map(fnmatchcase, spelled, wanted))


def _split(spelling: str) -> tuple[str, str, str] | None:
    kind, colon, rest = spelling.partition(":")
    if not colon or not rest:
        return None
    node, slash, name = rest.partition("/")
    if not slash and kind != "node":
        node, name = "", node
    return kind, node.lower(), name.removesuffix(".service")


def describe_proposal(proposal: Proposal, now_seconds: float) -> dict[str, Any]:
    """A proposal as scripts read it."""
    wanted = asdict(proposal.wanted)
    seen = wanted.pop("seen_seconds")
    return {
        "proposal_id": proposal.proposal_id,
        "state": proposal.state_at(now_seconds),
        **wanted,
        "seen": spell_time(seen) if seen is not None else None,
        "executor": proposal.executor,
        "created": spell_time(proposal.created_seconds),
        "expires": spell_time(proposal.expires_seconds),
        "started": spell_time(proposal.started_seconds) if proposal.started_seconds is not None else None,
        "ended": spell_time(proposal.ended_seconds) if proposal.ended_seconds is not None else None,
        "stops": [asdict(stop) for stop in proposal.stops],
        "approvals": [describe_answer(answer) for answer in proposal.approvals],
        "rejection": describe_answer(proposal.rejection) if proposal.rejection else None,
        "outcome": proposal.outcome,
        "answer": spell_answer(proposal) if proposal.state_at(now_seconds) == "open" else None,
    }


def spell_answer(proposal: Proposal) -> str:
    """The line that approves, with what its precondition asks of the person."""
    checked = " --checked" if any(stop.gate == "precondition" for stop in proposal.stops) else ""
    return f"daytwo approve {proposal.proposal_id}{checked} --why TEXT"


def describe_answer(answer: Answer) -> dict[str, Any]:
    """A person's word as scripts read it."""
    return {
        "who": answer.who,
        "account": answer.account,
        "why": answer.why,
        "time": spell_time(answer.at_seconds),
        "checked": answer.checked,
    }
