"""Reads resources of DMTF Redfish as JSON: Thermal, Power, Sensor, Chassis, System, Drive, log entries.

Read are the `Status.Health` of each part (OK, Warning, Critical), readings beside their own thresholds, and log entries
with their severity. Schemas: Thermal 1.x, Power 1.x, Sensor 1.x, LogEntry 1.x of the DMTF; a part that is absent or
disabled (`Status.State`) has no health.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tools.parsers._json_tree import JsonText, list_dicts, read_json_text
from tools.parsers._sheet import Sheet
from tools.types import Coverage, Document, Domain, Entity, Event, Facts, Parsed

FORM = "redfish"
DOMAIN: Domain = "host"

_OFF = frozenset({"Absent", "Disabled", "StandbyOffline", "UnavailableOffline", "Deferring"})
_PARTS: tuple[tuple[str, str], ...] = (
    (r"\bpsu|power ?suppl|PowerSuppl", "bmc:psu_failed"),
    (r"\bfan|#Fan", "bmc:fan_failed"),
    (r"temp|therm|ReadingCelsius", "bmc:temperature_critical"),
    (r"volt", "bmc:voltage_critical"),
    (r"dimm|memory", "bmc:memory_ecc_uncorrected"),
    (r"drive|disk|nvme", "bmc:drive_fault"),
    (r"cpu|processor", "bmc:cpu_error"),
)
"""Words of a part's name or type to the event that its critical health is."""
_MESSAGES: tuple[tuple[str, str], ...] = (
    (r"uncorrectable.*(?:ecc|memory)|(?:ecc|memory|dimm).*uncorrect", "bmc:memory_ecc_uncorrected"),
    (r"correctable.*(?:ecc|memory)|(?:ecc|memory|dimm).*correct", "bmc:memory_ecc_corrected"),
    (r"power supply.*(?:fail|fault)|psu.*(?:fail|fault)", "bmc:psu_failed"),
    (r"(?:power input|ac) lost|power supply.*(?:input|lost)", "bmc:psu_input_lost"),
    (r"\bfan\b.*(?:fail|critical|lower|speed|removed)", "bmc:fan_failed"),
    (r"thermal trip", "bmc:cpu_thermal_trip"),
    (r"temp\w*.*(?:upper|critical|exceed|over)", "bmc:temperature_critical"),
    (r"pcie?.*fatal|fatal.*pcie?", "bmc:pcie_fatal"),
    (r"(?:drive|disk).*(?:fault|fail)", "bmc:drive_fault"),
    (r"leak", "bmc:leak"),
)
_DEASSERTED = re.compile(r"deassert|returned to normal|cleared|recovered", re.IGNORECASE)
_SUBJECTS = ("power supp", "psu", "fan", "temperature", "voltage", "dimm", "memory", "drive", "disk", "processor")
"""What an entry without a number of its sensor speaks of."""


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the annotations that every resource carries."""
    text = "\n".join(sample)
    # Its messages are read in logs too; in a resource they have a severity, which only this parser knows.
    return 1.0 if '"@odata.type"' in text or '"@odata.id"' in text else 0.0


def parse(document: Document) -> Parsed:
    """Make events of parts that are not well and of log entries that tell of trouble."""
    sheet = Sheet(document, DOMAIN)
    text = read_json_text(document)
    told = 0
    parts = list(list_dicts(list(text.values)))
    for part in parts:
        told += _read_part(sheet, text, part)
    facts = sheet.build_facts()
    facts = replace(facts, events=tuple(_settle(facts.events, _list_ends(parts))))
    if text.is_cut:
        facts += Facts(coverage=(_miss(document, "the JSON is cut or broken"),))
    elif not told:
        facts += Facts(coverage=(_miss(document, "no part tells its health"),))
    return Parsed(facts)


def _miss(document: Document, reason: str) -> Coverage:
    return Coverage(document.label, DOMAIN, "partial", reason, "curl -sk https://BMC/redfish/v1/Chassis/1/Thermal")


def _read_part(sheet: Sheet, text: JsonText, part: dict[str, object]) -> bool:
    """Judge one dictionary; True where it is a part with a health, a reading, or a log entry."""
    name = str(part.get("Name") or part.get("SensorName") or part.get("Id") or "")
    if "Severity" in part and ("Message" in part or "EntryType" in part):
        _read_entry(sheet, text, part)
        return True
    status = part.get("Status")
    if isinstance(status, dict):
        return _read_status(sheet, text, part, name, status)
    return False


def _read_status(sheet: Sheet, text: JsonText, part: dict[str, object], name: str, status: dict[str, object]) -> bool:
    health = status.get("Health")
    if status.get("State") in _OFF or (health is None and "ReadingCelsius" not in part and "Reading" not in part):
        return False
    reading = part.get("ReadingCelsius", part.get("Reading"))
    limit = _crossed(part, reading)
    if health != "Critical" and not limit:
        return True
    kind = f"{part.get('@odata.type', '')} {name} {' '.join(part)}"
    code = next((code for words, code in _PARTS if re.search(words, kind, re.IGNORECASE)), "bmc:sensor_critical")
    fields = {"sensor": name, "value": "" if reading is None else str(reading), "health": str(health), "limits": limit}
    line = text.find(f'"{name}"') if name else text.find('"Critical"')
    entity = Entity("node", node=sheet.node)
    if not any(event.fields.get("sensor") == name and event.code == code for event in sheet.events):
        sheet.add(line, entity, code, fields)
    return True


def _crossed(part: dict[str, object], reading: object) -> str:
    """Spell the critical threshold that a temperature has passed, empty where none."""
    if not isinstance(reading, int | float) or isinstance(reading, bool):
        return ""
    limits = [part.get(key) for key in ("UpperThresholdCritical", "UpperThresholdFatal")]
    thresholds = part.get("Thresholds")
    for key in ("UpperCritical", "UpperFatal") if isinstance(thresholds, dict) else ():
        entry = thresholds.get(key) if isinstance(thresholds, dict) else None
        limits.append(entry.get("Reading") if isinstance(entry, dict) else None)
    told = [limit for limit in limits if isinstance(limit, int | float) and 0 < limit <= reading]
    return f"upper critical {told[0]:g}" if told else ""


def _read_entry(sheet: Sheet, text: JsonText, entry: dict[str, object]) -> None:
    message = str(entry.get("Message") or "")
    if entry.get("Severity") == "OK" or _DEASSERTED.search(message):
        return
    code = next((code for words, code in _MESSAGES if re.search(words, message, re.IGNORECASE)), "")
    if not code:
        code = "bmc:sensor_critical" if entry.get("Severity") == "Critical" else ""
    if code:
        fields = {"text": message, "severity": str(entry.get("Severity")), "time": str(entry.get("Created") or "")}
        fields["about"] = _about(entry)
        sheet.add(text.find(message[:40]), Entity("node", node=sheet.node), code, fields)


def _about(entry: dict[str, object]) -> str:
    """Name what an entry of a log speaks of, so that its end finds it: the number of the sensor, else a word."""
    number = entry.get("SensorNumber")
    message = str(entry.get("Message") or "").lower()
    return str(number) if number else next((word for word in _SUBJECTS if word in message), "")


def _list_ends(parts: Iterable[dict[str, object]]) -> dict[str, str]:
    """When each thing was last said to be well, in the BMC's own spelling of time."""
    ends: dict[str, str] = {}
    for part in parts:
        if part.get("Severity") == "OK" and "Message" in part and (about := _about(part)):
            ends[about] = max(ends.get(about, ""), str(part.get("Created") or ""))
    return ends


def _settle(events: Iterable[Event], ends: Mapping[str, str]) -> Iterator[Event]:
    """All events, those after which the thing was said to be well under a code of their own."""
    for event in events:
        time, end = event.fields.get("time", ""), ends.get(event.fields.get("about", ""), "")
        is_over = bool(time) and end > time
        yield replace(event, code="bmc:ended", fields={**event.fields, "was": event.code}) if is_over else event
