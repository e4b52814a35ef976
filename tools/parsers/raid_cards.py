"""Reads what the tools of RAID adapters print: storcli and perccli, MegaCli, ssacli and hpacucli, arcconf, omreport.

Known: storcli and perccli 1.x and 7.x (`show all`), MegaCli 8.x (`-LDInfo`, `-PDList`), ssacli and hpacucli 8 to 6.x
(`ctrl all show config`), arcconf 1 to 4 (`getconfig`), omreport 7 to 11 (`storage pdisk`, `vdisk`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._card_events import classify_card_event
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "raid_cards"
DOMAIN: Domain = "disk"

# storcli: '0/1   RAID5 Dgrd  RW     Yes …' and '252:3    11 Offln 0 3.637 TB SATA HDD …'
_VOLUME = Lazy(
    r"^\s*(?P<name>\d+/\d+|-)\s+(?P<level>RAID\d+\S*|Cache\S*)\s+(?P<state>Optl|Pdgd|Dgrd|OfLn|Rec|Cac1|HD|TRANS)\b"
)
_DRIVE = Lazy(
    r"^\s*(?P<name>\d*: ?\d+)\s+(?P<did>\d+|-)\s+(?P<state>Onln|Offln|Failed|UBad|UBUnsp|Msng|Rbld|UGood"
    r"|UGUnsp|DHS|GHS|JBOD|"
    r"Cpybck|F|Conf)\s+\S"
)
# MegaCli, arcconf and omreport: 'Firmware state: Failed', 'State : Degraded'
_NAME = Lazy(
    r"^\s*(?:Virtual Drive: (?P<volume>\d+)|Slot Number: (?P<slot>\d+)|Logical [Dd]evice number"
    r" (?P<logical>\d+)|Device #"
    r"(?P<device>\d+)|Logical Drive: (?P<ld>\d+)\s*$|physicaldrive (?P<pd>\w+:\d+:\d+)\s*$|ID\s+: (?P<id>[\d:]+)"
    r"|Logical [Dd]rive [Nn]umber (?P<drive>\d+)"
    r"|Drive (?P<path>/c\d+(?:/e\d+)?/s\d+)\b)"
)
_STATE = Lazy(
    r"^\s*(?P<key>(?:Volume )?State|Firmware state|Status of (?:[Ll]ogical [Dd]evice|[Vv]olume)"
    r"|Status)\s*: ?(?P<value>.+?)\s*$"
)
_COUNT = Lazy(
    r"^\s*(?P<key>Media Error Count|Other Error Count|Predictive Failure Count|Shield Counter|S\.M\.A\.R\.T\. warnings|"
    r"Medium errors?|Drive has flagged a S\.M\.A\.R\.T alert|S\.M\.A\.R\.T alert flagged by drive|Failure Predicted)"
    r"\s*[:=] ?(?P<value>\w+)"
)
# ssacli, in detail
_SLOT = Lazy(r"^(?:HPE? )?(?:Dynamic )?Smart Array \S+.* in Slot \w+")
_DETAIL = Lazy(
    r"^\s*(?P<key>Controller Status|Cache Status|Battery/Capacitor Status|Fan Status|Temperature Status"
    r"|Power Supply Status"
    r"|Drive Authentication Status|MultiDomain Status|OS Status)\s*: ?(?P<value>.+?)\s*$"
)
# ssacli: 'logicaldrive 1 (1.8 TB, RAID 5, Interim Recovery Mode)', 'physicaldrive 1I:1:3 (port 1I:…, Failed)'
_SSACLI = Lazy(r"^\s*(?P<kind>logicaldrive|physicaldrive|unassigned) ?(?P<name>[\w:]*) \((?P<text>.*)\)\s*$")
# perccli2, and the topology of storcli: ' 0 0    0   268:0    257 DRIVE  Conf  Online N  893.75 GiB …'
_TOPOLOGY = Lazy(
    r"^\s*[\d-]+\s+[\d-]+\s+[\d-]+\s+(?P<name>\d+: ?\d+|-)\s+[\d-]+\s+(?:DRIVE|RAID\d+)\s+(?P<state>\w+"
    r"|-)\s+(?P<status>\w+|-)"
)
_ARRAY = Lazy(r"^\s*[Aa]rray (?P<name>[A-Z]{1,2})\b(?: \((?P<text>[^)]*)\))?")
_HEAD = Lazy(
    r"^(?:BBU status for Adapter|BBU Capacity Info|BBU GasGauge|BBU Firmware Status|Controller = \d|CLI Version"
    r"|VD LIST|PD LIST|DRIVE INFO|TOPOLOGY|VIRTUAL DRIVES|Virtual Drives"
    r"|Physical Drives|"
    r"Adapter #?\d|Enclosure Device ID|Smart Array|HPE? Smart|Controllers found|Logical device information|"
    r"Physical Device information|List of (?:Physical|Virtual) Disks|Exit Code|Number of Virtual (?:Drives|Disks)|"
    r"EID:Slt|EID:Slot|DG/VD|DG Arr|(?:BBU|Cachevault)_Info|Model +State)"
)
# storcli: 'CVPM02 Optimal 28C 2016/05/20', with more columns in newer ones
_BATTERY = Lazy(
    r"^\s*(?:BBU|i?BBU\S*|CVPM\S*|CVFM\S*|SuperCap) +(?!Information|Status)(?P<state>[A-Z][a-z]+)(?=\s+\d|\s*$)"
)
# MegaCli -AdpBbuCmd, storcli /cx/bbu show all: 'Battery Replacement required : Yes', 'Battery State  Optimal'
_BATTERY_FIELD = Lazy(
    r"^\s*(?P<key>Battery Pack Missing|Battery Replacement required|Pack is about to fail & should be replaced"
    r"|Remaining Capacity Low|No space to cache offload|I2c Errors Detected|Battery State|Learn Cycle Status"
    r"|isSOHGood)\s*(?::|\s{2})\s*(?P<value>\w.*?)\s*$"
)
_WELL_BATTERY = frozenset(
    {"no", "ok", "optimal", "operational", "learning", "charging", "none", "yes (soh)", "unknown"}
)
# MegaCli -AdpEventLog, storcli show events, and the firmware's own log (-FwTermLog)
_EVENT = Lazy(r"^(?:Event Description: |.*\bEVT#\w+-\S+ \S+ +\d+=)(?P<text>\S.*)$")
_DRIVE_OF_EVENT = Lazy(r"\bPD (?P<name>\w+)(?:\(e0x(?P<enclosure>[\da-fA-F]+)/s(?P<slot>\d+)\))?")
_FIELD = Lazy(r"^\s*[A-Za-z][\w .,/()#&%-]{1,60}\s*[:=]\s?.*$|^[=\-+| ]{4,}$|^\s*\w+=\S.*$")
_LOST = Lazy(
    r"fail|offline|offln|missing|msng|removed|bad\b|interim recovery|degraded|dgrd|pdgd|ofln|critical|ubad|suboptimal"
)
# fmt: off
_WELL = frozenset({
    "Optl", "Onln", "Online", "Good", "UGood", "DHS", "GHS", "JBOD", "Rbld", "Rec", "Cpybck", "Conf", "TRANS", "N", "Y",
    "-",
})
# fmt: on
"""States of storcli and perccli in which nothing is lost; a rebuild runs by itself."""
_GOOD = Lazy(r"non-?critical|unconfigured\(good\)")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a table's row, or the names and states of one of these tools."""
    kept = clip_sample(sample)
    if any(row.match(text) for text in kept for row in (_VOLUME, _DRIVE, _TOPOLOGY, _SSACLI, _EVENT)):
        return 0.95
    if any(map(_SLOT.match, kept)) and any(map(_DETAIL.match, kept)):
        return 0.93
    names, counts = (sum(bool(row.match(text)) for text in kept) for row in (_NAME, _COUNT))
    states = sum(bool(_STATE.match(text)) for text in kept)
    heads = sum(bool(_HEAD.match(text)) for text in kept)
    is_list = (names and states) or (counts and (names or states or counts > 1)) or (heads and states)
    if any(
        text.startswith(("CLI Version = ", "BBU status for Adapter", "BBU Capacity Info", "Firmware state: "))
        for text in kept
    ):
        return 0.9
    return 0.93 if is_list and (heads or counts or any("Firmware state" in text for text in kept)) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each volume and drive that is not as it should be."""
    cards = _Cards(document)
    return cards.sheet.read(cards.read_event, cards.read_row, cards.read_field)


def _name_drive(text: str) -> str:
    """Name the drive of an event as the tables of storcli do, by enclosure and slot: 'PD 0b(e0x20/s3)' is 32:3."""
    match = _DRIVE_OF_EVENT.search(text)
    if match is None:
        return ""
    return f"{int(match['enclosure'], 16)}:{match['slot']}" if match["slot"] else match["name"]


class _Cards:
    """State of reading: the drive or volume that the fields are of."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.name = ""

    def read_event(self, line: Line) -> bool:
        match = _EVENT.match(line.text)
        code = classify_card_event(match["text"]) if match is not None else ""
        if match is not None and code:
            self._add(line, _name_drive(match["text"]), code, match["text"])
        return match is not None

    def read_row(self, line: Line) -> bool:
        match = _VOLUME.match(line.text) or _DRIVE.match(line.text) or _TOPOLOGY.match(line.text)
        if match is not None:
            if match["state"] not in _WELL:
                self._lose(line, match["name"].replace(" ", ""), match["state"])
            return True
        battery = _BATTERY.match(line.text)
        if battery is not None:
            if battery["state"] not in ("Optimal", "Learning", "Charging"):
                self.sheet.add(line, self.sheet.make_node(), "bmc:battery_low", {"state": battery["state"]})
            return True
        field = _BATTERY_FIELD.match(line.text)
        if field is not None:
            is_well = field["value"].lower() in _WELL_BATTERY or field["key"] == "isSOHGood"
            if not is_well or (field["key"] == "isSOHGood" and field["value"].lower() == "no"):
                self.sheet.add(line, self.sheet.make_node(), "bmc:battery_low", {"state": line.text.strip()})
            return True
        match = _SSACLI.match(line.text) or _ARRAY.match(line.text)
        if match is None:
            return False
        text = (match["text"] or "").lower()
        if "predictive fail" in text:
            self._add(line, match["name"], "smart:failing", "predictive failure")
        elif _LOST.search(text):
            self._lose(line, match["name"], text.rpartition(", ")[2])
        return True

    def read_field(self, line: Line) -> bool:
        if (match := _NAME.match(line.text)) is not None:
            self.name = next(group for group in match.groups() if group is not None)
        elif (match := _COUNT.match(line.text)) is not None:
            self._count(line, match["key"].lower(), match["value"])
        elif (match := _DETAIL.match(line.text)) is not None:
            self._detail(line, match["key"], match["value"].lower())
        elif (match := _STATE.match(line.text)) is not None:
            if _LOST.search(match["value"]) and not _GOOD.search(match["value"]):
                self._lose(line, self.name, match["value"])
        else:
            return bool(_HEAD.match(line.text) or _FIELD.match(line.text))
        return True

    def _count(self, line: Line, key: str, value: str) -> None:
        if value.lower() in ("0", "n", "no", "n/a", "none"):
            return
        if "media" in key or "medium" in key:
            self._add(line, self.name, "disk:error_count", f"{key} {value}")
        elif "other" not in key and "shield" not in key:
            self._add(line, self.name, "smart:failing", f"{key} {value}")

    def _detail(self, line: Line, key: str, value: str) -> None:
        if key == "Controller Status" and _LOST.search(value):
            self.sheet.add(line, self.sheet.make_node(), "scsi:controller_fault", {"reason": line.text.strip()})
        elif _LOST.search(value) and not _GOOD.search(value):
            is_battery = key in ("Battery/Capacitor Status", "Cache Status")
            code = "bmc:battery_low" if is_battery else "storage:enclosure"
            self.sheet.add(line, self.sheet.make_node(), code, {"state": line.text.strip()})

    def _lose(self, line: Line, name: str, state: str) -> None:
        self._add(line, name, "md:degraded", state)

    def _add(self, line: Line, name: str, code: str, reason: str) -> None:
        entity = Entity("disk", self.sheet.node, name) if name and name != "-" else self.sheet.make_node()
        self.sheet.add(line, entity, code, {"reason": reason})
