"""Finds the lines of a log that are worth a closer look, and learns which literals stand there for nothing.

A literal of a table may stand in every second line of some log. A row to which its literals lead for nothing is looked
for by other literals of its expression then, by those that are rarest in this log. What is found stays the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tools.document import MAX_LINE_BYTES
from tools.parsers._covers import Cover
from tools.parsers._line_shapes import Flags, Offsets
from tools.parsers._literals import NUMBER_BITS, LiteralIndex, Located, build_finder
from tools.parsers._messages import cut_messages
from tools.parsers._patterns import MAX_GROUPS, MAX_MATCH_CHARACTERS, PatternTable
from tools.parsers._sieve import NOTHING, Sieve, build_sieve, can_sift

LEARN_MISSES = (2_000, 6_000, 40_000)
"""After so many lines that held a literal for nothing, each some 12 millionths of a second, it pays to ask which rows
are noisy, and to look for these by other literals (30 to 50 ms), then with a sieve too (100 ms; all measured)."""
NOISY_BYTES = 1 << 18
"""A row is noisy where it leads to nothing more than once in so many bytes, some 2,000 lines (a guess)."""
MAX_NOISY = 64
_JSON_LINE = "\n{"
Candidate = tuple[int, int, str, tuple[int, ...]]


class Scout:
    """Looks through one document, block by block."""

    def __init__(self, table: PatternTable) -> None:
        self._table = table
        self._misses: Counter[tuple[int, ...]] = Counter()
        self._bytes = self._missed = self._stage = 0
        self._chosen: dict[int, Cover] = {}
        self._index: LiteralIndex | None = None
        self._sieve: Sieve | None = None
        self._is_loose: Flags | None = None  # of each literal of the index: whether the sieve knows not all its rows

    def find_candidates(self, block: bytes, ends: Offsets) -> Iterator[Candidate]:
        """Find the lines that a row may match.

        Args:
            block: Whole lines.
            ends: Where they end.

        Yields:
            Number of the line from zero, its offset, the line without its end (its first 64 KiB), and the rows worth
            trying.
        """
        if self._stage < len(LEARN_MISSES) and self._missed >= LEARN_MISSES[self._stage]:
            self._learn(block)
        self._bytes += len(block)
        # In JSON a message is spelled otherwise than it reads: there only the table's own literals are looked for.
        if self._index is None or block[:1] == b"{":
            yield from self._find(block, ends)
        elif (located := self._index.locate(block, ends)) is not None:
            yield from self._find_narrowed(block, self._index, located)

    def _find(self, block: bytes, ends: Offsets) -> Iterator[Candidate]:
        for number, start, end, rows in self._table.scan(block, ends):
            yield number, start, block[start : min(end, start + MAX_LINE_BYTES)].decode("utf-8", "replace"), rows

    def _find_narrowed(self, block: bytes, index: LiteralIndex, located: Located) -> Iterator[Candidate]:
        places, found, unknown = self._sift(block, located)
        numbers, starts = located.numbers.tolist(), located.starts.tolist()
        ends = np.minimum(located.ends, located.starts + MAX_LINE_BYTES).tolist()
        for place, rows in zip(places, index.rows_at(located, places), strict=True):
            line, told = block[starts[place] : ends[place]], found.get(place, NOTHING)
            if line[:1] == b"{":
                rows = next((rows for *_, rows in self._table.scan(line)), ())
            elif self._sieve is not None and place not in unknown and can_sift(line):
                rows = self._sieve.keep(rows, told)
            if rows:
                yield numbers[place], starts[place], line.decode("utf-8", "replace"), rows

    def _sift(
        self, block: bytes, located: Located
    ) -> tuple[Sequence[int], Mapping[int, frozenset[int]], frozenset[int]]:
        """Say which lines are left, for which rows the sieve found something in them, and which it cannot know."""
        if self._sieve is None or self._is_loose is None:
            return range(len(located.numbers)), {}, frozenset()
        messages = list(cut_messages(block, located.starts, located.ends))
        unknown = frozenset(place for place, message in enumerate(messages) if message is None)
        found = self._sieve.sift(message or b"" for message in messages)
        is_left = np.logical_or.reduceat(self._is_loose[located.literals], located.firsts)
        is_left[[*found, *unknown]] = True
        if not block.isascii() or (located.ends - located.starts).max() > MAX_MATCH_CHARACTERS:
            for place in np.flatnonzero(~is_left).tolist():
                is_left[place] = not can_sift(block[located.starts[place] : located.ends[place]])
        return np.flatnonzero(is_left).tolist(), found, unknown

    def note_miss(self, rows: tuple[int, ...]) -> None:
        """Learn that a candidate was none; not of all kinds of lines, for a log must not fill memory."""
        self._missed += 1
        if len(self._misses) < MAX_GROUPS or rows in self._misses:
            self._misses[rows] += 1

    def _learn(self, sample: bytes) -> None:
        limit = self._bytes / NOISY_BYTES
        counted: Counter[int] = Counter()
        for rows, count in self._misses.items():
            counted.update(dict.fromkeys(rows, count))
        noisy = [row for row, count in counted.most_common(MAX_NOISY) if count > limit]
        self._bytes, self._missed, self._stage = 0, 0, self._stage + 1
        self._misses.clear()
        if not noisy:
            return
        new = {row: self._table.covers(row) for row in noisy if row not in self._chosen}
        if new or self._index is None:
            self._chosen.update(choose_covers(new, sample))
            self._index = self._table.narrow(self._chosen, marks=[_JSON_LINE])
        if self._stage > 1:
            known = self._sieve.rows if self._sieve is not None else frozenset()
            self._sieve = build_sieve(self._table, sorted(known.union(noisy))) or self._sieve
        self._is_loose = self._index.leads_beyond(self._sieve.rows) if self._sieve is not None else None


def choose_covers(covers: Mapping[int, Sequence[Cover]], sample: bytes) -> dict[int, Cover]:
    """Choose for every row the set of literals that stands least often in a sample."""
    literals = sorted({literal for row in covers.values() for cover in row for literal in cover})
    hits = build_finder([literal.encode() for literal in literals])(sample)
    counts = Counter(hit & ((1 << NUMBER_BITS) - 1) for hit in hits)
    often = {literal: counts[number] for number, literal in enumerate(literals)}
    return {row: min(sets, key=lambda cover: sum(often[text] for text in cover)) for row, sets in covers.items()}
