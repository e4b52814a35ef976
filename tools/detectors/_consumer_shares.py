"""What containers, units, jobs and process trees hold of a disk, where no map of block devices tells it.

A reading of a consumer and the disk that it is of are joined by their quote: the link ``uses`` carries the one of the
reading's row. A reading that is tied to no disk counts for every disk of its host, and for less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

from tools.detectors._guest_shares import MEASURES, DiskMap, GuestUse
from tools.detectors._rows import Row
from tools.entities import same_node
from tools.types import Entity, Facts, Link

SIGNALS: Mapping[str, tuple[str, ...]] = {
    "bytes": ("consumer_disk_read_bytes_per_second", "consumer_disk_write_bytes_per_second"),
    "requests": ("consumer_disk_reads_per_second", "consumer_disk_writes_per_second"),
    "queue": (),
}
TIES: Mapping[str, tuple[float, str]] = {
    "": (1.0, ""),
    "disk_from_open_files": (0.9, "its bytes are of all disks together; the files that it has open are on this one"),
    "several_disks": (0.6, "its bytes are of all disks together, and it has files open on several"),
    "disk_unknown": (0.6, "its bytes are of all disks together; which one it is busy on is not known"),
}
"""What a score is worth where the kernel counted for all disks together (a guess), and why, in words."""
_READ = "consumer_disk_read_bytes_per_second"
_ELSEWHERE = 1.5
"""Reads this many times what the disk read came from elsewhere, such as a network file system (a guess)."""
_SLACK_BYTES_PER_SECOND = 1e6


class ConsumerMap:
    """The readings of consumers, each with its disk where one is known."""

    def __init__(self, facts: Facts) -> None:
        rows = _list_latest(facts)
        self._tied: list[tuple[Link, Row]] = []
        self._untied: list[Row] = []
        self.other_links: list[Link] = []
        """Links that are not of consumers: maps of block devices."""
        by_quote = {(row.entity, quote): row for row in rows for quote in row.window.quotes_of(row.number)}
        tied: set[tuple[int, int]] = set()
        for link in facts.links:
            row = by_quote.get((link.subject, link.quote)) if link.relation == "uses" else None
            if row is None:
                self.other_links.append(link)
            else:
                self._tied.append((link, row))
                tied.add((id(row.window), row.number))
        self._untied = [row for row in rows if (id(row.window), row.number) not in tied]

    def list_uses(self, physical: Row, disks: DiskMap) -> list[GuestUse]:
        """Sum what each consumer does to a physical disk, on it or on what lies on it."""
        wanted = physical.entity
        found: dict[Entity, list[tuple[Entity, Row]]] = {}
        # Several disks that all lie on this one leave nothing to doubt.
        apart: set[Entity] = set()
        for link, row in self._tied:
            wholes = (link.object, *disks.list_wholes(link.object))
            if any(_is_one(whole, wanted) for whole in wholes):
                found.setdefault(row.entity, []).append((link.object, row))
            else:
                apart.add(row.entity)
        rows = {consumer: _keep_lowest(pairs, disks) for consumer, pairs in found.items()}
        for row in self._untied:
            if same_node(_node_of(row), wanted.node) and row.entity not in rows and not _reads_elsewhere(row, physical):
                rows[row.entity] = [row]
        uses = [_sum_up(consumer, own, is_apart=consumer in apart) for consumer, own in rows.items()]
        if any(use.sums["requests"] < 0 for use in uses):
            # Where one consumer's requests are not known, nobody's share of them is.
            for use in uses:
                use.sums["requests"] = 0.0
        return uses


def _list_latest(facts: Facts) -> list[Row]:
    """The rows of the last reading: in a long watch consumers come and go, and links are of the last."""
    windows = [window for window in facts.windows if any(name in window.values for name in chain(*SIGNALS.values()))]
    rows = [Row(window, number, entity) for window in windows for number, entity in enumerate(window.entities)]
    last: dict[str, float] = {}
    for row in rows:
        last[_node_of(row)] = max(last.get(_node_of(row), -math.inf), _time_of(row))
    return [row for row in rows if _time_of(row) >= last[_node_of(row)]]


def _time_of(row: Row) -> float:
    seconds = float(row.window.times[-1]) if len(row.window.times) else math.nan
    return math.inf if math.isnan(seconds) else seconds


def _node_of(row: Row) -> str:
    # A job has no host of its own; all rows of a window are of one.
    return next((entity.node for entity in row.window.entities if entity.node), "")


def _keep_lowest(pairs: Sequence[tuple[Entity, Row]], disks: DiskMap) -> list[Row]:
    """Leave out a device that lies on another of the same consumer: the same bytes are counted at both."""
    names = [disk for disk, _ in pairs]
    return [
        row
        for disk, row in pairs
        if not any(_is_one(whole, other) for whole in disks.list_wholes(disk) for other in names)
    ]


def _reads_elsewhere(row: Row, physical: Row) -> bool:
    disk_reads = physical.recent("disk_read_bytes_per_second")
    reads = row.latest(_READ) or 0.0
    return disk_reads is not None and reads > _ELSEWHERE * disk_reads + _SLACK_BYTES_PER_SECOND


def _sum_up(consumer: Entity, rows: list[Row], *, is_apart: bool) -> GuestUse:
    use = GuestUse(consumer, rows)
    for name in MEASURES:
        told = [reading for row in rows for signal in SIGNALS[name] if (reading := row.latest(signal)) is not None]
        use.sums[name] = sum(told) if told or name != "requests" else -1.0
    ties = {row.reason(_READ) for row in rows}
    if "several_disks" in ties and not is_apart:
        ties = ties - {"several_disks"} | {"disk_from_open_files"}
    use.is_placed = "disk_unknown" not in ties
    use.certainty, use.doubt = min((TIES.get(tie, TIES[""]) for tie in ties), default=TIES[""])
    return use


def _is_one(one: Entity, other: Entity) -> bool:
    return one.name == other.name and same_node(one.node, other.node)
