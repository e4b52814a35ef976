"""What local file systems print to the kernel log.

Known: Linux 3.10 (RHEL 7) to 6.14: ext2/3/4, XFS, Btrfs, bcachefs, F2FS, FAT, GFS2, OCFS2; ZFS on Linux 0.7 to 2.3.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_node

_NO_SPACE = re.compile(r"error -28\b|errno=-28\b|[Nn]o space")
"""ENOSPC: a full file system, not a broken one."""


def _refine_full(fields: Fields) -> Fields | None:
    return {**fields, "code": "limit:disk_space" if _NO_SPACE.search(fields["reason"]) else "fs:error"}


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
        ("EXT2-fs error", "EXT3-fs error", "EXT4-fs error", "EXT2-fs (", "EXT3-fs (", "EXT4-fs (", "EXT3-fs:"),
        (
            r"(?P<type>EXT\d-fs)(?: error)? \((?:device )?(?P<device>[\w.-]+)\)(?P<reason>(?<=\)): .*"
            r"(?:error|corrupt|abort|failed|unable to read|bad )(?!s=).*|: \w+:\d+: .*|(?: in)? "
            r".*error.*)"
        ),
        on_node,
        refine=lambda f: (
            None
            if re.search(
                r"(?i)errors=|error count since|orphan|recovery complete|mounted filesystem|Can't find", f["reason"]
            )
            else {**f, "reason": f["reason"].lstrip(": ")}
        ),
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
        ),
        (
            r"(?P<type>JBD2?|EXT\d-fs|journal)?.*?(?P<reason>Error -\d+ detected when updating "
            r"journal.*|[Aa]borting journal on device (?P<device>[\w.-]+)|journal commit I/O error"
            r"|Detected IO errors while flushing.*|[Jj]ournal has aborted)"
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
            r"|crc error|log recovery.*(?:failed|error)).*)"
        ),
        on_node,
    ),
    Pattern(
        "",
        ("BTRFS",),
        (
            r"BTRFS(?!.*(?:errs: wr 0, rd 0, flush 0, corrupt 0, gen 0|read error corrected)):? ?(?P<level>error"
            r"|critical|warning|info)? ?(?:error )?(?:\(device "
            r"(?P<device>[\w.-]+)[^)]*\))?(?::| in)? ?(?P<reason>(?:bdev .* errs: (?!wr 0, rd 0, flush 0, "
            r"corrupt 0, gen 0).*|(?!bdev ).*(?:errno=-\d+|corrupt(?!ion detected: 0)|failed(?! to load)|error|csum "
            r"(?:failed|mismatch|hole)|parent transid|Transaction aborted|bad tree|mismatch|unable to).*))"
        ),
        on_node,
        refine=_refine_full,
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
        "fs:error",
        ("zed", "ZFS", "zfs", "Pool '"),
        (
            r"(?:\bzed\S*: .*?class=(?P<reason>(?:checksum|io|data|probe_failure|io_failure|log_replay|vdev\.\w+)\b.*?)"
            r"(?: pool='?(?P<pool>[^'\s]+))|(?:WARNING: )?Pool '(?P<pool2>[^']+)' has encountered.*|WARNING: ZFS.*"
            r"|zfs\S*: (?P<reason2>.*(?:[Cc]orrupt|checksum error|I/O failure).*))"
        ),
        on_node,
        constants={"type": "zfs"},
    ),
    Pattern(
        "md:degraded",
        ("class=statechange", "vdev_state="),
        (
            r"\bzed\S*: .*?class=statechange.*?pool='?(?P<pool>[^'\s]+)'?(?: vdev=(?P<device>\S+))?.*?vdev_state="
            r"(?P<reason>FAULTED|DEGRADED|UNAVAIL|REMOVED|OFFLINE)"
        ),
        on_node,
    ),
    Pattern(
        "fs:error",
        ("EXT4-fs warning", "EXT3-fs warning", "ext4_end_bio", "Delayed block allocation failed", "Data will be lost"),
        (
            r"(?P<type>EXT\d-fs) (?:warning )?\((?:device )?(?P<device>[\w.-]+)\): (?:\w+:\d+: )?(?P<reason>I/O error.*"
            r"|Delayed block allocation failed.*|This should not happen.*|failed to convert.*|.*comm \S+: error -\d+.*)"
        ),
        on_node,
        joins=4,
    ),
    Pattern(
        "fs:error",
        ("nconsistent node", "Magic Mismatch", "invalid blkaddr", "Stopped filesystem", "sanity check", "inconsistent"),
        (
            r"(?P<type>F2FS-fs) \((?P<device>[^)]+)\): (?P<reason>(?:[Ii]nconsistent|Magic Mismatch|.*invalid blkaddr"
            r"|Stopped filesystem|.*sanity check).*)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "fs:error",
        (
            "SQUASHFS error",
            "FAT-fs (",
            "exFAT-fs (",
            "F2FS-fs (",
            "F2FS-fs: ",
            "NTFS-fs error",
            "overlayfs: ",
            "GFS2: ",
            "OCFS2: ",
            "ReiserFS",
        ),
        (
            r"(?P<type>SQUASHFS|FAT-fs|exFAT-fs|F2FS-fs|NTFS-fs|GFS2|OCFS2|ReiserFS)(?: error)? ?(?:\("
            r"(?P<device>[^)]+)\))?:? ?(?P<reason>(?!.*not properly unmounted).*(?:error|corrupt|withdraw|inconsist).*)"
        ),
        on_node,
    ),
)
