"""tools/signals.py: names follow the Prometheus conventions, and every source's name is of its own kind."""

from __future__ import annotations

import re

import pytest

from tools.signals import MAIN_GPU_SIGNALS, SIGNALS, name_clock_reasons

NOT_BASE = re.compile(r"(percent|milli|micro|mhz|ghz|_mb|_mib|_gib|kilo|minutes|_ms(_|$)|fahrenheit)")
BASE_UNITS = {
    "celsius",
    "watts",
    "hertz",
    "ratio",
    "bytes",
    "seconds",
    "per_second",
    "bytes_per_second",
    "lanes",
    "joules",
    "",
}


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=str)
def test_each_name_ends_in_its_unit(signal):
    assert re.fullmatch(r"(gpu|disk|guest|consumer|nic)(_[a-z0-9]+)+", signal.name)
    assert signal.unit in BASE_UNITS
    assert not NOT_BASE.search(signal.name)
    assert (signal.kind == "counter") == signal.name.endswith("_total")
    stem = signal.name.removesuffix("_total")
    assert stem.endswith(f"_{signal.unit}" if signal.unit else "")
    if not signal.unit:
        # A name without a unit must not look as if it had one.
        assert stem.rsplit("_", 1)[-1] not in BASE_UNITS
    assert signal.meaning


def test_every_source_name_is_used_once():
    for attribute in ("nvml", "column", "node_exporter"):
        names = [getattr(signal, attribute) for signal in SIGNALS.values() if getattr(signal, attribute)]
        assert len(names) == len(set(names)), attribute
    fields = [field for signal in SIGNALS.values() for field in signal.dcgm]
    assert len(fields) == len(set(fields))
    assert all(re.fullmatch(r"DCGM_FI_DEV_[A-Z0-9_]+", field) for field in fields)


def test_every_live_gpu_signal_is_found_by_nvml_and_most_by_the_exporter():
    gpu = [signal for signal in SIGNALS.values() if signal.name.startswith("gpu_")]
    assert all(signal.nvml for signal in gpu)
    main = [signal for signal in gpu if signal.name in MAIN_GPU_SIGNALS]
    assert [signal.name for signal in main if not signal.dcgm] == ["gpu_nvlink_active_links"]


def test_clock_reasons_are_spelled_and_unknown_bits_kept():
    assert name_clock_reasons(0) == ()
    assert name_clock_reasons(0x8 | 0x40) == ("hw_slowdown", "hw_thermal_slowdown")
    assert name_clock_reasons(0x1 | 0x800) == ("gpu_idle", "0x800")
