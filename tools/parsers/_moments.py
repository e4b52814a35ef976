"""Moments of log lines: wall clocks with and without zone or year."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from tools.types import NO_MOMENT, Moment

MONTHS = {
    m: i
    for i, m in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1)
}
DAY_SECONDS = 86_400.0


def wall_seconds(date: tuple[int, int, int], clock: str, fraction: str | None) -> float | None:
    """Seconds of a wall clock time read as if it were UTC; None where no calendar has that day or hour."""
    day = _day_seconds(*date)
    hour, minute, second = int(clock[:2]), int(clock[3:5]), int(clock[6:8])
    if day is None or hour > 23 or minute > 59 or second > 60:
        return None
    return day + hour * 3600 + minute * 60 + second + (float(f"0.{fraction}") if fraction else 0.0)


@lru_cache(maxsize=1024)
def _day_seconds(year: int, month: int, day: int) -> float | None:
    try:
        return datetime(year, month, day, tzinfo=UTC).timestamp()
    except ValueError:
        return None


@lru_cache(maxsize=512)
def guess_year(month: int, day: int) -> int:
    """The latest year in which a day without a year is not in the future (one day is granted for zones)."""
    now = datetime.now(UTC)
    when = _day_seconds(now.year, month, day)
    return now.year if when is None or when <= now.timestamp() + DAY_SECONDS else now.year - 1


def local_moment(month: str, day: str, year: str | None, clock: str, fraction: str | None) -> Moment:
    """A moment of a wall clock without zone; without a year, the year is a guess and says so."""
    number = MONTHS[month]
    date = int(year) if year else guess_year(number, int(day)), number, int(day)
    seconds = wall_seconds(date, clock, fraction)
    return NO_MOMENT if seconds is None else Moment("local", seconds, year is not None)


def yearless_moment(month: str, day: str, clock: str) -> Moment:
    """The same without year and fraction, for the form that most lines of most logs have."""
    hour, minute, second = int(clock[:2]), int(clock[3:5]), int(clock[6:])
    start = _yearless_day(month, day)
    if start is None or hour > 23 or minute > 59 or second > 60:
        return NO_MOMENT
    return Moment("local", start + hour * 3600 + minute * 60 + second, year_known=False)


@lru_cache(maxsize=512)
def _yearless_day(month: str, day: str) -> float | None:
    number = MONTHS[month]
    return _day_seconds(guess_year(number, int(day)), number, int(day))


def iso_moment(match: re.Match[str]) -> Moment:
    """A moment of an ISO 8601 time, with zone on the UTC clock, without on the local one."""
    year, month, day = (int(part) for part in match["date"].split("-"))
    seconds = wall_seconds((year, month, day), match["clock"], match["fraction"])
    if seconds is None:
        return NO_MOMENT
    zone = match["zone"]
    if zone is None:
        return Moment("local", seconds)
    return Moment("utc", seconds - _offset_seconds(zone))


def _offset_seconds(zone: str) -> float:
    if zone in ("Z", "UTC", "GMT"):
        return 0.0
    sign = -1 if zone[0] == "-" else 1
    digits = zone[1:].replace(":", "")
    return float(sign * (int(digits[:2]) * 3600 + int(digits[2:]) * 60))
