"""The bench measures what it says; its figures are not asserted here."""

from __future__ import annotations

import sys

from evals.bench import FAULT_LINE, PARTS, main, measure_child, measure_code, write_log


def test_the_log_has_one_fault_far_back(tmp_path):
    path = tmp_path / "kern.log"
    count, interest = write_log(path, 200_000)
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [number for number, line in enumerate(lines) if line.endswith(FAULT_LINE)]
    assert len(lines) == count
    assert 0 < interest < 0.05 * count
    assert len(places) == 1
    assert 0.65 < places[0] / count < 0.75
    assert 200_000 <= path.stat().st_size < 201_000


def test_a_child_is_measured(tmp_path):
    program = "import time; print('x', flush=True); time.sleep(0.2)"
    child = measure_child([sys.executable, "-c", program], tmp_path / "out")
    assert child.exit_code == 0
    assert 0.2 < child.seconds < 10
    assert 0 < child.told_seconds < child.seconds - 0.15
    assert child.resident_bytes > 4 * 1024**2
    assert (tmp_path / "out").read_text(encoding="utf-8") == "x\n"
    assert measure_child([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "out").exit_code == 3


def test_code_is_counted(tmp_path):
    text = "\n".join(measure_code(tmp_path))
    assert "agent " in text
    assert "longest function `" in text


def test_parts_by_name(capsys):
    assert set(PARTS) == {"help", "small", "log", "dialects", "library", "eval", "code"}
    assert main(["code"]) == 0
    assert capsys.readouterr().out.startswith("## 20")
