"""Processes of a server: sessions that end whole, numbers that were given anew, steps that are heard."""

from __future__ import annotations

import os
import sys
import time

import pytest

from serve import vllm
from serve.vllm import (
    Child,
    ProcessMark,
    has_session,
    is_running,
    list_session,
    read_start,
    run_step,
    stop_session,
    wait_for_end,
)
from tools.errors import ToolFailed

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE); "
    "p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(vllm, "LEFT_SECONDS", 0.3)


def wait_for(holds, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


def start_parent(tmp_path) -> tuple[Child, int]:
    log = tmp_path / "child.log"
    child = Child([sys.executable, "-c", PARENT, STUBBORN], {}, log)
    wait_for(lambda: log.exists() and log.read_text().endswith("\n"))
    return child, int(log.read_text())


def test_a_session_ends_whole_though_one_of_it_is_deaf(tmp_path):
    child, grandchild = start_parent(tmp_path)
    assert set(list_session(child.mark.pid)) == {child.mark.pid, grandchild}
    began = time.monotonic()
    assert child.stop(grace_seconds=0.3)
    assert time.monotonic() - began < 5.0
    assert read_start(grandchild) is None
    assert child.exit_code == -15
    assert not has_session(child.mark)


def test_what_a_killed_leader_left_is_found_and_ended(tmp_path):
    child, grandchild = start_parent(tmp_path)
    os.kill(child.mark.pid, 9)
    wait_for(lambda: child.exit_code == -9)
    assert not is_running(child.mark)
    assert has_session(child.mark), "the grandchild holds the session"
    assert stop_session(child.mark, 0.2)
    assert read_start(grandchild) is None


def test_a_number_that_another_process_has_now_is_left_alone(tmp_path):
    child, _ = start_parent(tmp_path)
    earlier = ProcessMark(child.mark.pid, child.mark.started - 5)
    assert not is_running(earlier)
    assert not has_session(earlier)
    assert stop_session(earlier, 0.1), "there is nothing of it"
    assert is_running(child.mark)
    assert not wait_for_end(child.mark, 0.1)
    child.stop(0.1)


def test_output_is_appended_and_variables_arrive(tmp_path):
    log = tmp_path / "deep" / "child.log"
    for number in "12":
        child = Child([sys.executable, "-c", "import os; print(os.environ['N'])"], {"N": number}, log)
        wait_for(lambda child=child: child.exit_code == 0)
    assert log.read_text() == "1\n2\n"


def test_what_cannot_be_started_is_told(tmp_path):
    with pytest.raises(ToolFailed, match="could not be started"):
        Child([str(tmp_path / "nothing")], {}, tmp_path / "log")
    with pytest.raises(ToolFailed, match="could not be started"):
        run_step([str(tmp_path / "nothing")], hear=print)


def test_a_step_is_heard_line_by_line_and_its_last_words_kept():
    heard: list[str] = []
    script = "import sys; [print(n) for n in range(30)]; print('why', file=sys.stderr); sys.exit(3)"
    code, last = run_step([sys.executable, "-c", script], hear=heard.append)
    assert code == 3
    assert len(heard) == 31
    assert len(last) == 20
    assert "why" in last


def test_a_step_that_is_broken_off_leaves_nothing(tmp_path):
    seen = tmp_path / "pid"

    def interrupt(line: str) -> None:
        seen.write_text(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step([sys.executable, "-c", PARENT, STUBBORN], hear=interrupt)
    pid = int(seen.read_text())
    wait_for(lambda: read_start(pid) is None)
