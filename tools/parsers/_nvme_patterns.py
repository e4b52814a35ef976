"""What NVMe drives and their driver print to the kernel log, over PCIe and over fabrics.

Known: drivers/nvme/host of Linux 3.10 (RHEL 7) to 6.14: core.c, pci.c, multipath.c, fabrics.c, tcp.c, rdma.c, fc.c.
"""

from __future__ import annotations

from tools.parsers._patterns import BDF, Fields, Pattern, on_disk


def _refine_timeout(fields: Fields) -> Fields | None:
    reaction = fields.get("reaction", "")
    if reaction.startswith("disable controller"):
        return {**fields, "code": "nvme:disabled"}  # it timed out again while it was being reset
    # The command had completed and only its interrupt was lost.
    return {**fields, "polled": "yes"} if "completion polled" in reaction else fields


def _refine_status(fields: Fields) -> Fields | None:
    status = f"{int(fields['sct'], 16):x}/{int(fields['sc'], 16):x}"
    if status.startswith(("0/2", "1/")) and status not in ("1/80",):
        return None  # a field or command that the drive does not know: asked wrongly, not broken
    return {**fields, "code": _NVME_STATUS.get(status, "block:io_error")}


PATTERNS: tuple[Pattern, ...] = (
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
        ("Timeout I/O ", "Cancelling I/O ", "Device shutdown incomplete", "Identify namespace failed"),
        rf"nvme (?:(?P<pci>{BDF})|(?P<device>nvme\d+)): (?P<reaction>Device shutdown incomplete"
        rf"|Identify namespace failed|(?:Timeout|Cancelling) I/O (?P<tag>\d+) QID (?P<qid>\d+))",
        on_disk,
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
            "Minimum device page size",
            "IO queues lost",
            "IO queues not created",
            "Could not set queue count",
            "Failed to configure AEN",
            "esetting controller due to",
        ),
        (
            rf"nvme (?:(?P<pci>{BDF})|(?P<device>nvme\d+)): (?P<reason>Device not ready; aborting \w+"
            rf"(?:, CSTS=(?P<csts>\w+))?|controller fatal status.*|Identify Controller failed.*"
            rf"|[Rr]eset fail(?:ure|ed).*|failed to mark controller.*"
            r"|Could not set queue count.*|IO queues (?:lost|not created).*"
            r"|[Rr]esetting controller due to persistent.*)"
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
            r"\b(?P<device>nvme\d+(?:(?:c\d+)?n\d+)?): (?P<command>[\w /]+)\(0x\w+\)(?: @ LBA (?P<lba>\d+), "
            r"(?P<blocks>\d+) blocks)?, (?P<reason>.*?) \(sct (?P<sct>0x[0-9a-fA-F]{1,8}) / sc"
            r" (?P<sc>0x[0-9a-fA-F]{1,8})\)"
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
