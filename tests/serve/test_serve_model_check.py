"""`daytwo model check` as people and scripts meet it: ten lines, a verdict first, a profile that is kept."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from agent.profile import ModelProfile, load_profile
from evals.manners import Manners
from evals.scripted import ScriptedServer
from serve.main import app
from tools.errors import ModelError, OperatorError


@pytest.fixture
def check(tmp_path):
    def run(spec, *words):
        environment = {
            "NO_COLOR": "1",
            "TERM": "dumb",
            "DAYTWO_DATA_DIR": str(tmp_path),
            "DAYTWO_MODEL_TIMEOUT_SECONDS": "60",
        }
        return CliRunner(env=environment).invoke(app, ["model", "check", spec, "--tries", "3", *words])

    return run


def test_a_good_model_is_told_in_ten_lines_and_kept(check, tmp_path):
    with ScriptedServer(manners=Manners(engine="vllm", window_tokens=9000, claimed_tokens=16384)) as server:
        result = check(server.spec)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].startswith("FIT  scripted  http://127.0.0.1:")
    assert lines[0].endswith("vLLM 0.32.0")
    assert len(lines) <= 10
    assert "calls 3 of 3 valid, conclusions 3 of 3 valid" in lines[1]
    assert "of 16,384 claimed · beyond it status 400: This model's maximum context length is 9000" in result.stdout
    assert "auto 3/3 clean · required 3/3 clean · named 3/3 clean · one at a time" in result.stdout
    kept = load_profile(tmp_path, server.url, "scripted")
    assert kept is not None
    assert 8700 < kept.window_tokens <= 9000
    assert "daytwo: trying context window" in result.stderr


def test_a_leaking_model_is_fit_with_repair(check):
    with ScriptedServer(manners=Manners(auto="fenced")) as server:
        result = check(server.spec)
    assert result.exit_code == 0
    assert result.stdout.startswith("FIT WITH REPAIR")
    assert "auto 0/3 clean, 3 leaked, 0 after repair" in result.stdout
    assert "a call demanded" in result.stdout


def test_a_model_that_cannot_do_it_ends_with_one(check):
    with ScriptedServer(manners=Manners(window_tokens=2000, overflow="truncate", streams=False, usage=False)) as server:
        result = check(server.spec)
    assert result.exit_code == 1
    assert result.stdout.startswith("NOT FIT")
    assert "cut without a word" in result.stdout
    assert "does not stream" in result.stdout
    assert "no usage told" in result.stdout


def test_the_document_is_the_profile(check, tmp_path):
    out = tmp_path / "profile.json"
    with ScriptedServer(manners=Manners()) as server:
        told = check(server.spec, "--json", "--out", str(out)).stdout
    profile = ModelProfile.model_validate_json(told)
    assert json.loads(told)["schema"] == "daytwo.model-profile/1"
    assert ModelProfile.model_validate_json(out.read_text()) == profile
    assert load_profile(tmp_path, server.url, "scripted") == profile


@pytest.mark.parametrize("trouble", ["html", "refuse", "error_401"])
def test_what_is_no_model_leaves_no_profile(check, tmp_path, trouble):
    with ScriptedServer(trouble) as server:
        result = check(server.spec)
    assert isinstance(result.exception, ModelError)
    assert "/models" in result.exception.fix
    assert list(tmp_path.rglob("*.json")) == []


def test_a_secret_in_the_url_is_refused(check):
    assert isinstance(check("http://me:s3cret@h/v1#m").exception, OperatorError)
