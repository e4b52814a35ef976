"""What disks and their drivers print to the kernel log: nvme, block layer, sd, libata, SAS adapters, md, multipath.

Known: Linux 3.10 (RHEL 7) to 6.14, mpt2sas/mpt3sas, megaraid_sas, hpsa, smartpqi.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import BDF, Fields, Pattern, on_disk, on_node

_NOT_DRIVES = re.compile(r"^(?:fd|sr|cdrom|zram|ram)\d")
"""Media that are no part of a node: the virtual drives of a console, floppies, disks in memory."""


def _refine_timeout(fields: Fields) -> Fields | None:
    # The command had completed and only its interrupt was lost.
    return {**fields, "polled": "yes"} if "completion polled" in fields.get("reaction", "") else fields


def _refine_status(fields: Fields) -> Fields | None:
    status = f"{int(fields['sct'], 16):x}/{int(fields['sc'], 16):x}"
    if status.startswith(("0/2", "1/")) and status not in ("1/80",):
        return None  # a field or command that the drive does not know: asked wrongly, not broken
    return {**fields, "code": _NVME_STATUS.get(status, "block:io_error")}


def _refine_disk(fields: Fields) -> Fields | None:
    return {**fields, "code": "block:removable_error"} if _NOT_DRIVES.match(fields.get("device", "")) else fields


_NVME = (
    Pattern(
        "nvme:timeout",
        ("QID ",),
        (
            rf"nvme (?:(?P<pci>{BDF})|(?P<device>nvme\d+)|(?P<fabric>\S+)):? I/O (?:tag )?(?P<tag>\d+)"
            rf"(?: \([^)]*\))?(?: opcode (?P<opcode>\S+))?(?: \((?P<queue>[^)]*)\))? QID (?P<qid>\d+)"
            rf"(?: \w+)* timeout, (?P<reaction>[\w ]+)"
        ),
        on_disk,
        refine=_refine_timeout,
    ),
    Pattern(
        "nvme:timeout",
        ("I/O Cmd", "Admin Cmd", "QID "),
        (r"nvme (?P<device>nvme\d+): I/O .*?QID (?P<qid>\d+).*? (?:timeout|timed out)(?:, " r"(?P<reaction>[\w ]+))?"),
        on_disk,
        refine=_refine_timeout,
    ),
    Pattern(
        "nvme:timeout",
        ("controller is down; will reset",),
        (
            rf"nvme (?:(?P<pci>{BDF})|(?P<device>nvme\d+)): (?P<reaction>controller is down; will "
            rf"reset)(?:: CSTS=(?P<csts>\w+))?(?:, PCI_STATUS=(?P<pci_status>\w+))?(?P<rest>.*)"
        ),
        on_disk,
    ),
    Pattern(
        "nvme:timeout",
        ("Abort status:",),
        r"nvme (?P<device>nvme\d+): Abort status: (?P<abort_status>\w+)",
        on_disk,
        joins=40,
        attaches=True,
    ),
    Pattern(
        "nvme:reset_failed",
        (
            "Device not ready; aborting",
            "controller fatal status",
            "Device shutdown incomplete",
            "failed to set controller",
            "Identify Controller failed",
            "Reset failure",
            "reset failed",
            "failed to mark controller",
            "Could not set queue count",
            "Minimum device page size",
        ),
        (
            rf"nvme (?:(?P<pci>{BDF})|(?P<device>nvme\d+)): (?P<reason>Device not ready; aborting \w+"
            rf"(?:, CSTS=(?P<csts>\w+))?|controller fatal status.*|Identify Controller failed.*"
            rf"|[Rr]eset fail(?:ure|ed).*|failed to mark controller.*|Could not set queue count.*)"
        ),
        on_disk,
    ),
    Pattern(
        "nvme:disabled",
        ("isabling device after reset failure", "Disabling controller", "isabling dead controller"),
        (
            rf"nvme (?:(?P<pci>{BDF})|(?P<device>nvme\d+)): (?P<reason>Disabling (?:device after reset "
            rf"failure|(?:dead )?controller.*?)): ?(?P<error>-?\d+)?"
        ),
        on_disk,
    ),
    Pattern(
        "nvme:removed",
        ("emoving after probe failure", "emoving dead controller", "failed with error -"),
        (
            rf"nvme:? (?:(?P<device>nvme\d+)|(?:probe of )?(?P<pci>{BDF})):?(?: probe)?(?: with driver "
            rf"nvme)? (?P<reason>Removing after probe failure|Removing dead controller|failed with "
            rf"error)(?: status)?:? ?(?P<error>-?\d+)?"
        ),
        on_disk,
    ),
    Pattern(
        "nvme:removed",
        ("to 0",),
        r"(?P<device>nvme\d+n\d+): detected capacity change from (?P<was>[1-9]\d*) to 0\b",
        on_disk,
    ),
    Pattern(
        "",
        ("(sct 0x",),
        (
            r"\b(?P<device>nvme\d+(?:c\d+)?n\d+): (?P<command>[\w /]+)\(0x\w+\) @ LBA (?P<lba>\d+), (?P<blocks>\d+) "
            r"blocks, "
            r"(?P<reason>.*?) \(sct (?P<sct>0x\w+) / sc (?P<sc>0x\w+)\)"
        ),
        on_disk,
        refine=_refine_status,
    ),
    Pattern(
        "nvme:reset_failed",
        ("frozen state error detected", "Failed to get ANA log", "Aborting I/O", "failed to reset"),
        r"nvme (?:(?P<pci>[0-9a-f:.]{7,13})|(?P<device>nvme\d+)): (?P<reason>frozen state error detected.*|failed to "
        r"reset.*)",
        on_disk,
    ),
    Pattern(
        "nvme:no_path",
        ("no available path", "no usable path"),
        r"block (?P<device>nvme\w+): (?P<reason>no (?:available|usable) path\b.*)",
        on_disk,
    ),
    Pattern(
        "nvme:critical_warning",
        ("ritical warning",),
        r"nvme\W+(?P<device>nvme\d+).*?[Cc]ritical warning:? ?(?P<warning>.*)",
        on_disk,
    ),
)

_NVME_STATUS = {"2/81": "block:medium_error", "2/80": "block:medium_error"}
"""Status code type and code of unrecovered read and write faults (NVMe base specification, media errors)."""

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
        ("offline device", "evice offline", "evice offlined"),
        (
            r"(?:\b(?:sd|scsi) (?P<address>\d+:\d+:\d+:\d+): (?:\[(?P<device>sd\w+)\] )?.*?"
            r"|(?P<target>scsi[\d ]*\(?[\d:]+\)?): )?"
            r"(?P<reason>rejecting I/O to offline device|[Dd]evice offlined? - not ready.*|[Dd]evice "
            r"offline error, dev (?P<device2>\w+).*)"
        ),
        on_disk,
        refine=lambda f: {
            **{k: v for k, v in f.items() if k != "device2"},
            **({"device": f["device2"]} if "device2" in f else {}),
        },
    ),
    Pattern(
        "block:io_error",
        ("error, dev ",),
        (
            r"(?P<kind>I/O error|critical \w+(?: \w+)? error|(?:recoverable transport|protection"
            r"|timeout|zone \w+|unknown) error|\w+ error), dev (?P<device>[\w!-]+), sector "
            r"(?P<sector>\d+)(?: op (?P<op>\S+))?"
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
        (": [sr",),
        r"\bsr [\d:]+: \[(?P<device>sr\d+)\].*?(?P<reason>FAILED Result.*|Sense Key.*|Add\. Sense.*)",
        on_disk,
        joins=4,
    ),
    Pattern(
        "scsi:sense_medium",
        ("Sense Key : ", "Sense Key: "),
        r"\bsd [\d:]+: \[(?P<device>sd\w+)\].*?Sense Key ?: (?P<key>Medium Error|Hardware Error)",
        on_disk,
        joins=3,
    ),
    Pattern(
        "scsi:sense_medium",
        ("Add. Sense: ", "ASC=", "Additional sense"),
        r"\bsd [\d:]+: \[(?P<device>sd\w+)\].*?(?:Add\. Sense|Additional sense): (?!Failure pred|Logical unit "
        r"not)(?P<sense>.*)",
        on_disk,
        joins=3,
        attaches=True,
    ),
    Pattern(
        "scsi:offline",
        ("DID_NO_CONNECT", "DID_BAD_TARGET"),
        r"\bsd [\d:]+: \[(?P<device>sd\w+)\].*?hostbyte=(?P<reason>DID_NO_CONNECT|DID_BAD_TARGET)",
        on_disk,
    ),
    Pattern(
        "scsi:timeout",
        ("DID_TIME_OUT", "timing out command", "task abort", "abort!"),
        (
            r"\bsd (?P<address>[\d:]+):(?: \[(?P<device>sd\w+)\])?.*?(?P<reason>DID_TIME_OUT|timing out command, "
            r"waited \S+|task abort: FAILED|attempting task abort)"
        ),
        on_disk,
    ),
    Pattern(
        "ata:media_error",
        ("{ UNC", "(media error)"),
        (
            r"\b(?P<device>ata\d+(?:\.\d+)?|hd[a-z]): .*?\{ ?(?:\w+ )*UNC\w* ?\}|(?P<rest>res .*Emask "
            r"\w+ \(media error\))"
        ),
        on_disk,
        joins=4,
    ),
    Pattern(
        "ata:link_error",
        (
            "ICRC",
            "hard resetting link",
            "SError: {",
            "COMRESET failed",
            "limiting SATA link speed",
            "link is slow to respond",
            "(ATA bus error)",
            "BadCRC",
        ),
        (
            r"(?:\b(?P<device>ata\d+(?:\.\d+)?|hd[a-z]): )?.*?(?P<reason>\{ ?(?:\w+ )*(?:ICRC|BadCRC)"
            r"(?: \w+)* ?\}|hard resetting link|SError: \{[^}]*\}|COMRESET failed.*|limiting SATA "
            r"link speed to \S+|link is slow to respond|\(ATA bus error\))"
        ),
        on_disk,
        joins=6,
    ),
    Pattern(
        "scsi:timeout",
        ("qc timeout", "Emask 0x4 (timeout)"),
        r"(?:\b(?P<device>ata\d+(?:\.\d+)?): )?.*?(?P<reason>qc timeout.*|Emask 0x4 \(timeout\))",
        on_disk,
    ),
    Pattern(
        "scsi:offline",
        (": disabled", "disable device"),
        r"\b(?P<device>ata\d+\.\d+): (?P<reason>disabled|disable device)$",
        on_disk,
    ),
)

_MORE = (
    Pattern(
        "scsi:not_ready",
        ("Sense Key : Not Ready", "Logical unit not ready"),
        (
            r"\bsd (?P<address>[\d:]+): \[(?P<device>sd\w+)\].*?(?P<reason>Sense Key ?: Not Ready|Logical unit not "
            r"ready, "
            r"(?:hard reset|cause not|initializing|manual).*)"
        ),
        on_disk,
        joins=3,
    ),
    Pattern(
        "smart:failing",
        ("ailure prediction threshold exceeded", "FAILURE PREDICTION THRESHOLD", "Prediction threshold exceeded"),
        (
            r"(?:\bsd (?P<address>[\d:]+): \[(?P<device>sd\w+)\].*?|Device: (?P<path>/dev/\S+?),? .*?)?"
            r"(?P<reason>(?i:failure prediction threshold exceeded)[^\[]*)"
        ),
        on_disk,
        refine=lambda f: {**f, "device": f.get("device") or f.get("path", "").removeprefix("/dev/")},
    ),
    Pattern(
        "smart:failing",
        ("SMART overall-health", "FAILED SMART self-check", "SMART Failure", "SMART Prefailure", "Smart Predictive"),
        (
            r"smartd\S*: Device: /dev/(?P<device>[\w/-]+).*?(?P<reason>FAILED SMART self-check.*|SMART Failure.*"
            r"|SMART Prefailure.*Failed.*|Smart Predictive.*)"
        ),
        on_disk,
    ),
    Pattern(
        "disk:pending_sectors",
        ("(pending) sectors", "ncorrectable sectors"),
        (
            r"smartd\S*: Device: /dev/(?P<device>[\w/-]+).*?(?P<count>\d+) (?P<reason>(?:Currently unreadable "
            r"\(pending\)"
            r"|Offline uncorrectable) sectors)"
        ),
        on_disk,
    ),
    Pattern(
        "scsi:offline",
        (
            "reset failed, giving up",
            "failed to recover link",
            "device detached",
            "(device not ready)",
            "revalidation failed",
        ),
        (
            r"\b(?P<device>ata\d+(?:\.\d+)?): (?P<reason>reset failed, giving up|failed to recover link.*"
            r"|revalidation failed.*)"
        ),
        on_disk,
    ),
    Pattern(
        "scsi:timeout",
        ("lost interrupt", "softreset failed", "hardreset failed", "failed to IDENTIFY", "failed to read log page"),
        r"\b(?P<device>ata\d+(?:\.\d+)?): (?P<reason>lost interrupt.*|(?:soft|hard)reset failed.*|failed to "
        r"IDENTIFY.*)",
        on_disk,
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

PATTERNS: tuple[Pattern, ...] = (*_NVME, *_BLOCK, *_MORE)
