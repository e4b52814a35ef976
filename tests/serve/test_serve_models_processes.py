"""Models asked by several processes: one breaker for all, Ctrl-C, a client of the API that goes away."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest
from model_site import DAYTWO, LOG, prove

from agent.circuit import FAILURES, open_circuit
from agent.settings import load_settings
from evals.busy import BusyServer
from evals.scripted import ScriptedServer
from tools.errors import ModelDown

THREE = "".join(LOG.splitlines(keepends=True)[:3])


@pytest.fixture(scope="module")
def index_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")  # the index of the runbooks is built once


@pytest.fixture
def place(index_dir, tmp_path, monkeypatch):
    """A data folder with an index, and a log of six cases."""
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(index_dir))
    monkeypatch.setenv("DAYTWO_MODEL_TIMEOUT_SECONDS", "30")
    for kept in index_dir.glob("daytwo.db*"):
        kept.unlink()
    (tmp_path / "kern.log").write_text(LOG, encoding="utf-8")
    return tmp_path


def test_two_processes_share_the_breaker(place):
    with ScriptedServer("refuse") as server:
        said = []
        for _ in range(FAILURES + 1):
            words = [DAYTWO, "triage", str(place / "kern.log"), "--json", "--no-store", "--model", server.spec]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=os.environ)
            said.append(json.loads(done.stdout)["verdicts"][0]["reason"])
    assert all("Nothing answers" in reason for reason in said[:FAILURES])
    assert said[FAILURES].startswith("not asked: it failed 3 times in a row (Nothing answers at")


def test_ctrl_c_ends_all_questions_at_once_and_the_rules_stand(place):
    with BusyServer(seconds=90) as server:
        words = [DAYTWO, "triage", str(place / "kern.log"), "--json", "--no-store", "--model", server.spec]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        wait_for(lambda: server.running >= 2)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        assert time.monotonic() - started < 15.0
        wait_for(lambda: server.running == 0)
    assert "stopped by Ctrl-C" in error
    verdicts = json.loads(out)["verdicts"]
    assert {verdict["decided_by"] for verdict in verdicts} == {"rules"}
    assert {verdict["fault"] for verdict in verdicts} == {"gpu_off_bus"}
    assert server.gone >= 2, "the server heard that nobody waits any more"
    assert open_circuit(load_settings().data_dir, server.url, "scripted").state == "closed", "it did nothing wrong"


def wait_for(happened, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def api(place):
    opened: list[subprocess.Popen[str]] = []

    def serve(spec: str) -> tuple[str, dict[str, str]]:
        process = subprocess.Popen(
            [DAYTWO, "serve", "--bind", "127.0.0.1:0"],
            env={**os.environ, "DAYTWO_MODEL": spec, "DAYTWO_API_TOKEN": "t"}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        opened.append(process)
        said = process.stderr.readline()
        return f"http://{said.split('http://')[1].split(',')[0]}", {"Authorization": "Bearer t"}

    yield serve
    for process in opened:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) in (0, 130)


def test_a_client_that_goes_away_takes_its_questions_with_it(api):
    with BusyServer(seconds=90) as server:
        url, headers = api(server.spec)
        host, _, port = url.removeprefix("http://").partition(":")
        body = json.dumps({"text": LOG})
        head = f"POST /v1/triage HTTP/1.1\r\nHost: {host}\r\nAuthorization: {headers['Authorization']}\r\n"
        with socket.create_connection((host, int(port))) as line:
            told = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            line.sendall(told.encode())
            wait_for(lambda: server.running >= 1)
        wait_for(lambda: server.gone >= 1 and server.running == 0)
        asked = len(server.requests)
        kept = wait_for_verdicts(url, headers)
        assert len(server.requests) == asked, "no further case was asked about"
    assert {verdict["fault"] for verdict in kept} == {"gpu_off_bus"}, "what rules say is kept all the same"
    assert any("whoever asked went away" in (verdict["reason"] or "") for verdict in kept)


def wait_for_verdicts(url: str, headers: dict[str, str]) -> list[dict]:
    found: list[dict] = []

    def look() -> bool:
        found[:] = httpx.get(f"{url}/v1/verdicts", headers=headers, timeout=60).json()["verdicts"]
        return bool(found)

    wait_for(look)
    return found


def test_metrics_tell_the_circuit_and_the_door(api):
    with BusyServer(seconds=0.05) as server:
        url, headers = api(server.spec)
        httpx.post(f"{url}/v1/triage", json={"text": THREE}, headers=headers, timeout=60).raise_for_status()
        page = httpx.get(f"{url}/metrics", headers=headers, timeout=60).text
        assert 'daytwo_model_circuit{model="scripted",state="closed"} 1.0' in page
        assert 'daytwo_model_investigations{kind="inside",model="scripted"} 0.0' in page
        circuit = open_circuit(load_settings().data_dir, server.url, "scripted")
        for _ in range(FAILURES):
            circuit.note(ModelDown("Nothing answers.", fix=""))
        page = httpx.get(f"{url}/metrics", headers=headers, timeout=60).text
        assert 'daytwo_model_circuit{model="scripted",state="open"} 1.0' in page


def test_triages_of_one_server_stand_in_one_line(api):
    with BusyServer(seconds=0.03, names="none") as server:
        prove(server.url, 2)
        url, headers = api(server.spec)
        threads = [
            threading.Thread(
                target=lambda: httpx.post(f"{url}/v1/triage", json={"text": THREE}, headers=headers, timeout=60)
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.most == 2
