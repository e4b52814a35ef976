"""What detectors share: rows of windows, their recent readings and their times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tools.entities import same_node
from tools.types import Entity, EntityKind, Facts, Moment, Window

RECENT_COLUMNS = 5
"""Readings whose median is the present: one peak is no state (a guess)."""


class Row(NamedTuple):
    """One entity in one window."""

    window: Window
    number: int
    entity: Entity

    def latest(self, signal: str) -> float | None:
        """The last reading, None where it is missing."""
        return self.window.latest(self.number, signal)

    def recent(self, signal: str) -> float | None:
        """The median of the last five readings, None where all are missing."""
        array = self.window.values.get(signal)
        if array is None:
            return None
        readings = array[self.number, -RECENT_COLUMNS:]
        readings = readings[~np.isnan(readings)]
        return float(np.median(readings)) if len(readings) else None

    def reason(self, signal: str) -> str:
        """Why a reading is missing, or what is to be known about it; empty where nothing is."""
        return self.window.reasons.get((self.number, signal), "")

    @property
    def span(self) -> tuple[Moment, Moment]:
        """Time of the first of the recent readings and of the last."""
        times = self.window.times[-RECENT_COLUMNS:]
        if not len(times) or np.isnan(times[-1]):
            return Moment(), Moment()
        first = next(float(time) for time in times if not math.isnan(time))
        return Moment(self.window.clock, first), Moment(self.window.clock, float(times[-1]))


def find_rows(facts: Facts, kind: EntityKind) -> Iterator[Row]:
    """Iterate over all rows of a kind, windows in order."""
    for window in facts.windows:
        for number, entity in enumerate(window.entities):
            if entity.kind == kind:
                yield Row(window, number, entity)


def measure_peers(row: Row, rows: Sequence[Row], measure: Callable[[Row], float | None]) -> list[float]:
    """What is measured on the other entities of the same node; those on which it is not known are left out."""
    peers = (peer for peer in rows if peer.entity != row.entity and same_node(peer.entity.node, row.entity.node))
    return [value for peer in peers if (value := measure(peer)) is not None]
