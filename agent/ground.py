"""Grounding: every number, quotation, name and time of a claim is looked up in the evidence that it cites.

What is not found there is struck out with the reason. Not checked is what the other words mean: "its fan
stopped before Xid 79" passes; that is why an opinion never decides more than the fault, and never the action.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from agent.causality import find_causal_problem
from agent.quantities import Quantity, bears_out, parse_quantities, read_values
from agent.types import Claim
from tools.entities import normalise_pci
from tools.evidence import Evidence, EvidenceBook
from tools.types import Entity, Event, Facts

# No handle is the end of a host's name (node-e09) or a piece of an address (0000:e1:00); e1-e3 are two.
_HANDLE = re.compile(r"[\[(]?(?:(?<![\w:./\-])|(?<=\be\d-)|(?<=\be\d\d-))e(\d+)(?![\w:/]|-(?!e\d))[\])]?(?!\.\d)")
_QUOTED = re.compile(r"\"([^\"]{2,})\"|“([^”]{2,})”|`([^`]{2,})`|«([^»]{2,})»|(?<!\w)'([^']{3,})'(?!\w)")
_ISO = re.compile(r"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)(?:Z|[+-]\d\d:?\d\d)?")
_CLOCK = re.compile(r"(?<![\w:.])(\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)Z?(?![\w:])")
_DATE = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)")
_PCI = re.compile(
    r"(?<![\w:.])(?:PCI:)?((?:[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)"
    r"|(?:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]))(?!\w|:\w)",
    re.IGNORECASE,  # what is looked up in is lower case
)
_XID = re.compile(r"\bS?Xids?\b(?:\s+(?:code|error|event)s?)?\s*[:#]?\s*(\d+)\b", re.IGNORECASE)
_GPU_INDEX = re.compile(r"\bGPU\s*#?(\d+)\b", re.IGNORECASE)
_JOB = re.compile(r"\bjob\s*#?(\d+)\b", re.IGNORECASE)
_LANES = re.compile(r"(?<!\w)x(\d+)\b|\b(\d+)x(?!\w)")
_NAME_WITH_DIGIT = re.compile(r"(?<![\w.])(?=[\w.:/\-]*[A-Za-z_])(?=[\w.:/\-]*\d)[A-Za-z0-9_][\w.:/\-]*\w")
_DOTTED = re.compile(r"(?<![\w.])\d+(?:\.\d+){2,}(?:[:/]\d+)?(?![\w.])")
_DOMAIN = re.compile(r"[A-Za-z0-9][\w-]+(?:\.[A-Za-z][\w-]+)+")
# Plural only: "79 on gpu" and "3 in job" count nothing.
_COUNTED = re.compile(r"\b(\d+|[a-z]+)\s+(events|lines|entries|messages|gpus|nodes|hosts|jobs|disks|ranks)\b")
_NUMBER_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
                 "eleven": 11, "twelve": 12}  # fmt: skip
_ADVICE = re.compile(
    r"\b(replac|swap|rma\b|reboot|reset|power[- ]?cycl|drain|cordon|reseat|restart|reinstall|limit_tenant|fix_fac)",
    re.IGNORECASE,
)
_REACHES = re.compile(r"\b(?:https?|ftp|wss?|mailto)://?\S+|\bwww\.\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_DENIAL = re.compile(r"\b(not|no|never|none|nothing|neither|nor|without|cannot|missing|\w+n't)\b", re.IGNORECASE)
_RELIEF = re.compile(
    r"\b(?:is|are|was|were|be|been|remains?|looks?|seems?|works?|runs?) (?:all |now |again |still |quite )*"
    r"(healthy|fine|okay|well|normal|normally|sound|harmless|over|solved|resolved|recovered|in order)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{3,}")
_BRACKETS = re.compile("[\u2039\uff1c\ufe64]")
_COMMON = frozenset({
    "the", "and", "was", "were", "has", "have", "had", "for", "with", "that", "this", "from", "its", "are", "not",
    "but", "all", "one", "any", "been", "into", "onto", "over", "under", "than", "then", "there", "which", "while",
    "when", "what", "who", "how", "did", "does", "shows", "show", "says", "said", "seen", "reported", "logged", "line",
    "log", "evidence",
})  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """What the cited evidence holds, made ready to be looked up in."""

    evidence: tuple[Evidence, ...]
    events: tuple[Event, ...]
    text: str
    numbers: tuple[Quantity, ...]
    from_log: bool
    known_names: frozenset[str] = field(default_factory=frozenset)

    def holds(self, token: str) -> bool:
        """Say whether a name stands in the evidence as a whole word; case is ignored."""
        return re.search(rf"(?<![\w]){re.escape(_plain(token))}(?![\w])", self.text) is not None


def ground_claims(claims: Iterable[Claim], book: EvidenceBook, facts: Facts | None = None) -> tuple[Claim, ...]:
    """Check every claim against the evidence that it cites.

    Args:
        claims: As the model made them; what they say of `verified` is ignored.
        book: The evidence that was shown.
        facts: Where given, entities and event codes of the cited lines can be named as well as the lines' own words.

    Returns:
        The same claims in order, each verified, or not and with the reason.
    """
    lookup = Lookup(book, facts or Facts())
    return tuple(lookup.ground_claim(claim) for claim in claims)


class Lookup:
    """Finds what stands behind a piece of evidence: events, entities, readings; built once for all claims."""

    def __init__(self, book: EvidenceBook, facts: Facts) -> None:
        self.book = book
        self._events: dict[str, list[Event]] = {}
        self._entities: dict[str, list[Entity]] = {}
        self._readings: dict[str, dict[str, float | str]] = {}
        for event in facts.events:
            self._events.setdefault(event.quote.place, []).append(event)
            self._entities.setdefault(event.quote.place, []).append(event.entity)
        for link in facts.links:
            self._entities.setdefault(link.quote.place, []).extend((link.subject, link.object))
        for window in facts.windows:
            for row, quote in window.quotes.items():
                self._entities.setdefault(quote.place, []).append(window.entities[row])
                read = {signal: window.latest(row, signal) for signal in window.values}
                known = {signal: value for signal, value in read.items() if value is not None}
                self._readings.setdefault(quote.place, {}).update(known)
        named = [*facts.entities, *(entity for entities in self._entities.values() for entity in entities)]
        names = {name for entity in named for name in (entity.node, entity.name)}
        self._known = frozenset(name.lower() for name in names if len(name) >= 3 and not name.isdigit())

    def ground_claim(self, claim: Claim) -> Claim:
        """Check one claim; see :func:`ground_claims`."""
        problem = _find_citation_problem(claim, self.book)
        if not problem:
            cited = self._find(claim.evidence)
            ground = self._gather(cited)
            problem = (
                _first_problem(claim.text, ground)
                or find_causal_problem(_QUOTED.sub(" ", claim.text), cited)
                or _find_denial(claim.text, ground)
                or _say_vacuous(claim.text, ground)
                or _find_relief(claim.text, ground)
            )
        return claim.model_copy(update={"verified": not problem, "rejected_because": problem or None})

    def find_unsupported(self, text: str, evidence_ids: Sequence[str], *, as_claim: bool = False) -> str:
        """Say what a sentence states that the given evidence does not hold; empty where nothing.

        Args:
            text: A summary or a reason.
            evidence_ids: Handles of the evidence that it may rest on.
            as_claim: Whether it must say something, and deny nothing, as a claim must.
        """
        ground = self._gather(self._find(evidence_ids))
        problem = _first_problem(text, ground)
        if problem or not as_claim:
            return problem
        return _find_denial(text, ground) or _say_vacuous(text, ground) or _find_relief(text, ground)

    def _find(self, evidence_ids: Sequence[str]) -> list[Evidence]:
        return [one for one in map(self.book.find, evidence_ids) if one is not None]

    def _gather(self, cited: Sequence[Evidence]) -> Ground:
        events = tuple(event for one in cited for event in self._events.get(one.source, ()))
        texts: list[str] = []
        numbers: list[Quantity] = []
        for one in cited:
            values = {**self._readings.get(one.source, {}), **one.values}
            texts += [one.quote, one.source, *(one.span or ()), *values, *(str(value) for value in values.values())]
            numbers += parse_quantities(_blank(one.quote, (_ISO, _CLOCK, _DATE, _PCI, _DOTTED)))
            numbers += read_values(values)
            for entity in self._entities.get(one.source, ()):
                texts += [str(entity), *entity.id_map.values()]
        texts += [event.code for event in events]
        numbers += [number for event in events for number in parse_quantities(" ".join(event.fields.values()))]
        text = _plain(" \n ".join(texts))
        return Ground(tuple(cited), events, text, tuple(numbers), bool(events), self._known)


def _find_citation_problem(claim: Claim, book: EvidenceBook) -> str:
    if not claim.evidence:
        return "cites no evidence"
    missing = [one for one in claim.evidence if book.find(one) is None]
    if missing:
        return f"cites {', '.join(missing)}, which was never shown"
    cited = {one.strip().lower() for one in claim.evidence}
    named = [f"e{number}" for number in _HANDLE.findall(claim.text)]
    stray = [one for one in named if one not in cited and book.find(one) is None]
    return f"speaks of {stray[0]}, which was never shown" if stray else ""


def _first_problem(text: str, ground: Ground) -> str:
    """Run the checks in order; each takes what it has checked out of the text, so that nothing is checked twice."""
    rest = _HANDLE.sub(" ", text)
    for check in (_check_quotes, _check_times, _check_addresses, _check_codes, _check_names, _check_numbers):
        rest, problem = check(rest, ground)
        if problem:
            return problem
    return _check_advice(text, ground)


def _check_quotes(text: str, ground: Ground) -> tuple[str, str]:
    for match in _QUOTED.finditer(text):
        quoted = next(group for group in match.groups() if group)
        pieces = [_plain(piece).strip(" .,;:") for piece in re.split(r"…|\.\.\.", quoted)]
        if not all(piece in ground.text for piece in pieces if piece):
            return text, f"quotes {quoted[:80]!r}, which does not stand in {_spell(ground)}"
    return _QUOTED.sub(" ", text), ""


def _check_times(text: str, ground: Ground) -> tuple[str, str]:
    seen = {clock.replace(",", ".") for _, clock in _ISO.findall(ground.text.upper())}
    seen |= {clock.replace(",", ".") for clock in _CLOCK.findall(ground.text.upper())}
    for match in _ISO.finditer(text):
        if match[1] not in ground.text or not _has_clock(match[2], seen):
            return text, f"time {match[0]} does not stand in {_spell(ground)}"
    rest = _ISO.sub(" ", text)
    for match in _CLOCK.finditer(rest):
        if not _has_clock(match[1], seen):
            return text, f"time {match[0]} does not stand in {_spell(ground)}"
    rest = _CLOCK.sub(" ", rest)
    for match in _DATE.finditer(rest):
        if match[0] not in ground.text:
            return text, f"date {match[0]} does not stand in {_spell(ground)}"
    return _DATE.sub(" ", rest), ""


def _has_clock(claimed: str, seen: Iterable[str]) -> bool:
    wanted = claimed.replace(",", ".")
    return any(one == wanted or one.startswith((f"{wanted}:", f"{wanted}.")) for one in seen)


def _check_addresses(text: str, ground: Ground) -> tuple[str, str]:
    seen = {normalise_pci(match[1]) for match in _PCI.finditer(ground.text)}
    seen |= {event.entity.id_map.get("pci", "") for event in ground.events}
    for match in _PCI.finditer(text):
        if normalise_pci(match[1]) not in seen:
            return text, f"address {match[1]} does not stand in {_spell(ground)}"
    return _PCI.sub(" ", text), ""


def _check_codes(text: str, ground: Ground) -> tuple[str, str]:
    codes = {event.code.lower() for event in ground.events}
    for match in _XID.finditer(text):
        family = "sxid" if match[0].lower().startswith("sxid") else "xid"
        written = re.search(rf"\b{family}\b.*?(?<![\w.]){match[1]}(?![\w.]\w)", ground.text)
        if f"{family}:{match[1]}" not in codes and not (written and not codes):
            return text, f"{match[0]} does not stand in {_spell(ground)}"
    rest = _XID.sub(" ", text)
    for pattern, kind in ((_GPU_INDEX, "gpu"), (_JOB, "job")):
        for match in pattern.finditer(rest):
            if not _is_named(kind, match[1], ground):
                return text, f"{match[0]} does not stand in {_spell(ground)}"
        rest = pattern.sub(" ", rest)
    return rest, ""


def _is_named(kind: str, name: str, ground: Ground) -> bool:
    names = {event.entity.name for event in ground.events if event.entity.kind == kind}
    names |= {event.job for event in ground.events} if kind == "job" else set()
    if name in names or re.search(rf"\b{kind}\S{{0,3}}\s*[#:/=]?\s*{name}\b|/{name}\b", ground.text):
        return True
    # A row of a table names its GPU by a bare number in its first column.
    return not ground.from_log and bears_out(Quantity(float(name), 0), ground.numbers, unit_must_be_seen=False)


def _check_names(text: str, ground: Ground) -> tuple[str, str]:
    rest = _LANES.sub(lambda match: f" {match[1] or match[2]} ", text)
    for pattern in (_DOTTED, _NAME_WITH_DIGIT):
        for match in pattern.finditer(rest):
            if pattern is _NAME_WITH_DIGIT and _is_quantity(match[0]):
                continue
            if not ground.holds(match[0]):
                return text, f"{match[0]!r} does not stand in {_spell(ground)}"
        rest = pattern.sub(lambda match: match[0] if _is_quantity(match[0]) else " ", rest)
    for found in re.findall(r"[\w.\-]*[A-Za-z][\w.\-]*", rest):
        word = found.strip(".-")
        if (word.lower() in ground.known_names or _DOMAIN.fullmatch(word)) and not ground.holds(word):
            return text, f"{word!r} does not stand in {_spell(ground)}"
    return rest, ""


def _is_quantity(token: str) -> bool:
    found = list(parse_quantities(token))
    return len(found) == 1 and (bool(found[0].dimension) or token.lower().startswith("0x")) and found[0].text == token


def _check_numbers(text: str, ground: Ground) -> tuple[str, str]:
    counted = {match.span(1): match[2] for match in _COUNTED.finditer(text.lower())}
    for claimed in _read_claimed(text):
        noun = counted.get((claimed.start, claimed.end), "")
        if noun and _count_nouns(noun, ground) == claimed.value:
            continue
        if noun in ("gpus", "nodes", "hosts", "jobs", "disks", "ranks"):
            # The number of a rank is no count of ranks: only the evidence's own "8 GPUs" bears "8 GPUs" out.
            if re.search(rf"(?<![\w.]){claimed.value:.0f}\s+{noun}\b", ground.text):
                continue
            return text, f"'{claimed.text} {noun}' does not stand in {_spell(ground)}"
        if not bears_out(claimed, ground.numbers, unit_must_be_seen=ground.from_log):
            return text, f"{claimed.text!r} does not stand in {_spell(ground)}"
    return text, ""


def _read_claimed(text: str) -> Iterator[Quantity]:
    yield from parse_quantities(text)
    for match in re.finditer(r"\b[a-z]+\b", text.lower()):
        if match[0] in _NUMBER_WORDS:
            yield Quantity(float(_NUMBER_WORDS[match[0]]), 0, text=match[0], start=match.start(), end=match.end())


def _count_nouns(noun: str, ground: Ground) -> int:
    kind = noun.rstrip("s").replace("host", "node")
    if kind in ("gpu", "disk"):
        return len({event.entity for event in ground.events if event.entity.kind == kind})
    counts = {
        "node": {event.node for event in ground.events if event.node},
        "job": {event.job for event in ground.events if event.job},
        "rank": {event.fields["rank"] for event in ground.events if "rank" in event.fields},
    }
    return len(counts[kind]) if kind in counts else len(ground.evidence)


def _check_advice(text: str, ground: Ground) -> str:
    if reached := _REACHES.search(_QUOTED.sub(" ", text)):
        return f"names an address ({reached[0][:60]}) as its own words: it can only be quoted"
    for match in _ADVICE.finditer(text):
        if match[1].lower() not in ground.text:
            return f"advises an action ({match[0]}…), which is the policy's to choose"
    return ""


def _find_denial(text: str, ground: Ground) -> str:
    """A line shows what is there; that something is not there can be claimed only where the evidence itself denies."""
    denied = _DENIAL.search(_QUOTED.sub(" ", text))
    if denied is None or _DENIAL.search(ground.text):
        return ""
    return f"denies something ({denied[0]!r}), which nothing in {_spell(ground)} does"


def _find_relief(text: str, ground: Ground) -> str:
    """That something is well, or over, is borne out only by evidence that says so in that word."""
    relief = _RELIEF.search(_QUOTED.sub(" ", text))
    if relief is None or relief[1].lower() in ground.text:
        return ""
    return f"says that something is {relief[1]}, which nothing in {_spell(ground)} does"


def _say_vacuous(text: str, ground: Ground) -> str:
    # Four letters find "timed out" in "timeout" and "fell" is carried by the other words of its sentence.
    seen = {word[:4] for word in _WORD.findall(ground.text)}
    if any(word[:4] in seen for word in _WORD.findall(text.lower()) if word not in _COMMON):
        return ""
    return "" if re.search(r"\d", _HANDLE.sub(" ", text)) else f"says nothing that {_spell(ground)} holds"


def _spell(ground: Ground) -> str:
    return ", ".join(one.id for one in ground.evidence) or "the evidence"


def _blank(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text = pattern.sub(" ", text)
    return text


def _plain(text: str) -> str:
    # The prompt shows "<" of evidence as a harmless bracket; a model quotes what it saw.
    return " ".join(_BRACKETS.sub("<", text).lower().split())
