"""Retrieval: the right runbook among three for words that nobody fitted to it."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rag.embed import DIMENSIONS, BuiltinEmbedder
from rag.library import open_library
from rag.retrieve import MODES, RANK_OFFSET, fuse_ranks
from rag.score import read_questions, render_scores, score_retrieval
from rag.words import find_synonyms, read_synonyms, split_terms, stem_word

HERE = Path(__file__).parent
MEASURED = HERE / "symptom_queries.csv"
MEASURED_LATER = HERE / "symptom_queries_2.csv"
NONSENSE = HERE / "nonsense_queries.csv"
DEVELOPED_ON = HERE / "dev_queries.csv"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    opened = open_library(tmp_path_factory.mktemp("rag"))
    yield opened
    opened.close()


def show(name, scores, capsys):
    with capsys.disabled():
        sys.stdout.write(f"\n{name}\n{render_scores(scores)}\n")


def test_symptoms_in_other_peoples_words(library, capsys):
    rows = read_questions(MEASURED)
    assert len(rows) >= 60
    scores = score_retrieval(library, rows)
    show("symptom queries, written without sight of the runbooks", scores, capsys)
    assert scores["hybrid"].hit_at_3 >= 0.9


def test_symptoms_written_before_the_later_runbooks(library, capsys):
    rows = read_questions(MEASURED_LATER)
    assert len(rows) >= 60
    scores = score_retrieval(library, rows)
    show("symptom queries 2, by the author of the later runbooks, written before them", scores, capsys)
    assert scores["hybrid"].hit_at_3 >= 0.9


def test_later_symptoms_ask_for_every_fault_that_got_its_runbook_later(library):
    known = {book.fault for book in library.runbooks()}
    first = {fault for row in read_questions(MEASURED) for fault in row.accepted}
    later = {fault for row in read_questions(MEASURED_LATER) for fault in row.accepted}
    assert later <= known and known - first <= later


def test_development_queries(library, capsys):
    scores = score_retrieval(library, read_questions(DEVELOPED_ON))
    show("development queries", scores, capsys)
    assert scores["hybrid"].hit_at_3 >= 0.9
    assert min(scores[mode].hit_at_3 for mode in MODES) >= 0.85


def test_development_queries_accept_only_runbooks_that_exist(library):
    known = {book.fault for book in library.runbooks()}
    assert all(row.accepted <= known for row in read_questions(DEVELOPED_ON))


@pytest.mark.parametrize("part", ["chosen on", "held out"])
def test_a_question_about_something_else_is_near_nothing(library, part):
    with NONSENSE.open(encoding="utf-8", newline="") as stream:
        questions = [row["query"] for row in csv.DictReader(stream) if row["part"] == part]
    assert len(questions) == 30
    found = [question for question in questions if library.search(question, near=True)]
    assert len(found) <= 7, found  # 2 and 6 of 30 when this was written


def test_no_symptom_is_taken_for_something_else(library):
    asked = [row for path in (MEASURED, MEASURED_LATER, DEVELOPED_ON) for row in read_questions(path)]
    refused = [row for row in asked if not library.search(row.query, limit=1, near=True)]
    assert len(asked) > 200
    assert len(refused) <= 1, refused


@pytest.mark.parametrize(
    "query", ["xid 79", "ecc", "throttle", "NVRM: Xid (PCI:0000:4e:00): 79, pid=1, GPU has fallen off the bus", "oom"]
)
def test_a_short_question_or_a_line_of_a_log_is_near(library, query):
    assert library.search(query, near=True)


def test_passages_are_of_different_runbooks_and_limited(library):
    found = library.search("the disk is slow and jobs stall", limit=4)
    assert len(found) == len({p.runbook for p in found}) == 4
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert all(p.id == f"{p.runbook}#{p.section}" and p.text and p.title for p in found)
    assert library.search("the disk is slow", limit=0) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", ["", "   ", "the of and", "zxqv wqkj", "日本語 только", "!!! ???"])
def test_a_question_without_known_words_finds_nothing_or_weak(library, mode, query):
    assert library.search(query, mode=mode) == []


@pytest.mark.parametrize("query", ["x " * 20_000, "gpu\x00\x1b[31m lost", "gpu_off_bus' OR 1=1 --", "a" * 100_000])
def test_hostile_questions_do_no_harm(library, query):
    assert len(library.search(query)) <= 5


def test_section_by_slug_and_by_heading(library):
    passage = library.section("gpu_off_bus", "confirm")
    assert passage is not None and passage.id == "gpu_off_bus#confirm" and "dmesg" in passage.text
    assert library.section("gpu_off_bus", "Confirm it") == passage
    assert library.section("gpu_off_bus", "nonsense") is None
    assert library.section("nonsense", "confirm") is None


def test_same_question_same_answer(library, tmp_path):
    other = open_library(tmp_path)
    try:
        question = "checkpoint write hangs and load climbs"
        assert other.search(question) == library.search(question)
    finally:
        other.close()


def test_fusion_counts_places_not_scores():
    fused = fuse_ranks([{"a": 900.0, "b": 1.0}, {"b": 0.9, "c": 0.1}])
    assert fused["a"] == pytest.approx(1 / (RANK_OFFSET + 1))
    assert fused["b"] == pytest.approx(1 / (RANK_OFFSET + 2) + 1 / (RANK_OFFSET + 1))
    assert max(fused, key=fused.__getitem__) == "b"


@pytest.mark.parametrize(
    ("words", "stem"),
    [("stalls stalled stalling stall", "stal"), ("drives drive", "driv"), ("mismatches mismatch", "mismatch")],
)
def test_endings_come_off(words, stem):
    assert {stem_word(word) for word in words.split()} == {stem}


def test_terms_keep_codes_and_numbers():
    assert split_terms("Xid 79 on nvme0n1: ERR! isn't Gen5") == ["xid", "79", "nvme0", "n1", "err", "isnt", "gen5"]


def test_synonyms_are_general_words():
    assert "disk" in find_synonyms("my ssd is slow")
    assert find_synonyms("disk ssd drive nvme") == [] or "disk" not in find_synonyms("disk ssd drive nvme")
    assert not any("_" in phrase for phrase in read_synonyms())


def test_builtin_vectors_depend_on_their_text_alone():
    embedder = BuiltinEmbedder()
    alone = embedder.embed_passages(["gpu lost"])
    embedder.learn(["gpu lost", "disk full", "gpu hot"])
    together = embedder.embed_passages(["disk full", "gpu lost", ""])
    assert together.shape == (3, DIMENSIONS) and together.dtype == np.float32
    np.testing.assert_array_equal(alone[0], together[1])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), [1, 1, 0], atol=1e-6)


def test_rare_words_weigh_more_in_a_question():
    embedder = BuiltinEmbedder()
    texts = ["gpu gpu common words", "gpu thermal", "gpu fan", "gpu link"]
    embedder.learn(texts)
    similar = embedder.embed_passages(texts) @ embedder.embed_query("gpu thermal")
    assert int(np.argmax(similar)) == 1


def test_import_is_cheap():
    code = (
        "import sys, rag.library\n"
        "heavy = {'chromadb', 'numpy', 'bm25s', 'httpx', 'yaml', 'onnxruntime', 'tokenizers'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
