"""Several models, many cases at once, a site that counts: on real sockets, with the real commands."""

from __future__ import annotations

import json
import time

import pytest
from model_site import HOSTS, LOG, LOST, prove, write_site

from agent.circuit import FAILURES, open_circuit
from agent.settings import load_settings
from agent.store import open_store
from agent.types import TriageReport
from evals.busy import BusyServer
from evals.conversation import Conversation
from evals.scripted import ScriptedServer
from evals.scripts import SCRIPTS, Answer
from serve.doors import open_doors
from serve.model_list import run_list
from serve.triage import run_triage
from serve.types import Request
from tools.errors import SiteConfigError


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


def strip(report: TriageReport) -> list[dict]:
    return [verdict.model_dump(mode="json", exclude={"verdict_id", "time", "usage"}) for verdict in report.verdicts]


@pytest.mark.parametrize("names", ["new", "old"])
def test_cases_are_looked_at_together_where_the_server_says_that_it_bears_it(ask, names):
    with BusyServer(names=names, seconds=0.1) as server:
        report = ask(server.spec)
    assert server.most > 1, [verdict.reason for verdict in report.verdicts]
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


def test_no_more_are_sent_than_the_cache_holds(ask):
    with BusyServer(seconds=0.1, holds=4) as server:
        report = ask(server.spec)
    assert 2 <= server.most <= 4 and not server.preemptions
    assert {verdict.decided_by for verdict in report.verdicts} == {"rules+model"}


def test_preemptions_are_heeded(ask, place):
    def preempt(talk: Conversation) -> Answer:
        server.preemptions += int(server.running > 2)
        return SCRIPTS["careful"](talk)

    with BusyServer(preempt, seconds=0.3) as server:
        write_site(place, (server.url, "triage"), in_flight="3")
        ask()
    standing = next(one for url, _, one in open_doors().list_standings() if url == server.url)
    assert server.preemptions and standing.preemptions
    assert standing.limit <= 2


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
