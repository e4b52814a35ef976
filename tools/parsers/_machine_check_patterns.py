"""What memory and processors report of their own errors: EDAC, machine checks, GHES/CPER, rasdaemon, mcelog.

Known: Linux 2.6.32 (RHEL 6) to 6.14 on x86, Arm and POWER; mcelog 1xx to 2xx, rasdaemon 0.6 to 0.8.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, no_event, on_node

_UC_BIT = 61


def _refine_machine_check(fields: Fields) -> Fields | None:
    # Bit 61 (UC) of the bank status tells an uncorrected error (Intel SDM volume 3B, 15.3.2.2; AMD APM volume 2).
    status = int(fields.get("status", "0"), 16)
    # Old kernels print the same words for what they found by polling: then no machine check was in progress.
    exception = bool(fields.get("exception")) and int(fields.get("mcg", "1"), 16) != 0
    uncorrected = bool(status >> _UC_BIT & 1) or exception
    return {**fields, "code": "mce:uncorrected" if uncorrected else "mce:corrected"}


def _refine_ghes(fields: Fields) -> Fields | None:
    severity = fields["severity"]
    if severity == "info":
        return None
    return {**fields, "code": "mce:corrected" if severity == "corrected" else "mce:uncorrected"}


def _refine_edac(fields: Fields) -> Fields | None:
    uncorrected = fields["kind"].startswith(("UE", "Uncorr", "Fatal"))
    count = {"count": fields["errors"]} if fields.get("errors", "").isdecimal() else {}
    return {**fields, **count, "code": "edac:uncorrected" if uncorrected else "edac:corrected"}


_OF_NO_HOST = re.compile(r"NVRM|GPU|nvidia-smi|[Vv]olatile|[:=]\s*0\s*$")
"""Of a GPU, or a count of none."""

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "",
        ("EDAC",),
        (
            r"EDAC (?:[\w-]+:? )?(?P<controller>MC\d+|DEVICE\d+): (?:(?P<errors>\d+) )?(?P<kind>CE|UE)\b"
            r"(?P<what>[^(]*?)(?: on (?P<dimm>[^(]+?))?(?: \(.*|, .*| page.*| ERROR_ADDRESS.*|: .*| - .*|\s*$)"
        ),
        on_node,
        refine=_refine_edac,
    ),
    Pattern(
        "",
        ("EDAC",),
        (
            r"EDAC (?P<controller>[\w-]+): .*?(?P<kind>CE|UE|Uncorrected|Corrected|Fatal)\b(?: error)?(?: |(?=\())"
            r".*?(?P<what>row \d+.*|memory.*|error\(?s?\)?: dimm.*)"
        ),
        on_node,
        refine=_refine_edac,
    ),
    Pattern(
        "",
        ("CE memory ", "UE memory "),
        r"(?<!\S)(?P<kind>CE|UE) memory (?P<what>\w+) error on (?P<dimm>\S+)",
        on_node,
        refine=_refine_edac,
    ),
    Pattern(
        "",
        ("mc_event:", "mc_event 20"),
        r"mc_event:? (?:.* )?(?P<errors>\d+) (?P<kind>Corrected|Uncorrected|Fatal)",
        on_node,
        refine=_refine_edac,
    ),
    Pattern(
        "",
        ("Machine Check", "Machine check:"),
        (
            r"CPU ?(?P<cpu>\d+): Machine [Cc]heck(?P<exception> Exception)?:\s+(?P<mcg>[0-9a-fA-F]{1,16}) Bank "
            r"(?P<bank>\d+): (?P<status>[0-9a-fA-F]{8,16})"
        ),
        on_node,
        refine=_refine_machine_check,
    ),
    Pattern(
        "mce:uncorrected",
        ("Machine Check Exception", "achine check exception"),
        r"CPU ?(?P<cpu>\d+): (?P<reason>Machine Check Exception)(?::\s*(?P<mcg_status>[0-9a-fA-F]+)(?: Bank"
        r" \d+)?)?\s*$",
        on_node,
        joins=10,
    ),
    Pattern(
        "mce:uncorrected",
        (
            "Memory failure:",
            "ncorrected hardware memory error",
            "due to hardware memory corruption",
            "ncorrected, software",
            "eferred error, no action",
        ),
        (
            r"Memory failure: (?P<page>0x[0-9a-f]+): (?P<reason>.*)|(?P<reason2>Uncorrected hardware "
            r"memory error.*|Uncorrected, software.*|Deferred error.*|[Kk]illing \S+ due to hardware "
            r"memory corruption)"
        ),
        on_node,
    ),
    Pattern(
        "test:injected",
        ("machine check poll CPU", "riggering MCE exception"),
        r"(?P<reason>Starting machine check poll CPU (?P<cpu>\d+)|Triggering MCE exception on CPU (?P<cpu2>\d+))",
        on_node,
    ),
    Pattern(
        "mce:corrected",
        ("orrected error, no action required", "Machine check events logged"),
        r"(?P<reason>\bCorrected error, no action required|Machine check events logged)",
        on_node,
        joins=10,
        echoes=("cpu:thermal", "cpu:thermal_normal", "test:injected"),
    ),
    Pattern(
        "mce:uncorrected",
        ("machine check interrupt", "atal machine check", "achine check error"),
        r"^(?!Kernel panic).*?(?P<reason>(?:[Ff]atal )?machine check (?:interrupt|error)?)",
        on_node,
    ),
    Pattern(
        "",
        ("event severity:",),
        (r"\[Hardware Error\]: +(?:\[?\w* ?)?event severity: (?P<severity>corrected|recoverable" r"|fatal|info)"),
        on_node,
        refine=_refine_ghes,
    ),
    Pattern(
        "mce:",
        ("section_type:",),
        r"\[Hardware Error\]: +section_type: (?P<section>.*)",
        on_node,
        joins=8,
        attaches=True,
    ),
    Pattern(
        "mce:",
        ("error_type:", "DIMM location:", "physical_address:"),
        (
            r"\[Hardware Error\]: +(?:error_type: \d+, (?P<error_type>.*)|(?:DIMM location: )"
            r"(?P<dimm>.*)|physical_address: (?P<address>\S+))"
        ),
        on_node,
        joins=20,
        attaches=True,
    ),
    Pattern(
        "",
        ("_STATUS[",),
        r"\[Hardware Error\]: .*?MC(?P<bank>\d+)_STATUS\[(?P<flags>[^\]]*)\]: (?P<status>0x[0-9a-fA-F]+)",
        on_node,
        refine=lambda f: _refine_machine_check({**f, "status": f["status"].removeprefix("0x")}),
        joins=6,
    ),
    Pattern(
        "mce:",
        ("Error (node", "Ext. Error Code", "DRAM ECC error", "cache level:"),
        r"\[Hardware Error\]: (?P<error_type>MC\d+ Error.*|.*Ext\. Error Code.*|.*DRAM ECC error.*|cache level:.*)",
        on_node,
        joins=12,
        attaches=True,
    ),
    Pattern(
        "",
        ("MCGSTATUS", "mcgstatus"),
        r"STATUS (?P<status>[0-9a-fA-F]{8,16}) MCGSTATUS|status= ?(?P<status2>[0-9a-fA-F]{8,16}).*mcgstatus",
        on_node,
        refine=lambda f: _refine_machine_check({**f, "status": f.get("status") or f.get("status2", "0")}),
        joins=3,
    ),
    Pattern(
        "",
        ("MCi status", "Corrected error", "Uncorrected error", "exceed threshold", "Offlining page", "fflin"),
        (
            r"(?:mcelog|rasdaemon)\S*: .*?(?P<reason>(?P<kind>Corrected"
            r"|Uncorrected) (?:\w+ ){0,4}errors?\b(?:.*: (?P<count>\d+) in \d+h|)"
            r"|.*exceed threshold.*|Offlining page.*|Result of offlining page.*)"
            r"|(?:RAS: )?(?P<reason2>[Ss]oft-?[ _]?offlin\w*(?: pfn"
            r"| page)?:? ?(?P<page>0x\w+).*)"
        ),
        on_node,
        refine=lambda f: {**f, "code": "mce:uncorrected" if f.get("kind") == "Uncorrected" else "mce:corrected"},
        joins=6,
    ),
    Pattern(
        # What POWER prints (arch/powerpc/kernel/mce.c); the next line says whether it could be mended.
        "mce:uncorrected",
        ("achine check in kernel mode", "Machine check interrupt ["),
        r"Machine check in kernel mode|Severe Machine check interrupt \[(?P<reason>Not recovered)\]",
        on_node,
        joins=6,
    ),
    Pattern(
        "mce:corrected",
        ("Machine check interrupt [", "HANDLING MCE MEMORY ERROR"),
        r"Machine check interrupt \[Recovered\]|EDAC \w+ MC\d+: (?P<reason>HANDLING MCE MEMORY ERROR)",
        on_node,
        joins=10,
    ),
    Pattern(
        "mce:untold",
        ("ardware error from APEI",),
        r"\[Hardware Error\]: +(?P<reason>Hardware error from APEI.*)",
        on_node,
        joins=400,
    ),
    # A record that mcelog decoded: each of its lines stands alone, the state of the bank too.
    Pattern(
        "mce:corrected",
        ("Corrected error", "corrected ecc error", "orrected filtering", "MCA: ", "corrected memory statistics"),
        r"^\s*(?P<reason>Corrected error|bit46 = corrected ecc error|MCA: (?:corrected filtering|MEMORY CONTROLLER"
        r"|BUS|Generic CACHE|\w+ CACHE|Internal).*|Per page corrected memory statistics:)\s*$",
        on_node,
        joins=6,
    ),
    Pattern(
        "mce:uncorrected",
        ("Uncorrected error", "uncorrected ecc error", "SRA", "Processor context corrupt"),
        r"^\s*(?P<reason>Uncorrected error|bit45 = uncorrected ecc error|SRA[RO]\b.*|Processor context corrupt)\s*$",
        on_node,
        joins=6,
    ),
    Pattern(
        "cpu:thermal",
        ("bove trip temperature", "THERMAL EVENT"),
        r"^\s*(?P<reason>Processor (?P<cpu>\d+) heated above trip temperature.*|CPU (?P<cpu2>\d+) THERMAL EVENT.*)",
        on_node,
        joins=6,
    ),
    Pattern(
        "cpu:thermal_normal",
        ("elow trip temperature",),
        r"^\s*(?P<reason>Processor (?P<cpu>\d+) below trip temperature.*)",
        on_node,
    ),
    Pattern(
        "edac:uncorrected",
        (
            "emory device status is critical",
            "ulti-bit",
            "ultibit",
            "ncorrectable ECC",
            "ncorrectable memory",
            "emory failure",
        ),
        (
            r"(?P<reason>[Mm]emory device status is critical.*|[Mm]ulti-?bit (?:ECC|memory).*|[Uu]ncorrectable (?:ECC"
            r"|memory)"
            r"(?! error encountered| error \(DBE\)).*)"
        ),
        on_node,
        refine=lambda f: None if _OF_NO_HOST.search(f["reason"]) else f,
    ),
    Pattern(
        "edac:corrected",
        ("emory device status is non-critical", "ingle-bit ECC", "orrectable memory error", "orrectable ECC"),
        (
            r"(?P<reason>[Mm]emory device status is non-critical.*|(?<!\w)[Ss]ingle-bit ECC.*"
            r"|(?<![Uu]n)(?<!\w)[Cc]orrectable "
            r"(?:memory|ECC) error.*)"
        ),
        on_node,
    ),
    Pattern(
        "mce:corrected",
        ("storm detected",),
        r"(?P<reason>(?:CMCI|MCE|Machine check) (?:interrupt )?storm detected.*)",
        on_node,
        joins=50,
    ),
    Pattern("", ("storm subsided",), r"(?:CMCI|MCE|interrupt) storm subsided", on_node, refine=no_event),
    Pattern(
        "",
        ("mce_record",),
        r"mce_record:? .*?status= ?(?:0x)?(?P<status>[0-9a-fA-F]{8,16})(?P<what>.*)",
        on_node,
        refine=_refine_machine_check,
    ),
    Pattern(
        "mce:uncorrected",
        ("memory_failure_event",),
        r"memory_failure_event:? .*?pfn=(?P<page>0x\w+)(?P<reason>.*)",
        on_node,
    ),
)
