"""What local file systems print to the kernel log.

Known: Linux 2.6.18 to 6.14: ext2/3/4, ldiskfs, XFS, F2FS, FAT, GFS2, OCFS2; those with drives of their own (Btrfs,
ZFS, bcachefs) have a table of their own.
"""

from __future__ import annotations

import re

from tools.parsers import _pool_patterns, _space_patterns
from tools.parsers._patterns import Fields, Pattern, on_node

_STICKS = frozenset({"FAT-fs", "exFAT-fs", "NTFS-fs", "ntfs3"})
_NO_TROUBLE = re.compile(
    r"(?i)errors=|error count since|(?:initial|last) error at time|orphan|recovery complete|mounted filesystem"
    r"|Can't find"
)
"""What mount says of old errors and of options: the counters stay until the next check of the file system."""
_NO_SPACE = re.compile(r"error (?:-?28|ENOSPC)\b|[Nn]o space(?! for directory)|may run out of space")
"""ENOSPC: a full file system, not a broken one."""


def _refine_ext(fields: Fields) -> Fields | None:
    if _NO_TROUBLE.search(fields["reason"]):
        return None
    code = "limit:disk_space" if _NO_SPACE.search(fields["reason"]) else "fs:error"
    return {**fields, "reason": fields["reason"].lstrip(": "), "code": code}


def _mark_stick(fields: Fields) -> Fields | None:
    """FAT and its like are what sticks and cards carry; no node computes on one."""
    return {**fields, "removable": "yes"} if fields.get("type", "") in _STICKS else fields


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "fs:readonly",
        (
            "emounting filesystem read-only",
            "forced readonly",
            "emount read-only",
            "emounting read-only",
            "ead-only file system",
            "emounted read-only",
            "mergency read only",
            "mergency read-only",
        ),
        (
            r"(?:(?P<type>EXT\d-fs|XFS|F2FS-fs|FAT-fs|bcachefs|BTRFS(?: \w{1,16})?)[ :]*\(?(?:device )?"
            r"(?P<device>[\w.-]{1,32})\b.*?)?(?:[Rr]emount(?:ing|ed) (?:filesystem )?read-only|forced readonly"
            r"|[Ee]mergency read[ -]only"
            r"|[Rr]ead-only file system)"
        ),
        on_node,
    ),
    Pattern(
        "fs:shutdown_requested",
        ("ser initiated shutdown",),
        r"(?P<type>XFS|EXT4-fs|F2FS-fs) \((?P<device>[^)]{1,64})\): [Uu]ser initiated shutdown",
        on_node,
    ),
    Pattern(
        "fs:shutdown",
        ("hutting down filesystem", "xfs_do_force_shutdown", "has been shut down", "has been suspended"),
        (
            r"(?:(?P<type>XFS) \((?P<device>[^)]+)\): )?.*?(?P<reason>[Ss]hutting down filesystem"
            r"|xfs_do_force_shutdown.*|[Ff]ilesystem has been shut down.*|[Pp]ool '(?P<pool>[^']+)' "
            r"has encountered an uncorrectable I/O failure)"
        ),
        on_node,
        joins=6,
    ),
    Pattern(
        "fs:error",
        (
            "EXT2-fs error",
            "EXT3-fs error",
            "EXT4-fs error",
            "EXT2-fs (",
            "EXT3-fs (",
            "EXT4-fs (",
            "EXT3-fs:",
            "LDISKFS-fs",
        ),
        (
            r"(?P<type>EXT\d-fs|LDISKFS-fs)(?: error)? \((?:device )?(?P<device>[\w.-]+)\)(?P<reason>(?<=\)): .*"
            r"(?:error|corrupt|abort|failed|unable to read|bad )(?!s=).*|: \w+:\d+: .*|(?: in)? "
            r".*error.*)"
        ),
        on_node,
        refine=_refine_ext,
    ),
    Pattern(
        "fs:error",
        (
            "JBD2: Error",
            "borting journal",
            "JBD: ",
            "journal commit I/O error",
            "journal has aborted",
            "JBD2: Detected IO errors",
            "JBD2: recovery failed",
        ),
        (
            r"(?P<type>JBD2?|EXT\d-fs|journal)?.*?(?P<reason>Error -\d+ detected when updating "
            r"journal.*|[Aa]borting journal on device (?P<device>[\w.-]+)|journal commit I/O error"
            r"|Detected IO errors while flushing.*|recovery failed|[Jj]ournal has aborted)"
        ),
        on_node,
    ),
    Pattern(
        "fs:error",
        ("XFS (", "XFS: "),
        (
            r"XFS(?: \((?P<device>[^)]+)\))?: (?P<reason>.*(?:[Cc]orruption|I/O [Ee]rror|log I/O error"
            r"|Please unmount|[Mm]etadata I/O|Internal error|unmount and run xfs_repair|failed to read"
            r"|[Ff]ailing async write|log mount failed|SB validate failed|[Ww]riteback error|[Ii]nvalid superblock"
            r"|crc error|page discard on page|log recovery.*(?:failed|error)|xfs_log_force: error"
            r"|may run out of space).*)"
        ),
        on_node,
        refine=_refine_ext,
    ),
    Pattern(
        "fs:error",
        ("EXT4-fs warning", "EXT3-fs warning", "ext4_end_bio", "Delayed block allocation failed", "Data will be lost"),
        (
            r"(?P<type>EXT\d-fs) (?:warning )?\((?:device )?(?P<device>[\w.-]+)\): (?:\w+:\d+: )?(?P<reason>I/O error.*"
            r"|Delayed block allocation failed.*|This should not happen.*|failed to convert.*|.*comm \S+: error -\d+.*"
            r"|.*(?:error (?:-?\d+ )?reading|directory (?:leaf )?block|checksum|corrupt|missing EOCD|[Ii]nvalid).*)"
        ),
        on_node,
        refine=_refine_ext,
        joins=4,
    ),
    Pattern(
        "fs:error",
        (
            "SQUASHFS error",
            "FAT-fs (",
            "exFAT-fs (",
            "NTFS-fs error",
            "ntfs3(",
            "ntfs3: ",
            "EROFS",
            "erofs",
            "JFS: ",
            "JFS:",
            "overlayfs: ",
            "GFS2: ",
            "OCFS2: ",
            "ReiserFS",
        ),
        (
            r"(?P<type>SQUASHFS|FAT-fs|exFAT-fs|NTFS-fs|ntfs3|GFS2|OCFS2|ReiserFS|EROFS|erofs|JFS)(?: error)? ?(?:\("
            r"(?:device )?(?P<device>[^)]+)\))?:? ?(?P<reason>(?!.*not properly unmounted).*(?:error|corrupt|withdraw"
            r"|inconsist|[Ff]ailed to (?:read|load|initialize)).*)"
        ),
        on_node,
        refine=_mark_stick,
    ),
    Pattern(
        "fs:error",
        ("F2FS-fs (", "F2FS-fs: "),
        (
            r"(?P<type>F2FS-fs):? ?\((?P<device>[^)]+)\)(?: ?:)? ?(?P<reason>(?!.*(?:inject|Magic Mismatch"
            r"|Can't find valid))"
            r".*(?:[Ii]nconsisten|[Ii]nvalid blkaddr|Stopped filesystem|sanity.check|[Ee]rror|[Cc]orrupt|[Ww]rong \w+_"
            r"|Failed to (?:get|read|load|init|recover)|I/O error).*)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "limit:disk_space",
        ("garbage collect required amount of images", "freed only", "reclaim ephemeral-storage"),
        (
            r"(?P<reason>[Ff]ailed to garbage collect required amount of images.*|attempting to reclaim "
            r"ephemeral-storage.*)"
        ),
        on_node,
    ),
    *_pool_patterns.PATTERNS,
    *_space_patterns.PATTERNS,
)
