"""Reads `iostat` of sysstat 9 to 12.7: `-x`, `-d`, `-k`, `-m`, `-h`, `-s`, `-t`, `-N`, text and `-o JSON`.

The first report of a run tells averages since boot: it is dropped where another follows, and marked where it is alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tools.parsers._iostat_times import parse_day, parse_stamp
from tools.parsers._json_tree import starts_json
from tools.parsers._lines import Tally, clip_sample, make_quote, parse_number, read_rows_of
from tools.parsers._readings import Readings
from tools.parsers._sysstat_json import Report, read_reports
from tools.types import Clock, Coverage, Document, Domain, Entity, Facts, Line, Parsed, Quote, Window

FORM = "iostat"
DOMAIN: Domain = "disk"
SINCE_BOOT, MAYBE_SINCE_BOOT = "since_boot", "maybe_since_boot"
"""Reasons that mark readings which are averages since boot, or may be: true, but not the present."""

_READ, _WRITE = "disk_read_bytes_per_second", "disk_write_bytes_per_second"
_READ_AWAIT, _WRITE_AWAIT = "disk_read_await_seconds", "disk_write_await_seconds"
COLUMNS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "r/s": (("disk_reads_per_second",), 1),
    "w/s": (("disk_writes_per_second",), 1),
    "rkB/s": ((_READ,), 1024),
    "wkB/s": ((_WRITE,), 1024),
    "kB_read/s": ((_READ,), 1024),
    "kB_wrtn/s": ((_WRITE,), 1024),
    "rMB/s": ((_READ,), 1024**2),
    "wMB/s": ((_WRITE,), 1024**2),
    "MB_read/s": ((_READ,), 1024**2),
    "MB_wrtn/s": ((_WRITE,), 1024**2),
    "rsec/s": ((_READ,), 512),
    "wsec/s": ((_WRITE,), 512),
    "Blk_read/s": ((_READ,), 512),
    "Blk_wrtn/s": ((_WRITE,), 512),
    "r_await": ((_READ_AWAIT,), 1e-3),
    "w_await": ((_WRITE_AWAIT,), 1e-3),
    # Before sysstat 10, and with -s, one await speaks for both.
    "await": ((_READ_AWAIT, _WRITE_AWAIT), 1e-3),
    "avgqu-sz": (("disk_queue_length",), 1),
    "aqu-sz": (("disk_queue_length",), 1),
    "%util": (("disk_utilization_ratio",), 1e-2),
    "util": (("disk_utilization_ratio",), 1e-2),
}
_OTHER = re.compile(
    r"tps|[rwd]?rqm/s|%[rwd]rqm|[rwd]?areq-sz|avgrq-sz|svctm|[df]/s|[df]_await|d?[kM]B/s|sec/s|(?:kB|MB|Blk)_(?:dscd/s|read|wrtn|dscd)"
)
_NEW = re.compile(r"%?[A-Za-z][\w-]*(?:/s)?|%[\w-]+")
MIN_KNOWN_COLUMNS = 6
"""With so many known columns a header is iostat's, whatever the others are (a guess)."""
_SUFFIX = {"k": 1024.0, "M": 1024.0**2, "G": 1024.0**3, "T": 1024.0**4}
_SYSTEM = re.compile(r"^(?:Linux|FreeBSD) (?P<release>\S+) \((?P<host>[^)\s]*)\)\s+(?P<date>\S+)")
_CPU = re.compile(r"^\s*(?:\S+\s+)?%user\s+%nice\s+%system")
_TOTALS = frozenset({"ALL", "Total", "total"})
_ONE_REPORT = "one report only: averages since boot"
_ONLY_RATES = "the columns tell how much is moved, not how long a request waits"


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is that this is iostat: a header of its columns, or its JSON with `disk_device`."""
    sample = clip_sample(sample)
    text = "\n".join(sample)
    if '"disk_device"' in text and ('"sysstat"' in text or '"r/s"' in text):
        return 1.0
    if any(_read_header(line) is not None for line in sample):
        return 0.95
    return 0.6 if any("%user" in line and _CPU.match(line) for line in sample) else 0.0


def parse(document: Document) -> Parsed:
    """Read all reports; the latest 720 are kept as columns of one window."""
    report = _Reports(document)
    whole = read_reports(document) if starts_json(document) else None
    if whole is not None:
        for entry in whole:
            report.put_report(entry)
        return report.finish()
    for line in read_rows_of(document):
        report.read_line(line)
    return report.finish()


class _Header:
    """Columns of a device table, and where the device's name stands (last with `-h`)."""

    def __init__(self, columns: list[str], *, device_last: bool) -> None:
        self.columns = columns
        self.device_last = device_last


def _read_header(text: str) -> _Header | None:
    # Rates stand in every header: a cheap look before the dear one.
    tokens = text.split() if "/s" in text else []
    known = [token in COLUMNS or _OTHER.fullmatch(token) is not None for token in tokens]
    if len(tokens) < 3 or sum(known) < len(tokens) - 1 - _count_new(tokens, known):
        return None
    if not known[0]:
        return _Header(tokens[1:], device_last=False)
    return _Header(tokens[:-1], device_last=True) if not known[-1] else None


def _count_new(tokens: Sequence[str], known: Sequence[bool]) -> int:
    """How many columns of a newer sysstat a header may hold beside those that are known."""
    inner = [token for token, is_known in zip(tokens[1:-1], known[1:-1], strict=True) if not is_known]
    looks_new = all(_NEW.fullmatch(token) for token in inner)
    return len(inner) if looks_new and sum(known) >= MIN_KNOWN_COLUMNS else 0


class _Reports:
    """State of reading one text: the table that is open, the report that is being filled."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.readings = Readings(document.label)
        self.windows: list[Window] = []
        self.entities: dict[Entity, None] = {}
        self.coverage: list[Coverage] = []
        self.tally = Tally()
        self.node = document.node
        self.day: datetime | None = None
        self.clock: Clock = "none"
        self.header: _Header | None = None
        self.in_cpu = False
        self.has_system_line = False
        self.lone_device = ""
        self.json_text: list[str] | None = None
        self.cut_rows = 0

    def read_line(self, line: Line) -> None:
        text = line.text.strip()
        understood = not text or any(
            step(line, text)
            for step in (
                self._read_json,
                self._read_system,
                self._read_cpu,
                self._read_stamp,
                self._read_columns,
                self._read_row,
            )
        )
        self.tally.count(line, understood=understood)

    def put_report(self, report: Report) -> None:
        """Add one report of whole JSON as a column."""
        self.node, self.has_system_line = self.node or report.node, True
        self.day = self.day or parse_day(report.stamp)
        self._start(report.stamp)
        for device, cells, quote in report.disks:
            self._put(device, {name: str(value) for name, value in cells.items()}, quote)

    def _read_json(self, line: Line, text: str) -> bool:
        node = re.match(r'"nodename":\s*"([^"]*)"', text)
        stamp = re.match(r'"timestamp":\s*"([^"]*)"', text)
        if node is not None:
            self.node, self.has_system_line = self.node or node[1], True
        elif text.startswith('"date":'):
            self.day = parse_day(text.split('"')[3]) if text.count('"') >= 4 else None
        elif stamp is not None:
            self._start(stamp[1])
        elif text.startswith('"avg-cpu"'):
            self._start()
        for match in re.finditer(r'\{"disk_device":[^{}]*\}', text):
            self._put_json(line, match.group())
        return text[:1] in '{}["]'

    def _put_json(self, line: Line, text: str) -> None:
        try:
            record: dict[str, Any] = json.loads(text)
        except ValueError:
            self.cut_rows += 1
            return
        cells = {name: value for name, value in record.items() if isinstance(value, int | float)}
        quote = make_quote(self.document, line)
        self._put(str(record.get("disk_device", "")), {name: str(value) for name, value in cells.items()}, quote)

    def _read_system(self, line: Line, text: str) -> bool:
        match = _SYSTEM.match(text)
        if match is None:
            return False
        self._close_run()
        self.node, self.has_system_line = self.document.node or match["host"], True
        self.day = parse_day(match["date"])
        self.header = None
        return True

    def _read_cpu(self, line: Line, text: str) -> bool:
        if "%user" in text and _CPU.match(text):
            self._start()
            self.in_cpu, self.header = True, None
            return True
        if self.in_cpu and all(parse_number(token) is not None for token in text.split()):
            self.in_cpu = False
            return True
        return False

    def _read_stamp(self, line: Line, text: str) -> bool:
        if parse_stamp(text, day=self.day) is None:
            return False
        self._start(text)
        return True

    def _start(self, stamp: str = "") -> None:
        seconds = math.nan
        when = parse_stamp(stamp, day=self.day) if stamp else None
        if when is not None:
            seconds, self.clock = when
        self.readings.start_column(seconds)

    def _read_columns(self, line: Line, text: str) -> bool:
        header = _read_header(text)
        if header is not None:
            self.header, self.in_cpu, self.lone_device = header, False, ""
        return header is not None

    def _read_row(self, line: Line, text: str) -> bool:
        if self.header is None:
            return False
        cells = text.split()
        if len(cells) == 1 and text[0].isalpha():
            self.lone_device = text
            return True
        if self.lone_device and len(cells) == len(self.header.columns):
            # Old sysstat breaks the line after a long device name.
            cells = [self.lone_device, *cells] if not self.header.device_last else [*cells, self.lone_device]
        self.lone_device = ""
        device, *numbers = [cells[-1], *cells[:-1]] if self.header.device_last else cells
        if not numbers or any(parse_number(cell) is None for cell in numbers):
            return False
        if len(numbers) > len(self.header.columns):
            return False
        if len(numbers) < len(self.header.columns):
            self.cut_rows += 1
            # The last cell of a row that was cut may have lost digits.
            numbers = numbers[:-1]
        quote = make_quote(self.document, line)
        self._put(device, dict(zip(self.header.columns, numbers, strict=False)), quote)
        return True

    def _put(self, device: str, cells: Mapping[str, str], quote: Quote) -> None:
        name = device.rstrip(":").removeprefix("/dev/")
        if not name or name in _TOTALS:
            return
        disk = Entity("disk", self.node, name)
        readings = dict(_read_cells(cells))
        if any(self.readings.has(disk, signal) for signal in readings):
            self.readings.start_column()
        for signal, value in readings.items():
            self.readings.put(disk, signal, value)
        if readings:
            self.readings.quote_row(disk, quote)

    def _close_run(self) -> None:
        """Keep the reports of one run of the program; the next begins with averages since boot again."""
        kept, coverage = self.readings, self.coverage
        kept.drop_empty_tail()
        if len(kept) > 1:
            kept.drop_first_column()
        elif len(kept) == 1:
            reason = _ONE_REPORT if self.has_system_line else "one report only: may be averages since boot"
            mark = SINCE_BOOT if self.has_system_line else MAYBE_SINCE_BOOT
            for disk in kept.entities:
                kept.put(disk, "disk_utilization_ratio", None, reason=mark)
            coverage.append(self._partial(reason))
        if len(kept) and not kept.has_ever("disk_utilization_ratio"):
            coverage.append(self._partial(_ONLY_RATES))
        if self.cut_rows:
            coverage.append(self._partial(f"{self.cut_rows} rows are cut"))
        if kept.dropped:
            coverage.append(self._partial(f"{kept.dropped} older reports left out"))
        self.windows += kept.build(clock=self.clock, step_seconds=None)
        self.entities.update(dict.fromkeys(kept.entities))
        self.readings, self.cut_rows = Readings(self.document.label), 0

    def finish(self) -> Parsed:
        """Put the runs together, the latest last."""
        self._close_run()
        coverage = tuple(dict.fromkeys(self.coverage))
        facts = Facts(windows=tuple(self.windows), entities=tuple(self.entities), coverage=coverage)
        return Parsed(facts, self.tally.result())

    def _partial(self, reason: str) -> Coverage:
        return Coverage(self.document.label, DOMAIN, "partial", reason, "iostat -x 1 2")


def _read_cells(cells: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for column, text in cells.items():
        number = parse_number(text)
        if column not in COLUMNS or number is None:
            continue
        signals, factor = COLUMNS[column]
        # With -h a suffix replaces the unit of the header: 2.2M below rkB/s are MiB/s.
        factor = _SUFFIX.get(text[-1], factor)
        for signal in signals:
            if column == "await" and ("r_await" in cells or "w_await" in cells):
                continue
            yield signal, round(number * factor, 9)
