"""Ports, optics and neighbours as switches and hypervisors tell of them: their words are not those of a driver.

Known: Cisco IOS 12 to 17, IOS XR and NX-OS; Arista EOS 4; Junos 10 to 23; Huawei VRP and H3C Comware 5 to 7; SONiC
2018 to 2024 with FRR; Extreme EXOS and NetIron; Dell OS9 and OS10; HPE ProCurve and Aruba CX; RouterOS; ESXi 5 to 8.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, no_event, on_nic, on_node

_PORT = r"(?P<device>[A-Za-z][A-Za-z-]{0,30} ?\d[\w/.:-]{0,20}?)"
_SHORT_PORT = r"(?P<device>[\w/:.-]{1,24})"
_VIRTUAL = re.compile(
    r"(?i:vlan|loopback|lo\d|tunnel|null|irb|bvi|vxlan|nve|virtual|mgmt|management|me\d|fxp|em\d|async)"
)
_ASKED = re.compile(r"(?i:admin|shut ?down|\(none\)|initiali|cfg|config|removed|no operational members|parent)")
"""Why a port is down when somebody wanted it, or when another port is why."""


def _fold(fields: Fields) -> Fields:
    """Give the fields of an expression's later alternatives the name of the first."""
    made: Fields = {}
    for name, value in fields.items():
        made.setdefault(name.rstrip("0123456789"), value)
    return made


def _refine_port(fields: Fields) -> Fields | None:
    fields = _fold(fields)
    told = fields.pop("state", "").lower()
    state = {"dn": "down", "off-line": "down", "on-line": "up"}.get(told, told)
    asked = _ASKED.search(f"{fields.get('admin', '')} {fields.get('why', '')} {told}")
    name = fields["device"] = fields.get("device", "").removesuffix(".0").strip()
    if _VIRTUAL.match(name) or (asked and state != "up") or state not in ("up", "down"):
        return None
    return {**fields, "switch": "yes", "code": f"nic:link_{state}"}


def _refine_disabled(fields: Fields) -> Fields | None:
    fields = _fold(fields)
    why = fields.get("why", "").lower()
    if "admin" in why:
        return None
    return {**fields, "switch": "yes", "code": "nic:flapping" if "flap" in why else "nic:port_disabled"}


def _refine_optics(fields: Fields) -> Fields | None:
    fields = _fold(fields)
    reason = fields["reason"].lower()
    if "clear" in reason or "normal" in reason:
        return None
    code = "nic:thermal" if "temp" in reason and "high" in reason else "nic:optics"
    return {**fields, "switch": "yes", "code": code}


def _refine_of_switch(fields: Fields) -> Fields:
    return {**_fold(fields), "switch": "yes"}


def _refine_uplink(fields: Fields) -> Fields:
    # A port of a hypervisor is the host's own: it is no port of a switch.
    return {**fields, "code": f"nic:link_{fields.pop('state', 'down').lower()}"}


_PORTS = (
    Pattern(
        "",
        ("-UPDOWN", "-CHANGED: Interface"),
        rf"%[\w-]*(?:LINK|LINEPROTO)-\d-(?:UPDOWN|CHANGED) ?: (?:Line protocol on )?Interface {_PORT}(?: "
        r"\([^)]*\))?, "
        r"changed state to (?P<state>(?i:up|down|administratively down|deleted))(?![\w])",
        on_nic,
        refine=_refine_port,
        joins=2,
    ),
    Pattern(
        "",
        (
            "ERROR_DISABLED:",
            "ERR_DISABLE",
            "ERRDISABLE",
            "errdisabled",
            "err-disable",
            "ERRDOWN_DOWNNOTIFY",
            "error-down",
        ),
        rf"-IF_DOWN_ERROR_DISABLED: Interface {_PORT} is down \((?:Error disabled\. )?(?:Reason: ?)?(?P<why>[^)]*)\)"
        r"|(?P<why2>[\w-]+) error detected on (?P<device2>[\w/.:-]+), putting \S+ in"
        r"|(?P<device3>[\w/.:-]+) state changed to errdisabled: (?P<why3>[\w-]+)"
        r"|status to error-down\. \(InterfaceName=(?P<device4>[^,]+), Cause=(?P<why4>[\w-]+)",
        on_nic,
        refine=_refine_disabled,
    ),
    Pattern(
        "",
        ("IF_DOWN_", "ETHPORT-3-IF_UP", "ETHPORT-5-IF_UP", "_INDIVIDUAL_DOWN", "PORT_CHANNEL-5-PORT_"),
        rf"%[\w-]+-\d-\w+: (?:Interface|individual port) {_PORT},? is (?P<state>up|down)(?: in mode \w+)?"
        r"(?: ?\((?P<why>[^)]*)\))?",
        on_nic,
        refine=_refine_port,
    ),
    Pattern(
        "",
        ("SNMP_TRAP_LINK_",),
        r"SNMP_TRAP_LINK_(?P<state>DOWN|UP): ifIndex \d+, ifAdminStatus (?P<admin>up|down)\(\d\), .*?ifName "
        rf"{_SHORT_PORT}(?=$|\s)",
        on_nic,
        refine=lambda f: None if f.pop("admin", "") == "down" and f["state"] == "DOWN" else _refine_port(f),
        joins=3,
    ),
    Pattern(
        "nic:link_down",
        ("LACP_INTF_DOWN", "MDOWN received"),
        rf"LACP_INTF_DOWN: {_SHORT_PORT}: (?P<reason>Interface marked down.*)"
        r"|(?P<reason2>MDOWN received) for interface (?P<device2>[\w/:.-]+)",
        on_nic,
        refine=_refine_of_switch,
        joins=3,
    ),
    Pattern(
        "",
        (" turned into ", " has entered the ", "Physical state on the interface", "rotocol state on the interface"),
        rf"[Ii]nterface {_SHORT_PORT} has (?:turned into|entered the) (?P<state>UP|DOWN) state"
        rf"|(?:Physical|Line protocol) state on the interface (?P<device2>[\w/:.-]+) changed to (?P<state2>up|down)",
        on_nic,
        refine=_refine_port,
        joins=2,
    ),
    Pattern(
        "",
        ("oper state set from", "Set operation status", "host_tx_ready"),
        rf"Port {_SHORT_PORT} oper state set from (?:up|down) to (?P<state>up|down)"
        r"|Set operation status (?P<state2>UP|DOWN) to host interface (?P<device2>[\w/:.-]+)",
        on_nic,
        refine=_refine_port,
        joins=20,
    ),
    Pattern(
        "nic:flapping",
        (
            "has flapped more than",
            "xcessive link state transitions",
            "xcessive link flapping",
            "aulted because of many",
        ),
        r"[Pp]ort (?P<device>[\w/:.-]+?)(?:\s+is disabled for|-| link-flap|, Faulted).{0,60}?(?P<reason>has "
        r"flapped more "
        r"than.*|[Ee]xcessive link (?:state transitions|flapping).*|Faulted because of many.*"
        r"|because of many Link.*)",
        on_nic,
        constants={"switch": "yes"},
        joins=4,
    ),
    Pattern(
        "",
        ("portLinkState", "state down", "state up", "is now off-line", "is now on-line", "Link status for interface"),
        r"portLinkState(?:Down|Up)> Port (?P<device>[\w/:.-]+) link (?P<state>down|up)"
        r"|Interface (?P<device2>ethernet \d[\w/]*), state (?P<state2>down|up)"
        r"|[Pp]ort (?P<device3>[\w/:.-]+) is now (?P<state3>off-line|on-line)"
        r"|Link status for interface (?P<device4>[\w/:.-]+) is (?P<state4>down|up)",
        on_nic,
        refine=_refine_port,
    ),
    Pattern(
        "",
        ("OSTATE_DN", "OSTATE_UP"),
        r"OSTATE_(?P<state>DN|UP)\b.{0,60}? ?: ?(?P<device>[A-Za-z]{2,20} ?\d[\w/:.-]*)\s*$",
        on_nic,
        refine=_refine_port,
    ),
    Pattern(
        "",
        (" link down", " link up"),
        r"(?:interface,info |interface,warning |: |^)(?P<device>(?:ether|sfp[\w-]*?|combo"
        r"|qsfp[\w-]*?)\d[\w-]*):? link "
        r"(?P<state>down|up)\b",
        on_nic,
        refine=_refine_port,
    ),
    Pattern(
        "",
        ("vmnic.linkstate.", "linkstate is ", "vmnic.watchdog"),
        r"(?:Physical NIC |vmnic )(?P<device>vmnic\d+|vusb\d+) linkstate (?:is )?(?P<state>up|down)",
        on_nic,
        refine=_refine_uplink,
        joins=2,
    ),
    # What applications of DPDK say of the ports that they hold themselves.
    Pattern(
        "",
        ("LINK", "Link Down", "Link Up", "link down"),
        r"(?:^|\] ?)(?P<device>LINK\d+) \(\d+\) \(\d+ Gbps\) (?P<state>DOWN|UP)"
        r"|(?:^|: )(?P<device2>Port \d+):? Link (?P<state2>Down|Up)\b",
        on_nic,
        refine=lambda f: _refine_uplink(_fold(f)),
    ),
    Pattern(
        "nic:link_down",
        ("Lost uplink redundancy", "Lost network connectivity on virtual switch", "NIC redundancy degraded"),
        r"(?P<reason>(?:Lost uplink redundancy|Lost network connectivity|Uplink redundancy degraded) on virtual "
        r"switch.*?"
        r"Physical NIC (?P<device>vmnic\d+) is down)",
        on_nic,
        joins=4,
    ),
)


_OTHERS = (
    Pattern(
        "",
        (
            "THRESHOLD_VIOLATION",
            "IF_SFP_ALARM",
            "IF_SFP_WARNING",
            "x power low",
            "x Power Low",
            "x power high",
            "x Power High",
            "eceive Power",
        ),
        rf"(?:SFF8472-\d-THRESHOLD_VIOLATION: {_SHORT_PORT}: |IF_SFP_(?:ALARM"
        r"|WARNING): Interface (?P<device2>[\w/:.-]+),? "
        r"|(?P<device3>(?:[gxe]t|ge|xe)-\d+/\d+/\d+(?::\d)?):? .{0,60}?|(?P<device4>Eth(?:ernet)?\d[\w/]*):? "
        r".{0,60}?)"
        r"(?P<reason>.*(?:(?:[RT]x|RX|TX|[Rr]eceive|[Tt]ransmit|[Ll]aser) (?:[Oo]utput )?[Pp]ower|[Tt]emp|[Bb]ias|"
        r"[Vv]oltage).*(?:alarm|warning|[Aa]larm|[Ww]arning|low|high).*)",
        on_nic,
        refine=_refine_optics,
    ),
    Pattern(
        "nic:link_degraded",
        ("uplex mismatch", "DUPLEX_MISMATCH", "Excessive CRC", "xcessive CRC/alignment", "SYMBOL_ERR"),
        r"(?P<reason>[Dd]uplex [Mm]ismatch discovered on (?P<device>[\w/:.-]+).*"
        r"|port (?P<device2>[\w/:.-]+)[- ]Excessive CRC/alignment errors.*)",
        on_nic,
        refine=_refine_of_switch,
        joins=20,
    ),
    # Events of UFM, the manager of a fabric: 'NAME counter threshold exceeded. Threshold is 200, received …'.
    Pattern(
        "nic:link_degraded",
        ("hreshold exceeded. Threshold is", "BER reported", "ber reported", "Non-optimal", "Non-Optimal"),
        r"(?P<reason>(?P<counter>[\w ]{3,60}?) (?:counter )?(?:delta |rate )?threshold exceeded\. Threshold is \S+ "
        r"(?:received|calculated) \w+ is \S+|.*[Hh]igh (?:\w+ )?BER reported.*"
        r"|.*[Nn]on-[Oo]ptimal [Ll]ink (?:[Ww]idth"
        r"|[Ss]peed|BER|FEC).*)",
        on_node,
        refine=lambda f: {**f, "code": "nic:thermal"} if "emperature" in f["reason"] else f,
        joins=20,
    ),
    Pattern(
        "nic:module_error",
        ("UNSUPPORTED_TRANSCEIVER", "unsupported transceiver", "TRANSCEIVER_NOT_SUPPORTED", "INVALID_TRANSCEIVER"),
        r"(?P<reason>(?:.*TRANSCEIVER: )?(?:Transceiver|Unsupported transceiver|unsupported transceiver).*?"
        r"(?:interface )?(?P<device>[A-Za-z]{2,20}\d[\w/:.-]*).*)",
        on_nic,
        constants={"switch": "yes"},
    ),
    Pattern(
        "nic:pfc_storm",
        ("PFC storm", "PFC Storm", "fc storm", "PFCWD"),
        r"(?P<reason>(?:PFC Watchdog detected )?PFC [Ss]torm (?!restored|cleared)(?:detected )?.*?(?:port|interface) "
        r"(?P<device>[\w/:.-]+).*)",
        on_nic,
        constants={"switch": "yes"},
        joins=20,
    ),
    Pattern("", ("PFC Watchdog storm restored",), r"PFC Watchdog storm restored", on_node, refine=no_event),
    Pattern(
        "network:peer_lost",
        (
            "ADJCHANGE",
            "ADJCHG",
            "NBRDOWN",
            "NEIGHBOR_STATE_CHANGED",
            "SYNC_LOSS",
            "BGP: Peer",
            "OSPF: nbr state",
            "OSPF nbr",
            "Adjacency to",
        ),
        r"(?P<reason>(?:OSPF nbr (?P<peer7>\S+) on interface .* from \w+ to Down.*"
        r"|ADJCHANGE: .*Adjacency to (?P<peer8>\S+) "
        r".*\b[Dd]own\b.*|ADJCHANGE: (?:neighbor|peer) (?P<peer>\S+)(?:.*? Down\b(?! (?:User|Admin)).*"
        r"|.*old state Established "
        r"(?!event (?:Stop|AdminReset|AdminShutdown)).*)"
        r"|ADJCHG: .*Nbr (?P<peer2>\S+) on \S+ from (?!INIT|DOWN)\S+ to DOWN.*"
        r"|RPD_OSPF_NBRDOWN: OSPF neighbor (?P<peer3>\S+).*"
        r"|RPD_BGP_NEIGHBOR_STATE_CHANGED: BGP peer (?P<peer4>\S+).*changed state from Established to (?!.*event "
        r"Stop).*"
        r"|BGP: Peer (?:\(VRF: \S+\) )?(?P<peer5>\S+) DOWN.*|OSPF: nbr state changed,.*nbr addr "
        r"(?P<peer6>[\d.]+).* state "
        r"down.*))",
        on_node,
        refine=_fold,
        joins=20,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_PORTS, *_OTHERS)
