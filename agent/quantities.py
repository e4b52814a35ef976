"""Numbers in sentences and in evidence: read them with their units, and say whether one bears the other out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# Unit word to (dimension, factor to the base unit). Bits and bytes differ only by case, so keys are case-sensitive;
# words that do not collide are looked up in lower case as well.
UNITS: dict[str, tuple[str, float]] = {
    "ns": ("time", 1e-9), "us": ("time", 1e-6), "\u00b5s": ("time", 1e-6), "ms": ("time", 1e-3), "s": ("time", 1.0),
    "sec": ("time", 1.0), "secs": ("time", 1.0), "second": ("time", 1.0), "seconds": ("time", 1.0),
    "milliseconds": ("time", 1e-3), "min": ("time", 60.0), "mins": ("time", 60.0), "minute": ("time", 60.0),
    "minutes": ("time", 60.0), "h": ("time", 3600.0), "hour": ("time", 3600.0), "hours": ("time", 3600.0),
    "day": ("time", 86400.0), "days": ("time", 86400.0),
    "%": ("ratio", 0.01), "percent": ("ratio", 0.01),
    "c": ("temperature", 1.0), "°c": ("temperature", 1.0), "celsius": ("temperature", 1.0),
    "w": ("power", 1.0), "watt": ("power", 1.0), "watts": ("power", 1.0), "kw": ("power", 1e3), "mw": ("power", 1e-3),
    "hz": ("frequency", 1.0), "khz": ("frequency", 1e3), "mhz": ("frequency", 1e6), "ghz": ("frequency", 1e9),
    "B": ("bytes", 1.0), "bytes": ("bytes", 1.0), "byte": ("bytes", 1.0),
    "kB": ("bytes", 1e3), "KB": ("bytes", 1e3), "MB": ("bytes", 1e6), "GB": ("bytes", 1e9), "TB": ("bytes", 1e12),
    "kib": ("bytes", 2.0**10), "mib": ("bytes", 2.0**20), "gib": ("bytes", 2.0**30), "tib": ("bytes", 2.0**40),
    "B/s": ("byte_rate", 1.0), "kB/s": ("byte_rate", 1e3), "KB/s": ("byte_rate", 1e3), "MB/s": ("byte_rate", 1e6),
    "GB/s": ("byte_rate", 1e9), "kib/s": ("byte_rate", 2.0**10), "mib/s": ("byte_rate", 2.0**20),
    "gib/s": ("byte_rate", 2.0**30),
    "Gb/s": ("bit_rate", 1e9), "Mb/s": ("bit_rate", 1e6), "Gbps": ("bit_rate", 1e9), "Mbps": ("bit_rate", 1e6),
    "gt/s": ("transfer_rate", 1e9), "/s": ("rate", 1.0), "iops": ("rate", 1.0),
}  # fmt: skip
# How the name of a signal or value ends, and the base unit that it is then in; the longest ending wins.
SUFFIXES: tuple[tuple[str, str], ...] = (
    ("_bytes_per_second", "byte_rate"), ("_per_second", "rate"), ("_seconds", "time"), ("_bytes", "bytes"),
    ("_celsius", "temperature"), ("_watts", "power"), ("_hertz", "frequency"), ("_ratio", "ratio"),
)  # fmt: skip
_NUMBER = r"0x[0-9a-fA-F]+|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_UNIT = r"°?[A-Za-z\u00b5]+(?:/s)?|%|/s"
_QUANTITY = re.compile(rf"(?<![\w.])((?<=[\s(=:])[-+]|^[-+])?({_NUMBER})(?:\s?({_UNIT})(?![\w/]))?(?![\w]|\.\d)")
_GLUED = re.compile(rf"(?<![\w.])({_NUMBER})(°?[A-Za-z\u00b5%]+(?:/s)?)(?![\w/])")
# "Timeout(ms)=600000": the unit stands before the number.
_UNIT_FIRST = re.compile(rf"(?:\(({_UNIT})\)|_(ms|us|s|bytes))\s*[=:]\s*({_NUMBER})(?!\w)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: As written, in the unit that is written.
        decimals: Digits shown behind the point.
        dimension: What it measures; empty where no unit stands by it.
        factor: To the base unit of its dimension.
        text: As written.
        start, end: Where it stands in the text.
    """

    value: float
    decimals: int
    dimension: str = ""
    factor: float = 1.0
    text: str = ""
    start: int = 0
    end: int = 0


def parse_quantities(text: str) -> Iterator[Quantity]:
    """Read every number of a text, with the unit that stands behind it or in brackets before it."""
    taken: set[int] = set()
    for match in _UNIT_FIRST.finditer(text):
        taken.add(match.start(3))
        yield _build(match[3], match[1] or match[2], match[0], match.start(3), match.end(3))
    for pattern in (_GLUED, _QUANTITY):
        for match in pattern.finditer(text):
            group = 1 if pattern is _GLUED else 2
            if match.start(group) in taken:
                continue
            unit = match[group + 1] or ""
            if pattern is _GLUED and find_unit(unit) is None:
                continue
            taken.add(match.start(group))
            sign = "" if pattern is _GLUED else match[1] or ""
            known = find_unit(unit) is not None
            yield _build(
                sign + match[group], unit, match[0] if known else match[group], match.start(group), match.end(group)
            )


def read_values(values: Mapping[str, float | str]) -> Iterator[Quantity]:
    """Read the numbers that stand beside a quote; the ending of a name tells the unit."""
    for name, value in values.items():
        if isinstance(value, str):
            yield from parse_quantities(value)
            continue
        dimension = next((kind for ending, kind in SUFFIXES if name.endswith(ending)), "")
        yield Quantity(float(value), 0 if float(value).is_integer() else 9, dimension, 1.0, str(value))


def find_unit(word: str) -> tuple[str, float] | None:
    """Look a unit word up: dimension and factor; None where it is no unit."""
    return UNITS.get(word) or UNITS.get(word.lower())


def bears_out(claimed: Quantity, seen: Iterable[Quantity], *, unit_must_be_seen: bool) -> bool:
    """Say whether any number that was seen is the claimed one.

    Whole numbers in one unit must be equal; otherwise the number that was seen, converted to the claimed unit and
    rounded to the digits that the claim shows, must be the claimed one.

    Args:
        claimed: The number of the claim.
        seen: The numbers of the evidence.
        unit_must_be_seen: True where a bare number in the evidence cannot stand for one with a unit.
    """
    return any(_is_same(claimed, one, unit_must_be_seen) for one in seen)


def _is_same(claimed: Quantity, seen: Quantity, unit_must_be_seen: bool) -> bool:
    if claimed.dimension and seen.dimension:
        if claimed.dimension != seen.dimension:
            return False
        converted = seen.value * seen.factor / claimed.factor
    elif claimed.dimension and unit_must_be_seen:
        return False
    else:
        converted = seen.value
    converted = round(converted, 9)
    if converted.is_integer() and claimed.decimals == 0:
        return converted == claimed.value
    tolerance = 0.5 * 10.0**-claimed.decimals
    # A number that lies just between two of the claim's digits is rounded to either; binary fractions blur it.
    return abs(converted - claimed.value) <= tolerance + 4 * math.ulp(converted)


def _build(number: str, unit: str, text: str, start: int, end: int) -> Quantity:
    plain = number.replace(",", "")
    negative = plain.startswith("-")
    digits = plain.lstrip("+-")
    value = float(int(digits, 16)) if digits.lower().startswith("0x") else float(digits)
    decimals = len(digits.partition(".")[2]) if "." in digits and "e" not in digits.lower() else 0
    dimension, factor = find_unit(unit) or ("", 1.0)
    return Quantity(-value if negative else value, decimals, dimension, factor, text.strip(), start, end)
