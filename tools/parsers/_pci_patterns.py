"""What PCI Express and USB print to the kernel log: AER, DPC, EEH, hot-plug, bandwidth, IOMMU, over-current.

Known: Linux 2.6.32 (RHEL 6) to 6.14, on x86, Arm and POWER; rasdaemon 0.6 to 0.8.
"""

from __future__ import annotations

from tools.parsers._patterns import BDF, Fields, Pattern, on_node, on_pci

_AT = rf"(?<![\w-])(?P<driver>[\w-]{{1,32}}) (?P<pci>{BDF})"
_DRIVER = _AT + ": "
_LAST_OWN_BAR = 5
_AER_CODES = {"corrected": "pci:aer_corrected", "nonfatal": "pci:aer_nonfatal", "fatal": "pci:aer_fatal"}


def _refine_aer(fields: Fields) -> Fields | None:
    word = fields.get("severity", "").lower()
    kind = "corrected" if word.startswith("correct") else "nonfatal" if "non" in word else "fatal"
    return {**fields, "severity": kind, "code": _AER_CODES[kind]}


def _refine_known(_: Fields) -> Fields | None:
    # Such a line has words of alarm and tells of none: it is read here, so that nobody counts them.
    return None


def _refine_bar(fields: Fields) -> Fields | None:
    # Only BARs 0 to 5 are a device's own; 6 is its ROM, 7 to 12 those of functions nobody asked for, above are bridges.
    number, what = int(fields["bar"]), fields.get("what", "")
    return fields if number <= _LAST_OWN_BAR and "io " not in what else None


def _is_own_port(fields: Fields) -> bool:
    # The kernel says so at boot of every device behind a narrow link further up, as that of a chipset: how it is built.
    port, device = fields["at"].split(":")[-2], fields["pci"].split(":")[-2]
    return int(port, 16) + 1 == int(device, 16) and int(port, 16) > 0


def _refine_bandwidth(fields: Fields) -> Fields | None:
    # 'limited by 8.0 GT/s PCIe x8 link … (capable of … with 16.0 GT/s PCIe x16 link)': which of the two is short?
    now, could = fields.get("now", ""), fields.get("could", "")
    short = [what for what, index in (("speed", 0), ("width", -1)) if now.split()[index] != could.split()[index]]
    # Fewer lanes mean a bad contact or slot; a lower generation is mostly how the board was built, or an idle link.
    code = "pci:link_degraded" if "width" in short else "pci:link_generation"
    if code == "pci:link_degraded" and fields.get("driver") == "pci" and not _is_own_port(fields):
        code = "pci:slot_narrow"
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
        ("error received: ", "error message received from", "error received from"),
        (
            rf"(?:{_DRIVER})?AER: (?P<multiple>Multiple )?(?P<severity>Uncorrect(?:ed|able) "
            rf"\([\w-]+\)) error (?:message )?received(?: from|:) (?:id=)?(?P<reporter>\S+)"
        ),
        on_pci,
        refine=_refine_aer,
        joins=3,
    ),
    Pattern(
        "pci:aer_corrected",
        ("orrected error received", "orrected error message received", "orrectable error message received"),
        rf"(?:{_DRIVER})?AER: (?P<multiple>Multiple )?Correct(?:ed|able) error (?:message )?received",
        on_pci,
        joins=12,
    ),
    Pattern(
        # The last line of a report whose head is missing: of which gravity it does not say.
        "pci:aer_corrected",
        ("of this Agent",),
        rf"(?:{_DRIVER})?AER: +Error of this Agent(?:\([0-9a-fA-F]+\))? is (?:reported )?first",
        on_pci,
        joins=12,
        echoes=("pci:aer_corrected", "pci:aer_nonfatal", "pci:aer_fatal"),
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
        "",
        ("aer_event",),
        (
            rf"aer_event(?: store)?:? .*?(?P<pci>{BDF}) .*?(?P<severity>Uncorrected \((?:Non-)?Fatal\)|Corrected|Fatal)"
            r"(?P<rest>.*)"
        ),
        on_pci,
        refine=_refine_aer,
    ),
    Pattern(
        "pci:aer_nonfatal",
        ("link has been reset", "aer_uncor_severity:"),
        (
            rf"{_DRIVER}(?:AER: )?(?P<recovery>(?:Root Port|Downstream Port|root port)?.*link has been reset.*"
            rf"|aer_uncor_severity: .*)"
        ),
        on_pci,
        joins=40,
    ),
    Pattern(
        "pci:dpc",
        ("DPC containment event",),
        r"dpc (?P<port>\S+): (?P<reason>DPC containment event.*)",
        on_node,
        joins=4,
    ),
    Pattern(
        "pci:eeh",
        ("EEH: ", "PHB Freeze/Fence"),
        (
            r"(?:EEH: |PHB#\w+\[[^]]*\]: )(?P<reason>PHB Freeze/Fence detected.*|Frozen \S+ detected.*"
            r"|PHB#\S+ (?:failure|fatal).*|Fenced PHB.*"
            r"|This PCI device has failed (?P<times>\d+) times.*)"
        ),
        on_node,
        joins=30,
    ),
    Pattern(
        "pci:link_down",
        ("EEH: ",),
        r"EEH: (?P<reason>Unable to recover from failure.*|.*permanently disabled.*|.*[Rr]ecovery failed.*)",
        on_node,
        joins=30,
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
        (
            "Link Down event",
            "ard not present on",
            "ower fault on",
            "ink training",
            "annot train link",
            "Failed to check link",
        ),
        (
            r"pciehp (?:(?P<port>\S+): )?(?:[Ss]lot\((?P<slot>[^)]*)\): )?(?P<reason>Link Down event"
            r"|Card not present on "
            r"Slot\((?P<slot2>[^)]*)\)|Power fault on [Ss]lot.*|Link [Tt]raining [Ee]rror.*|Cannot train link.*"
            r"|Failed to check link status)|pciehp: Slot\((?P<slot3>[^)]*)\): (?P<reason2>Cannot train link.*)"
            r"|pciehp: (?P<reason3>Failed to check link status)"
        ),
        on_node,
        joins=10,
    ),
    Pattern(
        "pci:link_down",
        ("; giving up",),
        rf"{_DRIVER}(?P<reason>not ready \d+ms after [\w ]+; giving up)",
        on_pci,
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
        ("fault addr", "Invalidation Time", "handling fault status"),
        (
            rf"DMAR: (?:.*?(?:device|Device) \[?(?P<pci>{BDF}|0x\w+:0x\w+\.\d)\]? .*?(?P<reason>fault addr .*)"
            r"|(?P<reason2>.*Invalidation Time-?out.*|DRHD: handling fault status.*))"
        ),
        on_node,
        joins=50,
    ),
    Pattern(
        "pci:iommu_fault",
        ("IO_PAGE_FAULT", "INVALID_DEVICE_REQUEST", "_INV_TIMEOUT", "Completion-Wait"),
        (
            rf"(?:(?:{_DRIVER})?AMD-Vi: |^(?=[A-Z_]+ device=))(?P<reason>(?:Event logged \[)?(?:IO_PAGE_FAULT"
            rf"|INVALID_DEVICE_REQUEST|\w+_INV_TIMEOUT)"
            rf"(?:[ \w]*device=(?P<source>{BDF}))?.*|Completion-Wait loop timed out)"
        ),
        on_node,
        joins=50,
    ),
    Pattern(
        "pci:iommu_fault",
        ("arm-smmu",),
        (
            r"(?P<unit>arm-smmu\S* \S+): (?P<reason>event 0x\w+ received|Unhandled context fault.*"
            r"|Blocked unknown Stream ID.*)"
        ),
        on_node,
        joins=50,
    ),
    Pattern(
        "",
        (
            "unknown header type 7f",
            "rev ff)",
            "config space inaccessible",
            "device inaccessible",
            "Refused to change power",
            "retraining failed",
            "non-functional downstream link",
        ),
        (
            rf"{_DRIVER}.*?(?P<reason>unknown header type 7f.*|.*\(rev ff\).*|.*(?:config space|device) inaccessible.*"
            r"|Refused to change power state.*|broken device, retraining.*|retraining failed.*)"
        ),
        on_pci,
        refine=lambda f: {**f, "code": "nvme:removed" if f["driver"] == "nvme" else "pci:config_unreadable"},
    ),
    Pattern(
        "pci:bar_unassigned",
        ("no space for [", "can't assign; no space"),
        (
            rf"\bpci (?P<pci>{BDF}): (?:BAR (?P<bar>\d+): no space for \[(?P<what>[^]]*)|BAR (?P<bar2>\d+) "
            r"\[(?P<what2>[^]]*)\]: can't assign; no space)"
        ),
        on_node,
        refine=lambda f: _refine_bar({**f, "bar": f.get("bar") or f["bar2"], "what": f.get("what") or f["what2"]}),
        joins=20,
    ),
    Pattern(
        "",
        ("failed to assign", "no space for [", "can't assign; no space"),
        r"(?:BAR \d+|bridge window|VF BAR \d+)(?: \[[^]]*\])?: (?:failed to assign|can't assign|no space for)",
        on_node,
        refine=_refine_known,
    ),
    Pattern(
        "pci:slot_narrow",
        ("sufficient for optimal performance",),
        rf"{_DRIVER}(?P<reason>PCI-?E\w* bandwidth available for this (?:card|device) is not sufficient.*)",
        on_pci,
        joins=5,
    ),
    Pattern(
        "usb:not_enumerated",
        ("error -71", "error -110", "error -62", "unable to enumerate USB", "not accepting address"),
        (
            r"\busb (?P<usb>[\w.-]+): (?P<reason>device descriptor read.*error -\d+|device not accepting address.*"
            r"|unable to enumerate USB device|can't set config.*)"
        ),
        on_node,
        joins=50,
    ),
    Pattern("usb:disconnect", ("USB disconnect",), r"\busb (?P<usb>[\w.-]+): USB disconnect", on_node),
)

PATTERNS: tuple[Pattern, ...] = (*_PCI,)
