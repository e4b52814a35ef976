"""Network devices of this machine and the state of their links, from sysfs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

from tools.host_paths import HostPaths, read_line
from tools.types import Coverage, Entity, Event, Facts, Inventory, Moment, Quote

_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_IFF_UP = 0x1
_ARPHRD_INFINIBAND = "32"  # an IP interface on a port that /sys/class/infiniband tells of


@dataclass(frozen=True, slots=True)
class NetworkPort:
    """One port with hardware behind it.

    Attributes:
        is_active: Whether its link carries traffic.
        is_wanted: Whether the operator has switched it on.
        quote: What sysfs says.
    """

    entity: Entity
    is_active: bool
    is_wanted: bool
    quote: Quote


def read_network_facts(*, node: str, paths: HostPaths, inventory: Sequence[Inventory] = ()) -> Facts:
    """Read the ports of this machine.

    A port without a link is no fault by itself: many are not cabled. Only where the inventory says how many ports the
    machine should have, and fewer are active, each port that is switched on and has no link is an event.

    Args:
        node: Name of this machine.
        paths: Where the machine is.
        inventory: What it says of this machine.
    """
    ports = [*_read_ethernet(node, paths), *_read_infiniband(node, paths)]
    entity = f"node:{node}"
    if not ports:
        if not (paths.sys / "class" / "net").is_dir():
            reason = f"{paths.sys / 'class' / 'net'} cannot be read"
            return Facts(coverage=(Coverage(entity, "network", "missing", reason, "ip -br link"),))
        return Facts(
            coverage=(Coverage(entity, "network", "not_applicable", "no network device with hardware behind it"),)
        )
    expected = next((entry.nics for entry in inventory), None)
    active = {_device(port) for port in ports if port.is_active}
    events: tuple[Event, ...] = ()
    if expected is not None and len(active) < expected:
        down = [port for port in ports if port.is_wanted and not port.is_active and _device(port) not in active]
        events = tuple(
            Event(Moment("utc", time()), port.entity, "nic:link_down", port.quote, {"state": "down"}, "kernel")
            for port in down
        )
    entities = tuple(dict.fromkeys(port.entity for port in ports))
    return Facts(events=events, entities=entities, coverage=(Coverage(entity, "network", "read"),))


def _device(port: NetworkPort) -> str:
    return port.entity.id_map.get("pci", port.entity.name)


def _entity(node: str, name: str, folder: Path) -> Entity:
    device = (folder / "device").resolve().name
    return Entity("nic", node, name).with_ids(pci=device if _PCI.fullmatch(device) else "")


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read_ethernet(node: str, paths: HostPaths) -> Iterator[NetworkPort]:
    for folder in _list(paths.sys / "class" / "net"):
        if not (folder / "device").exists() or read_line(folder / "type") == _ARPHRD_INFINIBAND:
            continue
        state = read_line(folder / "operstate") or "unknown"
        carrier = read_line(folder / "carrier")  # the kernel refuses it while the port is switched off
        flags = int(read_line(folder / "flags") or "0", 16)
        active = state == "up" or carrier == "1"
        speed = read_line(folder / "speed") or "?"
        text = f"{folder.name}: operstate {state}, carrier {carrier or 'not told'}, speed {speed} Mb/s"
        quote = Quote(str(folder / "operstate"), None, text)
        yield NetworkPort(_entity(node, folder.name, folder), active, bool(flags & _IFF_UP), quote)


def _read_infiniband(node: str, paths: HostPaths) -> Iterator[NetworkPort]:
    for folder in _list(paths.sys / "class" / "infiniband"):
        for port in _list(folder / "ports"):
            state, physical = read_line(port / "state") or "?", read_line(port / "phys_state") or "?"
            rate = read_line(port / "rate") or "?"
            text = f"{folder.name} port {port.name}: state {state}, phys_state {physical}, rate {rate}"
            quote = Quote(str(port / "state"), None, text)
            # "4: ACTIVE"; "3: Disabled" is the operator's own wish
            yield NetworkPort(_entity(node, folder.name, folder), "ACTIVE" in state, "Disabled" not in physical, quote)
