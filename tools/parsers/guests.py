"""Reads guest lists and the maps that cross them with block devices.

Knows `xl list` / `xm list` (Xen 4), `xe vm-list` (names only: its `device` is the guest's own name for a disk),
`virsh list`, `virsh domblklist NAME` (the name stands on the prompt line),
`virsh domstats --block`, `lsblk` trees, `dmsetup ls`, `ls -l /dev/mapper`, and two plain forms::

    # guest block devices            device -> guest
    db-replica-3  dm-7  sdb          dm-7 -> db-replica-3 (sdb)

The header of the plain table may name its columns in any order: ``guest``, ``device``, ``backing``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tools.parsers._lines import Tally, clip_sample, is_noise, is_prompt, make_quote, read_rows_of
from tools.parsers._readings import Readings
from tools.types import (
    NO_MOMENT,
    Document,
    Domain,
    Entity,
    Event,
    Facts,
    Line,
    Link,
    Parsed,
    Relation,
)  # fmt: skip

FORM = "guests"
DOMAIN: Domain = "guests"

_HOST_DOMAINS = frozenset({"Domain-0", "dom0"})
_MIB = 1024.0**2
_GUEST_WORDS = frozenset({"guest", "guests", "vm", "domain", "name"})
_DEVICE_WORDS = frozenset({"device", "devices", "disk", "dev", "blockdevice", "block_device"})
_BACKING_WORDS = frozenset({"backing", "backing_device", "physical", "parent", "pv", "on"})
_HEADERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("xl", re.compile(r"^\s*Name\s+ID\s+Mem(?:\(\w+\))?\s+VCPUs", re.IGNORECASE)),
    ("virsh", re.compile(r"^\s*Id\s+Name\s+State\s*$")),
    ("domblk", re.compile(r"^\s*(?:Type\s+Device\s+)?Target\s+Source\s*$")),
    ("lsblk", re.compile(r"^NAME\s+MAJ:MIN\b")),
    ("map", re.compile(r"^\W*(?:guest|vm|domain)s?\b.*\b(?:block )?(?:devices?|disks?|dev)\b", re.IGNORECASE)),
    ("map", re.compile(r"^\W*(?:device|disk|dev)s?\b[\s,;]+(?:backing[\s,;]+)?(?:guest|vm|domain)s?\b", re.IGNORECASE)),
)
_XL_ROW = re.compile(r"^\s*(?P<name>\S.*?)\s+(?P<id>\d+|-)\s+(?P<mem>\d+)\s+\d+\s+(?P<state>[a-z-]{6})\s+[\d.]+\s*$")
_VIRSH_ROW = re.compile(
    r"^\s*(?:\d+|-)\s+(?P<name>\S+)\s+(?P<state>running|idle|paused|in shutdown|shut off|crashed|pmsuspended)\s*$"
)
_DOMBLK_ROW = re.compile(
    r"^\s*(?:(?:block|file|network|volume)\s+(?:disk|cdrom)\s+)?(?P<target>\w+)\s+(?P<source>\S+)\s*$"
)
_LSBLK_ROW = re.compile(
    r"^(?P<tree>[\s|`├└│─-]*)(?P<name>[\w./:+-]+)(?:\s+\([^)]*\))?\s+(?P<numbers>\d{1,4}:\d{1,7})\s+\d\s+\S+\s"
)
_ARROW = re.compile(
    r"^\s*(?:/dev/)?(?P<device>[\w/.-]+)\s*(?:->|=>|→)\s*(?P<guest>[\w.-]+)"
    r"(?:\s*[(\[]?(?P<backing>[\w./-]+)[)\]]?)?\s*$"
)
_PHYSICAL = re.compile(r"(?:sd|nvme|vd|xvd)\w+")
_SYMLINK = re.compile(r"(?<![\w./+-])(?P<name>[\w./+-]+)\s+->\s+(?:\.\./)*(?:/dev/)?(?P<device>dm-\d+)\s*$")
_DMSETUP = re.compile(r"^\s*(?P<name>[\w.+-]+)\s+\(25[0-9][:,]\s*(?P<minor>\d+)\)\s*$")
_DOMSTATS = re.compile(r"^\s*(?:Domain:\s*'(?P<guest>[^']+)'|block\.\d+\.path=(?P<path>\S+)|[a-z]+(?:\.\w+)+=\S*)\s*$")
_XE_FIELD = re.compile(r"^\s*(?P<key>[\w-]+)\s*\(\s*(?:RO|RW|SRO|MRO|MRW|SRW)\)\s*:\s*(?P<value>.*?)\s*$")
_ASKED = re.compile(r"(?:domblklist|domblkstat|domblkinfo|block-list)\s+(?:--?[\w-]+\s+)*(?P<guest>[\w.-]+)")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: one of the headers, else the share of lines that map a device to a guest."""
    sample = clip_sample(sample)
    if any(pattern.match(line) for line in sample for _, pattern in _HEADERS):
        return 0.9
    kept = [line for line in sample if not is_noise(line)]
    if not kept:
        return 0.0
    hits = sum(bool(_maps(line)) for line in kept)
    return 0.8 * hits / len(kept)


def _maps(line: str) -> bool:
    arrow = _ARROW.match(line)
    is_device = arrow is not None and re.fullmatch(r"(?:dm-|sd|vd|xvd|td|nbd|loop|nvme|md)\w*", arrow["device"])
    return bool(is_device or _XE_FIELD.match(line) or _DMSETUP.match(line) or re.match(r"^\s*block\.\d+\.path=", line))


def parse(document: Document) -> Parsed:
    """Read guests, which disks they use, and what those disks are part of."""
    crossing = _Crossing(document)
    for line in read_rows_of(document):
        crossing.read_line(line)
    return crossing.finish()


class _Crossing:
    """State of reading: which table is open, which guest was asked for."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.tally = Tally()
        self.readings = Readings(document.label)
        self.guests: dict[Entity, None] = {}
        self.disks: dict[Entity, None] = {}
        self.links: dict[tuple[Entity, Relation, Entity], Link] = {}
        self.table = ""
        self.columns: tuple[str, ...] = ("guest", "device", "backing")
        self.asked = ""
        self.tree: list[tuple[int, str]] = []
        self.crashed: list[Event] = []
        self.listed: list[Event] = []
        self.rows: dict[str, Callable[[Line], bool]] = {
            "xl": self._read_xl, "virsh": self._read_virsh, "domblk": self._read_domblk,
            "lsblk": self._read_lsblk, "map": self._read_map,
        }  # fmt: skip

    def read_line(self, line: Line) -> None:
        text = line.text
        if not text.strip():
            return
        understood = (
            self._read_prompt(text) or self._read_header(text) or self._read_free(line) or self._read_table(line)
        )
        self.tally.count(line, understood=understood)

    def _read_prompt(self, text: str) -> bool:
        asked = _ASKED.search(text)
        if asked is None and not (is_prompt(text) and not self._is_header(text)):
            return False
        self.asked = asked["guest"] if asked else ""
        self.table = ""
        return True

    @staticmethod
    def _is_header(text: str) -> bool:
        return any(pattern.match(text) for _, pattern in _HEADERS)

    def _read_header(self, text: str) -> bool:
        self.table, before = next((name for name, pattern in _HEADERS if pattern.match(text)), self.table), self.table
        if not self._is_header(text):
            self.table = before
            return False
        self.tree = []
        if self.table == "map":
            self.columns = _read_columns(text)
        return True

    def _read_table(self, line: Line) -> bool:
        read = self.rows.get(self.table)
        return read is not None and read(line)

    def _read_free(self, line: Line) -> bool:
        field = _XE_FIELD.match(line.text)
        if field is not None:
            if field["key"] == "power-state":
                self._note_state(line, Entity("node", node=self.document.node), "r")
            if field["key"] in ("name-label", "vm-name-label") and field["value"]:
                self._add_guest(field["value"])
            return True
        stats, dmsetup, link = _DOMSTATS.match(line.text), _DMSETUP.match(line.text), _SYMLINK.search(line.text)
        if stats is not None:
            self.asked = stats["guest"] or self.asked
            if stats["path"] and self.asked:
                self._add_use(line, self.asked, stats["path"])
            return True
        if dmsetup is not None:
            self._add_part(line, dmsetup["name"], f"dm-{dmsetup['minor']}")
            return True
        if link is not None:
            self._add_part(line, link["name"], link["device"])
            return True
        arrow = _ARROW.match(line.text)
        if arrow is not None:
            self._add_use(line, arrow["guest"], arrow["device"], arrow["backing"] or "")
        return arrow is not None

    def _read_xl(self, line: Line) -> bool:
        match = _XL_ROW.match(line.text)
        if match is None:
            return False
        if match["name"] not in _HOST_DOMAINS:
            guest = self._add_guest(match["name"])
            self._note_state(line, guest, match["state"])
            self.readings.put(guest, "guest_memory_bytes", float(match["mem"]) * _MIB)
            self.readings.quote_row(guest, make_quote(self.document, line))
        return True

    def _read_virsh(self, line: Line) -> bool:
        match = _VIRSH_ROW.match(line.text)
        if match is not None:
            guest = self._add_guest(match["name"])
            self._note_state(line, guest, "c" if match["state"] == "crashed" else "r")
        return match is not None

    def _read_domblk(self, line: Line) -> bool:
        match = _DOMBLK_ROW.match(line.text)
        if match is None or not self.asked:
            return False
        if match["source"].startswith("/dev/"):
            self._add_use(line, self.asked, match["source"])
        return True

    def _read_lsblk(self, line: Line) -> bool:
        match = _LSBLK_ROW.match(line.text)
        if match is None:
            return False
        depth = len(match["tree"])
        while self.tree and self.tree[-1][0] >= depth:
            self.tree.pop()
        name = match["name"]
        major, minor = match["numbers"].split(":")
        device = (
            f"dm-{minor}" if 250 <= int(major) <= 254 and not re.fullmatch(r"(?:sd|nvme|vd|xvd)\w+", name) else name
        )
        if device != name:
            self._add_part(line, name, device)
        if self.tree and self.tree[-1][1] != device:
            self._add_part(line, device, self.tree[-1][1])
        self.tree.append((depth, device))
        self.disks[self._disk(device)] = None
        return True

    def _read_map(self, line: Line) -> bool:
        cells = [cell for cell in re.split(r"[,;\s]+", line.text.strip()) if cell]
        if line.text.lstrip().startswith("#"):
            return True
        row = dict(zip(self.columns, cells, strict=False))
        if len(cells) < 2 or len(cells) > len(self.columns) + 1 or not row.get("guest") or not row.get("device"):
            return False
        self._add_use(line, row["guest"], row["device"], row.get("backing", ""))
        return True

    def _note_state(self, line: Line, guest: Entity, state: str) -> None:
        quote = make_quote(self.document, line)
        if "c" in state:
            self.crashed.append(Event(NO_MOMENT, guest, "guest:crashed", quote, {"guest": guest.name}, "tool"))
        elif not self.listed:
            node = Entity("node", node=self.document.node)
            self.listed.append(Event(NO_MOMENT, node, "guests:quiet", quote, {}, "tool"))

    def _add_guest(self, name: str) -> Entity:
        guest = Entity("guest", self.document.node, name)
        self.guests[guest] = None
        return guest

    def _add_use(self, line: Line, guest: str, device: str, backing: str = "") -> None:
        if guest in _HOST_DOMAINS:
            return
        self._add_link(line, self._add_guest(guest), "uses", self._disk(device))
        if backing:
            self._add_part(line, device, backing)

    def _add_part(self, line: Line, device: str, whole: str) -> None:
        one, other = self._disk(device), self._disk(whole)
        if one != other:
            self._add_link(line, one, "part_of", other)

    def _add_link(self, line: Line, subject: Entity, relation: Relation, target: Entity) -> None:
        key = (subject, relation, target)
        self.links.setdefault(key, Link(subject, relation, target, make_quote(self.document, line)))

    def _disk(self, path: str) -> Entity:
        return Entity("disk", self.document.node, name_device(path))

    def finish(self) -> Parsed:
        facts = Facts(
            windows=tuple(self.readings.build()),
            entities=(*self.guests, *self.disks),
            links=tuple(self.links.values()),
            events=tuple(self.crashed or self.listed),
        )
        return Parsed(facts, self.tally.result())


def name_device(path: str) -> str:
    """Name a device as iostat does: ``/dev/sdb`` is sdb, ``/dev/vg0/db-3`` the mapper's ``vg0-db--3``."""
    name = path.removeprefix("/dev/").removeprefix("mapper/")
    group, slash, volume = name.partition("/")
    if not slash or "/" in volume or not volume:
        return name.rsplit("/", 1)[-1] if path.startswith("/dev/disk/") else name
    return f"{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _read_columns(text: str) -> tuple[str, ...]:
    words = [word for word in re.split(r"[^a-z_]+", text.lower()) if word]
    kinds = {**dict.fromkeys(_GUEST_WORDS, "guest"), **dict.fromkeys(_DEVICE_WORDS, "device")}
    kinds |= dict.fromkeys(_BACKING_WORDS, "backing")
    columns = tuple(kinds.get(word, "") for word in words)
    if "" in columns or len(set(columns)) != len(columns) or len(columns) < 2:
        return ("guest", "device", "backing")
    return columns
