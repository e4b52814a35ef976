"""Spells expressions for hyperscan, widened: what is spelled finds something wherever the expression does.

Hyperscan reads many expressions at once and cannot look ahead or behind. What it cannot say is left out, what lies
before the first and behind the last thing that must be there too. Lines are ASCII, and no longer than what is searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MAX_COUNT = 16
"""More of the same is spelled as any number of it: long counts take hyperscan long."""
MAX_BRANCHES = 24
"""More names, such as those of all drivers, are spelled as any name: looking for each takes hyperscan long."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ASCII = 0x7F
_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
_AHEAD = 1
_CLASSES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
    ops.CATEGORY_SPACE: r"\s\x1c-\x1f",
    ops.CATEGORY_NOT_SPACE: r"\S",
}
_Node = tuple[Any, Any]
_Trie = dict[str, Any]


class _CannotTellError(Exception):
    """Something in an expression has no wider spelling."""


def widen(expression: str) -> str | None:
    """Spell an expression for hyperscan; None where nothing wider can be told of it."""
    tree = parser.parse(expression)
    try:
        text, _ = _spell_all(_behead(list(tree)), is_last=True)
    except _CannotTellError:
        return None
    return f"(?i){text}" if text and tree.state.flags & re.IGNORECASE else text or None


def _behead(nodes: Sequence[_Node]) -> list[_Node]:
    """Leave out what may stand before a match and need not."""
    left = list(nodes)
    while left:
        op, value = left[0]
        if op in _REPEATS and value[0] <= 1:
            left[:1] = list(value[2]) * value[0]
        elif _is_nothing(op, value):
            del left[0]
        elif op is ops.SUBPATTERN and not value[1]:
            left[:1] = _behead(value[3])
            break
        elif op is ops.BRANCH:
            left[0] = (op, (value[0], [_behead(branch) for branch in value[1]]))
            break
        else:
            break
    return left


def _is_nothing(op: Any, value: Any) -> bool:  # noqa: ANN401 (the tree of `re` has no types)
    """Whether a part takes no letters and is not spelled either."""
    is_behind = op is ops.ASSERT_NOT and value[0] != _AHEAD
    return op is ops.ASSERT or is_behind or (op is ops.AT and value is not ops.AT_BOUNDARY)


def _curtail(nodes: Sequence[_Node]) -> list[_Node]:
    """Leave out what may stand behind a match and need not: hyperscan would tell each of its letters."""
    left = list(nodes)
    while left:
        op, value = left[-1]
        is_free = op in _REPEATS and value[0] == 0
        if not is_free and op is not ops.ASSERT_NOT and not _is_nothing(op, value):
            break
        del left[-1]
    return left


def _spell_all(nodes: Sequence[_Node], *, is_last: bool) -> tuple[str, bool]:
    """Spell parts that follow each other.

    Args:
        nodes: The parts.
        is_last: Whether nothing follows them.

    Returns:
        The text, and whether what follows is in it already and must be left out.
    """
    spelled: list[str] = []
    nodes = _curtail(nodes) if is_last else nodes
    for place, (op, value) in enumerate(nodes):
        rest = nodes[place + 1 :]
        if op is ops.ASSERT_NOT and value[0] == _AHEAD and is_last:
            width = sum(map(_width, rest))
            if words := [word for word in _words(value[1]) if 0 < len(word) <= width]:
                return "".join([*spelled, _spell_other_than(words)]), True
        text, is_done = _spell(op, value, is_last=is_last and not rest)
        spelled.append(text)
        if is_done:
            return "".join(spelled), True
    return "".join(spelled), False


def _spell(op: Any, value: Any, *, is_last: bool) -> tuple[str, bool]:  # noqa: ANN401
    if op is ops.SUBPATTERN:
        return _spell_group(value, is_last=is_last)
    if op is ops.BRANCH:
        if len(value[1]) > MAX_BRANCHES and (least := _name_letters(value[1])):
            return rf"[\w-]{{{least},}}", False
        branches = [_spell_all(branch, is_last=is_last)[0] for branch in value[1]]
        return f"(?:{'|'.join(branches)})", False
    if op in _REPEATS:
        return _spell_repeat(*value, is_last=is_last), False
    if (spell := _SPELLERS.get(op)) is None:
        raise _CannotTellError
    return spell(value), False


def _spell_group(value: Any, *, is_last: bool) -> tuple[str, bool]:  # noqa: ANN401
    _, added, removed, nodes = value
    if removed or added & ~re.IGNORECASE:
        raise _CannotTellError
    text, is_done = _spell_all(nodes, is_last=is_last)
    return f"(?{'i' if added else ''}:{text})", is_done


def _spell_repeat(least: int, most: int, nodes: Sequence[_Node], *, is_last: bool) -> str:
    if is_last:
        most = least  # what is found with more is found with the least
    if most == 0:
        return ""
    text, _ = _spell_all(nodes, is_last=False)
    if least > MAX_COUNT or (most is not ops.MAXREPEAT and most > MAX_COUNT):
        least, most = min(least, MAX_COUNT), ops.MAXREPEAT
    known = {(0, 1): "?", (1, 1): "", (0, ops.MAXREPEAT): "*", (1, ops.MAXREPEAT): "+"}
    count = known.get((least, most), f"{{{least},{'' if most is ops.MAXREPEAT else most}}}")
    return f"(?:{text}){count}"


def _spell_letter(code: int) -> str:
    if code > _ASCII:
        raise _CannotTellError
    letter = chr(code)
    return letter if letter.isalnum() or letter in " _" else f"\\x{code:02x}"


def _spell_other(code: int) -> str:
    return f"[^{_spell_letter(code)}]"


def _spell_class(members: Sequence[_Node]) -> str:
    is_negated = members[0][0] is ops.NEGATE
    spelled = [_spell_member(*member) for member in members[is_negated:]]
    if is_negated and any(member == (ops.CATEGORY, ops.CATEGORY_NOT_SPACE) for member in members):
        raise _CannotTellError  # to `re` more is white space than to hyperscan
    if not any(spelled):
        raise _CannotTellError
    told = "".join(spelled)
    return f"[^{told.replace(_CLASSES[ops.CATEGORY_SPACE], _SPACE)}]" if is_negated else f"[{told}]"


_SPACE = r"\s"


def _spell_member(op: Any, value: Any) -> str:  # noqa: ANN401
    if op is ops.CATEGORY:
        return _CLASSES[value]
    first, last = value if op is ops.RANGE else (value, value)
    if first > _ASCII:
        return ""  # no line of ASCII has it
    if first == last:
        return _spell_letter(first)
    return f"{_spell_letter(first)}-{_spell_letter(min(last, _ASCII))}"


_SPELLERS: Mapping[Any, Callable[[Any], str]] = {
    ops.LITERAL: _spell_letter,
    ops.NOT_LITERAL: _spell_other,
    ops.ANY: lambda _: ".",
    ops.IN: _spell_class,
    # What is judged is cut and stripped: its end is not that of the line.
    ops.AT: lambda value: r"\b" if value is ops.AT_BOUNDARY else "",
    ops.ASSERT: lambda _: "",
    ops.ASSERT_NOT: lambda _: "",
    ops.ATOMIC_GROUP: lambda nodes: f"(?:{_spell_all(nodes, is_last=False)[0]})",
}


def _width(node: _Node) -> int:
    """The least letters that a part of an expression takes."""
    op, value = node
    if op in (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN):
        return 1
    if op is ops.SUBPATTERN:
        return sum(map(_width, value[3]))
    if op is ops.BRANCH:
        return min(sum(map(_width, branch)) for branch in value[1])
    return value[0] * sum(map(_width, value[2])) if op in _REPEATS else 0


def _words(nodes: Iterable[_Node]) -> list[str]:
    """List the plain ASCII words that some parts can be; whatever is more than a word is left out."""
    words = [""]
    for op, value in nodes:
        if op is ops.LITERAL and value <= _ASCII:
            told = [chr(value)]
        elif op is ops.SUBPATTERN and not value[1] and not value[2]:
            told = _words(value[3])
        elif op is ops.BRANCH:
            told = [word for branch in value[1] for word in _words(branch)]
        else:
            return []
        words = [before + after for before in words for after in told]
    return words


def _name_letters(branches: Sequence[Sequence[_Node]]) -> int:
    """The least letters of branches that are all names; 0 where one is more than a name."""
    names = [_words(branch) for branch in branches]
    if not all(names) or not all(_NAME.fullmatch(word) for words in names for word in words):
        return 0
    return min(len(word) for words in names for word in words)


def _spell_other_than(words: Iterable[str]) -> str:
    """Spell the first letters of whatever begins with none of some words."""
    trie: _Trie = {}
    for word in words:
        branch: _Trie | None = trie
        for letter in word[:-1]:
            branch = branch.setdefault(letter, {}) if branch is not None else None
        if branch is not None:
            branch[word[-1]] = None
    return _spell_trie(trie)


def _spell_trie(trie: _Trie) -> str:
    spelled = [f"[^{''.join(_spell_letter(ord(letter)) for letter in trie)}]"]
    spelled += [_spell_letter(ord(letter)) + _spell_trie(rest) for letter, rest in trie.items() if rest is not None]
    return f"(?:{'|'.join(spelled)})"
