"""Which process trees read and write: ``/proc/PID/io`` before and after, joined to programs.

``read_bytes`` and ``write_bytes`` are what reached or will reach a block device (proc_pid_io(5)): a write counts when
its page is dirtied, and ``cancelled_write_bytes`` is what never got there. The kernel adds a child's counters to the
parent that waits for it, so what an ended child had before is taken off its nearest living ancestor. Kernel threads
are left out: what they do (loop devices, write-back) others have asked for.

A tree is one program: a child joins its parent where both run the same executable, unless that is a shell or an
interpreter, where the command line must be the same too (a forked worker); and members of a pipeline join its leader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.host_cgroups import Counts
from tools.host_paths import HostPaths

MAX_PROCESSES = 16384
"""Processes that are looked at (a guess: half a second)."""
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh", "busybox"})
_INTERPRETERS = ("python", "pypy", "perl", "ruby", "node", "java", "php", "Rscript", "julia")


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment.

    Attributes:
        group: Its process group.
        started: Clock ticks from boot to its start; tells a process id that was used again.
        counts: Bytes read and written since its start, None where the kernel refuses to tell.
    """

    pid: int
    parent: int
    group: int
    command: str
    started: int
    counts: Counts | None


@dataclass
class Tree:
    """What the processes of one program did between two samples.

    Attributes:
        root: The topmost process.
        pids: Its members that did anything, the busiest first.
    """

    root: Process
    counts: Counts = field(default_factory=Counts)
    pids: list[int] = field(default_factory=list)


def read_processes(paths: HostPaths) -> dict[int, Process]:
    """Read all user processes; those that end meanwhile are left out.

    Raises:
        OSError: The folder of processes cannot be listed.
    """
    folders = [folder for folder in paths.proc.iterdir() if folder.name.isdigit()][:MAX_PROCESSES]
    found = (_read_process(folder) for folder in folders)
    return {process.pid: process for process in found if process is not None}


def _read_process(folder: Path) -> Process | None:
    try:
        text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        counts = _read_counts(folder / "io")
    except OSError:
        return None  # it ended meanwhile
    head, _, tail = text.rpartition(")")
    cells = tail.split()
    if len(cells) < 20 or int(cells[6]) & _KERNEL_THREAD:
        return None
    pid, _, command = head.partition(" (")
    return Process(int(pid), int(cells[1]), int(cells[2]), command, int(cells[19]), counts)


def _read_counts(path: Path) -> Counts | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except PermissionError:
        return None
    except FileNotFoundError:
        if path.parent.exists():
            return None  # a kernel without this accounting
        raise
    numbers = {key: int(value) for key, _, value in (line.partition(": ") for line in text.splitlines()) if value}
    written = numbers.get("write_bytes", 0) - numbers.get("cancelled_write_bytes", 0)
    return Counts(numbers.get("read_bytes", 0), written)


def find_trees(first: Mapping[int, Process], second: Mapping[int, Process], paths: HostPaths) -> list[Tree]:
    """Sum what each program did between two samples, the busiest first; idle ones are left out."""
    past = _place_past(first, second)
    programs = _Programs(second, paths)
    trees: dict[int, Tree] = {}
    busy: dict[int, Counts] = {}
    for pid, process in second.items():
        if process.counts is None or (pid in first and first[pid].counts is None):
            continue
        done = process.counts.minus(past.get(pid, Counts()))
        if any(done):
            root = programs.find_root(process)
            tree = trees.setdefault(root.pid, Tree(root))
            tree.counts = tree.counts.plus(done)
            tree.pids.append(pid)
            busy[pid] = done
    for tree in trees.values():
        tree.counts = tree.counts.floored()
        tree.pids.sort(key=lambda pid: -busy[pid].bytes)
    return sorted((tree for tree in trees.values() if any(tree.counts)), key=lambda tree: -tree.counts.bytes)


def _place_past(first: Mapping[int, Process], second: Mapping[int, Process]) -> dict[int, Counts]:
    """What each living process had in the first sample, with that of its ended descendants."""
    past: dict[int, Counts] = {}
    for process in first.values():
        heir, steps = process, 0
        while not _lives_on(heir, second) and heir.parent in first and steps < MAX_PROCESSES:
            heir, steps = first[heir.parent], steps + 1
        if process.counts is not None and _lives_on(heir, second):
            past[heir.pid] = past.get(heir.pid, Counts()).plus(process.counts)
    return past


def _lives_on(process: Process, second: Mapping[int, Process]) -> bool:
    return process.pid in second and second[process.pid].started == process.started


class _Programs:
    """Climbs from a process to the topmost one of the same program."""

    def __init__(self, processes: Mapping[int, Process], paths: HostPaths) -> None:
        self._processes = processes
        self._proc = paths.proc
        self._executables: dict[int, str] = {}

    def find_root(self, process: Process) -> Process:
        seen = {process.pid}
        while True:
            above = self._find_above(process)
            if above is None or above.pid in seen:
                return process
            seen.add(above.pid)
            process = above

    def _find_above(self, process: Process) -> Process | None:
        leader = self._processes.get(process.group)
        if leader is not None and leader is not process and leader.parent == process.parent:
            return leader
        parent = self._processes.get(process.parent)
        # The first process starts everything; its children are their own programs.
        return parent if parent is not None and parent.pid != 1 and self._is_one(parent, process) else None

    def _is_one(self, parent: Process, child: Process) -> bool:
        one, other = self._read_executable(parent), self._read_executable(child)
        if not one or one != other or Path(one).name in _SHELLS:
            return False
        if not Path(one).name.startswith(_INTERPRETERS):
            return True
        line = self._read_arguments(child)
        return line == self._read_arguments(parent) or b"multiprocessing" in line

    def _read_executable(self, process: Process) -> str:
        if process.pid not in self._executables:
            try:
                path = str((self._proc / str(process.pid) / "exe").readlink())
            except OSError:
                path = ""
            self._executables[process.pid] = path.removesuffix(" (deleted)")
        return self._executables[process.pid]

    def _read_arguments(self, process: Process) -> bytes:
        try:
            return (self._proc / str(process.pid) / "cmdline").read_bytes()
        except OSError:
            return b""


def read_cgroup_paths(pid: int, paths: HostPaths) -> Sequence[str]:
    """The cgroups of a process, that of the block controller first, then v2's, then systemd's own."""
    try:
        text = (paths.proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    found: dict[int, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        rank = 0 if "blkio" in controllers.split(",") else 1 if number == "0" else 2 if "systemd" in controllers else 3
        found.setdefault(rank, path)
    return [found[rank] for rank in sorted(found)]
