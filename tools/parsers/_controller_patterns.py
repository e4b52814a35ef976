"""What storage adapters and storage networks print: RAID and SAS adapters, Fibre Channel, iSCSI, NVMe over fabrics.

Known: Linux 3.10 (RHEL 7) to 6.14: megaraid_sas, mpt2sas/mpt3sas, mpi3mr, hpsa, cciss, smartpqi, aacraid, 3w-*,
qla2xxx, lpfc, libiscsi and open-iscsi, nvme-tcp, nvme-rdma, drbd 8 and 9.
"""

from __future__ import annotations

from tools.parsers._card_events import classify_card_event
from tools.parsers._patterns import BDF, Fields, Pattern, on_disk, on_node

_ADAPTER = (
    rf"(?P<controller>(?:mpt[23]?sas\w*|mpt3sas\w*|mptscsih|mptbase|megaraid_sas|megasas|hpsa|cciss|aacraid|smartpqi"
    rf"|mpi3mr\w*|arcmsr\w*|3w-\w+|pm80xx\w*|ioc)\S*?)(?: (?P<pci>{BDF})\S*)?:.*?"
)


def _refine_aen(fields: Fields) -> Fields | None:
    # The adapter's own event: '4711 (640000000s/0x0002/FATAL) - Unrecoverable medium error … on PD 04(e0x20/s4)'.
    code = classify_card_event(fields.get("reason", ""))
    return {**fields, "code": code} if code else None


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "scsi:controller_fault",
        (
            "fault_state",
            "FAULT state",
            "faultstate",
            "ontroller lockup",
            "fault state",
            "dapter reset",
            "diag reset",
            "non-operational",
            "attempting host reset",
            "ontroller is offline",
            "ontroller offline",
            "BLINK LED",
            "controller killed",
            "reset failed",
            "SCSI hang",
            "ontroller died",
            "pending commands remain",
            "host reset: FAILED",
            "controller not ready after",
            "reset recovery failed",
            "board not ready, timed out",
            "return status FAILED",
            "hard_reset_handler: FAILED",
            "hard reset: failed",
            "Failed to init firmware",
            "Failed from megasas_init_fw",
        ),
        _ADAPTER
        + (
            r"(?P<reason>fault_state\([^)]*\)|.*in (?:FAULT|fault) ?state.*|[Cc]ontroller (?:lockup|is offline|offline"
            r"|died).*|[Aa]dapter reset.*|diag reset: FAILED|.*non-operational.*|attempting host reset.*|host reset: "
            r"FAILED"
            r"|.*BLINK LED.*|controller killed.*|(?:fusion |IOP |controller )?reset failed.*|.*SCSI hang.*"
            r"|pending commands remain.*|Init cmd return status FAILED.*|.*hard(?:_reset_handler"
            r"| reset): (?:FAILED|failed).*|Failed (?:to init firmware"
            r"|from megasas_init_fw).*|controller not ready after.*|reset recovery failed.*|board not ready.*)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "scsi:controller_fault",
        ("ost adapter reset request", "ost adapter appears dead", "ost adapter abort request", "dapter kernel panic"),
        r"(?P<reason>Host adapter (?:reset request.*|appears dead)|[Aa]dapter kernel panic.*)",
        on_node,
        joins=3,
    ),
    Pattern(
        # What stops an adapter from starting, and its own processor's end; a reset that succeeds says nothing.
        "scsi:controller_fault",
        (
            "failure at ",
            "Failed to initialize",
            "failed to initialize",
            "dapter failed to init",
            "ISP System Error",
            "Mailbox command timeout",
            "mbx cmd timeout",
            "dapter heartbeat failure",
            "dapter Hardware Error",
            "irmware halted",
            "Parity error -- HCCR",
            "HBA Error Attention",
            "killing adapter",
            "never cleared",
        ),
        (
            r"(?<![\w-])(?P<controller>mpt[23]sas\w*|mpi3mr\w*|megaraid_sas|megasas|hpsa|smartpqi|aacraid|pm80xx|qla\w+"
            r"|qedf|lpfc|bfa|fnic)\b.*?(?P<reason>failure at \S+\.c:\d+/\w+\(\)|[Ff]ailed to initialize (?:the )?"
            r"(?:adapter|ISP|firmware|HBA|controller).*|[Aa]dapter failed to init.*|ISP System Error.*"
            r"|Mailbox command timeout.*|mbx cmd timeout.*|Adapter heartbeat failure.*|Adapter Hardware Error.*"
            r"|[Ff]irmware halted.*"
            r"|Parity error -- HCCR.*|HBA Error Attention.*|.*killing adapter.*|.*reset adapter never cleared.*)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "",
        ("/CRIT)", "/FATAL)", "/WARN)", "/DEAD)"),
        (
            r"megaraid_sas.*?\d+ \(\w+/0x\w+/(?P<level>CRIT|FATAL|WARN|DEAD)\) - (?P<reason>.*?(?:PD (?P<slot>\w+)"
            r"\(e0x\w+/s\d+\).*|VD (?P<volume>\S+).*|$))"
        ),
        on_node,
        refine=_refine_aen,
    ),
    Pattern(
        "",
        ("<MRMON",),
        r"<MRMON\d+> (?:Controller ID: +\d+ +)?(?P<reason>.*)",
        on_node,
        refine=_refine_aen,
    ),
    Pattern(
        "scsi:timeout",
        ("commands to complete", "megasas: RESET", "megasas: TARGET RESET", "cmd timeout"),
        (
            r"\b(?:megasas|megaraid_sas)\b.*?(?P<reason>waiting for [1-9]\d* commands to complete.*"
            r"|(?:TARGET )?RESET (?:-?\w+ )?cmd=.*|cmd timeout.*)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "md:degraded",
        ("AEN: ",),
        r"(?P<controller>3w-\w+): .*AEN: ERROR .*?: (?P<reason>Degraded unit.*|Drive removed.*|Rebuild failed.*)",
        on_node,
    ),
    Pattern(
        "block:medium_error",
        ("AEN: ",),
        (
            r"(?P<controller>3w-\w+): .*AEN: ERROR .*?: (?P<reason>Drive (?:ECC )?error.*|Drive timeout.*"
            r"|Sector repair failed.*|Source drive error.*)"
        ),
        on_node,
    ),
    Pattern(
        "scsi:sense_medium",
        ("sense key = 0x3", "sense key: 0x3", "CHECK CONDITION"),
        (
            r"(?P<controller>cciss|hpsa)\S*:? .*?(?P<reason>(?:has CHECK CONDITION|check condition).*?sense key ?[=:] "
            r"(?:0x)?[34]\b.*)"
        ),
        on_node,
    ),
    Pattern(
        "scsi:timeout",
        (
            "attempting task abort",
            "resetting logical",
            "resetting physical",
            "resetting scsi",
            "LUN reset to complete",
            "resetting Direct-Access",
            "Command Timeout",
            "issue target reset",
            "abort request",
        ),
        _ADAPTER
        + (
            r"(?P<reason>attempting task abort.*|resetting (?:logical|physical|Direct|scsi).*"
            r"|.*LUN reset to complete.*|.*abort request.*|Command Timeout.*|issue target reset.*)"
        ),
        on_node,
    ),
    # Storage networks
    Pattern(
        # The initiator logs in again by itself; requests fail only when the recovery times out.
        "storage:reconnect",
        (
            "detected conn error",
            "ping timeout of",
            "NOPs timedout",
            "Nop-out timedout",
            "reported iSCSI connection",
            "iSCSI connection",
        ),
        (
            r"(?P<link>(?:connection|session)\d+(?::\d+)?): (?P<reason>detected conn error.*|ping timeout of.*)"
            r"|iscsid\S*: (?:[Kk]ernel reported |.*?)(?P<reason2>iSCSI connection \S+ error.*)"
        ),
        on_node,
        constants={"kind": "iscsi"},
        joins=6,
    ),
    Pattern(
        "storage:path_error",
        ("session recovery timed out", "connect to "),
        (
            r"(?P<link>(?:connection|session)\d+(?::\d+)?): (?P<reason>session recovery timed out.*)"
            r"|iscsid\S*: (?:[Kk]ernel reported |.*?)(?P<reason2>connect to \S+ failed.*)"
        ),
        on_node,
        constants={"kind": "iscsi"},
    ),
    Pattern(
        "storage:path_error",
        (
            "LOOP DOWN detected",
            "blocked FC remote port time out",
            "Link Down Event",
            "LINK DOWN",
            "Adapter aborted all",
            "from LOST to DEAD",
            "from ONLINE to LOST",
            "Remote port",
        ),
        (
            r"(?<![\w-])"
            r"(?P<driver>qla\w+|lpfc|rport-\S+|bfa|fnic\w*|zfcp)\b.*?(?P<reason>LOOP DOWN detected.*|blocked FC remote "
            r"port"
            r" time ?out.*|Link Down Event.*|LINK DOWN.*|Adapter aborted all.*|.*state transitioned from \w+ to"
            r" (?:LOST|DEAD).*)"
        ),
        on_node,
        constants={"kind": "fibre channel"},
    ),
    Pattern(
        "storage:path_abort",
        ("Abort command issued", "DEVICE RESET ISSUED", "LOOP RESET ISSUED", "ADAPTER RESET ISSUED"),
        r"\bqla\w+ .*?(?P<reason>Abort command issued.*|(?:DEVICE|LOOP|ADAPTER) RESET ISSUED.*)",
        on_node,
        constants={"kind": "fibre channel"},
        joins=10,
    ),
    Pattern(
        "storage:path_error",
        ("starting error recovery", "Failed reconnect attempt", "failed to connect queue", "Connect command failed"),
        (
            r"nvme (?P<device>nvme\d+): (?:queue \d+: )?(?P<reason>starting error recovery|Failed reconnect attempt \d+"
            r"|failed to connect queue.*|Connect command failed.*)"
        ),
        on_disk,
        constants={"kind": "nvme over fabrics"},
    ),
    Pattern(
        "block:io_error",
        (
            "Local IO failed",
            "IO ERROR: neither local nor remote",
            "local READ IO error",
            "local WRITE IO error",
            "disk( ",
        ),
        (
            r"(?:block |drbd \S+ )(?P<device>drbd\d+): (?P<kind>Local IO failed.*|IO ERROR: neither.*|local"
            r" (?:READ|WRITE) "
            r"IO error.*|.*disk\( \w+ -> (?:Failed|Diskless) \).*)"
        ),
        on_disk,
    ),
    Pattern(
        "storage:path_error",
        ("PingAck did not arrive", "NetworkFailure", "BrokenPipe"),
        (
            r"(?:block )?drbd\d*:? ?\S+.*?(?P<reason>PingAck did not arrive.*"
            r"|.*-> (?:NetworkFailure|BrokenPipe|Timeout).*)"
        ),
        on_node,
        constants={"kind": "drbd"},
    ),
    Pattern(
        "storage:path_error",
        (
            "failed to connect socket",
            "Reconnecting in ",
            "Removing ctrl",
            "Removing controller",
            "connection establishment failed",
            "keep_alive_end_io",
            "timeout cid",
            "Failed to connect queue",
            "send request failed",
            "receive failed",
        ),
        (
            r"nvme (?P<device>nvme\d+): (?:queue \d+: )?(?P<reason>failed to connect socket.*|Reconnecting in \d+ "
            r"seconds.*|Removing (?:ctrl|controller).*|.*connection establishment failed.*|.*keep_alive_end_io error.*"
            r"|timeout cid .*|(?:send request|receive) failed.*)"
        ),
        on_disk,
        constants={"kind": "nvme over fabrics"},
    ),
    Pattern(
        "storage:path_ok",
        ("uccessfully reconnected", "is operational after recovery", "LOOP UP detected", "LINK UP", "Link Up Event"),
        (
            r"nvme (?P<device>nvme\d+): Successfully reconnected.*|(?P<kind>iscsid)\S*: connection\d+:\d+ is"
            r" operational "
            r"after recovery.*|(?P<driver>qla\w+|lpfc|fnic)\b.*?(?:LOOP UP detected|LINK UP|Link Up Event)"
        ),
        on_disk,
    ),
)
