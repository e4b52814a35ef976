"""The tables of policy: faults, what events speak for, what folds under what, and when the action differs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from agent.types import Action, SeverityWord, Urgency
from tools.walk import walk_modules

Weight = Literal["settles", "indicates", "weak", "none"]
Scope = Literal["entity", "disk", "node", "node_or_job", "reading", "logged"]
WEIGHT_RANK: dict[str, int] = {"none": 0, "weak": 1, "indicates": 2, "settles": 3}


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the fault table.

    Attributes:
        scope: ``node``, ``fleet``, ``service`` or ``meta``.
        differs: When the action is another one, in words; the tested policy behind it is `differs.csv`.
        detected: Whether an event code or a detector of this edition can name it.
    """

    id: str
    scope: str
    component: str
    kind: str
    severity: SeverityWord
    action: Action
    urgency: Urgency
    follow_up: Action
    differs: str
    what: str
    detected: bool


@dataclass(frozen=True, slots=True)
class EventPolicy:
    """What an event code speaks for."""

    code: str
    fault: str
    weight: Weight
    why: str


@dataclass(frozen=True, slots=True)
class FoldRule:
    """A cause that explains a consequence within `seconds`, in a scope and an order; `needs` is a note of the cause."""

    cause: str
    consequence: str
    scope: Scope
    seconds: float
    order: Literal["after", "any"]
    why: str
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Severity and action of a fault under a named circumstance."""

    severity: SeverityWord
    action: Action
    urgency: Urgency
    follow_up: Action
    why: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """When a fault that comes back gets another note.

    Attributes:
        after: What must lie between two episodes: a ``reboot``, a ``reset`` (a reboot resets too), or ``any`` end,
            be it only `quiet_hours` without a sign.
        times: So often it must have come back, within `within_days` of the last sign.
        note: Names the row of `differs.csv` that then holds.
    """

    fault: str
    after: Literal["any", "reset", "reboot"]
    times: int
    within_days: float
    quiet_hours: float
    note: str
    why: str


@dataclass(frozen=True, slots=True)
class Command:
    """What a person types for an action: on a fault or component, under a scheduler, on the node or where they are."""

    action: str
    subject: str
    scheduler: str
    runs_on: Literal["node", "admin"]
    command: str


def _read_rows(name: str) -> list[dict[str, str]]:
    text = files("agent").joinpath("tables", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def load_commands() -> tuple[Command, ...]:
    """Read the commands of plans."""
    return tuple(
        Command(
            row["action"], row["for"], row["scheduler"], "node" if row["runs_on"] == "node" else "admin", row["command"]
        )
        for row in _read_rows("commands.csv")
    )


def list_detector_faults() -> frozenset[str]:
    """Faults that some detector hints at, as each detector says itself."""
    return frozenset().union(*(module.FAULTS for module in walk_modules("tools.detectors")))


@cache
def load_faults() -> Mapping[str, Fault]:
    """Read the fault table, in its own order."""
    named = {policy.fault for policy in load_event_policy().values()} | list_detector_faults()
    return {
        row["fault"]: Fault(
            id=row["fault"],
            scope=row["scope"],
            component=row["component"],
            kind=row["kind"],
            severity=cast(SeverityWord, row["severity"]),
            action=cast(Action, row["action"]),
            urgency=cast(Urgency, row["urgency"]),
            follow_up=cast(Action, row["follow_up"]),
            differs=row["when_it_differs"],
            what=row["what_it_is"],
            detected=row["fault"] in named,
        )
        for row in _read_rows("faults.csv")
    }


@cache
def load_event_policy() -> Mapping[str, EventPolicy]:
    """Read what each event code speaks for."""
    return {
        row["code"]: EventPolicy(row["code"], row["fault"], cast(Weight, row["weight"]), row["why"])
        for row in _read_rows("events.csv")
    }


@cache
def load_fold_rules() -> Mapping[tuple[str, str], FoldRule]:
    """Read which cause explains which consequence."""
    return {
        (row["cause"], row["consequence"]): FoldRule(
            row["cause"],
            row["consequence"],
            cast(Scope, row["scope"]),
            float(row["seconds"]),
            "after" if row["order"] == "after" else "any",
            row["why"],
            row["needs"] or "",
        )
        for row in _read_rows("folds.csv")
    }


@cache
def load_alternatives() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Read what else the same evidence could mean, with the reason why that is less likely."""
    table: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in _read_rows("alternatives.csv"):
        table[row["fault"]] = (*table.get(row["fault"], ()), (row["alternative"], row["less_likely_because"]))
    return table


@cache
def load_differences() -> Mapping[tuple[str, str], Difference]:
    """Read when the action of a fault differs, by (fault, note); the order of the file is the order of precedence."""
    return {
        (row["fault"], row["note"]): Difference(
            cast(SeverityWord, row["severity"]),
            cast(Action, row["action"]),
            cast(Urgency, row["urgency"]),
            cast(Action, row["follow_up"]),
            row["why"],
        )
        for row in _read_rows("differs.csv")
    }


@cache
def load_escalations() -> Mapping[str, tuple[Escalation, ...]]:
    """Read when a fault that comes back is another matter; the order of the file is the order of precedence."""
    table: dict[str, tuple[Escalation, ...]] = {}
    for row in _read_rows("escalations.csv"):
        after = cast(Literal["any", "reset", "reboot"], row["after"])
        days, quiet = float(row["within_days"]), float(row["quiet_hours"])
        escalation = Escalation(row["fault"], after, int(row["times"]), days, quiet, row["note"], row["why"])
        table[row["fault"]] = (*table.get(row["fault"], ()), escalation)
    return table
