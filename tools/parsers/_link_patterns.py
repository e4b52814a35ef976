"""Links of network ports that go and come back: as drivers, bonding, networkd, NetworkManager and OpenSM tell.

Known: Linux 3.10 (RHEL 7) to 6.14, FreeBSD 12 to 14, systemd 219 to 256, NetworkManager 1.0 to 1.50, OpenSM 3.3 to 5.2.
"""

from __future__ import annotations

import re

from tools.parsers._nic_heads import AT, DRIVERS, flatten
from tools.parsers._patterns import Fields, Pattern, no_event, on_nic, on_node

_VIRTUAL_NAME = (
    r"(?:veth|docker|br-|virbr|cali|cni|flannel|lxc|lxd|vnet|tap|tun|lo\b|dummy|kube|nodelocal|vxlan|ovs|cilium"
    r"|wg|vlan"
    r"|lagg|wl|fwbr|fwpr|fwln|vmbr|nerdctl|podman|ppp|sit|gre|usb\d)"
)
_VIRTUAL = re.compile("^" + _VIRTUAL_NAME)
_SWITCH_PORT = re.compile(r"(?:swp|Ethernet)\d")
_NETDEV = (
    r"(?P<device>(?:eth|en|ib|bond|team|rdma|roce|p\d+p|em|wwan|hsn|gpu|mlx|ens|eno|enp|net\d|lan\d|rail\d"
    r"|swp\d|vmnic\d|nic\d)[\w.-]*)"
)
_BSD = r"(?P<device>(?:igb|igc|ixl?|em|re|bge|bxe|cxl|cxgbe|mlxen|mce|mlx5en|vmx|vtnet|ice|bnxt|bnxt|al|axe|ue)\d+)"


def _refine_netdev(fields: Fields) -> Fields | None:
    made = flatten(fields, device=("device2", "device3", "device4"), reason=("reason2", "reason3", "reason4"))
    if _VIRTUAL.match(made.get("device", "")):
        return None
    # A port of a switch that runs Linux: which node hangs on it is not told.
    return {**made, "switch": "yes"} if _SWITCH_PORT.match(made.get("device", "")) else made


def _refine_notice(fields: Fields) -> Fields | None:
    # Numbers of InfiniBand traps: 64/65 a port came or went, 128 a link changed, 129-131 its errors passed a threshold.
    code = {"64": "", "65": "opensm:port_gone", "128": "opensm:link_changed"}.get(fields["trap"])
    if code is None:
        code = "nic:link_degraded" if fields["trap"] in ("129", "130", "131") else ""
    return {**fields, "code": code} if code else None


_DOWN_WORDS = (
    "Lost carrier",
    "link disconnected",
    "carrier-changed",
    "definitely down",
    "status down",
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
    "interface down",
)
_UP_WORDS = (
    "Gained carrier",
    "definitely up",
    "Link up",
    "ink is up",
    "ink is Up",
    "ink is UP",
    "Link Up",
    "ink up",
    "INK UP",
    "link connected",
    "state changed to UP",
)

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "nic:link_up",
        ("link becomes ready",),
        rf"\b{_NETDEV}\b[:)]* *.{{0,60}}?(?P<reason>link becomes ready)",
        on_nic,
        refine=_refine_netdev,
        joins=2,
    ),
    Pattern(
        "nic:link_down",
        ("definitely down", "status down", "ink down detected", "isabling it"),
        (
            r"(?P<bond>[\w.-]{1,15}): (?:\(slave \S+\): )?(?P<reason>link status (?:definitely )?down) for interface "
            r"(?P<device>[\w.-]+?),|\(slave (?P<device2>[\w.-]+)\): (?P<reason2>link status (?:definitely )?down)"
            r"|team\S*: Port (?P<device3>[\w.-]+): (?P<reason3>[Ll]ink down)|team\S*: (?P<device4>[\w.-]+): "
            r"(?P<reason4>link down)"
        ),
        on_nic,
        refine=_refine_netdev,
        joins=4,
    ),
    Pattern(
        "nic:link_up",
        ("definitely up",),
        (
            r"(?P<bond>[\w.-]{1,15}): (?P<reason>link status definitely up) for interface (?P<device>[\w.-]+?),"
            r"|\(slave (?P<device2>[\w.-]+)\): (?P<reason2>link status definitely up)"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    Pattern(
        "nic:link_down",
        ("without any active interface",),
        r"(?P<device>[\w.-]{1,15}): (?P<reason>now running without any active interface)",
        on_nic,
    ),
    Pattern(
        "nic:link_down",
        ("carrier-changed",),
        (
            r"device \((?P<device>[^)]+)\): state change: \S+ -> (?:unavailable"
            r"|failed) \((?P<reason>reason 'carrier-changed)'"
        ),
        on_nic,
        refine=_refine_netdev,
        joins=4,
    ),
    Pattern(
        "nic:link_down",
        _DOWN_WORDS,
        (
            rf"(?:{AT}:? )?\b{_NETDEV}\b[:)]*\s*(?:.{{0,60}}?\b(?P<reason>Lost carrier|carrier: "
            r"link disconnected|\(reason 'carrier-changed'.*|link status definitely down|(?:NIC )?(?:Copper "
            r"|Fibre )?"
            rf"[Ll]ink (?:is )?(?i:down)|state changed to DOWN|NCSI interface down))"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    Pattern(
        "nic:link_up",
        _UP_WORDS,
        (
            rf"(?:{AT}:? )?\b{_NETDEV}\b[:)]*\s*(?:.{{0,60}}?\b(?P<reason>Gained carrier|carrier: "
            rf"link connected|link status definitely up|(?:NIC )?(?:Copper |Fibre )?[Ll]ink (?:is )?"
            rf"(?i:up)|state changed to UP))"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    # What phylib prints: driver, bus of the transceiver, and the port, which a switch's driver calls as it likes.
    Pattern(
        "",
        ("Link is Down", "Link is Up"),
        r"\b\S+ \S*(?:mdio|phy)\S* (?P<device>[a-z][\w.-]{0,15}): (?P<reason>Link is (?P<state>Down|Up))\b",
        on_nic,
        refine=lambda f: {**f, "code": f"nic:link_{f.pop('state').lower()}"},
    ),
    # A port may have any name where its driver, bus address or daemon stands before it.
    Pattern(
        "nic:link_down",
        tuple(word for word in _DOWN_WORDS if "carrier" not in word and "connected" not in word),
        (
            rf"(?:{AT}:? (?P<device>[\w.-]{{1,30}}): .{{0,40}}?(?P<reason>(?:NIC )?[Ll]ink (?:is )?(?i:down)\b)"
            rf"|(?<![\w-])(?:{DRIVERS})\b.{{0,40}}?(?P<reason2>(?:NIC )?[Ll]ink (?:is )?(?i:down)\b))"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    # A row of its own: on hosts of containers these lines are frequent, and this is found without a search.
    Pattern(
        "nic:link_down",
        ("Lost carrier", "carrier: link disconnected"),
        (
            r"systemd-networkd\S*: (?!" + _VIRTUAL_NAME + r")(?P<device>[\w.-]+): (?P<reason>Lost carrier)"
            r"|device \((?P<device2>[^)]+)\): (?P<reason2>carrier: link disconnected)"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    Pattern(
        "nic:link_up",
        tuple(word for word in _UP_WORDS if "carrier" not in word and "connected" not in word),
        (
            rf"(?:{AT}:? (?P<device>[\w.-]{{1,30}}): .{{0,40}}?(?P<reason>(?:NIC )?[Ll]ink (?:is )?(?i:up)\b)"
            rf"|(?<![\w-])(?:{DRIVERS})\b.{{0,40}}?(?P<reason2>(?:NIC )?[Ll]ink (?:is )?(?i:up)\b))"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    # A row of its own: on hosts of containers these lines are frequent, and this is found without a search.
    Pattern(
        "nic:link_up",
        ("Gained carrier", "carrier: link connected"),
        (
            r"systemd-networkd\S*: (?!" + _VIRTUAL_NAME + r")(?P<device>[\w.-]+): (?P<reason>Gained carrier)"
            r"|device \((?P<device2>[^)]+)\): (?P<reason2>carrier: link connected)"
        ),
        on_nic,
        refine=_refine_netdev,
    ),
    Pattern(
        "nic:link_down",
        ("link state changed to DOWN",),
        rf"(?:^|\s){_BSD}: (?P<reason>link state changed to DOWN)",
        on_nic,
    ),
    Pattern(
        "nic:link_up",
        ("link state changed to UP",),
        rf"(?:^|\s){_BSD}: (?P<reason>link state changed to UP)",
        on_nic,
    ),
    Pattern(
        "nic:link_down",
        ("ink down", "Link DOWN", "ink is DOWN", "port error", "PORT_ERR", "port down", "Port down"),
        (
            r"(?:infiniband )?(?P<device>(?:mlx[45]|bnxt_re|hfi1|irdma|qib|roce"
            r"|rocep\d+s\d+f)_?(?:bond_?)?\d+):?.*?(?:[Pp]ort:? ?"
            r"(?P<port>\d+))?.*?(?P<reason>[Ll]ink (?:is )?(?i:down)|(?:IB_EVENT_)?PORT_ERR|port "
            r"(?:error|down))"
        ),
        on_nic,
    ),
    Pattern(
        "nic:link_up",
        ("port active", "PORT_ACTIVE"),
        r"(?:infiniband )?(?P<device>(?:mlx[45]|bnxt_re|irdma|qib)_?(?:bond_?)?\d+)\S*:? .*?(?P<reason>(?:IB_EVENT_)?"
        r"(?i:port[ _]active))",
        on_nic,
    ),
    Pattern(
        "nic:link_up",
        ("PORT_ACTIVE",),
        r"(?P<device>hfi1_\d+|opa\d+)\S*:? .*?(?P<reason>logical state changed to PORT_ACTIVE.*)",
        on_nic,
    ),
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
        "",
        ("eneric Notice type:",),
        (
            r"eneric Notice type:\d (?:num|trap):(?P<trap>\d+) \((?P<reason>[^)]*)\)(?:.*?from LID:(?P<lid>\d+))?"
            r"(?:.*?GID:(?P<gid>\S+))?"
        ),
        on_node,
        refine=_refine_notice,
        joins=50,
    ),
    Pattern(
        "nic:link_down",
        ("check_hw_ib", "check_hw_eth"),
        r"(?P<reason>check_hw_(?:ib|eth): .*\b(?:No|not|down|DOWN|missing)\b.*?(?:port (?P<device>[\w.]+):\d+.*|$))",
        on_nic,
    ),
    Pattern(
        "nic:link_down",
        ("SM port is down",),
        r"(?P<reason>SM port is down)",
        on_nic,
        joins=50,
    ),
    # A hypervisor takes a virtual function away while it services the host, and gives it back.
    Pattern(
        "nic:path_moved",
        ("Data path switched", "VF unregistering", "VF slot "),
        r"hv_netvsc \S+ (?P<device>\w+): (?P<reason>Data path switched from VF.*|VF unregistering.*"
        r"|VF slot \d+ removed)",
        on_nic,
        joins=20,
    ),
    # What Solaris and illumos print: `mac: [ID 486395 kern.info] NOTICE: ixgbe2 link down`.
    Pattern(
        "",
        (" link down", " link up"),
        r"NOTICE: (?P<device>[a-z][a-z0-9]{1,12}\d) link (?P<state>down|up)\b",
        on_nic,
        refine=lambda f: {**f, "code": f"nic:link_{f.pop('state')}"},
    ),
    Pattern(
        "nic:driver",
        ("CQE ERR", "CQE remote", "CQE local"),
        r"(?P<device>(?:mcxnex|hermon|tavor|mlxne)\d+): (?P<reason>CQE ERR.*|CQE (?:remote|local) .*error)",
        on_nic,
        joins=10,
    ),
    Pattern(
        "opensm:error",
        (": ERR ", "rrors during initialization"),
        r"(?:\] 0x\w+ -> |OpenSM\S* .*?)(?P<reason>\w+: ERR [0-9A-F]{4}: .*|.*[Ee]rrors during initialization.*)",
        on_node,
        joins=50,
    ),
    # What bridges and containers print all day is read, and is no event.
    Pattern(
        "",
        (
            "entered disabled state",
            "entered blocking state",
            "entered forwarding state",
            "promiscuous mode",
            "renamed from",
        ),
        (
            r"(?P<reason>port \d+\(\S+\) entered \w+ state|entered promiscuous mode|left promiscuous mode"
            r"|renamed from \S+)"
        ),
        on_node,
        refine=no_event,
    ),
)
