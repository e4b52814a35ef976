"""Reads what a BMC says, as `ipmitool` 1.8 (`sel list`, `sel elist`, `sdr`, `sensor`, `-c`) and FreeIPMI 1.x print it.

FreeIPMI: `ipmi-sel` and `ipmi-sensors`, tables and `--comma-separated-output`. Also the one line of the Nagios plug-in
`check_ipmi_sensor` 3, records of several lines (`ipmitool sel list -v`, `racadm getsel`) and `ipmitool chassis status`.
Dates with and without time zone, records from before the clock was set, identifiers in
hexadecimal, a host name before each row. A deasserted record ends the asserted one of the same sensor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from tools.parsers._csv_rows import split_row
from tools.parsers._ipmi_rules import FINE, classify
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._moments import MONTHS, wall_seconds
from tools.parsers._sheet import Sheet
from tools.types import NO_MOMENT, Document, Domain, Entity, Event, Line, Moment, Parsed

FORM = "ipmi"
DOMAIN: Domain = "host"

_TYPES = frozenset(
    {
        "temperature", "voltage", "current", "fan", "physical security", "platform security", "processor",
        "power supply", "power unit", "cooling device", "memory", "drive slot", "drive slot / bay", "system firmware",
        "system firmwares", "system firmware progress", "event logging disabled", "watchdog", "watchdog1", "watchdog 1",
        "watchdog2", "watchdog 2", "system event", "critical interrupt", "button", "button/switch", "module/board",
        "microcontroller", "microcontroller/coprocessor", "add-in card", "add in card", "chassis", "chip set",
        "other units based sensor", "other fru", "cable/interconnect", "cable / interconnect", "system boot initiated",
        "boot error", "os boot", "os critical stop", "slot/connector", "slot / connector", "system acpi power state",
        "platform alert", "entity presence", "monitor asic", "lan", "management subsystem health", "battery",
        "session audit", "version change", "fru state",
    }
)  # fmt: skip
"""Sensor types of IPMI 2.0, table 42-3, as FreeIPMI and ipmitool write them."""
_HOST = Lazy(r"^(?P<host>[A-Za-z][\w.-]*):\s+(?=[0-9a-fA-F]+\s*[|,])")
_ID = Lazy(r"[0-9a-f]{1,5}\Z")
_DATE = Lazy(
    r"(?:(?P<a>\d{1,2})[/.-](?P<b>\d{1,2})[/.-](?P<year>\d{2}(?:\d\d)?)|(?P<iso>\d{4})-(?P<im>\d\d)-(?P<id>\d\d)|"
    r"(?P<word>[A-Z][a-z]{2})-(?P<day>\d{1,2})-(?P<wy>\d{4})|pre-?init|post-?init|unspecified|n/a)\Z"
)
_CLOCK = Lazy(r"(?P<clock>\d\d:\d\d:\d\d)(?:\s*(?P<half>[AP]M))?(?:\s*(?P<zone>[A-Z]{1,5}|[+-]\d{2,4}))?\Z")
_HEADER = Lazy(r"^(?:[\w.-]+:\s*)?(?:ID|Record ID)\s*[|,]\s*(?:Name|Date|Sensor)\s*[|,]")
_DIRECTION = Lazy(r"^(?P<way>de)?assert(?:ed|ion event)\b")
_SDR_STATUS = frozenset(
    {"ok", "ns", "nc", "cr", "nr", "us", "lnr", "lcr", "lnc", "unc", "ucr", "unr", "na", "discrete"}
)
_STATUS_WORDS = {
    "cr": "lower critical or upper critical", "nr": "lower non-recoverable or upper non-recoverable",
    "lcr": "lower critical", "ucr": "upper critical", "lnr": "lower non-recoverable", "unr": "upper non-recoverable",
}  # fmt: skip
_SUPPLY_STATUS = Lazy(r"^(?:ps|psu|power[ _]supply)[ _-]?\d.*status")
_SUPPLY_BITS = {0x02: "failure detected", 0x04: "predictive failure", 0x08: "ac lost"}
"""Bits of a power supply's state (IPMI 2.0, table 42-3, type 08h), the first byte of what `ipmitool sensor` prints."""
_PLUGIN = Lazy(r"IPMI Status: (?P<state>OK|Warning|Critical)")
_PLUGIN_ITEM = Lazy(
    r"(?P<name>[\w #./+-]{1,60}) = (?P<state>Critical|Warning)"
    r"(?:, (?P<type>[^,()\[\]]{1,60}), (?P<event>[^()\[\]]{1,120})| \('?(?P<alone>[^()]{1,120}?)'?\))"
)
_FIELD = Lazy(
    r"^\s*(?P<key>SEL Record ID|Record ID|Record|Record Type|Timestamp|Date/Time|Source|Severity|Sensor Type|"
    r"Sensor Number|"
    r"Sensor Name|Event Type|Event Direction|Event Data|Event Interpretation|Generator ID|EvM Revision|Description)"
    r"\s*:\s*(?P<value>.*?)\s*$"
)
_OWN_FIELDS = ("SEL Record ID", "Event Direction", "EvM Revision", "Sensor Type")
_CHASSIS = Lazy(
    r"^(?P<key>System Power|Power Overload|Power Interlock|Main Power Fault|Power Control Fault|Power Restore Policy|"
    r"Last Power Event|Chassis Intrusion|Front-Panel Lockout|Drive Fault|Cooling/Fan Fault|Sleep Button.*?|"
    r"Diag Button.*?|"
    r"Reset Button.*?|Power Button.*?)\s*: (?P<value>.*?)\s*$"
)
_CHASSIS_FAULTS = {
    "power overload": "bmc:power_fault", "main power fault": "bmc:power_fault",
    "power control fault": "bmc:power_fault",
    "drive fault": "bmc:drive_fault", "cooling/fan fault": "bmc:fan_failed", "chassis intrusion": "bmc:intrusion",
}  # fmt: skip
_KNOWN = Lazy(
    r"^\s*(?:SEL has no entries|.*\bipmitool\b.*|.*\bipmi-(?:sel|sensors)\b.*|Sensor ID\s+:.*)$|OEM record|\| OEM "
)


class _Record(NamedTuple):
    """One row: of which sensor, what it says, and whether that is taken back."""

    name: str
    kind: str
    event: str
    moment: Moment = NO_MOMENT
    ends: bool = False
    host: str = ""


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the plug-in's line, a header of FreeIPMI, else the share of rows that a BMC tool writes."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    joined = "\n".join(kept)
    fields = {found["key"] for text in kept if (found := _FIELD.match(text))}
    if len(fields) >= 4 and (fields & set(_OWN_FIELDS) or {"Record", "Severity", "Description"} <= fields):
        return 0.95
    if sum(bool(_CHASSIS.match(text)) for text in kept) >= 3:
        return 0.95
    if "|" not in joined and "," not in joined:
        return 0.0
    if _PLUGIN.search(joined) or any(_HEADER.match(text) for text in kept):
        return 0.95
    rows = sum(_read_record(text) is not None for text in kept)
    return min(0.95, 0.5 + 0.5 * rows / len(kept)) if rows * 2 >= len(kept) and rows else 0.0


def parse(document: Document) -> Parsed:
    """Read every record; the trouble that stands becomes events, what was taken back is kept as ended."""
    log = _Log(document)
    parsed = log.sheet.read(log.read_plugin, log.read_row, log.read_field, log.read_chassis, log.read_other)
    log.close_record()
    return Parsed(replace(parsed.facts, events=tuple(log.settle())), parsed.unread)


class _Log:
    """State of reading: the events, and which sensor reported which trouble that still stands."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.ended: set[int] = set()
        self.open: dict[tuple[str, str, str], list[int]] = {}
        self.record: dict[str, tuple[str, Line]] = {}

    def read_row(self, line: Line) -> bool:
        record = _read_record(line.text)
        if record is None:
            return False
        self._note(line, record)
        return True

    def read_plugin(self, line: Line) -> bool:
        if _PLUGIN.search(line.text) is None:
            return False
        for match in _PLUGIN_ITEM.pattern.finditer(line.text):
            event = match["event"] or match["alone"] or ""
            self._note(line, _Record(match["name"].strip(), match["type"] or "", event))
        return True

    def read_field(self, line: Line) -> bool:
        match = _FIELD.match(line.text)
        if match is None:
            return False
        if match["key"] in self.record:
            self.close_record()
        self.record[match["key"]] = (match["value"], line)
        return True

    def close_record(self) -> None:
        """Read the record whose lines have come together."""
        told = {key: value for key, (value, _) in self.record.items()}
        if "Description" in self.record and told.get("Severity", "").lower() not in ("ok", "normal", "informational"):
            text, line = self.record["Description"]
            kind = told.get("Sensor Type", "") or text
            name = told.get("Sensor Name", "") or told.get("Sensor Number", "")
            words = told.get("Timestamp", told.get("Date/Time", "")).split(maxsplit=1)
            moment = _read_moment(words[0], words[1]) if len(words) > 1 else Moment()
            ends = told.get("Event Direction", "").lower().startswith("deassert")
            self._note(line, _Record(name, kind, text, moment, ends))
        self.record = {}

    def read_chassis(self, line: Line) -> bool:
        match = _CHASSIS.match(line.text)
        code = _CHASSIS_FAULTS.get(match["key"].lower()) if match is not None else None
        if match is not None and code is not None and match["value"].lower() in ("true", "active"):
            self.sheet.add(line, self.sheet.make_node(), code, {"sensor": match["key"]})
        return match is not None

    def read_other(self, line: Line) -> bool:
        return bool(_HEADER.match(line.text) or _KNOWN.search(line.text))

    def _note(self, line: Line, record: _Record) -> None:
        rule = classify(f"{record.kind} {record.name}", record.event)
        sensor = (record.host, record.kind, record.name)
        if rule is None:
            if FINE.match(record.event) and record.moment is not NO_MOMENT:
                self.ended.update(self.open.pop(sensor, []))
            return
        if record.ends:
            if rule.lasts:
                self.ended.update(i for i in self.open.pop(sensor, []) if self.sheet.events[i].code == rule.code)
            return
        node = record.host or self.sheet.node
        entity = Entity("node", node=node)
        if rule.code in ("bmc:drive_fault", "bmc:drive_predictive"):
            entity = Entity("disk", node, record.name or "?")
        fields = {"sensor": record.name, "type": record.kind, "text": record.event.strip(" '\"")}
        self.sheet.add(line, entity, rule.code, fields, record.moment)
        if rule.lasts:
            self.open.setdefault(sensor, []).append(len(self.sheet.events) - 1)

    def settle(self) -> Iterator[Event]:
        """All events in order, those that were taken back under a code of their own."""
        for number, event in enumerate(self.sheet.events):
            ended = number in self.ended
            yield replace(event, code="bmc:ended", fields={**event.fields, "was": event.code}) if ended else event


def _read_record(text: str) -> _Record | None:
    host = _HOST.match(text)
    body = text[host.end() :] if host is not None else text
    cells = [cell.strip() for cell in (body.split("|") if "|" in body else split_row(body))]
    if len(cells) < 3:
        return None
    record = _read_sel(cells) or _read_sensor(cells) or _read_sdr(cells, piped="|" in body)
    return record._replace(host=host["host"]) if record is not None and host is not None else record


def _read_sel(cells: Sequence[str]) -> _Record | None:
    """A record of the event log: id, date, clock, sensor, event, direction; FreeIPMI has name and type apart."""
    if len(cells) < 5 or not _ID.match(cells[0]) or not _DATE.match(cells[1]):
        return None
    moment = _read_moment(cells[1], cells[2])
    rest = cells[3:]
    if len(rest) >= 3 and rest[1].lower() in _TYPES:
        shown = [cell for cell in rest[2:] if cell.lower() not in ("nominal", "warning", "critical", "n/a")]
        way = next((found for cell in shown if (found := _DIRECTION.match(cell))), None)
        words = "; ".join(cell for cell in shown if not _DIRECTION.match(cell))
        return _Record(rest[0], rest[1], words, moment, bool(way and way["way"]))
    way = next((found for cell in rest if (found := _DIRECTION.match(cell))), None)
    kind, name = _split_sensor(rest[0])
    event = rest[1] if len(rest) > 1 and not _DIRECTION.match(rest[1]) else ""
    return _Record(name, kind, event, moment, bool(way and way["way"]))


def _split_sensor(text: str) -> tuple[str, str]:
    """Part ``Power Supply PS1 Status`` or ``Memory #0x88`` into the type and the sensor's own name."""
    lower = text.lower()
    kind = max((name for name in _TYPES if lower.startswith(name)), key=len, default="")
    return text[: len(kind)], text[len(kind) :].strip() or text


def _read_sensor(cells: Sequence[str]) -> _Record | None:
    """A row of `ipmi-sensors`: id, name, type, perhaps state, reading, units, thresholds, and the event last."""
    if len(cells) < 5 or not cells[0].isdecimal() or cells[2].lower() not in _TYPES:
        return None
    words = cells[-1].replace("' '", ", ")
    return _Record(cells[1], cells[2], words if "'" in words else "")


def _read_sdr(cells: Sequence[str], *, piped: bool) -> _Record | None:
    """A row of `ipmitool sdr` (three or five cells) or `sensor` (ten): name, reading, status in its own column."""
    if not piped and len(cells) < 4:
        return None
    if len(cells) >= 9 and (cells[3].lower() in _SDR_STATUS or cells[2] == "discrete"):
        return _Record(cells[0], _name_unit(cells[2]), _read_state(cells[0], cells[2], cells[3]))
    status = (cells[2] if piped else cells[3]).lower()
    if status not in _SDR_STATUS or not cells[0] or not (len(cells) in (3, 5) or not piped):
        return None
    words = cells[4] if len(cells) == 5 and piped else ""
    told = _STATUS_WORDS.get(status) or words or _read_supply(cells[0], cells[1])
    return _Record(cells[0], _name_unit(words or cells[1]), told)


_UNITS = {"degrees": "Temperature", "volts": "Voltage", "amps": "Current", "rpm": "Fan"}


def _name_unit(text: str) -> str:
    """The type of a sensor by the unit of its reading; empty where the unit fits several."""
    return next((kind for unit, kind in _UNITS.items() if unit in text.lower()), "")


def _read_state(name: str, unit: str, status: str) -> str:
    if unit != "discrete":
        return _STATUS_WORDS.get(status.lower(), "")
    return _read_supply(name, status) if len(status) == len("0x0100") else ""


def _read_supply(name: str, state: str) -> str:
    """Spell the state of a power supply: two hex digits, and two of a second byte that holds nothing of it."""
    digits = state[2:4] if state[:2].lower() == "0x" else ""
    if not _SUPPLY_STATUS.match(name) or not re.fullmatch("[0-9A-Fa-f]{2}", digits):
        return ""
    bits = int(digits, 16)
    return ", ".join(words for bit, words in _SUPPLY_BITS.items() if bits & bit)


def _read_moment(date: str, clock: str) -> Moment:
    day, time = _DATE.match(date), _CLOCK.match(clock)
    if day is None or time is None:
        return Moment()
    if day["iso"]:
        parts = int(day["iso"]), int(day["im"]), int(day["id"])
    elif day["word"]:
        parts = int(day["wy"]), MONTHS.get(day["word"].title(), 0), int(day["day"])
    elif day["year"]:
        # Month first as in C and en_US, unless that is no month.
        first, second = int(day["a"]), int(day["b"])
        month, number = (second, first) if first > 12 or "." in date else (first, second)
        year = int(day["year"])
        parts = year + 2000 if year < 100 else year, month, number
    else:
        return Moment()
    seconds = wall_seconds(parts, time["clock"], None)
    if seconds is None:
        return Moment()
    half = (time["half"] or "").upper()
    seconds += 12 * 3600 if half == "PM" and seconds % 86400 < 12 * 3600 else 0
    return Moment("utc" if (time["zone"] or "").upper() in ("UTC", "GMT", "Z") else "local", seconds)
