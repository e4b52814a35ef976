"""Expressions that are searched only where a literal of theirs stands find what they find when all are searched."""

from __future__ import annotations

import csv
import re
from importlib.resources import files

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.bench_log import PEACE, TROUBLE
from tools.parsers._any_of import AnyOf
from tools.parsers._covers import derive_covers
from tools.parsers._log_alarm import _load_harmless
from tools.parsers._log_progress import _EXPRESSIONS, _PROGRESS
from tools.parsers._wording import load_wording

TABLE = list(csv.DictReader(files("tools").joinpath("catalogue", "wording.csv").read_text("utf-8").splitlines()))
HARMLESS = [
    row["pattern"]
    for row in csv.DictReader(files("tools").joinpath("catalogue", "harmless.csv").read_text("utf-8").splitlines())
]
SUBJECTS = [f"(?i:{row['subject']})" for row in TABLE]
WORDS = st.sampled_from(
    [
        "step",
        "STEP",
        "Epoch",
        "3",
        "4/10",
        "100%|=====|",
        "7/9",
        "[",
        "loss",
        "Loss=1.2",
        "lr",
        "nan",
        "tok/s",
        "it/s",
        "saved",
        "Saving",
        "checkpoint",
        "ckpt",
        "model",
        ".pt",
        "done",
        "training",
        "Validation",
        "resumed",
        "gsp",
        "NVLink",
        "nvlink",
        "fabric",
        "manager",
        "disk",
        "Disk",
        "SMART",
        "fan",
        "Temperature",
        "ECC",
        "uncorrectable",
        "lost",
        "Kernel",
        chr(0x212A),
        f"{chr(0x17F)}tep",
        f"{chr(0x130)}ter",
        "é",
        "{",
        "'loss':",
        "INFO:",
        "GET",
        "HTTP/1.1",
        "200",
        "#",
        "nThread",
        "float",
        "sum",
        "-1",
        "1.2",
        "3.4",
        "...",
        "time",
        "(ms)",
        "|",
    ]
)
LINES = [words.format(up="1.5", n=7, p=77, s=3, h="5a5a5a5", l="c") for *_, words in (*PEACE, *TROUBLE)]


def search_all(expressions: list[str] | tuple[str, ...], text: str) -> list[int]:
    return [number for number, expression in enumerate(expressions) if re.search(expression, text)]


@settings(max_examples=500, deadline=None)
@given(st.lists(WORDS | st.text(max_size=4), max_size=9).map(" ".join))
def test_no_match_is_lost(text: str) -> None:
    assert list(_PROGRESS.find(text)) == search_all(_EXPRESSIONS, text)
    assert list(load_wording().subjects.find(text)) == search_all(SUBJECTS, text)
    assert list(_load_harmless().find(text)) == search_all(HARMLESS, text)
    assert _PROGRESS.search(text) == bool(search_all(_EXPRESSIONS, text))


@pytest.mark.parametrize("expressions", [_EXPRESSIONS, SUBJECTS, HARMLESS])
def test_what_each_expression_is_for_is_found(expressions: tuple[str, ...]) -> None:
    asked = AnyOf(expressions)
    tried: list[str] = []

    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def find(data: st.DataObject) -> None:
        for expression in expressions:
            text = data.draw(st.from_regex(expression)).replace("\n", " ")[:300]
            assert list(asked.find(text)) == search_all(expressions, text)
            tried.append(text)

    find()
    assert len(tried) >= len(expressions) >= 20


def test_lines_of_logs_are_asked_alike() -> None:
    told = [list(load_wording().subjects.find(line)) for line in LINES]
    assert told == [search_all(SUBJECTS, line) for line in LINES]


def test_literals_in_small_letters_are_told_of_either_case() -> None:
    assert derive_covers("(?i)Failed (?:To|AT)") == []
    assert derive_covers("(?i)Failed (?:To|AT)", is_folded=True) == [frozenset({"failed to", "failed at"})]
    assert derive_covers("x(?i:Lost|GONE)[Tt]he", is_folded=True) == [frozenset({"xlostthe", "xgonethe"})]
    assert derive_covers("[a-c]Xyz", is_folded=True) == [frozenset({"xyz"})]
    assert derive_covers("Übertrag", is_folded=True) == [frozenset({"Übertrag"})]
