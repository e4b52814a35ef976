"""Verdicts for people: what is wrong, where, how sure, what to do next, and on which evidence.

No box is drawn around text: what stands here gets copied into a shell or a chat at night.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.types import Claim, Consequence, CoverageRow, EvidenceRow, RunbookRef, TriageReport, Verdict

Excerpt = Callable[[RunbookRef], str | None]

COLOUR = {"critical": "bold red", "warning": "bold yellow", "info": "bold cyan", "ok": "bold green"}
UNKNOWN_COLOUR = "bold magenta"
LABEL_WIDTH = 10
MAX_CLAIM = 240
MAX_EVIDENCE = 6
MAX_QUOTE = 400
MAX_VALUES = 6
MAX_ARGUMENTS = 90
THRESHOLD = "threshold_"
MAX_EXCERPT_LINES = 10
MAX_REASON = 200
BRIEF_READ = 4
BRIEF_UNREAD = 8
COVERAGE_COLOUR = {"read": "green", "partial": "yellow", "missing": "red", "not_applicable": "dim"}
UNREAD_ORDER = ("missing", "partial", "read", "not_applicable")
URGENCY_WORDS = {
    "now": "now",
    "job_end": "when the job ends",
    "maintenance": "at the next maintenance",
    "none": "no hurry",
}


def render_report(report: TriageReport, *, excerpt: Excerpt | None = None, full: int = 4) -> Group:
    """Render a whole triage: verdicts, primary first, then what could not be read.

    Args:
        report: What was found.
        excerpt: Gives the text of a runbook's section, or None.
        full: So many verdicts in full, the others in a line each.
    """
    parts: list[RenderableType] = []
    for verdict in report.verdicts[:full]:
        parts += [render_verdict(verdict, excerpt=excerpt), Text()]
    rest = report.verdicts[full:]
    if rest:
        parts += [render_lines(rest), Text()]
    if report.coverage:
        parts.append(render_coverage(report.coverage))
    return Group(*parts)


def render_verdict(verdict: Verdict, *, excerpt: Excerpt | None = None) -> Group:
    """Render one verdict in full."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=LABEL_WIDTH, style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, body in _sections(verdict, excerpt):
        grid.add_row(label, body)
    return Group(render_head(verdict), Padding(Text(verdict.summary), (0, 0, 0, 2)), Padding(grid, (0, 0, 0, 2)))


def render_lines(verdicts: Sequence[Verdict]) -> Table:
    """Render verdicts in a line each: severity, fault, subject, action, case."""
    table = Table.grid(padding=(0, 2))
    for verdict in verdicts:
        table.add_row(
            Text(f"{_mark(verdict)} {_word(verdict)}", _colour(verdict)),
            Text(verdict.fault),
            Text(verdict.subject.entity),
            Text(_action(verdict)),
            Text(verdict.case_id, "dim"),
        )
    return table


def render_coverage(rows: Sequence[CoverageRow], *, brief: bool = False) -> Group:
    """Render what was read, in a line, and what was not, with the reason and what to type.

    Args:
        rows: All of them.
        brief: Name only the first of what was read, and of what was not.
    """
    read = [row for row in rows if row.status == "read" and not row.fix]
    # What was read and still needs a hand is what is open from before.
    others = sorted((row for row in rows if row not in read), key=lambda row: UNREAD_ORDER.index(row.status))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    if read:
        names = [_spell_row(row) for row in read]
        if brief and len(names) > BRIEF_READ:
            names = [*names[:BRIEF_READ], f"and {len(names) - BRIEF_READ} more"]
        grid.add_row(Text("read", COVERAGE_COLOUR["read"]), Text(), Text(", ".join(names)))
    shown = others[:BRIEF_UNREAD] if brief else others
    for row in shown:
        why = Text.assemble((row.entity, "bold"), f": {cut_words(row.reason, MAX_REASON)}" if row.reason else "")
        if row.fix:
            why.append("\n→ ", "dim").append(row.fix, "cyan")
        word = "open" if row.status == "read" else row.status.replace("_", " ")
        grid.add_row(Text(word, COVERAGE_COLOUR["partial" if word == "open" else row.status]), Text(row.domain), why)
    if len(shown) < len(others):
        grid.add_row(Text(), Text(), Text(f"and {len(others) - len(shown)} more: --full", "dim"))
    unread = sum(row.status in ("missing", "partial") for row in rows)
    said = f"{unread} of {len(rows)} not read in full" if unread else "all was read"
    return Group(Text.assemble(("Coverage", "bold"), (f"  {said}", "dim")), Padding(grid, (0, 0, 0, 2)))


def render_step(step: Mapping[str, Any]) -> Text:
    """Render one step of an investigation in a line: kind, tool, what it was asked, how long it took."""
    name = str(step["name"]) if step["kind"] == "tool" else ""
    try:
        asked = json.loads(step["arguments"] or "{}")
    except json.JSONDecodeError:
        asked = {"": step["arguments"]}
    given = (
        {key: value for key, value in asked.items() if value not in ("", [], None)} if isinstance(asked, dict) else {}
    )
    arguments = cut_words(json.dumps(given), MAX_ARGUMENTS) if given else ""
    return Text.assemble(
        f"  {step['kind']:9}", (name, "bold"), (f" {arguments}  {step['seconds'] * 1e3:.0f} ms", "dim")
    )


def _spell_row(row: CoverageRow) -> str:
    return f"{row.entity} ({row.domain})"


def cut_words(text: str, length: int) -> str:
    """Cut a text behind a word; a quotation that is cut open is closed."""
    if len(text) <= length:
        return text
    kept = (text[: length + 1].rpartition(" ")[0] or text[:length]).rstrip(" ,;:(")
    return kept + (' …"' if kept.count('"') % 2 else " …")


def strike_said(condition: str | None, said: list[str]) -> str:
    """What of a condition was not said at an earlier step; notes it as said.

    Args:
        condition: Of one step of a plan.
        said: What the steps before it said.
    """
    parts = [part for part in (condition or "").split(", and ") if part and part not in said]
    said += parts
    return ", and ".join(parts)


def render_head(verdict: Verdict) -> Text:
    """Write the first line: how grave, what, where, how sure."""
    colour = _colour(verdict)
    return Text.assemble(
        (f"{_mark(verdict)} {_word(verdict)}", colour),
        "  ",
        (verdict.fault, "bold"),
        "  ",
        verdict.subject.entity,
        (_ids(verdict), "dim"),
        ("  " + verdict.confidence, "italic"),
    )


def _sections(verdict: Verdict, excerpt: Excerpt | None) -> Iterator[tuple[str, RenderableType]]:
    yield "do", render_do(verdict)
    if verdict.plan:
        yield "plan", _plan(verdict)
    if verdict.evidence:
        yield "evidence", _evidence(verdict.evidence)
    if verdict.consequences:
        yield "explained", Group(*[_consequence(item) for item in verdict.consequences])
    if verdict.affected:
        yield "affected", Text(", ".join(f"{item.entity} ({item.role})" for item in verdict.affected))
    if verdict.model or not all(claim.verified for claim in verdict.claims):
        yield "claims", Group(*[render_claim(claim) for claim in verdict.claims])
    if verdict.alternatives:
        yield (
            "or else",
            Group(*[Text(f"{other.fault}: {other.less_likely_because}") for other in verdict.alternatives]),
        )
    if verdict.runbook:
        yield "runbook", _runbook(verdict.runbook, excerpt)
    yield "decided", _decided(verdict)
    yield "case", Text(verdict.case_id)


def render_do(verdict: Verdict) -> Text:
    """Write what to do, and when."""
    text = Text.assemble((_action(verdict), "bold"))
    if verdict.action != "none":
        text.append(f" · {URGENCY_WORDS[verdict.urgency]}")
    if verdict.follow_up not in ("none", verdict.action):
        text.append(f" · then {verdict.follow_up}")
    return text


def _plan(verdict: Verdict) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right")
    grid.add_column(overflow="fold")
    said: list[str] = []
    for step in verdict.plan:
        text = Text.assemble((step.action, "bold"), f" {step.target}")
        if condition := strike_said(step.precondition, said):
            text.append(f" — {condition}", "yellow")
        if step.command:
            text.append(f"\n$ {step.command}", "cyan")
        grid.add_row(Text(str(step.step)), text)
    return grid


def _evidence(rows: Sequence[EvidenceRow]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    told: dict[str, float | str] = {}
    for row in rows[:MAX_EVIDENCE]:
        text = Text.assemble((row.source, "underline"), "\n", (render_quote(row, MAX_QUOTE), "green"))
        if row.values and row.values != told:
            text.append(f"\n{_spell_values(row.values)}", "dim")
            told = row.values
        grid.add_row(row.id, text)
    if len(rows) > MAX_EVIDENCE:
        grid.add_row("", Text(f"and {len(rows) - MAX_EVIDENCE} more: --json shows them all", "dim"))
    return grid


def render_quote(row: EvidenceRow, length: int) -> str:
    """Write the quote of a piece of evidence; columns of a table are squeezed: the words stay, the paper does not."""
    quote = re.sub(r" {3,}", "  ", row.quote)
    return f"“{cut_words(quote, length)}”"


def _spell_values(values: Mapping[str, float | str]) -> str:
    seen = {key: value for key, value in values.items() if isinstance(value, float) and ":" not in key}
    words = []
    for key, value in seen.items():
        if not key.startswith(THRESHOLD):
            limit = next((seen[THRESHOLD + tail] for tail in _tails(key) if THRESHOLD + tail in seen), None)
            words.append(f"{key} {value:.4g}" + (f" (limit {limit:.4g})" if limit is not None else ""))
    return ", ".join(words[:MAX_VALUES])


def _tails(key: str) -> list[str]:
    """`disk_queue_length` may be held against `threshold_disk_queue_length` or `threshold_queue_length`."""
    parts = key.split("_")
    return ["_".join(parts[start:]) for start in range(len(parts))]


def _consequence(item: Consequence) -> Text:
    text = Text.assemble("+ ", (item.fault, "bold"), f" x{item.count} on {item.entity}")
    if item.confidence != "confirmed":
        text.append(f", {item.confidence}", "italic")
    if item.why:
        text.append(f": {item.why}")
    if item.evidence:
        text.append(f" ({', '.join(item.evidence)})", "dim")
    return text


def render_claim(claim: Claim) -> Text:
    """Write a claim with its evidence; one that does not hold is struck out, with the reason."""
    handles = f" ({', '.join(claim.evidence)})" if claim.evidence else ""
    if claim.verified:
        return Text.assemble(("✓ ", "green"), cut_words(claim.text, MAX_CLAIM), (handles, "dim"))
    return Text.assemble(
        ("✗ ", "bold red"),
        (cut_words(claim.text, MAX_CLAIM), "strike red"),
        (handles, "dim"),
        (f" — thrown out: {claim.rejected_because or 'not found in its evidence'}", "red"),
    )


def _runbook(reference: RunbookRef, excerpt: Excerpt | None) -> RenderableType:
    head = Text.assemble((f"{reference.id} > {reference.section}", "underline"))
    head.append(f"   daytwo runbook {reference.id}", "dim")
    lines = unwrap((excerpt(reference) if excerpt else None) or "")
    if len(lines) > MAX_EXCERPT_LINES:
        lines = [*lines[:MAX_EXCERPT_LINES], "…"]
    return Group(head, *[Text(line, "dim") for line in lines])


def unwrap(markdown: str) -> list[str]:
    """Join what Markdown wrapped, so that it can be wrapped anew; code keeps its lines and loses its fence."""
    lines: list[str] = []
    in_code, fresh = False, True
    for line in markdown.strip().splitlines():
        if line.startswith("```"):
            in_code, fresh = not in_code, True
        elif in_code:
            lines.append(line)
        elif not fresh and line.strip() and not re.match(r"\s*(?:[-*]|\d+\.)\s", line):
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line)
            fresh = False
    return lines


def render_model(verdict: Verdict) -> Text:
    """Write which model was asked, and what that cost; nothing where none was."""
    parts = []
    if verdict.model:
        parts.append(f"{verdict.model.name} ({verdict.model.endpoint_kind})")
    if verdict.usage:
        usage = verdict.usage
        parts.append(f"{usage.calls} calls, {usage.tokens_in}+{usage.tokens_out} tokens, {usage.seconds:.1f} s")
    return Text(", ".join(parts))


def _decided(verdict: Verdict) -> Text:
    text = Text(f"by {verdict.decided_by}")
    if verdict.model or verdict.usage:
        text.append(", ").append(render_model(verdict))
    if verdict.reason:
        text.append(f"\n{verdict.reason}", "yellow")
    return text


def _action(verdict: Verdict) -> str:
    return "nothing to do" if verdict.action == "none" else verdict.action


def _ids(verdict: Verdict) -> str:
    ids = verdict.subject.ids
    shown = ids.get("pci") or ids.get("uuid") or ids.get("serial") or ""
    return f" ({escape(shown)})" if shown and shown not in verdict.subject.entity else ""


def _colour(verdict: Verdict) -> str:
    if verdict.status in ("unknown", "not_applicable"):
        return UNKNOWN_COLOUR if verdict.status == "unknown" else "bold"
    return COLOUR[verdict.severity]


PARTLY = "partly read"
"""In place of `unknown` where the fault is `benign`: what was read is harmless, and the rest is not known."""


def _word(verdict: Verdict) -> str:
    if verdict.status == "unknown" and verdict.fault != "unknown":
        return PARTLY.upper()
    by_severity = verdict.status not in ("unknown", "not_applicable") and verdict.severity != "ok"
    return (verdict.severity if by_severity else verdict.status.replace("_", " ")).upper()


def _mark(verdict: Verdict) -> str:
    if verdict.status == "unknown":
        return "?"
    return {"critical": "✖", "warning": "▲", "info": "●", "ok": "✔"}[verdict.severity]
