"""Counts the lines of a log: how many there are, how many of them nobody understood, and the first of those.

What is of known form is skipped in bulk; only the other lines are looked at one by one.
"""

from __future__ import annotations

import re
from functools import cache

from tools.evidence import MAX_QUOTE_CHARACTERS
from tools.harmless import neutralise
from tools.parsers import _host_patterns
from tools.parsers._app_forms import MAX_PAYLOAD_LINES, PAYLOAD_HEAD, read_app_head
from tools.parsers._boot_lines import is_boot_line
from tools.parsers._kernel_forms import ANY_HEAD, split_head
from tools.parsers._line_shapes import Offsets, find_shapes
from tools.parsers._lines import MAX_SAMPLES, is_noise
from tools.parsers._log_alarm import is_alarm
from tools.parsers._log_progress import is_progress
from tools.parsers._patterns import PatternTable

_BARE_KERNEL = re.compile(
    r"^\s*(?:NVRM|nvidia[\w-]*|nvme|sd|md|pcieport|pciehp|mlx\d\w*|EXT\d-fs|XFS|BTRFS|EDAC|mce|usb|ata[\d.]+|scsi|rcu"
    r"|Lustre\w*|LNet\w*|watchdog|NMI|block|libceph|ceph|audit|perf|IPv6|systemd\[1\])\b.*: "
)


class LineCounter:
    """Counts block by block; where a block ends makes no difference.

    Args:
        table: Knows lines that are no event.

    Attributes:
        lines: Lines so far, empty ones too.
        total: Lines so far that hold anything.
        unread: Of these, those that nobody understood.
        samples: The first of these.
    """

    def __init__(self, table: PatternTable) -> None:
        self._table = table
        self.lines = self.total = self.unread = 0
        self.samples: list[str] = []
        self._payload_left = 0  # lines that may still belong to the message above, which has several
        self._in_frame = False  # behind a frame of a Python traceback: its source line follows

    def count(self, block: bytes, understood: set[int], ends: Offsets | None = None) -> None:
        """Count the lines of a block.

        Args:
            block: Whole lines.
            understood: Offsets of lines that were read as something.
            ends: Where the lines end, where that is known.
        """
        shapes = find_shapes(block, ends)
        self.lines += shapes.lines
        self.total += shapes.lines - shapes.empty
        if len(shapes.others) > shapes.known:
            self._count_runs(block, understood)
            return
        counted = 0
        for position, known in zip(shapes.others, shapes.known_before, strict=True):
            if known > counted:
                counted, self._payload_left = known, 0
            self._count_one(block, position, understood)
        if shapes.known > counted:
            self._payload_left = 0

    def _count_runs(self, block: bytes, understood: set[int]) -> None:
        """Count a block most of whose heads are rare ones."""
        position, size, regex = 0, len(block), _known_run()
        while position < size:
            run = regex.match(block, position)
            if run is not None and run.end() > position:
                self._note_run(block[position : run.end()])
                position = run.end()
            else:
                position = self._count_one(block, position, understood)

    def _note_run(self, run: bytes) -> None:
        told = run.rstrip(b"\r\n")
        if told:
            self._note_known(told, told.rfind(b"\n") + 1)

    def _note_known(self, block: bytes, position: int) -> None:
        head = block[position : position + MAX_QUOTE_CHARACTERS]
        self._payload_left = MAX_PAYLOAD_LINES if PAYLOAD_HEAD.match(head) else 0

    def _count_one(self, block: bytes, position: int, understood: set[int]) -> int:
        """Count the line at an offset.

        Returns:
            The offset of the next line.
        """
        end = block.find(b"\n", position)
        end = len(block) if end < 0 else end
        if ANY_HEAD.match(block, position):
            self._note_known(block, position)
        elif position not in understood:
            self._count_unknown(block[position : min(end, position + MAX_QUOTE_CHARACTERS)])
        return end + 1

    def _count_unknown(self, line: bytes) -> None:
        if not line.strip():
            self.total -= line not in (b"", b"\r")
            return
        text = line.decode("utf-8", errors="replace")
        if self._table.knows(text):
            return
        is_code = self._in_frame and text.startswith("    ")
        self._in_frame = is_code or text.lstrip().startswith('File "')
        self._payload_left -= 1
        is_payload = self._payload_left >= 0 and not is_alarm(text)
        if is_code or is_payload or is_understood(text):
            return
        self.unread += 1
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(neutralise(text.strip())[:200])


@cache
def _known_run() -> re.Pattern[bytes]:
    """As many whole lines of known form (or empty) as follow each other; few logs need it."""
    return re.compile(b"(?:(?:\r?\n)|" + ANY_HEAD.pattern + b"[^\n]*+\n)*+")


def is_understood(text: str) -> bool:
    """Say whether a line that made no event still is of a known form: a head, a stack, a traceback, or no evidence."""
    if _BARE_KERNEL.match(text) or _host_patterns.STACK_LINE.match(text) or is_noise(text) or is_boot_line(text):
        return True
    head = split_head(text)
    if head.form or read_app_head(head).form or _host_patterns.STACK_LINE.match(head.text):
        return True
    return is_progress(text)
