"""Which line of `nvidia-smi -q` gives which signal, and how its text is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tools.parsers._lines import parse_number

_UNITS: Mapping[str, float] = {"kib": 1024.0, "mib": 1024.0**2, "gib": 1024.0**3, "khz": 1e3, "mhz": 1e6, "ghz": 1e9}


class Rule(NamedTuple):
    """A signal, how its text becomes a number, and whether several lines add up (SRAM and DRAM errors)."""

    signal: str
    read: Callable[[str], float | None]
    adds: bool = False


def read_number(text: str) -> float | None:
    """Read a number in its base unit: ``81920 MiB``, ``1980 MHz``, ``16x``, ``412.31 W``."""
    value = parse_number(text)
    unit = text.split()[-1].lower() if text.split() else ""
    return None if value is None else value * _UNITS.get(unit, 1.0)


def read_percent(text: str) -> float | None:
    """Read ``97 %`` as 0.97."""
    value = parse_number(text)
    return None if value is None else round(value / 100, 6)


def read_flag(text: str) -> float | None:
    """Read ``Yes`` / ``No``; a number counts as yes where it is above zero."""
    word = text.strip().lower()
    if word in ("yes", "no"):
        return 1.0 if word == "yes" else 0.0
    value = parse_number(text)
    return None if value is None else float(value > 0)


def read_recovery(text: str) -> float | None:
    """Read the recovery action as NVML numbers it: 0 none, 1 reset, 2 reboot, 3 drain P2P, 4 drain and reset."""
    word = text.strip().lower()
    for words, number in (("drain and reset", 4.0), ("drain p2p", 3.0), ("reboot", 2.0), ("reset", 1.0), ("none", 0.0)):
        if words in word:
            return number
    return None


_CORRECTED = ("sram correctable", "dram correctable")
_UNCORRECTED = (
    "sram uncorrectable", "dram uncorrectable", "sram uncorrectable parity", "sram uncorrectable sec-ded",
)  # fmt: skip
_CURRENT_AND_MAX = {"current": "", "max": "_max"}
_POWER = ("power readings", "gpu power readings")

RULES: dict[tuple[str, str], Rule] = {
    ("", "gpu recovery action"): Rule("gpu_recovery_action", read_recovery),
    ("gpu reset status", "reset required"): Rule("gpu_recovery_action", read_flag),
    ("fb memory usage", "total"): Rule("gpu_memory_total_bytes", read_number),
    ("fb memory usage", "used"): Rule("gpu_memory_used_bytes", read_number),
    ("utilization", "gpu"): Rule("gpu_utilization_ratio", read_percent),
    ("retired pages", "pending"): Rule("gpu_retired_pages_pending", read_flag),
    ("retired pages", "pending page blacklist"): Rule("gpu_retired_pages_pending", read_flag),
    ("retired pages", "pending page retirement"): Rule("gpu_retired_pages_pending", read_flag),
    ("remapped rows", "correctable error"): Rule("gpu_row_remap_corrected_total", read_number),
    ("remapped rows", "uncorrectable error"): Rule("gpu_row_remap_uncorrected_total", read_number),
    ("remapped rows", "pending"): Rule("gpu_row_remap_pending", read_flag),
    ("remapped rows", "remapping failure occurred"): Rule("gpu_row_remap_failure", read_flag),
    ("temperature", "gpu current temp"): Rule("gpu_temperature_celsius", read_number),
    ("temperature", "memory current temp"): Rule("gpu_memory_temperature_celsius", read_number),
    ("temperature", "gpu slowdown temp"): Rule("gpu_temperature_slowdown_celsius", read_number),
    ("clocks", "sm"): Rule("gpu_sm_clock_hertz", read_number),
    ("clocks", "memory"): Rule("gpu_memory_clock_hertz", read_number),
    ("max clocks", "sm"): Rule("gpu_sm_clock_max_hertz", read_number),
    ("link width", "current"): Rule("gpu_pcie_width_lanes", read_number),
    ("link width", "max"): Rule("gpu_pcie_width_max_lanes", read_number),
    ("pcie generation", "current"): Rule("gpu_pcie_generation", read_number),
    ("pcie generation", "max"): Rule("gpu_pcie_generation_max", read_number),
    ("pcie generation", "host max"): Rule("gpu_pcie_generation_host_max", read_number),
    ("pci", "replays since reset"): Rule("gpu_pcie_replay_total", read_number),
    ("aggregate", "sram threshold exceeded"): Rule("gpu_ecc_sram_threshold_exceeded", read_flag),
    ("volatile/single bit", "total"): Rule("gpu_ecc_corrected_volatile_total", read_number),
    ("volatile/double bit", "total"): Rule("gpu_ecc_uncorrected_volatile_total", read_number),
    ("aggregate/single bit", "total"): Rule("gpu_ecc_corrected_aggregate_total", read_number),
    ("aggregate/double bit", "total"): Rule("gpu_ecc_uncorrected_aggregate_total", read_number),
    **{
        (scope, key): Rule(f"gpu_ecc_{kind}_{scope}_total", read_number, adds=True)
        for scope in ("volatile", "aggregate")
        for kind, keys in (("corrected", _CORRECTED), ("uncorrected", _UNCORRECTED))
        for key in keys
    },
    **{
        (section, key): Rule(signal, read_number)
        for section in _POWER
        for key, signal in (
            ("power draw", "gpu_power_watts"),
            ("average power draw", "gpu_power_watts"),
            ("instantaneous power draw", "gpu_power_watts"),
            ("power limit", "gpu_power_limit_watts"),
            ("current power limit", "gpu_power_limit_watts"),
            ("default power limit", "gpu_power_limit_default_watts"),
        )
    },
}
"""(section, key), both in lower case, to what they give; ``a/b`` names a section within a section."""

REASON_SECTIONS = ("clocks throttle reasons", "clocks event reasons")
REASON_BITS: Mapping[str, int] = {
    "idle": 0x1,
    "applications clocks setting": 0x2,
    "sw power cap": 0x4,
    "hw slowdown": 0x8,
    "sync boost": 0x10,
    "sw thermal slowdown": 0x20,
    "hw thermal slowdown": 0x40,
    "hw power brake slowdown": 0x80,
    "display clock setting": 0x100,
}
"""NVML's clock event bits by the words of `nvidia-smi -q`."""


def find_rule(path: list[str], key: str) -> Rule | None:
    """Find the rule of a line by its sections (outermost first) and key, all in lower case."""
    candidates = ["/".join(path[-2:]), *reversed(path), *([] if path else [""])]
    return next((RULES[section, key] for section in candidates if (section, key) in RULES), None)
