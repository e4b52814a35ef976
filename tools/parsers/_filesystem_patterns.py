"""What local and shared file systems print to the kernel log.

Known: Linux 3.10 (RHEL 7) to 6.14: ext2/3/4, XFS, Btrfs, ZFS on Linux, NFS, CIFS; Lustre 2.5 to 2.16, GPFS, Ceph,
WekaFS, BeeGFS.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_node, on_storage


def _refine_lustre(fields: Fields) -> Fields | None:
    # Targets are named fsname-OST0001-osc-…; one trouble of the file system, not one per target.
    target = re.split(r"-(?:OST|MDT|MGT|client|clilmv|clilov)", fields.get("target", ""))[0]
    if target.startswith("MGC"):
        target = ""  # the configuration server of many file systems
    # 'mount 10.1.1.1@o2ib:10.1.1.2@o2ib:/scratch/sub': the first part of the path is the name of the file system.
    path = target.rpartition(":/")[2] if ":/" in target else fields.get("mount", "")
    name = path.strip("/").split("/")[0] if ":/" in target or path.startswith("/") else target or path
    fields["server"] = name or "lustre"
    return fields


_FILE_SYSTEMS = (
    Pattern(
        "fs:readonly",
        (
            "emounting filesystem read-only",
            "forced readonly",
            "emount read-only",
            "emounting read-only",
            "ead-only file system",
            "emounted read-only",
        ),
        (
            r"(?:(?P<type>EXT\d-fs|XFS|BTRFS(?: \w{1,16})?)[ :]*\(?(?:device )?"
            r"(?P<device>[\w.-]{1,32})\b.*?)?(?:[Rr]emount(?:ing|ed) (?:filesystem )?read-only|forced readonly"
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
            r"|failing async write|log mount failed).*)"
        ),
        on_node,
    ),
    Pattern(
        "fs:error",
        ("BTRFS",),
        (
            r"BTRFS:? ?(?P<level>error|critical|warning)? ?(?:error )?\(device "
            r"(?P<device>[\w.-]+)[^)]*\)(?::| in) (?P<reason>(?:bdev .* errs: (?!wr 0, rd 0, flush 0, "
            r"corrupt 0, gen 0).*|.*(?:errno=-\d+|corrupt|failed|error|csum|parent transid).*))"
        ),
        on_node,
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
            r"(?P<device>[^)]+)\))?:? ?(?P<reason>.*(?:error|corrupt|withdraw|inconsist).*)"
        ),
        on_node,
    ),
    Pattern(
        "nfs:not_responding",
        ("not responding", "has not responded"),
        (
            r"(?:\b(?:[Nn][Ff][Ss]|lockd|rpcbind):? (?:Server|server) (?P<server>\S+?),? (?:is )?not "
            r"responding(?:, (?P<mode>still trying|timed out))?|CIFS: VFS: \\*(?P<cifs>\S+) has not "
            r"responded|CIFS VFS: Server (?P<cifs2>\S+) has not responded)"
        ),
        on_storage,
        refine=lambda f: {**f, "server": f.get("server") or f.get("cifs") or f.get("cifs2", "")},
    ),
    Pattern("nfs:ok", (" OK",), r"\b(?:[Nn][Ff][Ss]|lockd):? server (?P<server>\S+) OK$", on_storage),
    Pattern(
        "shared_fs:error",
        (
            "NFS: ",
            "NFS4: ",
            "nfs4_",
            "NFSv4",
            "NFS Mount failed",
            "mount.nfs",
            "tale file handle",
            "tale NFS file handle",
        ),
        (
            r"(?P<type>NFS|nfs4?)\w*(?:: |\S* ).*?(?P<reason>failed on NFSv4 server (?P<server>\S+) "
            r"with error \d+|Mount failed on (?P<server2>\S+?),.*|mount\.nfs: .*(?:timed out|refused"
            r"|failed).*|[Ss]tale (?:NFS )?file handle|Lock reclaim failed)"
        ),
        on_storage,
        refine=lambda f: {**f, "server": f.get("server") or f.get("server2") or "nfs"},
    ),
    Pattern(
        "lustre:mount_failed",
        ("Lustre mount FAILED", "mount.lustre", "nable to mount"),
        (
            r"Lustre mount FAILED : (?P<client>\S+) : (?:\w+ )?(?P<mount>\S+)|mount\.lustre: mount "
            r"(?P<target>\S+) at (?P<mount2>\S+) failed(?:: (?P<reason>.*))?|LustreError: .*?"
            r"(?P<why>[Uu]nable to mount.*)"
        ),
        on_storage,
        refine=_refine_lustre,
    ),
    Pattern(
        "lustre:evicted",
        ("evicted by", "was evicted"),
        (r"Lustre(?:Error)?: .*?(?:\d+-\w: )?(?P<target>[\w.-]+?(?:-\w+)?)(?:: | ).*?(?:was " r")?evicted by"),
        on_storage,
        refine=_refine_lustre,
    ),
    Pattern(
        "lustre:ok",
        ("onnection restored to", "Recovery complete"),
        (r"Lustre: .*?(?P<target>[\w.-]+-(?:OST|MDT)\w+)\S*: (?:Connection restored to|Recovery " r"complete)"),
        on_storage,
        refine=_refine_lustre,
    ),
    Pattern(
        "lustre:error",
        ("LustreError", "Lustre: ", "LNetError", "LNet: ", "LBUG"),
        (
            r"(?P<type>Lustre(?:Error)?|LNet(?:Error)?): (?=.*(?:rc = -|was lost|failed|timed out"
            r"|[Tt]imeout|LBUG|ASSERTION|not available|slow reply|no route|evict|down|expired))"
            r"(?:[\d-]+\w*: ?)*(?:\d+:\d+:\([^)]*\) ?)?(?P<target>[\w.-]+-(?:OST|MDT)\w+|MGC\S+)?"
            r"(?P<reason>.*)"
        ),
        on_storage,
        refine=_refine_lustre,
    ),
    Pattern(
        "shared_fs:error",
        ("mmfs", "MMFS_", "GPFS"),
        (
            r"(?:mmfs\w*|GPFS)\b.*?(?P<reason>\[[EX]\].*|Error=MMFS_\w+.*|[Ll]ost membership.*|"
            r"(?:unmounted|panic|expelled|[Dd]isk lease).*)"
        ),
        on_storage,
        constants={"server": "gpfs"},
    ),
    Pattern(
        "shared_fs:error",
        ("libceph: ", "ceph: ", "ceph_"),
        (
            r"(?:lib)?ceph: .*?(?P<server>(?:mon|mds|osd)\d+)\b.*?(?P<reason>session lost.*|hung\b.*"
            r"|reconnect denied.*|(?:is )?down\b.*|socket error.*|connect error.*|caps stale.*"
            r"|rejected session.*|came back.*blocklisted.*)"
        ),
        on_storage,
        refine=lambda f: {**f, "daemon": f["server"], "server": "ceph"},
    ),
    Pattern(
        "shared_fs:error",
        ("weka", "Weka", "WEKA"),
        (
            r"(?i:weka(?:fs\w*|io|node|-agent)?)\b.*?(?P<reason>(?i:\b(?:error|timed? ?out|hang|hung"
            r"|stuck|not responding|failed|disconnected|unresponsive)\b).*)"
        ),
        on_storage,
        constants={"server": "wekafs"},
    ),
    Pattern(
        "shared_fs:error",
        ("beegfs", "BeeGFS"),
        (
            r"(?i:beegfs)\S* ?.*?(?P<reason>(?i:communication error|retrying communication|connect "
            r"failed|unable to connect|receive timed out|i/o error|remote I/O error|node (?:is "
            r")?offline).*)"
        ),
        on_storage,
        constants={"server": "beegfs"},
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_FILE_SYSTEMS,)
