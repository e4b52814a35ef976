"""What software RAID and multipath print: md, mdadm, device-mapper multipath.

Known: Linux 3.10 (RHEL 7) to 6.14, mdadm 3.2 to 4.3.
"""

from __future__ import annotations

from tools.parsers._patterns import Pattern, on_disk, on_node

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "md:degraded",
        ("Disk failure on ", "isk failure on", "kicking non-fresh", "Fail event"),
        (
            r"(?:md/?\S*?:?(?P<array>md\w+)?: )?(?P<reason>Disk failure on|kicking non-fresh|Fail "
            r"event detected on md device) (?P<device>[\w/!-]+)"
        ),
        on_disk,
    ),
    Pattern(
        "md:degraded",
        (" out of ",),
        (
            r"md/raid\w*:(?P<array>md\w+): (?:raid level \d+ )?active with (?P<active>\d+) out of "
            r"(?P<members>\d+) (?:mirrors|devices)"
        ),
        on_node,
        refine=lambda f: f if int(f["active"]) < int(f["members"]) else None,
    ),
    Pattern(
        "md:degraded", ("DegradedArray event",), r"DegradedArray event detected on md device (?P<array>\S+)", on_node
    ),
    Pattern(
        "multipath:path_failed",
        ("ailing path", "remaining active paths: 0"),
        (
            r"(?P<device>\S+): (?:[Ff]ail(?:ing|ed) path (?P<path>\S+?)\.?$|remaining active paths: "
            r"(?P<left>0))|device-mapper: multipath: .*Failing path (?P<path2>\S+?)\.?$"
        ),
        on_node,
    ),
    Pattern(
        "block:medium_error",
        ("read error not correctable", "unrecoverable I/O", "unrecoverable block read", "Unrecovered read error"),
        (
            r"md\S*: (?:(?P<device>\w+): )?(?P<reason>read error not correctable(?: \(sector (?P<sector>\d+) on "
            r"(?P<device2>\w+)\))?|unrecoverable (?:I/O|block).*)"
        ),
        on_disk,
        refine=lambda f: {**f, "device": f.get("device2") or f.get("device", "")},
    ),
    Pattern(
        "md:degraded",
        (
            "dirty degraded array",
            "not enough operational",
            "FailSpare event",
            "RebuildFailed",
            "Cannot continue operation",
        ),
        (
            r"(?:md/?\S*?:?(?P<array>md\w+)?: )?(?P<reason>cannot start dirty degraded array.*|not enough operational "
            r"(?:devices|mirrors).*|FailSpare event.*|Cannot continue operation.*)"
        ),
        on_node,
    ),
)
