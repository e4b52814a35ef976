"""Reads what a Linux host says of its memory and its load.

Knows `free` of procps 3 and 4 and busybox (`-h`, `-w`, `-m`), `/proc/meminfo`, `vmstat`, `top -b` and `ps` (`aux`,
`-ef`, `-l`) of procps 3 and 4, `uptime`, `w`, `/proc/loadavg`, `/proc/pressure/*` (kernel 4.20 on) and `edac-util`
0.18. A high load is no trouble by itself: it counts tasks that run and tasks that wait, and a node is there to run
many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, parse_number
from tools.parsers._sheet import Sheet
from tools.types import Coverage, Document, Domain, Facts, Line, Parsed

FORM = "host_state"
DOMAIN: Domain = "host"

LOW_SHARE = 0.01
"""Available memory below this share of all is nearly none (a guess)."""
PAGING_KIB_PER_SECOND = 10_000.0
"""Swapped in and out at once faster than this, a host does little else (a guess)."""
STALLED_PERCENT = 20.0
"""Share of a minute in which all tasks wait for memory; systemd-oomd kills at 60 % of ten seconds (a guess)."""
MANY_WAITING = 10
"""Tasks in uninterruptible sleep in one picture of `top`; a few are the disk at work (a guess)."""

_FREE_HEAD = Lazy(r"^\s+total\s+used\s+free\s+shared(?:\s+\S+)*$")
_FREE_ROW = Lazy(r"^(?P<what>Mem|Swap|Low|High|Total|-/\+ buffers/cache):\s+(?P<cells>\S.*)$")
_MEMINFO = Lazy(
    r"^(?P<key>HugePages_\w+(?=:\s+\d+\s*$)|[A-Z]\w+(?:\([a-z_]+\))?(?=:\s+\d+ kB)):\s+(?P<kib>\d+)(?: kB)?\s*$"
)
_VMSTAT = Lazy(r"^\s*r\s+b\s+(?:swpd|avm)\s+free\b.*|^(?:-+time-+\s+)?procs\s+-+memory")
_CLOCK = Lazy(r"^\d\d:\d\d:\d\d\s+(?=\d)")
"""What collectors put before a row of vmstat."""
_TOTALS = Lazy(
    r"^\s*\d+ (?:K |M )?(?:total|used|active|inactive|free|buffer|swap|non-nice|nice|system|idle|IO-wait|IRQ|"
    r"softirq|stolen|guest|pages|interrupts|CPU context|boot|forks)\b"
)
_PS = Lazy(r"^\s*(?:USER\s+PID\s+%CPU\s+%MEM|F\s+S\s+UID\s+PID|UID\s+PID\s+PPID|PID\s+TTY\s+(?:STAT\s+)?TIME)\b")
_PS_ROW = Lazy(
    r"^\s*(?:\S+\s+)?\d+\s+(?:[\d.]+\s+[\d.]+\s+\d+\s+\d+\s+\S+\s+)?(?P<state>[RSDZTtIX](?:[<NLsl+]{0,4}))?\s*\S"
)
WAITING_PERCENT = 40.0
"""Share of time in which processors wait for disks and nothing else goes on (a guess)."""
_TOP = Lazy(
    r"^top - \d\d:\d\d|^(?:Tasks|Threads):\s+\d+ total|^%?Cpu(?:\(s\)|\d+)\s*:|^[KMGT]iB (?:Mem|Swap)\s*:|"
    r"^(?:Mem|Swap):\s+\d+k total|^\s*PID USER\s+PR\s+NI"
)
_NUMBERS = Lazy(r"^\s*\d+(?:\s+-?[\d.]+){7,}\s*$")
_TOP_ROW = Lazy(r"^\s*\d+\s+\S+\s+(?:rt|-?\d+)\s+-?\d+\s+(?:[\d.,]+[kmgtp]?\s+){3}(?P<state>[RSDZTtIX])\s")
_UPTIME = Lazy(r"^\s*\d\d?:\d\d(?::\d\d)?(?: ?[ap]m)?\s+up\s.*load averages?:\s*(?P<one>\d+[.,]\d+)")
_LOADAVG = Lazy(r"^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+\s*$")
_W = Lazy(r"^USER\s+TTY\s+.*(?:LOGIN@|WHAT)")
_PRESSURE = Lazy(
    r"^(?:\S*?(?P<what>cpu|io|memory|irq)\S*?:)?(?P<kind>some|full) avg10=[\d.]+ avg60=(?P<sixty>\d+(?:\.\d+)?) "
    r"avg300=[\d.]+ total=\d+"
)
_PRESSURE_OF = Lazy(r"/pressure/(?P<what>cpu|io|memory|irq)\b|\b(?P<group>cpu|io|memory)\.pressure")
_EDAC = Lazy(r"^(?P<where>mc\d+(?:: \S+)*): (?:(?P<dimm>\S+): )?(?P<count>\d+) (?P<kind>Uncorrected|Corrected) Errors")
_EDAC_OK = Lazy(r"^edac-util: (?:No errors to report|EDAC drivers are loaded)")
_FREE_COLUMNS = ["total", "used", "free", "shared", "buff/cache", "available"]
_SIZES = {"K": 1024.0, "M": 1024.0**2, "G": 1024.0**3, "T": 1024.0**4}


def _read_size(cell: str) -> float | None:
    number = parse_number(cell)
    factor = next((size for letter, size in _SIZES.items() if letter in cell.upper()), 1.0)
    return None if number is None else number * factor


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a head line that only one of these programs prints, else the share of its rows."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    heads = (_FREE_HEAD, _VMSTAT, _TOP, _PS, _EDAC, _EDAC_OK, _UPTIME, _LOADAVG, _PRESSURE)
    if any(head.match(text) for text in kept for head in heads):
        return 0.9
    if sum(bool(_TOTALS.match(text)) for text in kept) >= 5:
        return 0.9
    fields = sum(bool(_MEMINFO.match(text)) for text in kept)
    return 0.9 if fields >= 3 and fields * 2 >= len(kept) and any("Mem" in text for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Read every table; only what is wrong becomes an event."""
    host = _Host(document)
    parsed = host.sheet.read(
        host.read_memory,
        host.read_meminfo,
        host.read_pressure,
        host.read_vmstat,
        host.read_top,
        host.read_ps,
        host.read_edac,
    )
    return Parsed(host.build(), parsed.unread)


class _Host:
    """State of reading: which table is open, what its columns are."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.node = self.sheet.make_node()
        self.told = 0
        self.free_columns: list[str] = []
        self.kib: dict[str, tuple[float, Line]] = {}
        self.columns: list[str] = []
        self.reports: list[tuple[dict[str, float], Line]] = []
        self.waiting: list[Line] = []
        self.pressed = ""
        self.in_top = self.in_ps = False

    def _judge_free(self, line: Line, available: float, total: float) -> None:
        share = available / total if total else 1.0
        if share < LOW_SHARE and not any(event.code == "memory:low" for event in self.sheet.events):
            self.sheet.add(line, self.node, "memory:low", {"available_ratio": f"{share:.4f}"})

    def read_memory(self, line: Line) -> bool:
        if _FREE_HEAD.match(line.text):
            self.free_columns = line.text.lower().split()
            return True
        row = _FREE_ROW.match(line.text) if not _TOP.match(line.text) else None
        if row is None:
            return False
        cells = [_read_size(cell) for cell in row["cells"].split()]
        columns = self.free_columns or _FREE_COLUMNS
        if row["what"].lower() == "mem" and len(cells) == len(columns):
            self._read_sizes(line, dict(zip(columns, cells, strict=True)))
        return True

    def _read_sizes(self, line: Line, sizes: Mapping[str, float | None]) -> None:
        total, free = sizes.get("total"), sizes.get("free")
        # Old versions tell no "available"; what is free or cached is the nearest to it.
        available = sizes.get("available", _sum(free, sizes.get("buffers"), sizes.get("cached")))
        if not total or free is None or available is None:
            return
        self.told += 1
        # Less available than half of what is free cannot be: the row was cut and lost digits.
        if available >= free / 2:
            self._judge_free(line, available, total)

    def read_meminfo(self, line: Line) -> bool:
        match = _MEMINFO.match(line.text)
        if match is None:
            return False
        self.told += 1
        self.kib[match["key"]] = (float(match["kib"][:18]), line)
        return True

    def read_pressure(self, line: Line) -> bool:
        place, match = _PRESSURE_OF.search(line.text), _PRESSURE.match(line.text)
        if place is not None:
            self.pressed = place["what"] or place["group"]
        if match is None:
            return place is not None
        self.told += 1
        what = (match["what"] or self.pressed).lower()
        if what == "memory" and match["kind"] == "full" and float(match["sixty"]) >= STALLED_PERCENT:
            fields = {"stalled_percent": match["sixty"], "over_seconds": "60"}
            self.sheet.add(line, self.node, "memory:pressure", fields)
        return True

    def read_vmstat(self, line: Line) -> bool:
        head = _VMSTAT.match(line.text)
        if head is not None:
            names = line.text.split()
            self.columns = names if names[0] == "r" else []
            return True
        if _TOTALS.match(line.text):
            self.told += 1
            return True
        text = _CLOCK.pattern.sub("", line.text)
        cells = text.split()
        if not self.columns or not _NUMBERS.match(text):
            return False
        numbers = [parse_number(cell) or 0.0 for cell in cells]
        self.told += 1
        self.reports.append((dict(zip(self.columns, numbers, strict=False)), line))
        del self.reports[:-720]
        return True

    def read_top(self, line: Line) -> bool:
        if _TOP.match(line.text):
            if line.text.startswith("top -"):
                self.waiting = []
            self.in_top, self.told = True, self.told + 1
            return True
        row = _TOP_ROW.match(line.text) if self.in_top else None
        if row is not None and row["state"] == "D":
            self.waiting.append(line)
        if _UPTIME.match(line.text) or _LOADAVG.match(line.text):
            self.told += 1
            return True
        return row is not None or bool(_W.match(line.text)) or (self.in_top and "load average" in line.text)

    def read_ps(self, line: Line) -> bool:
        if _PS.match(line.text):
            self.in_ps, self.in_top, self.waiting = True, False, []
            return True
        row = _PS_ROW.match(line.text) if self.in_ps else None
        if row is not None:
            self.told += 1
            if (row["state"] or "").startswith("D"):
                self.waiting.append(line)
        return row is not None

    def read_edac(self, line: Line) -> bool:
        match = _EDAC.match(line.text)
        if match is not None and int(match["count"][:9]):
            code = "edac:corrected" if match["kind"].lower() == "corrected" else "edac:uncorrected"
            self.sheet.add(line, self.node, code, {"count": match["count"], "label": match["dimm"] or match["where"]})
        is_known = match is not None or bool(_EDAC_OK.match(line.text)) or line.text.startswith(("edac-util", "mc"))
        self.told += is_known
        return is_known

    def build(self) -> Facts:
        """Judge what only whole tables tell; a head without a row is a gap."""
        self._judge_meminfo()
        self._judge_paging()
        if len(self.waiting) >= MANY_WAITING:
            fields = {"count": str(len(self.waiting))}
            self.sheet.add(self.waiting[0], self.node, "task:many_waiting", fields)
        facts = self.sheet.build_facts()
        if self.told:
            return facts
        gap = Coverage(self.sheet.document.label, DOMAIN, "partial", "a table without a row", "free; vmstat 1 5")
        return facts + Facts(coverage=(gap,))

    def _judge_meminfo(self) -> None:
        total, available = self.kib.get("MemTotal"), self.kib.get("MemAvailable")
        if total and available:
            self._judge_free(available[1], available[0], total[0])
        lost = self.kib.get("HardwareCorrupted")
        if lost is not None and lost[0] > 0:
            self.sheet.add(lost[1], self.node, "edac:pages_lost", {"kib": f"{lost[0]:.0f}"})

    def _judge_paging(self) -> None:
        # The first report of vmstat tells averages since boot.
        present = self.reports[1:][-5:]
        if len(present) < 2 or not {"si", "so"} <= set(present[0][0]):
            return
        both = min(median(row["si"] for row, _ in present), median(row["so"] for row, _ in present))
        if {"wa", "b"} <= set(present[0][0]) and median(row["wa"] for row, _ in present) >= WAITING_PERCENT:
            fields = {"percent": f"{median(row['wa'] for row, _ in present):.0f}"}
            self.sheet.add(present[-1][1], self.node, "cpu:iowait", fields)
        if both >= PAGING_KIB_PER_SECOND:
            self.sheet.add(present[-1][1], self.node, "memory:paging", {"kib_per_second": f"{both:.0f}"})


def _sum(*sizes: float | None) -> float | None:
    told = [size for size in sizes if size is not None]
    return sum(told) if told else None
