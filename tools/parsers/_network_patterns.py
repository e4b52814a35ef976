"""What network adapters print: mlx4, mlx5, bnxt, Intel, IPoIB; link messages of systemd-networkd and NetworkManager.

Known: Linux 3.10 (RHEL 7) to 6.14, MLNX_OFED 4.9 to 24.10; systemd 219 to 256.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import BDF, Fields, Pattern, on_nic

_AT = rf"(?<![\w-])(?P<driver>[\w-]{{1,32}}) (?P<pci>{BDF})"
_DRIVER = _AT + ": "
_VIRTUAL = re.compile(
    r"^(?:veth|docker|br-|virbr|cali|cni|flannel|lxc|lxd|vnet|tap|tun|lo\b|dummy|kube|nodelocal|vxlan|ovs|cilium|wg)"
)
_NETDEV = r"(?P<device>(?:eth|en|ib|bond|team|rdma|roce|p\d+p|em|wwan|hsn|gpu|mlx|ens|eno|enp)[\w.-]*)"
_NO_COMPLAINT = re.compile(
    r"(?i:error (?:recovery|reporting)|0 errors|no error|DDP package|flow control|ptp|hwmon|advance error|vlan|Direct "
    r"firmware)"
)
"""Lines of a start that name trouble and mean none: optional features that a device or its firmware does not have."""
_MLX5 = rf"mlx5_core (?P<pci>{BDF})(?: (?P<device>\w+))?: "


def _refine_netdev(fields: Fields) -> Fields | None:
    return None if _VIRTUAL.match(fields.get("device", "")) else fields


def _refine_mlx5_module(fields: Fields) -> Fields | None:
    rest = fields.get("rest", "").lower()
    if "high temperature" in rest:
        return {**fields, "code": "mlx5:temperature"}
    if "unplugged" in rest:
        return {**fields, "code": "nic:cable_unplugged"}
    return {**fields, "code": "nic:module_error"} if "error" in fields.get("level", "") + rest else None


def _flatten(fields: Fields, **names: tuple[str, ...]) -> Fields:
    # An expression with two branches cannot name a group twice; the spare names fold into the right ones.
    merged = dict(fields)
    for name, spares in names.items():
        for spare in spares:
            if (value := merged.pop(spare, "")) and name not in merged:
                merged[name] = value
    return merged


_NETWORK = (
    Pattern(
        "mlx5:command_timeout",
        ("command resource", "Command completion arrived after", "wait_func"),
        rf"{_MLX5}.*?(?P<command>[A-Z_0-9]+)\((?P<opcode>0x\w+)\) (?:timeout|canceled).*",
        on_nic,
    ),
    Pattern(
        "mlx5:firmware",
        (
            "irmware internal error",
            "Fatal error ",
            "fatal fw error",
            "atal firmware",
            "W initialization, timeout",
            "wait_fw_init",
            "enable hca failed",
            "irmware error",
            "irmware fatal",
            "assert_exit_ptr",
            "ynd 0x1:",
            "firmware is not responding",
            "initializing segment",
            "firmware over",
        ),
        (
            rf"(?:{_MLX5}).*?(?P<reason>[Ff]irmware internal error|[Ff]atal error \w+ detected|fatal f"
            rf"(?:w|irmware) (?:error|reset).*|Waiting for FW initialization, timeout abort.*"
            rf"|wait_fw_init.*timed? ?out|[Ee]nable hca failed|[Ff]irmware is not responding|Firmware "
            rf"over \d+ MS in (?:pre-)?initializing state|synd 0x1: .*)"
        ),
        on_nic,
        joins=3,
    ),
    Pattern(
        "mlx5:health",
        (
            "health compromised",
            "health recovery failed",
            "health recovery flow aborted",
            "mlx5_health",
            "no health",
            "Health issue observed",
            "bad health state",
            "error_sw_reset",
        ),
        (
            rf"{_MLX5}.*?(?P<reason>health compromised.*|health recovery (?:failed|flow aborted).*"
            rf"|Health issue observed.*|bad health state.*|mlx5_error_sw_reset.*|health recovery "
            rf"flow.*)"
        ),
        on_nic,
        joins=3,
    ),
    Pattern(
        "mlx5:power",
        ("nsufficient power on the PCIe slot",),
        rf"(?:{_MLX5})?.*?[Ii]nsufficient power on the PCIe slot(?: \((?P<watts>\d+)W\))?",
        on_nic,
    ),
    Pattern(
        "mlx5:temperature",
        ("igh temperature", "High Temperature", "emperature warning", "over temperature"),
        rf"{_MLX5}.*?(?P<reason>High [Tt]emperature|[Tt]emperature warning.*|over temperature.*)",
        on_nic,
    ),
    Pattern(
        "",
        ("Port module event",),
        rf"(?:{_MLX5}.*?)?Port module event(?:\[(?P<level>\w+)\])?: module (?P<module>\d+), (?P<rest>.*)",
        on_nic,
        refine=_refine_mlx5_module,
    ),
    Pattern(
        "mlx5:access_reg",
        ("ACCESS_REG",),
        rf"(?:{_MLX5})?.*?ACCESS_REG\(0x\w+\).*? (?P<reason>failed.*|timeout.*)",
        on_nic,
    ),
    Pattern(
        "nic:driver",
        ("cmd_out_err", "mlx5_cmd_check"),
        rf"(?:{_MLX5}.*?)?(?P<command>[A-Z_0-9]+)\(0x\w+\) op_mod\(\w+\) failed(?:, (?P<reason>.*))?",
        on_nic,
    ),
    Pattern(
        "nic:link_up",
        ("link becomes ready",),
        rf"\b{_NETDEV}\b[:)]* *.{{0,60}}?(?P<reason>link becomes ready)",
        on_nic,
        refine=_refine_netdev,
        joins=2,
    ),
    Pattern(
        "nic:driver",
        (
            "transmit queue",
            "TX timeout",
            "tx timeout",
            "tx_timeout",
            "Unit Hang",
            "TX hang",
            "Tx hang",
            "tx hang",
            "Bad GSO",
            "bad gso",
            "ransmit timeout",
            "transmit timed out",
            "Malicious Driver Detection",
            "TX driver issue",
            "Keep alive watchdog",
            "completed on time",
        ),
        (
            rf"(?:NETDEV WATCHDOG: (?:CPU: \d+: )?(?P<watched>[\w.-]+) \((?P<driver>\w+)\)|"
            rf"(?P<driver2>[\w-]+) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?).*?(?P<reason>transmit queue "
            rf"\d+ timed out|(?:TX|tx)[ _]time ?out.*|[TH]\w+ Unit Hang|(?i:tx hang).*|[Bb]ad (?:GSO|gso).*"
            rf"|transmit timed out.*|Malicious Driver Detection.*|TX driver issue.*|Keep alive watchdog.*|Found a Tx "
            rf"that "
            rf"wasn't completed on time.*)|(?P<device3>\w+): (?P<reason3>[Bb]ad gso.*|transmit timeout.*)"
        ),
        on_nic,
        refine=lambda f: _flatten(f, device=("watched", "device3"), driver=("driver2",), reason=("reason3",)),
    ),
    Pattern(
        "nic:driver",
        (
            "EQEs on",
            "recovered after timeout",
            "CQ error on",
            "ERR CQE",
            "error cqe",
            "sriov",
            "SRIOV",
            "SR-IOV",
            "mlx5_",
            "pci_enable_sriov",
        ),
        (
            rf"{_MLX5}.*?(?P<reason>Recovered \d+ EQEs on.*|cmd\[\d+\]: .*recovered after timeout|CQ error on .*"
            rf"|(?i:err\w* cqe).*"
            rf"|pci_enable_sriov failed.*|[Ff]ailed to (?:enable|create|alloc|allocate|destroy|modify|init|load|get"
            rf"|query|set).*"
            rf"|.*[Ee]nable (?:SR-?IOV|sriov).*failed.*|.*(?:give_pages|reclaim\w*|alloc\w* command"
            rf"|mlx5_\w+).*(?:failed|err(?:or)? "
            rf"?-?\d+|hung|timed? ?out).*)"
        ),
        on_nic,
        joins=3,
    ),
    Pattern(
        "nic:driver",
        (
            "reset requested",
            "Rebuild failed",
            "rebuild failed",
            "resetting adapter",
            "Reset adapter",
            "initiating reset",
            "reset failed",
            "Reset attempt failed",
            "Trigger reset",
            "starting reset task",
            "Abandoning msg",
            "hwrm req_type",
            "critical error",
            "stop_block timed out",
        ),
        (
            rf"(?<![\w-])(?P<driver>ena|bnxt_en|bnx2x|ice|iavf|i40e|i40evf|ixgbe|ixgbevf|igb|igc|e1000e?|tg3|sfc|cxgb4|qede|enic"
            rf"|nfp|ionic|"
            rf"atlantic|hns3|gve|mana|hinic|efa|irdma) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?:? .*?(?P<reason>(?:PF"
            rf"|CORE|GLOB)?\w* ?"
            rf"reset requested.*|.*[Rr]ebuild failed.*|.*resetting adapter.*|Reset adapter.*|initiating reset.*"
            rf"|.*[Rr]eset (?:attempt )?"
            rf"failed.*|Trigger reset.*|.*starting reset task.*|Abandoning msg.*|hwrm req_type .* error.*|A[RS]Q \w* "
            rf"?[Cc]ritical error.*"
            rf"|\w*stop_block timed out.*)"
        ),
        on_nic,
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
            "Hardware Error",
            "PCIe link lost",
            "Adapter removed",
        ),
        (
            rf"(?:(?<![\w-])(?P<driver>[\w-]{{2,16}}) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?:? .*?|\bGM: .*?|VAPI"
            rf"|KERNEL_IB.*?)(?P<reason>Firmware "
            rf"not responding.*|.*[Ff]irmware error detected.*|.*(?:NVM|EEPROM) [Cc]heck[Ss]um [Ii]s [Nn]ot [Vv]alid.*"
            rf"|LANai is not "
            rf"running.*|.*SRAM parity error.*|.*Local Catastrophic Error.*|eeprom check failed.*|PCIe link lost.*"
            rf"|Adapter removed.*)"
        ),
        on_nic,
    ),
    Pattern(
        "nic:thermal",
        ("over heated", "overheated", "Fan has stopped", "ver temperature", "verheat"),
        (
            rf"(?<![\w-])(?P<driver>ixgbe|igb|igc|i40e|ice|bnx2x|bnxt_en|cxgb4|sfc|qede|atlantic) (?P<pci>{BDF})(?: "
            rf"(?P<device>[\w-]+))?:? .*?"
            rf"(?P<reason>.*over ?heat.*|Fan has stopped.*|.*[Oo]ver temperature.*)"
        ),
        on_nic,
    ),
    Pattern(
        "nic:module_error",
        ("unsupported SFP", "nsupported SFP", "Module not supported", "odule is not supported", "Unqualified module"),
        (
            r"(?<![\w-])"
            rf"(?P<driver>[\w-]{{2,16}}) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?:? .*?(?P<reason>.*(?i:unsupported "
            rf"sfp).*"
            rf"|.*[Mm]odule (?:is )?not supported.*|.*[Uu]nqualified module.*)"
        ),
        on_nic,
    ),
    Pattern(
        "nic:firmware",
        (
            "failed with error -",
            "hwrm",
            "irmware ",
            "device is going to be reset",
            "catastrophic error",
            "internal error detected",
        ),
        (
            rf"(?<![\w-])(?P<driver>mlx4_core|mlx5_core|bnxt_en|ice|i40e|hfi1|efa|irdma|cxgb4|qede)(?:: probe of"
            rf"| (?=\S+:?\s+probe)|) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?:? .*?(?P<reason>failed "
            rf"with error -\d+|[Ff]irmware (?:fatal|crash|hang|not responding|reset event"
            rf"|unresponsive).*|hwrm .*time ?out.*|Error \(timeout: \d+\).*|device is going to be reset"
            rf"|catastrophic error.*|[Ii]nternal error detected.*)"
        ),
        on_nic,
    ),
    Pattern(
        "nic:link_down",
        (
            "Lost carrier",
            "link disconnected",
            "carrier-changed",
            "definitely down",
            "Link down",
            "ink is down",
            "ink is Down",
            "ink is DOWN",
            "Link Down",
            "ink down",
            "INK DOWN",
            "link DOWN",
            "Link DOWN",
            "port error",
            "state changed to DOWN",
        ),
        (
            rf"(?:{_AT}:? )?\b{_NETDEV}\b[:)]*\s*(?:.{{0,60}}?\b(?P<reason>Lost carrier|carrier: "
            rf"link disconnected|\(reason 'carrier-changed'.*|link status definitely down|(?:NIC "
            rf")?[Ll]ink (?:is )?(?i:down)|state changed to DOWN))"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    Pattern(
        "nic:link_down",
        ("ink down", "Link DOWN", "ink is DOWN", "port error", "PORT_ERR", "port down", "Port down"),
        (
            r"(?:infiniband )?(?P<device>(?:mlx[45]|bnxt_re|hfi1|irdma|qib)_?\d+):?.*?(?:[Pp]ort:? ?"
            r"(?P<port>\d+))?.*?(?P<reason>[Ll]ink (?:is )?(?i:down)|(?:IB_EVENT_)?PORT_ERR|port "
            r"(?:error|down))"
        ),
        on_nic,
    ),
    Pattern(
        "nic:link_up",
        (
            "Gained carrier",
            "definitely up",
            "Link up",
            "ink is up",
            "ink is Up",
            "ink is UP",
            "Link Up",
            "link connected",
        ),
        (
            rf"(?:{_AT}:? )?\b{_NETDEV}\b[:)]*\s*(?:.{{0,60}}?\b(?P<reason>Gained carrier|carrier: "
            rf"link connected|link status definitely up|(?:NIC )?[Ll]ink (?:is )?"
            rf"(?i:up)))"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
)

_LAST = (
    Pattern(
        "nic:link_down",
        ("PORT_DOWN", "PHYS_OFFLINE", "Link down reason", "link bounce", "logical state changed to"),
        (
            r"(?P<device>hfi1_\d+|opa\d+)\S*:? .*?(?P<reason>logical state changed to PORT_DOWN.*|physical state "
            r"changed to "
            r"PHYS_OFFLINE.*|Link down reason.*|link bounce.*)"
        ),
        on_nic,
        joins=3,
    ),
    Pattern(
        "nic:complaint",
        (
            "mlx5_core",
            "mlx5_ib",
            "mlx4_",
            "bnxt_en",
            "hfi1",
            "irdma",
            "ena ",
            " ice ",
            "ice 0",
            "i40e",
            "ixgbe",
            "efa ",
        ),
        (
            rf"(?<![\w-])(?P<driver>mlx5_core|mlx5_ib|mlx4_\w+|bnxt_en|bnxt_re|hfi1|irdma|ena|efa|ice|i40e|ixgbe) "
            rf"(?P<pci>{BDF})(?: "
            rf"(?P<device>[\w-]+))?:? (?P<reason>.*\b(?:[Ff]ailed|FAILED|[Ff]ailure|[Ee]rror|ERROR|timed out|hung"
            rf"|[Uu]nable to|[Cc]an"
            rf"not|abort(?:ed|ing)?)\b.*)"
        ),
        on_nic,
        refine=lambda f: None if _NO_COMPLAINT.search(f["reason"]) else f,
    ),
)
"""What every other line of an adapter's driver that names trouble is worth."""

PATTERNS: tuple[Pattern, ...] = (*_NETWORK, *_LAST)
