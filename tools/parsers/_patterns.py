"""Tables of line patterns: what stands in the line, which code it makes, about which thing.

A pattern names literals of which at least one stands in every line that it matches; one pass for all literals
finds the few lines that are worth a regular expression. The first row of a table that matches a line wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from tools.entities import make_gpu, make_pci_device
from tools.parsers._covers import MIN_LETTERS, Cover, derive_covers
from tools.parsers._foreign import mask_foreign
from tools.parsers._line_shapes import Offsets
from tools.parsers._literals import LiteralIndex
from tools.parsers._regex_bounds import bound_gaps
from tools.types import Entity, EntityKind

Fields = dict[str, str]
EntityMaker = Callable[[str, Fields], Entity]
Refine = Callable[[Fields], Fields | None]

BDF = r"(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"
"""Bus address as drivers print it: domain, bus, device, function."""


MAX_MATCH_CHARACTERS = 2000
"""How much of a message is searched: a kernel record holds 1,000 or so, and quotes are cut there too."""


MAX_GROUPS = 10_000
"""Groups of rows that are remembered: a log must not fill memory."""
MAX_JUDGED = 500
"""Messages whose match is remembered: in a storm the same few come again and again."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One row of a table.

    Attributes:
        code: Event code; ``{name}`` is filled from a named group (``xid:{xid}``). Empty where `refine` sets ``code``.
        literals: At least one of them stands in every line that matches, in the same letter case.
        regex: What is searched in the text behind the line's head; its named groups become fields.
        entity: Makes the entity from node and fields.
        constants: Fields that the pattern itself tells.
        refine: Computes more fields; may set ``code``; None as result means that the line is not of this kind.
        joins: How many lines back an event of the same code may lie that this line belongs to; 0 = never joins.
        attaches: The line only adds to such an event and never opens one; then `code` may be a family ``pci:``.
        echoes: Codes whose event shortly before this line is all that the line repeats; then it makes no event.
    """

    code: str
    literals: tuple[str, ...]
    regex: str
    entity: EntityMaker
    constants: Mapping[str, str] = field(default_factory=dict)
    refine: Refine | None = None
    joins: int = 0
    attaches: bool = False
    echoes: tuple[str, ...] = ()


def no_event(_: Fields) -> None:
    """Refine what never is an event: the row says only that such lines are known, and costs nothing where they are."""
    return


class Match(NamedTuple):
    """What a pattern made of a line."""

    pattern: Pattern
    code: str
    fields: Fields


class Judgement(NamedTuple):
    """What a table says of a text.

    Attributes:
        found: The match.
        is_refused: Without one, whether a row knows the text all the same and found it to be no event.
        is_touched: Whether any row matches, be it in what the text only quotes.
    """

    found: Match | None
    is_refused: bool
    is_touched: bool


_COUNTS_NOTHING = re.compile(r"^[^:=]{3,80}[:=]\s*(?:0|none|None|NONE)\s*$")
"""A name and a nought, ``Uncorrectable errors: 0``: whatever it counts has not happened."""


class PatternTable:
    """Patterns with what finds their literals; regular expressions are compiled when first needed."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self._compiled: list[re.Pattern[str] | None] = [None] * len(self._patterns)
        # An expression that is tied to the start of the message says nothing about the raw line.
        self._anchored = tuple("^" in p.regex.replace("[^", "") for p in self._patterns)
        # Rows that only know a line and never make an event of it are not looked for, but asked.
        self._silent = tuple(row for row, p in enumerate(self._patterns) if p.refine is no_event)
        rows_of: dict[str, list[int]] = {}
        for row, pattern in enumerate(self._patterns):
            for literal in () if row in self._silent else pattern.literals:
                rows_of.setdefault(literal, []).append(row)
        self._rows_of = rows_of
        self._judged: dict[tuple[str, tuple[int, ...]], Judgement] = {}
        self._index = LiteralIndex(rows_of)

    def scan(self, block: bytes, ends: Offsets | None = None) -> Iterator[tuple[int, int, int, tuple[int, ...]]]:
        """Find the lines of a block that hold a literal.

        Args:
            block: Whole lines.
            ends: Where they end, where that is known.

        Yields:
            Number of the line from zero, its start and end offset (without its line end) and the rows worth trying, in
            table order.
        """
        return self._index.scan(block, ends)

    def is_tied(self, rows: tuple[int, ...]) -> bool:
        """Say whether one of some rows is tied to the start of the message."""
        return any(self._anchored[row] for row in rows)

    def expression(self, row: int) -> str:
        """The expression of a row as it is searched."""
        return bound_gaps(self._patterns[row].regex)

    def covers(self, row: int) -> list[Cover]:
        """List sets of literals of which each holds one of every raw line that a row matches; its own set first."""
        derived = [] if self._anchored[row] else derive_covers(self.expression(row))
        return [frozenset(self._patterns[row].literals), *filter(None, map(_cut_cover, derived))]

    def narrow(self, chosen: Mapping[int, Cover], *, marks: Iterable[str] = ()) -> LiteralIndex:
        """Build an index that looks for some rows by other literals.

        A raw line that a row may match leads to this row in both, unless the line is JSON.

        Args:
            chosen: The literals that take the place of a row's own.
            marks: Literals whose lines are found too, for no row.
        """
        rows_of: dict[str, list[int]] = {literal: [] for literal in marks}
        for literal, rows in self._rows_of.items():
            if kept := [row for row in rows if row not in chosen]:
                rows_of[literal] = kept
        for row, cover in chosen.items():
            for literal in sorted(cover):
                rows_of.setdefault(literal, []).append(row)
        return LiteralIndex(rows_of)

    def match(self, text: str, rows: Iterable[int]) -> Match | None:
        """Try rows on a text in order; the first that matches wins."""
        return self.judge(text, rows).found

    def judge(self, text: str, rows: Iterable[int]) -> Judgement:
        """Try rows on a text in order; the first that matches wins."""
        head = text[:MAX_MATCH_CHARACTERS]
        key = (head, tuple(rows))
        known = self._judged.get(key)
        if known is None:
            if len(self._judged) >= MAX_JUDGED:
                self._judged.clear()
            known = self._judged[key] = self._judge(head, key[1])
        found = known.found
        if found is None:
            return known
        # Whoever gets a match adds to its fields.
        return Judgement(Match(found.pattern, found.code, dict(found.fields)), is_refused=False, is_touched=True)

    def _judge(self, head: str, rows: Iterable[int]) -> Judgement:
        if _COUNTS_NOTHING.match(head):
            return Judgement(None, is_refused=True, is_touched=True)
        is_refused = is_touched = False
        told = ""
        for row in rows:
            regex = self._compiled[row] or self._regex(row)
            found = regex.search(head)
            if found is None:
                continue
            is_touched = True
            told = told or mask_foreign(head)
            if told != head:
                # What the kernel only quotes is somebody else's word: the line must match without it.
                kept = regex.search(told)
                found = kept and (regex.search(head, kept.start()) or kept)
            if found is not None:
                if (made := _make(self._patterns[row], found)) is not None:
                    return Judgement(made, is_refused=False, is_touched=True)
                is_refused = True
        return Judgement(None, is_refused, is_touched)

    def knows(self, text: str) -> bool:
        """Say whether a row for lines that are no event matches a message."""
        head = text[:MAX_MATCH_CHARACTERS]
        return any(
            any(literal in head for literal in self._patterns[row].literals) and self._regex(row).search(head)
            for row in self._silent
        )

    def match_text(self, text: str) -> Match | None:
        """Find the pattern of one text without a block around it."""
        rows = self._index.rows_in(text.encode("utf-8", errors="replace").replace(b"\n", b" "))
        return self.match(text, rows) if rows else None

    def _regex(self, row: int) -> re.Pattern[str]:
        compiled = self._compiled[row]
        if compiled is None:
            compiled = self._compiled[row] = re.compile(self.expression(row))
        return compiled


def _cut_cover(cover: Cover) -> Cover | None:
    """Cut literals where a program's name may end: a message joins it to the words by a colon, a raw line need not."""
    cut = frozenset(max((part.rstrip(":") for part in text.split(": ")), key=len) for text in cover)
    return cut if min(map(len, cut)) >= MIN_LETTERS else None


def _make(pattern: Pattern, found: re.Match[str]) -> Match | None:
    told = {name: value.strip() for name, value in found.groupdict().items() if value is not None}
    fields = {**pattern.constants, **told}
    if pattern.refine is not None:
        refined = pattern.refine(fields)
        if refined is None:
            return None
        fields = refined
    code = fields.pop("code", "") or pattern.code.format_map(fields)
    return Match(pattern, code, fields)


# Makers of entities -------------------------------------------------------------------------------------------------

_NIC_DRIVERS = frozenset(
    [
        "mlx4_core",
        "mlx4_en",
        "mlx5_core",
        "mlx5_ib",
        "bnxt_en",
        "ice",
        "i40e",
        "ixgbe",
        "igb",
        "igc",
        "e1000",
        "e1000e",
        "tg3",
        "r8169",
        "ena",
        "cxgb4",
        "hfi1",
        "efa",
        "enic",
        "sfc",
        "qede",
        "nfp",
        "ionic",
        "be2net",
        "bnx2x",
        "atlantic",
    ]
)
_PARTITION = re.compile(r"^((?:nvme\d+(?:c\d+)?n\d+|mmcblk\d+|md\d+)(?=p\d+$)|(?:sd|vd|xvd|hd)[a-z]+(?=\d+$))")


def whole_disk(device: str) -> str:
    """Name the disk of a partition: ``sda1`` is on ``sda``, ``nvme0n1p2`` on ``nvme0n1``; others stay."""
    name = device.removeprefix("/dev/").strip("[]()")
    match = _PARTITION.match(name)
    return match.group(1) if match else name


def on_node(node: str, fields: Fields) -> Entity:
    """The host itself."""
    return Entity("node", fields.get("node", node) or node)


def on_gpu(node: str, fields: Fields) -> Entity:
    """The GPU at field ``pci``; the host where no address is told."""
    return _gpu_at(node, fields["pci"]) if fields.get("pci") else _node_named(node)


def on_disk(node: str, fields: Fields) -> Entity:
    """The drive in field ``device``, or at field ``pci`` or SCSI ``address``; partitions name their drive."""
    name = fields.get("device") or fields.get("address")
    if name:
        return _device_named("disk", node, whole_disk(name), fields.get("pci", ""))
    return _device_at("disk", node, fields["pci"]) if fields.get("pci") else _node_named(node)


def on_nic(node: str, fields: Fields) -> Entity:
    """The network adapter or port in field ``device``, or at field ``pci``."""
    if fields.get("device"):
        return _device_named("nic", node, fields["device"], fields.get("pci", ""))
    return _device_at("nic", node, fields["pci"]) if fields.get("pci") else _node_named(node)


def on_pci(node: str, fields: Fields) -> Entity:
    """The device at field ``pci``: a GPU, drive or adapter where field ``driver`` says so, else the host."""
    driver = fields.get("driver", "")
    if driver == "nvidia":
        return on_gpu(node, fields)
    if driver == "nvme":
        return make_pci_device("disk", node, fields["pci"])
    return make_pci_device("nic", node, fields["pci"]) if driver in _NIC_DRIVERS else Entity("node", node)


def on_storage(node: str, fields: Fields) -> Entity:
    """The shared file system or its server, in field ``server``."""
    return Entity("storage", node, fields.get("server", "").strip("'\",;:()[]") or "?")


def on_job(node: str, fields: Fields) -> Entity:
    """The job in field ``job``; where none is told, the unnamed job of the node."""
    return Entity("job", node, fields.get("job", ""))


def on_switch(node: str, fields: Fields) -> Entity:
    """The NVSwitch in field ``switch`` or at field ``pci``; its node owns it."""
    return Entity("node", node)


# The same few things speak in most lines; making one anew costs more than all else that is done for its line.
_remember = lru_cache(maxsize=4096)


@_remember
def _node_named(node: str) -> Entity:
    return Entity("node", node)


@_remember
def _gpu_at(node: str, address: str) -> Entity:
    return make_gpu(node, pci=address)


@_remember
def _device_at(kind: EntityKind, node: str, address: str) -> Entity:
    return make_pci_device(kind, node, address)


@_remember
def _device_named(kind: EntityKind, node: str, name: str, address: str) -> Entity:
    return Entity(kind, node, name).with_ids(pci=make_pci_device("node", "", address).name if address else "")
