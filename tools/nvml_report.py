"""What NVML told: readings, GPUs, and the machine as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

NvmlState = Literal[
    "ok", "library_missing", "driver_not_loaded", "library_mismatch", "no_permission", "timeout", "error"
]
GpuState = Literal["ok", "error", "timeout"]

STATES: dict[int, NvmlState] = {
    4: "no_permission",  # NVML_ERROR_NO_PERMISSION
    9: "driver_not_loaded",  # NVML_ERROR_DRIVER_NOT_LOADED
    12: "library_missing",  # NVML_ERROR_LIBRARY_NOT_FOUND, raised by the binding
    18: "library_mismatch",  # NVML_ERROR_LIB_RM_VERSION_MISMATCH
}
REASONS = {
    -1: "hidden_in_this_container", 2: "not_known_to_this_gpu", 3: "not_supported", 4: "no_permission",
    13: "not_in_this_driver", 15: "gpu_lost", 16: "reset_required", 25: "not_in_this_driver", 26: "not_in_this_driver",
}  # fmt: skip


class GpuProcess(NamedTuple):
    """A process on a GPU: compute, graphics or mps; bytes of GPU memory, None where the driver does not tell."""

    pid: int
    used_bytes: int | None
    kind: str


class NvlinkReport(NamedTuple):
    """One NVLink: its number, whether it is up, and what it has counted by name."""

    link: int
    is_up: bool
    errors: dict[str, int]


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
        mig: UUIDs of its MIG instances.
        call: The call that failed or never returned, full name.
        code, words: NVML's return code and its own words for it.
    """

    index: int
    state: GpuState = "ok"
    pci: str = ""
    uuid: str = ""
    serial: str = ""
    model: str = ""
    vbios: str = ""
    readings: tuple[Reading, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    links: tuple[NvlinkReport, ...] = ()
    mig: tuple[str, ...] = ()
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
