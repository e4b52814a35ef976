"""What the NVIDIA drivers print to the kernel log about GPUs and switches: Xid, lost GPUs, failed starts.

Known: driver branches 390 to 590, proprietary and open modules. What they print about NVLink and NVSwitch is in
`_nvlink_patterns`.
"""

from __future__ import annotations

import re

from tools.catalogue.tables import DecodeRow, decode_nvlink5
from tools.parsers import _nvlink_patterns
from tools.parsers._nvlink_patterns import PCI, read_link_text
from tools.parsers._patterns import BDF, Fields, Pattern, on_gpu, on_node

_DETAILS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(expression)
    for expression in (
        r"GPC (?P<gpc>\d+), TPC (?P<tpc>\d+)(?:, SM (?P<sm>\d+))?",
        r"\bCh(?:annel(?: ID)?)? (?P<channel>[0-9a-fA-F]{8})\b",
        r"\bLink (?P<link>\d+)\b",
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
    read_link_text(fields, rest)
    _decode_nvlink5(xid, rest, fields)
    return fields


def _decode_nvlink5(xid: int, rest: str, fields: Fields) -> None:
    found = _NVLINK5.match(rest)
    if found is None:
        return
    fields.update(unit=found["unit"], intrinfo=found["intrinfo"], error_status=found["error_status"])
    fields["severity"] = "nonfatal" if found["word"].lower().startswith("non") else "fatal"
    row = decode_nvlink5(xid, int(found["intrinfo"], 16), int(found["error_status"], 16), unit=found["unit"])
    if row is None:
        return
    fields.update(_decode_fields(row))
    if ("non" in row.severity.lower()) != (fields["severity"] == "nonfatal"):
        # The driver knows what happened, the table what usually does: the line's own word stands.
        fields.update(decode_severity=found["word"], decode_disagrees=row.severity)


def _decode_fields(row: DecodeRow) -> Fields:
    return {
        "decode_unit": row.unit,
        "decode_action": row.immediate_bucket,
        "decode_follow_up": row.investigatory_bucket,
        "decode_severity": row.severity,
        "decode_hw_sw": row.hw_sw,
    }


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "xid:{xid}",
        ("Xid (",),
        (
            rf"\bXid \((?:{PCI}(?: GPU-I:(?P<gpu_instance>\d+))?(?: GPU-CI:"
            rf"(?P<compute_instance>\d+))?)?[^)]{{0,60}}\) ?:? (?P<xid>\d+)\b(?:[,:] ?(?P<rest>.*))?"
        ),
        on_gpu,
        refine=_refine_xid,
    ),
    Pattern("xid:{xid}", ("XID ",), r"\bXID (?P<xid>\d+) detected\b(?P<rest>.*)", on_node, refine=_refine_xid),
    *_nvlink_patterns.SXID_PATTERNS,
    # The GPU itself
    Pattern(
        "gpu:fallen_off_bus",
        ("fallen off the bus", "fell off the bus"),
        rf"(?:(?P<pci>{BDF})\S* .*?)?(?:fallen|fell) off the bus",
        on_gpu,
        joins=3,
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
        ("GPU is lost", "GPU_IS_LOST", "GpuIsLost", "GPU has been lost", "GPU lost from the bus", "lost GPU"),
        (
            rf"(?:(?:gpu|GPU)(?: at)? (?:PCI:)?(?P<pci>{BDF}).*?)?(?:GPU is lost|ERR(?:OR)?_GPU_IS_LOST|GpuIsLost"
            rf"|GPU has been lost"
            rf"|GPU lost from the bus|NVRM: .*lost GPU)"
        ),
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
        "gpu:lost",
        ("Check whether GPU is present on the bus", "GPU_ATTACHED_SANITY_CHECK failed"),
        (
            r"NVRM: (?:GPU(?P<gpu_number>\d+) )?.*(?P<reason>Failed GPU reg read ?: 0xf{8}.*"
            r"|Check whether GPU is present on the bus|API_GPU_ATTACHED_SANITY_CHECK failed)"
        ),
        on_gpu,
        joins=20,
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
        echoes=("driver:unsupported_gpu", "driver:device_taken"),
    ),
    Pattern(
        "gpu:init_failed",
        ("NVRM: ",),
        (
            rf"NVRM: (?:GPU\d* )?(?:(?P<pci>{BDF}): )?(?P<reason>(?!.*falling back)[Ff]ailed to (?:copy vbios"
            rf"|initialize|enable MSI|allocate.*GSP|boot GSP|load GSP).*|RmInitAdapter: Cannot initialize.*"
            rf"|.*Cannot initialize GSP firmware RM.*|.*failed to wait for GFW.*|.*bailing out of RmInitAdapter.*)"
        ),
        on_gpu,
        joins=4,
    ),
    Pattern(
        "gpu:watchdog",
        ("GPU is probably locked",),
        rf"NVRM: (?:.*?(?P<pci>{BDF})\S* .*?)?(?P<reason>.*GPU is probably locked.*)",
        on_gpu,
        joins=30,
    ),
    Pattern(
        "gpu:watchdog",
        (
            "Error while waiting for GPU progress",
            "display engine timed out",
            "display engine channel state",
            "Failed to restore GPU state",
        ),
        r"nvidia-modeset: ERROR: GPU:(?P<gpu_number>\d+): (?P<reason>(?:Error while waiting for GPU progress"
        r"|\w+ display engine timed out|Failed to query display engine channel state|Failed to restore GPU state).*)",
        on_node,
        joins=30,
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
    *_nvlink_patterns.LINK_PATTERNS,
    Pattern(
        "gpu:no_devices",
        ("No NVIDIA GPU found", "No NVIDIA graphics adapter found", "No devices were found", "no NVIDIA GPU"),
        r"NVRM: [Nn]o NVIDIA (?:GPU|graphics adapter) found|^\s*No devices were found",
        on_node,
        echoes=("driver:unsupported_gpu", "driver:device_taken"),
    ),
)

UUID_LINE = re.compile(r"NVRM: GPU at (?:PCI:)?(?P<pci>[0-9a-fA-F:.]+): (?P<uuid>GPU-[0-9a-fA-F-]{36})")
SERIAL_LINE = re.compile(r"NVRM: GPU Board Serial Number: (?P<serial>\w+)")
SUBJECT_LINE = re.compile(rf"NVRM: The NVIDIA GPU (?P<pci>{BDF})(?!.*(?:requires use|not supported|Legacy))")
"""Lines that tell which GPU the next lines speak of."""
SUBJECT_LITERALS = ("NVRM: GPU at ", "NVRM: GPU Board Serial", "NVRM: The NVIDIA GPU ")
