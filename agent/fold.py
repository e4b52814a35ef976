"""Cause before consequence: fold suspicions under the one that explains them, and say how surely."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agent.faults import WEIGHT_RANK, FoldRule, load_faults, load_fold_rules
from agent.types import SEVERITY_RANK, Confidence, Folded, Suspicion
from tools.clock import measure_distance
from tools.entities import same_entity, same_node
from tools.types import Entity, Event, Facts, Link, Quote

ZONE_SPREAD_SECONDS = 14 * 3600.0
"""Largest offset of a time zone from UTC: how far a zoned and an unzoned clock can differ and still agree."""

_DISK_NAMESPACE = re.compile(r"^(nvme\d+)(?:c\d+)?(?:n\d+)?(?:p\d+)?$|^((?:sd|vd|xvd|hd)[a-z]+)\d*$")


@dataclass(frozen=True, slots=True)
class Explanation:
    """That one suspicion explains another, how surely, and why not surer."""

    cause: int
    confidence: Confidence
    why: str


def fold_suspicions(suspicions: Sequence[Suspicion], facts: Facts) -> list[tuple[Suspicion, tuple[Folded, ...]]]:
    """Put consequences under their root cause.

    Returns:
        Each suspicion that nothing explains, with everything that it explains, directly or through another.
    """
    parents: dict[int, Explanation] = {}
    by_fault: dict[str, list[int]] = defaultdict(list)
    for position, suspicion in enumerate(suspicions):
        by_fault[suspicion.fault].append(position)
    for position in range(len(suspicions)):
        explanation = _find_cause(position, suspicions, by_fault, facts)
        if explanation is not None and not _closes_ring(position, explanation.cause, parents):
            parents[position] = explanation
    folded: dict[int, list[Folded]] = {position: [] for position in range(len(suspicions)) if position not in parents}
    for position, explanation in parents.items():
        folded[_root(position, parents)].append(Folded(suspicions[position], explanation.confidence, explanation.why))
    return [(suspicions[position], tuple(consequences)) for position, consequences in folded.items()]


def _root(position: int, parents: dict[int, Explanation]) -> int:
    while position in parents:
        position = parents[position].cause
    return position


def _closes_ring(position: int, cause: int, parents: dict[int, Explanation]) -> bool:
    return _root(cause, parents) == position


def _find_cause(
    position: int, suspicions: Sequence[Suspicion], by_fault: Mapping[str, Sequence[int]], facts: Facts
) -> Explanation | None:
    effect = suspicions[position]
    best: tuple[tuple[int, int, int], Explanation] | None = None
    rules = {fault: rule for fault in by_fault if (rule := _find_rule(fault, effect.fault)) is not None}
    for candidate in (number for fault in rules for number in by_fault[fault] if number != position):
        cause = suspicions[candidate]
        rule = rules[cause.fault]
        if not _may_explain(cause, effect, rule):
            continue
        explanation = explain(candidate, cause, effect, rule, facts)
        if explanation is None:
            continue
        rank = (int(explanation.confidence == "confirmed"), WEIGHT_RANK[cause.weight], -candidate)
        if best is None or rank > best[0]:
            best = (rank, explanation)
    return best[1] if best else None


def _find_rule(cause: str, effect: str) -> FoldRule | None:
    rules = load_fold_rules()
    return rules.get((cause, effect)) or (rules.get(("*", effect)) if cause != effect else None)


def _may_explain(cause: Suspicion, effect: Suspicion, rule: FoldRule) -> bool:
    """A weak sign explains nothing but weak signs, and a lighter fault no graver one that is surer than itself."""
    if rule.needs and rule.needs not in cause.notes:
        return False
    table = load_faults()
    graver = SEVERITY_RANK[table[effect.fault].severity] > SEVERITY_RANK[table[cause.fault].severity]
    if graver and WEIGHT_RANK[effect.weight] > WEIGHT_RANK[cause.weight]:
        return False
    return cause.weight != "weak" or effect.weight == "weak"


def explain(position: int, cause: Suspicion, effect: Suspicion, rule: FoldRule, facts: Facts) -> Explanation | None:
    """Say whether one suspicion explains another under a rule; None where place, order or distance speak against it."""
    place = _share_place(cause, effect, rule, facts)
    if place is None:
        return None
    distance = measure_distance(_first_event(cause), _first_event(effect))
    slack = 0.0 if distance.aligned else ZONE_SPREAD_SECONDS
    if distance.seconds is not None:
        earliest = -rule.seconds if rule.order == "any" else 0.0
        if not earliest - slack <= distance.seconds <= rule.seconds + slack:
            return None
    doubts = [text for text in (place, "" if distance.aligned else f"order not certain: {distance.why}") if text]
    return Explanation(position, "likely" if doubts else "confirmed", "; ".join(doubts))


def _first_event(suspicion: Suspicion) -> Event:
    if suspicion.events:
        return suspicion.events[0]
    finding = suspicion.findings[0]
    quote = finding.quotes[0] if finding.quotes else Quote(finding.detector, None, "")
    return Event(finding.start, suspicion.entity, finding.detector, quote)


def _share_place(cause: Suspicion, effect: Suspicion, rule: FoldRule, facts: Facts) -> str | None:
    """None where the two are in different places, else what is doubtful about the place (mostly nothing)."""
    one, other = cause.entity, effect.entity
    if rule.scope == "entity":
        return "" if same_entity(one, other) else None
    if rule.scope == "reading":
        return "" if same_disk(one, other) and not effect.events else None
    if rule.scope == "logged":
        return "" if same_disk(one, other) and cause.events else None
    if rule.scope == "disk":
        return "" if same_disk(one, other) else None
    if rule.scope == "node_or_job":
        return _share_job_or_node(cause, effect, facts)
    return _share_node(_node(one), _node(other), facts)


def _share_job_or_node(cause: Suspicion, effect: Suspicion, facts: Facts) -> str | None:
    jobs = {event.job for event in effect.events if event.job}
    nodes = {link.object.node for link in facts.links if link.relation == "runs_on" and link.subject.name in jobs}
    causes = {event.job for event in cause.events if event.job} or _jobs_on(_node(cause.entity), facts.links)
    if jobs and causes and not jobs & causes:
        return None
    if nodes:
        return "" if any(same_node(_node(cause.entity), node) for node in nodes) else None
    if jobs and jobs & causes:
        return ""
    return _share_node(_node(cause.entity), _node(effect.entity), facts)


def _jobs_on(node: str, links: Sequence[Link]) -> set[str]:
    return {link.subject.name for link in links if link.relation == "runs_on" and same_node(link.object.node, node)}


def _share_node(one: str, other: str, facts: Facts) -> str | None:
    if not same_node(one, other):
        return None
    if bool(one) == bool(other):
        return ""
    known = {_node(event.entity).lower().split(".")[0] for event in facts.events} - {""}
    if len(known) > 1:
        return "the lines name no host, and more than one host is seen"
    return ""


def _node(entity: Entity) -> str:
    return entity.node or (entity.name if entity.kind == "node" else "")


def same_disk(one: Entity, other: Entity) -> bool:
    """Say whether two block devices are one drive: `nvme0`, `nvme0n1` and `nvme0n1p2` are."""
    if not same_node(_node(one), _node(other)):
        return False
    return disk_base_name(one.name) == disk_base_name(other.name)


@lru_cache(maxsize=4096)
def disk_base_name(name: str) -> str:
    """Name of the drive that a namespace or partition belongs to; the name itself where it is none."""
    match = _DISK_NAMESPACE.match(name.removeprefix("/dev/"))
    return next((group for group in match.groups() if group), name) if match else name
