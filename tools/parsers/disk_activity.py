"""Reads `sar -d` of sysstat 9 to 12.7 (also `-p`, and within `sar -A`), `sadf -d` and `sadf -j`, and `/proc/diskstats`.

`sar` tells averages of an interval, usually ten minutes, each a column of the window. `/proc/diskstats` alone holds
counters since boot, from which no present can be read: that is said, and which command would tell it. Two copies of it
with `sleep SECONDS` on the prompt line between them make a rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from tools.diskstats import DiskCounters, compute_figures, parse_diskstats
from tools.parsers._iostat_times import parse_day, parse_stamp
from tools.parsers._json_tree import starts_json
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, parse_number
from tools.parsers._readings import Readings
from tools.parsers._sheet import Sheet
from tools.parsers._sysstat_json import read_reports
from tools.parsers.iostat import COLUMNS
from tools.types import Clock, Document, Domain, Entity, Facts, Line, Parsed, Quote, Window

FORM = "disk_activity"
DOMAIN: Domain = "disk"

_STAMP = r"(?P<stamp>\d\d:\d\d:\d\d(?:\s+[AP]M)?|[^\W\d]\w{3,12}[.:]{0,2})"
_TABLE = Lazy(rf"^{_STAMP}\s+(?P<columns>\S.*)$")
_ROW = Lazy(rf"^{_STAMP}\s+(?P<cells>\S+(?:\s+\S+)*)\s*$")
_SADF = Lazy(r"^#?\s*hostname;interval;timestamp;(?P<columns>.*\S)\s*$")
_SYSTEM = Lazy(r"^(?:Linux|FreeBSD) \S+ \((?P<host>[^)\s]*)\)\s+(?P<date>\S+)")
_PROCESSORS = Lazy(r"^\d\d:\d\d:\d\d(?:\s+[AP]M)?\s+CPU\s+%us")
_RESTART = Lazy(r"^\d\d:\d\d:\d\d.*\b(?:LINUX RESTART|COM )")
_COUNTERS = Lazy(r"^\s*\d{1,4}\s+\d{1,7}\s+(?P<dev>[a-z][\w!.-]*)(?:\s+\d+){11,}\s*$")
_SLEEP = Lazy(r"\bsleep\s+(?P<seconds>\d{1,5}(?:\.\d+)?)\b|\bwatch\s+-n\s*(?P<every>\d{1,5}(?:\.\d+)?)\b")
_OLD = {
    "rd_sec/s": "rsec/s", "wr_sec/s": "wsec/s", "rd_sec": "rsec/s", "wr_sec": "wsec/s",
    "rkB": "rkB/s", "wkB": "wkB/s", "%util-percent": "%util", "util-percent": "%util",
}  # fmt: skip
_SKIPPED = ("loop", "ram", "zram", "sr", "fd")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the header of `sar -d` or `sadf -d`, JSON of `sadf`, or rows of `/proc/diskstats`."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    if any(_read_header(text) for text in kept):
        return 0.97
    text = "\n".join(kept)
    if '"disk-device"' in text and '"sysstat"' in text:
        return 1.0
    rows = sum(bool(_COUNTERS.match(text)) for text in kept)
    if any(_PROCESSORS.match(text) for text in kept):
        return 0.5
    return 0.9 if rows and rows * 5 >= len(kept) * 4 else 0.0


def _read_header(text: str) -> list[str]:
    """The columns of a table of disks, empty where the line is no header of one."""
    sadf = _SADF.match(text)
    table = _TABLE.match(text)
    columns = sadf["columns"].split(";") if sadf else table["columns"].split() if table else []
    return [_OLD.get(name, name) for name in columns] if "DEV" in columns and "tps" in columns else []


def parse(document: Document) -> Parsed:
    """Read every interval as a column; counters alone give the disks and a gap."""
    activity = _Activity(document)
    whole = read_reports(document) if starts_json(document) else None
    if whole is not None:
        for report in whole:
            activity.sheet.node = activity.sheet.node or report.node
            activity.start(f"{report.stamp}{'Z' if report.is_utc else ''}")
            for device, cells, quote in report.disks:
                activity.put(device, {name: str(value) for name, value in cells.items()}, quote)
        return Parsed(activity.build())
    parsed = activity.sheet.read(
        activity.read_system, activity.read_head, activity.read_row, activity.read_counters, activity.read_other
    )
    return Parsed(activity.build(), parsed.unread)


class _Activity:
    """State of reading: the columns, the day, the interval that is being filled."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.readings = Readings(document.label)
        self.windows: list[Window] = []
        self.day: datetime | None = None
        self.clock: Clock = "none"
        self.columns: list[str] = []
        self.separator: str | None = None
        self.in_other = False
        self.stamp = ""
        self.seconds = 0.0
        self.copies: list[dict[str, tuple[DiskCounters, Line]]] = []

    def read_system(self, line: Line) -> bool:
        match = _SYSTEM.match(line.text)
        if match is not None:
            self._close_run()
            self.sheet.node = self.sheet.node or match["host"]
            self.day = parse_day(match["date"])
        return match is not None

    def read_head(self, line: Line) -> bool:
        sleep = _SLEEP.search(line.text)
        if sleep is not None:
            self.seconds = float(sleep["seconds"] or sleep["every"])
        columns = _read_header(line.text)
        if columns:
            self.columns, self.in_other = columns, False
            self.separator = ";" if ";" in line.text else None
        return bool(columns)

    def read_row(self, line: Line) -> bool:
        if not self.columns or self.in_other:
            return False
        if self.separator:
            return self._read_sadf_row(line)
        match = _ROW.match(line.text)
        cells = match["cells"].split() if match else []
        if match is None or not cells or len(cells) > len(self.columns):
            return False
        row = dict(zip(self.columns, cells, strict=False))
        numbers = [cell for name, cell in row.items() if name != "DEV"]
        if "DEV" not in row or any(parse_number(cell) is None for cell in numbers) or not numbers:
            return False
        if match["stamp"][0].isdecimal():
            if match["stamp"] != self.stamp:
                self.start(match["stamp"])
            self.put(row["DEV"], row, self.sheet.quote(line))
        return True

    def _read_sadf_row(self, line: Line) -> bool:
        cells = line.text.strip().split(";")
        if len(cells) != len(self.columns) + 3:
            return False
        self.sheet.node = self.sheet.node or cells[0]
        stamp = cells[2].removesuffix(" UTC") + ("Z" if cells[2].endswith(" UTC") else "")
        if stamp != self.stamp:
            self.start(stamp)
        row = dict(zip(self.columns, cells[3:], strict=True))
        self.put(row["DEV"], row, self.sheet.quote(line))
        return True

    def start(self, stamp: str) -> None:
        """Begin the interval that ends at a time."""
        self.stamp = stamp
        when = parse_stamp(stamp, day=self.day)
        if when is not None:
            self.clock = when[1]
        self.readings.start_column(when[0] if when is not None else math.nan)

    def put(self, device: str, cells: Mapping[str, str], quote: Quote) -> None:
        """Add what a row tells of a device."""
        disk = Entity("disk", self.sheet.node, device)
        for name, cell in cells.items():
            number = parse_number(cell)
            signals, factor = COLUMNS.get(_OLD.get(name, name), ((), 1.0))
            for signal in signals if number is not None else ():
                self.readings.put(disk, signal, round((number or 0.0) * factor, 9))
        self.readings.quote_row(disk, quote)

    def read_counters(self, line: Line) -> bool:
        match = _COUNTERS.match(line.text)
        if match is None:
            return False
        counters = parse_diskstats(line.text)
        if counters and not match["dev"].startswith(_SKIPPED):
            name = match["dev"]
            if not self.copies or name in self.copies[-1]:
                self.copies.append({})
            self.copies[-1][name] = (counters[next(iter(counters))], line)
        return True

    def read_other(self, line: Line) -> bool:
        """Pass over the other tables of `sar -A`: processors, memory, network."""
        if _RESTART.match(line.text):
            return True
        table = _TABLE.match(line.text)
        if table is None:
            return False
        names = table["columns"].split()
        is_head = all(parse_number(name[:1]) is None for name in names)
        self.in_other = self.in_other or (is_head and len(names) > 1)
        return self.in_other

    def build(self) -> Facts:
        """The window of `sar`, or the disks with the reason why nothing is known of their present."""
        if len(self.copies) > 1 and self.seconds > 0:
            self._measure()
        elif self.copies and not len(self.readings):
            self.sheet.miss("counters since boot tell nothing of the present", "iostat -x 1 2")
        self._close_run()
        counted = [Entity("disk", self.sheet.node, name) for copy in self.copies for name in copy]
        entities = tuple(dict.fromkeys([*(disk for window in self.windows for disk in window.entities), *counted]))
        return Facts(tuple(self.windows), entities=entities, coverage=tuple(dict.fromkeys(self.sheet.gaps)))

    def _close_run(self) -> None:
        """Keep the intervals of one day as a window; the latest one is the present."""
        if len(self.readings) and not self.readings.has_ever("disk_utilization_ratio"):
            self.sheet.miss("the columns do not tell how busy a disk is", "sar -d, or iostat -x 1 2")
        self.windows += self.readings.build(clock=self.clock)
        self.readings, self.columns, self.stamp = Readings(self.sheet.document.label), [], ""

    def _measure(self) -> None:
        """Compute the rates of the last interval between two copies of the counters."""
        self.readings.start_column()
        before, after = self.copies[-2:]
        for name, (now, line) in after.items():
            figures = compute_figures(before[name][0], now, self.seconds) if name in before else None
            disk = Entity("disk", self.sheet.node, name)
            for signal, value in (figures or {}).items():
                if not math.isnan(value):
                    self.readings.put(disk, signal, value)
            self.readings.quote_row(disk, self.sheet.quote(line))
