"""From what a person names to plain files: folders are walked, archives unpacked, standard input spooled."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.errors import EvidenceNotFound
from tools.harmless import neutralise_name
from tools.sources._archives import (
    GZIP_MAGIC,
    ZIP_MAGIC,
    Reader,
    bound_unpacked,
    damage_errors,
    find_opener,
    is_packed,
    is_tar,
    list_zip,
    open_tar,
    read_head,
)
from tools.types import Coverage

STDIN_LABEL = "-"
COPY_BYTES = 1024 * 1024
MAX_MEMBERS = 20_000
MAX_SAME_NAME = 20
"""Members of one name that an archive that was appended to may hold; of more, the rest is named as not read."""
MAX_DEPTH = 4
"""Archives in archives: a bundle of bundles of rotated logs has three; what goes deeper unpacks for ever (a guess)."""
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

    def __post_init__(self) -> None:
        if not self.label.isprintable():
            object.__setattr__(self, "label", neutralise_name(self.label))


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
        self._depth = 0
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
                pieces += self._open_named(path, label)
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
        target = self._scratch / "input"
        self._copy(stdin, target, STDIN_LABEL, self._max_bytes)
        return list(self._open(target, STDIN_LABEL, target.parent))

    def _open_named(self, path: Path, label: str) -> Iterator[Piece]:
        """Yield what a person named: a file, or a pipe such as a shell makes of ``<(dmesg)``."""
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            with path.open("rb") as stream:
                target = self._new_folder() / "input"
                self._copy(stream, target, label, self._max_bytes)
            yield from self._open(target, label, target.parent)
        elif stat.S_ISREG(mode):
            yield from self._open(path, label, path.parent)
        else:
            self._miss(label, "a device or a socket, not a file", "dmesg > kern.log; daytwo triage kern.log")

    def _walk(self, folder: Path, root: Path, prefix: str) -> Iterator[Piece]:
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            label = prefix or folder.name
            self._miss(label, f"no way into the folder: {error.strerror}", f"ls -ld {folder}")
            return
        for entry in entries:
            label = f"{prefix}{entry.name}"
            if entry.is_symlink():
                self._judge_link(entry, root, label)
            elif entry.is_dir():
                if entry.name not in _SKIPPED_FOLDERS:
                    yield from self._walk(entry, root, f"{label}/")
            elif entry.is_file():
                yield from self._open(entry, label, root)
            else:
                self._miss(label, "not a plain file", "")

    def _judge_link(self, entry: Path, root: Path, label: str) -> None:
        """Say of a link that it is not followed; what it names inside the folder is read at its own place."""
        try:
            is_inside = entry.resolve().is_relative_to(root.resolve())
        except (OSError, RuntimeError):
            # A link that names itself.
            is_inside = True
        if not is_inside:
            self._miss(label, "a link that leads out of the folder", f"readlink -f {entry}")

    def _open(self, path: Path, label: str, root: Path) -> Iterator[Piece]:
        """Yield a file as it is, or what it unpacks to."""
        try:
            magic = read_head(path, None)
            opener = find_opener(magic)
            head = read_head(path, opener) if opener is not None else magic
        except PermissionError:
            self._miss(label, "no right to read it", f"sudo chmod a+r {path}")
            return
        except damage_errors() as error:
            self._miss(label, f"cannot be opened: {error}", f"file {path}")
            return
        if not magic.startswith(ZIP_MAGIC) and not is_tar(head) and not is_packed(head):
            yield self._unpack_stream(path, label, root, magic)
        elif self._depth >= MAX_DEPTH:
            self._miss(label, f"packed more than {MAX_DEPTH} times over", f"file {path}")
        else:
            self._depth += 1
            yield from self._unpack(path, label, opener, is_tar=is_tar(head), is_zip=magic.startswith(ZIP_MAGIC))
            self._depth -= 1

    def _unpack_stream(self, path: Path, label: str, root: Path, magic: bytes) -> Piece:
        """Unpack a file that holds one other; gzip is left as it is, since documents read it themselves."""
        opener = find_opener(magic)
        if opener is None or magic.startswith(GZIP_MAGIC):
            return Piece(label, path, root)
        target = self._new_folder() / path.stem
        with opener(path) as packed:
            self._copy(packed, target, label, self._unpacked + bound_unpacked(path, self._max_bytes))
        return Piece(label, target, root)

    def _unpack(
        self, path: Path, label: str, opener: Callable[[Path], Reader] | None, *, is_tar: bool, is_zip: bool
    ) -> Iterator[Piece]:
        """Yield what an archive holds, or what is packed twice."""
        folder = self._new_folder()
        limit = self._unpacked + bound_unpacked(path, self._max_bytes)
        try:
            if is_tar:
                self._unpack_tar(path, label, opener, folder, limit)
            elif is_zip:
                self._unpack_zip(path, label, folder, limit)
            elif opener is not None:
                with opener(path) as packed:
                    self._copy(packed, folder / path.stem, label, limit)
                yield from self._open(folder / path.stem, label, folder)
                return
        except damage_errors() as error:
            self._miss(label, f"the archive is damaged: {error}", f"file {path}", partial=True)
        yield from self._walk(folder, folder, f"{label}/")

    def _unpack_tar(
        self, path: Path, label: str, opener: Callable[[Path], Reader] | None, folder: Path, limit: int
    ) -> None:
        with open_tar(path, opener) as archive:
            for number, member in enumerate(archive):
                if number >= MAX_MEMBERS:
                    self._miss(label, f"only the first {MAX_MEMBERS} files were unpacked", f"tar xf {path}")
                    return
                # Links and devices of a tar are left out: what a link names is a member of its own.
                source = archive.extractfile(member) if member.isreg() else None
                if source is not None and not self._unpack_member(source, member.name, folder, label, limit):
                    return

    def _unpack_zip(self, path: Path, label: str, folder: Path, limit: int) -> None:
        with zipfile.ZipFile(path) as archive:
            for number, member in enumerate(list_zip(archive)):
                if number >= MAX_MEMBERS:
                    self._miss(label, f"only the first {MAX_MEMBERS} files were unpacked", f"unzip {path}")
                    return
                try:
                    source = archive.open(member)
                except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
                    self._miss(f"{label}/{member.filename}", f"cannot be unpacked: {error}", f"unzip {path}")
                    continue
                if not self._unpack_member(source, member.filename, folder, label, limit):
                    return

    def _unpack_member(self, source: IO[bytes], name: str, folder: Path, label: str, limit: int) -> bool:
        """Write a member below the folder, whatever its name says; False where nothing more may be unpacked."""
        parts = [part for part in Path(name.replace("\0", "_")).parts if part not in ("/", "..", ".")]
        told = f"{label}/{'/'.join(parts)}"
        with source:
            try:
                target = _find_place(folder.joinpath(*parts) if parts else folder / "unnamed", folder)
                if target is not None:
                    target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self._miss(told, f"has a name that no file can have here: {error.strerror}", "")
                return True
            if target is None:
                self._miss(told, "its place in the archive is taken by another file", f"tar tvf {label}")
                return True
            return self._copy(source, target, told, limit)

    def _copy(self, source: Reader, target: Path, label: str, limit: int) -> bool:
        """Copy until the end, damage or the limit of bytes unpacked in all; False at the limit."""
        try:
            with target.open("wb") as sink:
                while block := source.read(COPY_BYTES):
                    free = max(0, min(limit, self._max_bytes) - self._unpacked)
                    self._unpacked += len(block)
                    sink.write(block[:free])
                    if len(block) > free:
                        reason = f"cut: more than {min(limit, self._max_bytes)} bytes unpacked"
                        self._miss(label, reason, _LARGER, partial=True)
                        return False
        except damage_errors() as error:
            self._miss(label, f"damaged, read up to the damage: {error}", "", partial=True)
        return True

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
