"""Collects the readings of a text into one window: rows are entities, columns are reports."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np

from tools.types import Clock, Entity, Quote, Window

MAX_COLUMNS = 720
"""Reports kept: an hour at 5 s. Older ones are dropped, so that a log of days costs no more memory (a guess)."""


class Readings:
    """Readings in the order in which a text tells them.

    Args:
        source: What the window names as its source.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.dropped = 0
        self._columns: deque[tuple[float, dict[tuple[Entity, str], float]]] = deque()
        self._reasons: dict[tuple[Entity, str], str] = {}
        self._quotes: dict[Entity, Quote] = {}
        self._signal_quotes: dict[tuple[Entity, str], Quote] = {}
        self._rows: dict[Entity, int] = {}

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Everything that a reading or a reason was put for, in order."""
        return tuple(self._rows)

    def start_column(self, seconds: float = math.nan) -> None:
        """Begin a new report at a time (Unix seconds, NaN where none is told); one that is still empty is reused."""
        if self._columns and not self._columns[-1][1]:
            before, _ = self._columns.pop()
            seconds = before if math.isnan(seconds) else seconds
        self._columns.append((seconds, {}))
        if len(self._columns) > MAX_COLUMNS:
            self._columns.popleft()
            self.dropped += 1

    @property
    def last_seconds(self) -> float:
        """Time of the present report, NaN where none is told."""
        return self._columns[-1][0] if self._columns else math.nan

    def drop_first_column(self) -> None:
        """Forget the oldest report."""
        self._columns.popleft()

    def drop_empty_tail(self) -> None:
        """Forget a report that was begun and never filled: the text ends there."""
        if self._columns and not self._columns[-1][1]:
            self._columns.pop()

    def has(self, entity: Entity, signal: str) -> bool:
        """Say whether the present report already tells this reading."""
        return bool(self._columns) and (entity, signal) in self._columns[-1][1]

    def has_ever(self, signal: str) -> bool:
        """Say whether any report tells this reading of anything."""
        return any(name == signal for _, cells in self._columns for _, name in cells)

    def put(
        self, entity: Entity, signal: str, value: float | None, *, quote: Quote | None = None, reason: str = ""
    ) -> None:
        """Add a reading to the present report, or the reason why there is none."""
        if not self._columns:
            self.start_column()
        self._rows.setdefault(entity, len(self._rows))
        # A number beyond all measure is none: what is added up or compared later must be finite.
        if value is not None and math.isfinite(value):
            self._columns[-1][1][entity, signal] = value
        if reason:
            self._reasons[entity, signal] = reason
        if quote is not None:
            self._signal_quotes[entity, signal] = quote

    def quote_row(self, entity: Entity, quote: Quote) -> None:
        """Remember the line that the latest reading of an entity came from."""
        self._rows.setdefault(entity, len(self._rows))
        self._quotes[entity] = quote

    def build(self, *, clock: Clock = "none", step_seconds: float | None = None) -> Iterator[Window]:
        """Yield the window, or nothing where no entity was read."""
        if not self._rows:
            return
        columns = [column for column in self._columns if column[1]] or [(math.nan, {})]
        signals = sorted({signal for _, cells in columns for _, signal in cells} | {s for _, s in self._reasons})
        shape = (len(self._rows), len(columns))
        values = {signal: np.full(shape, np.nan) for signal in signals}
        for number, (_, cells) in enumerate(columns):
            for (entity, signal), value in cells.items():
                values[signal][self._rows[entity], number] = value
        yield Window(
            entities=tuple(self._rows),
            times=np.array([seconds for seconds, _ in columns], dtype=np.float64),
            values=values,
            source=self.source,
            step_seconds=step_seconds,
            reasons={(self._rows[e], s): why for (e, s), why in self._reasons.items()},
            quotes={self._rows[e]: quote for e, quote in self._quotes.items()},
            clock=clock,
            signal_quotes={(self._rows[e], s): quote for (e, s), quote in self._signal_quotes.items()},
        )
