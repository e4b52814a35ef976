"""This machine, live: NVML, disks and their health, kernel log and kernel state, network, guests."""

from __future__ import annotations

import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tools.host_disk import read_disk_facts
from tools.host_driver import find_entries, read_gpu_facts
from tools.host_guests import read_guest_facts
from tools.host_log import read_kernel_log_facts
from tools.host_network import read_network_facts
from tools.host_paths import HostPaths
from tools.host_smart import read_smart_facts
from tools.host_state import read_state_facts
from tools.types import Entity, Facts, Inventory, merge_facts


class HostSource:
    """Reads the machine that it runs on.

    Args:
        node: Name of the machine in entities; empty means its host name.
        gpu_timeout_seconds: Longest wait for NVML to open, and for each GPU.
        iostat_seconds: Interval over which disks are watched.
        inventory: What the site says should be there.
        since: Unix seconds; kernel events before are left out.
        paths: Another root for what the kernel shows, such as a recorded tree.
    """

    name = "host"

    def __init__(
        self,
        *,
        node: str,
        gpu_timeout_seconds: float,
        iostat_seconds: int,
        inventory: tuple[Inventory, ...] = (),
        since: float | None = None,
        paths: HostPaths | None = None,
    ) -> None:
        self._node = node or platform.node()
        self._gpu_timeout_seconds = gpu_timeout_seconds
        self._iostat_seconds = iostat_seconds
        # Only what is said of this machine: the others are not read here, so they cannot be found missing.
        self._inventory = find_entries(inventory, self._node)
        self._since = since
        self._paths = paths or HostPaths()

    def read_facts(self) -> Facts:
        """Read all parts side by side; what could not be read is in the coverage, never raised."""
        parts: tuple[Callable[[], Facts], ...] = (
            self._read_gpus,
            self._read_log,
            self._read_disks,
            self._read_network,
            lambda: read_smart_facts(node=self._node, paths=self._paths),
            lambda: read_state_facts(node=self._node, paths=self._paths),
            lambda: read_guest_facts(node=self._node, paths=self._paths),
        )
        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            read = list(pool.map(lambda part: part(), parts))
        node = Entity("node", self._node)
        return Facts(entities=(node,), inventory=self._inventory, subject=node) + merge_facts(read)

    def _read_gpus(self) -> Facts:
        return read_gpu_facts(
            node=self._node,
            timeout_seconds=self._gpu_timeout_seconds,
            paths=self._paths,
            inventory=self._inventory,
        )

    def _read_log(self) -> Facts:
        return read_kernel_log_facts(node=self._node, paths=self._paths, since=self._since)

    def _read_disks(self) -> Facts:
        return read_disk_facts(node=self._node, seconds=self._iostat_seconds, paths=self._paths)

    def _read_network(self) -> Facts:
        return read_network_facts(node=self._node, paths=self._paths, inventory=self._inventory)
