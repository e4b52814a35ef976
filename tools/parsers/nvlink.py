"""Reads the state and the errors of NVLinks, and the topology.

Knows `nvidia-smi nvlink -s`, `-e`, `-c` and `nvidia-smi topo -m` of drivers 418 to 590, `dcgmi nvlink -s` and `-e` of
DCGM 2 to 4. Ports of NVSwitches that are down say nothing: many are connected to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.entities import make_gpu
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "nvlink"
DOMAIN: Domain = "gpu"

_ACTIVE, _ERRORS = "gpu_nvlink_active_links", "gpu_nvlink_error_total"
_GPU = Lazy(
    r"^\s*(?:GPU (?P<index>\d{1,3}): .*\(UUID: (?P<uuid>GPU-[0-9a-fA-F-]+)\)|gpuId (?P<dcgm>\d{1,3}):|"
    r"\|\s*(?:GPU ID:? |GPU )(?P<table>\d{1,3})\b.*\|)\s*$"
)
_STATE = Lazy(r"^\s*Link (?P<link>\d{1,2}): (?:(?P<speed>[\d.]+) GB/s|(?P<off><inactive>|inactive))\s*$")
_COUNT = Lazy(
    r"^[\s|]*Link (?P<link>\d{1,2}): [\w ()/-]*?(?:Errors?|Counters?|Count)(?: \(\w+\))?: (?P<count>\d+)\s*\|?\s*$|"
    r"^\|\s*(?:Link \d+\s*\|?\s*)?(?:CRC|Replay|Recovery)[\w ()]*\|\s*(?P<cell>\d+)\s*\|\s*$"
)
_OTHER = Lazy(
    r"^\s*Link \d{1,2}[,:] |^\s*(?:Key: Up=U|GPUs:|NvSwitches:|No NvSwitches found)|NvLink (?:Link|Error)|"
    r"^\|\s*Link \d+\s*\|"
)
_LETTERS = Lazy(r"^\s*(?:[UDX_] ?)+\s*$")
_SWITCH = Lazy(r"^\s*(?:physicalId|nvSwitchId) \d+:")
_ALL_OFF = Lazy(r"Unable to retrieve NVLink information as all links are in-?active")
_TOPOLOGY = Lazy(
    r"^\s*(?:GPU\d+\s+)+(?:NIC\d+\s+|mlx\w+\s+)*(?:CPU Affinity|NUMA Affinity)|^\s*GPU0\s+X\s|"
    r"^GPU\d+\s+.*\b(?:NV\d+|PIX|PXB|PHB|SYS)\b"
)
_LEGEND = Lazy(
    r"^\s*(?:X|SYS|NODE|PHB|PXB|PIX|NV#)\s+= |^\s*Legend:|^\s*(?:NIC|mlx)\w*\s+|^\s*NIC Legend|"
    r"^\s*NIC\d+: |^\s*GPU\d+\s"
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the links of `nvidia-smi nvlink`, the letters of `dcgmi nvlink`, or a topology."""
    kept = clip_sample(sample)
    if any(_STATE.match(text) or _COUNT.match(text) or _ALL_OFF.search(text) for text in kept):
        return 0.97
    if any("NvLink Link Status" in text or "Key: Up=U" in text or "gpuId " in text for text in kept):
        return 0.95
    if any("NvLink Error Counts" in text for text in kept):
        return 0.95
    return 0.95 if any(_TOPOLOGY.match(text) for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Read how many links of each GPU are up, and their error counts summed."""
    links = _Links(document)
    parsed = links.sheet.read(links.read_gpu, links.read_state, links.read_letters, links.read_count, links.read_rest)
    links.report()
    return Parsed(links.sheet.build_facts(), parsed.unread)


@dataclass
class _Gpu:
    """What the lines of one GPU told: links up and down with the first line of the latter, and errors."""

    entity: Entity
    up: int = 0
    down: int = 0
    line: Line | None = None
    errors: float | None = None
    error_line: Line | None = None


class _Links:
    """State of reading: the GPU that the lines are of; None inside of the list of switches."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.gpus: list[_Gpu] = []
        self.now: _Gpu | None = None
        self.on_switch = False

    def read_gpu(self, line: Line) -> bool:
        match = _GPU.match(line.text)
        if match is not None:
            index = match["index"] or match["dcgm"] or match["table"]
            self._open(make_gpu(self.sheet.node, index=index, uuid=match["uuid"] or ""))
            self.sheet.readings.quote_row(self.gpus[-1].entity, self.sheet.quote(line))
            return True
        if _SWITCH.match(line.text):
            self.on_switch, self.now = True, None
            return True
        return False

    def _open(self, entity: Entity) -> _Gpu:
        self.now, self.on_switch = _Gpu(entity), False
        self.gpus.append(self.now)
        return self.now

    def _present(self) -> _Gpu:
        return self.now or self._open(make_gpu(self.sheet.node))

    def read_state(self, line: Line) -> bool:
        match = _STATE.match(line.text)
        if match is not None:
            self._note(line, up=int(match["speed"] is not None), down=int(match["off"] is not None))
        return match is not None

    def _note(self, line: Line, *, up: int, down: int) -> None:
        gpu = self._present()
        gpu.up, gpu.down = gpu.up + up, gpu.down + down
        if gpu.line is None or (down and not gpu.down - down):
            gpu.line = line

    def read_letters(self, line: Line) -> bool:
        if not _LETTERS.match(line.text) or not line.text.strip():
            return False
        if not self.on_switch:
            letters = line.text.split()
            self._note(line, up=letters.count("U"), down=letters.count("D"))
        return True

    def read_count(self, line: Line) -> bool:
        match = _COUNT.match(line.text)
        if match is None:
            return False
        gpu = self._present()
        count = float((match["count"] or match["cell"])[:18])
        gpu.errors = (gpu.errors or 0.0) + count
        gpu.error_line = line if count and not (gpu.errors - count) else gpu.error_line or line
        return True

    def read_rest(self, line: Line) -> bool:
        if _ALL_OFF.search(line.text):
            self._note(line, up=0, down=1)
            return True
        return bool(_OTHER.search(line.text) or _TOPOLOGY.match(line.text) or _LEGEND.match(line.text))

    def report(self) -> None:
        """Make readings of all GPUs, and events of links that are down or counted errors."""
        for gpu in self.gpus:
            if gpu.up + gpu.down and gpu.line is not None:
                self.sheet.put(gpu.line, gpu.entity, _ACTIVE, float(gpu.up))
            if gpu.line is not None and gpu.down:
                has_letters = bool(_LETTERS.match(gpu.line.text))
                anybody = any(peer.up for peer in self.gpus)
                code = "nvlink:down" if anybody or has_letters else "nvlink:all_inactive"
                self.sheet.add(gpu.line, gpu.entity, code, {"down": str(gpu.down), "up": str(gpu.up)})
            if gpu.errors is not None and gpu.error_line is not None:
                self.sheet.put(gpu.error_line, gpu.entity, _ERRORS, gpu.errors)
                if gpu.errors:
                    self.sheet.add(gpu.error_line, gpu.entity, "nvlink:errors", {"count": f"{gpu.errors:.0f}"})
