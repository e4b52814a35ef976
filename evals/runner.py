"""Run scenarios on backends: the same frozen evidence and the same frozen time for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from agent.policy import SitePolicy
from agent.settings import Settings
from agent.triage import triage
from agent.types import TriageReport
from evals.scenario import SCENARIO_FOLDER, EvidenceFile, Scenario, Truth, load_scenarios, write_evidence
from evals.score import Score, score_report, score_unread
from evals.seats import RULES, Seat, WatchedBackend, open_seat
from tools.errors import DaytwoError, OperatorError
from tools.sources.recording import RecordingSource

if TYPE_CHECKING:
    from evals.report import EvalReport

FROZEN_NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""The time of every run: verdicts of two backends differ in nothing that the clock did."""
MAX_EVIDENCE_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class RunResult:
    """One scenario or twin on one backend, once. Without a score the run was spoiled by infrastructure."""

    scenario: str
    twin: bool
    backend: str
    repeat: int
    seconds: float
    report: TriageReport | None = None
    score: Score | None = None
    infrastructure_error: str = ""


def run_eval(
    backends: Sequence[str] = (RULES,),
    repeats: int = 1,
    scenario_ids: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    folder: Path = SCENARIO_FOLDER,
) -> EvalReport:
    """Run the scenarios and their twins on each backend, k times, and count.

    Args:
        backends: ``rules``, ``rules@graph`` or URL#NAME.
        repeats: How often each case runs on each backend.
        scenario_ids: Only these; all where empty.
        settings: Limits and key of a model endpoint; needed by no backend of rules.
        folder: Where the scenarios stand.

    Raises:
        OperatorError: A scenario or a backend that was asked for does not exist.
    """
    from evals.report import build_eval_report

    scenarios = load_scenarios(folder, scenario_ids)
    seats = [open_seat(name, settings) for name in backends]
    results = [result for seat in seats for result in _run_seat(seat, scenarios, repeats)]
    return build_eval_report(results, repeats=repeats)


PLAYED: tuple[str, ...] = ("careful", "bad", "wrong", "obedient")
"""Models that `daytwo eval --scripted all` plays: what a good one finds, and what bad ones must not bring about."""


def run_scripted_eval(
    scripts: Sequence[str], repeats: int = 1, scenario_ids: Sequence[str] = (), *, settings: Settings | None = None
) -> EvalReport:
    """Run the scenarios with scripted models in the seat, each behind a real socket, beside the rules alone.

    Args:
        scripts: Names of scripts; ``all`` means `PLAYED`.
        repeats: How often each case runs on each.
        scenario_ids: Only these; all where empty.
        settings: Limits of an investigation.

    Raises:
        OperatorError: A script or a scenario that was asked for does not exist.
    """
    from evals.report import build_eval_report
    from evals.scripted import ScriptedServer
    from evals.scripts import SCRIPTS

    names = list(dict.fromkeys(name for script in scripts for name in (PLAYED if script == "all" else [script])))
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        raise OperatorError(f"There is no scripted model {unknown[0]!r}.", fix=f"--scripted {'|'.join(SCRIPTS)}|all")
    scenarios = load_scenarios(SCENARIO_FOLDER, scenario_ids)
    results = list(_run_seat(open_seat(RULES), scenarios, repeats))
    for name in names:
        with ScriptedServer(name) as server:
            seat = replace(open_seat(server.spec, settings), name=f"scripted:{name}")
            results += _run_seat(seat, scenarios, repeats)
    return build_eval_report(results, repeats=repeats)


def _run_seat(seat: Seat, scenarios: Sequence[Scenario], repeats: int) -> Iterator[RunResult]:
    for scenario in scenarios:
        for repeat in range(1, repeats + 1):
            yield from run_scenario(scenario, seat, repeat)


def run_scenario(scenario: Scenario, seat: Seat, repeat: int = 1) -> tuple[RunResult, RunResult]:
    """Run a scenario and its healthy twin; the truths are read only after each triage is over."""
    ill = _run_case(scenario.id, scenario.evidence, seat, repeat, truth=scenario.truth, is_twin=False)
    return ill, _run_case(scenario.id, scenario.twin.evidence, seat, repeat, truth=scenario.twin.truth, is_twin=True)


def _run_case(
    name: str, evidence: Sequence[EvidenceFile], seat: Seat, repeat: int, *, truth: Truth, is_twin: bool
) -> RunResult:
    watched = WatchedBackend(seat.backend) if seat.backend is not None else None
    started = perf_counter()
    try:
        report = triage_evidence(evidence, seat, watched)
    except OperatorError as error:
        return RunResult(name, is_twin, seat.name, repeat, perf_counter() - started, score=score_unread(str(error)))
    except (DaytwoError, OSError) as error:
        return RunResult(name, is_twin, seat.name, repeat, perf_counter() - started, infrastructure_error=str(error))
    seconds = perf_counter() - started
    if watched is not None and watched.errors:
        # The rules' verdict stands in the report, but it is no answer of the model: it is kept and not scored.
        return RunResult(name, is_twin, seat.name, repeat, seconds, report, infrastructure_error=watched.errors[0])
    return RunResult(name, is_twin, seat.name, repeat, seconds, report, score_report(report, truth, is_twin=is_twin))


def triage_evidence(
    evidence: Sequence[EvidenceFile], seat: Seat, watched: WatchedBackend | None = None, *, now: datetime = FROZEN_NOW
) -> TriageReport:
    """Triage texts as a person would: written to a folder with an opaque name, read by the recording source.

    Args:
        evidence: Paths and texts, and no truth.
        seat: Who decides.
        watched: The seat's backend under watch; None where the judge alone decides.
        now: Time of the verdicts.
    """
    with tempfile.TemporaryDirectory(prefix="t") as name:
        write_evidence(evidence, Path(name))
        return triage_paths([Path(name)], seat, watched, now=now)


def triage_paths(
    paths: Sequence[Path], seat: Seat, watched: WatchedBackend | None = None, *, now: datetime = FROZEN_NOW
) -> TriageReport:
    """Triage files or folders at the frozen time; a model alone is asked in place of everything else."""
    if seat.alone and watched is not None:
        from evals.alone import answer_alone

        return answer_alone(watched, paths, now)
    facts = RecordingSource(paths, max_bytes=MAX_EVIDENCE_BYTES).read_facts()
    look = seat.build_investigator(facts, watched, now) if watched is not None else None
    return triage(facts, site=SitePolicy(), now=now, investigator=look)
