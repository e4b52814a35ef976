"""Reads `lspci` and `lspci -vv` of pciutils 3: devices whose configuration space is gone, and links below their width.

``rev ff`` and an unknown header type 7f mean that every read of the device gives ones: it does not answer any more.
Bits of the error status registers stay set until somebody clears them: they tell that it happened, not when.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.entities import make_gpu
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "lspci"
DOMAIN: Domain = "host"

_PCI = Lazy(
    r"^(?P<pci>(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s+(?P<what>\S.*?)(?: \(rev (?P<rev>[0-9a-f]{2})\))?"
    r"(?: \(prog-if.*)?$"
)
_LINK = Lazy(
    r"^\s+Lnk(?P<which>Cap|Sta):\s.*?Speed (?P<speed>\d{1,4}(?:\.\d{1,4})?)GT/s(?: \([^)]*\))?, "
    r"Width x(?P<width>\d+)"
)
_STATUS = Lazy(r"^\s+UESta:\s(?P<bits>.*)$")
_GRAVE_BITS = Lazy(r"\b(?P<bit>DLP|SDES|TLP|FCP|CmpltTO|CmpltAbrt|RxOF|MalfTLP|ECRC)\+")
_ADAPTER = Lazy(r"^(?:InfiniBand|Ethernet|Network|Fabric) controller\b")
_ADAPTER_LANES = 8
"""Adapters of a fabric have so many lanes or more; what has fewer is a board's own port."""
_BOARD = Lazy(r"^\s*(?:Subsystem|Physical Slot|Kernel driver in use|Kernel modules|NUMA node|IOMMU group|Flags): \S")
_OF_NVIDIA = Lazy(r"^\s*(?:Subsystem: NVIDIA Corporation|Kernel driver in use: nvidia$)")
_DETAIL = Lazy(r"^\s+\S|^!!! Unknown header type")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: lines of devices with a class and a colon, or link capabilities."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    devices = sum(bool((found := _PCI.match(text)) and ":" in found["what"]) for text in kept)
    links = sum(bool(_LINK.match(text)) for text in kept)
    heads = sum(bool(text[:1].strip()) for text in kept)
    return 0.9 if (devices and devices * 2 >= heads) or links else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each device that does not answer, and of each GPU whose link is too narrow."""
    bus = _Bus(document)
    return bus.sheet.read(bus.read_pci)


class _Bus:
    """State of reading: the device that the lines are of, and what its link could be."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        texts = [line.text for line in document.lines()]
        self.states = sum("LnkSta:" in text for text in texts)
        self.link_cap: tuple[float, int] | None = None
        # A part of one device's answer: its own line was cut away, and its driver or its board tells what it is.
        self.is_part = self.states == 1 and not any(_PCI.match(text) for text in texts)
        self.pci: tuple[str, str] = ("", "NVIDIA" if self.is_part and any(map(_OF_NVIDIA.match, texts)) else "")

    def read_pci(self, line: Line) -> bool:
        match, link = _PCI.match(line.text), _LINK.match(line.text)
        if match is not None:
            self.pci, self.link_cap = (match["pci"], match["what"]), None
            if match["rev"] == "ff":
                self._lose(line)
            return True
        if link is not None:
            self._read_link(line, link["which"], float(link["speed"][:6]), int(link["width"][:3]))
            return True
        if "Unknown header type 7f" in line.text and self.pci[0]:
            self._lose(line)
            return True
        status = _STATUS.match(line.text)
        if status is not None and (bits := [found["bit"] for found in _GRAVE_BITS.pattern.finditer(status["bits"])]):
            fields = {"bits": " ".join(bits), "pci": self.pci[0], "device": self.pci[1]}
            self.sheet.add(line, self._entity(), "pci:status_bits", fields)
        return bool((self.pci[0] or self.is_part) and (_DETAIL.match(line.text) or _BOARD.match(line.text)))

    def _entity(self) -> Entity:
        is_gpu = "nvidia" in self.pci[1].lower() and "bridge" not in self.pci[1].lower()
        return make_gpu(self.sheet.node, pci=self.pci[0]) if is_gpu else self.sheet.make_node()

    def _lose(self, line: Line) -> None:
        address, what = self.pci
        if "nvidia" in what.lower():
            gpu = make_gpu(self.sheet.node, pci=address)
            if not any(event.entity == gpu for event in self.sheet.events):
                self.sheet.add(line, gpu, "gpu:lost", {"text": "the bus reads all ones"})
        else:
            self.sheet.add(line, self.sheet.make_node(), "pci:link_down", {"pci": address, "device": what})

    def _read_link(self, line: Line, which: str, speed: float, width: int) -> None:
        if which == "Cap":
            self.link_cap = speed, width
            return
        best = self.link_cap
        if line.text.endswith(f"x{width}"):
            # Old versions go on with flags, new ones say "downgraded": a line that ends here may have lost digits.
            return
        if self.is_part and not self.pci[1] and width and f"x{width} (downgraded)" in line.text:
            self.sheet.add(line, self.sheet.make_node(), "pci:slot_narrow", {"width": str(width)})
        # A slower link saves power while idle; a narrower one does not come back by itself.
        is_gpu = "nvidia" in self.pci[1].lower() and "bridge" not in self.pci[1].lower()
        if is_gpu and best is not None and 0 < width < best[1]:
            fields = {"width": str(width), "width_max": str(best[1])}
            self.sheet.add(line, make_gpu(self.sheet.node, pci=self.pci[0]), "pci:link_degraded", fields)
        elif best is not None and best[1] >= _ADAPTER_LANES and _ADAPTER.match(self.pci[1]):
            self._read_adapter(line, best, speed, width)

    def _read_adapter(self, line: Line, best: tuple[float, int], speed: float, width: int) -> None:
        fields = {"width": str(width), "width_max": str(best[1]), "pci": self.pci[0], "device": self.pci[1]}
        if 0 < width < best[1]:
            self.sheet.add(line, self.sheet.make_node(), "pci:slot_narrow", fields)
        elif 0 < speed < best[0]:
            fields |= {"speed": f"{speed:g}", "speed_max": f"{best[0]:g}"}
            self.sheet.add(line, self.sheet.make_node(), "pci:link_generation", fields)
