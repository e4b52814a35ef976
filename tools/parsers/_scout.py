"""Finds the lines of a log that are worth a closer look, and learns which literals stand there for nothing.

A literal of a table may stand in every second line of some log. A row to which its literals lead for nothing is looked
for by other literals of its expression then, by those that are rarest in this log. What is found stays the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tools.document import MAX_LINE_BYTES
from tools.parsers._covers import Cover
from tools.parsers._line_shapes import Offsets
from tools.parsers._literals import NUMBER_BITS, LiteralIndex, build_finder
from tools.parsers._messages import find_message
from tools.parsers._patterns import MAX_GROUPS, MAX_MATCH_CHARACTERS, PatternTable

LEARN_BYTES = 2 << 20
"""After so many bytes it pays to ask which rows are noisy, and again after sixteen times as many (measured: 30 ms)."""
NOISY_BYTES = 1 << 18
"""A row is noisy where it leads to nothing more than once in so many bytes, some 2,000 lines (a guess)."""
MAX_NOISY = 64
_JSON_LINE = "\n{"
Candidate = tuple[int, int, str, Sequence[int]]


class Scout:
    """Looks through one document, block by block."""

    def __init__(self, table: PatternTable) -> None:
        self._table = table
        self._misses: dict[tuple[int, ...], int] = {}
        self._bytes = 0
        self._learn_at = LEARN_BYTES
        self._chosen: dict[int, Cover] = {}
        self._index: LiteralIndex | None = None

    def find_candidates(self, block: bytes, ends: Offsets) -> Iterator[Candidate]:
        """Find the lines that a row may match.

        Args:
            block: Whole lines.
            ends: Where they end.

        Yields:
            Number of the line from zero, its offset, the line without its end (its first 64 KiB), and the rows worth
            trying.
        """
        if self._bytes >= self._learn_at:
            self._learn(block)
        self._bytes += len(block)
        # In JSON a message is spelled otherwise than it reads: there only the table's own literals are looked for.
        if self._index is None or block[:1] == b"{":
            yield from self._find(block, ends)
        else:
            yield from self._find_narrowed(block, self._index, ends)

    def _find(self, block: bytes, ends: Offsets) -> Iterator[Candidate]:
        for number, start, end, rows in self._table.scan(block, ends):
            if (raw := self._ask(block, start, end, rows)) is not None:
                yield number, start, raw, rows

    def _find_narrowed(self, block: bytes, index: LiteralIndex, ends: Offsets) -> Iterator[Candidate]:
        found: list[tuple[int, int, int, str]] = []
        for number, start, end, rows in index.scan(block, ends):
            if (raw := self._ask(block, start, end, rows)) is not None:
                found.append((number, start, end, raw))
        # One search in all that is left costs less than one for each line.
        for place, _, _, rows in self._table.scan(b"\n".join(block[start:end] for _, start, end, _ in found)):
            number, start, _, raw = found[place]
            yield number, start, raw, rows

    def _ask(self, block: bytes, start: int, end: int, rows: tuple[int, ...]) -> str | None:
        """Return a line where it is worth a closer look; most are not."""
        if end - start > MAX_LINE_BYTES:
            end = start + MAX_LINE_BYTES
        raw = block[start:end].decode("utf-8", "replace")
        searches = self._table.searches(rows)
        if searches is None or raw[:1] == "{":
            return raw
        message = find_message(raw)[: 2 * MAX_MATCH_CHARACTERS]
        for search in searches:
            if search(message) is not None:
                return raw
        if len(self._misses) < MAX_GROUPS or rows in self._misses:
            self._misses[rows] = self._misses.get(rows, 0) + 1
        return None

    def _learn(self, sample: bytes) -> None:
        limit = self._bytes / NOISY_BYTES
        counted: Counter[int] = Counter()
        for rows, misses in self._misses.items():
            counted.update(dict.fromkeys(rows, misses))
        noisy = [row for row, misses in counted.most_common(MAX_NOISY) if misses > limit]
        self._bytes, self._learn_at = 0, 16 * LEARN_BYTES
        self._misses.clear()
        new = [row for row in noisy if row not in self._chosen]
        if new:
            self._chosen.update(choose_covers({row: self._table.covers(row) for row in new}, sample))
            self._index = self._table.narrow(self._chosen, marks=[_JSON_LINE])


def choose_covers(covers: Mapping[int, Sequence[Cover]], sample: bytes) -> dict[int, Cover]:
    """Choose for every row the set of literals that stands least often in a sample."""
    literals = sorted({literal for row in covers.values() for cover in row for literal in cover})
    hits = build_finder([literal.encode() for literal in literals])(sample)
    counts = Counter(hit & ((1 << NUMBER_BITS) - 1) for hit in hits)
    often = {literal: counts[number] for number, literal in enumerate(literals)}
    return {row: min(sets, key=lambda cover: sum(often[text] for text in cover)) for row, sets in covers.items()}
