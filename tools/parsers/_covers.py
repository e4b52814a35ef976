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
MIN_FOLDED_LETTERS = 2
"""In one short text even two letters spare a search."""
MAX_LITERALS = 64
ASCII_END = 0x80
Cover = frozenset[str]
_Node = tuple[Any, Any]
_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
_NOTHING = (ops.AT, ops.ASSERT, ops.ASSERT_NOT)


def derive_covers(expression: str, *, is_folded: bool = False) -> list[Cover]:
    """List sets of literals of which each holds one of every match.

    Args:
        expression: What is searched.
        is_folded: Whether the literals are to be looked for in small letters in a text in small letters, all of ASCII;
            else there are none for an expression of either letter case.
    """
    tree = parser.parse(expression)
    if tree.state.flags & re.IGNORECASE and not is_folded:
        return []
    return _cover(_fold(tree), MIN_FOLDED_LETTERS) if is_folded else _cover(list(tree), MIN_LETTERS)


def _fold(nodes: Iterable[_Node]) -> list[_Node]:
    """Write an expression in small letters, whatever its groups say of letter case."""
    return [_fold_part(op, value) for op, value in nodes]


def _fold_part(op: Any, value: Any) -> _Node:  # noqa: ANN401 (the tree of `re` has no types)
    if op is ops.LITERAL:
        return op, ord(chr(value).lower()) if value < ASCII_END else value
    if op is ops.IN and all(kind is ops.LITERAL for kind, _ in value):
        return op, _fold(value)
    if op is ops.SUBPATTERN:
        return op, (value[0], value[1] & ~re.IGNORECASE, value[2], _fold(value[3]))
    if op is ops.BRANCH:
        return op, (value[0], [_fold(branch) for branch in value[1]])
    if op in _REPEATS:
        return op, (value[0], value[1], _fold(value[2]))
    return op, value


def _cover(nodes: Iterable[_Node], least: int) -> list[Cover]:
    covers: list[Cover] = []
    run: Cover | None = None  # the texts that what was passed last can be
    for node in [*nodes, (None, None)]:
        told = _spell(node)
        if told is not None and run is not None and len(run) * len(told) <= MAX_LITERALS:
            run = frozenset(before + after for before in run for after in told)
            continue
        if run is not None and min(map(len, run)) >= least:
            covers.append(run)
        run = told
        if told is None:
            covers += _cover_part(*node, least)
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


def _cover_part(op: Any, value: Any, least: int) -> list[Cover]:  # noqa: ANN401
    if op is ops.SUBPATTERN and not value[1]:
        return _cover(value[3], least)
    if op in _REPEATS and value[0] > 0:
        return _cover(value[2], least)
    if op is ops.BRANCH:
        best = [max(_cover(branch, least), key=_rate, default=frozenset[str]()) for branch in value[1]]
        if all(best):
            return [frozenset().union(*best)]
    return []


def _rate(cover: Cover) -> tuple[int, int]:
    return min(map(len, cover)), -len(cover)
