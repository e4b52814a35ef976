"""Several models, many cases at once, a site that counts: on real sockets, with the real commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from agent.circuit import FAILURES, open_circuit
from agent.profile import ModelProfile, place_profile, save_profile
from agent.settings import load_settings
from agent.store import open_store
from agent.types import TriageReport
from evals.busy import BusyServer
from evals.scripted import ScriptedServer
from serve.model_list import run_list
from serve.triage import run_triage
from serve.types import Request
from tools.errors import ModelDown, SiteConfigError

DAYTWO = str(Path(sys.executable).parent / "daytwo")
HOSTS = tuple(f"rack{number}" for number in range(6))
LOST = (
    "Nov 20 02:1{place}:09 {host} kernel: [18934.214926] NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', "
    "name=<unknown>, GPU has fallen off the bus.\n"
)
LOG = "".join(LOST.format(host=host, place=place) for place, host in enumerate(HOSTS))


@pytest.fixture(scope="module")
def index_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")  # the index of the runbooks is built once


@pytest.fixture
def place(index_dir, tmp_path, monkeypatch):
    """A data folder with an index, a log of six cases, and a site's file to be written."""
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(index_dir))
    monkeypatch.setenv("DAYTWO_MODEL_TIMEOUT_SECONDS", "5")
    monkeypatch.setenv("DAYTWO_SITE_FILE", str(tmp_path / "site.toml"))
    for kept in index_dir.glob("daytwo.db*"):
        kept.unlink()
    (tmp_path / "site.toml").write_text("", encoding="utf-8")
    (tmp_path / "kern.log").write_text(LOG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def ask(place, capsys):
    def triage(spec: str = "", *, store: bool = False, log: str = LOG) -> TriageReport:
        (place / "kern.log").write_text(log, encoding="utf-8")
        run_triage(Request((place / "kern.log",), model=spec, store=store), as_json=True)
        return TriageReport.model_validate_json(capsys.readouterr().out)

    return triage


def write_site(place: Path, *endpoints: tuple[str, str], more: str = "", **keys: str) -> None:
    """Write a site's file with endpoints of a URL and a role."""
    rows = [
        f'[[models.endpoints]]\nurl = "{url}"\nname = "scripted"\nroles = ["{role}"]\n'
        + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for url, role in endpoints
    ]
    (place / "site.toml").write_text("\n".join([*rows, more]), encoding="utf-8")


def prove(url: str, concurrency: int) -> None:
    settings = load_settings()
    profile = ModelProfile(
        url=url,
        name="scripted",
        date="2026-03-01T12:00:00Z",
        fitness="fit",
        concurrency=concurrency,
        window_tokens=32768,
    )
    save_profile(profile, place_profile(settings.data_dir, url, "scripted"))


def strip(report: TriageReport) -> list[dict]:
    return [verdict.model_dump(mode="json", exclude={"verdict_id", "time", "usage"}) for verdict in report.verdicts]


@pytest.mark.parametrize("names", ["new", "old"])
def test_cases_are_looked_at_together_where_the_server_says_that_it_bears_it(ask, names):
    with BusyServer(names=names, seconds=0.1) as server:
        report = ask(server.spec)
    assert server.most > 1
    assert [verdict.subject.entity.split(":")[1].split("/")[0] for verdict in report.verdicts] == list(HOSTS)
    assert {verdict.decided_by for verdict in report.verdicts} == {"rules+model"}


def test_without_numbers_and_without_a_profile_one_at_a_time(ask):
    with BusyServer(names="none") as server:
        ask(server.spec)
    assert server.most == 1


def test_without_numbers_as_many_as_the_preflight_found_of_use(ask):
    with BusyServer(names="none", seconds=0.1) as server:
        prove(server.url, 3)
        ask(server.spec)
    assert server.most == 3


def test_the_site_bounds_it_whatever_the_server_bears(ask, place):
    with BusyServer(seconds=0.1) as server:
        write_site(place, (server.url, "triage"), in_flight="2")
        ask()
    assert server.most == 2


def test_a_full_server_is_given_less(ask):
    with BusyServer(seconds=0.1) as server:
        server.others, server.waiting = 900, 5
        ask(server.spec)
    assert server.most == 1, "its cache is nearly full and others wait"


def test_preemptions_are_heeded(ask):
    with BusyServer(seconds=0.25, holds=3) as server:
        report = ask(server.spec)
    assert server.preemptions <= 3, "it grew into the bound, once, and not again"
    assert {verdict.decided_by for verdict in report.verdicts} == {"rules+model"}


def test_handles_and_order_do_not_depend_on_which_case_was_faster(ask):
    with BusyServer(names="none") as server:
        alone = ask(server.spec)
    with BusyServer(seconds=0.05) as server:
        together = ask(server.spec)
    assert server.most > 1
    assert strip(together) == strip(alone)
    mine = [{row.id for row in verdict.evidence} for verdict in together.verdicts]
    assert sum(map(len, mine)) == len(set().union(*mine)), "no handle means two things in one report"


def test_a_server_that_keeps_failing_is_left_alone_and_it_is_said(ask, place, capsys):
    one = LOST.format(host="rack0", place=0)
    with ScriptedServer("error_500") as server:
        for _ in range(FAILURES):
            assert "answered 500" in (ask(server.spec, log=one).verdicts[0].reason or "")
        asked = len(server.requests)
        started = time.monotonic()
        verdict = ask(server.spec, log=one).verdicts[0]
        assert time.monotonic() - started < 2.0
        assert len(server.requests) == asked, "an open circuit costs nothing but the opinion"
        assert (verdict.fault, verdict.decided_by) == ("gpu_off_bus", "rules")
        assert "not asked: it failed 3 times in a row" in (verdict.reason or "")
        write_site(place, (server.url, "triage"))
        run_list(load_settings(), as_json=True)
    row = json.loads(capsys.readouterr().out)["models"][0]
    assert (row["circuit"], row["answers"]) == ("open", "yes")
    assert "answered 500" in row["circuit_why"]


def test_a_second_endpoint_of_the_role_takes_over(ask, place):
    with ScriptedServer("refuse") as gone, ScriptedServer("careful") as there:
        write_site(place, (gone.url, "triage"), (there.url, "triage"))
        report = ask(log=LOST.format(host="rack0", place=0))
    assert report.verdicts[0].decided_by == "rules+model"
    assert open_circuit(load_settings().data_dir, gone.url, "scripted").read().failures == 1


def test_two_processes_share_the_breaker(place):
    with ScriptedServer("refuse") as server:
        said = []
        for _ in range(FAILURES + 1):
            words = [DAYTWO, "triage", str(place / "kern.log"), "--json", "--no-store", "--model", server.spec]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=os.environ)
            said.append(json.loads(done.stdout)["verdicts"][0]["reason"])
    assert all("Nothing answers" in reason for reason in said[:FAILURES])
    assert said[FAILURES].startswith("not asked: it failed 3 times in a row (Nothing answers at")


POLICY = '[models.escalation]\nconfidences = ["confirmed", "likely", "inconclusive"]\nper_hour = {count}\n'


def test_a_second_opinion_is_asked_by_policy_and_both_are_kept(ask, place):
    log = LOST.format(host="rack0", place=0)
    with ScriptedServer("careful") as first, ScriptedServer("careful") as second:
        write_site(place, (first.url, "triage"), (second.url, "root_cause"), more=POLICY.format(count=1))
        report = ask(store=True, log=log)
        assert first.requests and second.requests
        asked = len(second.requests)
        with open_store(load_settings().data_dir) as store:
            runs = store.list_investigations()
        assert sorted(run["role"] for run in runs) == ["root_cause", "triage"]
        assert {run["verdict_id"] for run in runs} == {report.verdicts[0].verdict_id}
        usage = report.verdicts[0].usage
        assert usage is not None
        assert usage.calls == sum(run["usage"]["calls"] for run in runs)
        again = ask(store=True, log=log)
        assert len(second.requests) == asked
        assert "1 second opinions in the last hour are used up" in (again.verdicts[0].reason or "")


def test_a_case_that_is_not_grave_or_sure_enough_goes_to_nobody_else(ask, place):
    with ScriptedServer("careful") as first, ScriptedServer("careful") as second:
        write_site(place, (first.url, "triage"), (second.url, "root_cause"), more="[models.escalation]\nper_hour = 9\n")
        ask()
    assert first.requests and not second.requests


def test_a_second_opinion_that_cannot_be_had_costs_itself_alone(ask, place):
    log = LOST.format(host="rack0", place=0)
    with ScriptedServer("careful") as first, ScriptedServer("html") as second:
        write_site(place, (first.url, "triage"), (second.url, "root_cause"), more=POLICY.format(count=9))
        verdict = ask(log=log).verdicts[0]
    assert (verdict.fault, verdict.decided_by) == ("gpu_off_bus", "rules+model")
    assert "second opinion of scripted not used" in (verdict.reason or "")


def test_an_hour_that_is_used_up_leaves_the_rules_and_says_so(ask, place, capsys):
    with ScriptedServer("careful") as server:
        limits = "[models.spending]\ntokens_per_hour = 30000\n"
        write_site(place, (server.url, "triage"), more=limits)
        reasons = []
        for _ in range(12):
            report = ask(store=True)
            reasons = [verdict.reason or "" for verdict in report.verdicts]
            if all("tokens an hour" in reason for reason in reasons):
                break
        assert all("of 30,000 tokens an hour" in reason for reason in reasons), reasons
        assert {verdict.decided_by for verdict in report.verdicts} == {"rules"}
        asked = len(server.requests)
        ask(store=True)
        assert len(server.requests) == asked
        run_list(load_settings(), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert 20_000 < told["hour"]["tokens"] <= 30_000


def test_an_investigation_concludes_within_its_tokens(ask, place):
    with ScriptedServer("careful") as server:
        write_site(place, (server.url, "triage"), more="[models.spending]\ntokens_per_investigation = 14000\n")
        verdict = ask(log=LOST.format(host="rack0", place=0)).verdicts[0]
    assert verdict.usage is not None and verdict.decided_by == "rules+model"
    assert verdict.usage.tokens_in + verdict.usage.tokens_out <= 14_000


def test_the_key_of_one_model_is_told_to_no_other(ask, place, monkeypatch):
    monkeypatch.setenv("DAYTWO_MODEL_KEY", "for-the-named-one")
    with ScriptedServer("careful") as server:
        write_site(place, (server.url, "triage"), key_env='"RACK_KEY"')
        with pytest.raises(SiteConfigError, match="RACK_KEY"):
            ask()
    assert not server.requests


def test_ctrl_c_ends_all_questions_at_once_and_the_rules_stand(place):
    with BusyServer(seconds=20) as server:
        words = [DAYTWO, "triage", str(place / "kern.log"), "--json", "--no-store", "--model", server.spec]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        wait_for(lambda: server.running >= 2)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
        assert time.monotonic() - started < 5.0
        wait_for(lambda: server.running == 0)
    assert "stopped by Ctrl-C" in error
    verdicts = json.loads(out)["verdicts"]
    assert {verdict["decided_by"] for verdict in verdicts} == {"rules"}
    assert {verdict["fault"] for verdict in verdicts} == {"gpu_off_bus"}
    assert server.gone >= 2, "the server heard that nobody waits any more"
    assert open_circuit(load_settings().data_dir, server.url, "scripted").state == "closed", "it did nothing wrong"


def wait_for(happened, seconds: float = 15.0) -> None:
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
            env={**os.environ, "DAYTWO_MODEL": spec, "DAYTWO_API_TOKEN": "t", "DAYTWO_MODEL_TIMEOUT_SECONDS": "30"}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        opened.append(process)
        said = process.stderr.readline()
        return f"http://{said.split('http://')[1].split(',')[0]}", {"Authorization": "Bearer t"}

    yield serve
    for process in opened:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) in (0, 130)


def test_a_client_that_goes_away_takes_its_questions_with_it(api):
    with BusyServer(seconds=20) as server:
        url, headers = api(server.spec)
        host, _, port = url.removeprefix("http://").partition(":")
        body = json.dumps({"text": LOG})
        head = f"POST /v1/triage HTTP/1.1\r\nHost: {host}\r\nAuthorization: {headers['Authorization']}\r\n"
        with socket.create_connection((host, int(port))) as line:
            told = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            line.sendall(told.encode())
            wait_for(lambda: server.running >= 1, 25)
        wait_for(lambda: server.gone >= 1 and server.running == 0)
        asked = len(server.requests)
        kept = wait_for_verdicts(url, headers)
        assert len(server.requests) == asked, "no further case was asked about"
    assert {verdict["fault"] for verdict in kept} == {"gpu_off_bus"}, "what rules say is kept all the same"
    assert any("whoever asked went away" in (verdict["reason"] or "") for verdict in kept)


def wait_for_verdicts(url: str, headers: dict[str, str]) -> list[dict]:
    found: list[dict] = []

    def look() -> bool:
        found[:] = httpx.get(f"{url}/v1/verdicts", headers=headers, timeout=10).json()["verdicts"]
        return bool(found)

    wait_for(look)
    return found


def test_metrics_tell_the_circuit_and_the_door(api):
    with BusyServer(seconds=0.05) as server:
        url, headers = api(server.spec)
        httpx.post(f"{url}/v1/triage", json={"text": LOG}, headers=headers, timeout=60).raise_for_status()
        page = httpx.get(f"{url}/metrics", headers=headers, timeout=10).text
        assert 'daytwo_model_circuit{model="scripted",state="closed"} 1.0' in page
        assert 'daytwo_model_investigations{kind="inside",model="scripted"} 0.0' in page
        circuit = open_circuit(load_settings().data_dir, server.url, "scripted")
        for _ in range(FAILURES):
            circuit.note(ModelDown("Nothing answers.", fix=""))
        page = httpx.get(f"{url}/metrics", headers=headers, timeout=10).text
        assert 'daytwo_model_circuit{model="scripted",state="open"} 1.0' in page


def test_triages_of_one_server_stand_in_one_line(api):
    with BusyServer(seconds=0.1, names="none") as server:
        prove(server.url, 2)
        url, headers = api(server.spec)
        threads = [
            threading.Thread(
                target=lambda: httpx.post(f"{url}/v1/triage", json={"text": LOG}, headers=headers, timeout=60)
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.most == 2


def test_the_list_shows_roles_prices_and_who_answers(place, capsys):
    with ScriptedServer("careful") as there, ScriptedServer("refuse") as gone:
        write_site(place, (there.url, "triage"), (gone.url, "root_cause"), million_in_usd="3.0", million_out_usd="15.0")
        prove(there.url, 4)
        code = run_list(load_settings(), as_json=True)
        first, second = json.loads(capsys.readouterr().out)["models"]
        assert code == 2
        assert (first["answers"], first["roles"], first["at_once"], first["profile"]) == ("yes", ["triage"], 4, "fit")
        assert (first["million_in_usd"], first["million_out_usd"], first["basis"]) == (3.0, 15.0, "prices of the site")
        assert second["answers"].startswith("no list of models") and second["at_once"] is None
        run_list(load_settings(), as_json=False)
    shown = capsys.readouterr().out
    assert "root_cause" in shown and "3.00 in, 15.00 out a million" in " ".join(shown.split())


def test_without_any_model_the_list_says_what_to_type(place, capsys):
    assert run_list(load_settings(), as_json=False) == 0
    assert "export DAYTWO_MODEL=URL#NAME" in capsys.readouterr().out
