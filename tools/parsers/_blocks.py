"""Documents as blocks of whole lines in bytes: what a one-pass search over gigabytes needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from tools.types import Document

BLOCK_BYTES = 1 << 20


@runtime_checkable
class BlockDocument(Protocol):
    """A document that can hand out its raw bytes: the fast path; any other document works, slower."""

    def blocks(self) -> Iterator[bytes]:
        """Iterate over pieces that end at a line end (the last one may not)."""
        ...


def iterate_blocks(document: Document) -> Iterator[bytes]:
    """Read a document as blocks of whole lines; every physical line of the document stays one line."""
    if isinstance(document, BlockDocument):
        yield from document.blocks()
        return
    pieces: list[str] = []
    size = 0
    for line in document.lines():
        pieces.append(line.text.replace("\n", " ") if "\n" in line.text else line.text)
        size += len(line.text) + 1
        if size >= BLOCK_BYTES:
            yield _join(pieces)
            pieces, size = [], 0
    if pieces:
        yield _join(pieces)


def _join(pieces: list[str]) -> bytes:
    return ("\n".join(pieces) + "\n").encode("utf-8", errors="replace")
