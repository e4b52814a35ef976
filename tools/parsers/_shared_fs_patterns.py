"""What shared file systems print to the kernel log.

Known: NFS and CIFS of Linux 3.10 to 6.14; Lustre 2.5 to 2.16, GPFS, Ceph, WekaFS, BeeGFS.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_storage

_LUSTRE_TARGET = re.compile(r"(?<![\w.-])(?P<name>\w{1,16})-(?:OST|MDT)[0-9a-f]{4}")

_FULL = re.compile(r"rc = -(?:28|122)\b")
"""ENOSPC and EDQUOT."""


def _refine_lustre(fields: Fields) -> Fields | None:
    # Targets are named fsname-OST0001-osc-…; one trouble of the file system, not one per target.
    target = re.split(r"-(?:OST|MDT|MGT|client|clilmv|clilov)", fields.get("target", ""))[0]
    if target.startswith("MGC"):
        target = ""  # the configuration server of many file systems
    if not target and (inside := _LUSTRE_TARGET.search(fields.get("reason", ""))) is not None:
        target = inside["name"]  # '… o8->work-OST0007-osc-ffff@10.1.1.1@o2ib'
    # 'mount 10.1.1.1@o2ib:10.1.1.2@o2ib:/scratch/sub': the first part of the path is the name of the file system.
    path = target.rpartition(":/")[2] if ":/" in target else fields.get("mount", "")
    name = path.strip("/").split("/")[0] if ":/" in target or path.startswith("/") else target or path
    fields["server"] = name or "lustre"
    return {**fields, "code": "limit:disk_space"} if _FULL.search(fields.get("reason", "")) else fields


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "nfs:not_responding",
        ("not responding", "has not responded"),
        (
            r"(?:\b(?:[Nn][Ff][Ss]|lockd|rpcbind):? (?:Server|server) (?P<server>\S+?),? (?:is )?not "
            r"responding(?:, (?P<mode>still trying|timed out))?|CIFS: VFS: \\*(?P<cifs>\S+) has not "
            r"responded|CIFS VFS: Server (?P<cifs2>\S+) has not responded|\bRPC: server (?P<rpc>\S+) not responding)"
        ),
        on_storage,
        refine=lambda f: {**f, "server": f.get("server") or f.get("cifs") or f.get("cifs2") or f.get("rpc", "")},
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
            "lockd: cannot monitor",
            "unhandled error -",
        ),
        (
            r"\b(?P<type>NFS|nfs4?)\w{0,40}(?:: |\S{0,60} ).*?(?P<reason>failed on NFSv4 server (?P<server>\S+) "
            r"with error \d+|Mount failed on (?P<server2>\S+?),.*|mount\.nfs: .*(?:timed out|refused|denied|No route"
            r"|failed).*|[Ss]tale (?:NFS )?file handle|Lock reclaim failed|unhandled error -\d+.*)"
            r"|mount\.nfs4?: (?P<reason2>.*(?:timed out|refused|denied|No route|failed|not responding).*)"
            r"|lockd: (?P<reason3>cannot monitor (?P<server3>\S+))"
        ),
        on_storage,
        refine=lambda f: {**f, "server": f.get("server") or f.get("server2") or f.get("server3") or "nfs"},
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
        ("evicted by", "was evicted", "evicting client", "I am evicting it", "Evicted from"),
        (
            r"Lustre(?:Error)?: .*?(?<![\w.-])(?:\d+-\w: )?(?P<target>[\w.-]++)(?:: | ).*?(?:(?:was )?evicted by"
            r"|evicting (?:client|it)|[Ee]victed from)"
        ),
        on_storage,
        refine=_refine_lustre,
    ),
    Pattern(
        "lustre:ok",
        ("onnection restored to", "Recovery complete"),
        (r"Lustre: .*?(?P<target>[\w.-]+-(?:OST|MDT)\w+|MGC\S+?)\S*: (?:Connection restored to|Recovery " r"complete)"),
        on_storage,
        refine=_refine_lustre,
    ),
    Pattern(
        "lustre:error",
        ("LustreError", "Lustre: ", "LNetError", "LNet: ", "LBUG"),
        (
            r"(?P<type>Lustre(?:Error)?|LNet(?:Error)?): (?=.*(?:rc = -|was lost|failed|[Tt]imed out"
            r"|[Tt]imeout|LBUG|ASSERTION|not available|slow reply|no route|evict|down|expired|too slowly"
            r"|was inactive for"
            r"|Can't (?:find|connect)|[Uu]nable to|[Nn]o such|Refusing|refused|cannot|network error|heavy IO load"
            r"|processing requests))"
            r"(?:[\d-]+\w*: ?)*(?:\d+:\d+:\([^)]*\)+ ?)?(?P<target>[\w.-]+-(?:OST|MDT)\w+|MGC\S+)?"
            r"(?P<reason>.*)"
        ),
        on_storage,
        refine=_refine_lustre,
    ),
    Pattern(
        "shared_fs:error",
        ("mmfs", "MMFS_", "GPFS"),
        (
            r"(?:mmfs\w*|GPFS)\b.*?(?P<reason>\[[EX]\].*|Error=MMFS_\w+.*|Disk failure\..*|[Ll]ost membership.*|"
            r"(?:unmounted|panic|expelled|[Dd]isk lease|quorum).*)"
        ),
        on_storage,
        constants={"server": "gpfs"},
    ),
    Pattern(
        "shared_fs:error",
        (
            "ost membership in cluster",
            "being expelled",
            "lease renewal is overdue",
            "eadlock detected",
            "quorum nodes",
            "unmounted by the system",
            "Unmounting file systems",
            "long waiter",
            " sec since ",
            "Disk lease",
            "mmfs26",
        ),
        (
            r"(?P<reason>Lost membership in cluster.*|.*is being expelled.*|.*lease renewal is overdue.*|\[\w\] "
            r"(?:Potential )?[Dd]eadlock detected.*|Not enough quorum nodes.*|File [Ss]ystem \S+ (?:was )?unmounted by "
            r"the system.*|.*Unmounting file systems.*|.*long waiters?\b.*|Waiting \d{3,}\.\d+ sec since .*thread \d+.*"
            r"|Disk lease.*)"
        ),
        on_storage,
        constants={"server": "gpfs"},
    ),
    Pattern(
        "shared_fs:reconnect",
        ("Close connection to ", "Recovering nodes: "),
        r"^(?:.*\d: )?(?:\[\w\] )?(?P<reason>Close connection to \d+\.\S+ .*|Recovering nodes: \d+\.\S+.*)",
        on_storage,
        constants={"server": "gpfs"},
        joins=10,
    ),
    Pattern(
        "shared_fs:ok",
        ("libceph", "ceph: mds"),
        (
            r"(?:lib)?ceph(?: \([^)]*\))?: (?:mon\d+ .*session established|osd\d+ (?:up|weight .*\(in\))"
            r"|mds\d+ (?:reconnect success"
            r"|recovery completed|came back))$"
        ),
        on_storage,
        constants={"server": "ceph"},
    ),
    Pattern(
        "",
        ("libceph", "ceph: "),
        (
            r"(?:lib)?ceph(?: \([^)]*\))?: .*?(?P<daemon>(?:mon|mds|osd)\d+)\b.*?(?P<reason>session lost.*|hung\b.*"
            r"|reconnect denied.*|(?:is )?down\b.*|socket (?:error|closed).*|connect error.*|caps (?:stale"
            r"|went stale).*"
            r"|rejected session.*|came back.*blocklisted.*|bad crc.*|integrity error.*|connection reset.*"
            r"|wrong peer.*|protocol .*mismatch.*|timed? ?out.*)"
        ),
        on_storage,
        constants={"server": "ceph"},
        refine=lambda f: {
            **f,
            "code": "shared_fs:reconnect" if "socket closed" in f["reason"] else "shared_fs:error",
        },
    ),
    Pattern(
        "shared_fs:error",
        (
            "Health check failed",
            "HEALTH_ERR",
            "HEALTH_WARN",
            "heartbeat_check: no reply",
            "slow requests",
            "slow ops",
            "data crc",
            "bad data crc",
            "error -108 ",
        ),
        (
            r"(?P<reason>Health check failed: .*|HEALTH_(?:ERR|WARN)\b.*|heartbeat_check: no reply.*"
            r"|\d+ slow (?:requests|ops).*|libceph: .*data crc.*)"
        ),
        on_storage,
        constants={"server": "ceph"},
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
            r"\b(?i:beegfs)\S{0,60} ?.*?(?P<reason>(?i:communication error|retrying communication|connect "
            r"failed|unable to connect|receive timed out|i/o error|remote I/O error|node (?:is "
            r")?offline|mount\(2\) system call failed|mount failed).*)"
        ),
        on_storage,
        constants={"server": "beegfs"},
    ),
    Pattern(
        "shared_fs:error",
        ("gluster", "rpc-clnt", "afr_", "All subvolumes are down", "MSGID: "),
        (
            r"^\[?.*?\b[EWC] \[.*?\d+-(?P<server>[\w.-]+?)-(?:client|replicate|dht|disperse)-?\d*: (?P<reason>.*(?:has "
            r"not "
            r"responded|disconnected|All subvolumes are down|failed|not connected|[Tt]ransport endpoint).*)"
        ),
        on_storage,
        constants={"kind": "gluster"},
    ),
    Pattern(
        "shared_fs:error",
        ("CIFS",),
        (
            r"CIFS:? (?:VFS|fs): (?:\\\\(?P<server>[\w.-]+)\S* )?.*?(?P<reason>cifs_mount failed.*|Send error in .*"
            r"|BAD_NETWORK_NAME.*|Error connecting to socket.*|sends on sock .*stuck.*|Unexpected .* error.*"
            r"|.*reconnect.*"
            r"failed.*|No (?:writable|task).*|.*STATUS_\w+.*|Error -\d+.*)"
        ),
        on_storage,
        refine=lambda f: {**f, "server": f.get("server") or "cifs"},
    ),
    Pattern(
        "shared_fs:error",
        ("ransport endpoint is not connected", "tale file handle", "Remote I/O error", "Host is down"),
        (
            r"(?:cannot (?:access|open|create|stat)|^[\w.-]{1,20}:|\b(?:ls|df|stat|cat|cp|mv|rm|mount"
            r"|rsync|tar):|mount)\S* "
            r".*?(?P<server>/[\w./-]+).*?"
            r"(?P<reason>[Tt]ransport endpoint is not connected|[Ss]tale file handle|Remote I/O error|Host is down)"
        ),
        on_storage,
    ),
    Pattern(
        "shared_fs:error",
        ("eadman Switch", "rbd: rbd", "rbd: ", "ead man switch"),
        (
            r"(?P<server>GPFS) Deadman Switch.*?(?P<reason>expired.*)|rbd: (?P<image>rbd\d+):"
            r" (?P<reason2>.*(?:result -\d+"
            r"|error|failed|expired|timed? ?out|aborting|blocklisted).*)"
        ),
        on_storage,
        refine=lambda f: {**f, "server": (f.get("server") or f.get("image") or "").lower()},
    ),
)
