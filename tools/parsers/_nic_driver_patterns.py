"""What the drivers of all other network adapters print, and the network core about any of them.

Known: Linux 2.6.32 (RHEL 6) to 6.14: Broadcom bnxt, bnx2x, bnx2, tg3; Intel ice, i40e, ixgbe, igb, igc, e1000e, irdma;
Omni-Path hfi1; Marvell qed; Chelsio cxgb4; Emulex be2net; Realtek r8169, 8139; ena, efa, mana, gve, virtio_net; others.
"""

from __future__ import annotations

import re

from tools.parsers._nic_heads import AT, HEAD, LITERALS, flatten, flatten_head
from tools.parsers._patterns import BDF, Fields, Pattern, on_nic

_NO_COMPLAINT = re.compile(
    r"(?i:error (?:recovery|reporting)|0 errors|no error|DDP package|flow control|ptp|hwmon|advance error|vlan"
    r"|Direct "
    r"firmware|failed to (?:enable (?:AER|MSI)|(?:load|read) .*(?:vpd|dcb|firmware config))|reported first"
    r"|error_detected callback|cannot (?:disable|change|enable) ASPM|PHC|clock register|FCoE|not supported|RSS"
    r"|unplug)"
)
"""Lines of a start that name trouble and mean none: optional features that a device or its firmware does not have."""
_MILD = re.compile(r"(?i:non-fatal|recovered|successful|completed|resumed|in progress)")
_TIMEOUT = (
    r"transmit queues? \d+ timed out.*|(?i:tx[ _-]?(?:watchdog )?time ?-?out).*|(?i:transmit tim(?:ed ?|e)-?out).*|"
    r"\w*tx_timeout\w*\b.*"
)


def _refine_complaint(fields: Fields) -> Fields | None:
    return None if _NO_COMPLAINT.search(fields.pop("said", "") + fields["reason"]) else flatten_head(fields)


def _refine_firmware(fields: Fields) -> Fields | None:
    made = flatten_head(fields)
    if _NO_COMPLAINT.search(made["reason"]):
        return None
    return {**made, "code": "nic:driver"} if _MILD.search(made["reason"]) else made


_WATCHDOG = (
    Pattern(
        "nic:driver",
        ("NETDEV WATCHDOG",),
        (
            rf"(?:(?<![\w-])(?P<driver>[\w-]{{2,16}}) (?:(?P<pci>{BDF})|\S{{1,40}})(?: (?P<device>[\w.-]+))?: "
            r")?NETDEV "
            r"WATCHDOG: (?:(?:CPU: \d+: )"
            r"|(?P<watched>[\w.-]+)(?: \((?P<driver2>[\w-]+)\))?: )(?P<reason>transmit (?:queue"
            r" \d+ )?timed out.*)"
        ),
        on_nic,
        refine=lambda f: flatten(f, device=("watched",), driver=("driver2",)),
    ),
    Pattern(
        "nic:driver",
        (
            "transmit queue",
            "TX timeout",
            "x timeout",
            "tx_timeout",
            "ransmit timeout",
            "transmit timed out",
            "tx timed",
        ),
        rf"{HEAD}.*?(?P<reason>{_TIMEOUT})",
        on_nic,
        refine=flatten_head,
        joins=3,
    ),
    Pattern(
        "nic:driver",
        ("transmit timed out", "tx_timeout", "ransmit timeout", "TX timeout", "x timeout"),
        (
            r"^(?:(?P<driver>[\w-]{2,16}): ?)?(?:(?P<device>(?:eth|en|em|ib"
            r"|p\d+p)[\w.-]+): )?(?P<reason>transmit tim(?:ed "
            r"|e)out.*|Transmit timeout, status.*|tx_timeout(?:: VSI| recovery level).*|Tx timeout.*"
            r"|TX timeout on queue.*)"
        ),
        on_nic,
        joins=3,
    ),
    Pattern(
        "nic:driver",
        (
            "Unit Hang",
            "TX hang",
            "Tx hang",
            "tx hang",
            "Bad GSO",
            "bad gso",
            "Malicious Driver Detection",
            "Malicious event",
            "TX driver issue",
            "Keep alive watchdog",
            "completed on time",
            "lost tx completions",
            "TX stuck",
            "is not a head!",
        ),
        (
            rf"(?:{AT}(?::? (?P<device>[\w-]+)(?=:))?|(?P<driver2>[\w-]{{2,16}}) virtio\d+"
            rf"|(?P<driver3>[\w-]{{2,16}}))"
            rf"[: ].*?(?P<reason>[TH]\w+ "
            r"Unit Hang|(?i:tx hang).*|[Bb]ad (?:GSO|gso).*|Malicious (?:Driver Detection|event).*|TX driver issue.*"
            r"|Keep alive watchdog.*|Found a Tx that wasn't completed on time.*|.*lost tx completions.*|TX stuck.*"
            r"|\S*id \d+ is not a head!.*)"
        ),
        on_nic,
        refine=lambda f: flatten(f, driver=("driver2", "driver3")),
        joins=3,
    ),
    Pattern(
        "nic:driver",
        ("hw csum failure",),
        r"(?:(?P<device>[\w.-]+)|\(NULL net_device\)): (?P<reason>hw csum failure).*",
        on_nic,
        joins=60,
    ),
    Pattern(
        "nic:driver",
        (" drivers/net/", " drivers/infiniband/"),
        r"WARNING: (?:CPU: \d+ PID: \d+ )?(?:at )?(?P<reason>drivers/(?:net/ethernet|infiniband)/\S+)",
        on_nic,
        joins=3,
    ),
    Pattern(
        "nic:driver",
        ("unregister_netdevice: waiting",),
        r"(?P<reason>unregister_netdevice: waiting for (?P<waits_for>\S+) to become free.*)",
        on_nic,
        joins=400,
    ),
)

_FIRMWARE = (
    Pattern(
        "nic:firmware",
        (
            "irmware ",
            "FW ",
            "MFW ",
            "HW error occurred",
            "MC assert",
            "sliport status",
            "detected in the card",
            " bit set",
            "non-recoverable",
            "ardware failure",
            "HW Init failed",
            "Hardware Error",
            "DEVCMD timeout",
            " 8051",
            "SPC freeze",
            "ready bit has not been set",
            "internal error detected",
            "catastrophic error",
            "initial pf_reset",
            "nitial pf_reset",
            "ntial pf_reset",
            "hw reset timeout",
            "HWC: ",
            "PCIe link lost",
            "Adapter removed",
            "dapter FW dead",
            "timedout",
            "HWRM cmd",
            "FW_STATUS_REG",
            "hecksum is ",
            "hecksum Is ",
            "CheckSum",
        ),
        (
            rf"{HEAD}.*?(?P<reason>[Ff]irmware (?:fatal|non-fatal|crash|hang|hung|not responding|unresponsive|is dead"
            r"|recovery mode|error detected|reports adapter error|reset event|status \w+ error).*"
            r"|Fatal firmware reset.*"
            r"|FW (?:crash|dead|not responding|fatal|assert|load failed|error).*|Adapter FW dead.*"
            r"|MFW (?:seems hanged|failed to respond|is not).*|HW error occurred.*|MC assert.*"
            r"|sliport status.*|Error detected in the card.*|UE: \S+ bit set.*|Adapter in non-recoverable.*"
            r"|Hardware failure.*|HW Init failed.*|Hardware Error: -?\d+.*|DEVCMD timeout.*"
            r"|.*(?:timeout waiting for|error loading|failed to (?:load|start)).*8051.*|8051.*(?:error|timeout"
            r"|fail|crash).*"
            r"|Entering SPC freeze.*|The ready bit has not been set.*|[Ii]nternal error detected.*"
            r"|catastrophic error.*"
            r"|[Ii]n?i?tial pf_reset failed.*|.*hw reset timeout.*|HWC: .*(?:timed out|timeout|fail).*"
            r"|PCIe link lost.*"
            r"|HWRM cmd resp_len timeout.*|.*FW_STATUS_REG: 0x0*[1-9a-f].*"
            r"|Adapter removed.*|.*cmdq\[\w+\].*timed ?out.*|.*(?:NVM|EEPROM) [Cc]heck[Ss]um [Ii]s [Nn]ot [Vv]alid.*)"
        ),
        on_nic,
        refine=_refine_firmware,
        joins=3,
    ),
    Pattern(
        "nic:firmware",
        (
            "Firmware not responding",
            "irmware error detected",
            "VM Checksum Is Not Valid",
            "VM checksum is not valid",
            "LANai is not running",
            "SRAM parity error",
            "Local Catastrophic Error",
            "eeprom check failed",
            "EEPROM CheckSum Is Not Valid",
            "PCIe link lost",
        ),
        (
            rf"(?:(?<![\w-])(?P<driver>[\w-]{{2,16}}) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?:? .*?|\bGM: .*?|VAPI"
            rf"|KERNEL_IB.*?)(?P<reason>Firmware "
            r"not responding.*|.*[Ff]irmware error detected.*|.*(?:NVM|EEPROM) [Cc]heck[Ss]um [Ii]s [Nn]ot "
            r"[Vv]alid.*"
            rf"|LANai is not "
            rf"running.*|.*SRAM parity error.*|.*Local Catastrophic Error.*|eeprom check failed.*|PCIe link lost.*)"
        ),
        on_nic,
    ),
    Pattern(
        "nic:firmware",
        ("failed with error -", "hwrm", "device is going to be reset", "Error (timeout"),
        (
            rf"(?<![\w-])(?P<driver>mlx4_core|mlx5_core|bnxt_en|ice|i40e|hfi1|efa|irdma|cxgb4|qede)(?:: probe of"
            rf"| (?=\S+:?\s+probe)|) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?(?: \([^)]*\))*:? .*?(?P<reason>failed "
            rf"with error -\d+|hwrm .*time ?out.*|Error \(timeout: \d+\).*|device is going to be reset)"
        ),
        on_nic,
    ),
    Pattern(
        "nic:thermal",
        ("heated", "Fan ", "emperature", "verheat", "hermal shutdown"),
        (
            rf"{HEAD}.*?(?P<reason>.*over ?-?heat.*|Fan (?:has stopped|[Ff]ailure).*|.*[Oo]ver[ -]?temperature.*"
            r"|.*temperature (?:too high|alarm|exceed|critical|is above).*|.*[Tt]hermal shutdown.*)"
        ),
        on_nic,
        refine=flatten_head,
    ),
)

_RESETS = (
    Pattern(
        "nic:driver",
        (
            "reset requested",
            "GLOBR",
            "CORER",
            "ebuild failed",
            "resetting adapter",
            "Reset adapter",
            "nitiating reset",
            "reset failed",
            "eset attempt failed",
            "rigger reset",
            "starting reset task",
            "Abandoning msg",
            "hwrm",
            "ritical error",
            "stop_block timed out",
            "abort_hw timed out",
            "No firmware running",
            "SDMA",
            "FTQ dump",
            "TXQ Dump",
            "_cond == ",
            "can't load firmware",
            "an't load firmware",
            "Resp cmpl intr",
            "cmdq[",
            "Failed to modify HW",
            "CQ Processed Req",
            "MC command",
            "Failed to process command",
            "_timeout ",
        ),
        (
            rf"{HEAD}.*?(?P<reason>\w{{0,12}} ?reset requested.*|(?:GLOBR|CORER) requested.*|.*[Rr]ebuild failed.*"
            r"|.*resetting adapter.*|Reset adapter.*|[Ii]nitiating reset.*|.*[Rr]eset (?:attempt )?failed.*"
            r"|Trigger reset.*|.*starting reset task.*|Abandoning msg.*|hwrm .*(?:error|fail|timeout).*"
            r"|A[RS]Q \w* ?[Cc]ritical [Ee]rror.*|\w*(?:stop_block|abort_hw) timed out.*|No firmware running.*"
            r"|SDMA.*(?:halt|no status bits|error|timeout).*|.*FTQ dump.*|TXQ Dump.*|rtl_\w+_cond == \d.*"
            r"|[Cc]an't load firmware.*|Resp cmpl intr err.*|.*cmdq\[\w+\].*(?:failed|status 0x[1-9a-f]).*"
            r"|Failed to modify HW.*|.*CQ Processed Req.*status 0x[1-9a-f].*|MC command \w+ .*failed.*"
            r"|Failed to process command.*|\[QP\d+\] \w*timeout \d+.*)"
        ),
        on_nic,
        refine=flatten_head,
        joins=3,
    ),
    Pattern(
        "nic:module_error",
        ("nsupported SFP", "odule not supported", "odule is not supported", "nqualified", "nsupported module"),
        (
            rf"{HEAD}.*?(?P<reason>.*(?i:unsupported (?:sfp|module)).*|.*[Mm]odule (?:is )?not supported.*"
            r"|.*[Uu]nqualified (?:SFP\+?|optical)? ?[Mm]odule.*)"
        ),
        on_nic,
        refine=flatten_head,
    ),
)

LAST: tuple[Pattern, ...] = (
    Pattern(
        "nic:complaint",
        (*LITERALS, "infiniband ", "[qed"),
        (
            rf"{HEAD}(?P<said>.{{0,200}}?)(?P<reason>\b(?:[Ff]ailed|FAILED|[Ff]ailure|[Ee]rrors?|ERROR|ERR"
            rf"|timed ?out|[Tt]imeout|hung"
            r"|[Uu]nable to|[Cc]annot|[Cc]ould not|abort(?:ed|ing)?|crash\w*|freeze|halted|dead|corrupt\w*"
            r"|[Dd]egraded|still in reset state|[rt]xd_err = 0x[1-9a-f]\w*)\b.*)"
        ),
        on_nic,
        refine=_refine_complaint,
        joins=2,
    ),
)
"""What every other line of an adapter's driver that names trouble is worth."""

PATTERNS: tuple[Pattern, ...] = (*_WATCHDOG, *_FIRMWARE, *_RESETS)
