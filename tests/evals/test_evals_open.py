"""Open scenarios: what rules cannot know, what a plan finds by tools, and how the two are told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.settings import Settings
from evals.open_report import build_open_report
from evals.open_runner import OpenRun, open_runbooks, run_open_eval, run_open_scenario
from evals.open_scenario import OPEN_FOLDER, RUNBOOK_FOLDER, OpenScenario, load_open_scenarios, name_edition
from evals.score import wilson_interval
from evals.scripted import ScriptedServer
from evals.seats import Seat, open_seat
from tools.errors import OperatorError

SCENARIOS = load_open_scenarios()
KINDS = {"past", "peers", "counters", "neighbour", "job", "older", "runbook"}


def choose(*kinds: str) -> list[OpenScenario]:
    """The first scenario of each kind."""
    return [next(scenario for scenario in SCENARIOS if scenario.found == kind) for kind in kinds]


def test_there_are_enough_of_every_kind_with_opaque_names() -> None:
    assert len(SCENARIOS) >= 30
    assert {scenario.found for scenario in SCENARIOS} == KINDS
    assert all(path.stem.removeprefix("o-").isdecimal() for path in OPEN_FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_rules_alone_leave_it_open_and_are_no_more_than_that(scenario: OpenScenario) -> None:
    case, twin = run_open_scenario(scenario, Seat("rules"))
    assert not case.right, "rules must not know it"
    assert twin.right
    assert case.verdict.confidence == "inconclusive"
    assert case.verdict.fault == twin.verdict.fault, "the opening is the same"
    assert scenario.case.truth.fault not in scenario.twin.truth.faults


def test_a_plan_finds_by_tools_what_each_kind_hides_and_is_not_taken_in_by_twins() -> None:
    plain = open_seat("investigator")
    runs = [run for one in choose("counters", "neighbour", "past", "peers") for run in run_open_scenario(one, plain)]
    assert [run.right for run in runs] == [True] * len(runs)
    assert all(run.verdict.decided_by == "model" for run in runs if not run.twin)
    assert not any(run.harm for run in runs)
    assert all(run.calls and run.tokens_in > 1000 for run in runs)


def test_a_runbook_names_the_line_that_confirms() -> None:
    with open_runbooks(RUNBOOK_FOLDER) as library:
        seat = open_seat("investigator")
        asked = Seat(seat.name, seat.backend, library, seat.budget)
        case, twin = run_open_scenario(choose("runbook")[0], asked)
    assert (case.right, twin.right) == (True, True)
    assert case.verdict.fault != twin.verdict.fault


def test_chance_finds_next_to_nothing_and_is_the_same_every_time() -> None:
    seat = open_seat("random")
    once, again = ([run_open_scenario(one, seat) for one in choose("past", "older")] for _ in range(2))
    assert [[run.verdict.fault for run in pair] for pair in once] == [[r.verdict.fault for r in p] for p in again]
    assert sum(case.right for case, _ in once) <= 1
    assert not any(run.harm for pair in once for run in pair)


def test_a_model_is_placed_between_floor_and_ceiling() -> None:
    case, twin = run_open_scenario(choose("past")[0], Seat("rules"))

    def make(backend: str, rights: str, *, steps: int = 3) -> list[OpenRun]:
        told = []
        for number, right in enumerate(rights):
            for run in (case, twin):
                made = {"backend": backend, "scenario": f"o-{number:04}", "right": right == "1", "steps": steps}
                told.append(OpenRun(**{**{name: getattr(run, name) for name in OpenRun.__slots__}, **made}))
        return told

    report = build_open_report([*make("random", "0001"), *make("investigator", "1111"), *make("m", "0011")])
    rows = {row.backend: row for row in report.backends}
    assert [rows[name].used_room for name in ("random", "investigator", "m")] == [0.0, 1.0, pytest.approx(0.333)]
    low, high = wilson_interval(2, 4) or (0.0, 0.0)
    assert (rows["m"].right.low, rows["m"].right.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))
    assert rows["m"].both.count == 2
    assert json.loads(report.model_dump_json(by_alias=True))["schema"] == "daytwo.open-eval/1"


def test_the_scenarios_are_frozen() -> None:
    # Figures in docs/log.md name this edition; who changes a scenario measures the floor and the ceiling again.
    assert name_edition(SCENARIOS) == "c5cd965d567a"
    assert name_edition(SCENARIOS[1:]) != name_edition(SCENARIOS)


def test_what_is_no_scenario_says_so(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="o-0000"):
        run_open_eval(["rules"], ["o-0000"])
    (tmp_path / "o-0001.yaml").write_text("id: o-0001\n", encoding="utf-8")
    with pytest.raises(OperatorError, match="no open scenario"):
        load_open_scenarios(tmp_path)


def test_a_model_behind_a_socket_is_asked_with_the_same_tools_and_placed() -> None:
    ids = [scenario.id for scenario in choose("past")]
    with ScriptedServer("careful") as server:
        report = run_open_eval([server.spec], ids, settings=Settings())
        asked = [request for request in server.requests if request.get("tools")]
    rows = {row.backend: row for row in report.backends}
    assert list(rows) == ["rules", "random", "investigator", server.spec]
    assert rows[server.spec].unmeasured == 0
    assert rows[server.spec].right.total == 1
    assert rows[server.spec].harmful.count == 0
    assert rows["investigator"].right.count == 1
    heads = {json.dumps([request["messages"][0], request["tools"]]) for request in asked}
    assert len(asked) >= 4
    assert len(heads) == 1, "system prompt and tools are the same bytes whatever the case"
