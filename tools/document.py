"""Texts to be parsed: in memory or on disk, plain or gzip, always streamed line by line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO, cast

from tools.errors import EvidenceNotFound, EvidenceUnreadable
from tools.types import Line

MAX_LINE_BYTES = 64 * 1024
"""Longest line that is kept: longer than any kernel line (the ring buffer's records end at about 8 KiB)."""
BLOCK_BYTES = 1 << 20
"""Size of a block: large enough that work per block does not count, small enough to stay in the cache."""
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class TextDocument:
    """A text that is already in memory: the answer of a command, or what came on standard input.

    Attributes:
        label: Relative path or command: what a quote names as its source.
        node: Host that the text is from, where known.
        text: The whole text; undecodable bytes were replaced by whoever decoded it.
    """

    label: str
    node: str
    text: str

    def lines(self) -> Iterator[Line]:
        """Iterate over the lines from the start, each capped to 64 KiB."""
        # Not str.splitlines: it also splits at form feeds and other characters that no line-based tool counts.
        pieces = self.text.split("\n")
        if pieces[-1] == "":
            pieces.pop()
        for number, piece in enumerate(pieces, start=1):
            text = piece.removesuffix("\r")[:MAX_LINE_BYTES]
            yield Line(number, text.removeprefix(_BOM) if number == 1 else text)


@dataclass(frozen=True, slots=True)
class FileDocument:
    """A file that is read line by line and never held whole; gzip is recognised by its first bytes.

    Attributes:
        label: What a quote names as its source, usually the path relative to the evidence folder.
        node: Host that the text is from, where known.
        path: The file.
    """

    label: str
    node: str
    path: Path

    def lines(self) -> Iterator[Line]:
        """Stream the lines from the start, each capped to 64 KiB, bytes that are no UTF-8 replaced.

        Raises:
            EvidenceNotFound: The file does not exist (any more).
            EvidenceUnreadable: No right to read it, or damaged gzip data (after the lines that could be read).
        """
        with _mapped_errors(self.label, self.path), _open(self.path) as stream:
            yield from decode_lines(_cut_lines(stream))

    def blocks(self) -> Iterator[bytes]:
        """Stream the raw bytes in blocks of whole lines, about 1 MiB each: the fast path of log parsers.

        Raises:
            EvidenceNotFound: The file does not exist (any more).
            EvidenceUnreadable: No right to read it, or damaged gzip data (after the blocks that could be read).
        """
        with _mapped_errors(self.label, self.path), _open(self.path) as stream:
            yield from _cut_blocks(stream)


@contextmanager
def _mapped_errors(label: str, path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise EvidenceNotFound(f"{label} does not exist.", fix=f"ls -l {path.parent}") from None
    except PermissionError:
        raise EvidenceUnreadable(f"No right to read {label}.", fix=f"sudo chmod a+r {path}") from None
    except (EOFError, zlib.error, OSError) as error:
        raise EvidenceUnreadable(f"{label} cannot be read: {error}.", fix=f"gzip -t {path}") from None


def decode_lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """Number and decode raw lines: UTF-8 with replacement, without line ends and byte-order mark."""
    for number, piece in enumerate(pieces, start=1):
        text = _decode(piece.rstrip(b"\r\n"))
        yield Line(number, text.removeprefix(_BOM) if number == 1 else text)


_LATIN_SIGNS = bytes.maketrans(b"\xa0\xb0\xb1\xb2\xb3\xb5", b"      ")
"""Signs of units in Latin-1: no-break space, degree, plus-minus, square, cube, micro."""


def _decode(piece: bytes) -> str:
    """Decode a line: UTF-8, else Latin-1 where only signs of units in it are none, as old tools print a degree."""
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        is_latin = piece.translate(_LATIN_SIGNS).isascii()
        return piece.decode("latin-1") if is_latin else piece.decode("utf-8", errors="replace")


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if raw.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.GzipFile(fileobj=raw) as unzipped:
                yield cast("IO[bytes]", unzipped)
        else:
            yield raw


def _cut_lines(stream: IO[bytes]) -> Iterator[bytes]:
    # A "line" of gigabytes (binary data) must not fill the memory: its head is kept, the rest is skipped in pieces.
    while piece := stream.readline(MAX_LINE_BYTES):
        yield piece
        while not piece.endswith(b"\n") and (piece := stream.readline(MAX_LINE_BYTES)):
            pass


def _cut_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    # One room for all blocks: joining each piece to the rest of the last one took longer than reading it.
    room = bytearray(2 * BLOCK_BYTES)
    view, kept = memoryview(room), 0
    while taken := cast("BufferedIOBase", stream).readinto(view[kept : kept + BLOCK_BYTES]):
        filled = kept + taken
        end = room.rfind(b"\n", kept, filled) + 1
        if end:
            yield bytes(view[:end])
        kept = filled - end
        view[:kept] = view[end:filled]
        if kept > BLOCK_BYTES:
            # As above: of a line without an end only the head is kept.
            yield bytes(view[:MAX_LINE_BYTES]) + b"\n"
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            kept = 0
    if kept:
        yield bytes(view[:kept])
