"""How many investigations an endpoint holds at once: as many as its server bears, the gravest first, all in the end.

The server's own numbers decide where it tells them: the limit grows while the cache has room and nobody waits, stands
while requests queue, and is halved when the server had to throw a request out. Where it tells none, the profile does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.stopping import Stop

MOST_UNPROVEN = 16
"""At most so many where only the server's numbers bound it (a guess: more cases at once are an outage)."""
LOOK_SECONDS = 0.5
"""How often the server's numbers are read while somebody waits (a guess: vLLM counts anew at each step)."""
WAIT_SECONDS = 0.1
CALM_SECONDS = 5.0
"""No growth for so long after a preemption (a guess: the thrown out request is computed anew meanwhile)."""
ROOMY_SHARE, FULL_SHARE = 0.7, 0.9
"""Of the KV cache: grow below the first (a guess), shrink above the second, where llm-d's guide expects preemption."""
AGING_SECONDS = 30.0
"""So long a wait counts as one rank of severity (a guess): the least grave waits 90 s longer than the gravest."""
TOO_LATE = "not asked: its turn did not come in time, others were being looked at"


class NotAdmittedError(Exception):
    """The wait ended without a turn; the words say why."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a server says of itself; None where it says nothing of the kind."""

    running: float = 0.0
    waiting: float = 0.0
    cache_share: float | None = None
    preemptions: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint's admission stands: the limit, who is inside, who waits, and what the server said last."""

    limit: int
    inside: int
    waiting: int
    load: Load | None
    preemptions: int


@dataclass(eq=False, slots=True)
class _Ticket:
    rank: int
    number: int
    since: float

    def weigh(self, now: float) -> tuple[float, int]:
        return self.rank + (now - self.since) / AGING_SECONDS, -self.number


class Admission:
    """The door before one endpoint, shared by all threads of a process.

    Args:
        most: Never more at once than this.
        proven: So many from the start, and where the server tells no numbers.
        read_load: Reads the server's numbers; None where there are none.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        proven: int,
        read_load: Callable[[], Load | None] | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = most
        self._proven = min(proven, most)
        self._read_load = read_load
        self._clock = clock
        self._changed = threading.Condition()
        self._looking = threading.Lock()
        self._line: list[_Ticket] = []
        self._inside = self._count = self._preempted = 0
        self._limit = self._proven
        self._load: Load | None = None
        self._looked_at = self._calm_until = float("-inf")
        self._is_new = True  # doubled at each look until the server first says enough, then one more at a time

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        with self._changed:
            return Standing(self._limit, self._inside, len(self._line), self._load, self._preempted)

    @contextmanager
    def enter(self, rank: int, *, stop: Stop, seconds: float) -> Iterator[None]:
        """Wait for a turn, and have it for as long as the block lasts.

        Args:
            rank: Of the severity; the higher goes first.
            stop: Ends the wait.
            seconds: Longest wait.

        Raises:
            NotAdmittedError: It was stopped, or its turn did not come in time.
        """
        with self._changed:
            self._count += 1
            ticket = _Ticket(rank, self._count, self._clock())
            self._line.append(ticket)
        with stop.watch(self._wake):
            try:
                self._wait(ticket, stop, ticket.since + seconds)
            finally:
                with self._changed:
                    if ticket in self._line:
                        self._line.remove(ticket)
                    self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def _wait(self, ticket: _Ticket, stop: Stop, deadline: float) -> None:
        while True:
            self._look()
            with self._changed:
                if stop.why:
                    raise NotAdmittedError(stop.why)
                now = self._clock()
                if self._inside < self._limit and ticket is max(self._line, key=lambda one: one.weigh(now)):
                    self._inside += 1
                    self._line.remove(ticket)
                    return
                if now >= deadline:
                    raise NotAdmittedError(TOO_LATE)
                self._changed.wait(min(WAIT_SECONDS, deadline - now))

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _look(self) -> None:
        """Read the server's numbers, one thread at a time and not too often, and move the limit."""
        if self._read_load is None or not self._looking.acquire(blocking=False):
            return
        try:
            if self._clock() - self._looked_at < LOOK_SECONDS:
                return
            load = self._read_load()
            with self._changed:
                self._looked_at = self._clock()
                self._heed(load)
                self._changed.notify_all()
        finally:
            self._looking.release()

    def _heed(self, load: Load | None) -> None:
        before, self._load = self._load, load
        if load is None:
            self._limit = min(self._limit, self._proven)
            return
        # A counter that went down is a server that was started anew.
        if before is not None and load.preemptions > before.preemptions:
            self._preempted += 1
            self._shrink(self._limit // 2)
            return
        share = load.cache_share or 0.0
        if share >= FULL_SHARE:
            self._shrink(self._limit - 1)
        elif load.waiting > 0 or share >= ROOMY_SHARE:
            self._is_new = False
        elif self._clock() >= self._calm_until and len(self._line) + self._inside > self._limit:
            wanted = self._limit * 2 if self._is_new else self._limit + 1
            self._limit = max(self._limit, min(wanted, self.most, self._project(load, share)))

    def _project(self, load: Load, share: float) -> int:
        """How many of ours fit if the next ones take as much of the cache as those that run now."""
        if load.running <= 0:
            # Between two questions the cache is empty, which says nothing of what they take.
            return self._limit if self._inside else self.most
        if share <= 0:
            return self.most
        others = max(round(load.running) - self._inside, 0)
        return int(FULL_SHARE * load.running / share) - others

    def _shrink(self, limit: int) -> None:
        self._limit = max(limit, 1)
        self._is_new = False
        self._calm_until = self._clock() + CALM_SECONDS


class Doors:
    """The doors of one process, one before each endpoint."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doors: dict[tuple[str, str], Admission] = {}

    def open(self, url: str, name: str, build: Callable[[], Admission]) -> Admission:
        """The door of an endpoint; made at its first use."""
        with self._lock:
            if (url, name) not in self._doors:
                self._doors[url, name] = build()
            return self._doors[url, name]

    def list_standings(self) -> list[tuple[str, str, Standing]]:
        """How every door stands, by URL and name."""
        with self._lock:
            doors = list(self._doors.items())
        return [(url, name, door.standing) for (url, name), door in doors]


def build_admission(
    in_flight: int | None, concurrency: int | None, read_load: Callable[[], Load | None] | None
) -> Admission:
    """Build the door of an endpoint.

    Args:
        in_flight: What the site allows.
        concurrency: What its preflight found of use.
        read_load: Reads the server's numbers; None where it tells none, and then what is known bounds it, else one.
    """
    known = min((bound for bound in (in_flight, concurrency) if bound is not None), default=None)
    if read_load is None:
        return Admission(known or 1, known or 1, None)
    return Admission(known or MOST_UNPROVEN, 1, read_load)
