"""What smartd, and the kernel in its place, say of a drive's own forecast: failing, unreadable sectors, heat.

Known: smartd.cpp of smartmontools 5.3x to 7.5, its mails and syslog lines, with and without the name of the program;
the SCSI sense "failure prediction threshold exceeded"; critical warnings of NVMe drives.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, on_disk

_DEVICE = r"(?:smartd\S*: )?Device: (?:/dev/)(?P<device>[\w/-]+)(?: \[(?P<unit>\w+_disk_\w+)\])?[^,]{0,80}, "
_HEAT = ("190 ", "194 ")
"""ATA attributes of temperature: a drive that is hot does not fail by that."""


def _refine_unit(fields: Fields) -> Fields | None:
    # Behind a RAID adapter all drives share one device node: 'bus/0 [megaraid_disk_07]'.
    return {**fields, "device": fields["unit"]} if fields.get("unit") else fields


def _refine_failed(fields: Fields) -> Fields | None:
    hot = fields.get("attribute", "").startswith(_HEAT)
    return _refine_unit({**fields, "code": "disk:hot"} if hot else fields)


HEAT_BIT = 0x02
"""Temperature, of the bits of an NVMe drive's critical warning (NVMe base specification, SMART log)."""


def _refine_warning(fields: Fields) -> Fields | None:
    bits = fields.get("bits", "")
    if bits and int(bits, 16) == 0:
        return None
    return {**fields, "code": "disk:hot"} if bits and int(bits, 16) == HEAT_BIT else fields


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "smart:failing",
        ("ailure prediction threshold exceeded", "FAILURE PREDICTION THRESHOLD", "Prediction threshold exceeded"),
        (
            r"(?:\bsd (?P<address>[\d:]+): \[(?P<device>sd\w+)\].*?|Device: (?P<file>/dev/\S+?),? .*?)?"
            r"(?P<reason>(?i:failure prediction threshold exceeded)[^\[]*)"
        ),
        on_disk,
        refine=lambda f: {**f, "device": f.get("device") or f.get("file", "").removeprefix("/dev/")},
    ),
    Pattern(
        "smart:failing",
        ("FAILED SMART self-check", "SMART Failure", "Failed SMART usage Attribute", "SMART Prefailure", "Smart Pred"),
        (
            _DEVICE + r"(?P<reason>FAILED SMART self-check.*|SMART Failure.*|Failed SMART usage Attribute: "
            r"(?P<attribute>\d+ \S+)|SMART Prefailure.*Failed.*|Smart Predictive.*)"
        ),
        on_disk,
        refine=_refine_failed,
    ),
    Pattern(
        "disk:pending_sectors",
        ("(pending) sectors", "ncorrectable sectors"),
        (
            _DEVICE + r"(?P<count>\d+) (?P<reason>(?:Currently unreadable \(pending\)|Total offline uncorrectable"
            r"|Offline uncorrectable) sectors)"
        ),
        on_disk,
        refine=_refine_unit,
    ),
    Pattern(
        "disk:self_test_failed",
        ("Self-Test Log error", "self-test completed with error", "self-test completed: read", "Self-test Log error"),
        (
            _DEVICE + r"(?P<reason>Self-[Tt]est Log error count increased.*|new Self-[Tt]est Log error.*"
            r"|previous self-test completed.*(?:error|fail).*)"
        ),
        on_disk,
        refine=_refine_unit,
    ),
    Pattern(
        "disk:error_count",
        ("error count increased",),
        _DEVICE + r"(?P<reason>ATA error count increased from (?P<was>\d+) to (?P<count>\d+))",
        on_disk,
        refine=_refine_unit,
    ),
    Pattern(
        "disk:hot",
        ("reached critical limit of",),
        _DEVICE + r"Temperature (?P<celsius>\d+) Celsius (?P<reason>reached critical limit of \d+ Celsius)",
        on_disk,
        refine=_refine_unit,
    ),
    Pattern(
        "nvme:critical_warning",
        ("ritical Warning (0x", "ritical warning"),
        (
            r"(?:\bnvme\W+(?P<device>nvme\d+)|Device: /dev/(?P<file>nvme\d+)).*?[Cc]ritical [Ww]arning:? ?"
            r"(?:\((?P<bits>0x[0-9a-fA-F]+)\))?:? ?(?P<warning>.*)"
        ),
        on_disk,
        refine=lambda f: _refine_warning({**f, "device": f.get("device") or f.get("file", "")}),
    ),
    Pattern(
        "disk:no_answer",
        (
            "unable to open",
            "open() failed",
            "open() of",
            "device: No such device",
            "failed to read SMART",
            "Self-Test Log Failed",
        ),
        (
            _DEVICE + r"(?P<reason>unable to open.*|open\(\) (?:of \S+ device )?failed.*|removed \S+ device.*"
            r"|failed to read SMART.*|Read SMART Self-Test Log Failed.*|failed to read NVMe.*)"
        ),
        on_disk,
        refine=_refine_unit,
    ),
    Pattern(
        "disk:pending_sectors",
        ("SMART error (",),
        r"(?P<reason>SMART error \((?:CurrentPendingSector|OfflineUncorrectableSector)\))(?: detected on host: "
        r"(?P<node>[\w.-]+))?",
        on_disk,
    ),
    Pattern(
        "smart:failing",
        ("SMART error (",),
        r"(?P<reason>SMART error \((?:Health|FailedHealthCheck|Usage)\))(?: detected on host: (?P<node>[\w.-]+))?",
        on_disk,
    ),
)
