"""Corrected memory errors of a GPU that come at an abnormal rate.

Sources: Azure's node health checks fail a GPU at 20,000,000 corrected errors since the driver was loaded, those of
Meta's cluster manager at 50,000,000; the lower one is used here. Guess: a counter that would reach it within a day at
the pace of its first and last reading, at least a minute apart, is as abnormal as one that has.
"""

from __future__ import annotations

import math

from tools.detectors._rows import Row, find_rows
from tools.types import Facts, Finding

FAULTS = frozenset({"gpu_memory_correctable_rising"})

DETECTOR = "gpu_memory_rate"
LIMIT_COUNT = 20_000_000.0
PACE_SECONDS = 86_400.0
MIN_SECONDS = 60.0
_SIGNAL = "gpu_ecc_corrected_volatile_total"


def detect(facts: Facts) -> list[Finding]:
    """Report GPUs whose corrected errors reached the limit, or will within a day at their pace."""
    return [finding for row in find_rows(facts, "gpu") if (finding := _read_row(row)) is not None]


def _read_row(row: Row) -> Finding | None:
    count = row.latest(_SIGNAL)
    if count is None:
        return None
    pace = _measure_pace(row)
    if count >= LIMIT_COUNT:
        return _build(row, count / LIMIT_COUNT, f"{count:,.0f} corrected errors since the driver was loaded", pace)
    if pace is not None and pace * PACE_SECONDS >= LIMIT_COUNT:
        note = f"{pace * 3600:,.0f} corrected errors an hour, now {count:,.0f}"
        return _build(row, pace * PACE_SECONDS / LIMIT_COUNT, note, pace)
    return None


def _measure_pace(row: Row) -> float | None:
    """Errors a second between the first and the last reading; None where time or growth is not told."""
    counts = row.window.values[_SIGNAL][row.number]
    told = [(float(t), float(c)) for t, c in zip(row.window.times, counts, strict=True) if not math.isnan(t + c)]
    if len(told) < 2 or told[-1][0] - told[0][0] < MIN_SECONDS or told[-1][1] < told[0][1]:
        return None
    return (told[-1][1] - told[0][1]) / (told[-1][0] - told[0][0])


def _build(row: Row, score: float, note: str, pace: float | None) -> Finding:
    start, end = row.span
    rate = {} if pace is None else {"errors_per_second": pace}
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="gpu_memory_correctable_rising",
        severity="warning",
        score=round(score, 3),
        quotes=row.window.quotes_of(row.number, _SIGNAL),
        values={_SIGNAL: row.latest(_SIGNAL) or 0.0, **rate, "threshold_count": LIMIT_COUNT},
        start=start,
        end=end,
        note=note,
    )
