"""`daytwo eval --open` as a person and a script see it."""

from __future__ import annotations

import json

import pytest

from evals.open_report import OpenReport, render_open
from evals.open_scenario import load_open_scenarios
from serve.evaluate import PLAIN_WIDTH, EvalRequest, run_evaluate
from serve.terminal import print_by

SCENARIO = next(scenario for scenario in load_open_scenarios() if scenario.found == "older")


def test_a_script_reads_one_document_and_a_person_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    request = EvalRequest(scenarios=(SCENARIO.id,), open_only=True)
    assert run_evaluate(request, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "daytwo.open-eval/1"
    found = {row["backend"]: row["right"]["count"] for row in report["backends"]}
    assert (found["rules"], found["investigator"]) == (0, 1)
    assert {run["scenario"] for run in report["runs"]} == {SCENARIO.id}
    print_by(lambda console: render_open(OpenReport.model_validate(report), console), plain_width=PLAIN_WIDTH)
    told = capsys.readouterr().out
    assert "used room" in told
    assert max(map(len, told.splitlines())) <= PLAIN_WIDTH
