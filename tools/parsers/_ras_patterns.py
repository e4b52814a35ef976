"""Lines of HPC reliability logs and of management controllers; tried before the kernel's, whose words they share.

Known: the public Blue Gene/L form; the event table of LANL's clusters.
"""

from __future__ import annotations

import re

from tools.parsers import _bmc_texts
from tools.parsers._patterns import Fields, Pattern, no_event, on_disk, on_job, on_nic, on_node, on_storage

_NET_REASONS = (
    r"Connection refused|No route to host|Connection timed out|Network is unreachable"
    r"|Connection reset by peer|Broken pipe|Host is down|timed out"
)
_REGISTERS = re.compile(r"\.+\s*(?:\d|0x\w+)$|(?i:register)|address: 0x|^\w+=0x|^\w{2,4}:[0-9a-f]{8} ")


def _refine_ras(fields: Fields) -> Fields | None:
    # A register dump is printed word by word with the same FATAL as what it belongs to: 'instruction address: 0x…'.
    if _REGISTERS.search(fields.get("reason", "")):
        return None
    return fields if fields.get("severity", "FATAL") in ("ERROR", "SEVERE", "FATAL", "FAILURE") else None


_COMPONENTS = ("KERNEL", "APP", "MMCS", "DISCOVERY", "HARDWARE", "MONITOR", "LINKCARD", "BGLMASTER", "CMCS", "SERV_NET")
_CRIES = tuple(f"{part} {word}" for part in _COMPONENTS for word in ("FATAL", "FAILURE", "SEVERE", "ERROR"))
_RAS = r"\b(?:RAS|NULL) (?P<component>\w+) (?P<severity>\w+) "

PATTERNS: tuple[Pattern, ...] = (
    *_bmc_texts.PATTERNS,
    Pattern(
        "job:core_files",
        ("core files for program",),
        r"\bciod: generated (?P<count>\d{1,9}) core files for program (?P<program>\S{1,200})",
        on_job,
    ),
    Pattern(
        "network:timeout",
        ("socket to", "has been severed"),
        _RAS + (rf"(?P<reason>.*(?:socket to (?P<peer>[\d.]+:\d+)).*(?:{_NET_REASONS}|Link has been " rf"severed).*)"),
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "network:timeout",
        ("message prefix", "torus ", " tree ", "ink failed", "ink failure", "ink error", "ink training failed"),
        _RAS
        + (
            r"(?P<reason>ciod: (?:failed to read message prefix|Error (?:reading|writing) message "
            r"prefix).*|.*(?:torus|tree) (?:receiver|sender|link).*error.*|Error receiving packet on"
            r" (?:tree|torus) network.*|.*[Ll]ink (?:failed|failure"
            r"|error).*)"
        ),
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "lustre:mount_failed",
        ("Lustre mount FAILED",),
        _RAS + r"Lustre mount FAILED : (?P<client>\S+) : (?:\w+ )?(?P<server>\S+)",
        on_storage,
        refine=_refine_ras,
    ),
    Pattern(
        "shared_fs:error",
        ("NFS Mount failed", "NFS mount failed", "LOGIN chdir("),
        _RAS
        + (
            r"(?P<reason>NFS [Mm]ount failed on (?P<server>[^\s,]+).*|ciod: LOGIN chdir\("
            r"(?P<path>[^)]*)\) failed: Input/output error.*)"
        ),
        on_storage,
        refine=lambda f: _refine_ras({**f, "server": f.get("server") or f.get("path") or "nfs"}),
    ),
    Pattern(
        "job:failed",
        ("ciod: ", "program image"),
        _RAS
        + (
            r"(?P<reason>ciod: (?:Error (?:loading|creating|opening)|LOGIN chdir|Missing or invalid"
            r"|cpu \d+ at treeaddr).*|.*program image.*)"
        ),
        on_job,
        refine=_refine_ras,
    ),
    Pattern(
        "edac:uncorrected",
        ("ncorrectable", "parity error", "ddr: redundant"),
        _RAS + r"(?P<reason>.*(?:[Uu]ncorrectable|parity error(?!.*correct)|ddr: redundant).*)",
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "mce:uncorrected",
        ("achine check", "nternal error"),
        _RAS + r"(?P<reason>.*(?:machine check|L3 major internal error|internal error).*)",
        on_node,
        refine=_refine_ras,
    ),
    Pattern(  # of Blue Gene's own cards, which call it INFO
        "mce:uncorrected",
        ("MACHINE CHECK ",),
        _RAS + r"(?P<reason>MACHINE CHECK .*)",
        on_node,
    ),
    Pattern(
        "network:link_error",
        (
            "etransmission error(s)",
            "input pipe error(s)",
            "link error(s)",
            "warning for torus",
            "warning for tree",
            "re-synch state",
        ),
        _RAS + r"(?P<reason>(?:(?P<count>\d+) )?(?:torus|tree) .*(?:retransmission|input pipe|link) error\(s\).*"
        r"|.*warning for (?:torus|tree) .*(?:wire|receiver|sender).*"
        r"|\d+ tree receiver \d+ in re-synch state event\(s\).*)",
        on_node,
    ),
    Pattern(
        "edac:corrected",
        ("excessive soft failures", "detected and corrected", "parity error", "orrectable", "attempting to correct"),
        _RAS
        + (
            r"(?P<reason>(?!.*microseconds).*(?:excessive soft failures|error\(s\)(?: \([^)]*\))? detected and "
            r"corrected|parity "
            r"error.*(?:corrected|attempting to correct)|[Cc]orrectable).*)"
        ),
        on_node,
    ),
    Pattern(
        "kernel:panic",
        ("rts panic", "kernel terminated", "ernel panic", "stopping execution"),
        _RAS + r"(?P<reason>rts panic.*|rts: kernel terminated.*|kernel panic.*|.*stopping execution.*)",
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "kernel:interrupt",
        ("interrupt",),
        _RAS + r"(?P<reason>.*\binterrupt\b.*)",
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "bmc:power_fault",
        ("ower deactivated", "ower Good signal", "PGOOD", "ower module", "oltage"),
        _RAS
        + r"(?P<reason>.*(?:[Pp]ower (?:Good signal )?deactivated|PGOOD error|[Pp]ower module .*(?:not accessible|fail"
        r"|alert)|[Vv]oltage.*(?:limit|alert|low|high)).*)",
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "bmc:temperature_critical",
        ("emperature",),
        _RAS + r"(?P<reason>.*[Tt]emperature.*(?:[Ll]imit|alert|exceed).*)",
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "network:link_error",
        ("port disconnected", "no ethernet link", "connection lost to"),
        _RAS + r"(?P<reason>.*(?:port disconnected|no ethernet link|connection lost to).*)",
        on_node,
        refine=_refine_ras,
    ),
    Pattern(
        "ras:fatal",
        _CRIES,
        _RAS + r"(?P<reason>.*)",
        on_node,
        refine=_refine_ras,
    ),
    # LANL's event table: 'id node component state time flag text'; the head leaves 'component state: text'.
    Pattern(
        "fs:error",
        ("domain panic",),
        r"(?P<reason>ServerFileSystem domain panic.*)",
        on_node,
    ),
    Pattern(
        "shared_fs:error",
        ("There is no server for", "clusterfilesystem", "no longer served by"),
        r"clusterfilesystem [\w.]+:? .*?(?P<reason>There is no server for .*|.*(?:unavailable|failed|not mounted|no "
        r"server|no longer served).*)",
        on_storage,
        constants={"server": "clusterfilesystem"},
    ),
    Pattern(
        "limit:disk_space",
        ("clusterfilesystem.full", "ServerFileSystem domain"),
        r"clusterfilesystem [\w.]+:? .*?(?P<reason>.*domain \S+ is full.*)",
        on_node,
    ),
    Pattern(
        "nic:link_down",
        ("failed network connection", "net.niff.down"),
        r"(?P<reason>detected a failed network connection on network \S+ via interface (?P<device>\w+).*)",
        on_nic,
    ),
    Pattern(
        "nic:link_up",
        ("available network connection",),
        r"(?P<reason>detected an available network connection on network \S+ via interface (?P<device>\w+).*)",
        on_nic,
    ),
    Pattern(
        "network:tree_error",
        ("Link error on broadcast tree", "bcast-error", "Link error"),
        r"^switch_module bcast-error: (?P<reason>Link error.*)|(?P<reason2>Link error on broadcast tree.*)",
        on_node,
    ),
    Pattern(
        "network:link_error",
        ("Linkerror event", "Link error", "link errors remain", "Link in reset"),
        r"(?P<reason>Link ?error (?:on|event).*)"
        r"|^switch_module [\w.-]+: (?P<reason2>Link error|link errors remain current|Link in reset)\s*$",
        on_node,
    ),
    Pattern("network:link_ok", ("Link ok",), r"^switch_module [\w.-]+: (?P<reason>Link ok)\s*$", on_node),
    Pattern(
        "bmc:psu_failed",
        ("psu failure", "PSU failure", "ower supply failure"),
        r"(?P<reason>(?:psu|PSU|[Pp]ower supply) failure.*)",
        on_node,
    ),
    Pattern(
        "bmc:fan_failed",
        ("Fan speeds (",),
        r"(?P<reason>Fan speeds \([^)]*\*{3,}[^)]*\))",
        on_node,
    ),
    Pattern("", ("Fan speeds (",), r"Fan speeds \([\d ]+\)", on_node, refine=no_event),
    Pattern(
        "nic:thermal",
        ("gige temperature",),
        r"(?P<device>gige) temperature(?::| \d+ [01]) (?P<reason>warning|critical)\b",
        on_node,
    ),
    Pattern(
        "cpu:thermal",
        ("node temperature", "switch_module temperature"),
        r"(?P<part>node|switch_module) temperature(?::| \d+ [01]) (?P<reason>warning|critical)\b",
        on_node,
    ),
    Pattern(
        "cpu:thermal",
        ("exceeds warning threshold", "exceeds critical threshold"),
        r"(?P<reason>[Tt]emperature \(?[^)]*\)? ?exceeds (?:warning|critical) threshold.*)",
        on_node,
    ),
    Pattern(
        "ras:not_responding",
        ("not responding", "not-responding", "power/control problem", "ec_node_", "ec_heartbeat_", "heartbeat fault"),
        (
            r"^(?:node|action|state\w*|boot\w*|tserver|gige|domain|unix\.hw) [\w.]+: "
            r"(?P<reason>not[ -]responding|power/control problem)\s*$"
            r"|(?P<reason2>\bec_(?:node_failed|node_unavailable|heartbeat_stop)\b.*|node heartbeat fault.*)"
        ),
        on_node,
    ),
    # Controllers of disk arrays, as Red Storm's log keeps them: 'DMT_310 Command Aborted: SCSI cmd:2A LUN 2 …'.
    Pattern(
        "scsi:controller_fault",
        ("DMT_",),
        r"\bDMT_\w+ (?P<reason>(?:Warning: Verify Host \d+ bus parity error|Command Aborted|Address error).*)",
        on_node,
        joins=20,
    ),
    Pattern(
        "smart:failing",
        ("DMT_",),
        r"\bDMT_\w+ (?P<reason>Failing Disk (?P<device>\w+).*)",
        on_disk,
    ),
    Pattern(
        "ras:power_control",
        ("power/control problem",),
        r"^switch_module [\w.]+: (?P<reason>power/control problem)\s*$",
        on_node,
    ),
    Pattern(
        "ras:boot_failed",
        ("oot (command", "Boot  (command", "Failed subcommands"),
        r"(?P<reason>\w*[Bb]oot\w* +\(command \d+\) Error: .*|Failed subcommands \d.*)",
        on_node,
    ),
    Pattern(
        "ras:unavailable",
        ("inconsistent nodesets",),
        r"(?P<reason>inconsistent nodesets .*)",
        on_node,
    ),
    Pattern(
        "ras:unavailable",
        ("is in the unavailable state",),
        r"(?P<reason>Component \S+ is in the unavailable state.*)",
        on_node,
    ),
)
