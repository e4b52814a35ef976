"""Processes of a vLLM server: started in a session of their own, watched, and stopped with all that they started.

vLLM is never imported: it lives in an environment of its own, and is a program here like any other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.errors import ToolFailed

POLL_SECONDS = 0.1
LEFT_SECONDS = 3.0
"""How long the others of a session may take once its leader is gone (a guess; vLLM's engine took under a second)."""
KILL_SECONDS = 10.0
"""How long the kernel may take to let go of a process that was killed (a guess; a GPU in trouble holds it longer)."""
STAT_SESSION, STAT_START, STAT_STATE = 3, 19, 0
"""Places in `/proc/PID/stat` behind the name: session, time of start in ticks since boot, state (proc(5))."""
GONE = frozenset("ZX")


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process that can be told from another that got its number later: number, and ticks since boot at its start."""

    pid: int
    started: int


class Child:
    """A program in a session of its own; its output goes to a file, appended.

    Args:
        argv: Program and arguments; never a shell line.
        env: Variables on top of this process' own.
        log: Where its output goes.

    Raises:
        ToolFailed: It could not be started, or the file cannot be written.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as out:
                self._process = subprocess.Popen(  # noqa: S603  # no shell; arguments come from a plan and its flags
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **env},
                    start_new_session=True,
                )
        except OSError as error:
            raise ToolFailed(f"{argv[0]} could not be started: {error.strerror}.", fix=f"ls -l {argv[0]}") from None
        self.mark = ProcessMark(self._process.pid, read_start(self._process.pid) or 0)

    @property
    def exit_code(self) -> int | None:
        """How it ended: negative is the signal; None while it runs."""
        return self._process.poll()

    def stop(self, grace_seconds: float) -> bool:
        """End it and all of its session; False where the kernel does not let go of one."""
        gone = stop_session(self.mark, grace_seconds)
        self._process.poll()
        return gone


def read_start(pid: int) -> int | None:
    """Ticks since boot at which a process started; None where there is none, or only its remains."""
    fields = _read_stat(pid)
    return int(fields[STAT_START]) if fields and fields[STAT_STATE] not in GONE else None


def is_running(mark: ProcessMark) -> bool:
    """Say whether this very process still runs."""
    return mark.pid > 0 and read_start(mark.pid) == mark.started


def list_session(session: int) -> list[int]:
    """All processes of a session, the leader's own children and theirs, whatever they call themselves."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [pid for pid in pids if (stat := _read_stat(pid)) and _is_of(stat, session)]


def _is_of(stat: Sequence[str], session: int) -> bool:
    return int(stat[STAT_SESSION]) == session and stat[STAT_STATE] not in GONE


def _read_stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The name in brackets may hold blanks and brackets itself.
    return text.rpartition(")")[2].split()


def stop_session(leader: ProcessMark, grace_seconds: float) -> bool:
    """Ask a session to end, wait, then kill what is left of it.

    The engine of vLLM outlives an API server that was killed, so the session is looked through, not its leader.

    Args:
        leader: Who began it; where another process has its number now, nothing is touched.
        grace_seconds: How long the leader may take to end by itself.

    Returns:
        False where something is still there: a process that the kernel holds.
    """
    if read_start(leader.pid) not in (None, leader.started):
        return True
    _send_all(leader.pid, signal.SIGTERM)
    _wait_until(lambda: not is_running(leader), grace_seconds)
    if _wait_until(lambda: not list_session(leader.pid), LEFT_SECONDS):
        return True
    _send_all(leader.pid, signal.SIGKILL)
    return _wait_until(lambda: not list_session(leader.pid), KILL_SECONDS)


def ask_to_stop(mark: ProcessMark) -> None:
    """Send a process, and it alone, the wish to end."""
    if is_running(mark):
        _send(mark.pid, signal.SIGTERM)


def wait_for_end(mark: ProcessMark, seconds: float) -> bool:
    """Wait until a process is gone; False where it is not."""
    return _wait_until(lambda: not is_running(mark), seconds)


def has_session(leader: ProcessMark) -> bool:
    """Say whether anything of a session still runs, its leader or what that left behind."""
    if leader.pid <= 0 or read_start(leader.pid) not in (None, leader.started):
        return False
    return bool(list_session(leader.pid))


def _send_all(session: int, sign: signal.Signals) -> None:
    for pid in list_session(session):
        _send(pid, sign)


def _send(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except (ProcessLookupError, PermissionError):
        return


def _wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def run_step(
    argv: Sequence[str], *, hear: Callable[[str], None], env: Mapping[str, str] | None = None
) -> tuple[int, list[str]]:
    """Run a program of making an environment or a model to its end, and hear its output line by line.

    It has no time-out, as a download has none: Ctrl-C ends it with all that it started.

    Returns:
        Exit code, and the last lines.

    Raises:
        ToolFailed: It could not be started.
    """
    last: list[str] = []
    try:
        process = subprocess.Popen(  # noqa: S603  # no shell; the argument lists are built in this room
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(f"{argv[0]} could not be started: {error.strerror}.", fix=f"ls -l {argv[0]}") from None
    mark = ProcessMark(process.pid, read_start(process.pid) or 0)
    try:
        for line in process.stdout or ():
            hear(line.rstrip())
            last = [*last[-19:], line.rstrip()]
        return process.wait(), last
    finally:
        if process.poll() is None:
            stop_session(mark, POLL_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
