"""The model that may be asked beside the rules: broken in every way, slow, refused, or behind a proxy."""

from __future__ import annotations

import time

import pytest

from agent.settings import load_settings
from agent.types import TriageReport
from evals.scripted import ScriptedServer
from serve.asking import reach_endpoint
from serve.investigator import OUT_OF_TIME, Patience
from serve.triage import run_triage
from serve.types import Request
from tools.errors import ModelError, OperatorError

LOST = (
    "Nov 20 02:14:09 n7 kernel: [18934.214926] NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, "
    "GPU has fallen off the bus.\n"
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")  # the index of the runbooks is built once


@pytest.fixture
def ask(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(data_dir))
    monkeypatch.setenv("DAYTWO_MODEL_TIMEOUT_SECONDS", "1")
    (tmp_path / "kern.log").write_text(LOST, encoding="utf-8")

    def triage(spec: str, *, as_json: bool = True) -> tuple[int, str]:
        code = run_triage(Request((tmp_path / "kern.log",), model=spec, store=False), as_json=as_json)
        return code, capsys.readouterr().out

    return triage


@pytest.mark.parametrize(
    "script",
    ["html", "empty", "empty_choices", "malformed", "error_401", "error_404", "error_500", "hang", "wrong_fault"],
)
def test_a_broken_endpoint_costs_only_its_opinion(ask, script):
    with ScriptedServer(script) as server:
        code, text = ask(server.spec)
    first = TriageReport.model_validate_json(text).verdicts[0]
    assert code == 1
    assert (first.fault, first.action, first.decided_by) == ("gpu_off_bus", "reboot_node", "rules")
    assert first.reason, "why the model was not heard"


def test_people_see_the_rules_first_then_what_went_wrong(ask):
    with ScriptedServer("empty") as server:
        code, text = ask(server.spec, as_json=False)
    assert code == 1
    rules, _, model = text.partition("The model\n")
    assert "gpu_off_bus" in rules
    assert "answered with an empty body" in model
    assert "curl -i" in model
    assert "the rules' verdict stands: gpu:n7/0000:4e:00.0" in model


@pytest.mark.parametrize("spec", ["no-url", "http://127.0.0.1:9/v1", "ftp://x#y", "http://#x"])
def test_a_model_that_is_no_endpoint(ask, spec):
    with pytest.raises(OperatorError) as caught:
        ask(spec)
    assert "--model" in caught.value.fix


def test_a_refused_connection_is_told_at_once():
    with ScriptedServer("refuse") as server:
        started = time.monotonic()
        with pytest.raises(ModelError, match="connection refused") as caught:
            reach_endpoint(server.url)
        assert time.monotonic() - started < 2.0
        assert caught.value.fix == f"curl {server.url}/models"


def test_behind_a_proxy_the_endpoint_is_not_knocked_at(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    reach_endpoint("http://model.invalid/v1")
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(ModelError):
        reach_endpoint("http://127.0.0.1:9/v1")


def test_patience_ends_with_its_seconds_or_with_a_failure():
    assert Patience(60.0).find_end() == ""
    assert Patience(-1.0).find_end() == OUT_OF_TIME
    assert Patience(60.0, gone="it broke").find_end() == "it broke"


def test_the_bound_is_a_setting(monkeypatch):
    monkeypatch.setenv("DAYTWO_MODEL_TOTAL_SECONDS", "12.5")
    assert load_settings().model_total_seconds == 12.5
