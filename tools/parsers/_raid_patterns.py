"""What software RAID and multipath print: md, mdadm and its mails, device-mapper, multipathd.

Known: Linux 2.6.18 to 6.14: drivers/md/{md,raid1,raid10,raid5,dm-mpath,dm-raid,dm-raid1,dm-thin,dm-snap,dm-integrity,
dm-crypt,dm-verity}.c; Monitor.c of mdadm 2.6 to 4.3; multipath-tools 0.4.9 to 0.11.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, no_event, on_disk, on_node


def _refine_members(fields: Fields) -> Fields | None:
    return fields if int(fields["active"]) < int(fields["members"]) else None


def _refine_alias(fields: Fields) -> Fields | None:
    """The member is named rather than the array, where both are."""
    kept = {name: value for name, value in fields.items() if name != "device2"}
    return {**kept, "device": fields.get("device2") or fields.get("device", "")}


def _name_hop(fields: Fields) -> Fields | None:
    # What says that a path is back must find the failure again: by the path, or by the map where no path is named.
    place = next((fields[name] for name in ("hop", "hop2", "hop3", "map", "map2") if fields.get(name)), "")
    return {**fields, "server": place}


_MD = (
    Pattern(
        "md:failed",
        (
            "failing array",
            "dirty degraded array",
            "not enough operational",
            "Cannot continue operation",
            "failed to run raid set",
        ),
        (
            r"(?:(?:md|raid)/?\S*?:?(?P<array>md\w+)?: ?)?(?P<reason>(?:Disk failure on (?P<device>\w+) .*failing array"
            r"|cannot start dirty degraded array|not enough operational (?:devices|mirrors)|Cannot continue operation"
            r"|failed to run raid set).*)"
        ),
        on_disk,
    ),
    Pattern(
        "md:degraded",
        ("isk failure on ", "kicking non-fresh", "Fail event", "FailSpare event", "failing device ", "Faulty"),
        (
            r"(?:(?:md/?\S*?|raid\d+):?(?P<array>md\w+)?: ?)?(?P<reason>[Dd]isk failure on|kicking non-fresh|Fail "
            r"event detected on md device|FailSpare event detected on md device|Too many read errors, failing device) "
            r"(?:/dev/)?(?P<device>[\w/!-]+)(?:,? component device (?:/dev/)?(?P<device2>\w+))?"
        ),
        on_disk,
        refine=_refine_alias,
    ),
    Pattern(
        "md:degraded",
        (" out of ",),
        (
            r"(?:md/raid\w*:(?P<array>md\w+)|raid\d+: raid set (?P<array2>md\w+)|raid\d+): (?:raid level \d+ )?(?:set "
            r"\S+ )?active with (?P<active>\d+) out of (?P<members>\d+) (?:mirrors|devices)"
        ),
        on_node,
        refine=_refine_members,
    ),
    Pattern(
        "md:degraded",
        ("DegradedArray event", "DeviceDisappeared event", "DegradedArray", "Fail event had been"),
        (
            r"(?P<reason>DegradedArray|DeviceDisappeared|Fail) event (?:detected|had been detected) on md device "
            r"(?P<array>[\w/.:-]+)"
        ),
        on_node,
    ),
    Pattern(
        "md:degraded",
        ("could be related to component device",),
        r"It could be related to component device (?:/dev/)?(?P<device>\w+)",
        on_disk,
    ),
    Pattern(
        "block:medium_error",
        ("read error not correctable", "unrecoverable I/O", "unrecoverable block read", "Unrecovered read error"),
        (
            r"(?:md|raid)\S*: (?:(?P<device>\w+): )?(?P<reason>read error (?:NOT|not) correct(?:able|ed)!{0,2}"
            r"(?: \(sector (?P<sector>\d+) on (?P<device2>\w+)\))?|unrecoverable (?:I/O|block).*)"
        ),
        on_disk,
        refine=_refine_alias,
    ),
    Pattern(
        "md:degraded",
        ("dm-raid", "device-mapper: raid", "raid1: Mirror", "dmeventd", "lvm["),
        (
            r"device-mapper: (?P<reason>raid1?: (?:Device \d+ .*failed.*|Failed to read superblock.*|Mirror .*failed.*"
            r"|.*read failure occurred.*|Unable to read primary mirror.*|All mirror devices have failed.*))"
            r"|dmeventd\S*: (?P<reason2>.*(?:has failed|is now degraded|Device #\d+ of raid\w* array.*failed).*)"
        ),
        on_node,
    ),
)

_MULTIPATH = (
    Pattern(
        "multipath:paths_left",
        ("remaining active paths: ",),
        r"(?P<map>[\w.-]+): remaining active paths: (?P<active>[1-9]\d*)",
        on_node,
    ),
    Pattern(
        # A local drive without an identity is none that multipath could serve.
        "multipath:paths_left",
        (
            "add missing path",
            "ailed to get udev uid",
            "ailed to get sysfs uid",
            "ailed to get sgio uid",
            "set, blacklisted",
        ),
        r"(?:\bmultipathd?\S*: )?(?P<hop>\w+): (?:add missing path|failed to get (?:udev|sysfs|sgio) uid.*"
        r"|.*blacklisted)",
        on_node,
        refine=no_event,
    ),
    Pattern(
        "multipath:path_ok",
        ("einstating path", "path is up", "reinstated"),
        (
            r"multipath: (?:\S+ )?Reinstating path (?P<hop>\d+:\d+)|\b(?P<hop2>\d+:\d+|sd[a-z]+): reinstated"
            r"|(?P<map>[\w.-]+): (?P<hop3>\w+) - .*path is up"
        ),
        on_node,
        refine=_name_hop,
    ),
    Pattern(
        "multipath:path_failed",
        (
            "ailing path",
            "ailed path",
            "active paths: 0",
            "ail all paths",
            "checker timed out",
            "checker report",
            "mark as failed",
        ),
        (
            r"(?P<map>[\w.-]+): (?P<reason>remaining active paths: (?P<left>0)|[Ff]ail all paths)"
            r"|[Ff]ail(?:ing|ed) path (?P<hop>\d+:\d+|\w+)|(?P<map2>[\w.-]+): (?P<hop2>\w+) - .*checker (?:timed out"
            r"|report\w+ path is (?:down|faulty|shaky))|\b(?P<hop3>[\d:]+): mark as failed"
        ),
        on_node,
        refine=_name_hop,
    ),
)

_MAPPER = (
    Pattern(
        "limit:disk_space",
        (
            "out-of-data-space",
            "nvalidating snapshot",
            "eached low water mark",
            "no free data space",
            "no free metadata space",
            "no free space",
            "is now 9",
            "is now 100",
        ),
        (
            r"device-mapper: (?P<reason>thin: .*(?:out-of-data-space|no free (?:data |metadata )?space|reached"
            r" low water "
            r"mark).*|snapshots: Invalidating snapshot: Unable to allocate exception.*)|(?:dmeventd|lvm)\S*:"
            r" (?P<reason2>"
            r"(?:WARNING: )?(?:Thin|Snapshot|thin pool|Thin pool).*(?:is now (?:9\d|100)[.\d]*% full|out of space).*)"
        ),
        on_node,
    ),
    Pattern(
        "block:medium_error",
        ("Checksum failed at sector", "INTEGRITY AEAD ERROR", "hecksum failed at sector"),
        (
            r"device-mapper: (?:integrity|crypt): (?P<device>[\w-]+:)? ?(?P<reason>Checksum failed at sector.*"
            r"|INTEGRITY AEAD ERROR.*)"
        ),
        on_node,
    ),
    Pattern(
        "fs:error",
        ("device-mapper: ",),
        (
            r"device-mapper: (?P<reason>(?:thin|space map \w+|btree\w*|block manager|cache\w*|raid|snapshots\w*|era"
            r"|writecache|persistent snapshot): .*(?:failed|error|corrupt|[Ii]nvalidating|read-only mode|READ_ONLY).*"
            r"|verity.*(?:is corrupted|corruption).*)"
        ),
        on_node,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_MD, *_MULTIPATH, *_MAPPER)
