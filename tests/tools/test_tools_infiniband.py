import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.detectors import nic_counters
from tools.document import TextDocument
from tools.parsers import infiniband
from tools.types import Entity, Facts, Window


def ibstat(*ports):
    return "".join(
        f"CA 'mlx5_{number}'\n\tCA type: MT4129\n\tNumber of ports: 1\n\tPort 1:\n\t\tState: {state}\n"
        f"\t\tPhysical state: {phys}\n\t\tRate: {rate}\n\t\tBase lid: 4\n\t\tLink layer: {layer}\n"
        for number, (state, phys, rate, layer) in enumerate(ports)
    )


UP, POLLING = ("Active", "LinkUp", 400, "InfiniBand"), ("Down", "Polling", 10, "InfiniBand")
ONE_DOWN = ibstat(UP, POLLING, UP)
IBSTATUS = """\
Infiniband device 'mlx5_0' port 1 status:
\tdefault gid:\t fe80:0000:0000:0000:0000:0000:0000:0001
\tbase lid:\t 0x9
\tstate:\t\t 1: DOWN
\tphys state:\t 2: Polling
\trate:\t\t 10 Gb/sec (4X SDR)
\tlink_layer:\t InfiniBand

Infiniband device 'mlx5_1' port 1 status:
\tstate:\t\t 4: ACTIVE
\tphys state:\t 5: LinkUp
\trate:\t\t 400 Gb/sec (4X NDR)
\tlink_layer:\t InfiniBand
"""
RDMA = """\
link mlx5_0/1 state ACTIVE physical_state LINK_UP netdev ib0
link mlx5_1/1 state DOWN physical_state POLLING netdev ib1
link mlx5_2/1 state DOWN physical_state DISABLED netdev ens3
"""
LINKINFO = """\
CA: gpu-9 mlx5_0:
      0x1070fd0300aaaa00     12    1[  ] ==( 4X        53.125 Gbps Active/  LinkUp)==>  0x0c42a103009a 5   17[  ] "leaf-3" ( )
CA: gpu-9 mlx5_1:
      0x1070fd0300aaaa01     13    1[  ] ==( 2X        53.125 Gbps Active/  LinkUp)==>  0x0c42a103009a 5   18[  ] "leaf-3" ( Could be 4X )
Switch: 0x0c42a103009a leaf-3:
           5    1[  ] ==(                Down/ Polling)==>             [  ] "" ( )
"""
QUERY = """\
Errors for "gpu-9 HCA-3"
   GUID 0x1070fd0300aaaa02 port 1: [SymbolErrorCounter == 412] [LinkErrorRecoveryCounter == 12] [PortXmitWait == 99]
   Link info:     14   1[  ] ==( 4X 53.125 Gbps Active/  LinkUp)==>  0x0c42 5 19[  ] "leaf-3" ( )
## Summary: 31 nodes checked, 1 bad nodes found
##          62 ports checked, 1 ports have errors beyond threshold
"""
PERF = """\
# Port counters: Lid 12 port 1 (CapMask: 0x5A00)
PortSelect:......................1
SymbolErrorCounter:..............0
LinkErrorRecoveryCounter:........0
LinkDownedCounter:...............2
PortRcvErrors:...................0
"""
MLXLINK = """\
Operational Info
----------------
State                              : Active
Physical state                     : LinkUp
Speed                              : IB-NDR
Width                              : 4x

Physical Counters and BER Info
------------------------------
Time Since Last Clear [Min]        : 60.0
Symbol Errors                      : {errors}
Effective Physical Errors          : 0
Effective Physical BER             : {ber}
Raw Physical BER                   : 3E-9
Link Down Counter                  : 0
"""
WHOLE = [ONE_DOWN, IBSTATUS, RDMA, LINKINFO, QUERY, PERF, MLXLINK.format(errors=4, ber="15E-255")]


def read(text):
    return infiniband.parse(TextDocument("ib.txt", "gpu-9", text))


def told(text):
    return [(event.code, event.entity.name) for event in read(text).facts.events]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ONE_DOWN, [("nic:link_down", "mlx5_1/1")]),
        (ibstat(UP, UP), []),
        (ibstat(POLLING), [("nic:port_down", "mlx5_0/1")]),
        (ibstat(UP, ("Down", "Disabled", 40, "InfiniBand")), [("nic:port_down", "mlx5_1/1")]),
        (ibstat(UP, ("Down", "Disabled", 40, "Ethernet")), []),
        (ibstat(UP, ("Down", "Polling", 40, "Ethernet")), [("nic:port_down", "mlx5_1/1")]),
        (ibstat(("Initializing", "LinkUp", 400, "InfiniBand")), [("nic:no_subnet_manager", "mlx5_0/1")]),
        (ibstat(UP, ("Active", "LinkUp", 200, "InfiniBand"), UP), [("nic:link_degraded", "mlx5_1/1")]),
        (IBSTATUS, [("nic:link_down", "mlx5_0/1")]),
        (RDMA, [("nic:link_down", "mlx5_1/1")]),
        (
            "mlx5_0 port 1 ==> ib0 (Up)\nmlx5_1 port 1 ==> ib1 (Down)\nmlx5_2 port 1 ==> ens2 (Down)\n",
            [("nic:link_down", "mlx5_1/1"), ("nic:port_down", "mlx5_2/1")],
        ),
        (LINKINFO, [("nic:link_degraded", "mlx5_1/1")]),
        ("Physical state: LinkUp\nPhysical state: Polling\nPhysical state: LinkUp\n", [("nic:link_down", "port 2")]),
    ],
)
def test_ports(text, expected):
    assert infiniband.recognise(text.splitlines()) >= 0.6
    assert told(text) == expected
    assert read(text).unread.unread == 0


def test_a_port_that_is_down_says_how_many_peers_are_up():
    (event,) = read(ONE_DOWN).facts.events
    assert event.fields["peers_up"] == "2" and event.fields["phys"] == "Polling"
    assert "Polling" in event.quote.text or "Down" in event.quote.text


@pytest.mark.parametrize("text", [QUERY, PERF])
def test_a_count_without_a_rate_is_weak(text):
    parsed = read(text)
    assert parsed.unread.unread == 0 or text is PERF
    findings = nic_counters.detect(parsed.facts)
    assert [finding.score < 1 and "no rate" in finding.note for finding in findings] == (
        [True] if text is QUERY else []
    )


def test_a_full_counter_counted_much_and_a_clean_sweep_is_known():
    (finding,) = nic_counters.detect(read(QUERY.replace("412", "65535")).facts)
    assert finding.score == 1.0
    clean = "## Summary: 31 nodes checked, 0 bad nodes found\n##          62 ports checked, 0 ports have errors beyond threshold\n"
    assert infiniband.recognise(clean.splitlines()) >= 0.9 and read(clean).unread.unread == 0


def test_the_age_of_counters_makes_a_rate():
    assert nic_counters.detect(read(MLXLINK.format(errors=4, ber="15E-255")).facts) == []
    (finding,) = nic_counters.detect(read(MLXLINK.format(errors=7200, ber="15E-255")).facts)
    assert finding.score == 60.0 and not finding.settles and "7200" in finding.quotes[0].text
    (finding,) = nic_counters.detect(read(MLXLINK.format(errors=0, ber="4E-10")).facts)
    assert "4.0e-10" in finding.note


def test_two_readings_make_a_rate():
    times = np.array([1000.0, 1600.0])
    values = {"nic_link_recoveries_total": np.array([[50.0, 140.0], [50.0, 50.0]])}
    ports = (Entity("nic", "n1", "mlx5_0/1"), Entity("nic", "n1", "mlx5_1/1"))
    (finding,) = nic_counters.detect(Facts((Window(ports, times, values, "x"),)))
    assert finding.entity.name == "mlx5_0/1" and finding.values["rate_per_second"] == 0.15


@pytest.mark.parametrize(
    "text", ["State: Running\nRate: 5", "State : R\nname: x", "Link layer stuff", "link eth0 is up", "Port 1:\nfoo"]
)
def test_other_texts_are_left_alone(text):
    assert infiniband.recognise(text.splitlines()) < 0.3


@pytest.mark.parametrize("whole", WHOLE)
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert 0.0 <= infiniband.recognise(whole[start:end].split("\n")) <= 1.0
    nic_counters.detect(read(whole[start:end]).facts)
