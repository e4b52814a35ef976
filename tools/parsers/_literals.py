"""Finds the lines that hold one of many literals: by hyperscan where it is to be had, else by an automaton.

Hyperscan compares sixteen bytes and more at once and finds a thousand literals at about a gigabyte a second, the
automaton at a fifth of that; both find the same, which a test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import local

Hit = tuple[int, int]
"""End offset of a literal, and its number."""
Finder = Callable[[bytes], list[Hit]]

_MAX_REMEMBERED, _MAX_KNOWN = 16, 10_000
"""Longest group of literals of one line whose rows are remembered, and how many groups: a log must not fill memory."""


class LiteralIndex:
    """Leads from the literals in a line to the rows of a table.

    Args:
        rows_of: Rows for each literal.
    """

    def __init__(self, rows_of: Mapping[str, Sequence[int]]) -> None:
        self._rows_of = list(rows_of.values())
        self._find = build_finder([literal.encode() for literal in rows_of])
        self._known: dict[tuple[int, ...], tuple[int, ...]] = {}

    def scan(self, block: bytes) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Find the lines of a block that hold a literal.

        Yields:
            Start and end offset of the line (without its line end) and its rows in order.
        """
        start = end = -1
        told: list[int] = []
        for last, literal in self._find(block):
            if last > end:
                if told:
                    yield start, end, self._join(tuple(told))
                start = block.rfind(b"\n", 0, last) + 1
                end = block.find(b"\n", last)
                end = len(block) if end < 0 else end
                told = [literal]
            else:
                told.append(literal)
        if told:
            yield start, end, self._join(tuple(told))

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

    def find(block: bytes) -> list[Hit]:
        scratch = getattr(own, "scratch", None)
        if scratch is None:
            scratch = own.scratch = hyperscan.Scratch(database)
        hits: list[Hit] = []
        append = hits.append

        def note(literal: int, _start: int, end: int, _flags: int, _context: object) -> None:
            append((end, literal))

        database.scan(block, match_event_handler=note, scratch=scratch)
        hits.sort()
        return hits

    return find


def build_automaton_finder(literals: Sequence[bytes]) -> Finder:
    """Build the finder that needs no particular processor."""
    from ahocorasick_rs import BytesAhoCorasick, Implementation

    automaton = BytesAhoCorasick(list(literals), implementation=Implementation.DFA)

    def find(block: bytes) -> list[Hit]:
        hits = [(end, literal) for literal, _, end in automaton.find_matches_as_indexes(block, overlapping=True)]
        hits.sort()
        return hits

    return find
