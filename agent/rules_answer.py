"""Answers without a model: a question is matched to cases, entities, faults and runbooks, and rules say what they hold.

Nothing is understood here; words are found again. What no word of the question leads to is said to be so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from agent.backend import ToolCall
from agent.desk import Desk
from agent.faults import load_faults
from agent.sentences import Sentence
from agent.toolbox import Answer, Passage, Toolbox
from agent.types import Verdict
from rag.errors import RagError
from tools.lookup import covers, list_names
from tools.types import Entity

MAX_CASES = 3
MAX_ROWS = 4
MAX_LISTED = 12
PASSAGE_CHARACTERS = 300
_WORD = re.compile(r"[\w.:/\-]*\w")
_CASE = re.compile(r"\bc-[0-9a-f]{4,}")
_HANDLE = re.compile(r"\be\d+\b")
_ROW = re.compile(r"^\s*\[(e\d+)\] (.*)$", re.MULTILINE)
_COMMON = frozenset({
    "what", "which", "when", "where", "why", "how", "who", "the", "and", "was", "were", "has", "have", "had", "not",
    "with", "from", "this", "that", "there", "node", "nodes", "host", "gpu", "gpus", "disk", "disks", "card", "job",
    "wrong", "fault", "error", "errors", "problem", "case", "cases", "next", "should", "does", "did", "can", "you",
    "about", "happened", "tell", "show", "any", "are", "for", "cause", "caused", "failed", "failure", "down", "gone",
})  # fmt: skip


class Shelf(Protocol):
    """Runbooks that can be searched, and that say so where nothing in them is near."""

    def search(self, query: str, *, limit: int = 5, near: bool = False) -> Sequence[Passage]:
        """Find the sections nearest to a query, best first; with `near` none where nothing is."""
        ...

    def section(self, runbook: str, section: str) -> Passage | None:
        """Read one section by name; None where there is none."""
        ...


SIGNALS: Mapping[str, str] = {
    "hot": "temperature", "temperature": "temperature", "warm": "temperature", "clock": "clock", "power": "power",
    "watt": "power", "memory": "memory", "vram": "memory", "utili": "utilization", "busy": "utilization",
    "fan": "fan", "queue": "queue", "await": "await", "latency": "await", "link width": "width",
}  # fmt: skip
"""Beginnings of words that ask for a reading, and the part of a signal's name that they mean."""
KINDS: Mapping[str, str] = {
    "gpu": "gpu", "card": "gpu", "disk": "disk", "drive": "disk", "ssd": "disk", "nvme": "disk", "network": "nic",
    "nic": "nic", "guest": "guest", "vm": "guest", "job": "job", "node": "node", "host": "node",
}  # fmt: skip
"""Beginnings of words, and the kind of entity that they mean."""
Part = Callable[[Verdict, Desk], Iterator[Sentence]]


def answer_by_rules(question: str, desk: Desk, library: Shelf | None = None) -> list[Sentence]:
    """Answer a question by what its words name.

    Args:
        question: In the person's words.
        desk: Cases, facts and evidence.
        library: Runbooks, for what no case speaks of.
    """
    handles = [one for one in map(desk.book.find, _HANDLE.findall(question)) if one is not None]
    if handles:
        return [Sentence(f"{one.source}: {one.quote} [{one.id}]", (one.id,), "borne_out") for one in handles]
    if _MISSING.search(question):
        return list(_tell_missing(desk))
    entities = find_entities(question, desk)
    signals = [signal for begin, signal in SIGNALS.items() if re.search(rf"\b{begin}", question, re.IGNORECASE)]
    if entities and signals:
        return [sentence for one in entities[:MAX_CASES] for sentence in _read_entity(one, desk, signals)]
    parts = [part for pattern, part in _PARTS if pattern.search(question)]
    if not entities and not parts and _ALL.search(question) and _names_nothing(question):
        return list(_list_cases(desk))
    verdicts = find_verdicts(question, desk, entities)
    parts = parts or [_tell_summary]
    told = [sentence for one in verdicts[:MAX_CASES] for part in parts for sentence in part(one, desk)]
    if not told and entities:
        told = [sentence for one in entities[:MAX_CASES] for sentence in _read_entity(one, desk)]
    return told or list(_search_runbooks(question, desk, library))


def find_entities(question: str, desk: Desk) -> list[Entity]:
    """The entities that a question names: by full spelling, by id, by node, or as ``gpu 3``."""
    words = _WORD.findall(question)
    pairs = [f"{one} {other}" for one, other in pairwise(words)]
    singles = [word for word in words if len(word) > 2 and not word.isdigit() and word.lower() not in _COMMON]
    found = [entity for spelling in (*pairs, *singles) for entity in desk.index.find(spelling.removeprefix("@"))]
    devices = [one for one in found if one.kind != "node"]
    nodes = [one for one in found if one.kind == "node"]
    # "gpu 3 of n7" names one card: the node only says which.
    narrowed = [one for one in devices if any(covers(node, one) for node in nodes)]
    return list(dict.fromkeys(narrowed or devices or nodes))


def find_verdicts(question: str, desk: Desk, entities: Sequence[Entity]) -> list[Verdict]:
    """The verdicts that a question is about, the nearest first; all where it names nothing and there are few."""
    named = [one for one in desk.verdicts if any(one.case_id.startswith(case) for case in _CASE.findall(question))]
    if named:
        return named
    scored = [(_score_fault(question, one), _touches(one, entities), one) for one in desk.verdicts]
    if entities:
        touched = [(score, one) for score, touches, one in scored if touches]
        return [one for _, one in sorted(touched, key=lambda row: -row[0])]
    best = max((score for score, _, _ in scored), default=0)
    if best:
        return [one for score, _, one in scored if score == best]
    kinds = {kind for word, kind in KINDS.items() if re.search(rf"\b{word}", question, re.IGNORECASE)}
    alike = [one for one in desk.verdicts if one.subject.entity.partition(":")[0] in kinds]
    return alike or (list(desk.verdicts[:1]) if _names_nothing(question) else [])


def _names_nothing(question: str) -> bool:
    """Whether the words of a question are all of the kind that asks and names nothing."""
    return all(len(word) < 4 or word.lower() in _COMMON | _ASKING for word in _WORD.findall(question))


_ASKING = frozenset({
    "happen", "explain", "evidence", "sure", "now", "here", "because", "could", "would", "must", "please", "going",
    "know", "prove", "proof", "plan", "steps", "step", "runbook", "confirm", "reason", "more", "matter", "serious",
    "affected", "touched", "victim", "victims", "else", "alternatives", "status", "started", "start", "time", "read",
    "first", "look", "today", "present", "open", "everything", "anything", "broken", "them", "mean", "means",
})  # fmt: skip


def _touches(verdict: Verdict, entities: Sequence[Entity]) -> bool:
    told = {verdict.subject.entity, *(one.entity for one in verdict.affected)}
    told |= {one.entity for one in verdict.consequences}
    ids = set(verdict.subject.ids.values())
    nodes = {f"node:{spelled.partition(':')[2].partition('/')[0]}" for spelled in told if "/" in spelled}
    return any(str(one) in told or str(one) in nodes or (ids & set(one.id_map.values())) for one in entities)


def _score_fault(question: str, verdict: Verdict) -> int:
    """How many words of a question stand in the name or the words of a verdict's fault, or of what it explains."""
    faults = load_faults()
    ids = [verdict.fault, *(one.fault for one in verdict.consequences)]
    told = " ".join(f"{fault} {faults[fault].what if fault in faults else ''}" for fault in ids).replace("_", " ")
    known = {word[:5] for word in re.findall(r"[a-z]{3,}", told.lower())}
    asked = {word.lower() for word in re.findall(r"[A-Za-z]{3,}", question)} - _COMMON - _ASKING
    return sum(word[:5] in known for word in asked)


def _tell_summary(verdict: Verdict, desk: Desk) -> Iterator[Sentence]:
    handle = desk.handles[verdict.case_id]
    summary = verdict.summary.removeprefix(f"{verdict.subject.entity}: ")
    said = f"{verdict.fault} on {verdict.subject.entity}, {verdict.confidence}, {verdict.severity}: {summary}"
    yield Sentence(f"{said} [{handle}]", (handle,), "borne_out")
    yield from _quote_first(verdict, 1)


def tell_why(verdict: Verdict, desk: Desk) -> Iterator[Sentence]:
    """On what a verdict rests, and what else it may be."""
    yield from _tell_summary(verdict, desk)
    yield from _quote_first(verdict, MAX_ROWS, skip=1)
    handle = desk.handles[verdict.case_id]
    for other in verdict.alternatives[:MAX_CASES]:
        yield Sentence(f"Or else {other.fault}: {other.less_likely_because} [{handle}]", (handle,), "borne_out")
    if verdict.reason:
        yield Sentence(f"{verdict.reason} [{handle}]", (handle,), "borne_out")


def tell_next(verdict: Verdict, desk: Desk) -> Iterator[Sentence]:
    """What a verdict says to do, and the plan to it."""
    handle = desk.handles[verdict.case_id]
    then = f", then {verdict.follow_up}" if verdict.follow_up not in ("none", verdict.action) else ""
    what = "Nothing has to be done" if verdict.action == "none" else f"Do {verdict.action}, urgency {verdict.urgency}"
    yield Sentence(f"{verdict.subject.entity}: {what}{then}. [{handle}]", (handle,), "borne_out")
    for step in verdict.plan:
        command = f": {step.command}" if step.command else ""
        condition = f" ({step.precondition})" if step.precondition else ""
        text = f"{step.step}. {step.action} {step.target}{command}{condition} [{handle}]"
        yield Sentence(text, (handle,), "borne_out")


def _tell_affected(verdict: Verdict, desk: Desk) -> Iterator[Sentence]:
    handle = desk.handles[verdict.case_id]
    touched = [f"{one.entity} ({one.role})" for one in verdict.affected]
    touched += [f"{one.entity} ({one.fault})" for one in verdict.consequences]
    text = f"{verdict.fault} on {verdict.subject.entity} touches {', '.join(touched) or 'nothing else that was read'}."
    yield Sentence(f"{text} [{handle}]", (handle,), "borne_out")


def _tell_time(verdict: Verdict, desk: Desk) -> Iterator[Sentence]:
    dated = [row for row in verdict.evidence if row.span]
    if not dated:
        yield Sentence("I could not read when it was: its evidence tells no time of day.", admits=True)
        return
    first = min(dated, key=lambda row: row.span or ("", ""))
    start = first.span[0] if first.span else ""
    text = f"{verdict.fault} on {verdict.subject.entity}: its first evidence is of {start} [{first.id}]"
    yield Sentence(text, (first.id,), "borne_out")


def _tell_runbook(verdict: Verdict, desk: Desk) -> Iterator[Sentence]:
    if verdict.runbook:
        yield Sentence(f"How it is told from others: daytwo runbook {verdict.runbook.id}, or /runbook here.")


def _quote_first(verdict: Verdict, count: int, *, skip: int = 0) -> Iterator[Sentence]:
    for row in verdict.evidence[skip:count]:
        quote = " ".join(row.quote.split())[:PASSAGE_CHARACTERS]
        yield Sentence(f'{row.source}: "{quote}" [{row.id}]', (row.id,), "borne_out")


_MISSING = re.compile(
    r"\b(?:not read|unread|coverage|could(?:n't| not) (?:you )?read|missing data|what is missing)\b", re.I
)
_ALL = re.compile(r"\b(?:all|cases|list|status|everything|anything|wrong|overview|summary|going on|happen\w*)\b", re.I)
_PARTS: tuple[tuple[re.Pattern[str], Part], ...] = (
    (re.compile(r"\bwhy\b|\bevidence\b|\bhow (?:do|sure)\b|\bpro(?:ve|of)\b|\bexplain\b", re.I), tell_why),
    (
        re.compile(r"\bnext\b|\bdo (?:i|we|now|about)\b|\bfix\b|\bshould\b|\bplan\b|\brepair\b|\bmust\b", re.I),
        tell_next,
    ),
    (re.compile(r"\baffect|\btouch|\bvictim|\bwho\b|\bwhich jobs?\b|\bexplains\b", re.I), _tell_affected),
    (re.compile(r"\bwhen\b|\bsince\b|\bhow long\b|\bstart(?:ed)?\b", re.I), _tell_time),
    (re.compile(r"\brunbook\b|\bconfirm\b", re.I), _tell_runbook),
)


def _read_entity(entity: Entity, desk: Desk, signals: Sequence[str] = ()) -> Iterator[Sentence]:
    """What the tools say of an entity: the signals that are asked for, else anything, and its events."""
    toolbox = Toolbox(desk.context)
    asked = {
        "read_readings": {"entity": str(entity), "signals": list(signals)},
        "read_events": {"entity": str(entity), "code": "", "around": "", "limit": MAX_ROWS},
    }
    if signals:
        del asked["read_events"]
    answers = {name: toolbox.call(ToolCall(name, name, json.dumps(given))) for name, given in asked.items()}
    rows = [row for answer in answers.values() for row in _ROW.findall(answer.text)[:MAX_ROWS]]
    for handle, text in rows:
        yield Sentence(f"{text} [{handle}]", (handle,), "borne_out")
    if not rows:
        why = "; ".join(dict.fromkeys(_spell_gap(answer) for answer in answers.values()))
        yield Sentence(f"I could not read anything of {entity}: {why}", admits=True)


def _spell_gap(answer: Answer) -> str:
    words = answer.text.removeprefix("<evidence>\n").removesuffix("\n</evidence>").partition("\n")[2]
    return ("nothing was logged of it: " if answer.reading == "empty" else "") + " ".join(words.split())[:200]


def _list_cases(desk: Desk) -> Iterator[Sentence]:
    for one in desk.verdicts[:MAX_LISTED]:
        handle = desk.handles[one.case_id]
        text = f"{one.severity}: {one.fault} on {one.subject.entity}, {one.confidence}, do {one.action} [{handle}]"
        yield Sentence(text, (handle,), "borne_out")


def _tell_missing(desk: Desk) -> Iterator[Sentence]:
    rows = [row for row in desk.coverage if row.status in ("missing", "partial")]
    for row in rows[:MAX_LISTED]:
        fix = f" To read it: {row.fix}" if row.fix else ""
        yield Sentence(f"{row.domain} of {row.entity}: {row.status}, {row.reason}.{fix}")
    if not rows:
        yield Sentence("All that was asked for was read." if desk.coverage else "Nothing tells what was read.")


def _search_runbooks(question: str, desk: Desk, library: Shelf | None) -> Iterator[Sentence]:
    names = list_names(desk.index.known)
    cases = f"none of the {len(desk.verdicts)} cases speaks of it" if desk.verdicts else "no case is known"
    yield Sentence(f"I could not read that: {cases}. Known are: {names}.", admits=True)
    try:
        found = library.search(question, limit=2, near=True) if library is not None else ()
    except RagError as error:
        yield Sentence(f"The runbooks could not be searched: {error}", admits=True)
        return
    for passage in found:
        text = " ".join(passage.text.split())[:PASSAGE_CHARACTERS]
        yield Sentence(f"A runbook that is near, {passage.runbook} ({passage.section}): {text}", admits=True)
