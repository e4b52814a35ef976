"""The safe order to a remedy, with the commands that a person types. Daytwo runs none of them."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from agent.faults import load_commands, load_faults
from agent.policy import Decision, SitePolicy
from agent.types import Case, PlanAction, PlanStep
from tools.types import Entity

ALWAYS_NEEDS_FREE_NODE: frozenset[str] = frozenset({"reset_gpu", "reboot_node", "update_software", "drain_node"})
OPENS_THE_MACHINE: frozenset[str] = frozenset({"inspect_hardware", "replace_part", "run_diagnostics"})
MACHINE_COMPONENTS: frozenset[str] = frozenset({"gpu", "node"})
FREE = "no job runs on the node"
UNKNOWN_NAMES = {"node": "NODE", "gpu": "GPU", "disk": "DISK", "nic": "NIC", "job": "JOB", "service": "UNIT"}
"""What stands in a command where the evidence does not name the thing: words that no shell takes for anything else."""


def build_plan(
    case: Case, decision: Decision, site: SitePolicy, *, only: Collection[str] | None = None
) -> list[PlanStep]:
    """Lay out the safe order: collect evidence, drain, wait, act, validate, return to service.

    A reset, reboot or repair never stands without the steps before it that make the node free of jobs.

    Args:
        case: What is wrong, and where.
        decision: What policy made of it.
        site: Whose commands are shown.
        only: Steps that may stand beside the action itself; None for all.
    """
    if decision.action in ("none", "watch", "check_workload"):
        return []
    steps = [
        (action, precondition)
        for action, precondition in _order_steps(decision)
        if only is None or action == decision.action or action in only
    ]
    entity = case.primary.entity
    node = str(Entity("node", node=_node_of(case)))
    return [
        PlanStep(
            step=number,
            action=action,
            target=str(entity) if action == decision.action and action != "reboot_node" else node,
            command=spell_command(action, case, site),
            precondition=precondition,
        )
        for number, (action, precondition) in enumerate(steps, 1)
    ]


def _order_steps(decision: Decision) -> list[tuple[PlanAction, str | None]]:
    component = load_faults()[decision.fault].component
    frees = decision.action in ALWAYS_NEEDS_FREE_NODE or (
        decision.action in OPENS_THE_MACHINE and component in MACHINE_COMPONENTS
    )
    steps: list[tuple[PlanAction, str | None]] = [("collect_evidence", None)]
    if frees:
        steps += [("drain_node", None), ("wait_for_jobs", _waiting(decision))]
    if decision.action != "drain_node":
        steps.append((decision.action, FREE if frees else None))
    if frees and decision.follow_up in (*OPENS_THE_MACHINE, "reboot_node"):
        again = "" if decision.action == "drain_node" else ", and the fault is still there or comes back"
        steps.append((decision.follow_up, FREE + again))
    if frees:
        steps += [("validate", FREE), ("return_to_service", "the validation passed")]
    return steps


def _waiting(decision: Decision) -> str:
    if decision.urgency == "now":
        return "end or requeue what still runs: its work is lost or at risk"
    return "running jobs finish first"


def spell_command(action: str, case: Case, site: SitePolicy) -> str | None:
    """The command of a step: the row for the fault, else for its component, else for any; None where none stands.

    Names come from evidence, so each is quoted for the shell. What runs on the node goes there by ssh, so that nobody
    reboots the machine on which they read this. The level of `dcgmi diag` is that of the runbook: 1 checks software, 2
    is meant for a failed job and takes minutes, 3 tests the hardware before a node goes back to service
    (docs.nvidia.com/datacenter/dcgm, "DCGM Diagnostics").
    """
    fault = case.primary.fault
    rows = [row for row in load_commands() if row.action == action and row.scheduler in ("", site.scheduler)]
    for subject in (fault, load_faults()[fault].component, ""):
        row = next((row for row in rows if row.subject == subject), None)
        if row is not None:
            names = _quoted_names(case)
            away = row.runs_on == "node" and names["node"] != UNKNOWN_NAMES["node"]
            return ("ssh {node} " * away + row.command).format_map(names)
    return None


def _node_of(case: Case) -> str:
    entity = case.primary.entity
    return entity.node or (entity.name if entity.kind == "node" else "")


def _quoted_names(case: Case) -> dict[str, str]:
    entity = case.primary.entity
    gpus = [one.primary.entity for one in (case, *case.siblings) if one.primary.entity.kind == "gpu"]
    names = {
        "node": _node_of(case),
        "gpu": ",".join(gpu.id_map.get("pci", gpu.name) for gpu in gpus),
        "job": next((e.name for e in (entity, *(e for e, _ in case.affected)) if e.kind == "job" and e.name), ""),
        **{kind: entity.name if entity.kind == kind else "" for kind in ("disk", "nic", "service")},
    }
    # A name that begins with a dash would be read as an option.
    usable = {kind: name if not name.startswith("-") else "" for kind, name in names.items()}
    quoted = {kind: shlex.quote(name) if name else UNKNOWN_NAMES[kind] for kind, name in usable.items()}
    return {**quoted, "reason": shlex.quote(f"daytwo {case.case_id}: {case.primary.fault}")}
