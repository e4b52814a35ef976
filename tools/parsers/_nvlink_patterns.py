"""What the drivers print about NVLink and NVSwitch: SXid, links that fail to train, the registers of Xid 74.

Known: driver branches 410 to 590, proprietary and open modules, nvidia-nvlink, nvidia-nvswitch, fabric manager 450 to
580. Numbered errors of NVLink 5 (Xid 144 to 150) are decoded beside the other Xids.
"""

from __future__ import annotations

import re

from tools.catalogue.tables import decode_xid74, sxid_facts
from tools.parsers._patterns import BDF, Fields, Pattern, on_gpu, on_node, on_switch

PCI = r"(?:PCI:)?(?P<pci>(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)"
_REGISTERS = re.compile(r"link (?P<link>-?\d+) ?\((?P<registers>0x[0-9a-fA-F]{1,8}(?:,? +0x[0-9a-fA-F]{1,8}){1,7})\)")
_LINK_TEXT = re.compile(r"NVLink: (?:fatal|non-?fatal) error detected on link (?P<link>-?\d+)", re.IGNORECASE)
_NEEDS_NOTHING = frozenset({"ignore", "threshold"})
_LINK_XIDS = frozenset({"74", *(str(code) for code in range(144, 151))})
_MAX_TEXT = 300


def read_link_text(fields: Fields, rest: str) -> None:
    """Add what an Xid line tells of a link: its number, its registers, and what their bits mean.

    The fault goes by the text where an Xid of another number carries it, and by the registers where they name nothing
    that needs an action.
    """
    text = _LINK_TEXT.search(rest)
    if fields["xid"] == "45" and fields.get("caused_by") in _LINK_XIDS:
        fields["code"] = "nvlink:channel_killed"
    if text is None:
        return
    fields["link"] = text["link"]
    if fields["xid"] != "74":
        fields["code"] = "nvlink:fatal_error"
    found = _REGISTERS.search(rest)
    if found is None:
        return
    fields["registers"] = found["registers"]
    bits = decode_xid74([int(value, 16) for value in found["registers"].replace(",", " ").split()])
    told = dict.fromkeys(f"register {one.register} bit {one.bit}: {one.meaning}" for one in bits)
    if told:
        fields["registers_say"] = "; ".join(told)[:_MAX_TEXT]
    if bits and {one.kind for one in bits} <= _NEEDS_NOTHING:
        fields["code"] = "nvlink:minor"


def _refine_sxid(fields: Fields) -> Fields | None:
    word = fields.pop("word", "").lower()
    if word:
        fields["severity"] = "nonfatal" if word.startswith("non") else "fatal"
    return fields


def _refine_severity(fields: Fields) -> Fields | None:
    # The second line of an SXid: severity 0 is non-fatal, 1 fatal (the driver's own numbers).
    fields["severity"] = "fatal" if fields.pop("number") == "1" else "nonfatal"
    return fields


def _refine_data(fields: Fields) -> Fields | None:
    # A data line has no word of its own; where it stands alone the vendor's group may only calm, never alarm.
    fact = sxid_facts().get(int(fields["sxid"]))
    return {**fields, "severity": "nonfatal"} if fact is not None and fact.group == "non-fatal" else fields


SXID_PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "sxid:{sxid}",
        ("SXid (",),
        rf"\bSXid \({PCI}\): (?P<sxid>\d{{1,6}}), Severity (?P<number>[01]) Engine instance (?P<instance>\d+)",
        on_switch,
        refine=_refine_severity,
        joins=3,
    ),
    Pattern(
        "sxid:{sxid}",
        ("SXid (",),
        rf"\bSXid \({PCI}\): (?P<sxid>\d{{1,6}}), Data (?P<data>\{{.*)",
        on_switch,
        joins=4,
        refine=_refine_data,
    ),
    Pattern(
        "sxid:{sxid}",
        ("SXid (",),
        (
            rf"(?:nvidia-nvswitch(?P<switch>\d+): )?\bSXid \({PCI}\):? (?P<sxid>\d{{1,6}})(?:, (?P<word>Fatal"
            rf"|[Nn]on-?[Ff]atal))?(?:, (?:Link (?P<link>\d+) ?)?(?P<rest>.*))?"
        ),
        on_switch,
        refine=_refine_sxid,
    ),
    Pattern(
        "sxid:{sxid}",
        ("NVSwitch fatal error", "NVSwitch non-fatal error", "NVSwitch nonfatal error"),
        (
            rf"detected NVSwitch (?P<word>fatal|non-?fatal) error (?P<sxid>\d{{1,6}})(?:.*?pci bus id "
            rf"(?P<pci>{BDF}))?(?:.*?\bport (?P<link>\d+))?"
        ),
        on_switch,
        refine=_refine_sxid,
    ),
)

LINK_PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "nvlink:driver_error",
        ("nvlink", "NVLink", "NvLink", "Nvlink"),
        (
            rf"NVRM: (?:.*?(?P<pci>{BDF})\S* ?.*?)?(?P<reason>\w*(?i:nvlink)\w*: .*(?i:fail(?:ed|s|ure)?\b|unable to"
            rf"|timed? ?out|bad state|fatal).*|NVLink link (?P<link>\d+) disabled.*|.*\bNVLink.*(?:training failed"
            rf"|failed to train|bad state|is down|went down|fatal error).*)"
        ),
        on_gpu,
        joins=8,
    ),
    Pattern(
        "nvlink:driver_error",
        ("nvidia-nvlink",),
        r"nvidia-nvlink\d*: (?P<reason>.*(?i:fail(?:ed|ure)|bad state|timed? ?out|fatal).*)",
        on_node,
        joins=8,
    ),
    Pattern(
        "nvswitch:driver_error",
        ("nvidia-nvswitch",),
        r"nvidia-nvswitch(?P<switch>\d*): (?!.*SXid)(?P<reason>.*(?i:fail(?:ed|ure)|timed? ?out|fatal|unable to).*)",
        on_switch,
        joins=8,
    ),
    Pattern(
        "nvlink:fatal_error",
        ("detected GPU NVL",),
        r"(?P<reason>detected GPU NVL(?:ink)? [Ff]atal error.*)",
        on_node,
        joins=20,
    ),
    Pattern(
        "nvlink:minor",
        ("detected GPU NVL",),
        r"(?P<reason>detected GPU NVL(?:ink)? [Nn]on-?[Ff]atal error.*)",
        on_node,
        joins=20,
    ),
    Pattern(
        "nvlink:training_failed",
        ("NVLink", "NvLink"),
        (
            r"\[(?:ERROR|FATAL|CRITICAL|WARNING)\] \[tid \d+\] (?P<reason>.*(?:NVLink|NvLink)s?\b.*(?:training"
            r" fail(?:ed|ure)|failed to train|not (?:fully )?trained|not in active"
            r"|failed to (?:initiali[sz]e|configure)).*)"
        ),
        on_node,
        joins=20,
    ),
)
