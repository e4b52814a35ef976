"""tools/host_xids.py: Xids from the driver, through the real binding on the stand-in, in a real child process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tools.host_xids import HELD_SECONDS, RETRY_SECONDS, SILENT_SECONDS, XidListener
from tools.nvml_reader import START_SECONDS
from tools.shell import Listener
from tools.types import Entity, Event, Moment, Quote


class Clock:
    """Seconds that go forward when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def hear(listener: XidListener, condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert listener.take() == ()
        time.sleep(0.02)


@pytest.fixture
def driver(nvml_standin, tmp_path: Path):
    """A listener on two GPUs, and the file of what happens to them."""
    events = tmp_path / "events"
    events.write_text("0 13\n")  # long ago
    nvml_standin({"gpu_count": 2, "events_file": str(events)})
    clock = Clock()
    listener = XidListener("n-1", clock=clock)
    hear(listener, lambda: len(listener._gpus) == 2)
    time.sleep(0.3)
    yield listener, events, clock
    listener.close()


def tell(events: Path, *lines: str) -> None:
    with events.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def log_line(pci: str, xid: int) -> Event:
    entity = Entity("gpu", "n-1", pci).with_ids(pci=pci)
    return Event(Moment("utc", 1.0), entity, f"xid:{xid}", Quote("/dev/kmsg", 7, f"NVRM: Xid (PCI:{pci}): {xid}"))


def test_what_only_the_driver_tells_becomes_an_event_after_a_moment(driver):
    listener, events, clock = driver
    tell(events, "1 48")
    hear(listener, lambda: bool(listener._held))
    clock.now += HELD_SECONDS
    (event,) = listener.take()
    assert (event.code, str(event.entity), event.writer) == ("xid:48", "gpu:n-1/1", "kernel")
    assert event.entity.id_map["pci"] == "0000:2a:00.0"
    assert event.quote.text == "nvmlEventSetWait(0000:2a:00.0) = Xid 48"
    assert listener.take() == ()
    assert [(row.domain, row.status) for row in listener.coverage] == [("gpu", "read")]


@pytest.mark.parametrize("first", ["log", "driver"])
def test_what_the_log_tells_too_is_left_to_it(driver, first):
    listener, events, clock = driver
    line = log_line("0000:2a:00.0", 48)
    if first == "log":
        assert listener.take([line]) == ()
    tell(events, "1 48", "0 48")
    hear(listener, lambda: bool(listener._held))
    if first == "driver":
        assert listener.take([line]) == ()
    hear(listener, lambda: [str(event.entity) for _, event in listener._held] == ["gpu:n-1/0"])
    clock.now += HELD_SECONDS
    assert [str(event.entity) for event in listener.take()] == ["gpu:n-1/0"]


def test_one_line_of_the_log_stands_for_one_xid_only(driver):
    listener, events, _ = driver
    tell(events, "1 31", "1 31")
    hear(listener, lambda: len(listener._held) == 2)
    assert listener.take([log_line("0000:2a:00.0", 31)]) == ()
    assert len(listener.flush()) == 1


def test_without_a_driver_nothing_is_heard_and_nothing_is_asked_for_a_while(nvml_standin):
    nvml_standin({"init_error": "DRIVER_NOT_LOADED"})
    clock, started = Clock(), []

    def start() -> Listener:
        from tools.nvml_reader import start_child

        started.append(clock.now)
        return start_child(["events"])

    listener = XidListener("n-1", clock=clock, start=start)
    hear(listener, lambda: bool(listener.trouble) and listener.descriptor is None)
    assert listener.trouble.startswith("driver_not_loaded")
    assert listener.coverage == ()  # a machine without GPUs lacks nothing
    listener.take()
    assert len(started) == 1
    clock.now += RETRY_SECONDS + 1
    listener.take()
    assert len(started) == 2
    listener.close()


def test_a_driver_that_hangs_is_left_and_said(nvml_standin, tmp_path):
    nvml_standin({"gpu_count": 2, "gpus": {"1": {"hang": "nvmlDeviceRegisterEvents"}}})
    clock = Clock()
    listener = XidListener("n-1", clock=clock)
    hear(listener, lambda: len(listener._gpus) == 2)
    clock.now += START_SECONDS + SILENT_SECONDS
    listener.take()
    assert listener.descriptor is None
    (row,) = listener.coverage
    assert row.status == "partial"
    assert "no word from the driver" in row.reason


def test_a_child_whose_reader_is_gone_ends_by_itself(driver):
    listener, _, _ = driver
    child = listener._child
    pid = child._process.pid
    os.close(os.dup(child.descriptor))
    child._stream.close()  # as if this process had been killed
    deadline = time.monotonic() + 10
    while child._process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}/exe").exists()
