"""What the smaller commands print for people, called in this process."""

from __future__ import annotations

import csv
import json

import pytest

from agent.settings import load_settings
from agent.types import RunbookRef
from serve.catalogue import run_faults
from serve.evaluate import EvalRequest, run_evaluate
from serve.library import read_excerpts, run_index, run_runbook
from tools.errors import OperatorError


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_search_for_people(capsys):
    assert run_runbook(["search", "one", "guest", "makes", "the", "disk", "slow"], limit=2, as_json=False) == 0
    shown = capsys.readouterr().out
    assert shown.count("daytwo runbook ") == 2
    assert "daytwo runbook io_noisy_neighbor" in shown


def test_search_needs_words():
    with pytest.raises(OperatorError, match="no words"):
        run_runbook(["search"], limit=2, as_json=False)


def test_a_runbook_as_a_document(capsys):
    assert run_runbook(["disk_lost"], limit=5, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["fault"]) == ("daytwo.runbook/1", "disk_lost")
    assert list(document["sections"]) == ["see", "confirm", "do", "dont", "escalate"]


def test_words_that_are_no_fault_are_searched_for(capsys):
    with pytest.raises(OperatorError) as caught:
        run_runbook(["disk", "is", "slow"], limit=5, as_json=False)
    assert caught.value.fix == "daytwo runbook search disk is slow"


def test_index_for_people(capsys):
    assert run_index(as_json=False) == 0
    assert "added" in capsys.readouterr().out


def test_a_search_for_something_else_offers_the_list(capsys):
    assert run_runbook(["search", "banana", "bread", "recipe"], limit=5, as_json=False) == 0
    assert capsys.readouterr().out == "Nothing in the runbooks is close to that.   daytwo runbook list\n"
    assert run_runbook(["search", "banana", "bread", "recipe"], limit=5, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["passages"] == []


def test_all_runbooks_are_listed(capsys):
    assert run_runbook(["list"], limit=5, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert run_runbook(["list"], limit=5, as_json=True) == 0
    rows = json.loads(capsys.readouterr().out)["runbooks"]
    assert [line.split()[0] for line in lines] == [row["fault"] for row in rows]
    assert len(rows) >= 70


REFERENCE = RunbookRef(id="gpu_off_bus", section="do")


def test_an_excerpt_needs_no_index(data_dir):
    assert "Collect evidence" in read_excerpts([REFERENCE], load_settings())[REFERENCE]
    assert not data_dir.exists()


def test_a_runbook_of_the_site_that_cannot_be_read_costs_a_note(data_dir, capsys):
    (data_dir / "runbooks").mkdir(parents=True)
    (data_dir / "runbooks" / "gpu_off_bus.md").write_text("no runbook", encoding="utf-8")
    assert read_excerpts([REFERENCE], load_settings()) == {}
    assert "no runbook can be shown" in capsys.readouterr().err


def test_eval_for_people(capsys):
    assert run_evaluate(EvalRequest(scenarios=("s-0114",)), as_json=False) == 0
    assert "rules" in capsys.readouterr().out


def test_scripted_models_beside_the_rules_fit_a_hundred_columns(capsys):
    """Whatever a model says, no action does harm; four columns and the misses stay readable in a pipe."""
    request = EvalRequest(scripted=("all",), scenarios=("s-0114", "s-0107"))
    assert run_evaluate(request, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["backend"] for row in document["backends"]] == [
        "rules", "scripted:careful", "scripted:bad", "scripted:wrong", "scripted:obedient",
    ]  # fmt: skip
    assert all(row["harmful"]["count"] == 0 and row["infrastructure_errors"] == 0 for row in document["backends"])
    assert run_evaluate(request, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert any(line.split()[:1] == ["harmful"] for line in lines)
    with pytest.raises(OperatorError, match="no scripted model 'clever'"):
        run_evaluate(EvalRequest(scripted=("clever",)), as_json=False)


def test_excerpts(tmp_path, capsys):
    folder = tmp_path / "excerpts"
    folder.mkdir()
    line = "[ 12.5] NVRM: Xid (PCI:0000:4e:00): 79, pid=1, GPU has fallen off the bus.\n"
    (folder / "a.txt").write_text(line, encoding="utf-8")
    with (folder / "accepted.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "accepted_faults", "harmful_actions", "format"])
        rows.writerow(["a.txt", "gpu_off_bus", "replace_part", "kernel_log"])
    assert run_evaluate(EvalRequest(excerpts=folder), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["right"]["count"] == 1
    assert run_evaluate(EvalRequest(excerpts=folder), as_json=False) == 0


def test_faults_mark_what_is_not_detected_yet(capsys):
    assert run_faults(as_json=False) == 0
    assert "(not yet)" in capsys.readouterr().out
