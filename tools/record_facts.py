"""Facts as JSON and back, without loss; the numbers of windows lie in a table of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from tools.errors import EvidenceUnreadable
from tools.types import Clock, Coverage, Entity, Event, Facts, Inventory, Link, Quote, Window


@dataclass(frozen=True, slots=True)
class Frame:
    """A window without its numbers.

    Attributes:
        times: Unix seconds, None where the form tells none.
        signals: Names of its signals in their order.
        reasons: (row, signal, why the reading is missing).
        quotes: (row, line).
        signal_quotes: (row, signal, line).
    """

    entities: tuple[Entity, ...]
    times: tuple[float | None, ...]
    signals: tuple[str, ...]
    source: str
    step_seconds: float | None
    clock: Clock
    reasons: tuple[tuple[int, str, str], ...] = ()
    quotes: tuple[tuple[int, Quote], ...] = ()
    signal_quotes: tuple[tuple[int, str, Quote], ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """All of some facts but events and numbers."""

    frames: tuple[Frame, ...]
    entities: tuple[Entity, ...]
    links: tuple[Link, ...]
    inventory: tuple[Inventory, ...]
    coverage: tuple[Coverage, ...]
    subject: Entity | None


@cache
def _adapter() -> TypeAdapter[Recorded]:
    return TypeAdapter(Recorded)


@cache
def _event_adapter() -> TypeAdapter[Event]:
    return TypeAdapter(Event)


def encode_facts(facts: Facts) -> object:
    """Turn all but events and numbers into what JSON can hold."""
    recorded = Recorded(
        tuple(_frame(window) for window in facts.windows),
        facts.entities,
        facts.links,
        facts.inventory,
        facts.coverage,
        facts.subject,
    )
    return _adapter().dump_python(recorded, mode="json")


def encode_event(event: Event) -> object:
    """Turn an event into what JSON can hold."""
    return _event_adapter().dump_python(event, mode="json")


def _frame(window: Window) -> Frame:
    return Frame(
        entities=window.entities,
        times=tuple(None if math.isnan(time) else float(time) for time in window.times),
        signals=tuple(window.values),
        source=window.source,
        step_seconds=window.step_seconds,
        clock=window.clock,
        reasons=tuple((row, signal, why) for (row, signal), why in window.reasons.items()),
        quotes=tuple(window.quotes.items()),
        signal_quotes=tuple((row, signal, quote) for (row, signal), quote in window.signal_quotes.items()),
    )


def decode_facts(text: str) -> Recorded:
    """Read `encode_facts` back.

    Raises:
        EvidenceUnreadable: It is damaged.
    """
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        raise EvidenceUnreadable(f"facts.json is damaged: {_first(error)}.", fix="record again") from None


def decode_events(text: str) -> tuple[Event, ...]:
    """Read lines of `encode_event` back.

    Raises:
        EvidenceUnreadable: One is damaged.
    """
    try:
        return tuple(_event_adapter().validate_json(line) for line in text.splitlines() if line.strip())
    except ValidationError as error:
        raise EvidenceUnreadable(f"events.jsonl is damaged: {_first(error)}.", fix="record again") from None


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    return f"{'.'.join(str(part) for part in one['loc'])} {one['msg']}".strip()


def build_windows(frames: Sequence[Frame], arrays: Sequence[Mapping[str, NDArray[np.float64]]]) -> tuple[Window, ...]:
    """Put frames and numbers together."""
    return tuple(
        Window(
            entities=frame.entities,
            times=np.array([math.nan if time is None else time for time in frame.times], dtype=np.float64),
            values=values,
            source=frame.source,
            step_seconds=frame.step_seconds,
            reasons={(row, signal): why for row, signal, why in frame.reasons},
            quotes=dict(frame.quotes),
            clock=frame.clock,
            signal_quotes={(row, signal): quote for row, signal, quote in frame.signal_quotes},
        )
        for frame, values in zip(frames, arrays, strict=True)
    )


def to_json(value: object) -> str:
    """Spell as JSON, one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
