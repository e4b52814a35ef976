"""A recording on disk: a portable folder that `daytwo triage` reads as it would have read the machine.

=====================  =====================================================================================
``manifest.json``      schema, host, times, versions, and size and SHA-256 of every other file
``facts.json``         entities, links, inventory, coverage, and the frames of the windows (rows, times, lines)
``windows.parquet``    the readings, one a line; ``windows.csv`` where polars is not installed
``events.jsonl``       what happened, one event a line
``kernel.log``         the kernel log as text, for people, and for rules that come later
=====================  =====================================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from tools.errors import DaytwoError, EvidenceUnreadable, OperatorError
from tools.record_facts import (
    Recorded,
    build_windows,
    decode_events,
    decode_facts,
    encode_event,
    encode_facts,
    to_json,
)
from tools.record_tables import TABLE_NAMES, build_arrays, read_table, write_table
from tools.scrub import Scrubber, learn_facts, list_strings
from tools.types import Coverage, Event, Facts, Window

SCHEMA = "daytwo.recording/1"
MANIFEST, FACTS, EVENTS, KERNEL_LOG = "manifest.json", "facts.json", "events.jsonl", "kernel.log"
FILE_NAMES = (FACTS, *TABLE_NAMES, EVENTS, KERNEL_LOG)
MAX_MANIFEST_BYTES = 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
NOTHING = Recorded((), (), (), (), (), None)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a recording, as it was written."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a recording is of.

    Attributes:
        node: Host name in entities.
        started, ended: RFC 3339, UTC.
        readings: How many readings were put together.
        versions: Of daytwo, Python, the kernel and the driver, where they were told.
    """

    node: str
    started: str
    ended: str
    readings: int
    every_seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    scrubbed: bool = False
    files: tuple[FileEntry, ...] = ()
    schema: str = SCHEMA


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


# ---- writing ----


def check_target(folder: Path) -> None:
    """Refuse to mix a recording with what is there already.

    Raises:
        OperatorError: The folder holds something, or is none.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise OperatorError(
            f"{folder} is there already and not an empty folder.", fix=f"daytwo record --out {folder}-2"
        )


def write_recording(
    folder: Path, manifest: Manifest, facts: Facts, *, kernel_log: Iterable[str], scrubber: Scrubber | None = None
) -> Manifest:
    """Write a recording, readable by its owner only: logs hold what is nobody else's business.

    Args:
        folder: Made where it does not exist.
        manifest: All but the list of files.
        facts: What was read.
        kernel_log: Lines of the kernel log.
        scrubber: Replaces names in everything that is written.

    Returns:
        The manifest as written.

    Raises:
        OperatorError: The folder cannot be written, or is not empty.
    """
    check_target(folder)
    lines = list(kernel_log)
    if scrubber is not None:
        _study(scrubber, manifest, facts, lines)
        manifest = replace(manifest, node=str(scrubber.scrub(manifest.node, key="node")), scrubbed=True)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_files(folder, facts, lines, scrubber)
        files = tuple(_describe(folder / name) for name in FILE_NAMES if (folder / name).exists())
        whole = replace(manifest, files=files)
        (folder / MANIFEST).write_text(json.dumps(asdict(whole), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"The recording could not be written: {error.filename}: {error.strerror}.", fix=f"ls -ld {folder.parent}"
        ) from None
    return whole


def _study(scrubber: Scrubber, manifest: Manifest, facts: Facts, lines: list[str]) -> None:
    """Let the scrubber see everything once, for a name may stand before the place that tells what it is."""
    learn_facts(scrubber, facts)
    scrubber.learn("host", [manifest.node])
    scrubber.study(list_strings([encode_facts(facts), [encode_event(event) for event in facts.events]]))
    scrubber.study(lines)


def _write_files(folder: Path, facts: Facts, kernel_log: Iterable[str], scrubber: Scrubber | None) -> None:
    def spell(value: object) -> str:
        return to_json(scrubber.scrub(value) if scrubber is not None else value) + "\n"

    write_table(facts.windows, folder)
    (folder / FACTS).write_text(spell(encode_facts(facts)), encoding="utf-8")
    with (folder / EVENTS).open("w", encoding="utf-8") as stream:
        stream.writelines(spell(encode_event(event)) for event in facts.events)
    with (folder / KERNEL_LOG).open("w", encoding="utf-8") as stream:
        stream.writelines(f"{scrubber.scrub_text(line) if scrubber is not None else line}\n" for line in kernel_log)


def _describe(path: Path) -> FileEntry:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return FileEntry(path.name, path.stat().st_size, digest.hexdigest())


# ---- reading ----


def read_manifest(path: Path) -> Manifest | None:
    """Read the manifest of a recording; None where the file is something else."""
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        manifest = _adapter().validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return manifest if manifest.schema == SCHEMA else None


def read_recording(folder: Path, manifest: Manifest, label: str) -> Facts:
    """Read a recording back into the facts that were written.

    A file that is not as it was written is read all the same, and said to be changed; one that is missing or cannot be
    understood is missing in the coverage.

    Args:
        folder: Where it lies.
        manifest: What it says of itself.
        label: Name of the folder in coverage, with a slash at its end, or empty.
    """
    listed = {entry.name: entry for entry in manifest.files if entry.name in FILE_NAMES}
    rows = [row for name, entry in listed.items() if (row := _check(folder / name, entry, label)) is not None]
    recorded = _attempt(lambda: decode_facts(_read_text(folder / FACTS)), NOTHING, f"{label}{FACTS}", rows)
    no_events: tuple[Event, ...] = ()
    no_windows: tuple[Window, ...] = ()
    events = _attempt(lambda: decode_events(_read_text(folder / EVENTS)), no_events, f"{label}{EVENTS}", rows)
    table = next((name for name in TABLE_NAMES if name in listed), TABLE_NAMES[-1])
    windows = _attempt(lambda: _read_windows(folder / table, recorded), no_windows, f"{label}{table}", rows)
    return Facts(
        windows=windows,
        events=events,
        entities=recorded.entities,
        links=recorded.links,
        inventory=recorded.inventory,
        coverage=(*recorded.coverage, *rows),
        subject=recorded.subject,
    )


def _attempt(read: Callable[[], T], otherwise: T, name: str, rows: list[Coverage]) -> T:
    """Read one file; where it cannot be, say so in the coverage and go on with the others."""
    try:
        return read()
    except DaytwoError as error:
        rows.append(Coverage(name, "input", "missing", error.message, error.fix))
        return otherwise


def _read_windows(path: Path, recorded: Recorded) -> tuple[Window, ...]:
    shapes = [(len(frame.entities), len(frame.times)) for frame in recorded.frames]
    if not shapes:
        return ()
    arrays = build_arrays(read_table(path), shapes, [frame.signals for frame in recorded.frames])
    return build_windows(recorded.frames, arrays)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceUnreadable(f"{path.name} cannot be read: {error}.", fix=f"ls -l {path}") from None


def _check(path: Path, entry: FileEntry, label: str) -> Coverage | None:
    try:
        found = _describe(path)
    except OSError:
        # Where it is needed, the reader of the file says so itself.
        needed = path.name != KERNEL_LOG
        return None if needed else Coverage(f"{label}{path.name}", "input", "partial", "it is gone")
    if found == entry:
        return None
    reason = "it was changed after it was recorded: its SHA-256 is not the one of the manifest"
    return Coverage(f"{label}{path.name}", "input", "partial", reason, f"sha256sum {path.name}; record again")
