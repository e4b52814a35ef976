"""Who reads and writes on this machine now: cgroups and process trees, each with the disk that it is busy on.

Two samples around the interval in which the disks are watched. A cgroup that names a container, machine, job or unit
tells bytes and requests for each device. Where there is no such group, or where its processes did more than it counts
(v1, buffered writes), the process trees stand in: their bytes are of all devices together, so the disk is taken from
the files that they have open, and the reading says so. Sessions and unnamed groups count only where no process of
theirs can be seen, for two people's work may lie in one.

Entities: see :mod:`tools.cgroup_names`; a process tree outside of all names is ``guest:HOST/fio[4711]``, the command
and id of its topmost process, as the parsers of ``pidstat`` and ``iotop`` spell it. A link ``uses`` carries the same
quote as the reading's row: that is how a reading and its disk are joined, as one consumer may use several disks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tools.cgroup_names import Named, name_cgroup
from tools.host_cgroups import MAX_CGROUPS, CgroupSample, Counts, compare_cgroups, read_cgroups
from tools.host_devices import find_open_disks, read_devices, read_part_links
from tools.host_paths import HostPaths
from tools.host_processes import Process, Tree, find_trees, read_cgroup_paths, read_processes
from tools.host_xen import VirtualDisk, read_domain_names, read_virtual_disks
from tools.types import Coverage, Entity, Facts, Link, Quote, Window

SIGNALS = (
    "consumer_disk_read_bytes_per_second", "consumer_disk_write_bytes_per_second",
    "consumer_disk_reads_per_second", "consumer_disk_writes_per_second",
)  # fmt: skip
OPEN_FILES, SEVERAL_DISKS, DISK_UNKNOWN = "disk_from_open_files", "several_disks", "disk_unknown"
"""Reasons on a reading: how it was tied to a disk, where the kernel does not count by disk."""
MAX_CONSUMERS = 64
"""Process trees and groups that are shown, the busiest first (a guess)."""
_LEAST_BYTES_PER_SECOND = 4096.0
_PIDS_OF_TREE = 4
_TWICE = 2
_SOURCE = "cgroup blkio or io.stat, /proc/PID/io"


@dataclass(frozen=True, slots=True)
class ConsumerSample:
    """Counters of all consumers at one moment."""

    monotonic_seconds: float
    unix_seconds: float
    cgroups: CgroupSample | None
    processes: Mapping[int, Process] | None
    virtual_disks: Mapping[str, VirtualDisk] = field(default_factory=dict)


@dataclass
class _Use:
    """What one consumer did, on one disk or on an unknown one."""

    consumer: Entity
    disk: str
    counts: Counts
    has_requests: bool
    origin: str
    reason: str = ""


@dataclass
class _Group:
    """One named consumer: its groups and its process trees."""

    named: Named
    counts: dict[str, Counts] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)


def read_consumers(paths: HostPaths) -> ConsumerSample:
    """Take a sample; what cannot be read is None."""
    try:
        processes = read_processes(paths)
    except OSError:
        processes = None
    cgroups = read_cgroups(paths)
    return ConsumerSample(time.monotonic(), time.time(), cgroups, processes, read_virtual_disks(paths))


def build_consumer_facts(first: ConsumerSample, second: ConsumerSample, *, node: str, paths: HostPaths) -> Facts:
    """Compute rates between two samples and tie them to disks.

    Returns:
        A window with a row for each consumer and disk (none where the disk is not known), ``uses`` links, ``part_of``
        links between disks, and a coverage row of the domain ``guests`` where something could not be seen.
    """
    devices = read_devices(paths)
    links = read_part_links(node=node, paths=paths, devices=devices)
    seconds = second.monotonic_seconds - first.monotonic_seconds
    coverage = tuple(_note_gaps(second, node))
    if seconds <= 0:
        return Facts(links=links, coverage=coverage)
    book = _Book(node, paths, devices)
    book.add_trees(_find_trees(first, second, paths))
    book.add_cgroups(first.cgroups, second.cgroups)
    everyone = [*book.list_uses(), *_find_guest_uses(first, second, node=node, paths=paths, devices=devices)]
    uses = [use for use in everyone if use.counts.read_bytes + use.counts.write_bytes > 0]
    uses = [
        use for use in uses if (use.counts.read_bytes + use.counts.write_bytes) / seconds >= _LEAST_BYTES_PER_SECOND
    ]
    uses.sort(key=lambda use: -(use.counts.read_bytes + use.counts.write_bytes))
    return Facts(coverage=coverage, links=links) + _build_facts(
        uses[:MAX_CONSUMERS], seconds, second.unix_seconds, node
    )


def _find_guest_uses(
    first: ConsumerSample, second: ConsumerSample, *, node: str, paths: HostPaths, devices: Mapping[str, str]
) -> Iterable[_Use]:
    """What Xen guests did on each disk, which the host's own counters know only by domain id."""
    names = read_domain_names(paths) if second.virtual_disks else {}
    for key, disk in second.virtual_disks.items():
        past = first.virtual_disks.get(key)
        name = devices.get(disk.device)
        if past is None or past.device != disk.device or name is None:
            continue
        guest = Entity("guest", node, names.get(disk.domain, f"domain-{disk.domain}"))
        yield _Use(guest, name, disk.counts.minus(past.counts).floored(), True, disk.place)


def _find_trees(first: ConsumerSample, second: ConsumerSample, paths: HostPaths) -> list[Tree]:
    if first.processes is None or second.processes is None:
        return []
    return find_trees(first.processes, second.processes, paths)


def _note_gaps(sample: ConsumerSample, node: str) -> Iterable[Coverage]:
    # No fix on these rows: a healthy machine is not unknown because a reader without rights cannot see who writes.
    entity = f"node:{node}"
    if sample.processes is None and sample.cgroups is None:
        yield Coverage(
            entity, "guests", "partial", "neither processes nor cgroups could be read: consumers are unknown"
        )
        return
    # No count of processes in the words: the same reader on the same machine is told the same a second later.
    if any(process.counts is None for process in (sample.processes or {}).values()):
        reason = "/proc/PID/io of some processes is not ours to read: root sees what they do"
        yield Coverage(entity, "guests", "partial", reason)
    if sample.cgroups is not None and sample.cgroups.is_capped:
        yield Coverage(entity, "guests", "partial", f"more than {MAX_CGROUPS} cgroups: only so many were read")


class _Book:
    """Joins cgroups and process trees to consumers, so that nobody is counted twice."""

    def __init__(self, node: str, paths: HostPaths, devices: Mapping[str, str]) -> None:
        self._node, self._paths, self._devices = node, paths, devices
        self._groups: dict[str, _Group] = {}
        self._free: list[Tree] = []
        self._seen_paths: set[str] = set()

    def add_trees(self, trees: Sequence[Tree]) -> None:
        for tree in trees[: MAX_CONSUMERS * _TWICE]:
            named = [name_cgroup(path, self._node) for path in read_cgroup_paths(tree.pids[0], self._paths)]
            strong = next((one for one in named if one is not None and one.is_strong), None)
            self._seen_paths |= {one.path for one in named if one is not None and not one.is_strong}
            if strong is None:
                self._free.append(tree)
            else:
                self._group(strong).trees.append(tree)

    def _group(self, named: Named) -> _Group:
        # By entity: v1's hierarchies may spell one container's path in two ways.
        return self._groups.setdefault(str(named.entity), _Group(named))

    def add_cgroups(self, first: CgroupSample | None, second: CgroupSample | None) -> None:
        if first is None or second is None:
            return
        for path, by_device in compare_cgroups(first, second).items():
            named = name_cgroup(path, self._node)
            if named is None or not any(any(counts) for counts in by_device.values()):
                continue
            group = self._group(named)
            group.files.append(second.files[path])
            for device, counts in by_device.items():
                disk = self._devices.get(device)
                if disk is not None and any(counts):
                    group.counts[disk] = group.counts.get(disk, Counts()).plus(counts)

    def list_uses(self) -> list[_Use]:
        uses = [use for tree in self._free for use in self._use_of_tree(tree, None)]
        for group in self._groups.values():
            if not group.named.is_strong and group.named.path in self._seen_paths:
                continue
            if self._is_short(group):
                uses += _merge(use for tree in group.trees for use in self._use_of_tree(tree, group.named.entity))
            else:
                uses += self._use_of_group(group)
        return uses

    def _is_short(self, group: _Group) -> bool:
        """Whether the group's own counters miss most of what its processes did."""
        # Stacked devices count the same bytes once each, so the largest is what can be compared.
        counted = max((counts.bytes for counts in group.counts.values()), default=0)
        seen = sum(tree.counts.bytes for tree in group.trees)
        return seen > _TWICE * counted

    def _use_of_group(self, group: _Group) -> list[_Use]:
        origin = group.files[0] if len(group.files) == 1 else f"{group.files[0]} and {len(group.files) - 1} more"
        return [_Use(group.named.entity, disk, counts, True, origin) for disk, counts in group.counts.items()]

    def _use_of_tree(self, tree: Tree, owner: Entity | None) -> list[_Use]:
        consumer = owner or Entity("guest", self._node, f"{tree.root.command}[{tree.root.pid}]")
        writes = tree.counts.write_bytes >= tree.counts.read_bytes
        disks: set[str] = set()
        for pid in tree.pids[:_PIDS_OF_TREE]:
            disks |= find_open_disks(pid, paths=self._paths, devices=self._devices, writes=writes)
        origin = f"{self._paths.proc}/{tree.pids[0]}/io"
        if len(tree.pids) > 1:
            origin += f" and {len(tree.pids) - 1} more"
        reason = DISK_UNKNOWN if not disks else OPEN_FILES if len(disks) == 1 else SEVERAL_DISKS
        return [_Use(consumer, disk, tree.counts, False, origin, reason) for disk in sorted(disks) or [""]]


def _merge(uses: Iterable[_Use]) -> list[_Use]:
    """Add up the trees of one consumer, disk by disk; the weakest tie speaks for the sum."""
    weakness = ("", OPEN_FILES, SEVERAL_DISKS, DISK_UNKNOWN)
    merged: dict[str, _Use] = {}
    for use in uses:
        known = merged.get(use.disk)
        if known is None:
            merged[use.disk] = use
            continue
        known.counts = known.counts.plus(use.counts)
        known.reason = max(known.reason, use.reason, key=weakness.index)
    return list(merged.values())


def _build_facts(uses: Sequence[_Use], seconds: float, now: float, node: str) -> Facts:
    if not uses:
        return Facts()
    # In order of names, so that the readings of a long watch have the same rows.
    uses = sorted(uses, key=lambda use: (str(use.consumer), use.disk))
    quotes = {row: _quote(use, seconds) for row, use in enumerate(uses)}
    rates = np.array([_rates(use, seconds) for use in uses])
    window = Window(
        entities=tuple(use.consumer for use in uses),
        times=np.array([now]),
        values={signal: rates[:, [column]] for column, signal in enumerate(SIGNALS)},
        source=f"{_SOURCE}, two samples {seconds:.2f} s apart",
        reasons={(row, signal): use.reason for row, use in enumerate(uses) for signal in SIGNALS if use.reason},
        quotes=quotes,
    )
    links = [
        Link(use.consumer, "uses", Entity("disk", node, use.disk), quotes[row])
        for row, use in enumerate(uses)
        if use.disk
    ]
    return Facts(windows=(window,), links=tuple(links))


def _rates(use: _Use, seconds: float) -> list[float]:
    requests = [float(use.counts.reads), float(use.counts.writes)] if use.has_requests else [np.nan, np.nan]
    return [number / seconds for number in (use.counts.read_bytes, use.counts.write_bytes, *requests)]


def _quote(use: _Use, seconds: float) -> Quote:
    read, written, reads, writes = _rates(use, seconds)
    text = f"{use.consumer.name}{f' on {use.disk}' if use.disk else ''}: "
    text += f"rkB/s {read / 1024:.2f} wkB/s {written / 1024:.2f}"
    if use.has_requests:
        text += f" r/s {reads:.2f} w/s {writes:.2f}"
    tie = {OPEN_FILES: "disk by its open files", SEVERAL_DISKS: "it has files open on several disks"}
    return Quote(use.origin, None, f"{text} ({tie[use.reason]})" if use.reason in tie else text)
