"""Connections that another thread can cut: a model server stops computing when whoever asked is gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import httpx2

OPENED = frozenset({"connection.connect_tcp.complete", "connection.start_tls.complete"})


class Connections:
    """The open connections of one HTTP client, told by its own trace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: WeakSet[Any] = WeakSet()
        self._is_cut = False

    def follow(self, request: httpx2.Request) -> None:
        """Have a request tell which connection is opened for it; an event hook of the client."""
        request.extensions["trace"] = self._hear

    def cut(self) -> None:
        """Shut every connection, and those that are opened later: whoever reads from one is woken with an error."""
        with self._lock:
            self._is_cut = True
            streams = list(self._streams)
        for stream in streams:
            _shut(stream)

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Shut the connections that are open after so many seconds, if it still goes on then."""
        timer = threading.Timer(seconds, self._shut_open)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _shut_open(self) -> None:
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            _shut(stream)

    def _hear(self, name: str, told: Mapping[str, Any]) -> None:
        if name not in OPENED:
            return
        stream = told["return_value"]
        with self._lock:
            self._streams.add(stream)
            is_cut = self._is_cut
        if is_cut:
            _shut(stream)


def _shut(stream: Any) -> None:  # noqa: ANN401 (a stream of httpcore, which has no public type)
    line = stream.get_extra_info("socket")
    if line is not None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
