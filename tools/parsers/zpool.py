"""Reads `zpool status` (-v, -x, -L, -P, -c), `zpool list` and `zpool events` (-v) of ZFS on Linux and OpenZFS 2.3."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, parse_number
from tools.parsers._sheet import Sheet
from tools.parsers._zfs_events import name_zfs_event
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "zpool"
DOMAIN: Domain = "disk"

_STATES = "ONLINE|DEGRADED|FAULTED|UNAVAIL|SUSPENDED|OFFLINE|REMOVED|AVAIL|INUSE"
_FIELD = Lazy(
    r"^\s{0,3}(?P<key>pool|state|status|action|see|scan|scrub|config|errors|remove|checkpoint):\s*(?P<value>.*)$"
)
_ROW = Lazy(
    rf"^\s+(?P<name>\S+)\s+(?P<state>{_STATES})(?:\s+(?P<read>\d[\d.]*[KMGTP]?)\s+(?P<write>\d[\d.]*[KMGTP]?)\s+"
    r"(?P<cksum>\d[\d.]*[KMGTP]?)(?:\s+\d[\d.]*)?)?(?:\s+(?P<note>\S.*))?$"
)
_LIST = Lazy(rf"^(?P<pool>\S+)\s+(?:\S+\s+){{5,10}}(?P<state>{_STATES})\s+\S+\s*$")
_EVENT = Lazy(
    r"^(?:[A-Z][a-z]{2} [ \d]?\d \d{4} [\d:.]+\s+|\s+class = \")(?P<class>(?:ereport|sysevent|resource)\.fs\.zfs"
    r"\.(?P<event>[\w.]+))\"?\s*$"
)
_EVENT_FIELD = Lazy(r"^\s+(?P<key>vdev_path|vdev_state|pool) = \"(?P<value>[^\"]*)\"")
_EVENT_HEAD = "TIME                           CLASS"
_OTHER = Lazy(
    r"^\s+(?:NAME\s+STATE|NAME\s+SIZE)|^NAME\s+SIZE\s|^\s+(?:logs|cache|spares|special|dedup)\s*$|^all"
    r" pools are healthy|"
    r"^no pools available|^\s+[/<]\S.*$|^\s+\S.*\b(?:resilvered|scanned|issued|to go|done|repaired|copied|errors on)\b"
)
_HEAD = Lazy(r"^\s*NAME\s+STATE\s+READ\s+WRITE\s+CKSUM")
_GROUP = Lazy(r"^(?:mirror|raidz\d?|draid\d?\S*|spare|replacing|indirect|log|special|dedup|cache)-\d+\S*$")
_LOST_POOL = frozenset({"FAULTED", "UNAVAIL", "SUSPENDED"})
_LOST_DISK = frozenset({"FAULTED", "UNAVAIL", "REMOVED", "OFFLINE", "DEGRADED"})
_PART = re.compile(r"-part\d+$")


MIN_ROWS = 2
_NO_ERRORS = "No known data errors"


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a pool and its state, the words of a healthy host, or rows of `zpool list`."""
    kept = clip_sample(sample)
    keys = {found["key"] for text in kept if (found := _FIELD.match(text))}
    if any(_EVENT.match(text) or _HEAD.match(text) for text in kept):
        return 0.97
    if {"pool", "state"} <= keys or any(text.startswith("all pools are healthy") for text in kept):
        return 0.97
    rows = sum(bool((found := _ROW.match(text)) and found["cksum"]) for text in kept)
    if rows >= MIN_ROWS:  # the middle of an answer, copied without its head
        return 0.9
    return 0.9 if any(text.startswith("NAME") and "HEALTH" in text and "CAP" in text for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each pool and drive that is not as it should be."""
    pools = _Pools(document)
    parsed = pools.sheet.read(pools.read_event, pools.read_field, pools.read_row, pools.read_other)
    if not pools.told:
        return parsed
    pools.close_event()
    return Parsed(pools.sheet.build_facts(), parsed.unread)


class _Pools:
    """State of reading: the pool that the lines are of, and which field is open."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.pool = ""
        self.key = ""
        self.replacing = -1
        """How far the group is indented whose old drive is being replaced."""
        self.told: dict[str, str] = {}
        self.told_at: Line | None = None

    def read_event(self, line: Line) -> bool:
        """Read an event of `zpool events`: its class, and with -v which drive it is of."""
        match = _EVENT.match(line.text)
        if match is not None:
            if not (line.text.startswith(" ") and self.told.get("event") == match["event"]):
                self.close_event()
            self.told, self.told_at, self.key = {"event": match["event"]}, line, "event"
            return True
        field = _EVENT_FIELD.match(line.text) if self.told else None
        if field is not None:
            self.told[field["key"]] = field["value"]
        return field is not None or line.text.rstrip() == _EVENT_HEAD

    def close_event(self) -> None:
        """Add the event whose lines have been read."""
        code = name_zfs_event(self.told.get("event", ""), self.told.get("vdev_state", ""))
        if code and self.told_at is not None:
            self.pool = self.told.get("pool", "")
            name = _PART.sub("", self.told.get("vdev_path", "").rpartition("/")[2])
            at_disk = name and not code.startswith("fs:")
            entity = Entity("disk", self.sheet.node, name) if at_disk else self.sheet.make_node()
            self._add(self.told_at, entity, code, self.told["event"])
        self.told, self.told_at = {}, None

    def read_field(self, line: Line) -> bool:
        match = _FIELD.match(line.text)
        if match is None:
            return False
        self.key, value = match["key"].lower(), match["value"].strip()
        if self.key == "pool":
            self.pool = value
        elif self.key == "state" and value in _LOST_POOL:
            self._add(line, self.sheet.make_node(), "fs:shutdown", value)
        elif self.key == "errors" and not _NO_ERRORS.startswith(value[: len(_NO_ERRORS)]):
            self._add(line, self.sheet.make_node(), "fs:error", value)
        elif self.key == "status" and "unrecoverable error" in value:
            self._add(line, self.sheet.make_node(), "fs:repaired", value)
        return True

    def read_row(self, line: Line) -> bool:
        match = _ROW.match(line.text)
        if match is None:
            return False
        if self.key == "head":
            self.pool, self.key = self.pool or match["name"], "config"
        name, state, note = match["name"], match["state"].upper(), match["note"] or ""
        indent = len(line.text) - len(line.text.lstrip())
        if indent <= self.replacing:
            self.replacing = -1
        if name == self.pool or _GROUP.match(name):
            self.replacing = indent if name.startswith(("replacing-", "spare-")) else self.replacing
            return True
        disk = Entity("disk", self.sheet.node, _PART.sub("", name.rpartition("/")[2]))
        failed, wrong = (parse_number(match[key] or "0") for key in ("read", "cksum"))
        if failed or parse_number(match["write"] or "0"):
            self._add(line, disk, "block:io_error", note)
        elif wrong:
            self._add(line, disk, "fs:repaired", note)
        if state in _LOST_DISK and not ("was /dev" in note and self.replacing >= 0):
            self._add(line, disk, "md:degraded", f"{state} {note}".strip())
        return True

    def read_other(self, line: Line) -> bool:
        match = _LIST.match(line.text)
        if match is not None and match["state"].upper() not in ("ONLINE", "AVAIL"):
            self.pool = match["pool"]
            lost = match["state"].upper() in _LOST_POOL
            self._add(line, self.sheet.make_node(), "fs:shutdown" if lost else "md:degraded", match["state"])
        if _HEAD.match(line.text):
            self.key = "head"
        # Texts of several lines go on under their field.
        return match is not None or bool(_OTHER.match(line.text)) or bool(self.key and line.text[:1].isspace())

    def _add(self, line: Line, entity: Entity, code: str, reason: str) -> None:
        self.sheet.add(line, entity, code, {"pool": self.pool, "reason": reason, "type": "zfs"})
