"""What filers and hypervisors' storage stacks log: ONTAP's event system, and the VMkernel of ESX and ESXi.

Known: EMS of Data ONTAP 7 and ONTAP 8 to 9.15, `[node: process: event.name:severity]: text` and the rows of `event log
show`; NMP, ScsiDeviceIO, StorageApdHandler and vobd of ESX 4 to ESXi 8.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_disk, on_node

_EVENTS = (
    (r"(?:netif|vifmgr)\..*(?:linkdown|portdown)", "nic:link_down"),
    (r"(?:netif|vifmgr)\..*(?:linkup|portup)", "nic:link_up"),
    (r"callhome\.clus\.net\.degraded|vifmgr\.port\.monitor\.failed", "network:link_error"),
    (
        r".*\.(?:retrysuccess|start|done|resume|suspended|complete\w*|success|ok|cleared|online|restored|summary\b.*)",
        "",
    ),
    (
        r"(?:raid|disk)\..*(?:predict|prefail)|callhome\.d(?:sk|isk)\.(?:pfa|predict.*)|shm\.threshold\..*",
        "smart:failing",
    ),
    (r"disk\.io(?:recovered|reassign).*|raid\.rg\.readerr\.repair.*|raid\..*cksum.*", "md:read_corrected"),
    (
        r"disk\.iomediumerror|disk\.senseerror|(?:raid|disk)\..*(?:media|medium|readerr|blkerr|bad\.block).*",
        "disk:read_failed",
    ),
    (r"raid\.(?:rg|vol|aggr)\..*(?:degraded|failed)|raid\.(?:disk|config|fdr|spare)\..*(?:miss|fail|sick|remind|offline).*"
     r"|disk\.(?:failmsg|partner\.diskfail|outofservice|.*(?:fail|timeout|removed|notready)).*"
     r"|callhome\.(?:f?dsk|disk)\.(?:fault|fail|miss).*|monitor\.brokendisk.*|diskown\..*err.*", "md:degraded"),
    (r"wafl\.(?:incons|.*inconsist|raid\.incons).*|raid\.multierr.*|aggr\..*(?:fail|inconsist).*|wafl\.vol\.(?:offline|fail).*"
     r"|raid\.mirror\..*(?:restrict|fail).*", "fs:error"),
    (r"(?:wafl|monitor)\.(?:vol|volume)\.(?:full|nearlyfull|autosize\.fail|snap.*full)|.*\.(?:full|nospace|outofspace|out_of_space)"
     r"|wafl\.vol\.autosize\.fail.*|lun\.offline\.nospace", "limit:disk_space"),
    (r"nvram\.battery\..*|callhome\.battery.*|nvmem\.battery.*", "bmc:battery_low"),
    (r"(?:ses|monitor|callhome|env|platform)\..*(?:fan|power|ps|psu|temp|shelf).*(?:fail|fault|error|warn|critical|over|degrad).*",
     "storage:enclosure"),
    (r"scsi\.(?:cmd|path|target)\..*|(?:fci|fcp|sasmon|sas|ds\.sas|iscsi|disk\.path|nvmf|fabric)\..*"
     r"(?:err|fail|down|lost|timeout|offline|reset|single).*|.*pathfail.*", "storage:path_error"),
)  # fmt: skip
"""EMS events by their names: what each tells. The first row that matches wins; an empty code is no trouble."""
_LOUD = frozenset({"emergency", "alert", "critical", "error", "warning"})
_BY_NAME = tuple((re.compile(name), code) for name, code in _EVENTS)
_ALWAYS = frozenset({"limit:disk_space", "md:degraded", "nic:link_down", "nic:link_up"})
"""What ONTAP also tells as a notice."""


def name_filer_event(name: str, severity: str) -> str:
    """Name the code of an EMS event; empty where it tells of no trouble."""
    low = name.lower()
    code = next((code for regex, code in _BY_NAME if regex.fullmatch(low)), "log:filer")
    if severity.lower() in _LOUD or code in _ALWAYS:
        return code
    return ""


def _refine_event(fields: Fields) -> Fields | None:
    code = name_filer_event(fields["event"], fields["severity"])
    if code in ("nic:link_down", "nic:link_up"):
        port = re.search(r"\be\d+[a-z]\b", fields.get("reason", ""))
        fields = {**fields, "device": port.group()} if port else fields
    return {**fields, "code": code} if code else None


_SENSE = {"2": "scsi:not_ready", "3": "scsi:sense_medium", "4": "scsi:sense_medium", "b": "scsi:transport_error"}
"""Sense keys that tell of trouble: not ready, medium error, hardware error, aborted command (SPC)."""
_CALM = frozenset({"0x0", "0x8", "0x28"})
"""Device status good, busy and task set full: sent again."""


def _refine_command(fields: Fields) -> Fields | None:
    """H is what the adapter made of a request, D what the device answered (vmkernel's SCSI codes)."""
    key = fields.get("key", "").lower()
    if fields["host"].lower() not in ("0x0", "0xc"):
        return {**fields, "code": "storage:path_error"}
    if fields["status"].lower() == "0x2":
        return {**fields, "code": _SENSE[key]} if key in _SENSE else None
    return None if fields["status"].lower() in _CALM else {**fields, "code": "block:reservation"}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "",
        (
            ":error]",
            ":ERROR]",
            ":alert]",
            ":ALERT]",
            ":critical]",
            ":CRITICAL]",
            ":EMERGENCY]",
            ":emergency]",
            ":warning]",
            ":WARNING]",
            ":notice]",
            ":NOTICE]",
            ":info]",
            ":INFO]",
        ),
        (
            r"\[(?:(?P<node>[\w.-]{1,64}): ?)?(?:\S{1,64}: ?)??(?P<event>[A-Za-z]\w*(?:\.\w+){1,6}):"
            r"(?P<severity>[A-Za-z]+)\]:? ?(?P<reason>.*)"
        ),
        on_disk,
        refine=_refine_event,
    ),
    Pattern(
        "",
        (
            " wafl.",
            " raid.",
            " scsi.",
            " callhome.",
            " monitor.",
            " netif.",
            " vifmgr.",
            " nvram.",
            " ses.",
            " disk.io",
        ),
        (
            r"^\S+ \S+(?: [AP]M)?\s+(?P<node>[\w.-]+)\s+(?P<severity>EMERGENCY|ALERT|ERROR|NOTICE|INFORMATIONAL|DEBUG"
            r"|emergency|alert|error|notice|informational|critical|warning)\s+(?P<event>[A-Za-z]\w*(?:\.\w+){1,6}): "
            r"(?P<reason>.*)"
        ),
        on_disk,
        refine=_refine_event,
    ),
    Pattern(
        "",
        (" H:0x",),
        (
            r"(?:NMP|ScsiDeviceIO|ScsiCore|WARNING)\S*: .*?(?:device|dev) \"(?P<device>[^\"]{1,64})\".*?[Ff]ailed.*? "
            r"(?P<reason>H:(?P<host>0x\w+) D:(?P<status>0x\w+) P:0x\w+(?:.*?[Ss]ense data: 0x(?P<key>\w) 0x\w+ 0x\w+)?)"
        ),
        on_disk,
        refine=_refine_command,
        joins=10,
    ),
    Pattern(
        "storage:path_error",
        (
            "All Paths Down",
            "all paths down",
            "is blocked. Not starting I/O",
            "APD Start",
            "APD Timeout",
            "lost connectivity to storage",
            "Lost connectivity to storage",
            "Lost access to volume",
            "Lost path redundancy",
            "state in doubt",
            "heartbeat.timedout",
            "storage.connectivity.lost",
            "storage.redundancy",
            "storage.apd.start",
        ),
        (
            r"(?P<reason>.*(?:has entered (?:the )?[Aa]ll [Pp]aths [Dd]own|is blocked\. Not starting I/O"
            r"|APD (?:Start|Timeout)\b(?!.*(?:Exit|exit))|[Ll]ost connectivity to storage|Lost access to volume"
            r"|Lost path redundancy|state in doubt|heartbeat\.timedout|storage\.(?:connectivity\.lost|redundancy\.\w+"
            r"|apd\.start)).*)"
        ),
        on_node,
        constants={"kind": "vmkernel"},
        joins=20,
    ),
    Pattern(
        "scsi:offline",
        ("ermanently inaccessible", "ermanent device loss", "entered PDL", "PERM LOSS", "scsipath.pdl"),
        r"(?:[Dd]evice \"?(?P<device>(?:naa|t10|eui|mpx|sym)\.[\w.:]+)?.*?)?(?P<reason>[Pp]ermanent(?:ly inaccessible"
        r"| device loss).*|entered PDL.*|PERM LOSS.*|scsipath\.pdl.*)",
        on_disk,
    ),
    Pattern(
        "storage:path_ok",
        (
            "uccessfully restored access",
            "exited the All Paths Down",
            "APD Exit",
            "heartbeat.recovered",
            "edundancy restored",
        ),
        r"(?P<reason>.*(?:[Ss]uccessfully restored access|exited the All Paths Down|APD Exit|heartbeat\.recovered"
        r"|[Rr]edundancy restored).*)",
        on_node,
    ),
    Pattern(
        "disk:slow",
        ("erformance has deteriorated",),
        r"[Dd]evice \"?(?P<device>[\w.:-]{1,64})\"? performance has deteriorated\. (?P<reason>I/O latency increased.*)",
        on_disk,
    ),
)
