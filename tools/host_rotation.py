"""Find a log file again after it was rotated: by its inode, or by the fingerprint of its first bytes.

A log is renamed (``kern.log.1``) or copied and truncated, later packed (``kern.log.2.gz``); a copy or a packed file
has another inode and begins alike.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

from tools.host_follow import read_position, spell_position

HEAD_BYTES = 256
"""First bytes that a fingerprint is taken of: they hold the time of the first line."""
_PACKED: dict[str, Callable[[Path], object]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_DAMAGED = (OSError, EOFError, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A place behind a line of one file.

    Attributes:
        inode: With its device, what the file is while it is only renamed; 0 where no file was there yet.
        offset: Bytes before it.
        line: Lines before it.
        head: Fingerprint of the first `head_bytes`, all of which were read.
    """

    device: int = 0
    inode: int = 0
    offset: int = 0
    line: int = 0
    head: str = ""
    head_bytes: int = 0

    def __str__(self) -> str:
        """Spell it as a position."""
        return spell_position(**asdict(self))


def parse_position(text: str) -> FilePosition | None:
    """Read a position of a file; None where it is none."""
    told = read_position(text)
    numbers = {name: told.get(name) for name in ("device", "inode", "offset", "line", "head_bytes")}
    if not all(isinstance(number, int) for number in numbers.values()):
        return None
    return FilePosition(head=str(told.get("head", "")), **cast("dict[str, int]", numbers))


def open_log(path: Path) -> IO[bytes]:
    """Open a file of a log, packed or plain.

    Raises:
        OSError: It is not there, or there is no right to read it.
    """
    opener = _PACKED.get(path.suffix)
    return cast("IO[bytes]", opener(path) if opener else path.open("rb"))


def fingerprint(head: bytes) -> str:
    """Fingerprint of the first bytes of a file."""
    return hashlib.sha256(head).hexdigest()[:24]


def is_same_log(path: Path, position: FilePosition) -> bool:
    """Say whether a file is the one of a position and still holds what was read of it."""
    try:
        found = path.stat()
        with open_log(path) as stream:
            begins_alike = fingerprint(stream.read(position.head_bytes)) == position.head
            is_long_enough = stream.seek(position.offset) == position.offset and _reaches(stream, position.offset)
    except _DAMAGED:
        return False
    is_inode = (found.st_dev, found.st_ino) == (position.device, position.inode)
    # Of a file of which nothing was read only the inode tells.
    return begins_alike and is_long_enough and (is_inode or position.head_bytes > 0)


def _reaches(stream: IO[bytes], offset: int) -> bool:
    # A seek of a plain file may pass its end.
    return stream.seek(0, os.SEEK_END) >= offset if hasattr(stream, "fileno") and not _is_packed(stream) else True


def _is_packed(stream: IO[bytes]) -> bool:
    return isinstance(stream, gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File)


def find_parts(path: Path, position: FilePosition) -> list[tuple[Path, int]] | None:
    """Find what is to be read behind a position: (file, first byte), the oldest first, the live file last.

    Returns:
        None where the file of the position is not to be found any more.
    """
    if is_same_log(path, position):
        return [(path, position.offset)]
    rotated = list_rotated(path)
    for index, part in enumerate(rotated):
        if is_same_log(part, position):
            return [(part, position.offset), *((later, 0) for later in rotated[index + 1 :]), (path, 0)]
    return None


def list_rotated(path: Path) -> list[Path]:
    """List the rotated files of a log, the oldest first; one that is just being packed once only."""
    try:
        names = [entry for entry in path.parent.iterdir() if entry.name.startswith((f"{path.name}.", f"{path.name}-"))]
        plain = {entry.name for entry in names}
        kept = [entry for entry in names if not (entry.suffix in _PACKED and entry.stem in plain) and entry.is_file()]
        return sorted(kept, key=lambda entry: (entry.stat().st_mtime_ns, entry.name))
    except OSError:
        return []
