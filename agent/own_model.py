"""Daytwo's own model on the very GPUs that are judged: a verdict on these says so, and a plan stops it first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.types import Affected, CoverageRow, PlanStep, TriageReport, Verdict
from tools.entities import parse_entity, same_entity, same_node
from tools.types import Entity

NAME = "daytwo-model"
ENDS_IT: frozenset[str] = frozenset(
    {"reset_gpu", "reboot_node", "run_diagnostics", "update_software", "inspect_hardware", "replace_part"}
)
"""Steps that a process on the GPU does not outlive, or that wait for it to be gone."""
UNTOLD = "?"
"""How an entity is spelled whose host nobody told."""
STOP_FIRST = "Daytwo's own model runs here: daytwo model stop first (rules go on without it)"


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A model server of Daytwo's own.

    Attributes:
        model: What it serves.
        node: Host that it runs on.
        gpus: GPUs that it holds, with all that is known of their names; none where it runs on the processor.
    """

    model: str
    node: str
    gpus: tuple[Entity, ...] = ()

    @property
    def entity(self) -> Entity:
        """The server as verdicts name it."""
        return Entity("service", node=self.node, name=NAME)


def mark_own_models(report: TriageReport, models: Sequence[OwnModel]) -> TriageReport:
    """Say of each verdict whether its subject carries Daytwo's own model, and in the coverage where that runs.

    Args:
        report: As rules or a model made it.
        models: Servers that run now.
    """
    if not models:
        return report
    verdicts = [_mark(one, model) if (model := _find_own(one, models)) else one for one in report.verdicts]
    told = [_cover(model) for model in models if _speaks_of(report, model)]
    return report.model_copy(update={"verdicts": verdicts, "coverage": [*report.coverage, *told]})


def _find_own(verdict: Verdict, models: Sequence[OwnModel]) -> OwnModel | None:
    parsed = parse_entity(verdict.subject.entity)
    if parsed is None or verdict.status not in ("degraded", "failed"):
        return None
    subject = Entity(parsed.kind, node=parsed.node, name=parsed.name, ids=tuple(sorted(verdict.subject.ids.items())))
    return next((model for model in models if _carries(subject, model)), None)


def _carries(subject: Entity, model: OwnModel) -> bool:
    """Say whether trouble of the subject is trouble of the model: its GPU, or the node that it runs on."""
    host = "" if subject.node == UNTOLD else subject.node
    if subject.kind == "gpu":
        uuid = subject.id_map.get("uuid")
        if uuid and any(gpu.id_map.get("uuid") == uuid for gpu in model.gpus):
            return True
        # An index or an address alone names a GPU of every host: it counts where the host is told.
        return bool(host) and any(same_entity(subject, gpu) for gpu in model.gpus)
    return subject.kind == "node" and bool(host) and same_node(host, model.node)


def _mark(verdict: Verdict, model: OwnModel) -> Verdict:
    affected = [*verdict.affected, Affected(entity=str(model.entity), role="victim")]
    return verdict.model_copy(update={"affected": affected, "plan": [_guard(step) for step in verdict.plan]})


def _guard(step: PlanStep) -> PlanStep:
    if step.action not in ENDS_IT:
        return step
    before = f"{step.precondition}; " if step.precondition else ""
    return step.model_copy(update={"precondition": f"{before}{STOP_FIRST}"})


def _speaks_of(report: TriageReport, model: OwnModel) -> bool:
    """Say whether the report is about the model's host at all: a log of another machine need not hear of it."""
    named = [*(verdict.subject.entity for verdict in report.verdicts), *(row.entity for row in report.coverage)]
    nodes = {entity.node for one in named if (entity := parse_entity(one))} - {"", UNTOLD}
    return any(same_node(node, model.node) for node in nodes)


def _cover(model: OwnModel) -> CoverageRow:
    held = ", ".join(f"{gpu.name} ({gpu.id_map.get('uuid', 'no UUID')})" for gpu in model.gpus)
    where = f"on GPU {held}" if held else "on the processor"
    return CoverageRow(
        entity=str(model.entity),
        domain="service",
        status="read",
        reason=f"Daytwo's own model {model.model} runs {where}",
    )
