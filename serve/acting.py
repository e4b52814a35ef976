"""What a triage leads to: proposals, and what the site lets be done at once. Nothing without a site's file."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.settings import Settings
from agent.types import TriageReport
from serve.terminal import note, print_people
from tools.errors import DaytwoError

if TYPE_CHECKING:
    from agent.execution import Claim, Order, Outcome
    from agent.gates import Situation
    from agent.permission import Judged
    from agent.proposals import Proposal, Wanted
    from agent.site import Site
    from agent.store.actions import ActionBook
    from agent.store.store import Store

INTERRUPTED = "Ctrl-C came while it ran: how it ended is not known"


@dataclass(frozen=True, slots=True)
class Hands:
    """What acting needs beside the proposal: the site, the settings, and where proposals are kept."""

    book: ActionBook
    site: Site
    settings: Settings

    @property
    def here(self) -> str:
        """Name of this machine."""
        return self.settings.node or platform.node()


@dataclass(frozen=True, slots=True)
class Told:
    """One step of a verdict, and what became of it."""

    judged: Judged
    outcome: Outcome | None = None
    problem: str = ""


def act_on_report(report: TriageReport, store: Store | None, settings: Settings, *, live: bool, as_json: bool) -> None:
    """Propose what the verdicts call for, do what the site lets be done at once, and tell of both.

    What goes wrong here costs a note, never the verdict.

    Args:
        report: What was found; its verdicts are kept already.
        store: None where nothing is kept: then nothing is proposed.
        settings: Of this installation.
        live: The evidence was read of this machine as it runs.
        as_json: Tell on standard error; the document is another's.
    """
    if settings.site_file is None or store is None:
        return
    try:
        told = _act(report, store, settings, live=live)
    except DaytwoError as error:
        note(f"daytwo: nothing was proposed. {error}")
        return
    if told:
        _tell(told, as_json=as_json)


def _act(report: TriageReport, store: Store, settings: Settings, *, live: bool) -> list[Told]:
    from agent.proposals import find_wanted
    from agent.site import load_site
    from agent.store.actions import ActionBook

    hands = Hands(ActionBook(store), load_site(settings.site_file), settings)
    wanted = [
        one
        for verdict in report.verdicts
        for one in find_wanted(verdict, live=live)
        # What is only observed was never asked for, and leaves no trace.
        if hands.site.autonomy.rules_of(one.action).level != "observe"
    ]
    if not wanted:
        return []
    situation = build_situation(hands, wanted)
    return [_follow_up(judged, hands, situation) for judged in hands.book.propose(wanted, situation)]


def _follow_up(judged: Judged, hands: Hands, situation: Situation) -> Told:
    """Do at once what nothing stands in the way of."""
    if not judged.is_ready or judged.proposal is None:
        return Told(judged)
    from agent.audit import ITSELF
    from agent.execution import open_executor
    from agent.proposals import Stop

    order = build_order(judged.proposal, hands)
    rehearsal = open_executor(order.proposal.executor).rehearse(order)
    doubt = rehearsal.problem or rehearsal.doubt
    if doubt:
        hands.book.refuse(judged.proposal, [Stop("dry_run", doubt)], ITSELF, time.time())
        return Told(judged, problem=doubt)
    try:
        claim = hands.book.act(judged.proposal.proposal_id, refresh(situation)).claim
    except DaytwoError as error:
        return Told(judged, problem=error.message)
    return Told(judged, outcome=carry_out(order, claim, hands)) if claim else Told(judged)


def carry_out(order: Order, claim: Claim, hands: Hands) -> Outcome:
    """Do what was claimed, and write down what came of it, whatever that is."""
    from agent.execution import Outcome, execute

    try:
        outcome = execute(order, claim)
    except KeyboardInterrupt:
        hands.book.finish(claim, Outcome("failed", INTERRUPTED), time.time())
        raise
    hands.book.finish(claim, outcome, time.time())
    return outcome


def build_order(proposal: Proposal, hands: Hands) -> Order:
    """Put together what an executor is told."""
    from agent.execution import Order

    key = hands.settings.webhook_key
    return Order(
        proposal,
        allow=hands.site.autonomy.rules_of(proposal.wanted.action).allow,
        webhook=hands.site.autonomy.webhook,
        webhook_key=key.get_secret_value().encode() if key else None,
        here=hands.here,
    )


def build_situation(hands: Hands, wanted: Sequence[Wanted]) -> Situation:
    """Read what the gates ask for: the clock, the kill switch, the site's inventory, and programs on our own GPUs."""
    from agent.execution import list_executors
    from agent.gates import Situation
    from tools.inventory import read_inventory

    inventory = read_inventory(hands.settings.inventory) if hands.settings.inventory else None
    return Situation(
        now_seconds=time.time(),
        autonomy=hands.site.autonomy,
        inventory=inventory,
        executors=list_executors(),
        halted=read_kill_switch(hands.site.autonomy.kill_switch),
        programs=_read_programs(wanted, hands),
    )


def refresh(situation: Situation) -> Situation:
    """The same, with the clock and the kill switch as they are now."""
    halted = read_kill_switch(situation.autonomy.kill_switch)
    return replace(situation, now_seconds=time.time(), halted=halted)


def read_kill_switch(path: Path) -> str:
    """Say why nothing is done; empty where the file is not there. What cannot be looked at counts as there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"the kill switch {path} cannot be looked at: {error.strerror}"
    return f"the kill switch {path} is there"


def _read_programs(wanted: Iterable[Wanted], hands: Hands) -> dict[str, bool]:
    """Ask NVML whether programs run on the GPUs of this machine, where a precondition asks for that."""
    from tools.entities import same_node

    if not any(one.precondition and one.node and same_node(one.node, hands.here) for one in wanted):
        return {}
    from tools.nvml_reader import read_gpus

    report = read_gpus(timeout_seconds=hands.settings.gpu_timeout_seconds)
    counts = [
        next((reading.value for reading in gpu.readings if reading.call == "ComputeRunningProcesses"), None)
        for gpu in report.gpus
    ]
    if any(counts):
        return {hands.here: True}
    is_known = report.state == "ok" and bool(counts) and None not in counts
    return {hands.here: False} if is_known else {}


def _tell(told: Sequence[Told], *, as_json: bool) -> None:
    from serve.action_lines import render_told, spell_told

    if as_json:
        for one in told:
            note(f"daytwo: {spell_told(one)}")
        return
    print_people(render_told(told))
