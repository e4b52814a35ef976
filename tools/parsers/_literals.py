"""Finds the lines that hold one of many literals: by hyperscan where it is to be had, else by an automaton.

Hyperscan compares sixteen bytes and more at once and finds a thousand literals at about a gigabyte a second, the
automaton at a fifth of that; both find the same, which a test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import local

import numpy as np
from numpy.typing import NDArray

from tools.parsers._line_shapes import Offsets, find_ends

NUMBER_BITS = 20
"""A hit is one number: the end offset of a literal, shifted by so many bits, and the number of the literal."""
Finder = Callable[[bytes], list[int]]

_MAX_REMEMBERED, _MAX_KNOWN = 16, 10_000
"""Longest group of literals of one line whose rows are remembered, and how many groups: a log must not fill memory."""


@dataclass(frozen=True, slots=True)
class Located:
    """Lines of a block that hold a literal.

    Attributes:
        numbers: Their numbers from zero.
        starts: Where they start.
        ends: Where they end, without their line end.
        firsts: Where their literals begin in `literals`.
        literals: Numbers of all literals found, line by line.
    """

    numbers: Offsets
    starts: Offsets
    ends: Offsets
    firsts: Offsets
    literals: NDArray[np.int64]


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
        found = self.locate(block, ends)
        if found is not None:
            places = zip(found.numbers.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)
            for (number, start, end), rows in zip(places, self.rows_at(found, range(len(found.firsts))), strict=True):
                yield number, start, end, rows

    def rows_in(self, text: bytes) -> tuple[int, ...]:
        """The rows, in order, to which the literals of one short text lead."""
        hits = self._find(text)
        return self._join(tuple(hit & ((1 << NUMBER_BITS) - 1) for hit in hits)) if hits else ()

    def rows_at(self, found: Located, places: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield the rows, in order, to which the literals in some of the lines found lead."""
        rows_of, join, literals = self._rows_of, self._join, found.literals.tolist()
        bounds = [*found.firsts.tolist(), len(literals)]
        for place in places:
            first, last = bounds[place], bounds[place + 1]
            yield rows_of[literals[first]] if last == first + 1 else join(tuple(literals[first:last]))

    def locate(self, block: bytes, ends: Offsets | None = None) -> Located | None:
        """Find the lines of a block that hold a literal, without asking where that leads; None where none does."""
        hits = self._find(block)
        if not hits:
            return None
        told = np.array(hits, dtype=np.int64)
        ends = find_ends(block) if ends is None else ends
        lines = np.searchsorted(ends, (told >> NUMBER_BITS) - 1)
        firsts = np.flatnonzero(np.diff(lines, prepend=-1))
        numbers = lines[firsts]
        starts = np.where(numbers > 0, ends[numbers - 1] + 1, 0)
        return Located(numbers, starts, ends[numbers], firsts, told & ((1 << NUMBER_BITS) - 1))

    def leads_beyond(self, rows: Container[int]) -> NDArray[np.bool_]:
        """Say of each literal whether it leads to another row than these, or to none at all."""
        return np.array([not told or any(row not in rows for row in told) for told in self._rows_of], dtype=np.bool_)

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


def build_wide_finder(sought: Sequence[bytes], *, are_literals: bool = True) -> Finder | None:
    """Build the finder on hyperscan; None where it is not installed or not made for this processor.

    Args:
        sought: What is looked for.
        are_literals: Whether these are literals, else expressions that match a part of a line.
    """
    try:
        import hyperscan
    except ImportError:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(expressions=list(sought), ids=list(range(len(sought))), literal=are_literals)
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
