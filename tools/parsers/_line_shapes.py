"""Sorts out, for a whole block at once, the lines that begin as most lines of most logs do.

Four heads are compared for all lines together, four bytes at a time. What has one of them is a line of known form
(:data:`~tools.parsers._kernel_forms.ANY_HEAD` matches it too, which a test holds); of the others nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HEAD_BYTES = 20
_NEWLINE, _RETURN = b"\n\r"
_WORD_BYTES = 4
_NIBBLES, _THREES, _SIXES = 0xF0F0F0F0, 0x30303030, 0x06060606

Flags = NDArray[np.bool_]
Offsets = NDArray[np.intp]
Words = NDArray[np.uint32]


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


@dataclass(frozen=True, slots=True)
class _Part:
    """What one word of a head must be.

    Attributes:
        word: Which word.
        mask: The bits that are fixed: all of a letter, the upper half of a digit.
        value: What they are.
        digits: The bytes that hold a digit.
    """

    word: int
    mask: np.uint32
    value: np.uint32
    digits: np.uint32

    def fits(self, words: Words) -> Flags:
        """Compare the words of all lines."""
        told = words[self.word]
        found: Flags = (told & self.mask) == self.value
        if self.digits:
            # A digit is 0x30 to 0x39: the upper half is 3, and stays so when six is added.
            raised = (told & self.digits) + (self.digits & _SIXES)
            found &= (raised & _NIBBLES & self.digits) == (self.digits & _THREES)
        return found


def _spell(template: str) -> tuple[_Part, ...]:
    """Make the parts of a head: ``9`` is any digit, ``*`` anything, all else itself."""
    parts = []
    for number in range(_HEAD_BYTES // _WORD_BYTES):
        letters = template[number * _WORD_BYTES : (number + 1) * _WORD_BYTES].ljust(_WORD_BYTES, "*")
        digits = _join(0xFF if letter == "9" else 0 for letter in letters)
        fixed = _join(0 if letter in "9*" else 0xFF for letter in letters)
        value = _join(0 if letter in "9*" else ord(letter) for letter in letters)
        if digits or fixed:
            mask, value = fixed | digits & _NIBBLES, value | digits & _THREES
            parts.append(_Part(number, np.uint32(mask), np.uint32(value), np.uint32(digits)))
    return tuple(parts)


def _join(letters: Iterable[int]) -> int:
    return int.from_bytes(bytes(letters), "little")


_SYSLOG = _spell("*** *9 99:99:99")
"""``Mar  2 06:41:41``."""
_ISO = (_spell("9999-99-99T99:99:99"), _spell("9999-99-99 99:99:99"))
_CTIME = _spell("[*** *** *9 99:99:99")
"""``[Mon Mar  2 06:41:41``."""
_SECONDS = tuple(
    (point, tuple(_spell(f"[{' ' * blanks}{'9' * (point - 1 - blanks)}.999999]") for blanks in range(point - 1)))
    for point in (6, 7, 8)
)
"""``[ 1000.000000]``: where the point is, and the heads that have it there: a digit before it, or up to seven."""
_MONTHS = tuple(
    np.uint32(_join(f"{name} ".encode()))
    for name in ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
)
_WEEKDAYS = tuple(np.uint32(_join(f"{name} ".encode())) for name in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])


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
    ends = find_ends(block) if ends is None else ends
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    is_long = ends >= starts + _HEAD_BYTES
    known = np.zeros(len(starts), dtype=np.bool_)
    if is_long.all():
        if len(starts):
            known = _is_common(_gather(block, starts))
        others, empty = np.flatnonzero(~known), 0
    else:
        long = np.flatnonzero(is_long)
        if long.size:
            known[long] = _is_common(_gather(block, starts[long]))
        is_empty = _find_empty(block, starts, ends)
        others, empty = np.flatnonzero(~(known | is_empty)), int(np.count_nonzero(is_empty))
    before = np.cumsum(known)[others] if others.size else others
    return Shapes(len(starts), empty, starts[others].tolist(), before.tolist(), int(np.count_nonzero(known)))


def find_syslog(block: bytes, starts: Offsets, ends: Offsets) -> Flags:
    """Say of some lines of a block which begin as ``Mar  2 06:41:41``."""
    found = np.zeros(len(starts), dtype=np.bool_)
    long = np.flatnonzero(ends >= starts + _HEAD_BYTES)
    if long.size:
        found[long] = _is_syslog(_gather(block, starts[long]))
    return found


def _find_empty(block: bytes, starts: Offsets, ends: Offsets) -> Flags:
    lengths = ends - starts
    is_empty: Flags = lengths == 0
    single = np.flatnonzero(lengths == 1)
    is_empty[single] = np.frombuffer(block, dtype=np.uint8)[starts[single]] == _RETURN
    return is_empty


def _gather(block: bytes, starts: Offsets) -> Words:
    """The first bytes of the lines as words: a row for each place in the line."""
    size = len(block) - _HEAD_BYTES + 1
    every: NDArray[np.void] = np.ndarray((size,), dtype=f"V{_HEAD_BYTES}", buffer=block, strides=(1,))
    return np.ascontiguousarray(every[starts].view("<u4").reshape(len(starts), -1).T)


def _is_common(words: Words) -> Flags:
    # Most logs have one kind of head: the first that fits all lines is all that is asked.
    found = np.zeros(words.shape[1], dtype=np.bool_)
    for is_shape in (_is_syslog, _is_iso, _is_seconds, _is_ctime):
        found |= is_shape(words)
        if found.all():
            break
    return found


def _fit(parts: Iterable[_Part], words: Words) -> Flags:
    found = np.ones(words.shape[1], dtype=np.bool_)
    for part in parts:
        found &= part.fits(words)
        if not found.any():
            break
    return found


def _is_word(told: NDArray[np.uint32], names: tuple[np.uint32, ...]) -> Flags:
    # Most blocks are of one day: the name of their first line is that of all.
    first = told[0]
    found: Flags = (told == first) & (first in names)
    if not found.all():
        for name in names:
            found |= told == name
    return found


def _is_day(told: NDArray[np.uint32]) -> Flags:
    # Its tens are a blank or 0 to 3.
    found: Flags = ((told & 0xFC) == ord("0")) | ((told & 0xFF) == ord(" "))
    return found


def _is_syslog(words: Words) -> Flags:
    found = _fit(_SYSLOG, words)
    return found & _is_day(words[1]) & _is_word(words[0], _MONTHS) if found.any() else found


def _is_iso(words: Words) -> Flags:
    return _fit(_ISO[0], words) | _fit(_ISO[1], words)


def _is_ctime(words: Words) -> Flags:
    found = _fit(_CTIME, words)
    if not found.any():
        return found
    weekday, month = (words[at] >> 8 | words[at + 1] << 24 for at in (0, 1))
    return found & _is_day(words[2] >> 8) & _is_word(weekday, _WEEKDAYS) & _is_word(month, _MONTHS)


def _is_seconds(words: Words) -> Flags:
    found = np.zeros(words.shape[1], dtype=np.bool_)
    for point, heads in _SECONDS:
        at = np.uint32(8 * (point % _WORD_BYTES))
        if not (words[point // _WORD_BYTES] >> at & 0xFF == ord(".")).any():
            continue
        for head in heads:
            found |= _fit(head, words)
            if found.all():
                return found
    return found
