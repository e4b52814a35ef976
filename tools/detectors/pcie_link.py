"""PCIe links of GPUs that run narrower or slower than GPU and slot can.

A link keeps its width whatever the load; its generation falls while the GPU idles (NVML API reference), so a low
generation counts only under load. Guesses: a GPU works above 0.1 utilisation; 1000 packets sent again since a reset are
worth a second reading (DCGM warns above 8 a minute).
"""

from __future__ import annotations

from tools.detectors._rows import Row, find_rows
from tools.types import Facts, Finding

FAULTS = frozenset({"pcie_link_degraded"})

DETECTOR = "pcie_link"
LOADED_RATIO = 0.1
MANY_REPLAYS = 1000.0
_WIDTH, _WIDTH_MAX = "gpu_pcie_width_lanes", "gpu_pcie_width_max_lanes"
_REPLAYS = "gpu_pcie_replay_total"
_GENERATION, _GENERATION_MAX = "gpu_pcie_generation", "gpu_pcie_generation_max"


def detect(facts: Facts) -> list[Finding]:
    """Report a width below the maximum, and a generation below the maximum under load."""
    return [finding for row in find_rows(facts, "gpu") if (finding := _read_link(row)) is not None]


def _read_link(row: Row) -> Finding | None:
    width, widest = row.recent(_WIDTH), row.recent(_WIDTH_MAX)
    if width and widest and width < widest:
        return _build(row, widest / width, f"{width:.0f} of {widest:.0f} lanes", (_WIDTH, _WIDTH_MAX), settles=True)
    generation, best = row.recent(_GENERATION), row.recent(_GENERATION_MAX)
    load = row.recent("gpu_utilization_ratio")
    if generation and best and generation < best and load is not None and load > LOADED_RATIO:
        note = f"generation {generation:.0f} of {best:.0f} at {load:.0%} utilisation"
        return _build(row, best / generation, note, (_GENERATION, _GENERATION_MAX), settles=False)
    return _read_replays(row)


def _read_replays(row: Row) -> Finding | None:
    replays = row.latest(_REPLAYS)
    if replays is None or replays < MANY_REPLAYS:
        return None
    note = (
        f"{replays:.0f} packets were sent again since the last reset: a count is no rate, and width and speed are full"
    )
    return _build(row, 0.5, note, (_REPLAYS,), settles=False)


def _build(row: Row, score: float, note: str, signals: tuple[str, ...], *, settles: bool) -> Finding:
    shown = (_WIDTH, _WIDTH_MAX, _GENERATION, _GENERATION_MAX, "gpu_utilization_ratio", "gpu_pcie_replay_total")
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="pcie_link_degraded",
        severity="warning",
        score=round(score, 3),
        quotes=row.window.quotes_of(row.number, *signals),
        values={signal: value for signal in shown if (value := row.latest(signal)) is not None},
        settles=settles,
        start=start,
        end=end,
        note=note,
    )
