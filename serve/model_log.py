"""What a vLLM server says of itself in its log: how far it has come, what it measured, and why it ended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from serve.rows import read_rows
from tools.harmless import neutralise

Phase = Literal["starting", "downloading", "loading", "compiling", "cache", "graphs", "opening", "ready"]
ORDER: tuple[Phase, ...] = get_args(Phase)
MAX_QUOTE_CHARACTERS = 240
MAX_QUOTES = 3
TAIL_BYTES = 256 * 1024
LAST_LINES = 600
"""How far back the reason of an end is looked for (a guess: a traceback through three processes has some 300)."""
# "(EngineCore pid=9261) ERROR 11-25 01:06:32 [core.py:708] words", as vLLM's own logger writes it.
_HEAD = re.compile(
    r"^(?:\((?P<who>[\w ]+?)(?: \w+=\d+)*\) )?(?:(?:DEBUG|INFO|WARNING|ERROR) \d\d-\d\d [\d:]{8} \[[\w./]+:\d+\] ?)?"
)
# Lines of the program itself in a traceback: they show where, the last one says what.
_CODE = re.compile(r"^\s*(?:raise |return |File \"|[\^~]+$)")
_RAISED = re.compile(r"^\s*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b(?::|$)")
EXITS = {
    -9: ("it was killed (signal 9), most often by the kernel for want of memory", "dmesg | grep -i 'out of memory'"),
    -15: ("somebody else told it to end (signal 15)", "journalctl -e, or who administers this machine"),
    -11: ("it crashed (signal 11)", "daytwo triage --host"),
    -6: ("it gave up (signal 6)", "daytwo triage --host"),
    -4: ("this processor lacks instructions that the build needs", "a build for an older processor"),
}
"""What a signal most often means; the last words of the log come first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a start has come, in words, and what the server measured on the way."""

    phase: Phase
    words: str
    kv_cache_tokens: int | None = None
    contexts: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a server ended.

    Attributes:
        reason: Row of the table, ``signal`` or ``unknown``.
        quotes: The telling lines of the log, without their heads.
        again: Whether another start may go better.
    """

    reason: str
    words: str
    fix: str
    quotes: tuple[str, ...] = ()
    again: bool = True


@dataclass(frozen=True, slots=True)
class _Sign:
    pattern: re.Pattern[str]
    phase: Phase
    shown: str


@dataclass(frozen=True, slots=True)
class _Failure:
    pattern: re.Pattern[str]
    reason: str
    words: str
    fix: str
    again: bool


@cache
def _load_signs() -> tuple[_Sign, ...]:
    phases: dict[str, Phase] = {phase: phase for phase in ORDER}
    return tuple(
        _Sign(re.compile(row["pattern"]), phases[row["phase"]], row["shown"]) for row in read_rows("vllm_phases.csv")
    )


@cache
def _load_failures() -> tuple[_Failure, ...]:
    return tuple(
        _Failure(re.compile(row["pattern"]), row["reason"], row["words"], row["fix"], row["again"] == "yes")
        for row in read_rows("vllm_failures.csv")
    )


def parse_progress(line: str) -> Progress | None:
    """Read how far a start has come out of one line; None where it does not say."""
    words = drop_head(line)
    for sign in _load_signs():
        if match := sign.pattern.search(words):
            told = {name: value for name, value in match.groupdict().items() if value is not None}
            tokens, contexts = told.get("kv_tokens", "").replace(",", ""), told.get("contexts")
            return Progress(
                sign.phase,
                neutralise(sign.shown.format_map(told)),
                int(tokens) if tokens else None,
                float(contexts) if contexts else None,
            )
    return None


def drop_head(line: str) -> str:
    """A line without the process, level, time and place that vLLM writes before its words."""
    return _HEAD.sub("", line.rstrip(), count=1)


def explain_ending(lines: Sequence[str], exit_code: int | None) -> Ending:
    """Say why a server ended, by the first telling line of its log, else by how it ended.

    Args:
        lines: The end of its log, of this start alone.
        exit_code: Negative is a signal; None where it was stopped because it did not answer.
    """
    words = [drop_head(line) for line in lines[-LAST_LINES:]]
    said = [line for line in words if not _CODE.match(line)]
    for failure in _load_failures():
        match = next((match for line in said if (match := failure.pattern.search(line))), None)
        if match:
            told = {name: neutralise(value[:80]) for name, value in match.groupdict().items() if value}
            quotes = _quote(said, match.string)
            return Ending(failure.reason, failure.words.format_map(told), failure.fix, quotes, failure.again)
    quotes = _quote(said, "")
    if exit_code in EXITS:
        return Ending("signal", *EXITS[exit_code], quotes)
    how = "stopped answering" if exit_code is None else f"ended with code {exit_code}"
    return Ending("unknown", f"it {how}", "read the log", quotes)


def _quote(words: Sequence[str], telling: str) -> tuple[str, ...]:
    """The telling line, and the last errors that were raised, each once and cut."""
    raised = [line for line in words if _RAISED.match(line)]
    chosen = dict.fromkeys(line.strip()[:MAX_QUOTE_CHARACTERS] for line in [telling, *raised[-2:]] if line.strip())
    last = [line.strip()[:MAX_QUOTE_CHARACTERS] for line in words if line.strip()][-1:]
    return tuple(neutralise(line) for line in (list(chosen) or last)[:MAX_QUOTES])


class LogTail:
    """Reads on in a log that grows; bars of progress, which write over their own line, come as lines too.

    Args:
        path: The log.
        place: Where to begin, in bytes.
    """

    def __init__(self, path: Path, place: int) -> None:
        self._path = path
        self._start = self._place = place
        self._rest = b""

    def read_new(self) -> Iterator[str]:
        """Give the lines that came since the last time."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._place)
                fresh = log.read()
        except OSError:
            return
        self._place += len(fresh)
        *lines, self._rest = re.split(rb"[\r\n]+", self._rest + fresh)
        for line in lines:
            yield line.decode("utf-8", "replace")

    def read_last(self) -> list[str]:
        """The end of the log, of this start alone."""
        try:
            with self._path.open("rb") as log:
                log.seek(0, 2)
                log.seek(max(self._start, log.tell() - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return []
        return re.split(r"[\r\n]+", text)
