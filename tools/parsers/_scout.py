"""Finds the lines of a log that are worth a closer look, and learns which literals stand there for nothing.

A literal of a table may stand in every second line of some log. A row to which its literals lead for nothing is looked
for by other literals of its expression then, by those that are rarest in this log. What is found stays the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tools.document import MAX_LINE_BYTES
from tools.parsers._covers import Cover
from tools.parsers._literals import LiteralIndex, build_finder
from tools.parsers._messages import find_message
from tools.parsers._patterns import PatternTable

LEARN_BYTES = 2 << 20
"""After so many bytes it pays to ask which rows are noisy, and again after sixteen times as many (measured: 30 ms)."""
NOISY_BYTES = 1 << 18
"""A row is noisy where it leads to nothing more than once in so many bytes, some 2,000 lines (a guess)."""
MAX_NOISY = 64
_JSON_LINE = "\n{"
Candidate = tuple[int, str, Sequence[int]]


class Scout:
    """Looks through one document, block by block."""

    def __init__(self, table: PatternTable) -> None:
        self._table = table
        self._misses: Counter[int] = Counter()
        self._bytes = 0
        self._learn_at = LEARN_BYTES
        self._chosen: dict[int, Cover] = {}
        self._index: LiteralIndex | None = None

    def find_candidates(self, block: bytes) -> Iterator[Candidate]:
        """Find the lines that a row may match.

        Yields:
            Offset, the line without its end (its first 64 KiB), and the rows worth trying.
        """
        if self._bytes >= self._learn_at:
            self._learn(block)
        self._bytes += len(block)
        # In JSON a message is spelled otherwise than it reads: there only the table's own literals are looked for.
        if self._index is None or block[:1] == b"{":
            yield from self._find(block)
        else:
            yield from self._find_narrowed(block, self._index)

    def _find(self, block: bytes) -> Iterator[Candidate]:
        may_match = self._table.may_match
        for start, end, rows in self._table.scan(block):
            raw = _decode(block[start : min(end, start + MAX_LINE_BYTES)])
            if raw[:1] == "{" or may_match(find_message(raw), rows):
                yield start, raw, rows
            else:
                self._miss(rows)

    def _find_narrowed(self, block: bytes, index: LiteralIndex) -> Iterator[Candidate]:
        may_match = self._table.may_match
        found: list[tuple[int, bytes]] = []
        for start, end, rows in index.scan(block):
            line = block[start:end]
            if line[:1] == b"{" or may_match(find_message(_decode(line[:MAX_LINE_BYTES])), rows):
                found.append((start, line))
            else:
                self._miss(rows)
        # One search in all that is left costs less than one for each line.
        left, place = iter(found), 0
        for at, _, rows in self._table.scan(b"\n".join(line for _, line in found)):
            start, line = next(left)
            while place < at:
                place += len(line) + 1
                start, line = next(left)
            yield start, _decode(line[:MAX_LINE_BYTES]), rows
            place += len(line) + 1

    def _miss(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._misses[row] += 1

    def _learn(self, sample: bytes) -> None:
        limit = self._bytes / NOISY_BYTES
        noisy = [row for row, misses in self._misses.most_common(MAX_NOISY) if misses > limit]
        self._bytes, self._learn_at = 0, 16 * LEARN_BYTES
        self._misses.clear()
        new = [row for row in noisy if row not in self._chosen]
        if new:
            self._chosen.update(choose_covers({row: self._table.covers(row) for row in new}, sample))
            self._index = self._table.narrow(self._chosen, marks=[_JSON_LINE])


def _decode(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def choose_covers(covers: Mapping[int, Sequence[Cover]], sample: bytes) -> dict[int, Cover]:
    """Choose for every row the set of literals that stands least often in a sample."""
    literals = sorted({literal for row in covers.values() for cover in row for literal in cover})
    counts = Counter(number for _, number in build_finder([literal.encode() for literal in literals])(sample))
    often = {literal: counts[number] for number, literal in enumerate(literals)}
    return {row: min(sets, key=lambda cover: sum(often[text] for text in cover)) for row, sets in covers.items()}
