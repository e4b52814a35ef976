"""Network ports side by side: which one is down while others of its kind are up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tools.parsers._sheet import Sheet
from tools.types import Entity, Line

COUNTERS: Mapping[str, str] = {
    "symbolerrorcounter": "nic_symbol_errors_total",
    "symbolerrors": "nic_symbol_errors_total",
    "symbol_error": "nic_symbol_errors_total",
    "rx_symbol_err_phy": "nic_symbol_errors_total",
    "linkerrorrecoverycounter": "nic_link_recoveries_total",
    "linkerrorrecovery": "nic_link_recoveries_total",
    "linkrecovers": "nic_link_recoveries_total",
    "link_error_recovery": "nic_link_recoveries_total",
    "linkdownedcounter": "nic_link_downed_total",
    "linkdowned": "nic_link_downed_total",
    "link_downed": "nic_link_downed_total",
    "link_down_events_phy": "nic_link_downed_total",
    "portrcverrors": "nic_receive_errors_total",
    "rcverrors": "nic_receive_errors_total",
    "port_rcv_errors": "nic_receive_errors_total",
    "rx_errors": "nic_receive_errors_total",
    "localllinkintegrityerrors": "nic_integrity_errors_total",
    "locallinkintegrityerrors": "nic_integrity_errors_total",
    "local_link_integrity_errors": "nic_integrity_errors_total",
    "portxmitdiscards": "nic_transmit_discards_total",
    "port_xmit_discards": "nic_transmit_discards_total",
    "tx_errors": "nic_transmit_errors_total",
    "rx_crc_errors": "nic_crc_errors_total",
    "rx_crc_errors_phy": "nic_crc_errors_total",
    "rx_fcs_errors": "nic_crc_errors_total",
    "carrier_changes": "nic_carrier_changes_total",
}
"""Names of counters, in lower case, as InfiniBand's tools, sysfs and ethtool spell them."""


@dataclass
class Port:
    """What the lines of one port told.

    Attributes:
        kind: What ports are compared by: link layer, or the role that a name tells.
        state: ``up``, ``waits`` (no subnet manager yet), ``down``, ``off`` (switched off); empty where not told.
        sure: Whether the words say that the link was lost, not just that nothing is plugged in.
        model: Adapter type, where told.
    """

    entity: Entity
    kind: str = ""
    state: str = ""
    sure: bool = False
    model: str = ""
    rate_gbps: float | None = None
    line: Line | None = None
    fields: dict[str, str] = field(default_factory=dict)


def report_ports(sheet: Sheet, ports: Sequence[Port]) -> None:
    """Make events of ports that are down or wait; what compares them is the link layer.

    A port that is down while a peer is up is an event of its own right. Where no peer is up, it may never have been
    cabled, or the whole network is down: that is told as weaker evidence.
    """
    for port in ports:
        # A paste may end before it says what the last port is.
        peers = [peer for peer in ports if peer is not port and peer.kind in (port.kind, "")]
        up = sum(peer.state == "up" for peer in peers)
        # An Ethernet port is off as long as nobody configures it; one of InfiniBand is switched off by a command.
        is_off = port.state == "off" and port.kind == "infiniband" and (up > 0 or len(peers) > 0)
        if port.line is None or (port.state not in ("down", "waits") and not is_off):
            continue
        fields = {**port.fields, "peers_up": str(up), "peers": str(len(peers))}
        if port.state == "waits":
            sheet.add(port.line, port.entity, "nic:no_subnet_manager", fields)
        else:
            sheet.add(
                port.line, port.entity, "nic:link_down" if (up and not is_off) or port.sure else "nic:port_down", fields
            )
    _report_slow(sheet, ports)


def _report_slow(sheet: Sheet, ports: Iterable[Port]) -> None:
    active = [port for port in ports if port.state == "up" and port.rate_gbps and port.model]
    for port in active:
        best = max((peer.rate_gbps or 0.0 for peer in active if peer.model == port.model), default=0.0)
        if port.rate_gbps and port.rate_gbps < best and port.line is not None:
            fields = {"rate_gbps": f"{port.rate_gbps:g}", "peers_rate_gbps": f"{best:g}"}
            sheet.add(port.line, port.entity, "nic:link_degraded", fields)
