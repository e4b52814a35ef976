"""Reads ports and counters of InfiniBand and RoCE adapters.

Knows `ibstat`, `ibstatus`, `iblinkinfo`, `ibqueryerrors` and `perfquery` of infiniband-diags 1.6 to rdma-core 50,
`ibv_devinfo`, `ibdev2netdev`, `rdma link` of iproute2 5 and 6, `mlxlink` of MFT 4, and sysfs counters as
`grep . …` prints them. Parts of such texts are read too: two ports' ``Physical state`` lines are two ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.parsers._json_tree import list_dicts, read_json_text, starts_json
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._nic_ports import COUNTERS, Port, report_ports
from tools.parsers._sheet import KeptDocument, Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "infiniband"
DOMAIN: Domain = "network"

_DEVICE = Lazy(
    r"^\s*(?:CA '(?P<ca>[\w.-]+)'|"
    r"Infiniband device '(?P<dev>[\w.-]+)' port (?P<dport>\d+) status:|"
    r"hca_id:\s*(?P<hca>[\w.-]+)|CA: (?P<node>[\w.-]+) (?P<linked>[\w.-]+):|Switch: .*|"
    r"(?P<sect>Operational Info|Supported Info|Troubleshooting Info|Physical Counters and BER Info|Tool Information))"
    r"\s*-*\s*$"
)
_PORT = Lazy(r"^\s*(?:Port (?P<ib>\d+):|port:\s+(?P<verbs>\d+))\s*$")
_FIELD = Lazy(r"^\s*(?P<key>[A-Za-z][\w ()/\[\].-]*?)\s*:\s*(?P<value>\S.*?)\s*$")
_RDMA = Lazy(
    r"^\s*(?:link |\d+/\d+: )(?P<name>[\w.-]+)/(?P<port>\d+):? .*?state (?P<state>\w+) physical_state (?P<phys>\w+)"
    r"(?: netdev (?P<netdev>\S+))?"
)
_NETDEV = Lazy(r"^\s*(?P<name>[\w.-]+) port (?P<port>\d+) ==> (?P<netdev>\S+) \((?P<state>Up|Down)\)")
_LINK = Lazy(
    r"^\s*(?:0x[0-9a-f]+\s+)?(?P<lid>\d+)\s+(?P<port>\d+)\s*\[.{0,4}\]\s*==\(\s*"
    r"(?:(?P<width>\d+X)\s+(?P<speed>[\d.]+) Gbps\s+)?"
    r"(?P<state>\w+)\s*/\s*(?P<phys>\w+)\)\s*==>(?P<rest>.*)"
)
_COULD = Lazy(r"Could be (?P<best>[^)]+?)\s*\)")
_ERRORS = Lazy(r"^\s*Errors for (?:0x[0-9a-f]+ )?\"(?P<name>[^\"]*)\"")
_ERROR_ROW = Lazy(r"^\s*GUID 0x[0-9a-f]+ port (?P<port>\d+|ALL):(?P<rest>(?: ?\[\w+ == [\d.]+[^\]]*\])+)")
_ERROR_CELL = Lazy(r"\[(?P<name>\w+) == (?P<count>\d+)")
_PERFQUERY = Lazy(r"^# Port (?:extended )?counters: (?:Lid (?P<lid>\d+) )?port (?P<port>\d+)")
_DOTTED = Lazy(r"^(?P<name>[A-Z]\w+):\.{2,}(?P<count>\d+)\s*$")
_SELECTOR = Lazy(r"^(?:PortSelect|CounterSelect2?|QP1Dropped):\.+")
_SUMMARY = Lazy(r"^## (?:Summary: \d+ nodes checked|\s*\d+ ports checked)|^\s*\d+ nodes checked, \d+ bad nodes")
_SYSFS = Lazy(r"infiniband/(?P<dev>[\w.-]+)/ports/(?P<port>\d+)/(?:hw_)?counters/(?P<name>\w+):\s*(?P<count>\d+)")
_JSON_SECTIONS = frozenset(
    {"Operational Info", "Supported Info", "Troubleshooting Info", "Physical Counters and BER Info", "Tool Information"}
)
_KEYS = frozenset(
    {
        "state", "phys state", "physical state", "phys_state", "rate", "link layer", "link_layer", "ca type",
        "base lid",
        "sm lid", "port guid", "node guid", "lmc", "capability mask", "number of ports", "firmware version",
        "hardware version", "system image guid", "default gid", "transport", "fw_ver", "node_guid", "sys_image_guid",
        "vendor_id", "vendor_part_id", "hw_ver", "board_id", "phys_port_cnt", "max_mtu", "active_mtu", "sm_lid",
        "port_lid", "port_lmc", "speed", "width", "fec", "loopback mode", "auto negotiation", "status opcode",
        "group opcode", "recommendation", "time since last clear [min]", "symbol errors", "symbol ber",
        "effective physical errors", "effective physical ber", "raw physical ber", "link down counter",
        "link error recovery counter", "raw physical errors per lane", "enabled link speed", "supported cable speed",
        "enabled link speed (ext.)", "supported cable speed (ext.)", "mft version", "amber version",
    }
)  # fmt: skip
_OWN_KEYS = frozenset({"physical state", "phys state", "phys_state", "link layer", "link_layer", "ca type", "port guid",
                       "symbol ber", "effective physical ber", "raw physical ber", "status opcode"})  # fmt: skip
MAX_BER = 1e-3
"""No link stays up with more bit errors left behind correction: a number that was cut looks so (a guess)."""
_MLXLINK: Mapping[str, str] = {
    "symbol errors": "nic_symbol_errors_total",
    "effective physical errors": "nic_effective_errors_total",
    "effective physical ber": "nic_effective_ber_ratio",
    "link down counter": "nic_link_downed_total",
    "link error recovery counter": "nic_link_recoveries_total",
}
_UP = frozenset({"linkup", "link_up", "active", "port_active", "eth_an_fsm_enable"})
_OFF = frozenset({"disabled", "disable", "port_disabled", "port_nop"})
_WAITS = frozenset({"initializing", "init", "initialize", "port_init", "armed", "arm", "port_armed"})
_LOST = frozenset({"linkdown", "link_down", "linkerrorrecovery", "link_error_recovery"})
_DOWN = frozenset({"down", "port_down", "polling", "poll", "sleep", "physical linkdown"}) | _LOST


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a line that only these tools print, else the share of their keys."""
    if any('"Operational Info"' in text or '"Physical Counters and BER Info"' in text for text in sample):
        return 0.95
    # Its own head looks like a prompt of root: "# Port counters: …".
    if any(_PERFQUERY.match(text) for text in sample):
        return 0.95
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    heads = (_RDMA, _LINK, _ERRORS, _ERROR_ROW, _PERFQUERY, _NETDEV, _SUMMARY)
    if any(head.match(text) for text in kept for head in heads) or any(_SYSFS.search(text) for text in kept):
        return 0.95
    device = any((found := _DEVICE.match(text)) and not found["sect"] for text in kept)
    keys = [found["key"].lower() for text in kept if (found := _FIELD.match(text))]
    own = sum(key in _OWN_KEYS for key in keys)
    if own and device:
        return 0.95
    known = sum(key in _KEYS for key in keys)
    dotted = sum(bool((found := _DOTTED.match(text)) and found["name"].lower() in COUNTERS) for text in kept)
    if dotted >= 2:
        return 0.9
    return 0.9 if own and known * 10 >= len(kept) * 7 else 0.0


def parse(document: Document) -> Parsed:
    """Read ports and counters; a port that is down beside one that is up becomes an event."""
    if starts_json(document):
        document = _flatten_json(document)
    fabric = _Fabric(document)
    parsed = fabric.sheet.read(
        fabric.read_head, fabric.read_rdma, fabric.read_link, fabric.read_counters, fabric.read_field, fabric.read_rest
    )
    report_ports(fabric.sheet, list(fabric.ports.values()))
    if not fabric.ports and not fabric.told:
        fabric.sheet.miss("a head without a port or a counter", "ibstat; ibqueryerrors; perfquery")
    return Parsed(fabric.sheet.build_facts(), parsed.unread)


def _flatten_json(document: Document) -> Document:
    """Write `mlxlink --json` as the lines that it prints without it, each with the number of its own line."""
    text = read_json_text(document)
    lines: list[Line] = []
    for part in list_dicts(list(text.values)):
        for key, value in part.items():
            if isinstance(value, dict) and key in _JSON_SECTIONS:
                lines.append(Line(text.find(f'"{key}"').number, key))
            elif isinstance(value, str | int | float):
                lines.append(Line(text.find(f'"{key}"').number, f"{key} : {value}"))
    return KeptDocument(document.label, document.node, tuple(lines))


class _Fabric:
    """State of reading: the adapter and the port that the lines are of."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.ports: dict[str, Port] = {}
        self.device = ""
        self.model = ""
        self.on_switch = False
        self.told = 0
        self.port: Port | None = None
        self.node = document.node

    def read_head(self, line: Line) -> bool:
        device, port = _DEVICE.match(line.text), _PORT.match(line.text)
        if device is not None and device["sect"]:
            return True
        if device is not None:
            self.device = device["ca"] or device["dev"] or device["hca"] or device["linked"] or ""
            self.node = device["node"] or self.sheet.node
            self.on_switch, self.model, self.port = not self.device, "", None
            if device["dport"]:
                self._open(device["dport"])
        elif port is not None:
            self._open(port["ib"] or port["verbs"])
        return device is not None or port is not None

    def _open(self, number: str, device: str = "") -> Port:
        name = device or self.device
        spelled = f"{name}/{number}" if name else f"port {number}"
        self.port = Port(Entity("nic", self.node, spelled), model=self.model)
        self.ports[f"{self.node}:{spelled}"] = self.port
        return self.port

    def read_rdma(self, line: Line) -> bool:
        match, brief = _RDMA.match(line.text), _NETDEV.match(line.text)
        if brief is not None:
            port = self._open(brief["port"], brief["name"])
            port.kind = "infiniband" if brief["netdev"].startswith("ib") else "ethernet"
            self._settle(port, line, "active" if brief["state"] == "Up" else "down", "")
        if match is None:
            return brief is not None
        port = self._open(match["port"], match["name"])
        netdev = match["netdev"] or ""
        port.kind = "infiniband" if netdev.startswith("ib") or not netdev else "ethernet"
        self._settle(port, line, match["state"], match["phys"])
        return True

    def read_link(self, line: Line) -> bool:
        match = _LINK.match(line.text)
        if match is None:
            return False
        self.told += 1
        could = _COULD.search(match["rest"])
        entity = Entity("nic", self.node, f"{self.device or 'switch'}/{match['port']}")
        if could is not None:
            fields = {"width": match["width"] or "", "speed": match["speed"] or "", "could_be": could["best"]}
            self.sheet.add(line, entity, "nic:link_degraded", fields)
        # A switch port with nothing plugged in is how most switches look.
        if not self.on_switch and could is None:
            self._settle(self._open(match["port"]), line, match["state"], match["phys"])
        return True

    def read_counters(self, line: Line) -> bool:
        errors, row, query = _ERRORS.match(line.text), _ERROR_ROW.match(line.text), _PERFQUERY.match(line.text)
        if errors is not None:
            self.device = errors["name"]
            return True
        if row is not None:
            entity = Entity("nic", self.node, f"{self.device}/{row['port']}")
            for cell in _ERROR_CELL.pattern.finditer(row["rest"]):
                self._count(line, entity, cell["name"], cell["count"])
            return True
        if query is not None:
            self.port = Port(Entity("nic", self.node, f"lid {query['lid'] or '?'}/{query['port']}"))
            return True
        return self._read_count(line)

    def _read_count(self, line: Line) -> bool:
        dotted, sysfs = _DOTTED.match(line.text), _SYSFS.search(line.text)
        if sysfs is not None:
            self._count(
                line, Entity("nic", self.node, f"{sysfs['dev']}/{sysfs['port']}"), sysfs["name"], sysfs["count"]
            )
        elif dotted is not None:
            entity = self.port.entity if self.port is not None else Entity("nic", self.node, "port 1")
            self._count(line, entity, dotted["name"], dotted["count"])
        return sysfs is not None or dotted is not None

    def _count(self, line: Line, entity: Entity, name: str, count: str) -> None:
        self.told += 1
        signal = COUNTERS.get(name.lower())
        if signal is not None:
            if self.sheet.readings.has(entity, signal):
                self.sheet.start_reading()
            self.sheet.put(line, entity, signal, float(count[:18]))

    def read_field(self, line: Line) -> bool:
        match = _FIELD.match(line.text)
        if match is None or match["key"].lower() not in _KEYS:
            return False
        key, value = match["key"].lower(), match["value"]
        if self.port is not None and (digits := self.port.fields.pop("rate", "")).isdecimal():
            self.port.rate_gbps = float(digits)
        if key == "ca type":
            self.model = value
        elif key in ("state", "physical state", "phys state", "phys_state"):
            self._read_state(line, key, value)
        elif self.port is not None and key in ("rate", "link layer", "link_layer"):
            self._read_kind(self.port, key, value)
        elif key in _MLXLINK or key == "time since last clear [min]":
            self._read_mlxlink(line, key, value)
        return True

    def _read_state(self, line: Line, key: str, value: str) -> None:
        word = value.split(":")[-1].split("(")[0].strip()
        port = self.port
        again = port is None or ("phys" if "phys" in key else "state") in port.fields
        if port is None or (again and not self.device):
            # A part of a text: each such line that comes again is of another port.
            port = self._open(str(len(self.ports) + 1))
        port.fields["phys" if "phys" in key else "state"] = word
        self._settle(port, line, port.fields.get("state", ""), port.fields.get("phys", ""))

    @staticmethod
    def _read_kind(port: Port, key: str, value: str) -> None:
        if key == "rate":
            # Another field has to follow: a last line may have lost digits.
            port.fields["rate"] = value.split()[0].rstrip("Gg")
        else:
            port.kind = value.lower()

    def _read_mlxlink(self, line: Line, key: str, value: str) -> None:
        port = self.port or self._open(str(len(self.ports) + 1))
        try:
            number = float(value.split()[0].replace(",", ""))
        except ValueError:
            return
        if key.startswith("time"):
            self.sheet.put(line, port.entity, "nic_counter_age_seconds", number * 60)
        elif number >= 0 and not (key.endswith("ber") and number >= MAX_BER):
            self.sheet.put(line, port.entity, _MLXLINK[key], number)

    @staticmethod
    def _settle(port: Port, line: Line, state: str, phys: str) -> None:
        words = {state.lower(), phys.lower()} - {""}
        port.line = line if port.line is None or words & (_DOWN | _WAITS) else port.line
        port.fields.update({"state": state, "phys": phys})
        port.fields = {name: word for name, word in port.fields.items() if word}
        if phys.lower() in _OFF or state.lower() in _OFF:
            port.state = "off"
        elif words & _WAITS:
            port.state = "waits"
        elif words & _DOWN:
            port.state, port.sure = "down", bool(words & _LOST)
        elif words & _UP:
            port.state = "up"

    def read_rest(self, line: Line) -> bool:
        text = line.text.strip()
        self.told += bool(_SUMMARY.match(line.text))
        is_known = text.startswith(("##", "Link info:")) or bool(_SELECTOR.match(text))
        return is_known or any(word in text for word in ("ibwarn", "GID[")) or self.sheet.read_interval(line)
