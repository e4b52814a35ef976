"""The kernel log of this machine: its ring buffer, else what ``dmesg``, the journal or a log file hold of it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tools.document import FileDocument, TextDocument
from tools.errors import DaytwoError
from tools.host_parsers import find_parser
from tools.host_paths import HostPaths, read_line
from tools.shell import expect_success, run_command
from tools.types import Coverage, Document, Event, Facts, Moment

PROGRAM_SECONDS = 20.0
"""Longest wait for dmesg or journalctl; a journal of a long boot takes seconds (a guess)."""
MAX_JOURNAL_LINES = 200_000
RECORD_BYTES = 8192  # one record of /dev/kmsg at most: CONSOLE_EXT_LOG_MAX of the kernel
RECORD = re.compile(r"(?P<priority>\d+),(?P<number>\d+),(?P<microseconds>\d+),[^;]*;(?P<text>.*)", re.DOTALL)
_FIX_RIGHT = "run as root, or: sysctl kernel.dmesg_restrict=0"

OpenedLog = tuple[Document, str]
"""A text of the kernel log, and what it lacks."""


def read_kernel_log_facts(*, node: str, paths: HostPaths, since: float | None = None) -> Facts:
    """Read the kernel log from the first place that gives it.

    Args:
        node: Name of this machine.
        paths: Where the machine is; programs are asked only where it is the one that we run on.
        since: Unix seconds; older events are left out, those without a wall time stay.
    """
    opened = open_kernel_log(node=node, paths=paths)
    if isinstance(opened, Coverage):
        return Facts(coverage=(opened,))
    return _parse(opened, f"node:{node}", paths, since)


def open_kernel_log(*, node: str, paths: HostPaths) -> OpenedLog | Coverage:
    """Open the kernel log at the first place that gives it.

    Args:
        node: Name of this machine.
        paths: Where the machine is; programs are asked only where it is the one that we run on.

    Returns:
        The text and what it lacks (empty where it is whole), or why there is none.
    """
    failures: list[str] = []
    for opener in (_open_ring, _open_dmesg, _open_journal, _open_file):
        try:
            opened = opener(node, paths)
        except (DaytwoError, OSError) as error:
            failures.append(_spell_failure(error))
            continue
        if opened is not None:
            return opened
    reason = "; ".join(failures) or "no ring buffer, journal or log file is to be found"
    fix = _FIX_RIGHT if "ermi" in reason else "dmesg | daytwo triage -"
    return Coverage(f"node:{node}", "kernel_log", "missing", reason, fix)


def _spell_failure(error: DaytwoError | OSError) -> str:
    if isinstance(error, DaytwoError):
        return error.message.rstrip(".")
    return f"{error.filename}: {error.strerror}"


def _parse(opened: OpenedLog, entity: str, paths: HostPaths, since: float | None) -> Facts:
    document, lack = opened
    facts = find_parser("kernel_log").parse(document).facts
    booted = read_boot_time(paths)
    events = tuple(place_in_time(event, booted) for event in facts.events)
    kept = tuple(event for event in events if since is None or not _is_before(event.moment, since))
    row = Coverage(entity, "kernel_log", "partial" if lack else "read", lack)
    return replace(facts, events=kept, coverage=(row,))


def _open_ring(node: str, paths: HostPaths) -> OpenedLog | None:
    """Open the ring buffer; where it has lost its beginning and a journal has the whole boot, the journal instead."""
    records = list(_read_records(paths.kmsg))
    if not records:
        return None
    first = RECORD.match(records[0])
    lost = int(first["number"]) if first else 0
    if lost:
        journal = _try_journal(node, paths)
        if journal is not None:
            return journal
    lack = f"the ring buffer no longer holds its first {lost} records" if lost else ""
    return TextDocument(str(paths.kmsg), node, "\n".join(map(spell_record, records))), lack


def spell_record(record: str) -> str:
    """Spell a record as ``dmesg --raw`` does, which people know; the priority tells who wrote it."""
    match = RECORD.match(record)
    if match is None:
        return record
    seconds, microseconds = divmod(int(match["microseconds"]), 1_000_000)
    return f"<{match['priority']}>[{seconds:5d}.{microseconds:06d}] {match['text']}"


def _read_records(path: Path) -> Iterator[str]:
    """Read the head line of each record that is there now, without waiting for more.

    Raises:
        OSError: The device is not there, or there is no right to read it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    pending = b""
    try:
        while True:
            try:
                chunk = os.read(descriptor, RECORD_BYTES)
            except BrokenPipeError:
                continue  # overwritten while we read: the kernel goes on with the next record
            except BlockingIOError:
                break
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            # Lines that begin with a blank are the record's dictionary (SUBSYSTEM=, DEVICE=).
            yield from (line.decode("utf-8", "replace") for line in lines if line and not line.startswith(b" "))
    finally:
        os.close(descriptor)


def _open_dmesg(node: str, paths: HostPaths) -> OpenedLog | None:
    if not paths.is_live:
        return None
    result = expect_success(run_command(["dmesg", "--raw"], timeout_seconds=PROGRAM_SECONDS))
    return (TextDocument(result.command, node, result.stdout), "") if result.stdout.strip() else None


def _open_journal(node: str, paths: HostPaths) -> OpenedLog | None:
    if not paths.is_live:
        return None
    argv = ["journalctl", "-k", "-b", "-o", "short-iso", "--no-pager", "-n", str(MAX_JOURNAL_LINES)]
    result = expect_success(run_command(argv, timeout_seconds=PROGRAM_SECONDS))
    lines = [line for line in result.stdout.splitlines() if not line.startswith("-- ")]
    return (TextDocument("journalctl -k -b -o short-iso", node, result.stdout), "") if lines else None


def _try_journal(node: str, paths: HostPaths) -> OpenedLog | None:
    try:
        return _open_journal(node, paths)
    except DaytwoError:
        return None


def _open_file(node: str, paths: HostPaths) -> OpenedLog | None:
    for path in paths.kernel_logs:
        if path.exists():
            with path.open("rb"):
                pass  # fails here and now where there is no right to read it
            return FileDocument(str(path), node, path), ""
    return None


def read_boot_time(paths: HostPaths) -> float | None:
    """Tell when the machine booted in Unix seconds; None where the kernel does not say.

    Whole seconds, and the same at each call: what is told of one line now and later must have one time.
    """
    try:
        text = (paths.proc / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    uptime = read_line(paths.proc / "uptime") if paths.is_live else None
    return time.time() - float(uptime.split()[0]) if uptime else None


def place_in_time(event: Event, booted: float | None) -> Event:
    """Put an event of this machine on the wall clock in UTC: here the boot time and the time zone are known."""
    moment = event.moment
    if moment.seconds is None:
        return event
    if moment.clock == "boot" and booted is not None:
        return replace(event, moment=Moment("utc", booted + moment.seconds))
    if moment.clock == "local":
        wall = time.gmtime(moment.seconds)
        seconds = time.mktime((*wall[:8], -1)) + moment.seconds % 1.0
        return replace(event, moment=replace(moment, clock="utc", seconds=seconds))
    return event


def _is_before(moment: Moment, since: float) -> bool:
    return moment.clock in ("utc", "local") and moment.seconds is not None and moment.seconds < since
