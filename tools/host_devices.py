"""Which block device is which: MAJ:MIN to disk, what a disk lies on, and which disks a process has open.

A partition counts as its whole disk, for that is what the kernel's counters and ``iostat`` tell of.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.host_paths import HostPaths, read_line
from tools.types import Entity, Link, Quote

MAX_OPEN_FILES = 512
"""Open files of one process that are looked at (a guess)."""
_STANDARD_STREAMS = frozenset({"0", "1", "2"})
_WRITING, _READING = (1, 2), (0, 2)  # O_WRONLY, O_RDWR; O_RDONLY, O_RDWR


def read_devices(paths: HostPaths) -> dict[str, str]:
    """Map ``MAJ:MIN`` of every disk and partition to the name of the whole disk."""
    found: dict[str, str] = {}
    for disk in _list(paths.sys / "block"):
        name = disk.name.replace("!", "/")
        # The folder of a partition has a file of that name; `device/` and others have numbers that are not a disk's.
        parts = [part for part in _list(disk) if part.name.startswith(disk.name) and (part / "partition").exists()]
        for folder in (disk, *parts):
            numbers = read_line(folder / "dev")
            if numbers:
                found[numbers] = name
    return found | _read_file_systems(paths, found)


def _read_file_systems(paths: HostPaths, devices: Mapping[str, str]) -> dict[str, str]:
    """File systems with a number of their own (btrfs) stand for the disk that they were mounted from."""
    try:
        text = (paths.proc / "self" / "mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    names = {name: name for name in devices.values()}
    found: dict[str, str] = {}
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        cells, origin = head.split(), tail.split()
        if len(cells) < 3 or len(origin) < 2 or not cells[2].startswith("0:") or not origin[1].startswith("/dev/"):
            continue
        word = origin[1].removeprefix("/dev/")
        whole = next((name for name in sorted(names, key=len, reverse=True) if word.startswith(name)), None)
        if whole is not None:
            found[cells[2]] = whole
    return found


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def read_part_links(*, node: str, paths: HostPaths, devices: Mapping[str, str]) -> tuple[Link, ...]:
    """Read which disks lie on which: device mapper and RAID by their slaves, loop devices by their file."""
    found: list[Link] = []
    for folder in _list(paths.sys / "block"):
        upper = folder.name.replace("!", "/")
        for lower, quote in (*_read_slaves(folder, devices), *_read_backing(folder, devices)):
            if lower != upper:
                found.append(Link(Entity("disk", node, upper), "part_of", Entity("disk", node, lower), quote))
    return tuple(dict.fromkeys(found))


def _read_slaves(folder: Path, devices: Mapping[str, str]) -> Iterator[tuple[str, Quote]]:
    for slave in _list(folder / "slaves"):
        lower = devices.get(read_line(slave / "dev") or "", slave.name)
        yield lower, Quote(str(folder / "slaves"), None, f"{folder.name} lies on {slave.name}")


def _read_backing(folder: Path, devices: Mapping[str, str]) -> Iterator[tuple[str, Quote]]:
    path = folder / "loop" / "backing_file"
    backing = read_line(path)
    lower = devices.get(_find_device(Path(backing)) or "") if backing else None
    if lower is not None:
        yield lower, Quote(str(path), None, f"{folder.name} is the file {backing}, on {lower}")


def _find_device(path: Path) -> str | None:
    """MAJ:MIN of a block device, or of the file system that a regular file is on."""
    try:
        about = path.stat()
    except OSError:
        return None
    if stat.S_ISBLK(about.st_mode):
        number = about.st_rdev
    elif stat.S_ISREG(about.st_mode):
        number = about.st_dev
    else:
        return None
    return f"{os.major(number)}:{os.minor(number)}"


def find_open_disks(pid: int, *, paths: HostPaths, devices: Mapping[str, str], writes: bool) -> set[str]:
    """Find the disks on which a process has a file open for what it mostly does; empty where that cannot be seen.

    The standard streams count only where there is nothing else: mostly they are a log.

    Args:
        pid: The process.
        paths: Where the machine is.
        devices: From :func:`read_devices`.
        writes: Whether it mostly writes.
    """
    folder = paths.proc / str(pid)
    modes = (*(_WRITING if writes else _READING), None)
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for link in _list(folder / "fd")[:MAX_OPEN_FILES]:
        disk = devices.get(_find_device(link) or "")
        if disk is not None and _read_mode(folder / "fdinfo" / link.name) in modes:
            found[link.name in _STANDARD_STREAMS].add(disk)
    return found[False] or found[True]


def _read_mode(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    flags = next((line.split()[-1] for line in text.splitlines() if line.startswith("flags:")), "")
    try:
        return int(flags, 8) & 3
    except ValueError:
        return None
