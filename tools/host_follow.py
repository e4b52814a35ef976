"""Follow a log as it grows: read what is new, know where to go on, and say what was lost.

A follower reads one place (the ring buffer, the journal, a file) and hands out pieces. Each piece carries the position
behind its last line as a text of the follower's own; who keeps it together with what the lines told, in one
transaction, reads nothing twice and loses nothing, whenever it is killed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Protocol

from tools.host_log import place_in_time
from tools.host_parsers import find_parser
from tools.types import Entity, Event, Line

MAX_PIECE_LINES = 8000
"""Lines of one piece: enough to catch up fast, few enough to be judged at once."""
WINDOW_LINES = 8000
"""Lines behind the last one that are read again with it, as one event may be told by several lines (a guess: about
what the ring buffer holds)."""
_JOINED_LINES = 64
"""Lines that may belong to one event; more than the reader of logs ever joins."""
_EXACT_LINES = 900
"""So many equal events the reader of logs surely tells one by one; of more it keeps the first and the last."""
KEPT_SECONDS = 86_400.0
"""How long an event takes part in the judgement of later ones; after that the history knows it (a guess)."""
MAX_KEPT = 5000
_WEAK_CODES = frozenset({"log:unexplained"})
"""What a text as a whole makes suspicious: a few new lines are no whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What was read at once.

    Attributes:
        lines: Whole lines, each with its number at the place where it was read.
        position: Where to go on behind them.
        gap: What was lost before or between them, in words; empty where nothing was.
        more: Whether there is more to be read without waiting.
    """

    lines: tuple[Line, ...] = ()
    position: str = ""
    gap: str = ""
    more: bool = False


class Follower(Protocol):
    """A place where a log grows.

    Attributes:
        label: What quotes name as their source.
        descriptor: Becomes readable when there is more; None where one has to look again.
        poll_seconds: After how long to look again.
    """

    label: str
    descriptor: int | None
    poll_seconds: float

    def read_context(self) -> Sequence[Line]:
        """Read lines that stand before the position, as far as they are still there; called once, first."""
        ...

    def read(self) -> Piece:
        """Read what is new; never waits."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def read_position(text: str) -> dict[str, Any]:
    """Read a position; what is not one of ours is none."""
    try:
        told = json.loads(text) if text else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def spell_position(**parts: object) -> str:
    """Write a position."""
    return json.dumps(parts, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _Window:
    """Lines as a document."""

    label: str
    node: str
    held: Sequence[Line]

    def lines(self) -> Iterator[Line]:
        return (Line(number, line.text) for number, line in zip(count(1), self.held, strict=False))


class LogTail:
    """The end of a growing log: its events, each once, with what the lines around them say.

    Args:
        label: What quotes name as their source.
        node: Host of the log.
        booted: Unix seconds of the boot, for lines that count from there.
    """

    def __init__(self, label: str, node: str, booted: float | None) -> None:
        self._label, self._node, self._booted = label, node, booted
        self._window: list[Line] = []
        self._base = 0  # how many lines came before the window
        self._kept: dict[tuple[int, str, str], Event] = {}
        self._entities: dict[Entity, None] = {}
        self._beside = 0

    @property
    def events(self) -> tuple[Event, ...]:
        """All events that still count, in the order of their lines."""
        return tuple(self._kept[key] for key in sorted(self._kept))

    def add(self, events: Sequence[Event]) -> tuple[Event, ...]:
        """Take events that came by another way, as if they stood behind the last line."""
        for event in events:
            self._beside += 1
            # A blank sorts before every code of a line; the number keeps two that are equal apart.
            self._kept[self._base + len(self._window) - 1, f" {self._beside:09d}", str(event.entity)] = event
        return tuple(events)

    @property
    def entities(self) -> tuple[Entity, ...]:
        """What the lines named beside events."""
        return tuple(self._entities)

    def take(self, lines: Sequence[Line]) -> tuple[Event, ...]:
        """Read new lines; returns their events."""
        fresh, whole = self._parse(lines)
        if not whole:
            # A storm: only its ends were kept. In small parts each of its events is told.
            fresh = tuple(
                event
                for start in range(0, len(lines), _EXACT_LINES)
                for event in self._parse(lines[start : start + _EXACT_LINES], behind=_JOINED_LINES)[0]
            )
        self._forget()
        return fresh

    def _parse(self, lines: Sequence[Line], behind: int = WINDOW_LINES) -> tuple[tuple[Event, ...], bool]:
        """Read lines with those before them; (their events, whether all of them), unchanged where not all."""
        context = self._window[-behind:]
        base = self._base + len(self._window) - len(context)
        window = [*context, *lines]
        facts = find_parser("kernel_log").parse(_Window(self._label, self._node, window)).facts
        if behind == WINDOW_LINES and _is_storm(facts.events):
            return (), False
        found = {}
        for event in facts.events:
            index = (event.quote.line or 1) - 1
            if event.code not in _WEAK_CODES and index < len(window):
                placed = replace(event, quote=replace(event.quote, line=window[index].number))
                found[base + index, event.code, str(event.entity)] = place_in_time(placed, self._booted)
        # What is read again may be told better now: its other lines have come.
        self._kept = {key: event for key, event in self._kept.items() if key[0] < base or key[1][:1] == " "} | found
        self._entities.update(dict.fromkeys(facts.entities))
        first_new = base + len(context)
        self._window, self._base = window[-WINDOW_LINES:], base + max(0, len(window) - WINDOW_LINES)
        return tuple(event for key, event in sorted(found.items(), key=_by_key) if key[0] >= first_new), True

    def _forget(self) -> None:
        times = [event.moment.seconds for event in self._kept.values() if event.moment.seconds is not None]
        oldest = max(times, default=0.0) - KEPT_SECONDS
        kept = {
            key: event
            for key, event in self._kept.items()
            if event.moment.seconds is None or event.moment.seconds >= oldest
        }
        self._kept = dict(sorted(kept.items(), key=_by_key)[-MAX_KEPT:])


def _is_storm(events: Sequence[Event]) -> bool:
    told = Counter((event.code, event.entity) for event in events)
    return max(told.values(), default=0) > _EXACT_LINES


def _by_key(item: tuple[tuple[int, str, str], Event]) -> tuple[int, str, str]:
    return item[0]
