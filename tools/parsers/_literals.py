"""Finds the lines that hold one of many literals: by hyperscan where it is to be had, else by an automaton.

Hyperscan compares sixteen bytes and more at once and finds a thousand literals at about a gigabyte a second, the
automaton at a fifth of that; both find the same, which a test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import local

import numpy as np

from tools.parsers._line_shapes import Offsets, find_ends

NUMBER_BITS = 20
"""A hit is one number: the end offset of a literal, shifted by so many bits, and the number of the literal."""
Finder = Callable[[bytes], list[int]]

_MAX_REMEMBERED, _MAX_KNOWN = 16, 10_000
"""Longest group of literals of one line whose rows are remembered, and how many groups: a log must not fill memory."""


class LiteralIndex:
    """Leads from the literals in a line to the rows of a table.

    Args:
        rows_of: Rows for each literal.
    """

    def __init__(self, rows_of: Mapping[str, Sequence[int]]) -> None:
        self._rows_of = [tuple(sorted(set(rows))) for rows in rows_of.values()]
        self._find = build_finder([literal.encode() for literal in rows_of])
        self._known: dict[tuple[int, ...], tuple[int, ...]] = {}

    def scan(self, block: bytes, ends: Offsets | None = None) -> Iterator[tuple[int, int, int, tuple[int, ...]]]:
        """Find the lines of a block that hold a literal.

        Args:
            block: Whole lines.
            ends: Where they end, where :func:`~tools.parsers._line_shapes.find_ends` was asked before.

        Yields:
            Number of the line from zero, its start and end offset (without its line end) and its rows in order.
        """
        hits = self._find(block)
        if not hits:
            return
        told = np.array(hits, dtype=np.int64)
        ends = find_ends(block) if ends is None else ends
        lines = np.searchsorted(ends, (told >> NUMBER_BITS) - 1)
        firsts = np.flatnonzero(np.diff(lines, prepend=-1))
        numbers = lines[firsts]
        starts = np.where(numbers > 0, ends[numbers - 1] + 1, 0).tolist()
        literals = (told & ((1 << NUMBER_BITS) - 1)).tolist()
        lasts = [*firsts[1:].tolist(), len(literals)]
        rows_of, join = self._rows_of, self._join
        for number, start, end, first, last in zip(
            numbers.tolist(), starts, ends[numbers].tolist(), firsts.tolist(), lasts, strict=True
        ):
            rows = rows_of[literals[first]] if last == first + 1 else join(tuple(literals[first:last]))
            yield number, start, end, rows

    def _join(self, literals: tuple[int, ...]) -> tuple[int, ...]:
        # The same few literals come together again and again.
        rows = self._known.get(literals)
        if rows is None:
            rows = tuple(sorted({row for literal in set(literals) for row in self._rows_of[literal]}))
            if len(literals) <= _MAX_REMEMBERED and len(self._known) < _MAX_KNOWN:
                self._known[literals] = rows
        return rows


def build_finder(literals: Sequence[bytes]) -> Finder:
    """Build what finds every place of every literal, overlapping ones too, in order of their end.

    Args:
        literals: What is looked for; none is empty, all are different.
    """
    return build_wide_finder(literals) or build_automaton_finder(literals)


def build_wide_finder(literals: Sequence[bytes]) -> Finder | None:
    """Build the finder on hyperscan; None where it is not installed or not made for this processor."""
    try:
        import hyperscan
    except ImportError:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(expressions=list(literals), ids=list(range(len(literals))), literal=True)
    except hyperscan.error:
        return None
    own = local()  # the scratch space of a database serves one thread at a time

    def find(block: bytes) -> list[int]:
        scratch = getattr(own, "scratch", None)
        if scratch is None:
            scratch = own.scratch = hyperscan.Scratch(database)
        hits: list[int] = []
        append = hits.append

        def note(literal: int, _start: int, end: int, _flags: int, _context: object) -> None:
            append(end << NUMBER_BITS | literal)

        database.scan(block, match_event_handler=note, scratch=scratch)
        hits.sort()
        return hits

    return find


def build_automaton_finder(literals: Sequence[bytes]) -> Finder:
    """Build the finder that needs no particular processor."""
    from ahocorasick_rs import BytesAhoCorasick, Implementation

    automaton = BytesAhoCorasick(list(literals), implementation=Implementation.DFA)

    def find(block: bytes) -> list[int]:
        places = automaton.find_matches_as_indexes(block, overlapping=True)
        hits = [end << NUMBER_BITS | literal for literal, _, end in places]
        hits.sort()
        return hits

    return find
