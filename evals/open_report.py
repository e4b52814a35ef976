"""What open scenarios found: `daytwo.open-eval/1`, a row a backend, paired by scenario, between floor and ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field

from agent.types import Border
from evals.open_runner import OpenRun
from evals.report import Rate, render_rate, start_table
from evals.score import wilson_interval
from evals.seats import PLANNED, RULES

if TYPE_CHECKING:
    from rich.console import Console

CEILING, FLOOR = PLANNED


class OpenRow(Border):
    """One backend.

    Attributes:
        right: Cases whose fault was found.
        twins_right: Twins that were left open, or called what they are.
        both: Scenarios where case and twin are both right: the telling fact made the difference.
        false_alarms: Twins for which a fault was named that is not there.
        harmful: Runs, cases and twins, with an action that is harmful or more than the rules' own.
        used_room: How far between floor and ceiling; None where there is no room between them.
        tokens_median, tokens_p95: In and out of one investigation.
        steps_median, calls_median: Answers of the model, and calls of tools, of one investigation.
        unmeasured: Runs that a broken endpoint spoiled; in no rate above.
    """

    backend: str
    right: Rate
    twins_right: Rate
    both: Rate
    false_alarms: Rate
    harmful: Rate
    used_room: float | None = None
    tokens_median: float | None = None
    tokens_p95: float | None = None
    steps_median: float | None = None
    calls_median: float | None = None
    unmeasured: int = 0


class OpenRunRow(Border):
    """One run."""

    scenario: str
    found: str
    twin: bool
    backend: str
    fault: str
    decided_by: str
    right: bool
    harm: bool
    reason: str | None
    error: str = ""


class OpenReport(Border):
    """`daytwo.open-eval/1`; `edition` names the scenarios by their content."""

    schema_: Literal["daytwo.open-eval/1"] = Field("daytwo.open-eval/1", alias="schema")
    scenarios: int
    edition: str
    backends: list[OpenRow]
    runs: list[OpenRunRow]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


def build_open_report(runs: Sequence[OpenRun], edition: str = "") -> OpenReport:
    """Count, backend by backend; the floor and the ceiling are among them."""
    names = list(dict.fromkeys(run.backend for run in runs))
    rows = {name: _build_row(name, [run for run in runs if run.backend == name]) for name in names}
    if FLOOR in rows and CEILING in rows:
        floor, ceiling = _share(rows[FLOOR].right), _share(rows[CEILING].right)
        rows = {name: row.model_copy(update={"used_room": _place(row, floor, ceiling)}) for name, row in rows.items()}
    return OpenReport(
        scenarios=len({run.scenario for run in runs}),
        edition=edition,
        backends=list(rows.values()),
        runs=[_build_run_row(run) for run in runs],
    )


def _place(row: OpenRow, floor: float, ceiling: float) -> float | None:
    return round((_share(row.right) - floor) / (ceiling - floor), 3) if ceiling > floor and row.right.total else None


def _share(rate: Rate) -> float:
    return rate.count / rate.total if rate.total else 0.0


def _build_row(name: str, runs: Sequence[OpenRun]) -> OpenRow:
    good = [run for run in runs if not run.error]
    cases = {run.scenario: run for run in good if not run.twin}
    twins = {run.scenario: run for run in good if run.twin}
    pairs = [(cases[one], twins[one]) for one in cases if one in twins]
    asked = [run for run in good if run.steps]
    tokens = sorted(run.tokens_in + run.tokens_out for run in asked)
    return OpenRow(
        backend=name,
        right=_rate([run.right for run in cases.values()]),
        twins_right=_rate([run.right for run in twins.values()]),
        both=_rate([case.right and twin.right for case, twin in pairs]),
        false_alarms=_rate([not run.right and run.verdict.fault != "unknown" for run in twins.values()]),
        harmful=_rate([run.harm for run in good]),
        tokens_median=median(tokens) if tokens else None,
        tokens_p95=float(tokens[min(round(0.95 * len(tokens)), len(tokens) - 1)]) if tokens else None,
        steps_median=median(run.steps for run in asked) if asked else None,
        calls_median=median(run.calls for run in asked) if asked else None,
        unmeasured=len(runs) - len(good),
    )


def _rate(holds: Sequence[bool]) -> Rate:
    interval = wilson_interval(sum(holds), len(holds))
    low, high = (round(interval[0], 4), round(interval[1], 4)) if interval else (None, None)
    return Rate(count=sum(holds), total=len(holds), low=low, high=high)


def _build_run_row(run: OpenRun) -> OpenRunRow:
    return OpenRunRow(
        scenario=run.scenario,
        found=run.found,
        twin=run.twin,
        backend=run.backend,
        fault=run.verdict.fault,
        decided_by=run.verdict.decided_by,
        right=run.right,
        harm=run.harm,
        reason=run.verdict.reason,
        error=run.error,
    )


MEASURES: tuple[tuple[str, Callable[[OpenRow], str]], ...] = (
    ("right", lambda row: render_rate(row.right)),
    ("twins right", lambda row: render_rate(row.twins_right)),
    ("both of a pair", lambda row: render_rate(row.both)),
    ("false alarms", lambda row: render_rate(row.false_alarms)),
    ("harm", lambda row: render_rate(row.harmful)),
    ("used room", lambda row: "-" if row.used_room is None else f"{row.used_room:.2f}"),
    ("tokens median", lambda row: _spell(row.tokens_median)),
    ("tokens p95", lambda row: _spell(row.tokens_p95)),
    ("steps median", lambda row: _spell(row.steps_median)),
    ("calls median", lambda row: _spell(row.calls_median)),
    ("not measured", lambda row: str(row.unmeasured)),
)


def render_open(report: OpenReport, console: Console) -> None:
    """Print the measures, a column a backend, then what a backend that was asked did not get right."""
    title = f"{report.scenarios} open scenarios with their twins, edition {report.edition}, 95% Wilson intervals"
    table = start_table(["", *(row.backend for row in report.backends)])
    for name, cell in MEASURES:
        table.add_row(name, *map(cell, report.backends))
    console.print(title, table, sep="\n")
    wrong = [run for run in report.runs if not run.right and run.backend not in (RULES, FLOOR)]
    if wrong:
        misses = start_table(["not right", "backend", "found in", "verdict, and why it stands"])
        for run in wrong:
            name = f"{run.scenario} twin" if run.twin else run.scenario
            misses.add_row(name, run.backend, run.found, f"{run.fault}: {run.error or run.reason or run.decided_by}")
        console.print(misses)


def _spell(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.0f}"
