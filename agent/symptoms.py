"""From events and findings to suspicions: one fault on one entity, with all that speaks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.circumstances import CIRCUMSTANCES, Scene, is_worded
from agent.doubts import find_doubts, is_forgeable, is_of_job
from agent.episodes import annotate_episodes
from agent.faults import WEIGHT_RANK, EventPolicy, Weight, load_event_policy, load_faults
from agent.policy import WORDED
from agent.types import Suspicion
from tools.catalogue.tables import xid_facts
from tools.entities import resolve_entities
from tools.types import Entity, Event, Facts, Finding

NVLINK5_XIDS = frozenset(f"xid:{code}" for code in range(144, 151))
NOT_A_FAULT = frozenset({"benign", "healthy", "not_applicable"})
NO_POLICY = EventPolicy("", "unknown", "weak", "")


def read_suspicions(facts: Facts, findings: Sequence[Finding]) -> list[Suspicion]:
    """Group what was seen by fault and entity, weigh it, and note what changes the action.

    Events are taken in the order in which they were read. Entities are resolved first, so that a PCI address in a
    log and an index in `nvidia-smi` become one GPU.
    """
    spelling = resolve_entities([*facts.entities, *(e.entity for e in facts.events), *(f.entity for f in findings)])
    events = annotate_episodes([replace(event, entity=spelling[event.entity]) for event in facts.events])
    groups: dict[tuple[str, str], Suspicion] = {}
    for event in events:
        policy = weigh_event(event)
        if policy.weight != "none":
            _add(groups, policy.fault, _place_of(policy.fault, event.entity), policy.weight, event=event)
    for finding in findings:
        weight: Weight = "settles" if finding.settles else "indicates" if finding.score >= 1.0 else "weak"
        weight = "weak" if is_of_job(finding) else weight
        place = _place_of(finding.fault_hint, spelling[finding.entity])
        _add(groups, finding.fault_hint, place, weight, finding=finding)
    scene = Scene(events, facts)
    return [note_circumstances(suspicion, scene) for suspicion in drop_words(list(groups.values()))]


def drop_words(suspicions: Sequence[Suspicion]) -> list[Suspicion]:
    """Leave out what only the words of unknown lines speak of, where something is known to be wrong."""
    known = [s for s in suspicions if not is_worded(s)]
    if any(s.fault not in (*NOT_A_FAULT, "unknown") for s in known):
        return known
    # Words say more than that something is unexplained.
    return list(suspicions) if len(known) == len(suspicions) else [s for s in suspicions if s.fault != "unknown"]


def _add(
    groups: dict[tuple[str, str], Suspicion],
    fault: str,
    entity: Entity,
    weight: Weight,
    *,
    event: Event | None = None,
    finding: Finding | None = None,
) -> None:
    key = (fault, f"job:{entity.name}" if entity.kind == "job" and entity.name else str(entity))
    old = groups.get(key, Suspicion(fault, entity, "weak"))
    heavier = weight if WEIGHT_RANK[weight] > WEIGHT_RANK[old.weight] else old.weight
    groups[key] = replace(
        old,
        weight=heavier if heavier != "none" else "weak",
        events=(*old.events, event) if event else old.events,
        findings=(*old.findings, finding) if finding else old.findings,
    )


def _place_of(fault: str, entity: Entity) -> Entity:
    """A fault of the machine is on the node, however many of its devices tell of it."""
    row = load_faults().get(fault)
    is_part = entity.kind in ("gpu", "nic", "disk", "guest") or (entity.kind == "job" and not entity.name)
    whole = row is not None and row.component == "node" and is_part
    return Entity("node", node=entity.node) if whole else entity


def weigh_event(event: Event) -> EventPolicy:
    """Look up what an event speaks for; a kernel message that a user wrote is never more than weak."""
    table = load_event_policy()
    policy = table.get(_policy_code(event)) or _default_policy(event)
    if is_forgeable(event) and policy.weight != "none":
        return replace(policy, weight="weak")
    return policy


def _policy_code(event: Event) -> str:
    """The row of the event table: fields decide for codes whose meaning depends on their line."""
    for field, code in COMPANY.items():
        if event.fields.get(field, "false") != "false":
            return code
    if event.code in NVLINK5_XIDS:
        word = event.fields.get("decode_severity") or event.fields.get("severity", "")
        return event.code if not word else "nvlink5:nonfatal" if "non" in word.lower() else "nvlink5:fatal"
    if event.code.startswith("sxid:"):
        return f"sxid:{event.fields.get('severity') or 'untold'}"
    if event.code == "cuda:error" and "ecc" in event.fields.get("error", "").lower():
        return "cuda:ecc"
    return event.code


COMPANY: Mapping[str, str] = {
    "over": "episode:over",
    "flaps": "nic:flapping",
    "returned": "nic:returned",
    "by_driver": "gpu:init_failed_by_driver",
    "devices": "gpu:init_failed_on_many",
    "drives_lost": "storage:drives_lost",
    "kicked": "md:kicked",
    "mended": "fs:repaired",
    "waits_for_storage": "task:waits_for_storage",
    "fan_only": "gpu:fan_unreadable",
}
"""Fields that make another event of an event, whatever its code."""


def _default_policy(event: Event) -> EventPolicy:
    # 63 of the catalogue's 172 Xid codes are unused: they page nobody. A code that it does not know is unknown.
    family, _, number = event.code.partition(":")
    unused = family == "xid" and number.isdecimal() and int(number) in xid_facts()
    return EventPolicy(event.code, "benign", "weak", "a code that the catalogue calls unused") if unused else NO_POLICY


def note_circumstances(suspicion: Suspicion, scene: Scene) -> Suspicion:
    """Add the notes that hold for a suspicion and what speaks against it; `weak_only` where all its signs are weak."""
    notes = [note for fault, note, holds in CIRCUMSTANCES if fault == suspicion.fault and holds(suspicion, scene)]
    if is_worded(suspicion):
        notes.append(WORDED)
    elif suspicion.weight == "weak":
        notes.append("weak_only")
        if any(map(is_forgeable, suspicion.events)) or any(map(is_of_job, suspicion.findings)):
            notes.append("forgeable")
    return replace(suspicion, notes=tuple(notes), doubts=find_doubts(suspicion, scene))
