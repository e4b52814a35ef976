"""Conversations that are kept: one file each in the data folder, written whole after every turn."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.desk import Desk
from agent.dialogue import Turn
from agent.types import EvidenceRow, Verdict
from tools.errors import OperatorError, SiteConfigError

FOLDER = "chats"
MAX_TITLE = 60
LAST = "last"


@dataclass(frozen=True)
class Session:
    """A conversation as it is kept.

    Attributes:
        evidence: All that was numbered, in order, so that every handle stands for the same after a resume.
        pastes: How many texts were pasted; the next one is named by it.
    """

    session_id: str
    started: datetime
    changed: datetime
    title: str = ""
    origin: str = ""
    model: str = ""
    verdicts: tuple[Verdict, ...] = ()
    evidence: tuple[EvidenceRow, ...] = ()
    turns: tuple[Turn, ...] = ()
    pastes: int = 0

    def with_turn(self, turn: Turn) -> Session:
        """The same with one more turn; the first question is its title."""
        return replace(self, turns=(*self.turns, turn), title=self.title or turn.question[:MAX_TITLE])


_ADAPTER = TypeAdapter(Session)


def begin_session(now: datetime) -> Session:
    """Begin a conversation; nothing is written before something was said."""
    return Session(f"{now.astimezone(UTC):%Y%m%d-%H%M}-{secrets.token_hex(2)}", now, now)


def keep_session(session: Session, desk: Desk, data_dir: Path, now: datetime) -> Session:
    """Write a conversation, whole or not at all, readable by nobody else: it holds lines of logs.

    Raises:
        SiteConfigError: The folder cannot be written.
    """
    evidence = tuple(
        EvidenceRow(id=one.id, source=one.source, span=one.span, quote=one.quote, values=dict(one.values) or None)
        for one in desk.book
    )
    kept = replace(session, changed=now, origin=desk.origin, verdicts=desk.verdicts, evidence=evidence)
    path = make_folder(data_dir) / f"{session.session_id}.json"
    try:
        fresh = path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:  # noqa: PTH123 - the file is open already, with its rights
            file.write(_ADAPTER.dump_json(kept, indent=1))
        fresh.replace(path)
    except OSError as error:
        raise SiteConfigError(
            f"The conversation cannot be kept at {path}: {error.strerror}.", fix="export DAYTWO_DATA_DIR=/other/folder"
        ) from None
    return kept


def make_folder(data_dir: Path) -> Path:
    """Make the folder of conversations, for its owner alone.

    Raises:
        SiteConfigError: It cannot be made.
    """
    folder = data_dir / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SiteConfigError(
            f"The folder {folder} cannot be made: {error.strerror}.", fix="export DAYTWO_DATA_DIR=/other/folder"
        ) from None
    return folder


def list_sessions(data_dir: Path) -> list[Session]:
    """All that are kept, the newest first; a file that is none is left out."""
    found = []
    for path in (data_dir / FOLDER).glob("*.json"):
        try:
            found.append(_ADAPTER.validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue
    return sorted(found, key=lambda one: one.changed, reverse=True)


def find_session(data_dir: Path, wanted: str) -> Session:
    """Find a conversation by its id or the beginning of it; ``last`` is the newest.

    Raises:
        OperatorError: There is none, or more than one begins so.
    """
    every = list_sessions(data_dir)
    found = every[:1] if wanted == LAST else [one for one in every if one.session_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.session_id for one in (found or every)[:3])
    said = f"{len(found)} conversations begin with '{wanted}'" if found else f"No conversation '{wanted}' is kept"
    raise OperatorError(f"{said}{f': {names}' if names else ''}.", fix="daytwo chat --list")
