"""Ask NVML in a child process that can be abandoned: a GPU stuck in the kernel must not hang us.

The child is this very file, run as a script: it imports nothing of Daytwo, so that it starts at once. It writes one
JSON line before each call and one after each GPU; the parent watches the clock. A child that stops talking is killed
and left behind, even where the kernel holds it in uninterruptible sleep, and new children go on with the other GPUs.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

NvmlState = Literal[
    "ok", "library_missing", "driver_not_loaded", "library_mismatch", "no_permission", "timeout", "error"
]
GpuState = Literal["ok", "error", "timeout"]

START_SECONDS = 15.0
"""Longest wait for the child to start Python and load the library; generous, for a machine under load."""
MAX_CHILDREN = 4

STATES: dict[int, NvmlState] = {
    4: "no_permission",  # NVML_ERROR_NO_PERMISSION
    9: "driver_not_loaded",  # NVML_ERROR_DRIVER_NOT_LOADED
    12: "library_missing",  # NVML_ERROR_LIBRARY_NOT_FOUND, raised by the binding
    18: "library_mismatch",  # NVML_ERROR_LIB_RM_VERSION_MISMATCH
}
FATAL_CODES = frozenset({15, 16})
"""GPU_IS_LOST and RESET_REQUIRED: every further call on that GPU would say the same."""
REASONS = {3: "not_supported", 4: "no_permission", 13: "not_in_this_driver", 15: "gpu_lost", 16: "reset_required"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer of NVML.

    Attributes:
        call: Function without ``nvmlDeviceGet``, argument in brackets, as in the table of signals.
        value: In NVML's own unit; None where it gave none.
        code: NVML's return code, 0 where it answered.
    """

    call: str
    value: float | None
    code: int = 0

    @property
    def reason(self) -> str:
        """Why there is no value; empty where there is one."""
        return "" if self.value is not None else REASONS.get(self.code, f"nvml_error_{self.code}")


@dataclass(frozen=True, slots=True)
class GpuReport:
    """What NVML told of one GPU.

    Attributes:
        state: ``ok``; ``error`` where a call said that the GPU is gone or cannot be opened; ``timeout``.
        call: The call that failed or never returned, full name.
        code, words: NVML's return code and its own words for it.
        processes: (process id, bytes of GPU memory) of the compute processes.
    """

    index: int
    state: GpuState = "ok"
    pci: str = ""
    uuid: str = ""
    serial: str = ""
    model: str = ""
    readings: tuple[Reading, ...] = ()
    processes: tuple[tuple[int, int], ...] = ()
    call: str = ""
    code: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True)
class NvmlReport:
    """What NVML told at all.

    Attributes:
        state: ``ok`` where NVML could be opened; each GPU then has a state of its own.
        words: NVML's words for a state that is not ``ok``.
        time: Unix seconds of the reading.
    """

    state: NvmlState
    words: str = ""
    code: int = 0
    driver_version: str = ""
    gpus: tuple[GpuReport, ...] = ()
    time: float = 0.0
    timeout_seconds: float = 0.0


# ---- the parent ----


def read_gpus(*, timeout_seconds: float) -> NvmlReport:
    """Read every GPU that NVML lists, in children, with a time-out for each GPU.

    Args:
        timeout_seconds: Longest wait for NVML to open, and for all calls on one GPU together.

    Returns:
        All that was told. A GPU that never answers costs at most twice the time-out in all, however many they are (in
        rounds of four): after the first, each remaining GPU gets a child of its own.
    """
    started = time.time()
    first = _Child((), timeout_seconds).run()
    report = replace(first.report, time=started, timeout_seconds=timeout_seconds)
    if report.state != "ok" or len(first.gpus) == first.count:
        return replace(report, gpus=_in_order(first.gpus))
    left = [index for index in range(first.count) if index not in first.gpus]
    with ThreadPoolExecutor(max_workers=MAX_CHILDREN) as pool:
        rest = list(pool.map(lambda index: _read_alone(index, timeout_seconds), left))
    return replace(report, gpus=_in_order({**first.gpus, **{gpu.index: gpu for gpu in rest}}))


def _read_alone(index: int, timeout_seconds: float) -> GpuReport:
    child = _Child((index,), timeout_seconds).run()
    if index in child.gpus:
        return child.gpus[index]
    state: GpuState = "timeout" if child.report.state == "timeout" else "error"
    return GpuReport(index, state, call=child.call, code=child.report.code, words=child.report.words)


def _in_order(gpus: Mapping[int, GpuReport]) -> tuple[GpuReport, ...]:
    return tuple(gpus[index] for index in sorted(gpus))


class _Child:
    """One child process and what it has told so far."""

    def __init__(self, indices: Sequence[int], timeout_seconds: float) -> None:
        self._argv = [sys.executable, "-P", os.path.abspath(__file__), *map(str, indices)]  # noqa: PTH100  # no pathlib in the child
        self._timeout = timeout_seconds
        self._buffer = b""
        self._identity = GpuReport(0)
        self._current: int | None = None
        self._finished = False
        self.report = NvmlReport("error")
        self.gpus: dict[int, GpuReport] = {}
        self.count = 0
        self.call = ""

    def run(self) -> _Child:
        """Start the child and listen until it ends or stops talking."""
        from tools.shell import stop_process_group  # here, as the child imports nothing of Daytwo

        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        process = subprocess.Popen(self._argv, stdin=null, stdout=pipe, stderr=null, start_new_session=True)  # noqa: S603
        timed_out = not self._listen(process)
        stop_process_group(process)
        if process.stdout is not None:
            process.stdout.close()
        if not self._finished:
            self._note_end(timed_out=timed_out, exit_code=process.returncode)
        return self

    def _note_end(self, *, timed_out: bool, exit_code: int | None) -> None:
        """Put down what a child that was not done leaves open: the GPU that it was at, or NVML as a whole."""
        words = f"no answer within {self._timeout:g} s" if timed_out else f"the library ended the process ({exit_code})"
        if self._current is not None:
            state: GpuState = "timeout" if timed_out else "error"
            self.gpus[self._current] = replace(self._identity, state=state, call=self.call, words=words)
        elif self.report.state != "ok":
            self.report = NvmlReport("timeout" if timed_out else "error", f"{self.call or 'the NVML child'}: {words}")

    def _listen(self, process: subprocess.Popen[bytes]) -> bool:
        """Take in lines until the child is done (True) or a deadline passes (False)."""
        if process.stdout is None:
            return False
        deadline = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not self._finished:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return False
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    return True
                for message in self._split(chunk):
                    if self._take(message):
                        deadline = time.monotonic() + self._timeout
        return True

    def _split(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b'{"kind"'):  # a library may write to standard output too
                yield json.loads(line)

    def _take(self, message: dict[str, Any]) -> bool:
        """Note one message; return True where the clock starts anew."""
        kind = message.pop("kind")
        if kind == "call":
            self.call = message["call"]
            return self.call == "nvmlInit"  # from here on it is NVML's time, not Python's
        if kind == "identity":
            self._identity = GpuReport(**message)
            return False
        if kind == "gpu":
            self._current, self._identity = message["index"], GpuReport(message["index"])
        elif kind == "read":
            self.gpus[message["index"]] = _parse_gpu(message)
            self._current = None
        elif kind == "open":
            self.count = message.pop("count")
            self.report = NvmlReport("ok", driver_version=message["driver_version"])
        elif kind == "failed":
            self.report = NvmlReport(STATES.get(message["code"], "error"), message["words"], message["code"])
        self._finished = kind in ("failed", "done")
        return True


def _parse_gpu(message: dict[str, Any]) -> GpuReport:
    readings = tuple(Reading(call, value, code) for call, value, code in message.pop("readings"))
    processes = tuple((int(pid), int(size)) for pid, size in message.pop("processes"))
    return GpuReport(**message, readings=readings, processes=processes)


# ---- the child ----


@dataclass(slots=True)
class _Device:
    """A GPU in the child: its handle, and what was read of it."""

    binding: Any
    index: int
    handle: Any = None
    identity: dict[str, str] = field(default_factory=dict)
    readings: list[tuple[str, float | None, int]] = field(default_factory=list)
    processes: list[tuple[int, int]] = field(default_factory=list)
    failure: tuple[str, int, str] = ("", 0, "")


def _say(kind: str, **message: object) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **message}) + "\n")
    sys.stdout.flush()


_REMAPPED = tuple(f"RemappedRows[{what}]" for what in ("corrected", "uncorrected", "pending", "failure"))
_READINGS: tuple[tuple[tuple[str, ...], str, tuple[int, ...]], ...] = (
    # names of the values, function without nvmlDeviceGet, arguments
    (("Temperature[GPU]",), "Temperature", (0,)),
    (("PowerUsage",), "PowerUsage", ()),
    (("PowerManagementLimit",), "PowerManagementLimit", ()),
    (("PowerManagementDefaultLimit",), "PowerManagementDefaultLimit", ()),
    (("ClockInfo[SM]",), "ClockInfo", (1,)),
    (("MaxClockInfo[SM]",), "MaxClockInfo", (1,)),
    (("ClockInfo[MEM]",), "ClockInfo", (2,)),
    (("UtilizationRates[gpu]",), "UtilizationRates", ()),
    (("MemoryInfo[used]", "MemoryInfo[total]"), "MemoryInfo", ()),
    (("CurrentClocksEventReasons",), "CurrentClocksEventReasons", ()),
    (("TotalEccErrors[corrected, volatile]",), "TotalEccErrors", (0, 0)),
    (("TotalEccErrors[uncorrected, volatile]",), "TotalEccErrors", (1, 0)),
    (("TotalEccErrors[corrected, aggregate]",), "TotalEccErrors", (0, 1)),
    (("TotalEccErrors[uncorrected, aggregate]",), "TotalEccErrors", (1, 1)),
    (_REMAPPED, "RemappedRows", ()),
    (("RetiredPagesPendingStatus",), "RetiredPagesPendingStatus", ()),
    (("CurrPcieLinkWidth",), "CurrPcieLinkWidth", ()),
    (("MaxPcieLinkWidth",), "MaxPcieLinkWidth", ()),
    (("CurrPcieLinkGeneration",), "CurrPcieLinkGeneration", ()),
    (("MaxPcieLinkGeneration",), "MaxPcieLinkGeneration", ()),
    (("PcieReplayCounter",), "PcieReplayCounter", ()),
)


def _alone(value: float) -> tuple[float, ...]:
    return (value,)


_UNPACK: dict[str, Callable[[Any], tuple[float, ...]]] = {
    "UtilizationRates": lambda answer: (answer.gpu,),
    "MemoryInfo": lambda answer: (answer.used, answer.total),
    "RemappedRows": tuple,
}
_OLDER_NAMES = {"CurrentClocksEventReasons": "CurrentClocksThrottleReasons"}  # drivers before 535
_FIELDS = {"FieldValues[MEMORY_TEMP]": 82, "FieldValues[GET_GPU_RECOVERY_ACTION]": 230}
_NVLINK_FIELDS = (38, 45, 52, 59)  # CRC flit, CRC data, replay, recovery: totals over all lanes
_NVLINK_NAME = "FieldValues[NVLINK_*_ERROR_COUNT_TOTAL]"
_FIELD_VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # by nvmlValueType_t


def _ask(device: _Device, name: str, *arguments: object) -> tuple[Any, int]:
    """Make one call on a GPU; return (answer, code)."""
    call = f"nvmlDeviceGet{name}"
    _say("call", call=call)
    try:
        return getattr(device.binding, call)(device.handle, *arguments), 0
    except device.binding.NVMLError as error:
        if error.value == 13 and name in _OLDER_NAMES:
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
    _read_fields(device)
    _read_links(device)
    answer, code = _ask(device, "ComputeRunningProcesses_v3")
    if code == 0:
        device.processes = [(process.pid, process.usedGpuMemory or 0) for process in answer]


def _open_device(device: _Device) -> None:
    call = "nvmlDeviceGetHandleByIndex_v2"
    _say("call", call=call)
    try:
        device.handle = device.binding.nvmlDeviceGetHandleByIndex(device.index)
    except device.binding.NVMLError as error:
        device.failure = (call, error.value, str(error))
        return
    for key, function in (("pci", "PciInfo"), ("uuid", "UUID"), ("serial", "Serial"), ("model", "Name")):
        answer, code = _ask(device, function)
        if code == 0:
            text = answer.busId if key == "pci" else answer
            device.identity[key] = text.decode() if isinstance(text, bytes) else text
    _say("identity", index=device.index, **device.identity)


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
    active, known, code = 0, False, device.failure[1]
    for link in range(device.binding.NVML_NVLINK_MAX_LINKS):
        if device.failure[0]:
            break
        answer, code = _ask(device, "NvLinkState", link)
        if code != 0:
            break  # links are numbered without gaps: the first that is not there ends them
        active, known = active + int(answer == 1), True
    device.readings.append(("NvLinkState", active if known else None, 0 if known else code))


def _answer(indices: Sequence[int]) -> None:
    """Be the child: open NVML, read the GPUs asked for (all where none is named), say each."""
    import pynvml  # heavy, and only the child needs it

    binding: Any = pynvml
    _say("call", call="nvmlInit")
    try:
        binding.nvmlInit()
        count, version = binding.nvmlDeviceGetCount(), binding.nvmlSystemGetDriverVersion()
    except binding.NVMLError as error:
        _say("failed", code=error.value, words=str(error))
        return
    _say("open", count=count, driver_version=version)
    for index in indices or range(count):
        _say("gpu", index=index)
        device = _Device(binding, index)
        _read_device(device)
        call, code, words = device.failure
        _say(
            "read", index=index, state="error" if call else "ok", call=call, code=code, words=words,
            readings=device.readings, processes=device.processes, **device.identity,
        )  # fmt: skip
    _say("done")


if __name__ == "__main__":
    _answer([int(argument) for argument in sys.argv[1:]])
