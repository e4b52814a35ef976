"""How well retrieval does: questions in people's words against the runbooks that answer them."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.library import Library
from rag.retrieve import MODES, Mode

DEPTH = 10
"""How far down a right runbook still counts for the mean reciprocal rank."""


@dataclass(frozen=True, slots=True)
class Question:
    """A symptom in people's words, and the faults whose runbook answers it."""

    query: str
    accepted: frozenset[str]


@dataclass(frozen=True, slots=True)
class RetrievalScore:
    """Shares of questions, 0.0 to 1.0, whose right runbook came first or among three; counted in runbooks."""

    questions: int
    hit_at_1: float
    hit_at_3: float
    mean_reciprocal_rank: float
    median_milliseconds: float


def read_questions(path: Path) -> list[Question]:
    """Read a CSV with the columns ``query`` and ``accepted``, faults parted by ``|``."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            Question(row["query"], frozenset(row["accepted"].replace(" ", "").split("|")))
            for row in csv.DictReader(handle)
        ]


def score_retrieval(library: Library, rows: Sequence[Question]) -> dict[str, RetrievalScore]:
    """Ask every question in every mode: hybrid, dense alone, BM25 alone."""
    library.search("warm up", limit=1)
    return {mode: _build_score([_ask(library, row, mode) for row in rows]) for mode in MODES}


def render_scores(scores: Mapping[str, RetrievalScore]) -> str:
    """Render one line for each mode, for a bench or a log."""
    return "\n".join(
        f"{mode:7} hit@1 {s.hit_at_1:.3f}  hit@3 {s.hit_at_3:.3f}  MRR {s.mean_reciprocal_rank:.3f}"
        f"  n {s.questions}  median {s.median_milliseconds:.1f} ms"
        for mode, s in scores.items()
    )


def _ask(library: Library, row: Question, mode: Mode) -> tuple[int | None, float]:
    """Return the place of the first right runbook, from 1, None below `DEPTH`; and the seconds it took."""
    start = time.perf_counter()
    found = library.search(row.query, limit=DEPTH, mode=mode)
    seconds = time.perf_counter() - start
    places = (place for place, passage in enumerate(found, start=1) if passage.runbook in row.accepted)
    return next(places, None), seconds


def _build_score(answers: Sequence[tuple[int | None, float]]) -> RetrievalScore:
    total = len(answers)
    if not total:
        return RetrievalScore(0, 0.0, 0.0, 0.0, 0.0)
    places = [place for place, _ in answers if place is not None]
    return RetrievalScore(
        questions=total,
        hit_at_1=sum(place == 1 for place in places) / total,
        hit_at_3=sum(place <= 3 for place in places) / total,
        mean_reciprocal_rank=sum(1 / place for place in places) / total,
        median_milliseconds=1000 * statistics.median(seconds for _, seconds in answers),
    )
