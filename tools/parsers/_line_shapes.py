"""Sorts out, for a whole block at once, the lines that begin as most lines of most logs do.

Four heads are compared byte by byte for all lines together. What has one of them is a line of known form
(:data:`~tools.parsers._kernel_forms.ANY_HEAD` matches it too, which a test holds); of the others nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HEAD_BYTES = 20
_SPACE, _NEWLINE, _RETURN, _OPEN, _CLOSE, _POINT, _COLON, _DASH = b" \n\r[].:-"
_MONTHS = np.frombuffer(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ", dtype=np.uint32)
_WEEKDAYS = np.frombuffer(b"Mon Tue Wed Thu Fri Sat Sun ", dtype=np.uint32)

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Offsets = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Shapes:
    """The lines of a block.

    Attributes:
        lines: How many there are.
        empty: How many hold nothing but their line end.
        others: Start offsets of the lines that are neither empty nor of a common head, in order.
        known_before: For each of the others, how many lines of a common head stand before it.
        known: How many lines of a common head there are.
    """

    lines: int
    empty: int
    others: list[int]
    known_before: list[int]
    known: int


def find_ends(block: bytes) -> Offsets:
    """Find where the lines of a block end; the last one may lack its line end."""
    content = np.frombuffer(block, dtype=np.uint8)
    ends: Offsets = np.flatnonzero(content == _NEWLINE)
    if content.size and content[-1] != _NEWLINE:
        ends = np.append(ends, content.size)
    return ends


def find_shapes(block: bytes, ends: Offsets | None = None) -> Shapes:
    """Sort the lines of a block by how they begin.

    Args:
        block: Whole lines; the last one may lack its line end.
        ends: Where they end, where :func:`find_ends` was asked before.
    """
    content = np.frombuffer(block, dtype=np.uint8)
    ends = find_ends(block) if ends is None else ends
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts
    empty = lengths == 0
    single = np.flatnonzero(lengths == 1)
    empty[single] = content[starts[single]] == _RETURN
    known = np.zeros(len(starts), dtype=np.bool_)
    long = np.flatnonzero(lengths >= _HEAD_BYTES)
    if long.size:
        known[long] = _is_common(_gather(block, starts[long]))
    others = np.flatnonzero(~(known | empty))
    before = np.cumsum(known)[others] if others.size else others
    return Shapes(len(starts), int(empty.sum()), starts[others].tolist(), before.tolist(), int(known.sum()))


def _gather(block: bytes, starts: NDArray[np.intp]) -> Bytes:
    """The first bytes of the lines, a row for each position in the line."""
    size = len(block) - _HEAD_BYTES + 1
    every: NDArray[np.void] = np.ndarray((size,), dtype=f"V{_HEAD_BYTES}", buffer=block, strides=(1,))
    return every[starts].view(np.uint8).reshape(-1, _HEAD_BYTES)


def _is_common(heads: Bytes) -> Flags:
    columns = np.ascontiguousarray(heads.T)
    first = columns[0]
    found = np.zeros(len(heads), dtype=np.bool_)
    for is_candidate, is_shape in _SHAPES:
        if (candidates := is_candidate(first)).any():
            found |= candidates & is_shape(heads, columns)
    return found


def _digits(columns: Bytes, *places: int) -> Flags:
    found: Flags = columns[places[0]] - np.uint8(ord("0")) <= 9  # unsigned: what is smaller wraps round
    for place in places[1:]:
        found &= columns[place] - np.uint8(ord("0")) <= 9
    return found


def _clock(columns: Bytes, at: int) -> Flags:
    found = _digits(columns, at, at + 1, at + 3, at + 4, at + 6, at + 7)
    found &= columns[at + 2] == _COLON
    found &= columns[at + 5] == _COLON
    return found


def _day(columns: Bytes, at: int) -> Flags:
    tens = columns[at]
    found: Flags = (tens == _SPACE) | (tens - np.uint8(ord("0")) <= 3)
    found &= _digits(columns, at + 1)
    found &= columns[at + 2] == _SPACE
    return found


def _word(heads: Bytes, at: int, words: NDArray[np.uint32]) -> Flags:
    told = np.ascontiguousarray(heads[:, at : at + 4]).view(np.uint32)[:, 0]
    found: Flags = told == words[0]
    for word in words[1:]:
        found |= told == word
    return found


def _is_syslog(heads: Bytes, columns: Bytes) -> Flags:
    """``Mar  2 06:41:41``."""
    return _clock(columns, 7) & _day(columns, 4) & _word(heads, 0, _MONTHS)


def _is_iso(_: Bytes, columns: Bytes) -> Flags:
    """``2026-03-02T06:41:41``, or with a space."""
    date = _digits(columns, 0, 1, 2, 3, 5, 6, 8, 9) & (columns[4] == _DASH) & (columns[7] == _DASH)
    found: Flags = date & ((columns[10] == ord("T")) | (columns[10] == _SPACE)) & _clock(columns, 11)
    return found


def _is_ctime(heads: Bytes, columns: Bytes) -> Flags:
    """``[Mon Mar  2 06:41:41``."""
    return _clock(columns, 12) & _day(columns, 9) & _word(heads, 5, _MONTHS) & _word(heads, 1, _WEEKDAYS)


def _is_seconds(_: Bytes, columns: Bytes) -> Flags:
    """``[ 1000.000000]``: five digits and their padding, or up to seven digits, before the point."""
    found = np.zeros(columns.shape[1], dtype=np.bool_)
    for point in (6, 7, 8):
        candidates = (columns[point] == _POINT) & (columns[point + 7] == _CLOSE)
        if candidates.any():
            candidates &= _digits(columns, *range(point + 1, point + 7), point - 1)
            found |= candidates & _is_padded(columns, point - 1)
    return found


def _is_padded(columns: Bytes, end: int) -> Flags:
    # Blanks, then digits: no blank stands behind a digit.
    found = np.ones(columns.shape[1], dtype=np.bool_)
    after_blank = np.ones(columns.shape[1], dtype=np.bool_)
    for place in range(1, end):
        blank = (columns[place] == _SPACE) & after_blank
        found &= blank | _digits(columns, place)
        after_blank = blank
    return found


_Shape = tuple[Callable[[Bytes], Flags], Callable[[Bytes, Bytes], Flags]]
_SHAPES: tuple[_Shape, ...] = (
    (lambda first: first - np.uint8(ord("A")) < 26, _is_syslog),
    (lambda first: first - np.uint8(ord("0")) < 10, _is_iso),
    (lambda first: first == _OPEN, _is_ctime),
    (lambda first: first == _OPEN, _is_seconds),
)
