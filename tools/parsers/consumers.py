"""Reads who reads and writes: `xentop -b`, `docker stats`, `pidstat -d`, `iotop -b`.

Knows xentop of Xen 4, docker 20 to 27, sysstat 10 to 12.7, iotop 0.6 and iotop-c 1. None of them names the disk: what a
guest, container or process does is a disk of its own here, which the join of guests and disks may take for a part of
the one disk that is saturated. Totals since a guest was started are no rate; two reports of `xentop` make one.
Where no disk is told beside them, the table says of itself whether somebody stands out or nobody does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, parse_number
from tools.parsers._sheet import Sheet
from tools.types import Coverage, Document, Domain, Entity, Line, Link, Parsed

FORM = "consumers"
DOMAIN: Domain = "guests"

XENTOP_SECONDS = 3.0
"""Delay between two reports of xentop unless `-d` says otherwise (xentop(1))."""
SECTOR_BYTES = 512
QUIET_BYTES_PER_SECOND = 20e6
"""What all together read and write below this no disk of the last 20 years finds hard (a guess)."""
HOG_SHARE = 0.8
WAITING_PERCENT = 80.0
"""Who waits so much of its time for disks, or makes others wait, is at the end of what they can do (a guess)."""
QUIET_WAIT_PERCENT = 50.0
FULL_PERCENT = 95.0
"""A container that fills so much of its limit is about to be killed for it (a guess)."""
HOG, FULL, QUIET = "consumers:hog", "guest:memory_full", "guests:quiet"
_READS, _WRITES = "disk_reads_per_second", "disk_writes_per_second"
_READ_BYTES, _WRITE_BYTES = "disk_read_bytes_per_second", "disk_write_bytes_per_second"
_XENTOP = Lazy(r"^\s*NAME\s+STATE\s+CPU\(sec\)\s+CPU\(%\)\s+MEM\(k\)")
_XENTOP_ROW = Lazy(r"^\s*(?P<name>\S.*?)\s+(?P<state>[-dsbcpr]{6})\s+(?P<cells>\d+\s+[\d.]+\s+.*)$")
_DELAY = Lazy(r"xentop\b.*?\s-d\s*(?P<delay>[\d.]+)")
_DOCKER = Lazy(r"^CONTAINER(?: ID)?\s+(?:NAME\s+)?CPU %\s+MEM USAGE / LIMIT")
_DOCKER_ROW = Lazy(
    r"^(?P<id>[0-9a-f]{12}|\S+)\s+(?:(?P<name>\S+)\s+)?(?P<cpu>[\d.]+)%\s+"
    r"(?P<used>[\d.]+) ?(?P<unit>[KMGT]?i?B)\s+/\s+[\d.]+ ?\w+\s+"
    r"(?P<share>[\d.]+)%\s"
)
_PIDSTAT = Lazy(r"^(?:\d\d:\d\d:\d\d(?:\s+[AP]M)?|#?\s*Time|Average:)\s+UID\s+PID\s+kB_rd/s\s+kB_wr/s")
_PIDSTAT_ROW = Lazy(
    r"^(?P<stamp>\d\d:\d\d:\d\d(?:\s+[AP]M)?|\d+|Average:)\s+\d+\s+(?P<pid>\d+)\s+(?P<read>[\d.,-]+)\s+"
    r"(?P<write>[\d.,-]+)\s+[\d.,-]+(?:\s+(?P<wait>\d+))?\s+(?P<command>\S.*?)\s*$"
)
_IOTOP = Lazy(r"^\s*(?:TIME\s+)?[TP]ID\s+PRIO\s+USER\s+DISK READ\s+DISK WRITE")
_IOTOP_ROW = Lazy(
    r"^\s*(?:\d\d:\d\d:\d\d\s+)?(?P<pid>\d+)\s+\S+\s+\S+\s+(?P<read>[\d.]+) (?P<ru>[BKMG])/s\s+"
    r"(?P<write>[\d.]+) (?P<wu>[BKMG])/s\s+"
    r"(?:\S+ %\s+(?P<wait>\S+) %|\S+)\s+(?P<command>\S.*?)\s*$"
)
_TOTALS = Lazy(r"^\s*(?:Total|Actual|Current) DISK READ|^\s*(?:xentop - |\d+ domains:|Mem: \d+k)|^Linux \S+ \(")
_UNITS: Mapping[str, float] = {"B": 1.0, "K": 1024.0, "M": 1024.0**2, "G": 1024.0**3, "T": 1024.0**4}


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the header of one of the tables."""
    kept = clip_sample(sample)
    return 0.96 if any(head.match(text) for text in kept for head in (_XENTOP, _DOCKER, _PIDSTAT, _IOTOP)) else 0.0


def parse(document: Document) -> Parsed:
    """Read guests, containers or processes, and the rates at which each reads and writes."""
    users = _Users(document)
    parsed = users.sheet.read(users.read_head, users.read_xentop, users.read_docker, users.read_process)
    users.finish()
    return Parsed(users.sheet.build_facts(), parsed.unread)


class _Users:
    """State of reading: the open table, its columns, and the totals that each guest had before."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.table = ""
        self.delay = XENTOP_SECONDS
        self.before: dict[str, dict[str, float]] = {}
        self.has_rates = False
        self.known: set[str] = set()
        self.rates: dict[str, tuple[float, float, Line]] = {}  # bytes a second and percent of waiting at most, by user
        self.rows = 0
        self.is_troubled = False

    def read_head(self, line: Line) -> bool:
        delay = _DELAY.search(line.text)
        if delay is not None and (seconds := parse_number(delay["delay"])):
            self.delay = seconds
        heads = (("xentop", _XENTOP), ("docker", _DOCKER), ("pidstat", _PIDSTAT), ("iotop", _IOTOP))
        found = next((name for name, head in heads if head.match(line.text)), None)
        self.table = found or self.table
        return found is not None or delay is not None or bool(_TOTALS.match(line.text))

    def _put(self, line: Line, name: str, readings: Mapping[str, float]) -> None:
        """Add what a consumer does as the readings of a disk of its own."""
        guest = Entity("guest", self.sheet.node, name)
        disk = Entity("disk", self.sheet.node, f"{name} [all disks]")
        if any(self.sheet.readings.has(disk, signal) for signal in readings):
            self.sheet.readings.start_column()
        for signal, value in readings.items():
            self.sheet.put(line, disk, signal, round(value, 6))
        self.sheet.readings.quote_row(disk, self.sheet.quote(line))
        if name not in self.known:
            self.known.add(name)
            self.sheet.links.append(Link(guest, "uses", disk, self.sheet.quote(line)))

    def read_xentop(self, line: Line) -> bool:
        match = _XENTOP_ROW.match(line.text) if self.table == "xentop" else None
        if match is None:
            return False
        # "no limit" and "n/a" are cells of two words or none: counted from the end the columns stand.
        cells = match["cells"].split()
        numbers = [parse_number(cell) or 0.0 for cell in cells]
        name = match["name"]
        self.rows += 1
        self.is_troubled = self.is_troubled or "c" in match["state"]
        guest = Entity("guest", self.sheet.node, name)
        if not self.sheet.readings.has(guest, "guest_cpu_ratio"):
            self.sheet.put(line, guest, "guest_cpu_ratio", numbers[1] / 100)
            self.sheet.put(line, guest, "guest_memory_bytes", numbers[2] * 1024 if len(numbers) > 2 else None)
        if len(numbers) < 16:
            return True
        reads, writes, read_sectors, written_sectors = numbers[-5:-1]
        now = {_READS: reads, _WRITES: writes, _READ_BYTES: read_sectors * SECTOR_BYTES,
               _WRITE_BYTES: written_sectors * SECTOR_BYTES}  # fmt: skip
        old = self.before.get(name)
        if old is not None and all(now[key] >= old[key] for key in now):
            self.has_rates = True
            self._put(line, name, {key: (now[key] - old[key]) / self.delay for key in now})
            moved = (now[_READ_BYTES] + now[_WRITE_BYTES] - old[_READ_BYTES] - old[_WRITE_BYTES]) / self.delay
            self._rate(line, name, moved, 0.0)
        self.before[name] = now
        return True

    def read_docker(self, line: Line) -> bool:
        match = _DOCKER_ROW.match(line.text) if self.table == "docker" else None
        if match is None:
            return False
        guest = Entity("guest", self.sheet.node, match["name"] or match["id"])
        self.sheet.put(line, guest, "guest_cpu_ratio", (parse_number(match["cpu"]) or 0.0) / 100)
        used = (parse_number(match["used"]) or 0.0) * _UNITS[match["unit"][0].upper()]
        self.sheet.put(line, guest, "guest_memory_bytes", used)
        self.rows += 1
        if (parse_number(match["share"]) or 0.0) >= FULL_PERCENT:
            self.sheet.add(line, guest, FULL, {"percent": match["share"]})
        return True

    def read_process(self, line: Line) -> bool:
        row = {"pidstat": _PIDSTAT_ROW, "iotop": _IOTOP_ROW}.get(self.table)
        match = row.match(line.text) if row is not None else None
        if match is None:
            return False
        if self.table == "pidstat" and match["stamp"] == "Average:":
            return True
        read_unit, write_unit = (
            (1024.0, 1024.0) if self.table == "pidstat" else (_UNITS[match["ru"]], _UNITS[match["wu"]])
        )
        read, write = parse_number(match["read"]) or 0.0, parse_number(match["write"]) or 0.0
        name = f"{match['command'].split()[0].rsplit('/', 1)[-1]}[{match['pid']}]"
        self.rows += 1
        self._rate(line, name, read * read_unit + write * write_unit, parse_number(match["wait"] or "") or 0.0)
        if read > 0 or write > 0:
            self._put(line, name, {_READ_BYTES: read * read_unit, _WRITE_BYTES: write * write_unit})
        return True

    def _rate(self, line: Line, name: str, rate: float, wait: float) -> None:
        old = self.rates.get(name, (0.0, 0.0, line))
        self.rates[name] = (max(rate, old[0]), max(wait, old[1]), line if rate > old[0] else old[2])

    def _weigh(self) -> None:
        """Say who holds the disks while somebody waits for them, or that nobody stands out."""
        total = sum(rate for rate, *_ in self.rates.values())
        wait = max((wait for _, wait, _ in self.rates.values()), default=0.0)
        if total and wait >= WAITING_PERCENT:
            name, (rate, _, line) = max(self.rates.items(), key=lambda pair: pair[1][0])
            if rate >= HOG_SHARE * total:
                fields = {"share": f"{rate / total:.2f}", "wait": f"{wait:g}"}
                self.sheet.add(line, Entity("guest", self.sheet.node, name), HOG, fields)
        is_quiet = total < QUIET_BYTES_PER_SECOND and wait < QUIET_WAIT_PERCENT
        if self.rows and is_quiet and not self.sheet.events and not self.is_troubled:
            first = next(iter(self.sheet.document.lines()))
            self.sheet.add(first, self.sheet.make_node(), QUIET, {"users": str(self.rows)})

    def finish(self) -> None:
        """Say that totals since a guest was started are no rate, and whether somebody stands out."""
        self._weigh()
        if self.before and not self.has_rates:
            self.sheet.gaps.append(self._no_rate())
        elif self.table == "docker":
            # Three digits of a total: the difference of two readings would tell nothing.
            reason = "docker stats tells totals since each container was started, no rates of its disks"
            self.sheet.gaps.append(Coverage(self.sheet.document.label, DOMAIN, "partial", reason))

    def _no_rate(self) -> Coverage:
        reason = "one report of xentop holds totals since each guest was started, no rates"
        return Coverage(self.sheet.document.label, DOMAIN, "partial", reason)
