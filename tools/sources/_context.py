"""Tells which host a file is from: by what lies beside it, never by its name alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.document import FileDocument
from tools.errors import OperatorError
from tools.parsers import inventory as inventory_form
from tools.parsers import jobs as jobs_form
from tools.sources._bundles import SOS_FOLDER
from tools.sources._pieces import Piece
from tools.types import Inventory

MAX_CONTEXT_BYTES = 16 * 1024 * 1024
CONTEXT_FILES = frozenset({"manifest.json", "hostname"})
_ROOTED = (("proc", "sys", "kernel", "hostname"), ("etc", "hostname"))


class NodeNames:
    """Names of hosts that the evidence itself tells.

    Args:
        node: Host that everything is from, where the caller knows it.
        known: Every spelling of a host that an inventory or a job list names, to its first spelling.
        folders: Folder to the host that its manifest or hostname file names.
    """

    def __init__(self, node: str, known: dict[str, str], folders: dict[Path, str]) -> None:
        self._node = node
        self._known = known
        self._folders = folders

    def find(self, piece: Piece) -> str:
        """Name the host of a file: the nearest folder that tells it, else a folder or file named as a known host."""
        if self._node:
            return self._node
        inside = [folder for folder in piece.path.parents if folder.is_relative_to(piece.root)]
        for folder in inside:
            if folder in self._folders:
                return self._folders[folder]
        spellings = [piece.path.name, piece.path.stem, *(folder.name for folder in inside)]
        return next((self._known[name] for name in spellings if name in self._known), "")


def read_context(pieces: Sequence[Piece], *, node: str, inventory: Sequence[Inventory]) -> NodeNames:
    """Read the small files that name hosts: manifest.json, hostname, inventory and job lists."""
    known: dict[str, str] = {}
    folders: dict[Path, str] = {}
    _add_inventory(known, inventory)
    for piece in pieces:
        if piece.path.name in CONTEXT_FILES:
            name = _read_name(piece.path)
            if name:
                folders.setdefault(_folder_of(piece.path), name)
        else:
            for name, spelling in _read_listed(piece):
                known.setdefault(spelling, name)
    return NodeNames(node, known, folders)


def _folder_of(path: Path) -> Path:
    """The folder that a host's name is the name of: the machine's root, where the file lies as it lies on a host."""
    for tail in _ROOTED:
        if path.parts[-len(tail) :] == tail:
            return path.parents[len(tail) - 1]
    collected = next((parent for parent in path.parents if parent.name == SOS_FOLDER), None)
    return collected.parent if collected is not None else path.parent


def is_context_file(piece: Piece) -> bool:
    """Say whether a file only names the host of its folder."""
    return piece.path.name in CONTEXT_FILES and bool(_read_name(piece.path))


def _add_inventory(known: dict[str, str], entries: Sequence[Inventory]) -> None:
    for entry in entries:
        for spelling in (entry.node, *entry.aliases):
            known.setdefault(spelling, entry.node)


def _read_name(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CONTEXT_BYTES:
            return ""
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    if path.name == "hostname":
        return text if text and len(text) <= 253 and len(text.split()) == 1 else ""
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    name = manifest.get("node") if isinstance(manifest, dict) else None
    return name if isinstance(name, str) else ""


def _read_listed(piece: Piece) -> Iterator[tuple[str, str]]:
    document = FileDocument(piece.label, "", piece.path)
    try:
        if piece.path.stat().st_size > MAX_CONTEXT_BYTES:
            return
        sample = [line.text for _, line in zip(range(20), document.lines(), strict=False)]
        if inventory_form.recognise(sample):
            for entry in inventory_form.parse(document).facts.inventory:
                for spelling in (entry.node, *entry.aliases):
                    yield entry.node, spelling
        elif jobs_form.recognise(sample):
            for link in jobs_form.parse(document).facts.links:
                yield link.object.node, link.object.node
    except (OperatorError, OSError):
        return
