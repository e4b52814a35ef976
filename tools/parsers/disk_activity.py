"""Reads `sar -d` of sysstat 9 to 12.7 (also `-p` and `sadf -d`'s columns) and `/proc/diskstats`.

`sar` tells averages of an interval, usually ten minutes, each a column of the window. `/proc/diskstats` alone holds
counters since boot, from which no present can be read: that is said, and which command would tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tools.diskstats import parse_diskstats
from tools.parsers._iostat_times import parse_day, parse_stamp
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, parse_number
from tools.parsers._readings import Readings
from tools.parsers._sheet import Sheet
from tools.parsers.iostat import COLUMNS
from tools.types import Clock, Document, Domain, Entity, Facts, Line, Parsed

FORM = "disk_activity"
DOMAIN: Domain = "disk"

_HEAD = Lazy(r"^(?P<stamp>\d\d:\d\d:\d\d(?:\s+[AP]M)?|Average:)\s+DEV\s+tps\s+(?P<columns>\S.*)$")
_ROW = Lazy(
    r"^(?P<stamp>\d\d:\d\d:\d\d(?:\s+[AP]M)?|Average:)\s+(?P<dev>[\w/.-]+)\s+(?P<cells>[\d.,]+(?:\s+[\d.,]+){3,})\s*$"
)
_SYSTEM = Lazy(r"^(?:Linux|FreeBSD) \S+ \((?P<host>[^)\s]*)\)\s+(?P<date>\S+)")
_COUNTERS = Lazy(r"^\s*\d{1,4}\s+\d{1,7}\s+(?P<dev>[a-z][\w!.-]*)(?:\s+\d+){11,}\s*$")
_OLD = {"rd_sec/s": "rsec/s", "wr_sec/s": "wsec/s"}
_SKIPPED = ("loop", "ram", "zram", "sr", "fd")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the header of `sar -d`, or rows of `/proc/diskstats`."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    if any(_HEAD.match(text) for text in kept):
        return 0.97
    rows = sum(bool(_COUNTERS.match(text)) for text in kept)
    return 0.9 if rows and rows * 5 >= len(kept) * 4 else 0.0


def parse(document: Document) -> Parsed:
    """Read every interval as a column; counters alone give the disks and a gap."""
    activity = _Activity(document)
    parsed = activity.sheet.read(activity.read_system, activity.read_head, activity.read_row, activity.read_counters)
    return Parsed(activity.build(), parsed.unread)


class _Activity:
    """State of reading: the columns, the day, the interval that is being filled."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.readings = Readings(document.label)
        self.day: datetime | None = None
        self.clock: Clock = "none"
        self.columns: list[str] = []
        self.stamp = ""
        self.counted: list[Entity] = []

    def read_system(self, line: Line) -> bool:
        match = _SYSTEM.match(line.text)
        if match is not None:
            self.sheet.node = self.sheet.node or match["host"]
            self.day = parse_day(match["date"])
        return match is not None

    def read_head(self, line: Line) -> bool:
        match = _HEAD.match(line.text)
        if match is not None:
            self.columns = [_OLD.get(name, name) for name in match["columns"].split()]
        return match is not None

    def read_row(self, line: Line) -> bool:
        match = _ROW.match(line.text) if self.columns else None
        if match is None:
            return False
        cells = match["cells"].split()[1:]
        if match["stamp"] == "Average:" or len(cells) > len(self.columns):
            return match["stamp"] == "Average:"
        if match["stamp"] != self.stamp:
            self.stamp = match["stamp"]
            when = parse_stamp(self.stamp, day=self.day)
            if when is not None:
                self.clock = when[1]
            self.readings.start_column(when[0] if when is not None else float("nan"))
        disk = Entity("disk", self.sheet.node, match["dev"])
        for column, cell in zip(self.columns, cells, strict=False):
            number = parse_number(cell)
            signals, factor = COLUMNS.get(column, ((), 1.0))
            for signal in signals if number is not None else ():
                self.readings.put(disk, signal, round((number or 0.0) * factor, 9))
        self.readings.quote_row(disk, self.sheet.quote(line))
        return True

    def read_counters(self, line: Line) -> bool:
        match = _COUNTERS.match(line.text)
        if match is not None and not match["dev"].startswith(_SKIPPED) and parse_diskstats(line.text):
            self.counted.append(Entity("disk", self.sheet.node, match["dev"]))
        return match is not None

    def build(self) -> Facts:
        """The window of `sar`, or the disks with the reason why nothing is known of their present."""
        if self.counted and not len(self.readings):
            self.sheet.miss("counters since boot tell nothing of the present", "iostat -x 1 2")
        entities = tuple(dict.fromkeys([*self.readings.entities, *self.counted]))
        return Facts(tuple(self.readings.build(clock=self.clock)), entities=entities, coverage=tuple(self.sheet.gaps))
