"""Reads which drive holds what: `mount` of util-linux 2.2x to 2.4x, `/proc/mounts`, `findmnt` as a tree or raw.

A local file system that is told to go read-only on errors, and is read-only, has met one (ext4(5), errors=remount-ro);
the others are read-only where somebody wants them so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "mounts"
DOMAIN: Domain = "disk"

_MOUNT = Lazy(r"^(?P<device>\S+) on (?P<place>/.*?) type (?P<type>\w[\w.-]*) \((?P<options>[^)]*)\)")
_PROC = Lazy(r"^(?P<device>\S+) (?P<place>/\S*) (?P<type>[a-z][\w.-]*) (?P<options>(?:rw|ro)\b\S*)(?: \d \d)?$")
_FINDMNT = Lazy(
    r"^[\s|`├└│─-]*(?P<place>/\S*)\s+(?P<device>\S+)\s+(?P<type>[a-z][\w.-]*)\s+(?P<options>(?:rw|ro)\b\S*)\s*$"
)
_HEAD = Lazy(r"^TARGET\s+SOURCE\s+FSTYPE\s+OPTIONS")
_RAW_PLACE = Lazy(r"^/dev(?:/(?:shm|pts|mqueue|hugepages))?$")
SYSTEM_PLACES = frozenset({"/", "/boot", "/usr", "/var", "/scratch", "/local", "/local_scratch"})
"""What a compute node cannot work without; the scratch names are customs of Slurm sites."""
_LOCAL_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
_CANNOT_BE_READ_ONLY = frozenset({"/", "/var", "/scratch", "/local", "/local_scratch", "/tmp", "/home", "/data"})  # noqa: S108


class _Row(NamedTuple):
    device: str
    place: str
    type: str
    options: frozenset[str]


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: half of the lines name a device, a place and a type."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    hits = sum(_read_row(text) is not None or bool(_HEAD.match(text)) for text in kept)
    return 0.9 if hits and hits * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Note, as no trouble, each local drive that a node cannot work without; make an event of one that is read-only."""
    sheet = Sheet(document, DOMAIN)

    def read_mount(line: Line) -> bool:
        row = _read_row(line.text)
        if row is None:
            return bool(_HEAD.match(line.text))
        disk = Entity("disk", document.node, row.device.removeprefix("/dev/"))
        if row.place in SYSTEM_PLACES and row.device.startswith("/dev/"):
            sheet.add(line, disk, "mount:system", {"place": row.place})
        if _is_fallen(row):
            sheet.add(line, disk, "mount:readonly", {"place": row.place, "type": row.type})
        return True

    return sheet.read(read_mount)


def _is_fallen(row: _Row) -> bool:
    is_local = row.type in _LOCAL_TYPES and row.device.startswith("/dev/") and not row.device.startswith("/dev/loop")
    has_to = "errors=remount-ro" in row.options or row.place in _CANNOT_BE_READ_ONLY - {"/"}
    return is_local and "ro" in row.options and has_to


def _read_row(text: str) -> _Row | None:
    match = _MOUNT.match(text)
    found = _FINDMNT.match(text)
    if match is None and found is not None and not _RAW_PLACE.match(found["place"]):
        # /proc/mounts has the device first: a line that begins with a device's path is of it.
        match = found if not found["place"].startswith("/dev/") else None
    match = match or _PROC.match(text)
    if match is None:
        return None
    return _Row(match["device"], match["place"], match["type"], frozenset(match["options"].split(",")))
