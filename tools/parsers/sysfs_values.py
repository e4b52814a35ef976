"""Reads files of /sys and /proc shown with their paths: `grep .`, `head`, `tail`, or a path and its value below.

Known: Linux 3.10 to 6.14: edac, hwmon, thermal, block, net, infiniband, pci, scsi_device, md; EDAC's `all:` prefix of
`edac-util` of edac-utils 0.16 to 0.18.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, is_prompt
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, EntityKind, Line, Parsed

FORM = "sysfs_values"
DOMAIN: Domain = "host"

_PATH = r"/(?:sys|proc)/(?:[\w.:@+-]+/)*[\w.@+-]+"
"""Addresses of devices hold colons, names of files do not."""
_SAME_LINE = Lazy(rf"^(?P<path>{_PATH})(?: ?[:=]\s?)(?P<value>\S.*)$")
_ALONE = Lazy(rf"^(?:==> )?(?P<path>{_PATH})(?: <==|:)?\s*$")
_EDAC_UTIL = Lazy(r"^(?P<where>(?:mc\d+|edac-util)\S*): (?:\S+: )*(?P<count>\d+) (?P<kind>Unc|C)orrected Errors")
_EDAC_WELL = Lazy(r"^edac-util: No errors to report")
_COUNT = r"(?P<count>\d+)$"
_RULES: tuple[tuple[Lazy, Lazy, str], ...] = (
    (Lazy(r"/edac/.*/(?:ue_count|ue_noinfo_count|\w+_ue_count)$"), Lazy(r"[1-9]"), "edac:uncorrected"),
    (Lazy(r"/edac/.*/(?:ce_count|ce_noinfo_count|\w+_ce_count)$"), Lazy(r"[1-9]"), "edac:corrected"),
    (
        Lazy(r"/(?:hwmon\d*)/.*/?(?:temp\d+_crit_alarm|temp\d+_emergency_alarm)$"),
        Lazy(r"1$"),
        "bmc:temperature_critical",
    ),
    (Lazy(r"/hwmon\d*/.*/?fan\d+_(?:alarm|fault)$"), Lazy(r"1$"), "bmc:fan_failed"),
    (
        Lazy(r"/(?:block/[\w!]+/device|scsi_device/[\d:]+/device)/state$"),
        Lazy(r"offline|blocked|transport-offline"),
        "scsi:offline",
    ),
    (Lazy(r"/md\d+/md/array_state$"), Lazy(r"(?i)inactive|broken"), "md:failed"),
    (Lazy(r"/md\d+/md/degraded$"), Lazy(r"[1-9]"), "md:degraded"),
    (Lazy(r"/nvme/nvme\d+/state$"), Lazy(r"dead|deleting"), "nvme:disabled"),
    (Lazy(r"/aer_dev_fatal$|/aer_rootport_total_err_fatal$"), Lazy(r"(?:TOTAL_ERR_FATAL )?[1-9]\d*$"), "pci:aer_fatal"),
    (Lazy(r"/thermal_throttle/(?:core|package)_throttle_count$"), Lazy(r"[1-9]\d{3,}$"), "cpu:thermal"),
)
"""Path, value and the code that they make together; any other value of such a file is well or says nothing alone."""
_LANES = Lazy(r"/(?P<which>current|max)_link_width$")
_NAMES = Lazy(r"/(?:block/(?P<disk>[\w!]+)|net/(?P<nic>[\w.-]+)|(?P<nvme>nvme\d+)|(?P<md>md\d+))(?:/|$)")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: paths below /sys or /proc with a value on the line or below it."""
    kept = [text.strip() for text in clip_sample(sample) if not is_noise(text)]
    if any(_EDAC_UTIL.match(text) or _EDAC_WELL.match(text) for text in kept):
        return 0.9
    same = sum(bool(_SAME_LINE.match(text)) for text in kept)
    alone = sum(bool(_ALONE.match(text)) for text in kept)
    hits = same + 2 * alone
    return 0.9 if hits and hits * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each value that tells trouble."""
    files = _Files(document)
    return files.sheet.read(files.read_line)


class _Files:
    """State of reading: the path whose value comes next."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.path = ""
        self.widths: dict[str, int] = {}

    def read_line(self, line: Line) -> bool:
        text = line.text.strip()
        if is_prompt(line.text) or not text:
            return True
        if (util := _EDAC_UTIL.match(text)) is not None:
            if int(util["count"][:9]):
                code = "edac:uncorrected" if util["kind"] == "Unc" else "edac:corrected"
                self.sheet.add(line, self.sheet.make_node(), code, {"dimm": util["where"], "count": util["count"]})
            return True
        if _EDAC_WELL.match(text):
            return True
        if (alone := _ALONE.match(text)) is not None:
            self.path = alone["path"]
            return True
        if (same := _SAME_LINE.match(text)) is not None:
            self._judge(line, same["path"], same["value"])
            return True
        if self.path:
            self._judge(line, self.path, text)
            return True
        return False

    def _judge(self, line: Line, path: str, value: str) -> None:
        if (lanes := _LANES.search(path)) is not None and value.isdecimal():
            self._compare_lanes(line, path.rpartition("/")[0], lanes["which"], int(value[:3]))
        code = next((code for where, what, code in _RULES if where.search(path) and what.match(value)), "")
        if code:
            count = value if value.isdecimal() and code.startswith("edac:") else ""
            self.sheet.add(line, self._entity_of(path), code, {"reason": f"{path} {value}", "count": count})

    def _compare_lanes(self, line: Line, device: str, which: str, lanes: int) -> None:
        # One of the two stands first, and the files of several devices may follow one another.
        other = self.widths.pop(device, 0)
        if not other:
            self.widths[device] = lanes
            return
        width, best = (lanes, other) if which == "current" else (other, lanes)
        if 0 < width < best:
            fields = {"width": str(width), "width_max": str(best), "pci": device.rpartition("/")[2]}
            self.sheet.add(line, self.sheet.make_node(), "pci:slot_narrow", fields)

    def _entity_of(self, path: str) -> Entity:
        match = _NAMES.search(path)
        name = next((group for group in match.groups() if group), "") if match is not None else ""
        kind: EntityKind = "nic" if match is not None and match["nic"] else "disk"
        return Entity(kind, self.sheet.node, name) if name else self.sheet.make_node()
