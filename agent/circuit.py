"""A breaker before each model endpoint: one that keeps failing is left alone for a while, by every process of the site.

Only what the server itself does wrong counts: no answer, none in time, an error of its own. The state is a small file
in the data folder, changed under a lock.
"""

from __future__ import annotations

import fcntl
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.profile import place_profile
from tools.errors import ModelDown, ModelError
from tools.harmless import redact_url

FAILURES = 3
"""So many in a row open it (a guess: one may be a restart, two a coincidence)."""
FORGET_SECONDS = 600.0
"""Failures further apart than this are not in a row (a guess)."""
COOL_SECONDS, MOST_COOL_SECONDS = 30.0, 600.0
"""How long it stays open: vLLM loads a small model in half a minute; doubled each time, up to ten minutes (guesses)."""
JITTER = 0.2
"""Share by which the wait differs, so that not every process tries in the same second (a guess)."""
PROBE_SECONDS = 90.0
"""How long the one who tries may take before another may (a guess: the longest answer is waited for 60 s)."""
State = Literal["closed", "half-open", "open"]


class CircuitRecord(BaseModel):
    """What is kept of an endpoint: Unix seconds, 0 where it never was."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    failures: int = 0
    failed_at: float = 0.0
    trips: int = 0
    opened_at: float = 0.0
    until: float = 0.0
    probing_until: float = 0.0
    why: str = ""

    def find_state(self, now: float) -> State:
        """Whether it may be asked: by all, by one who tries, or by nobody."""
        if not self.opened_at:
            return "closed"
        return "half-open" if now >= self.until else "open"


class Circuit:
    """The breaker of one endpoint and model.

    Args:
        path: The file that all processes share.
        clock: Unix seconds.
        chance: A number from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,  # noqa: S311 - a jitter is no secret
    ) -> None:
        self.path = path
        self._clock = clock
        self._chance = chance

    def read(self) -> CircuitRecord:
        """What is kept; a file that is not there or not ours is a closed circuit."""
        try:
            return CircuitRecord.model_validate_json(self.path.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError):
            return CircuitRecord()

    @property
    def state(self) -> State:
        """Whether the endpoint may be asked now."""
        return self.read().find_state(self._clock())

    def ask(self) -> str:
        """Ask for leave to use the endpoint; where its time is over, one process gets it, to try.

        Returns:
            Why it may not be used; empty where it may.
        """
        if not self.read().opened_at:
            return ""
        refused: list[str] = []

        def look(record: CircuitRecord, now: float) -> CircuitRecord:
            if record.find_state(now) == "closed":
                return record
            if now < record.until:
                wait = f"it is tried again in {record.until - now:.0f} s"
            elif now < record.probing_until:
                wait = "another process is trying it now"
            else:
                return record.model_copy(update={"probing_until": now + PROBE_SECONDS})
            refused.append(f"not asked: it failed {record.failures} times in a row ({record.why}); {wait}")
            return record

        self._change(look)
        return refused[0] if refused else ""

    def note(self, error: ModelError | None) -> None:
        """Take notice of how a question went; None for an answer. What was refused with a reason changes nothing."""
        if isinstance(error, ModelDown):
            self._change(lambda record, now: self._fail(record, now, error.message))
        elif error is None and self.read() != CircuitRecord():
            self._change(lambda _record, _now: CircuitRecord())

    def _fail(self, record: CircuitRecord, now: float, why: str) -> CircuitRecord:
        recent = now - record.failed_at <= FORGET_SECONDS or bool(record.opened_at)
        failures = record.failures + 1 if recent else 1
        told = {"failures": failures, "failed_at": now, "why": redact_url(why).rstrip(".")[:200]}
        state = record.find_state(now)
        # Questions that were under way when it opened fail late, and say nothing new.
        if state == "open" or (state == "closed" and failures < FAILURES):
            return record.model_copy(update=told)
        trips = record.trips + 1
        wait = min(COOL_SECONDS * 2.0 ** (trips - 1), MOST_COOL_SECONDS) * (1 + JITTER * (2 * self._chance() - 1))
        opened = record.opened_at or now
        return record.model_copy(
            update={**told, "trips": trips, "opened_at": opened, "until": now + wait, "probing_until": 0.0}
        )

    def _change(self, change: Callable[[CircuitRecord, float], CircuitRecord]) -> None:
        """Read, change and write under a lock; a folder that cannot be written costs the breaker, not the answer."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.path.with_suffix(".lock").open("a", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self.read()
                after = change(before, self._clock())
                if after == before:
                    return
                fresh = self.path.with_suffix(".new")
                fresh.write_text(after.model_dump_json(), encoding="utf-8")
                fresh.replace(self.path)


def open_circuit(data_dir: Path, url: str, name: str) -> Circuit:
    """The breaker of an endpoint and model, beside its profile."""
    kept = place_profile(data_dir, url, name)
    return Circuit(kept.parent / "circuits" / kept.name)
