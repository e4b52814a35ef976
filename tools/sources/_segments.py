"""Cuts a text into stretches of one form each: people paste a terminal with several commands one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import cast

from tools.parsers._blocks import iterate_blocks
from tools.parsers._lines import COLOURS, is_noise, is_prompt, strip_colours
from tools.types import Document, Line, Parser
from tools.walk import walk_modules

SAMPLE_LINES = 200
BLOCK_LINES = 4096
MIN_SCORE = 0.3
SURE_SCORE = 0.6
MAX_STRETCHES = 300
"""A text with more stretches than this is read on in the last form: prose, or a log with blank lines (a guess)."""
MAX_HELD_LINES = 3
_BOX = re.compile(r"^\s*[|+]")
_JSON = re.compile(r"^\s*(?:\{|\[\s*(?:\{|$))")
_COLOURS = re.compile(COLOURS.pattern.encode())
_HEADLINE = re.compile(r"^(?:={3,}|#{2,}|-{3,}|\*{3,})\s*\S.*|^_{20,}\s*$")


@dataclass(frozen=True, slots=True)
class ListDocument:
    """Some lines of a text, with their numbers kept."""

    label: str
    node: str
    kept: tuple[Line, ...]

    def lines(self) -> Iterator[Line]:
        """Iterate over the lines."""
        return iter(self.kept)

    def blocks(self) -> Iterator[bytes]:
        """The same as bytes, empty lines standing for what comes before, so that counting gives the right numbers."""
        yield b"\n" * (self.kept[0].number - 1 if self.kept else 0)
        yield from _encode(self.kept)


@dataclass(frozen=True, slots=True)
class TailDocument:
    """A text from one line on, streamed, terminal colours removed."""

    base: Document
    start: int

    @property
    def label(self) -> str:
        """Label of the whole text."""
        return self.base.label

    @property
    def node(self) -> str:
        """Node of the whole text."""
        return self.base.node

    def lines(self) -> Iterator[Line]:
        """Iterate over the lines from the start line on."""
        for line in self.base.lines():
            if line.number >= self.start:
                yield strip_line(line)

    def blocks(self) -> Iterator[bytes]:
        """The same as bytes, empty lines standing for what comes before."""
        before = self.start - 1
        yield b"\n" * before
        for block in iterate_blocks(self.base):
            position = 0
            while before and position < len(block):
                position = block.find(b"\n", position) + 1 or len(block)
                before -= 1
            if position < len(block):
                yield _COLOURS.sub(b"", block[position:]) if b"\x1b" in block else block[position:]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines of one form: where they stand among the lines given, and who reads them best."""

    start: int
    end: int
    parsers: tuple[Parser, ...]


def _encode(lines: Iterable[Line]) -> Iterator[bytes]:
    remaining = iter(lines)
    while chunk := list(islice(remaining, BLOCK_LINES)):
        yield ("\n".join(line.text for line in chunk) + "\n").encode("utf-8", errors="replace")


def strip_line(line: Line) -> Line:
    """Remove terminal colours from a line."""
    return Line(line.number, strip_colours(line.text)) if "\x1b" in line.text else line


_REPLY = re.compile(r"^(?:> ?)+")
MIN_REPLY_LINES = 3
"""So many lines in a row with a reply mark are a reply; fewer may be a shell that waits for more (a guess)."""


def strip_margin(lines: Sequence[Line]) -> list[Line]:
    """Remove what a mail or a ticket put before lines: reply marks of a quoted part, one indentation common to all."""
    kept = _strip_replies(lines)
    told = [line.text for line in kept if line.text.strip()]
    margin = min((len(text) - len(text.lstrip(" ")) for text in told), default=0)
    return [Line(line.number, line.text[margin:]) for line in kept] if margin else kept


def _strip_replies(lines: Sequence[Line]) -> list[Line]:
    kept: list[Line] = []
    for is_reply, group in groupby(lines, key=lambda line: line.text.startswith(">")):
        part = list(group)
        if is_reply and (len(part) >= MIN_REPLY_LINES or len(part) == len(lines)):
            part = [Line(line.number, _REPLY.sub("", line.text, count=1)) for line in part]
        kept += part
    return kept


def load_parsers() -> tuple[Parser, ...]:
    """All parsers, found by walking."""
    return tuple(cast("Parser", module) for module in walk_modules("tools.parsers"))


def rank_parsers(lines: Sequence[str]) -> list[tuple[float, Parser]]:
    """Ask every parser about the first 200 lines that are not empty; best first, those below 0.3 left out."""
    sample = take_sample(lines)
    if not sample:
        return []
    scores = [(parser.recognise(sample), parser) for parser in load_parsers()]
    return sorted((pair for pair in scores if pair[0] >= MIN_SCORE), key=_rank)


def _rank(pair: tuple[float, Parser]) -> tuple[float, bool, str]:
    # Of two that are as sure, the one of the narrower form knows more of the line.
    return -pair[0], pair[1].DOMAIN in ("kernel_log", "application"), pair[1].FORM


def take_sample(lines: Sequence[str]) -> list[str]:
    """The first 200 lines that are not empty."""
    sample: list[str] = []
    for text in lines:
        if text.strip():
            sample.append(text)
            if len(sample) == SAMPLE_LINES:
                break
    return sample


def cut_stretches(lines: Sequence[str]) -> list[Stretch]:
    """Cut lines where the form surely changes: at a prompt, a head line, an empty line, the edge of a drawn table.

    A stretch goes on until another parser is sure (0.6) of what comes and the present one is not (0.3).

    Returns:
        Stretches that cover all lines; one without parsers where nobody knows them.
    """
    stretches: list[Stretch] = []
    held: int | None = None
    ranks: dict[tuple[int, int], list[tuple[float, Parser]]] = {}
    for start, end in _find_blocks(lines):
        block = lines[start:end]
        if held is not None and stretches and is_prompt(block[0]) and not _asks(lines[held:start]):
            # A new command begins: what was held is the end of what came before it.
            stretches[-1] = replace(stretches[-1], end=start)
            held = None
        ranked = (
            []
            if all(is_noise(text) for text in block[:MAX_HELD_LINES]) and len(block) <= MAX_HELD_LINES
            else rank_parsers(block)
        )
        ranks[start, end] = ranked
        is_short = sum(bool(text.strip()) for text in block) <= MAX_HELD_LINES
        if not ranked and end < len(lines) and (is_short or is_prompt(block[0])):
            # A command or a head line that nobody knows alone: it goes with what follows.
            held = start if held is None else held
            continue
        first = start if held is None else held
        after_prompt = any(is_prompt(text) for text in lines[first : start + 1])
        is_one_text = bool(stretches) and not (
            after_prompt and _is_json(block) != _is_json(lines[stretches[-1].start : stretches[-1].end])
        )
        if is_one_text and not _changes(stretches[-1], ranked, after_prompt=after_prompt):
            before = stretches.pop()
            stretches.append(Stretch(before.start, end, before.parsers or tuple(p for _, p in ranked)))
        else:
            stretches.append(Stretch(first, end, tuple(parser for _, parser in ranked)))
        held = None
    return [_settle(stretch, lines, ranks) for stretch in stretches]


def _asks(lines: Sequence[str]) -> bool:
    """Say whether lines that nobody knows are a command or a head line, which what follows belongs to."""
    last = next((text for text in reversed(lines) if text.strip()), "")
    is_head = bool(_HEADLINE.match(last)) and any(letter.isalnum() for letter in last)
    return is_head or any(is_prompt(text) for text in lines)


def _is_json(lines: Sequence[str]) -> bool:
    """Say whether a command's output is JSON: its first line that is no prompt begins with a brace."""
    first = next((text for text in lines if text.strip() and not is_prompt(text)), "")
    return bool(_JSON.match(first))


def _changes(now: Stretch, ranked: Sequence[tuple[float, Parser]], *, after_prompt: bool) -> bool:
    if not ranked:
        return False
    best_score, best = ranked[0]
    if not now.parsers:
        return best_score >= SURE_SCORE
    if best is now.parsers[0]:
        return False
    present = next((score for score, parser in ranked if parser is now.parsers[0]), 0.0)
    return best_score >= (MIN_SCORE if after_prompt else SURE_SCORE) and present < MIN_SCORE


def _settle(
    stretch: Stretch, lines: Sequence[str], ranks: Mapping[tuple[int, int], list[tuple[float, Parser]]]
) -> Stretch:
    ranked = ranks.get((stretch.start, stretch.end)) or rank_parsers(lines[stretch.start : stretch.end])
    if not ranked:
        return stretch
    return Stretch(stretch.start, stretch.end, tuple(parser for _, parser in ranked))


def _find_blocks(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    if not lines:
        return
    first = next((text.lstrip()[:1] for text in lines if text.strip()), "")
    starts = [0]
    if first != "{":
        for number in range(1, len(lines)):
            if len(starts) >= MAX_STRETCHES:
                break
            if _is_edge(lines[number - 1], lines[number]):
                starts.append(number)
    yield from zip(starts, [*starts[1:], len(lines)], strict=True)


def _is_edge(before: str, text: str) -> bool:
    if not text.strip():
        return False
    if not before.strip() or is_prompt(text) or _HEADLINE.match(text):
        return True
    return bool(_BOX.match(before)) != bool(_BOX.match(text))
