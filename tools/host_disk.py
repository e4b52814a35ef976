"""How the disks of this machine are doing now: real ``iostat`` where it is, else the same figures from the kernel."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from tools.diskstats import build_past_window, build_window, read_sample
from tools.document import TextDocument
from tools.errors import UpstreamError
from tools.host_consumers import build_consumer_facts, read_consumers
from tools.host_parsers import find_parser
from tools.host_paths import HostPaths
from tools.shell import expect_success, run_command
from tools.types import Coverage, Facts, Window

GRACE_SECONDS = 10.0
"""How long iostat may take beyond its interval: a machine under I/O load starts programs slowly (a guess)."""


def read_disk_facts(*, node: str, seconds: int, paths: HostPaths) -> Facts:
    """Watch the disks for an interval, and who uses them.

    Args:
        node: Name of this machine.
        seconds: Length of the interval.
        paths: Where the machine is; ``iostat`` itself always looks at the real one.
    """
    past = _read_past(node, paths)
    before = read_consumers(paths)
    disks = _watch_disks(node=node, seconds=seconds, paths=paths)
    users = build_consumer_facts(before, read_consumers(paths), node=node, paths=paths)
    return past + disks + users


def _read_past(node: str, paths: HostPaths) -> Facts:
    try:
        window = build_past_window(read_sample(paths.proc, paths.sys), node=node)
    except OSError:
        return Facts()  # the watch that follows says so
    return Facts(windows=(window,)) if window is not None else Facts()


def _watch_disks(*, node: str, seconds: int, paths: HostPaths) -> Facts:
    if paths.is_live:
        try:
            return _read_iostat(node, seconds)
        except UpstreamError:
            pass  # not installed, or stuck: the kernel's own counters tell the same
    return read_diskstats_facts(node=node, seconds=seconds, paths=paths)


def _read_iostat(node: str, seconds: int) -> Facts:
    # The first report is the mean since boot: two are asked for, and the parser drops the first.
    argv = ["iostat", "-x", "-t", "-o", "JSON", str(seconds), "2"]
    result = run_command(argv, timeout_seconds=seconds + GRACE_SECONDS, env={"S_TIME_FORMAT": "ISO"})
    expect_success(result)
    facts = find_parser("iostat").parse(TextDocument(result.command, node, result.stdout)).facts
    read = () if facts.coverage else (Coverage(f"node:{node}", "disk", "read"),)
    windows = tuple(_place_now(window) for window in facts.windows)
    return replace(facts, windows=windows, coverage=(*facts.coverage, *read))


def _place_now(window: Window) -> Window:
    """Give readings without a time the present one: the program was run just now."""
    if window.clock == "utc" and not np.isnan(window.times).any():
        return window
    return replace(window, times=np.full(len(window.times), time.time()), clock="utc")


def read_diskstats_facts(*, node: str, seconds: int, paths: HostPaths) -> Facts:
    """Watch the kernel's counters for an interval."""
    entity = f"node:{node}"
    try:
        first = read_sample(paths.proc, paths.sys)
        time.sleep(seconds)
        second = read_sample(paths.proc, paths.sys)
    except OSError as error:
        reason = f"{paths.proc / 'diskstats'}: {error.strerror}"
        return Facts(coverage=(Coverage(entity, "disk", "missing", reason, "apt-get install sysstat; iostat -x 1 2"),))
    window = build_window(first, second, node=node)
    if window is None:
        return Facts(coverage=(Coverage(entity, "disk", "not_applicable", "no disk has done any I/O since boot"),))
    return Facts(windows=(window,), entities=window.entities, coverage=(Coverage(entity, "disk", "read"),))
