"""Flags of a GPU that settle a matter by themselves: row remapping, retired pages, errors, what the driver asks for.

Source of the meanings: NVIDIA's GPU memory error management guide (row remapping, page retirement) and the NVML API
reference (recovery action: 0 none, 1 reset, 2 reboot, 3 drain P2P, 4 drain and reset). No threshold is a guess here:
each flag is either set or not, and DCGM fails a GPU of 60 retired pages, of the 64 that there can be.
"""

from __future__ import annotations

from typing import NamedTuple

from tools.detectors._rows import Row, find_rows
from tools.types import Facts, Finding, Severity

FAULTS = frozenset(
    {"gpu_internal_fault", "gpu_memory_remap_failure", "gpu_memory_remap_pending", "gpu_memory_uncorrectable"}
)

DETECTOR = "gpu_flags"
RETIRED_SIGNALS = ("gpu_retired_pages_corrected_total", "gpu_retired_pages_uncorrected_total")
MOST_RETIRED = 60
RECOVERY_SIGNAL = "gpu_recovery_action"
_SRAM_SIGNAL = "gpu_ecc_sram_threshold_exceeded"
RECOVERY_WORDS = {1: "reset the GPU", 2: "reboot the node", 3: "drain peer-to-peer traffic", 4: "drain and reset"}


class _Flag(NamedTuple):
    signal: str
    fault: str
    severity: Severity
    note: str


_FLAGS = (
    _Flag("gpu_row_remap_failure", "gpu_memory_remap_failure", "critical", "a row could not be remapped"),
    _Flag(_SRAM_SIGNAL, "gpu_memory_uncorrectable", "critical", "SRAM error threshold exceeded"),
    _Flag("gpu_ecc_uncorrected_volatile_total", "gpu_memory_uncorrectable", "critical",
          "errors that were not corrected since the driver was loaded"),
    _Flag("gpu_row_remap_pending", "gpu_memory_remap_pending", "warning", "a row waits for a reset to be remapped"),
    _Flag("gpu_retired_pages_pending", "gpu_memory_remap_pending", "warning", "a page waits for a reset to be retired"),
)  # fmt: skip
_BESIDE = (
    "gpu_ecc_corrected_volatile_total", "gpu_ecc_uncorrected_volatile_total", "gpu_row_remap_corrected_total",
    "gpu_row_remap_uncorrected_total", "gpu_row_remap_pending", "gpu_row_remap_failure",
    RECOVERY_SIGNAL,
)  # fmt: skip


def detect(facts: Facts) -> list[Finding]:
    """Report every flag that is set, one finding for each fault of a GPU."""
    findings: list[Finding] = []
    for row in find_rows(facts, "gpu"):
        by_fault: dict[str, Finding] = {}
        for flag in _FLAGS:
            finding = _read_flag(row, flag)
            if finding is not None:
                by_fault.setdefault(flag.fault, finding)
        if (retired := _read_retired(row)) is not None:
            by_fault.setdefault(retired.fault_hint, retired)
        recovery = _read_recovery(row) if not by_fault else None
        findings += [*by_fault.values(), *([recovery] if recovery is not None else [])]
    return findings


def _read_flag(row: Row, flag: _Flag) -> Finding | None:
    reading = row.latest(flag.signal)
    if not reading or reading < 1:
        return None
    return _build(row, flag, settles=True)


def _read_retired(row: Row) -> Finding | None:
    counts = [count for signal in RETIRED_SIGNALS if (count := row.latest(signal)) is not None]
    if sum(counts) < MOST_RETIRED:
        return None
    note = f"{sum(counts):.0f} pages are retired, of the 64 that there can be"
    return _build(row, _Flag(RETIRED_SIGNALS[-1], "gpu_memory_remap_failure", "critical", note), settles=False)


def _read_recovery(row: Row) -> Finding | None:
    reading = row.latest(RECOVERY_SIGNAL)
    words = RECOVERY_WORDS.get(int(reading)) if reading is not None else None
    if words is None:
        return None
    # The driver asks for it without saying why: a fault inside the GPU is the likeliest, not the only reason.
    flag = _Flag(RECOVERY_SIGNAL, "gpu_internal_fault", "critical", f"the driver asks to {words}")
    return _build(row, flag, settles=False)


def _build(row: Row, flag: _Flag, *, settles: bool) -> Finding:
    values = {signal: value for signal in _BESIDE if (value := row.latest(signal)) is not None}
    values[flag.signal] = row.latest(flag.signal) or 0.0
    if row.latest(_SRAM_SIGNAL):
        values["sram_threshold"] = 1.0
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint=flag.fault,
        severity=flag.severity,
        score=1.0,
        quotes=row.window.quotes_of(row.number, flag.signal),
        values={**values, "threshold": 1.0},
        settles=settles,
        start=start,
        end=end,
        note=flag.note,
    )
