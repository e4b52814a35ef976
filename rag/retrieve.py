"""Retrieval: sections ranked by BM25 and by vectors, fused, one passage for each runbook."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from rag.embed import SYNONYM_WEIGHT, Embedder
from rag.words import find_synonyms, split_terms

if TYPE_CHECKING:
    from bm25s import BM25

    from rag.store import Stored, VectorStore

Mode = Literal["hybrid", "dense", "bm25"]
MODES: tuple[Mode, ...] = ("hybrid", "dense", "bm25")

RANK_OFFSET = 60
"""k of reciprocal rank fusion, 1 / (k + rank): the value of its authors (Cormack, Clarke, Büttcher, SIGIR 2009)."""

NEAREST_CHUNKS = 400
"""How many chunks the vector store is asked for: all of the shipped ones, and a bound when a site adds many."""

REST_WEIGHT = 0.3
"""What all sections together add to the best one and to the symptoms; chosen on the development queries."""

SYMPTOM_SECTION = "see"

NEAR_SHARE = 0.5
SURE_SHARE = 0.75
NEAR_SCORE = 2.3
"""A question is near the runbooks if they hold half of its words and the best section scores so high in BM25, or three
quarters of its words. Chosen on the symptom queries (at most one of 219 may be refused) against questions about
cooking and football; `tests/rag/nonsense_queries.csv` holds both, and as many that were written after the choice."""


class Retriever:
    """Ranks what the store holds; built anew when the index changes.

    Args:
        chunks: All that is indexed.
        store: Asked for the nearest vectors.
        embedder: The one that made the vectors of the store.
    """

    def __init__(self, chunks: Sequence[Stored], store: VectorStore, embedder: Embedder) -> None:
        self._chunks = {chunk.id: chunk for chunk in chunks}
        self._ids = list(self._chunks)
        self._store = store
        self._embedder = embedder
        texts = [spell_passage(chunk.title, chunk.text) for chunk in chunks]
        embedder.learn(texts)
        terms = [split_terms(text) for text in texts]
        self._known = {term for row in terms for term in row}
        self._words = _build_word_index(terms)

    def rank(self, query: str, mode: Mode) -> list[tuple[Stored, float]]:
        """Rank runbooks, each by its best section; those that share nothing with the question are left out."""
        scores = [
            *([self._score_words(query)] if mode != "dense" else []),
            *([self._score_vectors(query)] if mode != "bm25" else []),
        ]
        books = [self._sum_sections(one) for one in scores]
        best = self._pick_sections(scores)
        ranked = fuse_ranks(books) if len(books) > 1 else books[0]
        return [(self._chunks[best[book]], score) for book, score in _by_score(ranked)]

    def is_near(self, query: str) -> bool:
        """Say whether a question is about anything that stands in the runbooks; numbers alone make it near nothing."""
        terms = split_terms(query)
        words = [term for term in terms if term.isalpha()] or terms
        share = sum(word in self._known for word in words) / max(len(words), 1)
        if share < NEAR_SHARE:
            return False
        return share >= SURE_SHARE or max(self._score_words(query).values(), default=0.0) >= NEAR_SCORE

    def _score_words(self, query: str) -> dict[str, float]:
        """Score every section by BM25; synonyms count for less than the question's own words."""
        total: defaultdict[str, float] = defaultdict(float)
        for terms, weight in ((split_terms(query), 1.0), (find_synonyms(query), SYNONYM_WEIGHT)):
            known = [term for term in terms if term in self._known]
            if known and self._words is not None:
                for chunk_id, score in zip(self._ids, self._words.get_scores(known), strict=True):
                    total[chunk_id] += weight * float(score)
        return {chunk_id: score for chunk_id, score in total.items() if score > 0}

    def _score_vectors(self, query: str) -> dict[str, float]:
        vector = self._embedder.embed_query(query)
        if not vector.any():
            return {}
        nearest = self._store.query_nearest(vector, NEAREST_CHUNKS)
        return {chunk_id: score for chunk_id, score in nearest if score > 0 and chunk_id in self._chunks}

    def _sum_sections(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Sum up a runbook: its best section, its symptoms again, and a share of all."""
        sections: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for chunk_id, score in scores.items():
            chunk = self._chunks[chunk_id]
            sections[chunk.runbook][chunk.section] = score
        return {
            book: max(found.values()) + found.get(SYMPTOM_SECTION, 0.0) + REST_WEIGHT * sum(found.values())
            for book, found in sections.items()
        }

    def _pick_sections(self, scores: Sequence[Mapping[str, float]]) -> dict[str, str]:
        """Pick the section of each runbook that stands highest in the rankings together."""
        best: dict[str, str] = {}
        for chunk_id, _ in _by_score(fuse_ranks(scores)):
            best.setdefault(self._chunks[chunk_id].runbook, chunk_id)
        return best


def fuse_ranks(rankings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Fuse rankings by reciprocal rank: scores of different kinds are never compared, only places.

    Args:
        rankings: Each a map of id to score, higher is better.

    Returns:
        Id to the sum of 1 / (60 + rank) over the rankings that hold it.
    """
    fused: defaultdict[str, float] = defaultdict(float)
    for scores in rankings:
        for rank, (name, _) in enumerate(_by_score(scores), start=1):
            fused[name] += 1.0 / (RANK_OFFSET + rank)
    return dict(fused)


def spell_passage(title: str, text: str) -> str:
    """Spell a chunk as it is indexed: its runbook's title, then its text."""
    return f"{title}\n{text}"


def _by_score(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _build_word_index(terms: Sequence[Sequence[str]]) -> BM25 | None:
    if not any(terms):
        return None
    import bm25s

    index = bm25s.BM25(method="lucene")
    index.index([list(row) for row in terms], show_progress=False)
    return index
