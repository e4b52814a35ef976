import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.detectors import nic_counters
from tools.document import TextDocument
from tools.parsers import network

IP = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
2: eno1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff
    inet 10.1.0.7/24 brd 10.1.0.255 scope global eno1
       valid_lft forever preferred_lft forever
3: eno2: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc mq state DOWN group default qlen 1000
    link/ether 02:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff
{more}9: docker0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN group default
    inet 172.17.0.1/16 scope global docker0
"""
STORAGE = """\
4: ens5f1: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc mq state DOWN group default qlen 1000
    link/ether 02:00:00:00:00:03 brd ff:ff:ff:ff:ff:ff
    inet 192.168.40.7/24 brd 192.168.40.255 scope global ens5f1
"""
STATS = """\
5: ens6f0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9000 qdisc mq state UP mode DEFAULT group default qlen 1000
    link/ether 02:00:00:00:00:04 brd ff:ff:ff:ff:ff:ff
    RX:  bytes packets errors dropped  missed   mcast
    9000000000 {packets} {errors} 12 0 3
    TX:  bytes packets errors dropped carrier collsns
    8000000000 900000 0 0 0 0
"""
ETHTOOL = """\
# ethtool ens7
Settings for ens7:
\tSupported ports: [ FIBRE ]
\tSupported link modes:   25000baseCR/Full
\t                        100000baseCR4/Full
\tAdvertised link modes:  25000baseCR/Full
\t                        100000baseCR4/Full
\tLink partner advertised link modes:  25000baseCR/Full
\t                                     100000baseCR4/Full
\tSpeed: {speed}
\tDuplex: Full
\tAuto-negotiation: on
\tLink detected: {link}
"""
STATISTICS = """\
# ethtool -S ens7
NIC statistics:
     rx_packets: 1000000
     rx_bytes: 99999
     rx_crc_errors_phy: 4200
     rx_symbol_err_phy: 0
     link_down_events_phy: 2
"""
BOND = """\
Ethernet Channel Bonding Driver: v5.15.0

Bonding Mode: IEEE 802.3ad Dynamic link aggregation
MII Status: up
Slave Interface: ens1f0
MII Status: up
Link Failure Count: 0
Slave Interface: ens1f1
MII Status: down
Link Failure Count: 3
"""
BRIEF = """\
lo               UNKNOWN        00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP>
ib0              UP             00:00:10:29:fe:80:00:01 <BROADCAST,MULTICAST,UP,LOWER_UP>
ib1              DOWN           00:00:10:29:fe:80:00:02 <NO-CARRIER,BROADCAST,MULTICAST,UP>
"""
IFCONFIG = """\
eth3: flags=4099<UP,BROADCAST,MULTICAST>  mtu 9000
        ether 02:00:00:00:00:05  txqueuelen 1000  (Ethernet)
        RX packets 0  bytes 0 (0.0 B)
        RX errors 0  dropped 0  overruns 0  frame 0
"""
WHOLE = [IP.format(more=STORAGE), STATS, ETHTOOL, STATISTICS, BOND, BRIEF, IFCONFIG]


def read(text):
    return network.parse(TextDocument("net.txt", "n1", text))


def told(text):
    return [(event.code, event.entity.name) for event in read(text).facts.events]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (IP.format(more=""), [("nic:unplugged", "eno2")]),
        (IP.format(more=STORAGE), [("nic:unplugged", "eno2"), ("nic:link_down", "ens5f1")]),
        (STORAGE.replace("    inet 192", "    altname 192"), [("nic:port_down", "ens5f1")]),
        (ETHTOOL.format(speed="100000Mb/s", link="yes"), []),
        (ETHTOOL.format(speed="25000Mb/s", link="yes"), [("nic:link_degraded", "ens7")]),
        (ETHTOOL.format(speed="Unknown!", link="no (No cable)"), [("nic:port_down", "ens7")]),
        (BOND, [("nic:link_down", "ens1f1")]),
        (BRIEF, [("nic:link_down", "ib1")]),
        (IFCONFIG, [("nic:link_down", "eth3")]),
        ("2: eth0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN\n", []),
    ],
)
def test_carriers_and_speeds(text, expected):
    assert network.recognise(text.splitlines()) >= 0.6
    assert told(text) == expected
    assert read(text).unread.unread <= (1 if text is BOND else 0)


def test_errors_are_held_against_the_packets():
    assert nic_counters.detect(read(STATS.format(packets=10**9, errors=40)).facts) == []
    (finding,) = nic_counters.detect(read(STATS.format(packets=10**6, errors=4000)).facts)
    assert finding.score < 1 and finding.values["nic_receive_errors_total"] == 4000
    (finding,) = nic_counters.detect(read(STATISTICS).facts)
    assert finding.entity.name == "ens7" and "4200 damaged frames" in finding.note


@pytest.mark.parametrize("text", ["Speed: 5\nfoo: bar", "1: some: list", "a UP b", "12:30: <user> hello"])
def test_other_texts_are_left_alone(text):
    assert network.recognise(text.splitlines()) < 0.3


@pytest.mark.parametrize("whole", WHOLE)
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert 0.0 <= network.recognise(whole[start:end].split("\n")) <= 1.0
    nic_counters.detect(read(whole[start:end]).facts)


@pytest.mark.parametrize(
    ("status", "codes"), [("active", []), ("inactive", ["nic:port_down"]), ("no carrier", ["nic:port_down"])]
)
def test_bsd_and_macos_tell_the_carrier_in_a_line_of_its_own(status, codes):
    text = (
        f"en7: flags=8863<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500\n\tmedia: autoselect\n\tstatus: {status}\n"
    )
    assert [event.code for event in network.parse(TextDocument("x", "", text)).facts.events] == codes
