"""Reads what a switch says of its ports, and hosts whose tables look so: states, why a port is down, and counters.

Knows `show interfaces` and `show interfaces status` of Cisco IOS 12 to 17, NX-OS and Arista EOS 4, `display interface`
of Huawei VRP and H3C Comware, `show interfaces` of Junos, `show interface status` of SONiC, `dladm show-link` of
illumos and Solaris 11, `mii-tool`. A port without a module or a cable is no fault; one that a switch shut is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "switch_ports"
DOMAIN: Domain = "network"

_BLOCK = Lazy(
    r"^(?P<name>[A-Za-z][A-Za-z-]{1,30} ?\d[\w/.:-]*) is (?P<state>up|down|administratively down)"
    r"(?: ?\((?P<why>[^)]*)\))?(?:, line protocol is (?P<protocol>up|down)(?: \((?P<reason>[^)]*)\))?)?,?\s*$"
    r"|^(?P<name2>[A-Za-z][A-Za-z0-9-]{1,30}\d[\w/.:-]*) current state ?: ?(?P<state2>UP|DOWN|Administratively DOWN)"
    r"(?: ?\((?P<why2>[^)]*)\))?\s*$"
    r"|^Physical interface: (?P<name3>[\w/:.-]+), (?P<state3>Enabled|Administratively down|Disabled)"
    r"(?:, Physical link is (?P<link3>Up|Down))?"
)
_COUNTS = Lazy(
    r"(?P<input>\d+) input errors?\b|(?<![\w/])(?P<crc>\d+) CRC\b|^\s*CRC: +(?P<crc2>\d+)"
    r"|^\s*Input errors: (?P<input2>\d+)"
)
_DETAIL = Lazy(
    r"^\s+\S|^\s*(?:Description|Hardware|Last (?:link flapped|clearing|physical)|MTU|Speed|Input|Output|Line protocol "
    r"(?:current )?state|admin state|Dedicated|Beacon|Port Mode|Current system time|The Maximum|IP Sending|"
    r"Interface index)"
)
_STATUS_HEAD = Lazy(r"^\s*Port\s+(?:Name\s+)?(?:\S+\s+)?Status\s+(?:Reason|Vlan)\b|^\s*Interface\s+.*\bOper\s+Admin\b")
_STATUS = Lazy(
    r"^\s*(?P<name>[A-Z][A-Za-z-]{1,20}\d[\w/.:-]*)\s+.*?(?<![\w-])(?P<state>connected|notconnec\w*|disabled|err-?disabled"
    r"|linkFlapE\w*|sfpAbsent|xcvrAbsen\w*|inactive|down|noOperMem\w*|suspnd|faulty)(?![\w-])(?P<rest>.*)$"
)
_SONIC = Lazy(
    r"^\s*(?P<name>Ethernet\d+)\s+[\d,]+\s+\S+\s+\d+\s+.*?\s(?P<oper>up|down)\s+(?P<admin>up|down)\s+(?P<kind>\S.*?)\s*$"
)
_DLADM_HEAD = Lazy(r"^\s*LINK\s+CLASS\s+MTU\s+STATE\b")
_DLADM = Lazy(r"^\s*(?P<name>[a-z][\w]*\d)\s+(?P<class>phys|aggr|ib|part)\s+\d+\s+(?P<state>up|down|unknown)\b")
_DLADM_OTHER = Lazy(r"^\s*[a-z]\w*\s+(?:vnic|etherstub|bridge|vlan|simnet|iptun|overlay|tun)\s+\d+\s+\w+")
_MII = Lazy(r"^\s*(?P<name>(?:eth|en|em)\w+): (?:(?P<mode>[\w -]+), )?(?P<state>link ok|no link)\s*$")
_EMPTY = frozenset({"notconnect", "sfpabsent", "xcvrabsent", "link not connected", "sfp not inserted",
                    "xcvr not inserted", "notpresent", "not present", "notconnec", "xcvrabsen", "unknown"})  # fmt: skip
"""Why a port is down that nobody uses."""
_WORDS: Mapping[str, str] = {
    "connected": "up",
    "link ok": "up",
    "disabled": "off",
    "inactive": "off",
    "suspnd": "off",
    "nooperm": "off",
    "administratively down": "off",
}
_VIRTUAL = Lazy(
    r"^(?:vlan|loopback|lo\d|tunnel|null|port-?channel|po\d|ae\d|irb|bvi|mgmt|management|me\d|bridge|eth-trunk)"
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a head of a table of ports, or a line that says which port is in which state."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    if any(_STATUS_HEAD.match(text) or _DLADM_HEAD.match(text) for text in kept):
        return 0.95
    if any(_BLOCK.match(text) for text in kept):
        return 0.9
    rows = sum(bool(_MII.match(text) or _SONIC.match(text)) for text in kept)
    return 0.9 if rows and rows * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each port that is down though it is used, or that the switch has shut."""
    ports = _Ports(document)
    parsed = ports.sheet.read(ports.read_block, ports.read_counts, ports.read_other, ports.read_row, ports.read_detail)
    ports.report()
    if not ports.told:
        ports.sheet.miss("a head without a port", "show interfaces status")
    return Parsed(ports.sheet.build_facts(), parsed.unread)


class _Ports:
    """State of reading: the port that the lines are of, and those that are down."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.name = ""
        self.told = 0
        self.up = 0
        self.down: list[tuple[Line, str, str]] = []
        self.on_switch = True

    def read_block(self, line: Line) -> bool:
        match = _BLOCK.match(line.text)
        if match is None:
            return False
        self.name = match["name"] or match["name2"] or match["name3"] or ""
        asked = match["state3"] if (match["state3"] or "").lower() != "enabled" else ""
        state = asked or match["link3"] or match["state"] or match["state2"] or ""
        why = match["why"] or match["reason"] or match["why2"] or ""
        self._note(line, self.name, state.lower(), why.lower())
        return True

    def read_counts(self, line: Line) -> bool:
        found = list(_COUNTS.pattern.finditer(line.text)) if self.name else []
        for match in found:
            told = (("nic_crc_errors_total", "crc", "crc2"), ("nic_receive_errors_total", "input", "input2"))
            for signal, *groups in told:
                for count in filter(None, (match[group] for group in groups)):
                    self.sheet.put(line, self._entity(self.name), signal, float(count[:18]))
        return bool(found)

    def read_row(self, line: Line) -> bool:
        if _STATUS_HEAD.match(line.text) or _DLADM_HEAD.match(line.text):
            self.on_switch = not _DLADM_HEAD.match(line.text)
            return True
        if (row := _SONIC.match(line.text)) is not None:
            empty = "sfpabsent" if row["kind"].split()[0] == "N/A" else ""
            self._note(line, row["name"], "off" if row["admin"] == "down" else row["oper"], empty)
            return True
        if (row := _STATUS.match(line.text)) is not None:
            word = row["state"].lower().replace("-", "")
            self._note(line, row["name"], word, f"{word} {row['rest'].strip().lower()[:60]}")
            return True
        return False

    def read_other(self, line: Line) -> bool:
        row = _DLADM.match(line.text) or _MII.match(line.text)
        if row is not None:
            self.on_switch = False
            self._note(line, row["name"], "down" if row["state"] == "no link" else row["state"], "")
        return row is not None or bool(_DLADM_OTHER.match(line.text))

    def read_detail(self, line: Line) -> bool:
        return bool(self.told and _DETAIL.match(line.text)) or line.text.strip().startswith("---")

    def _note(self, line: Line, name: str, state: str, why: str) -> None:
        self.told += 1
        state = _WORDS.get(state, state)
        if _VIRTUAL.match(name) or state in ("off", "enabled") or "admin" in f"{state} {why}":
            return
        if state == "up":
            self.up += 1
        else:
            self.down.append((line, name, why if why else state))

    def _entity(self, name: str) -> Entity:
        return Entity("nic", self.sheet.node, name)

    def report(self) -> None:
        """Make events of the ports that are down: shut by the switch, unused, or lost."""
        for line, name, why in self.down:
            first = why.split()[0] if why.split() else ""
            fields = {"reason": why, "peers_up": str(self.up), "switch": "yes" if self.on_switch else ""}
            if "flap" in why:
                code = "nic:flapping"
            elif "errdisab" in why or "error" in why:
                code = "nic:port_disabled"
            elif why in _EMPTY or first in _EMPTY:
                code = "nic:unplugged"
            else:
                code = "nic:link_down" if "fail" in why or "fault" in why else "nic:port_down"
            self.sheet.add(line, self._entity(name), code, fields)
