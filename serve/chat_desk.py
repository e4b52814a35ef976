"""What a chat opens on: evidence that is read now, or the kept cases with the lines that were kept of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.desk import Desk, add_row, lay_out
from agent.history import Record, concerns, spell_host
from agent.policy import SitePolicy
from agent.settings import Settings
from agent.triage import triage
from agent.types import SEVERITY_RANK, CoverageRow, EvidenceRow, TriageReport, Verdict
from serve.known import Besides, read_besides
from serve.store import open_site_store
from serve.triage import triage_request
from serve.types import Request
from tools.entities import parse_entity
from tools.errors import EvidenceUnreadable
from tools.evidence import EvidenceBook
from tools.sources.recording import RecordingSource
from tools.types import Coverage, Entity, Facts, Quote, merge_facts

PRESENT_DAYS = 7
"""A case that was last seen so long ago is no present one (a guess)."""
MAX_KEPT = 12
KEPT_ONLY = "only the lines that were kept of it are at hand"


def open_desk(request: Request, settings: Settings, now: datetime) -> Desk:
    """Triage what a request names, or lay out the kept cases where it names nothing.

    Raises:
        DaytwoError: Nothing could be read at all.
    """
    if not request.host and not request.paths:
        return open_kept(settings, now)
    seen: list[Facts] = []
    # The model of a chat answers questions; it is not asked for verdicts beforehand.
    quiet = settings.model_copy(update={"model": ""})
    report = triage_request(replace(request, model=""), quiet, now, show=lambda report, kept: None, see=seen.append)
    names = [*(["this machine"] if request.host else []), *map(str, request.paths)]
    besides = read_besides(seen[0], settings) if request.store else Besides()
    laid = lay_out(Desk(), report, seen[0], origin=", ".join(names))
    return replace(laid, past=besides.past, beside=besides.facts)


def open_kept(settings: Settings, now: datetime) -> Desk:
    """Lay out the cases of the last days that nobody has cleared, with what was kept of their evidence."""
    with open_site_store(settings) as store:
        since = (now - timedelta(days=PRESENT_DAYS)).timestamp()
        verdicts = choose_present(store.list_verdicts(limit=1000, since=since))
        hosts = {spell_host(entity.node) for one in verdicts if (entity := parse_entity(one.subject.entity))}
        ends = store.read_past(hosts - {""}).ends if verdicts else ()
    present = [one for one in verdicts if not is_over(one, ends)][:MAX_KEPT]
    return lay_out_kept(present, origin=f"cases of the last {PRESENT_DAYS} days", max_bytes=settings.max_input_bytes)


def choose_present(newest_first: Iterable[Verdict]) -> list[Verdict]:
    """The newest verdict on each case that is trouble, the gravest first."""
    newest: dict[str, Verdict] = {}
    for one in newest_first:
        newest.setdefault(one.case_id, one)
    troubles = [one for one in newest.values() if SEVERITY_RANK[one.severity] >= SEVERITY_RANK["warning"]]
    return sorted(troubles, key=lambda one: -SEVERITY_RANK[one.severity])


def is_over(verdict: Verdict, ends: Sequence[Record]) -> bool:
    """Whether a person has cleared what a verdict is about since it was given."""
    entity = parse_entity(verdict.subject.entity)
    told = datetime.fromisoformat(verdict.time).timestamp()
    return entity is not None and any(
        one.kind == "clear" and one.at_seconds > told and concerns(one, entity) for one in ends
    )


def lay_out_kept(verdicts: Sequence[Verdict], *, origin: str, max_bytes: int, book: EvidenceBook | None = None) -> Desk:
    """Lay out verdicts of earlier triages; the lines that they quote are read again by the same parsers."""
    empty = Desk(book=book or EvidenceBook(), origin="" if verdicts else origin)
    if not verdicts:
        return empty
    facts = merge_facts([read_quotes(one, max_bytes) for one in verdicts])
    coverage = [
        CoverageRow(entity=one.case_id, domain="input", status="partial", reason=KEPT_ONLY, fix="daytwo chat PATH")
        for one in verdicts
    ]
    return lay_out(empty, TriageReport(verdicts=list(verdicts), coverage=coverage), facts, origin=origin)


def read_quotes(verdict: Verdict, max_bytes: int) -> Facts:
    """Read the quoted lines of a verdict anew; each event stands where the line once stood."""
    entity = parse_entity(verdict.subject.entity) or Entity("node")
    rows = [row for row in verdict.evidence if "\n" not in row.quote]
    text = "\n".join(row.quote for row in rows)
    try:
        facts = read_text(text, verdict.case_id, max_bytes, node=entity.node)
    except EvidenceUnreadable:
        facts = Facts()
    events = [
        replace(event, quote=_place(rows[event.quote.line - 1]))
        for event in facts.events
        if event.quote.line is not None and event.quote.line <= len(rows)
    ]
    gap = Coverage(verdict.case_id, "input", "partial", KEPT_ONLY, "daytwo chat PATH")
    return Facts(events=tuple(events), entities=(entity,), coverage=(gap,))


def _place(row: EvidenceRow) -> Quote:
    source, _, line = row.source.rpartition(":")
    return Quote(source, int(line), row.quote) if line.isdecimal() else Quote(row.source, None, row.quote)


def read_text(text: str, name: str, max_bytes: int, *, node: str = "") -> Facts:
    """Read a text as if it were a file of that name.

    Raises:
        EvidenceUnreadable: No parser knows it.
    """
    with tempfile.TemporaryDirectory(prefix="daytwo-") as folder:
        path = Path(folder) / name
        path.write_text(text + "\n", encoding="utf-8", errors="replace")
        return RecordingSource([path], max_bytes=max_bytes, node=node).read_facts()


def lay_out_text(desk: Desk, text: str, name: str, settings: Settings) -> tuple[Desk, TriageReport]:
    """Triage a text that was pasted or piped, and lay it on the desk.

    Raises:
        EvidenceUnreadable: No parser knows it.
    """
    facts = read_text(text, name, settings.max_input_bytes)
    report = triage(facts, site=SitePolicy(scheduler=settings.scheduler), now=datetime.now(UTC))
    laid = lay_out(desk, report, facts, origin=name)
    return laid, report.model_copy(update={"verdicts": list(laid.verdicts[: len(report.verdicts)])})


def lay_out_again(verdicts: Sequence[Verdict], rows: Sequence[EvidenceRow], settings: Settings, origin: str) -> Desk:
    """Lay out the desk of an earlier conversation: the same cases, and every handle as it was."""
    book = EvidenceBook()
    for row in rows:
        add_row(row, book)
    return lay_out_kept(verdicts, origin=origin, max_bytes=settings.max_input_bytes, book=book)
