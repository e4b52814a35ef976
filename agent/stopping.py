"""A word to everybody who works for one caller: nobody waits for it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """Said once, heard by all: what still waits gives up, and what runs is cut off by its own callback."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._why = ""

    @property
    def why(self) -> str:
        """Why nobody waits any more; empty while somebody does."""
        return self._why

    def say(self, why: str) -> None:
        """Stop everything; only the first reason counts."""
        with self._lock:
            if self._why:
                return
            self._why = why
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    @contextmanager
    def watch(self, call: Callable[[], None]) -> Iterator[None]:
        """Have something called when it is said, at once where it has been said already."""
        with self._lock:
            said = bool(self._why)
            if not said:
                self._calls.append(call)
        if said:
            call()
        try:
            yield
        finally:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)
