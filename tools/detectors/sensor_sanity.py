"""Readings of GPU sensors that cannot be: outside of physics, or frozen while the load comes and goes.

The ranges are wide guesses that no working card leaves: -20 to 150 °C (shutdown stands near 100 °C), 0 to 2,000 W for
one card (the largest are built for 1,400 W), 0 to 1 utilisation. A power that is the same in ten readings or more while
the utilisation swings by more than half is frozen (a guess); fewer readings prove nothing.
"""

from __future__ import annotations

import numpy as np

from tools.detectors._rows import Row, find_rows
from tools.types import Facts, Finding

FAULTS = frozenset({"sensor_invalid"})

DETECTOR = "sensor_sanity"
RANGES: dict[str, tuple[float, float]] = {
    "gpu_temperature_celsius": (-20.0, 150.0),
    "gpu_memory_temperature_celsius": (-20.0, 150.0),
    "gpu_power_watts": (0.0, 2000.0),
    "gpu_utilization_ratio": (0.0, 1.0),
}
FROZEN_READINGS = 10
SWING_RATIO = 0.5
_POWER, _LOAD = "gpu_power_watts", "gpu_utilization_ratio"


def detect(facts: Facts) -> list[Finding]:
    """Report the first impossible reading of every GPU, else a power that does not follow the load."""
    findings = [_read_ranges(row) or _read_frozen(row) for row in find_rows(facts, "gpu")]
    return [finding for finding in findings if finding is not None]


def is_possible(signal: str, reading: float) -> bool:
    """Say whether a reading lies inside of what the signal can be."""
    low, high = RANGES.get(signal, (float("-inf"), float("inf")))
    return low <= reading <= high


def _read_ranges(row: Row) -> Finding | None:
    for signal, (low, high) in RANGES.items():
        reading = row.latest(signal)
        if reading is not None and not is_possible(signal, reading):
            note = f"{reading:g} is no possible reading of {signal} ({low:g} to {high:g})"
            return _build(row, signal, 2.0, note, {signal: reading, "lowest": low, "highest": high}, settles=True)
    return None


def _read_frozen(row: Row) -> Finding | None:
    power, load = row.window.values.get(_POWER), row.window.values.get(_LOAD)
    if power is None or load is None:
        return None
    both = ~np.isnan(power[row.number]) & ~np.isnan(load[row.number])
    watts, loads = power[row.number][both], load[row.number][both]
    if len(watts) < FROZEN_READINGS or np.ptp(watts) > 0 or np.ptp(loads) <= SWING_RATIO:
        return None
    swing = float(np.ptp(loads))
    note = f"{watts[0]:.2f} W in all of {len(watts)} readings while the utilisation swings by {swing:.0%}"
    values = {_POWER: float(watts[0]), "readings": float(len(watts)), "swing_ratio": swing}
    return _build(row, _POWER, swing / SWING_RATIO, note, values, settles=False)


def _build(row: Row, signal: str, score: float, note: str, values: dict[str, float], *, settles: bool) -> Finding:
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="sensor_invalid",
        severity="warning",
        score=round(score, 3),
        quotes=row.window.quotes_of(row.number, signal),
        values=values,
        settles=settles,
        start=start,
        end=end,
        note=note,
    )
