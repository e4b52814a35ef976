"""`daytwo triage`: facts from paths or this machine, rules, a model where one is named, and a reader."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agent.history import NO_PAST, Past, Record, spell_host
from agent.policy import SitePolicy
from agent.remember import Boot, find_hosts
from agent.run import Run
from agent.settings import Settings, load_settings
from agent.triage import Memory, build_unread_facts, exit_code, triage
from agent.types import TriageReport
from serve.own_model import list_own_models
from serve.terminal import note, print_people, print_text
from serve.types import Request
from tools.errors import DaytwoError, EvidenceNotFound, EvidenceUnreadable, OperatorError, SiteConfigError
from tools.harmless import redact_url
from tools.types import Coverage, Facts, Inventory, Source, merge_facts

if TYPE_CHECKING:
    from agent.roster import Roster
    from agent.stopping import Stop
    from agent.store.store import Store
    from serve.asking import Asking

Show = Callable[[TriageReport, bool], None]
STANDARD_INPUT = Path("-")
FULL_VERDICTS = 4
"""So many verdicts are shown in full; the others in a line each, to be read with `daytwo explain`."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def run_triage(request: Request, *, as_json: bool, full: bool = False) -> int:
    """Triage and print; with a model in the seat, people see what the rules say before the model is asked.

    Args:
        request: What was asked for.
        as_json: One document in place of pages.
        full: All that there is on each verdict, in place of one screen.

    Returns:
        The exit code: 1 if something is wrong, else 2 if something could not be read, else 0.

    Raises:
        DaytwoError: Nothing could be read at all. With `as_json` a file that is there and tells nothing is a document
            of its own instead.
    """
    settings = load_settings()
    now = datetime.now(UTC)
    if not as_json:
        return _run_for_people(request, settings, now, full=full)
    try:
        report = triage_request(request, settings, now)
    except EvidenceUnreadable as error:
        names = [str(path) for path in request.paths or (STANDARD_INPUT,)]
        report = triage(build_unread_facts(names, error), site=_build_site(settings), now=now)
    print_text(report.model_dump_json(by_alias=True, indent=2))
    return exit_code(report)


def _run_for_people(request: Request, settings: Settings, now: datetime, *, full: bool) -> int:
    shown: list[TriageReport] = []

    def show(report: TriageReport, kept: bool) -> None:
        shown.append(report)
        print_report(report, settings, kept=kept, full=FULL_VERDICTS if full else 0)

    report = triage_request(request, settings, now, show=show)
    print_opinions(shown[0], report)
    return exit_code(report)


def triage_request(
    request: Request,
    settings: Settings,
    now: datetime,
    *,
    record: Callable[[Run], None] | None = None,
    show: Show | None = None,
    see: Callable[[Facts], None] | None = None,
    stop: Stop | None = None,
) -> TriageReport:
    """Read what the request names, triage it, and keep the verdicts where they are to be kept.

    Args:
        request: What was asked for.
        settings: Of this installation.
        now: Time of the verdicts.
        record: Called with the audit of each investigation, beside the store.
        show: Called once with what the rules say, before a model is asked, and with whether it is being kept.
        see: Called with the facts, before anything is made of them.
        stop: Ends the questions to models; the rules' verdicts are kept all the same.
    """
    roster = find_roster(request.model or settings.model, settings)
    runs: list[Run] = []
    records: list[Record] = []
    site = _build_site(settings)
    facts = read_facts(request, settings, now)
    if see is not None:
        see(facts)
    if roster is None and show is not None and (known := _recall_early(request, settings, facts)) is not None:
        return _show_then_keep(request, settings, facts, now, known, show)
    with (_open_store(settings) if request.store else None) or nullcontext() as store:
        past, own = _recall(store, facts), list_own_models(settings)
        memory = Memory(past, records.extend, _read_boot(request, facts), own)
        if roster is None or show is not None:
            report = triage(facts, site=site, now=now, memory=memory)
        if roster is not None:
            if show is not None:
                show(report, store is not None)
            records.clear()
            asking = _open_asking(roster, facts, Asked(settings, now, runs.append, stop, request.store))
            report = triage(
                facts, site=site, now=now, investigator=asking.look, memory=memory, together=asking.together
            )
        if store is not None:
            keep(store, report, facts, Kept(request, settings, runs, records))
        if roster is None and show is not None:
            show(report, store is not None)
        _act(report, store, settings, request, as_json=show is None)
    if record is not None:
        for run in runs:
            record(run)
    return report


def find_roster(spec: str, settings: Settings) -> Roster | None:
    """Who may be asked; None where nobody is. A site's file that does not fit costs the models, never the verdict."""
    if not spec and settings.site_file is None:
        return None
    from agent.roster import build_roster
    from agent.site import load_site

    try:
        models = load_site(settings.site_file).models
    except SiteConfigError as error:
        note(f"daytwo: no model is asked. {error}")
        return None
    roster = build_roster(spec, models)
    return roster if roster.list_for("triage") else None


@dataclass(frozen=True, slots=True)
class Asked:
    """For whom models are asked."""

    settings: Settings
    now: datetime
    record: Callable[[Run], None]
    stop: Stop | None
    kept: bool


def _open_asking(roster: Roster, facts: Facts, asked: Asked) -> Asking:
    from agent.stopping import Stop
    from serve.asking import Occasion, open_investigator
    from serve.spent import read_spent

    spent = read_spent(asked.settings, roster.models)
    stop = asked.stop or Stop()
    return open_investigator(Occasion(roster, facts, asked.settings, asked.now, asked.record, stop, spent, asked.kept))


def _recall_early(request: Request, settings: Settings, facts: Facts) -> Past | None:
    """Read the history without the store where that is possible: to open it takes longer than a small triage."""
    if not request.store or settings.store_url is not None:
        return None
    from agent.store import read_past_file

    return read_past_file(settings.data_dir, find_hosts(facts))


def _show_then_keep(
    request: Request, settings: Settings, facts: Facts, now: datetime, past: Past, show: Show
) -> TriageReport:
    records: list[Record] = []
    memory = Memory(past, records.extend, _read_boot(request, facts), list_own_models(settings))
    report = triage(facts, site=_build_site(settings), now=now, memory=memory)
    show(report, True)
    sys.stdout.flush()
    with _open_store(settings) or nullcontext() as store:
        if store is not None:
            keep(store, report, facts, Kept(request, settings, (), records))
        _act(report, store, settings, request, as_json=False)
    return report


def _act(report: TriageReport, store: Store | None, settings: Settings, request: Request, *, as_json: bool) -> None:
    if settings.site_file is None:
        return
    from serve.acting import act_on_report

    act_on_report(report, store, settings, live=request.host and not request.paths, as_json=as_json)


def _build_site(settings: Settings) -> SitePolicy:
    return SitePolicy(scheduler=settings.scheduler)


def read_facts(request: Request, settings: Settings, now: datetime) -> Facts:
    """Read all sources that the request names; a path that is not there stands in the coverage, beside others.

    Raises:
        OperatorError: It names none, or a name of a host that is none.
        EvidenceNotFound: No path that it names is there.
    """
    if request.node and not spell_host(request.node):
        raise OperatorError(f"--node {request.node!r} names no single machine.", fix=f"--node {os.uname().nodename}")
    there, gone = _split_paths(request.paths)
    sources = build_sources(replace(request, paths=there), settings, now)
    if not sources:
        raise OperatorError(
            "There is nothing to triage: neither a path nor --host was given.",
            fix="daytwo triage --host, daytwo triage /var/log/kern.log, or dmesg | daytwo triage -",
        )
    facts = merge_facts([*(source.read_facts() for source in sources), Facts(coverage=gone)])
    return facts + Facts(coverage=_tell_nameless(request, facts))


def _split_paths(paths: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[Coverage, ...]]:
    there = tuple(path for path in paths if path == STANDARD_INPUT or path.exists() or path.is_symlink())
    gone = [path for path in paths if path not in there]
    if gone and not there:
        raise EvidenceNotFound(f"There is no {gone[0]}.", fix=f"ls -l {gone[0].parent}")
    return there, tuple(Coverage(str(p), "input", "missing", f"There is no {p}.", f"ls -l {p.parent}") for p in gone)


def _tell_nameless(request: Request, facts: Facts) -> tuple[Coverage, ...]:
    """Say how to name the host where no line does; standard input is most often of this very machine."""
    if not request.paths or request.host or request.node or find_hosts(facts):
        return ()
    is_piped = STANDARD_INPUT in request.paths
    named = "standard input" if is_piped else str(request.paths[0])
    spelled = " ".join(shlex.quote(str(path)) for path in request.paths)
    here = f"{spell_host(os.uname().nodename) or 'NAME'}, if it is of this machine" if is_piped else "NAME"
    reason = "no line names its host: commands say NODE, and nothing is remembered of it"
    return (Coverage(named, "input", "not_applicable", reason, f"daytwo triage {spelled} --node {here}"),)


def build_sources(request: Request, settings: Settings, now: datetime) -> list[Source]:
    """Build the sources that the request names; each is imported only where it is used."""
    since = parse_since(request.since, now)
    inventory = read_inventory(settings)
    sources: list[Source] = []
    if request.host:
        from tools.sources.host import HostSource

        sources.append(
            HostSource(
                node=request.node or settings.node,
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
                node=request.node,
                since=since,
            )
        )
    return sources


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


def print_report(report: TriageReport, settings: Settings, *, kept: bool = True, full: int = 0) -> None:
    """Print a report for people.

    Args:
        report: What was found.
        settings: Where the runbooks are.
        kept: Whether `daytwo explain` can show it again.
        full: So many verdicts in full, with the sections of their runbooks; 0 for one screen.
    """
    if not full:
        from serve.page import render_pages

        print_people(render_pages(report, kept=kept))
        return
    from serve.library import read_excerpts
    from serve.render import render_report

    references = [verdict.runbook for verdict in report.verdicts[:full] if verdict.runbook]
    print_people(render_report(report, excerpt=read_excerpts(references, settings).get, full=full))


def print_opinions(rules: TriageReport, report: TriageReport) -> None:
    """Print what a model added to what the rules said; nothing where none was asked."""
    if rules is report:
        return
    from rich.text import Text

    from serve.page import render_opinions

    opinions = render_opinions(rules, report)
    if opinions is not None:
        print_people(Text(), opinions)


def read_inventory(settings: Settings) -> tuple[Inventory, ...]:
    """What the site says that its nodes have; nothing where it says nothing."""
    if settings.inventory is None:
        return ()
    from tools.inventory import read_inventory as read_file

    return read_file(settings.inventory)
