"""Detectors over windows of GPUs: a clock that stays low, readings that cannot be, corrected errors that race."""

import numpy as np
import pytest

from tools.detectors import gpu_clock, gpu_memory_rate, gpu_throttle, sensor_sanity
from tools.entities import make_gpu
from tools.types import Facts, Quote, Window

GHZ = 1e9


def facts(*rows, times=None):
    """Build a window from one dictionary of signal -> reading or readings for each GPU."""
    columns = len(times) if times is not None else 1
    gpus = tuple(make_gpu("node-c11", pci=f"0000:{16 + number:02x}:00.0") for number in range(len(rows)))
    values = {name: np.full((len(rows), columns), np.nan) for row in rows for name in row}
    for number, row in enumerate(rows):
        for name, reading in row.items():
            values[name][number] = reading
    stamps = np.array(times if times is not None else [0.0], dtype=float)
    quotes = {number: Quote("smi.csv", number + 1, "as read") for number in range(len(rows))}
    return Facts((Window(gpus, stamps, values, "smi.csv", quotes=quotes),))


def clock(now, load=0.97, reasons=0.0, highest=1.98 * GHZ):
    row = {"gpu_sm_clock_hertz": now, "gpu_sm_clock_max_hertz": highest, "gpu_utilization_ratio": load}
    return row if reasons is None else {**row, "gpu_clock_event_reasons": reasons}


FULL, LOW = 1.9 * GHZ, 0.345 * GHZ


def test_a_loaded_gpu_far_below_its_peers_is_stuck():
    (finding,) = gpu_clock.detect(facts(clock(FULL), clock(LOW), clock(FULL)))
    assert (finding.fault_hint, finding.entity.id_map["pci"]) == ("gpu_clock_stuck", "0000:11:00.0")
    assert finding.score == pytest.approx(0.5 / (0.345 / 1.98), abs=1e-3)
    assert not finding.settles
    assert "no reason is set" in finding.note
    assert finding.quotes == (Quote("smi.csv", 2, "as read"),)


@pytest.mark.parametrize(
    "rows",
    [
        [clock(LOW, load=0.0), clock(FULL)],
        [clock(LOW, reasons=4.0), clock(FULL)],
        [clock(LOW, reasons=2.0), clock(LOW, reasons=2.0), clock(LOW, reasons=2.0)],
        [clock(LOW, reasons=2.0)],
        [clock(LOW), clock(LOW), clock(LOW)],
        [clock(1.2 * GHZ), clock(FULL)],
        [clock(LOW, reasons=None)],
        [{"gpu_sm_clock_hertz": LOW, "gpu_utilization_ratio": 1.0}],
    ],
    ids=[
        "idle",
        "power cap",
        "setting of all",
        "setting and alone",
        "all alike",
        "not far",
        "reasons untold and alone",
        "no maximum",
    ],
)
def test_a_low_clock_that_has_an_explanation_is_not_stuck(rows):
    assert gpu_clock.detect(facts(*rows)) == []


def test_application_clocks_of_one_gpu_are_drift():
    (finding,) = gpu_clock.detect(facts(clock(FULL), clock(LOW, reasons=2.0), clock(FULL)))
    assert (finding.fault_hint, finding.entity.id_map["pci"]) == ("config_drift", "0000:11:00.0")


def test_without_peers_the_sign_is_weaker():
    (finding,) = gpu_clock.detect(facts(clock(LOW)))
    assert finding.score == pytest.approx(0.7 * 0.5 / (0.345 / 1.98), abs=1e-3)


@pytest.mark.parametrize(
    ("signal", "reading"),
    [
        ("gpu_temperature_celsius", 255.0), ("gpu_temperature_celsius", -40.0), ("gpu_power_watts", 4294967.29),
        ("gpu_power_watts", -1.0), ("gpu_utilization_ratio", 1.5), ("gpu_memory_temperature_celsius", 200.0),
    ],
)  # fmt: skip
def test_readings_outside_of_physics_are_told(signal, reading):
    (finding,) = sensor_sanity.detect(facts({signal: 0.5}, {signal: reading}))
    assert (finding.fault_hint, finding.settles) == ("sensor_invalid", True)
    assert finding.values[signal] == reading


def test_possible_readings_are_not_told():
    row = {"gpu_temperature_celsius": 97.0, "gpu_power_watts": 1400.0, "gpu_utilization_ratio": 1.0}
    assert sensor_sanity.detect(facts(row, {"gpu_temperature_celsius": 0.0})) == []


SWING = [0.0, 1.0, 0.9, 0.1, 1.0, 0.0, 0.8, 0.2, 1.0, 0.0]


def test_power_that_does_not_follow_the_load_is_frozen():
    times = [float(n) for n in range(10)]
    frozen = {"gpu_power_watts": 287.46, "gpu_utilization_ratio": SWING}
    alive = {"gpu_power_watts": [90 + 500 * load for load in SWING], "gpu_utilization_ratio": SWING}
    (finding,) = sensor_sanity.detect(facts(alive, frozen, times=times))
    assert finding.values["readings"] == 10
    assert not finding.settles


@pytest.mark.parametrize(("count", "loads"), [(9, SWING[:9]), (10, [0.0] * 10), (10, [0.3, 0.6] * 5)])
def test_few_readings_or_a_steady_load_prove_no_frozen_sensor(count, loads):
    row = {"gpu_power_watts": 70.0, "gpu_utilization_ratio": loads}
    assert sensor_sanity.detect(facts(row, times=[float(n) for n in range(count)])) == []


def test_an_impossible_temperature_is_no_heat():
    assert gpu_throttle.detect(facts({"gpu_temperature_celsius": 255.0})) == []
    assert gpu_throttle.detect(facts({"gpu_temperature_celsius": 95.0})) != []


ECC = "gpu_ecc_corrected_volatile_total"


@pytest.mark.parametrize(
    ("counts", "times", "score"),
    [
        ([25e6], [0.0], 1.25),
        ([1e6, 2e6], [0.0, 600.0], 86_400 * 1e6 / 600 / 20e6),
        ([1000.0, 2000.0], [0.0, 600.0], None),
        ([1e6, 2e6], [0.0, 30.0], None),
        ([9e6, 1e6], [0.0, 600.0], None),
        ([1e6, 2e6], [float("nan"), float("nan")], None),
        ([0.0], [0.0], None),
    ],
    ids=["total", "pace", "slow", "too near", "cleared", "no times", "none"],
)
def test_corrected_errors_are_held_against_the_sourced_limit(counts, times, score):
    findings = gpu_memory_rate.detect(facts({ECC: counts}, times=times))
    assert [finding.score for finding in findings] == ([] if score is None else [pytest.approx(score, abs=1e-3)])
    assert all(finding.fault_hint == "gpu_memory_correctable_rising" for finding in findings)
