"""Reads tables of `sar` and `mpstat` that are not of disks: processors, queues, memory, paging, interfaces.

Knows sysstat 9 to 12.7, with 12 and 24 hours. What counts is how long processors wait for disks and nothing else goes
on; the rest is read so that it is not taken for unread. Disks have a parser of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, parse_number
from tools.parsers._sheet import Sheet
from tools.types import Coverage, Document, Domain, Facts, Line, Parsed

FORM = "cpu_activity"
DOMAIN: Domain = "host"

WAITING_PERCENT = 40.0
"""As of `vmstat` in `host_state` (a guess)."""
_STAMP = r"(?:\d\d:\d\d:\d\d(?:\s+[AP]M)?|Average:)"
_HEAD = Lazy(
    rf"^{_STAMP}\s+(?P<columns>(?:CPU|NODE|CORE|runq-sz|kbmemfree|kbswpfree|kbhugfree|pswpin/s|pgpgin/s|proc/s|cswch/s|tps|"
    r"frmpg/s|IFACE|INTR|totsck|dentunusd|call/s|TTY|irec/s)\s.*)$",
)
_ROW = Lazy(rf"^{_STAMP}\s+(?P<cells>\S+(?:\s+-?[\d.,]+)+|-?[\d.,]+(?:\s+-?[\d.,]+)*)\s*$")
_TITLE = Lazy(r"^Linux \S+ \(.*\)|^\d\d:\d\d:\d\d.*LINUX RESTART")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a head of columns behind a time of the day; less than who reads disks from such tables."""
    return 0.55 if any(_HEAD.match(text) for text in clip_sample(sample) if not is_noise(text)) else 0.0


def parse(document: Document) -> Parsed:
    """Read the rows; an event where processors wait for disks in most of them."""
    table = _Table(document)
    parsed = table.sheet.read(table.read_line)
    return Parsed(table.build(), parsed.unread)


class _Table:
    """State of reading: the columns, and how long all processors waited in each row."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.columns: list[str] = []
        self.waits: list[tuple[float, Line]] = []
        self.told = 0

    def read_line(self, line: Line) -> bool:
        head, row = _HEAD.match(line.text), _ROW.match(line.text)
        if head is not None:
            self.columns = head["columns"].split()
        elif row is not None and self.columns:
            self.told += 1
            cells = dict(zip(self.columns, row["cells"].split(), strict=False))
            wait = parse_number(cells.get("%iowait", ""))
            if wait is not None and cells.get("CPU", "all") == "all" and not line.text.startswith("Average"):
                self.waits.append((wait, line))
        return head is not None or row is not None or bool(_TITLE.match(line.text))

    def build(self) -> Facts:
        """The event, or that a head has no row."""
        share = median(wait for wait, _ in self.waits) if self.waits else 0.0
        if share >= WAITING_PERCENT:
            self.sheet.add(self.waits[-1][1], self.sheet.make_node(), "cpu:iowait", {"percent": f"{share:.0f}"})
        facts = self.sheet.build_facts()
        if self.told:
            return facts
        return facts + Facts(
            coverage=(Coverage(self.sheet.document.label, DOMAIN, "partial", "a table without a row"),)
        )
