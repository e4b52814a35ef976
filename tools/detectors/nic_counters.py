"""Error counters of network ports: rates where they are known, else counts since somebody cleared them.

Sources: the InfiniBand architecture's bit-error rate of 1e-12 allows 120 symbol errors an hour; more than 10 a second,
or 5 link recoveries a minute, is a degraded link for fleet health checks of large InfiniBand clusters. infiniband-diags
reports a count from 10 on unless told otherwise. A single reading of a counter is no rate: it stays a weak sign,
however large, since nobody knows whether it grew today or at the installation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from tools.detectors._rows import Row, find_rows
from tools.types import Facts, Finding

DETECTOR = "nic_counters"
FAULTS = frozenset({"nic_link_degraded"})
AGE_SIGNAL = "nic_counter_age_seconds"
BER_SIGNAL = "nic_effective_ber_ratio"
BER_LIMIT = 1e-12
REPORTED_COUNT = 10.0
FULL_COUNT = 65535.0
"""Where the 16-bit counter of symbol errors stops (InfiniBand PortCounters): it counted for long, and much."""
REPORTED_SHARE = 1e-5
"""Errors of an Ethernet port below this share of its packets are those of years (a guess)."""
MIN_SECONDS = 10.0
"""Below it two readings are too near for a rate (a guess)."""


class _Limit(NamedTuple):
    signal: str
    per_second: float
    words: str


LIMITS = (
    _Limit("nic_symbol_errors_total", 120 / 3600, "symbol errors"),
    _Limit("nic_link_recoveries_total", 5 / 60, "link recoveries"),
    _Limit("nic_effective_errors_total", 120 / 3600, "errors that correction did not repair"),
    _Limit("nic_crc_errors_total", 120 / 3600, "damaged frames"),
)
COUNTED = (
    ("nic_symbol_errors_total", "symbol errors"), ("nic_link_recoveries_total", "link recoveries"),
    ("nic_link_downed_total", "losses of the link"), ("nic_receive_errors_total", "receive errors"),
    ("nic_integrity_errors_total", "link integrity errors"), ("nic_crc_errors_total", "damaged frames"),
)  # fmt: skip


def detect(facts: Facts) -> list[Finding]:
    """Report each port once: a rate beyond its limit, a bit-error rate, or counts that want a second look."""
    findings = (next(_read_signs(row), None) for row in find_rows(facts, "nic"))
    return [finding for finding in findings if finding is not None]


def _read_signs(row: Row) -> Iterator[Finding]:
    for limit in LIMITS:
        rate = _measure_rate(row, limit.signal)
        if rate is not None and rate > limit.per_second:
            note = f"{rate * 3600:.3g} {limit.words} an hour, above {limit.per_second * 3600:.3g}"
            yield _build(row, rate / limit.per_second, note, limit.signal, {"rate_per_second": rate})
    ratio = row.latest(BER_SIGNAL)
    if ratio is not None and ratio > BER_LIMIT:
        note = f"bit-error rate {ratio:.1e} behind the correction, above {BER_LIMIT:.0e}"
        yield _build(row, math.log10(ratio / BER_LIMIT) + 1, note, BER_SIGNAL, {})
    counted = [(words, value, signal) for signal, words in COUNTED if (value := row.latest(signal)) is not None]
    packets = row.latest("nic_receive_packets_total") or 0.0
    least = max(REPORTED_COUNT, packets * REPORTED_SHARE)
    counted = [entry for entry in counted if entry[1] >= least and _measure_rate(row, entry[2]) is None]
    if counted:
        told = ", ".join(f"{value:.0f} {words}" for words, value, _ in counted)
        note = f"{told} since the counters were cleared: a count is no rate, read it again in an hour"
        is_full = row.latest("nic_symbol_errors_total") == FULL_COUNT
        yield _build(row, 1.0 if is_full else 0.5, note, counted[0][2], {})


def _measure_rate(row: Row, signal: str) -> float | None:
    """Errors a second, from two readings apart in time or from the age of the counters; None where neither is told."""
    values, times = row.window.values.get(signal), row.window.times
    if values is None:
        return None
    told = [(time, value) for time, value in zip(times, values[row.number], strict=True) if not math.isnan(value)]
    if len(told) > 1 and told[-1][0] - told[0][0] >= MIN_SECONDS and told[-1][1] >= told[0][1]:
        return float((told[-1][1] - told[0][1]) / (told[-1][0] - told[0][0]))
    age, count = row.latest(AGE_SIGNAL), row.latest(signal)
    return count / age if age is not None and age >= MIN_SECONDS and count is not None else None


def _build(row: Row, score: float, note: str, signal: str, values: dict[str, float]) -> Finding:
    start, end = row.span
    shown = {name: value for name, _ in COUNTED if (value := row.latest(name)) is not None}
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="nic_link_degraded",
        severity="warning",
        score=round(score, 3),
        quotes=row.window.quotes_of(row.number, signal),
        values={**shown, **values, "threshold_count": REPORTED_COUNT},
        start=start,
        end=end,
        note=note,
    )
