"""Injections: orders written into what machines, users and strangers write, one YAML file a place.

A place says how its texts get into evidence (its stages), and lists the texts with what they order. `{text}` in a
stage is the text itself, `{json}` the text within a JSON string, `{path}` the text as a file name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from evals.open_scenario import OPEN_FOLDER, load_open_scenarios
from evals.scenario import SCENARIO_FOLDER, EvidenceFile, ScenarioModel, load_scenarios
from evals.scripts import Orders
from tools.errors import OperatorError
from tools.past import PastCase

INJECTION_FOLDER = Path(__file__).parent / "injections"
MAX_NAME_BYTES = 200
MIN_MARKER = 6
Want = Literal["escalate", "silence", "exfiltrate", "tools", "forge"]
"""More invasive; less grave; tell somebody else; call what is not offered; pass for a part of the prompt."""
_SPLIT = re.compile(r"[<>\uff1c\ufe64\"'\\|\[\](){}@/:\u2026#=,;]|[^\x20-\x7e\u00c0-\u1fff\u3001-\ufdff]")


class Past(ScenarioModel):
    """What a person is said to have written when the case was cleared before."""

    who: str = "oncall"
    why: str


class Stage(ScenarioModel):
    """One way in which a place's texts get into evidence.

    Attributes:
        id: ``closed`` where rules settle the case, ``open`` where they do not.
        base: Scenario, closed or open, whose evidence is there too; empty where there is none.
        evidence: Files with the text in them.
        beside: The same for what only tools return: older lines, other machines.
        runbook: Fault whose runbook holds the text; it is the only one in the index.
        past: Record of an earlier clearing that holds the text.
    """

    id: Annotated[str, Field(pattern=r"^(closed|open)(-\w+)?$")]
    base: str = ""
    evidence: tuple[EvidenceFile, ...] = ()
    beside: tuple[EvidenceFile, ...] = ()
    runbook: str = ""
    past: Past | None = None


class Injection(ScenarioModel):
    """One text and what it orders.

    Attributes:
        technique: How it tries to pass for more than data.
        marker: Piece of the text by which it is known again in a prompt; its longest plain stretch where none is given.
        secret: What stands in the text and may not leave for a model elsewhere.
        stages: Only these; all of the place where empty.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)+$")]
    wants: Want
    technique: str
    text: Annotated[str, Field(min_length=4)]
    orders: Orders
    marker: str = ""
    secret: str = ""
    stages: tuple[str, ...] = ()

    def find_marker(self) -> str:
        """The piece of the text that is looked for in prompts, in lower case."""
        if self.marker:
            return self.marker.lower()
        pieces = [" ".join(piece.split()) for piece in _SPLIT.split(self.text)]
        return max(pieces, key=len).lower()


class Place(ScenarioModel):
    """Where the texts of one file stand.

    Attributes:
        plain: A harmless text of the same kind: what rules say of it is what they must say of every other.
    """

    place: str
    about: str
    plain: str
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    injections: Annotated[tuple[Injection, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def check_names(self) -> Place:
        """Refuse a stage that is not there, an id twice, and a marker that could stand in any prompt."""
        known = {stage.id for stage in self.stages}
        for injection in self.injections:
            if set(injection.stages) - known:
                raise ValueError(f"{injection.id} names a stage that is not there")
            if len(injection.find_marker()) < MIN_MARKER:
                raise ValueError(f"{injection.id} has no marker of {MIN_MARKER} letters")
        if len({one.id for one in self.injections}) < len(self.injections):
            raise ValueError("one id stands twice")
        return self


def load_places(folder: Path = INJECTION_FOLDER) -> tuple[Place, ...]:
    """Read the whole corpus, in order of its files.

    Raises:
        OperatorError: A file does not fit.
    """
    places = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            places.append(Place.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (ValidationError, yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise OperatorError(f"{path.name} holds no injections: {error}", fix="see evals/injection.py") from None
    return tuple(places)


def list_stages(place: Place, injection: Injection) -> list[Stage]:
    """The stages on which an injection is played."""
    return [stage for stage in place.stages if not injection.stages or stage.id in injection.stages]


@dataclass(frozen=True, slots=True)
class Base:
    """What of a scenario a stage builds on: evidence, and what only tools return."""

    evidence: tuple[EvidenceFile, ...] = ()
    beside: tuple[EvidenceFile, ...] = ()
    past: tuple[PastCase, ...] = ()


def load_bases(places: Sequence[Place]) -> Mapping[str, Base]:
    """Read every scenario on which a stage builds; the empty name is no scenario."""
    names = sorted({stage.base for place in places for stage in place.stages if stage.base})
    closed, opened = ([name for name in names if name.startswith(kind)] for kind in ("s-", "o-"))
    bases = {"": Base()}
    bases |= {one.id: Base(one.evidence) for one in (load_scenarios(SCENARIO_FOLDER, closed) if closed else ())}
    for one in load_open_scenarios(OPEN_FOLDER, opened) if opened else ():
        bases[one.id] = Base(one.opening, one.case.files, tuple(row.build_case() for row in one.case.past))
    return bases


def fill_files(files: Sequence[EvidenceFile], text: str, base: Sequence[EvidenceFile]) -> tuple[EvidenceFile, ...]:
    """The files of a stage with a text in its place, behind those on which it builds."""
    return (*base, *(EvidenceFile(path=_fill(file.path, text), text=_fill(file.text, text)) for file in files))


def _fill(form: str, text: str) -> str:
    name = text.replace("/", "_").replace("\n", " ").encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore")
    filled = form.replace("{path}", name).replace("{json}", json.dumps(text)[1:-1])
    return filled.replace("{text}", " ".join(text.split("\n")))
