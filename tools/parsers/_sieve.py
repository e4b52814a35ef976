"""A second look at the lines that hold a literal, for all of them at once: which rows can match at all.

The literals of some rows stand in many lines of some logs for nothing. For such rows hyperscan searches the messages of
these lines, joined, for the rows' expressions, widened; what it does not find, the expression would not find either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tools.parsers._line_shapes import find_ends
from tools.parsers._literals import NUMBER_BITS, Finder, build_wide_finder
from tools.parsers._patterns import MAX_GROUPS, MAX_MATCH_CHARACTERS, PatternTable
from tools.parsers._widened import widen

MAX_SPELLED = 1100
"""Longer expressions, with the names of all drivers there are, take hyperscan longer than they save (measured)."""
NOTHING: frozenset[int] = frozenset()


class Sieve:
    """Knows the expressions of some rows.

    Attributes:
        rows: These rows.
    """

    def __init__(self, find: Finder, rows: Sequence[int]) -> None:
        self._find = find
        self._listed = tuple(rows)
        self.rows = frozenset(rows)
        self._left: dict[tuple[tuple[int, ...], frozenset[int]], tuple[int, ...]] = {}

    def sift(self, messages: Iterable[bytes]) -> Mapping[int, frozenset[int]]:
        """Search messages.

        Returns:
            For the number of each message in which something was found, the rows that found it.
        """
        text = b"\n".join(messages)
        told = np.array(self._find(text), dtype=np.int64)
        if not told.size:
            return {}
        lines = np.searchsorted(find_ends(text), (told >> NUMBER_BITS) - 1).tolist()
        found: dict[int, frozenset[int]] = {}
        for line, place in zip(lines, (told & ((1 << NUMBER_BITS) - 1)).tolist(), strict=True):
            known = found.get(line, NOTHING)
            if (row := self._listed[place]) not in known:
                found[line] = known | {row}
        return found

    def keep(self, rows: tuple[int, ...], found: frozenset[int]) -> tuple[int, ...]:
        """Leave out of some rows those that know better: whose expression was searched for and not found."""
        key = (rows, found)
        left = self._left.get(key)
        if left is None:
            left = tuple(row for row in rows if row in found or row not in self.rows)
            if len(self._left) < MAX_GROUPS:
                self._left[key] = left
        return left


def can_sift(line: bytes) -> bool:
    """Say whether what a sieve says of a line holds: for ASCII not longer than what is searched, and no JSON."""
    return len(line) <= MAX_MATCH_CHARACTERS and line[:1] != b"{" and line.isascii()


def build_sieve(table: PatternTable, rows: Sequence[int]) -> Sieve | None:
    """Build the sieve of those rows that can be spelled for it; None without hyperscan, or where there are none."""
    spelled = {row: widen(table.expression(row)) for row in rows}
    short = {row: text.encode() for row, text in spelled.items() if text is not None and len(text) <= MAX_SPELLED}
    find = build_wide_finder(list(short.values()), are_literals=False) if short else None
    return Sieve(find, list(short)) if find is not None else None
