"""What a parser of commands' output collects while it reads: events, readings, links, gaps, and the count of lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tools.parsers._lazy import Lazy
from tools.parsers._lines import Tally, is_cut, is_prompt, make_quote, read_rows_of
from tools.parsers._readings import Readings
from tools.types import (
    NO_MOMENT,
    Coverage,
    Document,
    Domain,
    Entity,
    Event,
    Facts,
    Line,
    Link,
    Moment,
    Parsed,
    Quote,
)  # fmt: skip

SLEEP = Lazy(r"\bsleep\s+(?P<seconds>\d{1,5}(?:\.\d+)?)\b|\bwatch\s+(?:-\S+\s+)*-n\s*(?P<every>\d{1,5}(?:\.\d+)?)\b")
"""What a person types between two readings of the same counters: `cmd; sleep 60; cmd`, `watch -n 10 cmd`."""


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """Lines that were made of a text, with the numbers of the lines that they come from."""

    label: str
    node: str
    kept: tuple[Line, ...]

    def lines(self) -> Iterator[Line]:
        """Iterate over the lines."""
        return iter(self.kept)


class Sheet:
    """Facts of one document, as they come.

    Args:
        document: What is read.
        domain: Coverage domain of the form.
    """

    def __init__(self, document: Document, domain: Domain) -> None:
        self.document = document
        self.domain = domain
        self.node = document.node
        self.readings = Readings(document.label)
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.gaps: list[Coverage] = []
        self.is_cut = False
        self.interval_seconds = 0.0

    def read(self, *steps: Callable[[Line], bool]) -> Parsed:
        """Hand every line to the steps in order until one understands it."""
        tally = Tally()
        for line in read_rows_of(self.document):
            self.is_cut = self.is_cut or is_cut(line.text)
            tally.count(line, understood=any(step(line) for step in steps))
        return Parsed(self.build_facts(), tally.result())

    def read_interval(self, line: Line) -> bool:
        """Learn from a typed line how long lay between the readings that follow."""
        match = SLEEP.search(line.text) if is_prompt(line.text) else None
        if match is not None:
            self.interval_seconds = float(match["seconds"] or match["every"])
            self.readings.start_column(0.0)
        return match is not None

    def start_reading(self) -> None:
        """Begin the next reading of the same counters, as long after the last one as was typed, if that is known."""
        last = self.readings.last_seconds
        self.readings.start_column(last + self.interval_seconds if self.interval_seconds else math.nan)

    def quote(self, line: Line) -> Quote:
        """Quote a line of the document."""
        return make_quote(self.document, line)

    def add(
        self,
        line: Line,
        entity: Entity,
        code: str,
        fields: Mapping[str, str] | None = None,
        moment: Moment = NO_MOMENT,
    ) -> Event:
        """Add an event that a line tells; empty fields are left out."""
        kept = {name: value for name, value in (fields or {}).items() if value}
        event = Event(moment, entity, code, self.quote(line), kept)
        self.events.append(event)
        return event

    def put(self, line: Line, entity: Entity, signal: str, value: float | None, reason: str = "") -> None:
        """Add a reading with its line, or why there is none."""
        self.readings.put(entity, signal, value, quote=self.quote(line) if value is not None else None, reason=reason)

    def miss(self, reason: str, fix: str) -> None:
        """Say what the text does not hold, and which command would tell it."""
        self.gaps.append(Coverage(self.document.label, self.domain, "partial", reason, fix))

    def make_node(self) -> Entity:
        """The host that the text is from."""
        return Entity("node", node=self.node)

    def build_facts(self) -> Facts:
        """Put everything together."""
        windows = tuple(self.readings.build(clock="none"))
        entities = dict.fromkeys([*self.readings.entities, *(link.subject for link in self.links)])
        return Facts(windows, tuple(self.events), tuple(entities), tuple(self.links), coverage=tuple(self.gaps))
