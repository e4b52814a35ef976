"""Memory of a GPU that nobody holds who can be seen: what dead processes leave behind.

Guesses: more than 500 MiB is no driver's own. Inside of a container no process is ever shown, so that this is a weak
sign, and a GPU that computes is left out altogether.
"""

from __future__ import annotations

from tools.detectors._rows import Row, find_rows
from tools.types import Facts, Finding

FAULTS = frozenset({"gpu_process_leak"})

DETECTOR = "gpu_processes"
HELD_BYTES = 500 * 1024.0**2
_COUNT, _USED, _LOAD = "gpu_process_count", "gpu_memory_used_bytes", "gpu_utilization_ratio"


def detect(facts: Facts) -> list[Finding]:
    """Report idle GPUs whose memory is in use though the list of processes, which was shown, has none of theirs."""
    return [finding for row in find_rows(facts, "gpu") if (finding := _read_row(row)) is not None]


def _read_row(row: Row) -> Finding | None:
    count, used, load = row.latest(_COUNT), row.latest(_USED), row.latest(_LOAD)
    if count != 0 or used is None or used <= HELD_BYTES or load != 0:
        return None
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="gpu_process_leak",
        severity="warning",
        score=0.8,
        quotes=row.window.quotes_of(row.number, _USED),
        values={_USED: used, _COUNT: 0.0, _LOAD: 0.0, "threshold": HELD_BYTES},
        start=start,
        end=end,
        note=f"{used / 1024**2:.0f} MiB are in use, nothing runs, and no process is shown; a container would hide it",
    )
