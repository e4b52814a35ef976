"""Opens what is packed: gzip, xz, bzip2, Zstandard, tar and zip, by their first bytes; the name tells nothing.

Magic numbers: RFC 1952 (gzip), RFC 8878 (Zstandard), the xz and bzip2 formats, PKWARE's APPNOTE (zip), POSIX (ustar).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer as WriteableBuffer

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
_BLOCK_BYTES = 16 * 1024
"""Packed bytes unpacked at a time: a block of a bomb still unpacks to a bounded piece."""
MAX_RATIO = 300
"""A storm of one message packs about 100 to 1; what unpacks to more than this is a bomb (a guess)."""
FREE_BYTES = 256 * 1024 * 1024
"""What any archive may unpack to, however small it is (a guess)."""

Reader = BufferedIOBase | IO[bytes]


class _ZstandardFile(RawIOBase):
    """Reads a Zstandard file of one frame or several; a frame that is cut raises (the library passes over it)."""

    def __init__(self, path: Path) -> None:
        # Python 3.14 has it in its library; until then a library of its own, loaded where such a file is met.
        import zstandard

        self._file = path.open("rb")
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._packed = self._ready = b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer with what is unpacked next; 0 at the end.

        Raises:
            EOFError: The last frame is cut.
        """
        view = memoryview(buffer)
        while not self._ready and self._fill():
            pass
        size = min(len(view), len(self._ready))
        view[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _fill(self) -> bool:
        """Unpack one more block; False at the end."""
        if self._frame.eof:
            self._packed = self._frame.unused_data + self._packed
            if not self._packed and not (block := self._file.read(_BLOCK_BYTES)):
                return False
            self._packed = self._packed or block
            self._frame = self._decompressor.decompressobj()
        data = self._packed or self._file.read(_BLOCK_BYTES)
        self._packed = b""
        if not data:
            raise EOFError("the file ends inside a Zstandard frame")
        self._ready = self._frame.decompress(data)
        return True


def _open_zstandard(path: Path) -> Reader:
    return BufferedReader(_ZstandardFile(path))


_OPENERS: tuple[tuple[bytes, Callable[[Path], Reader]], ...] = (
    (GZIP_MAGIC, gzip.GzipFile),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (b"BZh", bz2.BZ2File),
    (b"\x28\xb5\x2f\xfd", _open_zstandard),
)
_HEAD_BYTES = 512


def damage_errors() -> tuple[type[Exception], ...]:
    """What reading damaged data raises, whichever form it is of."""
    import zstandard

    known = (OSError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError, tarfile.TarError, zipfile.BadZipFile)
    # Zip raises the last two for a method that this Python does not know and for a password.
    return (*known, NotImplementedError, RuntimeError, ValueError)


def find_opener(head: bytes) -> Callable[[Path], Reader] | None:
    """Find how a packed file is opened by its first bytes; None where it is not packed."""
    return next((opener for magic, opener in _OPENERS if head.startswith(magic)), None)


def is_packed(head: bytes) -> bool:
    """Say whether the first 512 bytes are of anything that is unpacked here."""
    return find_opener(head) is not None or is_tar(head) or head.startswith(ZIP_MAGIC)


def is_tar(head: bytes) -> bool:
    """Say whether the first 512 bytes are a header of tar."""
    return head[257:262] == b"ustar"


def read_head(path: Path, opener: Callable[[Path], Reader] | None) -> bytes:
    """Read the first 512 bytes of what a file holds, unpacked where an opener is given."""
    with opener(path) if opener is not None else path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def bound_unpacked(path: Path, max_bytes: int) -> int:
    """Say to how many bytes a packed file may unpack at most."""
    return min(max_bytes, max(FREE_BYTES, MAX_RATIO * path.stat().st_size))


@contextmanager
def open_tar(path: Path, opener: Callable[[Path], Reader] | None) -> Iterator[tarfile.TarFile]:
    """Open a tar, packed or not, as a stream: its members come in order and are read once."""
    with (
        opener(path) if opener is not None else path.open("rb") as stream,
        tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive,
    ):
        yield archive


def list_zip(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """List the plain files of a zip; folders and links are left out."""
    for member in archive.infolist():
        mode = member.external_attr >> 16
        if not member.is_dir() and (stat.S_IFMT(mode) in (0, stat.S_IFREG)):
            yield member
