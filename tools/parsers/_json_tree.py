"""Reads a text that is JSON as a whole, however it is broken into lines, and finds the line that tells something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.evidence import MAX_QUOTE_CHARACTERS
from tools.parsers._lines import is_noise, is_prompt
from tools.types import Document, Line

MAX_JSON_CHARACTERS = 64 * 1024 * 1024
_BEFORE_CHARACTERS = 60
_START = re.compile(r"\{(?=\s*(?:[\"}]|$))|\[(?=\s*(?:[\[{\"\d\]-]|$))")
"""Where a value of JSON begins; the bracket of a prompt is none."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """The values of a text, one for each JSON document in it, and its lines.

    Attributes:
        is_cut: Whether something that looks like JSON could not be read.
    """

    values: tuple[object, ...]
    lines: tuple[Line, ...]
    is_cut: bool = False

    def find(self, *words: str, after: int = 0) -> Line:
        """Find the first line that holds all words, from a line on; of a long line the stretch around them."""
        for line in self.lines[after:]:
            if all(word in line.text for word in words):
                return _cut_line(line, words[0] if words else "")
        return _cut_line(self.lines[0], "") if self.lines else Line(1, "")


def _cut_line(line: Line, word: str) -> Line:
    if len(line.text) <= 4 * _BEFORE_CHARACTERS:
        return line
    start = max(0, line.text.find(word) - _BEFORE_CHARACTERS)
    return Line(line.number, line.text[start : start + MAX_QUOTE_CHARACTERS // 4])


def starts_json(document: Document) -> bool:
    """Say whether the first line that is no noise begins as JSON does."""
    for line in document.lines():
        text = line.text.strip()
        if _START.match(text):
            return True
        if not is_noise(text) and not text.startswith("#"):
            return False
    return False


def read_json_text(document: Document) -> JsonText:
    """Read all JSON documents of a text; what lies between them is left out."""
    lines: list[Line] = []
    size = 0
    for line in document.lines():
        size += len(line.text) + 1
        if size > MAX_JSON_CHARACTERS:
            return JsonText((), tuple(lines), is_cut=True)
        lines.append(line)
    text = "\n".join(line.text for line in lines if not is_prompt(line.text))
    return JsonText(*_decode(text, lines))


def _decode(text: str, lines: Sequence[Line]) -> tuple[tuple[object, ...], tuple[Line, ...], bool]:
    decoder = json.JSONDecoder()
    values: list[object] = []
    place = _find_start(text, 0)
    while place >= 0:
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return tuple(values), tuple(lines), True
        values.append(value)
        place = _find_start(text, place)
    return tuple(values), tuple(lines), False


def _find_start(text: str, start: int) -> int:
    match = _START.search(text, start)
    return match.start() if match is not None else -1


def list_dicts(value: object) -> Iterator[dict[str, object]]:
    """Iterate over all dictionaries of a value, outer ones first."""
    stack = [value]
    while stack:
        here = stack.pop(0)
        if isinstance(here, dict):
            yield here
            stack = [*here.values(), *stack]
        elif isinstance(here, list):
            stack = [*here, *stack]
