"""Reads `nvme list` of nvme-cli 1 and 2, and `lsscsi`: which drives a host sees, nothing of their health."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Facts, Line, Parsed

FORM = "nvme_list"
DOMAIN: Domain = "inventory"

_HEAD = Lazy(r"^Node\s+(?:Generic\s+)?SN\s+Model\b")
_ROW = Lazy(r"^/dev/(?P<device>nvme\d+n\d+)\s+(?:/dev/ng\d+n\d+\s+)?(?P<serial>\S+)\s+\S")
_SCSI = Lazy(
    r"^\[[\w:]+\]\s+(?:disk|cd/dvd|enclosu|tape|process|mediumx|storage|zbc)\s.*?(?:/dev/(?P<device>\w+)|-)\s*$"
)
_JSON_DEVICE = re.compile(r'"DevicePath"\s*:\s*"/dev/(?P<device>nvme\w+)"')
_JSON_LINE = re.compile(r'^[\s{}\[\],]*(?:"[\w ]+"\s*:.*)?[\s{}\[\],]*$')


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the head of the table, rows of namespaces, or its JSON."""
    kept = clip_sample(sample)
    if any(_HEAD.match(text) for text in kept) or any(_JSON_DEVICE.search(text) for text in sample):
        return 0.95
    rows = sum(bool(_ROW.match(text) or _SCSI.match(text)) for text in kept)
    return 0.9 if rows and rows * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Read the names of the drives."""
    sheet = Sheet(document, DOMAIN)
    drives: dict[Entity, None] = {}

    def read_line(line: Line) -> bool:
        row = _ROW.match(line.text)
        scsi = _SCSI.match(line.text)
        names = [found["device"] for found in _JSON_DEVICE.finditer(line.text)]
        names += [row["device"]] if row else []
        names += [scsi["device"]] if scsi and scsi["device"] else []
        drives.update(dict.fromkeys(Entity("disk", sheet.node, name) for name in names))
        is_rest = line.text.startswith(("-----", "Node")) or bool(_JSON_LINE.match(line.text))
        return bool(names or scsi or is_rest)

    parsed = sheet.read(read_line)
    return Parsed(Facts(entities=tuple(drives)), parsed.unread)
