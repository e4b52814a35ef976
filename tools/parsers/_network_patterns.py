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
        "nic:driver",
        ("transmit queue", "TX timeout", "tx timeout", "Tx Unit Hang", "TX hang", "Bad GSO", "bad gso"),
        (
            rf"(?:NETDEV WATCHDOG: (?:CPU: \d+: )?(?P<watched>[\w.-]+) \((?P<driver>\w+)\)|"
            rf"(?P<driver2>[\w-]+) (?P<pci>{BDF})(?: (?P<device>[\w-]+))?).*?(?P<reason>transmit queue "
            rf"\d+ timed out|TX timeout.*|tx timeout.*|Tx Unit Hang|TX hang.*|[Bb]ad (?:GSO|gso).*)|"
            rf"(?P<device3>\w+): (?P<reason3>[Bb]ad gso.*)"
        ),
        on_nic,
        refine=lambda f: _flatten(f, device=("watched", "device3"), driver=("driver2",), reason=("reason3",)),
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
            rf"(?P<driver>mlx4_core|mlx5_core|bnxt_en|ice|i40e|hfi1|efa|irdma|cxgb4|qede)(?:: probe of"
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
            "link becomes ready",
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
            rf"link connected|link becomes ready|link status definitely up|(?:NIC )?[Ll]ink (?:is )?"
            rf"(?i:up)))"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_NETWORK,)
