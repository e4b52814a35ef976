"""`daytwo model plan` as people and scripts meet it, with and without cards in the machine."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from serve.main import app
from tools.errors import SiteConfigError


def run(*words):
    return CliRunner(env={"NO_COLOR": "1", "TERM": "dumb"}).invoke(app, ["model", "plan", *words])


def test_a_named_card_is_planned_with_a_command_to_paste():
    told = run("--gpu", "H100", "--context", "8k").output
    assert "H100 80 GB  79.6 GiB" in told
    assert "holds   54 conversations of 8,192 tokens at once" in told
    assert "96 KiB a token (bf16)" in told
    assert "$ vllm serve Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8 " in told
    assert "All figures are arithmetic, none is measured" in told


def test_too_few_for_the_agents_is_said():
    assert "fewer than the 9 agents; the others wait" in run("--gpu", "24GB", "--agents", "9").output


def test_the_document_tells_arithmetic_from_measurement():
    told = json.loads(run("--gpu", "24GB", "--gpu", "16GB", "--context", "8k", "--agents", "5", "--json").stdout)
    assert told["schema"] == "daytwo.model-plan/1"
    assert [plan["contexts"] for plan in told["plans"]] == [5]
    assert told["plans"][0]["holds_all_agents"] is True
    assert told["plans"][0]["fits"]["fp8"]["8192"] == 10
    assert told["figures"]["measured"] == []
    assert set(told["figures"]["arithmetic"]) <= set(told["plans"][0])
    assert told["does_not_fit"][0]["cards"] == "a card of 16 GiB"


def test_an_fp8_cache_is_asked_for_and_warned_of():
    told = run("--gpu", "L40S", "--fp8-cache").output
    assert "--kv-cache-dtype fp8" in told
    assert "calibrated scales" in told


def test_a_model_that_fits_nowhere_is_an_error_with_the_next_command():
    failed = run("--gpu", "16GB").exception
    assert isinstance(failed, SiteConfigError)
    assert "--gpu 2x3090" in failed.fix


def test_without_a_name_the_cards_of_this_machine_are_planned(nvml_standin):
    nvml_standin({"gpu_count": 2})
    told = json.loads(run("--context", "8k", "--json").stdout)
    assert len(told["plans"]) == 1
    assert told["plans"][0]["cards"] == 2
    assert told["plans"][0]["card"]["name"] == "H100 80 GB"
    assert 79 < told["plans"][0]["card"]["reported_gib"] <= 80
    assert told["plans"][0]["replicas"] == 2


def test_without_any_card_the_common_ones_are_shown(nvml_standin):
    nvml_standin({"gpu_count": 0})
    told = run("--context", "8k")
    rows = {line.split("  ")[0]: line.split() for line in told.output.splitlines()}
    assert {"RTX 3090", "H100 80 GB", "B200"} <= set(rows)
    assert rows["H100 80 GB"][-6:] == ["54", "27", "13", "108", "54", "27"]
    assert "these are the common ones" in told.stderr
