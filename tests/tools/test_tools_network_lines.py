"""Lines of network drivers, links and subnet managers: which code they make, on which port."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts
from tools.document import TextDocument
from tools.parsers import kernel_log
from tools.types import Event


def events(text: str) -> list[Event]:
    return list(kernel_log.parse(TextDocument("x.log", "", text)).facts.events)


def name_of(event: Event) -> str:
    return f"{event.entity.kind}:{event.entity.name}" if event.entity.name else event.entity.kind


LINES = """
mlx5:firmware|nic:0000:5e:00.1|mlx5_core 0000:5e:00.1: health_care:173:(pid 903): handling bad device here
mlx5:firmware|nic:0000:5e:00.1|mlx5_core 0000:5e:00.1: mlx5_handle_bad_state:118:(pid 903): Expected to see disabled NIC but it is has invalid value 1
mlx5:firmware|nic:0000:5e:00.1|mlx5_core 0000:5e:00.1: mlx5_cmd_out_err:812:(pid 66): SET_HCA_CAP(0x109) op_mod(0x0) failed, status internal error(0x1), syndrome (0x11a4c0), err(-5)
nic:driver|nic:0000:5e:00.1|mlx5_core 0000:5e:00.1: mlx5_cmd_out_err:812:(pid 66): MODIFY_RQ(0x909) op_mod(0x0) failed, status bad parameter(0x3), syndrome (0x11a4c0), err(-22)
mlx5:health|nic:0000:5e:00.1|mlx5_core 0000:5e:00.1: health poll failed
mlx5:command_timeout|nic:0000:5e:00.1|mlx5_core 0000:5e:00.1: wait_func_handle_exec_timeout:1099:(pid 66): cmd[1]: QUERY_HCA_CAP(0x100) No done completion
mlx5:temperature|nic:0000:5e:00.1|mlx5_core 0000:5e:00.1: Port module event[error]: module 1, Cable error, Power budget exceeded
nic:link_down|nic:0000:5e:00.0|mlx5_core 0000:5e:00.0: modify lag map port 1:1 port 2:1
nic:link_up|nic:0000:5e:00.0|mlx5_core 0000:5e:00.0: lag map port 1:1 port 2:2
nic:driver|nic:rocep94s0f1|infiniband rocep94s0f1: mlx5_poll_one:527:(pid 0): Requestor error cqe on cqn 0x44:
nic:driver|nic:mlx5_3|infiniband mlx5_3: dump_cqe:272:(pid 41): dump error cqe
nic:firmware|nic:0000:07:00.0|mlx4_core 0000:07:00.0: command 0x1a timed out (go bit not cleared)
nic:firmware|nic:0000:07:00.0|mlx4_core 0000:07:00.0: Failed to initialize event queue table, aborting
nic:driver|nic:eth5|mlx4_en: eth5: TX timeout on queue: 3, QP: 0x21c, CQ: 0x84, Cons: 0xfffff0, Prod: 0x9
ib:join_failed|nic:ib3|ib3: multicast join failed for ff12:401b:ffff:0000:0000:0000:0000:0001, status -110
nic:driver|nic:ib3|ib3: timing out; 12 sends not completed
nic:firmware|nic:ens8f1np1|bnxt_en 0000:b1:00.1 ens8f1np1: Fatal firmware reset event, data1: 0x1, data2: 0x44, min wait 900 ms, max wait 4400 ms
nic:driver|nic:ens8f1np1|bnxt_en 0000:b1:00.1 ens8f1np1: Firmware non-fatal reset event received, max wait time 4400 msec
nic:firmware|nic:ens8f1np1|bnxt_en 0000:b1:00.1 ens8f1np1: Error (timeout: 500015) msg {0x51 0x44} len:0
nic:firmware|nic:0000:b1:00.1|bnxt_en 0000:b1:00.1: QPLIB: cmdq[0x21]=0xb timedout (20000)msec
nic:driver|nic:bnxt_re1|infiniband bnxt_re1: Failed to modify HW QP
nic:driver|nic:ens8f1|ice 0000:b1:00.1 ens8f1: tx_timeout: VSI_num: 9, Q 4, NTC: 0x1, HW_HEAD: 0x4, NTU: 0x5, INT: 0x0
nic:firmware|nic:0000:b1:00.1|ice 0000:b1:00.1: Hardware failure. Requires PCIe reset
nic:firmware|nic:0000:b1:00.1|i40e 0000:b1:00.1: Initial pf_reset failed: -15
nic:firmware|nic:0000:b1:00.1|ixgbe 0000:b1:00.1: HW Init failed: -12
nic:driver|nic:enp9s0|e1000e 0000:09:00.0 enp9s0: Reset adapter unexpectedly
nic:firmware|nic:hfi1_1|hfi1 0000:af:00.0: hfi1_1: Entering SPC freeze
nic:firmware|nic:hfi1_1|hfi1 0000:af:00.0: hfi1_1: timeout waiting for 8051 command 7
nic:driver|nic:hfi1_1|hfi1 0000:af:00.0: hfi1_1: SDMA engine 9 interrupt, but no status bits set
nic:thermal|nic:hfi1_1|hfi1 0000:af:00.0: hfi1_1: QSFP cable temperature too high
nic:link_up|nic:hfi1_1|hfi1 0000:af:00.0: hfi1_1: logical state changed to PORT_ACTIVE (0x4)
nic:driver|nic:eth7|NETDEV WATCHDOG: eth7 (8139cp): transmit queue 0 timed out
nic:driver|nic:eth7|NETDEV WATCHDOG: eth7: transmit timed out
nic:driver|nic:eth7|r8152 2-3:1.0 eth7: NETDEV WATCHDOG: CPU: 1: transmit queue 0 timed out 5210 ms
nic:driver|nic:eth7|8139too 0000:01:02.0 eth7: Transmit timeout, status 0c 0005 c07f media 10
nic:driver|nic:enp4s0|r8169 0000:04:00.0 enp4s0: rtl_rxtx_empty_cond == 0 (loop: 42, delay: 100).
nic:driver||tx_timeout recovery level 3, hung_queue 8
nic:firmware|nic:0000:0b:00.2|be2net 0000:0b:00.2: Adapter in non-recoverable error
nic:firmware|nic:em2|bnx2x: [bnx2x_timer:5711(em2)]MFW seems hanged: drv_pulse (0x44) != mcp_pulse (0x7fff)
nic:firmware|nic:ens6f1|[qed_mcp_cmd_and_union:541(ens6f1)]The MFW failed to respond to command 0x3000000 [param 0x0].
nic:driver|nic:ens6f1|[qede_tx_timeout:533(ens6f1)]Tx timeout!
nic:firmware|nic:0000:0b:00.4|cxgb4 0000:0b:00.4: firmware reports adapter error: TP(7)
nic:driver|nic:ens7|ena 0000:00:07.0 ens7: The number of lost tx completions is above the threshold (144 > 128). Reset the device
nic:driver|nic:eth0|virtio_net virtio3 eth0: TX timeout on queue: 2, sq: output.2, vq: 0x5, name: output.2, 6120000 usecs ago
nic:driver||(NULL net_device): hw csum failure
nic:driver||WARNING: CPU: 14 PID: 0 at drivers/net/ethernet/mellanox/mlx5/core/en_rx.c:1210 mlx5e_handle_rx_cqe+0x44/0x90
nic:link_down|nic:ens3f1|bond4: link status definitely down for interface ens3f1, disabling it
nic:link_down|nic:ens3f1|uplink: link status down for interface ens3f1, disabling it in 200 ms
nic:link_down|nic:ens3f1|bond4: (slave ens3f1): link status definitely down, disabling slave
nic:link_up|nic:ens3f1|bond4: (slave ens3f1): link status definitely up, 100000 Mbps full duplex
nic:link_down|nic:bond4|bond4: now running without any active interface!
nic:link_down|nic:igc2|igc2: link state changed to DOWN
nic:link_up|nic:igc2|igc2: link state changed to UP
nic:link_down|nic:storage0|ice 0000:b1:00.1 storage0: NIC Link is Down
nic:link_down|nic:rail3x|systemd-networkd[714]: rail3x: Lost carrier
nic:link_down|nic:mlx5_bond_2|infiniband mlx5_bond_2: Port: 1 Link DOWN
opensm:port_gone||Mar 05 11:02:41 301144 [41FF] 0x02 -> osm_report_notice: Reporting Generic Notice type:3 num:65 (GID out of service) from LID:31 GID:fe80::a:b
opensm:error||Mar 05 11:02:41 301144 [41FF] 0x01 -> sm_mad_ctrl_send_err_cb: ERR 3113: MAD completed in error (IB_TIMEOUT): SubnGet(PortInfo), attr_mod 0x1, TID 0x77
nic:link_degraded||Mar 05 11:02:41 301144 [41FF] 0x02 -> osm_report_notice: Reporting Generic Notice type:1 num:131 (Flow Control Update watchdog timer expired) from LID:31
""".strip("\n").splitlines()


@pytest.mark.parametrize("row", LINES, ids=lambda row: row[:70])
def test_one_line_of_each_driver(row: str) -> None:
    code, name, line = row.split("|", 2)
    found = events(line + "\n")
    assert [event.code for event in found] == [code]
    assert not name or name_of(found[0]) == name
    assert code in code_facts()


HARMLESS = (
    "mlx5_core 0000:5e:00.1: Port module event: module 0, Cable plugged",
    "mlx5_core 0000:5e:00.1: mlx5_pcie_event:299:(pid 701): PCIe slot advertised sufficient power (75W).",
    "docker0: port 4(veth31c) entered disabled state",
    "br0: port 1(ens3) entered forwarding state",
    "device ens3 left promiscuous mode",
    "systemd-networkd[714]: veth31c: Lost carrier",
    "ice 0000:b1:00.1: The DDP package was successfully loaded: ICE OS Default Package version 1.3.36.0",
    "i40e 0000:b1:00.1: PTP clock register failed: -16",
    "vlan7: link state changed to DOWN",
)


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_printed_all_day_is_no_event(line: str) -> None:
    assert events(f"[ 4101.220114] {line}\n") == []


def test_the_function_that_complains_is_no_name_of_a_port() -> None:
    line = "mlx5_core 0000:5e:00.2: mlx5_function_setup:923:(pid 88): Failed initializing command interface, aborting\n"
    events = kernel_log.parse(TextDocument("kern.log", "n7", line)).facts.events
    assert [event.entity.name for event in events] == ["0000:5e:00.2"]
