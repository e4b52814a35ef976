"""`daytwo history` and `daytwo clear` as a person meets them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DAYTWO = str(Path(sys.executable).parent / "daytwo")
XID = "NVRM: Xid (PCI:0000:4e:00): {code}, pid='<unknown>', name=<unknown>, {words}"
LOST = XID.format(code=79, words="GPU has fallen off the bus.")
REMAP = XID.format(code=64, words="Failed to persist row remap table")
QUIET = "perf: interrupt took too long (2500 > 2400), lowering kernel.perf_event_max_sample_rate to 50000"


def line(day: int, text: str, host: str = "n7") -> bytes:
    return f"2026-11-{day:02}T02:14:09.000000+00:00 {host} kernel: [{day}.0] {text}\n".encode()


@pytest.fixture
def run(tmp_path):
    def run_daytwo(*words: str, stdin: bytes = b""):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DAYTWO_")}
        return subprocess.run(
            [DAYTWO, *words],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
            env={**clean, "DAYTWO_DATA_DIR": str(tmp_path / "data"), "TERM": "dumb"},
        )

    return run_daytwo


def triage(run, *texts: bytes):
    result = run("triage", "-", "--json", stdin=b"".join(texts))
    return result.returncode, json.loads(result.stdout)


def test_a_fault_from_first_sight_to_clear(run):
    code, report = triage(run, line(3, REMAP))
    assert (code, report["verdicts"][0]["fault"]) == (1, "gpu_memory_remap_failure")

    code, report = triage(run, line(5, QUIET), line(6, QUIET))
    first = report["verdicts"][0]
    assert (code, first["status"], first["subject"]["entity"]) == (0, "healthy", "node:n7")
    assert "still open since 2026-11-03T02:14:09Z" in first["summary"]
    shown = run("triage", "-", stdin=line(6, QUIET)).stdout.decode()
    assert re.search(r"^ *open +history +gpu:n7/0000:4e:00\.0: gpu_memory_remap_failure", shown, re.M)

    page = run("history", "n7").stdout.decode()
    assert "open  gpu_memory_remap_failure on gpu:n7/0000:4e:00.0" in page
    assert "daytwo clear gpu:n7/0000:4e:00.0 --why TEXT" in page

    cleared = run("clear", "gpu:n7/0000:4e:00.0", "--why", "board replaced, ticket 7", "--did", "replace")
    assert cleared.returncode == 0
    assert b"cleared: gpu_memory_remap_failure" in cleared.stdout

    _, report = triage(run, line(7, QUIET))
    assert "open" not in report["verdicts"][0]["summary"]
    document = json.loads(run("history", "gpu:n7/0000:4e:00", "--json").stdout)
    assert document["schema"] == "daytwo.history/1"
    assert document["open"] == []
    assert [row["kind"] for row in document["records"]] == ["fault", "clear"]
    assert document["records"][1]["why"] == "board replaced, ticket 7"
    assert document["records"][1]["did"] == "replace"


def test_the_second_loss_is_for_hands_and_the_same_log_twice_is_not_the_second(run):
    for _ in range(2):
        _, report = triage(run, line(3, LOST))
        assert report["verdicts"][0]["action"] == "reboot_node"
    _, report = triage(run, line(20, LOST))
    assert report["verdicts"][0]["action"] == "inspect_hardware"
    page = run("history", "gpu:n7/0000:4e:00.0").stdout.decode()
    assert "told 2 times" in page
    assert page.count("gpu_off_bus confirmed") == 2


def test_without_the_store_nothing_is_recalled(run):
    triage(run, line(3, LOST))
    result = run("triage", "-", "--json", "--no-store", stdin=line(20, LOST))
    assert json.loads(result.stdout)["verdicts"][0]["action"] == "reboot_node"


def test_history_of_what_was_never_seen(run):
    result = run("history", "gpu:n9/0")
    assert result.returncode == 2
    assert "Nothing is remembered of gpu:n9/0" in result.stderr.decode()
    assert "\nNext: " in result.stderr.decode()


@pytest.mark.parametrize("words", [("history", "gpu:"), ("history", "localhost"), ("clear", "what:n7/3", "--why", "x")])
def test_what_is_no_entity(run, words):
    result = run(*words)
    assert result.returncode == 2
    assert "is no entity" in result.stderr.decode()


def test_a_clear_with_nothing_open_or_without_a_reason(run):
    triage(run, line(3, LOST))
    other = run("clear", "gpu:n7/0000:5d:00.0", "--why", "x")
    assert other.returncode == 2
    assert "gpu_off_bus on gpu:n7/0000:4e:00.0 is still open" in other.stderr.decode()
    assert run("clear", "n7", "--why", " ").returncode == 2
    assert run("clear", "n7").returncode == 2
    noted = run("clear", "n8", "--why", "rebooted by hand", "--did", "reboot")
    assert (noted.returncode, noted.stdout) == (0, b"noted: reboot of node:n8\n")


def test_evidence_never_steers_the_terminal(run):
    triage(run, line(3, LOST))
    run("clear", "n7", "--why", "\x1b[31mred\x07")
    assert b"\x1b" not in run("history", "n7").stdout
