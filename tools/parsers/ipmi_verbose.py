"""Reads sensors as `ipmitool` 1.8 prints them at length: `ipmitool sensor get NAME`, `ipmitool -v sdr`, `-v sensor`.

A sensor is a block of fields from `Sensor ID` on. What a discrete one asserts stands below `States Asserted`, in
brackets; a threshold one has a `Status`. The states that it *could* assert, and those that raise an event, say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._ipmi_rules import classify
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "ipmi_verbose"
DOMAIN: Domain = "host"

_SENSOR = Lazy(r"^\s*Sensor ID\s{2,}:\s*(?P<name>.+?)\s*\((?:0x[0-9a-f]+|\d+)\)\s*$")
_FIELD = Lazy(
    r"^\s*(?P<key>[A-Z][A-Za-z+ -]{2,40}(?: \((?:Discrete|Threshold|Analog|OEM)\))?)\s+:\s*(?P<value>.*?)\s*$"
)
_STATE = Lazy(r"^\s+\[(?P<state>[^\]]{1,80})\]\s*$")
_STATUS_WORDS = {
    "lower critical": "lower critical", "upper critical": "upper critical", "cr": "lower critical or upper critical",
    "lower non-recoverable": "lower non-recoverable", "upper non-recoverable": "upper non-recoverable",
    "nr": "lower non-recoverable or upper non-recoverable",
}  # fmt: skip


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a line that begins a sensor, and fields below it."""
    kept = clip_sample(sample)
    begun = any(_SENSOR.match(text) for text in kept)
    fields = sum(bool(_FIELD.match(text) or _STATE.match(text)) for text in kept)
    return 0.97 if begun and fields >= 3 and fields * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each state that a sensor asserts, where the rules of the BMC's words know it as trouble."""
    blocks = _Blocks(document)
    parsed = blocks.sheet.read(blocks.read_sensor, blocks.read_state, blocks.read_field)
    return Parsed(blocks.sheet.build_facts(), parsed.unread)


class _Blocks:
    """State of reading: the sensor that the fields are of, and below which field the states in brackets stand."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.name = self.kind = self.field = ""

    def read_sensor(self, line: Line) -> bool:
        match = _SENSOR.match(line.text)
        if match is not None:
            self.name, self.kind, self.field = match["name"], "", "Sensor ID"
        return match is not None

    def read_state(self, line: Line) -> bool:
        match = _STATE.match(line.text)
        if match is not None and self.field == "States Asserted":
            self._note(line, match["state"])
        return match is not None

    def read_field(self, line: Line) -> bool:
        match = _FIELD.match(line.text) if self.name else None
        if match is None:
            return False
        self.field = match["key"].strip()
        if self.field.startswith("Sensor Type"):
            self.kind = match["value"].partition("(")[0].strip()
        if self.field == "Status":
            self._note(line, _STATUS_WORDS.get(match["value"].lower(), ""))
        return True

    def _note(self, line: Line, words: str) -> None:
        rule = classify(f"{self.kind} {self.name}", words) if words else None
        if rule is None:
            return
        is_drive = rule.code in ("bmc:drive_fault", "bmc:drive_predictive")
        entity = Entity("disk", self.sheet.node, self.name) if is_drive else self.sheet.make_node()
        self.sheet.add(line, entity, rule.code, {"sensor": self.name, "type": self.kind, "text": words})
