"""The conclusion: its schema, its lenient reading, and its grounding into an opinion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent.bounds import HANDLE_CHARACTERS, SIZES, Bounds
from agent.ground import Lookup
from agent.orders import find_own_order
from agent.repair import match_name, parse_lenient_json
from agent.types import Claim, ModelUse, Opinion, Usage
from prompts.render import HARMLESS_BRACKET
from tools.evidence import EvidenceBook
from tools.harmless import neutralise
from tools.types import Facts

UNKNOWN = "unknown"
MAX_CLAIMS = 8
MAX_ALTERNATIVES = 6
MAX_SENTENCE_CHARACTERS = 500
MAX_SUMMARY_CHARACTERS = 800
MAX_NAMED_HANDLES = 60
"""So many handles are named in the schema, the last ones; more make a grammar that is slow to build (a guess)."""
HANDLE = re.compile(r"\[(e\d+)\]")


class _Loose(BaseModel):
    """Base of what a model writes: unknown fields are dropped, frozen once read."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class DraftClaim(_Loose):
    """A sentence and the handles that it cites."""

    text: str = Field(min_length=1)
    evidence: tuple[str, ...] = ()

    @field_validator("evidence", mode="before")
    @classmethod
    def _read_handles(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.replace(",", " ").split()
        if isinstance(value, list | tuple):
            return tuple(str(one).strip("[]() ").lower() for one in value)
        return value


class DraftAlternative(_Loose):
    """Another fault, and why it is less likely."""

    fault: str
    why: str = ""


class Conclusion(_Loose):
    """What a model concludes, before anything of it is believed."""

    fault: str
    summary: str = ""
    claims: tuple[DraftClaim, ...] = ()
    alternatives: tuple[DraftAlternative, ...] = ()
    check_next: str = ""

    @field_validator("claims", mode="before")
    @classmethod
    def _read_claims(cls, value: object) -> object:
        if isinstance(value, list):
            return [{"text": one} if isinstance(one, str) else one for one in value][:MAX_CLAIMS]
        return value

    @field_validator("alternatives", mode="before")
    @classmethod
    def _read_alternatives(cls, value: object) -> object:
        if isinstance(value, Mapping):
            value = [{"fault": fault, "why": why} for fault, why in value.items()]
        if isinstance(value, list):
            return [{"fault": one} if isinstance(one, str) else one for one in value][:MAX_ALTERNATIVES]
        return value

    @field_validator("check_next", mode="before")
    @classmethod
    def _read_check_next(cls, value: object) -> object:
        return "; ".join(str(one) for one in value) if isinstance(value, list) else value or ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A conclusion that cannot be read, and why: told to the model once."""

    why: str


def find_handles(texts: Iterable[str]) -> list[str]:
    """Handles of evidence that were shown, in the order in which they were."""
    return list(dict.fromkeys(handle for text in texts for handle in HANDLE.findall(text)))


def build_schema(
    possible: Sequence[str], *, handles: Sequence[str] = (), bounds: Bounds = SIZES["full"]
) -> dict[str, Any]:
    """Build the strict JSON schema of a conclusion, in which every string and every list has an end.

    Args:
        possible: What `fault` may be, beside ``unknown``.
        handles: Evidence that was shown: nothing else can be cited; any handle where none is named.
        bounds: How long it may be.
    """
    cited: dict[str, Any] = {"type": "string", "maxLength": HANDLE_CHARACTERS}
    if handles:
        cited = {"type": "string", "enum": list(handles[-MAX_NAMED_HANDLES:])}
    claim = _strict({"text": {**_text(bounds.claim), "minLength": 1}, "evidence": _list(cited, bounds.handles)})
    faults = list(dict.fromkeys([*possible, UNKNOWN]))
    alternative = _strict({"fault": {"type": "string", "enum": faults}, "why": _text(bounds.why)})
    return _strict(
        {
            "fault": {"type": "string", "enum": faults},
            "summary": _text(bounds.summary),
            "claims": _list(claim, bounds.claims),
            "alternatives": _list(alternative, bounds.alternatives),
            "check_next": _text(bounds.check_next),
        }
    )


def close_cut(conclusion: Conclusion, bounds: Bounds) -> Conclusion:
    """Take away the word at which a sentence was cut by its bound: half a number is another number."""
    claims = tuple(one.model_copy(update={"text": _whole(one.text, bounds.claim)}) for one in conclusion.claims)
    alternatives = tuple(one.model_copy(update={"why": _whole(one.why, bounds.why)}) for one in conclusion.alternatives)
    return conclusion.model_copy(
        update={
            "summary": _whole(conclusion.summary, bounds.summary),
            "claims": claims,
            "alternatives": alternatives,
            "check_next": _whole(conclusion.check_next, bounds.check_next),
        }
    )


def parse_conclusion(text: str, possible: Sequence[str]) -> Conclusion | Unusable:
    """Read a conclusion out of whatever a model wrote.

    Args:
        text: The answer: JSON, or JSON among prose and fences.
        possible: Faults that may be named; a name that differs by case or dashes is put right.

    Returns:
        The conclusion, or what is wrong with it in words for the model.
    """
    try:
        parsed = parse_lenient_json(text)
    except ValueError as error:
        return Unusable(f"{error}; answer with one JSON object and nothing else")
    if not isinstance(parsed, dict):
        return Unusable("the answer is no JSON object")
    try:
        conclusion = Conclusion.model_validate(parsed)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Unusable(f"{place or 'the object'}: {first['msg']}")
    fault = match_name(conclusion.fault, [*possible, UNKNOWN])
    if not fault:
        return Unusable(f"fault {conclusion.fault[:60]!r} is none of those that are still possible")
    return conclusion.model_copy(update={"fault": fault})


def build_opinion(
    conclusion: Conclusion,
    book: EvidenceBook,
    facts: Facts,
    possible: Mapping[str, str],
    *,
    model: ModelUse | None,
    usage: Usage,
) -> Opinion:
    """Ground a conclusion: what the evidence does not hold is struck out, and the opinion falls with its main claim.

    A summary that states anything beyond the evidence of the standing claims is dropped (the rules' own is used), and
    so is a reason for an alternative.
    """
    lookup = Lookup(book, facts)
    claims = tuple(_strike_order(lookup.ground_claim(_build_claim(draft))) for draft in conclusion.claims)
    standing = list(dict.fromkeys(handle for claim in claims if claim.verified for handle in claim.evidence))
    summary = _clean(conclusion.summary, MAX_SUMMARY_CHARACTERS)
    if not standing or find_own_order(summary) or lookup.find_unsupported(summary, standing, as_claim=True):
        summary = ""
    everything = [evidence.id for evidence in book]
    alternatives = []
    for draft in conclusion.alternatives:
        fault, why = match_name(draft.fault, possible), _clean(draft.why, MAX_SENTENCE_CHARACTERS)
        if fault and fault != conclusion.fault:
            supported = why and not find_own_order(why) and not lookup.find_unsupported(why, everything)
            alternatives.append((fault, why if supported else possible[fault]))
    return Opinion(
        fault=conclusion.fault,
        summary=summary,
        claims=claims,
        alternatives=tuple(dict(alternatives).items()),
        model=model,
        usage=usage,
        rejected=_find_rejection(conclusion.fault, claims),
    )


def _find_rejection(fault: str, claims: Sequence[Claim]) -> str:
    if fault == UNKNOWN:
        return "the model does not know which fault it is"
    if not claims:
        return "the model gave no claim for its fault"
    if not claims[0].verified:
        return f"the model's main claim is not borne out: {claims[0].rejected_because}"
    return ""


def _strike_order(claim: Claim) -> Claim:
    ordered = find_own_order(claim.text) if claim.verified else ""
    return claim.model_copy(update={"verified": False, "rejected_because": ordered}) if ordered else claim


def _build_claim(draft: DraftClaim) -> Claim:
    return Claim(text=_clean(draft.text, MAX_SENTENCE_CHARACTERS), evidence=list(draft.evidence), verified=False)


def _clean(text: str, limit: int) -> str:
    # A quotation comes back with the bracket that the fence made harmless; people read what the log says.
    words = " ".join(neutralise(text.replace(HARMLESS_BRACKET, "<")).split())
    return words if len(words) <= limit else _cut(words[:limit])


def _whole(text: str, limit: int) -> str:
    # A model that ends a sentence at its bound to the letter ended it itself.
    return text if len(text) < limit or text.rstrip().endswith((".", "!", "?", '"')) else _cut(text[:limit])


def _cut(words: str) -> str:
    kept = words.rpartition(" ")[0] or words
    # A quotation that is cut open is closed: its words still stand in the evidence, and a reader sees its end.
    return kept + ('" …' if kept.count('"') % 2 else " …")


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest}


def _list(items: Mapping[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most}


def _strict(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
