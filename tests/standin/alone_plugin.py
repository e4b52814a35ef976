"""Tests marked `alone` run while no other test runs, whatever the number of workers.

Two locks of files make one for readers and writers: every test passes the door and holds the room shared; a test that
must be alone keeps the door shut while it waits for the room to empty, so that it is not put off for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = "DAYTWO_TEST_LOCKS"


def pytest_configure(config: pytest.Config) -> None:
    """Name one folder of locks for this run; its workers inherit it."""
    if FOLDER not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="daytwo-locks-")
        os.environ[FOLDER] = folder.name
        config.add_cleanup(lambda: _forget(folder))


def _forget(folder: tempfile.TemporaryDirectory[str]) -> None:
    os.environ.pop(FOLDER, None)
    folder.cleanup()


@contextlib.contextmanager
def hold(name: str, how: int) -> Iterator[None]:
    """Hold a lock; it is let go by name, for a child that a test left behind holds a copy of the file."""
    with (Path(os.environ[FOLDER]) / name).open("w", encoding="ascii") as file:
        fcntl.flock(file, how)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold the room for one test, from its fixtures to its end; waiting counts for no timeout."""
    how = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with contextlib.ExitStack() as inside:
        with hold("door", fcntl.LOCK_EX):
            inside.enter_context(hold("room", how))
        return (yield)
