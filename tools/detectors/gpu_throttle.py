"""Clocks of a GPU that are held down by heat or power.

Bits of NVML's clock event reasons: 0x8 HW slowdown, 0x20 SW thermal, 0x40 HW thermal, 0x80 HW power brake. Idle (0x1),
application clocks (0x2), SW power cap (0x4), sync boost (0x10) and display (0x100) are how a GPU works. The SW thermal
bit counts only while the GPU works. Guesses: a GPU works above 0.1 utilisation; a limit below 0.7 of the built one is
low, unless half of the node's GPUs have it; 90 °C without a known slowdown temperature is hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tools.detectors._rows import Row, find_rows, measure_peers
from tools.types import Facts, Finding

FAULTS = frozenset({"gpu_power_throttle", "gpu_thermal_throttle"})

DETECTOR = "gpu_throttle"
HW_SLOWDOWN, SW_THERMAL, HW_THERMAL, HW_POWER_BRAKE = 0x8, 0x20, 0x40, 0x80
LOADED_RATIO = 0.1
LOW_LIMIT_RATIO = 0.7
HOT_CELSIUS = 90.0
IMPOSSIBLE_CELSIUS = 150.0
"""Above it the sensor is wrong, not the GPU hot; `sensor_sanity` says so."""
COOL_CELSIUS = 70.0
"""Below it a HW slowdown of no named reason is taken for power, not heat (a guess)."""
_SHOWN = (
    "gpu_clock_event_reasons", "gpu_temperature_celsius", "gpu_temperature_slowdown_celsius", "gpu_power_watts",
    "gpu_power_limit_watts", "gpu_power_limit_default_watts", "gpu_utilization_ratio", "gpu_sm_clock_hertz",
    "gpu_sm_clock_max_hertz",
)  # fmt: skip


def detect(facts: Facts) -> list[Finding]:
    """Report GPUs whose clocks are held down by heat, by the power brake or by a limit that their peers have not."""
    rows = list(find_rows(facts, "gpu"))
    findings = [finding for row in rows if (finding := _read_bits(row) or _read_heat(row)) is not None]
    return findings + [finding for row in rows if (finding := _read_limit(row, rows)) is not None]


def _is_loaded(row: Row) -> bool:
    load = row.recent("gpu_utilization_ratio")
    return load is None or load > LOADED_RATIO


def _read_bits(row: Row) -> Finding | None:
    reading = row.latest("gpu_clock_event_reasons")
    bits = int(reading) if reading is not None and reading >= 0 else 0
    if bits & HW_THERMAL:
        return _build(row, "gpu_thermal_throttle", 2.0, "hardware thermal slowdown is active", settles=True)
    if bits & HW_POWER_BRAKE:
        return _build(row, "gpu_power_throttle", 2.0, "the hardware power brake is active", settles=True)
    if bits & HW_SLOWDOWN:
        temperature = row.latest("gpu_temperature_celsius")
        is_cool = temperature is not None and temperature < COOL_CELSIUS
        fault = "gpu_power_throttle" if is_cool else "gpu_thermal_throttle"
        return _build(row, fault, 1.2, "hardware slowdown is active; the driver does not say by heat or by power")
    if bits & SW_THERMAL and _is_loaded(row):
        return _build(row, "gpu_thermal_throttle", 1.5, "software thermal slowdown is active", settles=True)
    return None


def _read_heat(row: Row) -> Finding | None:
    temperature = row.latest("gpu_temperature_celsius")
    limit = row.latest("gpu_temperature_slowdown_celsius")
    threshold = limit if limit is not None and limit > 0 else HOT_CELSIUS
    if (
        temperature is None
        or not threshold <= temperature <= IMPOSSIBLE_CELSIUS
        or row.latest("gpu_clock_event_reasons") is not None
    ):
        return None
    note = f"{temperature:.0f} °C is at or above {threshold:.0f} °C, and the throttle reasons are not told"
    return _build(row, "gpu_thermal_throttle", temperature / threshold, note)


def _read_limit(row: Row, rows: Sequence[Row]) -> Finding | None:
    ratio = _limit_ratio(row)
    if ratio is None or ratio >= LOW_LIMIT_RATIO:
        return None
    peers = measure_peers(row, rows, _limit_ratio)
    if peers and median(peers) < LOW_LIMIT_RATIO:
        return None
    note = "power limit far below the built one" + (" and below its peers'" if peers else "; no peers to compare with")
    return _build(row, "gpu_power_throttle", (LOW_LIMIT_RATIO / ratio) * (1.0 if peers else 0.7), note)


def _limit_ratio(row: Row) -> float | None:
    limit, default = row.latest("gpu_power_limit_watts"), row.latest("gpu_power_limit_default_watts")
    return limit / default if limit and default else None


def _build(row: Row, fault: str, score: float, note: str, *, settles: bool = False) -> Finding:
    values = {signal: value for signal in _SHOWN if (value := row.latest(signal)) is not None}
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint=fault,
        severity="warning",
        score=round(score, 3),
        quotes=row.window.quotes_of(row.number, *values),
        values=values,
        settles=settles,
        start=start,
        end=end,
        note=note,
    )
