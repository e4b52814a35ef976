"""Reads the state and the counters of network interfaces.

Knows `ip link`, `ip addr`, `ip -s link`, `ip -br`, `ip -j` of iproute2 4 to 6, `ifconfig` and `netstat -i` of
net-tools 1 and 2, `ethtool DEV` and `ethtool -S DEV` of ethtool 4 to 6, `/proc/net/dev` and `/proc/net/bonding/*`. An
interface that is switched on and has no carrier is down where somebody means it to work (an address, a bond, large
frames); a socket where nothing is plugged in is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.parsers._json_tree import JsonText, list_dicts, read_json_text, starts_json
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, is_prompt
from tools.parsers._nic_ports import COUNTERS
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "network"
DOMAIN: Domain = "network"

JUMBO_BYTES = 4000
"""An interface with frames this large was set up for traffic between machines (a guess)."""
_LINK = Lazy(
    r"^\s*\d+: (?P<name>[\w.:@-]+?)(?:@[\w.-]+)?: <(?P<flags>[A-Z0-9_,-]*)>(?P<rest>.*)$"
    r"|^(?P<if>[\w.:-]+): flags=\d+<(?P<iflags>[A-Z0-9_,-]*)>(?P<irest>.*)$"
)
_BRIEF = Lazy(
    r"^(?P<name>[\w.:-]+?)(?:@[\w.-]+)?\s+(?P<state>UP|DOWN|UNKNOWN|LOWERLAYERDOWN|DORMANT)\s+(?P<rest>\S.*)?$"
)
_SETTINGS = Lazy(r"^\s*Settings for (?P<name>[\w.:-]+):\s*$")
_DETECTED = Lazy(r"^\s*Link detected: (?P<state>yes|no)(?: \((?P<why>[^)]*)\))?\s*$")
_STATISTICS = Lazy(r"^\s*NIC statistics:\s*$")
_PAIR = Lazy(r"^\s*(?P<key>[A-Za-z][\w .()/\[\]-]*?):\s+(?P<value>\S.*?)\s*$")
_ASKED = Lazy(r"\bethtool\s+(?:-{1,2}[\w-]+\s+)*(?P<name>[a-z][\w.:-]*)\s*(?:[;|&].*)?$")
_HEAD = Lazy(r"^\s*(?P<way>RX|TX):\s+bytes\s+packets\s+errors\b")
_NUMBERS = Lazy(r"^\s*\d+(?:\s+\d+){3,}\s*$")
_IFCONFIG = Lazy(r"^\s+(?P<way>RX|TX) (?:errors (?P<errors>\d+)|packets (?P<packets>\d+))")
_ADDRESS = Lazy(r"^\s+inet6? (?P<address>[0-9a-fA-F.:]+)")
_MEDIA = Lazy(r"^\s+status: (?P<state>active|inactive|no carrier|associated|no network)\s*$")
_DETAIL = Lazy(
    r"^\s+(?:link/|inet|valid_lft|altname|vf \d|RX|TX|ether\s|infiniband\s|loop\s|unspec\s|device (?:memory|interrupt)|"
    r"bridge|vlan|promiscuity|bond)|^\s+[\w ./]*\d+base\S+|"
    r"^\s+(?:(?:drv|probe|link|timer|ifdown|ifup|rx_err|tx_err)\s*)+$"
)
_PROC_HEAD = Lazy(r"^\s*Inter-\|\s+Receive|^\s*face\s*\|bytes\s+packets errs")
_PROC_ROW = Lazy(r"^\s*(?P<name>[\w.@-]+):\s*(?P<cells>\d+(?:\s+\d+){15})\s*$")
_NETSTAT_HEAD = Lazy(r"^\s*Iface\s+MTU\s+(?:Met\s+)?RX-OK\s+RX-ERR")
_NETSTAT_ROW = Lazy(r"^\s*(?P<name>[\w.:@-]+)\s+\d+\s+(?P<cells>\d+(?:\s+\d+){6,8})\s+(?P<flags>[A-Z]+)\s*$")
_BOND = Lazy(r"^(?:Ethernet Channel Bonding Driver|Slave Interface: (?P<slave>\S+)|MII Status: (?P<status>\w+)|"
             r"Link Failure Count: (?P<failures>\d+))")  # fmt: skip
_MODES = Lazy(r"(?P<mbps>\d+)base[\w-]+/(?P<duplex>Full|Half)")
_DRIVER = Lazy(r"^(?:driver|version|firmware-version|expansion-rom-version|bus-info|supports-[a-z-]+):(?: .*)?$")
"""A row of `ethtool -i`: what drives a port, and nothing of how it fares."""
_VIRTUAL = Lazy(
    r"^(?:lo|docker|br|veth|virbr|cni|flannel|cali|tun|tap|vxlan|kube|dummy|wg|tailscale|vnet|vif|xenbr|ovs|gre|sit|"
    r"ip6|nodelocaldns|lxc|lxd|podman|genev|erspan|ifb|macv|usb|wl|ww|idrac|bmc)"
)
"""Interfaces without a cable, or without one that matters: bridges, tunnels, containers, wireless, the BMC's own."""


MIN_DRIVER_ROWS = 4


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: an interface's head line of `ip`, `ifconfig`, `ethtool` or the bonding driver."""
    if any('"ifname"' in text and '"flags"' in text for text in ("\n".join(sample),)):
        return 0.95
    kept = clip_sample(sample)
    if any(_PROC_HEAD.match(text) or _PROC_ROW.match(text) or _NETSTAT_HEAD.match(text) for text in kept):
        return 0.95
    if any(_LINK.match(text) or _SETTINGS.match(text) or _STATISTICS.match(text) for text in kept):
        return 0.9
    if any(text.startswith(("Ethernet Channel Bonding Driver", "Slave Interface: ")) for text in kept):
        return 0.9
    told = [text for text in kept if not is_noise(text)]
    if sum(bool(_DRIVER.match(text)) for text in told) >= MIN_DRIVER_ROWS:
        return 0.8
    brief = sum(bool((found := _BRIEF.match(text)) and (found["rest"] or "").count(":") >= 5) for text in told)
    if brief and brief * 2 >= len(told):
        return 0.8
    counters = sum(bool((found := _PAIR.match(text)) and found["key"].strip() in COUNTERS) for text in told)
    if counters >= 2 and counters * 4 >= len(told):
        return 0.7
    return 0.8 if any(_DETECTED.match(text) for text in told) else 0.0


def parse(document: Document) -> Parsed:
    """Read interfaces: which has no carrier though it should, which runs below its peer's speed, and the counters."""
    host = _Host(document)
    if starts_json(document):
        host.read_json(read_json_text(document))
        host.report()
        return Parsed(host.sheet.build_facts())
    parsed = host.sheet.read(
        host.sheet.read_interval, host.read_asked, host.read_proc, host.read_link, host.read_ethtool, host.read_bond,
        host.read_counts, host.read_detail,
    )  # fmt: skip
    host.report()
    if not host.interfaces and not host.told:
        host.sheet.miss("a table without a row", "ip -s link; ethtool -S DEVICE")
    return Parsed(host.sheet.build_facts(), parsed.unread)


@dataclass
class _Interface:
    """What the lines of one interface told: whether it has a carrier (None: not told), and who needs it."""

    name: str
    line: Line
    has_carrier: bool | None = None
    is_on: bool = True
    is_meant: bool = False
    why: str = ""
    speed_mbps: int = 0
    duplex: str = ""
    own_mbps: int = 0
    partner_mbps: int = 0
    fields: dict[str, str] = field(default_factory=dict)


class _Host:
    """State of reading: the interface that the lines are of, and which table of numbers comes next."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.interfaces: dict[str, _Interface] = {}
        self.now: _Interface | None = None
        self.way = ""
        self.modes = ""
        self.told = 0

    def read_json(self, text: JsonText) -> None:
        """Read `ip -j link`, with `-s` or without."""
        for entry in list_dicts(list(text.values)):
            name, flags = entry.get("ifname"), entry.get("flags")
            if not isinstance(name, str) or not isinstance(flags, list):
                continue
            line = text.find(f'"{name}"')
            now = self._open(name, line)
            now.is_on, mtu = "UP" in flags, entry.get("mtu")
            now.has_carrier = "LOWER_UP" in flags and "NO-CARRIER" not in flags
            is_large = isinstance(mtu, int) and JUMBO_BYTES <= mtu < 60000
            has_address = any(
                isinstance(one, dict) and one.get("scope") == "global" for one in _list(entry, "addr_info")
            )
            now.is_meant = (
                "SLAVE" in flags or str(entry.get("master", "")).startswith("bond") or is_large or has_address
            )
            statistics = entry.get("stats64", entry.get("stats"))
            for way, counts in statistics.items() if isinstance(statistics, dict) else ():
                for what in ("packets", "errors"):
                    count = counts.get(what) if isinstance(counts, dict) else None
                    if isinstance(count, int):
                        self._count(line, f"{way}_{what}", str(count))
        if text.is_cut:
            self.sheet.miss("the JSON is cut or broken", "ip -j -s link")

    def read_proc(self, line: Line) -> bool:
        row = _PROC_ROW.match(line.text)
        if row is not None:
            cells = row["cells"].split()
            # Its counters tell nothing of the carrier: the interface is not one to be judged down.
            self.now, self.told = _Interface(row["name"], line), self.told + 1
            for name, column in (("rx_packets", 1), ("rx_errors", 2), ("tx_errors", 10)):
                self._count(line, name, cells[column])
        return row is not None or bool(_PROC_HEAD.match(line.text)) or self._read_netstat(line)

    def _read_netstat(self, line: Line) -> bool:
        row = _NETSTAT_ROW.match(line.text)
        if row is not None:
            # Older tables have a column more, the metric, before the counters.
            cells = row["cells"].split()[-8:]
            self.now, self.told = _Interface(row["name"], line), self.told + 1
            for name, column in (("rx_packets", 0), ("rx_errors", 1), ("tx_errors", -3)):
                self._count(line, name, cells[column])
        return row is not None or bool(_NETSTAT_HEAD.match(line.text))

    def _open(self, name: str, line: Line) -> _Interface:
        self.now = self.interfaces.setdefault(name, _Interface(name, line))
        self.way = self.modes = ""
        return self.now

    def read_asked(self, line: Line) -> bool:
        asked = _ASKED.search(line.text) if is_prompt(line.text) or line.text.startswith("ethtool") else None
        if asked is not None:
            self._open(asked["name"], line)
        return asked is not None

    def read_link(self, line: Line) -> bool:
        match, brief = _LINK.match(line.text), _BRIEF.match(line.text)
        if match is not None:
            now = self._open(match["name"] or match["if"], line)
            flags = (match["flags"] or match["iflags"] or "").split(",")
            rest = match["rest"] or match["irest"] or ""
            now.is_on = "UP" in flags
            up_flag = "RUNNING" if match["if"] else "LOWER_UP"
            now.has_carrier = up_flag in flags and "NO-CARRIER" not in flags
            words = rest.split()
            mtu = words[words.index("mtu") + 1] if "mtu" in words[:-1] else ""
            is_large = mtu.isdecimal() and JUMBO_BYTES <= int(mtu) < 60000
            now.is_meant = now.is_meant or "SLAVE" in flags or " master bond" in rest or is_large
        elif brief is not None and brief["name"] != "lo":
            now = self._open(brief["name"], line)
            rest = brief["rest"] or ""
            now.has_carrier = brief["state"] in ("UP", "UNKNOWN") and "NO-CARRIER" not in rest
            now.is_on = "UP" in rest.replace("LOWER_UP", "") or brief["state"] == "UP"
            now.is_meant = now.is_meant or "SLAVE" in rest
        return match is not None or brief is not None

    def read_ethtool(self, line: Line) -> bool:
        settings, detected = _SETTINGS.match(line.text), _DETECTED.match(line.text)
        if settings is not None:
            self._open(settings["name"], line)
        elif detected is not None:
            now = self.now or self._open("?", line)
            now.line, now.has_carrier, now.why = line, detected["state"] == "yes", detected["why"] or ""
        elif self.now is not None and (pair := _PAIR.match(line.text)) and not _IFCONFIG.match(line.text):
            return self._read_setting(self.now, pair["key"].strip().lower(), pair["value"])
        elif self.now is not None and self.modes:
            self._note_modes(self.now, line.text)
            return bool(_MODES.search(line.text))
        is_driver = bool(_DRIVER.match(line.text))
        self.told += is_driver
        return bool(settings or detected or is_driver or _STATISTICS.match(line.text))

    def _read_setting(self, now: _Interface, key: str, value: str) -> bool:
        if key == "speed":
            now.speed_mbps = int(value.rstrip("Mb/s")) if value.rstrip("Mb/s").isdecimal() else 0
        elif key == "duplex":
            now.duplex = value.lower()
        elif "link modes" in key:
            self.modes = "partner" if "partner" in key else "own" if "advertised" in key else "other"
            self._note_modes(now, value)
            return True
        else:
            self.modes = ""
            return False
        self.modes = ""
        return True

    def _note_modes(self, now: _Interface, text: str) -> None:
        best = max((int(found["mbps"][:7]) for found in _MODES.pattern.finditer(text)), default=0)
        if self.modes == "partner":
            now.partner_mbps = max(now.partner_mbps, best)
        elif self.modes == "own":
            now.own_mbps = max(now.own_mbps, best)

    def read_bond(self, line: Line) -> bool:
        match = _BOND.match(line.text)
        if match is None:
            return False
        if match["slave"]:
            self._open(match["slave"], line).is_meant = True
        elif match["status"] and self.now is not None:
            self.now.line, self.now.has_carrier = line, match["status"].lower() == "up"
        elif match["failures"] and self.now is not None:
            self.sheet.put(line, self._entity(self.now.name), "nic_link_downed_total", float(match["failures"][:18]))
        return True

    def read_counts(self, line: Line) -> bool:
        head, row = _HEAD.match(line.text), _IFCONFIG.match(line.text)
        if head is not None:
            self.way = head["way"]
        elif self.way and _NUMBERS.match(line.text):
            cells = line.text.split()
            self._count(line, f"{self.way.lower()}_errors", cells[2])
            self._count(line, f"{self.way.lower()}_packets", cells[1])
            self.way = ""
        elif row is not None:
            what, count = ("errors", row["errors"]) if row["errors"] else ("packets", row["packets"])
            self._count(line, f"{row['way'].lower()}_{what}", count)
        elif (pair := _PAIR.match(line.text)) and pair["value"].isdecimal():
            self._count(line, pair["key"].strip().lower(), pair["value"])
        else:
            return False
        return True

    def _count(self, line: Line, name: str, count: str) -> None:
        signal = "nic_receive_packets_total" if name in ("rx_packets", "rx_packets_phy") else COUNTERS.get(name)
        device = self.now.name if self.now is not None else "?"
        if signal is None or _VIRTUAL.match(device):
            return
        self.told += 1
        entity = self._entity(device)
        if self.sheet.readings.has(entity, signal) and name in ("rx_packets", "tx_errors"):
            return
        if self.sheet.readings.has(entity, signal) and self.sheet.interval_seconds:
            self.sheet.start_reading()
        self.sheet.put(line, entity, signal, float(count[:18]))

    def read_detail(self, line: Line) -> bool:
        media = _MEDIA.match(line.text)
        if media is not None and self.now is not None:
            # BSD and macOS tell the carrier here, and not by the flags.
            self.now.line, self.now.has_carrier = line, media["state"] in ("active", "associated")
            return True
        address = _ADDRESS.match(line.text)
        if address is not None and self.now is not None and not address["address"].lower().startswith("fe80"):
            self.now.is_meant = True
        return bool(_DETAIL.match(line.text) or (self.now is not None and _PAIR.match(line.text)))

    def _entity(self, name: str) -> Entity:
        return Entity("nic", self.sheet.node, name)

    def report(self) -> None:
        """Make events of the interfaces that are not as they should be."""
        cabled = [item for item in self.interfaces.values() if not _VIRTUAL.match(item.name) and item.is_on]
        for item in cabled:
            if item.has_carrier is False:
                self._report_down(item, [peer for peer in cabled if peer is not item])
            elif item.has_carrier and 0 < item.speed_mbps < min(item.own_mbps, item.partner_mbps):
                fields = {
                    "speed_mbps": str(item.speed_mbps),
                    "could_be_mbps": str(min(item.own_mbps, item.partner_mbps)),
                }
                self.sheet.add(item.line, self._entity(item.name), "nic:link_degraded", fields)

    def _report_down(self, item: _Interface, peers: Sequence[_Interface]) -> None:
        up = [peer for peer in peers if peer.has_carrier and _kind(peer.name) == _kind(item.name)]
        meant = item.is_meant or (up and _kind(item.name) == "infiniband")
        code = "nic:link_down" if meant else "nic:unplugged" if up else "nic:port_down"
        fields = {"peers_up": str(len(up)), "reason": item.why}
        self.sheet.add(item.line, self._entity(item.name), code, fields)


def _list(entry: dict[str, object], key: str) -> list[object]:
    value = entry.get(key)
    return value if isinstance(value, list) else []


def _kind(name: str) -> str:
    return "infiniband" if name.startswith("ib") else "bond" if name.startswith(("bond", "team")) else "ethernet"
