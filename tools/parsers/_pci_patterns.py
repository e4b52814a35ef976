"""What PCI Express and USB print to the kernel log: AER, DPC, hot-plug, bandwidth, over-current.

Known: Linux 3.10 (RHEL 7) to 6.14.
"""

from __future__ import annotations

from tools.parsers._patterns import BDF, Fields, Pattern, on_node, on_pci

_AT = rf"(?<![\w-])(?P<driver>[\w-]{{1,32}}) (?P<pci>{BDF})"
_DRIVER = _AT + ": "
_AER_CODES = {"corrected": "pci:aer_corrected", "nonfatal": "pci:aer_nonfatal", "fatal": "pci:aer_fatal"}


def _refine_aer(fields: Fields) -> Fields | None:
    word = fields.get("severity", "").lower()
    kind = "corrected" if word.startswith("correct") else "nonfatal" if "non" in word else "fatal"
    return {**fields, "severity": kind, "code": _AER_CODES[kind]}


def _refine_bandwidth(fields: Fields) -> Fields | None:
    # 'limited by 8.0 GT/s PCIe x8 link … (capable of … with 16.0 GT/s PCIe x16 link)': which of the two is short?
    now, could = fields.get("now", ""), fields.get("could", "")
    short = [what for what, index in (("speed", 0), ("width", -1)) if now.split()[index] != could.split()[index]]
    # Fewer lanes mean a bad contact or slot; a lower generation is mostly how the board was built, or an idle link.
    code = "pci:link_degraded" if "width" in short else "pci:link_generation"
    return {**fields, "limited": "+".join(short) or "upstream", "code": code}


_PCI = (
    Pattern(
        "",
        ("PCIe Bus Error: severity=",),
        (
            rf"(?:{_DRIVER})?(?:AER: )?PCIe Bus Error: severity=(?P<severity>\w+(?: \([\w-]+\))?), "
            rf"type=(?P<layer>[\w ]+?)(?:, |$)(?P<rest>.*)"
        ),
        on_pci,
        refine=_refine_aer,
        joins=3,
    ),
    Pattern(
        "",
        ("error received: ", "error message received from"),
        (
            rf"(?:{_DRIVER})?AER: (?P<multiple>Multiple )?(?P<severity>Uncorrect(?:ed|able) "
            rf"\([\w-]+\)) error (?:message )?received(?: from|:) (?:id=)?(?P<reporter>\S+)"
        ),
        on_pci,
        refine=_refine_aer,
        joins=3,
    ),
    Pattern(
        "pci:aer_fatal",
        ("evice recovery failed", "reset failed"),
        (
            rf"(?:{_DRIVER})?(?:AER|pcieport|PCIe).*?(?P<recovery>(?:[Dd]evice recovery|(?:link|bus"
            rf"|device) reset) failed)"
        ),
        on_pci,
        joins=40,
    ),
    Pattern(
        "pci:aer",
        ("ecovery successful", "error_detected callback"),
        rf"{_DRIVER}(?:AER|DPC): (?P<recovery>.*(?:recovery successful|no error_detected callback).*)",
        on_pci,
        joins=40,
        attaches=True,
    ),
    Pattern(
        "pci:",
        ("error status/mask=",),
        (
            rf"{_DRIVER}  ? ?device \[(?P<device_id>[0-9a-fA-F:]+)\] error status/mask="
            rf"(?P<status>[0-9a-fA-F]+/[0-9a-fA-F]+)"
        ),
        on_pci,
        joins=6,
        attaches=True,
    ),
    Pattern(
        "pci:",
        (
            "(First)",
            "MalfTLP",
            "CmpltTO",
            "UnsupReq",
            "SDES",
            "DLP",
            "RxErr",
            "BadTLP",
            "BadDLLP",
            "Timeout",
            "Rollover",
            "NonFatalErr",
            "CmpltAbrt",
            "UnxCmplt",
            "RxOF",
            "ECRC",
            "FCP",
            "ACSViol",
            "UncorrIntErr",
            "PoisonTLP",
            "TLP ",
        ),
        rf"{_DRIVER}  ? ? ?\[ ?(?P<bit>\d+)\] (?P<error>\w[\w ]*?)\s*(?:\(First\))?\s*$",
        on_pci,
        joins=8,
        attaches=True,
    ),
    Pattern(
        "pci:dpc",
        ("DPC: ",),
        (
            rf"(?:{_DRIVER})?DPC: (?P<reason>containment event(?:, status:(?P<status>\S+))?.*|unmasked "
            rf"uncorrectable error detected|ERR_\w+ detected|RP PIO .*|Data Link Layer Link Active not "
            rf"set.*)"
        ),
        on_pci,
        joins=4,
    ),
    Pattern(
        "pci:hotplug_requested",
        ("utton pressed", "utton press", "attention button"),
        (
            rf"(?:{_DRIVER})?(?:pciehp: )?Slot\((?P<slot>[^)]*)\): (?P<reason>Attention button pressed"
            rf"|Powering (?:off|on) due to button press|Button press.*|Action canceled due to button "
            rf"press)"
        ),
        on_node,
    ),
    Pattern(
        "pci:link_down",
        ("Link Down", "ard not present", "Power fault", "urprise"),
        (
            rf"(?:(?:{_DRIVER})?(?:pciehp: )?|pciehp (?P<port>\S+): )Slot\((?P<slot>[^)]*)\): "
            rf"(?P<reason>Link Down|Card not present|Power fault.*|[Ss]urprise.*)"
        ),
        on_node,
    ),
    Pattern(
        "pci:link_down",
        ("not responding", "no longer accessible", "device is disconnected"),
        (rf"{_DRIVER}.*?(?P<reason>device (?:is )?(?:not responding|no longer accessible" rf"|disconnected))"),
        on_pci,
    ),
    Pattern(
        "",
        ("available PCIe bandwidth, limited by",),
        (
            rf"(?:{_DRIVER})?(?P<available>[\d.]+ Gb/s) available PCIe bandwidth, limited by "
            rf"(?P<now>[\d.]+ GT/s (?:PCIe )?x\d+) link at (?P<at>\S+) \(capable of (?P<capable>[\d.]+ "
            rf"Gb/s) with (?P<could>[\d.]+ GT/s (?:PCIe )?x\d+) link\)"
        ),
        on_pci,
        refine=_refine_bandwidth,
    ),
    Pattern(
        "pci:aer_nonfatal",
        ("aer_status:",),
        rf"{_DRIVER}(?:AER: )?aer_status: (?P<status>\S+), aer_mask: (?P<mask>\S+)",
        on_pci,
        joins=30,
        attaches=True,
    ),
    Pattern(
        "usb:over_current",
        ("over-current",),
        (r"\busb (?P<usb>[\w.-]+): (?P<reason>over-current \w+)|\bhub (?P<hub>\S+): " r"(?P<reason2>over-current.*)"),
        on_node,
    ),
    Pattern(
        "pci:serr",
        ("PCI system error", "PCI SERR", "PCI parity error"),
        r"NMI: (?P<reason>PCI system error \(SERR\).*|PCI SERR.*)|(?P<reason2>PCI parity error.*)",
        on_node,
    ),
    Pattern(
        "pci:iommu_fault",
        ("fault addr", "IO_PAGE_FAULT", "INVALID_DEVICE_REQUEST"),
        (
            rf"(?:DMAR: .*?(?:device|Device) \[?(?P<pci>{BDF})\]? .*?(?P<reason>fault addr .*)|AMD-Vi: Event logged "
            rf"\[(?P<reason2>"
            rf"IO_PAGE_FAULT|INVALID_DEVICE_REQUEST)[ \w]*device=(?P<pci2>{BDF}).*)"
        ),
        on_node,
    ),
    Pattern(
        "",
        ("unknown header type 7f", "rev ff)", "config space inaccessible", "device inaccessible"),
        (rf"{_DRIVER}.*?(?P<reason>unknown header type 7f.*|.*\(rev ff\).*|.*(?:config space|device) inaccessible.*)"),
        on_pci,
        refine=lambda f: {**f, "code": "nvme:removed" if f["driver"] == "nvme" else "pci:config_unreadable"},
    ),
    Pattern("usb:disconnect", ("USB disconnect",), r"\busb (?P<usb>[\w.-]+): USB disconnect", on_node),
)

PATTERNS: tuple[Pattern, ...] = (*_PCI,)
