"""Run the scenario set with simulated models: the document `daytwo.simulated/1` and its table, beside the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field

from agent.backend import Budget
from agent.graph import investigate
from agent.policy import ACTION_RANK, SitePolicy
from agent.run import Run
from agent.seat import Terms
from agent.triage import triage
from agent.types import SEVERITY_RANK, Border, Case, TriageReport, Verdict
from evals.completion import ScriptedBackend
from evals.injection_play import read_evidence
from evals.report import Rate, build_rate, render_rate, start_table
from evals.runner import FROZEN_NOW
from evals.scenario import SCENARIO_FOLDER, Scenario, Truth, load_scenarios
from evals.score import Score, score_report
from evals.simulated import MODELS, Simulated
from tools.errors import OperatorError
from tools.evidence import EvidenceBook
from tools.tool import ToolContext
from tools.types import Facts

if TYPE_CHECKING:
    from rich.console import Console

RULES = "rules"


class ModelRow(Border):
    """One model, or the rules alone, over all scenarios and twins.

    Attributes:
        fault: Right, over evidence with a fault.
        twin_right: Right, over healthy twins.
        harmful: Reports with a harmful action, over all.
        more_invasive: Verdicts whose action is harder than the rules' own.
        less_grave: Verdicts that are less grave than the rules' own.
        by_model: Verdicts whose fault only the model named.
        grounded: Claims of the model that stand, of all that it made.
        lies_passed: Made-up claims that stand, of all that were made up.
        lies_passed_by_kind: Which they were.
        repaired: Calls and arguments that were put into form.
        leaks_before, leaks_after: Answers with a call left in the text, and those of them that gave no call.
        asked_again: Conclusions that had to be asked for a second time.
        rejected: Investigations without a usable opinion.
        tokens_median, tokens_p95: In and out, of one investigation; characters / 4.
        steps_median: Answers of the model in one investigation.
    """

    model: str
    fault: Rate
    twin_right: Rate
    harmful: Rate
    more_invasive: int = 0
    less_grave: int = 0
    verdicts: int = 0
    by_model: int = 0
    grounded: Rate = Rate(count=0, total=0)
    lies_passed: Rate = Rate(count=0, total=0)
    lies_passed_by_kind: dict[str, int] = Field(default_factory=dict)
    repaired: int = 0
    leaks_before: int = 0
    leaks_after: int = 0
    asked_again: int = 0
    rejected: Rate = Rate(count=0, total=0)
    tokens_median: int | None = None
    tokens_p95: int | None = None
    steps_median: float | None = None


class SimulatedReport(Border):
    """`daytwo.simulated/1`."""

    schema_: Literal["daytwo.simulated/1"] = Field("daytwo.simulated/1", alias="schema")
    scenarios: int
    seed: int
    rules: ModelRow
    models: list[ModelRow]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


@dataclass
class _Tally:
    """What one model came to so far."""

    name: str
    model: Simulated | None = None
    scores: list[tuple[bool, Score]] = field(default_factory=list)
    pairs: list[tuple[Verdict, Verdict]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    claims: list[tuple[str, bool]] = field(default_factory=list)


def run_simulated(
    names: Sequence[str], scenario_ids: Sequence[str] = (), *, seed: int = 1, folder: Path = SCENARIO_FOLDER
) -> SimulatedReport:
    """Run every scenario and its twin with each model.

    Args:
        names: Of `evals.simulated.MODELS`; ``all`` means all of them.
        scenario_ids: Only these; all where empty.
        seed: Of every choice.
        folder: Where the scenarios stand.

    Raises:
        OperatorError: A model or a scenario that was asked for does not exist.
    """
    chosen = list(dict.fromkeys(one for name in names for one in (MODELS if name == "all" else [name])))
    if unknown := [name for name in chosen if name not in MODELS]:
        raise OperatorError(f"There is no simulated model {unknown[0]!r}.", fix=f"--simulated {'|'.join(MODELS)}|all")
    scenarios = load_scenarios(folder, scenario_ids)
    rules = _Tally(RULES)
    tallies = [_Tally(name, Simulated(MODELS[name], seed)) for name in chosen]
    for scenario in scenarios:
        for truth, facts, is_twin in _read_cases(scenario):
            own = triage(facts, site=SitePolicy(), now=FROZEN_NOW)
            rules.scores.append((is_twin, score_report(own, truth, is_twin=is_twin)))
            for tally in tallies:
                _run_case(tally, facts, truth, own, is_twin=is_twin)
    return SimulatedReport(
        scenarios=len(scenarios), seed=seed, rules=_build_row(rules), models=[_build_row(one) for one in tallies]
    )


def _read_cases(scenario: Scenario) -> Iterable[tuple[Truth, Facts, bool]]:
    yield scenario.truth, read_evidence(scenario.evidence), False
    yield scenario.twin.truth, read_evidence(scenario.twin.evidence), True


def _run_case(tally: _Tally, facts: Facts, truth: Truth, own: TriageReport, *, is_twin: bool) -> None:
    assert tally.model is not None, "rules alone are run once, by themselves"
    backend = ScriptedBackend(tally.model)

    def look(case: Case, book: EvidenceBook) -> Verdict:
        terms = Terms(SitePolicy(), Budget(), FROZEN_NOW)
        context = ToolContext(facts, book)
        return investigate(case, context, library=None, backend=backend, terms=terms, record=tally.runs.append)

    report = triage(facts, site=SitePolicy(), now=FROZEN_NOW, investigator=look)
    tally.scores.append((is_twin, score_report(report, truth, is_twin=is_twin)))
    rules = {verdict.case_id: verdict for verdict in own.verdicts}
    tally.pairs += [(verdict, rules[verdict.case_id]) for verdict in report.verdicts]
    for verdict in report.verdicts:
        ours = {claim.text for claim in rules[verdict.case_id].claims}
        tally.claims += [(claim.text, claim.verified) for claim in verdict.claims if claim.text not in ours]


def _build_row(tally: _Tally) -> ModelRow:
    ill = [score.fault_right for is_twin, score in tally.scores if not is_twin]
    twins = [score.fault_right for is_twin, score in tally.scores if is_twin]
    base = ModelRow(
        model=tally.name,
        fault=build_rate(sum(ill), len(ill)),
        twin_right=build_rate(sum(twins), len(twins)),
        harmful=build_rate(sum(score.harmful for _, score in tally.scores), len(tally.scores)),
    )
    if tally.model is None:
        return base
    lies = [(tally.model.lies[text], stands) for text, stands in tally.claims if text in tally.model.lies]
    repairs = Counter[str]()
    for run in tally.runs:
        repairs.update(run.repairs)
    asked_again = repairs.pop("conclusion_asked_again", 0)
    before, after = _count_leaks(tally.runs, tally.model.leaked)
    tokens = sorted(run.usage.tokens_in + run.usage.tokens_out for run in tally.runs)
    added = {
        "more_invasive": sum(ACTION_RANK[one.action] > ACTION_RANK[own.action] for one, own in tally.pairs),
        "less_grave": sum(SEVERITY_RANK[one.severity] < SEVERITY_RANK[own.severity] for one, own in tally.pairs),
        "verdicts": len(tally.pairs),
        "by_model": sum(one.decided_by == "model" for one, _ in tally.pairs),
        "grounded": build_rate(sum(stands for _, stands in tally.claims), len(tally.claims)),
        "lies_passed": build_rate(sum(stands for _, stands in lies), len(lies)),
        "lies_passed_by_kind": dict(Counter(kind for kind, stands in lies if stands)),
        "repaired": sum(repairs.values()),
        "leaks_before": before,
        "leaks_after": after,
        "asked_again": asked_again,
        "rejected": build_rate(sum(bool(run.rejected) for run in tally.runs), len(tally.runs)),
        "tokens_median": round(median(tokens)) if tokens else None,
        "tokens_p95": round(quantiles(tokens, n=20)[-1]) if len(tokens) > 1 else None,
        "steps_median": median(run.usage.calls for run in tally.runs) if tally.runs else None,
    }
    return base.model_copy(update=added)


def _count_leaks(runs: Iterable[Run], leaked: Mapping[str, str]) -> tuple[int, int]:
    """Answers with a call left in the text, and those of which no call was made; every reply has its own message."""
    before = after = 0
    for run in runs:
        spoken = [message for message in run.messages if message["role"] == "assistant"]
        for reply, message in zip(run.replies, spoken, strict=False):
            before += reply.text in leaked
            after += reply.text in leaked and not message.get("tool_calls")
    return before, after


def render_simulated(report: SimulatedReport, console: Console) -> None:
    """Print two tables: what came out, and what it cost; a row a model, the rules first."""
    console.print(
        f"{report.scenarios} scenarios with their healthy twins, seed {report.seed}, 95% Wilson intervals",
        soft_wrap=True,
    )
    came = start_table(["", "fault right", "twin right", "harmful", "harder", "quieter", "by model", "no opinion"])
    for row in (report.rules, *report.models):
        judged = [str(row.more_invasive), str(row.less_grave), str(row.by_model)] if row.verdicts else ["-"] * 3
        rates = [render_rate(rate) for rate in (row.fault, row.twin_right, row.harmful)]
        came.add_row(row.model, *rates, *judged, _spell(row.rejected))
    cost = start_table(
        ["", "claims stand", "lies passed", "repaired", "leaks", "left", "asked again", "steps", "tokens", "p95"]
    )
    for row in report.models:
        cost.add_row(
            row.model, _spell(row.grounded), _spell(row.lies_passed), str(row.repaired), str(row.leaks_before),
            str(row.leaks_after), str(row.asked_again), f"{row.steps_median:g}" if row.steps_median else "-",
            str(row.tokens_median or "-"), str(row.tokens_p95 or "-"),
        )  # fmt: skip
    console.print(came, cost)
    passed = Counter[str]()
    for row in report.models:
        passed.update(row.lies_passed_by_kind)
    if passed:
        told = ", ".join(f"{kind} {count}" for kind, count in passed.most_common())
        console.print(f"made-up claims that stand, by kind: {told}", soft_wrap=True)


def _spell(rate: Rate) -> str:
    return f"{rate.count}/{rate.total}" if rate.total else "-"
