"""Words: how runbooks and questions are cut into terms, and which operators' words mean the same."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_TOKEN = re.compile(r"[a-z]+[0-9]+(?:\.[0-9]+)*|[a-z]+|[0-9]+")
_SUFFIXES = (
    ("ational", "ate"), ("ations", "ate"), ("ation", "ate"), ("iness", "y"), ("ingly", ""), ("edly", ""),
    ("ities", "ity"), ("ness", ""), ("ment", ""), ("ings", ""), ("ing", ""), ("ies", "y"), ("ied", "y"),
    ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("ed", ""), ("ly", ""), ("s", ""),
)  # fmt: skip
_MIN_STEM = 3
_DOUBLED = re.compile(r"([b-df-hj-np-rtvwxz])\1$")

STOP_WORDS = frozenset({
    "a", "about", "after", "again", "all", "also", "an", "and", "any", "anybody", "anyone", "are", "as", "at", "be",
    "been", "before", "being", "but", "by", "can", "cannot", "could", "did", "do", "does", "doing", "done", "each",
    "else", "even", "ever", "every", "few", "for", "from", "get", "gets", "got", "had", "has", "have", "he", "her",
    "here", "his", "how", "i", "if", "in", "into", "is", "it", "its", "itself", "just", "keep", "keeps", "kept",
    "let", "like", "make", "makes", "may", "me", "might", "more", "most", "must", "my", "no", "nor", "not", "now",
    "of", "off", "on", "one", "only", "or", "other", "our", "out", "own", "please", "same", "see", "seems", "she",
    "should", "so", "some", "somehow", "something", "still", "such", "suddenly", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "thing", "things", "think", "this", "those", "to", "too", "try",
    "trying", "two", "up", "us", "use", "used", "using", "very", "want", "was", "we", "were", "what", "when",
    "where", "which", "while", "who", "why", "will", "with", "would", "you", "your",
})  # fmt: skip
"""Words that tell one fault from another never; ``not``, ``off`` and ``no`` count only within a phrase."""


def split_words(text: str) -> list[str]:
    """Cut text into lower-case words and numbers; ``ERR!``, ``nvme0n1`` and ``mlx5_0`` fall into their parts."""
    return _TOKEN.findall(text.lower().replace("'t", "t").replace("'s", ""))


@cache
def stem_word(word: str) -> str:
    """Take the endings off an English word, so that ``stalls``, ``stalled`` and ``stalling`` are one term.

    A short list of endings, no dictionary: wrong stems do no harm while both sides get the same one.
    """
    if len(word) <= _MIN_STEM or not word.isalpha() or word.endswith(("ss", "us", "is")):
        return word
    for suffix, replacement in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM:
            word = word[: -len(suffix)] + replacement
            break
    word = _DOUBLED.sub(r"\1", word)
    return word[:-1] if len(word) > _MIN_STEM + 1 and word.endswith("e") else word


def split_terms(text: str) -> list[str]:
    """Cut text into stems without stop words, in order, repeats kept."""
    return [stem_word(word) for word in split_words(text) if word not in STOP_WORDS]


def find_synonyms(text: str) -> list[str]:
    """Find the terms that operators also use for what a question says, without those that it says itself."""
    said = f" {' '.join(stem_word(word) for word in split_words(text))} "
    terms = [term for phrase, means in read_synonyms().items() if f" {phrase} " in said for term in means]
    own = set(split_terms(text))
    return [term for term in dict.fromkeys(terms) if term not in own]


@cache
def read_synonyms() -> Mapping[str, tuple[str, ...]]:
    """Read the table of operators' words: stemmed phrase to the stems that it also means."""
    with (Path(__file__).parent / "synonyms.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return {" ".join(stem_word(word) for word in split_words(row["said"])): _stems(row["means"]) for row in rows}


def _stems(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(split_terms(text)))
