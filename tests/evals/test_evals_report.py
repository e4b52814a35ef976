"""Reports: one document for scripts, one table for people, intervals over cases and not over runs."""

import io
import json

import pytest
from rich.console import Console

from evals.report import (
    EvalReport,
    ExcerptRow,
    Rate,
    build_eval_report,
    build_excerpt_report,
    render_eval,
    render_excerpts,
    render_rate,
)
from evals.runner import RunResult
from evals.score import Score, wilson_interval


def make_score(**changes) -> Score:
    values = {
        "fault_right": True, "entity_right": True, "action_right": True, "folds_right": True,
        "harmful": False, "false_alarm": False, "extra_alarms": 0, "unknown": False,
        "claims": 2, "claims_verified": 1, "calls": 1, "tokens_in": 10, "tokens_out": 4, "misses": (),
    }  # fmt: skip
    return Score(**{**values, **changes})


def make_result(scenario, twin=False, repeat=1, **changes) -> RunResult:
    return RunResult(scenario, twin, "rules", repeat, 0.5, score=make_score(**changes))


@pytest.fixture
def report() -> EvalReport:
    results = [
        make_result("s-0001"),
        make_result("s-0001", twin=True),
        make_result("s-0002", fault_right=False, harmful=True, misses=("fault unknown, expected disk_lost",)),
        make_result("s-0002", twin=True, fault_right=False, false_alarm=True, misses=("false alarm disk_lost",)),
        RunResult("s-0003", False, "rules", 1, 2.0, infrastructure_error="connection refused"),
    ]
    return build_eval_report(results, repeats=1)


def test_rates_are_counted_over_what_they_speak_of(report):
    (row,) = report.backends
    assert (row.fault.count, row.fault.total) == (1, 2)
    assert (row.false_alarms.count, row.false_alarms.total) == (1, 2)
    assert (row.harmful.count, row.harmful.total) == (1, 4)
    assert (row.pass_hat_k.count, row.pass_hat_k.total) == (2, 4)
    assert (row.claims_verified.count, row.claims_verified.total) == (4, 8)
    assert row.infrastructure_errors == 1
    assert row.seconds_median == 0.5


def test_repeats_of_one_case_do_not_narrow_the_interval():
    results = [make_result("s-0001", repeat=k) for k in range(1, 6)]
    (row,) = build_eval_report(results, repeats=5).backends
    assert (row.fault.count, row.fault.total) == (5, 5)
    assert (row.fault.low, row.fault.high) == tuple(round(x, 4) for x in wilson_interval(1, 1))


def test_the_document_names_its_schema_and_comes_back_whole(report):
    text = report.model_dump_json()
    assert json.loads(text)["schema"] == "daytwo.eval/1"
    assert EvalReport.model_validate_json(text) == report


def test_the_table_shows_rates_and_every_run_that_was_not_right(report):
    console = Console(file=io.StringIO(), width=100)
    render_eval(report, console)
    text = console.file.getvalue()
    assert "3 scenarios with their healthy twins" in text
    assert "1/2" in text
    assert "s-0002 twin" in text
    assert "infrastructure: connection refused" in text
    assert "s-0001" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100


def test_a_rate_of_nothing_is_no_zero():
    assert render_rate(Rate(count=0, total=0)) == "-"
    assert render_rate(Rate(count=1, total=2, low=0.094, high=0.905)) == "1/2 9-90%"


def test_excerpts_print_right_miss_harm_and_error():
    rows = [
        ExcerptRow(file="a.txt", form="iostat", accepted=["healthy"], fault="healthy", entity="node:?", action="none",
                   right=True, harm=False),
        ExcerptRow(file="b.txt", form="iostat", accepted=["io_saturated"], fault="disk_lost", entity="disk:?/sda",
                   action="drain_node", right=False, harm=True),
        ExcerptRow(file="c.txt", form="other", accepted=["unknown"], fault=None, entity=None, action=None, right=False,
                   harm=False, error="not there"),
    ]  # fmt: skip
    report = build_excerpt_report("somewhere", rows)
    assert json.loads(report.model_dump_json())["schema"] == "daytwo.excerpts/1"
    assert (report.controls.count, report.controls.total) == (1, 1)
    console = Console(file=io.StringIO(), width=100)
    render_excerpts(report, console)
    text = console.file.getvalue()
    for word in ("a.txt", "right", "harm", "miss", "error: not there", "controls"):
        assert word in text
