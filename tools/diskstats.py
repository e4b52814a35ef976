"""The figures of ``iostat -x``, computed from two samples of ``/proc/diskstats``, for where sysstat is not installed.

Fields and their meaning: the kernel's Documentation/admin-guide/iostats.rst. The formulas are those that sysstat
documents in iostat(1): requests and bytes over the interval, mean time of a request (its queueing included), mean
number of open requests (weighted time over the interval), share of the interval in which any request was open.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.types import Entity, Quote, Window

SECTOR_BYTES = 512
"""A sector of /proc/diskstats, whatever the sector of the device (iostats.rst)."""
_FIELDS = 14  # major, minor, name, then the eleven fields that every kernel has


@dataclass(frozen=True, slots=True)
class DiskCounters:
    """Counters of one device since boot; times in milliseconds."""

    reads: int
    read_sectors: int
    read_ms: int
    writes: int
    written_sectors: int
    write_ms: int
    busy_ms: int
    weighted_ms: int

    @property
    def is_unused(self) -> bool:
        """Whether the device never did anything; iostat leaves such devices out too."""
        return self.reads == 0 and self.writes == 0


@dataclass(frozen=True, slots=True)
class DiskSample:
    """All whole disks at one moment.

    Attributes:
        monotonic_seconds: For the interval; the wall clock may jump.
        unix_seconds: For the time of the readings.
    """

    monotonic_seconds: float
    unix_seconds: float
    disks: Mapping[str, DiskCounters]


def read_sample(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> DiskSample:
    """Read the counters of every whole disk (partitions are left out, as iostat does).

    Raises:
        OSError: ``/proc/diskstats`` cannot be read.
    """
    text = (proc / "diskstats").read_text(encoding="ascii", errors="replace")
    monotonic, unix = time.monotonic(), time.time()
    disks = {name: counters for name, counters in parse_diskstats(text).items() if _is_whole(sys, name)}
    return DiskSample(monotonic, unix, disks)


def parse_diskstats(text: str) -> dict[str, DiskCounters]:
    """Read the text of ``/proc/diskstats``; a line that is short or broken is left out."""
    disks: dict[str, DiskCounters] = {}
    for line in text.splitlines():
        cells = line.split()
        if len(cells) < _FIELDS or not all(cell.isdigit() for cell in cells[3:_FIELDS]):
            continue
        reads, _, read_sectors, read_ms, writes, _, written, write_ms, _, busy_ms, weighted_ms = map(
            int, cells[3:_FIELDS]
        )
        disks[cells[2]] = DiskCounters(reads, read_sectors, read_ms, writes, written, write_ms, busy_ms, weighted_ms)
    return disks


def _is_whole(sys: Path, name: str) -> bool:
    # sysfs spells a slash in a device name as an exclamation mark (cciss/c0d0).
    return (sys / "block" / name.replace("/", "!")).exists()


def build_window(first: DiskSample, second: DiskSample, *, node: str) -> Window | None:
    """Compute the figures of the interval between two samples.

    Returns:
        A window of one time with a row for each disk that is in both samples, NaN where no request says how long one
        takes, or None where there is no disk. A counter that went back (device removed and added) gives no row.
    """
    interval = second.monotonic_seconds - first.monotonic_seconds
    if interval <= 0:
        return None
    names = [name for name, now in second.disks.items() if name in first.disks and not now.is_unused]
    rows = {name: compute_figures(first.disks[name], second.disks[name], interval) for name in names}
    figures = {name: row for name, row in rows.items() if row is not None}
    if not figures:
        return None
    signals = list(next(iter(figures.values())))
    values = {signal: np.array([[row[signal]] for row in figures.values()]) for signal in signals}
    source = f"/proc/diskstats, two samples {interval:.2f} s apart"
    return Window(
        entities=tuple(Entity("disk", node, name) for name in figures),
        times=np.array([second.unix_seconds]),
        values=values,
        source=source,
        step_seconds=None,
        reasons={
            (row, signal): "no_requests"
            for row, numbers in enumerate(figures.values())
            for signal, number in numbers.items()
            if math.isnan(number)
        },
        quotes={row: Quote(source, None, _spell(name, figures[name])) for row, name in enumerate(figures)},
    )


def build_past_window(sample: DiskSample, *, node: str) -> Window | None:
    """Compute how long a request took from boot until a sample: what was usual before the interval that follows.

    Returns:
        A window of one time with ``disk_await_before_seconds`` of every disk that did anything, None without one.
    """
    waits = {
        name: (counters.read_ms + counters.write_ms) / (counters.reads + counters.writes) / 1000.0
        for name, counters in sample.disks.items()
        if not counters.is_unused
    }
    if not waits:
        return None
    source = "/proc/diskstats, totals since boot"
    return Window(
        entities=tuple(Entity("disk", node, name) for name in waits),
        times=np.array([sample.unix_seconds]),
        values={"disk_await_before_seconds": np.array([[wait] for wait in waits.values()])},
        source=source,
        quotes={
            row: Quote(source, None, f"{name}: a request took {wait * 1000:.2f} ms on average since boot")
            for row, (name, wait) in enumerate(waits.items())
        },
    )


def compute_figures(before: DiskCounters, after: DiskCounters, interval: float) -> dict[str, float] | None:
    """Compute the figures of `iostat -x` from two readings of one device's counters; None where a counter went back."""
    reads, writes = after.reads - before.reads, after.writes - before.writes
    read_ms, write_ms = after.read_ms - before.read_ms, after.write_ms - before.write_ms
    read_sectors, written = after.read_sectors - before.read_sectors, after.written_sectors - before.written_sectors
    busy_ms, weighted_ms = after.busy_ms - before.busy_ms, after.weighted_ms - before.weighted_ms
    if min(reads, writes, read_ms, write_ms, busy_ms, weighted_ms) < 0:
        return None
    milliseconds = interval * 1000.0
    return {
        "disk_reads_per_second": reads / interval,
        "disk_writes_per_second": writes / interval,
        "disk_read_bytes_per_second": read_sectors * SECTOR_BYTES / interval,
        "disk_write_bytes_per_second": written * SECTOR_BYTES / interval,
        "disk_read_await_seconds": read_ms / reads / 1000.0 if reads else math.nan,
        "disk_write_await_seconds": write_ms / writes / 1000.0 if writes else math.nan,
        "disk_queue_length": weighted_ms / milliseconds,
        # The kernel counts busy time in ticks, which may overshoot a short interval by one.
        "disk_utilization_ratio": min(1.0, busy_ms / milliseconds),
    }


def _spell(name: str, figures: Mapping[str, float]) -> str:
    columns = (
        ("r/s", "disk_reads_per_second", 1.0), ("w/s", "disk_writes_per_second", 1.0),
        ("rkB/s", "disk_read_bytes_per_second", 1 / 1024), ("wkB/s", "disk_write_bytes_per_second", 1 / 1024),
        ("r_await", "disk_read_await_seconds", 1000.0), ("w_await", "disk_write_await_seconds", 1000.0),
        ("aqu-sz", "disk_queue_length", 1.0), ("%util", "disk_utilization_ratio", 100.0),
    )  # fmt: skip
    told = [
        f"{column} {figures[signal] * factor:.2f}"
        for column, signal, factor in columns
        if figures[signal] == figures[signal]
    ]
    return f"{name} " + " ".join(told)
