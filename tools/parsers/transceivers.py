"""Reads what transceivers tell of themselves: `ethtool -m` of ethtool 4 to 6, and optics of Junos, EOS and IOS.

The flags are set by the module against the limits that its maker wrote into it: they need no threshold of ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "transceivers"
DOMAIN: Domain = "network"

_FIELD = Lazy(r"^\s*(?P<key>[A-Z][\w ,()/+.-]*?)\s*:\s*(?P<value>.*?)\s*$")
_FLAG = Lazy(
    r"^\s*(?P<what>(?:Laser|Module|Rx|Tx|Receiver) [\w -]*?(?P<bound>high|low) (?P<level>alarm|warning))"
    r"(?:\s+\((?P<lane>[^)]*)\))?\s*:\s*(?P<state>On|Off)\s*$"
)
_OWN = Lazy(
    r"^\s*(?:Laser (?:bias current|output power|rx power|wavelength|tx)|Module temperature|Module voltage|Transceiver "
    r"(?:codes|type)|Optical diagnostics support|Extended identifier|Receiver signal average|Alarm/warning flags|"
    r"Vendor OUI).*:"
)
_PORT = Lazy(r"^\s*Physical interface: (?P<port>[\w/:.-]+)")
_ASKED = Lazy(r"\bethtool\s+(?:-m|--module-info|--dump-module-eeprom)\s+(?P<port>[a-z][\w.:-]*)")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: two fields that only a transceiver has."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    own = sum(bool(_OWN.match(text)) for text in kept)
    return 0.92 if own >= 2 or (own and own == len(kept)) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each flag that is set; a flag that heat sets is the module's heat."""
    module = _Module(document)
    parsed = module.sheet.read(module.read_asked, module.read_flag, module.read_field)
    return Parsed(module.sheet.build_facts(), parsed.unread)


class _Module:
    """State of reading: the port whose transceiver it is."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.port = "?"

    def read_asked(self, line: Line) -> bool:
        match = _PORT.match(line.text) or _ASKED.search(line.text)
        if match is not None:
            self.port = match["port"]
        return match is not None

    def read_flag(self, line: Line) -> bool:
        match = _FLAG.match(line.text)
        if match is not None and match["state"] == "On":
            hot = "temperature" in match["what"].lower() and match["bound"] == "high"
            fields = {"reason": match["what"], "lane": match["lane"] or "", "level": match["level"]}
            code = "nic:thermal" if hot else "nic:optics"
            self.sheet.add(line, Entity("nic", self.sheet.node, self.port), code, fields)
        return match is not None

    def read_field(self, line: Line) -> bool:
        return bool(_FIELD.match(line.text))
