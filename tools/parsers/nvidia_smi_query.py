"""Reads `nvidia-smi -q` (also `-q -d …` and `-i …`), the indented text of drivers 418 to 590.

Sections may be missing, lines may be cut out (`[...]`), the text may begin in the middle of a GPU: what is there is
read, the rest is unknown. `GPU is lost` in place of values is an event.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tools.entities import make_gpu
from tools.parsers._gpu_errors import is_known_text, read_error, read_gap
from tools.parsers._gpu_tree import REASON_BITS, REASON_SECTIONS, find_rule
from tools.parsers._lines import Tally, clip_sample, is_cut, make_quote, parse_number, read_rows_of
from tools.parsers._readings import Readings
from tools.types import NO_MOMENT, Coverage, Document, Domain, Entity, Event, Facts, Line, Moment, Parsed, Quote

FORM = "nvidia_smi_query"
DOMAIN: Domain = "gpu"

_GPU = re.compile(r"^\s*GPU (?P<pci>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*$")
_PAIR = re.compile(r"^(?P<indent>\s*)(?P<key>\S[^:]*?)\s*:\s(?P<value>.*)$|^(?P<indent2>\s*)(?P<key2>\S[^:]*?)\s*:$")
_SECTION = re.compile(r"^(?P<indent>\s*)(?P<name>[A-Za-z][\w /()+.-]*?)\s*$")
_KNOWN = re.compile(
    r"^\s*(?:Product Name|Product Brand|Persistence Mode|Remapping Failure Occurred|Bank Remap Availability Histogram|"
    r"FB Memory Usage|BAR1 Memory Usage|Clocks (?:Throttle|Event) Reasons|GPU Current Temp|GPU UUID|VBIOS Version|"
    r"[SD]RAM (?:Unc|C)orrectable|Pending Page Blacklist|GPU Link Info|ECC Errors|Remapped Rows|Retired Pages|"
    r"(?:HW|SW) (?:Thermal |Power )?\w+|(?:Unc|C)orrectable Error|(?:Single|Double) Bit ECC|Pending Page Retirement|"
    r"GPU (?:Shutdown|Slowdown|Max Operating|Target|T\.Limit) Temp|Memory Current Temp|GPU Recovery Action|"
    r"Applications Clocks Setting|Sync Boost|Display Clock Setting|Replays Since Reset|Replay Number Rollovers|"
    r"Inforom Version|InfoROM Version|Image Version|OEM Object|ECC Object|GPU Operation Mode|GPU Virtualization Mode|"
    r"Virtualization Mode|Host VGPU Mode|GPU Reset Status|Reset Required|Drain and Reset Recommended|Minor Number|"
    r"MultiGPU Board|GPU Part Number|FRU Part Number|IBMNPU|Relaxed Ordering Mode|GSP Firmware Version|Encoder Stats|"
    r"FBC Stats|Compute Mode|Accounting Mode|Sub System Id|Device Current|Enforced Power Limit|Max Power Limit|"
    r"SRAM Threshold Exceeded|Performance State|Ecc Mode|Retired Page|Fabric|CliqueId|ClusterUUID)"
    r"\s*(?::|$)|^\s+State\s+: (?:In Progress|Completed|Not Started)|==+NVSMI LOG==+"
)
_ATTACHED = re.compile(r"^\s*Attached GPUs\s*:\s*(?P<count>\d+)")
_TIME = re.compile(r"^\s*Timestamp\s*:\s*\w{3} (?P<date>\w{3}\s+\d{1,2} \d\d:\d\d:\d\d \d{4})\s*$")
_LOST = re.compile(r"GPU is lost|GPU requires reset|Unknown Error", re.IGNORECASE)
_NOT_SUPPORTED = frozenset({"n/a", "[n/a]", "not supported", "[not supported]", "disabled"})
_REASON_WORDS = frozenset({"active", "not active"})
_HELD_DOWN = frozenset({"sw power capping", "sw thermal slowdown", "hw thermal slowdown", "hw power braking"})
"""Counters of how long clocks were held down, in microseconds, since the driver was loaded."""
HELD_DOWN_MICROSECONDS = 60e6
"""A minute and more is worth a word (a guess); the counters say nothing of today."""
_FABRIC_KEYS = ("state", "status")
_FABRIC_FINE = ("completed", "success", "n/a", "not supported")
"""A GPU behind NVSwitches that is not registered with the fabric can run nothing; the status is any word of NVML's."""


def _is_fabric_bad(word: str, text: str) -> bool:
    return word in _FABRIC_KEYS and text.lower() not in _FABRIC_FINE and not _LOST.search(text)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: an indented GPU block or the counted GPUs, then the share of the tool's own keys."""
    sample = clip_sample(sample)
    known = sum(bool(_KNOWN.search(line)) for line in sample)
    if any(_ATTACHED.match(line) or "NVSMI LOG" in line for line in sample):
        return 0.97 if known else 0.6
    if any(_GPU.match(line) for line in sample) and known:
        return 0.95
    return min(0.9, 0.3 + 0.2 * known) if known >= 2 else 0.0


def parse(document: Document) -> Parsed:
    """Read the tree of every GPU into one window of a single column."""
    tree = _Tree(document)
    for line in read_rows_of(document):
        tree.tally.count(line, understood=tree.read_line(line))
    return tree.finish()


@dataclass
class _Block:
    """What the lines of one GPU told so far."""

    pci: str
    quote: Quote | None = None
    uuid: str = ""
    serial: str = ""
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    lost: list[tuple[Quote, str]] = field(default_factory=list)
    fabric: tuple[Quote, str] | None = None
    held_down: list[tuple[Quote, float]] = field(default_factory=list)


class _Tree:
    """State of reading: the open sections with their indentation, and the GPU they belong to."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.tally = Tally()
        self.blocks: list[_Block] = []
        self.sections: list[tuple[int, str]] = []
        self.attached: tuple[int, Quote] | None = None
        self.moment = NO_MOMENT
        self.cut = False
        self.events: list[Event] = []
        self.gaps: list[Coverage] = []

    def read_line(self, line: Line) -> bool:
        """Read one line; False where it is none of this form."""
        self.cut = self.cut or is_cut(line.text)
        if self._read_head(line):
            return True
        pair = _PAIR.match(line.text)
        if pair is not None:
            indent = pair["indent"] if pair["indent"] is not None else pair["indent2"]
            self._read_pair(line, len(indent.expandtabs()), pair["key"] or pair["key2"], pair["value"] or "")
            return True
        section = _SECTION.match(line.text)
        if section is not None:
            self._open_section(len(section["indent"].expandtabs()), section["name"].lower())
            return True
        return is_known_text(line.text) or "NVSMI LOG" in line.text

    def _read_head(self, line: Line) -> bool:
        gpu, attached, time = _GPU.match(line.text), _ATTACHED.match(line.text), _TIME.match(line.text)
        if gpu is not None:
            self.blocks.append(_Block(gpu["pci"], make_quote(self.document, line)))
            self.sections = []
        elif attached is not None:
            self.attached = int(attached["count"]), make_quote(self.document, line)
        elif time is not None:
            self._read_time(time["date"])
        else:
            return self._read_error(line)
        return True

    def _read_time(self, text: str) -> None:
        try:
            time = datetime.strptime(" ".join(text.split()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        except ValueError:
            return
        self.moment = Moment("local", time.timestamp())

    def _read_error(self, line: Line) -> bool:
        if self.blocks and _PAIR.match(line.text):
            return False
        event, gap = read_error(self.document, line, self.moment), read_gap(self.document, line)
        self.events += [event] if event is not None else []
        self.gaps += [gap] if gap is not None else []
        return event is not None or gap is not None

    def _open_section(self, indent: int, name: str) -> None:
        self._close_sections(indent)
        self.sections.append((indent, name))

    def _close_sections(self, indent: int) -> None:
        while self.sections and self.sections[-1][0] >= indent:
            # A text whose indentation was lost on the way keeps its last section open.
            if indent == 0 and len(self.sections) == 1 and self.sections[0][0] == 0 and self.blocks:
                break
            self.sections.pop()

    def _read_pair(self, line: Line, indent: int, key: str, value: str) -> None:
        self._close_sections(indent)
        if not self.blocks:
            known = find_rule([name for _, name in self.sections], key.lower()) or key.lower() in REASON_BITS
            if not known and not self.sections:
                return
            self.blocks.append(_Block(""))
        block, word, text = self.blocks[-1], key.lower(), value.strip()
        path = [name for _, name in self.sections]
        quote = make_quote(self.document, line)
        if word in _HELD_DOWN and path[-1:] and path[-1].endswith("reasons counters"):
            block.held_down.append((quote, parse_number(text) or 0.0))
        if _LOST.search(text):
            block.lost.append((quote, text))
        if word in ("gpu uuid", "serial number"):
            setattr(block, "uuid" if word == "gpu uuid" else "serial", "" if text.lower() == "n/a" else text)
        elif word in REASON_BITS and ((path[-1:] and path[-1] in REASON_SECTIONS) or text.lower() in _REASON_WORDS):
            self._read_reason(block, REASON_BITS[word], text, quote)
        elif path[-1:] == ["fabric"] and _is_fabric_bad(word, text):
            block.fabric = (quote, text)
        else:
            self._read_signal(block, path, word, text, quote)

    def _read_reason(self, block: _Block, bit: int, text: str, quote: Quote) -> None:
        signal = "gpu_clock_event_reasons"
        if text.lower() not in _REASON_WORDS:
            block.reasons.setdefault(signal, _reason_of(text))
            return
        active = bit if text.lower() == "active" else 0
        block.values[signal] = float(int(block.values.get(signal, 0.0)) | active)
        if active or signal not in block.quotes:
            block.quotes[signal] = quote

    def _read_signal(self, block: _Block, path: list[str], key: str, text: str, quote: Quote) -> None:
        rule = find_rule(path, key)
        if rule is None:
            return
        value = rule.read(text)
        if value is None:
            block.reasons.setdefault(rule.signal, _reason_of(text))
            return
        before = block.values.get(rule.signal, 0.0) if rule.adds else 0.0
        if not before or value:
            block.quotes[rule.signal] = quote
        block.values[rule.signal] = before + value

    def finish(self) -> Parsed:
        readings = Readings(self.document.label)
        readings.start_column(self.moment.seconds if self.moment.seconds is not None else float("nan"))
        if self.attached is not None:
            node = Entity("node", node=self.document.node)
            readings.put(node, "node_gpu_count", float(self.attached[0]), quote=self.attached[1])
        whole = self.attached is not None and self.attached[0] == len(self.blocks) and not self.cut
        for number, block in enumerate(self.blocks):
            gpu = make_gpu(
                self.document.node, index=number if whole else None, pci=block.pci, uuid=block.uuid, serial=block.serial
            )
            _settle_limits(block)
            self._put_block(readings, gpu, block)
        windows = tuple(readings.build(clock=self.moment.clock))
        gpus = tuple(entity for entity in readings.entities if entity.kind == "gpu")
        facts = Facts(windows, tuple(self.events), gpus, coverage=(*self.gaps, *self._partial()))
        return Parsed(facts, self.tally.result())

    def _put_block(self, readings: Readings, gpu: Entity, block: _Block) -> None:
        if block.quote is not None:
            readings.quote_row(gpu, block.quote)
        for signal, value in block.values.items():
            readings.put(gpu, signal, value, quote=block.quotes.get(signal))
        for signal, why in block.reasons.items():
            if signal not in block.values:
                readings.put(gpu, signal, None, reason=why)
        if block.lost:
            quote, text = block.lost[0]
            words = {"lost": "gpu:lost", "requires reset": "gpu:reset_required"}
            code = next((code for word, code in words.items() if word in text.lower()), "gpu:err_reading")
            self.events.append(Event(self.moment, gpu, code, quote, {"text": text, "cells": str(len(block.lost))}))
        longest = max(block.held_down, key=lambda told: told[1], default=None)
        if longest is not None and longest[1] >= HELD_DOWN_MICROSECONDS:
            fields = {"seconds": f"{longest[1] / 1e6:.0f}"}
            self.events.append(Event(self.moment, gpu, "gpu:was_throttled", longest[0], fields))
        if block.fabric is not None:
            self.events.append(Event(self.moment, gpu, "fabric:error", block.fabric[0], {"status": block.fabric[1]}))

    def _partial(self) -> list[Coverage]:
        reasons = []
        if self.attached is not None and len(self.blocks) < self.attached[0]:
            reasons.append(f"{len(self.blocks)} of {self.attached[0]} GPUs shown")
        if self.attached is None and self.blocks:
            reasons.append("the head of the text is not there, so the number of GPUs is unknown")
        if self.cut:
            reasons.append("lines were cut out of the text")
        if not reasons:
            return []
        # One GPU asked for by itself (`-i`) is a whole answer; what was cut out could hold anything.
        fix = "nvidia-smi -q" if self.cut or (self.attached is not None and len(self.blocks) != 1) else ""
        return [Coverage(self.document.label, DOMAIN, "partial", "; ".join(reasons), fix)]


def _settle_limits(block: _Block) -> None:
    host = block.values.pop("gpu_pcie_generation_host_max", None)
    own = block.values.get("gpu_pcie_generation_max")
    if host is not None and own is not None:
        # A card of generation 5 in a slot of generation 4 runs at its best with 4.
        block.values["gpu_pcie_generation_max"] = min(host, own)
    block.reasons.pop("gpu_pcie_generation_host_max", None)


def _reason_of(text: str) -> str:
    word = text.strip().lower()
    if word in _NOT_SUPPORTED:
        return "not_supported"
    return "gpu_lost" if "lost" in word else "error" if _LOST.search(word) else "unreadable"
