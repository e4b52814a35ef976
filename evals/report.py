"""What an evaluation found: the JSON documents `daytwo.eval/1` and `daytwo.excerpts/1`, and their tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field

from agent.types import Border
from evals.runner import RunResult
from evals.score import Score, count_pass_hat_k, wilson_interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class Rate(Border):
    """How many of how many, with a 95% Wilson interval over cases.

    Repeats of one case are no new cases: the interval is as wide as its cases, not its runs, allow.
    """

    count: int
    total: int
    low: float | None = None
    high: float | None = None


class BackendRow(Border):
    """One backend over all cases.

    Attributes:
        fault, entity, action, folds: Right, over runs on evidence with a fault.
        twin_right: Right, over runs on healthy twins.
        false_alarms: Warnings or worse, over runs on healthy twins.
        extra_alarms: Runs with a verdict too many, over runs on evidence with a fault.
        harmful: Runs with a harmful action, over all runs.
        pass_hat_k: Cases (faulty and twin) that were right in everything in each of the k repeats.
        seconds_median: Median of one run, seconds.
        infrastructure_errors: Runs that a broken endpoint or tool spoiled; in no rate above.
    """

    backend: str
    fault: Rate
    entity: Rate
    action: Rate
    folds: Rate
    twin_right: Rate
    false_alarms: Rate
    extra_alarms: Rate
    harmful: Rate
    pass_hat_k: Rate
    claims_verified: Rate
    unknown: int
    calls: int
    tokens_in: int
    tokens_out: int
    seconds_total: float
    seconds_median: float | None
    infrastructure_errors: int


class RunRow(Border):
    """One run: what the first verdict said and what was wrong with it."""

    scenario: str
    twin: bool
    backend: str
    repeat: int
    fault: str | None
    entity: str | None
    action: str | None
    confidence: str | None
    decided_by: str | None
    right: bool | None
    misses: list[str]
    seconds: float
    infrastructure_error: str = ""


class EvalReport(Border):
    """`daytwo.eval/1`: one row a backend, one row a run."""

    schema_: Literal["daytwo.eval/1"] = Field("daytwo.eval/1", alias="schema")
    scenarios: int
    repeats: int
    backends: list[BackendRow]
    runs: list[RunRow]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


def build_eval_report(results: Sequence[RunResult], *, repeats: int) -> EvalReport:
    """Put the runs together, one row a backend, in the order in which they ran."""
    by_backend: dict[str, list[RunResult]] = defaultdict(list)
    for result in results:
        by_backend[result.backend].append(result)
    return EvalReport(
        scenarios=len({result.scenario for result in results}),
        repeats=repeats,
        backends=[_build_backend_row(name, rows, repeats) for name, rows in by_backend.items()],
        runs=[_build_run_row(result) for result in results],
    )


def _build_backend_row(backend: str, results: Sequence[RunResult], repeats: int) -> BackendRow:
    good = [(result, result.score) for result in results if result.score is not None]
    faulty = [(r, s) for r, s in good if not r.twin]
    twins = [(r, s) for r, s in good if r.twin]
    scores = [score for _, score in good]
    rights: dict[str, list[bool]] = defaultdict(list)
    for result, score in good:
        rights[f"{result.scenario}/{result.twin}"].append(score.all_right)
    passed, full = count_pass_hat_k(rights, repeats)
    return BackendRow(
        backend=backend,
        fault=_rate(faulty, lambda s: s.fault_right),
        entity=_rate(faulty, lambda s: s.entity_right),
        action=_rate(faulty, lambda s: s.action_right),
        folds=_rate(faulty, lambda s: s.folds_right),
        twin_right=_rate(twins, lambda s: s.fault_right),
        false_alarms=_rate(twins, lambda s: s.false_alarm),
        extra_alarms=_rate(faulty, lambda s: s.extra_alarms > 0),
        harmful=_rate(good, lambda s: s.harmful),
        pass_hat_k=build_rate(passed, full),
        claims_verified=Rate(count=sum(s.claims_verified for s in scores), total=sum(s.claims for s in scores)),
        unknown=sum(score.unknown for score in scores),
        calls=sum(score.calls for score in scores),
        tokens_in=sum(score.tokens_in for score in scores),
        tokens_out=sum(score.tokens_out for score in scores),
        seconds_total=round(sum(result.seconds for result in results), 3),
        seconds_median=round(median(result.seconds for result in results), 4) if results else None,
        infrastructure_errors=sum(result.score is None for result in results),
    )


def _rate(pairs: Sequence[tuple[RunResult, Score]], holds: Callable[[Score], bool]) -> Rate:
    count, total = sum(holds(score) for _, score in pairs), len(pairs)
    cases = len({(result.scenario, result.twin) for result, _ in pairs})
    interval = wilson_interval(count / total * cases, cases) if total else None
    return _spell_bounds(count, total, interval)


def build_rate(count: int, total: int) -> Rate:
    """A rate over independent cases, with its interval."""
    return _spell_bounds(count, total, wilson_interval(count, total))


def _spell_bounds(count: int, total: int, interval: tuple[float, float] | None) -> Rate:
    low, high = (round(interval[0], 4), round(interval[1], 4)) if interval else (None, None)
    return Rate(count=count, total=total, low=low, high=high)


def _build_run_row(result: RunResult) -> RunRow:
    first = result.report.verdicts[0] if result.report is not None else None
    return RunRow(
        scenario=result.scenario,
        twin=result.twin,
        backend=result.backend,
        repeat=result.repeat,
        fault=first.fault if first else None,
        entity=first.subject.entity if first else None,
        action=first.action if first else None,
        confidence=first.confidence if first else None,
        decided_by=first.decided_by if first else None,
        right=result.score.all_right if result.score else None,
        misses=list(result.score.misses) if result.score else [],
        seconds=round(result.seconds, 4),
        infrastructure_error=result.infrastructure_error,
    )


BACKENDS_ABREAST = 5
"""So many columns of rates stay below a hundred characters."""
EVAL_ROWS: tuple[tuple[str, Callable[[BackendRow], str]], ...] = (
    ("fault", lambda row: render_rate(row.fault)),
    ("entity", lambda row: render_rate(row.entity)),
    ("action", lambda row: render_rate(row.action)),
    ("folded", lambda row: render_rate(row.folds)),
    ("twin right", lambda row: render_rate(row.twin_right)),
    ("false alarms", lambda row: render_rate(row.false_alarms)),
    ("extra alarms", lambda row: render_rate(row.extra_alarms)),
    ("harmful", lambda row: render_rate(row.harmful)),
    ("pass^k", lambda row: render_rate(row.pass_hat_k)),
    ("claims", lambda row: f"{row.claims_verified.count}/{row.claims_verified.total}"),
    ("tokens in/out", lambda row: f"{row.tokens_in}/{row.tokens_out}" if row.calls else "-"),
    ("s median", lambda row: "-" if row.seconds_median is None else f"{row.seconds_median:.3f}"),
    ("infra", lambda row: str(row.infrastructure_errors)),
)


def render_rate(rate: Rate) -> str:
    """Write a rate as `37/38 86-100%`, with its interval in percent; `-` where nothing was counted."""
    if not rate.total:
        return "-"
    if rate.low is None or rate.high is None:
        return f"{rate.count}/{rate.total}"
    return f"{rate.count}/{rate.total} {rate.low * 100:.0f}-{rate.high * 100:.0f}%"


def render_eval(report: EvalReport, console: Console) -> None:
    """Print the measures, a column a backend, then every run that was not right in everything, with its reasons."""
    title = f"{report.scenarios} scenarios with their healthy twins, {report.repeats} repeat(s), 95% Wilson intervals"
    for first in range(0, len(report.backends), BACKENDS_ABREAST):
        rows = report.backends[first : first + BACKENDS_ABREAST]
        table = start_table(["", *(row.backend for row in rows)])
        for name, cell in EVAL_ROWS:
            table.add_row(name, *(cell(row) for row in rows))
        console.print(title, table, sep="\n")
    wrong = [run for run in report.runs if not run.right]
    if wrong:
        console.print("not right", _build_misses_table(wrong), sep="\n")


def _build_misses_table(runs: Iterable[RunRow]) -> Table:
    table = start_table(["scenario", "backend", "verdict, and what is wrong"])
    for run in runs:
        name = f"{run.scenario} twin" if run.twin else run.scenario
        backend = run.backend if run.repeat == 1 else f"{run.backend} ({run.repeat})"
        verdict = f"{run.fault} {run.entity} {run.action}" if run.fault else "-"
        reason = run.infrastructure_error and f"infrastructure: {run.infrastructure_error}"
        table.add_row(name, backend, f"{verdict}\n{reason or '; '.join(run.misses)}")
    return table


def start_table(columns: Sequence[str]) -> Table:
    """Begin a table of the evaluation's own form."""
    """A table without frame, as all of an evaluation are."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


class ExcerptRow(Border):
    """One excerpt: what was accepted, what the first verdict said."""

    file: str
    form: str
    accepted: list[str]
    fault: str | None
    entity: str | None
    action: str | None
    right: bool
    harm: bool
    error: str = ""


class ExcerptReport(Border):
    """`daytwo.excerpts/1`: real excerpts, first verdict against what an expert accepts."""

    schema_: Literal["daytwo.excerpts/1"] = Field("daytwo.excerpts/1", alias="schema")
    folder: str
    right: Rate
    harmful: Rate
    controls: Rate
    by_form: dict[str, Rate]
    rows: list[ExcerptRow]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


def build_excerpt_report(folder: str, rows: Sequence[ExcerptRow]) -> ExcerptReport:
    """Count what was right, what would do harm, and how the controls (healthy or benign accepted) came out."""
    forms = sorted({row.form for row in rows})
    controls = [row for row in rows if {"healthy", "benign"} & set(row.accepted)]
    return ExcerptReport(
        folder=folder,
        right=build_rate(sum(row.right for row in rows), len(rows)),
        harmful=build_rate(sum(row.harm for row in rows), len(rows)),
        controls=build_rate(sum(row.right for row in controls), len(controls)),
        by_form={
            form: build_rate(sum(r.right for r in rows if r.form == form), sum(r.form == form for r in rows))
            for form in forms
        },
        rows=list(rows),
    )


def render_excerpts(report: ExcerptReport, console: Console) -> None:
    """Print a line an excerpt, with what is accepted where that was missed, then the rates by form."""
    table = start_table(["", "file", "first verdict"])
    for row in report.rows:
        mark = "harm" if row.harm else "right" if row.right else "miss"
        said = f"{row.fault} {row.entity} {row.action}" if row.fault else f"error: {row.error}"
        accepted = "" if row.right else f"\naccepted: {' | '.join(row.accepted)}"
        table.add_row(mark, row.file, said + accepted)
    console.print(f"excerpts of {report.folder}", table, sep="\n")
    rates = start_table(["form", "right"])
    for form, rate in report.by_form.items():
        rates.add_row(form, render_rate(rate))
    rates.add_row("all", render_rate(report.right))
    rates.add_row("controls (healthy or benign)", render_rate(report.controls))
    rates.add_row("harmful", render_rate(report.harmful))
    console.print(rates)
