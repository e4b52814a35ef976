"""tools/nvml*.py and tools/host_gpu.py: the real nvidia-ml-py on a stand-in library, in real child processes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tools.host_gpu import build_gpu_facts
from tools.nvml_reader import read_gpus
from tools.signals import GPU_SIGNAL_NAMES

TIMEOUT_SECONDS = 1.5


def read_facts(timeout_seconds: float = TIMEOUT_SECONDS):
    report = read_gpus(timeout_seconds=timeout_seconds)
    assert report.state == "ok", report
    return build_gpu_facts(report, node="n-1")


def test_eight_gpus_are_read_in_full(nvml_standin):
    nvml_standin({})
    before = time.time()
    facts = read_facts()
    (window,) = facts.windows
    assert [str(gpu) for gpu in facts.entities] == [f"gpu:n-1/{index}" for index in range(8)]
    assert facts.entities[3].id_map == {
        "pci": "0000:5d:00.0", "serial": "1650223000003", "uuid": "GPU-5a0d17c0-0000-4000-8000-000000000003",
    }  # fmt: skip
    assert set(window.values) == set(GPU_SIGNAL_NAMES)
    assert window.clock == "utc"
    assert before - 1 < window.times[0] < time.time() + 1
    expected = {
        "gpu_temperature_celsius": 37.0, "gpu_memory_temperature_celsius": 44.0, "gpu_power_watts": 71.5,
        "gpu_power_limit_watts": 700.0, "gpu_sm_clock_hertz": 1.98e9, "gpu_memory_clock_hertz": 2.619e9,
        "gpu_utilization_ratio": 0.0, "gpu_memory_total_bytes": 85520809984.0, "gpu_pcie_width_lanes": 16.0,
        "gpu_pcie_generation": 5.0, "gpu_recovery_action": 0.0, "gpu_nvlink_active_links": 18.0,
        "gpu_nvlink_error_total": 0.0, "gpu_row_remap_pending": 0.0, "gpu_ecc_uncorrected_volatile_total": 0.0,
    }  # fmt: skip
    assert {name: window.latest(3, name) for name in expected} == pytest.approx(expected)
    # This board remaps rows; it has no retired pages, and says so. Nothing else is missing.
    retired = [f"gpu_retired_pages_{what}" for what in ("pending", "corrected_total", "uncorrected_total")]
    assert set(window.reasons.items()) == {((row, name), "not_supported") for row in range(8) for name in retired}
    assert [(row.status, row.entity) for row in facts.coverage] == [("read", "node:n-1")]
    assert facts.events == ()


def test_every_number_can_be_quoted_with_its_call(nvml_standin):
    nvml_standin({"gpus": {"2": {"temperature_celsius": 91, "clock_event_reasons": "0x48"}}})
    (window,) = read_facts().windows
    (quote,) = window.quotes_of(2, "gpu_temperature_celsius")
    assert quote.text == "nvmlDeviceGetTemperature[GPU](0000:3a:00.0) = 91 C"
    assert quote.source == "NVML nvmlDeviceGetTemperature[GPU](0000:3a:00.0)"
    (quote,) = window.quotes_of(2, "gpu_clock_event_reasons")
    assert quote.text.endswith("= 0x48 (hw_slowdown hw_thermal_slowdown)")
    assert "PowerUsage = 71.5 W" in window.quotes[2].text
    assert len(window.quotes[2].text) < 2000


@pytest.mark.parametrize(
    ("settings", "signal", "value"),
    [
        ({"row_remap_pending": 1}, "gpu_row_remap_pending", 1),
        ({"row_remap_failure": 1}, "gpu_row_remap_failure", 1),
        ({"row_remap_uncorrected": 3}, "gpu_row_remap_uncorrected_total", 3),
        ({"clock_event_reasons": 8}, "gpu_clock_event_reasons", 8),
        ({"pcie_width": 8}, "gpu_pcie_width_lanes", 8),
        ({"pcie_generation": 1}, "gpu_pcie_generation", 1),
        ({"pcie_replays": 77}, "gpu_pcie_replay_total", 77),
        ({"recovery_action": 2}, "gpu_recovery_action", 2),
        ({"ecc_uncorrected_volatile": 4}, "gpu_ecc_uncorrected_volatile_total", 4),
        ({"ecc_corrected_aggregate": 5}, "gpu_ecc_corrected_aggregate_total", 5),
        ({"memory_temperature_celsius": 99}, "gpu_memory_temperature_celsius", 99),
        ({"utilization_percent": 97}, "gpu_utilization_ratio", 0.97),
        ({"memory_used_bytes": 1024}, "gpu_memory_used_bytes", 1024),
        ({"nvlink_down": {"4": True, "9": True}}, "gpu_nvlink_active_links", 16),
        ({"nvlink_replay_errors": 6, "nvlink_crc_flit_errors": 1}, "gpu_nvlink_error_total", 7),
        ({"retired_pages_pending": 1}, "gpu_retired_pages_pending", 1),
    ],
)
def test_a_setting_of_one_gpu_is_seen_on_it_alone(nvml_standin, settings, signal, value):
    nvml_standin({"gpu_count": 2, "gpus": {"1": settings}})
    (window,) = read_facts().windows
    assert window.latest(1, signal) == pytest.approx(value)
    assert window.latest(0, signal) != pytest.approx(value)


def test_what_a_gpu_does_not_offer_is_missing_with_its_reason_and_never_zero(nvml_standin):
    errors = {"nvmlDeviceGetTemperature": "NOT_SUPPORTED", "nvmlDeviceGetTotalEccErrors": "NOT_SUPPORTED"}
    nvml_standin({"gpu_count": 2, "gpus": {"0": {"errors": errors, "memory_temperature_celsius": None, "nvlinks": 0}}})
    facts = read_facts()
    (window,) = facts.windows
    for name in (
        "temperature_celsius",
        "memory_temperature_celsius",
        "ecc_corrected_volatile_total",
        "nvlink_active_links",
    ):
        assert np.isnan(window.values[f"gpu_{name}"][0, 0])
        assert window.reasons[0, f"gpu_{name}"] == "not_supported"
        assert window.latest(1, f"gpu_{name}") is not None
    assert [row.status for row in facts.coverage] == ["read"]


def test_readings_that_fail_for_no_good_reason_are_in_the_coverage(nvml_standin):
    nvml_standin({"gpu_count": 2, "gpus": {"1": {"errors": {"nvmlDeviceGetTotalEccErrors": "UNKNOWN"}}}})
    facts = read_facts()
    assert facts.windows[0].reasons[1, "gpu_ecc_corrected_volatile_total"] == "nvml_error_999"
    whole, one = facts.coverage
    assert (whole.status, one.entity, one.status) == ("partial", "gpu:n-1/1", "partial")
    assert "TotalEccErrors" in one.reason
    assert one.fix


@pytest.mark.parametrize(
    ("settings", "code", "call"),
    [
        ({"lost": True}, "gpu:lost", "nvmlDeviceGetSerial"),
        ({"errors": {"nvmlDeviceGetHandleByIndex_v2": "GPU_IS_LOST"}}, "gpu:lost", "nvmlDeviceGetHandleByIndex_v2"),
        ({"errors": {"nvmlDeviceGetPcieReplayCounter": "GPU_IS_LOST"}}, "gpu:lost", "nvmlDeviceGetPcieReplayCounter"),
        (
            {"errors": {"nvmlDeviceGetHandleByIndex_v2": "UNKNOWN"}},
            "gpu:handle_failed",
            "nvmlDeviceGetHandleByIndex_v2",
        ),
        (
            {"errors": {"nvmlDeviceGetHandleByIndex_v2": "INSUFFICIENT_POWER"}},
            "gpu:power_missing",
            "nvmlDeviceGetHandleByIndex_v2",
        ),
        ({"errors": {"nvmlDeviceGetTemperature": "RESET_REQUIRED"}}, "gpu:reset_required", "nvmlDeviceGetTemperature"),
    ],
)
def test_a_gpu_that_is_gone_is_an_event_in_the_drivers_words(nvml_standin, settings, code, call):
    nvml_standin({"gpus": {"5": settings}})
    facts = read_facts()
    (event,) = facts.events
    assert (event.code, str(event.entity)) == (code, "gpu:n-1/5")
    assert event.quote.source.startswith(f"NVML {call}(")
    assert event.quote.text.startswith("GPU 5: ")
    assert event.moment.clock == "utc"
    assert facts.windows[0].latest(4, "gpu_temperature_celsius") is not None
    # What was not read after that is missing, with a reason.
    assert facts.windows[0].latest(5, "gpu_nvlink_active_links") is None
    assert facts.windows[0].reasons[5, "gpu_nvlink_active_links"]


def test_a_lost_gpu_is_quoted_as_the_driver_says_it(nvml_standin):
    nvml_standin({"gpus": {"5": {"lost": True}}})
    (event,) = read_facts().events
    assert event.quote.text == "GPU 5: GPU is lost"
    assert event.entity.id_map["pci"] == "0000:ab:00.0"
    assert event.fields["nvml_error"] == "15"


@pytest.mark.parametrize("hang", ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetHandleByIndex_v2"])
def test_a_call_that_never_returns_costs_one_gpu_and_bounded_time(nvml_standin, hang):
    nvml_standin({"gpus": {"2": {"hang": hang}}})
    started = time.monotonic()
    facts = read_facts(timeout_seconds=1.0)
    assert time.monotonic() - started < 5.0
    (window,) = facts.windows
    read = [row for row in range(8) if window.latest(row, "gpu_temperature_celsius") is not None]
    assert read == [0, 1, 3, 4, 5, 6, 7]
    assert window.reasons[2, "gpu_temperature_celsius"] == "timeout"
    whole, one = facts.coverage
    assert (whole.status, one.status, one.entity) == ("partial", "missing", "gpu:n-1/2")
    assert hang in one.reason
    assert "no answer within 1 s" in one.reason
    assert one.fix
    assert facts.events == ()


def test_the_hung_gpu_is_named_by_its_address_where_it_told_it_before(nvml_standin):
    nvml_standin({"gpus": {"2": {"hang": "nvmlDeviceGetPowerUsage"}}})
    facts = read_facts(timeout_seconds=1.0)
    assert facts.entities[2].id_map["pci"] == "0000:3a:00.0"
    assert "0000:3a:00.0" in facts.coverage[1].reason


def test_all_gpus_hanging_end_in_bounded_time(nvml_standin):
    nvml_standin({"gpu_count": 4, "all": {"hang": True}})
    started = time.monotonic()
    facts = read_facts(timeout_seconds=0.5)
    assert time.monotonic() - started < 6.0
    assert [row.status for row in facts.coverage] == ["partial"] + ["missing"] * 4


@pytest.mark.parametrize(
    ("error", "state"),
    [
        ("DRIVER_NOT_LOADED", "driver_not_loaded"),
        ("LIB_RM_VERSION_MISMATCH", "library_mismatch"),
        ("NO_PERMISSION", "no_permission"),
        ("UNKNOWN", "error"),
    ],
)
def test_a_library_that_does_not_open_says_why(nvml_standin, error, state):
    nvml_standin({"init_error": error})
    report = read_gpus(timeout_seconds=TIMEOUT_SECONDS)
    assert (report.state, report.gpus) == (state, ())
    assert report.words


def test_a_library_that_hangs_while_opening_is_left(nvml_standin):
    nvml_standin({"init_hang": True})
    started = time.monotonic()
    report = read_gpus(timeout_seconds=0.5)
    assert report.state == "timeout"
    assert "nvmlInit" in report.words
    assert time.monotonic() - started < 4.0


def test_a_library_that_crashes_is_no_crash_of_ours(nvml_standin, tmp_path, monkeypatch):
    broken = tmp_path / "broken.json"
    broken.write_text('{"gpus": ', encoding="utf-8")
    nvml_standin({})
    monkeypatch.setenv("DAYTWO_NVML_STANDIN", str(broken))
    report = read_gpus(timeout_seconds=TIMEOUT_SECONDS)
    assert report.state == "error"
    assert "ended the process" in report.words


def test_no_library_at_all(monkeypatch):
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    report = read_gpus(timeout_seconds=TIMEOUT_SECONDS)
    if report.state == "ok":
        pytest.skip("this machine has a real NVML")
    assert report.state in ("library_missing", "driver_not_loaded")


def test_a_gpu_that_is_not_listed_shifts_the_indices_and_keeps_the_others_names(nvml_standin):
    nvml_standin({"gpu_count": 4, "gpus": {"1": {"missing": True}}})
    facts = read_facts()
    assert [gpu.name for gpu in facts.entities] == ["0", "1", "2"]
    assert [gpu.id_map["pci"][5:7] for gpu in facts.entities] == ["18", "3a", "5d"]


def test_processes_are_quoted(nvml_standin):
    nvml_standin({"gpu_count": 1, "gpus": {"0": {"processes": [{"pid": 4242, "memory_bytes": 2147483648}]}}})
    report = read_gpus(timeout_seconds=TIMEOUT_SECONDS)
    assert report.gpus[0].processes == ((4242, 2147483648, "compute"),)
    assert "process 4242 = 2048 MiB" in build_gpu_facts(report, node="n-1").windows[0].quotes[0].text


def test_an_older_driver_answers_by_the_older_name(nvml_standin):
    errors = {"nvmlDeviceGetCurrentClocksEventReasons": "FUNCTION_NOT_FOUND"}
    nvml_standin({"gpu_count": 1, "gpus": {"0": {"errors": errors, "clock_event_reasons": 8}}})
    assert read_facts().windows[0].latest(0, "gpu_clock_event_reasons") == 8


def test_a_driver_without_field_values_leaves_only_those_out(nvml_standin):
    nvml_standin({"gpu_count": 1, "gpus": {"0": {"errors": {"nvmlDeviceGetFieldValues": "NOT_SUPPORTED"}}}})
    (window,) = read_facts().windows
    assert window.reasons[0, "gpu_recovery_action"] == "not_supported"
    assert window.reasons[0, "gpu_nvlink_error_total"] == "not_supported"
    assert window.latest(0, "gpu_nvlink_active_links") == 18


def test_sixteen_gpus_take_little_time(nvml_standin):
    nvml_standin({"gpu_count": 16})
    read_gpus(timeout_seconds=5.0)
    times = []
    for _ in range(3):
        started = time.monotonic()
        assert len(read_gpus(timeout_seconds=5.0).gpus) == 16
        times.append(time.monotonic() - started)
    assert min(times) < 1.0  # 0.12 s alone on two cores; the rest is room for a busy machine
