"""Real small models on real vLLM, from the package index to a verdict: weak on purpose, so that every guard is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lane_parts import CASE, find_port
from typer.testing import CliRunner

from agent.backend import parse_endpoint
from agent.backends.http import HttpEndpoint
from agent.preflight.dialogue import ask_plainly
from agent.preflight.endpoint import Question
from agent.profile import ModelProfile, load_profile
from agent.types import TriageReport
from evals.runner import run_eval
from serve.main import app
from serve.model_small import find_small, hash_file, place_small
from serve.model_state import load_state
from serve.vllm import list_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(5400)]
DAYTWO = [sys.executable, "-P", "-c", "from serve.main import main; main()", "model"]
SCENARIOS = ("s-0103", "s-0107")
ANSWER_SECONDS = {"0.5B": 150.0, "1.5B": 600.0}
"""On two busy cores: a window of 8k is read at 100 tokens a second by the one, at 30 by the other."""


class Served:
    """The model as a person has it: `daytwo model serve --small --background`, and a data folder that is kept."""

    def __init__(self, size: str, data: Path, environment: Path) -> None:
        self.small = find_small(size)
        self.data, self.port = data, find_port()
        self.spec = f"http://127.0.0.1:{self.port}/v1#{self.small.name}"
        self.variables = {
            "DAYTWO_DATA_DIR": str(data),
            "DAYTWO_VLLM_ENV": str(environment),
            "DAYTWO_MODEL_TIMEOUT_SECONDS": f"{ANSWER_SECONDS[size]:g}",
            "DAYTWO_INVESTIGATION_SECONDS": f"{3 * ANSWER_SECONDS[size]:g}",
            "DAYTWO_MODEL_TOTAL_SECONDS": f"{6 * ANSWER_SECONDS[size]:g}",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }

    def run(self, *words: str, seconds: float) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*DAYTWO, *words],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module", params=["0.5B", pytest.param("1.5B", marks=pytest.mark.long)])
def served(request, cache_folder, environment):
    served = Served(request.param, cache_folder, environment.path)
    served.run("stop", seconds=120)
    words = ("serve", "--small", "--model", request.param, "--port", str(served.port), "--agents", "8", "--background")
    done = served.run(*words, seconds=1800)
    if done.returncode and "package index does not give" in done.stderr and not os.environ.get("DAYTWO_TEST_VLLM"):
        pytest.skip(done.stderr[-300:])
    assert done.returncode == 0, done.stderr[-3000:]
    served.told = done.stderr
    yield served
    pid = load_state(served.data / "service").replicas[0].pid
    assert served.run("stop", seconds=120).returncode == 0
    assert list_session(pid) == []


@pytest.fixture(scope="module")
def profile(served) -> ModelProfile:
    done = served.run("check", served.spec, "--tries", "6", seconds=3600)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    return load_profile(served.data, *parse_endpoint(served.spec))


@pytest.fixture
def as_a_person(served, profile, monkeypatch):
    for name, value in served.variables.items():
        monkeypatch.setenv(name, value)


def test_it_is_the_model_that_it_should_be_and_says_how_good_it_is(served):
    folder = place_small(served.data, served.small)
    assert hash_file(folder / "model.gguf") == served.small.sha256
    assert served.small.score in served.told
    assert "ready after" in served.told
    assert load_state(served.data / "service").state == "ready"


def test_its_weights_came_through_the_conversion_whole(served):
    """A slip in one matrix, or in the tokenizer, and it talks nonsense."""
    endpoint = HttpEndpoint(*parse_endpoint(served.spec), None, 300.0)
    asked = "What is the capital of France? Answer with one word."
    assert "Paris" in endpoint.ask(Question(ask_plainly(asked), {}, 16)).text
    assert "4" in endpoint.ask(Question(ask_plainly("2 + 2 = ? Answer with the number alone."), {}, 16)).text


def test_the_preflight_finds_the_way_that_works(profile):
    auto, required = profile.tools["auto"], profile.tools["required"]
    assert auto.clean == 0, "no parser understands the fenced JSON that these models write"
    assert auto.leaked == auto.tries == 6
    assert required.usable == required.tries == 6
    assert profile.tool_mode == "required"
    assert profile.fitness == "fit with repair"
    assert profile.json_schema
    assert profile.bounded
    assert profile.conclusions.usable == profile.conclusions.tries == 6
    assert profile.window_tokens >= 6144
    assert profile.prefix_again_seconds < profile.prefix_fresh_seconds / 4
    assert profile.conclusion_seconds is not None


def test_repair_lifts_what_leaks(profile):
    """Where nothing could be demanded, the leaks would have to be read out of the text."""
    auto = profile.tools["auto"]
    assert auto.repaired >= auto.leaked * 0.5


def test_an_investigation_comes_to_its_end(served, as_a_person, tmp_path):
    log = tmp_path / "kern.log"
    log.write_text(CASE, encoding="utf-8")
    rules = CliRunner().invoke(app, ["triage", str(log), "--json", "--no-store"])
    began = time.monotonic()
    asked = CliRunner().invoke(app, ["triage", str(log), "--json", "--no-store", "--model", served.spec])
    before, after = (TriageReport.model_validate_json(one.stdout).verdicts[0] for one in (rules, asked))
    assert after.model.name == served.small.name
    assert after.usage.calls >= 2
    assert after.usage.tokens_cached > 0
    assert time.monotonic() - began < ANSWER_SECONDS["1.5B"] * 3
    assert "in time" not in (after.reason or ""), "the conclusion came to its end"
    assert after.action == before.action, "a small model makes nothing more invasive"
    unverified = [claim for claim in after.claims if not claim.verified]
    assert all(claim.rejected_because for claim in unverified)


def test_in_the_seat_it_harms_nobody(served, as_a_person):
    row = run_eval([served.spec], scenario_ids=SCENARIOS).backends[0]
    assert row.infrastructure_errors == 0
    assert row.harmful.count == 0


@pytest.mark.long
@pytest.mark.timeout(12 * 3600)
def test_the_whole_set_alone_in_the_seat_and_by_rules(served, as_a_person, cache_folder):
    """One row each, over the same cases; its `runs` pair them by scenario."""
    report = run_eval(["rules", served.spec, f"alone@{served.spec}"])
    kept = cache_folder / f"eval-{served.small.name}.json"
    kept.write_text(report.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
    rules, seat, alone = report.backends
    assert seat.harmful.count <= rules.harmful.count
    assert seat.infrastructure_errors + alone.infrastructure_errors < 0.1 * seat.harmful.total
