"""`daytwo follow`: the kernel log of this machine as it grows, a verdict where a case is new or changed."""

from __future__ import annotations

import math
import os
import platform
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agent.policy import SitePolicy
from agent.remember import Boot
from agent.settings import Settings, load_settings
from agent.types import TriageReport
from agent.watch import Watch
from serve.own_model import list_own_models
from serve.record import parse_span
from serve.store import open_site_store
from serve.terminal import note, print_text
from serve.triage import print_report
from tools.errors import UpstreamError
from tools.host_boot import read_boot
from tools.host_follow import Follower, LogTail, Piece
from tools.host_follow_journal import LABEL as JOURNAL_LABEL
from tools.host_follow_open import open_follower
from tools.host_log import read_boot_time
from tools.host_paths import HostPaths
from tools.host_xids import XidListener

if TYPE_CHECKING:
    from agent.store.store import Store

SAVE_SECONDS = 5.0
"""How often the position is kept over lines that told nothing: to read those again does no harm."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked to be followed.

    Attributes:
        source: ``journal``, ``/dev/kmsg`` or a file; empty for the first that can be read.
        seconds: For how long, as ``10m``; empty for until Ctrl-C.
        as_json: One document a line.
        store: Keep positions and verdicts.
    """

    source: str = ""
    seconds: str = ""
    as_json: bool = False
    store: bool = True


def run_follow(wish: Wish, *, paths: HostPaths | None = None) -> int:
    """Follow until the time is over or a signal ends it.

    Returns:
        1 if a fault was told, else 2 if lines were lost, else 0.

    Raises:
        DaytwoError: The log cannot be read, or the store cannot be used.
    """
    settings = load_settings()
    paths = paths or HostPaths()
    deadline = time.monotonic() + parse_span("--for", wish.seconds) if wish.seconds else None
    node = settings.node or platform.node()
    with ExitStack() as stack:
        store = stack.enter_context(open_site_store(settings)) if wish.store else None

        def find_position(label: str) -> str:
            return store.find_followed(f"{node} {label}").position if store is not None else ""

        follower = open_follower(wish.source, node=node, paths=paths, find_position=find_position)
        stack.callback(follower.close)
        wake = stack.enter_context(_catch_signals())
        told = read_boot(paths)
        is_ours = _is_of_this_machine(follower, paths)
        watch = Watch(
            node=node,
            tail=LogTail(follower.label, node, read_boot_time(paths)),
            site=SitePolicy(scheduler=settings.scheduler),
            store=store,
            source=f"{node} {follower.label}",
            boot=Boot(node, *told) if told else None,
            tell=_build_teller(wish, settings, store, live=is_ours),
            xids=XidListener(node) if is_ours else None,
            list_own=partial(list_own_models, settings),
        )
        if watch.xids is not None:
            stack.callback(watch.xids.close)
        note(f"daytwo: following {follower.label}{watch.spell_start()}; Ctrl-C ends it")
        _follow(watch, follower, wake, deadline)
    return 1 if watch.told_trouble else 2 if watch.gaps else 0


def _build_teller(wish: Wish, settings: Settings, store: Store | None, *, live: bool) -> Callable[[TriageReport], None]:
    def tell(report: TriageReport) -> None:
        if wish.as_json:
            print_text(report.model_dump_json(by_alias=True))
        else:
            print_report(report, settings)
        if settings.site_file is not None:
            from serve.acting import act_on_report

            act_on_report(report, store, settings, live=live, as_json=wish.as_json)

    return tell


def _is_of_this_machine(follower: Follower, paths: HostPaths) -> bool:
    """Whether the log is the live one of the machine that we run on: a file may be of any."""
    return paths.is_live and follower.label in (str(paths.kmsg), JOURNAL_LABEL, *map(str, paths.kernel_logs))


def _follow(watch: Watch, follower: Follower, wake: int, deadline: float | None) -> None:
    watch.tail.take(follower.read_context())
    piece = follower.read()  # the first time whatever is wrong with the source ends it
    saved = looked = time.monotonic()
    while True:
        now = time.monotonic()
        is_last = deadline is not None and now >= deadline and not piece.more
        watch.take(piece, is_last=is_last)
        if now - saved > SAVE_SECONDS or is_last:
            watch.save()
            saved = now
        if is_last:
            return
        due = now if piece.more else min(looked + follower.poll_seconds, deadline or math.inf)
        ready = _wait(max(0.0, due - time.monotonic()), follower, watch, wake)
        if wake in ready:
            watch.take(Piece(), is_last=True)
            watch.save()
            return
        # What the driver says each second is no reason to look at the log.
        if follower.descriptor in ready or time.monotonic() >= due:
            piece, looked = _read_again(follower), time.monotonic()
        else:
            piece = Piece()


def _read_again(follower: Follower) -> Piece:
    try:
        return follower.read()
    except UpstreamError as error:
        note(f"daytwo: {error}")  # its lines are still there: nothing is lost yet
        return Piece()


def _wait(seconds: float, follower: Follower, watch: Watch, wake: int) -> list[int]:
    """Wait for more of the log, a word of the driver, or a signal; returns the descriptors that are ready."""
    beside = watch.xids.descriptor if watch.xids is not None else None
    wanted = [descriptor for descriptor in (wake, follower.descriptor, beside) if descriptor is not None]
    return select.select(wanted, [], [], seconds)[0]


@contextmanager
def _catch_signals() -> Iterator[int]:
    """Let Ctrl-C and a stop of the service end a wait and nothing else: what is being kept is kept to its end."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
