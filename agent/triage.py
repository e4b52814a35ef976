"""The main job: facts in, verdicts out, the primary one first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from agent.gather import gather_siblings, rename_records
from agent.history import NO_PAST, OpenState, Past, Record, apply_history, find_open
from agent.judge import judge, measure_gravity
from agent.own_model import OwnModel, mark_own_models
from agent.policy import SitePolicy
from agent.remember import (
    Boot,
    Reading,
    cover_open,
    find_unseen,
    judge_records,
    mention_open,
    read_happenings,
)
from agent.types import SEVERITY_RANK, Case, CoverageRow, TriageReport, Verdict
from agent.verdicts import build_verdict, cite_case
from tools.errors import DaytwoError
from tools.evidence import EvidenceBook
from tools.types import Coverage, Facts

Investigator = Callable[[Case, EvidenceBook], Verdict]
"""Sits between a case and its verdict: the graph with a model, or nothing."""
Look = Callable[[], Verdict]
Together = Callable[[Sequence[Look]], Sequence[Verdict]]
"""Takes the looks at all cases and gives their verdicts in the same order, however many it takes at once."""


def look_in_turn(looks: Sequence[Look]) -> list[Verdict]:
    """One case after the other."""
    return [look() for look in looks]


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier triages left, and who keeps what this one leaves.

    Attributes:
        past: Records of the hosts that the facts speak of.
        remember: Called once with the records of this triage.
        boot: The present boot, of evidence that is of this machine alone.
        own: Daytwo's own models that run now, and on which GPUs.
    """

    past: Past = NO_PAST
    remember: Callable[[Sequence[Record]], None] | None = None
    boot: Boot | None = None
    own: tuple[OwnModel, ...] = ()


def triage(
    facts: Facts,
    *,
    site: SitePolicy,
    now: datetime,
    investigator: Investigator | None = None,
    memory: Memory | None = None,
    together: Together = look_in_turn,
) -> TriageReport:
    """Judge facts by rules and history, and let an investigator look at what is wrong or open.

    History is read from the facts themselves even where there is no memory: two losses in one log are two.

    Args:
        facts: What a source read.
        site: Whose commands the plans show.
        now: The time that the verdicts carry.
        investigator: Asked once for each case with evidence; None means rules alone.
        memory: What earlier triages said; None means that nothing is known of them.
        together: Holds the investigations; the order of the verdicts is that of the rules whatever it does.
    """
    memory = memory or Memory()
    judged = judge(facts)
    happened = read_happenings(judged, facts, Reading(now.timestamp(), memory.boot))
    recalled, still_open = recall(judged, memory.past.extend(happened))
    cases = gather_siblings(recalled)
    rules = partial(build_verdict, facts=facts, site=site, now=now)
    verdicts = write_verdicts(cases, rules, investigator, together)
    coverage = [
        CoverageRow(entity=row.entity, domain=row.domain, status=row.status, reason=row.reason, fix=row.fix)
        for row in facts.coverage
    ]
    if memory.remember is not None:
        memory.remember(judge_records(rename_records(happened, cases), verdicts))
    return mark_own_models(TriageReport(verdicts=verdicts, coverage=coverage + cover_open(still_open)), memory.own)


def write_verdicts(
    cases: Sequence[Case], rules: Investigator, investigator: Investigator | None, together: Together
) -> list[Verdict]:
    """Write the verdicts in the order of the cases.

    What rules cite is numbered before anybody is asked, and each investigation goes on in a book of its own: handles do
    not depend on which was faster.
    """
    book = EvidenceBook()
    written: dict[int, Verdict] = {}
    asked: list[int] = []
    for place, case in enumerate(cases):
        if investigator is not None and (case.primary.quotes or case.primary.fault == "unknown"):
            cite_case(case, book)
            asked.append(place)
        else:
            written[place] = rules(case, book)
    if investigator is not None and asked:
        looks = [
            partial(investigator, cases[place], book.branch(number, len(asked))) for number, place in enumerate(asked)
        ]
        written.update(zip(asked, together(looks), strict=True))
    return [written[place] for place in range(len(cases))]


def recall(judged: Sequence[Case], past: Past) -> tuple[tuple[Case, ...], tuple[OpenState, ...]]:
    """Let history speak: escalated notes, the gravest first again, and what is open that no case tells of.

    Args:
        judged: In the order of the judge.
        past: With the present evidence in it.
    """
    cases = [apply_history(case, past) for case in judged]
    if any(case.notes != before.notes for case, before in zip(cases, judged, strict=True)):
        # What only speaks of coverage has no quotes and stays where the judge put it.
        troubles = iter(sorted((case for case in cases if case.primary.quotes), key=measure_gravity))
        cases = [next(troubles) if case.primary.quotes else case for case in cases]
    still_open = find_unseen(find_open(past), cases)
    return mention_open(cases, still_open), still_open


def build_unread_facts(names: Sequence[str], error: DaytwoError) -> Facts:
    """Facts of input that could not be read at all: a report on them says `unknown`, why, and what to type."""
    return Facts(coverage=tuple(Coverage(name, "input", "missing", error.message, error.fix) for name in names))


def exit_code(report: TriageReport) -> int:
    """The exit code of a triage.

    Returns:
        1 where a verdict is a warning or worse, other than pure missing data; else 2 where something asked for could
        not be read; else 0.
    """
    if any(_is_trouble(verdict) for verdict in report.verdicts):
        return 1
    unread = any(row.status == "missing" or (row.status == "partial" and row.fix) for row in report.coverage)
    return 2 if unread or any(verdict.fault == "unknown" for verdict in report.verdicts) else 0


def _is_trouble(verdict: Verdict) -> bool:
    pure_gap = verdict.fault == "unknown" and not verdict.evidence
    return SEVERITY_RANK[verdict.severity] >= SEVERITY_RANK["warning"] and not pure_gap
