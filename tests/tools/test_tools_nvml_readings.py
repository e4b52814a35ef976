"""What NVML tells beyond the common readings: limits, violations, error places, links, fabric, MIG, processes."""

from __future__ import annotations

import os

import pytest

from tools.detectors.gpu_flags import detect as detect_flags
from tools.detectors.gpu_processes import detect as detect_processes
from tools.detectors.gpu_throttle import detect as detect_throttle
from tools.host_gpu import build_gpu_facts
from tools.nvml_reader import read_gpus

MIB = 1024**2


def read_facts():
    report = read_gpus(timeout_seconds=5.0)
    assert report.state == "ok", report
    return build_gpu_facts(report, node="n-1")


@pytest.mark.parametrize(
    ("settings", "signal", "value"),
    [
        ({"temperature_slowdown_celsius": 90}, "gpu_temperature_slowdown_celsius", 90),
        ({"temperature_shutdown_celsius": 97}, "gpu_temperature_shutdown_celsius", 97),
        ({"temperature_max_celsius": 85}, "gpu_temperature_max_celsius", 85),
        ({"memory_temperature_max_celsius": 105}, "gpu_memory_temperature_max_celsius", 105),
        ({"temperature_margin_celsius": -2}, "gpu_temperature_margin_celsius", -2),
        ({"violation_ns": {"power": 2_500_000_000}}, "gpu_power_violation_seconds_total", 2.5),
        ({"violation_ns": {"thermal": 7_000_000_000}}, "gpu_thermal_violation_seconds_total", 7),
        ({"violation_ns": {"reliability": 1_000_000}}, "gpu_reliability_violation_seconds_total", 0.001),
        ({"hw_power_brake_ns": 3_000_000_000}, "gpu_hw_power_brake_seconds_total", 3),
        ({"hw_thermal_slowdown_ns": 4_000_000_000}, "gpu_hw_thermal_slowdown_seconds_total", 4),
        ({"power_limit_max_mw": 650_000}, "gpu_power_limit_max_watts", 650),
        ({"energy_joules": 12}, "gpu_energy_joules_total", 12),
        ({"ecc_mode": 0}, "gpu_ecc_mode", 0),
        ({"ecc_sram_uncorrected_aggregate": 3}, "gpu_ecc_sram_uncorrected_aggregate_total", 3),
        ({"ecc_dram_uncorrected_volatile": 1}, "gpu_ecc_dram_uncorrected_volatile_total", 1),
        ({"ecc_sram_threshold_exceeded": 1}, "gpu_ecc_sram_threshold_exceeded", 1),
        ({"row_remap_banks_none": 1}, "gpu_row_remap_banks_none", 1),
        ({"row_remap_banks_max": 2559}, "gpu_row_remap_banks_max", 2559),
        ({"retired_pages_double_bit": 4}, "gpu_retired_pages_uncorrected_total", 4),
        ({"retired_pages_single_bit": 0}, "gpu_retired_pages_corrected_total", 0),
        ({"pcie_replay_rollovers": 1}, "gpu_pcie_replay_rollover_total", 1),
        ({"fabric_state": 2}, "gpu_fabric_state", 2),
        ({"fabric_status": 999}, "gpu_fabric_status", 999),
        ({"persistence_mode": 0}, "gpu_persistence_mode", 0),
        ({"compute_mode": 3}, "gpu_compute_mode", 3),
        ({"performance_state": 8}, "gpu_performance_state", 8),
        ({"mig_mode": 1}, "gpu_mig_mode", 1),
        ({"memory_utilization_percent": 50}, "gpu_memory_utilization_ratio", 0.5),
    ],
)
def test_a_setting_of_one_gpu_is_read_from_it_alone(nvml_standin, settings, signal, value):
    nvml_standin({"gpu_count": 2, "gpus": {"1": settings}})
    (window,) = read_facts().windows
    assert window.latest(1, signal) == pytest.approx(value)
    assert window.latest(0, signal) != pytest.approx(value)


def test_the_detectors_see_them(nvml_standin):
    nvml_standin(
        {
            "gpu_count": 2,
            "gpus": {
                "0": {"ecc_sram_threshold_exceeded": 1},
                "1": {
                    "temperature_celsius": 88,
                    "temperature_slowdown_celsius": 87,
                    "errors": {
                        "nvmlDeviceGetCurrentClocksEventReasons": "NOT_SUPPORTED",
                        "nvmlDeviceGetCurrentClocksThrottleReasons": "NOT_SUPPORTED",
                    },
                },
            },
        }
    )
    facts = read_facts()
    (flag,) = detect_flags(facts)
    assert (flag.fault_hint, str(flag.entity), flag.values["sram_threshold"]) == (
        "gpu_memory_uncorrectable",
        "gpu:n-1/0",
        1.0,
    )
    (hot,) = detect_throttle(facts)
    assert (hot.fault_hint, str(hot.entity)) == ("gpu_thermal_throttle", "gpu:n-1/1")
    assert "87 °C" in hot.note


def test_what_the_driver_keeps_for_itself_is_not_in_use_by_anybody(nvml_standin):
    nvml_standin({"gpu_count": 1})
    facts = read_facts()
    assert facts.windows[0].latest(0, "gpu_memory_used_bytes") == 0
    assert detect_processes(facts) == []


def test_memory_without_a_process_is_seen_where_all_processes_can_be_seen(nvml_standin):
    nvml_standin({"gpu_count": 2, "gpus": {"1": {"memory_used_bytes": 40_000 * MIB}}})
    facts = read_facts()
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
        assert facts.windows[0].reasons[1, "gpu_process_count"] == "hidden_in_this_container"
        assert detect_processes(facts) == []
    else:
        assert [str(finding.entity) for finding in detect_processes(facts)] == ["gpu:n-1/1"]


def test_an_older_library_answers_by_the_first_version_of_memory(nvml_standin):
    errors = {"nvmlDeviceGetMemoryInfo_v2": "FUNCTION_NOT_FOUND"}
    nvml_standin({"gpu_count": 1, "gpus": {"0": {"errors": errors, "memory_used_bytes": 5}}})
    (window,) = read_facts().windows
    # That version counts what the driver keeps for itself too.
    assert window.latest(0, "gpu_memory_used_bytes") == 5 + 625999872


def test_processes_of_all_kinds_are_read_and_counted_once(nvml_standin):
    processes = [
        {"pid": 11, "memory_bytes": 2 * MIB},
        {"pid": 12, "memory_bytes": 3 * MIB, "kind": "graphics"},
        {"pid": 11, "memory_bytes": 2 * MIB, "kind": "graphics"},
        {"pid": 13, "memory_bytes": 4 * MIB, "kind": "mps"},
    ]
    nvml_standin({"gpu_count": 1, "gpus": {"0": {"processes": processes}}})
    report = read_gpus(timeout_seconds=5.0)
    assert {(one.pid, one.kind) for one in report.gpus[0].processes} == {
        (11, "compute"), (12, "graphics"), (11, "graphics"), (13, "mps"),
    }  # fmt: skip
    (window,) = build_gpu_facts(report, node="n-1").windows
    assert window.latest(0, "gpu_process_count") == 3
    assert "mps process 13 = 4 MiB" in window.quotes[0].text


def test_each_link_is_read_with_what_it_counted(nvml_standin):
    nvml_standin({"gpu_count": 2, "gpus": {"1": {"nvlinks": 4, "nvlink_errors": {"2": {"replay": 7, "crc": 1}}}}})
    gpus = read_gpus(timeout_seconds=5.0).gpus
    assert len(gpus[0].links) == 18
    assert [link.is_up for link in gpus[1].links] == [True] * 4
    assert gpus[1].links[2].errors == {"replay": 7, "recovery": 0, "crc": 1}
    assert gpus[1].links[3].errors["replay"] == 0


def test_what_links_counted_is_quoted_and_summed_where_the_driver_gives_no_total(nvml_standin):
    totals = {f"nvlink_{what}_errors": None for what in ("crc_flit", "crc_data", "replay", "recovery")}
    nvml_standin({"gpu_count": 2, "all": totals, "gpus": {"1": {"nvlink_errors": {"2": {"replay": 7, "crc": 1}}}}})
    (window,) = read_facts().windows
    assert window.latest(0, "gpu_nvlink_error_total") == 0
    assert window.latest(1, "gpu_nvlink_error_total") == 8
    assert "NVLink 2 up, 7 replay, 1 crc errors" in window.quotes[1].text
    assert window.quotes_of(1, "gpu_nvlink_error_total")[0].text.endswith("= 8")


def test_a_gpu_with_fewer_links_than_its_peers_is_an_event_that_names_them(nvml_standin):
    nvml_standin({"gpu_count": 4, "gpus": {"2": {"nvlink_down": {"4": True, "11": True}}}})
    (event,) = read_facts().events
    assert (event.code, str(event.entity)) == ("nvlink:down", "gpu:n-1/2")
    assert event.fields == {"down": "2", "up": "16", "links": "4 11"}
    assert "link 4, 11 inactive; 16 up, 18 on a peer" in event.quote.text


def test_links_that_a_board_leaves_unused_on_all_gpus_are_no_event(nvml_standin):
    nvml_standin({"gpu_count": 2, "all": {"nvlink_down": {str(link): True for link in range(12, 18)}}})
    facts = read_facts()
    assert facts.events == ()
    assert facts.windows[0].latest(0, "gpu_nvlink_active_links") == 12


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fabric_state": 1}, "has not joined its NVLink fabric: not started"),
        ({"fabric_state": 2}, "in progress"),
        ({"fabric_status": 999}, "ended with NVML error 999"),
        ({"fabric_health": 0x9A}, "unhealthy route"),
    ],
)
def test_a_fabric_that_is_not_well_is_an_event(nvml_standin, settings, words):
    nvml_standin({"gpu_count": 2, "gpus": {"1": settings}})
    (event,) = read_facts().events
    assert (event.code, str(event.entity)) == ("fabric:error", "gpu:n-1/1")
    assert words in event.quote.text


@pytest.mark.parametrize(
    "settings", [{"fabric_state": 0}, {"errors": {"nvmlDeviceGetGpuFabricInfoV": "NOT_SUPPORTED"}}]
)
def test_a_gpu_without_a_fabric_lacks_nothing(nvml_standin, settings):
    nvml_standin({"gpu_count": 1, "all": settings})
    facts = read_facts()
    assert (facts.events, [row.status for row in facts.coverage]) == ((), ["read"])


def test_an_older_driver_knows_the_fabric_by_the_structure_before(nvml_standin):
    nvml_standin({"gpu_count": 1, "all": {"fabric_version": 2, "fabric_state": 2}})
    (window,) = read_facts().windows
    assert window.latest(0, "gpu_fabric_state") == 2


def test_mig_instances_are_named(nvml_standin):
    nvml_standin({"gpu_count": 2, "gpus": {"1": {"mig_mode": 1, "mig_instances": 2}}})
    report = read_gpus(timeout_seconds=5.0)
    assert report.gpus[0].mig == ()
    assert len(report.gpus[1].mig) == 2
    assert all(uuid.startswith("MIG-") for uuid in report.gpus[1].mig)
    assert f"MIG instance {report.gpus[1].mig[0]}" in build_gpu_facts(report, node="n-1").windows[0].quotes[1].text


def test_driver_and_vbios_are_read(nvml_standin):
    nvml_standin({"gpu_count": 1, "all": {"vbios": "96.00.74.00.0D"}})
    report = read_gpus(timeout_seconds=5.0)
    assert (report.driver_version, report.gpus[0].vbios) == ("570.124.06", "96.00.74.00.0D")
    text = build_gpu_facts(report, node="n-1").windows[0].quotes[0].text
    assert "driver 570.124.06, VBIOS 96.00.74.00.0D" in text


@pytest.mark.parametrize("call", ["nvmlDeviceGetViolationStatus", "nvmlDeviceGetTemperatureThreshold"])
def test_what_only_some_kinds_tell_is_no_gap_where_it_fails_and_keeps_its_reason(nvml_standin, call):
    nvml_standin({"gpu_count": 1, "all": {"errors": {call: "UNKNOWN"}}})
    facts = read_facts()
    assert [row.status for row in facts.coverage] == ["read"]
    assert "nvml_error_999" in facts.windows[0].reasons.values()
