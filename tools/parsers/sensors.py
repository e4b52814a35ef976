"""Reads `sensors` of lm-sensors 3, text and JSON (`-j`): temperatures at their limits and fans that stand still.

A board leaves inputs open and limits unset: an alarm of a voltage, or of a temperature whose limit is 0, says nothing.
A chip with limits that nothing can keep (the least above the most, a most below freezing) was never set up: its fans
that stand may not be there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tools.parsers._json_tree import read_json_text, starts_json
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, parse_number
from tools.parsers._sheet import Sheet
from tools.types import Coverage, Document, Domain, Facts, Line, Parsed

FORM = "sensors"
DOMAIN: Domain = "host"
MAX_CELSIUS = 150.0
"""Above it silicon is dead, and an open input is what reads so (a guess)."""

_READING = Lazy(
    r"^(?P<name>[^\s:()][^:()]*):\s+(?P<value>[+-]?\d+(?:[.,]\d+)?|N/A|FAULT)\s*"
    r"(?P<unit>°?C|.{1,2}C|V|mV|RPM|W|A|mA|J|kJ|MJ|%|MHz)?"
    r"(?:\s+(?P<rest>.*))?$",
)
_LIMITED = Lazy(
    r"^[^\s:()][^:()]*:\s+[+-]?\d+(?:[.,]\d+)?\s*(?:°?C|.{1,2}C|V|mV|RPM)\s+\((?:min|max|low|high|crit)\s*=\s*[+-]?\d"
)
_LIMIT = Lazy(r"(?P<kind>high|crit|max|emerg|min)\s*=\s*(?P<value>[+-]?\d+(?:[.,]\d+)?)")
_PAIR = Lazy(r"\((?:min|low)\s*=\s*(?P<least>[+-]?\d+(?:[.,]\d+)?).*?(?:max|high)\s*=\s*(?P<most>[+-]?\d+(?:[.,]\d+)?)")
_MOST = Lazy(r"\b(?:high|max|crit)\s*=\s*(?P<most>-\d+(?:[.,]\d+)?)")
_CHIP = Lazy(r"^\w+-(?:isa|pci|i2c|virtual|acpi|hid|mdio|spi|scsi|nvme)-\w+\s*$")
LIMITS_UNSET = "bmc:limits_unset"
STANDING = "bmc:sensor_critical"
_ADAPTER = Lazy(r"^(?:Adapter: |[\w]+-(?:isa|pci|i2c|virtual|acpi|hid|mdio|spi|scsi|nvme)-\w+$|ERROR: Can't get value)")
_DETAIL = Lazy(r"^\s+\(?(?:high|crit|low|emerg|hyst|max|min|avg|sensor)\b")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the adapter line below a chip's name, or JSON with it."""
    kept = clip_sample(sample)
    if any(text.startswith("Adapter: ") for text in kept):
        return 0.9
    # A part of a table, without the head of its chip: what stands in brackets behind a reading is said nowhere else.
    rows = sum(bool(_LIMITED.match(text)) for text in kept)
    if rows >= 3 and rows * 2 >= len(kept):
        return 0.8
    text = "\n".join(sample)
    return 0.95 if '"Adapter"' in text and "_input" in text else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each temperature at its limit and of each fan that stands."""
    chips = _Chips(document)
    if starts_json(document):
        return Parsed(chips.read_json())
    parsed = chips.sheet.read(chips.read_line)
    return Parsed(chips.build(), parsed.unread)


class _Chips:
    """State of reading: how many sensors told a value, and the one whose limits go on in the next line."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.told = 0
        self.open: tuple[Line, str, float, str] | None = None
        self.unset: Line | None = None
        self.is_scrambled = False
        self.first = 0

    def read_line(self, line: Line) -> bool:
        if _CHIP.match(line.text):
            self.close_chip()
        if self.open is not None and _DETAIL.match(line.text):
            first, name, value, rest = self.open
            self.open = (first, name, value, f"{rest} {line.text.strip()}")
            return True
        self.close()
        match = _READING.match(line.text)
        if match is None:
            return bool(_ADAPTER.match(line.text))
        number, unit, rest = parse_number(match["value"]), match["unit"] or "", match["rest"] or ""
        self.told += number is not None
        if "ALARM" in rest and (kind := _limits_kind(number, rest)):
            self.unset, self.is_scrambled = self.unset or line, self.is_scrambled or kind == "scrambled"
        if number is not None and unit.endswith("C"):
            self.open = (line, match["name"], number, rest)
        elif number == 0 and unit.upper() == "RPM" and "ALARM" in rest:
            self._stand_still(line, match["name"], rest)
        return True

    def close(self) -> None:
        """Judge the temperature whose lines are at an end."""
        if self.open is None:
            return
        line, name, value, rest = self.open
        self.open = None
        limits = {found["kind"].lower(): parse_number(found["value"]) or 0.0 for found in _LIMIT.pattern.finditer(rest)}
        if "ALARM" in rest and not limits:
            limits = {"alarm": value}
        if "ALARM" in rest or "crit" in limits:
            self._judge(line, name, value, limits, has_alarm="ALARM" in rest)

    def close_chip(self) -> None:
        """Take back the alarms of a chip whose limits were never set, and say so."""
        self.close()
        if self.unset is not None:
            # A temperature at a limit that makes sense is hot all the same.
            of_chip = self.sheet.events[self.first :]
            kept = [event for event in of_chip if event.code != STANDING]
            self.sheet.events[self.first :] = kept if self.is_scrambled else of_chip
            self.sheet.add(self.unset, self.sheet.make_node(), LIMITS_UNSET, {"text": self.unset.text.strip()})
        self.unset, self.is_scrambled, self.first = None, False, len(self.sheet.events)

    def _judge(self, line: Line, name: str, value: float, limits: Mapping[str, float], *, has_alarm: bool) -> None:
        # A limit of nothing was never set; an alarm counts for any limit, without one only what is critical does.
        wanted = ("alarm", "high", "max", "crit", "emerg") if has_alarm else ("crit", "emerg")
        crossed = {kind: limit for kind, limit in limits.items() if kind in wanted and 0 < limit <= value}
        if crossed and value < MAX_CELSIUS:
            kind, limit = max(crossed.items(), key=lambda pair: pair[1])
            fields = {"sensor": name, "value": f"{value:g}", "limits": f"{kind} {limit:g}"}
            self.sheet.add(line, self.sheet.make_node(), "bmc:temperature_critical", fields)

    def _stand_still(self, line: Line, name: str, rest: str) -> None:
        least = {found["kind"].lower(): parse_number(found["value"]) for found in _LIMIT.pattern.finditer(rest or "")}
        if least.get("min"):
            self.sheet.add(line, self.sheet.make_node(), STANDING, {"sensor": name, "value": "0 RPM"})

    def read_json(self) -> Facts:
        """Read the JSON form; what is cut or broken is told as a gap."""
        text = read_json_text(self.sheet.document)
        if text.is_cut:
            self.sheet.miss("the JSON is cut or broken", "sensors -j")
        for tree in text.values:
            for name, readings in _list_features(tree):
                self._judge_feature(text.find(f'"{name}"'), name, readings)
        return self.build()

    def _judge_feature(self, line: Line, name: str, readings: Mapping[str, float]) -> None:
        by_kind = {key.partition("_")[2]: value for key, value in readings.items()}
        value = by_kind.get("input")
        if value is None:
            return
        self.told += 1
        has_alarm = any(number for kind, number in by_kind.items() if kind.endswith("alarm"))
        if any(key.startswith("temp") for key in readings):
            limits = {kind: number for kind, number in by_kind.items() if kind in ("max", "crit", "emergency")}
            self._judge(line, name, value, limits, has_alarm=has_alarm)
        elif any(key.startswith("fan") for key in readings) and value == 0 and has_alarm:
            self._stand_still(line, name, f"min = {by_kind.get('min', 0):g}")

    def build(self) -> Facts:
        """The events; where no sensor told a value that is a gap."""
        self.close_chip()
        facts = self.sheet.build_facts()
        if self.told:
            return facts
        gap = Coverage(self.sheet.document.label, DOMAIN, "partial", "no sensor tells a value", "sensors")
        return facts + Facts(coverage=(gap,))


def _limits_kind(number: float | None, rest: str) -> str:
    """Say how the limits of an alarm are none: both zero, or scrambled so that no reading could keep them."""
    pair = _PAIR.pattern.search(rest)
    least, most = (parse_number(pair["least"]), parse_number(pair["most"])) if pair is not None else (None, None)
    if least is not None and most is not None and (least > most or (least == most == 0 and number != 0)):
        return "scrambled" if least > most else "zero"
    return "scrambled" if _MOST.pattern.search(rest) is not None and "V" not in rest else ""


def _list_features(tree: object) -> Iterator[tuple[str, Mapping[str, float]]]:
    for chip in tree.values() if isinstance(tree, dict) else ():
        for name, feature in chip.items() if isinstance(chip, dict) else ():
            if isinstance(feature, dict):
                numbers = {key: float(value) for key, value in feature.items() if isinstance(value, int | float)}
                yield str(name), numbers
