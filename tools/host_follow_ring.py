"""Follow the kernel's ring buffer, ``/dev/kmsg``: each record has a number, and each boot an id.

Format: the kernel's Documentation/ABI/testing/dev-kmsg. A reader that was overtaken gets EPIPE once and goes on with
the oldest record that is left; the numbers tell how many were lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.host_boot import read_boot
from tools.host_follow import MAX_PIECE_LINES, Piece, read_position, spell_position
from tools.host_log import RECORD, RECORD_BYTES, spell_record
from tools.host_paths import HostPaths
from tools.types import Line

POLL_SECONDS = 5.0
_FILE_POLL_SECONDS = 0.2


class RingFollower:
    """Reads records behind a position of the form ``{"boot": "…", "record": 4711}``.

    Args:
        paths: Where the machine is.
        position: Where an earlier reader stopped; empty to begin with the oldest record.

    Raises:
        OSError: The device is not there, or there is no right to read it.
    """

    def __init__(self, paths: HostPaths, position: str) -> None:
        self.label = str(paths.kmsg)
        self._file = os.open(paths.kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        is_device = stat.S_ISCHR(os.fstat(self._file).st_mode)
        self.descriptor = self._file if is_device else None
        self.poll_seconds = POLL_SECONDS if is_device else _FILE_POLL_SECONDS
        self._boot = (read_boot(paths) or ("", 0.0))[0]
        told = read_position(position)
        was_here = told.get("boot") == self._boot and isinstance(told.get("record"), int)
        self._last: int = told["record"] if was_here else -1
        self._gap = "" if was_here or not position else _spell_reboot(paths.kmsg)
        self._pending = b""
        self._ahead: list[tuple[int, Line]] = []

    def read_context(self) -> Sequence[Line]:
        """Read the records up to the position that the buffer still holds."""
        context: list[Line] = []
        if self._last < 0:
            return context
        for number, line in self._read_records():
            if number > self._last:
                self._ahead.append((number, line))
                break
            context.append(line)
        return context

    def read(self) -> Piece:
        """Read the records that have come, with how many were overwritten before they were read."""
        lines: list[Line] = []
        gaps = [self._gap] if self._gap else []
        self._gap = ""
        for number, line in self._read_records():
            if number <= self._last:
                continue  # the numbers of a file that stands for the device
            lost = number - self._last - 1
            if lost and self._last >= 0:
                gaps.append(f"{lost} records of the ring buffer were overwritten before they were read")
            self._last = number
            lines.append(line)
            if len(lines) == MAX_PIECE_LINES:
                break
        position = spell_position(boot=self._boot, record=self._last) if self._last >= 0 else ""
        return Piece(tuple(lines), position, "; ".join(gaps), len(lines) == MAX_PIECE_LINES)

    def close(self) -> None:
        """Close the device."""
        os.close(self._file)

    def _read_records(self) -> Iterator[tuple[int, Line]]:
        while True:
            while self._ahead:
                yield self._ahead.pop(0)
            try:
                chunk = os.read(self._file, RECORD_BYTES)
            except BrokenPipeError:
                continue  # overwritten while we read: the number of the next record tells how much
            except BlockingIOError:
                return
            if not chunk:
                return
            *whole, self._pending = (self._pending + chunk).split(b"\n")
            # Lines that begin with a blank are the record's dictionary (SUBSYSTEM=, DEVICE=).
            self._ahead += [_number(line.decode("utf-8", "replace")) for line in whole if line and line[:1] != b" "]


def _number(record: str) -> tuple[int, Line]:
    match = RECORD.match(record)
    number = int(match["number"]) if match else 0
    return number, Line(number + 1, spell_record(record))


def _spell_reboot(place: Path) -> str:
    return f"the machine was started again: what {place} held after the last reading is lost"
