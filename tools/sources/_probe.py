"""Looks at a file before it is read: is it text, which encoding, how large."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tools.document import FileDocument, TextDocument
from tools.errors import EvidenceUnreadable
from tools.parsers._blocks import iterate_blocks
from tools.sources._archives import bound_unpacked
from tools.sources._pieces import Piece
from tools.types import Coverage, Document, Line

HEAD_BYTES = 64 * 1024
MAX_UTF16_BYTES = 64 * 1024 * 1024
MAX_CONTROL_SHARE = 0.05
"""A log that lived through a crash holds runs of NUL bytes; a twentieth of control bytes is no text (a guess)."""
_KNOWN_BINARIES: tuple[tuple[bytes, str, str], ...] = (
    (b"LPKSHHRH", "a journal of systemd, in binary", "journalctl --file {path} -k -o short-iso > kern.log"),
    (b"PAR1", "a Parquet file", ""),
    (b"\x7fELF", "a program, not evidence", ""),
    (b"SQLite format 3", "a database, not evidence", ""),
    (b"\x89PNG", "a picture: paste the text instead", ""),
    (b"%PDF", "a PDF: paste the text instead", ""),
)
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x08\x1b")


class GuardedDocument:
    """A text that ends quietly at damage or at a limit, and remembers why.

    Args:
        base: The whole text.
        max_bytes: Most characters that are handed on.
    """

    def __init__(self, base: Document, max_bytes: int) -> None:
        self.label = base.label
        self.node = base.node
        self.ended: Coverage | None = None
        self._base = base
        self._max_bytes = max_bytes

    def lines(self) -> Iterator[Line]:
        """Iterate over the lines from the start, as far as they can be read."""
        size = 0
        try:
            for line in self._base.lines():
                size += len(line.text) + 1
                if size > self._max_bytes:
                    self._end_at_limit()
                    return
                yield line
        except EvidenceUnreadable as error:
            self._end_at_damage(error)

    def blocks(self) -> Iterator[bytes]:
        """Iterate over the same lines in blocks of bytes: the fast path of log parsers."""
        size = 0
        try:
            for block in iterate_blocks(self._base):
                rest = self._max_bytes - size
                size += len(block)
                if size > self._max_bytes:
                    self._end_at_limit()
                    yield block[: block.rfind(b"\n", 0, rest) + 1]
                    return
                yield block
        except EvidenceUnreadable as error:
            self._end_at_damage(error)

    def _end_at_limit(self) -> None:
        reason = f"only the first {self._max_bytes} bytes were read"
        fix = f"tail -c {self._max_bytes} {self.label} | daytwo triage -"
        self.ended = Coverage(self.label, "input", "partial", reason, fix)

    def _end_at_damage(self, error: EvidenceUnreadable) -> None:
        self.ended = Coverage(self.label, "input", "partial", f"read up to the damage: {error.message}", error.fix)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at a file gave: how to read it, or why not."""

    document: FileDocument | TextDocument | GuardedDocument | None
    coverage: Coverage | None = None


def probe_file(piece: Piece, max_bytes: int, node: str) -> Probe:
    """Look at the first 64 KiB of a file.

    Args:
        piece: The file.
        max_bytes: Most bytes that are read of it.
        node: Host that it is from, where known.
    """
    try:
        size = piece.path.stat().st_size
        with piece.path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        is_gzip = head.startswith(b"\x1f\x8b")
        if is_gzip:
            with gzip.open(piece.path, "rb") as packed:
                head = packed.read(HEAD_BYTES)
    except PermissionError:
        return _missing(piece, "no right to read it", f"sudo chmod a+r {piece.path}")
    except (OSError, EOFError, zlib.error) as error:
        return _missing(piece, f"cannot be read: {error}", f"ls -l {piece.path}")
    if not head:
        return _missing(piece, "empty file", "")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and size <= MAX_UTF16_BYTES and not is_gzip:
        text = piece.path.read_bytes().decode("utf-16", errors="replace")
        return Probe(TextDocument(piece.label, node, text))
    binary = _name_binary(head)
    if binary is not None:
        reason, fix = binary
        return _missing(piece, reason, fix.format(path=piece.path))
    document = FileDocument(piece.label, node, piece.path)
    if is_gzip:
        return Probe(GuardedDocument(document, bound_unpacked(piece.path, max_bytes)))
    if size > max_bytes:
        return Probe(GuardedDocument(document, max_bytes))
    return Probe(document)


def _name_binary(head: bytes) -> tuple[str, str] | None:
    for magic, reason, fix in _KNOWN_BINARIES:
        if head.startswith(magic):
            return f"binary file: {reason}", fix
    controls = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in head)
    return ("binary file", "file {path}") if controls > MAX_CONTROL_SHARE * len(head) else None


def _missing(piece: Piece, reason: str, fix: str) -> Probe:
    return Probe(None, Coverage(piece.label, "input", "missing", reason, fix))
