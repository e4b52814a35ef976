"""Reads the dates that iostat prints: ISO with `S_TIME_FORMAT=ISO`, else as the locale has them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tools.types import Clock

_DATE = r"(?P<a>\d{1,4})(?P<separator>[./-]|年)(?P<b>\d{1,2})(?:[./-]|月)(?P<c>\d{1,4})日?"
_TIME = (
    r"(?P<hour>\d{1,2})[:時](?P<minute>\d\d)[:分](?P<second>\d\d)秒?(?:[.,]\d+)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_STAMP = re.compile(rf"^\s*(?:Time:\s*)?(?:{_DATE}[T ,]*\s*)?{_TIME}\s*$")
_DAY = re.compile(rf"^{_DATE}$")


def parse_day(text: str) -> datetime | None:
    """Read the date of iostat's first line; None where it is none."""
    match = _DAY.match(text.strip())
    return _make_day(match) if match else None


def parse_stamp(text: str, *, day: datetime | None) -> tuple[float, Clock] | None:
    """Read the line that `iostat -t` prints above each report.

    Args:
        text: The line.
        day: Date of iostat's first line: stands in where the line has a time only (old sysstat), and tells the order
            of day and month where the line does not.

    Returns:
        Unix seconds and the clock (``utc`` with an offset, else ``local``); None where the line is no time.
    """
    match = _STAMP.match(text)
    if match is None:
        return None
    date = _make_day(match, hint=day) if match["a"] else day
    if date is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
    try:
        time = date.replace(hour=hour, minute=int(match["minute"]), second=min(int(match["second"]), 59))
    except ValueError:
        return None
    if not match["zone"]:
        return time.timestamp(), "local"
    return time.timestamp() - _offset_seconds(match["zone"]), "utc"


def _offset_seconds(zone: str) -> float:
    if zone == "Z":
        return 0.0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return float(-seconds if zone[0] == "-" else seconds)


def _make_day(match: re.Match[str], hint: datetime | None = None) -> datetime | None:
    a, b, c = (int(match[name]) for name in "abc")
    if len(match["a"]) == 4:
        orders = [(a, b, c)]
    else:
        year = c if c > 99 else 2000 + c
        # 24.11. is day first everywhere, 11/24 is month first in the C locale; what cannot be a month decides.
        month_first, day_first = (year, a, b), (year, b, a)
        orders = [day_first, month_first] if match["separator"] == "." else [month_first, day_first]
        if hint is not None:
            orders.sort(key=lambda order: (order[1], order[2]) != (hint.month, hint.day))
    for year, month, day in orders:
        try:
            return datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            continue
    return None
