"""Collect what a source sees over a while: several readings put together as if they were one.

Readings of the same things become one window over time. An event that is seen again (a line that still stands in the
ring buffer, an array that still lacks a member) is kept once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tools.types import Coverage, Entity, Event, Facts, ReadStatus, Source, Window

_BADNESS: dict[ReadStatus, int] = {"not_applicable": 0, "read": 0, "partial": 1, "missing": 2}

_WindowKey = tuple[tuple[Entity, ...], tuple[str, ...], str]
_EventKey = tuple[str, str, str, str]


class Readings:
    """Puts readings together as they come.

    Args:
        every_seconds: Nominal distance of two readings.
    """

    def __init__(self, *, every_seconds: float) -> None:
        self.count = 0
        self._every_seconds = every_seconds
        self._windows: dict[_WindowKey, list[Window]] = {}
        self._events: list[Event] = []
        self._seen: Counter[_EventKey] = Counter()
        self._coverage: dict[tuple[str, str], list[Coverage]] = {}
        self._last = Facts()
        self._entities: dict[Entity, None] = {}

    def add(self, facts: Facts) -> None:
        """Add the next reading."""
        self.count += 1
        self._last = facts
        for window in facts.windows:
            parts = self._windows.setdefault((window.entities, tuple(window.values), window.clock), [])
            if parts:
                parts[-1] = _slim(parts[-1])
            parts.append(window)
        self._add_events(facts.events)
        self._add_coverage(facts.coverage)
        self._entities.update(dict.fromkeys(facts.entities))

    def build_facts(self) -> Facts:
        """Put together what was added; inventory, links and subject are those of the last reading."""
        return replace(
            self._last,
            windows=tuple(_join(parts, self._every_seconds) for parts in self._windows.values()),
            events=tuple(self._events),
            entities=tuple(self._entities),
            coverage=tuple(row for rows in self._coverage.values() for row in rows),
        )

    def _add_events(self, events: tuple[Event, ...]) -> None:
        # A line may truly stand twice in one reading (a burst without times): as often as in the fullest reading.
        counts: Counter[_EventKey] = Counter()
        for event in events:
            # Without the line number: the ring buffer forgets its first lines, and the others move up.
            key = (event.code, str(event.entity), event.quote.source, event.quote.text)
            counts[key] += 1
            if counts[key] > self._seen[key]:
                self._events.append(event)
        self._seen |= counts

    def _add_coverage(self, coverage: tuple[Coverage, ...]) -> None:
        now: dict[tuple[str, str], list[Coverage]] = {}
        for row in coverage:
            now.setdefault((row.entity, row.domain), []).append(row)
        for key, rows in now.items():
            # What could once not be read stays told, for the readings have a hole there.
            if key not in self._coverage or _worst(rows) >= _worst(self._coverage[key]):
                self._coverage[key] = rows


def _worst(rows: list[Coverage]) -> int:
    return max(_BADNESS[row.status] for row in rows)


def _slim(window: Window) -> Window:
    """Drop what only the last reading needs: the lines of a day of readings would not fit the memory."""
    return replace(window, reasons={}, quotes={}, signal_quotes={})


def _join(parts: list[Window], every_seconds: float) -> Window:
    last = parts[-1]
    if len(parts) == 1:
        return last
    return replace(
        last,
        times=np.concatenate([part.times for part in parts]),
        values={name: np.concatenate([part.values[name] for part in parts], axis=1) for name in last.values},
        step_seconds=every_seconds,
    )


def collect_readings(
    source: Source,
    *,
    seconds: float,
    every_seconds: float,
    progress: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Readings:
    """Read a source once, and again at each interval until the time is over.

    Ctrl-C ends it early; what was read until then is kept, unless that is nothing.

    Args:
        source: What is read.
        seconds: How long; 0 for a single reading.
        every_seconds: From the start of one reading to the start of the next.
        progress: Called with the number of readings after each.
        clock: Seconds that only go forward.
        sleep: Waits for so many seconds.
    """
    readings = Readings(every_seconds=every_seconds)
    started = clock()
    try:
        while True:
            readings.add(source.read_facts())
            if progress is not None:
                progress(readings.count)
            # A reading that took longer than the interval skips the turns that it missed.
            turn = int((clock() - started) / every_seconds) + 1
            if turn * every_seconds > seconds:
                return readings
            sleep(max(0.0, started + turn * every_seconds - clock()))
    except KeyboardInterrupt:
        if not readings.count:
            raise
        return readings
