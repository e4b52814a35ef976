"""A model in the seat, over a real socket: careful, bad and refusing, on the same frozen cases as the rules."""

import pytest

from agent.settings import Settings
from evals.runner import run_eval
from evals.scripted import ScriptedServer
from evals.seats import RULES

pytestmark = pytest.mark.slow  # it builds an index of the runbooks first
CASES = ["s-0233", "s-0417", "s-0758"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("data"), max_steps=4, model_timeout_seconds=10.0)


def test_a_careful_model_is_scored_beside_the_rules(settings):
    with ScriptedServer("careful") as server:
        report = run_eval([RULES, server.spec], 1, CASES, settings=settings)
    rules, model = report.backends
    assert (rules.backend, model.backend) == (RULES, server.spec)
    assert model.infrastructure_errors == 0
    assert model.calls > 0
    assert model.tokens_in > model.tokens_out > 0
    assert rules.calls == 0
    assert model.fault.total == rules.fault.total == len(CASES)
    assert model.harmful.count == 0


def test_a_bad_model_costs_its_opinion_and_does_no_harm(settings):
    with ScriptedServer("bad") as server:
        report = run_eval([RULES, server.spec], 1, CASES, settings=settings)
    _, model = report.backends
    assert model.infrastructure_errors == 0
    assert model.harmful.count == 0
    assert model.false_alarms.count == 0
    said = {(run.scenario, run.twin, run.backend): run for run in report.runs}
    for case in CASES:
        for twin in (False, True):
            one, other = said[case, twin, RULES], said[case, twin, server.spec]
            assert (one.fault, one.action) == (other.fault, other.action)


def test_an_endpoint_that_refuses_is_no_answer(settings):
    with ScriptedServer("refuse") as server:
        report = run_eval([server.spec], 1, ["s-0417"], settings=settings)
    (row,) = report.backends
    assert row.infrastructure_errors >= 1
    assert row.fault.total == 0
    ill = report.runs[0]
    assert ill.fault == "gpu_off_bus"
    assert ill.right is None
