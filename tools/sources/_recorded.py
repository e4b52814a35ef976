"""Finds recordings of a machine among the pieces of evidence and reads them back whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tools.sources._pieces import Piece
from tools.types import Facts, merge_facts

MANIFEST = "manifest.json"


def take_recordings(pieces: Sequence[Piece]) -> tuple[list[Piece], tuple[Facts, ...]]:
    """Read every folder that `daytwo record` wrote.

    Returns:
        The pieces that belong to no recording, and the facts of each recording.
    """
    rest = list(pieces)
    facts: list[Facts] = []
    for piece in pieces:
        if piece.path.name != MANIFEST:
            continue
        from tools.record_folder import read_manifest, read_recording

        manifest = read_manifest(piece.path)
        if manifest is None:
            continue
        folder = piece.path.parent
        own = {MANIFEST, *(entry.name for entry in manifest.files)}
        rest = [other for other in rest if other.path.parent != folder or other.path.name not in own]
        facts.append(read_recording(folder, manifest, piece.label.removesuffix(MANIFEST)))
    return rest, tuple(facts)


def merge_recordings(recordings: Sequence[Facts]) -> Facts:
    """Put recordings together; of several none is the subject."""
    whole = merge_facts(recordings)
    return whole if len(recordings) < 2 else replace(whole, subject=None)
