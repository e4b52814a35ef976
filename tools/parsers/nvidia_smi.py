"""Reads the table of `nvidia-smi`, the list of `nvidia-smi -L`, and the errors that it prints in their stead.

Knows the layouts of drivers 390 to 590: two-line cells, three-line cells with the MIG row (since 450), the wide table
(since 530), and `ERR!` cells. A table that is cut is read as far as it goes, with coverage `partial`; every row of it
ends with a rule, so that only the closed box of processes tells that the table is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tools.entities import make_gpu
from tools.parsers._gpu_errors import is_error_text, is_known_text, read_error, read_gap
from tools.parsers._lines import Tally, clip_sample, is_cut, is_noise, make_quote, parse_number, read_rows_of
from tools.parsers._readings import Readings
from tools.types import (
    NO_MOMENT,
    Clock,
    Coverage,
    Document,
    Domain,
    Entity,
    Event,
    Facts,
    Line,
    Moment,
    Parsed,
)  # fmt: skip

FORM = "nvidia_smi"
DOMAIN: Domain = "gpu"

_MIB = 1024.0**2
_HEAD = re.compile(r"NVIDIA-SMI\s+\d+\.\d+")
_HEADINGS = re.compile(r"Persistence-M|Memory-Usage|MIG M\.|Processes:|GPU Memory|PID\s+Type|^\|\s+ID\s+ID\s")
_FIRST = re.compile(
    r"^\|?\s*(?P<index>\d{1,3})\s+(?P<model>\S.*?)\s+(?:On|Off|N/A|ERR!)?\s*\|\s*"
    r"(?:(?P<pci>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])|[0-9A-Fa-fXx*#]{4,8}:[0-9A-Fa-fXx*#:.]{0,8})\s*"
    r"(?P<display>On|Off|N/A|ERR!)?\s*(?:\|(?P<ecc>[^|]*)\|?)?"
)
_PART = re.compile(
    r"^\|\s+(?P<index>\d{1,3})\s+\d{1,3}\s+\d{1,3}\s+\d{1,3}\s+\|\s*\d+MiB / +\d+MiB\s*\|\s*(?:\d+|N/A)\s+"
    r"(?P<ecc>\d+|N/A)\s*\|"
)
"""A row of the box of MIG devices: GPU, its instances, memory, and uncorrectable errors of the part."""
_PROFILE = re.compile(
    r"^\|\s+(?:(?P<index>\d{1,3})\s+MIG \d+[cg]\.\S+\s+\d+\s|(?:GPU|Compute) instance(?: profile)?s:\s+\|)"
)
"""A row of `nvidia-smi mig -lgip`, `-lgi` and their like, which tell how a GPU is or could be divided."""
_UUID = r"GPU-(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?=$|\))|[0-9a-fA-F-]+(?=\)))"
_LISTED = re.compile(rf"^\s*GPU (?P<index>\d{{1,3}}): \S.*\(UUID: (?P<uuid>{_UUID})\)?\s*$")
_LISTED_PART = re.compile(r"^\s+MIG \S+\s+Device\s+\d+: \(UUID: MIG-")
_DATE = re.compile(r"^\s*\w{3} (?P<date>\w{3}\s+\d{1,2} \d\d:\d\d:\d\d \d{4})\s*$")
_ECC = "gpu_ecc_uncorrected_volatile_total"
_SECOND: tuple[tuple[int, re.Pattern[str], tuple[tuple[str, float], ...]], ...] = (
    (0, re.compile(r"(-?\d+)C\b"), (("gpu_temperature_celsius", 1.0),)),
    (0, re.compile(r"(\d+)W\s*/\s*(\d+)W"), (("gpu_power_watts", 1.0), ("gpu_power_limit_watts", 1.0))),
    (0, re.compile(r"(\d+)W\s*/\s*(?:N/A|ERR!)"), (("gpu_power_watts", 1.0),)),
    (1, re.compile(r"(\d+)MiB\s*/\s*(\d+)MiB"), (("gpu_memory_used_bytes", _MIB), ("gpu_memory_total_bytes", _MIB))),
    (2, re.compile(r"^\s*(\d+)%"), (("gpu_utilization_ratio", 0.01),)),
)
"""Which of the three cells of the second line, and what stands in it."""
_ALL_SECOND = ("gpu_temperature_celsius", "gpu_power_watts", "gpu_utilization_ratio")
_PROCESS = re.compile(
    r"^\|?\s*(?P<index>\d{1,3})\s+(?:(?:N/A|\d+)\s+(?:N/A|\d+)\s+)?(?P<pid>\d+|-)\s+(?P<type>[CGM+]{1,5})\s+"
    r"(?P<name>\S.*?)\s+(?P<memory>\d+MiB|N/A)\s*\|?\s*$"
)
DEAD_NAMES = frozenset({"not found", "unknown error", "(null)", "null"})
"""What stands in the place of a name where no such process is in /proc."""
HELD_BYTES = 500 * 1024.0**2
"""Memory above it is no driver's own (a guess: contexts of an idle GPU hold a few, reserves some hundred MiB)."""
_RULER = re.compile(r"^[\s+|=-]*$")
_CLOSING = re.compile(r"^\s*\+[-=]{20,}\+\s*$")
_LISTED_CUT = re.compile(r"^\s*GPU \d{1,3}: ")
_PROCESS_BOX = re.compile(r"\b[Pp]rocesses:")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the program's own head line or GPU rows, else the share of its error texts."""
    sample = clip_sample(sample)
    if any(_HEAD.search(line) for line in sample):
        return 0.95
    if any(_FIRST.match(line) or _LISTED.match(line) or _PART.match(line) or _PROFILE.match(line) for line in sample):
        return 0.9
    if any("PID" in line and "Type" in line and "Process name" in line for line in sample):
        return 0.9
    if any(line.lstrip().startswith("|") and _PROCESS.match(line) for line in sample):
        return 0.85
    kept = [line for line in sample if not is_noise(line)]
    errors = sum(is_error_text(line) for line in kept)
    return 0.4 + 0.6 * errors / len(kept) if errors else 0.0


def parse(document: Document) -> Parsed:
    """Read every table of the text as one column of one window, and every error text as an event."""
    table = _Table(document)
    for line in read_rows_of(document):
        table.read_line(line)
    return table.finish()


class _Table:
    """State of reading: the GPU whose cells are being read, and what is still missing of it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.readings = Readings(document.label)
        self.tally = Tally()
        self.events: list[Event] = []
        self.gaps: list[Coverage] = []
        self.moment = NO_MOMENT
        self.clock: Clock = "none"
        self.gpu: Entity | None = None
        self.row: tuple[Entity, Line] | None = None
        self.shown: set[Entity] = set()
        self.awaits_second = False
        self.half_read: list[str] = []
        self.cut = False
        self.in_body = False
        self.has_head = False
        self.unclosed = False
        self.in_box = False
        self.lines_of_row = 0
        self.third_line = False
        self.processes: dict[str, int] | None = None
        self.steps: tuple[Callable[[Line], bool], ...] = (
            self._read_date, self._read_listed, self._read_part, self._read_process, self._read_first,
            self._read_second, self._read_rest, self._read_error,
        )  # fmt: skip

    def read_line(self, line: Line) -> None:
        self.cut = self.cut or is_cut(line.text)
        self._note_frame(line.text)
        understood = any(step(line) for step in self.steps)
        self.cut = self.cut or (not understood and bool(_LISTED_CUT.match(line.text)))
        self.tally.count(line, understood=understood or bool(_RULER.match(line.text)))

    def _note_frame(self, text: str) -> None:
        # A table is whole where its box of processes ends with a rule.
        if _HEAD.search(text) and text.lstrip().startswith("|"):
            self.cut = self.cut or self.unclosed
            self.unclosed, self.in_box = True, False
        elif _PROCESS_BOX.search(text):
            self.in_box = True
        elif self.in_box and _CLOSING.match(text):
            self.unclosed = False

    def _read_date(self, line: Line) -> bool:
        match = _DATE.match(line.text)
        if match is None:
            return False
        try:
            time = datetime.strptime(" ".join(match["date"].split()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        except ValueError:
            return False
        self.clock, self.moment = "local", Moment("local", time.timestamp())
        self.shown.clear()
        self.readings.start_column(time.timestamp())
        return True

    def _read_listed(self, line: Line) -> bool:
        match = _LISTED.match(line.text)
        if match is not None:
            gpu = make_gpu(self.document.node, index=match["index"], uuid=match["uuid"])
            self.readings.quote_row(gpu, make_quote(self.document, line))
        profile = _PROFILE.match(line.text)
        if profile is not None and profile["index"]:
            self.readings.quote_row(
                make_gpu(self.document.node, index=profile["index"]), make_quote(self.document, line)
            )
        return bool(match or profile or _LISTED_PART.match(line.text))

    def _read_part(self, line: Line) -> bool:
        match = _PART.match(line.text)
        if match is None:
            return False
        gpu = make_gpu(self.document.node, index=match["index"])
        known = next((shown for shown in self.shown if shown.name == gpu.name), gpu)
        count = parse_number(match["ecc"])
        if count or not self.readings.has(known, _ECC):
            self.readings.put(known, _ECC, count, quote=make_quote(self.document, line) if count is not None else None)
        return True

    def _read_first(self, line: Line) -> bool:
        match = _FIRST.match(line.text)
        if match is None:
            return False
        self._note_half()
        gpu = make_gpu(self.document.node, index=match["index"], pci=match["pci"] or "")
        if gpu in self.shown:
            # A second table begins, one without a date line.
            self.readings.start_column()
            self.shown.clear()
        self.shown.add(gpu)
        self.readings.quote_row(gpu, make_quote(self.document, line))
        self._put_ecc(gpu, match["ecc"], line)
        self._note_errors(gpu, line)
        self.gpu, self.awaits_second, self.in_body, self.lines_of_row = gpu, True, True, 1
        self.row = gpu, line
        return True

    def _put_ecc(self, gpu: Entity, cell: str | None, line: Line) -> None:
        text = (cell or "").strip()
        count = parse_number(text) if text.isdecimal() else None
        reason = "" if count is not None else "error" if "ERR" in text else "not_supported" if text else "cut"
        quote = make_quote(self.document, line) if count is not None else None
        self.readings.put(gpu, _ECC, count, reason=reason, quote=quote)

    def _read_second(self, line: Line) -> bool:
        if not self.awaits_second or self.gpu is None or line.text.count("|") < 2:
            return False
        self.awaits_second, self.lines_of_row = False, 2
        cells = line.text.strip().strip("|").split("|")
        for number, pattern, signals in _SECOND:
            match = pattern.search(cells[number]) if number < len(cells) else None
            for group, (signal, factor) in enumerate(signals, start=1):
                if match is not None:
                    self.readings.put(self.gpu, signal, round(float(match[group]) * factor, 9))
        for signal in _ALL_SECOND:
            if not self.readings.has(self.gpu, signal):
                self.readings.put(self.gpu, signal, None, reason="error" if "ERR!" in line.text else "not_supported")
        self.readings.quote_row(self.gpu, make_quote(self.document, line))
        self._note_errors(self.gpu, line)
        return True

    def _read_rest(self, line: Line) -> bool:
        text = line.text.lstrip()
        self.has_head = self.has_head or bool(_HEAD.search(text))
        self.third_line = self.third_line or "MIG M." in text
        if text.startswith("|") and self.in_body and not _RULER.match(text):
            self.lines_of_row += 1
        if text.startswith("+"):
            self._note_half()
            self.gpu, self.in_body = None, False
            return True
        return text.startswith("|") or bool(_HEAD.search(text)) or bool(_HEADINGS.search(text))

    def _read_error(self, line: Line) -> bool:
        event = read_error(self.document, line, self.moment)
        gap = read_gap(self.document, line)
        if event is not None:
            self.events.append(event)
        if gap is not None:
            self.gaps.append(gap)
        return is_known_text(line.text)

    def _note_errors(self, gpu: Entity, line: Line) -> None:
        cells = line.text.count("ERR!")
        if not cells:
            return
        quote = make_quote(self.document, line)
        fields = {"cells": str(cells), "fan_only": str(_fan_only(line.text)).lower()}
        code = "gpu:cell_unreadable" if _power_only(line.text) else "gpu:err_reading"
        self.events.append(Event(self.moment, gpu, code, quote, fields))

    def _read_process(self, line: Line) -> bool:
        text = line.text
        if "Processes:" in text or ("PID" in text and "Process name" in text):
            self._note_half()
            self.gpu, self.in_body = None, False
            self.processes = self.processes if self.processes is not None else {}
            return True
        if self.processes is None and text.lstrip().startswith("|") and _PROCESS.match(text):
            self.processes = {}  # rows of the box of processes, copied without its head
        match = _PROCESS.match(text) if self.processes is not None else None
        if match is None or self.processes is None:
            return self.processes is not None and "No running processes found" in text
        index, memory = match["index"], parse_number(match["memory"]) or 0.0
        self.processes[index] = self.processes.get(index, 0) + 1
        gpu = make_gpu(self.document.node, index=index)
        if match["name"].strip(" []").lower() in DEAD_NAMES and memory * _MIB > HELD_BYTES:
            fields = {"pid": match["pid"], "name": match["name"].strip(), "memory_mib": f"{memory:.0f}"}
            self.events.append(Event(self.moment, gpu, "gpu:process_gone", make_quote(self.document, line), fields))
        return True

    def _note_half(self) -> None:
        if self.gpu is not None and self.awaits_second:
            self.half_read.append(self.gpu.name)
        self.awaits_second = False

    def finish(self) -> Parsed:
        self._note_half()
        self.readings.drop_empty_tail()
        if self.processes is not None and "N/A" not in self.processes:
            for gpu in [*self.shown]:
                self.readings.put(gpu, "gpu_process_count", float(self.processes.get(gpu.name, 0)))
        reasons = self._gaps_of_table()
        if self._is_bare():
            self.gaps.append(Coverage(self.document.label, DOMAIN, "missing", "no GPU in the table", "nvidia-smi -q"))
            reasons = []
        coverage = [*self.gaps]
        if self.unclosed and self._are_rows_whole():
            self._tell_rows()
        if reasons:
            fix = "" if self._is_whole_enough() else "nvidia-smi -q"
            coverage.append(Coverage(self.document.label, DOMAIN, "partial", "; ".join(reasons), fix))
        facts = Facts(
            windows=tuple(self.readings.build(clock=self.clock)),
            events=tuple(self.events),
            entities=self.readings.entities,
            coverage=tuple(coverage),
        )
        return Parsed(facts, self.tally.result())

    def _is_bare(self) -> bool:
        """Whether a head or a box of processes stands alone: no GPU, and no text that says why there is none."""
        has_frame = self.has_head or self.unclosed or self.processes is not None
        return has_frame and not (self.readings.entities or self.events or self.gaps)

    def _tell_rows(self) -> None:
        # The end of the table is missing, but no part of a row: what is shown can be judged, and no more than that.
        if self.row is not None and not self.events:
            gpu, line = self.row
            self.events.append(Event(self.moment, gpu, "gpu:rows_shown", make_quote(self.document, line), {}))

    def _is_whole_enough(self) -> bool:
        """Whether every row that is shown is complete, and none is left out between them or could be behind them."""
        return not self.unclosed and self._are_rows_whole()

    def _are_rows_whole(self) -> bool:
        if self.half_read or self.cut or not self.readings.entities:
            return False
        seen = sorted({int(gpu.name) for gpu in self.readings.entities})
        if seen and (seen[-1] - seen[0] + 1 != len(seen) or (self.has_head and seen[0] > 0)):
            return False
        return not self.in_body or self.lines_of_row >= (3 if self.third_line else 2)

    def _gaps_of_table(self) -> list[str]:
        reasons = []
        if self.half_read:
            reasons.append(f"the row of GPU {', '.join(self.half_read)} is cut")
        if self.in_body or self.cut or self.unclosed:
            reasons.append("the table is cut")
        seen = {int(gpu.name) for gpu in self.readings.entities}
        missing = sorted(set(range(max(seen, default=-1) + 1)) - seen)
        if missing:
            shown = ", ".join(str(index) for index in missing[:8])
            reasons.append(f"GPU {shown} is not shown though higher numbers are")
        return reasons


_POWER_UNREAD = re.compile(
    r"^\|?[^|!]*?\d+C\s+(?:P\d+|N/A|\?)\s+(?:ERR!\s*/\s*(?:ERR!|N/A|\d+W)|\d+W\s*/\s*ERR!)\s*\|[^|!]*\d+MiB[^!]*$"
)


def _power_only(text: str) -> bool:
    """Whether the power is all that could not be read: temperature and memory of the same GPU were."""
    return bool(_POWER_UNREAD.match(text.strip()))


def _fan_only(text: str) -> bool:
    is_mute = re.search(r"N/A\s*/\s*N/A\s*\|.*\|\s*N/A", text)  # neither power nor load: more than a fan is silent
    return text.count("ERR!") == 1 and bool(re.match(r"^\|\s*ERR!", text)) and not is_mute
