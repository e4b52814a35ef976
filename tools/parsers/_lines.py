"""What all line parsers share: quoting, numbers, shell noise, and the count of lines that were not understood."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from tools.evidence import MAX_QUOTE_CHARACTERS
from tools.harmless import neutralise
from tools.types import Document, Line, Quote, Unread

MAX_SAMPLES = 3
MAX_ROW_CHARACTERS = 600
"""Longest row of any table that is read here; what is longer is no row, and must not make a pattern run for minutes."""
MAX_NOISE_CHARACTERS = 300
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
PROMPT = re.compile(
    r"^\s*(?:\[[\w.@:~/ -]+\]|\(?[\w.-]*\)?\s?[\w.-]+@[\w.-]+(?::|\s)?[\w~/.-]*|[\w.-]*[:~][\w~/.-]*)?\s?"
    r"[#$%>]\s+(?:sudo\s+|time\s+|watch\s+(?:-\S+\s+)*)*(?P<command>[A-Za-z_./][\w./-]*)(?P<rest>(?:\s.*|[;|&<>]+\s.*)?)$"
)
"""A shell prompt and what was typed: ``root@host:~# iostat -x 1``, ``$ dmesg``; also ``# nvidia-smi``."""
_LOOSE_PROMPT = re.compile(
    r"^\s*\S{1,40}\s?[#$%>]\s+(?:sudo\s+)?(?:nvidia-smi|iostat|dmesg|journalctl|smartctl|nvme|xl|xe|xm|virsh|lsblk|"
    r"dmsetup|cat|tail|head|less|grep|df|ls|free|uptime|hostname|ibstat|ethtool|ip|sinfo|squeue|scontrol|date|"
    r"ipmitool|ipmi-sel|ipmi-sensors|dcgmi|ibstatus|ibqueryerrors|iblinkinfo|perfquery|rdma|lspci|systemctl|chronyc|mdadm|"
    r"sensors|sacct|gpustat|vmstat|top|sar|pidstat|iotop|xentop|docker)\b"
)
_CUT = re.compile(
    r"^\W*(?:\[?\s*(?:\.{3,}|…)\s*\]?|<snip>|\[snip\]|-{3,}\s*(?:snip|cut|truncated).*)\W*$", re.IGNORECASE
)


def strip_colours(text: str) -> str:
    """Remove terminal colour and cursor sequences, which a pasted screen may hold."""
    return COLOURS.sub("", text) if "\x1b" in text else text


def read_rows_of(document: Document) -> Iterator[Line]:
    """Iterate over the lines of a document, each cut to what a row of a table can be; JSON is left as it is."""
    for line in document.lines():
        is_long = len(line.text) > MAX_ROW_CHARACTERS and line.text.lstrip()[:1] != "{"
        yield Line(line.number, line.text[:MAX_ROW_CHARACTERS]) if is_long else line


def clip_sample(sample: Iterable[str]) -> list[str]:
    """Cut every line of a sample to what a row of a table can be."""
    return [text[:MAX_ROW_CHARACTERS] for text in sample]


def make_quote(document: Document, line: Line) -> Quote:
    """Quote one line of a document, control characters neutralised."""
    return Quote(document.label, line.number, neutralise(line.text[:MAX_QUOTE_CHARACTERS]).rstrip())


def parse_number(text: str) -> float | None:
    """Read the first number of a cell, decimal point or comma; None for ``N/A``, ``ERR!`` or an empty cell."""
    match = _NUMBER.search(text)
    if match is None:
        return None
    value = float(match.group().replace(",", "."))
    return value if math.isfinite(value) else None


def is_prompt(text: str) -> bool:
    """Say whether a line is a shell prompt with a command: of the usual shape, or any word before a known command."""
    head = text[:MAX_NOISE_CHARACTERS]
    return bool(PROMPT.match(head) or _LOOSE_PROMPT.match(head))


def is_cut(text: str) -> bool:
    """Say whether a line only tells that something was left out here: ``[...]``, ``<snip>``."""
    return len(text) <= MAX_NOISE_CHARACTERS and bool(_CUT.match(text))


_STAMP_ONLY = re.compile(
    r"^\s*(?:Every \d+(?:\.\d+)?s: .*|```\w*|"
    r"\w{3},? \w{3} +\d{1,2} \d\d:\d\d:\d\d (?:[AP]M )?(?:[A-Z]{2,5} )?\d{4})\s*$"
)


@lru_cache(maxsize=8192)
def is_noise(text: str) -> bool:
    """Say whether a line holds no evidence by nature: empty, a prompt, a ruler, a cut mark, a date, `watch`'s head.

    Every parser asks it of the same sample, so that the last answers are kept.
    """
    stripped = text.strip()
    if not stripped or not any(c.isalnum() for c in stripped):
        return True
    return is_prompt(text) or bool(_STAMP_ONLY.match(text[:MAX_NOISE_CHARACTERS])) or is_cut(text)


class Tally:
    """Counts what was read and keeps the first lines that were not understood."""

    def __init__(self) -> None:
        self._total = 0
        self._unread = 0
        self._samples: list[str] = []

    def count(self, line: Line, *, understood: bool) -> None:
        """Count one line; noise counts as nothing at all."""
        if is_noise(line.text):
            return
        self._total += 1
        if not understood:
            self._unread += 1
            if len(self._samples) < MAX_SAMPLES:
                self._samples.append(neutralise(line.text.strip())[:200])

    def result(self) -> Unread:
        """What was counted."""
        return Unread(self._total, self._unread, tuple(self._samples))


def share_of(lines: Iterable[str], pattern: re.Pattern[str]) -> float:
    """Say which share of the lines that are no noise a pattern matches, 0.0 to 1.0."""
    kept = [line for line in lines if not is_noise(line)]
    return sum(bool(pattern.search(line)) for line in kept) / len(kept) if kept else 0.0
