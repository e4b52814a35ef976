"""Circumstances of a suspicion under which `differs.csv` changes the action: what else was seen on the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.episodes import BURST_GAP_SECONDS, MANY_DEVICES, count_bursts
from agent.fold import same_disk
from agent.types import Suspicion
from tools.clock import measure_distance
from tools.entities import same_entity, same_node
from tools.types import Entity, Event, Facts


@dataclass(frozen=True, slots=True)
class Scene:
    """All that was read, beside the suspicion in question.

    Attributes:
        events: With resolved entities and what their company tells, in the order of reading.
    """

    events: Sequence[Event]
    facts: Facts


CORRECTED_ERRORS_PER_PAGE = 10
"""mcelog takes a page out of use after ten corrected errors in 24 hours (its default `memory-ce-threshold`)."""


def count_errors(events: Sequence[Event]) -> int:
    """Add up what the lines say they count; a line without a count is one."""
    return sum(
        int(event.fields.get("count", "1")) if event.fields.get("count", "1").isdecimal() else 1 for event in events
    )


def is_worded(suspicion: Suspicion) -> bool:
    """Whether nothing but the words of unknown lines speaks for it."""
    return (
        bool(suspicion.events)
        and not suspicion.findings
        and all(e.code.startswith("wording:") for e in suspicion.events)
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


def _came_back(suspicion: Suspicion, scene: Scene) -> bool:
    last = suspicion.events[-1]
    ends = (e for e in scene.events if e.code == "kernel:boot" or (e.code == "nic:link_up" and e.entity == last.entity))
    return any((measure_distance(last, end).seconds or 0) > 0 for end in ends)


def _asks_for_reboot(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether Xid 154, which speaks of another Xid, says that a reset of this GPU is not enough."""
    words = (e.fields.get("recovery_action", "") for e in scene.events if e.entity == suspicion.entity)
    return any("reboot" in word.lower() for word in words)


def _ended_since(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether the job that hung is told to have ended since."""
    if not suspicion.events:
        return False
    first, last = suspicion.events[0], suspicion.events[-1]
    ends = [e for e in scene.events if e.code in JOB_ENDS or (e.code == "torch:error" and "exitcode" in e.fields)]
    return any(e.entity == first.entity and (measure_distance(last, e).seconds or 0.0) >= 0 for e in ends)


def _is_followed(suspicion: Suspicion, scene: Scene, code: str) -> bool:
    first = suspicion.events[0] if suspicion.events else None
    later = (measure_distance(first, e).seconds for e in scene.events if first is not None and e.code == code)
    return any((seconds or 0.0) >= 0 for seconds in later)


def _is_one_of_many(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether at least three ports of the node went down within one burst: what they hang on has gone."""
    first = suspicion.events[0] if suspicion.events else None
    if first is None:
        return False
    downs = [
        e for e in scene.events if e.code == "nic:link_down" and e.node == first.node and e.moment.seconds is not None
    ]
    near = {e.entity for e in downs if abs(measure_distance(first, e).seconds or 0.0) <= BURST_GAP_SECONDS}
    return len(near) >= MANY_DEVICES


def _is_of_switch(suspicion: Suspicion) -> bool:
    return bool(suspicion.events) and all(event.fields.get("switch") == "yes" for event in suspicion.events)


def _supplies(suspicion: Suspicion) -> int:
    codes = ("bmc:psu_failed", "bmc:psu_input_lost")
    return len({e.fields.get("sensor", "") for e in suspicion.events if e.code in codes})


def _is_fan_and_heat(suspicion: Suspicion) -> bool:
    codes = _codes(suspicion)
    return bool(codes & {"bmc:fan_failed", "bmc:fan_redundancy_lost"}) and bool(codes & BOARD_HEAT)


def _is_removable(suspicion: Suspicion) -> bool:
    named = suspicion.entity.name.startswith(("sr", "fd"))
    return named or any(e.fields.get("removable") == "yes" for e in suspicion.events)


def _is_mended(suspicion: Suspicion) -> bool:
    return bool(suspicion.events) and all(e.code == "fs:repaired" or "mended" in e.fields for e in suspicion.events)


def _holds_system(suspicion: Suspicion, scene: Scene) -> bool:
    return any(e.code == "mount:system" and same_disk(e.entity, suspicion.entity) for e in scene.events)


def _has_paths_left(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether a map that lost a path is told to have others, and nothing failed on it."""
    if not _only(suspicion, "multipath:path_failed") or any("left" in e.fields for e in suspicion.events):
        return False
    return any(e.code == "multipath:paths_left" for e in scene.events)


JOB_ENDS = frozenset({"job:failed", "job:killed", "job:cancelled"})
BOARD_HEAT = frozenset({"bmc:temperature_critical", "bmc:cpu_thermal_trip", "bmc:cpu_throttled", "cpu:thermal"})
ARRAY_CODES = frozenset({"md:degraded", "bmc:array_degraded"})
RAID_NAME = re.compile(r"md\d|md_|md/")
DIAG_LINK_CODES = ("dcgm:nvlink_down", "dcgm:nvlink_errors", "dcgm:p2p_failed")
NO_ACTION_BUCKETS = frozenset({"IGNORE", "XID_154_EVAL"})
LINK_CODES = frozenset({"pci:aer_fatal", "pci:dpc", "pci:link_down"})


def _leaves_it_to_154(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether every sign is an Xid whose decode row asks for nothing by itself, and no Xid 154 asks for more."""
    actions = {event.fields.get("decode_action", "") for event in suspicion.events}
    asked = any(e.fields.get("recovery_action") for e in scene.events if e.entity == suspicion.entity)
    return bool(actions) and not suspicion.findings and actions <= NO_ACTION_BUCKETS and not asked


def _is_array_member(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether the drive is part of a software RAID, by the array's own lines or by the block devices' tree."""
    told = (e.entity for e in scene.events if e.code.startswith("md:"))
    parts = (
        link.object for link in scene.facts.links if link.relation == "part_of" and RAID_NAME.match(link.subject.name)
    )
    return any(same_disk(disk, suspicion.entity) for disk in (*told, *parts))


def _runs_programs(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether a GPU of the node is told to have a process."""
    name = suspicion.entity.node or suspicion.entity.name
    return any(count > 0 for count in _count_processes(scene, lambda gpu: same_node(gpu.node, name)))


def _only_dead(suspicion: Suspicion, scene: Scene) -> bool:
    """Whether all processes that the GPU counts are ones that no longer exist."""
    dead = sum(event.code == "gpu:process_gone" for event in suspicion.events)
    counts = _count_processes(scene, lambda gpu: same_entity(gpu, suspicion.entity))
    return dead > 0 and bool(counts) and max(counts) <= dead


def _count_processes(scene: Scene, holds: Callable[[Entity], bool]) -> list[float]:
    rows = ((window, row) for window in scene.facts.windows for row in range(len(window.entities)))
    counts = (window.latest(row, "gpu_process_count") for window, row in rows if holds(window.entities[row]))
    return [count for count in counts if count is not None]


def _is_planned(suspicion: Suspicion, scene: Scene) -> bool:
    name = suspicion.entity.node or suspicion.entity.name
    rows = (row for row in scene.facts.inventory if any(same_node(name, one) for one in (row.node, *row.aliases)))
    return any(row.state in ("maintenance", "retired") for row in rows)


CIRCUMSTANCES: Sequence[tuple[str, str, Callable[[Suspicion, Scene], bool]]] = (
    ("gpu_app_fault", "only_45", lambda s, _: _only(s, "xid:45")),
    ("gpu_app_fault", "same_gpc_tpc", lambda s, _: _is_same_place_again(s)),
    ("gpu_app_fault", "several_jobs", lambda s, _: _is_31_of_several_jobs(s)),
    ("gpu_memory_contained", "repeat", lambda s, _: count_bursts(s.events) > 1),
    ("gpu_memory_contained", "requeued", lambda s, scene: _is_followed(s, scene, "job:requeued")),
    ("gpu_memory_uncorrectable", "sram_threshold", lambda s, _: any("sram_threshold" in f.values for f in s.findings)),
    ("gpu_memory_uncorrectable", "reboot_asked", _asks_for_reboot),
    ("gpu_gsp_fault", "reboot_asked", _asks_for_reboot),
    ("gpu_internal_fault", "reboot_asked", _asks_for_reboot),
    ("nvlink_fault", "reboot_asked", _asks_for_reboot),
    ("nvlink_fault", "diag_only", lambda s, _: _only(s, *DIAG_LINK_CODES)),
    ("nvlink_fault", "decode_watch", _leaves_it_to_154),
    ("nvlink_fault", "link_down", lambda s, _: "nvlink:down" in _codes(s)),
    ("gpu_off_bus", "handle_only", lambda s, _: _only(s, "gpu:handle_failed")),
    ("pcie_error", "fatal", lambda s, _: bool(_codes(s) & LINK_CODES)),
    ("pcie_error", "only_corrected", lambda s, _: _only(s, "pci:aer_corrected")),
    ("disk_media_error", "removable", lambda s, _: _is_removable(s)),
    ("disk_media_error", "array_member", _is_array_member),
    ("disk_media_error", "system_drive", _holds_system),
    ("disk_media_error", "mended", lambda s, _: _is_mended(s)),
    ("disk_lost", "removable", lambda s, _: _is_removable(s)),
    ("disk_link_error", "removable", lambda s, _: _is_removable(s)),
    ("filesystem_fault", "removable", lambda s, _: _is_removable(s)),
    ("storage_path_fault", "paths_left", _has_paths_left),
    ("disk_lost", "spun_down", lambda s, _: any("initializing" in w for e in s.events for w in e.fields.values())),
    ("disk_lost", "polled", lambda s, _: all(e.fields.get("polled") == "yes" for e in s.events) and not s.findings),
    ("disk_lost", "survived", lambda s, _: _only(s, "nvme:timeout", "scsi:timeout")),
    ("disk_lost", "array_member", lambda s, _: bool(_codes(s) & ARRAY_CODES)),
    ("disk_wearout", "drive_says", lambda s, _: s.weight == "settles"),
    ("host_cpu_lockup", "hard_or_repeated", lambda s, _: "cpu:hard_lockup" in _codes(s) or count_bursts(s.events) > 1),
    ("host_memory_correctable", "beyond_rate", lambda s, _: "bmc:memory_ecc_limit" in _codes(s)),
    ("host_memory_correctable", "below_rate", lambda s, _: count_errors(s.events) < CORRECTED_ERRORS_PER_PAGE),
    ("host_chassis_fault", "several_supplies", lambda s, _: _supplies(s) > 1),
    ("host_chassis_fault", "fan_and_heat", lambda s, _: _is_fan_and_heat(s)),
    ("host_resource_limit", "thin_pool", lambda s, _: any("thin" in e.fields.get("reason", "") for e in s.events)),
    ("host_kernel_panic", "back_up", lambda s, scene: bool(s.events) and _came_back(s, scene)),
    ("nic_link_down", "came_back", lambda s, scene: bool(s.events) and _came_back(s, scene)),
    ("nic_link_down", "of_switch", lambda s, _: _is_of_switch(s)),
    ("nic_link_flap", "few_returns", lambda s, _: bool(s.events) and all("returned" in e.fields for e in s.events)),
    ("nic_link_flap", "of_switch", lambda s, _: _is_of_switch(s)),
    ("nic_link_down", "peers_down", _is_one_of_many),
    ("collective_hang", "already_ended", _ended_since),
    ("fabric_manager_down", "version_mismatch", lambda s, _: "fabric:version_mismatch" in _codes(s)),
    ("fabric_manager_down", "in_use", _runs_programs),
    ("gpu_process_leak", "dead_only", _only_dead),
    ("node_down", "planned", _is_planned),
)  # fmt: skip
"""(fault, note, test): circumstances under which `differs.csv` changes the action."""
