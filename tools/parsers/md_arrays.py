"""Reads the state of Linux software RAID: `/proc/mdstat` of kernels 3 to 6 and `mdadm --detail` of mdadm 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "md_arrays"
DOMAIN: Domain = "disk"

_MD = Lazy(r"^(?P<array>md\w+) : (?P<state>\w+)(?: \(\S+\))? (?P<level>raid\d+|linear|multipath)? ?(?P<members>.*)$")
_MD_MAP = Lazy(r"\[(?P<want>\d+)/(?P<have>\d+)\] \[(?P<map>[U_]+)\]")
_MD_OTHER = Lazy(
    r"^Personalities :|^unused devices:|^\s+bitmap:|^\s+\[[=>.]*\]|^\s+\d+ blocks|^\s+resync=|^/dev/md\S*:$"
)
_MDADM_OTHER = Lazy(
    r"^\s*(?:Version|Creation Time|Array Size|Used Dev Size|Total Devices|Preferred Minor|Persistence|Intent Bitmap"
    r"|Update Time|Spare Devices|Layout|Chunk Size|Consistency Policy|Name|UUID|Events|Resync Status|Rebuild Status"
    r"|Delta Devices|New Layout|Cluster Name|Reshape Status)\s*:\s"
    r"|^\s*Number\s+Major\s+Minor\s+RaidDevice|^\s*(?:\d+|-)\s+\d+\s+\d+\s+(?:\d+|-)\s+\S"
)
_MDADM = Lazy(
    r"^\s*(?P<key>Raid Level|State|Failed Devices|Active Devices|Raid Devices|Working Devices)\s*:\s*(?P<value>.*?)\s*$"
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the head of `/proc/mdstat`, an array's line, or the fields of `mdadm --detail`."""
    kept = clip_sample(sample)
    if any("Personalities :" in text or _MD.match(text) or _MD_MAP.search(text) for text in kept):
        return 0.95
    return 0.9 if sum(bool(_MDADM.match(text)) for text in kept) >= 3 else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each array that lost a member."""
    arrays = _Arrays(document)
    parsed = arrays.sheet.read(arrays.read_array)
    arrays.close_array()
    return Parsed(arrays.sheet.build_facts(), parsed.unread)


class _Arrays:
    """State of reading: the array that the lines are of, and the fields that `mdadm` told of it."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.array = ""
        self.detail: dict[str, tuple[str, Line]] = {}

    def read_array(self, line: Line) -> bool:
        match, state, detail = _MD.match(line.text), _MD_MAP.search(line.text), _MDADM.match(line.text)
        if match is not None:
            self.array = match["array"]
            if "(F)" in match["members"]:
                self.sheet.add(line, self._disk(), "md:degraded", {"members": match["members"]})
        elif state is not None and self.array:
            told = any(event.entity.name == self.array for event in self.sheet.events)
            if "_" in state["map"] and not told:
                self.sheet.add(line, self._disk(), "md:degraded", {"map": state["map"]})
        elif detail is not None:
            self.detail[detail["key"]] = (detail["value"], line)
        elif line.text.startswith("/dev/md"):
            self.close_array()
            self.array = line.text.strip(": \t")[5:]
        else:
            return bool(_MD_OTHER.match(line.text) or _MDADM_OTHER.match(line.text))
        return True

    def _disk(self) -> Entity:
        return Entity("disk", self.sheet.node, self.array or "md?")

    def close_array(self) -> None:
        """Make an event of what `mdadm --detail` told of the array that was open."""
        value, line = self.detail.get("State", ("", None))
        failed, other = self.detail.get("Failed Devices", ("0", None))
        if line is not None and ("degraded" in value or "FAILED" in value):
            self.sheet.add(line, self._disk(), "md:degraded", {"state": value, "failed": failed})
        elif other is not None and failed not in ("0", ""):
            self.sheet.add(other, self._disk(), "md:degraded", {"failed": failed})
        self.detail = {}
