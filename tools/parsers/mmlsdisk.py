"""Reads `mmlsdisk FILE_SYSTEM` of IBM Storage Scale 4 and 5: which disks of the file system are down.

Availability is the last but one column: up, down, recovering or unrecovered (the command's reference page).
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "mmlsdisk"
DOMAIN: Domain = "disk"

_HEAD = Lazy(r"^(?:disk\s+driver\s+sector\b|name\s+type\s+size\s+group\b)|^(?:-{4,}\s+){4,}")
_ROW = Lazy(
    r"^(?P<name>\S+)\s+(?:nsd|disk)\s+\d+\s+-?[\d,]+\s+(?:yes|no)\s+(?:yes|no)\s+"
    r"(?P<status>[\w ]+?)\s+(?P<availability>up|down|recovering|unrecovered)\b"
)
_REST = Lazy(r"^(?:Number of quorum disks|Read quorum value|Write quorum value|Attention: Due to an earlier)")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: rows of the table, or its head."""
    kept = clip_sample(sample)
    return 0.95 if any(_ROW.match(text) or text.startswith("disk         driver") for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each disk that is not up; a head without a row is a gap."""
    sheet = Sheet(document, DOMAIN)
    rows: list[str] = []

    def read_line(line: Line) -> bool:
        match = _ROW.match(line.text)
        if match is not None:
            rows.append(match["name"])
        if match is not None and match["availability"].lower() != "up":
            fields = {"availability": match["availability"], "status": match["status"]}
            sheet.add(line, Entity("storage", sheet.node, match["name"]), "storage:nsd_down", fields)
        return match is not None or bool(_HEAD.match(line.text) or _REST.match(line.text))

    parsed = sheet.read(read_line)
    if not rows:
        sheet.miss("a table without a row", "mmlsdisk FILE_SYSTEM")
    return Parsed(sheet.build_facts(), parsed.unread)
