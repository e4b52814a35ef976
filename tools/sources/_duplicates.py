"""Leaves out what several files of one machine tell twice: the ring buffer, the journal and syslog hold the same lines.

Two lines are one event where they have the same message, code and entity and stand in different files: at the same time
where both tell it on one clock, else the file that tells it most often speaks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tools.types import Event

SAME_SECONDS = 1.5
"""Syslog cuts the fraction of a second, and journald may write a moment later (a guess)."""
_HEAD = re.compile(r"^(?:.{0,120}?\bkernel(?:\[\d+\])?: )?\s*(?:<\d+>)?(?:\[[^\]]{1,40}\]\s?)?")

_Key = tuple[str, str, str, str]


def drop_duplicates(events: Sequence[Event]) -> tuple[Event, ...]:
    """Keep each event once; order is kept, and what one file tells several times stays as it is."""
    if len({event.quote.source for event in events}) < 2:
        return tuple(events)
    groups: dict[_Key, list[Event]] = defaultdict(list)
    for event in events:
        # Two files of unknown hosts may be of two hosts.
        if event.node:
            groups[event.node, str(event.entity), event.code, _cut_head(event.quote.text)].append(event)
    doubled = {id(event) for group in groups.values() for event in _find_doubled(group)}
    return tuple(event for event in events if id(event) not in doubled)


def _cut_head(text: str) -> str:
    return text[match.end() :].strip() if (match := _HEAD.match(text)) else text.strip()


def _find_doubled(group: Sequence[Event]) -> Iterable[Event]:
    by_source: dict[str, list[Event]] = defaultdict(list)
    for event in group:
        by_source[event.quote.source].append(event)
    if len(by_source) < 2:
        return
    kept: list[Event] = []
    # Stable: of two files that tell it as often the first one speaks.
    for events in sorted(by_source.values(), key=lambda told: -len(told)):
        before = list(kept)
        for event in events:
            if any(_is_same(event, other) for other in before):
                yield event
            else:
                kept.append(event)


def _is_same(one: Event, other: Event) -> bool:
    first, second = one.moment, other.moment
    if first.seconds is None or second.seconds is None or first.clock != second.clock:
        return True
    return abs(first.seconds - second.seconds) <= SAME_SECONDS
