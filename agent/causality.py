"""Causal words: "because", "caused", "led to" need two pieces of evidence, in the right order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.evidence import Evidence

# The cause stands before these words …
_FORWARD = re.compile(
    r"\b(?:caus(?:ed|es|ing)|led to|leads to|leading to|triggered|triggers|resulted in|results in|brought down)\b",
    re.IGNORECASE,
)
# … and behind these.
_BACKWARD = re.compile(
    r"\b(?:because(?: of)?|due to|as a result of|caused by|triggered by|owing to|as a consequence of)\b", re.IGNORECASE
)
_WORD = re.compile(r"[a-z0-9]{3,}")


def find_causal_problem(text: str, cited: Sequence[Evidence]) -> str:
    """Say why the causal words of a claim are not borne out; empty where it has none, or where they are.

    The evidence that shares the most words with the cause must not be later than the one that shares the most with
    the effect. Where neither side can be told apart, the claim's own order of citing is taken for cause, then effect.
    """
    backward = _BACKWARD.search(text)
    forward = _FORWARD.search(text)
    match = backward or forward
    if match is None:
        return ""
    if len(cited) < 2:
        return f"says {match[0]!r} on one piece of evidence; a cause and its effect are two"
    before, after = text[: match.start()], text[match.end() :]
    cause, effect = (after, before) if backward else (before, after)
    first, second = _pick_sides(cause, effect, cited)
    order = compare_evidence(first, second)
    if order is None:
        return f"says {match[0]!r}, and the order of {first.id} and {second.id} cannot be told"
    return f"says {match[0]!r}, and {first.id} is later than {second.id}" if order > 0 else ""


def compare_evidence(first: Evidence, second: Evidence) -> float | None:
    """Say which came first: negative where `first` did, 0 where both at once, None where their clocks do not tell."""
    if first.span and second.span and first.span[0] != second.span[0]:
        return -1.0 if first.span[0] < second.span[0] else 1.0
    source, line = _split_place(first.source)
    other_source, other_line = _split_place(second.source)
    if line is not None and other_line is not None and source == other_source:
        return float(line - other_line)
    return 0.0 if first.span and second.span else None


def _pick_sides(cause: str, effect: str, cited: Sequence[Evidence]) -> tuple[Evidence, Evidence]:
    of_cause = max(cited, key=lambda one: _share(cause, one) - _share(effect, one))
    of_effect = max(reversed(cited), key=lambda one: _share(effect, one) - _share(cause, one))
    return (of_cause, of_effect) if of_cause is not of_effect else (cited[0], cited[-1])


def _share(side: str, evidence: Evidence) -> int:
    return len(set(_WORD.findall(side.lower())) & set(_WORD.findall(evidence.quote.lower())))


def _split_place(source: str) -> tuple[str, int | None]:
    name, _, line = source.rpartition(":")
    return (name, int(line)) if line.isdecimal() else (source, None)
