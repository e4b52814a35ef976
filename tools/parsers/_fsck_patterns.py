"""What the tools that check, mount, copy and measure drives print of trouble.

Known: e2fsprogs 1.3x to 1.47, xfsprogs 3 to 6, `mount` of util-linux 2.1x to 2.40, dd and badblocks, hdparm 6 to 9.
"""

from __future__ import annotations

from tools.parsers._patterns import Pattern, no_event, on_disk, on_node

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "fsck:damage",
        (
            "UNEXPECTED INCONSISTENCY",
            "RUN fsck MANUALLY",
            "un fsck manually",
            "short read while trying to open",
            "ad magic number in super-block",
            "superblock could not be read",
            "read superblock",
            "tructure needs cleaning",
            "primary superblock",
            "file system with errors",
            "filesystem still has errors",
            "orrupted. Run",
            "fatal error -- ",
            "has illegal block",
            "uperblock invalid",
            "epair the file system",
        ),
        (
            r"(?P<reason>UNEXPECTED INCONSISTENCY.*|.*[Rr](?:UN|un) fsck (?:MANUALLY|manually).*"
            r"|.*short read while trying to"
            r" open.*|.*[Bb]ad magic number in super-block.*|.*superblock could not be read.*|.*can't read superblock.*"
            r"|.*[Ss]tructure needs cleaning.*|.*bad primary superblock.*|.*contains a file system with errors.*"
            r"|.*filesystem still has errors.*|.*corrupted\. Run.*|fatal error -- .*|Inode \d+ .*has illegal block.*"
            r"|.*superblock invalid.*)"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "mount:refused",
        ("wrong fs type, bad option, bad superblock",),
        r"(?P<reason>wrong fs type, bad option, bad superblock on (?P<device>[^\s,;]+).*)",
        on_node,
    ),
    Pattern("", (" 0 bad blocks found",), r"Pass completed, 0 bad blocks found", on_node, refine=no_event),
    Pattern(
        "disk:read_failed",
        (
            "nput/output error",
            "bad blocks found",
            "rror reading block",
            "I/O error while",
        ),
        (
            r"(?P<reason>\b(?:dd|cat|cp|badblocks|hexdump|partclone"
            r"|ddrescue)\b.*?[`'\u2018 ](?P<device>/dev/[\w/-]+)['\u2019]?:"
            r" Input/output error.*|^\s*(?:Timing \w.*: )?\s*read\(\) failed: Input/output error"
            r"|Pass completed, [1-9]\d* bad "
            r"blocks found.*|Error reading block \d+ \((?:Attempt to read|Input/output).*"
            r"|.*HDIO_\w+(?:\(\w+\))? failed: "
            r"Input/output error.*|(?:fdisk|parted|Error|sfdisk|blkid|wipefs|mke2fs|mkfs\S*|fsck\S*|e2fsck)\S*: .*"
            r"(?P<device2>/dev/[\w/-]+)\b.*Input/output error.*)"
        ),
        on_disk,
        refine=lambda f: {**f, "device": f.get("device") or f.get("device2", "")},
        joins=20,
    ),
)
