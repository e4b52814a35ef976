"""Many expressions asked of one text: only those are searched of which a literal stands in it.

An alternative of thirty expressions in either letter case is tried at every letter of a line. One pass for all their
literals, in small letters, tells which of them can match at all: most often none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from tools.parsers._covers import derive_covers
from tools.parsers._literals import LiteralIndex


class AnyOf:
    """Expressions, compiled when they are first needed; texts that are not ASCII are asked for all of them.

    Args:
        expressions: What is searched; numbered from zero.
    """

    def __init__(self, expressions: Sequence[str]) -> None:
        self._expressions = tuple(expressions)
        self._compiled: list[re.Pattern[str] | None] = [None] * len(self._expressions)
        self._all = tuple(range(len(self._expressions)))

    @cached_property
    def _finder(self) -> tuple[LiteralIndex, tuple[int, ...]]:
        """What finds the literals, and the expressions that have none."""
        numbers_of: dict[str, list[int]] = {}
        bare = []
        for number, expression in enumerate(self._expressions):
            cover = min(derive_covers(expression, is_folded=True), key=len, default=frozenset[str]())
            for literal in sorted(cover):
                numbers_of.setdefault(literal, []).append(number)
            if not cover:
                bare.append(number)
        return LiteralIndex(numbers_of), tuple(bare)

    def find(self, text: str) -> Iterator[int]:
        """Yield the numbers of the expressions that match somewhere, in order."""
        for number in self._candidates(text):
            regex = self._compiled[number]
            if regex is None:
                regex = self._compiled[number] = re.compile(self._expressions[number])
            if regex.search(text) is not None:
                yield number

    def search(self, text: str) -> bool:
        """Say whether any of them matches somewhere."""
        return next(self.find(text), None) is not None

    def _candidates(self, text: str) -> Sequence[int]:
        if not text.isascii():
            return self._all
        index, bare = self._finder
        found = index.rows_in(text.lower().encode())
        return sorted({*found, *bare}) if found else bare
