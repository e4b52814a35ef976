"""Which verdicts on a growing log are news: what was told already and did not change is not told again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.faults import load_faults
from agent.history import Record
from agent.types import TriageReport, Verdict
from tools.types import Event

QUIET_SECONDS = 3600.0
"""An event that comes back after so long is news, though its case is known (a guess, as `agent/remember.py` has)."""


@dataclass(frozen=True, slots=True)
class Followed:
    """How far a growing log was followed.

    Attributes:
        source: Host and place.
        position: Where to go on; empty where it was never followed.
        told: Verdicts that were told, as the follower names them.
    """

    source: str
    position: str = ""
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What came of reading on.

    Attributes:
        before: As it was when the reading began.
        position: Behind what was read.
        events: What the new lines told, each once.
        report: The verdicts that are new or changed; None where none is.
    """

    before: Followed
    position: str
    events: Sequence[Event] = ()
    records: Sequence[Record] = ()
    report: TriageReport | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What of a report is to be told.

    Attributes:
        verdicts: New or changed ones, in the order of the report; what is over comes as the verdict that stands now.
        told: What will have been told then: subject and fault to a fingerprint of the rest.
    """

    verdicts: tuple[Verdict, ...] = ()
    told: dict[str, str] = field(default_factory=dict)


def find_news(report: TriageReport, told: Mapping[str, str], *, back: Iterable[str] = ()) -> News:
    """Compare a report with what was told.

    Args:
        report: Of all that is known now.
        told: What was told before.
        back: Entities on which something came back after a long quiet.
    """
    returned = frozenset(back)
    now = {_name(verdict): _fingerprint(verdict) for verdict in report.verdicts if is_trouble(verdict)}
    fresh = [
        verdict
        for verdict in report.verdicts
        if is_trouble(verdict)
        and (told.get(_name(verdict)) != now[_name(verdict)] or verdict.subject.entity in returned)
    ]
    if told and not now:
        fresh = list(report.verdicts[:1])
    return News(tuple(fresh), now)


def is_trouble(verdict: Verdict) -> bool:
    """Whether a verdict names a fault; healthy, benign and not looked at are none."""
    return load_faults()[verdict.fault].scope != "meta" or (verdict.fault == "unknown" and bool(verdict.evidence))


def _name(verdict: Verdict) -> str:
    # Not the case: its id comes from its first line, which a long watch forgets.
    return f"{verdict.subject.entity} {verdict.fault}"


def _fingerprint(verdict: Verdict) -> str:
    parts = (
        verdict.status,
        verdict.confidence,
        verdict.severity,
        verdict.action,
        verdict.urgency,
        verdict.follow_up,
        *sorted({f"{one.fault} {one.entity}" for one in verdict.consequences}),
        *sorted({f"{one.role} {one.entity}" for one in verdict.affected}),
    )
    return hashlib.sha256("|".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def find_returned(events: Sequence[Event], fresh: Sequence[Event]) -> frozenset[str]:
    """Entities with a new event whose last one of the same code is long ago.

    Args:
        events: All that are known, the new ones among them, in order.
        fresh: The new ones.
    """
    new = {id(event) for event in fresh}
    last: dict[tuple[str, str], float] = {}
    returned = set()
    for event in events:
        if event.moment.seconds is None:
            continue
        key = (event.code, str(event.entity))
        if id(event) in new and event.moment.seconds - last.get(key, event.moment.seconds) > QUIET_SECONDS:
            returned.add(str(event.entity))
        last[key] = event.moment.seconds
    return frozenset(returned)
