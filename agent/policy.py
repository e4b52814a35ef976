"""Fault, evidence, confidence and site decide the action; a model never does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.faults import Difference, load_differences, load_faults
from agent.types import CONFIDENCE_RANK, Action, Case, Confidence, PlanAction, PlanStep, SeverityWord, Status, Urgency
from tools.types import Entity

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


def find_difference(case: Case) -> Difference | None:
    """The first row of `differs.csv` whose note the case carries; None where the fault table stands."""
    table = load_differences()
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


def decide_for_model(case: Case, fault: str, possible: Iterable[str]) -> Decision:
    """Choose for a fault that only the model named: its gravity, and the least invasive action still possible.

    The rules' own decision bounds it from above, so that no opinion makes an action more invasive.
    """
    rules = decide(case)
    row = load_faults()[fault]
    candidates = [rules.action, row.action, *(load_faults()[name].action for name in possible)]
    action = min(candidates, key=lambda name: ACTION_RANK[name])
    follow_up = min((rules.follow_up, row.follow_up), key=lambda name: ACTION_RANK[name])
    urgency: Urgency = rules.urgency if action == rules.action else "none"
    return Decision(
        fault, META_STATUS.get(fault, STATUS_OF_SEVERITY[row.severity]), row.severity, action, urgency, follow_up,
        "only the model names it: the least invasive action over all faults still possible",
    )  # fmt: skip


def at_most(confidence: Confidence, cap: Confidence) -> Confidence:
    """The lower of two confidences."""
    return min(confidence, cap, key=lambda word: CONFIDENCE_RANK[word])


DRAIN = {
    "slurm": 'scontrol update NodeName={node} State=DRAIN Reason="daytwo {case}: {fault}"',
    "kubernetes": "kubectl cordon {node}",
    "none": None,
}
JOBS = {
    "slurm": "squeue --nodelist={node} --noheader",
    "kubernetes": "kubectl get pods --all-namespaces --field-selector spec.nodeName={node}",
    "none": "nvidia-smi --query-compute-apps=pid,name --format=csv",
}
UNDRAIN = {
    "slurm": "scontrol update NodeName={node} State=RESUME",
    "kubernetes": "kubectl uncordon {node}",
    "none": None,
}
ACT: dict[tuple[str, str], str] = {
    ("reset_gpu", "gpu"): "nvidia-smi --gpu-reset -i {gpu}",
    ("reboot_node", ""): "systemctl reboot",
    ("run_diagnostics", "gpu"): "dcgmi diag -r 2",
    ("run_diagnostics", "node"): "dcgmi diag -r 2",
    ("run_diagnostics", "network"): "ib_write_bw -d {nic} <a peer that works>",
    ("run_diagnostics", "nic"): "mlxlink -d {nic} --port_type PCIE -m -e -c",
    ("run_diagnostics", "disk"): "smartctl -t short /dev/{disk}",
    ("restart_job", ""): "scontrol requeue {job}",
    ("restart_service", ""): "systemctl restart {service}",
    ("collect_evidence", "gpu"): "nvidia-bug-report.sh --safe-mode",
    (
        "collect_evidence",
        "io_noisy_neighbor",
    ): "iostat -x 1 10 > iostat-{node}.txt; pidstat -d 1 5; systemd-cgtop --order=io",
    (
        "collect_evidence",
        "io_saturated",
    ): "iostat -x 1 10 > iostat-{node}.txt; pidstat -d 1 5; systemd-cgtop --order=io",
    ("collect_evidence", "disk"): "smartctl -x /dev/{disk}",
    ("collect_evidence", "nic"): "ethtool -S {nic}",
    ("collect_evidence", ""): "dmesg -T > dmesg-{node}.txt",
    ("validate", "gpu"): "dcgmi diag -r 2",
    ("validate", "node"): "dcgmi diag -r 1",
    ("validate", "disk"): "smartctl -H /dev/{disk}",
}
"""What a person types for an action on a fault, else on a component; empty where that makes no difference."""

ALWAYS_NEEDS_FREE_NODE: frozenset[str] = frozenset({"reset_gpu", "reboot_node", "update_software", "drain_node"})
OPENS_THE_MACHINE: frozenset[str] = frozenset({"inspect_hardware", "replace_part", "run_diagnostics"})
MACHINE_COMPONENTS: frozenset[str] = frozenset({"gpu", "node"})
FREE = "no job runs on the node"


def build_plan(case: Case, decision: Decision, site: SitePolicy) -> list[PlanStep]:
    """Lay out the safe order: collect evidence, drain, wait, act, validate, return to service.

    A reset, reboot or repair never stands without the steps before it that make the node free of jobs.
    """
    if decision.action in ("none", "watch", "check_workload"):
        return []
    component = load_faults()[decision.fault].component
    frees = _needs_free_node(decision.action, component)
    steps: list[tuple[PlanAction, str | None, str | None]] = [("collect_evidence", None, None)]
    if frees:
        steps.append(("drain_node", DRAIN.get(site.scheduler), None))
        steps.append(("wait_for_jobs", JOBS.get(site.scheduler), _waiting(decision)))
    if decision.action != "drain_node":
        steps.append((decision.action, None, FREE if frees else None))
    if frees and decision.follow_up in (*OPENS_THE_MACHINE, "reboot_node"):
        again = "" if decision.action == "drain_node" else ", and the fault is still there or comes back"
        steps.append((decision.follow_up, None, FREE + again))
    if frees:
        steps.append(("validate", None, FREE))
        steps.append(("return_to_service", UNDRAIN.get(site.scheduler), "the validation passed"))
    names = _names(case)
    target = str(case.primary.entity)
    return [
        PlanStep(
            step=number,
            action=action,
            target=target if action == decision.action and action != "reboot_node" else names["target"],
            command=_command(command, action, component, names),
            precondition=precondition,
        )
        for number, (action, command, precondition) in enumerate(steps, 1)
    ]


def _needs_free_node(action: str, component: str) -> bool:
    return action in ALWAYS_NEEDS_FREE_NODE or (action in OPENS_THE_MACHINE and component in MACHINE_COMPONENTS)


def _command(given: str | None, action: str, component: str, names: dict[str, str]) -> str | None:
    keys = ((action, names["fault"]), (action, component), (action, ""))
    template = given or next((ACT[key] for key in keys if key in ACT), None)
    return template.format_map(names) if template else None


def _waiting(decision: Decision) -> str:
    if decision.urgency == "now":
        return "end or requeue what still runs: its work is lost or at risk"
    return "running jobs finish first"


def _names(case: Case) -> dict[str, str]:
    entity = case.primary.entity
    node = entity.node or (entity.name if entity.kind == "node" else "")
    gpu = entity.id_map.get("pci") or entity.name
    job = next((e.name for e, _ in case.affected if e.kind == "job" and e.name), entity.name or "<job>")
    return {
        "node": node or "<node>",
        "target": str(Entity("node", node=node)),
        "case": case.case_id,
        "fault": case.primary.fault,
        "gpu": gpu or "<gpu>",
        "disk": entity.name or "<disk>",
        "nic": entity.name or "<nic>",
        "job": job,
        "service": entity.name or "<unit>",
    }
