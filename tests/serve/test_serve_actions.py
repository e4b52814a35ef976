"""From a proposal to a deed, as a person meets them: a real program named systemctl, a real HTTP server."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from action_plugin import UNIT

DAYTWO = str(Path(sys.executable).parent / "daytwo")


def propose(home, daytwo) -> str:
    code, out, _ = daytwo("triage", str(home.write_log()))
    assert code == 1
    line = re.search(r"^ +daytwo approve (p-[0-9a-f]{8}) --checked --why TEXT$", out, re.M)
    assert line, out
    return line[1]


def test_from_a_log_to_a_restart_and_its_audit(home, daytwo):
    one = propose(home, daytwo)
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
    assert home.restarts == []

    code, out, _ = daytwo("approve", one, "--checked", "--as", "alice", "--why", "seen by hand, ticket 7")
    assert code == 0
    assert out.index("would run:") < out.index("done: nvidia-fabricmanager.service was restarted")
    assert home.restarts == ["--no-ask-password restart nvidia-fabricmanager.service"]

    code, _, err = daytwo("approve", one, "--checked", "--why", "again")
    assert code == 2
    assert "by alice: a word counts once (single_use)" in err
    assert len(home.restarts) == 1

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

    code, out, _ = daytwo("triage", str(home.write_log()))  # the same trouble, told before it was mended
    assert "not proposed" in out
    assert "nothing new has been seen since (answered)" in out


def test_as_documents(home, daytwo):
    code, out, err = daytwo("triage", str(home.write_log()), "--json")
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


def test_rejected(home, daytwo):
    one = propose(home, daytwo)
    assert daytwo("reject", one, "--why", " ")[0] == 2
    code, out, _ = daytwo("reject", one[:5], "--why", "drained by hand")
    assert (code, out.startswith(f"rejected: restart_service of {UNIT} ({one})")) == (0, True)
    assert "is rejected since" in daytwo("approve", one, "--checked", "--why", "x")[2]
    code, _, err = daytwo("reject", one, "--why", "again")
    assert (code, "there is nothing to reject" in err) == (2, True)
    assert "1 are over: daytwo proposals --all" in daytwo("proposals")[1]
    assert "drained by hand" in daytwo("proposals", "--all")[1]
    assert home.restarts == []


def test_without_a_sites_file_nothing_is_proposed_or_approved(home, daytwo):
    home.env.delenv("DAYTWO_SITE_FILE")
    _, out, err = daytwo("triage", str(home.write_log()))
    assert "Actions" not in out + err
    assert "no site's file" in daytwo("approve", "p-1", "--why", "x")[2]
    assert "Nothing waits" in daytwo("proposals")[1]
    assert "No proposal 'p-1' is kept" in daytwo_with_site(home, daytwo, "approve", "p-1", "--why", "x")


def daytwo_with_site(home, daytwo, *words: str) -> str:
    home.env.setenv("DAYTWO_SITE_FILE", str(home.folder / "site.toml"))
    return daytwo(*words)[2]


def test_observe_is_silent_and_a_broken_site_file_costs_no_verdict(home, daytwo):
    home.write_site(level="observe")
    _, out, err = daytwo("triage", str(home.write_log()))
    assert "Actions" not in out + err
    (home.folder / "site.toml").write_text("[autonomy\n")
    code, out, err = daytwo("triage", str(home.write_log()))
    assert (code, "fabric_manager_down" in out) == (1, True)
    assert "nothing was proposed" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda home: home.write_log("n9"), r"has n9 in burn_in \(asset_state\)"),
        (lambda home: home.write_log("n8"), r"the inventory has no machines named n8 \(unknown_asset\)"),
        (lambda home: home.write_site(allow=["service:*/sshd"]), r"not on the allow-list.*\(allow_list\)"),
        (lambda home: home.write_site(executor="shell"), r"no executor 'shell'.*\(executor\)"),
        (lambda home: home.env.delenv("DAYTWO_INVENTORY"), r"no inventory, so every machine is unknown"),
    ],
)
def test_what_is_not_even_proposed_says_which_gate(home, daytwo, change, words):
    log = home.write_log()
    change(home)
    _, out, _ = daytwo("triage", str(log))
    assert re.search(rf"not proposed: .*{words}", out), out
    assert json.loads(daytwo("proposals", "--all", "--json")[1])["proposals"] == []
    assert json.loads(daytwo("audit", "show", "--json")[1])["rows"][-1]["kind"] == "refusal"


def test_an_inventory_among_the_evidence_opens_no_gate(home, daytwo):
    folder = home.folder / "evidence"
    folder.mkdir()
    (folder / "inventory.csv").write_text("node,state\nn8,production\n")
    home.write_log("n8").rename(folder / "kern.log")
    assert "unknown_asset" in daytwo("triage", str(folder))[1]


def test_kill_switch_breaker_and_expiry_hold_a_persons_word(home, daytwo):
    one = propose(home, daytwo)
    (home.folder / "stop").touch()
    assert "the kill switch" in daytwo("approve", one, "--checked", "--why", "x")[2]
    (home.folder / "stop").unlink()

    with sqlite3.connect(home.folder / "data" / "daytwo.db") as connection:
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
    assert home.restarts == []
    assert daytwo("approve", one, "--checked", "--why", "x")[0] == 0


def test_shadow_shows_what_would_have_been_done(home, daytwo):
    home.write_site("shadow = true", level="act")
    _, out, _ = daytwo("triage", str(home.write_log()))
    assert "shadow: would have waited for a person's word: the evidence is a file" in out
    assert "daytwo approve" not in out
    _, out, _ = daytwo("proposals")
    assert re.search(r"p-\w+ +would +restart_service", out)
    (row,) = json.loads(daytwo("proposals", "--json")[1])["proposals"]
    assert "shadow mode" in daytwo("approve", row["proposal_id"], "--checked", "--why", "x")[2]
    assert [r["kind"] for r in json.loads(daytwo("audit", "show", "--json")[1])["rows"]] == [
        "decision", "would", "refusal",
    ]  # fmt: skip
    assert home.restarts == []


def test_two_persons(home, daytwo):
    home.write_site('second_person = ["restart_service"]')
    one = propose(home, daytwo)
    code, out, _ = daytwo("approve", one, "--checked", "--as", "alice", "--why", "x")
    assert (code, "a second person's word is needed" in out) == (0, True)
    assert home.restarts == []
    assert "alice has approved it already" in daytwo("approve", one, "--checked", "--as", "Alice", "--why", "x")[2]
    assert daytwo("approve", one, "--checked", "--as", "bob", "--why", "y")[0] == 0
    assert len(home.restarts) == 1


@pytest.mark.parametrize("name", ["daytwo", "a\tb", "x" * 65])
def test_names_that_are_none(home, daytwo, name):
    assert "is no name of a person" in daytwo("reject", "p-1", "--why", "x", "--as", name)[2]


def test_a_restart_that_fails_is_1_and_kept(home, daytwo):
    one = propose(home, daytwo)
    home.write_systemctl(slow="exit 5;")
    code, out, _ = daytwo("approve", one, "--checked", "--why", "x")
    assert (code, "failed: `systemctl" in out) == (1, True)
    assert "ended with code 5" in daytwo("proposals", "--all")[1]


def run_both(words: list[str]) -> list[subprocess.CompletedProcess[str]]:
    running = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
        for _ in range(2)
    ]
    return [subprocess.CompletedProcess(one.args, one.wait(60), *one.communicate()) for one in running]


def test_of_two_processes_that_race_for_one_approval_one_restarts(home, daytwo):
    one = propose(home, daytwo)
    home.write_systemctl(slow="sleep 1;")
    done = run_both([DAYTWO, "approve", one, "--checked", "--why", "me first"])
    assert sorted(result.returncode for result in done) == [0, 2]
    assert len(home.restarts) == 1
    loser = next(result for result in done if result.returncode == 2)
    assert "a word counts once" in loser.stderr
    assert daytwo("audit", "verify")[0] == 0


def test_the_webhook_takes_it_over(home, daytwo):
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
        home.write_site(f'webhook = "http://127.0.0.1:{server.server_port}/x"', executor="webhook")
        one = propose(home, daytwo)
        assert "has no key" in daytwo("approve", one, "--checked", "--why", "x")[2]
        assert heard == []
        home.env.setenv("DAYTWO_WEBHOOK_KEY", "key")
        code, out, _ = daytwo("approve", one, "--checked", "--as", "alice", "--why", "x")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (code, "handed over: the webhook took it (202)" in out) == (0, True)
    ((headers, body),) = heard
    assert headers["Idempotency-Key"] == one
    assert json.loads(body)["approved_by"] == ["alice"]
    assert home.restarts == []
