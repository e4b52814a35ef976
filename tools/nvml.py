"""Ask NVML, as a script in a child process: see :mod:`tools.nvml_reader`. Imports nothing of Daytwo, to start at once.

``nvml.py [INDEX…]`` reads GPUs, all where none is named; ``nvml.py events`` says each Xid as the driver tells of it.
Each line of output is a JSON object with a ``kind``.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

FATAL_CODES = frozenset({15, 16})
"""GPU_IS_LOST and RESET_REQUIRED: every further call on that GPU would say the same."""
NOT_FOUND_CODES = frozenset({2, 13, 25, 26})
"""INVALID_ARGUMENT, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED: an older spelling may be known."""
FUNCTION_NOT_FOUND, TIMEOUT = 13, 10
HIDDEN = -1
"""Code of our own: processes of other containers are not shown, so that none is no answer."""
INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h
BEAT_MILLISECONDS = 1000
XID_EVENT, DOUBLE_BIT_EVENT = 0x8, 0x2


@dataclass(slots=True)
class _Device:
    """A GPU: its handle, and what was read of it."""

    binding: Any
    index: int
    handle: Any = None
    identity: dict[str, str] = field(default_factory=dict)
    readings: list[tuple[str, float | None, int]] = field(default_factory=list)
    processes: list[tuple[int, int | None, str]] = field(default_factory=list)
    links: list[tuple[int, bool, dict[str, int]]] = field(default_factory=list)
    mig: list[str] = field(default_factory=list)
    failure: tuple[str, int, str] = ("", 0, "")


def _say(kind: str, **message: object) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **message}) + "\n")
    sys.stdout.flush()


def _name(function: str, *arguments: str) -> tuple[str, ...]:
    return tuple(f"{function}[{argument}]" for argument in arguments)


_READINGS: tuple[tuple[tuple[str, ...], str, tuple[object, ...]], ...] = (
    # names of the values, function without nvmlDeviceGet, arguments
    (("Temperature[GPU]",), "Temperature", (0,)),
    (("PowerUsage",), "PowerUsage", ()),
    (("PowerManagementLimit",), "PowerManagementLimit", ()),
    (("PowerManagementDefaultLimit",), "PowerManagementDefaultLimit", ()),
    (("ClockInfo[SM]",), "ClockInfo", (1,)),
    (("MaxClockInfo[SM]",), "MaxClockInfo", (1,)),
    (("ClockInfo[MEM]",), "ClockInfo", (2,)),
    (_name("UtilizationRates", "gpu", "memory"), "UtilizationRates", ()),
    (("CurrentClocksEventReasons",), "CurrentClocksEventReasons", ()),
    (("TotalEccErrors[corrected, volatile]",), "TotalEccErrors", (0, 0)),
    (("TotalEccErrors[uncorrected, volatile]",), "TotalEccErrors", (1, 0)),
    (("TotalEccErrors[corrected, aggregate]",), "TotalEccErrors", (0, 1)),
    (("TotalEccErrors[uncorrected, aggregate]",), "TotalEccErrors", (1, 1)),
    (_name("RemappedRows", "corrected", "uncorrected", "pending", "failure"), "RemappedRows", ()),
    (("RetiredPagesPendingStatus",), "RetiredPagesPendingStatus", ()),
    (("CurrPcieLinkWidth",), "CurrPcieLinkWidth", ()),
    (("MaxPcieLinkWidth",), "MaxPcieLinkWidth", ()),
    (("CurrPcieLinkGeneration",), "CurrPcieLinkGeneration", ()),
    (("MaxPcieLinkGeneration",), "MaxPcieLinkGeneration", ()),
    (("PcieReplayCounter",), "PcieReplayCounter", ()),
    (("ClockInfo[GRAPHICS]",), "ClockInfo", (0,)),
    (("MaxClockInfo[MEM]",), "MaxClockInfo", (2,)),
    (("PerformanceState",), "PerformanceState", ()),
    (("EnforcedPowerLimit",), "EnforcedPowerLimit", ()),
    (_name("PowerManagementLimitConstraints", "min", "max"), "PowerManagementLimitConstraints", ()),
    (("TotalEnergyConsumption",), "TotalEnergyConsumption", ()),
    (("TemperatureThreshold[SHUTDOWN]",), "TemperatureThreshold", (0,)),
    (("TemperatureThreshold[SLOWDOWN]",), "TemperatureThreshold", (1,)),
    (("TemperatureThreshold[MEM_MAX]",), "TemperatureThreshold", (2,)),
    (("TemperatureThreshold[GPU_MAX]",), "TemperatureThreshold", (3,)),
    (("MarginTemperature",), "MarginTemperature", ()),
    (("ViolationStatus[POWER]",), "ViolationStatus", (0,)),
    (("ViolationStatus[THERMAL]",), "ViolationStatus", (1,)),
    (("ViolationStatus[SYNC_BOOST]",), "ViolationStatus", (2,)),
    (("ViolationStatus[BOARD_LIMIT]",), "ViolationStatus", (3,)),
    (("ViolationStatus[RELIABILITY]",), "ViolationStatus", (5,)),
    (_name("EccMode", "current", "pending"), "EccMode", ()),
    (("MemoryErrorCounter[uncorrected, volatile, DRAM]",), "MemoryErrorCounter", (1, 0, 2)),
    (("MemoryErrorCounter[uncorrected, volatile, SRAM]",), "MemoryErrorCounter", (1, 0, 7)),
    (("MemoryErrorCounter[uncorrected, aggregate, DRAM]",), "MemoryErrorCounter", (1, 1, 2)),
    (("MemoryErrorCounter[uncorrected, aggregate, SRAM]",), "MemoryErrorCounter", (1, 1, 7)),
    (_name("RowRemapperHistogram", "max", "high", "partial", "low", "none"), "RowRemapperHistogram", ()),
    (("RetiredPages[MULTIPLE_SINGLE_BIT]",), "RetiredPages", (0,)),
    (("RetiredPages[DOUBLE_BIT]",), "RetiredPages", (1,)),
    (("PersistenceMode",), "PersistenceMode", ()),
    (("ComputeMode",), "ComputeMode", ()),
    (_name("MigMode", "current", "pending"), "MigMode", ()),
)


def _alone(value: float) -> tuple[float, ...]:
    return (value,)


_UNPACK: dict[str, Callable[[Any], Iterable[float]]] = {
    "UtilizationRates": lambda answer: (answer.gpu, answer.memory),
    "RemappedRows": tuple,
    "PowerManagementLimitConstraints": tuple,
    "ViolationStatus": lambda answer: (answer.violationTime,),
    "EccMode": tuple,
    "RowRemapperHistogram": lambda answer: (answer.max, answer.high, answer.partial, answer.low, answer.none),
    "RetiredPages": lambda answer: (len(answer),),
    "MigMode": tuple,
}
_OLDER_NAMES = {"CurrentClocksEventReasons": "CurrentClocksThrottleReasons"}  # drivers before 535
_FIELDS = {
    "FieldValues[MEMORY_TEMP]": 82,
    "FieldValues[GET_GPU_RECOVERY_ACTION]": 230,
    "FieldValues[PCIE_REPLAY_ROLLOVER_COUNTER]": 95,
    "FieldValues[CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN]": 269,
    "FieldValues[CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN]": 270,
    "FieldValues[CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN]": 271,
}
_NVLINK_FIELDS = (38, 45, 52, 59)  # CRC flit, CRC data, replay, recovery: totals over all lanes
_NVLINK_NAME = "FieldValues[NVLINK_*_ERROR_COUNT_TOTAL]"
_LINK_FIELDS = {
    161: "replay", 162: "recovery", 163: "crc",  # NVLINK_ERROR_DL_*, up to Hopper
    208: "receive", 214: "failed recovery", 219: "effective",  # NVLINK_COUNT_*, from Blackwell on
}  # fmt: skip
_FIELD_VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # by nvmlValueType_t
_STRUCTS: tuple[tuple[str, tuple[tuple[str, int], ...], dict[str, str]], ...] = (
    # function, its structures with their version (newest first), name of a value to the member that holds it
    ("GpuFabricInfoV", (("c_nvmlGpuFabricInfo_v3_t", 3), ("c_nvmlGpuFabricInfo_v2_t", 2)),
     {"state": "state", "status": "status", "health": "healthMask"}),
    ("SramEccErrorStatus", (("c_nvmlEccSramErrorStatus_v1_t", 1),), {"threshold": "bThresholdExceeded"}),
)  # fmt: skip
_PROCESS_CALLS = (
    ("compute", "ComputeRunningProcesses_v3"),
    ("graphics", "GraphicsRunningProcesses_v3"),
    ("mps", "MPSComputeRunningProcesses_v3"),
)


def _ask(device: _Device, name: str, *arguments: object) -> tuple[Any, int]:
    """Make one call on a GPU; return (answer, code)."""
    call = f"nvmlDeviceGet{name}"
    _say("call", call=call)
    function = getattr(device.binding, call, None)
    if function is None:
        return None, FUNCTION_NOT_FOUND  # an older binding
    try:
        return function(device.handle, *arguments), 0
    except device.binding.NVMLError as error:
        if error.value == FUNCTION_NOT_FOUND and name in _OLDER_NAMES:
            return _ask(device, _OLDER_NAMES[name], *arguments)
        if error.value in FATAL_CODES and not device.failure[0]:
            device.failure = (call, error.value, str(error))
        return None, error.value


def _read_device(device: _Device) -> None:
    """Read all of one GPU; stop at an answer after which no other can differ."""
    _open_device(device)
    for names, function, arguments in _READINGS:
        if device.failure[0]:
            return
        answer, code = _ask(device, function, *arguments)
        unpack = _UNPACK.get(function, _alone)
        values: Iterable[float | None] = unpack(answer) if code == 0 else [None] * len(names)
        device.readings += [(name, value, code) for name, value in zip(names, values, strict=True)]
    _read_memory(device)
    _read_structs(device)
    _read_fields(device)
    _read_links(device)
    _read_processes(device)
    _read_mig(device)


def _open_device(device: _Device) -> None:
    call = "nvmlDeviceGetHandleByIndex_v2"
    _say("call", call=call)
    try:
        device.handle = device.binding.nvmlDeviceGetHandleByIndex(device.index)
    except device.binding.NVMLError as error:
        device.failure = (call, error.value, str(error))
        return
    wanted = (("pci", "PciInfo"), ("uuid", "UUID"), ("serial", "Serial"), ("model", "Name"), ("vbios", "VbiosVersion"))
    for key, function in wanted:
        answer, code = _ask(device, function)
        if code == 0:
            device.identity[key] = _text(answer.busId if key == "pci" else answer)
    _say("identity", index=device.index, **device.identity)


def _text(answer: str | bytes) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer


def _read_memory(device: _Device) -> None:
    """Read memory in use without what the driver keeps for itself, which only the second version tells apart."""
    answer, code = _ask(device, "MemoryInfo", getattr(device.binding, "nvmlMemory_v2", None))
    if code in NOT_FOUND_CODES:
        answer, code = _ask(device, "MemoryInfo")
    told = {"used": None, "total": None} if answer is None else {"used": answer.used, "total": answer.total}
    device.readings += [(f"MemoryInfo[{name}]", value, code) for name, value in told.items()]


def _read_structs(device: _Device) -> None:
    for function, versions, members in _STRUCTS:
        answer, code = None, FUNCTION_NOT_FOUND
        for name, version in versions:
            struct = getattr(device.binding, name, None)
            if struct is None or device.failure[0] or (answer is None and code not in NOT_FOUND_CODES):
                continue
            answer = struct()
            answer.version = ctypes.sizeof(struct) | version << 24
            _, code = _ask(device, function, ctypes.byref(answer))
            if code == 0:
                break
            answer = None
        device.readings += [
            (f"{function}[{name}]", None if answer is None else float(getattr(answer, member)), code)
            for name, member in members.items()
        ]


def _read_fields(device: _Device) -> None:
    wanted = [*_FIELDS.values(), *_NVLINK_FIELDS]
    answer, code = (None, 0) if device.failure[0] else _ask(device, "FieldValues", wanted)
    if answer is None:
        device.readings += [(name, None, code or device.failure[1]) for name in (*_FIELDS, _NVLINK_NAME)]
        return
    values = {one.fieldId: (_field_number(one), one.nvmlReturn) for one in answer}
    device.readings += [(name, *values[field_id]) for name, field_id in _FIELDS.items()]
    errors = [values[field_id][0] for field_id in _NVLINK_FIELDS]
    told = [number for number in errors if number is not None]
    device.readings.append((_NVLINK_NAME, sum(told) if told else None, 0 if told else values[_NVLINK_FIELDS[0]][1]))


def _field_number(one: Any) -> float | None:  # noqa: ANN401  # a ctypes structure of the binding
    if one.nvmlReturn != 0 or one.valueType >= len(_FIELD_VALUE_MEMBERS):
        return None
    return float(getattr(one.value, _FIELD_VALUE_MEMBERS[one.valueType]))


def _read_links(device: _Device) -> None:
    states: list[bool] = []
    code = device.failure[1]
    for link in range(device.binding.NVML_NVLINK_MAX_LINKS):
        if device.failure[0]:
            break
        answer, code = _ask(device, "NvLinkState", link)
        if code != 0:
            break  # links are numbered without gaps: the first that is not there ends them
        states.append(answer == 1)
    device.readings.append(("NvLinkState", sum(states) if states else None, 0 if states else code))
    errors = _read_link_errors(device, len(states))
    device.links = [(link, is_up, errors.get(link, {})) for link, is_up in enumerate(states)]


def _read_link_errors(device: _Device, count: int) -> dict[int, dict[str, int]]:
    """Read what each link has counted, all in one call."""
    found: dict[int, dict[str, int]] = {}
    if not count or device.failure[0]:
        return found
    answer, code = _ask(device, "FieldValues", [(one, link) for link in range(count) for one in _LINK_FIELDS])
    if code != 0:
        return found
    for one in answer:
        number = _field_number(one)
        if number is not None:
            found.setdefault(one.scopeId, {})[_LINK_FIELDS[one.fieldId]] = int(number)
    return found


def _read_processes(device: _Device) -> None:
    codes = []
    for kind, function in _PROCESS_CALLS:
        answer, code = (None, device.failure[1]) if device.failure[0] else _ask(device, function)
        codes.append(code)
        if answer is not None:
            device.processes += [(one.pid, one.usedGpuMemory, kind) for one in answer]
    count: float | None = len({pid for pid, _, _ in device.processes})
    code = codes[0]
    if not count and code == 0 and not _sees_all_processes():
        code = HIDDEN
    device.readings.append(("ComputeRunningProcesses", count if code == 0 else None, code))


def _sees_all_processes() -> bool:
    try:
        return os.readlink("/proc/self/ns/pid") == INITIAL_PID_NAMESPACE  # noqa: PTH115  # no pathlib in the child
    except OSError:
        return False


def _read_mig(device: _Device) -> None:
    if not any(name == "MigMode[current]" and value for name, value, _ in device.readings):
        return
    count, code = _ask(device, "MaxMigDeviceCount")
    for number in range(count if code == 0 else 0):
        handle, code = _ask(device, "MigDeviceHandleByIndex", number)
        if code == 0:
            instance = _Device(device.binding, device.index, handle)
            answer, code = _ask(instance, "UUID")
            device.mig += [_text(answer)] if code == 0 else []


def _open() -> tuple[Any, int] | None:
    """Open NVML: (binding, number of GPUs); None where it says no."""
    import pynvml  # heavy, and only the child needs it

    binding: Any = pynvml
    _say("call", call="nvmlInit")
    try:
        binding.nvmlInit()
        count, version = binding.nvmlDeviceGetCount(), binding.nvmlSystemGetDriverVersion()
    except binding.NVMLError as error:
        _say("failed", code=error.value, words=str(error))
        return None
    _say("open", count=count, driver_version=_text(version))
    return binding, count


def _answer(indices: Sequence[int]) -> None:
    """Read the GPUs asked for (all where none is named), say each."""
    opened = _open()
    if opened is None:
        return
    binding, count = opened
    for index in indices or range(count):
        _say("gpu", index=index)
        device = _Device(binding, index)
        _read_device(device)
        call, code, words = device.failure
        _say(
            "read", index=index, state="error" if call else "ok", call=call, code=code, words=words, mig=device.mig,
            readings=device.readings, processes=device.processes, links=device.links, **device.identity,
        )  # fmt: skip
    _say("done")


def _watch() -> None:
    """Say each Xid as it comes, and a beat where none does; ends when nobody listens any more."""
    opened = _open()
    if opened is None:
        return
    binding, count = opened
    try:
        events = binding.nvmlEventSetCreate()
        for index in range(count):
            _register(binding, index, events)
        while True:
            _wait(binding, events)
    except binding.NVMLError as error:
        _say("failed", code=error.value, words=str(error))
    except BrokenPipeError:
        os._exit(0)  # nothing is left to be flushed to


def _register(binding: Any, index: int, events: object) -> None:  # noqa: ANN401  # the module of NVIDIA
    device = _Device(binding, index)
    _open_device(device)
    if device.failure[0]:
        return
    answer, code = _ask(device, "SupportedEventTypes")
    wanted = (XID_EVENT | DOUBLE_BIT_EVENT) & (answer if code == 0 else 0)
    try:
        binding.nvmlDeviceRegisterEvents(device.handle, wanted, events)
        _say("registered", index=index, types=wanted)
    except binding.NVMLError as error:
        _say("unregistered", index=index, code=error.value, words=str(error))


def _wait(binding: Any, events: object) -> None:  # noqa: ANN401  # the module of NVIDIA
    try:
        event = binding.nvmlEventSetWait_v2(events, BEAT_MILLISECONDS)
    except binding.NVMLError as error:
        if error.value != TIMEOUT:
            raise
        _say("beat")
        return
    device = _Device(binding, -1, event.device)
    answer, code = _ask(device, "PciInfo")
    pci = _text(answer.busId) if code == 0 else ""
    _say("event", type=event.eventType, data=event.eventData, pci=pci)


if __name__ == "__main__":
    if sys.argv[1:] == ["events"]:
        _watch()
    else:
        _answer([int(argument) for argument in sys.argv[1:]])
