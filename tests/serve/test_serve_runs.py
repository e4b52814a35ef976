"""What a model was asked and answered is kept, shown step by step, and held again without the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.backends.replay import find_divergence, parse_replies
from evals.scripted import ScriptedServer
from serve.main import app
from tools.errors import ModelError

LOG = (
    "Nov 20 02:14:09 n7 kernel: [18934.214926] NVRM: Xid (PCI:0000:4e:00): 31, pid=4711, name=python, Ch 00000010, "
    "intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f1c_e0000000\n"
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store with one investigation in it, and its evidence."""
    folder = tmp_path_factory.mktemp("runs")
    env = {"DAYTWO_DATA_DIR": str(folder / "data"), "COLUMNS": "200", "NO_COLOR": "1"}
    (folder / "kern.log").write_text(LOG, encoding="utf-8")
    with ScriptedServer("careful") as server:
        result = CliRunner().invoke(
            app, ["triage", str(folder / "kern.log"), "--model", server.spec, "--json"], env=env
        )
    assert json.loads(result.stdout)["verdicts"][0]["usage"]["calls"] > 1, result.output
    return folder, env


def invoke(kept, *words: str):
    return CliRunner().invoke(app, list(words), env=kept[1])


def test_a_run_is_listed_without_its_conversation_and_its_price_is_unknown(kept) -> None:
    listed = json.loads(invoke(kept, "runs", "list", "--json").stdout)["runs"]
    assert len(listed) == 1
    assert "messages" not in listed[0]
    assert listed[0]["usage"]["cost"] is None
    assert "unknown" in invoke(kept, "runs", "list").stdout


def test_a_run_is_shown_step_by_step(kept) -> None:
    run_id = json.loads(invoke(kept, "runs", "list", "--json").stdout)["runs"][0]["run_id"]
    page = invoke(kept, "runs", "show", run_id[:6], "--full").stdout
    for part in ("system prompt", "model", "tool", "Xid (PCI:0000:4e:00): 31", "conclude"):
        assert part in page
    folded = invoke(kept, "runs", "show", run_id).stdout
    assert "more lines: --full" in folded
    assert len(folded) < len(page)


def test_a_run_is_held_again_without_a_model_to_the_same_opinion(kept) -> None:
    folder, _ = kept
    run_id = json.loads(invoke(kept, "runs", "list", "--json").stdout)["runs"][0]["run_id"]
    result = invoke(kept, "runs", "replay", run_id, str(folder / "kern.log"), "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["divergence"]) == (0, "")
    assert found["decided_by"] in ("rules+model", "model")


def test_another_evidence_is_seen_to_differ(kept, tmp_path: Path) -> None:
    folder, _ = kept
    exported = tmp_path / "run.json"
    run_id = json.loads(invoke(kept, "runs", "list", "--json").stdout)["runs"][0]["run_id"]
    exported.write_text(invoke(kept, "runs", "show", run_id, "--json").stdout, encoding="utf-8")
    other = tmp_path / "kern.log"
    other.write_text(LOG + LOG.replace("02:14:09", "02:14:11"), encoding="utf-8")
    result = invoke(kept, "runs", "replay", str(exported), str(other), "--json")
    assert result.exit_code == 1
    assert "differs" in json.loads(result.stdout)["divergence"]
    assert (folder / "kern.log").exists()


def test_evidence_without_the_case_and_unknown_runs_are_told(kept, tmp_path: Path) -> None:
    other = tmp_path / "quiet.log"
    other.write_text("Nov 20 02:14:09 n7 kernel: usb 1-1: new high-speed USB device\n", encoding="utf-8")
    run_id = json.loads(invoke(kept, "runs", "list", "--json").stdout)["runs"][0]["run_id"]
    assert "holds no case" in str(invoke(kept, "runs", "replay", run_id, str(other)).exception)
    assert "No investigation begins" in str(invoke(kept, "runs", "show", "r-zzzz").exception)


def test_a_record_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError):
        parse_replies([{"text": "no calls"}])
    assert find_divergence([{"role": "user", "content": "a"}], []) == "1 messages were recorded, 0 were exchanged now"
