"""Clocks: parse times of log forms, order two moments, and say when they cannot be ordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median
from typing import Literal

from tools.entities import same_node
from tools.types import Event, Moment

Order = Literal["before", "after", "unknown"]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far `later` lies behind `earlier`, and how much that can be trusted.

    Attributes:
        seconds: Positive where the second event is later; None where the clocks cannot be compared.
        aligned: True where both are on one clock (or stand in one file); False where the offset is a guess.
        why: Plain words for why they are not aligned; empty otherwise.
    """

    seconds: float | None
    aligned: bool
    why: str = ""


CLOCK_WORDS = {
    "utc": "wall time with zone",
    "local": "wall time without zone",
    "boot": "seconds since boot",
    "none": "no times at all",
}


def measure_distance(first: Event, second: Event) -> Distance:
    """Say how long after `first` the event `second` came.

    Lines of one source are in order even where they carry no time. Seconds since boot compare only within one node.
    A zoned and an unzoned wall clock compare as if the zone were UTC, which is not certain.

    Returns:
        The distance; `seconds` is 0.0-based on line order (a thousandth a line) where a shared source has no times.
    """
    a, b = first.moment, second.moment
    same_source = first.quote.source == second.quote.source
    if a.seconds is not None and b.seconds is not None and a.clock == b.clock:
        return _measure_same_clock(first, second, same_source=same_source)
    if same_source and first.quote.line is not None and second.quote.line is not None:
        return Distance((second.quote.line - first.quote.line) / 1000.0, aligned=True)
    why = f"{first.quote.source} has {CLOCK_WORDS[a.clock]}, {second.quote.source} has {CLOCK_WORDS[b.clock]}"
    if {a.clock, b.clock} == {"utc", "local"} and a.seconds is not None and b.seconds is not None:
        return Distance(b.seconds - a.seconds, aligned=False, why=why)
    return Distance(None, aligned=False, why=why)


def _measure_same_clock(first: Event, second: Event, *, same_source: bool) -> Distance:
    seconds = (second.moment.seconds or 0.0) - (first.moment.seconds or 0.0)
    if first.moment.clock == "boot" and not same_source and not _is_one_host(first.node, second.node):
        return Distance(None, aligned=False, why="two nodes count seconds from two different boots")
    if same_source and first.quote.line is not None and second.quote.line is not None:
        in_line_order = second.quote.line - first.quote.line
        if seconds == 0 or (seconds < 0) != (in_line_order < 0):
            # A clock that jumped, or a tie: the writer's order is what is certain.
            return Distance(in_line_order / 1000.0, aligned=True)
    return Distance(seconds, aligned=True)


def _is_one_host(one: str, other: str) -> bool:
    # A host that is not told could be any other; two that are not told are one machine's texts.
    return one == other or bool(one and other and same_node(one, other))


def settle_years(events: Sequence[Event]) -> list[Event]:
    """Give events without a year the year that brings them nearest to the events which have one.

    Without any such event the guess of the parser stands.
    """
    known = [e.moment.seconds for e in events if e.moment.clock in ("utc", "local") and e.moment.year_known]
    anchors = [seconds for seconds in known if seconds is not None]
    if not anchors:
        return list(events)
    middle = median(anchors)
    return [_settle_year(event, middle) for event in events]


def _settle_year(event: Event, middle: float) -> Event:
    moment = event.moment
    if moment.year_known or moment.seconds is None or moment.clock not in ("utc", "local"):
        return event
    guess = datetime.fromtimestamp(moment.seconds, UTC)
    year = datetime.fromtimestamp(middle, UTC).year
    best = min((_in_year(guess, y) for y in (year - 1, year, year + 1)), key=lambda t: abs(t - middle))
    return replace(event, moment=replace(moment, seconds=best))


def _in_year(time: datetime, year: int) -> float:
    day = 28 if (time.month, time.day) == (2, 29) and not _is_leap(year) else time.day
    return time.replace(year=year, day=day).timestamp()


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def format_moment(moment: Moment) -> str | None:
    """Spell a wall clock moment as RFC 3339 in UTC with milliseconds; None on a clock that is no wall clock."""
    if moment.seconds is None or moment.clock not in ("utc", "local"):
        return None
    return format_time(moment.seconds)


def format_time(seconds: float) -> str:
    """Spell Unix seconds as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
