"""What libata, and the IDE layer before it, print to the kernel log about SATA and PATA drives.

Known: drivers/ata of Linux 2.6.18 to 6.14: libata-{eh,core,sata}.c, libahci.c; ide-dma of 2.4 and 2.6.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, no_event, on_disk

_PORT = r"\b(?P<device>ata\d+(?:\.\d+)?)"


def _refine_fault(fields: Fields) -> Fields | None:
    # DF is the drive's own "device fault"; an aborted command alone may be one that the drive does not know.
    return {**fields, "code": "block:io_error"} if "DF" in fields.get("bits", "") else fields


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "ata:media_error",
        ("{ UNC", "(media error)", "UncorrectableError", "{ IDNF", "{ AMNF", "SectorIdNotFound"),
        (
            r"\b(?P<device>ata\d+(?:\.\d+)?|hd[a-z]): .*?\{ ?(?:\w+ )*(?P<bits>(?:UNC|IDNF|AMNF|UncorrectableError"
            r"|SectorIdNotFound)\w*)(?: \w+)* ?\}|(?P<rest>res .*Emask \w+ \(media error\))"
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
        # AC_ERR_ATA_BUS of include/linux/libata.h; the port is meant, whatever of its drives is named.
        "ata:link_error",
        ("exception Emask 0x1", "interface fatal error"),
        r"\b(?P<device>ata\d+)(?:\.\d+)?: (?P<reason>exception Emask 0x1\d .*|.*interface fatal error.*)",
        on_disk,
        joins=6,
    ),
    Pattern(
        "scsi:timeout",
        ("qc timeout", "Emask 0x4 (timeout)"),
        rf"(?:{_PORT}: )?.*?(?P<reason>qc timeout.*|Emask 0x4 \(timeout\))",
        on_disk,
    ),
    Pattern(
        "scsi:offline",
        (": disabled", "disable device", ": disabling"),
        rf"{_PORT}: (?P<reason>disabled|disable device|disabling)$",
        on_disk,
    ),
    Pattern(
        "scsi:offline",
        (
            "reset failed, giving up",
            "failed to recover link",
            "failed to recover some devices",
            "device detached",
            "revalidation failed",
            "NODEV after polling detection",
            "tries, giving up",
        ),
        (
            rf"{_PORT}: (?P<reason>reset failed, giving up|failed to recover (?:link|some devices).*"
            r"|revalidation failed.*|NODEV after polling detection|EH pending after \d+ tries, giving up)"
        ),
        on_disk,
    ),
    Pattern(
        "scsi:timeout",
        (
            "lost interrupt",
            "softreset failed",
            "hardreset failed",
            "failed to IDENTIFY",
            "device not ready (errno=-16)",
            "failed to enable AA",
        ),
        (
            # Behind port multipliers and on many chips the first soft reset finds no device, and the next one does.
            rf"(?:{_PORT}|\b(?P<drive>hd[a-z])): (?P<reason>lost interrupt.*|(?:soft|hard)reset failed"
            r"(?! \(device not ready\)).*"
            r"|failed to IDENTIFY.*)"
        ),
        on_disk,
        refine=lambda f: {**f, "device": f.get("device") or f.get("drive", "")},
    ),
    Pattern(
        # Quirks of chips and drives that the driver works around, and ACPI commands that a drive refuses.
        "ata:device_error",
        (
            "softreset failed (device not ready)",
            "applying PMP SRST",
            "HPA support seems broken",
            "rejected by device (Stat",
            "filtered out",
        ),
        (
            rf"{_PORT}: (?:softreset failed \(device not ready\)|applying PMP SRST workaround.*|HPA support seems.*"
            r"|ACPI cmd \S+ \(.*\) (?:rejected by device|filtered out).*)"
        ),
        on_disk,
        refine=no_event,
    ),
    Pattern(
        "ata:device_error",
        ("(device error)", "status: { DRDY DF", "(HSM violation)"),
        rf"(?:{_PORT}: )?.*?(?P<reason>\((?:device error|HSM violation)\)|status: \{{ (?P<bits>DRDY DF[^}}]*)\}})",
        on_disk,
        refine=_refine_fault,
        joins=6,
    ),
)
