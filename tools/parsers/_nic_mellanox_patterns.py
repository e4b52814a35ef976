"""What the drivers of Mellanox and NVIDIA adapters print: mlx4, mlx5, mlx5_ib, IPoIB.

Known: Linux 3.10 (RHEL 7) to 6.14, MLNX_OFED 4.9 to 24.10.
"""

from __future__ import annotations

import re

from tools.parsers._nic_heads import MLX5
from tools.parsers._patterns import BDF, Fields, Pattern, on_nic

_FIRMWARE_COMMANDS = frozenset({"ENABLE_HCA", "INIT_HCA", "SET_HCA_CAP", "QUERY_HCA_CAP", "QUERY_ISSI", "SET_ISSI"})
"""Without these commands the adapter does not start."""
_LAG_PORT = re.compile(r"port (?P<port>\d):(?P<goes>\d)")


def _refine_module(fields: Fields) -> Fields | None:
    rest = fields.get("rest", "").lower()
    if "high temperature" in rest or "power budget" in rest:
        return {**fields, "code": "mlx5:temperature"}
    if "unplugged" in rest:
        return {**fields, "code": "nic:cable_unplugged"}
    return {**fields, "code": "nic:module_error"} if "error" in fields.get("level", "") + rest else None


def _refine_command(fields: Fields) -> Fields | None:
    starts = fields.get("command", "") in _FIRMWARE_COMMANDS
    return {**fields, "code": "mlx5:firmware" if starts else "nic:driver"}


def _refine_lag(fields: Fields) -> Fields | None:
    # 'port 1:2 port 2:2': the traffic of port 1 leaves by port 2, for port 1 is down; '1:1 2:2' is how it should be.
    moved = [found["port"] for found in _LAG_PORT.finditer(fields["map"]) if found["port"] != found["goes"]]
    return {**fields, "ports": ",".join(moved), "code": "nic:link_down" if moved else "nic:link_up"}


_MLX4 = rf"mlx4_(?:core|en|ib)(?:(?: (?P<pci>{BDF}))?:?(?: (?P<device>(?:eth|en|ib|p\d+p)[\w.-]+)(?=:))?): ?"

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "mlx5:command_timeout",
        ("command resource", "Command completion arrived after", "wait_func", "No done completion"),
        rf"{MLX5}.*?(?P<command>[A-Z_0-9]+)\((?P<opcode>0x\w+)\) (?:timeout|canceled|No done completion).*",
        on_nic,
    ),
    Pattern(
        "mlx5:firmware",
        (
            "irmware internal error",
            "Fatal error ",
            "atal fw error",
            "atal firmware",
            "W fatal error",
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
            "handling bad device",
            "Expected to see disabled NIC",
            "sync reset",
            "vital counter",
            "bad_state",
        ),
        (
            rf"(?:{MLX5}).*?(?P<reason>[Ff]irmware internal error|[Ff]atal error \w+ detected|fatal f"
            rf"(?:w|irmware) (?:error|reset).*|Waiting for FW initialization, timeout abort.*"
            rf"|wait_fw_init.*timed? ?out|[Ee]nable hca failed|[Ff]irmware is not responding|Firmware "
            rf"over \d+ MS in (?:pre-)?initializing state|synd 0x1: .*|FW fatal error.*|[Ff]irmware fatal.*"
            rf"|handling bad device.*|Expected to see disabled NIC.*|[Ss]ync reset.*(?:timeout|failed).*"
            rf"|vital counter.*timeout.*|assert_exit_ptr (?!0x0+$).*)"
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
            "health poll failed",
            "nrecoverable hardware error",
        ),
        (
            rf"{MLX5}.*?(?P<reason>health compromised.*|health recovery (?:failed|flow aborted).*"
            rf"|Health issue observed.*|health poll failed.*|[Uu]nrecoverable hardware error.*"
            rf"|bad health state.*|mlx5_error_sw_reset.*|health recovery "
            rf"flow.*)"
        ),
        on_nic,
        joins=3,
    ),
    Pattern(
        "mlx5:power",
        ("nsufficient power on the PCIe slot",),
        rf"(?:{MLX5})?.*?[Ii]nsufficient power on the PCIe slot(?: \((?P<watts>\d+)W\))?",
        on_nic,
    ),
    Pattern(
        "mlx5:temperature",
        ("igh temperature", "High Temperature", "emperature warning", "over temperature"),
        rf"{MLX5}.*?(?P<reason>High [Tt]emperature|[Tt]emperature warning.*|over temperature.*)",
        on_nic,
    ),
    Pattern(
        "",
        ("Port module event",),
        rf"(?:{MLX5}.*?)?Port module event(?:\[(?P<level>\w+)\])?: module (?P<module>\d+), (?P<rest>.*)",
        on_nic,
        refine=_refine_module,
    ),
    Pattern(
        "",
        ("lag map",),
        rf"{MLX5}.*?lag map:? (?P<map>port \d:\d.*)",
        on_nic,
        refine=_refine_lag,
    ),
    Pattern(
        "mlx5:access_reg",
        ("ACCESS_REG",),
        rf"(?:{MLX5})?.*?ACCESS_REG\(0x\w+\).*? (?P<reason>failed.*|timeout.*)",
        on_nic,
    ),
    Pattern(
        "",
        ("cmd_out_err", "mlx5_cmd_check"),
        rf"(?:{MLX5}.*?)?(?P<command>[A-Z_0-9]+)\(0x\w+\) op_mod\(\w+\) failed(?:, (?P<reason>.*))?",
        on_nic,
        refine=_refine_command,
    ),
    Pattern(
        "nic:driver",
        (
            "EQEs on",
            "recovered after timeout",
            "CQ error on",
            "ERR CQE",
            "rror cqe",
            "sriov",
            "SRIOV",
            "SR-IOV",
            "mlx5_",
            "pci_enable_sriov",
        ),
        (
            rf"{MLX5}.*?(?P<reason>Recovered \d+ EQEs on.*|cmd\[\d+\]: .*recovered after timeout|CQ error on .*"
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
        ("rror cqe", "poll_one", "rror CQE"),
        (
            r"(?:infiniband |mlx[45]_ib )?(?P<device>[\w.-]{1,30}): (?:mlx[45]_ib_)?\w*(?:poll_one|dump_cqe)\S* "
            r"?(?:\(pid \d+\):)? ?(?P<reason>dump error cqe|(?:Requestor|Responder) error cqe.*|syndrome .*)"
        ),
        on_nic,
        joins=6,
    ),
    Pattern(
        "nic:firmware",
        (
            "go bit not cleared",
            "fw status = ",
            "QUERY_FW command failed",
            ", aborting",
            "nternal error detected",
            "device is going to be reset",
            "did not come back after reset",
        ),
        (
            rf"{_MLX4}.*?(?P<reason>command \S+ (?:timed out|failed).*(?:go bit not cleared|fw status = 0x[12]).*"
            r"|QUERY_FW command failed.*|PCI device did not come back.*|Failed to (?:initialize|init|reset|map"
            r"|obtain).*"
            r"aborting.*|[Ii]nternal error detected.*|device is going to be reset.*)"
        ),
        on_nic,
        joins=3,
    ),
    Pattern(
        "ib:join_failed",
        ("multicast join failed", "sendonly multicast join failed"),
        r"(?P<device>ib[\w.-]*): (?:sendonly )?multicast join failed for (?P<group>\S+), status (?P<status>-\d+)",
        on_nic,
        joins=50,
    ),
    Pattern(
        "nic:driver",
        ("transmit timeout", "sends not completed", "failed send event", "timing out"),
        (
            r"(?<![\w.-])(?P<device>ib[\w.-]*): (?P<reason>transmit timeout.*|timing out; \d+ sends.*"
            r"|failed (?:cm )?send event \(status=\d+.*)"
        ),
        on_nic,
        joins=3,
    ),
)
