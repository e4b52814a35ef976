"""From a verdict to a deed and its audit, as a person meets them: a real program named systemctl, a real HTTP server."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agent.executors import restart_service
from serve.follow import Wish, run_follow
from serve.main import main
from tools.host_paths import HostPaths

DAYTWO = str(Path(sys.executable).parent / "daytwo")
HERE = platform.node()
UNIT = f"service:{HERE}/nvidia-fabricmanager"
FAILED = "{when} {host} systemd[1]: nvidia-fabricmanager.service: Failed with result 'exit-code'.\n"
SYSTEMCTL = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in
*" show "*) printf 'LoadState=loaded\\nActiveState=%s\\nInvocationID=%s\\n' "$(cat {folder}/active)" "$(cat {folder}/id)";;
*" restart "*) {slow} echo active > {folder}/active; echo two > {folder}/id;;
esac
"""


class Place:
    """One installation: its files, its environment, and what its systemctl was asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.env = monkeypatch
        for name in [name for name in os.environ if name.startswith("DAYTWO_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("DAYTWO_DATA_DIR", str(folder / "data"))
        monkeypatch.setenv("DAYTWO_INVENTORY", str(folder / "inventory.csv"))
        monkeypatch.setenv("DAYTWO_SITE_FILE", str(folder / "site.toml"))
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(restart_service, "SETTLE_SECONDS", 0.01)
        (folder / "inventory.csv").write_text(f"node,state\n{HERE},production\nn9,burn_in\n")
        self.write_site()
        self.write_systemctl()

    def write_systemctl(self, slow: str = "") -> None:
        (self.folder / "active").write_text("failed")
        (self.folder / "id").write_text("one")
        path = self.folder / "systemctl"
        path.write_text(SYSTEMCTL.format(folder=self.folder, slow=slow))
        path.chmod(0o755)

    def write_site(self, autonomy: str = "", **rules: object) -> None:
        given = {"level": "propose", "executor": "restart_service", "allow": ["service:*/nvidia-fabricmanager"]}
        lines = [f"{key} = {json.dumps(value)}" for key, value in (given | rules).items()]
        stop = f'kill_switch = "{self.folder}/stop"'
        text = "\n".join(["[autonomy]", stop, autonomy, "[autonomy.actions.restart_service]", *lines])
        (self.folder / "site.toml").write_text(text)

    def write_log(self, host: str = HERE, seconds: float = 60.0, name: str = "syslog") -> Path:
        when = datetime.fromtimestamp(time.time() - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        path = self.folder / name
        path.write_text(FAILED.format(when=when, host=host))
        return path

    @property
    def restarts(self) -> list[str]:
        path = self.folder / "calls"
        return [line for line in path.read_text().splitlines() if "restart" in line] if path.exists() else []


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Place(tmp_path, monkeypatch)


@pytest.fixture
def daytwo(place, monkeypatch, capfd):
    """Run the command in this process: its exit code, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["daytwo", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def propose(place, daytwo) -> str:
    code, out, _ = daytwo("triage", str(place.write_log()))
    assert code == 1
    line = re.search(r"^ +daytwo approve (p-[0-9a-f]{8}) --checked --why TEXT$", out, re.M)
    assert line, out
    return line[1]


def test_from_a_log_to_a_restart_and_its_audit(place, daytwo):
    one = propose(place, daytwo)
    code, out, _ = daytwo("proposals")
    assert code == 0
    assert f"{one}  open       restart_service  {UNIT}" in out
    assert "needs that no program runs on the GPUs" in out

    code, out, err = daytwo("approve", one, "--why", "looking")
    assert code == 2
    assert "which is not known here (precondition)" in err
    assert f"Next: look, then: daytwo approve {one} --checked --why TEXT" in err

    code, out, _ = daytwo("approve", one, "--checked", "--why", "looking", "--dry-run")
    assert code == 0
    assert "would run: systemctl --no-ask-password restart nvidia-fabricmanager.service" in out
    assert "Nothing was done: a dry run." in out
    assert place.restarts == []

    code, out, _ = daytwo("approve", one, "--checked", "--as", "alice", "--why", "seen by hand, ticket 7")
    assert code == 0
    assert out.index("would run:") < out.index("done: nvidia-fabricmanager.service was restarted")
    assert place.restarts == ["--no-ask-password restart nvidia-fabricmanager.service"]

    code, _, err = daytwo("approve", one, "--checked", "--why", "again")
    assert code == 2
    assert "by alice: a word counts once (single_use)" in err
    assert len(place.restarts) == 1

    code, out, _ = daytwo("audit", "show", "--json")
    rows = json.loads(out)["rows"]
    assert [row["kind"] for row in rows] == [
        "decision", "proposal", "refusal", "approval", "execution", "result", "refusal",
    ]  # fmt: skip
    assert rows[3]["who"] == "alice"
    assert rows[3]["data"]["answer"]["why"] == "seen by hand, ticket 7"
    assert rows[3]["data"]["answer"]["account"] != ""
    assert rows[0]["data"]["evidence"][0]["source"].startswith("syslog:1")
    assert daytwo("audit", "verify")[0] == 0

    code, out, _ = daytwo("triage", str(place.write_log()))  # the same trouble, told before it was mended
    assert "not proposed" in out
    assert "nothing new has been seen since (answered)" in out


def test_as_documents(place, daytwo):
    code, out, err = daytwo("triage", str(place.write_log()), "--json")
    assert json.loads(out)["schema"] == "daytwo.triage/1"
    one = re.search(r"Next: daytwo approve (p-\w+) --checked --why TEXT", err)[1]
    document = json.loads(daytwo("proposals", "--json")[1])
    (row,) = document["proposals"]
    assert (document["schema"], row["proposal_id"], row["state"]) == ("daytwo.proposals/1", one, "open")
    assert row["answer"] == f"daytwo approve {one} --checked --why TEXT"
    assert [stop["gate"] for stop in row["stops"]] == ["asking", "presence", "precondition"]

    code, out, err = daytwo("approve", one, "--why", "x", "--json")
    assert (code, out) == (2, "")
    assert json.loads(err)["schema"] == "daytwo.error/1"
    document = json.loads(daytwo("approve", one, "--checked", "--why", "x", "--json")[1])
    assert document["schema"] == "daytwo.approval/1"
    assert document["outcome"]["state"] == document["proposal"]["state"] == "done"
    assert document["proposal"]["approvals"][0]["checked"] is True
    assert json.loads(daytwo("proposals", "--json")[1])["proposals"] == []
    assert len(json.loads(daytwo("proposals", "--json", "--all")[1])["proposals"]) == 1


def test_rejected(place, daytwo):
    one = propose(place, daytwo)
    assert daytwo("reject", one, "--why", " ")[0] == 2
    code, out, _ = daytwo("reject", one[:5], "--why", "drained by hand")
    assert (code, out.startswith(f"rejected: restart_service of {UNIT} ({one})")) == (0, True)
    assert "is rejected since" in daytwo("approve", one, "--checked", "--why", "x")[2]
    code, _, err = daytwo("reject", one, "--why", "again")
    assert (code, "there is nothing to reject" in err) == (2, True)
    assert "1 are over: daytwo proposals --all" in daytwo("proposals")[1]
    assert "drained by hand" in daytwo("proposals", "--all")[1]
    assert place.restarts == []


def test_without_a_sites_file_nothing_is_proposed_or_approved(place, daytwo):
    place.env.delenv("DAYTWO_SITE_FILE")
    _, out, err = daytwo("triage", str(place.write_log()))
    assert "Actions" not in out + err
    assert "no site's file" in daytwo("approve", "p-1", "--why", "x")[2]
    assert "Nothing waits" in daytwo("proposals")[1]
    assert "No proposal 'p-1' is kept" in daytwo_with_site(place, daytwo, "approve", "p-1", "--why", "x")


def daytwo_with_site(place, daytwo, *words: str) -> str:
    place.env.setenv("DAYTWO_SITE_FILE", str(place.folder / "site.toml"))
    return daytwo(*words)[2]


def test_observe_is_silent_and_a_broken_site_file_costs_no_verdict(place, daytwo):
    place.write_site(level="observe")
    _, out, err = daytwo("triage", str(place.write_log()))
    assert "Actions" not in out + err
    (place.folder / "site.toml").write_text("[autonomy\n")
    code, out, err = daytwo("triage", str(place.write_log()))
    assert (code, "fabric_manager_down" in out) == (1, True)
    assert "nothing was proposed" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: place.write_log("n9"), r"has n9 in burn_in \(asset_state\)"),
        (lambda place: place.write_log("n8"), r"the inventory has no machines named n8 \(unknown_asset\)"),
        (lambda place: place.write_site(allow=["service:*/sshd"]), r"not on the allow-list.*\(allow_list\)"),
        (lambda place: place.write_site(executor="shell"), r"no executor 'shell'.*\(executor\)"),
        (lambda place: place.env.delenv("DAYTWO_INVENTORY"), r"no inventory, so every machine is unknown"),
    ],
)
def test_what_is_not_even_proposed_says_which_gate(place, daytwo, change, words):
    log = place.write_log()
    change(place)
    _, out, _ = daytwo("triage", str(log))
    assert re.search(rf"not proposed: .*{words}", out), out
    assert json.loads(daytwo("proposals", "--all", "--json")[1])["proposals"] == []
    assert json.loads(daytwo("audit", "show", "--json")[1])["rows"][-1]["kind"] == "refusal"


def test_an_inventory_among_the_evidence_opens_no_gate(place, daytwo):
    folder = place.folder / "evidence"
    folder.mkdir()
    (folder / "inventory.csv").write_text("node,state\nn8,production\n")
    place.write_log("n8").rename(folder / "kern.log")
    assert "unknown_asset" in daytwo("triage", str(folder))[1]


def test_kill_switch_breaker_and_expiry_hold_a_persons_word(place, daytwo):
    one = propose(place, daytwo)
    (place.folder / "stop").touch()
    assert "the kill switch" in daytwo("approve", one, "--checked", "--why", "x")[2]
    (place.folder / "stop").unlink()

    with sqlite3.connect(place.folder / "data" / "daytwo.db") as connection:
        connection.execute("UPDATE breaker SET opened_seconds = 1.0, why = 'a storm'")
    code, out, _ = daytwo("breaker", "show")
    assert (code, "a storm" in out) == (1, True)
    assert "Next: daytwo breaker reset --why TEXT" in daytwo("approve", one, "--checked", "--why", "x")[2]
    assert daytwo("breaker", "reset", "--why", "rack power is back", "--as", "bob")[1].startswith("shut again by bob")
    assert daytwo("breaker", "show", "--json")[0] == 0
    assert "nothing to reset" in daytwo("breaker", "reset", "--why", "x")[2]

    with pytest.MonkeyPatch.context() as patch:
        now = time.time()
        patch.setattr(time, "time", lambda: now + 3601)
        code, _, err = daytwo("approve", one, "--checked", "--why", "x")
        assert (code, "it expired at" in err) == (2, True)
        patch.setattr(time, "time", lambda: now - 7200)
        assert "the clock says" in daytwo("approve", one, "--checked", "--why", "x")[2]
    assert place.restarts == []
    assert daytwo("approve", one, "--checked", "--why", "x")[0] == 0


def test_shadow_shows_what_would_have_been_done(place, daytwo):
    place.write_site("shadow = true", level="act")
    _, out, _ = daytwo("triage", str(place.write_log()))
    assert "shadow: would have waited for a person's word: the evidence is a file" in out
    assert "daytwo approve" not in out
    _, out, _ = daytwo("proposals")
    assert re.search(r"p-\w+ +would +restart_service", out)
    (row,) = json.loads(daytwo("proposals", "--json")[1])["proposals"]
    assert "shadow mode" in daytwo("approve", row["proposal_id"], "--checked", "--why", "x")[2]
    assert [r["kind"] for r in json.loads(daytwo("audit", "show", "--json")[1])["rows"]] == [
        "decision", "would", "refusal",
    ]  # fmt: skip
    assert place.restarts == []


def test_two_persons(place, daytwo):
    place.write_site('second_person = ["restart_service"]')
    one = propose(place, daytwo)
    code, out, _ = daytwo("approve", one, "--checked", "--as", "alice", "--why", "x")
    assert (code, "a second person's word is needed" in out) == (0, True)
    assert place.restarts == []
    assert "alice has approved it already" in daytwo("approve", one, "--checked", "--as", "Alice", "--why", "x")[2]
    assert daytwo("approve", one, "--checked", "--as", "bob", "--why", "y")[0] == 0
    assert len(place.restarts) == 1


@pytest.mark.parametrize("name", ["daytwo", "a\tb", "x" * 65])
def test_names_that_are_none(place, daytwo, name):
    assert "is no name of a person" in daytwo("reject", "p-1", "--why", "x", "--as", name)[2]


def test_a_restart_that_fails_is_1_and_kept(place, daytwo):
    one = propose(place, daytwo)
    place.write_systemctl(slow="exit 5;")
    code, out, _ = daytwo("approve", one, "--checked", "--why", "x")
    assert (code, "failed: `systemctl" in out) == (1, True)
    assert "ended with code 5" in daytwo("proposals", "--all")[1]


def run_both(words: list[str]) -> list[subprocess.CompletedProcess[str]]:
    running = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
        for _ in range(2)
    ]
    return [subprocess.CompletedProcess(one.args, one.wait(60), *one.communicate()) for one in running]


def test_of_two_processes_that_race_for_one_approval_one_restarts(place, daytwo):
    one = propose(place, daytwo)
    place.write_systemctl(slow="sleep 1;")
    done = run_both([DAYTWO, "approve", one, "--checked", "--why", "me first"])
    assert sorted(result.returncode for result in done) == [0, 2]
    assert len(place.restarts) == 1
    loser = next(result for result in done if result.returncode == 2)
    assert "a word counts once" in loser.stderr
    assert daytwo("audit", "verify")[0] == 0


def test_the_webhook_takes_it_over(place, daytwo):
    heard: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        place.write_site(f'webhook = "http://127.0.0.1:{server.server_port}/x"', executor="webhook")
        one = propose(place, daytwo)
        assert "has no key" in daytwo("approve", one, "--checked", "--why", "x")[2]
        assert heard == []
        place.env.setenv("DAYTWO_WEBHOOK_KEY", "key")
        code, out, _ = daytwo("approve", one, "--checked", "--as", "alice", "--why", "x")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (code, "handed over: the webhook took it (202)" in out) == (0, True)
    ((headers, body),) = heard
    assert headers["Idempotency-Key"] == one
    assert json.loads(body)["approved_by"] == ["alice"]
    assert place.restarts == []


def follow(place, log: Path) -> int:
    return run_follow(Wish(str(log), "0s"), paths=HostPaths(kernel_logs=(log,)))


IDLE = {"gpu_count": 2}
BUSY = {"gpu_count": 2, "gpus": {"1": {"processes": [{"pid": 7, "memory_bytes": 1, "kind": "compute"}]}}}
GONE = {"init_error": "DRIVER_NOT_LOADED"}
SILENT = {"gpu_count": 2, "gpus": {"1": {"errors": {"nvmlDeviceGetComputeRunningProcesses_v3": "UNKNOWN"}}}}
NONE = {"gpu_count": 0}


def test_what_is_seen_live_is_done_at_once_and_once(place, nvml_standin, capfd, daytwo):
    nvml_standin(IDLE)
    place.write_site(level="act")
    log = place.write_log()
    assert follow(place, log) == 1
    told = capfd.readouterr().out
    assert "done: nvidia-fabricmanager.service was restarted" in told
    assert len(place.restarts) == 1
    assert follow(place, log) == 0
    (row,) = json.loads(daytwo("proposals", "--all", "--json")[1])["proposals"]
    assert (row["state"], row["approvals"], row["stops"]) == ("done", [], [])
    assert [r["kind"] for r in json.loads(daytwo("audit", "show", "--json")[1])["rows"]] == [
        "decision", "proposal", "execution", "result",
    ]  # fmt: skip
    place.write_systemctl()
    log.write_text(log.read_text() + place.write_log(seconds=0, name="more").read_text())
    follow(place, log)
    assert len(place.restarts) == 1  # it cools down


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: (place.folder / "stop").touch(), "kill_switch"),
        (lambda place: place.write_site(level="propose"), "asking"),
        (lambda place: place.write_site(level="act", per_hour=0), "rate_limit"),
        (lambda place: place.write_site('second_person = ["restart_service"]', level="act"), "persons"),
        (lambda place: (place.folder / "active").write_text("active"), "is active now"),
        (lambda place: place.write_log(seconds=4000), "presence"),
    ],
)
def test_what_holds_it_back_live(place, nvml_standin, capfd, change, words):
    nvml_standin(IDLE)
    place.write_site(level="act")
    log = place.write_log()
    change(place)
    follow(place, log)
    told = capfd.readouterr().out
    assert "waits for your word" in told
    assert words in told
    assert place.restarts == []


@pytest.mark.parametrize("machine", [BUSY, GONE, SILENT, NONE])
def test_programs_on_the_gpus_or_a_driver_that_does_not_tell_hold_it_back(place, nvml_standin, capfd, machine):
    nvml_standin(machine)
    place.write_site(level="act")
    follow(place, place.write_log())
    assert "(precondition)" in capfd.readouterr().out
    assert place.restarts == []


def test_the_audit_from_the_command_line(place, daytwo):
    propose(place, daytwo)
    daytwo("triage", str(place.write_log("n9")))
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

    path = place.folder / "data" / "daytwo.db"
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
