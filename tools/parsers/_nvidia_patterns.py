"""What the NVIDIA drivers print to the kernel log about GPUs and switches: Xid, SXid, lost GPUs, failed starts.

Known: driver branches 390 to 590, proprietary and open modules, nvidia-nvswitch, nvidia-peermem.
"""

from __future__ import annotations

import re

from tools.catalogue.tables import DecodeRow, decode_nvlink5
from tools.parsers._patterns import BDF, Fields, Pattern, on_gpu, on_node, on_switch

_PCI = r"(?:PCI:)?(?P<pci>(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)"
_DETAILS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(expression)
    for expression in (
        r"GPC (?P<gpc>\d+), TPC (?P<tpc>\d+)(?:, SM (?P<sm>\d+))?",
        r"\bCh(?:annel(?: ID)?)? (?P<channel>[0-9a-fA-F]{8})\b",
        r"\bLink (?P<link>\d+)\b",
        r"link (?P<link>\d+)\((?P<registers>0x[0-9a-fA-F]+(?:, 0x[0-9a-fA-F]+)+)\)",
        r"caused by previous Xid (?P<caused_by>\d+)",
        r"[Rr]ecovery action changed from \S+ \([^)]*\) to (?P<recovery_code>\S+) \((?P<recovery_action>[^)]*)\)",
        r"(?P<recovery_action>Node Reboot Required|GPU Reset Required|Drain P2P|Drain and Reset)",
        r"for RPC response from GPU(?P<gpu_number>\d+)",
        r"Expected function (?P<function>\d+) \((?P<function_name>\w+)\)",
        r"(?P<reserved>[Aa]ll reserved rows)",
        r"(?P<containment>Contained|Uncontained): (?P<where>[^.(]+)",
        r"(?P<engine>\b(?:GRAPHICS|COPY|NVDEC|NVENC|CE\d*|HOST)\b) ?(?:GPCCLIENT"
        r"|HUBCLIENT)?.*?fault @ \S+ (?P<address>[0-9a-fx_]+)",
    )
)
_NVLINK5 = re.compile(
    r"^(?P<unit>[A-Z][A-Z0-9_ ]+?) (?P<word>Non-?[Ff]atal|Fatal|Link Fatal)\b.*?\((?P<intrinfo>0x[0-9a-fA-F]{1,8}),? "
    r"(?P<error_status>0x[0-9a-fA-F]{1,8})"
)
_PROCESS = re.compile(r"^pid=(?P<pid>'?<?\w+>?'?)(?:, name=(?P<process>.*?))?(?:, (?P<rest>.*)|$)")
_UNKNOWN = frozenset({"unknown", "<unknown>", "'<unknown>'", "'unknown'"})
_MAX_XID = 1 << 32
_MAX_REST = 300


def _refine_xid(fields: Fields) -> Fields | None:
    xid = int(fields["xid"])
    if not 0 < xid < _MAX_XID:
        return None
    fields["xid"] = str(xid)
    rest = fields.pop("rest", "")
    process = _PROCESS.match(rest)
    if process is not None:
        rest = process["rest"] or ""
        for name in ("pid", "process"):
            if process[name] and process[name] not in _UNKNOWN:
                fields[name] = process[name].strip("'")
    for detail in _DETAILS:
        if (found := detail.search(rest)) is not None:
            fields.update({k: v for k, v in found.groupdict().items() if v is not None and k not in fields})
    fields["rest"] = rest[:_MAX_REST]
    _decode_nvlink5(xid, rest, fields)
    return fields


def _decode_nvlink5(xid: int, rest: str, fields: Fields) -> None:
    found = _NVLINK5.match(rest)
    if found is None:
        return
    fields.update(unit=found["unit"], intrinfo=found["intrinfo"], error_status=found["error_status"])
    fields["severity"] = "nonfatal" if found["word"].lower().startswith("non") else "fatal"
    row = decode_nvlink5(xid, int(found["intrinfo"], 16), int(found["error_status"], 16), unit=found["unit"])
    if row is not None:
        fields.update(_decode_fields(row))


def _decode_fields(row: DecodeRow) -> Fields:
    return {
        "decode_unit": row.unit,
        "decode_action": row.immediate_bucket,
        "decode_follow_up": row.investigatory_bucket,
        "decode_severity": row.severity,
        "decode_hw_sw": row.hw_sw,
    }


def _refine_sxid(fields: Fields) -> Fields | None:
    word = fields.pop("word", "").lower()
    fields["severity"] = "nonfatal" if word.startswith("non") else "fatal" if word == "fatal" else ""
    if not fields["severity"]:
        del fields["severity"]
    return fields


def _refine_severity(fields: Fields) -> Fields | None:
    # The second line of an SXid: severity 0 is non-fatal, 1 fatal (the driver's own numbers).
    fields["severity"] = "fatal" if fields.pop("number") == "1" else "nonfatal"
    return fields


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "xid:{xid}",
        ("Xid (",),
        (
            rf"\bXid \({_PCI}(?: GPU-I:(?P<gpu_instance>\d+))?(?: GPU-CI:"
            rf"(?P<compute_instance>\d+))?[^)]*\):? (?P<xid>\d+)\b(?:[,:] ?(?P<rest>.*))?"
        ),
        on_gpu,
        refine=_refine_xid,
    ),
    Pattern("xid:{xid}", ("XID ",), r"\bXID (?P<xid>\d+) detected\b(?P<rest>.*)", on_node, refine=_refine_xid),
    Pattern(
        "sxid:{sxid}",
        ("SXid (",),
        rf"\bSXid \({_PCI}\): (?P<sxid>\d+), Severity (?P<number>[01]) Engine instance (?P<instance>\d+)",
        on_switch,
        refine=_refine_severity,
        joins=3,
    ),
    Pattern("sxid:{sxid}", ("SXid (",), rf"\bSXid \({_PCI}\): (?P<sxid>\d+), Data (?P<data>\{{.*)", on_switch, joins=4),
    Pattern(
        "sxid:{sxid}",
        ("SXid (",),
        (
            rf"(?:nvidia-nvswitch(?P<switch>\d+): )?\bSXid \({_PCI}\): (?P<sxid>\d+)(?:, (?P<word>Fatal"
            rf"|[Nn]on-?[Ff]atal))?(?:, (?:Link (?P<link>\d+) ?)?(?P<rest>.*))?"
        ),
        on_switch,
        refine=_refine_sxid,
    ),
    Pattern(
        "sxid:{sxid}",
        ("NVSwitch fatal error", "NVSwitch non-fatal error"),
        (
            rf"detected NVSwitch (?P<word>fatal|non-fatal) error (?P<sxid>\d+)(?:.*?pci bus id "
            rf"(?P<pci>{BDF}))?(?:.*?\bport (?P<link>\d+))?"
        ),
        on_switch,
        refine=_refine_sxid,
    ),
    # The GPU itself
    Pattern(
        "gpu:fallen_off_bus", ("fallen off the bus",), rf"(?:(?P<pci>{BDF})\S* .*?)?fallen off the bus", on_gpu, joins=3
    ),
    Pattern(
        "gpu:fallen_off_bus",
        ("NVRM: (PCI ID:",),
        r"\(PCI ID: (?P<device_id>[0-9a-f:]+)\) installed in this system has$",
        on_gpu,
        joins=3,
    ),
    Pattern(
        "gpu:lost",
        ("GPU is lost", "GPU_IS_LOST"),
        rf"(?:(?:gpu|GPU) (?P<pci>{BDF}).*?)?(?:GPU is lost|NV_ERR_GPU_IS_LOST)",
        on_gpu,
    ),
    Pattern(
        "gpu:lost",
        ("device inaccessible", "config space inaccessible"),
        (
            rf"\bnvidia (?P<pci>{BDF}): .*(?P<reason>Unable to change power state|not ready|(?:device"
            rf"|config space) inaccessible)"
        ),
        on_gpu,
    ),
    Pattern(
        "gpu:handle_failed",
        ("Unable to determine the device handle",),
        rf"Unable to determine the device handle for (?:GPU|gpu)\S*\s?(?P<pci>{BDF})?: (?P<rest>.*)",
        on_gpu,
    ),
    Pattern(
        "gpu:power_missing",
        ("necessary power cables", "auxiliary power", "external power"),
        (
            rf"(?:(?P<pci>{BDF}).*?)?(?:necessary power cables connected|(?:auxiliary|external) power "
            rf"(?:cable|connector)s?.*?(?:not|missing)|missing (?:external|auxiliary) power"
            rf"|not.{{0,40}}external power)"
        ),
        on_gpu,
    ),
    Pattern(
        "gpu:power_missing",
        ("nsufficient power", "nsufficient external power", "not enough power", "Not enough power"),
        (
            rf"(?:NVRM|nvidia|GPU).*?(?:(?P<pci>{BDF}).*?)?(?:[Ii]nsufficient (?:external )?power"
            rf"|[Nn]ot enough power)"
        ),
        on_gpu,
    ),
    Pattern(
        "gpu:inforom",
        ("nfoROM", "NFOROM"),
        (
            rf"(?:(?P<pci>{BDF}).*?)?(?i:inforom)\b.*?(?:corrupt|invalid|checksum|failed)(?:.*?gpu "
            rf"(?P<pci_after>{BDF}))?"
        ),
        on_gpu,
        refine=lambda f: {
            **{k: v for k, v in f.items() if k != "pci_after"},
            **({"pci": f["pci_after"]} if "pci_after" in f else {}),
        },
    ),
    Pattern(
        "gpu:aperture",
        ("alloc VA space for mapping", "BAR1"),
        (
            rf"NVRM.*?(?:(?P<pci>{BDF}).*?)?(?:can't alloc VA space for mapping|[Ff]ailed to (?:map"
            rf"|allocate).*?BAR1|BAR1.*?(?:exhausted|out of space|insufficient))"
        ),
        on_gpu,
    ),
    Pattern(
        "gpu:init_failed",
        ("RmInitAdapter failed", "rm_init_adapter failed", "rm_init_adapter() failed"),
        (
            rf"(?:(?P<pci>{BDF}): )?(?:RmInitAdapter failed!? ?(?:\((?P<status>[^)]*)\))?"
            rf"|rm_init_adapter(?:\(\))? failed(?:, device minor number (?P<minor>\d+))?)"
        ),
        on_gpu,
        joins=2,
    ),
    Pattern(
        "gpu:init_failed",
        ("NVRM: ",),
        (
            rf"NVRM: (?:GPU\d* )?(?:(?P<pci>{BDF}): )?(?P<reason>[Ff]ailed to (?:copy vbios|initialize"
            rf"|enable MSI|allocate.*GSP|boot GSP|load GSP).*|RmInitAdapter: Cannot initialize.*"
            rf"|.*Cannot initialize GSP firmware RM.*)"
        ),
        on_gpu,
        joins=4,
    ),
    Pattern(
        "gpu:bar_invalid",
        ("PCI I/O region assigned to your NVIDIA device",),
        r"PCI I/O region assigned to your NVIDIA device is invalid",
        on_node,
    ),
    Pattern(
        "gpu:bar_invalid",
        ("NVRM: BAR",),
        rf"NVRM: (?P<bar>BAR\d) is (?P<size>\S+ @ \S+) \(PCI:(?P<pci>{BDF})\)",
        on_gpu,
        joins=3,
        attaches=True,
    ),
    Pattern(
        "gpu:no_devices",
        ("No NVIDIA GPU found", "No NVIDIA graphics adapter found", "No devices were found", "no NVIDIA GPU"),
        r"NVRM: [Nn]o NVIDIA (?:GPU|graphics adapter) found|^\s*No devices were found",
        on_node,
    ),
)

UUID_LINE = re.compile(r"NVRM: GPU at (?:PCI:)?(?P<pci>[0-9a-fA-F:.]+): (?P<uuid>GPU-[0-9a-fA-F-]{36})")
SERIAL_LINE = re.compile(r"NVRM: GPU Board Serial Number: (?P<serial>\w+)")
SUBJECT_LINE = re.compile(rf"NVRM: The NVIDIA GPU (?P<pci>{BDF})")
"""Lines that tell which GPU the next lines speak of."""
SUBJECT_LITERALS = ("NVRM: GPU at ", "NVRM: GPU Board Serial", "NVRM: The NVIDIA GPU ")
