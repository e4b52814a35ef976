"""`daytwo demo`: the main job in three acts. A smoke test too: it fails where an act does not show what it says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from rich.text import Text

from agent.run import Run
from agent.settings import Settings, load_settings
from agent.types import TriageReport
from serve.render import render_step
from serve.terminal import note, print_people
from serve.triage import print_opinions, print_report, triage_request
from serve.types import Request
from tools.errors import DaytwoError, OperatorError
from tools.shell import expect_success, install_hint, run_command

INSTALL_SECONDS = 120.0
PROVING_TRIES = 3
EVIDENCE = Path(__file__).resolve().parent.parent / "examples" / "bad-night"
NEXT_COMMANDS = (
    ("on a node of yours", "daytwo triage --host"),
    ("on a log of yours", "dmesg -T | daytwo triage -"),
    ("with a model of yours", "daytwo triage EVIDENCE --model http://HOST:8000/v1#NAME"),
)


@dataclass
class Audience:
    """Sees what the rules say, and keeps the audits of what a model did after that."""

    settings: Settings
    rules: TriageReport | None = None
    runs: list[Run] = field(default_factory=list)

    def show(self, report: TriageReport, kept: bool) -> None:
        """Show what the rules say."""
        self.rules = report
        print_report(report, self.settings, kept=kept)


@dataclass(frozen=True, slots=True)
class Act:
    """One act.

    Attributes:
        command: What a person would type.
        shown: One line that says what was just shown.
        play: Does it before an audience.
        holds: Whether the report holds what `shown` says.
    """

    title: str
    command: str
    shown: str
    play: Callable[[Settings, Audience], TriageReport]
    holds: Callable[[TriageReport], bool]


def run_demo() -> int:
    """Play the acts.

    Returns:
        0, or 1 where an act did not show what it says.

    Raises:
        OperatorError: The examples are not there (the program was installed without its repository).
    """
    if not EVIDENCE.is_dir():
        raise OperatorError(f"There is no folder {EVIDENCE}.", fix="run the demo from a clone: make demo")
    # A model or an inventory of the site's own would change what the acts show.
    settings = load_settings().model_copy(update={"model": "", "inventory": None})
    _bring_iostat()
    failed = [act.title for act in ACTS if not _play(act, settings)]
    for title in failed:
        note(f"daytwo: {title}: this is not what should have been shown")
    print_people(Text("Next, on a fleet of your own", "bold"))
    for when, command in NEXT_COMMANDS:
        print_people(Text.assemble("  $ ", (command, "bold cyan"), (f"   # {when}", "dim")))
    return 1 if failed else 0


def _play(act: Act, settings: Settings) -> bool:
    started = perf_counter()
    print_people(Text(), Text(f"━━ {act.title} ━━", "bold blue"), Text(f"$ {act.command}", "bold cyan"), Text())
    audience = Audience(settings)
    report = act.play(settings, audience)
    print_opinions(audience.rules or report, report)
    if audience.runs:
        steps = [render_step(asdict(step)) for step in audience.runs[0].steps]
        print_people(Text(), Text("What the model did", "bold"), *steps)
    print_people(Text(), Text.assemble(("Shown: ", "bold"), f"{act.shown} ({perf_counter() - started:.1f} s)"), Text())
    return act.holds(report)


def _triage_host(settings: Settings, audience: Audience) -> TriageReport:
    return triage_request(
        Request(host=True, store=False), settings, datetime.now(UTC), record=audience.runs.append, show=audience.show
    )


def _triage_folder(settings: Settings, audience: Audience) -> TriageReport:
    return triage_request(
        Request((EVIDENCE,), store=False), settings, datetime.now(UTC), record=audience.runs.append, show=audience.show
    )


def _triage_with_model(settings: Settings, audience: Audience) -> TriageReport:
    from evals.manners import Manners
    from evals.scripted import ScriptedServer
    from serve.model_check import prove_model, render_profile

    # A server as vLLM with an unfitting parser is: what it leaks, the preflight finds and repair puts right.
    with ScriptedServer("demo", manners=Manners(engine="vllm", window_tokens=16_384, auto="tagged")) as server:
        profile, kept = prove_model(server.spec, settings, tries=PROVING_TRIES)
        try:
            print_people(Text(), render_profile(profile, kept), Text())
            request = Request((EVIDENCE,), model=server.spec, store=False)
            return triage_request(request, settings, datetime.now(UTC), record=audience.runs.append, show=audience.show)
        finally:
            kept.unlink(missing_ok=True)


def _has_bad_night(report: TriageReport) -> bool:
    first, *others = report.verdicts
    folded = {item.fault for item in first.consequences}
    guest = any(v.fault == "io_noisy_neighbor" and any("tenant-b-etl" in a.entity for a in v.affected) for v in others)
    return first.fault == "gpu_off_bus" and "collective_hang" in folded and guest


def _has_model(report: TriageReport) -> bool:
    asked = [verdict for verdict in report.verdicts if verdict.model is not None]
    thrown_out = [claim for verdict in asked for claim in verdict.claims if not claim.verified]
    return _has_bad_night(report) and bool(asked) and bool(thrown_out)


ACTS = (
    Act(
        "Act 1: this machine, live",
        "daytwo triage --host",
        "this machine as it is; what could not be read stands in the coverage with what to type, never as healthy.",
        _triage_host,
        lambda report: bool(report.coverage),
    ),
    Act(
        "Act 2: a bad night, from evidence on disk",
        "daytwo triage examples/bad-night",
        "a GPU off the bus explains the hung job; a saturated disk has its guest's name; no model was asked.",
        _triage_folder,
        _has_bad_night,
    ),
    Act(
        "Act 3: the model in the seat",
        "daytwo model check URL#NAME; daytwo triage examples/bad-night --model URL#NAME",
        "the endpoint was proven, then a model called tools and concluded; code threw out the claim that it made up.",
        _triage_with_model,
        _has_model,
    ),
)


def _bring_iostat() -> None:
    """Install sysstat where that is allowed; without it the figures come from /proc."""
    if shutil.which("iostat"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        note(f"daytwo: iostat is not here; disks are read from /proc/diskstats. To have it: {install_hint('iostat')}")
        return
    try:
        for argv in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "sysstat"],
        ):
            expect_success(run_command(argv, timeout_seconds=INSTALL_SECONDS))
    except DaytwoError as error:
        note(f"daytwo: sysstat was not installed, so disks are read from /proc/diskstats. {error}")
