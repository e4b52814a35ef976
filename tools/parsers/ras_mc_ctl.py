"""Reads what rasdaemon recorded: `ras-mc-ctl --summary`, `--errors` and `--error-count`, of rasdaemon 0.5 to 0.8.

Rows of equal kind and place are one event with their number and the time of the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_prompt
from tools.parsers._sheet import Sheet
from tools.types import NO_MOMENT, Document, Domain, Line, Moment, Parsed

FORM = "ras_mc_ctl"
DOMAIN: Domain = "host"

_HEAD = Lazy(
    r"^(?P<section>Memory controller|PCIe AER|MCE|Memory failure|Extlog|Devlink|Disk|ARM processor|SIGNAL|"
    r"CXL[\w ]{1,40}?) (?:(?:events|records|errors) summary|events|errors):\s*$"
)
_NONE = Lazy(
    r"^No (?:Memory(?: failure)?|PCIe AER|MCE|ARM processor|Extlog|devlink|disk|SIGNAL|CXL[\w ]{0,40}) errors\."
)
_TABLE = Lazy(r"^Label\s+CE\s+UE\s*$")
_COUNTS = Lazy(r"^(?P<dimm>\S.{0,80}?)\s+(?P<corrected>\d{1,12})\s+(?P<uncorrected>\d{1,12})\s*$")
_ON_DIMM = Lazy(
    r"^\s+(?P<kind>\w+) on DIMM Label\(s\): '(?P<dimm>[^']*)'\s*(?:location: \S+ errors: (?P<count>\d{1,12}))?\s*$"
)
_ON_DIMM_REST = Lazy(r"^location: \S+ errors: (?P<count>\d{1,12})\s*$")
_SUMMED = Lazy(r"^\s+(?P<count>\d{1,12}) (?P<what>\S.*)$")
_PAGES = Lazy(r"^\s+(?P<what>\w+) errors: (?P<count>\d{1,12})\s*$")
_RECORD = Lazy(
    r"^\d{1,9} (?:(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})|\.\.) (?P<what>.*\berror(?:\(s\))?: .*)$"
)
_MC_RECORD = Lazy(r"^(?P<count>\d{1,9}) (?P<kind>\w+) error\(s\): .* at (?P<dimm>\S+) location: ")
_AER_RECORD = Lazy(r"^(?P<pci>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) ")
_STATUS = Lazy(r"(?<!mcg)\bstatus=0x(?P<status>[0-9a-f]{1,16})\b")
_START = Lazy(
    r"^rasdaemon: (?:Listening to events|Recording \w+ events|Enabled event|.{1,60} event enabled\s*$)|"
    r"^Calling ras_\w+\(\)|^overriding event "
)
_OTHER = Lazy(r"^ras-mc-ctl: (?:drivers|Info|mainboard)|^\s*$")
_UC_BIT = 61
_SURE_LINES = 2


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: heads of sections, lines that say there are no errors, the table of counts, or records."""
    kept = clip_sample(sample)
    told = sum(bool(_HEAD.match(text)) + bool(_NONE.match(text)) for text in kept)
    records = [text for text in kept if _RECORD.match(text)]
    is_machine_check = bool(records) and any("mcgstatus=" in text for text in kept)
    if not any("_event: " in text or "_event 20" in text for text in kept):
        told += sum(bool(_START.match(text)) for text in kept)
    if told >= _SURE_LINES or is_machine_check or any(_TABLE.match(text) for text in kept):
        return 0.96
    return 0.9 if told else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each kind of error at each place."""
    records = _Records(document)
    parsed = records.sheet.read(records.read_row)
    records.close_record()
    records.close()
    return Parsed(records.sheet.build_facts(), parsed.unread)


class _Records:
    """State of reading: the section, the record that is open (mail and terminals wrap them), and the sums."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.section = ""
        self.record: list[str] = []
        self.opened: tuple[Line, Moment] | None = None
        self.summed: dict[tuple[str, str], tuple[int, Line, Moment]] = {}

    def read_row(self, line: Line) -> bool:
        head, record = _HEAD.match(line.text), _RECORD.match(line.text)
        if head is not None:
            self.close_record()
            self.section = head["section"].lower()
        elif _NONE.match(line.text) or _TABLE.match(line.text):
            self.close_record()
            self.section = "table" if _TABLE.match(line.text) else ""
        elif record is not None:
            self.close_record()
            self.opened, self.record = (line, _read_time(record["time"])), [record["what"]]
        elif self.opened is not None and line.text.strip() and not is_prompt(line.text):
            self.record.append(line.text.strip())
        else:
            return self.read_summed(line) or bool(_OTHER.match(line.text) or _START.match(line.text))
        return True

    def read_summed(self, line: Line) -> bool:
        """Read a row of a summary or of the table of counts."""
        dimm, rest = _ON_DIMM.match(line.text), _ON_DIMM_REST.match(line.text)
        counts = _COUNTS.match(line.text) if self.section == "table" else None
        summed = _SUMMED.match(line.text) if self.section in ("pcie aer", "mce") else None
        pages = _PAGES.match(line.text) if self.section == "memory failure" else None
        if dimm is not None:
            self.add(line, _grade_memory(dimm["kind"]), dimm["count"] or "0", dimm["dimm"])
        elif counts is not None:
            self.add(line, "edac:corrected", counts["corrected"], counts["dimm"])
            self.add(line, "edac:uncorrected", counts["uncorrected"], counts["dimm"])
        elif summed is not None:
            code = _grade_pci(summed["what"]) if self.section == "pcie aer" else _grade_machine_check(summed["what"])
            self.add(line, code, summed["count"])
            return bool(code)
        elif pages is not None:
            self.add(line, "mce:uncorrected", pages["count"], pages["what"])
        else:
            return self.read_rest(line, rest["count"]) if rest is not None else False
        return True

    def read_rest(self, line: Line, count: str) -> bool:
        """Read the second half of a row that mail or a terminal wrapped, with the number of errors."""
        last = next(reversed(self.summed), None)
        if last is None:
            return False
        self.summed[last] = (self.summed[last][0] + int(count), self.summed[last][1], NO_MOMENT)
        return True

    def close_record(self) -> None:
        """Count the record that was open."""
        if self.opened is None:
            return
        (line, moment), what = self.opened, " ".join(self.record)
        self.opened = None
        memory, pci = _MC_RECORD.match(what), _AER_RECORD.match(what)
        if memory is not None:
            self.add(line, _grade_memory(memory["kind"]), memory["count"], memory["dimm"], moment)
        elif pci is not None:
            self.add(line, _grade_pci(what[len(pci[0]) :]), "1", pci["pci"], moment)
        elif "mcgstatus=" in what:
            self.add(line, _grade_machine_check(what), "1", moment=moment)
        elif "action_result=" in what:
            self.add(line, "mce:uncorrected", "1", moment=moment)

    def add(self, line: Line, code: str, count: str, place: str = "", moment: Moment = NO_MOMENT) -> None:
        """Add to the sum of a kind of error at a place; a count of none, before a wrap, is added to later."""
        if not code or (count == "0" and self.section == "table"):
            return
        before = self.summed.get((code, place), (0, line, moment))[0]
        self.summed[code, place] = (before + int(count), line, moment)

    def close(self) -> None:
        """Make the events."""
        for (code, place), (count, line, moment) in self.summed.items():
            told = {"count": str(count) if count else "", "pci" if code.startswith("pci:") else "dimm": place}
            self.sheet.add(line, self.sheet.make_node(), code, told, moment)


def _read_time(text: str | None) -> Moment:
    if text is None:
        return NO_MOMENT
    try:
        return Moment("utc", datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp())
    except ValueError:
        return NO_MOMENT


def _grade_memory(kind: str) -> str:
    if kind.lower() in ("info", "deferred"):
        return "edac:uncorrected" if kind.lower() == "deferred" else ""
    return "edac:corrected" if kind.lower() == "corrected" else "edac:uncorrected"


def _grade_pci(what: str) -> str:
    if what.startswith("Uncorrected"):
        return "pci:aer_nonfatal" if "Non-Fatal" in what else "pci:aer_fatal"
    return "pci:aer_corrected" if what.startswith("Corrected") else "pci:aer_fatal" if "Fatal" in what else ""


def _grade_machine_check(what: str) -> str:
    # Bit 61 (UC) of the bank status tells an uncorrected error (Intel SDM volume 3B, 15.3.2.2; AMD APM volume 2).
    status = _STATUS.search(what)
    if status is not None:
        return "mce:uncorrected" if int(status["status"], 16) >> _UC_BIT & 1 else "mce:corrected"
    lower = what.lower()
    if any(word in lower for word in ("uncorrected", "fatal", "deferred", "uncorrectable")):
        return "mce:uncorrected"
    return "mce:corrected" if "corrected" in lower else ""
