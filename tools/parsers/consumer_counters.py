"""Reads totals of who reads and writes: cgroup `io.stat` and `blkio.throttle.*`, `/proc/PID/io`, `virsh domblkstat`.

Knows cgroup v2 of kernels 4.5 to 6.x, v1 of kernels 3 to 6.x, and libvirt 1 to 10. All are counters since a start: of
one copy no rate can be read, which is said. Two copies with `sleep SECONDS` on the prompt line between them make one.
Lines are told apart by the path before them (`grep . FILES`), the head of a copy (``==> PATH <==``) or the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tools.cgroup_names import name_cgroup
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, is_prompt
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Link, Parsed

FORM = "consumer_counters"
DOMAIN: Domain = "guests"

_READ, _WRITE = "disk_read_bytes_per_second", "disk_write_bytes_per_second"
_READS, _WRITES = "disk_reads_per_second", "disk_writes_per_second"
_PATH = r"(?:(?P<path>(?:/|(?=[^\s:=]*[a-z]))[^\s:=]++):)?\s*"
_NUMBER = r"(?P<major>\d{1,4}):(?P<minor>\d{1,7})"
_CELL = r"[a-z]+(?:\.\w+)*=[\w.]+"
_IO_STAT = Lazy(rf"^{_PATH}{_NUMBER} (?P<cells>{_CELL}(?: {_CELL})*)\s*$")
_BLKIO = Lazy(rf"^{_PATH}{_NUMBER} (?P<way>Read|Write|Sync|Async|Discard|Total) (?P<count>\d+)\s*$")
_PROC_IO = Lazy(
    rf"^{_PATH}(?P<key>rchar|wchar|syscr|syscw|read_bytes|write_bytes|cancelled_write_bytes):\s*(?P<count>\d+)\s*$"
)
_DOMBLK = Lazy(
    r"^\s*(?P<device>[a-z]\w*) (?P<key>rd_req|rd_bytes|wr_req|wr_bytes|flush_operations|rd_total_times|wr_total_times|"
    r"flush_total_times|errs|flush_total_time|rd_total_time|wr_total_time)\s+(?P<count>-?\d+)\s*$"
)
_TOTAL = Lazy(r"^(?:\S+:)?Total \d+\s*$")
_COPY_HEAD = Lazy(r"^==> (?P<path>\S+) <==$")
_ASKED_FILE = re.compile(r"(?P<path>/(?:sys/fs/cgroup|proc)/\S+?/(?:io\.stat|blkio\.\S+|io))\b")
_ASKED_GUEST = re.compile(r"domblkstat\s+(?:--?[\w-]+\s+)*(?P<guest>[\w.-]+)(?:\s+(?P<device>\w+))?")
_CGROUP = re.compile(r"^(?:/sys/fs/cgroup)?(?:/(?:unified|blkio|io))?(?P<cgroup>/.*?|)/?(?:io\.stat|blkio\.[\w.]+)$")
_PID = re.compile(r"/?proc/(?P<pid>\d+|self)/")
_IO_KEYS: Mapping[str, str] = {"rbytes": _READ, "wbytes": _WRITE, "rios": _READS, "wios": _WRITES}
_PROC_KEYS: Mapping[str, str] = {"read_bytes": _READ, "write_bytes": _WRITE}
_DOM_KEYS: Mapping[str, str] = {"rd_bytes": _READ, "wr_bytes": _WRITE, "rd_req": _READS, "wr_req": _WRITES}
_SCSI_MAJOR, _SCSI_MINORS = 8, 16
"""Major number of the first sixteen sd disks, minors of each (Documentation/admin-guide/devices.txt)."""


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: rows of one of the files or commands make up half of the text."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    forms = (_IO_STAT, _BLKIO, _PROC_IO, _DOMBLK)
    rows = sum(any(form.match(text) for form in forms) or bool(_COPY_HEAD.match(text)) for text in kept)
    return 0.96 if rows and rows * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Read the counters; what is told twice with a time between becomes a rate."""
    counters = _Counters(document)
    parsed = counters.sheet.read(
        counters.read_prompt, counters.read_cgroup, counters.read_process, counters.read_guest_disk
    )
    counters.finish()
    return Parsed(counters.sheet.build_facts(), parsed.unread)


class _Counters:
    """State of reading: whose the next lines are, and the totals that were told before.

    Attributes:
        now, before: (consumer, disk, signal) to the total of the latest copy and of the one before it.
    """

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.path = ""
        self.guest = ""
        self.now: dict[tuple[Entity, str, str], float] = {}
        self.before: dict[tuple[Entity, str, str], float] = {}
        self.lines: dict[tuple[Entity, str], Line] = {}

    def read_prompt(self, line: Line) -> bool:
        head = _COPY_HEAD.match(line.text)
        if head is not None:
            self.path = head["path"]
            return True
        if not is_prompt(line.text):
            return False
        self.sheet.read_interval(line)
        asked, guest = _ASKED_FILE.search(line.text), _ASKED_GUEST.search(line.text)
        self.path = asked["path"] if asked else ""
        self.guest = guest["guest"] if guest else self.guest
        return True

    def _note(self, line: Line, consumer: Entity, disk: str, signal: str, total: float) -> None:
        key = (consumer, disk, signal)
        if key in self.now:
            self.before[key] = self.now[key]
        self.now[key] = total
        self.lines[consumer, disk] = line

    def _name_cgroup(self, path: str) -> Entity:
        found = _CGROUP.match(path or self.path)
        named = name_cgroup(found["cgroup"], self.sheet.node) if found is not None else None
        return named.entity if named is not None else Entity("guest", self.sheet.node, "all of the host")

    def read_cgroup(self, line: Line) -> bool:
        stat, old = _IO_STAT.match(line.text), _BLKIO.match(line.text)
        match = stat or old
        if match is None:
            return bool(_TOTAL.match(line.text))
        consumer, disk = self._name_cgroup(match["path"] or ""), _name_disk(int(match["major"]), int(match["minor"]))
        if stat is not None:
            for cell in stat["cells"].split():
                key, _, value = cell.partition("=")
                if key in _IO_KEYS and value.isdecimal():
                    self._note(line, consumer, disk, _IO_KEYS[key], float(value[:18]))
        elif old is not None and old["way"].lower() in ("read", "write"):
            is_bytes = "serviced" not in (match["path"] or self.path)
            pair = (_READ, _WRITE) if is_bytes else (_READS, _WRITES)
            self._note(line, consumer, disk, pair[old["way"].lower() == "write"], float(old["count"][:18]))
        return True

    def read_process(self, line: Line) -> bool:
        match = _PROC_IO.match(line.text)
        if match is None:
            return False
        pid = _PID.search(match["path"] or self.path)
        consumer = Entity("guest", self.sheet.node, f"process[{pid['pid'] if pid else '?'}]")
        if match["key"].lower() in _PROC_KEYS:
            self._note(line, consumer, "", _PROC_KEYS[match["key"].lower()], float(match["count"][:18]))
        return True

    def read_guest_disk(self, line: Line) -> bool:
        match = _DOMBLK.match(line.text)
        if match is None:
            return False
        consumer = Entity("guest", self.sheet.node, self.guest or "?")
        if match["key"] in _DOM_KEYS and match["count"].isdecimal():
            self._note(line, consumer, "", _DOM_KEYS[match["key"]], float(match["count"][:18]))
        return True

    def finish(self) -> None:
        """Put the rates; say where there are only totals."""
        seconds = self.sheet.interval_seconds
        rates = list(self._list_rates(seconds)) if seconds > 0 else []
        for consumer, disk, signal, rate in rates:
            entity = Entity("disk", self.sheet.node, f"{consumer.name or consumer.kind} [{disk or 'all disks'}]")
            line = self.lines[consumer, disk]
            self.sheet.put(line, entity, signal, round(rate, 6))
            self.sheet.readings.quote_row(entity, self.sheet.quote(line))
            quote = self.sheet.quote(line)
            links = [Link(consumer, "uses", entity, quote)]
            links += [Link(entity, "part_of", Entity("disk", self.sheet.node, disk), quote)] if disk else []
            self.sheet.links += [link for link in links if link not in self.sheet.links]
        if self.now and not rates:
            reason = "totals since each consumer was started, no rates"
            self.sheet.miss(reason, "grep . FILE; sleep 10; grep . FILE")

    def _list_rates(self, seconds: float) -> Iterator[tuple[Entity, str, str, float]]:
        for (consumer, disk, signal), total in self.now.items():
            before = self.before.get((consumer, disk, signal))
            if before is not None and total >= before:
                yield consumer, disk, signal, (total - before) / seconds


def _name_disk(major: int, minor: int) -> str:
    """Name the disk of a device number where the number tells it; empty where the kernel gives numbers as it likes."""
    if major == _SCSI_MAJOR and minor % _SCSI_MINORS == 0:
        return f"sd{chr(ord('a') + minor // _SCSI_MINORS)}"
    return ""
