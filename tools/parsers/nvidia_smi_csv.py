"""Reads `nvidia-smi --query-gpu=… --format=csv` of drivers 418 to 590, with or without units.

The names of the columns come from the header, or from the command line above the rows where `noheader` was asked for.

Columns are those of tools/signals.py, plus the separate throttle reasons, which become one bit mask.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tools.entities import make_gpu
from tools.parsers._csv_rows import split_row
from tools.parsers._gpu_tree import read_flag, read_number, read_recovery
from tools.parsers._iostat_times import parse_stamp
from tools.parsers._lines import Tally, clip_sample, is_noise, make_quote, read_rows_of
from tools.parsers._readings import Readings
from tools.signals import SIGNALS
from tools.types import NO_MOMENT, Clock, Document, Domain, Entity, Event, Facts, Line, Parsed

FORM = "nvidia_smi_csv"
DOMAIN: Domain = "gpu"

_COLUMNS = {signal.column: signal for signal in SIGNALS.values() if signal.name.startswith("gpu_") and signal.column}
_NAMES = frozenset({"index", "name", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "serial", "timestamp", "pstate"})
_ALIASES = {
    "clocks_throttle_reasons": "clocks_event_reasons",
    "power.draw.instant": "power.draw",
    "clocks.current.sm": "clocks.sm",
    "clocks.current.memory": "clocks.mem",
}
_BITS: Mapping[str, int] = {
    "gpu_idle": 0x1,
    "applications_clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
}
_ASKED = re.compile(r"--query-gpu[= ]([\w.,]+)")
_REASONS = "clocks_event_reasons."
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,16}")
_MASK = "gpu_clock_event_reasons"


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a header with two columns or more of `--query-gpu`."""
    sample = clip_sample(sample)
    return 0.95 if any(_read_header(line) for line in sample) else 0.0


def parse(document: Document) -> Parsed:
    """Read every row as readings of one GPU; a GPU that comes again begins a new column."""
    table = _Rows(document)
    for line in read_rows_of(document):
        table.read_line(line)
    return table.finish()


def _read_header(text: str) -> list[str]:
    """Column names without units, aliases resolved; empty where the line is no header."""
    asked = _ASKED.search(text)
    cells = asked[1].split(",") if asked else split_row(text)
    names = [cell.split("[")[0].strip().lower() for cell in cells]
    names = [_ALIASES.get(name, name) for name in names]
    names = [name.replace("clocks_throttle_reasons.", _REASONS) for name in names]
    known = sum(name in _COLUMNS or name in _NAMES or name.startswith(_REASONS) for name in names)
    return names if known >= 2 and known * 2 >= len(names) and any("." in name for name in names) else []


class _Rows:
    """State of reading: the columns, and which GPUs the present report has shown."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.readings = Readings(document.label)
        self.tally = Tally()
        self.events: list[Event] = []
        self.names: list[str] = []
        self.shown: set[Entity] = set()
        self.clock: Clock = "none"

    def read_line(self, line: Line) -> None:
        header = _read_header(line.text)
        if header:
            self.names = header
        understood = bool(header) or self._read_row(line)
        self.tally.count(line, understood=understood)

    def _read_row(self, line: Line) -> bool:
        cells = [cell.strip() for cell in split_row(line.text)]
        if not self.names or len(cells) != len(self.names) or is_noise(line.text):
            return False
        row = dict(zip(self.names, cells, strict=True))
        gpu = make_gpu(
            self.document.node,
            index=row.get("index") if row.get("index", "").isdecimal() else None,
            pci=row.get("pci.bus_id", row.get("gpu_bus_id", "")),
            uuid=row.get("uuid", row.get("gpu_uuid", "")),
        )
        if gpu in self.shown or not self.shown:
            self._start(row.get("timestamp", ""))
        self.shown.add(gpu)
        self.readings.quote_row(gpu, make_quote(self.document, line))
        self._put(gpu, row)
        self._note_errors(gpu, line)
        return True

    def _start(self, stamp: str) -> None:
        when = parse_stamp(stamp, day=None) if stamp else None
        if when is not None:
            self.clock = when[1]
        self.readings.start_column(when[0] if when is not None else float("nan"))
        self.shown.clear()

    def _put(self, gpu: Entity, row: Mapping[str, str]) -> None:
        mask: int | None = None
        for name, text in row.items():
            bit = _BITS.get(name.removeprefix(_REASONS)) if name.startswith(_REASONS) else None
            if bit is not None and text.lower() in ("active", "not active"):
                mask = (mask or 0) | (bit if text.lower() == "active" else 0)
            elif name in _COLUMNS:
                signal = _COLUMNS[name]
                value = _read_cell(signal.name, text)
                scaled = None if value is None else round(value * _scale(text, signal.column_scale), 9)
                self.readings.put(gpu, signal.name, scaled, reason="" if scaled is not None else _reason(text))
        if mask is not None:
            whole = _read_cell(_MASK, row.get(f"{_REASONS}active", "")) or 0.0
            self.readings.put(gpu, _MASK, float(int(whole) | mask))

    def _note_errors(self, gpu: Entity, line: Line) -> None:
        text = line.text.lower()
        codes = {"gpu is lost": "gpu:lost", "gpu requires reset": "gpu:reset_required"}
        codes |= {"unknown error": "gpu:err_reading", "err!": "gpu:err_reading"}
        code = next((code for words, code in codes.items() if words in text), None)
        if code == "gpu:err_reading" and _is_one_cell(line.text):
            code = "gpu:cell_unreadable"
        if code is not None:
            self.events.append(Event(NO_MOMENT, gpu, code, make_quote(self.document, line)))

    def finish(self) -> Parsed:
        facts = Facts(tuple(self.readings.build(clock=self.clock)), tuple(self.events), self.readings.entities)
        return Parsed(facts, self.tally.result())


def _is_one_cell(text: str) -> bool:
    """Whether few cells of a row could not be read and the others could: the GPU answers."""
    cells = [cell.strip(" []").lower() for cell in split_row(text)]
    return sum(cell in ("unknown error", "err!") for cell in cells) * 4 <= len(cells)


def _read_cell(signal: str, text: str) -> float | None:
    word = text.lower()
    if signal == _MASK:
        return float(int(word, 16)) if _HEXADECIMAL.fullmatch(word) else None
    if signal == "gpu_recovery_action":
        return read_recovery(text)
    if word in ("yes", "no"):
        return read_flag(text)
    return read_number(text)


def _scale(text: str, scale: float) -> float:
    # A cell that carries its unit (`81559 MiB`) was scaled by it already.
    return 1.0 if text.split()[-1:] and text.split()[-1].lower() in ("mib", "mhz", "gib", "kib") else scale


def _reason(text: str) -> str:
    word = text.lower().strip("[]")
    if word in ("n/a", "not supported", ""):
        return "not_supported"
    return "gpu_lost" if "lost" in word else "error"
