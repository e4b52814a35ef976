"""What each cgroup has read from and written to each block device: v2 ``io.stat`` and v1 ``blkio``.

Formats: the kernel's Documentation/admin-guide/cgroup-v2.rst (IO interface files) and cgroup-v1/blkio-controller.rst.
Two things to know of v1: since Linux 6.9 or so the throttle files count only devices for which some limit was ever set
(blk-throttle starts lazily), and buffered writes are counted for the root, whoever wrote. ``/proc/PID/io`` fills in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tools.host_paths import HostPaths

MAX_CGROUPS = 4096
"""Groups that are looked at: a node with more has its tail counted for their parents (a guess)."""
_MAX_DEPTH = 16
_V1_FILES = (
    ("blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"),
    ("blkio.bfq.io_service_bytes", "blkio.bfq.io_serviced"),
    ("blkio.io_service_bytes", "blkio.io_serviced"),
)
"""Bytes and requests; who counts depends on kernel and scheduler, the first that has a device is believed."""


class Counts(NamedTuple):
    """Counters of one consumer on one device."""

    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0

    @property
    def bytes(self) -> int:
        """Read and written together."""
        return self.read_bytes + self.write_bytes

    def plus(self, other: Counts) -> Counts:
        """Add counter by counter."""
        return Counts(*(one + two for one, two in zip(self, other, strict=True)))

    def minus(self, other: Counts) -> Counts:
        """Subtract counter by counter; may be negative."""
        return Counts(*(one - two for one, two in zip(self, other, strict=True)))

    def floored(self) -> Counts:
        """Nothing below zero."""
        return Counts(*(max(0, one) for one in self))


ByDevice = Mapping[str, Counts]
"""``MAJ:MIN`` to counters."""


@dataclass(frozen=True, slots=True)
class CgroupSample:
    """All groups at one moment.

    Attributes:
        groups: Path below the root of the hierarchy to what the group itself did, its sub-groups left out.
        files: Path to the file that was read.
        version: 1 or 2.
        is_capped: Whether there were more groups than were read.
    """

    groups: Mapping[str, ByDevice]
    files: Mapping[str, str]
    version: int
    is_capped: bool = False


def read_cgroups(paths: HostPaths) -> CgroupSample | None:
    """Read the counters of every group of v1's blkio hierarchy, else of v2's; None where there is neither."""
    root = paths.sys / "fs" / "cgroup"
    if (root / "blkio").is_dir():
        return _read_tree(root / "blkio", 1)
    if (root / "cgroup.controllers").exists():
        return _read_tree(root, 2)
    return None


def _read_tree(root: Path, version: int) -> CgroupSample:
    groups: dict[str, ByDevice] = {}
    files: dict[str, str] = {}
    seen = 0
    for folder in _walk(root):
        seen += 1
        if seen > MAX_CGROUPS:
            break
        # The root is the machine itself, not a consumer.
        path = "/" + folder.relative_to(root).as_posix() if folder != root else ""
        if not path:
            continue
        name, counts = _read_v1(folder) if version == 1 else _read_v2(folder)
        if name:
            groups[path], files[path] = counts, str(folder / name)
    return CgroupSample(groups if version == 1 else _subtract_children(groups), files, version, seen > MAX_CGROUPS)


def _walk(root: Path) -> Iterator[Path]:
    """Iterate over the folders of a hierarchy, widest level first."""
    level = [root]
    for _ in range(_MAX_DEPTH):
        yield from level
        level = [child for folder in level for child in _list_children(folder)]
        if not level:
            return


def _list_children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []  # the group went away


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def _read_v2(folder: Path) -> tuple[str, ByDevice]:
    text = _read_text(folder / "io.stat")
    return ("", {}) if text is None else ("io.stat", parse_io_stat(text))


def _read_v1(folder: Path) -> tuple[str, ByDevice]:
    found: dict[str, Counts] = {}
    name = ""
    for bytes_file, requests_file in _V1_FILES:
        text = _read_text(folder / bytes_file)
        if text is None:
            continue
        counts = parse_blkio(text, _read_text(folder / requests_file) or "")
        fresh = {device: count for device, count in counts.items() if device not in found}
        name = bytes_file if fresh or not name else name
        found |= fresh
    return name, found


def parse_io_stat(text: str) -> dict[str, Counts]:
    """Read ``io.stat``: ``254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0``; a broken line is left out."""
    found: dict[str, Counts] = {}
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        pairs = dict(cell.split("=", 1) for cell in rest.split() if "=" in cell)
        cells = [pairs.get(key, "0") for key in ("rbytes", "wbytes", "rios", "wios")]
        if _is_device(device) and all(cell.isdigit() for cell in cells):
            found[device] = Counts(*map(int, cells))
    return found


def parse_blkio(bytes_text: str, requests_text: str) -> dict[str, Counts]:
    """Read a pair of v1 files, of lines ``254:0 Write 4096``."""
    found: dict[str, list[int]] = {}
    for offset, text in ((0, bytes_text), (2, requests_text)):
        for line in text.splitlines():
            cells = line.split()
            if len(cells) != 3 or cells[1] not in ("Read", "Write") or not cells[2].isdigit():
                continue
            if _is_device(cells[0]):
                found.setdefault(cells[0], [0, 0, 0, 0])[offset + (cells[1] == "Write")] = int(cells[2])
    return {device: Counts(*numbers) for device, numbers in found.items()}


def _is_device(word: str) -> bool:
    major, colon, minor = word.partition(":")
    return bool(colon) and major.isdigit() and minor.isdigit()


def _subtract_children(groups: Mapping[str, ByDevice]) -> Mapping[str, ByDevice]:
    """Turn v2's counters, which include all sub-groups, into what each group did itself."""
    own = {path: dict(devices) for path, devices in groups.items()}
    for path, devices in groups.items():
        parent = find_parent(path, groups)
        if parent is None:
            continue
        for device, counts in devices.items():
            own[parent][device] = own[parent].get(device, Counts()).minus(counts)
    return own


def find_parent(path: str, groups: Mapping[str, ByDevice]) -> str | None:
    """The nearest group above that is among `groups`."""
    above = path.rpartition("/")[0]
    while above:
        if above in groups:
            return above
        above = above.rpartition("/")[0]
    return None


def compare_cgroups(first: CgroupSample, second: CgroupSample) -> dict[str, dict[str, Counts]]:
    """Compute what each group did on each device between two samples, nothing below zero.

    A group that ended in between leaves its totals to its parent (v2): what it had before is taken off there.
    """
    before = {path: dict(devices) for path, devices in first.groups.items()}
    for path in sorted(first.groups, key=len, reverse=True):
        if path in second.groups:
            continue
        ended, parent = before.pop(path), find_parent(path, first.groups)
        heir = before[parent] if parent is not None else {}
        for device, counts in ended.items():
            heir[device] = heir.get(device, Counts()).plus(counts)
    done: dict[str, dict[str, Counts]] = {}
    for path, devices in second.groups.items():
        past = before.get(path, {})
        done[path] = {device: counts.minus(past.get(device, Counts())).floored() for device, counts in devices.items()}
    return done
