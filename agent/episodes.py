"""What only several events together tell: an episode that ended, a port that flaps, one trouble on many devices.

Each function adds a field to events (`over`, `flaps`, `devices`, …); the event table knows what it makes of them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeGuard, cast

from agent.storage_episodes import mark_storage
from tools.clock import measure_distance
from tools.types import Entity, Event

BURST_GAP_SECONDS = 180.0
"""Events nearer than this are one burst: three minutes, the gap that NVSentinel's analyser rules use."""
FLAP_RETURNS, FLAP_SECONDS = 3, 12 * 3600.0
"""A port flaps when it comes back three times within twelve hours: the rule of gpud's InfiniBand scan."""
MANY_DEVICES = 3
"""From so many devices on, what they share is at fault and not they: our judgement, no source."""
ECHO_SECONDS = 5.0
"""The kernel and the daemons that follow it tell of one change of a link within seconds (a guess)."""
REQUEST_SECONDS = 60.0
"""A card leaves its slot so soon after somebody asked for it: pciehp waits 5 s, the rest is slack (a guess)."""

ENDINGS: Mapping[str, str] = {
    "nfs:ok": "nfs:not_responding",
    "lustre:ok": "lustre:error",
    "multipath:path_ok": "multipath:path_failed",
    "storage:path_ok": "storage:path_error",
    "shared_fs:ok": "shared_fs:error",
    "cpu:thermal_normal": "cpu:thermal",
    "xid:162": "xid:163",
    "network:link_ok": "network:link_error",
    "clock:synchronised": "clock:unsynchronised",
    "nccl:ok": "nccl:complaint",
    "nccl:connected": "nccl:complaint",
}
"""An event that ends another: what it ended speaks for nothing any more."""


def annotate_episodes(events: Sequence[Event]) -> list[Event]:
    """Add what the company of an event tells about it."""
    for mark in (
        mark_ended, mark_requested, mark_flapping, mark_many_devices, mark_driver_trouble, mark_lost_path, mark_storage,
    ):  # fmt: skip
        events = mark(events)
    return list(events)


def mark_ended(events: Sequence[Event]) -> list[Event]:
    """Mark what a later event ended, with its place: an NFS server that answers again, power smoothing that is back."""
    marked = list(events)
    open_at: dict[str, list[int]] = defaultdict(list)
    openers = set(ENDINGS.values())
    for position, event in enumerate(events):
        if event.code in openers:
            open_at[event.code].append(position)
        waiting = open_at.get(ENDINGS.get(event.code, ""), [])
        for earlier in [at for at in waiting if _one_place(events[at], event)]:
            marked[earlier] = _mark(marked[earlier], over=event.quote.place)
            waiting.remove(earlier)
    return marked


def _mark(event: Event, **fields: str) -> Event:
    return replace(event, fields={**event.fields, **fields})


def _one_place(one: Event, other: Event) -> bool:
    servers = one.fields.get("server"), other.fields.get("server")
    return servers[0] == servers[1] if all(servers) else one.entity == other.entity


def mark_flapping(events: Sequence[Event]) -> list[Event]:
    """Mark the events of a port that came back, or was lost, at least three times within twelve hours.

    A link that comes up without having gone down in between was down unseen; its first coming up is no return.
    """
    ports: dict[Entity, list[Event]] = defaultdict(list)
    for event in events:
        if event.code in ("nic:link_down", "nic:link_up"):
            ports[event.entity].append(event)
    flaps = {port: count_returns(changes) for port, changes in ports.items()}
    back = {port for port, changes in ports.items() if changes[-1].code == "nic:link_up"}
    return [
        _mark_change(event, flaps[event.entity], event.entity in back) if event.code in _LOSS else event
        for event in events
    ]


def _mark_change(event: Event, count: int, is_back: bool) -> Event:
    if count >= FLAP_RETURNS:
        return _mark(event, flaps=str(count))
    return _mark(event, returned="yes") if is_back and event.code == "nic:link_down" else event


def count_returns(changes: Sequence[Event]) -> int:
    """Count how often a link came up again, or was lost, within twelve hours of the first time that is counted."""
    returns = [
        later
        for earlier, later in pairwise(changes)
        if later.code == "nic:link_up" and not (earlier.code == "nic:link_up" and _is_echo(earlier, later))
    ]
    losses = [later for earlier, later in pairwise(changes) if (earlier.code, later.code) == _LOSS]
    losses = [*changes[:1], *losses] if changes and changes[0].code == "nic:link_down" else losses
    return max(_count_together(returns), _count_together(losses))


def _count_together(changes: Sequence[Event]) -> int:
    times = [event.moment.seconds for event in changes]
    if len({(event.moment.clock, event.quote.source) for event in changes}) == 1 and _rise(times):
        return max((bisect_right(times, at + FLAP_SECONDS) - first for first, at in enumerate(times)), default=0)
    return max((_count_within(changes[start:]) for start in range(len(changes))), default=0)


def _is_echo(earlier: Event, later: Event) -> bool:
    # One writer has one wording: what comes again in the same words came again.
    seconds = measure_distance(earlier, later).seconds
    is_near = seconds is not None and abs(seconds) <= ECHO_SECONDS
    return is_near and _NUMBERS.sub("", earlier.quote.text) != _NUMBERS.sub("", later.quote.text)


def _rise(times: Sequence[float | None]) -> TypeGuard[list[float]]:
    return None not in times and all(one <= other for one, other in pairwise(cast("Sequence[float]", times)))


def _count_within(returns: Sequence[Event]) -> int:
    return sum((measure_distance(returns[0], event).seconds or 0.0) <= FLAP_SECONDS for event in returns)


def mark_many_devices(events: Sequence[Event]) -> list[Event]:
    """Mark failed starts that at least three GPUs of one node share."""
    devices: dict[str, set[Entity]] = defaultdict(set)
    for event in events:
        if event.code == "gpu:init_failed":
            devices[event.node].add(event.entity)
    return [
        _mark(event, devices=str(len(devices[event.node])))
        if event.code == "gpu:init_failed" and len(devices[event.node]) >= MANY_DEVICES
        else event
        for event in events
    ]


_LOSS = ("nic:link_up", "nic:link_down")
_NUMBERS = re.compile(r"[\d.:]+")
REQUESTS: Mapping[str, tuple[str, frozenset[str]]] = {
    "pci:hotplug_requested": ("slot", frozenset({"pci:link_down"})),
    "fs:shutdown_requested": ("device", frozenset({"fs:shutdown", "fs:error"})),
}
"""What somebody asked for: the field that names the thing, and what then happens to it."""


def mark_requested(events: Sequence[Event]) -> list[Event]:
    """Mark what happens just after somebody asked for it: a card that leaves its slot, a file system that is shut."""
    requests = [event for event in events if event.code in REQUESTS]
    if not requests:
        return list(events)
    return [
        _mark(event, over=asked[-1].quote.place) if (asked := [r for r in requests if _asks_for(r, event)]) else event
        for event in events
    ]


def _asks_for(request: Event, event: Event) -> bool:
    field, codes = REQUESTS[request.code]
    if event.code not in codes or request.node != event.node:
        return False
    same_thing = request.fields.get(field) == event.fields.get(field, "")
    return same_thing and 0.0 <= (measure_distance(request, event).seconds or 0.0) <= REQUEST_SECONDS


DRIVER_TROUBLE = frozenset(
    {"driver:api_mismatch", "driver:library_mismatch", "driver:firmware_missing", "driver:unsupported_gpu"}
)


def mark_driver_trouble(events: Sequence[Event]) -> list[Event]:
    """Mark failed starts of GPUs beside a driver that lacks parts or has parts of two versions."""
    troubles = {event.node: event.quote.place for event in events if event.code in DRIVER_TROUBLE}
    return [
        _mark(event, by_driver=troubles[event.node])
        if event.code == "gpu:init_failed" and event.node in troubles
        else event
        for event in events
    ]


GONE = frozenset({"nvme:reset_failed", "nvme:disabled", "nvme:removed", "scsi:offline"})
COMPLAINTS = GONE | {"nvme:timeout", "scsi:timeout", "block:io_error"}


def mark_lost_path(events: Sequence[Event]) -> list[Event]:
    """Mark drives that went together: at least three of one node within one burst speak of the path before them."""
    lost: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.code in GONE:
            lost[event.node].append(event)
    together = {node: drives for node, gone in lost.items() if len(drives := _went_together(gone)) >= MANY_DEVICES}
    if not together:
        return list(events)
    return [
        _mark(event, drives_lost=str(len(together[event.node])))
        if event.code in COMPLAINTS and event.entity in together.get(event.node, ())
        else event
        for event in events
    ]


def _went_together(gone: Sequence[Event]) -> set[Entity]:
    first: dict[Entity, Event] = {}
    for event in gone:
        first.setdefault(event.entity, event)
    groups = [{drive for drive, other in first.items() if _is_near(event, other)} for event in first.values()]
    return max(groups, key=len, default=set())


def _is_near(one: Event, other: Event) -> bool:
    timed = one.moment.seconds is not None and other.moment.seconds is not None
    return timed and abs(measure_distance(one, other).seconds or 0.0) <= BURST_GAP_SECONDS


def count_bursts(events: Iterable[Event]) -> int:
    """Count groups of events that lie further apart than the burst gap; events of unknown distance are one burst."""
    listed = list(events)
    return bool(listed) + sum(_is_far(earlier, later) for earlier, later in pairwise(listed))


def _is_far(earlier: Event, later: Event) -> bool:
    timed = earlier.moment.seconds is not None and later.moment.seconds is not None
    return timed and (measure_distance(earlier, later).seconds or 0.0) > BURST_GAP_SECONDS
