"""Tables of ports and transceivers: which port is down though it is used, and which flag of a module is set."""

from __future__ import annotations

import pytest

from tools.document import TextDocument
from tools.parsers import clock_state, network, switch_ports, transceivers


def codes(text: str) -> dict[str, str]:
    assert switch_ports.recognise(text.splitlines()) >= 0.9
    events = switch_ports.parse(TextDocument("ports.txt", "leaf7", text)).facts.events
    return {event.entity.name: event.code for event in events}


EOS = """\
leaf7#show interfaces status
Port       Name     Status       Vlan     Duplex Speed  Type         Flags Encapsulation
Et1        n07      connected    trunk    full   100G   100GBASE-CR4
Et2                 notconnect   1        auto   auto   Not Present
Et3        n09      errdisabled  1        full   100G   100GBASE-CR4
Et4                 disabled     1        full   100G   100GBASE-CR4
"""
SONIC = """\
  Interface     Lanes    Speed    MTU    FEC    Alias    Vlan    Oper    Admin             Type    Asym PFC
  Ethernet0   1,2,3,4     400G   9100     rs    etp1    trunk      up       up  QSFP-DD 8X         off
  Ethernet8   5,6,7,8     400G   9100     rs    etp2    trunk    down       up  QSFP-DD 8X         off
 Ethernet16     9,10     400G   9100     rs    etp3    trunk    down       up         N/A         N/A
 Ethernet24    11,12     400G   9100     rs    etp4    trunk    down     down  QSFP-DD 8X         off
"""
DLADM = """\
LINK        CLASS     MTU    STATE    BRIDGE     OVER
ixgbe2      phys      9000   down     --         --
ixgbe3      phys      9000   up       --         --
vnic7       vnic      9000   down     --         ixgbe3
"""


def test_a_port_that_the_switch_shut_is_down_and_an_empty_one_is_not() -> None:
    assert codes(EOS) == {"Et2": "nic:unplugged", "Et3": "nic:port_disabled"}


def test_a_port_with_a_module_and_no_link_is_down() -> None:
    assert codes(SONIC) == {"Ethernet8": "nic:port_down", "Ethernet16": "nic:unplugged"}


def test_links_of_a_host_are_no_ports_of_a_switch() -> None:
    facts = switch_ports.parse(TextDocument("links.txt", "n7", DLADM)).facts
    assert [(event.entity.name, event.code) for event in facts.events] == [("ixgbe2", "nic:port_down")]
    assert "switch" not in facts.events[0].fields


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("Ethernet7 is up, line protocol is up (connected)", None),
        ("Ethernet7 is down, line protocol is down (notconnect)", "nic:unplugged"),
        ("Ethernet7 is administratively down, line protocol is down (disabled)", None),
        ("Ethernet1/7 is down (Link not connected)", "nic:unplugged"),
        ("Ethernet1/7 is down (linkFlapErrDisabled)", "nic:flapping"),
        ("Ethernet1/7 is down (Link failure)", "nic:link_down"),
        ("GigabitEthernet0/0/7 current state : DOWN", "nic:port_down"),
        ("Physical interface: xe-0/0/7, Enabled, Physical link is Down", "nic:port_down"),
        ("Physical interface: xe-0/0/7, Administratively down, Physical link is Down", None),
        ("Vlan7 is down, line protocol is down", None),
    ],
)
def test_a_block_says_why_its_port_is_down(head: str, code: str | None) -> None:
    found = codes(f"{head}\n  Hardware is Ethernet, address is 0200.0000.0007\n")
    assert list(found.values()) == ([code] if code else [])


def test_counters_of_a_block_are_readings_of_its_port() -> None:
    text = "Ethernet7 is up, line protocol is up (connected)\n  907 input errors, 905 CRC, 0 frame, 2 overrun\n"
    (window,) = switch_ports.parse(TextDocument("x", "leaf7", text)).facts.windows
    assert window.latest(0, "nic_crc_errors_total") == 905.0
    assert window.latest(0, "nic_receive_errors_total") == 907.0


MODULE = """\
# ethtool -m ens7
Identifier                                : 0x11 (QSFP28)
Transceiver type                          : 100G Ethernet: 100G Base-SR4
Laser rx power low alarm   (Channel 2)    : {rx}
Module temperature high alarm             : {hot}
Module temperature                        : 51.20 degrees C / 124.16 degrees F
"""


@pytest.mark.parametrize(
    ("rx", "hot", "expected"), [("On", "Off", ["nic:optics"]), ("Off", "On", ["nic:thermal"]), ("Off", "Off", [])]
)
def test_the_flags_of_a_module_speak_for_themselves(rx: str, hot: str, expected: list[str]) -> None:
    text = MODULE.format(rx=rx, hot=hot)
    assert transceivers.recognise(text.splitlines()) > 0.9
    events = transceivers.parse(TextDocument("m.txt", "n7", text)).facts.events
    assert [event.code for event in events] == expected
    assert {event.entity.name for event in events} <= {"ens7"}


@pytest.mark.parametrize(("rms", "expected"), [("7", []), ("4100200300", ["clock:offset"])])
def test_offsets_of_linuxptp_are_nanoseconds(rms: str, expected: list[str]) -> None:
    text = f"ptp4l[70.2]: rms {rms} max 9 freq +11 +/- 2 delay 90 +/- 1\nptp4l[71.2]: rms 5 max 9 freq +11 +/- 2\n"
    assert clock_state.recognise(text.splitlines()) == 0.9
    assert [event.code for event in clock_state.parse(TextDocument("x", "n7", text)).facts.events] == expected


def test_netstat_is_read_with_the_metric_and_without() -> None:
    text = (
        "Iface      MTU Met    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n"
        "ens7      9000   0   500000   4200      0      0   500000      3      0      0 BMRU\n"
        "ens8      9000       500000      0      0      0   500000      0      0      0 BMRU\n"
    )
    assert network.recognise(text.splitlines()) == 0.95
    (window,) = network.parse(TextDocument("x", "n7", text)).facts.windows
    assert window.latest(0, "nic_receive_errors_total") == 4200.0
    assert window.latest(1, "nic_receive_packets_total") == 500000.0
