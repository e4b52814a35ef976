"""`daytwo triage`: facts from paths or this machine, rules, a model where one is named, and a reader."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agent.history import NO_PAST, Past, Record
from agent.policy import SitePolicy
from agent.remember import Boot, find_hosts
from agent.run import Run
from agent.settings import Settings, load_settings
from agent.triage import Investigator, Memory, build_unread_facts, exit_code, triage
from agent.types import TriageReport
from serve.terminal import note, print_people, print_text
from serve.types import Request
from tools.errors import DaytwoError, EvidenceNotFound, EvidenceUnreadable, OperatorError
from tools.harmless import redact_url
from tools.types import Facts, Inventory, Source, merge_facts

if TYPE_CHECKING:
    from agent.store.store import Store

STANDARD_INPUT = Path("-")
FULL_VERDICTS = 4
"""So many verdicts are shown in full; the others in a line each, to be read with `daytwo explain`."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def run_triage(request: Request, *, as_json: bool) -> int:
    """Triage and print.

    Returns:
        The exit code: 1 if something is wrong, else 2 if something could not be read, else 0.

    Raises:
        DaytwoError: Nothing could be read at all. With `as_json` this is a document of its own instead.
    """
    settings = load_settings()
    now = datetime.now(UTC)
    try:
        report = triage_request(request, settings, now)
    except (EvidenceNotFound, EvidenceUnreadable) as error:
        if not as_json:
            raise
        names = [str(path) for path in request.paths or (STANDARD_INPUT,)]
        report = triage(build_unread_facts(names, error), site=_build_site(settings), now=now)
    if as_json:
        print_text(report.model_dump_json(by_alias=True, indent=2))
    else:
        print_report(report, settings)
    return exit_code(report)


def triage_request(
    request: Request, settings: Settings, now: datetime, *, record: Callable[[Run], None] | None = None
) -> TriageReport:
    """Read what the request names, triage it, and keep the verdicts where they are to be kept.

    Args:
        request: What was asked for.
        settings: Of this installation.
        now: Time of the verdicts.
        record: Called with the audit of each investigation, beside the store.
    """
    runs: list[Run] = []
    records: list[Record] = []
    facts = read_facts(request, settings, now)
    investigator = build_investigator(request, facts, settings, now, record=runs.append)
    with (_open_store(settings) if request.store else None) or nullcontext() as store:
        memory = Memory(_recall(store, facts), records.extend, _read_boot(request, facts))
        report = triage(facts, site=_build_site(settings), now=now, investigator=investigator, memory=memory)
        if store is not None:
            keep(store, report, facts, Kept(request, settings, runs, records))
    if record is not None:
        for run in runs:
            record(run)
    return report


def _build_site(settings: Settings) -> SitePolicy:
    return SitePolicy(scheduler=settings.scheduler)


def read_facts(request: Request, settings: Settings, now: datetime) -> Facts:
    """Read all sources that the request names.

    Raises:
        OperatorError: It names none.
    """
    sources = build_sources(request, settings, now)
    if not sources:
        raise OperatorError(
            "There is nothing to triage: neither a path nor --host was given.",
            fix="daytwo triage --host, daytwo triage /var/log/kern.log, or dmesg | daytwo triage -",
        )
    return merge_facts(source.read_facts() for source in sources)


def build_sources(request: Request, settings: Settings, now: datetime) -> list[Source]:
    """Build the sources that the request names; each is imported only where it is used."""
    since = parse_since(request.since, now)
    inventory = _read_inventory(settings)
    sources: list[Source] = []
    if request.host:
        from tools.sources.host import HostSource

        sources.append(
            HostSource(
                node=settings.node,
                gpu_timeout_seconds=settings.gpu_timeout_seconds,
                iostat_seconds=settings.iostat_seconds,
                inventory=inventory,
                since=since,
            )
        )
    if request.paths:
        from tools.sources.recording import RecordingSource

        if STANDARD_INPUT in request.paths and sys.stdin.isatty():
            note("daytwo: reading standard input; end it with Ctrl-D")
        sources.append(
            RecordingSource(
                request.paths,
                stdin=sys.stdin.buffer if STANDARD_INPUT in request.paths else None,
                max_bytes=settings.max_input_bytes,
                inventory=inventory,
                node=settings.node,
                since=since,
            )
        )
    return sources


def build_investigator(
    request: Request, facts: Facts, settings: Settings, now: datetime, *, record: Callable[[Run], None]
) -> Investigator | None:
    """Put a model in the seat; None, and none of its libraries imported, where none is named."""
    spec = request.model or settings.model
    if not spec:
        return None
    from serve.investigator import build_model_investigator

    return build_model_investigator(spec, facts, settings, now, record=record)


def parse_since(text: str, now: datetime) -> float | None:
    """Read ``2h``, ``3d`` or an ISO date into Unix seconds; None for an empty text.

    Raises:
        OperatorError: It is neither.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if match:
        return (now - timedelta(**{UNITS[match[2]]: int(match[1])})).timestamp()
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise OperatorError(
            f"--since {text!r} is neither a span nor a time.", fix="--since 2h, --since 3d or --since 2026-11-20T02:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _open_store(settings: Settings) -> Store | None:
    """Open the store; what goes wrong with it costs a note and the history, never the verdict."""
    from serve.store import open_site_store

    try:
        return open_site_store(settings)
    except DaytwoError as error:
        note(f"daytwo: the verdicts were not kept. {error}")
        return None


def _recall(store: Store | None, facts: Facts) -> Past:
    """Read what earlier triages said of the hosts that the facts speak of."""
    if store is None:
        return NO_PAST
    try:
        return store.read_past(find_hosts(facts))
    except DaytwoError as error:
        note(f"daytwo: judged without history. {error}")
        return NO_PAST


def _read_boot(request: Request, facts: Facts) -> Boot | None:
    """The present boot, where all evidence is of this machine and now: seconds since boot are then a time."""
    if not request.host or request.paths or facts.subject is None:
        return None
    from tools.host_boot import read_boot

    told = read_boot()
    return Boot(facts.subject.node, *told) if told else None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept beside a report."""

    request: Request
    settings: Settings
    runs: Sequence[Run]
    records: Sequence[Record]


def keep(store: Store, report: TriageReport, facts: Facts, kept: Kept) -> None:
    """Store a report with all that belongs to it at once; what goes wrong here costs a note, never the verdict."""
    request = kept.request
    paths = request.origin or [str(path) for path in request.paths]
    origin = {"host": request.host, "paths": list(paths), "model": redact_url(request.model or kept.settings.model)}
    try:
        store.add_report(report, events=facts.events, origin=origin, records=kept.records, runs=kept.runs)
    except DaytwoError as error:
        note(f"daytwo: the verdicts were not kept. {error}")


def print_report(report: TriageReport, settings: Settings, *, full: int = FULL_VERDICTS) -> None:
    """Print a report for people, with the sections of the runbooks that it points at.

    Args:
        report: What was found.
        settings: Where the runbooks are.
        full: So many verdicts in full, the others in a line each.
    """
    from serve.library import read_excerpts
    from serve.render import render_report

    references = [verdict.runbook for verdict in report.verdicts[:full] if verdict.runbook]
    print_people(render_report(report, excerpt=read_excerpts(references, settings).get, full=full))


def _read_inventory(settings: Settings) -> tuple[Inventory, ...]:
    if settings.inventory is None:
        return ()
    from tools.inventory import read_inventory

    return read_inventory(settings.inventory)
