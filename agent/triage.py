"""The main job: facts in, verdicts out, the primary one first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from agent.judge import judge
from agent.policy import SitePolicy
from agent.types import SEVERITY_RANK, Case, CoverageRow, TriageReport, Verdict
from agent.verdicts import build_verdict
from tools.errors import DaytwoError
from tools.evidence import EvidenceBook
from tools.types import Coverage, Facts

Investigator = Callable[[Case, EvidenceBook], Verdict]
"""Sits between a case and its verdict: the graph with a model, or nothing."""

META_FAULTS = frozenset({"healthy", "benign", "unknown", "not_applicable"})


def triage(facts: Facts, *, site: SitePolicy, now: datetime, investigator: Investigator | None = None) -> TriageReport:
    """Judge facts by rules, and let an investigator look at what is wrong or open.

    Args:
        facts: What a source read.
        site: Whose commands the plans show.
        now: The time that the verdicts carry.
        investigator: Asked once for each case with evidence; None means rules alone.
    """
    book = EvidenceBook()
    verdicts = []
    for case in judge(facts):
        asks = investigator is not None and (case.primary.quotes or case.primary.fault == "unknown")
        if asks and investigator is not None:
            verdicts.append(investigator(case, book))
        else:
            verdicts.append(build_verdict(case, book, facts=facts, site=site, now=now))
    coverage = [
        CoverageRow(entity=row.entity, domain=row.domain, status=row.status, reason=row.reason, fix=row.fix)
        for row in facts.coverage
    ]
    return TriageReport(verdicts=verdicts, coverage=coverage)


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
