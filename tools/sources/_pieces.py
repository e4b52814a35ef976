"""From what a person names to plain files: folders are walked, archives unpacked, standard input spooled."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from tools.errors import EvidenceNotFound
from tools.types import Coverage

STDIN_LABEL = "-"
COPY_BYTES = 1024 * 1024
MAX_MEMBERS = 20_000
MAX_SAME_NAME = 20
"""Members of one name that an archive that was appended to may hold; of more, the rest is named as not read."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZIP_MAGIC = b"PK\x03\x04"
_OPENERS: tuple[tuple[bytes, Callable[[Path], BufferedIOBase]], ...] = (
    (b"\x1f\x8b", gzip.GzipFile),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (b"BZh", bz2.BZ2File),
)
_LARGER = "DAYTWO_MAX_INPUT_BYTES=… daytwo triage …"
_SKIPPED_FOLDERS = frozenset({".git", "__pycache__", ".venv", "node_modules"})


@dataclass(frozen=True, slots=True)
class Piece:
    """One plain file of evidence (gzip at most).

    Attributes:
        label: What quotes name: the path relative to what the person named.
        root: The folder that the person named, or the file's own; a node's name is looked for no higher.
    """

    label: str
    path: Path
    root: Path


class Pieces:
    """Collects files; what cannot be opened becomes coverage.

    Args:
        scratch: A folder for what is unpacked; the caller removes it.
        max_bytes: Most that one archive or standard input may unpack to.
    """

    def __init__(self, scratch: Path, max_bytes: int) -> None:
        self._scratch = scratch
        self._max_bytes = max_bytes
        self._unpacked = 0
        self.coverage: list[Coverage] = []

    def collect(self, paths: Sequence[Path], stdin: IO[bytes] | None) -> list[Piece]:
        """List all pieces in the order named, folders in name order.

        Raises:
            EvidenceNotFound: A named path does not exist.
        """
        pieces: list[Piece] = []
        names = [path.name for path in paths]
        for path in paths:
            # Two files of one name must not share a label: a quote has to say which one it is from.
            label = path.name if names.count(path.name) == 1 else str(path)
            if str(path) == STDIN_LABEL:
                pieces += self._spool(stdin)
            elif path.is_dir():
                pieces += self._walk(path, path, "" if len(paths) == 1 else f"{label}/")
            elif path.exists():
                pieces += self._open(path, label, path.parent)
            elif path.is_symlink():
                raise EvidenceNotFound(f"{path} is a link to nothing.", fix=f"readlink -f {path}")
            else:
                raise EvidenceNotFound(f"There is no {path}.", fix=f"ls -l {path.parent}")
        if not paths:
            pieces += self._spool(stdin)
        return pieces

    def _spool(self, stdin: IO[bytes] | None) -> list[Piece]:
        if stdin is None:
            return []
        target = self._new_folder() / "input"
        self._copy(stdin, target, STDIN_LABEL)
        return list(self._open(target, STDIN_LABEL, target.parent))

    def _walk(self, folder: Path, root: Path, prefix: str) -> Iterator[Piece]:
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            label = prefix or folder.name
            self._miss(label, f"no way into the folder: {error.strerror}", f"ls -ld {folder}")
            return
        for entry in entries:
            label = f"{prefix}{entry.name}"
            # A link could lead out of what the person named, or round in a circle.
            if entry.is_symlink() and (entry.is_dir() or not _is_inside(entry, root)):
                self._miss(label, "a link that leads out of the folder", f"readlink -f {entry}")
            elif entry.is_dir():
                if entry.name not in _SKIPPED_FOLDERS:
                    yield from self._walk(entry, root, f"{label}/")
            elif entry.is_file():
                yield from self._open(entry, label, root)
            else:
                self._miss(label, "not a plain file", "")

    def _open(self, path: Path, label: str, root: Path) -> Iterator[Piece]:
        """Yield a file as it is, or what it unpacks to."""
        try:
            with path.open("rb") as stream:
                magic = stream.read(8)
            opener = next((opener for start, opener in _OPENERS if magic.startswith(start)), None)
            head = _read_head(path, opener)
        except PermissionError:
            self._miss(label, "no right to read it", f"sudo chmod a+r {path}")
            return
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            self._miss(label, f"cannot be opened: {error}", f"file {path}")
            return
        if magic.startswith((_ZSTD_MAGIC, _ZIP_MAGIC)):
            tool = "zstd -d" if magic.startswith(_ZSTD_MAGIC) else "unzip"
            self._miss(label, "packed in a form that is not read here", f"{tool} {path}")
        elif head[257:262] == b"ustar":
            yield from self._unpack_tar(path, label)
        elif opener is not None and not magic.startswith(b"\x1f\x8b"):
            target = self._new_folder() / path.stem
            with opener(path) as packed:
                self._copy(packed, target, label)
            yield Piece(label, target, root)
        else:
            yield Piece(label, path, root)

    def _unpack_tar(self, path: Path, label: str) -> Iterator[Piece]:
        folder = self._new_folder()
        try:
            with tarfile.open(path, "r|*") as archive:
                for number, member in enumerate(archive):
                    if number >= MAX_MEMBERS:
                        self._miss(label, f"only the first {MAX_MEMBERS} files were unpacked", f"tar xf {path}")
                        break
                    if member.isfile():
                        self._unpack_member(archive, member, folder, label)
        except (tarfile.TarError, OSError, EOFError, lzma.LZMAError) as error:
            self._miss(label, f"the archive is damaged: {error}", f"tar tf {path}", partial=True)
        yield from self._walk(folder, folder, f"{label}/")

    def _unpack_member(self, archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, label: str) -> None:
        parts = [part for part in Path(member.name).parts if part not in ("/", "..", ".")]
        told = f"{label}/{'/'.join(parts)}"
        source = archive.extractfile(member)
        target = _find_place(folder.joinpath(*parts) if parts else folder / "unnamed", folder)
        if source is None or target is None:
            self._miss(told, "its place in the archive is taken by another file", f"tar tvf {label}")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with source:
            self._copy(source, target, told)

    def _copy(self, source: IO[bytes] | BufferedIOBase, target: Path, label: str) -> None:
        try:
            with target.open("wb") as sink:
                while block := source.read(COPY_BYTES):
                    self._unpacked += len(block)
                    if self._unpacked > self._max_bytes:
                        self._miss(label, f"cut: more than {self._max_bytes} bytes unpacked", _LARGER, partial=True)
                        return
                    sink.write(block)
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            self._miss(label, f"damaged, read up to the damage: {error}", "", partial=True)

    def _new_folder(self) -> Path:
        folder = self._scratch / str(sum(1 for _ in self._scratch.iterdir()))
        folder.mkdir()
        return folder

    def _miss(self, label: str, reason: str, fix: str, *, partial: bool = False) -> None:
        self.coverage.append(Coverage(label, "input", "partial" if partial else "missing", reason, fix))


def _find_place(target: Path, folder: Path) -> Path | None:
    """Find a place for a member: its own, else with a number behind; None where a file stands for its folder."""
    parents = [parent for parent in target.parents if parent.is_relative_to(folder)]
    if any(parent.exists() and not parent.is_dir() for parent in parents):
        return None
    places = (target, *(target.with_name(f"{target.name}.{number}") for number in range(2, MAX_SAME_NAME + 1)))
    return next((place for place in places if not place.exists()), None)


def _read_head(path: Path, opener: Callable[[Path], BufferedIOBase] | None) -> bytes:
    with opener(path) if opener is not None else path.open("rb") as stream:
        return stream.read(512)


def _is_inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())
