"""Rules first, always: from facts to cases, with no model at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.faults import WEIGHT_RANK, load_alternatives, load_faults
from agent.fold import fold_suspicions
from agent.policy import at_most, find_difference
from agent.symptoms import NOT_A_FAULT, read_suspicions, weigh_event
from agent.types import SEVERITY_RANK, Case, Confidence, Folded, Role, Suspicion
from tools.types import Coverage, Entity, Event, Facts, Finding
from tools.walk import walk_modules

CONFIDENCE_OF_WEIGHT: dict[str, Confidence] = {"settles": "confirmed", "indicates": "likely", "weak": "inconclusive"}
CONTEXT_DOMAINS = frozenset({"inventory", "jobs", "guests", "history"})
"""What only tells who and where: read alone, it makes nothing healthy."""
GPU_DOMAINS = frozenset({"gpu", "driver"})


def detect_all(facts: Facts) -> list[Finding]:
    """Run every detector over the facts, in name order."""
    return [finding for module in walk_modules("tools.detectors") for finding in module.detect(facts)]


def judge(facts: Facts) -> tuple[Case, ...]:
    """Turn facts into cases: the gravest first, consequences folded, never an empty tuple.

    Where nothing is wrong the case says `healthy`, `benign`, `not_applicable` or `unknown`: only what was read
    with nothing missing is healthy.
    """
    if expects_no_gpu(facts):
        facts = _without_gpus(facts)
    suspicions = read_suspicions(facts, detect_all(facts))
    harmless = [s for s in suspicions if s.fault in NOT_A_FAULT]
    folded = fold_suspicions([s for s in suspicions if s.fault not in NOT_A_FAULT], facts)
    cases = sorted((build_case(primary, rest, facts) for primary, rest in folded), key=measure_gravity)
    return (*cases, *judge_coverage(facts, harmless, troubled=bool(cases)))


GUESTS_QUIET = "guests:quiet"
ABSENCE_FAULTS = frozenset({"gpu_missing", "gpu_driver_not_loaded"})


def expects_no_gpu(facts: Facts) -> bool:
    """Say whether the inventory plans no GPU for any of its nodes, and none is seen."""
    planned = {row.gpus for row in facts.inventory}
    return planned == {0} and not any(entity.kind == "gpu" for entity in _seen(facts))


def _without_gpus(facts: Facts) -> Facts:
    events = tuple(event for event in facts.events if weigh_event(event).fault not in ABSENCE_FAULTS)
    rows = [row for row in facts.coverage if row.domain not in GPU_DOMAINS]
    node = f"node:{facts.inventory[0].node}"
    rows.append(Coverage(node, "gpu", "not_applicable", "the inventory plans no GPU here"))
    return replace(facts, events=events, coverage=tuple(rows))


def measure_gravity(case: Case) -> tuple[int, int, int]:
    """What cases are sorted by, the gravest first."""
    difference = find_difference(case)
    severity = difference.severity if difference else load_faults()[case.primary.fault].severity
    rank = SEVERITY_RANK[severity]
    if case.primary.weight == "weak":
        # What may be grave comes after what is surely a warning.
        rank = min(rank, SEVERITY_RANK["warning"])
    return (-rank, -WEIGHT_RANK[case.primary.weight], -len(case.consequences))


def build_case(primary: Suspicion, consequences: tuple[Folded, ...], facts: Facts) -> Case:
    """Name what belongs together, who is touched and how sure it is."""
    confidence = CONFIDENCE_OF_WEIGHT[primary.weight]
    notes = primary.notes
    if any(f.suspicion.fault == "gpu_memory_uncorrectable" for f in consequences):
        notes = (*notes, "with_uncorrectable")
    if primary.doubts:
        confidence = at_most(confidence, "likely")
    if "forgeable" in notes:
        confidence = "inconclusive"
    return Case(
        case_id=name_case(primary),
        primary=primary,
        consequences=tuple(sorted(consequences, key=lambda f: str(f.suspicion.entity))),
        alternatives=load_alternatives().get(primary.fault, ()),
        confidence=confidence,
        notes=notes,
        affected=_affected(primary, consequences, facts),
    )


def name_case(primary: Suspicion) -> str:
    """Derive the id from subject, fault and first sign, so that the same evidence always gives the same id."""
    subject = primary.entity.id_map.get("uuid") or primary.entity.id_map.get("pci") or primary.entity.name
    quotes = primary.quotes
    first = quotes[0].text.strip() if quotes else ""
    text = "|".join((primary.entity.kind, primary.entity.node, subject, primary.fault, first))
    return "c-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _affected(primary: Suspicion, consequences: Iterable[Folded], facts: Facts) -> tuple[tuple[Entity, Role], ...]:
    rows: list[tuple[Entity, Role]] = []
    culprits = [finding.culprit for finding in primary.findings if finding.culprit]
    rows += [(culprit, "culprit") for culprit in culprits]
    if culprits:
        rows += [(guest, "victim") for guest in _users_of(primary.entity, facts) if guest not in culprits]
    for folded in consequences:
        entity = folded.suspicion.entity
        if entity != primary.entity:
            rows.append((entity, "victim" if entity.kind in ("job", "guest") else "consequence"))
    return tuple(dict.fromkeys(rows))


def _users_of(disk: Entity, facts: Facts) -> list[Entity]:
    parts = {disk.name} | {link.subject.name for link in facts.links if link.object.name == disk.name}
    return [link.subject for link in facts.links if link.relation == "uses" and link.object.name in parts]


def judge_coverage(facts: Facts, harmless: Sequence[Suspicion], *, troubled: bool) -> list[Case]:
    """Say what the absence of findings means: unread is unknown, absent by plan is not applicable, else healthy."""
    missing = [row for row in facts.coverage if row.status == "missing"]
    dented = [row for row in facts.coverage if row.status == "partial" and row.fix]
    read = [row for row in facts.coverage if row.status in ("read", "partial") and row.domain not in CONTEXT_DOMAINS]
    absent = [row for row in facts.coverage if row.status == "not_applicable" and row.domain in GPU_DOMAINS]
    subject = facts.subject or _only_node(facts)
    cases: list[Case] = []
    # That no guest stands out is worth saying where nothing else is.
    harmless = [s for s in harmless if not read or not s.events or any(e.code != GUESTS_QUIET for e in s.events)]
    if absent and not any(row.domain in GPU_DOMAINS for row in read + missing):
        cases.append(_meta_case("not_applicable", subject, "confirmed", absent))
    if troubled:
        return cases + ([_meta_case("unknown", subject, "inconclusive", missing)] if missing else [])
    if missing:
        cases.insert(0, _meta_case("unknown", subject, "inconclusive", missing))
    elif harmless:
        cases.append(_harmless_case(harmless, dented))
    elif dented or not (read or absent):
        cases.insert(0, _meta_case("unknown", subject, "inconclusive", dented))
    elif read:
        cases.append(_meta_case("healthy", subject, "confirmed", read))
    return cases


def _harmless_case(harmless: Sequence[Suspicion], dented: Sequence[Coverage]) -> Case:
    primary = max(harmless, key=lambda s: WEIGHT_RANK[s.weight])
    rest = tuple(Folded(s, "confirmed") for s in harmless if s is not primary)
    reasons = [event_why(event) for event in primary.events] + [finding.note for finding in primary.findings]
    notes = tuple(dict.fromkeys(text for text in reasons if text)) + (("gaps",) if dented else ())
    return Case(name_case(primary), primary, rest, (), "likely" if dented else "confirmed", notes)


def event_why(event: Event) -> str:
    """The reason that the event table gives for what it makes of an event."""
    over = event.fields.get("over")
    return f"over, by {over}" if over else weigh_event(event).why


def _only_node(facts: Facts) -> Entity:
    nodes = {event.node for event in facts.events} | {e.node for e in facts.entities if e.kind == "node"}
    nodes -= {""}
    return Entity("node", node=nodes.pop() if len(nodes) == 1 else "")


def _meta_case(fault: str, subject: Entity, confidence: Confidence, rows: Sequence[Coverage]) -> Case:
    primary = Suspicion(fault, subject, "settles" if confidence == "confirmed" else "weak")
    notes = tuple(dict.fromkeys(f"{row.domain}: {row.reason}" if row.reason else row.domain for row in rows))
    return Case(name_case(primary), primary, (), (), confidence, notes)


def is_settled(case: Case) -> bool:
    """Say whether rules leave nothing open in a case."""
    return case.confidence == "confirmed"


def possible_faults(case: Case, facts: Facts) -> dict[str, str]:
    """Faults that the evidence still allows, each with the reason.

    A confirmed case leaves its own fault alone; a likely one its alternatives too; an inconclusive one every node
    fault of a component that was read.
    """
    own = {case.primary.fault: "what the rules read in the evidence"}
    if is_settled(case):
        return own
    named = own | {fault: f"less likely: {why}" for fault, why in case.alternatives}
    if case.confidence == "likely":
        return named
    components = {entity.kind for entity in _seen(facts)} | {"node"}
    table = load_faults().values()
    open_rows = {
        f.id: f"{f.component} evidence was read" for f in table if f.scope == "node" and f.component in components
    }
    return open_rows | named


def _seen(facts: Facts) -> Iterable[Entity]:
    yield from facts.entities
    yield from (event.entity for event in facts.events)
    yield from (entity for window in facts.windows for entity in window.entities)
