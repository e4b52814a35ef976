"""Who may be asked beside the rules: opened late, refused at once where nothing answers, never waited for too long."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from agent.policy import SitePolicy
from agent.roster import Roster
from agent.run import Run
from agent.settings import Settings
from agent.spending import Spent
from agent.stopping import Stop
from agent.triage import Investigator, Together, look_in_turn
from agent.types import Case, Opinion, Verdict
from agent.verdicts import build_verdict
from serve.terminal import is_terminal, note
from tools.errors import ModelDown
from tools.evidence import EvidenceBook
from tools.types import Facts

CONNECT_SECONDS = 3.0
"""A machine of the same house takes a connection within milliseconds (a guess)."""
PORTS = {"http": 80, "https": 443}
STOPPED = "the model was stopped by Ctrl-C before it had answered"
Progress = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Occasion:
    """One triage in which models may be asked.

    Attributes:
        roster: Who may be asked.
        facts: What the models' tools may read.
        settings: Keys, time-outs and limits.
        now: Time of the verdicts.
        record: Called with the audit of each investigation, from several threads.
        stop: Says that nobody waits any more.
        spent: What models cost in the last hour; None where that could not be read.
        kept: Whether tools may tell of what the store keeps.
    """

    roster: Roster
    facts: Facts
    settings: Settings
    now: datetime
    record: Callable[[Run], None]
    stop: Stop = field(default_factory=Stop)
    spent: Spent | None = field(default_factory=Spent)
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Asking:
    """Who looks at the cases that rules leave open, and how many of them at once."""

    look: Investigator
    together: Together = look_in_turn


def open_investigator(occasion: Occasion) -> Asking:
    """Put a model in the seat; where nothing listens it says so at once, and none of its libraries is imported.

    Raises:
        SiteConfigError: The key of an endpoint is not there, or the site does not ask models elsewhere.
    """
    from serve.doors import choose_endpoint

    silent = build_silent_investigator(occasion.facts, occasion.settings, occasion.now)
    try:
        endpoint, why = choose_endpoint(occasion.roster.list_for("triage"), occasion.settings)
        if endpoint is None:
            return Asking(silent(why))
        from serve.investigator import Panel
    except KeyboardInterrupt:
        note(f"daytwo: {STOPPED}")
        return Asking(silent(STOPPED))
    progress = build_progress(endpoint.name, occasion.settings)
    panel = Panel(endpoint, occasion, silent=silent, progress=progress)
    return Asking(panel.look, panel.look_together)


def build_silent_investigator(facts: Facts, settings: Settings, now: datetime) -> Callable[[str], Investigator]:
    """Build what gives the rules' verdict, with the reason why no model was heard."""
    site = SitePolicy(scheduler=settings.scheduler)

    def say(why: str) -> Investigator:
        opinion = Opinion(fault="unknown", summary="", rejected=why)

        def look(case: Case, book: EvidenceBook) -> Verdict:
            return build_verdict(case, book, facts=facts, site=site, now=now, opinion=opinion)

        return look

    return say


def reach_endpoint(url: str) -> None:
    """Open a connection and close it again, unless a proxy stands between.

    Raises:
        ModelDown: The connection was refused, or the name is not known.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    if (proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(host):
        return
    try:
        socket.create_connection((host, parts.port or PORTS[parts.scheme]), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ModelDown(f"Nothing answers at {url} ({why.lower()}).", fix=f"curl {url}/models") from None


def build_progress(name: str, settings: Settings) -> Progress:
    """Build what tells, on standard error, whom the model is asked about, and how long that may take."""
    limits = (
        f"at most {settings.model_timeout_seconds:.0f} s an answer and {settings.model_total_seconds:.0f} s in all; "
        "Ctrl-C keeps the rules' verdict"
    )
    told: list[str] = []

    @contextmanager
    def show(subject: str) -> Iterator[None]:
        # Only the main thread hears Ctrl-C; a server asks from others, and nobody watches it.
        if not is_terminal(sys.stderr) or threading.current_thread() is not threading.main_thread():
            yield
            return
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        if not told:
            note(f"daytwo: asking {name}: {limits}")
        told.append(subject)
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            bar.add_task(f"the model looks at {subject}", total=None)
            yield

    return show
