"""A model alone: its answer is believed, and what its fault's row does is done."""

from __future__ import annotations

import json

import pytest

from agent.faults import load_faults
from agent.settings import Settings
from evals.alone import build_form, read_answer
from evals.runner import run_eval
from evals.scripted import ScriptedServer
from evals.scripts import Answer
from tools.errors import OperatorError

FAULTS = list(load_faults())


def run(script, tmp_path, scenario="s-0103"):
    with ScriptedServer(script) as server:
        report = run_eval([f"alone@{server.spec}"], scenario_ids=[scenario], settings=Settings(data_dir=tmp_path))
        return report, server.requests


def test_all_faults_and_the_evidence_are_told_and_nothing_else_decides(tmp_path):
    named = json.dumps({"fault": "gpu_off_bus", "entity": "gpu:gx07/3"})
    report, requests = run(lambda talk: Answer(named), tmp_path)
    assert len(requests) == 2, "the scenario and its twin, one question each"
    asked = requests[0]["messages"][-1]["content"]
    assert all(f"- {fault}: " in asked for fault in FAULTS)
    assert "<evidence>" in asked
    assert "tools" not in requests[0]
    schema = requests[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["fault"]["enum"] == FAULTS
    row = report.backends[0]
    assert row.backend.startswith("alone@http://127.0.0.1:")
    assert row.infrastructure_errors == 0
    # The same grave answer for a healthy twin is a false alarm and does harm: no guard stands in between.
    assert row.false_alarms.count == 1
    assert row.harmful.count >= 1


def test_an_answer_that_says_healthy_is_believed_too(tmp_path):
    report, _ = run(lambda talk: Answer('{"fault": "healthy", "entity": ""}'), tmp_path)
    assert report.backends[0].false_alarms.count == 0


def test_a_server_that_breaks_is_no_wrong_answer(tmp_path):
    report, _ = run("error_500", tmp_path)
    assert report.backends[0].infrastructure_errors == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"fault": "gpu_off_bus", "entity": "gpu:a/1"}', ("gpu_off_bus", "gpu:a/1")),
        ('```json\n{"fault": "GPU-off-bus"}\n```', ("gpu_off_bus", "")),
        ("it is the GPU", ("unknown", "")),
        ('["gpu_off_bus"]', ("unknown", "")),
        ('{"fault": "no such"}', ("unknown", "")),
    ],
)
def test_answers_are_read_leniently_and_never_guessed(text, expected):
    assert read_answer(text, FAULTS) == expected


def test_the_form_has_ends():
    form = build_form(FAULTS)
    assert form["properties"]["entity"]["maxLength"] == 60
    assert form["additionalProperties"] is False


def test_a_name_that_is_none_is_refused():
    with pytest.raises(OperatorError):
        run_eval(["alone@nothing"], scenario_ids=["s-0103"])
