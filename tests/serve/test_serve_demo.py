"""The demo shows what it says, without colour off a terminal and with colour on one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

DAYTWO = str(Path(sys.executable).parent / "daytwo")


def test_three_acts(tmp_path):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DAYTWO_")}
    result = subprocess.run(
        [DAYTWO, "demo"],
        env={**clean, "DAYTWO_DATA_DIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for act in ("Act 1: this machine, live", "Act 2: a bad night", "Act 3: the model in the seat"):
        assert act in result.stdout
    assert result.stdout.count("Shown: ") == 3
    assert "thrown out" in result.stdout.split("Act 3")[1]
    assert "tool" in result.stdout.split("What the model did")[1]
    assert result.stdout.rstrip().splitlines()[-3].strip().startswith("$ daytwo triage --host")
    assert "\x1b" not in result.stdout


def read_terminal(words: list[str], environment: dict[str, str]) -> str:
    """Run a command on a terminal of its own and return what it drew."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    drawn = b""
    try:
        while piece := os.read(ours, 65536):
            drawn += piece
    except OSError:
        pass  # Linux tells the end of a terminal so
    finally:
        os.close(ours)
        process.wait(timeout=30)
    return drawn.decode()


def test_colours_only_on_a_terminal_and_not_when_unwanted(tmp_path):
    environment = {**os.environ, "DAYTWO_DATA_DIR": str(tmp_path), "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    coloured = read_terminal([DAYTWO, "faults"], environment)
    assert "\x1b[1;31mcritical" in coloured
    plain = read_terminal([DAYTWO, "faults"], {**environment, "NO_COLOR": "1"})
    assert "\x1b[1;31m" not in plain
    assert "\x1b[38" not in plain
