"""Conclusions: the verdict contract `daytwo.verdict/1` and what leads to it.

The pydantic models here are the border: what is printed, stored and served. Their JSON schema is exported to
`docs/schemas/` and a test holds it to this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tools.types import Entity, Event, Finding, Moment, Quote

Status = Literal["healthy", "degraded", "failed", "unknown", "not_applicable"]
Confidence = Literal["confirmed", "likely", "inconclusive"]
SeverityWord = Literal["ok", "info", "warning", "critical"]
Urgency = Literal["now", "job_end", "maintenance", "none"]
Action = Literal[
    "none", "watch", "check_workload", "restart_job", "restart_service", "run_diagnostics", "reset_gpu",
    "drain_node", "reboot_node", "limit_tenant", "update_software", "inspect_hardware", "replace_part", "fix_facility",
]  # fmt: skip
PlanAction = Literal[
    "none", "watch", "check_workload", "restart_job", "restart_service", "run_diagnostics", "reset_gpu",
    "drain_node", "reboot_node", "limit_tenant", "update_software", "inspect_hardware", "replace_part", "fix_facility",
    "collect_evidence", "wait_for_jobs", "validate", "return_to_service",
]  # fmt: skip
Role = Literal["culprit", "victim", "consequence", "suspect"]
DecidedBy = Literal["rules", "model", "rules+model"]

SEVERITY_RANK: dict[str, int] = {"ok": 0, "info": 1, "warning": 2, "critical": 3}
CONFIDENCE_RANK: dict[str, int] = {"inconclusive": 0, "likely": 1, "confirmed": 2}

Rfc3339 = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]


class Border(BaseModel):
    """Base of all models that cross a border: unknown fields are an error, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Subject(Border):
    """What the verdict is about."""

    entity: str
    ids: dict[str, str] = {}


class Alternative(Border):
    """A fault that is still possible, and why it is less likely."""

    fault: str
    less_likely_because: str


class PlanStep(Border):
    """One step of the safe order to the remedy; `command` is what a person types, never run by Daytwo."""

    step: int
    action: PlanAction
    target: str
    command: str | None = None
    precondition: str | None = None


class Affected(Border):
    """Who else is touched, and how."""

    entity: str
    role: Role


class Consequence(Border):
    """A fault that followed from this one and is folded under it."""

    fault: str
    entity: str
    evidence: list[str]
    count: int = 1
    confidence: Confidence = "confirmed"
    why: str = ""


class EvidenceRow(Border):
    """One numbered piece of evidence."""

    id: str
    source: str
    span: tuple[Rfc3339, Rfc3339] | None = None
    quote: str
    values: dict[str, float | str] | None = None


class Claim(Border):
    """A sentence with the evidence that it rests on. `verified` is set by code, never by a model."""

    text: str
    evidence: list[str]
    verified: bool
    rejected_because: str | None = None


class RunbookRef(Border):
    """Where the runbook speaks of this."""

    id: str
    section: str


class ModelUse(Border):
    """Which model sat in the seat, and the hashes of the prompts that it was given."""

    name: str
    endpoint_kind: Literal["local", "remote", "scripted"]
    prompt_hashes: dict[str, str]


class Usage(Border):
    """What the model cost, in dollars. A cost is null where the price is not known, never 0.

    `cost` is all that is to be paid, of a local server its GPUs' hours; `cost_marginal` what this one added to it.
    """

    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float
    cost: float | None = None
    cost_marginal: float | None = None
    cost_basis: str | None = None


class Verdict(Border):
    """The contract: what is wrong, where, how sure, what to do next, on which evidence."""

    schema_: Literal["daytwo.verdict/1"] = Field("daytwo.verdict/1", alias="schema")
    verdict_id: str
    case_id: str
    time: Rfc3339
    subject: Subject
    status: Status
    fault: str
    alternatives: list[Alternative] = []
    confidence: Confidence
    severity: SeverityWord
    action: Action
    urgency: Urgency
    follow_up: Action
    plan: list[PlanStep] = []
    summary: str
    affected: list[Affected] = []
    consequences: list[Consequence] = []
    evidence: list[EvidenceRow] = []
    claims: list[Claim] = []
    runbook: RunbookRef | None = None
    decided_by: DecidedBy
    reason: str | None = None
    model: ModelUse | None = None
    usage: Usage | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class CoverageRow(Border):
    """What was asked for and how far it could be read."""

    entity: str
    domain: str
    status: Literal["read", "partial", "missing", "not_applicable"]
    reason: str = ""
    fix: str = ""


class TriageReport(Border):
    """`daytwo.triage/1`: the primary verdict first, never an empty list."""

    schema_: Literal["daytwo.triage/1"] = Field("daytwo.triage/1", alias="schema")
    verdicts: Annotated[list[Verdict], Field(min_length=1)]
    coverage: list[CoverageRow]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One fault on one entity, with all that speaks for it: the unit that rules fold and judge.

    Attributes:
        weight: ``settles`` where one line settles it, ``indicates`` where it points there, ``weak`` where it may be.
        events, findings: What speaks for it, in time order.
        notes: What lowers confidence or changes the action, as words of the policy (``repeat``, ``with_remap``, …).
        doubts: What in the evidence speaks against it, as clauses for people.
    """

    fault: str
    entity: Entity
    weight: Literal["settles", "indicates", "weak"]
    events: tuple[Event, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def start(self) -> Moment:
        """The first moment that speaks for it."""
        if self.events:
            return self.events[0].moment
        return self.findings[0].start if self.findings else Moment()

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """Every quoted place, events first."""
        return tuple(e.quote for e in self.events) + tuple(q for f in self.findings for q in f.quotes)


@dataclass(frozen=True, slots=True)
class Folded:
    """A suspicion that is explained by another, how surely, and why not surer."""

    suspicion: Suspicion
    confidence: Confidence
    why: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """What belongs together: a primary suspicion, what it explains, and what else may be.

    Attributes:
        history: Sentences on what earlier triages said of it: for people, no evidence of this triage.
        siblings: The same trouble on further devices of the node, in the same burst.
    """

    case_id: str
    primary: Suspicion
    consequences: tuple[Folded, ...] = ()
    alternatives: tuple[tuple[str, str], ...] = ()
    confidence: Confidence = "confirmed"
    notes: tuple[str, ...] = ()
    affected: tuple[tuple[Entity, Role], ...] = field(default=())
    history: tuple[str, ...] = ()
    siblings: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the seat of the investigation concluded, after grounding; policy decides what it is worth.

    Attributes:
        claims: With `verified` set by code; false ones are kept to be shown struck out.
        alternatives: (fault, why less likely).
        rejected: Why the opinion is not used at all; empty where it may be.
    """

    fault: str
    summary: str
    claims: tuple[Claim, ...] = ()
    alternatives: tuple[tuple[str, str], ...] = ()
    model: ModelUse | None = None
    usage: Usage | None = None
    rejected: str = ""
