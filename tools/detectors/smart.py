"""What a drive says of itself: self-assessment, critical warning, spare, wear, media errors, interface errors.

Meanings: NVMe base specification (critical warning bits, available spare below its threshold, percentage used, which
may pass 100) and ATA SMART. Any media error is one too many for a drive of a compute node. Guesses: wear from 1.0 on is
worn out but still at work (score 1.0 there), 10 reallocated sectors or 100 interface errors are worth a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tools.detectors._rows import Row, find_rows
from tools.types import Facts, Finding, Severity

FAULTS = frozenset({"disk_link_error", "disk_media_error", "disk_wearout"})

DETECTOR = "smart"
WORN_RATIO = 1.0
MANY_REALLOCATED = 10.0
MANY_CRC_ERRORS = 100.0
CRITICAL_BITS = {
    0x1: "spare below threshold", 0x2: "temperature beyond a threshold", 0x4: "reliability degraded",
    0x8: "read only", 0x10: "volatile memory backup failed", 0x20: "persistent memory unreliable",
}  # fmt: skip
_SHOWN = (
    "disk_smart_failed", "disk_critical_warning", "disk_spare_ratio", "disk_spare_threshold_ratio", "disk_wear_ratio",
    "disk_media_errors_total", "disk_crc_errors_total", "disk_reallocated_sectors_total",
)  # fmt: skip


class _Sign(NamedTuple):
    fault: str
    severity: Severity
    score: float
    signals: tuple[str, ...]
    note: str
    settles: bool = False


def detect(facts: Facts) -> list[Finding]:
    """Report the signs of every drive, the gravest of each fault."""
    findings: list[Finding] = []
    for row in find_rows(facts, "disk"):
        by_fault: dict[str, _Sign] = {}
        for sign in _read_signs(row):
            by_fault.setdefault(sign.fault, sign)
        findings += [_build(row, sign) for sign in by_fault.values()]
    return findings


def _read_signs(row: Row) -> Iterator[_Sign]:
    if row.latest("disk_smart_failed"):
        note = "the drive's own assessment is that it fails"
        yield _Sign("disk_wearout", "critical", 2.0, ("disk_smart_failed",), note, settles=True)
    warning = int(row.latest("disk_critical_warning") or 0)
    if warning & ~0x2:
        words = ", ".join(text for bit, text in CRITICAL_BITS.items() if warning & bit) or "unknown bit"
        yield _Sign("disk_wearout", "critical", 2.0, ("disk_critical_warning",), f"critical warning: {words}", True)
    spare, threshold = row.latest("disk_spare_ratio"), row.latest("disk_spare_threshold_ratio")
    if spare is not None and threshold is not None and spare < threshold:
        note = f"spare {spare:.0%} is below its threshold {threshold:.0%}"
        yield _Sign("disk_wearout", "critical", 2.0, ("disk_spare_ratio", "disk_spare_threshold_ratio"), note, True)
    yield from _read_media(row)
    wear = row.latest("disk_wear_ratio")
    if wear is not None and wear >= WORN_RATIO:
        note = f"{wear:.0%} of the rated endurance is used; the drive still works"
        yield _Sign("disk_wearout", "warning", wear / WORN_RATIO, ("disk_wear_ratio",), note)
    crc = row.latest("disk_crc_errors_total")
    if crc is not None and crc >= MANY_CRC_ERRORS:
        note = f"{crc:.0f} interface errors over the drive's life, cable or backplane: see whether they rise"
        yield _Sign("disk_link_error", "info", 1.0, ("disk_crc_errors_total",), note)


def _read_media(row: Row) -> Iterator[_Sign]:
    errors = row.latest("disk_media_errors_total")
    if errors:
        note = f"{errors:.0f} media errors"
        if row.latest("disk_smart_failed") == 0.0:
            note += ", though the drive's own assessment is that it is healthy"
        yield _Sign("disk_media_error", "warning", 1.0 + min(errors, 100) / 100, ("disk_media_errors_total",), note)
    moved = row.latest("disk_reallocated_sectors_total")
    if moved is not None and moved >= MANY_REALLOCATED:
        note = f"{moved:.0f} sectors were reallocated"
        yield _Sign("disk_wearout", "warning", 1.0, ("disk_reallocated_sectors_total",), note)


def _build(row: Row, sign: _Sign) -> Finding:
    start, end = row.span
    quotes = row.window.quotes_of(row.number, *sign.signals)
    if sign.fault == "disk_media_error" and row.latest("disk_smart_failed") == 0.0:
        quotes = tuple(dict.fromkeys((*quotes, *row.window.quotes_of(row.number, "disk_smart_failed"))))
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint=sign.fault,
        severity=sign.severity,
        score=round(sign.score, 3),
        quotes=quotes,
        values={signal: value for signal in _SHOWN if (value := row.latest(signal)) is not None},
        settles=sign.settles,
        start=start,
        end=end,
        note=sign.note,
    )
