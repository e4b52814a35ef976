"""What a short text that no rule knows speaks of, by its words alone: the weakest of signs, and better than silence.

Each line votes for the first row of `catalogue/wording.csv` whose subject and symptom it names; the row with most
votes is told. Where words of well-being stand and none of trouble, that is told.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from tools.evidence import MAX_QUOTE_CHARACTERS
from tools.harmless import neutralise
from tools.parsers._any_of import AnyOf
from tools.parsers._kernel_forms import split_head
from tools.parsers._lazy import Lazy
from tools.parsers._log_alarm import MAX_LINES, drop_nothing, is_alarm, is_harmless
from tools.types import Entity, Event, Line, Moment, Quote

MAX_EVENTS = 5
WELL = "wording:well"
_WELL = re.compile(
    r"(?i:(?<![\w-])(?<!not )(?<!never )(?<!no longer )"
    r"(?:pass(?:ed)?|ok|okay|optimal|healthy|good|success(?:ful|fully)?|normal|enabled|online|completed|clean"
    r"|active|running|(?:0|no|zero) (?:\w+ )?errors?|started|ready|supported|initiali[sz]ed)(?![\w-]))"
)


class _Table(NamedTuple):
    faults: tuple[str, ...]
    subjects: AnyOf
    symptoms: tuple[Lazy, ...]


@cache
def load_wording() -> _Table:
    """The rows of the table, in the order in which they are tried."""
    text = files("tools").joinpath("catalogue", "wording.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    subjects = AnyOf([f"(?i:{row['subject']})" for row in rows])
    return _Table(tuple(row["fault"] for row in rows), subjects, tuple(Lazy(row["symptom"]) for row in rows))


def read_wording(label: str, node: str, lines: Sequence[Line]) -> tuple[Event, ...]:
    """Say what the words of a short text speak of; nothing where it is long, or says neither trouble nor well-being."""
    told = [line for line in lines if line.text.strip()]
    if not told or len(told) > MAX_LINES:
        return ()
    # A line that cries is what a text was kept for; one that tells of well-being speaks of no fault by a word in it.
    cries = [line for line in told if is_alarm(line.text)]
    quiet = [line for line in told if not _WELL.search(line.text)]
    votes = next((found for lines in (cries, quiet) if (found := _vote(lines))), [])
    if votes:
        first = Counter(fault for fault, _ in votes).most_common(1)[0][0]
        return tuple(_build(label, node, f"wording:{first}", (line for fault, line in votes if fault == first)))
    well = [line for line in told if _WELL.search(line.text)]
    if well and not cries:
        return tuple(_build(label, node, WELL, well))
    return ()


def _vote(lines: Iterable[Line]) -> list[tuple[str, Line]]:
    return [(fault, line) for line in lines if (fault := find_subject(line.text))]


def find_subject(text: str) -> str:
    """The fault that the words of one line speak of; empty where they speak of none."""
    if is_harmless(text):
        return ""
    head = split_head(text)
    # A host that is called after its trade speaks of nothing.
    text = drop_nothing(f"{head.tag} {head.text}" if head.node else text)
    table = load_wording()
    return next((table.faults[row] for row in table.subjects.find(text) if table.symptoms[row].search(text)), "")


def _build(label: str, node: str, code: str, lines: Iterable[Line]) -> Iterator[Event]:
    for _, line in zip(range(MAX_EVENTS), lines, strict=False):
        quote = Quote(label, line.number, neutralise(line.text.strip())[:MAX_QUOTE_CHARACTERS])
        yield Event(Moment(), Entity("node", node=node), code, quote, {}, "user")
