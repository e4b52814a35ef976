"""From events and findings to suspicions: one fault on one entity, with all that speaks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from agent.episodes import BURST_GAP_SECONDS, MANY_DEVICES, annotate_episodes, count_bursts
from agent.faults import WEIGHT_RANK, EventPolicy, Weight, load_event_policy, load_faults
from agent.fold import same_disk
from agent.types import Suspicion
from tools.catalogue.tables import xid_facts
from tools.clock import measure_distance
from tools.entities import resolve_entities
from tools.types import Entity, Event, Facts, Finding

# fmt: off
KERNEL_FAMILIES = frozenset({
    "xid", "sxid", "gpu", "driver", "pci", "nvme", "block", "scsi", "ata", "md", "fs", "nfs", "mlx5", "edac", "mce",
    "oom", "task", "cpu", "kernel", "limit",
})
# fmt: on
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
        place = _place_of(finding.fault_hint, spelling[finding.entity])
        _add(groups, finding.fault_hint, place, weight, finding=finding)
    return [note_circumstances(suspicion, events) for suspicion in groups.values()]


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
    if _is_forgeable(event) and policy.weight != "none":
        return replace(policy, weight="weak")
    return policy


def _is_forgeable(event: Event) -> bool:
    return event.writer == "user" and event.code.partition(":")[0] in KERNEL_FAMILIES


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
    "devices": "gpu:init_failed_on_many",
    "path": "storage:drives_lost",
    "fan_only": "gpu:fan_unreadable",
}
"""Fields that make another event of an event, whatever its code."""


def _default_policy(event: Event) -> EventPolicy:
    # 63 of the catalogue's 172 Xid codes are unused: they page nobody. A code that it does not know is unknown.
    family, _, number = event.code.partition(":")
    unused = family == "xid" and number.isdigit() and int(number) in xid_facts()
    return EventPolicy(event.code, "benign", "weak", "a code that the catalogue calls unused") if unused else NO_POLICY


CORRECTED_ERRORS_PER_PAGE = 10
"""mcelog takes a page out of use after ten corrected errors in 24 hours (its default `memory-ce-threshold`)."""


def count_errors(events: Sequence[Event]) -> int:
    """Add up what the lines say they count; a line without a count is one."""
    return sum(
        int(event.fields.get("count", "1")) if event.fields.get("count", "1").isdigit() else 1 for event in events
    )


def _codes(suspicion: Suspicion) -> set[str]:
    return {event.code for event in suspicion.events}


def _values(events: Iterable[Event], *fields: str) -> set[tuple[str, ...]]:
    return {tuple(event.fields.get(name, "") for name in fields) for event in events}


def _only(suspicion: Suspicion, *codes: str) -> bool:
    return bool(suspicion.events) and not suspicion.findings and _codes(suspicion) <= set(codes)


def _is_same_place_again(suspicion: Suspicion) -> bool:
    hits = [e for e in suspicion.events if e.code == "xid:13" and e.fields.get("gpc")]
    return count_bursts(hits) > 1 and len(_values(hits, "gpc", "tpc")) == 1


def _is_31_of_several_jobs(suspicion: Suspicion) -> bool:
    hits = [e for e in suspicion.events if e.code == "xid:31"]
    return count_bursts(hits) > 1 and len(_values(hits, "pid")) > 1


def _came_back(suspicion: Suspicion, events: Sequence[Event]) -> bool:
    last = suspicion.events[-1]
    ends = (e for e in events if e.code == "kernel:boot" or (e.code == "nic:link_up" and e.entity == last.entity))
    return any((measure_distance(last, end).seconds or 0) > 0 for end in ends)


def _asks_for_reboot(suspicion: Suspicion, events: Sequence[Event]) -> bool:
    """Whether Xid 154, which speaks of another Xid, says that a reset of this GPU is not enough."""
    words = (e.fields.get("recovery_action", "") for e in events if e.entity == suspicion.entity)
    return any("reboot" in word.lower() for word in words)


def _ended_since(suspicion: Suspicion, events: Sequence[Event]) -> bool:
    """Whether the job that hung is told to have ended since."""
    if not suspicion.events:
        return False
    first, last = suspicion.events[0], suspicion.events[-1]
    ends = [e for e in events if e.code in JOB_ENDS or (e.code == "torch:error" and "exitcode" in e.fields)]
    return any(e.entity == first.entity and (measure_distance(last, e).seconds or 0.0) >= 0 for e in ends)


def _is_followed(suspicion: Suspicion, events: Sequence[Event], code: str) -> bool:
    first = suspicion.events[0] if suspicion.events else None
    later = (measure_distance(first, e).seconds for e in events if first is not None and e.code == code)
    return any((seconds or 0.0) >= 0 for seconds in later)


def _is_one_of_many(suspicion: Suspicion, events: Sequence[Event]) -> bool:
    """Whether at least three ports of the node went down within one burst: what they hang on has gone."""
    first = suspicion.events[0] if suspicion.events else None
    if first is None:
        return False
    downs = [e for e in events if e.code == "nic:link_down" and e.node == first.node and e.moment.seconds is not None]
    near = {e.entity for e in downs if abs(measure_distance(first, e).seconds or 0.0) <= BURST_GAP_SECONDS}
    return len(near) >= MANY_DEVICES


def _supplies(suspicion: Suspicion) -> int:
    codes = ("bmc:psu_failed", "bmc:psu_input_lost")
    return len({e.fields.get("sensor", "") for e in suspicion.events if e.code in codes})


def _is_fan_and_heat(suspicion: Suspicion) -> bool:
    codes = _codes(suspicion)
    return bool(codes & {"bmc:fan_failed", "bmc:fan_redundancy_lost"}) and bool(codes & BOARD_HEAT)


def _is_removable(suspicion: Suspicion) -> bool:
    named = suspicion.entity.name.startswith(("sr", "fd"))
    return named or any(e.fields.get("removable") == "yes" for e in suspicion.events)


def _holds_system(suspicion: Suspicion, events: Sequence[Event]) -> bool:
    return any(e.code == "mount:system" and same_disk(e.entity, suspicion.entity) for e in events)


JOB_ENDS = frozenset({"job:failed", "job:killed", "job:cancelled"})
BOARD_HEAT = frozenset({"bmc:temperature_critical", "bmc:cpu_thermal_trip", "bmc:cpu_throttled", "cpu:thermal"})
ARRAY_CODES = frozenset({"md:degraded", "bmc:array_degraded"})
LINK_CODES = frozenset({"pci:aer_fatal", "pci:dpc", "pci:link_down"})


CIRCUMSTANCES: Sequence[tuple[str, str, Callable[[Suspicion, Sequence[Event]], bool]]] = (
    ("gpu_app_fault", "only_45", lambda s, _: _only(s, "xid:45")),
    ("gpu_app_fault", "same_gpc_tpc", lambda s, _: _is_same_place_again(s)),
    ("gpu_app_fault", "several_jobs", lambda s, _: _is_31_of_several_jobs(s)),
    ("gpu_memory_contained", "repeat", lambda s, _: count_bursts(s.events) > 1),
    ("gpu_memory_contained", "requeued", lambda s, events: _is_followed(s, events, "job:requeued")),
    ("gpu_memory_uncorrectable", "sram_threshold", lambda s, _: any("sram_threshold" in f.values for f in s.findings)),
    ("gpu_memory_uncorrectable", "reboot_asked", _asks_for_reboot),
    ("gpu_gsp_fault", "reboot_asked", _asks_for_reboot),
    ("gpu_internal_fault", "reboot_asked", _asks_for_reboot),
    ("nvlink_fault", "reboot_asked", _asks_for_reboot),
    ("gpu_off_bus", "handle_only", lambda s, _: _only(s, "gpu:handle_failed")),
    ("pcie_error", "fatal", lambda s, _: bool(_codes(s) & LINK_CODES)),
    ("pcie_error", "only_corrected", lambda s, _: _only(s, "pci:aer_corrected")),
    ("disk_media_error", "removable", lambda s, _: _is_removable(s)),
    ("disk_media_error", "system_drive", lambda s, events: _holds_system(s, events)),
    ("disk_lost", "removable", lambda s, _: _is_removable(s)),
    ("disk_lost", "polled", lambda s, _: all(e.fields.get("polled") == "yes" for e in s.events) and not s.findings),
    ("disk_lost", "survived", lambda s, _: _only(s, "nvme:timeout", "scsi:timeout")),
    ("disk_lost", "array_member", lambda s, _: bool(_codes(s) & ARRAY_CODES)),
    ("disk_wearout", "drive_says", lambda s, _: s.weight == "settles"),
    ("host_cpu_lockup", "hard_or_repeated", lambda s, _: "cpu:hard_lockup" in _codes(s) or count_bursts(s.events) > 1),
    ("host_memory_correctable", "beyond_rate", lambda s, _: "bmc:memory_ecc_limit" in _codes(s)),
    ("host_memory_correctable", "below_rate", lambda s, _: count_errors(s.events) < CORRECTED_ERRORS_PER_PAGE),
    ("host_chassis_fault", "several_supplies", lambda s, _: _supplies(s) > 1),
    ("host_chassis_fault", "fan_and_heat", lambda s, _: _is_fan_and_heat(s)),
    ("host_kernel_panic", "back_up", lambda s, events: bool(s.events) and _came_back(s, events)),
    ("nic_link_down", "came_back", lambda s, events: bool(s.events) and _came_back(s, events)),
    ("nic_link_down", "peers_down", _is_one_of_many),
    ("collective_hang", "already_ended", _ended_since),
)  # fmt: skip
"""(fault, note, test): circumstances under which `differs.csv` changes the action."""


def note_circumstances(suspicion: Suspicion, events: Sequence[Event]) -> Suspicion:
    """Add the notes that hold for a suspicion; `weak_only` where nothing but weak signs speaks for it."""
    notes = [note for fault, note, holds in CIRCUMSTANCES if fault == suspicion.fault and holds(suspicion, events)]
    if suspicion.weight == "weak":
        notes.append("weak_only")
        if any(_is_forgeable(event) for event in suspicion.events):
            notes.append("forgeable")
    return replace(suspicion, notes=tuple(notes))
