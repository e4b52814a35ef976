"""`daytwo follow` as a process: what is new is told once, every event is kept exactly once, whatever kills it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.follow import Followed, Step
from agent.policy import SitePolicy
from agent.store import open_store
from agent.watch import Watch
from serve.follow import Wish, run_follow
from serve.triage import run_triage
from serve.types import Request
from tools.errors import OperatorError
from tools.host_follow import LogTail
from tools.host_follow_file import FileFollower
from tools.host_paths import HostPaths
from tools.host_xids import XidListener
from tools.inject import KERNEL_RING, choose_place, find_injection, write_ring

DAYTWO = (str(Path(sys.executable).with_name("daytwo")),)
WAIT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("DAYTWO_NODE", "n-1")
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(tmp_path / "data"))


def start(*words: str, out: Path) -> subprocess.Popen[bytes]:
    with out.open("ab") as stream:
        return subprocess.Popen([*DAYTWO, "follow", *words], stdout=stream, stderr=subprocess.DEVNULL)


def follow(log: Path, *, as_json: bool = False, store: bool = True) -> int:
    """Follow until what is there now was read."""
    return run_follow(Wish(str(log), "0s", as_json=as_json, store=store))


QUIET = "2026-11-20T10:00:00+00:00 n-1 kernel: usb 1-1: new device\n"


def line(number: int, *, code: int = 79) -> str:
    """One Xid on a GPU of its own: the entity is the key that is counted."""
    pci = f"{number // 256:04x}:{number % 256:02x}:00"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return f"{stamp} n-1 kernel: NVRM: Xid (PCI:{pci}): {code}, pid=1, name=x, GPU has fallen off the bus.\n"


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(text)


def count_events(tmp_path: Path, code: str = "xid:79") -> Counter[str]:
    with closing(sqlite3.connect(tmp_path / "data/daytwo.db", timeout=30)) as database:
        rows = database.execute("SELECT entity, count FROM events WHERE code = ?", (code,)).fetchall()
    counts: Counter[str] = Counter()
    for entity, count in rows:
        counts[entity] += count
    return counts


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except sqlite3.Error:
            pass  # the store is not made yet
        time.sleep(0.05)
    pytest.fail(f"not within {WAIT_SECONDS:g} s: {what}")


def read_reports(out: Path) -> list[dict]:
    return [json.loads(text) for text in out.read_text(encoding="utf-8").splitlines()]


def test_silent_while_healthy_then_what_is_new_and_only_that(tmp_path):
    log, out = tmp_path / "kern.log", tmp_path / "out"
    append(log, QUIET)
    process = start(str(log), "--json", out=out)
    wait_for(lambda: count_positions(tmp_path) == 1, "the first reading")
    assert out.read_bytes() == b""
    append(log, line(0x5D))
    wait_for(lambda: len(read_reports(out)) == 1, "the first case")
    append(log, QUIET + line(0x5E, code=94))
    wait_for(lambda: len(read_reports(out)) == 2, "the second case")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=WAIT_SECONDS) == 1
    first, second = read_reports(out)
    assert first["schema"] == "daytwo.triage/1"
    assert [(v["fault"], v["subject"]["entity"]) for v in first["verdicts"]] == [
        ("gpu_off_bus", "gpu:n-1/0000:5d:00.0")
    ]
    assert [v["subject"]["entity"] for v in second["verdicts"]] == ["gpu:n-1/0000:5e:00.0"]
    assert first["coverage"][0]["status"] == "read"


def test_started_again_it_goes_on_and_says_nothing_twice(tmp_path, capsys):
    log = tmp_path / "kern.log"
    append(log, QUIET + line(0x5D))
    assert follow(log) == 1
    assert "gpu_off_bus" in capsys.readouterr().out
    assert follow(log) == 0
    told = capsys.readouterr()
    assert (told.out, "from where the last reading stopped" in told.err) == ("", True)
    append(log, line(0x5D))
    assert follow(log) == 0  # the same case again: nothing about it has changed
    assert count_events(tmp_path) == {"gpu:n-1/0000:5d:00.0": 2}


def test_ctrl_c_ends_it_cleanly(tmp_path):
    log, out = tmp_path / "kern.log", tmp_path / "out"
    append(log, QUIET)
    process = start(str(log), out=out)
    wait_for(lambda: count_positions(tmp_path) == 1, "the first reading")
    append(log, QUIET)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=WAIT_SECONDS) == 0
    assert out.read_bytes() == b""
    # The place behind the quiet lines was kept too.
    store = open_store(tmp_path / "data")
    assert json.loads(store.find_followed(f"n-1 {log}").position)["line"] == 2
    store.close()


def rotate(log: Path, number: int, *, copied: bool) -> None:
    old = log.with_name(f"kern.log.{number}")
    if copied:
        shutil.copy2(log, old)
        os.truncate(log, 0)
    else:
        log.rename(old)
        log.touch()


@pytest.mark.slow
def test_killed_again_and_again_over_rotations_every_event_is_kept_exactly_once(tmp_path):
    log, out = tmp_path / "kern.log", tmp_path / "out"
    chance = random.Random(20261124)
    log.touch()
    process = start(str(log), "--json", out=out)
    wait_for(lambda: (tmp_path / "data/daytwo.db").exists(), "the store")
    total = 0
    for turn in range(3):
        for _ in range(8):
            append(log, "".join(line(total + n) for n in range(6)))
            total += 6
            time.sleep(chance.uniform(0.02, 0.12))
        # Some are killed while they work, one early, before it can have read anything of this turn.
        if turn != 1:
            wait_for(lambda seen=total: len(count_events(tmp_path)) >= seen - 20, "progress")
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=WAIT_SECONDS)
        append(log, line(total))  # while nobody looks
        total += 1
        if turn != 1:
            rotate(log, turn, copied=turn == 2)
        process = start(str(log), "--json", out=out)
    wait_for(lambda: len(count_events(tmp_path)) == total, f"{total} events")
    time.sleep(0.6)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=WAIT_SECONDS) == 1
    counts = count_events(tmp_path)
    assert (len(counts), set(counts.values())) == (total, {1})
    # Each case was told: what was kept and not told when it was killed is told at the next start.
    verdicts = [verdict for report in read_reports(out) for verdict in report["verdicts"]]
    told = {verdict["subject"]["entity"] for verdict in verdicts}
    assert told | {row["entity"] for verdict in verdicts for row in verdict["affected"]} == set(counts)


def test_a_triage_counts_nothing_that_was_followed_again(tmp_path):
    log = tmp_path / "kern.log"
    append(log, line(1) + line(2))
    assert follow(log) == 1
    append(log, line(3))
    assert follow(log) == 1
    assert run_triage(Request((log,)), as_json=True) == 1
    assert sorted(count_events(tmp_path).values()) == [1, 1, 1]


def test_a_follower_counts_nothing_again_that_a_triage_read(tmp_path):
    log = tmp_path / "kern.log"
    append(log, line(1) + line(2))
    assert run_triage(Request((log,)), as_json=True) == 1
    append(log, line(3))
    assert follow(log) == 1
    assert sorted(count_events(tmp_path).values()) == [1, 1, 1]


def test_two_followers_of_one_log_do_not_count_twice(tmp_path):
    store = open_store(tmp_path / "data")
    one = store.find_followed("n-1 log")
    assert one == Followed("n-1 log")
    store.add_step(Step(one, "a"))
    with pytest.raises(OperatorError, match="Another daytwo follows"):
        store.add_step(Step(one, "b"))
    two = store.find_followed("n-1 log")
    store.add_step(Step(two, "b"))
    with pytest.raises(OperatorError, match="Another daytwo follows"):
        store.add_step(Step(two, "c"))
    assert store.find_followed("n-1 log").position == "b"
    store.close()


def test_lost_lines_are_told_as_unknown(tmp_path, capsys):
    log = tmp_path / "kern.log"
    append(log, QUIET)
    assert follow(log) == 0
    log.unlink()
    append(log, "2026-11-21T10:00:00+00:00 n-1 kernel: usb 1-2: new device\n")
    capsys.readouterr()
    assert follow(log, as_json=True) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["verdicts"][0]["fault"] == "unknown"
    assert report["coverage"][0]["status"] == "partial"
    assert "is lost" in report["coverage"][0]["reason"]


def test_without_a_store_nothing_is_kept(tmp_path, capsys):
    log = tmp_path / "kern.log"
    append(log, line(1))
    assert [follow(log, store=False) for _ in range(2)] == [1, 1]
    assert capsys.readouterr().out.count("CRITICAL  gpu_off_bus") == 2
    assert not (tmp_path / "data").exists()


def test_a_fault_that_is_over_is_said_to_be_over(tmp_path, capsys):
    log = tmp_path / "kern.log"
    server = "n-1 kernel: nfs: server 10.0.0.9 "
    append(log, f"2026-11-20T10:00:00+00:00 {server}not responding, still trying\n")
    assert follow(log, as_json=True) == 1
    append(log, f"2026-11-20T10:04:00+00:00 {server}OK\n")
    assert follow(log, as_json=True) == 0
    assert follow(log, as_json=True) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["verdicts"][0]["severity"] in ("warning", "critical")
    assert second["verdicts"][0]["severity"] in ("ok", "info")


def test_what_cannot_be_followed_says_what_to_type(tmp_path):
    told = subprocess.run([*DAYTWO, "follow", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "does not exist" in told.stderr
    assert "Next:" in told.stderr
    with pytest.raises(OperatorError, match="no span"):
        run_follow(Wish(seconds="soon"))


@pytest.mark.alone
@pytest.mark.skipif(not os.access(KERNEL_RING, os.W_OK), reason="no right to write /dev/kmsg")
def test_the_real_ring_buffer_is_followed(tmp_path):
    out = tmp_path / "out"
    process = start(str(KERNEL_RING), "--json", out=out)
    wait_for(lambda: count_positions(tmp_path) == 1, "the first reading")
    # Marked, so that whoever else watches this machine knows it for a test.
    injection = find_injection("gpu_off_bus", ("kernel",))
    known = sum(count_events(tmp_path, "test:injected").values())  # of another test run
    written = write_ring(injection, choose_place("n-1", "0", paths=HostPaths()), now=datetime.now(UTC), marked=True)
    wait_for(lambda: sum(count_events(tmp_path, "test:injected").values()) >= known + written, "the injected lines")
    before = count_events(tmp_path, "test:injected")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=WAIT_SECONDS)
    process = start(str(KERNEL_RING), "--json", "--for", "1s", out=out)
    assert process.wait(timeout=WAIT_SECONDS) in (0, 1)
    assert count_events(tmp_path, "test:injected") == before
    assert sum(before.values()) == known + written


def count_positions(tmp_path: Path) -> int:
    with closing(sqlite3.connect(tmp_path / "data/daytwo.db", timeout=30)) as database:
        return database.execute("SELECT count(*) FROM positions").fetchone()[0]


def test_an_xid_that_only_the_driver_tells_is_told_and_one_that_the_log_tells_too_is_counted_once(
    tmp_path, nvml_standin
):
    events = tmp_path / "xids"
    events.touch()
    nvml_standin({"gpu_count": 2, "events_file": str(events)})
    log = tmp_path / "kern.log"
    log.touch()
    told: list = []
    watch, follower = build_watch(log, tmp_path, told, xids=XidListener("n-1"))
    watch.take(follower.read())
    wait_for(lambda: watch.xids.take() == () and bool(watch.xids.coverage), "the child")
    time.sleep(0.5)  # all GPUs are registered
    append(events, "1 79\n")
    append(log, line(0x18))  # GPU 0, which the driver tells of too
    append(events, "0 79\n")
    wait_for(lambda: watch.xids.take() == () and len(watch.xids._held) == 2, "both events")
    watch.take(follower.read())
    assert count_events(tmp_path) == {"gpu:n-1/0000:18:00.0": 1}
    watch.take(follower.read(), is_last=True)
    assert count_events(tmp_path) == {"gpu:n-1/0000:18:00.0": 1, "gpu:n-1/1": 1}
    watch.xids.close()
    quotes = [row.quote for report in told for verdict in report.verdicts for row in verdict.evidence]
    assert any("nvmlEventSetWait(0000:2a:00.0) = Xid 79" in quote for quote in quotes)


def test_what_was_kept_and_not_told_is_told_at_the_next_start(tmp_path):
    log = tmp_path / "kern.log"
    append(log, line(0x18))
    told: list = []
    watch, follower = build_watch(log, tmp_path, told, xids=None)

    def die(report) -> None:
        raise KeyboardInterrupt

    watch.tell = die
    with pytest.raises(KeyboardInterrupt):
        watch.take(follower.read())
    assert count_events(tmp_path) == {"gpu:n-1/0000:18:00.0": 1}
    again, _ = build_watch(log, tmp_path, told, xids=None)
    follower = FileFollower(log, again.store.find_followed(again.source).position)
    again.tail.take(follower.read_context())
    again.take(follower.read())
    assert [verdict.fault for report in told for verdict in report.verdicts] == ["gpu_off_bus"]
    assert count_events(tmp_path) == {"gpu:n-1/0000:18:00.0": 1}
    again.take(follower.read())
    assert len(told) == 1


def build_watch(log: Path, tmp_path: Path, told: list, *, xids: XidListener | None) -> tuple[Watch, FileFollower]:
    watch = Watch(
        node="n-1",
        tail=LogTail(str(log), "n-1", None),
        site=SitePolicy(scheduler="slurm"),
        store=open_store(tmp_path / "data"),
        source=f"n-1 {log}",
        boot=None,
        tell=told.append,
        xids=xids,
    )
    return watch, FileFollower(log, "")
