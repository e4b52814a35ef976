"""The brief: what rules found, what is still possible, what is missing, and the evidence with its handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.gather import spell_siblings
from agent.types import Case, Suspicion
from agent.verdicts import cite_case
from prompts.render import render_prompt
from tools.evidence import Evidence, EvidenceBook
from tools.tool import show_evidence
from tools.types import Coverage, Facts

MAX_PRIMARY_ROWS = 12
MAX_CONSEQUENCE_ROWS = 2
MAX_CONSEQUENCES = 8
MAX_MISSING = 10
WEIGHT_WORDS = {"settles": "settles it", "indicates": "points there", "weak": "is weak"}


def build_brief(
    case: Case,
    facts: Facts,
    book: EvidenceBook,
    possible: Mapping[str, str],
    *,
    steps: int,
    unavailable: Sequence[str] = (),
) -> str:
    """Render the brief of one case; numbers its evidence in the book.

    Args:
        case: The case as rules see it.
        facts: For the coverage: what was not read.
        book: Evidence book of the triage.
        possible: Fault id to why it is still possible.
        steps: How many steps the investigator has.
        unavailable: Tools that have nothing to read in this case.
    """
    # Numbered as in the verdict first, so that its handles are the same whoever sits in the seat.
    cite_case(case, book)
    rows = number_suspicion(book, case.primary)[:MAX_PRIMARY_ROWS]
    total = len(case.primary.quotes)
    for folded in case.consequences[:MAX_CONSEQUENCES]:
        numbered = number_suspicion(book, folded.suspicion, limit=MAX_CONSEQUENCE_ROWS)
        total += len(folded.suspicion.quotes)
        rows += [(evidence, f"{words} consequence") for evidence, words in numbered]
    missing = [row for row in facts.coverage if row.status in ("missing", "partial")]
    spoken = filter(None, [spell_siblings(case)])
    return render_prompt(
        "brief",
        subject=case.primary.entity,
        fault=case.primary.fault,
        confidence=case.confidence,
        weight=WEIGHT_WORDS[case.primary.weight],
        notes=list(dict.fromkeys([*case.notes, *case.primary.notes, *spoken, *case.primary.doubts])),
        consequences=_tell_consequences(case),
        possible=_group_by_reason(possible),
        missing=_tell_missing(missing),
        evidence="\n".join(show_evidence(evidence, words) for evidence, words in rows) or "none",
        rows_shown=len(rows),
        rows_total=total,
        steps=steps,
        unavailable=unavailable,
    )


def number_suspicion(
    book: EvidenceBook, suspicion: Suspicion, *, limit: int = MAX_PRIMARY_ROWS
) -> list[tuple[Evidence, str]]:
    """Number what speaks for a suspicion, at most `limit` pieces; each with its entity and code, or its detector."""
    rows = [
        (book.add(event.quote, start=event.moment), f"{event.entity} {event.code}")
        for event in suspicion.events[:limit]
    ]
    for finding in suspicion.findings:
        for quote in finding.quotes[: max(limit - len(rows), 0)]:
            evidence = book.add(quote, start=finding.start, end=finding.end, values=finding.values)
            rows.append((evidence, f"{finding.entity} {finding.detector}"))
    return rows


def _tell_consequences(case: Case) -> list[dict[str, object]]:
    return [
        {
            "fault": f"{folded.suspicion.fault} ({max(len(folded.suspicion.quotes), 1)} lines)",
            "entity": folded.suspicion.entity,
            "confidence": folded.confidence,
            "why": folded.why,
        }
        for folded in case.consequences[:MAX_CONSEQUENCES]
    ]


def _group_by_reason(possible: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Put the faults that are possible for one reason on one line: an open case may have forty."""
    groups: dict[str, list[str]] = {}
    for fault, why in possible.items():
        groups.setdefault(why, []).append(fault)
    return list(groups.items())


def _tell_missing(rows: Sequence[Coverage]) -> list[Coverage]:
    return list(rows[:MAX_MISSING])
