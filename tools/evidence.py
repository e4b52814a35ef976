"""The book of evidence: every line or reading that a verdict may point at, with a short handle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tools.clock import format_moment
from tools.harmless import neutralise
from tools.types import NO_MOMENT, Moment, Quote

MAX_QUOTE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Evidence:
    """One numbered piece of evidence.

    Attributes:
        id: Handle within one triage: ``e1``, ``e2``, …
        source: ``kern.log:118``, or the exact command or query.
        span: RFC 3339 start and end, None where the evidence tells no wall time.
        quote: The line as read, or a rendered table for readings.
        values: Signal or word to number or text; empty for a line.
    """

    id: str
    source: str
    span: tuple[str, str] | None
    quote: str
    values: Mapping[str, float | str] = field(default_factory=dict)


class EvidenceBook:
    """Numbers evidence in the order in which it is first named; the same place is never numbered twice."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], Evidence] = {}
        self._by_id: dict[str, Evidence] = {}
        self._held, self._first, self._step = 0, 1, 1

    def branch(self, place: int, count: int) -> EvidenceBook:
        """Begin a book that goes on from this one beside `count` - 1 others, each with handles that no other gives.

        So handles are the same however fast each of them grows: with three books e7, e10, e13, … in the first.

        Args:
            place: Which of them, from 0.
            count: How many there are; nothing is added to this one any more.
        """
        book = EvidenceBook()
        book._by_key, book._by_id = dict(self._by_key), dict(self._by_id)
        book._held, book._first, book._step = len(self), len(self) + 1 + place, count
        return book

    def _spell_next(self) -> str:
        return f"e{self._first + (len(self._by_id) - self._held) * self._step}"

    def add(
        self,
        quote: Quote,
        *,
        start: Moment = NO_MOMENT,
        end: Moment | None = None,
        values: Mapping[str, float | str] | None = None,
    ) -> Evidence:
        """Number a quote, or return the evidence that already stands for it.

        Args:
            quote: Where it stands and what it says.
            start: When it was, or when a span of readings began.
            end: When the span ended; `start` where not given.
            values: Numbers that the quote holds, for code to check claims against.
        """
        key = (quote.place, quote.text)
        if key in self._by_key:
            return self._by_key[key]
        first, last = format_moment(start), format_moment(end or start)
        evidence = Evidence(
            id=self._spell_next(),
            source=quote.place,
            span=(first, last) if first and last else None,
            quote=neutralise(quote.text)[:MAX_QUOTE_CHARACTERS],
            values=dict(values or {}),
        )
        self._by_key[key] = evidence
        self._by_id[evidence.id] = evidence
        return evidence

    def find(self, evidence_id: str) -> Evidence | None:
        """Look a handle up; None where no such evidence was ever shown."""
        return self._by_id.get(evidence_id.strip().lower())

    def open_page(self, name: str) -> EvidencePage:
        """Open a page for a call that runs beside others: it numbers nothing until :meth:`take_in`."""
        return EvidencePage(self, name)

    def take_in(self, page: EvidencePage, text: str) -> tuple[str, dict[str, str]]:
        """Number what a page holds, in its order.

        Returns:
            The text with the real handles, and provisional to real handle.
        """
        real: dict[str, str] = {}
        for evidence in page.added:
            known = self._by_key.get((evidence.source, page.texts[evidence.id]))
            if known is None:
                known = replace(evidence, id=self._spell_next())
                self._by_key[known.source, page.texts[evidence.id]] = known
                self._by_id[known.id] = known
            real[evidence.id] = known.id
            text = text.replace(evidence.id, known.id)
        return text, real

    def __iter__(self) -> Iterator[Evidence]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)


class EvidencePage(EvidenceBook):
    """Where one of several calls at a time notes what it shows; the book numbers it afterwards, in the calls' order.

    So handles are the same whichever call was faster. A provisional handle holds a character that no evidence can, as
    it is taken out of every quote.
    """

    def __init__(self, book: EvidenceBook, name: str) -> None:
        super().__init__()
        self._book = book
        self._name = name
        self.texts: dict[str, str] = {}

    @property
    def added(self) -> tuple[Evidence, ...]:
        """What the call showed that the book does not hold, in order."""
        return tuple(self._by_id.values())

    def add(
        self,
        quote: Quote,
        *,
        start: Moment = NO_MOMENT,
        end: Moment | None = None,
        values: Mapping[str, float | str] | None = None,
    ) -> Evidence:
        """Note a quote under a provisional handle, or return the evidence of the book that stands for it."""
        known = self._book._by_key.get((quote.place, quote.text))
        if known is not None:
            return known
        evidence = super().add(quote, start=start, end=end, values=values)
        if evidence.id in self.texts:
            return evidence
        noted = replace(evidence, id=f"\x00{self._name}.{len(self.texts) + 1}\x00")
        del self._by_id[evidence.id]
        self._by_id[noted.id] = noted
        self._by_key[quote.place, quote.text] = noted
        self.texts[noted.id] = quote.text
        return noted

    def find(self, evidence_id: str) -> Evidence | None:
        """Look a handle up in the book: a call knows only what was shown before it."""
        return self._book.find(evidence_id)

    def __len__(self) -> int:
        return len(self._book)
