"""What a log itself tells about names: which disk a SCSI address or an ATA port is, what a file system is called.

Known: libata and sd of Linux 3.10 to 6.14; Lustre 2.5 to 2.16.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tools.types import Entity

NEAR_LINES = 12
"""libata prints the taskfile in some eight lines, then sd its sense data (seen in the order of libata-eh.c and "
"sd.c)."""
MAX_SIGHTINGS = 50_000
"""Lines that name a disk and its address, kept of one document; a storm tells nothing new."""
NAME_LITERALS = (": [sd", "scsi host", "ATA max ", "nvme nvme", "Device not ready: ", "I/O error, dev sd")
"""One of them stands in every line that tells a name."""
_SD = re.compile(r"\b(?:sd|scsi) (?P<address>(?P<host>\d+):\d+:\d+:\d+): \[(?P<disk>sd[a-z]+)\]")
_ASKED = re.compile(r"\bsd (?P<address>\d+:\d+:\d+:\d+): (?:Device not ready|SCSI error)")
_FAILED = re.compile(r"I/O error, dev (?P<disk>sd[a-z]+), sector")
_ANSWER_LINES = 4
"""Linux before 2.6.27 names the address, some lines of sense data, and then the disk."""
_SCSI_HOST = re.compile(r"\bscsi ?host(?P<host>\d+): (?:ahci|[sp]?ata_\w+)")
_USB_HOST = re.compile(r"\bscsi ?host(?P<host>\d+): (?:usb-storage|uas)\b")
_ADDRESS = re.compile(r"^(?P<host>\d+):\d+:\d+:\d+$")
_ATA_PORT = re.compile(r"\bata(?P<port>\d+): [SP]ATA max ")
_NVME = re.compile(r"\bnvme (?P<disk>nvme\d+): (?:pci function (?P<address>[0-9a-f:.]+))?")
_BUS_ADDRESS = re.compile(r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
_PORT_NAME = re.compile(r"^ata(?P<port>\d+)(?:\.\d+)?$")
_UNNAMED: Mapping[str, str] = {"lustre": "lustre", "nfs": "nfs"}


def tells_name(text: str) -> bool:
    """Say whether a line may tell a name that :class:`DiskNames` learns."""
    for literal in NAME_LITERALS:  # noqa: SIM110 (a generator costs more than what it would ask)
        if literal in text:
            return True
    return False


class DiskNames:
    """Learns from a log which disk is where; asked when the log was read to its end."""

    def __init__(self) -> None:
        self._by_address: dict[tuple[str, str], str] = {}
        self._by_host: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._host_of_port: dict[tuple[str, int], int] = {}
        self._free_hosts: dict[str, list[int]] = defaultdict(list)
        self._removable: set[tuple[str, str]] = set()
        self._usb_hosts: set[tuple[str, int]] = set()
        self._asked: dict[str, tuple[str, int]] = {}
        self._lines: list[int] = []
        self._seen: list[tuple[str, str]] = []

    def note(self, node: str, number: int, text: str) -> None:
        """Learn from one line, where it tells a name."""
        if (match := _SD.search(text)) is not None:
            self._by_address[node, match["address"]] = match["disk"]
            self._by_host[node, int(match["host"])].add(match["disk"])
            self._see(node, number, match["disk"])
            if "Attached SCSI removable disk" in text:
                self._removable.add((node, match["disk"]))
        elif self._note_old(node, number, text):
            pass
        elif (match := _NVME.search(text)) is not None:
            self._see(node, number, match["disk"])
            if match["address"]:
                self._by_address[node, match["address"]] = match["disk"]
        elif (match := _USB_HOST.search(text)) is not None:
            self._usb_hosts.add((node, int(match["host"])))
        elif (match := _SCSI_HOST.search(text)) is not None:
            self._free_hosts[node].append(int(match["host"]))
        elif (match := _ATA_PORT.search(text)) is not None and self._free_hosts[node]:
            # An adapter's SCSI hosts are announced first, then its ports in the same order.
            self._host_of_port[node, int(match["port"])] = self._free_hosts[node].pop(0)

    def _note_old(self, node: str, number: int, text: str) -> bool:
        asked, failed = _ASKED.search(text), _FAILED.search(text)
        if asked is not None:
            self._asked[node] = asked["address"], number
        elif failed is not None:
            address, asked_at = self._asked.get(node, ("", 0))
            if address and number - asked_at <= _ANSWER_LINES:
                self._by_address.setdefault((node, address), failed["disk"])
        return asked is not None or failed is not None

    def _see(self, node: str, number: int, disk: str) -> None:
        if len(self._lines) < MAX_SIGHTINGS:
            self._lines.append(number)
            self._seen.append((node, disk))

    def is_removable(self, entity: Entity) -> bool:
        """Say whether the log calls a disk removable, or shows that it hangs on USB."""
        if entity.kind != "disk":
            return False
        if (entity.node, entity.name) in self._removable:
            return True
        address = _ADDRESS.match(entity.name)
        hosts = {int(address["host"])} if address else self._hosts_of(entity)
        return any((entity.node, host) in self._usb_hosts for host in hosts)

    def _hosts_of(self, entity: Entity) -> set[int]:
        return {host for (node, host), disks in self._by_host.items() if node == entity.node and entity.name in disks}

    def resolve(self, entity: Entity, number: int) -> Entity:
        """Name the disk of an address or port as the log does; what it does not tell stays as it is."""
        if entity.kind != "disk":
            return entity
        disk = self._by_address.get((entity.node, entity.name))
        if disk is None and (port := _PORT_NAME.match(entity.name)) is not None:
            disk = self._disk_of_port(entity.node, int(port["port"]), number)
        elif disk is None and _BUS_ADDRESS.match(entity.name):
            disk = _only(self._near(entity.node, number, "nvme"))
        return replace(entity, name=disk) if disk else entity

    def _disk_of_port(self, node: str, port: int, number: int) -> str | None:
        told = self._host_of_port.get((node, port))
        if told is not None:
            return _only(self._by_host.get((node, told), ()))
        # libata numbers ports from one and SCSI hosts from zero: the same order, where no other adapter came between.
        counted = _only(self._by_host.get((node, port - 1), ()))
        near = _only(self._near(node, number, "sd"))
        return (counted or near) if not (counted and near) or counted == near else None

    def _near(self, node: str, number: int, kind: str) -> set[str]:
        first = bisect_left(self._lines, number - NEAR_LINES)
        last = bisect_left(self._lines, number + NEAR_LINES + 1)
        return {disk for host, disk in self._seen[first:last] if host == node and disk.startswith(kind)}


def _only(names: Iterable[str]) -> str | None:
    listed = list(names)
    return listed[0] if len(listed) == 1 else None


def name_storages(troubles: Iterable[tuple[str, Entity]]) -> dict[tuple[str, Entity], Entity]:
    """Find the file system that unnamed troubles belong to: the only named one of the same kind on the same host.

    Args:
        troubles: Code and entity of every event.

    Returns:
        The new entity of each (code, entity) that gets a name.
    """
    listed = list(troubles)
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    for code, entity in listed:
        family = code.partition(":")[0]
        if entity.kind == "storage" and entity.name != _UNNAMED.get(family):
            named[family, entity.node].add(entity.name)
    found: dict[tuple[str, Entity], Entity] = {}
    for code, entity in listed:
        family = code.partition(":")[0]
        name = _only(named.get((family, entity.node), ()))
        if name and entity.kind == "storage" and entity.name == _UNNAMED.get(family):
            found[code, entity] = replace(entity, name=name)
    return found
