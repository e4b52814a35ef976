"""GPUs of this machine: what the bus, the driver and NVML say together, and what that means.

=====================  =====================  =================================================================
on the bus             the driver             what it is
=====================  =====================  =================================================================
no GPU                 any                    not applicable; where the inventory has GPUs, for ``gpu_missing``
GPUs                   module not loaded      a fault: ``driver:not_loaded``
GPUs                   older than library     a fault: ``driver:library_mismatch``
GPUs                   cannot be asked        unknown
GPUs                   answers, lists none    ``gpu:no_devices``
=====================  =====================  =================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.entities import normalise_pci, same_node
from tools.host_bus import PciGpu, is_driver_loaded, read_driver_gpus, read_pci_gpus
from tools.host_gpu import build_gpu_facts
from tools.host_paths import HostPaths
from tools.nvml_reader import read_gpus
from tools.nvml_report import NvmlReport, NvmlState
from tools.types import Coverage, Entity, Event, Facts, Inventory, Moment, Quote, ReadStatus

UNASKED: dict[NvmlState, tuple[str, str]] = {
    "library_missing": (
        "libnvidia-ml.so.1 is not to be found",
        "install the library of the driver's own version (Debian: apt-get install libnvidia-ml1); "
        "in a container start with NVIDIA_DRIVER_CAPABILITIES=utility",
    ),
    "driver_not_loaded": (
        "the module is loaded and NVML cannot reach it",
        "ls -l /dev/nvidiactl /dev/nvidia0; nvidia-modprobe -u -c=0",
    ),
    "library_mismatch": ("driver and library are of two versions", "cat /proc/driver/nvidia/version; then reboot"),
    "no_permission": ("no right to ask NVML", "run as root, or: ls -l /dev/nvidiactl"),
    "timeout": ("NVML did not open", "timeout 20 nvidia-smi; ps -eo pid,stat,wchan,comm | grep ' D'"),
    "error": ("NVML could not be opened", "nvidia-smi; dmesg | grep -i nvrm"),
}
"""State of NVML to (what it is, what to type), where GPUs are on the bus and cannot be asked."""


@dataclass(frozen=True, slots=True)
class _Host:
    """What was found out about the GPUs of one machine before NVML is interpreted."""

    node: str
    on_bus: tuple[PciGpu, ...] | None
    loaded: bool | None
    expected: int | None
    report: NvmlReport

    @property
    def entity(self) -> Entity:
        return Entity("node", self.node)

    def cover(self, status: ReadStatus, reason: str = "", fix: str = "") -> Facts:
        return Facts(coverage=(Coverage(str(self.entity), "gpu", status, reason, fix),))

    def event(self, code: str, source: str, text: str) -> Event:
        return Event(Moment("utc", self.report.time), self.entity, code, Quote(source, None, text), {}, "kernel")


def read_gpu_facts(
    *, node: str, timeout_seconds: float, paths: HostPaths, inventory: Sequence[Inventory] = ()
) -> Facts:
    """Read the GPUs of this machine.

    Args:
        node: Name of this machine.
        timeout_seconds: Longest wait for NVML to open, and for each GPU.
        paths: Where the machine is.
        inventory: What should be there.
    """
    report = read_gpus(timeout_seconds=timeout_seconds)
    expected = next((entry.gpus for entry in find_entries(inventory, node)), None)
    in_driver = read_driver_gpus(paths)
    host = _Host(node, read_pci_gpus(paths), is_driver_loaded(paths), expected, _fill_address(report, in_driver))
    if report.state == "ok" and report.gpus:
        return build_gpu_facts(host.report, node=node) + _find_unlisted(host, in_driver)
    return _judge_silence(host)


def _fill_address(report: NvmlReport, in_driver: frozenset[str]) -> NvmlReport:
    """Give the one GPU that NVML could not open the one address that is left, so that log lines find it."""
    left = in_driver - {normalise_pci(gpu.pci) for gpu in report.gpus if gpu.pci}
    nameless = [gpu for gpu in report.gpus if not gpu.pci]
    if len(left) != 1 or len(nameless) != 1:
        return report
    (address,) = left
    return replace(report, gpus=tuple(gpu if gpu.pci else replace(gpu, pci=address) for gpu in report.gpus))


def find_entries(inventory: Sequence[Inventory], node: str) -> tuple[Inventory, ...]:
    """Find what the inventory says of one node, by its name or an alias."""
    return tuple(
        entry for entry in inventory if any(name and same_node(name, node) for name in (entry.node, *entry.aliases))
    )


def _judge_silence(host: _Host) -> Facts:
    """Say what it means that NVML told of no GPU."""
    if host.on_bus is None:
        return host.cover(
            "missing", "the PCI bus cannot be read, so that it is not known whether a GPU is there", "lspci"
        )
    if not host.on_bus:
        return _judge_empty_bus(host)
    own = [gpu for gpu in host.on_bus if not gpu.is_for_guest]
    if not own:
        driver = host.on_bus[0].driver
        return host.cover("not_applicable", f"{len(host.on_bus)} GPUs are handed to guests ({driver})")
    if host.report.state == "ok":
        event = host.event("gpu:no_devices", "NVML nvmlDeviceGetCount", f"0 devices; on the bus: {own[0].line}")
        return Facts(events=(event,), coverage=host.cover("read").coverage)
    if host.loaded is False and host.report.state in ("driver_not_loaded", "library_missing"):
        return _judge_unloaded(host, own)
    reason, fix = UNASKED[host.report.state]
    facts = host.cover("missing", f"{len(own)} GPUs on the bus; {reason}: {host.report.words}", fix)
    if host.report.state == "library_mismatch":
        event = host.event("driver:library_mismatch", "NVML nvmlInit", host.report.words)
        return Facts(events=(event,)) + facts
    return facts


def _judge_empty_bus(host: _Host) -> Facts:
    if host.expected:
        return host.cover("read")  # that they are missing is seen by holding the inventory against what was read
    if host.loaded:
        reason = "the driver module is loaded and no NVIDIA GPU is on the PCI bus"
        return host.cover("missing", reason, "lspci -d 10de:; dmesg | grep -iE 'nvrm|pciehp'")
    return host.cover("not_applicable", "no NVIDIA GPU is on the PCI bus and none is in the inventory")


def _judge_unloaded(host: _Host, own: Sequence[PciGpu]) -> Facts:
    text = f"no module nvidia in /proc/modules; {own[0].line}"
    if len(own) > 1:
        text += f"; {len(own) - 1} more GPUs"
    event = host.event("driver:not_loaded", "/sys/bus/pci/devices", text)
    fix = "modprobe nvidia; dmesg | grep -iE 'nvrm|nvidia'"
    reason = f"{len(own)} GPUs on the bus and no driver loaded"
    return Facts(events=(event,)) + host.cover("missing", reason, fix)


def _find_unlisted(host: _Host, known_to_driver: frozenset[str]) -> Facts:
    """Find GPUs on the bus that NVML does not list; one that the driver does not show here belongs to others."""
    listed = {normalise_pci(gpu.pci) for gpu in host.report.gpus if gpu.pci}
    if any(not gpu.pci for gpu in host.report.gpus):
        return Facts()  # a GPU without an address may be any of them
    rows = []
    for gpu in host.on_bus or ():
        if gpu.address in listed or gpu.is_for_guest or gpu.address not in known_to_driver:
            continue
        fix = f"dmesg | grep -iE 'nvrm|{gpu.address[5:]}'"
        rows.append(
            Coverage(f"gpu:{host.node}/{gpu.address}", "gpu", "missing", f"NVML does not list it: {gpu.line}", fix)
        )
    return Facts(coverage=tuple(rows))
