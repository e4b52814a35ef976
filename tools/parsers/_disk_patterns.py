"""What the block layer, the SCSI layer and md print to the kernel log about single drives; with their drivers' tables.

Known: Linux 2.6.18 to 6.14: block/blk-core.c, blk-mq.c, fs/buffer.c, drivers/scsi/{sd,scsi_lib,scsi_error,scsi_logging,
constants}.c, drivers/md/{md,raid1,raid5,raid10}.c, bcache.
"""

from __future__ import annotations

import re

from tools.parsers import _ata_patterns, _freebsd_patterns, _nvme_patterns, _smart_patterns, _usb_disk_patterns
from tools.parsers._patterns import Fields, Pattern, on_disk, on_node

_NOT_DRIVES = re.compile(r"^(?:fd|sr|cdrom|zram|ram)\d")
"""Media that are no part of a node: the virtual drives of a console, floppies, disks in memory."""


_KINDS = {
    "critical target": "block:refused",
    "critical space allocation": "limit:disk_space",
    "critical nexus": "block:reservation",
    "reservation conflict": "block:reservation",
    "recoverable transport": "storage:path_error",
    "timeout": "scsi:timeout",
    "device offline": "scsi:offline",
    "critical medium": "block:medium_error",
}
"""What the block layer calls each status (`blk_errors` in block/blk-core.c), where it is no plain I/O error."""
_HINTS = re.compile(r"DISCARD|WRITE_ZEROES|SECURE_ERASE|WRITE_SAME")


def _refine_disk(fields: Fields) -> Fields | None:
    if _NOT_DRIVES.match(fields.get("device", "")):
        return {**fields, "code": "block:removable_error"}
    code = _KINDS.get(fields.get("kind", "").removesuffix(" error"), "")
    if code == "block:refused" and _HINTS.search(fields.get("op", "")):
        return None  # a hint that the drive does not know, as TRIM behind many bridges and adapters
    if fields.get("device", "").startswith("mmcblk"):
        fields = {**fields, "removable": "yes"}
    return {**fields, "code": code} if code else fields


def _refine_alias(fields: Fields) -> Fields | None:
    """One device has the name of another group where an expression has several forms."""
    kept = {name: value for name, value in fields.items() if name != "device2"}
    return {**kept, "device": fields["device2"]} if "device2" in fields else kept


_HOST_BYTES = {
    **dict.fromkeys((0x1, 0x4), "scsi:offline"),
    0x3: "scsi:timeout",
    **dict.fromkeys((0x2, 0x5, 0x6, 0x7, 0x8, 0xB), "scsi:transport_error"),
    **dict.fromkeys((0xE, 0xF), "storage:path_error"),
}
"""What the middle layer made of a request (DID_ in include/scsi/scsi_status.h)."""
_DRIVER_TIMEOUT = 0x6


def _refine_result(fields: Fields) -> Fields | None:
    """Older kernels print the result as one number: driver, host, message and status byte."""
    result = int(fields["result"], 16)
    code = "scsi:timeout" if result >> 24 & 0xF == _DRIVER_TIMEOUT else _HOST_BYTES.get(result >> 16 & 0xFF, "")
    return {**fields, "code": code} if code else None  # with a check condition, the sense data follow


_BLOCK = (
    Pattern(
        "block:medium_error",
        ("critical medium error",),
        r"critical medium error, dev (?P<device>[\w!-]+), sector (?P<sector>\d+)(?: op (?P<op>\S+))?",
        on_disk,
        refine=_refine_disk,
    ),
    Pattern(
        "scsi:offline",
        ("offline device", "dead device", "evice offline", "removing handle("),
        (
            r"(?:\b(?:sd|scsi) (?P<address>\d+:\d+:\d+:\d+): (?:\[(?P<device>sd\w+)\] )?.*?"
            r"|(?P<target>scsi[\d ]*\(?[\d:]+\)?): )?"
            r"(?P<reason>rejecting I/O to (?:offline|dead) device|[Dd]evice offlined?(?: - not ready.*|$)|[Dd]evice "
            r"offline error, dev (?P<device2>\w+).*|removing handle\(\w+\), sas_addr.*)"
        ),
        on_disk,
        refine=_refine_alias,
    ),
    Pattern(
        "block:io_error",
        ("error, dev ",),
        (
            r"(?P<kind>I/O error|critical \w+(?: \w+)? error|(?:recoverable transport|protection|timeout|zone \w+"
            r"|unknown|reservation conflict|device offline|device resource|invalid) error|\w+ error), dev "
            r"(?P<device>[\w!-]+), sector (?P<sector>\d+)(?: op (?P<op>\S+))?"
        ),
        on_disk,
        refine=_refine_disk,
    ),
    Pattern(
        "block:io_error",
        ("Buffer I/O error on dev",),
        (
            r"(?P<kind>Buffer I/O error) on dev(?:ice)? (?P<device>[\w!-]+), logical block "
            r"(?P<block>\d+)(?:, (?P<what>.*))?"
        ),
        on_disk,
        refine=_refine_disk,
    ),
    Pattern("block:io_error", ("beyond end of device",), r"(?P<kind>attempt to access beyond end of device)", on_node),
    Pattern(
        "block:removable_error",
        ("floppy", "fd0"),
        r"\b(?P<device>floppy|fd)\d?: (?P<reason>error -?\d+ while reading block.*|.*(?:timeout"
        r"|no floppy controllers).*)",
        on_node,
        joins=4,
    ),
    Pattern(
        "block:removable_error",
        (": [sr",),
        r"\bsr [\d:]+: \[(?P<device>sr\d+)\].*?(?P<reason>FAILED Result.*|Sense Key.*|Add\. Sense.*)",
        on_disk,
        joins=4,
    ),
    Pattern(
        "scsi:sense_medium",
        ("Sense Key : ", "Sense Key: ", "sense key"),
        (
            r"(?:\b(?:sd|scsi) [\d:]+: \[(?P<device>sd\w+)\].*?|^\s*)Sense Key ?: (?P<key>Medium Error"
            r"|Hardware Error|0x[34]\b)"
            r"|\b(?P<device2>sd[a-z]+): Current:?(?: \[\w+\])*:? sense key:? (?P<key2>Medium Error|Hardware Error)"
        ),
        on_disk,
        refine=_refine_alias,
        joins=3,
    ),
    Pattern(
        "scsi:sense_medium",
        ("Add. Sense: ", "ASC=", "Additional sense"),
        r"\b(?:sd|scsi) [\d:]+: \[(?P<device>sd\w+)\].*?(?:Add\. Sense: |Additional sense: "
        r"|(?=ASC=))(?!Failure pred|.*(?:iuCRC|[Pp]arity)|Logical "
        r"unit not)(?P<sense>.*)",
        on_disk,
        joins=3,
        attaches=True,
    ),
    Pattern(
        # Linux before 2.6.27 prints the drive a line earlier.
        "scsi:transport_error",
        ("dditional sense: Scsi parity", "dditional sense: SCSI parity", "dditional sense: Information unit"),
        r"^\s*Additional sense: (?P<reason>(?:Scsi|SCSI) [Pp]arity error|Information unit iuCRC error.*)",
        on_node,
        joins=10,
    ),
    Pattern(
        "scsi:not_ready",
        ("Device not ready: ", "dditional sense: Logical unit not ready"),
        (
            r"\bsd (?P<address>[\d:]+): (?P<reason>Device not ready): "
            r"|^\s*Additional sense: (?P<reason2>Logical unit not "
            r"ready, (?:hard reset|cause not|initializing|manual).*)"
        ),
        on_disk,
        joins=3,
    ),
    Pattern(
        "scsi:offline",
        ("DID_NO_CONNECT", "DID_BAD_TARGET", "Synchronize Cache(", "hostbyte=0x0"),
        (
            r"\b(?:sd|scsi) [\d:]+: \[(?P<device>sd\w+)\].*?(?:hostbyte=(?P<reason>DID_NO_CONNECT"
            r"|DID_BAD_TARGET|0x0[14]\b)"
            r"|(?P<reason2>Synchronize Cache\(\d+\) failed: Result: hostbyte=DID_ERROR))"
        ),
        on_disk,
    ),
    Pattern(
        "scsi:timeout",
        (
            "DID_TIME_OUT",
            "timing out command",
            "task abort",
            "abort!",
            "hostbyte=0x03",
            "driverbyte=0x06",
            "driverbyte=DRIVER_TIMEOUT",
        ),
        (
            r"\bsd (?P<address>[\d:]+):(?: \[(?P<device>sd\w+)\])?.*?(?P<reason>DID_TIME_OUT|hostbyte=0x03"
            r"|driverbyte=(?:0x06|DRIVER_TIMEOUT)|timing out command, "
            r"waited \S+|task abort: FAILED|attempting task abort)"
        ),
        on_disk,
    ),
    Pattern(
        "storage:path_error",
        ("DID_TRANSPORT_",),
        r"\b(?:sd|scsi) (?P<address>[\d:]+): \[(?P<via>sd\w+)\].*?hostbyte=(?P<reason>DID_TRANSPORT_\w+)",
        on_node,
        joins=20,
    ),
    Pattern(
        "scsi:transport_error",
        (
            "DID_ERROR",
            "DID_SOFT_ERROR",
            "DID_PARITY",
            "DID_ABORT",
            "Unaligned partial completion",
            "iuCRC",
            "arity error",
            "hostbyte=0x0",
        ),
        (
            r"\b(?:sd|scsi) (?P<address>[\d:]+):"
            r" \[(?P<device>sd\w+)\].*?(?P<reason>hostbyte=(?:DID_(?:ERROR|SOFT_ERROR|PARITY|ABORT)|0x0[567b]\b)"
            r"|Unaligned partial completion.*|Add\. Sense: .*(?:iuCRC|[Pp]arity) error.*)"
        ),
        on_disk,
        joins=10,
    ),
    Pattern(
        "scsi:offline",
        ("SCSI error", "SCSI disk error"),
        (
            r"(?:\bsd (?P<address>[\d:]+): )?(?P<reason>SCSI (?:disk )?error ?: .*?return code = (?:0x)?"
            r"(?P<result>[0-9a-f]{1,8})\b)"
        ),
        on_disk,
        refine=_refine_result,
    ),
    Pattern(
        "block:io_error",
        ("I/O error: dev ",),
        r"(?P<kind>I/O error): dev (?P<number>[\da-f]{2}:[\da-f]{2}), sector (?P<sector>\d+)",
        on_node,
        joins=20,
    ),
)

_MORE = (
    Pattern(
        "scsi:not_ready",
        ("Sense Key : Not Ready", "Logical unit not ready"),
        (
            r"\b(?:sd|scsi) (?P<address>[\d:]+): \[(?P<device>sd\w+)\].*?(?P<reason>Sense Key ?: Not Ready"
            r"|Logical unit not "
            r"ready, "
            r"(?:hard reset|cause not|initializing|manual).*)"
        ),
        on_disk,
        joins=3,
    ),
    Pattern(
        "md:read_corrected",
        ("read error corrected",),
        r"md/?\S*: ?(?P<reason>read error corrected \(\d+ sectors at (?P<sector>\d+) on (?P<device>\w+)\))",
        on_disk,
        joins=20,
    ),
    Pattern(
        "block:io_error",
        (
            "super_written gets error",
            "rescheduling sector",
            "-error on swap-device",
            "IO error on",
            "whilst initialising",
        ),
        (
            r"(?P<kind>md: super_written gets error.*|md/\S*: (?P<device>\w+): rescheduling sector \d+|(?:Read"
            r"|Write)-error on "
            r"swap-device.*|bcache: \S+ (?P<device2>\w+): IO error on .*)"
        ),
        on_disk,
        refine=lambda f: {**f, "device": f.get("device") or f.get("device2", "")},
    ),
)

PATTERNS: tuple[Pattern, ...] = (
    *_nvme_patterns.PATTERNS,
    *_usb_disk_patterns.PATTERNS,
    *_BLOCK,
    *_ata_patterns.PATTERNS,
    *_smart_patterns.PATTERNS,
    *_MORE,
    *_freebsd_patterns.PATTERNS,
)
