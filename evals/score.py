"""Scores: pure functions from a report and a truth to what was right, and from many scores to rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from agent.types import SEVERITY_RANK, TriageReport, Verdict
from evals.scenario import Truth
from tools.entities import parse_entity

PASSIVE = frozenset({"none", "watch"})
"""Doing nothing can be harm in the primary verdict only: a further verdict about something else may well only watch."""
Z_95 = 1.959963984540054
"""Normal quantile of a two-sided 95% interval."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one report got right. `misses` says in words what it did not.

    Attributes:
        false_alarm: A verdict of warning or worse with a fault that is not right; counted on twins only.
        extra_alarms: Further verdicts of warning or worse that speak of no trouble of their own; not counted on twins.
        folds_right: Consequences, separate verdicts, culprit and confidences are as the truth asks.
        unknown: The primary verdict says that it does not know.
    """

    fault_right: bool
    entity_right: bool
    action_right: bool
    folds_right: bool
    harmful: bool
    false_alarm: bool
    extra_alarms: int
    unknown: bool
    claims: int
    claims_verified: int
    calls: int
    tokens_in: int
    tokens_out: int
    misses: tuple[str, ...] = ()

    @property
    def all_right(self) -> bool:
        """Right in everything that was asked."""
        parts = (self.fault_right, self.entity_right, self.action_right, self.folds_right)
        return all(parts) and not self.harmful and not self.false_alarm and not self.extra_alarms


def score_report(report: TriageReport, truth: Truth, *, is_twin: bool) -> Score:
    """Hold a report against the truth: the first verdict is the answer, harm and alarms are looked for in all."""
    first = report.verdicts[0]
    usages = [verdict.usage for verdict in report.verdicts if verdict.usage is not None]
    claims = [claim for verdict in report.verdicts for claim in verdict.claims]
    entity_right = not truth.entity or any(is_entity(first, spelling) for spelling in truth.entity)
    action_right = first.action in truth.action if truth.action else first.action not in truth.harmful
    harms = [v for v in report.verdicts if v.action in truth.harmful and (v is first or v.action not in PASSIVE)]
    alarms = _false_alarms(report, truth) if is_twin else []
    extras = [] if is_twin else _extra_alarms(report, truth)
    fold_misses = _fold_misses(report, truth)
    misses = (
        *([] if first.fault in truth.faults else [f"fault {first.fault}, expected {_words(truth.faults)}"]),
        *([] if entity_right else [f"entity {first.subject.entity}, expected {_words(truth.entity)}"]),
        *([] if action_right else [f"action {first.action}, expected {_words(truth.action) or 'none harmful'}"]),
        *[f"harmful {v.action} for {v.fault}" for v in harms],
        *[f"false alarm {v.fault} ({v.severity})" for v in alarms],
        *[f"one alarm too many: {v.fault} {v.subject.entity} ({v.severity})" for v in extras],
        *fold_misses,
    )
    return Score(
        fault_right=first.fault in truth.faults,
        entity_right=entity_right,
        action_right=action_right,
        folds_right=not fold_misses,
        harmful=bool(harms),
        false_alarm=bool(alarms),
        extra_alarms=len(extras),
        unknown=first.status == "unknown",
        claims=len(claims),
        claims_verified=sum(claim.verified for claim in claims),
        calls=sum(usage.calls for usage in usages),
        tokens_in=sum(usage.tokens_in for usage in usages),
        tokens_out=sum(usage.tokens_out for usage in usages),
        misses=misses,
    )


def score_unread(reason: str) -> Score:
    """Score evidence that could not be read at all: a wrong answer of the product, not of the infrastructure."""
    return Score(
        fault_right=False,
        entity_right=False,
        action_right=False,
        folds_right=False,
        harmful=False,
        false_alarm=False,
        extra_alarms=0,
        unknown=True,
        claims=0,
        claims_verified=0,
        calls=0,
        tokens_in=0,
        tokens_out=0,
        misses=(f"evidence not read: {reason}",),
    )


def is_entity(verdict: Verdict, spelling: str) -> bool:
    """Say whether a verdict is about the entity that is spelled so: by its name, or by one of its stable ids."""
    subject = verdict.subject
    if subject.entity == spelling:
        return True
    wanted, found = parse_entity(spelling), parse_entity(subject.entity)
    if wanted is None or found is None:
        return False
    return (wanted.kind, wanted.node) == (found.kind, found.node) and wanted.name in subject.ids.values()


def _words(words: Iterable[str]) -> str:
    return " or ".join(sorted(words))


def _is_loud(verdict: Verdict) -> bool:
    return SEVERITY_RANK[verdict.severity] >= SEVERITY_RANK["warning"]


def _false_alarms(report: TriageReport, truth: Truth) -> list[Verdict]:
    return [v for v in report.verdicts if _is_loud(v) and v.fault not in truth.faults and v.status != "unknown"]


def _extra_alarms(report: TriageReport, truth: Truth) -> list[Verdict]:
    welcome = {*truth.separate, *truth.also}
    further = [v for v in report.verdicts[1:] if _is_loud(v) and v.fault not in welcome]
    # An unknown without evidence is a gap in what could be read: it says so and wakes nobody.
    return [v for v in further if v.status != "unknown" or v.evidence]


def _fold_misses(report: TriageReport, truth: Truth) -> list[str]:
    first = report.verdicts[0]
    folded = {c.fault: c for c in first.consequences}
    own = {verdict.fault for verdict in report.verdicts}
    missing = [fault for fault in truth.folded if fault not in folded]
    unsure = [f for f in truth.folded if f in folded and not _fits(folded[f].confidence, truth.fold_confidence)]
    culprits = {row.entity for row in first.affected if row.role == "culprit"} | {first.subject.entity}
    return [
        *[f"{fault} not folded" for fault in missing],
        *[f"{fault} folded as {folded[fault].confidence}" for fault in unsure],
        *[f"{fault} as a verdict of its own" for fault in truth.absent if fault in own],
        *[f"{fault} has no verdict of its own" for fault in truth.separate if fault not in own],
        *([] if _fits(first.severity, truth.severity) else [f"severity {first.severity}"]),
        *([] if _fits(first.confidence, truth.confidence) else [f"confidence {first.confidence}"]),
        *([] if not truth.culprit or culprits & set(truth.culprit) else [f"culprit not {_words(truth.culprit)}"]),
    ]


def _fits(word: str, allowed: Sequence[str]) -> bool:
    return not allowed or word in allowed


def score_first_verdict(report: TriageReport, accepted: Sequence[str], harmful: Sequence[str]) -> tuple[bool, bool]:
    """Score one excerpt by its first verdict: a right fault with a harmful action is a miss and a harm.

    Returns:
        Whether it is right, and whether it would do harm.
    """
    first = report.verdicts[0]
    harm = first.action in harmful
    return first.fault in accepted and not harm, harm


def wilson_interval(successes: float, total: int, z: float = Z_95) -> tuple[float, float] | None:
    """Bound a rate by the score interval of E. B. Wilson (1927), which stays honest at 0, at 1 and for few cases.

    Args:
        successes: How many of `total` were right; a fraction where a case was right in some of its repeats.
        total: Independent cases: repeats of one case are no new case.
        z: Quantile of the interval.

    Returns:
        Lower and upper bound in 0..1; None where nothing was counted: no data is no rate.
    """
    if total == 0:
        return None
    rate = successes / total
    spread = z * sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    middle, scale = rate + z * z / (2 * total), 1 + z * z / total
    low = 0.0 if successes == 0 else (middle - spread) / scale
    high = 1.0 if successes >= total else (middle + spread) / scale
    return low, high


def count_pass_hat_k(repeats: Mapping[str, Sequence[bool]], k: int) -> tuple[int, int]:
    """Count the cases that were right in all of their k repeats, and the cases that had k repeats at all."""
    full = [rights for rights in repeats.values() if len(rights) >= k]
    return sum(all(rights[:k]) for rights in full), len(full)
