"""What this process reaches out for while it is watched: connections and programs, by the interpreter's own audit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_open: list[list[str]] = []
EVENTS = {"socket.connect": "connects to", "subprocess.Popen": "starts", "socket.sendto": "sends to"}


@contextmanager
def watch_reach() -> Iterator[list[str]]:
    """Note every connection and every program until the context closes, as ``connects to 127.0.0.1:8000``."""
    _install()
    seen: list[str] = []
    _open.append(seen)
    try:
        yield seen
    finally:
        _open.remove(seen)


@cache
def _install() -> None:
    # A hook cannot be taken away again: it stays, and notes nothing while nobody watches.
    sys.addaudithook(_note)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if not _open or event not in EVENTS:
        return
    target = arguments[0] if event == "subprocess.Popen" else arguments[1]
    spelled = f"{target[0]}:{target[1]}" if isinstance(target, tuple) else str(target)
    for seen in _open:
        seen.append(f"{EVENTS[event]} {spelled}")
