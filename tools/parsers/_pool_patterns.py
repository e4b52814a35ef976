"""What file systems print that pool drives themselves: Btrfs, bcachefs, ZFS and its event daemon.

Known: fs/btrfs of Linux 3.10 to 6.14 (volumes.c, scrub.c, disk-io.c, inode.c, extent_io.c); bcachefs; OpenZFS and
ZFS on Linux 0.6 to 2.3 (vdev_disk.c, spa_misc.c, mmp.c) and the syslog lines of `zed` (all-syslog.sh).
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_disk, on_node
from tools.parsers._zfs_events import name_zfs_event
from tools.types import Entity

_COUNTERS = re.compile(r"bdev (?P<vdev>\S+) errs: wr (\d+), rd (\d+), flush (\d+), corrupt (\d+), gen (\d+)")
_NO_SPACE = re.compile(r"error -28\b|errno=-28\b|[Nn]o space")
_REPAIRED = re.compile(r"read error corrected|fixed up error|super block.*(?:corrected|repaired)")
_CACHE = re.compile(r"free space (?:cache|tree)|space cache generation|rebuilding it now")
"""Btrfs builds these anew by itself."""
_PART = re.compile(r"-part\d+$")


def _refine_btrfs(fields: Fields) -> Fields | None:
    reason = fields["reason"]
    if (match := _COUNTERS.search(reason)) is not None:
        return _refine_counters(fields, match)
    if _CACHE.search(reason):
        return None
    if _NO_SPACE.search(reason):
        return {**fields, "code": "limit:disk_space"}
    if _REPAIRED.search(reason):
        return {**fields, "code": "fs:repaired"}
    return {**fields, "code": "md:degraded" if "missing" in reason else "fs:error"}


def _refine_counters(fields: Fields, match: re.Match[str]) -> Fields | None:
    # The counters outlive reboots: at mount they tell of the past, behind "error" of what went wrong just now.
    write, read, flush, corrupt, generation = (int(number) for number in match.groups()[1:])
    if not (write or read or flush or corrupt or generation):
        return None
    if fields.get("level") == "info":
        return {**fields, "code": "fs:old_errors"}
    if corrupt or generation:
        return {**fields, "code": "fs:error"}
    return {**fields, "code": "block:io_error", "disk": match["vdev"].removeprefix("/dev/")}


def _on_member(node: str, fields: Fields) -> Entity:
    return on_disk(node, {"device": fields["disk"]}) if fields.get("disk") else on_node(node, fields)


_ZIO_GONE = frozenset({"6", "19"})
"""ENXIO and ENODEV: no such device."""
_PAIR = re.compile(r"\b(?P<key>vdev_path|vdev_state|vdev|pool)='?(?P<value>[^'\s]+)")


def _refine_zio(fields: Fields) -> Fields | None:
    code = "scsi:offline" if fields["error"] in _ZIO_GONE else "fs:error" if fields["error"] == "52" else ""
    disk = _PART.sub("", fields["vdev"].rpartition("/")[2])
    return {**fields, "code": code or "block:io_error", "disk": "" if code == "fs:error" else disk}


def _refine_zed(fields: Fields) -> Fields | None:
    told = {match["key"]: match["value"] for match in _PAIR.finditer(fields["rest"])}
    event = fields["reason"]
    code = name_zfs_event(event, told.get("vdev_state", ""))
    if not code:
        return None
    vdev = told.get("vdev_path") or told.get("vdev", "")
    disk = "" if code.startswith("fs:") else _PART.sub("", vdev.rpartition("/")[2])
    kept = {name: value for name, value in fields.items() if name != "rest"}
    return {**kept, "code": code, "disk": disk, "pool": told.get("pool", ""), "state": told.get("vdev_state", "")}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "",
        ("BTRFS", "btrfs: ", "btrfs "),
        (
            r"(?:BTRFS|\bbtrfs(?=:| csum| bad | no csum)):? ?(?P<level>error|critical|warning"
            r"|info)? ?(?:error )?(?:\(device "
            r"(?P<device>[\w.-]+)[^)]*\))?(?::| in)? ?(?P<reason>(?:bdev .* errs: .*|(?!bdev |found \d+ extents).*"
            r"(?:errno=-\d+|corrupt(?!ion detected: 0)|failed|error|lost page write|csum (?:failed|mismatch|hole)"
            r"|parent transid|Transaction aborted|bad tree|mismatch|unable to|devid \d+ .*missing|fixed up).*))"
        ),
        _on_member,
        refine=_refine_btrfs,
    ),
    Pattern(
        "fs:error",
        (
            "parent transid verify failed on",
            "checksum verify failed on",
            "btrfs_run_bio_end_io",
            "bad tree block start",
        ),
        r"^(?P<reason>parent transid verify failed on \d+.*|(?:\w+ )?checksum verify failed on \d+.*"
        r"|bad tree block start.*)",
        on_node,
        constants={"type": "btrfs"},
        joins=20,
    ),
    Pattern(
        "fs:error",
        ("bcachefs",),
        (
            r"bcachefs:? \((?P<device>[^)]+)\):? ?(?P<reason>.*(?:error|fatal|inconsisten|corrupt|[Uu]nable to continue"
            r"|halting|btree gc failed|missing).*)"
        ),
        on_node,
        constants={"type": "bcachefs"},
        joins=6,
    ),
    Pattern(
        "",
        ("zio pool=",),
        r"zio pool=(?P<pool>\S+) vdev=(?P<vdev>\S+) error=(?P<error>\d+) type=(?P<kind>\d+)",
        _on_member,
        refine=_refine_zio,
        constants={"type": "zfs"},
    ),
    Pattern(
        "",
        ("eid=",),
        r"\beid=\d+ class=(?P<reason>[\w.]+)(?P<rest>.*)",
        _on_member,
        refine=_refine_zed,
        constants={"type": "zfs"},
    ),
    Pattern(
        "fs:shutdown",
        ("MMP writes to pool",),
        r"MMP writes to pool '(?P<pool>[^']+)' have not succeeded.*",
        on_node,
        constants={"type": "zfs"},
    ),
    Pattern(
        "fs:error",
        ("zfs", "ZFS", "PANIC at ", "VERIFY", "Pool '"),
        (
            r"(?:WARNING: )?Pool '(?P<pool>[^']+)' has encountered.*|WARNING: ZFS.*|zfs\S*: (?P<reason>.*(?:[Cc]orrupt"
            r"|checksum error|I/O failure).*)|(?P<reason2>PANIC at (?:\w+\.c|\w+\.h):\d+:\w+\(\)|VERIFY\d?\w*\(.*\)"
            r" failed.*|PANIC: (?:zfs|blkptr|rpool|zap|dva).*)"
        ),
        on_node,
        constants={"type": "zfs"},
        joins=4,
    ),
)
