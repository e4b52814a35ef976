"""The join of guests and disks: what each guest holds of a physical disk, in bytes, requests and waiting requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.detectors._rows import Row
from tools.entities import same_node
from tools.types import Entity, Link, Quote

MEASURES: Mapping[str, tuple[str, ...]] = {
    "bytes": ("disk_read_bytes_per_second", "disk_write_bytes_per_second"),
    "requests": ("disk_reads_per_second", "disk_writes_per_second"),
    "queue": ("disk_queue_length",),
}
GUESSED_MAP_FACTOR = 0.7
"""What a score is worth where the guest's device is not known to be part of the disk (a guess)."""
GUESSED_MAP = "its device is not known to be part of this disk, the only saturated one"


@dataclass
class GuestUse:
    """What one guest does to one physical disk: its devices, and the sum over them of each measure.

    Attributes:
        certainty: What a score is worth that rests on it, less than 1 where a device is not known to be on the disk.
        doubt: Why it is less than 1, in words.
        is_placed: False where it may be busy on another disk altogether.
    """

    guest: Entity
    rows: list[Row] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    certainty: float = 1.0
    doubt: str = ""
    is_placed: bool = True


class DiskMap:
    """Which disks are used by guests and which are part of which, from links."""

    def __init__(self, links: Sequence[Link], rows: Sequence[Row]) -> None:
        self._uses = [link for link in links if link.relation == "uses" and link.object.kind == "disk"]
        self._parts = [link for link in links if link.relation == "part_of" and link.subject.kind == "disk"]
        self._rows = rows

    @property
    def has_guests(self) -> bool:
        """Whether any guest is known to use any disk."""
        return bool(self._uses)

    def find_row(self, disk: Entity) -> Row | None:
        """The latest readings of a disk."""
        return next((row for row in reversed(self._rows) if _is_disk(row.entity, disk)), None)

    def list_wholes(self, disk: Entity) -> list[Entity]:
        """What a disk is part of, nearest first, the disk itself left out."""
        chain: list[Entity] = []
        frontier = [disk]
        while frontier:
            here = frontier.pop(0)
            for link in self._parts:
                known = any(_is_disk(link.object, seen) for seen in (disk, *chain))
                if _is_disk(link.subject, here) and not known:
                    chain.append(link.object)
                    frontier.append(link.object)
        return chain

    def is_upper(self, disk: Entity) -> bool:
        """Whether a disk is a guest's, or part of another that has readings."""
        is_used = any(_is_disk(link.object, disk) for link in self._uses)
        return is_used or any(self.find_row(whole) is not None for whole in self.list_wholes(disk))

    def list_uses(self, physical: Entity, *, guess: bool) -> list[GuestUse]:
        """Sum what each guest does to a physical disk.

        Args:
            physical: The disk.
            guess: Count guests of the same host whose disks are part of nothing known, too.
        """
        found: dict[Entity, GuestUse] = {}
        for link in self._uses:
            if not same_node(link.object.node, physical.node):
                continue
            wholes = self.list_wholes(link.object)
            belongs = any(_is_disk(whole, physical) for whole in (link.object, *wholes))
            if not belongs and not (guess and not wholes):
                continue
            row = self._first_with_readings(link.object, wholes, physical)
            if row is None:
                continue
            use = found.setdefault(link.subject, GuestUse(link.subject))
            if guess:
                use.certainty, use.doubt = GUESSED_MAP_FACTOR, GUESSED_MAP
            if row not in use.rows:
                use.rows.append(row)
            use.quotes.append(link.quote)
        for use in found.values():
            use.sums = {name: sum_measure(use.rows, signals) for name, signals in MEASURES.items()}
        return list(found.values())

    def _first_with_readings(self, disk: Entity, wholes: Sequence[Entity], physical: Entity) -> Row | None:
        for candidate in (disk, *wholes):
            row = self.find_row(candidate)
            if row is not None:
                # The physical disk's own readings are everybody's, not this guest's.
                return None if _is_disk(candidate, physical) else row
        return None


def sum_measure(rows: Sequence[Row], signals: Sequence[str]) -> float:
    """Sum the recent readings of some signals over some rows; what is missing counts as nothing here."""
    return sum(row.recent(signal) or 0.0 for row in rows for signal in signals)


def _is_disk(one: Entity, other: Entity) -> bool:
    return one.name == other.name and same_node(one.node, other.node)
