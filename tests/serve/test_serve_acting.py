"""What is done at once where the site lets it, what holds it back, and the audit of it."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from serve.follow import Wish, run_follow
from tools.host_paths import HostPaths


def follow(home, log: Path) -> int:
    return run_follow(Wish(str(log), "0s"), paths=HostPaths(kernel_logs=(log,)))


IDLE = {"gpu_count": 2}
BUSY = {"gpu_count": 2, "gpus": {"1": {"processes": [{"pid": 7, "memory_bytes": 1, "kind": "compute"}]}}}
GONE = {"init_error": "DRIVER_NOT_LOADED"}
SILENT = {"gpu_count": 2, "gpus": {"1": {"errors": {"nvmlDeviceGetComputeRunningProcesses_v3": "UNKNOWN"}}}}
NONE = {"gpu_count": 0}


def test_what_is_seen_live_is_done_at_once_and_once(home, nvml_standin, capfd, daytwo):
    nvml_standin(IDLE)
    home.write_site(level="act")
    log = home.write_log()
    assert follow(home, log) == 1
    told = capfd.readouterr().out
    assert "done: nvidia-fabricmanager.service was restarted" in told
    assert len(home.restarts) == 1
    assert follow(home, log) == 0
    (row,) = json.loads(daytwo("proposals", "--all", "--json")[1])["proposals"]
    assert (row["state"], row["approvals"], row["stops"]) == ("done", [], [])
    assert [r["kind"] for r in json.loads(daytwo("audit", "show", "--json")[1])["rows"]] == [
        "decision", "proposal", "execution", "result",
    ]  # fmt: skip
    home.write_systemctl()
    log.write_text(log.read_text() + home.write_log(seconds=0, name="more").read_text())
    follow(home, log)
    assert len(home.restarts) == 1  # it cools down


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda home: (home.folder / "stop").touch(), "kill_switch"),
        (lambda home: home.write_site(level="propose"), "asking"),
        (lambda home: home.write_site(level="act", per_hour=0), "rate_limit"),
        (lambda home: home.write_site('second_person = ["restart_service"]', level="act"), "persons"),
        (lambda home: (home.folder / "active").write_text("active"), "is active now"),
        (lambda home: home.write_log(seconds=4000), "presence"),
    ],
)
def test_what_holds_it_back_live(home, nvml_standin, capfd, change, words):
    nvml_standin(IDLE)
    home.write_site(level="act")
    log = home.write_log()
    change(home)
    follow(home, log)
    told = capfd.readouterr().out
    assert "waits for your word" in told
    assert words in told
    assert home.restarts == []


@pytest.mark.parametrize("machine", [BUSY, GONE, SILENT, NONE])
def test_programs_on_the_gpus_or_a_driver_that_does_not_tell_hold_it_back(home, nvml_standin, capfd, machine):
    nvml_standin(machine)
    home.write_site(level="act")
    follow(home, home.write_log())
    assert "(precondition)" in capfd.readouterr().out
    assert home.restarts == []


def test_the_audit_from_the_command_line(home, daytwo):
    daytwo("triage", str(home.write_log()))
    daytwo("triage", str(home.write_log("n9")))
    code, out, _ = daytwo("audit", "verify")
    head = re.search(r"--head (\d+:[0-9a-f]{64})", out)[1]
    assert (code, out.startswith("4 rows follow each other")) == (0, True)
    assert daytwo("audit", "verify", "--head", head)[0] == 0
    assert daytwo("audit", "verify", "--head", head.partition(":")[2])[0] == 0
    assert "is no head of an audit" in daytwo("audit", "verify", "--head", "12")[2]
    assert daytwo("audit", "show", "--limit", "1")[1].count("\n") == 1
    case = json.loads(daytwo("proposals", "--json")[1])["proposals"][0]["case_id"]
    assert len(json.loads(daytwo("audit", "show", "--case", case, "--json")[1])["rows"]) == 2
    assert "Nothing is written down of c-x" in daytwo("audit", "show", "--case", "c-x")[1]

    path = home.folder / "data" / "daytwo.db"
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.DatabaseError, match="never changed"):
        connection.execute("DELETE FROM audit")
    connection.executescript(
        "DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE number = 4;"
        "UPDATE audit_head SET number = 3, hash = (SELECT hash FROM audit WHERE number = 3)"
    )
    connection.close()
    assert daytwo("audit", "verify")[0] == 0
    code, out, _ = daytwo("audit", "verify", "--head", head)
    assert (code, out.startswith("broken at row 4: the row of which you kept the head is gone")) == (1, True)
    document = json.loads(daytwo("audit", "verify", "--json", "--head", head)[1])
    assert (document["schema"], document["broken"]["row"], document["rows"]) == ("daytwo.audit-check/1", 4, 3)
