"""What one fuzzed input goes through, and what must hold for it: every parser, and the whole path to the page."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from types import FrameType

from agent.policy import SitePolicy
from agent.triage import triage
from serve.page import render_pages
from serve.render import render_report
from serve.terminal import render_plain
from tools.document import TextDocument
from tools.errors import DaytwoError
from tools.parsers._log_reader import MAX_EVENTS, MAX_KEYS
from tools.sources._segments import load_parsers, rank_parsers, take_sample
from tools.sources.recording import RecordingSource
from tools.types import Facts, Parser, Quote

MAX_SECONDS = 1.0
"""Most processor time for an input of 64 KiB or less; larger ones get more in proportion."""
SMALL_BYTES = 64 * 1024
HANG_SECONDS = 20
MAX_INPUT_BYTES = 64 * 1024 * 1024
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Broken(AssertionError):
    """What must hold for every input does not hold for this one."""


class Hang(BaseException):
    """An input took so long that it was stopped; no handler of the product may swallow it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Where the time of an input went."""

    seconds: float
    where: str


@contextmanager
def stop_hangs(seconds: int = HANG_SECONDS) -> Iterator[None]:
    """Raise `Hang` in the midst of whatever takes too much processor time; regular expressions let signals through."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"still running after {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def allow_seconds(size: int) -> float:
    return MAX_SECONDS * max(1.0, size / SMALL_BYTES)


def run_parser(parser: Parser, text: str) -> Cost:
    """Recognise and parse a text with one parser, and check what comes back."""
    start = time.thread_time()
    document = TextDocument("input", "node-a1", text)
    score = parser.recognise(take_sample([line.text for line in document.lines()]))
    if not 0.0 <= score <= 1.0:
        raise Broken(f"{parser.FORM}: recognise says {score}")
    parsed = parser.parse(document)
    check_facts(parsed.facts, parser.FORM)
    if not 0 <= parsed.unread.unread <= parsed.unread.total:
        raise Broken(f"{parser.FORM}: {parsed.unread.unread} of {parsed.unread.total} lines unread")
    for sample in parsed.unread.samples:
        check_text(sample, f"{parser.FORM}: a sample")
    return Cost(time.thread_time() - start, parser.FORM)


def run_parsers(data: bytes, numbers: Iterable[int] = ()) -> Cost:
    """Give a text to every parser, or to those with these numbers.

    Returns:
        The slowest parser and its time.
    """
    text = data.decode("utf-8", errors="replace")
    parsers = load_parsers()
    asked = {number % len(parsers) for number in numbers} or range(len(parsers))
    return max((run_parser(parsers[number], text) for number in asked), key=lambda cost: cost.seconds)


def find_form(data: bytes) -> int:
    """Number of the parser that knows a text best; where none does, the one of kernel logs."""
    ranked = rank_parsers(data.decode("utf-8", errors="replace").split("\n"))
    best = ranked[0][1].FORM if ranked else "kernel_log"
    return next(number for number, parser in enumerate(load_parsers()) if best == parser.FORM)


def run_whole(data: bytes, *, shown: bool = True, max_bytes: int = MAX_INPUT_BYTES) -> Cost:
    """Send an input the whole way: standard input, source, judge, JSON and page."""
    start = time.thread_time()
    try:
        facts = RecordingSource([], stdin=BytesIO(data), max_bytes=max_bytes).read_facts()
    except DaytwoError as error:
        check_text(error.message + error.fix, "an error")
        return Cost(time.thread_time() - start, "refused")
    check_facts(facts, "source")
    report = triage(facts, site=SitePolicy(), now=NOW)
    if not report.verdicts:
        raise Broken("a report without a verdict")
    report.model_dump_json()
    if shown:
        for page in (render_pages(report, kept=False), render_report(report)):
            check_text(render_plain(page), "the page")
    return Cost(time.thread_time() - start, "whole")


def check_facts(facts: Facts, where: str) -> None:
    """Hold facts to their contract: bounded, finite, harmless to show."""
    if len(facts.events) > 2 * (MAX_EVENTS + MAX_KEYS):
        raise Broken(f"{where}: {len(facts.events)} events")
    for event in facts.events:
        check_quote(event.quote, where)
        if event.moment.seconds is not None and not math.isfinite(event.moment.seconds):
            raise Broken(f"{where}: an event at {event.moment.seconds}")
        if not event.code or not all(isinstance(value, str) for value in event.fields.values()):
            raise Broken(f"{where}: code {event.code!r}, fields {event.fields!r}")
    for window in facts.windows:
        for quote in (*window.quotes.values(), *window.signal_quotes.values()):
            check_quote(quote, where)
        for signal_name, array in window.values.items():
            for value in array.flat:
                if math.isinf(value):
                    raise Broken(f"{where}: {signal_name} is {value}")


def check_quote(quote: Quote, where: str) -> None:
    if len(quote.text) > 2100:
        raise Broken(f"{where}: a quote of {len(quote.text)} characters")
    check_text(quote.text, f"{where}: a quote")


def check_text(text: str, where: str) -> None:
    """Refuse what steers a terminal or cannot be printed."""
    bad = next((c for c in text if not (c.isprintable() or c == "\n")), None)
    if bad is not None:
        raise Broken(f"{where} holds {bad!r}: {text[:200]!r}")
