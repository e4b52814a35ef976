"""Follow a log file as it grows and through its rotations: renamed, or copied and truncated, also while nobody looked.

A log daemon goes on writing to the renamed file until it is told to open the new one, so that the old file is read
until the new one has a first line, or for a grace time. What is written between a copy and its truncation is lost by
that way of rotating itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from tools.document import MAX_LINE_BYTES
from tools.host_follow import MAX_PIECE_LINES, Piece
from tools.host_rotation import (
    HEAD_BYTES,
    FilePosition,
    find_parts,
    fingerprint,
    list_rotated,
    open_log,
    parse_position,
)
from tools.types import Line

CONTEXT_BYTES = 1 << 20
MAX_PIECE_BYTES = 4 << 20
GRACE_SECONDS = 5.0
"""How long a renamed file may still be written to though its successor is empty (a guess)."""


class FileFollower:
    """Reads lines behind the position in a file; see :class:`tools.host_rotation.FilePosition`.

    Args:
        path: The live file; it may come later.
        position: Where an earlier reader stopped; empty to begin with the first line of the live file.
    """

    def __init__(self, path: Path, position: str) -> None:
        self.label = str(path)
        self.descriptor: int | None = None
        self.poll_seconds = 0.5
        self._path = path
        self._parts: list[tuple[Path, int]] = [(path, 0)]
        self._stream: IO[bytes] | None = None
        self._at = FilePosition()
        self._head = b""
        self._gap = ""
        self._renamed_at: float | None = None
        told = parse_position(position)
        if told is not None:
            self._resume(told)

    def _resume(self, told: FilePosition) -> None:
        parts = find_parts(self._path, told)
        if parts is None:
            behind = f" behind line {told.line}" if told.line else ""
            self._gap = f"{self._path} was rotated away: what it held{behind} is lost"
            self._parts = [(self._path, 0)]
            return
        self._parts = parts
        self._at = told

    def read_context(self) -> Sequence[Line]:
        """Read the last lines before the position, up to a megabyte of them."""
        path, offset = self._parts[0]
        if not offset:
            return ()
        start = max(0, offset - CONTEXT_BYTES)
        try:
            with open_log(path) as stream:
                stream.seek(start)
                pieces = stream.read(offset - start).split(b"\n")[bool(start) : -1]
        except (OSError, EOFError):
            return ()
        first = self._at.line - len(pieces) + 1
        return [Line(number, _decode(piece)) for number, piece in enumerate(pieces, start=first)]

    def read(self) -> Piece:
        """Read the whole lines that are new."""
        gaps = [self._gap] if self._gap else []
        self._gap = ""
        lines: list[Line] = []
        while len(lines) < MAX_PIECE_LINES and (self._stream is not None or self._open()):
            gap = self._find_truncation()
            if gap is not None:
                gaps += [gap] if gap else []
                continue
            found = self._read_lines(MAX_PIECE_LINES - len(lines))
            lines += found
            if not found and not self._turn_over(lines):
                break
        full = len(lines) >= MAX_PIECE_LINES
        return Piece(tuple(lines), str(self._at) if self._at.inode else "", "; ".join(gaps), full)

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> bool:
        """Open the next part; False where it is not there (yet)."""
        path, offset = self._parts[0]
        try:
            stream = open_log(path)
        except FileNotFoundError:
            if len(self._parts) > 1:
                self._parts.pop(0)
                self._gap = f"{path} went away while it was read"
                return self._open()
            return False
        about = os.fstat(stream.fileno())
        self._head = stream.read(HEAD_BYTES if not offset else self._at.head_bytes)
        stream.seek(offset)
        self._stream, self._renamed_at = stream, None
        if offset:
            self._at = replace(self._at, device=about.st_dev, inode=about.st_ino)
        else:
            self._at = FilePosition(about.st_dev, about.st_ino)
        return True

    def _read_lines(self, most: int) -> list[Line]:
        """Read whole lines; of one that is not ended yet nothing, unless its file is over."""
        if self._stream is None:
            return []
        self._stream.seek(self._at.offset)
        lines: list[Line] = []
        size = 0
        while len(lines) < most and size < MAX_PIECE_BYTES:
            piece = self._stream.readline(MAX_PIECE_BYTES)
            if not piece.endswith(b"\n") and len(piece) < MAX_PIECE_BYTES:
                break
            size += len(piece)
            lines.append(Line(self._at.line + len(lines) + 1, _decode(piece)))
        if lines:
            self._advance(size, len(lines))
        return lines

    def _advance(self, size: int, lines: int) -> None:
        offset = self._at.offset + size
        known = min(HEAD_BYTES, offset)
        if self._stream is not None and known > self._at.head_bytes:
            self._stream.seek(0)
            self._head = self._stream.read(known)
        self._at = replace(
            self._at,
            offset=offset,
            line=self._at.line + lines,
            head=fingerprint(self._head[:known]),
            head_bytes=known,
        )

    def _find_truncation(self) -> str | None:
        """Notice that the live file was copied and truncated; None where not, else what is lost, empty for nothing."""
        if self._stream is None or len(self._parts) > 1 or not self._at.offset:
            return None
        if os.fstat(self._stream.fileno()).st_size >= self._at.offset:
            self._stream.seek(0)
            if self._stream.read(self._at.head_bytes) == self._head[: self._at.head_bytes]:
                return None
        told = self._at
        self.close()
        self._at = FilePosition()
        self._resume(told)
        gap, self._gap = self._gap, ""
        return gap

    def _turn_over(self, lines: list[Line]) -> bool:
        """Go on with the next part where this one is over; False where there is nothing to go on with yet."""
        if len(self._parts) == 1 and not self._is_replaced():
            return False
        while late := self._read_lines(MAX_PIECE_LINES):
            lines += late
        lines += self._read_rest()
        self._parts = self._parts[1:] or self._find_successors()
        self.close()
        return True

    def _find_successors(self) -> list[tuple[Path, int]]:
        """The files that came after the one that is open: the live one, and others where it was rotated twice."""
        rotated = list_rotated(self._path)
        mine = [index for index, path in enumerate(rotated) if self._is_open(path)]
        return [*((path, 0) for path in (rotated[mine[0] + 1 :] if mine else ())), (self._path, 0)]

    def _is_open(self, path: Path) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self._at.device, self._at.inode)

    def _read_rest(self) -> list[Line]:
        """Read the last line of a file that is over, though it has no end."""
        if self._stream is None:
            return []
        self._stream.seek(self._at.offset)
        rest = self._stream.read(MAX_LINE_BYTES)
        if not rest:
            return []
        self._advance(len(rest), 1)
        return [Line(self._at.line, _decode(rest))]

    def _is_replaced(self) -> bool:
        """Whether another file has taken the place of the one that is open, and the old one is done with."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        if self._stream is None or (now.st_dev, now.st_ino) == (self._at.device, self._at.inode):
            return False
        self._renamed_at = self._renamed_at or time.monotonic()
        return now.st_size > 0 or time.monotonic() - self._renamed_at > GRACE_SECONDS


def _decode(piece: bytes) -> str:
    return piece[:MAX_LINE_BYTES].rstrip(b"\r\n").decode("utf-8", errors="replace")
