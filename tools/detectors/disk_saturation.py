"""Disks that are saturated, and the guest that saturates them.

A device is saturated where utilisation, queue and await are high *together*. Utilisation alone only says that at least
one request was open (iostat(1)): an NVMe drive at 100 % with an await of 0.1 ms serves many at once and is not
saturated. A guest is the culprit where it holds more than half of a measure and at least twice what the next one holds,
in two of three measures (bytes, requests, waiting requests). Guests are known by a map of block devices; where it names
nobody, containers, units, jobs and process trees are, by what the kernel counts for each. All thresholds are guesses:
utilisation 0.9, or 0.8 where queue and await are three times what they need to be; a queue of 2; an await of 20 ms (a
disk arm's worst seek and turn), 5 ms where it is NVMe or serves more than an arm can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from statistics import median
from typing import NamedTuple

from tools.detectors._consumer_shares import ConsumerMap
from tools.detectors._guest_shares import MEASURES, DiskMap, GuestUse, sum_measure
from tools.detectors._rows import RECENT_COLUMNS, Row, find_rows
from tools.detectors.disk_stuck import is_stuck
from tools.entities import same_node
from tools.parsers.iostat import MAYBE_SINCE_BOOT, SINCE_BOOT
from tools.types import Entity, Facts, Finding, Quote

FAULTS = frozenset({"io_noisy_neighbor", "io_saturated"})

DETECTOR = "disk_saturation"
BUSY_RATIO = 0.9
BURSTY_RATIO, BURST_FACTOR = 0.8, 3.0
LONG_QUEUE = 2.0
SLOW_SECONDS = 0.02
SLOW_FLASH_SECONDS = 0.005
ARM_REQUESTS_PER_SECOND = 1000.0
"""What no disk arm can do: above it the device is flash, or an array."""
HALF, TWICE = 0.5, 2.0
OLD_FACTORS = {SINCE_BOOT: 0.5, MAYBE_SINCE_BOOT: 0.8}
"""What a score is worth where the readings are averages since boot, or may be (a guess)."""
_UTIL, _QUEUE = "disk_utilization_ratio", "disk_queue_length"
_RATES = ("disk_reads_per_second", "disk_writes_per_second")
_AWAITS = ("disk_read_await_seconds", "disk_write_await_seconds")
_PAST = (_UTIL, *_RATES, *_AWAITS)
_BEFORE = "disk_await_before_seconds"


class _Pressure(NamedTuple):
    """How hard a device is pressed; the score is the least of what each reading is over its threshold."""

    util: float
    queue: float
    wait_seconds: float
    slow_seconds: float

    @property
    def score(self) -> float:
        # Utilisation cannot pass 1.0, so it is a gate and not a measure of how much.
        pressed = min(self.queue / LONG_QUEUE, self.wait_seconds / self.slow_seconds)
        # A device that was idle for a while between bursts may wait as badly in them.
        gate = BURSTY_RATIO if pressed >= BURST_FACTOR else BUSY_RATIO
        return 0.0 if self.util < gate else pressed


class _Culprit(NamedTuple):
    use: GuestUse
    share: float
    next_share: float
    measures: int


class _Past(NamedTuple):
    """How long a request took before, and since when that is."""

    wait_seconds: float
    word: str
    quotes: tuple[Quote, ...] = ()


class _Suspects(NamedTuple):
    """Who uses a disk, and the one who holds most of it where there is one."""

    uses: Sequence[GuestUse]
    culprit: _Culprit | None
    word: str

    @property
    def blamed(self) -> Entity | None:
        return self.culprit.use.guest if self.culprit is not None else None


def detect(facts: Facts) -> list[Finding]:
    """Report every saturated physical disk once, with the guest that holds most of it where there is one."""
    rows = _latest_rows(find_rows(facts, "disk"))
    consumers = ConsumerMap(facts)
    disks = DiskMap(consumers.other_links, rows)
    pressed = [(row, pressure) for row in rows if (pressure := _measure(row)) is not None and pressure.score >= 1.0]
    lower = [pair for pair in pressed if not disks.is_upper(pair[0].entity)]
    # Where the physical disk has no readings, the device above it is all there is.
    chosen = lower or pressed
    if not chosen:
        return list(_list_harmless(rows))
    return [
        _report(row, pressure, _find_suspects(row, disks, consumers, chosen), disks, facts) for row, pressure in chosen
    ]


def _list_harmless(rows: Sequence[Row]) -> Iterator[Finding]:
    """Say why figures that look alarming are not, and what averages since boot can tell."""
    old: list[tuple[Row, _Pressure]] = []
    for row in rows:
        pressure = _measure(row)
        if pressure is None:
            continue
        if is_stuck(row):
            continue
        if row.reason(_UTIL) in OLD_FACTORS:
            old.append((row, pressure))
        elif pressure.util >= BUSY_RATIO:
            wait = f"{pressure.wait_seconds * 1000:.3g} ms with a queue of {pressure.queue:.3g}"
            yield _harmless(row, pressure, f"busy is not saturated: a request takes {wait}")
    if old:
        row, pressure = max(old, key=lambda pair: pair[1].util)
        wait = f"busiest {pressure.util:.2%}, {pressure.wait_seconds * 1000:.3g} ms a request"
        age = "averages since boot" if row.reason(_UTIL) == SINCE_BOOT else "what may be averages since boot"
        yield _harmless(row, pressure, f"{age} show nothing ({wait}); the present is not in them")


def _harmless(row: Row, pressure: _Pressure, note: str) -> Finding:
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="benign",
        severity="info",
        score=1.0,
        quotes=_quotes(row, None),
        values=_values(row, pressure, (), None),
        start=start,
        end=end,
        note=note,
    )


def _latest_rows(rows: Iterator[Row]) -> list[Row]:
    latest: dict[Entity, Row] = {}
    for row in rows:
        if any(row.recent(signal) is not None for signal in (_UTIL, *_RATES, *MEASURES["bytes"])):
            latest[row.entity] = row
    return list(latest.values())


def _measure(row: Row) -> _Pressure | None:
    queue = row.recent(_QUEUE)
    queue = _reckon_queue(row) if queue is None else queue
    util, wait = row.recent(_UTIL), _read_wait(row)
    if util is None or queue is None or wait is None:
        return None
    rate = sum(row.recent(signal) or 0.0 for signal in _RATES)
    is_flash = row.entity.name.startswith("nvme") or rate > ARM_REQUESTS_PER_SECOND
    slow = SLOW_FLASH_SECONDS if is_flash else SLOW_SECONDS
    return _Pressure(util, queue, wait, slow)


def _reckon_queue(row: Row) -> float | None:
    """Mean number of open requests by Little's law: requests a second times their wait."""
    pairs = [(row.recent(rate), row.recent(wait)) for rate, wait in zip(_RATES, _AWAITS, strict=True)]
    known = [rate * wait for rate, wait in pairs if rate is not None and wait is not None]
    return sum(known) if known else None


def _read_wait(row: Row) -> float | None:
    """Mean wait of all requests in the recent readings."""
    return _weigh_waits([row.recent(signal) for signal in _AWAITS], [row.recent(signal) for signal in _RATES])


def _weigh_waits(waits: Sequence[float | None], rates: Sequence[float | None]) -> float | None:
    """Read and write wait weighted by their rates, the longer one where no rate is told."""
    pairs = [
        (wait, 0.0 if rate is None or isnan(rate) else rate)
        for wait, rate in zip(waits, rates, strict=True)
        if wait is not None and not isnan(wait)
    ]
    total = sum(rate for _, rate in pairs)
    if not pairs:
        return None
    if total <= 0:
        return max(wait for wait, _ in pairs)
    return sum(wait * rate for wait, rate in pairs) / total


def _find_suspects(
    row: Row, disks: DiskMap, consumers: ConsumerMap, chosen: Sequence[tuple[Row, _Pressure]]
) -> _Suspects:
    """Ask the map of block devices, then the kernel's own counts, then guess: the first that names a culprit speaks."""
    mapped = disks.list_uses(row.entity, guess=False)
    counted = consumers.list_uses(row, disks)
    alone = sum(same_node(row.entity.node, other.entity.node) for other, _ in chosen) == 1
    guessed = disks.list_uses(row.entity, guess=True) if alone and not mapped and not counted else []
    told = [(uses, word) for uses, word in ((mapped, "guest"), (counted, "consumer"), (guessed, "guest")) if uses]
    tried = [_Suspects(uses, _find_culprit(row, uses), word) for uses, word in told]
    return next((suspects for suspects in tried if suspects.culprit), tried[0] if tried else _Suspects([], None, ""))


def _report(row: Row, pressure: _Pressure, suspects: _Suspects, disks: DiskMap, facts: Facts) -> Finding:
    culprit = suspects.culprit
    before = _find_wait_before(row, facts)
    age = row.reason(_UTIL)
    score = pressure.score * OLD_FACTORS.get(age, 1.0)
    if culprit is not None:
        score = min(score, culprit.share / HALF) * culprit.use.certainty
    values = _values(row, pressure, suspects.uses, culprit, before)
    if culprit is not None:
        values |= _list_victims(suspects, pressure, facts)
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=row.entity,
        fault_hint="io_noisy_neighbor" if culprit is not None else "io_saturated",
        severity="warning",
        score=round(score, 3),
        quotes=(*_quotes(row, culprit), *(before.quotes if before is not None else ())),
        values=values,
        settles=False,
        culprit=suspects.blamed,
        start=start,
        end=end,
        note="; ".join(_notes(suspects, pressure, before, disks, age=age)),
    )


def _find_wait_before(row: Row, facts: Facts) -> _Past | None:
    """How long a request took before: in the earlier reports that were not busy, else on average since boot."""
    window, earlier = row.window, []
    for column in range(max(0, len(window.times) - RECENT_COLUMNS)):
        reading = {name: float(window.values[name][row.number, column]) for name in _PAST if name in window.values}
        wait = _weigh_waits([reading.get(name) for name in _AWAITS], [reading.get(name) for name in _RATES])
        if wait is not None and reading.get(_UTIL, 1.0) < BUSY_RATIO:
            earlier.append(wait)
    if earlier:
        return _Past(float(median(earlier)), "before")
    for other in find_rows(facts, "disk"):
        wait = other.latest(_BEFORE)
        if wait is not None and other.entity == row.entity:
            return _Past(wait, "on average since boot", other.window.quotes_of(other.number))
    return None


def _find_culprit(row: Row, uses: Sequence[GuestUse]) -> _Culprit | None:
    votes: dict[Entity, list[tuple[float, float]]] = {}
    told = 0
    for name, signals in MEASURES.items():
        total = max(_total(row, name, signals), sum(use.sums[name] for use in uses))
        if total <= 0:
            continue
        told += 1
        ranked = sorted(uses, key=lambda use: -use.sums[name])
        shares = [use.sums[name] / total for use in ranked]
        next_share = shares[1] if len(shares) > 1 else 0.0
        if shares and shares[0] > HALF and shares[0] >= TWICE * next_share:
            votes.setdefault(ranked[0].guest, []).append((shares[0], next_share))
    for use in uses:
        agreed = votes.get(use.guest, [])
        if agreed and len(agreed) >= min(2, told):
            share, next_share = max(agreed)
            return _Culprit(use, share, next_share, len(agreed))
    return None


def _total(row: Row, name: str, signals: Sequence[str]) -> float:
    # Requests merge and wait in layers: below the guests' devices their number and queue are others, so those
    # shares are among guests; bytes are the same in every layer, so the host's own traffic counts there.
    return sum_measure([row], signals) if name == "bytes" else 0.0


def _notes(
    suspects: _Suspects, pressure: _Pressure, before: _Past | None, disks: DiskMap, *,
    age: str,
) -> Iterator[str]:  # fmt: skip
    culprit = suspects.culprit
    if age in OLD_FACTORS:
        yield f"the readings {'are' if age == SINCE_BOOT else 'may be'} averages since boot, not the present"
    if culprit is not None:
        yield f"{culprit.use.guest.name} holds {culprit.share:.0%}, the next one {culprit.next_share:.0%}"
        if culprit.use.doubt:
            yield culprit.use.doubt
    elif suspects.uses:
        yield f"no {suspects.word} holds more than half and twice the next"
    elif disks.has_guests:
        yield "no guest's device is known to be part of this disk"
    if before is not None:
        was = f"{before.word} {before.wait_seconds * 1000:.3g} ms"
        yield f"a request takes {pressure.wait_seconds * 1000:.3g} ms, {was}"


def _quotes(row: Row, culprit: _Culprit | None) -> tuple[Quote, ...]:
    quotes = [*row.window.quotes_of(row.number)]
    if culprit is not None:
        for other in culprit.use.rows:
            quotes += other.window.quotes_of(other.number)
        quotes += culprit.use.quotes
    return tuple(dict.fromkeys(quotes))


def _values(
    row: Row, pressure: _Pressure, uses: Sequence[GuestUse], culprit: _Culprit | None, before: _Past | None = None
) -> dict[str, float | str]:
    values: dict[str, float | str] = {
        _UTIL: round(pressure.util, 4),
        _QUEUE: round(pressure.queue, 3),
        "await_seconds": round(pressure.wait_seconds, 6),
        **({"await_before_seconds": round(before.wait_seconds, 6)} if before is not None else {}),
        "threshold_utilization_ratio": BUSY_RATIO,
        "threshold_queue_length": LONG_QUEUE,
        "threshold_await_seconds": pressure.slow_seconds,
    }
    total = max(sum_measure([row], MEASURES["bytes"]), sum(use.sums["bytes"] for use in uses))
    for use in sorted(uses, key=lambda use: -use.sums["bytes"])[:8]:
        values[f"share:{use.guest.name}"] = round(use.sums["bytes"] / total, 4) if total else 0.0
    if culprit is not None:
        values |= {"culprit": culprit.use.guest.name, "share": round(culprit.share, 4)}
        values |= {"next_share": round(culprit.next_share, 4), "measures_agreeing": float(culprit.measures)}
    return values


def _list_victims(suspects: _Suspects, pressure: _Pressure, facts: Facts) -> dict[str, float | str]:
    """Name who else waits, and how long now and before: on devices of their own, else as long as all on the disk."""
    others = [use for use in suspects.uses if use.guest != suspects.blamed and use.is_placed]
    victims = sorted(others, key=lambda use: use.guest.name)
    values: dict[str, float | str] = {"victims": ", ".join(use.guest.name for use in victims)} if victims else {}
    for use in victims[:8]:
        waits = [wait for row in use.rows if (wait := _read_wait(row)) is not None]
        values[f"await_seconds:{use.guest.name}"] = round(max(waits, default=pressure.wait_seconds), 6)
        pasts = [past.wait_seconds for row in use.rows if waits and (past := _find_wait_before(row, facts)) is not None]
        if pasts:
            values[f"await_before_seconds:{use.guest.name}"] = round(max(pasts), 6)
    return values
