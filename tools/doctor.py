"""What this machine offers to Daytwo: each program, right and driver, present or missing, and what to type."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from typing import Literal

from tools.errors import UpstreamError
from tools.host_bus import is_driver_loaded, read_pci_gpus
from tools.host_driver import UNASKED
from tools.host_paths import HostPaths
from tools.host_smart import find_physical_disks, tell_missing_smartctl
from tools.nvml_reader import read_gpus
from tools.nvml_report import NvmlReport
from tools.shell import install_hint, run_command

CheckStatus = Literal["present", "missing", "partial"]
SUPPORTED_PYTHONS = ((3, 11), (3, 12))
NVML_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that Daytwo can use.

    Attributes:
        status: ``present``; ``partial`` where it works in part or another thing stands in; ``missing``.
        detail: What was found.
        fix: What to type; empty where nothing is to be done.
    """

    name: str
    status: CheckStatus
    detail: str
    fix: str = ""


def check_host(paths: HostPaths | None = None) -> list[Check]:
    """Look at this machine, without changing anything.

    Args:
        paths: Another root for what the kernel shows.
    """
    where = paths or HostPaths()
    report = read_gpus(timeout_seconds=NVML_SECONDS)
    return [
        _check_python(),
        _check_program("iostat", ["iostat", "-V"], "partial", "the same figures are computed from /proc/diskstats"),
        _check_smartctl(where),
        _check_program("gcc", ["gcc", "--version"], "partial", "only the tests need it"),
        _check_kernel_log(where),
        _check_pci(where),
        _check_driver(where),
        _check_nvml(report, where),
    ]


def _check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in SUPPORTED_PYTHONS:
        return Check("python", "present", version)
    return Check("python", "partial", f"{version}; tested on 3.11 and 3.12", "make setup PYTHON=python3.12")


def _check_program(name: str, argv: list[str], absent: CheckStatus, without: str) -> Check:
    if shutil.which(name) is None:
        return Check(name, absent, f"not installed; {without}", install_hint(name))
    try:
        result = run_command(argv, timeout_seconds=5.0)
    except UpstreamError as error:
        return Check(name, "partial", error.message, error.fix)
    first = (result.stdout or result.stderr).strip().splitlines()
    return Check(name, "present", first[0] if first else "installed")


def _check_smartctl(paths: HostPaths) -> Check:
    """As `triage --host` sees it: without a physical disk nobody misses it."""
    disks = find_physical_disks(paths)
    if reason := tell_missing_smartctl(disks):
        return Check("smartctl", "missing", reason, install_hint("smartctl"))
    check = _check_program("smartctl", ["smartctl", "--version"], "partial", "no physical disk is here to be asked")
    return check if disks else replace(check, fix="")


def _check_kernel_log(paths: HostPaths) -> Check:
    try:
        os.close(os.open(paths.kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        pass
    except OSError as error:
        return _check_other_logs(paths, f"{paths.kmsg}: {error.strerror}")
    else:
        return Check("kernel log", "present", str(paths.kmsg))
    return _check_other_logs(paths, f"no right to read {paths.kmsg}")


def _check_other_logs(paths: HostPaths, reason: str) -> Check:
    fix = "run as root, or: sysctl kernel.dmesg_restrict=0"
    others = [str(path) for path in paths.kernel_logs if os.access(path, os.R_OK)]
    if shutil.which("journalctl") is not None and paths.is_live:
        others.append("journalctl")
    if others:
        return Check("kernel log", "partial", f"{reason}; {others[0]} may stand in", fix)
    return Check("kernel log", "missing", reason, fix)


def _check_pci(paths: HostPaths) -> Check:
    gpus = read_pci_gpus(paths)
    if gpus is None:
        return Check("GPUs on the bus", "missing", "the PCI bus cannot be read", "lspci")
    if not gpus:
        return Check("GPUs on the bus", "missing", "no NVIDIA GPU on the PCI bus")
    drivers = ", ".join(sorted({gpu.driver or "no driver" for gpu in gpus}))
    return Check("GPUs on the bus", "present", f"{len(gpus)} NVIDIA GPUs ({drivers})")


_DRIVER_CHECKS: dict[bool | None, tuple[CheckStatus, str]] = {
    True: ("present", "module nvidia is loaded"),
    False: ("missing", "module nvidia is not loaded"),
    None: ("missing", "the kernel does not tell which modules are loaded"),
}


def _check_driver(paths: HostPaths) -> Check:
    loaded = is_driver_loaded(paths)
    status, detail = _DRIVER_CHECKS[loaded]
    needed = bool(read_pci_gpus(paths)) and not loaded
    return Check("GPU driver", status, detail, "modprobe nvidia; dmesg | grep -i nvrm" if needed else "")


def _check_nvml(report: NvmlReport, paths: HostPaths) -> Check:
    if report.state != "ok":
        fix = UNASKED[report.state][1] if read_pci_gpus(paths) else ""
        return Check("NVML", "missing", report.words, fix)
    silent = [gpu for gpu in report.gpus if gpu.state != "ok"]
    detail = f"driver {report.driver_version}, {len(report.gpus)} GPUs"
    if silent:
        return Check("NVML", "partial", f"{detail}, {len(silent)} of them do not answer", "daytwo triage --host")
    return Check("NVML", "present", detail)
