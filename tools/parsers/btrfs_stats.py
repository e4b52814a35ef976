"""Reads `btrfs device stats`, `btrfs scrub status` and `btrfs check` of btrfs-progs 3.12 to 6.x."""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "btrfs_stats"
DOMAIN: Domain = "disk"

_STAT = Lazy(
    r"^\[(?P<device>[^\]]+)\]\.(?P<counter>(?:write|read|flush)_io_errs|corruption_errs|generation_errs)\s+(?P<value>\d+)"
)
_SUMMARY = Lazy(
    r"^\s*(?:Error summary|error details):\s*(?P<value>.*)$|^\s*total bytes scrubbed: .* with (?P<count>\d+) errors"
)
_REPAIR = Lazy(
    r"^\s*(?P<kind>Corrected|Uncorrectable|Unverified):\s*(?P<value>\d+)|corrected errors: (?P<corrected>\d+), "
    r"uncorrectable errors: (?P<lost>\d+)"
)
_SCRUB = Lazy(
    r"^(?:scrub (?:status|device)|Scrub (?:started|resumed|device)|UUID:|Status:|Duration:|Time left:|ETA:|"
    r"Total to scrub:|Bytes scrubbed:|Rate:)|^\s+scrub started at"
)

_CHECK = Lazy(
    r"^(?:Opening filesystem to check|Checking filesystem on |\[\d/\d\] checking |Ignoring transid failure|"
    r"found \d+ bytes used|total (?:csum|tree|fs tree|extent tree) bytes|btree space waste|file data blocks|"
    r"cache and super generation don't match)"
)
_DAMAGE = Lazy(
    r"^(?:(?P<copy>parent transid verify failed on|checksum verify failed on|bad tree block)\b.*|"
    r"ERROR: (?:child eb corrupted|errors found in|cannot open file system|failed to (?:read|repair)|tree block).*|"
    r"found \d+ bytes used, error\(s\) found|root \d+ (?:missing its root|inode \d+ errors).*|"
    r"Couldn't (?:read|open|setup) .*|extent item \d+ has multiple .*|ref mismatch on .*|backpointer mismatch on .*)$"
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a counter of a device, or the head of a scrub with its summary."""
    kept = clip_sample(sample)
    if any(_STAT.match(text) for text in kept):
        return 0.97
    check = sum(bool(_CHECK.match(text)) for text in kept)
    if check and (check > 1 or any(_DAMAGE.match(text) for text in kept)):
        return 0.95
    scrub = sum(bool(_SCRUB.match(text)) for text in kept)
    return 0.95 if scrub and any(_SUMMARY.match(text) or _REPAIR.search(text) for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each counter above zero and of each scrub that found something."""
    sheet = Sheet(document, DOMAIN)

    def read_counter(line: Line) -> bool:
        match = _STAT.match(line.text)
        if match is None:
            return False
        if int(match["value"]):
            disk = Entity("disk", sheet.node, match["device"].removeprefix("/dev/"))
            code = "block:io_error" if match["counter"].endswith("_io_errs") else "fs:old_errors"
            sheet.add(line, disk, code, {"counter": match["counter"], "value": match["value"], "type": "BTRFS"})
        return True

    def read_scrub(line: Line) -> bool:
        repair = _REPAIR.search(line.text)
        if repair is not None:
            lost = repair["lost"] or (repair["value"] if (repair["kind"] or "").lower() == "uncorrectable" else "0")
            repaired = repair["corrected"] or (
                repair["value"] if (repair["kind"] or "").lower() == "corrected" else "0"
            )
            code = "fs:error" if int(lost) else "fs:repaired" if int(repaired) else ""
            if code:
                sheet.add(line, sheet.make_node(), code, {"reason": line.text.strip(), "type": "BTRFS"})
            return True
        return bool(_SUMMARY.match(line.text) or _SCRUB.match(line.text))

    def read_check(line: Line) -> bool:
        match = _DAMAGE.match(line.text)
        if match is not None:
            sheet.add(line, sheet.make_node(), "fs:error", {"reason": line.text.strip(), "type": "BTRFS"})
        return match is not None or bool(_CHECK.match(line.text))

    return sheet.read(read_counter, read_scrub, read_check)
