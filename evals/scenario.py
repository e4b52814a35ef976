"""Scenarios: evidence with its truth and a healthy twin, one YAML file each, found by walking the folder.

The truth stands beside the evidence in the file and nowhere else: what is triaged is only what `write_evidence` puts
into a folder, and that function is given texts and paths, never a truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.types import Action, Confidence, SeverityWord
from tools.errors import OperatorError

SCENARIO_FOLDER = Path(__file__).parent / "scenarios"
TWIN_HARMFUL: tuple[Action, ...] = (
    "reset_gpu", "drain_node", "reboot_node", "replace_part", "restart_service", "limit_tenant", "restart_job",
)  # fmt: skip
"""What nobody should do to a healthy machine; the default for a twin that names nothing else."""


class ScenarioModel(BaseModel):
    """Base of the scenario format: unknown keys are an error, so that a misspelled truth cannot pass in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EvidenceFile(ScenarioModel):
    """One file as the product will see it: a relative path below the evidence folder, and its text."""

    path: str
    text: Annotated[str, Field(min_length=1)]

    @field_validator("path")
    @classmethod
    def check_path(cls, path: str) -> str:
        """Refuse a path that would leave the evidence folder."""
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.name:
            raise ValueError(f"{path!r} is no relative path below the evidence folder")
        return path


class Truth(ScenarioModel):
    """What an expert says about the evidence.

    Attributes:
        fault: The fault of the primary verdict.
        accepted: Other fault ids that an expert would let pass.
        entity: Spellings of the subject, any of which is right; empty where any is.
        action: Remedies that are right; empty where any that is not harmful is.
        harmful: Actions that no verdict may propose.
        folded: Faults that must stand under the primary verdict as consequences.
        absent: Faults that no verdict may have on its own.
        separate: Faults that must have a verdict of their own, beside the primary one.
        also: Faults that further verdicts may have; any other verdict of warning or worse is one alarm too many.
        severity: Severities that are right for the primary verdict; empty where any is.
        confidence: Confidences that are right for the primary verdict; empty where any is.
        fold_confidence: Confidences that are right for the folded faults; empty where any is.
        culprit: Spellings of the entity that must be named as culprit; empty where none is.
    """

    fault: str
    accepted: tuple[str, ...] = ()
    entity: tuple[str, ...] = ()
    action: tuple[Action, ...] = ()
    harmful: tuple[Action, ...] = ()
    folded: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    separate: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    severity: tuple[SeverityWord, ...] = ()
    confidence: tuple[Confidence, ...] = ()
    fold_confidence: tuple[Confidence, ...] = ()
    culprit: tuple[str, ...] = ()

    @property
    def faults(self) -> frozenset[str]:
        """Every fault id that is right."""
        return frozenset((self.fault, *self.accepted))

    @model_validator(mode="after")
    def check_actions(self) -> Truth:
        """Refuse a truth that calls one action both right and harmful."""
        both = set(self.action) & set(self.harmful)
        if both:
            raise ValueError(f"actions both right and harmful: {', '.join(sorted(both))}")
        return self


def _healthy() -> Truth:
    return Truth(fault="healthy", accepted=("benign",), action=("none", "watch"), harmful=TWIN_HARMFUL)


class Twin(ScenarioModel):
    """The same forms with nothing wrong: what must not raise an alarm."""

    evidence: Annotated[tuple[EvidenceFile, ...], Field(min_length=1)]
    truth: Truth = Field(default_factory=_healthy)


class Scenario(ScenarioModel):
    """One case: evidence, truth, healthy twin. The id is opaque and equals the file name."""

    id: Annotated[str, Field(pattern=r"^s-\d{4}$")]
    about: str
    evidence: Annotated[tuple[EvidenceFile, ...], Field(min_length=1)]
    truth: Truth
    twin: Twin


def load_scenarios(folder: Path = SCENARIO_FOLDER, ids: Sequence[str] = ()) -> tuple[Scenario, ...]:
    """Read every scenario of a folder, in order of id.

    Args:
        folder: Where the YAML files stand.
        ids: Only these; all where empty.

    Raises:
        OperatorError: A file is no scenario, its name is not its id, or an id that was asked for is not there.
    """
    found = [_load_scenario(path) for path in sorted(folder.glob("*.yaml")) if not ids or path.stem in ids]
    missing = sorted(set(ids) - {scenario.id for scenario in found})
    if missing or not found:
        wanted = ", ".join(missing) or "any scenario"
        raise OperatorError(f"Looked for {wanted} in {folder}; not there.", fix=f"ls {folder}")
    return tuple(found)


def _load_scenario(path: Path) -> Scenario:
    try:
        scenario = Scenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise OperatorError(f"{path.name} is no scenario: {error}", fix="see evals/scenario.py") from None
    if scenario.id != path.stem:
        raise OperatorError(f"{path.name} holds the id {scenario.id}.", fix=f"mv {path.name} {scenario.id}.yaml")
    return scenario


def write_evidence(evidence: Sequence[EvidenceFile], folder: Path) -> None:
    """Write the files of a case below a folder; nothing but their paths and texts gets there."""
    for file in evidence:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.text, encoding="utf-8")
