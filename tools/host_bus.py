"""What stands on the PCI bus, and whether NVIDIA's driver module is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tools.entities import normalise_pci
from tools.host_paths import HostPaths, read_line

NVIDIA_VENDOR = "0x10de"
GPU_CLASS = "0x03"  # display controllers: 0x0300 VGA, 0x0302 3D; NVIDIA's bridges and NVSwitches are 0x06
GUEST_DRIVERS = frozenset({"vfio-pci", "pciback", "xen-pciback", "pci-stub"})
"""Drivers that hold a device for a guest: the host's own driver has no business with it."""


@dataclass(frozen=True, slots=True)
class PciGpu:
    """One NVIDIA GPU on the bus.

    Attributes:
        address: Canonical PCI address.
        driver: Kernel driver that is bound to it, empty where none is.
        line: What sysfs says, as one line for a quote.
    """

    address: str
    driver: str
    line: str

    @property
    def is_for_guest(self) -> bool:
        """Whether the host has handed the device to a guest."""
        return self.driver in GUEST_DRIVERS


def read_pci_gpus(paths: HostPaths) -> tuple[PciGpu, ...] | None:
    """List the NVIDIA GPUs on the bus, by address.

    Returns:
        The GPUs; empty where the kernel has no PCI bus at all; None where it cannot be told.
    """
    devices = paths.sys / "bus" / "pci" / "devices"
    try:
        found = sorted(devices.iterdir())
    except FileNotFoundError:
        return () if (paths.sys / "bus").is_dir() else None
    except OSError:
        return None
    gpus = (_read_gpu(device) for device in found)
    return tuple(gpu for gpu in gpus if gpu is not None)


def _read_gpu(device: Path) -> PciGpu | None:
    vendor, device_class = read_line(device / "vendor"), read_line(device / "class") or ""
    if vendor != NVIDIA_VENDOR or not device_class.startswith(GPU_CLASS):
        return None
    link = device / "driver"
    driver = link.readlink().name if link.is_symlink() else ""
    model = read_line(device / "device") or "?"
    line = f"{device.name} vendor {vendor} device {model} class {device_class} driver {driver or 'none'}"
    return PciGpu(normalise_pci(device.name), driver, line)


def is_driver_loaded(paths: HostPaths) -> bool | None:
    """Say whether the module ``nvidia`` is in the kernel; None where the kernel does not tell."""
    if (paths.proc / "driver" / "nvidia" / "version").exists() or (paths.sys / "module" / "nvidia").is_dir():
        return True
    try:
        modules = (paths.proc / "modules").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        # A kernel without loadable modules: what is not under /sys/module is not there.
        return False if (paths.sys / "module").is_dir() else None
    except OSError:
        return None
    return re.search(r"^nvidia ", modules, re.MULTILINE) is not None


def read_driver_gpus(paths: HostPaths) -> frozenset[str]:
    """List the PCI addresses that the driver has under ``/proc/driver/nvidia/gpus``; a container sees only its own."""
    try:
        return frozenset(normalise_pci(entry.name) for entry in (paths.proc / "driver" / "nvidia" / "gpus").iterdir())
    except OSError:
        return frozenset()
