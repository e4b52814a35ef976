"""Lines of switches, hypervisors, wireless adapters and address services: which code they make, on which port."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts
from tools.document import TextDocument
from tools.parsers import kernel_log
from tools.types import Event


def events(text: str) -> list[Event]:
    return list(kernel_log.parse(TextDocument("x.log", "", text)).facts.events)


LINES = """
nic:link_down|TenGigabitEthernet2/0/14|%LINK-3-UPDOWN: Interface TenGigabitEthernet2/0/14, changed state to down
nic:link_up|Ethernet3/1|<165>Mar  3 10:10:10 leaf4 Ebra: %LINEPROTO-5-UPDOWN: Line protocol on Interface Ethernet3/1 (to n12), changed state to up
nic:link_down|HundredGigE0/0/0/3|ifmgr[201]: %PKT_INFRA-LINK-3-UPDOWN : Interface HundredGigE0/0/0/3, changed state to Down
nic:link_down|Ethernet1/7|2024 Mar  3 10:10:10 spine2 %ETHPORT-5-IF_DOWN_LINK_FAILURE: Interface Ethernet1/7 is down (Link failure)
nic:port_disabled|Ethernet1/7|2024 Mar  3 10:10:10 spine2 %ETHPORT-5-IF_DOWN_ERROR_DISABLED: Interface Ethernet1/7 is down (Error disabled. Reason:BPDUGuard)
nic:flapping|Gi1/0/9|%PM-4-ERR_DISABLE: link-flap error detected on Gi1/0/9, putting Gi1/0/9 in err-disable state
nic:flapping|Ethernet9|%ETH-4-ERRDISABLE: Ethernet9 state changed to errdisabled: link-flap
nic:port_disabled|10GE1/0/3|ERRDOWN/4/ERRDOWN_DOWNNOTIFY: Notify interface to change status to error-down. (InterfaceName=10GE1/0/3, Cause=bpdu-protection)
nic:link_down|et-0/0/12|mib2d[2311]: SNMP_TRAP_LINK_DOWN: ifIndex 612, ifAdminStatus up(1), ifOperStatus down(2), ifName et-0/0/12
nic:link_up|et-0/0/12|mib2d[2311]: SNMP_TRAP_LINK_UP: ifIndex 612, ifAdminStatus up(1), ifOperStatus up(1), ifName et-0/0/12
nic:link_down|ae7|lacpd[1200]: LACP_INTF_DOWN: ae7: Interface marked down due to lacp timeout on member et-0/0/12
nic:link_down|GigabitEthernet0/0/2|%%01IFNET/4/IF_STATE(l)[31]:Interface GigabitEthernet0/0/2 has turned into DOWN state.
nic:link_down|Ten-GigabitEthernet1/0/5|%%10IFNET/3/PHY_UPDOWN: Physical state on the interface Ten-GigabitEthernet1/0/5 changed to down.
nic:link_down|Ethernet48|orchagent: :- updatePortOperStatus: Port Ethernet48 oper state set from up to down
nic:link_up|Ethernet48|orchagent: :- setHostIntfsOperStatus: Set operation status UP to host interface Ethernet48
nic:flapping|7|Port 7 is disabled for excessive link flapping. Link has flapped more than 5 times in 30 seconds.
nic:link_down|1:7|<Info:vlan.msgs.portLinkStateDown> Port 1:7 link down
nic:link_down|ethernet 1/1/9|System: Interface ethernet 1/1/9, state down - remote fault
nic:link_down|A7|ports: port A7 is now off-line
nic:link_down|ethernet1/1/9|%log-notice:IFM_OSTATE_DN: Interface operational state is down :ethernet1/1/9
nic:link_down|ether5|interface,info ether5 link down
nic:link_down|vmnic3|vobd[91]: [netCorrelator] 88us: [vob.net.vmnic.linkstate.down] vmnic vmnic3 linkstate down
nic:link_down|vmnic3|[esx.problem.net.redundancy.lost] Lost uplink redundancy on virtual switch "vSwitch2". Physical NIC vmnic3 is down
nic:optics|Te1/1/4|%SFF8472-5-THRESHOLD_VIOLATION: Te1/1/4: Rx power low alarm; Operating value: -31.5 dBm, Threshold value: -14.4 dBm.
nic:link_degraded|GigabitEthernet0/4|%CDP-4-DUPLEX_MISMATCH: duplex mismatch discovered on GigabitEthernet0/4 (not half duplex), with n7 eth0 (half duplex).
nic:pfc_storm|Ethernet60|PFC Watchdog detected PFC storm on port Ethernet60, queue index 3, queue id 0x1500000000012
nic:module_error|Ethernet1/21|%ETHPORT-3-IF_UNSUPPORTED_TRANSCEIVER: Transceiver on interface Ethernet1/21 is not supported
network:peer_lost||%BGP-5-ADJCHANGE: neighbor 10.44.0.7 Down BGP Notification sent
network:peer_lost||%OSPF-5-ADJCHG: Process 7, Nbr 10.44.0.7 on Vlan9 from FULL to DOWN, Neighbor Down: Dead timer expired
nic:firmware||iwlwifi 0000:04:00.0: Microcode SW error detected. Restarting 0x0.
nic:firmware||ath10k_pci 0000:04:00.0: firmware crashed! (guid 0f0f)
nic:driver||mt7921e 0000:04:00.0: Message 00020007 (seq 9) timeout
nic:wifi_lost|wlp4s0|wlp4s0: Connection to AP 02:00:00:00:00:07 lost
dhcp:no_addresses||dhcpd: DHCPDISCOVER from 02:00:00:00:00:07 via eth2: network bmc: no free leases
network:no_lease||dhclient[700]: No DHCPOFFERS received.
network:no_lease||NetworkManager[700]: <warn>  [1712.3] dhcp4 (eno2): request timed out
network:duplicate_address|eth7|IPv6: eth7: IPv6 duplicate address 2001:db8::7 used by 02:00:00:00:00:07 detected!
network:name_lookup||ping: n7: Temporary failure in name resolution
nic:no_media||PXE-E61: Media test failure, check cable
clock:unsynchronised||ptp4l[70.7]: port 1: SLAVE to UNCALIBRATED on SYNCHRONIZATION_FAULT
clock:wrong||ptp4l[70.7]: clockcheck: clock jumped forward or running faster than expected!
network:timeout||libfabric:77:1700000000::efa:cq:efa_rdm_txe_handle_error():700<warn> err: 113, message: Unresponsive receiver (reachable by EFA device but handshake failed)
nic:firmware|vmnic7|cpu9:20977)WARNING: bnxtnet: hwrm_send_msg:201: [vmnic7 : 0x450a70] HWRM cmd resp_len timeout, cmd_type 0x11(HWRM_FUNC_RESET) seq 7
nic:path_moved|eth7|hv_netvsc 000d3a00-0007-0007-0007-000d3a000007 eth7: Data path switched from VF: enP9s1
nic:link_down|ixgbe7|mac: [ID 486395 kern.info] NOTICE: ixgbe7 link down
nic:complaint||ixgbevf 0000:07:10.0: PF still in reset state.  Is the PF interface up?
nic:complaint||tn40xx: rxd_err = 0x70
network:peer_lost||OSPF nbr 10.44.0.7 on interface vlan7 changed state from Full to Down
nic:link_degraded||PortXmitDiscards counter delta threshold exceeded. Threshold is 200, calculated delta is 260.
nic:link_down|LINK3|[APP] LINK3 (3) (0 Gbps) DOWN
job:failed||PANIC in check_ports():
nic:firmware|phy2|ieee80211 phy2: Hardware restart was requested
nic:complaint||infinipath: Failed to lock addr 0007aaaaeb50000, 65 pages: errno 12
network:timeout||Couldn't connect to n07, rank 12. Time elapsed 00:01:30. Still trying
network:tree_error||30700 Interconnect-7T00 switch_module bcast-error 1076189965 1 Link error
network:link_error||66621 Interconnect-7T01 switch_module error 1127018764 1 link errors remain current
network:link_ok||323647 Interconnect-7T00 switch_module bcast-error 1083198788 1 Link ok
nic:driver|hfi1_1|hfi1 0000:af:00.0: hfi1_1: [QP9] hfi1_tid_timeout 4084
ras:power_control||27385 Interconnect-0N07 switch_module control 1101771720 1 power/control problem
shared_fs:error||2558879 node-D9 clusterfilesystem clusterfilesystem.not_served 1073126274 1 ClusterFileSystem: ServerFileSystem domain scratch9 is no longer served by node node-90
scsi:controller_fault||DMT_HINT Warning: Verify Host 1 bus parity error: 0100 Tier:2 LUN:7
""".strip().splitlines()


@pytest.mark.parametrize(("code", "port", "line"), [tuple(line.split("|", 2)) for line in LINES])
def test_line_makes_a_listed_code_on_its_port(code: str, port: str, line: str) -> None:
    found = events(line)
    assert [event.code for event in found] == [code]
    assert code in code_facts()
    if port:
        assert (found[0].entity.kind, found[0].entity.name) in (("nic", port), ("node", ""))
        assert port in (found[0].entity.name, found[0].fields.get("device"))


QUIET = """
%LINK-5-CHANGED: Interface GigabitEthernet0/7, changed state to administratively down
%LINEPROTO-5-UPDOWN: Line protocol on Interface Vlan7, changed state to down
%ETHPORT-5-IF_DOWN_ADMIN_DOWN: Interface Ethernet1/7 is down (Administratively down)
mib2d[2311]: SNMP_TRAP_LINK_DOWN: ifIndex 612, ifAdminStatus down(2), ifOperStatus down(2), ifName et-0/0/12
%BGP-5-ADJCHANGE: neighbor 10.44.0.7 Up
%OSPF-5-ADJCHG: Process 7, Nbr 10.44.0.7 on Vlan9 from LOADING to FULL, Loading Done
iwlwifi 0000:04:00.0: Direct firmware load for iwlwifi-cc-a0-77.ucode failed with error -2
iwlwifi 0000:04:00.0: loaded firmware version 77.0 cc-a0-77.ucode op_mode iwlmvm
ath10k_pci 0000:04:00.0: board_file api 2 bmi_id N/A crc32 8aedfa4a
wlp4s0: deauthenticating from 02:00:00:00:00:07 by local choice (Reason: 3=DEAUTH_LEAVING)
wlp4s0: CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:07 reason=3 locally_generated=1
dhcpd: DHCPOFFER on 10.44.0.9 to 02:00:00:00:00:07 via eth2
PFC Watchdog storm restored on port Ethernet60, queue index 3
ptp4l[70.7]: port 1: UNCALIBRATED to SLAVE on MASTER_CLOCK_SELECTED
- 1133447694 2005.12.01 R07-M1-ND-C:J08-U01 2005-12-01-06.34.54.203650 R07-M1-ND-C:J08-U01 RAS KERNEL INFO 9 microseconds spent in the rbs signal handler during 2 calls. 7 microseconds was the maximum time for a single instance of a correctable ddr.
""".strip().splitlines()


@pytest.mark.parametrize("line", QUIET)
def test_what_was_asked_for_or_went_well_makes_no_trouble(line: str) -> None:
    assert [event.code for event in events(line) if event.code not in ("nic:link_up", "network:name_lookup")] == []


def test_a_port_of_a_switch_says_so() -> None:
    assert events("%LINK-3-UPDOWN: Interface Te2/0/1, changed state to down")[0].fields["switch"] == "yes"
    assert "switch" not in events("[vob.net.vmnic.linkstate.down] vmnic vmnic1 linkstate down")[0].fields


def test_ports_of_a_small_switch_flap_in_logread(tmp_path):
    lines = [
        f"Mon Mar  3 0{hour}:10:0{second} 2025 kern.info kernel: [{hour}79.572058] qca8k mdio-bus:1f wan: Link is {state}\n"
        for hour in (2, 4, 6)
        for second, state in ((1, "Down"), (6, "Up - 1Gbps/Full - flow control off"))
    ]
    (tmp_path / "log").write_text("".join(lines), encoding="utf-8")
    from tools.sources.recording import RecordingSource

    events = RecordingSource([tmp_path / "log"], max_bytes=1 << 20).read_facts().events
    codes = [event.code for event in events]
    assert codes.count("nic:link_down") == codes.count("nic:link_up") == 3
    assert {event.entity.name for event in events} == {"wan"}
