"""Reads from an expression which literals its matches hold: of each set found here, one stands in every match.

A person who writes a table names the literals of a row; where those stand in too many lines for nothing, another set
of the same row may be rarer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MIN_LETTERS = 3
"""A shorter literal stands everywhere (a guess)."""
MAX_LITERALS = 64
Cover = frozenset[str]
_Node = tuple[Any, Any]
_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
_NOTHING = (ops.AT, ops.ASSERT, ops.ASSERT_NOT)


def derive_covers(expression: str) -> list[Cover]:
    """List sets of literals of which each holds one of every match; none for an expression of either letter case."""
    tree = parser.parse(expression)
    return [] if tree.state.flags & re.IGNORECASE else _cover(list(tree))


def _cover(nodes: Iterable[_Node]) -> list[Cover]:
    covers: list[Cover] = []
    run: Cover | None = None  # the texts that what was passed last can be
    for node in [*nodes, (None, None)]:
        told = _spell(node)
        if told is not None and run is not None and len(run) * len(told) <= MAX_LITERALS:
            run = frozenset(before + after for before in run for after in told)
            continue
        if run is not None and min(map(len, run)) >= MIN_LETTERS:
            covers.append(run)
        run = told
        if told is None:
            covers += _cover_part(*node)
    return covers


def _spell(node: _Node) -> Cover | None:
    """List all texts that a part of an expression can be; None where they are many."""
    op, value = node
    if op is ops.LITERAL:
        return frozenset([chr(value)])
    if op in _NOTHING:
        return frozenset([""])
    if op is ops.IN and all(kind is ops.LITERAL for kind, _ in value):
        return frozenset(chr(letter) for _, letter in value)
    if op is ops.SUBPATTERN and not value[1]:
        return _spell_all(value[3])
    if op is ops.BRANCH:
        told = [_spell_all(branch) for branch in value[1]]
        texts = frozenset(text for branch in told for text in branch or ())
        return texts if all(told) and len(texts) <= MAX_LITERALS else None
    if op in _REPEATS and value[:2] == (0, 1):
        told_once = _spell_all(value[2])
        return None if told_once is None else told_once | {""}
    return None


def _spell_all(nodes: Iterable[_Node]) -> Cover | None:
    texts: Cover = frozenset([""])
    for node in nodes:
        told = _spell(node)
        if told is None or len(texts) * len(told) > MAX_LITERALS:
            return None
        texts = frozenset(before + after for before in texts for after in told)
    return texts


def _cover_part(op: Any, value: Any) -> list[Cover]:  # noqa: ANN401 (the tree of `re` has no types)
    if op is ops.SUBPATTERN and not value[1]:
        return _cover(value[3])
    if op in _REPEATS and value[0] > 0:
        return _cover(value[2])
    if op is ops.BRANCH:
        best = [max(_cover(branch), key=_rate, default=frozenset[str]()) for branch in value[1]]
        if all(best):
            return [frozenset().union(*best)]
    return []


def _rate(cover: Cover) -> tuple[int, int]:
    return min(map(len, cover)), -len(cover)
