"""One server of the model under watch: started, waited for, looked at, started again, given up."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from serve.model_launch import HOST, Launch
from serve.model_log import Ending, LogTail, Progress, explain_ending, parse_progress
from serve.model_state import ReplicaState, State
from serve.vllm import Child, ProcessMark

Tell = Callable[[str], None]
HEALTH_SECONDS = 5.0
PROBE_SECONDS = 3.0
SILENT_SECONDS = 1800.0
"""A start that says nothing for so long hangs (a guess: a download of 60 GB tells of itself, a compilation may not)."""
SICK_PROBES, MUTE_PROBES = 3, 60
"""So often its own word that the engine is dead, or no open port, and so often no answer in time (five minutes: a
guess, as a busy server answers late)."""
REFUSED = -1
BACKOFF_SECONDS = (2.0, 10.0, 30.0, 60.0)
WINDOW_SECONDS = 900.0
MOST_ENDS = 4
"""So many ends within the window are a loop: it stops and says why (guesses, as systemd's own are)."""
TELL_SECONDS = 5.0
STILL_SECONDS = 30.0
"""After so long without a word it is told that the start still goes on: importing vLLM takes a minute or two."""
GRACE_SECONDS = 30.0
"""For the answers in flight, and for the engine to let go of its memory (a guess; 4 s were seen)."""
MAX_LOG_BYTES = 64 * 1024**2
KEPT_LOG_BYTES = 1024**2


def choose_delay(ending: Ending, ends: Sequence[float], now: float, *, was_ready: bool) -> float | None:
    """Choose how long to wait before another start; None where there is to be none.

    Args:
        ending: Why it ended.
        ends: When it ended before and now, in seconds of one clock.
        now: On the same clock.
        was_ready: Whether it had served in between: then even what looks hopeless is tried again.
    """
    recent = [end for end in ends if now - end <= WINDOW_SECONDS]
    if len(recent) >= MOST_ENDS or not (ending.again or was_ready):
        return None
    return BACKOFF_SECONDS[min(len(recent), len(BACKOFF_SECONDS)) - 1]


class Replica:
    """A server and its log.

    Args:
        launch: What is started.
        folder: Where its log goes.
        tell: Hears what happens, in words for people.
    """

    def __init__(self, launch: Launch, folder: Path, tell: Tell) -> None:
        self.launch = launch
        self.log = folder / f"server-{launch.port}.log"
        self.state: State = "starting"
        self.words = ""
        self.ending: Ending | None = None
        self._tell = tell
        self._child: Child | None = None
        self._tail = LogTail(self.log, 0)
        self._progress: Progress | None = None
        self._ends: list[float] = []
        self._next = 0.0
        self._began = self._heard = self._probed = self._told = 0.0
        self._sick = self._mute = 0
        self._was_ready = False

    def look(self, now: float) -> None:
        """Take the next step: start, hear, probe, end."""
        if self.state == "failed":
            return
        if self._child is None:
            if now >= self._next:
                self._start(now)
            return
        for line in self._tail.read_new():
            self._hear(line, now)
        if self.state != "ready" and now - self._told >= STILL_SECONDS:
            self._say(self.words if self.words.endswith(STILL) else f"{self.words}{STILL}", now)
        code = self._child.exit_code
        if code is not None:
            self._end(code, now)
        elif now - self._probed >= (HEALTH_SECONDS if self.state == "ready" else PROBE_SECONDS / 3):
            self._probed = now
            self._probe(now)

    def stop(self) -> None:
        """End it with all that it started."""
        if self._child is not None and not self._child.stop(GRACE_SECONDS):
            self._tell(f"the kernel does not let go of a process of {self.launch.url}: daytwo triage --host")
        self._child = None

    def describe(self) -> ReplicaState:
        """What is known of it now."""
        mark = self._child.mark if self._child else ProcessMark(0, 0)
        progress = self._progress
        return ReplicaState(
            url=self.launch.url,
            gpus=self.launch.gpus,
            log=self.log,
            pid=mark.pid,
            started=mark.started,
            state=self.state,
            words=self.words,
            restarts=len(self._ends),
            kv_cache_tokens=progress.kv_cache_tokens if progress else None,
            contexts=progress.contexts if progress else None,
            planned_contexts=self.launch.contexts,
        )

    def _start(self, now: float) -> None:
        self._began = self._heard = now
        self._was_ready, self._sick, self._mute = False, 0, 0
        self.state = "restarting" if self._ends else "starting"
        if is_taken(self.launch.port):
            self._note_ending(
                Ending("port", "the port is taken by another program", PORT_FIX, again=bool(self._ends)), now
            )
            return
        place = cut_log(self.log)
        self._tail, self._progress = LogTail(self.log, place), None
        self._child = Child(self.launch.argv, self.launch.env, self.log)
        self._say(f"starting {self.launch.name}; its log is {self.log}", now)

    def _hear(self, line: str, now: float) -> None:
        self._heard = now
        progress = parse_progress(line)
        if progress is None:
            return
        before, known = self._progress, self._progress or progress
        self._progress = Progress(
            progress.phase,
            progress.words,
            progress.kv_cache_tokens or known.kv_cache_tokens,
            progress.contexts or known.contexts,
        )
        # A bar moves many times a second: of one phase a line is told now and then, of a new one at once.
        if before is None or before.phase != progress.phase or now - self._told >= TELL_SECONDS:
            self._say(progress.words, now)

    def _probe(self, now: float) -> None:
        status = probe_health(self.launch)
        if self.state != "ready":
            if status == 200:
                self._note_ready(now)
            elif now - self._heard > SILENT_SECONDS:
                self._give_up_on("its start has said nothing for half an hour", now)
            return
        # A busy server answers late; one whose engine is dead says so, and one that shuts down has no open port.
        self._sick = self._sick + 1 if status in (503, REFUSED) else 0
        self._mute = self._mute + 1 if status == 0 else 0
        if self._sick >= SICK_PROBES:
            self._give_up_on(SICK_WORDS[status], now)
        elif self._mute >= MUTE_PROBES:
            self._give_up_on("it has not answered for five minutes", now)
        if self.log.stat().st_size > MAX_LOG_BYTES:
            self._tail = LogTail(self.log, cut_log(self.log))

    def _note_ready(self, now: float) -> None:
        self.state, self._was_ready = "ready", True
        self._say(f"ready after {now - self._began:.0f} s: {self.launch.spec}{self._compare()}", now)

    def _compare(self) -> str:
        """What the server measured beside what the plan computed."""
        if self._progress is None or self._progress.contexts is None or self.launch.contexts is None:
            return ""
        return (
            f" (holds {self._progress.contexts:.0f} conversations by its own measure, {self.launch.contexts} by plan)"
        )

    def _give_up_on(self, why: str, now: float) -> None:
        self._say(f"{why}; it is stopped", now)
        self._end(None, now)

    def _end(self, code: int | None, now: float) -> None:
        ending = explain_ending(self._tail.read_last(), code)
        # What the server left behind goes too: an engine alone holds the GPU's memory.
        self.stop()
        self._note_ending(ending, now)

    def _note_ending(self, ending: Ending, now: float) -> None:
        self.ending = ending
        self._ends.append(now)
        delay = choose_delay(ending, self._ends, now, was_ready=self._was_ready)
        if delay is None:
            self.state, self.words = "failed", ending.words
            return
        self.state, self._next = "restarting", now + delay
        self._say(f"{ending.words}; another start in {delay:.0f} s", now)
        for quote in ending.quotes:
            self._tell(f"  {quote}")

    def _say(self, words: str, now: float) -> None:
        self.words, self._told = words, now
        self._tell(f"{now - self._began:4.0f} s  {words}")


STILL = " (still)"
SICK_WORDS = {503: "its engine is dead, by its own word", REFUSED: "it runs and takes no more connections"}
PORT_FIX = "--port with another number; ss -ltnp shows who has this one"


def is_taken(port: int) -> bool:
    """Say whether something listens on a port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def probe_health(launch: Launch) -> int:
    """Status of the server's health, 0 where it gives none in time; 200 only where it lists the model too."""
    try:
        status = httpx.get(f"http://{HOST}:{launch.port}/health", timeout=PROBE_SECONDS).status_code
        if status != 200:
            return status
        listed = httpx.get(f"{launch.url}/models", timeout=PROBE_SECONDS).json()
        names = [row.get("id") for row in listed.get("data", [])]
    except httpx.ConnectError:
        return REFUSED
    except (httpx.HTTPError, ValueError, AttributeError):
        return 0
    return 200 if launch.name in names else 0


def cut_log(path: Path) -> int:
    """Move what is too much of a log into a second file; returns where the log now ends.

    The server writes at the end of the file, wherever that is: cutting it under its hands is safe.
    """
    size = path.stat().st_size if path.exists() else 0
    if size <= MAX_LOG_BYTES:
        return size
    with path.open("rb") as log:
        log.seek(size - KEPT_LOG_BYTES)
        path.with_suffix(".old.log").write_bytes(log.read())
    os.truncate(path, 0)
    return 0


def read_clock() -> float:
    """Seconds on a clock that nobody sets."""
    return time.monotonic()
