"""What in the evidence speaks against a suspicion: it is said, and nothing is confirmed against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from agent.circumstances import Scene
from agent.fold import same_disk
from agent.types import Suspicion
from tools.clock import format_time
from tools.entities import normalise_pci, same_entity
from tools.names import is_job_output
from tools.types import Event, Finding, Window

# fmt: off
KERNEL_FAMILIES = frozenset({
    "xid", "sxid", "gpu", "driver", "pci", "nvme", "block", "scsi", "ata", "md", "fs", "nfs", "mlx5", "edac", "mce",
    "oom", "task", "cpu", "kernel", "limit",
})
# fmt: on
OF_DRIVERS = frozenset({"nic:firmware", "nic:thermal", "nvlink:minor", "lustre:mount_failed"})
"""Codes of other families that only a driver's line settles."""
OF_TOOLS = frozenset({"driver", "oom", "limit"})
"""Families whose lines programs print as well, by right."""
HANDLE = "gpu:handle_failed"
"""What `nvidia-smi` says of a GPU, never the kernel."""
ADDRESS = re.compile(r"\b(?:[0-9a-f]{4,8}:)[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-7])?\b", re.I)


def find_doubts(suspicion: Suspicion, scene: Scene) -> tuple[str, ...]:
    """List what speaks against a suspicion, as clauses for people; empty where nothing does."""
    found = (doubt for test in (*ALL, *OF_FAULT.get(suspicion.fault, ())) for doubt in test(suspicion, scene))
    return tuple(dict.fromkeys(found))


def _differing_address(suspicion: Suspicion, _: Scene) -> Iterator[str]:
    for event in suspicion.events:
        head, rest = event.fields.get("pci", ""), event.fields.get("rest", "")
        others = {normalise_pci(match.group()) for match in ADDRESS.finditer(rest)} - {normalise_pci(head)}
        if head and others and event.code.startswith("xid:"):
            yield f"{event.quote.place} names {head} at its head and {', '.join(sorted(others))} in its text"


def is_of_kernel(event: Event) -> bool:
    """Say whether what an event tells is the kernel's to tell."""
    return event.code.partition(":")[0] in KERNEL_FAMILIES or event.code in OF_DRIVERS


def is_forgeable(event: Event) -> bool:
    """Say whether a user can have made what only the kernel, or a tool that asks it, may tell."""
    of_job = event.writer == "tool" and is_job_output(event.quote.source)
    return of_job or (event.writer == "user" and is_of_kernel(event))


def is_of_job(finding: Finding) -> bool:
    """Say whether all that a finding rests on stands in what a job printed: a table there is the job's word."""
    return bool(finding.quotes) and all(is_job_output(quote.source) for quote in finding.quotes)


def _users_word(suspicion: Suspicion, _: Scene) -> Iterator[str]:
    quotes = [event.quote for event in suspicion.events if is_forgeable(event)]
    quotes += [finding.quotes[0] for finding in suspicion.findings if is_of_job(finding)]
    if quotes and suspicion.weight == "weak":
        yield f"a program wrote {quotes[0].place}, not the kernel, and can write what it likes"


def _untold_writer(suspicion: Suspicion, _: Scene) -> Iterator[str]:
    told = [event for event in suspicion.events if is_of_kernel(event)]
    if suspicion.findings or len(told) < len(suspicion.events) or any(event.writer != "unknown" for event in told):
        return
    lines = [event for event in told if event.code.partition(":")[0] not in OF_TOOLS and event.code != HANDLE]
    if lines:
        yield f"the form of {lines[0].quote.place} does not tell who wrote it, the kernel or a program"


def _healthy_flag(suspicion: Suspicion, scene: Scene) -> Iterator[str]:
    for event in scene.events:
        if event.code == "smart:healthy" and same_disk(event.entity, suspicion.entity):
            yield f"the drive's own assessment is that it is healthy ({event.quote.place})"


def _answers_later(suspicion: Suspicion, scene: Scene) -> Iterator[str]:
    for window, row, seconds in _readings_since(suspicion, scene, "gpu_temperature_celsius"):
        if window.latest(row, "gpu_temperature_celsius") is not None:
            when = f" at {format_time(seconds)}" if seconds is not None else ""
            yield f"{window.source} shows the GPU with readings{when}: it may have come back"


def _flag_says(signal: str, value: float, words: str) -> Callable[[Suspicion, Scene], Iterator[str]]:
    def read(suspicion: Suspicion, scene: Scene) -> Iterator[str]:
        for window, row, _ in _readings_since(suspicion, scene, signal):
            if window.latest(row, signal) == value:
                yield f"{words} in {window.source}"

    return read


def _readings_since(suspicion: Suspicion, scene: Scene, signal: str) -> Iterator[tuple[Window, int, float | None]]:
    """Readings of the entity that are not surely older than the last event which speaks for the suspicion."""
    if not suspicion.events:
        return
    last = suspicion.events[-1]
    for window in scene.facts.windows:
        if signal not in window.values:
            continue
        seconds = float(window.times[-1]) if len(window.times) and window.times[-1] == window.times[-1] else None
        for row, entity in enumerate(window.entities):
            if same_entity(entity, suspicion.entity) and not _is_older(seconds, window, last):
                yield window, row, seconds


def _is_older(seconds: float | None, window: Window, event: Event) -> bool:
    told = event.moment.seconds
    return None not in (seconds, told) and window.clock == event.moment.clock and (seconds or 0.0) < (told or 0.0)


Test = Callable[[Suspicion, Scene], Iterator[str]]
ALL: tuple[Test, ...] = (_differing_address, _users_word, _untold_writer)
OF_FAULT: Mapping[str, tuple[Test, ...]] = {
    "disk_media_error": (_healthy_flag,),
    "disk_link_error": (_healthy_flag,),
    "gpu_off_bus": (_answers_later,),
    "gpu_memory_remap_failure": (_flag_says("gpu_row_remap_failure", 0.0, "the flag of a failed remap is not set"),),
    "gpu_memory_remap_pending": (_flag_says("gpu_row_remap_pending", 0.0, "no remap is pending any more"),),
}
"""Fault to what may speak against it."""
