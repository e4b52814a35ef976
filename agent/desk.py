"""What a conversation is about: the verdicts, the facts behind them, and one book that numbers all their evidence.

Every triage numbers its own evidence from e1 on; on a desk lie several, so their handles are given anew. A verdict is
evidence itself: what policy decided may be cited, and nothing else may be advised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from agent.ground import Lookup
from agent.types import CoverageRow, EvidenceRow, TriageReport, Verdict
from prompts.render import render_prompt
from tools.evidence import EvidenceBook
from tools.lookup import EntityIndex
from tools.past import PastCase
from tools.tool import ToolContext, show_evidence
from tools.types import NO_MOMENT, Facts, Moment, Quote

FULL_CASES = 3
ROWS_OF_A_FULL_CASE = 4
MAX_CASES = 12
MAX_MISSING = 8
MAX_VERDICT_CHARACTERS = 900
"""So much of a brief's room is one verdict worth (a guess: a summary and a plan of five steps)."""


_NEXT = re.compile(r" Next: [\w ,]+\.$")


@dataclass(frozen=True)
class Desk:
    """What lies before who asks.

    Attributes:
        verdicts: The gravest first; their handles are those of the book.
        handles: Case id to the handle of the verdict itself.
        origin: Where it came from, in words.
        past: Earlier verdicts; None where none are kept.
        beside: What is known besides and was not judged.
    """

    facts: Facts = field(default_factory=Facts)
    book: EvidenceBook = field(default_factory=EvidenceBook)
    verdicts: tuple[Verdict, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()
    handles: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    past: tuple[PastCase, ...] | None = None
    beside: Facts | None = None

    @property
    def context(self) -> ToolContext:
        """What tools may look at."""
        return ToolContext(self.facts, self.book, self.past, self.beside)

    @property
    def actions(self) -> frozenset[str]:
        """All that policy decided; nothing else may be advised."""
        told = ((one.action, one.follow_up, *(step.action for step in one.plan)) for one in self.verdicts)
        return frozenset(action for actions in told for action in actions)

    @cached_property
    def lookup(self) -> Lookup:
        """Finds what stands behind a piece of evidence."""
        return Lookup(self.book, self.context.everything)

    @cached_property
    def index(self) -> EntityIndex:
        """Finds entities by what they are called."""
        return EntityIndex(self.facts)

    @cached_property
    def brief(self) -> str:
        """The brief of the conversation, which does not change while it is on this desk."""
        return build_desk_brief(self)

    def find(self, case: str) -> Verdict | None:
        """The verdict on a case: by its id, the beginning of it, or its place on the desk from 1 on."""
        if case.isdecimal():
            return self.verdicts[int(case) - 1] if 0 < int(case) <= len(self.verdicts) else None
        return next((one for one in self.verdicts if case and one.case_id.startswith(case)), None)


def lay_out(desk: Desk, report: TriageReport, facts: Facts, *, origin: str = "") -> Desk:
    """Lay a triage on a desk, before what lies there; a case that lies there already is replaced."""
    book = desk.book
    fresh = tuple(renumber(verdict, book) for verdict in report.verdicts)
    handles = {**desk.handles, **{one.case_id: cite_verdict(one, book) for one in fresh}}
    known = {one.case_id for one in fresh}
    return Desk(
        desk.facts + facts,
        book,
        (*fresh, *(one for one in desk.verdicts if one.case_id not in known)),
        (*report.coverage, *desk.coverage),
        handles,
        "; ".join(filter(None, [desk.origin, origin])),
    )


def renumber(verdict: Verdict, book: EvidenceBook) -> Verdict:
    """Give the evidence of a verdict the handles of a book."""
    new = {row.id: add_row(row, book) for row in verdict.evidence}

    def rename(handles: Iterable[str]) -> list[str]:
        return [new[handle] for handle in handles if handle in new]

    return verdict.model_copy(
        update={
            "evidence": [row.model_copy(update={"id": new[row.id]}) for row in verdict.evidence],
            "claims": [one.model_copy(update={"evidence": rename(one.evidence)}) for one in verdict.claims],
            "consequences": [one.model_copy(update={"evidence": rename(one.evidence)}) for one in verdict.consequences],
        }
    )


def add_row(row: EvidenceRow, book: EvidenceBook) -> str:
    """Number a piece of evidence of a verdict, and return its handle."""
    start, end = map(_read_moment, row.span or ("", ""))
    return book.add(Quote(row.source, None, row.quote), start=start, end=end, values=row.values).id


def cite_verdict(verdict: Verdict, book: EvidenceBook) -> str:
    """Number the verdict itself, and return its handle."""
    return book.add(Quote(f"verdict {verdict.case_id}", None, spell_verdict(verdict))).id


def spell_verdict(verdict: Verdict) -> str:
    """Spell what was found and what policy decided, as one text."""
    then = f", then {verdict.follow_up}" if verdict.follow_up not in ("none", verdict.action) else ""
    plan = "; ".join(
        f"{step.step}. {step.action} {step.target}{f': {step.command}' if step.command else ''}"
        f"{f' ({step.precondition})' if step.precondition else ''}"
        for step in verdict.plan
    )
    parts = [
        f"{verdict.fault} on {verdict.subject.entity}, {verdict.status}, {verdict.confidence}, {verdict.severity}.",
        _NEXT.sub("", verdict.summary),
        f"Do {verdict.action}, urgency {verdict.urgency}{then}.",
        f"Plan: {plan}." if plan else "",
        f"Explains {', '.join(f'{one.fault} on {one.entity}' for one in verdict.consequences)}."
        if verdict.consequences
        else "",
        f"Or else {', '.join(other.fault for other in verdict.alternatives)}." if verdict.alternatives else "",
    ]
    return " ".join(filter(None, parts))


def build_desk_brief(desk: Desk) -> str:
    """Render the brief of a conversation: the cases, their first evidence, and what was not read."""
    rows: list[str] = []
    for place, verdict in enumerate(desk.verdicts[:MAX_CASES]):
        told = spell_verdict(verdict)[: MAX_VERDICT_CHARACTERS if place < FULL_CASES else MAX_VERDICT_CHARACTERS // 3]
        rows.append(f"[{desk.handles[verdict.case_id]}] verdict {verdict.case_id} | {told}")
        shown = verdict.evidence[: ROWS_OF_A_FULL_CASE if place < FULL_CASES else 1]
        rows += [show_evidence(one) for one in map(desk.book.find, (row.id for row in shown)) if one is not None]
    missing = [row for row in desk.coverage if row.status in ("missing", "partial")]
    return render_prompt(
        "chat_brief",
        cases=len(desk.verdicts),
        cases_shown=min(len(desk.verdicts), MAX_CASES),
        rows="\n".join(rows) or "no case is known",
        missing=missing[:MAX_MISSING],
        missing_total=len(missing),
    )


def _read_moment(time: str) -> Moment:
    return Moment("utc", datetime.fromisoformat(time).timestamp()) if time else NO_MOMENT
