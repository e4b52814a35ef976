"""Fault, evidence, confidence and site decide the action; a model never does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.faults import Difference, Fault, load_differences, load_faults
from agent.types import CONFIDENCE_RANK, SEVERITY_RANK, Action, Case, Confidence, SeverityWord, Status, Urgency

ACTION_RANK: dict[Action, int] = {
    "none": 0,
    "watch": 1,
    "check_workload": 2,
    "run_diagnostics": 3,
    "limit_tenant": 4,
    "update_software": 5,
    "restart_service": 6,
    "restart_job": 7,
    "drain_node": 8,
    "reset_gpu": 9,
    "reboot_node": 10,
    "inspect_hardware": 11,
    "fix_facility": 12,
    "replace_part": 13,
}
"""Invasiveness: what it takes from running work and how hard it is to undo. An order of our own judgement."""

STATUS_OF_SEVERITY: dict[SeverityWord, Status] = {
    "ok": "healthy",
    "info": "healthy",
    "warning": "degraded",
    "critical": "failed",
}
META_STATUS: dict[str, Status] = {"unknown": "unknown", "not_applicable": "not_applicable"}


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """What a site decides: whose commands the plans show (`slurm`, `kubernetes` or `none`)."""

    scheduler: str = "slurm"


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy makes of a fault in a case."""

    fault: str
    status: Status
    severity: SeverityWord
    action: Action
    urgency: Urgency
    follow_up: Action
    why: str = ""


WORDED = "worded"
"""Note of a case for which nothing but the words of unknown lines speaks."""


def _soften(fault: Fault) -> Difference:
    action = min(fault.action, "run_diagnostics", key=lambda name: ACTION_RANK[name])
    severity = min(fault.severity, "warning", key=lambda word: SEVERITY_RANK[word])
    return Difference(severity, action, "none", "none", "No rule knows these lines: their words alone speak of it")


def find_difference(case: Case) -> Difference | None:
    """The first row of `differs.csv` whose note the case carries; None where the fault table stands."""
    table = load_differences()
    if WORDED in case.notes:
        return _soften(load_faults()[case.primary.fault])
    keys = ((fault, note) for fault, note in table if fault == case.primary.fault and note in case.notes)
    key = next(keys, None)
    return table[key] if key else None


def decide(case: Case) -> Decision:
    """Choose severity and action of the rules' own fault."""
    fault = load_faults()[case.primary.fault]
    difference = find_difference(case)
    row = difference or fault
    decision = Decision(
        fault.id,
        META_STATUS.get(fault.id, STATUS_OF_SEVERITY[row.severity]),
        row.severity,
        row.action,
        row.urgency,
        row.follow_up,
        difference.why if difference else "",
    )
    if fault.id == "benign" and "gaps" in case.notes:
        return _replace_status(decision, "unknown")
    return _limit_to_confidence(decision, case.confidence)


def _replace_status(decision: Decision, status: Status) -> Decision:
    return Decision(
        decision.fault, status, decision.severity, decision.action, decision.urgency, decision.follow_up, decision.why
    )


CAPS: dict[Confidence, Action] = {
    "confirmed": "replace_part",
    "likely": "inspect_hardware",
    "inconclusive": "run_diagnostics",
}
"""The most invasive action that each confidence allows: nothing that costs work on a sign that settles nothing."""


def _limit_to_confidence(decision: Decision, confidence: Confidence) -> Decision:
    cap = CAPS[confidence]
    if ACTION_RANK[decision.action] <= ACTION_RANK[cap]:
        return decision
    # What the rules would do once it is settled stays visible as the follow-up.
    urgency: Urgency = "job_end" if cap == "run_diagnostics" else decision.urgency
    return Decision(
        decision.fault, decision.status, decision.severity, cap, urgency, decision.action,
        f"{confidence}: {decision.action} waits until it is settled",
    )  # fmt: skip


SOFT_ACTIONS: frozenset[Action] = frozenset({"none", "watch", "check_workload", "run_diagnostics"})
"""All that a model may bring about by naming another fault: nothing that touches running work."""


PASSIVE_ACTIONS: frozenset[Action] = frozenset({"none", "watch"})
"""Doing nothing, which is harm of its own where something is to be done."""


def decide_for_model(case: Case, fault: str, possible: Iterable[str]) -> Decision:
    """Choose for a fault that only a model named: the least invasive action possible, at the severity of the rules.

    The action is the rules' own or a softer one: no opinion makes it more invasive, silences a page or makes one. Where
    rules do something no opinion makes it nothing: then the least is to look, by diagnostics.
    """
    rules, table = decide(case), load_faults()
    softer = {table[name].action for name in (fault, *possible)} & SOFT_ACTIONS
    action = min([rules.action, *softer], key=lambda name: ACTION_RANK[name])
    if action in PASSIVE_ACTIONS and rules.action not in PASSIVE_ACTIONS:
        action = min(rules.action, "run_diagnostics", key=lambda name: ACTION_RANK[name])
    kept = action == rules.action
    return Decision(
        fault, META_STATUS.get(fault, STATUS_OF_SEVERITY[rules.severity]), rules.severity, action,
        rules.urgency if kept else "none", rules.follow_up if kept else rules.action,
        "only the model names it: the least invasive action over all faults still possible",
    )  # fmt: skip


def at_most(confidence: Confidence, cap: Confidence) -> Confidence:
    """The lower of two confidences."""
    return min(confidence, cap, key=lambda word: CONFIDENCE_RANK[word])
