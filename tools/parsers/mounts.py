"""Reads which drive holds what: `mount` of util-linux 2.2x to 2.4x, `/proc/mounts`, `findmnt -rn`."""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "mounts"
DOMAIN: Domain = "disk"

_MOUNT = Lazy(r"^(?P<device>\S+) on (?P<place>/\S*) type (?P<type>\w[\w.]*) \(")
_PROC = Lazy(r"^(?P<device>\S+) (?P<place>/\S*) (?P<type>[a-z][\w.]*) (?:rw|ro)\b\S*(?: \d \d)?$")
_FINDMNT = Lazy(
    r"^(?P<place>/\S*) (?P<device>/dev/(?!shm|pts|mqueue|hugepages)\S+) (?P<type>[a-z][\w.]*) (?:rw|ro)\b\S*$"
)
SYSTEM_PLACES = frozenset({"/", "/boot", "/usr", "/var", "/scratch", "/local", "/local_scratch"})
"""What a compute node cannot work without; the scratch names are customs of Slurm sites."""


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: half of the lines name a device, a place and a type."""
    kept = [text for text in clip_sample(sample) if text.strip()]
    hits = sum(_read_row(text) is not None for text in kept)
    return 0.9 if hits and hits * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make a note, no trouble, of each local drive that a node cannot work without."""
    sheet = Sheet(document, DOMAIN)

    def read_mount(line: Line) -> bool:
        row = _read_row(line.text)
        if row is None:
            return False
        device, place = row
        if place in SYSTEM_PLACES and device.startswith("/dev/"):
            disk = Entity("disk", document.node, device.removeprefix("/dev/"))
            sheet.add(line, disk, "mount:system", {"place": place})
        return True

    return sheet.read(read_mount)


def _read_row(text: str) -> tuple[str, str] | None:
    match = _MOUNT.match(text) or _FINDMNT.match(text) or _PROC.match(text)
    return (match["device"], match["place"]) if match else None
