"""One screen for the first verdict: what, where, how sure, what to do, on which evidence. The rest is a command away.

A command stands on a line of its own making, never wrapped by us: what a terminal wraps is copied whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.types import EvidenceRow, PlanStep, TriageReport, Verdict
from serve.render import (
    LABEL_WIDTH,
    cut_words,
    render_claim,
    render_coverage,
    render_do,
    render_head,
    render_lines,
    render_model,
    render_quote,
    strike_said,
)

SCREEN_LINES = 24
"""Lines of the classic terminal: so many hold the first verdict at 80 columns."""
NEXT_STEP = re.compile(r" Next: [\w ,]+\.$")
MAX_SUMMARY = 300
MAX_QUOTE = 200
MAX_REASON = 150
MAX_NAMES = 140
MANY_STEPS = 3
"""From so many steps before the remedy on, one piece of evidence is shown in place of two."""
BRIEF_VERDICTS = 3
"""So many more verdicts keep their summary; the others are a line each."""


def render_pages(report: TriageReport, *, kept: bool) -> Group:
    """Render a triage on as little room as it takes: the first verdict as a page, a few in brief, the rest as lines.

    Args:
        report: What was found.
        kept: Whether `daytwo explain` can show the verdicts again; else `--full` is named.
    """
    first, *others = report.verdicts
    parts: list[RenderableType] = [render_page(first, kept=kept), Text()]
    for verdict in others[:BRIEF_VERDICTS]:
        parts += [_brief(verdict, kept=kept), Text()]
    if others[BRIEF_VERDICTS:]:
        parts += [render_lines(others[BRIEF_VERDICTS:]), Text()]
    if report.coverage:
        parts.append(render_coverage(report.coverage, brief=True))
    return Group(*parts)


def render_page(verdict: Verdict, *, kept: bool) -> Group:
    """Render one verdict on one screen.

    Args:
        verdict: Any.
        kept: Whether `daytwo explain` can show it again.
    """
    parts: list[RenderableType] = [render_head(verdict), _summary(verdict)]
    parts.append(_section("do", render_do(verdict)))
    parts += list(_steps(verdict))
    if verdict.evidence:
        parts.append(_section("evidence", _evidence(verdict)))
    for label, body in _tail(verdict):
        parts.append(_section(label, Text(body)))
    parts.append(_section("more", _more(verdict, kept=kept)))
    return Group(*parts)


def _brief(verdict: Verdict, *, kept: bool) -> Group:
    more = f"daytwo explain {verdict.case_id}" if kept else "--full"
    body = render_do(verdict).append(f"   {more}", "dim")
    return Group(render_head(verdict), _summary(verdict), _section("do", body))


def _summary(verdict: Verdict) -> Padding:
    return Padding(Text(_spell_summary(verdict)), (0, 0, 0, 2))


def _spell_summary(verdict: Verdict) -> str:
    """The summary without what stands around it: the subject before, and what to do behind."""
    said = NEXT_STEP.sub("", verdict.summary.removeprefix(f"{verdict.subject.entity}: "))
    return cut_words(said, MAX_SUMMARY)


def _section(label: str, body: RenderableType) -> Padding:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=LABEL_WIDTH, style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(label, body)
    return Padding(grid, (0, 0, 0, 2))


def _to_remedy(verdict: Verdict) -> tuple[list[PlanStep], list[PlanStep]]:
    """The steps up to the remedy, and those behind it."""
    at = next((i for i, step in enumerate(verdict.plan, 1) if step.action == verdict.action), len(verdict.plan))
    return verdict.plan[:at], verdict.plan[at:]


def _steps(verdict: Verdict) -> Iterator[RenderableType]:
    before, behind = _to_remedy(verdict)
    width = max((len(step.action) for step in before), default=0)
    said: list[str] = []
    for step in before:
        text = Text.assemble("  ", (f"{step.step:>2} ", "dim"), (f"{step.action:{width}}", "bold"))
        if step.command:
            text.append(f"  $ {step.command}", "cyan")
        elif step.target != verdict.subject.entity:
            text.append(f"  {step.target}")
        text.no_wrap, text.overflow = True, "ignore"
        yield text
        if condition := strike_said(step.precondition, said):
            yield Padding(Text(f"— {condition}", "yellow"), (0, 0, 0, width + 7))
    if behind:
        yield Padding(Text(f"then {', '.join(step.action for step in behind)}", "dim"), (0, 0, 0, 5))


def _evidence(verdict: Verdict) -> Group:
    shown = 1 if len(_to_remedy(verdict)[0]) > MANY_STEPS else 2
    rows = _first_of_each_source(verdict.evidence)[:shown]
    lines = [
        Text.assemble((f"{row.id} ", "dim"), (row.source, "underline"), "  ", (render_quote(row, MAX_QUOTE), "green"))
        for row in rows
    ]
    more = len(verdict.evidence) - len(rows)
    return Group(*lines, *([Text(f"and {more} more", "dim")] if more else []))


def _first_of_each_source(rows: Sequence[EvidenceRow]) -> list[EvidenceRow]:
    """The order of the verdict, but a second file before a second line of the first one."""
    first = {row.source.rpartition(":")[0]: row for row in reversed(rows)}
    return sorted(rows, key=lambda row: row not in first.values())


def _tail(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.consequences:
        names = [f"{item.fault} x{item.count} on {item.entity}" for item in verdict.consequences]
        yield "explains", cut_words(", ".join(names), MAX_NAMES)
    touched = [f"{item.entity} ({item.role})" for item in verdict.affected if item.role in ("culprit", "victim")]
    if touched:
        yield "affected", cut_words(", ".join(touched), MAX_NAMES)
    if verdict.alternatives:
        yield "or else", cut_words(", ".join(other.fault for other in verdict.alternatives), MAX_NAMES)
    if verdict.decided_by != "rules":
        yield "decided", f"by {verdict.decided_by}"
    if verdict.reason:
        yield "because", cut_words(verdict.reason, MAX_REASON)


def _more(verdict: Verdict, *, kept: bool) -> Text:
    text = Text.assemble((f"daytwo explain {verdict.case_id}" if kept else "the same with --full", "cyan"))
    if verdict.runbook:
        text.append("  ").append(f"daytwo runbook {verdict.runbook.id}", "cyan")
    return text


def render_opinions(rules: TriageReport, report: TriageReport) -> Group | None:
    """Render what a model added to the verdicts of the rules; None where none was asked.

    Args:
        rules: What the rules said, and a person has before them.
        report: The same with a model in the seat.
    """
    before = {verdict.case_id: verdict for verdict in rules.verdicts}
    pairs = [(before.get(verdict.case_id, verdict), verdict) for verdict in report.verdicts]
    heard = [(old, new) for old, new in pairs if new.decided_by != "rules"]
    unheard = [(old, new) for old, new in pairs if new.decided_by == "rules" and new.reason != old.reason]
    if not heard and not unheard:
        return None
    parts: list[RenderableType] = [Text("The model", "bold")]
    for old, new in heard:
        parts += _opinion(old, new)
    for why in dict.fromkeys(new.reason or "" for _, new in unheard):
        alike = [(old, new) for old, new in unheard if new.reason == why]
        subjects = ", ".join(new.subject.entity for _, new in alike)
        parts.append(_section("not used", Text(f"{why}\nthe rules' verdict stands: {subjects}", "yellow")))
        parts += [_section("claims", _claims(old, new)) for old, new in alike if new.claims[len(old.claims) :]]
    return Group(*parts)


def _opinion(old: Verdict, new: Verdict) -> Iterator[RenderableType]:
    said = "agrees" if new.fault == old.fault else "names"
    text = Text.assemble(f"{said}: ", (new.fault, "bold"), f" on {new.subject.entity}, {new.confidence}")
    if new.action != old.action:
        text.append(f"; action now {new.action}, the rules said {old.action}")
    yield _section("opinion", text)
    if new.summary != old.summary:
        yield _section("", Text(_spell_summary(new)))
    if new.claims[len(old.claims) :]:
        yield _section("claims", _claims(old, new))
    yield _section("by", render_model(new))


def _claims(old: Verdict, new: Verdict) -> Group:
    """The claims of the model alone; its handles are spelled as places, for the page before may number otherwise."""
    places = {row.id: row.source for row in new.evidence}
    own = [
        claim.model_copy(update={"evidence": [places.get(handle, handle) for handle in claim.evidence]})
        for claim in new.claims[len(old.claims) :]
    ]
    return Group(*[render_claim(claim) for claim in own])
