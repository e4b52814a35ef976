"""GPUs at work whose clock stays far below its maximum though the driver gives no reason for it.

A GPU that computes runs near its maximum unless a clock event reason holds it down (NVML API reference). Any reason
that is told is an explanation; where it is the setting of application clocks alone, and the peers run free, somebody
configured this GPU otherwise. Guesses: work is a utilisation above 0.5, far below is
less than half of the maximum, and where half of the loaded peers are as low it is a setting of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tools.detectors._rows import Row, find_rows, measure_peers
from tools.types import Facts, Finding

FAULTS = frozenset({"gpu_clock_stuck", "config_drift"})

DETECTOR = "gpu_clock"
LOADED_RATIO = 0.5
STUCK_RATIO = 0.5
ALONE_SCORE = 0.7
"""Factor where no loaded peer shows what the clock should be (a guess)."""
APPLICATION_CLOCKS = 0x2
_CLOCK, _CLOCK_MAX = "gpu_sm_clock_hertz", "gpu_sm_clock_max_hertz"
_LOAD, _REASONS = "gpu_utilization_ratio", "gpu_clock_event_reasons"
_SHOWN = (_CLOCK, _CLOCK_MAX, _LOAD, _REASONS, "gpu_power_watts", "gpu_temperature_celsius")


def detect(facts: Facts) -> list[Finding]:
    """Report loaded GPUs at less than half of their clock without a reason, and without peers that are as slow."""
    rows = list(find_rows(facts, "gpu"))
    return [finding for row in rows if (finding := _read_row(row, rows)) is not None]


def _read_row(row: Row, rows: Sequence[Row]) -> Finding | None:
    ratio = _loaded_ratio(row)
    if ratio is None or ratio >= STUCK_RATIO or row.latest(_REASONS) not in (None, 0, APPLICATION_CLOCKS):
        return None
    peers = measure_peers(row, rows, _loaded_ratio)
    if peers and median(peers) < STUCK_RATIO:
        return None
    if row.latest(_REASONS) == APPLICATION_CLOCKS:
        note = f"application clocks hold it at {ratio:.0%} of the highest clock; its loaded peers run free"
        return _build(row, "config_drift", STUCK_RATIO / ratio, note) if peers else None
    if not peers and row.latest(_REASONS) is None:
        return None
    told = "no reason is set" if row.latest(_REASONS) is not None else "the reasons are not told"
    beside = f", its loaded peers at {median(peers):.0%}" if peers else "; no loaded peer to compare with"
    note = f"{ratio:.0%} of the highest clock at {row.recent(_LOAD):.0%} utilisation, and {told}{beside}"
    return _build(row, "gpu_clock_stuck", STUCK_RATIO / ratio * (1.0 if peers else ALONE_SCORE), note)


def _loaded_ratio(row: Row) -> float | None:
    """Share of the highest clock at which a GPU works; None where it does not work or a reading is missing."""
    load, clock, highest = row.recent(_LOAD), row.recent(_CLOCK), row.recent(_CLOCK_MAX)
    return clock / highest if load is not None and load > LOADED_RATIO and clock and highest else None


def _build(row: Row, fault: str, score: float, note: str) -> Finding:
    values = {signal: value for signal in _SHOWN if (value := row.latest(signal)) is not None}
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint=fault,
        severity="warning",
        score=round(score, 3),
        quotes=row.window.quotes_of(row.number, *values),
        values={**values, "threshold_ratio": STUCK_RATIO},
        start=start,
        end=end,
        note=note,
    )
