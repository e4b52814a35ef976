"""Keeps expressions from costing the square of a hostile line: gaps get a length, two gaps in a row become one."""

from __future__ import annotations

import re

GAP_CHARACTERS = 400
"""Farthest that two words of one message lie apart (a guess; kernel messages end at about 1,000 characters)."""
_GAP = f".{{0,{GAP_CHARACTERS}}}"
_INNER = re.compile(r"\.\*(?![?)|]|$)")
_BEFORE_GROUP = re.compile(r"\.\*\?\((?:\?P<\w+>|\?:)")


def bound_gaps(regex: str) -> str:
    """Rewrite an expression so that its cost grows with the length of the line only.

    A gap before a group whose branches begin with a gap of their own (``.*?(?P<why>.*failed.*|hung.*)``) is two gaps
    in a row; the inner one goes, and the group begins at its first word. Every other gap gets a length.
    """
    text = regex
    position = 0
    while (match := _BEFORE_GROUP.search(text, position)) is not None:
        end = _find_end(text, match.end())
        branches = [branch.removeprefix(".*") for branch in _split_branches(text[match.end() : end])]
        if all(branches):
            text = text[: match.end()] + "|".join(branches) + text[end:]
        position = match.end()
    return _INNER.sub(lambda _: _GAP, text.replace(".*?", _GAP + "?"))


def _find_end(regex: str, start: int) -> int:
    depth, position = 1, start
    while position < len(regex):
        char = regex[position]
        if char == "\\":
            position += 1
        elif char == "[":
            position = _class_end(regex, position)
        else:
            depth += (char == "(") - (char == ")")
        if depth == 0:
            break
        position += 1
    return position


def _split_branches(inside: str) -> list[str]:
    branches, start, position = [], 0, 0
    while position < len(inside):
        char = inside[position]
        if char == "\\":
            position += 1
        elif char == "[":
            position = _class_end(inside, position)
        elif char == "(":
            position = _find_end(inside, position + 1)
        elif char == "|":
            branches.append(inside[start:position])
            start = position + 1
        position += 1
    return [*branches, inside[start:]]


def _class_end(text: str, start: int) -> int:
    position = start + 1 + (text[start + 1 : start + 2] == "^")
    position += text[position : position + 1] == "]"
    while position < len(text) and text[position] != "]":
        position += 1 + (text[position] == "\\")
    return position
