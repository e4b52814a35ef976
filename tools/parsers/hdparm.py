"""Reads `hdparm -t`, `-T`, `-C`, and its settings (hdparm 5 to 9): rates, and drives that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "hdparm"
DOMAIN: Domain = "disk"

_DEVICE = Lazy(r"^\s*(?P<device>/dev/\S+):\s*$")
_TIMING = Lazy(
    r"^\s*Timing (?:O_DIRECT )?(?:cached|buffer-cache|buffered disk|disk) reads: .*=\s*(?P<speed>[\d.]+) [kMG]B/sec"
)
_FAILED = Lazy(
    r"^\s*(?:Timing [\w -]+: +)?(?:read\(\)|\w*HDIO_\w+(?:\(\w+\))?|BLK\w+|SG_IO)\s*(?:failed|error)?: (?P<why>.*)$"
)
_SETTING = Lazy(
    r"^\s*(?:multcount|IO_support|unmaskirq|using_dma|keepsettings|readonly|readahead|geometry|acoustic|drive state is"
    r"|write-caching|APM_level|queue_depth)\s*(?:=|:)\s*\S"
)
_GONE = Lazy(r"input/output error|no such device")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a measured rate, or settings under a device."""
    kept = clip_sample(sample)
    if any(_TIMING.match(text) for text in kept):
        return 0.95
    return (
        0.9
        if any(map(_DEVICE.match, kept)) and any(_SETTING.match(text) or _FAILED.match(text) for text in kept)
        else 0.0
    )


def parse(document: Document) -> Parsed:
    """Make an event of each drive that could not be read."""
    sheet = Sheet(document, DOMAIN)
    current = {"disk": ""}

    def read_line(line: Line) -> bool:
        device, failed = _DEVICE.match(line.text), _FAILED.match(line.text)
        if device is not None:
            current["disk"] = device["device"].removeprefix("/dev/")
        elif failed is not None and _GONE.search(failed["why"]):
            disk = Entity("disk", sheet.node, current["disk"]) if current["disk"] else sheet.make_node()
            sheet.add(line, disk, "disk:read_failed", {"reason": line.text.strip()})
        return bool(device or failed or _TIMING.match(line.text) or _SETTING.match(line.text))

    return sheet.read(read_line)
