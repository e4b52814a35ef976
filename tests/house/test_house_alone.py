"""The lock that lets a test run alone: shared by all, shut for one."""

from __future__ import annotations

import fcntl
import multiprocessing
import time

from alone_plugin import FOLDER, hold


def note_when(name: str, how: int, seconds: float, started, told) -> None:
    with hold("door", fcntl.LOCK_EX):
        room = hold(name, how)
        room.__enter__()
    started.set()
    begun = time.monotonic()
    time.sleep(seconds)
    told.put((begun, time.monotonic()))
    room.__exit__(None, None, None)


def test_one_that_must_be_alone_waits_for_the_others_and_keeps_them_out(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    fork = multiprocessing.get_context("fork")
    told, spans = fork.Queue(), {}
    for who, how in (
        ("first", fcntl.LOCK_SH),
        ("second", fcntl.LOCK_SH),
        ("alone", fcntl.LOCK_EX),
        ("last", fcntl.LOCK_SH),
    ):
        started = fork.Event()
        worker = fork.Process(target=note_when, args=("room", how, 0.3, started, told))
        worker.start()
        spans[who] = worker
        # The third and the fourth wait; the others are in before the next one comes.
        assert started.wait(5) if who in ("first", "second") else not started.wait(0.05)
    times = sorted(told.get(timeout=5) for _ in spans)
    for worker in spans.values():
        worker.join(5)
    first, second, alone, last = times
    assert second[0] < first[1], "two share the room"
    assert alone[0] >= max(first[1], second[1]), "the one waits until it is empty"
    assert last[0] >= alone[1], "and who comes later waits for the one"
