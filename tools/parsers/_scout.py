"""Finds the lines of a log that are worth a closer look, and learns which literals stand there for nothing.

A literal of a table may stand in every second line of some log. A row to which its literals lead for nothing is looked
for by other literals of its expression then, by those that are rarest in this log. What is found stays the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tools.document import MAX_LINE_BYTES
from tools.parsers._covers import Cover
from tools.parsers._literals import Finder, build_finder
from tools.parsers._patterns import PatternTable

LEARN_BYTES = 8 << 20
"""After so many bytes it pays to ask which rows are noisy, and again after as many (measured: it costs 0.1 s)."""
NOISY_SHARE = 1 / 3000
"""A row is noisy where it leads to nothing in more of the lines than this (a guess)."""
MAX_NOISY = 64
Candidate = tuple[int, str, Sequence[int]]


class Scout:
    """Looks through one document, block by block."""

    def __init__(self, table: PatternTable) -> None:
        self._table = table
        self._misses: Counter[int] = Counter()
        self._lines = self._bytes = 0
        self._chosen: dict[int, Cover] = {}
        self._find: Finder | None = None

    def find_candidates(self, block: bytes) -> Iterator[Candidate]:
        """Find the lines that a row may match.

        Yields:
            Offset, the line without its end (its first 64 KiB), and the rows worth trying.
        """
        if self._bytes >= LEARN_BYTES:
            self._learn(block)
        self._bytes += len(block)
        self._lines += block.count(b"\n")
        may_match = self._table.may_match
        for start, end, rows in self._scan(block):
            raw = block[start : min(end, start + MAX_LINE_BYTES)].decode("utf-8", errors="replace")
            if raw[:1] == "{" or may_match(raw, rows):
                yield start, raw, rows
            else:
                self._misses.update(rows)

    def _scan(self, block: bytes) -> Iterator[tuple[int, int, Sequence[int]]]:
        # In JSON a message is spelled otherwise than it reads: only its literals are looked for.
        if self._find is None or block[:1] == b"{" or b"\n{" in block:
            yield from self._table.scan(block)
            return
        end = -1
        for last, _ in self._find(block):
            if last > end:
                start = block.rfind(b"\n", 0, last) + 1
                end = block.find(b"\n", last)
                end = len(block) if end < 0 else end
                for _, _, rows in self._table.scan(block[start:end]):
                    yield start, end, rows

    def _learn(self, sample: bytes) -> None:
        limit = self._lines * NOISY_SHARE
        noisy = [row for row, misses in self._misses.most_common(MAX_NOISY) if misses > limit]
        self._bytes = self._lines = 0
        self._misses.clear()
        new = [row for row in noisy if row not in self._chosen]
        if new:
            self._chosen.update(choose_covers({row: self._table.covers(row) for row in new}, sample))
            self._find = self._table.narrow(self._chosen)


def choose_covers(covers: Mapping[int, Sequence[Cover]], sample: bytes) -> dict[int, Cover]:
    """Choose for every row the set of literals that stands least often in a sample."""
    literals = sorted({literal for row in covers.values() for cover in row for literal in cover})
    counts = Counter(number for _, number in build_finder([literal.encode() for literal in literals])(sample))
    often = {literal: counts[number] for number, literal in enumerate(literals)}
    return {row: min(sets, key=lambda cover: sum(often[text] for text in cover)) for row, sets in covers.items()}
