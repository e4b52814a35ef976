"""Reads `nvme error-log` of nvme-cli 1 and 2, text and JSON: only its errors of the medium speak of the drive.

Most entries are commands that the drive does not support, asked by tools.
Media errors are status code type 2 (NVMe base specification, "Media and Data Integrity Errors").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_prompt
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "nvme_error_log"
DOMAIN: Domain = "disk"

_HEAD = Lazy(r"^Error Log Entries for device:\s*(?P<device>\S+) entries:\s*\d+")
_FIELD = Lazy(
    r"^\s*(?:Entry\[\s*\d+\]|(?:error_count|sqid|cmdid|status_field|phase_tag|parm_err_loc|lba|nsid|vs|trtype|csi|opcode|cs|"
    r"trtype_spec_info|log_page_version)\s*:.*|\.{5,})\s*$"
)
_STATUS = Lazy(r"^\s*\"?status_field\"?\s*:\s*\"?(?P<status>0x[0-9a-fA-F]+|\d+)\s*(?:\((?P<words>[^)]*))?")
_MEDIA_WORDS = re.compile(
    r"READ_ERROR|WRITE_FAULT|Unrecovered Read Error|Write Fault|(?:recovered from|committed to) the media|"
    r"End-to-end (?:Guard|Application Tag|Reference Tag) Check Error",
    re.IGNORECASE,
)
_ASKED = re.compile(r"nvme\s+error-log\s+(?:-\S+\s+\S+\s+)*/dev/(?P<device>nvme\w+)")
_COUNT = Lazy(r"^\s*\"?error_count\"?\s*:\s*(?P<count>\d+)")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: its head, or the fields of its entries."""
    kept = clip_sample(sample)
    if any(_HEAD.match(text) for text in kept):
        return 0.97
    text = "\n".join(kept)
    return 0.9 if "error_count" in text and "status_field" in text and "parm_err_loc" in text else 0.0


def parse(document: Document) -> Parsed:
    """Make a reading of one media error at least, where an entry tells of one."""
    log = _Log(document)
    return log.sheet.read(log.read_line)


class _Log:
    """State of reading: whose log it is, and whether the entry is in use."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.device = ""
        self.is_used = False
        self.errors = 0

    def read_line(self, line: Line) -> bool:
        head, status, count = _HEAD.match(line.text), _STATUS.match(line.text), _COUNT.match(line.text)
        asked = _ASKED.search(line.text) if is_prompt(line.text) else None
        if head is not None or asked is not None:
            self.device = (head or asked or {"device": ""})["device"].removeprefix("/dev/")
            self.errors = 0
        elif count is not None:
            self.is_used = int(count["count"][:18]) > 0
        elif status is not None:
            self._read_status(line, status["status"], status["words"] or "")
        else:
            return bool(_FIELD.match(line.text)) or line.text.strip()[:1] in ('"', "{", "}", "[", "]")
        return True

    def _read_status(self, line: Line, status: str, words: str) -> None:
        number = int(status, 0) if len(status) < 12 else 0
        # With words they decide; without, the field may or may not hold the phase bit below the code.
        is_media = bool(_MEDIA_WORDS.search(words)) if words else (number >> 1) & 0x700 == 0x200
        if is_media and self.is_used:
            self.errors += 1
            disk = Entity("disk", self.sheet.node, self.device or "nvme?")
            self.sheet.put(line, disk, "disk_media_errors_total", float(self.errors))
