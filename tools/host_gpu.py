"""Turn what NVML told into facts: a window of readings, GPUs, events and coverage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tools.entities import make_gpu, normalise_pci
from tools.nvml_report import GpuProcess, GpuReport, NvlinkReport, NvmlReport, Reading
from tools.signals import (
    FABRIC_STATES,
    FABRIC_TROUBLES,
    GPU_SIGNAL_NAMES,
    MAIN_GPU_SIGNALS,
    RECOVERY_ACTIONS,
    SIGNALS,
    Signal,
    name_clock_reasons,
)
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote, ReadStatus, Window

SOURCE = "NVML"
EVENT_CODES = {
    8: "gpu:power_missing",  # NVML_ERROR_INSUFFICIENT_POWER: the power cables are not attached
    15: "gpu:lost",  # NVML_ERROR_GPU_IS_LOST
    16: "gpu:reset_required",  # NVML_ERROR_RESET_REQUIRED
}
HANDLE_CALL = "nvmlDeviceGetHandleByIndex_v2"
EXPECTED_REASONS = frozenset({"not_supported", "not_in_this_driver"})
MAX_QUOTED_PROCESSES = 8
STUCK_FIX = "dmesg | grep -iE 'nvrm|xid'; ps -eo pid,stat,wchan:24,args | grep ' D'"


def build_gpu_facts(report: NvmlReport, *, node: str) -> Facts:
    """Build facts from an NVML report whose state is ``ok``.

    Returns:
        One window with a row for each GPU (NaN with a reason where nothing was told), the GPUs as entities, an event
        for each GPU that the driver calls lost or cannot open, and coverage for each that gave no answer.
    """
    entities = tuple(_entity(gpu, node) for gpu in report.gpus)
    pairs = list(zip(report.gpus, entities, strict=True))
    events = tuple(event for gpu, entity in pairs if (event := _event(gpu, entity, report.time)) is not None)
    links = (*_find_links_down(pairs, report.time), *_find_fabric_troubles(pairs, report.time))
    told = {event.entity for event in events}
    gaps = [gap for gpu, entity in pairs if entity not in told and (gap := _gap(gpu, entity)) is not None]
    whole = Coverage(f"node:{node}", "gpu", "read")
    if gaps:
        reason = f"{len(gaps)} of {len(report.gpus)} GPUs could not be read in full"
        whole = Coverage(f"node:{node}", "gpu", "partial", reason, gaps[0].fix)
    windows = (_window(report, entities),) if entities else ()
    return Facts(windows=windows, events=(*events, *links), entities=entities, coverage=(whole, *gaps))


def _entity(gpu: GpuReport, node: str) -> Entity:
    return make_gpu(node, index=gpu.index, pci=gpu.pci, uuid=gpu.uuid, serial=gpu.serial)


def _window(report: NvmlReport, entities: tuple[Entity, ...]) -> Window:
    values = {name: np.full((len(entities), 1), np.nan) for name in GPU_SIGNAL_NAMES}
    reasons: dict[tuple[int, str], str] = {}
    for row, gpu in enumerate(report.gpus):
        by_call = {reading.call: reading for reading in _fill_link_errors(gpu)}
        for name in GPU_SIGNAL_NAMES:
            signal = SIGNALS[name]
            reading = by_call.get(signal.nvml)
            if reading is not None and reading.value is not None:
                values[name][row, 0] = reading.value * signal.nvml_scale
            else:
                reasons[row, name] = reading.reason if reading is not None else _why_unread(gpu)
    rows = [(row, gpu) for row, gpu in enumerate(report.gpus) if gpu.readings]
    quotes = {row: _quote_row(gpu, report.driver_version) for row, gpu in rows}
    lines = {(row, signal.name): quote for row, gpu in rows for signal, quote in _quote_signals(gpu)}
    return Window(entities, np.array([report.time]), values, SOURCE, None, reasons, quotes, "utc", lines)


_LINK_ERRORS = SIGNALS["gpu_nvlink_error_total"].nvml


def _fill_link_errors(gpu: GpuReport) -> Iterable[Reading]:
    """The readings of a GPU, with the sum over its NVLinks where the driver tells only each link's own counts."""
    told = [count for link in gpu.links for count in link.errors.values()]
    for reading in gpu.readings:
        is_open = reading.call == _LINK_ERRORS and reading.value is None
        yield Reading(reading.call, float(sum(told))) if is_open and told else reading


def _why_unread(gpu: GpuReport) -> str:
    if gpu.state == "timeout":
        return "timeout"
    return Reading(gpu.call, None, gpu.code).reason


_BY_CALL = {signal.nvml: signal for signal in SIGNALS.values() if signal.nvml}
_MAIN_CALLS = frozenset(SIGNALS[name].nvml for name in MAIN_GPU_SIGNALS)


def _quote_row(gpu: GpuReport, driver_version: str) -> Quote:
    told = [f"driver {driver_version}", f"VBIOS {gpu.vbios or 'not told'}"]
    told += [
        f"{reading.call} = {_spell(_BY_CALL[reading.call], reading.value)}"
        for reading in _answered(gpu)
        if reading.call in _MAIN_CALLS
    ]
    told += [_spell_process(process) for process in gpu.processes[:MAX_QUOTED_PROCESSES]]
    told += [f"MIG instance {uuid}" for uuid in gpu.mig]
    told += [_spell_link(link) for link in gpu.links if not link.is_up or any(link.errors.values())]
    place = f"{SOURCE} nvmlDeviceGet*({_address(gpu)})"
    return Quote(place, None, f"GPU {gpu.index} {gpu.model}: " + ", ".join(told))


def _spell_process(process: GpuProcess) -> str:
    size = "memory not told" if process.used_bytes is None else f"{process.used_bytes / 1024**2:.0f} MiB"
    return f"{process.kind} process {process.pid} = {size}"


def _spell_link(link: NvlinkReport) -> str:
    counted = [f"{count} {name}" for name, count in link.errors.items() if count]
    return f"NVLink {link.link} {'up' if link.is_up else 'inactive'}" + (
        f", {', '.join(counted)} errors" if counted else ""
    )


def _quote_signals(gpu: GpuReport) -> Iterable[tuple[Signal, Quote]]:
    for reading in _fill_link_errors(gpu):
        if reading.value is None:
            continue
        signal = _BY_CALL[reading.call]
        call = f"nvmlDeviceGet{reading.call}({_address(gpu)})"
        yield signal, Quote(f"{SOURCE} {call}", None, f"{call} = {_spell(signal, reading.value)}")


def _address(gpu: GpuReport) -> str:
    return normalise_pci(gpu.pci) if gpu.pci else str(gpu.index)


def _answered(gpu: GpuReport) -> Iterable[Reading]:
    return (reading for reading in gpu.readings if reading.value is not None)


_SPELLINGS = {
    "celsius": (1.0, " C"), "watts": (1.0, " W"), "hertz": (1e-6, " MHz"), "ratio": (100.0, " %"),
    "bytes": (1 / 1024**2, " MiB"), "lanes": (1.0, " lanes"), "seconds": (1.0, " s"), "joules": (1.0, " J"),
}  # fmt: skip


_WORDS = {"gpu_recovery_action": RECOVERY_ACTIONS, "gpu_fabric_state": FABRIC_STATES}


def _spell(signal: Signal, value: float | None) -> str:
    if value is None:
        return "?"
    if signal.name == "gpu_clock_event_reasons":
        return f"{int(value):#x} ({' '.join(name_clock_reasons(int(value))) or 'none'})"
    if signal.name in _WORDS:
        return f"{int(value)} ({_WORDS[signal.name].get(int(value), 'unknown')})"
    factor, unit = _SPELLINGS.get(signal.unit, (1.0, ""))
    return f"{value * signal.nvml_scale * factor:.10g}{unit}"


def _event(gpu: GpuReport, entity: Entity, time: float) -> Event | None:
    """Make an event where the driver itself says that a GPU is gone, or will not open it."""
    if gpu.state != "error" or not gpu.code:
        return None
    code = EVENT_CODES.get(gpu.code, "gpu:handle_failed" if gpu.call == HANDLE_CALL else "gpu:err_reading")
    quote = Quote(f"{SOURCE} {gpu.call}({_address(gpu)})", None, f"GPU {gpu.index}: {gpu.words}")
    fields = {"call": gpu.call, "nvml_error": str(gpu.code)}
    return Event(Moment("utc", time), entity, code, quote, fields, "kernel")


def _find_links_down(pairs: Sequence[tuple[GpuReport, Entity]], time: float) -> Iterable[Event]:
    """Find GPUs with fewer NVLinks up than their peers have: a board may leave some of them unused on all."""
    most = max((sum(link.is_up for link in gpu.links) for gpu, _ in pairs), default=0)
    for gpu, entity in pairs:
        down = [link for link in gpu.links if not link.is_up]
        up = len(gpu.links) - len(down)
        if not gpu.links or up == most:
            continue
        call = f"nvmlDeviceGetNvLinkState({_address(gpu)})"
        words = f"{call}: link {', '.join(str(link.link) for link in down)} inactive; {up} up, {most} on a peer"
        fields = {"down": str(most - up), "up": str(up), "links": " ".join(str(link.link) for link in down)}
        yield Event(
            Moment("utc", time), entity, "nvlink:down", Quote(f"{SOURCE} {call}", None, words), fields, "kernel"
        )


def _find_fabric_troubles(pairs: Sequence[tuple[GpuReport, Entity]], time: float) -> Iterable[Event]:
    for gpu, entity in pairs:
        told = {reading.call: int(reading.value) for reading in gpu.readings if reading.value is not None}
        words = _spell_fabric_trouble(told)
        if words:
            call = f"nvmlDeviceGetGpuFabricInfoV({_address(gpu)})"
            quote = Quote(f"{SOURCE} {call}", None, f"{call}: {words}")
            yield Event(Moment("utc", time), entity, "fabric:error", quote, {"reason": words}, "kernel")


def _spell_fabric_trouble(told: Mapping[str, int]) -> str:
    """Say what is wrong with the NVLink fabric of a GPU; empty for nothing, or where it has none."""
    state, status = told.get("GpuFabricInfoV[state]", 0), told.get("GpuFabricInfoV[status]", 0)
    if not state:
        return ""
    if state < max(FABRIC_STATES):
        return f"the GPU has not joined its NVLink fabric: {FABRIC_STATES[state]}"
    if status:
        return f"joining the NVLink fabric ended with NVML error {status}"
    mask = told.get("GpuFabricInfoV[health]", 0)
    return ", ".join(words for shift, width, words in FABRIC_TROUBLES if mask >> shift & width == 1)


def _gap(gpu: GpuReport, entity: Entity) -> Coverage | None:
    """Say what of a GPU could not be read, beyond what its kind or its driver does not offer."""
    fix = f"nvidia-smi -q -i {_address(gpu)}; dmesg | grep -iE 'nvrm|xid'"
    if gpu.state != "ok":
        # nvidia-smi would hang as we did: the log and the stuck processes can be read without touching the driver.
        fix = STUCK_FIX if gpu.state == "timeout" else fix
        said = f": {gpu.words}" if gpu.words else ""
        named = f"GPU {gpu.index} ({_address(gpu)})" if gpu.pci else f"GPU {gpu.index}"
        return Coverage(str(entity), "gpu", "missing", f"{named}, {gpu.call}{said}", fix)
    # What only some kinds and drivers tell is no gap where it is not told; the window holds the reason.
    main = [reading for reading in gpu.readings if reading.call in _MAIN_CALLS]
    failed = [reading for reading in main if reading.value is None and reading.reason not in EXPECTED_REASONS]
    if not failed:
        return None
    named = ", ".join(f"{reading.call} {reading.reason}" for reading in failed[:3])
    status: ReadStatus = "partial" if any(True for _ in _answered(gpu)) else "missing"
    return Coverage(str(entity), "gpu", status, f"{len(failed)} of {len(main)} readings failed: {named}", fix)
