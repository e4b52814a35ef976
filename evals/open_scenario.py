"""Open scenarios: the telling fact is not in what is triaged, but in what a tool returns.

One YAML file each in `evals/open/`: the opening, which rules read; what stands beside it and is read by tools alone;
and a twin with the same opening, in which the telling fact is absent or innocent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from evals.scenario import EvidenceFile, ScenarioModel, Truth
from tools.entities import parse_entity
from tools.errors import OperatorError
from tools.past import PastCase
from tools.types import Entity

OPEN_FOLDER = Path(__file__).parent / "open"
RUNBOOK_FOLDER = OPEN_FOLDER / "runbooks"
"""Runbooks that a site wrote itself; they are searched beside the shipped ones, in every open scenario."""
Found = Literal["past", "peers", "counters", "neighbour", "job", "older", "runbook"]


class PastRow(ScenarioModel):
    """An earlier verdict, as the store would tell it."""

    entity: str
    fault: str
    seconds: float
    confidence: Literal["confirmed", "likely", "inconclusive"] = "confirmed"
    state: Literal["open", "ended", "not_told"] = "open"
    ended_by: str = ""
    sign: str = ""

    def build_case(self) -> PastCase:
        """Make it what a tool reads."""
        entity = parse_entity(self.entity) or Entity("node", node=self.entity)
        return PastCase(
            entity, self.fault, self.seconds, self.confidence, "", self.state, self.ended_by, self.sign
        )  # fmt: skip


class Beside(ScenarioModel):
    """What only tools return.

    Attributes:
        files: Evidence that rules do not read: older logs, other machines, readings, the inventory.
        past: Earlier verdicts.
        truth: What an expert says who has seen it all; an empty `truth.entity` means that any subject is right.
    """

    files: tuple[EvidenceFile, ...] = ()
    past: tuple[PastRow, ...] = ()
    truth: Truth


class OpenScenario(ScenarioModel):
    """One opening with two things that may stand behind it. The id is opaque and equals the file name."""

    id: Annotated[str, Field(pattern=r"^o-\d{4}$")]
    about: str
    found: Found
    opening: Annotated[tuple[EvidenceFile, ...], Field(min_length=1)]
    case: Beside
    twin: Beside


def load_open_scenarios(folder: Path = OPEN_FOLDER, ids: Sequence[str] = ()) -> tuple[OpenScenario, ...]:
    """Read every open scenario, in order of id.

    Raises:
        OperatorError: A file is no open scenario, its name is not its id, or an id that was asked for is not there.
    """
    found = [_load(path) for path in sorted(folder.glob("*.yaml"))]
    missing = sorted(set(ids) - {scenario.id for scenario in found})
    if missing or not found:
        wanted = ", ".join(missing) or "any open scenario"
        raise OperatorError(f"Looked for {wanted} in {folder}; not there.", fix=f"ls {folder}")
    return tuple(scenario for scenario in found if not ids or scenario.id in ids)


def name_edition(scenarios: Sequence[OpenScenario]) -> str:
    """Name what was played by its content: figures of two editions are not to be compared."""
    text = "\n".join(scenario.model_dump_json() for scenario in scenarios)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _load(path: Path) -> OpenScenario:
    try:
        scenario = OpenScenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise OperatorError(f"{path.name} is no open scenario: {error}", fix="see evals/open_scenario.py") from None
    if scenario.id != path.stem:
        raise OperatorError(f"{path.name} holds the id {scenario.id}.", fix=f"mv {path.name} {scenario.id}.yaml")
    return scenario
