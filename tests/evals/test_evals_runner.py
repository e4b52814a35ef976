"""The edition on the rules: all right, no false alarm, no harm; and no truth ever reaches what is scored."""

import json
from itertools import chain

import pytest

from agent.types import TriageReport
from evals.report import EvalReport, build_eval_report
from evals.runner import RunResult, run_eval, run_scenario, triage_evidence
from evals.scenario import EvidenceFile, Scenario, load_scenarios
from evals.seats import RULES, RULES_IN_SEAT, Seat, WatchedBackend, open_seat
from tools.errors import ModelError, OperatorError

# The one field of a verdict that is new each time.
NEW_EACH_TIME = {"verdict_id": "v"}
# What only an investigation has.
OF_THE_SEAT = {"claims": [], "usage": None, "model": None, "decided_by": "rules", "reason": None}

KNOWN_MISSES: dict[str, str] = {}
"""Scenarios that the rules get wrong today, and why; one that is right by now has to leave the list."""


@pytest.fixture(scope="module")
def scenarios() -> tuple[Scenario, ...]:
    return load_scenarios()


@pytest.fixture(scope="module")
def rules_report() -> EvalReport:
    return run_eval([RULES])


def spell(report: TriageReport, **changes) -> str:
    verdicts = [verdict.model_copy(update={**NEW_EACH_TIME, **changes}) for verdict in report.verdicts]
    return report.model_copy(update={"verdicts": verdicts}).model_dump_json()


def wrong_runs(report, *, twin):
    return {run.scenario: "; ".join(run.misses) for run in report.runs if run.twin == twin and not run.right}


def test_rules_get_every_scenario_right_but_the_known_misses(rules_report):
    wrong = wrong_runs(rules_report, twin=False)
    assert {name: words for name, words in wrong.items() if name not in KNOWN_MISSES} == {}


def test_rules_stay_quiet_on_every_twin(rules_report):
    assert wrong_runs(rules_report, twin=True) == {}


def test_a_known_miss_that_is_right_by_now_is_taken_off_the_list(rules_report):
    assert set(KNOWN_MISSES) - set(wrong_runs(rules_report, twin=False)) == set()


def test_rules_propose_no_harm_and_nothing_is_spoiled(rules_report):
    (row,) = rules_report.backends
    harmful = {run.scenario for run in rules_report.runs if "harmful" in "; ".join(run.misses)}
    assert harmful <= set(KNOWN_MISSES)
    assert row.false_alarms.count == 0
    assert row.infrastructure_errors == 0
    assert row.fault.total == row.twin_right.total == rules_report.scenarios


def swap_truths(scenarios):
    """Give every scenario and every twin the truth, the id and the words of the next one."""
    following = [*scenarios[1:], scenarios[0]]
    return [
        one.model_copy(
            update={
                "id": other.id,
                "about": other.about,
                "truth": other.twin.truth,
                "twin": one.twin.model_copy(update={"truth": other.truth}),
            }
        )
        for one, other in zip(scenarios, following, strict=True)
    ]


@pytest.mark.slow
def test_with_truths_swapped_every_verdict_is_the_same_to_the_byte(scenarios):
    seat = open_seat(RULES)
    before = chain.from_iterable(run_scenario(scenario, seat) for scenario in scenarios)
    after = chain.from_iterable(run_scenario(scenario, seat) for scenario in swap_truths(scenarios))
    pairs = list(zip(before, after, strict=True))
    assert len(pairs) == 2 * len(scenarios)
    for one, other in pairs:
        assert spell(one.report) == spell(other.report)
    assert not all(one.score.all_right == other.score.all_right for one, other in pairs)


def test_with_truths_swapped_every_prompt_is_the_same_to_the_byte(scenarios):
    seat = open_seat(RULES_IN_SEAT)
    some = scenarios[::5]
    asked = 0
    for one, other in zip(some, swap_truths(some), strict=True):
        prompts = []
        for scenario in (one, other):
            watched = WatchedBackend(seat.backend)
            triage_evidence(scenario.evidence, seat, watched)
            prompts.append(json.dumps(watched.asked, sort_keys=True))
            asked += len(watched.asked)
        assert prompts[0] == prompts[1]
        assert one.id not in prompts[0]
        assert one.about not in prompts[0]
    assert asked >= 2 * len(some)


@pytest.mark.slow
def test_the_rules_in_the_seat_say_what_the_judge_says(scenarios):
    judge, seat = open_seat(RULES), open_seat(RULES_IN_SEAT)
    assert scenarios
    for scenario in scenarios:
        alone = triage_evidence(scenario.evidence, judge)
        seated = triage_evidence(scenario.evidence, seat, WatchedBackend(seat.backend))
        fields = ("fault", "subject", "status", "confidence", "severity", "action", "urgency", "follow_up", "plan")
        for one, other in zip(alone.verdicts, seated.verdicts, strict=True):
            assert [getattr(one, f) for f in fields] == [getattr(other, f) for f in fields], scenario.id
            assert other.decided_by == "rules"


class DeafBackend:
    name = "deaf"
    endpoint_kind = "remote"

    def step(self, messages, tools, *, seconds):
        raise ModelError("Asked http://127.0.0.1:9/v1; connection refused.", fix="start the server")

    def conclude(self, messages, schema, *, seconds):
        raise ModelError("Asked http://127.0.0.1:9/v1; connection refused.", fix="start the server")


def test_a_broken_endpoint_is_counted_apart_and_never_scored(scenarios):
    result, _ = run_scenario(scenarios[0], Seat("http://127.0.0.1:9/v1#deaf", DeafBackend()))
    assert "connection refused" in result.infrastructure_error
    assert result.score is None
    assert result.report.verdicts[0].decided_by == "rules"
    (row,) = build_eval_report([result], repeats=1).backends
    assert row.infrastructure_errors == 1
    assert row.fault.total == 0
    assert row.fault.low is None


def test_one_scenario_can_be_asked_for_with_repeats():
    report = run_eval([RULES], 3, ["s-0417"])
    assert (report.scenarios, report.repeats, len(report.runs)) == (1, 3, 6)
    assert report.backends[0].pass_hat_k.total == 2


def test_a_backend_that_is_no_backend_is_refused():
    with pytest.raises(OperatorError, match="no http"):
        open_seat("guesswork")


def test_evidence_that_no_parser_knows_is_a_wrong_answer_and_no_excuse(scenarios):
    noise = (EvidenceFile(path="notes.txt", text="buy milk\nand bread\n"),)
    result, _ = run_scenario(scenarios[0].model_copy(update={"evidence": noise}), Seat(RULES))
    assert result.infrastructure_error == ""
    assert not result.score.fault_right
    assert not result.score.all_right


def test_a_folder_that_cannot_be_written_is_infrastructure(scenarios, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("evals.runner.write_evidence", refuse)
    result, _ = run_scenario(scenarios[0], Seat(RULES))
    assert isinstance(result, RunResult)
    assert (result.score, result.infrastructure_error) == (None, "disk full")
