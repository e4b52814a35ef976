"""Hands a stretch of text to its parsers and says how far it was understood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from tools.harmless import neutralise
from tools.parsers._kernel_forms import split_head
from tools.parsers._wording import read_wording
from tools.types import Coverage, Document, Entity, Event, Facts, Parsed, Parser, Unread

JUMP_SECONDS = 1.0
"""Lines of several processors reach a log out of order by milliseconds; a second back is the clock (a guess)."""
MAX_UNREAD_SHARE = 0.2
MIN_UNREAD_LINES = 5
"""With more lines unread than a fifth, and five at least, finding nothing tells nothing (a guess)."""
LOG_DOMAINS = frozenset({"kernel_log", "application"})
MAX_TIMED_LINES = 20_000
"""In longer logs the last line is not looked for: their length alone speaks for them, and reading on costs time."""
MAX_WORDED_LINES = 1000
EMPTY = "empty file"
UNEXPLAINED = "log:unexplained"
_SHOWN_CHARACTERS = 120
_TABLES = {
    "iostat": "iostat -x 1 2",
    "guests": "xl list -v",
    "nvidia_smi": "nvidia-smi -q",
    "nvidia_smi_query": "nvidia-smi -q",
    "nvidia_smi_xml": "nvidia-smi -q",
    "nvidia_smi_csv": "nvidia-smi -q",
    "smartctl": "smartctl -a /dev/DEVICE",
    "inventory": "add a row for each node",
    "nvme_list": "nvme list",
    "disk_activity": "iostat -x 1 2",
    "jobs": "add a row for each job",
}
"""Forms whose every row makes a fact, so that none means an empty table; and what makes the table again."""


def read_stretch(document: Document, parsers: Sequence[Parser]) -> Facts:
    """Read a text with the best parser, and what others know of its lines too.

    A line that the best parser made an event of is left to it.
    """
    facts = _read_known(document, parsers) if parsers else Facts(coverage=(_unknown_form(document),))
    # A table that was cut or refused says itself what it lacks; its words are heads of columns.
    is_prose = not parsers or parsers[0].DOMAIN in ("kernel_log", "application")
    return _add_wording(document, facts) if is_prose and _tells_nothing(facts) else facts


def _tells_nothing(facts: Facts) -> bool:
    """Whether the text cries in words that no rule knows, or is of no form that is known."""
    if facts.windows or facts.links or any(event.code != UNEXPLAINED for event in facts.events):
        return False
    return bool(facts.events) or any(row.status != "read" and row.reason != EMPTY for row in facts.coverage)


def _add_wording(document: Document, facts: Facts) -> Facts:
    """Let the words of a short text speak where nothing in it is known; a text that is read so is not missing."""
    lines = tuple(islice(document.lines(), MAX_WORDED_LINES))
    events = read_wording(document.label, document.node, lines)
    if not events:
        return facts
    rows = [
        replace(row, status="partial", reason=f"by its words alone: {row.reason}", fix=row.fix or _show(document))
        if row.status == "missing" and row.reason != EMPTY
        else row
        for row in facts.coverage
    ]
    return replace(facts, events=(*facts.events, *events), coverage=tuple(rows))


def _read_known(document: Document, parsers: Sequence[Parser]) -> Facts:
    if parsers[0].DOMAIN in ("inventory", "jobs"):
        # A list of settings holds words that a log would tell as trouble.
        parsers = parsers[:1]
    results = [(parser, parser.parse(document)) for parser in parsers]
    best, first = results[0]
    extra = [parsed for _, parsed in results[1:] if parsed.facts.events or parsed.facts.windows or parsed.facts.links]
    facts = first.facts
    for parsed in extra:
        facts = facts + replace(parsed.facts, coverage=(), events=tuple(_drop_told(parsed.facts.events, facts.events)))
    unread = min((parsed.unread for parsed in [first, *extra]), key=lambda count: count.unread)
    return replace(facts, coverage=(*facts.coverage, *_rate(document, best, first, unread)))


def _rate(document: Document, parser: Parser, parsed: Parsed, unread: Unread) -> list[Coverage]:
    told = [row for row in parsed.facts.coverage if row.domain == parser.DOMAIN and row.entity == document.label]
    if unread.unread:
        samples = " | ".join(text[:_SHOWN_CHARACTERS] for text in unread.samples)
        reason = f"{unread.unread} of {unread.total} lines unread: {samples}"
        if unread.unread == unread.total and _is_empty(parsed.facts):
            return [Coverage(document.label, parser.DOMAIN, "missing", reason)]
        is_much = unread.unread >= MIN_UNREAD_LINES and unread.unread > MAX_UNREAD_SHARE * unread.total
        return [Coverage(document.label, parser.DOMAIN, "partial", reason, _show(document) if is_much else "")]
    if told:
        return []
    if parser.FORM in _TABLES and _is_empty(parsed.facts):
        return [Coverage(document.label, parser.DOMAIN, "missing", "a table without a row", _TABLES[parser.FORM])]
    if parser.DOMAIN in LOG_DOMAINS:
        end = _find_end(document) if unread.total <= MAX_TIMED_LINES else None
        return [Coverage(document.label, parser.DOMAIN, "read", lines=unread.total, end_seconds=end)]
    return [Coverage(document.label, parser.DOMAIN, "read")]


def _find_end(document: Document) -> float | None:
    """Unix time of the last line that tells one by the wall."""
    moments = (split_head(line.text).moment for line in reversed(list(document.lines())))
    return next((moment.seconds for moment in moments if moment.clock in ("utc", "local")), None)


def _show(document: Document) -> str:
    return "look at the text that was piped in" if document.label == "-" else f"less {document.label}"


def _is_empty(facts: Facts) -> bool:
    return not (facts.windows or facts.events or facts.entities or facts.links or facts.inventory)


def _unknown_form(document: Document) -> Coverage:
    samples: list[str] = []
    total = 0
    for line in document.lines():
        if line.text.strip():
            total += 1
            if len(samples) < 3:
                samples.append(neutralise(line.text.strip()[:_SHOWN_CHARACTERS]))
    if not total:
        return Coverage(document.label, "input", "missing", EMPTY)
    reason = f"of no form that is known: {total} of {total} lines unread: {' | '.join(samples)}"
    return Coverage(document.label, "input", "missing", reason, "daytwo triage --help")


def _drop_told(events: Iterable[Event], told: Iterable[Event]) -> Iterator[Event]:
    lines = {(event.quote.source, event.quote.line) for event in told}
    for event in events:
        # What a log reader finds in a row of a drawn table is the table's, told by the parser that knows it.
        in_table = event.quote.text.lstrip().startswith("|")
        if not in_table and (event.quote.source, event.quote.line) not in lines:
            yield event


def settle_guest_nodes(facts: Facts) -> Facts:
    """Give guests and their disks the host of the iostat text beside them, where it is the only one and they have none.

    A guest list tells no host name; a map of devices means nothing but beside the devices' own readings.
    """
    hosts = {entity.node for window in facts.windows for entity in window.entities if entity.kind == "disk"} - {""}
    if len(hosts) != 1:
        return facts
    host = hosts.pop()

    def settle(entity: Entity) -> Entity:
        return replace(entity, node=host) if not entity.node and entity.kind in ("guest", "disk", "service") else entity

    links = [replace(link, subject=settle(link.subject), object=settle(link.object)) for link in facts.links]
    guests = {id(window) for window in facts.windows if all(entity.kind == "guest" for entity in window.entities)}
    windows = [
        replace(window, entities=tuple(settle(entity) for entity in window.entities))
        if id(window) in guests
        else window
        for window in facts.windows
    ]
    entities = [settle(entity) if entity.kind == "guest" else entity for entity in facts.entities]
    return replace(facts, links=tuple(links), windows=tuple(windows), entities=tuple(entities))


def note_clock_jumps(facts: Facts) -> Facts:
    """Add coverage where the clock of a text jumps back from one event to the next."""
    jumps = [
        (before, after) for before, after in zip(facts.events, facts.events[1:], strict=False) if _jumps(before, after)
    ]
    if not jumps:
        return facts
    before, after = jumps[0]
    reason = (
        f"the clock jumps back at line {after.quote.line} "
        f"({len(jumps)} times; first by {(before.moment.seconds or 0) - (after.moment.seconds or 0):.0f} s): "
        "order is that of the lines"
    )
    row = Coverage(after.quote.source, "kernel_log", "partial", reason, "journalctl -k -o short-iso")
    return replace(facts, coverage=(*facts.coverage, row))


def _jumps(before: Event, after: Event) -> bool:
    one, other = before.moment, after.moment
    if before.quote.source != after.quote.source or one.clock != other.clock or before.node != after.node:
        return False
    if one.seconds is None or other.seconds is None or (after.quote.line or 0) < (before.quote.line or 0):
        return False
    return one.seconds - other.seconds > JUMP_SECONDS


def keep_recent(facts: Facts, since: float | None) -> Facts:
    """Drop events with a wall time before `since` (Unix seconds); those on another clock stay, and that is said."""
    if since is None:
        return facts
    kept, undated = [], 0
    for event in facts.events:
        is_dated = event.moment.clock in ("utc", "local") and event.moment.seconds is not None
        undated += not is_dated
        if not is_dated or (event.moment.seconds or 0.0) >= since:
            kept.append(event)
    coverage = facts.coverage
    if undated:
        reason = f"{undated} events have no wall time, so --since could not be applied to them"
        coverage = (
            *coverage,
            Coverage("--since", "input", "partial", reason, "dmesg -T, or journalctl -k -o short-iso"),
        )
    return replace(facts, events=tuple(kept), coverage=coverage)
