"""Make a fault appear where a kernel log, NVML, iostat and the like show it, so that people can try their own alarms.

What is written stands in ``tools/catalogue/injections.csv``, as the program in question prints it. One row a line:

=============  ==========================================================================================
``kernel``     a line of the kernel log
``syslog``     a line of a service in the system log
``log``        a line of a program
``iostat``     a line of that program's output; so are ``nvidia_smi``, ``smartctl`` and ``ipmi``
``nvml``       settings of one GPU for the stand-in library, ``board`` of all of it
``none``       it cannot be injected; the note says why
=============  ==========================================================================================
"""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template

from tools.entities import normalise_pci
from tools.errors import EvidenceUnreadable, OperatorError
from tools.host_bus import read_pci_gpus
from tools.host_paths import HostPaths
from tools.parsers._injected import MARKER

KERNEL_RING = Path("/dev/kmsg")
_RING_DEVICE = (1, 11)  # major and minor number of /dev/kmsg (the kernel's admin-guide/devices.txt)
_PRIORITY = 11  # facility user, level err; the kernel lets nobody write as itself
TEXT_WAYS = ("kernel", "syslog", "log", "iostat", "nvidia_smi", "smartctl", "ipmi")
BOARD_WAYS = ("nvml", "board")
BUSES = (0x18, 0x2A, 0x3A, 0x5D, 0x9A, 0xAB, 0xBA, 0xDB, 0x19, 0x2B, 0x3B, 0x5E, 0x9B, 0xAC, 0xBB, 0xDC)
"""Where the GPUs of a board lie if nothing else is known: the places that the stand-in library gives them."""
SPACING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Injection:
    """One way to make a fault appear.

    Attributes:
        lines: Templates with ``$pci`` (0000:5d:00.0), ``$slot`` (without function), ``$port`` (of the
            bridge above), ``$smi_pci`` (as nvidia-smi spells it),
            ``$gpu`` (index), ``$node``, ``$us_date``.
        note: What it needs, or why there is no way.
    """

    fault: str
    way: str
    lines: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault is to appear."""

    node: str
    gpu: int
    pci: str

    def fill(self, line: str, now: datetime) -> str:
        """Fill a template."""
        return Template(line).substitute(
            pci=self.pci,
            smi_pci=f"0000{self.pci}".upper(),
            slot=self.pci.rpartition(".")[0],
            port=f"{self.pci[:5]}{int(self.pci[5:7], 16) - 1 & 0xFF:02x}:01.0",
            gpu=self.gpu,
            node=self.node,
            us_date=now.strftime("%m/%d/%Y"),
        )


@cache
def load_injections() -> Mapping[str, tuple[Injection, ...]]:
    """Read the table: fault to its ways, in the order of the file."""
    found: dict[str, dict[str, tuple[list[str], str]]] = {}
    with files("tools.catalogue").joinpath("injections.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            lines, _ = found.setdefault(row["fault"], {}).setdefault(row["way"], ([], row["note"]))
            lines.append(row["text"])
    return {
        fault: tuple(Injection(fault, way, tuple(lines), note) for way, (lines, note) in ways.items())
        for fault, ways in found.items()
    }


def find_injection(fault: str, ways: Sequence[str]) -> Injection:
    """Find the first way of a fault that is among those wanted.

    Raises:
        OperatorError: There is no such fault, or it cannot be shown so; says why, and how it can.
    """
    table = load_injections()
    if fault not in table:
        raise OperatorError(f"There is no injection for {fault!r}.", fix="daytwo inject --list")
    found = next((one for one in table[fault] if one.way in ways), None)
    if found is not None:
        return found
    others = [one.way for one in table[fault] if one.way != "none"]
    why = next((one.note for one in table[fault] if one.way == "none"), f"it is shown by {', '.join(others)}")
    fix = "daytwo inject --list"
    if others:
        to = "stand-in:gpus.json" if others[0] in BOARD_WAYS else "file.log"
        fix = f"daytwo inject {fault} --to {to}"
    raise OperatorError(f"{fault} cannot be shown as {' or '.join(ways)}: {why}.", fix=fix)


def choose_place(node: str, gpu: str, *, paths: HostPaths) -> Place:
    """Find out where a GPU is: an index is looked up on this machine's bus, else on a common board of eight.

    Args:
        node: Name of the host.
        gpu: Index or PCI address.
        paths: Where this machine is.

    Raises:
        OperatorError: It is neither.
    """
    known = [found.address for found in read_pci_gpus(paths) or ()] or [f"0000:{bus:02x}:00.0" for bus in BUSES]
    if gpu.isdigit():
        if int(gpu) >= len(known):
            raise OperatorError(
                f"There is no GPU {gpu} among {len(known)}.", fix="nvidia-smi -L; or: --gpu 0000:5d:00.0"
            )
        return Place(node, int(gpu), known[int(gpu)])
    pci = normalise_pci(gpu)
    if pci.count(":") != 2 or len(pci) < len("0000:5d:00.0"):
        raise OperatorError(
            f"--gpu {gpu!r} is neither an index nor a PCI address.", fix="--gpu 3, or --gpu 0000:5d:00.0"
        )
    return Place(node, known.index(pci) if pci in known else 0, pci)


def render_text(injection: Injection, place: Place, *, now: datetime, marked: bool) -> list[str]:
    """Write the lines as they stand in a file, the last one at `now`.

    Kernel and system log lines have time and host before them; the output of programs has none.
    """
    filled = [place.fill(line, now) for line in injection.lines]
    if injection.way not in ("kernel", "syslog"):
        return filled
    tail = f" {MARKER}" if marked else ""
    tag = "kernel: " if injection.way == "kernel" else ""
    times = [now - timedelta(seconds=SPACING_SECONDS * left) for left in reversed(range(len(filled)))]
    return [
        f"{time.astimezone(UTC).isoformat(timespec='microseconds')} {place.node} {tag}{line}{tail}"
        for time, line in zip(times, filled, strict=True)
    ]


def append_text(lines: Sequence[str], path: Path) -> None:
    """Add lines at the end of a file, made where it does not exist.

    Raises:
        OperatorError: It is a device, or cannot be written.
    """
    if is_device(path):
        raise OperatorError(f"{path} is a device.", fix="--to FILE, --to - or --to /dev/kmsg")
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}.", fix=f"ls -ld {path.parent}") from None


def is_device(path: Path) -> bool:
    """Whether a path is a device, by whatever name."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def is_kernel_ring(path: Path) -> bool:
    """Whether a path is the kernel's ring buffer, by whatever name."""
    if path == KERNEL_RING:
        return True
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and (os.major(found.st_rdev), os.minor(found.st_rdev)) == _RING_DEVICE


def write_ring(injection: Injection, place: Place, *, now: datetime, marked: bool, ring: Path = KERNEL_RING) -> int:
    """Write kernel lines into the ring buffer, one record each.

    Returns:
        How many lines.

    Raises:
        OperatorError: No right to do so.
    """
    tail = f" {MARKER}" if marked else ""
    lines = [f"<{_PRIORITY}>{place.fill(line, now)}{tail}\n" for line in injection.lines]
    try:
        descriptor = os.open(ring, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for line in lines:
                os.write(descriptor, line.encode())  # one write is one record
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OperatorError(f"{ring} cannot be written: {error.strerror}.", fix="run as root") from None
    return len(lines)


def merge_board(injection: Injection, place: Place, path: Path) -> None:
    """Put the settings of a fault into a description of the stand-in library, beside what stands there.

    Raises:
        EvidenceUnreadable: The file is no such description.
        OperatorError: It cannot be written.
    """
    try:
        board = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(board, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise EvidenceUnreadable(
            f"{path} is no description of GPUs: {error}.", fix=f"name another file, or rm {path}"
        ) from None
    for settings in _read_settings(injection):
        if injection.way == "board":
            board.update(settings)
        else:
            gpus = board.setdefault("gpus", {})
            gpus[str(place.gpu)] = {**gpus.get(str(place.gpu), {}), **settings}
    try:
        path.write_text(json.dumps(board, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}.", fix=f"ls -ld {path.parent}") from None


def _read_settings(injection: Injection) -> Iterator[dict[str, object]]:
    for line in injection.lines:
        yield json.loads(line)
