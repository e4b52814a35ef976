"""Bundles that support tools collect (sosreport and its like): whose they are, what of them tells of trouble.

Known: sos 3 and 4 (folders ``sos_commands``, ``sos_reports``, ``sos_logs``), and any dump with so many files that most
are of no form that is read here. What was not understood in one is counted in one row, not in a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tools.sources._pieces import Piece
from tools.types import Coverage

SOS_FOLDER = "sos_commands"
MANY_PIECES = 100
"""From so many files on nobody chose each of them (a guess)."""
MAX_SHOWN = 3
_SETTINGS = frozenset({"etc", "usr", "lib", "boot", "sos_logs", "sos_reports", "opt", "root", "run", "home"})
"""Folders of a sosreport with settings and with the collector's own words; what they say is no state."""
_COMMANDS_OF_OTHERS = frozenset(
    {"selinux", "rpm", "dpkg", "apt", "yum", "dnf", "python", "networkmanager", "sos_extras"}
)
_QUIET_REASONS = ("of no form that is known", "empty file", "binary file", "a link that leads out", "not a plain file")


def find_sos_roots(pieces: Iterable[Piece]) -> frozenset[Path]:
    """Find the folders that are sosreports: each holds a folder ``sos_commands``."""
    return frozenset(
        parent.parent
        for piece in pieces
        for parent in piece.path.parents
        if parent.name == SOS_FOLDER and parent.is_relative_to(piece.root)
    )


def drop_settings(pieces: Sequence[Piece], roots: frozenset[Path]) -> list[Piece]:
    """Leave out the files of a sosreport that hold settings, not states."""
    return [piece for piece in pieces if not any(_is_setting(piece.path, root) for root in roots)]


def _is_setting(path: Path, root: Path) -> bool:
    if not path.is_relative_to(root):
        return False
    parts = path.relative_to(root).parts
    if parts[0] == SOS_FOLDER:
        return len(parts) > 2 and parts[1] in _COMMANDS_OF_OTHERS
    return parts[0] in _SETTINGS and path.name != "hostname"


def is_bundle(pieces: Sequence[Piece], roots: frozenset[Path]) -> bool:
    """Say whether most files of this evidence were collected by a program, not chosen by a person."""
    return bool(roots) or len(pieces) >= MANY_PIECES


def sum_up_unread(coverage: Sequence[Coverage], count: int, left_out: int = 0) -> tuple[Coverage, ...]:
    """Put the rows of files that were of no known form into one, the first three named.

    Args:
        coverage: Of all files of a bundle.
        count: How many files were looked at.
        left_out: How many of a sosreport's settings were not looked at.
    """
    quiet = [row for row in coverage if row.status == "missing" and row.reason.startswith(_QUIET_REASONS)]
    rest = [row for row in coverage if row not in quiet]
    if not any(row.status in ("read", "partial") for row in rest):
        return tuple(coverage)
    names = list(dict.fromkeys(row.entity for row in quiet))
    told = []
    if names:
        shown = ", ".join(names[:MAX_SHOWN]) + (", …" if len(names) > MAX_SHOWN else "")
        told.append(f"{len(names)} of {max(count, len(names))} files are of no form that is read here: {shown}")
    if left_out:
        told.append(f"{left_out} files of settings were not looked at")
    return (*rest, Coverage("bundle", "input", "partial", "; ".join(told))) if told else tuple(coverage)
