"""Follow the kernel's lines in the journal: ``journalctl -o json --after-cursor``, asked again and again.

Asked, not left running: a reader that is killed leaves no program behind. ``_TRANSPORT=kernel`` is what
``journalctl -k`` adds, which also means "this boot only": the last words before a reboot would be lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tools.errors import ToolFailed
from tools.host_follow import Piece, read_position, spell_position
from tools.shell import CommandResult, expect_success, run_command
from tools.types import Line

LABEL = "journalctl -k -o json"
PROGRAM_SECONDS = 20.0
MAX_BYTES = 8 * 1024**2
"""Of one answer; what lies behind is asked for next."""
CONTEXT_ENTRIES = 4000
MISSED_MESSAGE = "e9bf28e6e834481bb6f48f548ad13606"
"""journald's own "Missed N kernel messages" (SD_MESSAGE_JOURNAL_MISSED in systemd's sd-messages.h)."""
_ASK = ("journalctl", "-o", "json", "--no-pager", "--quiet")
_KERNEL = ("_TRANSPORT=kernel", "+", f"MESSAGE_ID={MISSED_MESSAGE}")


class JournalFollower:
    """Reads entries behind a position of the form ``{"cursor": "s=…", "entries": 12}``.

    Args:
        node: Name of this machine in the lines.
        position: Where an earlier reader stopped; empty to begin with this boot.
    """

    def __init__(self, node: str, position: str) -> None:
        self._node = node
        self.label = LABEL
        self.descriptor: int | None = None
        self.poll_seconds = 2.0
        told = read_position(position)
        self._cursor = str(told.get("cursor", ""))
        self._count = int(told.get("entries", 0))

    def read_context(self) -> Sequence[Line]:
        """Read the entries of this boot up to the position, the last of them."""
        if not self._cursor:
            return ()
        result = run_command([*_ASK, "-b", "-n", str(CONTEXT_ENTRIES), *_KERNEL], timeout_seconds=PROGRAM_SECONDS)
        entries = _split(result)
        known = [index for index, entry in enumerate(entries) if entry["__CURSOR"] == self._cursor]
        before = entries[: known[0] + 1] if known else []
        first = self._count - len(before) + 1
        return [Line(number, self._spell(entry)) for number, entry in enumerate(before, start=first)]

    def read(self) -> Piece:
        """Ask for what came behind the position.

        Raises:
            UpstreamError: The program is not there, hangs or fails.
        """
        gaps: list[str] = []
        try:
            result = self._ask()
        except ToolFailed as error:
            if not self._cursor or "cursor" not in error.message:
                raise
            # A journal that was made anew does not know it.
            self._cursor = ""
            gaps.append("the journal no longer knows where the last reading stopped: what came since may be lost")
            result = self._ask()
        entries = _split(result)
        gaps += [str(entry["MESSAGE"]) for entry in entries if entry.get("MESSAGE_ID") == MISSED_MESSAGE]
        lines = [Line(number, self._spell(entry)) for number, entry in enumerate(entries, start=self._count + 1)]
        self._count += len(lines)
        if entries:
            self._cursor = str(entries[-1]["__CURSOR"])
        position = spell_position(cursor=self._cursor, entries=self._count) if self._cursor else ""
        return Piece(tuple(lines), position, "; ".join(gaps), result.truncated and bool(lines))

    def close(self) -> None:
        """Nothing is held."""

    def _spell(self, entry: dict[str, Any]) -> str:
        """Spell an entry as ``journalctl -o short-iso-precise`` does; the facility tells who wrote it."""
        stamp = str(entry.get("__REALTIME_TIMESTAMP", ""))
        moment = (
            datetime.fromtimestamp(int(stamp) / 1e6, UTC).isoformat(timespec="microseconds") if _is_time(stamp) else ""
        )
        is_kernel = entry.get("_TRANSPORT") == "kernel" and str(entry.get("SYSLOG_FACILITY", "0")) == "0"
        tag = "kernel" if is_kernel else str(entry.get("SYSLOG_IDENTIFIER") or "user")
        message = " ".join(str(entry.get("MESSAGE", "")).split("\n"))
        return f"{moment} {self._node} {tag}: {message}"

    def _ask(self) -> CommandResult:
        behind = ["--after-cursor", self._cursor] if self._cursor else ["-b"]
        result = run_command([*_ASK, *behind, *_KERNEL], timeout_seconds=PROGRAM_SECONDS, max_bytes=MAX_BYTES)
        return result if result.truncated else expect_success(result)


def _is_time(stamp: str) -> bool:
    return stamp.isdigit() and len(stamp) < 18


def has_kernel_lines() -> bool:
    """Say whether there is a journal with lines of the kernel that we may read.

    Without the right to, journalctl tells nothing and ends well; so it does where journald does not read the kernel.

    Raises:
        UpstreamError: The program is not there, hangs or fails.
    """
    result = run_command([*_ASK, "-n", "1", *_KERNEL], timeout_seconds=PROGRAM_SECONDS)
    return bool(_split(expect_success(result)))


def _split(result: CommandResult) -> list[dict[str, Any]]:
    """Split an answer into whole entries; one that was cut has no end and is asked for again."""
    found = []
    for text in result.stdout.split("\n")[:-1]:
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("__CURSOR"), str):
            found.append(entry)
    return found
