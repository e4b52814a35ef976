"""Reads `smartctl` 5.4 to 7.4 (`-a`, `-x`, `-H`, `-A`) for ATA, NVMe and SAS drives, text and JSON (`-j`).

Also `nvme smart-log` of nvme-cli 1 and 2. The text form does not name its device: the prompt line above it does, else
the serial number stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tools.harmless import neutralise
from tools.parsers._json_tree import starts_json
from tools.parsers._lines import Tally, clip_sample, is_prompt, make_quote, read_rows_of
from tools.parsers._readings import Readings
from tools.parsers._smart_fields import ATA_RAW, NVME_FIELDS, is_wear_attribute, judge_self_test, mask_raw
from tools.parsers._smart_json import read_json_drives
from tools.types import NO_MOMENT, Coverage, Document, Domain, Entity, Event, Facts, Line, Moment, Parsed, Quote

FORM = "smartctl"
DOMAIN: Domain = "disk"
MAX_JSON_LINES = 100_000

_HEAD = re.compile(r"^\s*smartctl \d+\.\d+|^Smart Log for NVME device:\s*(?P<device>\S+)", re.IGNORECASE)
_SECTION = re.compile(r"^\s*=== START OF (?:INFORMATION|READ SMART DATA|SMART DATA|.*SMART.*) SECTION ===")
_HEALTH = re.compile(
    r"SMART overall-health self-assessment test result:\s*(?P<ata>\S+)|SMART Health Status:\s*(?P<sas>.+?)\s*$"
)
_ATTRIBUTE = re.compile(
    r"^\s*(?P<id>\d{1,3})\s+(?P<name>[A-Za-z_][\w-]*)\s+(?:0x[0-9a-f]{4}"
    r"|[A-Z-]{6,})\s+(?P<value>\d{3})\s+(?P<worst>\d{3})\s+"
    r"(?P<thresh>\d{3}|---)\s+(?:(?:Pre-fail|Old_age)\s+(?:Always|Offline)\s+)?(?P<failed>\S+)\s+(?P<raw>\d+)"
)
_PAIR = re.compile(r"^\s*(?P<key>[A-Za-z][\w ()/-]*?)\s*:\s*(?P<value>\S.*?)\s*$")
_SCSI_ERRORS = re.compile(r"^(?P<way>read|write|verify):\s+(?:[\d.]+\s+){6}(?P<uncorrected>\d+)\s*$")
_SELF_TEST = re.compile(
    r"^\s*#?\s*\d+\s+"
    r"(?P<kind>(?:Short|Extended|Long|Conveyance|Selective|Offline|Vendor|Background|Foreground)[\w ()]*?)"
    # A forum takes blanks out of a table: then the words of a result tell where it begins, and a figure where it ends.
    r"(?:\s{2,}(?P<result>\S.*?)\s{2,}|\s(?P<squeezed>(?:Completed|Aborted|Interrupted|Fatal|Unknown|Electrical|Servo"
    r"|Handling|Failed|Self[- ]test)\b.*?)\s(?:\d+%|-|\d+)\s)"
)
_TEST_STATUS = re.compile(r"^\s*Self-test execution status:\s*\(\s*(?P<code>\d{1,3})\s*\)")
_TEST_CODES = {3: "fatal", 4: "unknown failure", 5: "electrical", 6: "servo", 7: "read failure", 8: "handling damage"}
"""Upper half of the self-test status byte (ATA/ATAPI-8 ACS, SMART READ DATA); the others are no failure."""
_UNC = re.compile(r"Error: UNC\b")
_TARGET = re.compile(
    r"(?:smartctl|nvme\s+smart-log)\b(?P<options>.*?)(?:/dev/)?(?P<device>(?:sd|hd|nvme|sg|da|ada|bus/|mapper/|twa"
    r"|csmi)[\w/]+)"
)
_BEHIND = re.compile(r"-d\s*(?P<type>[\w+]+,\d+(?:[,/]\d+)*)")
_TROUBLE = re.compile(
    r"(?:open device|Read Device Identity|SMART Status command|Read NVMe|Unable to detect|Terminate command).*|"
    r"SMART support is:\s+(?:Unavailable|Disabled).*|SMART (?:Disabled|Not available).*|Unknown USB bridge.*|"
    r"Permission denied|No such device.*|DELL or MegaRaid controller.*"
)
_KNOWN = re.compile(
    r"=== |SMART|^\s*ID# ATTRIBUTE|Vendor Specific|Self-test|Device Model|Model Family|Firmware|LU WWN|User Capacity|"
    r"Sector Size|Rotation Rate|Local Time|Copyright|data structure|capabilities|recommended polling|Num\s+Test|"
    r"Error counter log|SPAN\s+MIN_LBA|revision number|Selective|spare|Power|Temperature|Namespace|St Op|"
    r"Errors? Logged|^\s*\|+_? ?[|_ ]*|marginal Attributes|Error \d+ occurred|Error Count|Register \[HEX\]|"
    r"commands leading|"
    r"^\s+(?:[0-9a-f]{2} ){5,}|data failure|SAVE ALL DATA|No failed Attributes|"
    # Indented lines go on with what the line above began; the others are of SAS pages, NVMe tables, phy counters.
    r"^\s+\S|^- |Comp\. Temp|^(?:Grown|Total|Power|Accumulated|Specified|Manufactured|Elements|Vendor|Blocks|Number|"
    r"Non-medium|Long|Extended|Short|Background|Protocol Specific|relative target|Completed|Errors Corrected|ECC|"
    r"(?:read|write|verify):|Id Fmt|Num |Description|Supported|Optional|Error Information|Offline|Auto Offline|"
    r"If |After |Device does|Device Statistics|Page|0x[0-9a-f]+ |SCT|Index|ATA|SATA|Form Factor|General|Read |Write )|"
    r"^\s*\d+ [+-] |^\s*\d+\s+\d+\s+\d+\s+0x|is not supported|not supported"
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the program's head, its sections, its JSON keys, or its attribute table."""
    sample = clip_sample(sample)
    if any(_HEAD.search(line) or _SECTION.match(line) for line in sample):
        return 0.95
    text = "\n".join(sample)
    is_json = any(line.lstrip()[:1] == "{" for line in sample)
    if is_json and ('"smartctl"' in text or '"smart_status"' in text or "smart_health" in text):
        return 0.97
    keys = ('"media_errors"', '"avail_spare"', '"percent_used"', '"spare_thresh"', '"data_units_read"')
    if is_json and sum(name in text for name in keys) >= 2:
        return 0.97
    if any(_HEALTH.search(line) or _SELF_TEST.match(line) for line in sample):
        return 0.9
    rows = sum(bool(_ATTRIBUTE.match(line)) for line in sample)
    fields = sum(_field_of(line) is not None for line in sample)
    return min(0.9, 0.5 + 0.1 * rows + 0.1 * fields) if rows or fields >= 3 else 0.0


def parse(document: Document) -> Parsed:
    """Read every drive of the text."""
    return _parse_json(document) if starts_json(document) else _parse_text(document)


@dataclass
class _Drive:
    """What the lines of one drive told so far."""

    device: str = ""
    serial: str = ""
    values: dict[str, float] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    passed: tuple[bool, Quote] | None = None
    trouble: str = ""
    is_tested: bool = False
    quote: Quote | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no line told anything of it yet."""
        return not self.values and self.passed is None and not self.serial and not self.trouble

    def put(self, signal: str, value: float, quote: Quote) -> None:
        """Keep a reading; of several that count the same trouble the largest stands."""
        if signal not in self.values or value > self.values[signal]:
            self.values[signal], self.quotes[signal] = value, quote
        self.quote = self.quote or quote


def _parse_text(document: Document) -> Parsed:
    drives: list[_Drive] = []
    tally = Tally()
    target = ""
    for line in read_rows_of(document):
        head = _HEAD.search(line.text)
        asked = _TARGET.search(line.text) if is_prompt(line.text) or " -" in line.text[:12] else None
        if asked is not None:
            behind = _BEHIND.search(line.text)
            target = asked["device"] + (f"/{behind['type']}" if behind else "")
        if head is not None or asked is not None:
            if not drives or not drives[-1].is_empty:
                drives.append(_Drive(target))
            if head is not None and head["device"]:
                drives[-1].device = head["device"]
            continue
        if not drives:
            drives.append(_Drive(target))
        trouble = _TROUBLE.search(line.text)
        if trouble is not None:
            drives[-1].trouble = drives[-1].trouble or line.text.strip()
        understood = trouble is not None or any(read(document, line, drives[-1]) for read in _STEPS)
        tally.count(line, understood=understood or bool(_KNOWN.search(line.text)) or bool(_PAIR.match(line.text)))
    return Parsed(_build_facts(document, drives, NO_MOMENT), tally.result())


def _read_health(document: Document, line: Line, drive: _Drive) -> bool:
    match = _HEALTH.search(line.text)
    if match is not None:
        word = (match["ata"] or match["sas"]).upper()
        is_well = word in ("PASSED", "OK") or word.startswith("OK ")
        # A word that is neither was cut.
        if is_well or any(sign in word for sign in ("FAIL", "IMPENDING", "THRESHOLD", "WARNING")):
            drive.passed = (is_well, make_quote(document, line))
    return match is not None


def _read_attribute(document: Document, line: Line, drive: _Drive) -> bool:
    match = _ATTRIBUTE.match(line.text)
    if match is None:
        return False
    number, quote = int(match["id"]), make_quote(document, line)
    count = mask_raw(number, int(match["raw"]))
    if number in ATA_RAW and count is not None:
        drive.put(ATA_RAW[number], float(count), quote)
    if is_wear_attribute(number, match["name"]) and int(match["value"]) <= 100:
        drive.put("disk_wear_ratio", round(1 - int(match["value"]) / 100, 6), quote)
    if match["failed"].upper() in ("FAILING_NOW", "NOW"):
        drive.put("disk_smart_failed", 1.0, quote)
    return True


def _field_of(text: str) -> tuple[str, float, str] | None:
    match = _PAIR.match(text)
    if match is None:
        return None
    known = NVME_FIELDS.get(match["key"].strip().lower().replace("_", " "))
    return (*known, match["value"]) if known is not None else None


def _read_field(document: Document, line: Line, drive: _Drive) -> bool:
    known = _field_of(line.text)
    if known is not None:
        signal, factor, text = known
        number = re.match(r"(0x[0-9a-fA-F]+|[\d,]+)", text)
        if number is not None:
            digits = number[1].replace(",", "")
            value = int(digits, 16) if digits.lower().startswith("0x") else int(digits[:18] or "0")
            drive.put(signal, round(value * factor, 6), make_quote(document, line))
        return True
    match = _PAIR.match(line.text)
    if match is not None and match["key"].strip().lower() == "serial number":
        drive.serial = match["value"]
        return True
    return False


def _read_errors(document: Document, line: Line, drive: _Drive) -> bool:
    scsi = _SCSI_ERRORS.match(line.text)
    if scsi is not None:
        drive.put("disk_media_errors_total", float(scsi["uncorrected"]), make_quote(document, line))
        return True
    status = _TEST_STATUS.match(line.text)
    if status is not None:
        signal = judge_self_test(_TEST_CODES.get(int(status["code"]) >> 4, "without error"))
        if signal:
            drive.put(signal, 1.0, make_quote(document, line))
        return True
    test = _SELF_TEST.match(line.text)
    if test is not None:
        result = test["result"] or test["squeezed"]
        signal = "" if drive.is_tested else judge_self_test(result)
        if signal:
            drive.put(signal, 1.0, make_quote(document, line))
        # The latest comes first: a long test that passed disproves the older ones.
        passed = "without error" in result or result == "Completed"
        drive.is_tested = drive.is_tested or (
            passed and test["kind"].lower().startswith(("ext", "long", "background l"))
        )
        return True
    if _UNC.search(line.text):
        # The log of errors says that there is at least one, not how many.
        drive.put("disk_media_errors_total", 1.0, make_quote(document, line))
        return True
    return False


_STEPS: tuple[Callable[[Document, Line, _Drive], bool], ...] = (
    _read_health, _read_attribute, _read_errors, _read_field,
)  # fmt: skip


def _parse_json(document: Document) -> Parsed:
    lines: list[Line] = []
    for line in document.lines():
        if len(lines) >= MAX_JSON_LINES:
            break
        lines.append(line)
    records, cut = read_json_drives("\n".join(line.text for line in lines))
    drives = []
    moment = NO_MOMENT
    prompts = (_TARGET.search(line.text) for line in lines if is_prompt(line.text))
    asked = next((match["device"] for match in prompts if match), "")
    for record in records:
        drive = _Drive(record.device or asked, record.serial, trouble=record.trouble)
        for signal, (value, key) in record.values.items():
            drive.put(signal, value, _quote_key(document, lines, key))
        if record.passed is not None:
            drive.passed = (record.passed, _quote_key(document, lines, '"passed"'))
        moment = Moment("utc", record.seconds) if record.seconds is not None else moment
        drives.append(drive)
    facts = _build_facts(document, drives, moment)
    if cut:
        gap = Coverage(document.label, DOMAIN, "partial", "the JSON is cut or broken", "smartctl -x -j /dev/…")
        facts = facts + Facts(coverage=(gap,))
    return Parsed(facts)


def _quote_key(document: Document, lines: Sequence[Line], key: str) -> Quote:
    line = next((line for line in lines if key in line.text), lines[0])
    quote = make_quote(document, line)
    place = line.text.find(key)
    if len(line.text) > 400 and place >= 0:
        # JSON without line breaks: the words around the key are the quote.
        return Quote(quote.source, quote.line, neutralise(line.text[max(0, place - 40) : place + 160]))
    return Quote(quote.source, quote.line, quote.text.strip())


def _build_facts(document: Document, drives: Sequence[_Drive], moment: Moment) -> Facts:
    readings = Readings(document.label)
    events: list[Event] = []
    gaps: list[Coverage] = []
    readings.start_column(moment.seconds if moment.seconds is not None else float("nan"))
    for drive in drives:
        name = drive.device.removeprefix("/dev/") or drive.serial or "?"
        if not drive.values and drive.passed is None:
            if drive.trouble or drive.serial or drive.device:
                gaps.append(_miss_drive(document, name, drive.trouble))
            continue
        disk = Entity("disk", document.node, name).with_ids(serial=drive.serial)
        if drive.passed is not None:
            passed, quote = drive.passed
            drive.put("disk_smart_failed", 0.0 if passed else 1.0, quote)
            events.append(Event(moment, disk, "smart:healthy" if passed else "smart:failing", quote))
        for signal, value in drive.values.items():
            readings.put(disk, signal, value, quote=drive.quotes[signal])
        if drive.quote is not None:
            readings.quote_row(disk, drive.quote)
    windows = tuple(readings.build(clock=moment.clock))
    return Facts(windows, tuple(events), readings.entities, coverage=tuple(gaps))


def _miss_drive(document: Document, name: str, trouble: str) -> Coverage:
    """Say that a drive told nothing of its state, and how it is asked behind a controller."""
    reason = f"{name}: {trouble or 'its state is not told'}"
    fix = "smartctl --scan-open; smartctl -a -d TYPE /dev/DEVICE (behind RAID: -d megaraid,N)"
    return Coverage(document.label, DOMAIN, "partial", reason, fix)
