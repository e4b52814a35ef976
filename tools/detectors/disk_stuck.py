"""A disk on which requests are open and none is completed: it does not answer, or the kernel counts wrongly.

Utilisation of one second in a second with no request completed is a drive that holds what it was given. Old kernels
are known to lose count of open requests (the queue then stays at one number on an idle disk), so that it settles
nothing. Guesses: utilisation 0.99, one open request at the least.
"""

from __future__ import annotations

from tools.detectors._rows import Row, find_rows
from tools.parsers.iostat import MAYBE_SINCE_BOOT, SINCE_BOOT
from tools.types import Facts, Finding

FAULTS = frozenset({"disk_fail_slow"})

DETECTOR = "disk_stuck"
BUSY_RATIO = 0.99
LEAST_OPEN = 1.0
_UTIL, _QUEUE = "disk_utilization_ratio", "disk_queue_length"
_RATES = ("disk_reads_per_second", "disk_writes_per_second")


def detect(facts: Facts) -> list[Finding]:
    """Report every disk that completes nothing of what is open on it."""
    return [_build(row) for row in find_rows(facts, "disk") if is_stuck(row)]


def is_stuck(row: Row) -> bool:
    """Whether the last reading, which must be of the present, shows open requests and none completed."""
    if row.reason(_UTIL) in (SINCE_BOOT, MAYBE_SINCE_BOOT):
        return False
    util, queue = row.latest(_UTIL), row.latest(_QUEUE)
    rates = [rate for signal in _RATES if (rate := row.latest(signal)) is not None]
    known = util is not None and queue is not None and len(rates) == len(_RATES)
    return known and (util or 0.0) >= BUSY_RATIO and (queue or 0.0) >= LEAST_OPEN and not any(rates)


def _build(row: Row) -> Finding:
    start, end = row.span
    values = {signal: value for signal in (_UTIL, _QUEUE, *_RATES) if (value := row.latest(signal)) is not None}
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="disk_fail_slow",
        severity="warning",
        score=1.0,
        quotes=row.window.quotes_of(row.number, _UTIL),
        values=values,
        start=start,
        end=end,
        note=f"{values[_QUEUE]:.0f} requests are open and none is completed",
    )
