"""The stand-in library is faithful: nvitop, another program with a binding of its own, reads from it what we read."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from tools.nvml_reader import read_gpus

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("nvitop") is None, reason="nvitop is not installed: make setup"
)

DUMP = """
import json
from nvitop import NA, Device
rows = []
for device in Device.all():
    row = {
        "index": device.index, "uuid": device.uuid(), "pci": device.bus_id(), "name": device.name(),
        "serial": device.serial(), "celsius": device.temperature(), "milliwatts": device.power_usage(),
        "limit": device.power_limit(), "sm_mhz": device.sm_clock(), "max_sm_mhz": device.max_sm_clock(),
        "memory_mhz": device.memory_clock(), "used": device.memory_used(), "total": device.memory_total(),
        "percent": device.gpu_utilization(), "ecc": device.total_volatile_uncorrected_ecc_errors(),
        "state": device.performance_state(), "persistence": device.persistence_mode(), "mig_mode": device.mig_mode(),
        "compute": device.compute_mode(), "links": device.nvlink_link_count(), "mig": [m.uuid() for m in device.mig_devices()],
        "processes": {pid: process.gpu_memory() for pid, process in device.processes().items()},
    }
    rows.append({key: None if value is NA else value for key, value in row.items()})
print(json.dumps(rows))
"""


def run(*words: str, env: dict[str, str]) -> str:
    argv = [sys.executable, "-W", "error", *words]
    told = subprocess.run(
        argv, env={**os.environ, **env, "COLUMNS": "100", "TERM": "dumb"}, capture_output=True, text=True, check=False
    )
    # nvitop says on standard error which function the library lacks.
    assert (told.returncode, told.stderr) == (0, "")
    return told.stdout


@pytest.fixture
def board(nvml_standin):
    settings = {
        "temperature_celsius": 66,
        "power_watts": 512.25,
        "sm_clock_mhz": 1755,
        "utilization_percent": 93,
        "memory_used_bytes": 64424509440,
        "ecc_uncorrected_volatile": 3,
        "processes": [{"pid": os.getpid(), "memory_bytes": 64424509440}],
    }
    return nvml_standin(
        {"gpu_count": 4, "gpus": {"0": settings, "1": {"mig_mode": 1, "mig_instances": 2}, "2": {"lost": True}}}
    )


def test_nvitop_prints_the_board(board):
    shown = run("-m", "nvitop", "-1", "--no-unicode", "--light", env=board)
    assert "Driver Version: 570.124.06" in shown
    assert re.search(r"CUDA Driver Version: 12\.8", shown)
    for address in ("00000000:18:00.0", "00000000:2A:00.0", "00000000:3A:00.0", "00000000:5D:00.0"):
        assert address in shown
    assert "66C" in shown
    assert "512W / 700W" in shown
    assert "93%" in shown
    assert shown.count("1g.10gb") == 2
    assert str(os.getpid()) in shown


def test_nvitop_and_daytwo_read_the_same(board):
    theirs = json.loads(run("-c", DUMP, env=board))
    ours = read_gpus(timeout_seconds=5.0).gpus
    assert len(theirs) == len(ours) == 4
    for told, gpu in zip(theirs, ours, strict=True):
        readings = {reading.call: reading.value for reading in gpu.readings}
        assert (told["index"], told["uuid"], told["pci"], told["name"]) == (gpu.index, gpu.uuid, gpu.pci, gpu.model)
        if gpu.index == 2:  # lost: both say that they do not know
            assert told["celsius"] is None
            assert (gpu.state, gpu.words) == ("error", "GPU is lost")
            continue
        assert told["serial"] == gpu.serial
        for key, call in {
            "celsius": "Temperature[GPU]", "milliwatts": "PowerUsage", "limit": "PowerManagementLimit",
            "sm_mhz": "ClockInfo[SM]", "max_sm_mhz": "MaxClockInfo[SM]", "memory_mhz": "ClockInfo[MEM]",
            "used": "MemoryInfo[used]", "total": "MemoryInfo[total]", "percent": "UtilizationRates[gpu]",
            "ecc": "TotalEccErrors[uncorrected, volatile]", "links": "NvLinkState",
        }.items():  # fmt: skip
            assert told[key] == readings[call], (gpu.index, key)
        assert told["state"] == f"P{readings['PerformanceState']:.0f}"
        assert told["persistence"] == ("Enabled" if readings["PersistenceMode"] else "Disabled")
        assert told["mig_mode"] == ("Enabled" if readings["MigMode[current]"] else "Disabled")
        assert told["compute"] == "Default"
        assert tuple(told["mig"]) == gpu.mig
        assert {int(pid): size for pid, size in told["processes"].items()} == {
            one.pid: one.used_bytes for one in gpu.processes
        }
