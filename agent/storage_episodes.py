"""What only several events together tell of storage: members thrown out, drives on USB, tasks that wait."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from agent.fold import disk_base_name, same_disk
from tools.clock import measure_distance
from tools.entities import same_node
from tools.types import Entity, Event

MEDIA = frozenset({"block:medium_error", "scsi:sense_medium", "ata:media_error", "md:read_corrected"})
USB_TROUBLE = frozenset({"usb:disconnect", "usb:reset", "usb:error", "usb:disk_timeout"})
USB_SECONDS = 120.0
"""So near its drive's errors a USB device's reset or departure is theirs: SCSI waits 30 s a try, thrice (a guess)."""
RETURN_SECONDS = 3.0
"""A bridge that fell off the bus is found again within a second or two (seen in public logs)."""
MENDABLE = ("parent transid verify failed", "csum failed", "checksum verify failed", "checksum error", "bad tree block")
"""How Btrfs tells of a bad copy; where it has another one, `read error corrected` or `fixed up error` follows."""
LINK_CODES = frozenset({"ata:link_error", "scsi:transport_error"})
CHECKSUM = re.compile(r"ICRC|BadCRC|iuCRC|[Pp]arity")
"""Words for data that were garbled between host and drive."""
SILENCE = frozenset({"nvme:timeout", "scsi:timeout", "scsi:not_ready"})
WAIT_SECONDS = 300.0
"""So long after a time-out or a bad transfer its last request fails: five tries of 30 s, resets between (a guess)."""
TOGETHER_SECONDS, MANY = 5.0, 3
"""Three drives that err within five seconds of each other share what fails (a guess; their own faults come apart)."""
_ON_USB = ("block:", "scsi:", "fs:", "disk:")
# fmt: off
SHARED_MODULES = frozenset({
    "nfs", "nfsv3", "nfsv4", "sunrpc", "lustre", "ptlrpc", "mgc", "osc", "mdc", "lov", "wekafs", "wekafsio", "ceph",
    "libceph", "beegfs", "mmfs26", "cifs",
})
# fmt: on
"""Kernel modules of shared file systems and of what carries them."""
WORSE = frozenset({"fs:readonly", "fs:shutdown"})
SHARED_CODES = ("nfs:", "lustre:", "shared_fs:")


def mark_storage(events: Sequence[Event]) -> list[Event]:
    """Mark members thrown out for their medium, mended blocks, what hangs on USB, tasks that wait for a file server.

    What the block layer calls an I/O error gets the code of what stands beside it: a bad link, silence, a common path.
    """
    named = name_unanswered(name_lost_in_transit(mark_failed_together(mark_reopened(events))))
    return mark_waiting(name_gone_with_usb(mark_removable(mark_mended(mark_kicked(named)))))


def mark_reopened(events: Sequence[Event]) -> list[Event]:
    """Mark connections of the storage network that broke and were opened again on the same node."""
    last = {event.node: (at, event) for at, event in enumerate(events) if event.code == "storage:path_ok"}
    return [
        _mark(event, over=last[event.node][1].quote.place)
        if event.code == "storage:reconnect" and at < last.get(event.node, (-1, None))[0]
        else event
        for at, event in enumerate(events)
    ]


def name_lost_in_transit(events: Sequence[Event]) -> list[Event]:
    """Name failed requests of a node whose drives' links had wrong checksums and none of whose media failed."""
    links = [event for event in events if event.code in LINK_CODES and CHECKSUM.search(event.fields.get("reason", ""))]
    links = [one for one in links if not any(e.code in MEDIA and same_node(e.node, one.node) for e in events)]
    return [
        replace(event, code="block:lost_in_transit")
        if event.code == "block:io_error" and any(_is_beside(one, event) for one in links)
        else event
        for event in events
    ]


def _is_beside(link: Event, event: Event) -> bool:
    # A port (`ata1`) and its drive (`sda`) have different names; two drives have not.
    known = link.entity.name.startswith("ata") or same_disk(link.entity, event.entity)
    if link.entity.kind == "node":
        # Older kernels name the drive of a sense in another line, of the same moment.
        return same_node(link.node, event.node) and _is_within(link, event, 1.0)
    return known and same_node(link.node, event.node) and _is_within(link, event, WAIT_SECONDS)


def name_unanswered(events: Sequence[Event]) -> list[Event]:
    """Name failed requests of a drive that had not answered in time just before them."""
    silent: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.code in SILENCE and event.fields.get("polled") != "yes":
            silent[disk_base_name(event.entity.name)].append(event)
    sick = {event.entity for event in events if event.code in MEDIA}
    return [_name_unanswered(event, silent, sick) for event in events] if silent else list(events)


def _name_unanswered(event: Event, silent: Mapping[str, Sequence[Event]], sick: Collection[Entity]) -> Event:
    if event.code != "block:io_error" or any(same_disk(disk, event.entity) for disk in sick):
        return event
    near = silent.get(disk_base_name(event.entity.name), ())
    asked = (one for one in near if same_disk(one.entity, event.entity) and _is_within(one, event, WAIT_SECONDS))
    drive = next((one.entity for one in asked), None)
    return event if drive is None else replace(event, code="block:unanswered", entity=drive)


def mark_failed_together(events: Sequence[Event]) -> list[Event]:
    """Mark I/O errors of at least three drives of a node that began within seconds: the path, and no medium."""
    first: dict[Entity, Event] = {}
    for event in events:
        if event.code == "block:io_error" and event.entity.kind == "disk" and event.moment.seconds is not None:
            first.setdefault(event.entity, event)
    sick = {event.entity for event in events if event.code in MEDIA}
    begins = [event for drive, event in first.items() if drive not in sick]
    together = {
        one.entity
        for one in begins
        if sum(same_node(one.node, other.node) and abs(_seconds(one, other)) <= TOGETHER_SECONDS for other in begins)
        >= MANY
    }
    return [
        _mark(event, drives_lost=str(len(together)))
        if event.code == "block:io_error" and event.entity in together
        else event
        for event in events
    ]


def _seconds(one: Event, other: Event) -> float:
    return measure_distance(one, other).seconds or 0.0


def _is_within(earlier: Event, later: Event, seconds: float) -> bool:
    return -1.0 <= _seconds(earlier, later) <= seconds


def mark_kicked(events: Sequence[Event]) -> list[Event]:
    """Mark array members that were thrown out beside medium errors of their own: the medium is at fault."""
    sick = [event.entity for event in events if event.code in MEDIA]
    return [
        _mark(event, kicked="yes")
        if sick and event.code == "md:degraded" and any(same_disk(event.entity, disk) for disk in sick)
        else event
        for event in events
    ]


def mark_mended(events: Sequence[Event]) -> list[Event]:
    """Mark the bad copies of blocks on file systems that mended all of them from a good one."""
    mended = {_file_system(event) for event in events if event.code == "fs:repaired" and event.fields.get("device")}
    mended -= {_file_system(event) for event in events if event.code in WORSE or _is_beyond(event)}
    return [
        _mark(event, mended="yes") if event.code == "fs:error" and _file_system(event) in mended else event
        for event in events
    ]


def _file_system(event: Event) -> tuple[str, str]:
    return event.node, event.fields.get("device", "")


def _is_beyond(event: Event) -> bool:
    reason = event.fields.get("reason", "")
    return event.code == "fs:error" and not any(sign in reason for sign in MENDABLE)


def mark_removable(events: Sequence[Event]) -> list[Event]:
    """Mark the troubles of drives that a USB device's departure or reset stands beside, and of file systems on them."""
    usb = _find_usb_trouble(events)
    if not usb and not any(event.fields.get("removable") or _is_card(event) for event in events):
        return list(events)
    sticks: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.entity.kind == "disk" and (event.fields.get("removable") == "yes" or _is_on_usb(event, usb)):
            sticks[event.node].add(event.entity.name)
    return [
        _mark(event, removable="yes") if event.code.startswith(_ON_USB) and _is_on(event, sticks[event.node]) else event
        for event in events
    ]


def _is_on_usb(event: Event, usb: Sequence[Event]) -> bool:
    # Disks behind SATA, SAS and NVMe have other names, or lines of their own driver.
    if not event.code.startswith(_ON_USB) or not (event.entity.name.startswith("sd") or ":" in event.entity.name):
        return False
    return any(
        same_node(one.node, event.node) and abs(measure_distance(one, event).seconds or 0.0) <= USB_SECONDS
        for one in usb
    )


def _find_usb_trouble(events: Sequence[Event]) -> list[Event]:
    """What USB devices did to drives: went, were reset, or came back at once under another name."""
    gone = [event for event in events if event.code == "scsi:offline"]
    return [
        event
        for event in events
        if event.code in USB_TROUBLE or (event.code == "usb:connect" and any(_returns(lost, event) for lost in gone))
    ]


def _returns(lost: Event, event: Event) -> bool:
    seconds = measure_distance(lost, event).seconds
    return same_node(lost.node, event.node) and seconds is not None and 0.0 <= seconds <= RETURN_SECONDS


def _is_card(event: Event) -> bool:
    return event.code.startswith(_ON_USB) and event.fields.get("device", "").startswith("mmcblk")


def _is_on(event: Event, sticks: set[str]) -> bool:
    name = event.entity.name if event.entity.kind == "disk" else event.fields.get("device", "")
    return name.startswith("mmcblk") or any(
        name and same_disk(Entity("disk", event.node, name), Entity("disk", event.node, stick)) for stick in sticks
    )


def name_gone_with_usb(events: Sequence[Event]) -> list[Event]:
    """Name failed requests of a drive on USB whose device left the bus near them, where no block is unreadable."""
    gone = [event for event in events if event.code == "usb:disconnect"]
    sick = {event.entity for event in events if event.code in MEDIA}
    return [
        replace(event, code="block:gone_with_usb")
        if event.code == "block:io_error" and event.entity not in sick and _is_on_usb(event, gone)
        else event
        for event in events
    ]


def mark_waiting(events: Sequence[Event]) -> list[Event]:
    """Mark blocked tasks whose stack lies in the client of a shared file system, where nothing else tells of it."""
    if any(event.code.startswith(SHARED_CODES) for event in events):
        return list(events)
    return [
        _mark(event, waits_for_storage="yes") if event.code == "task:hung" and _waits(event) else event
        for event in events
    ]


def _waits(event: Event) -> bool:
    modules = set(event.fields.get("waits_in", "").split("; "))
    return bool(modules & SHARED_MODULES) or "waits_in2" in event.fields


def _mark(event: Event, **fields: str) -> Event:
    return replace(event, fields={**event.fields, **fields})
