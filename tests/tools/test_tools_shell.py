"""tools/shell.py: real programs, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.errors import ToolFailed, ToolMissing, ToolTimeout
from tools.shell import Listener, expect_success, run_command


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_exit_code_and_time_are_kept_apart():
    result = run_command(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"),
        timeout_seconds=10,
        max_bytes=1000,
    )
    assert (result.stdout, result.stderr, result.exit_code, result.truncated) == ("out\n", "err\n", 3, False)
    assert 0 < result.seconds < 10


def test_arguments_are_never_seen_by_a_shell(tmp_path: Path):
    mark = tmp_path / "made"
    result = run_command(["echo", f"; touch {mark} $(touch {mark})"], timeout_seconds=10, max_bytes=1000)
    assert result.stdout == f"; touch {mark} $(touch {mark})\n"
    assert not mark.exists()


def test_standard_input_is_closed_and_the_locale_is_plain():
    code = "import os, sys; print(repr(sys.stdin.read()), os.environ['LC_ALL'])"
    assert run_command(python(code), timeout_seconds=10, max_bytes=1000).stdout == "'' C\n"


def test_the_output_cap_kills_and_marks():
    started = time.monotonic()
    result = run_command(["yes"], timeout_seconds=20, max_bytes=10_000)
    assert result.truncated
    assert len(result.stdout) == 10_000
    assert time.monotonic() - started < 5


def test_a_time_out_kills_the_whole_group(tmp_path: Path):
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen(['sleep', '600']); open({str(pid_file)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    with pytest.raises(ToolTimeout) as caught:
        run_command(python(code), timeout_seconds=1.0, max_bytes=1000)
    assert "1 s" in caught.value.message
    assert _is_gone(int(pid_file.read_text()))


def test_the_last_words_are_heard_even_when_the_program_ends_between_two_looks(monkeypatch):
    ended = subprocess.Popen.poll

    def poll_late(process):
        time.sleep(0.6)  # as a busy machine does between the look at the pipes and the one at the program
        return ended(process)

    monkeypatch.setattr(subprocess.Popen, "poll", poll_late)
    result = run_command(["sh", "-c", "sleep 0.3; echo said"], timeout_seconds=20)
    assert (result.stdout, result.exit_code) == ("said\n", 0)


def test_a_daemon_that_holds_the_pipe_does_not_hold_us():
    code = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True)"
    started = time.monotonic()
    result = run_command(python(code), timeout_seconds=20, max_bytes=1000)
    assert result.exit_code == 0
    assert time.monotonic() - started < 5
    assert _is_gone(int(result.stdout))


def test_a_missing_program_names_its_package(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as caught:
        run_command(["iostat", "-x"], timeout_seconds=1, max_bytes=10)
    assert "sysstat" in caught.value.fix


def test_a_program_that_cannot_be_executed_is_a_failure(tmp_path: Path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELFnonsense")
    broken.chmod(0o755)
    with pytest.raises(ToolFailed):
        run_command([str(broken)], timeout_seconds=1, max_bytes=10)


def test_broken_bytes_are_replaced():
    code = "import sys; sys.stdout.buffer.write(b'a\\xff\\xfeb')"
    assert run_command(python(code), timeout_seconds=10, max_bytes=100).stdout == "a\ufffd\ufffdb"


def test_success_is_asked_for_apart():
    good = run_command(["true"], timeout_seconds=5, max_bytes=10)
    assert expect_success(good) is good
    bad = run_command(python("import sys; sys.exit('no such disk')"), timeout_seconds=10, max_bytes=1000)
    with pytest.raises(ToolFailed, match="no such disk"):
        expect_success(bad)


def _is_gone(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


# ---- a program that is listened to ----


def test_lines_are_taken_as_they_come_and_half_a_line_waits_for_its_end():
    script = "echo one; echo two; printf thr; sleep 0.3; echo ee; exec sleep 60"
    with Listener(["sh", "-c", script]) as listener:
        lines: list[bytes] = []
        deadline = time.monotonic() + 10
        while len(lines) < 3:
            assert time.monotonic() < deadline
            lines += listener.read(1.0) or []
        assert lines == [b"one", b"two", b"three"]
        assert listener.read(0.05) is None
        assert not listener.has_ended
    assert listener.stop() == -signal.SIGKILL


def test_the_end_of_a_program_is_told():
    with Listener(["sh", "-c", "echo last"]) as listener:
        lines: list[bytes] = []
        while not listener.has_ended:
            lines += listener.read(10.0) or []
    assert lines == [b"last"]


def test_a_program_that_cannot_be_listened_to_says_what_to_look_at():
    with pytest.raises(ToolFailed, match="could not be started"):
        Listener(["/nowhere/at/all"])
