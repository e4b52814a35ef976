"""Read GPUs through NVML in child processes that can be abandoned: a GPU stuck in the kernel must not hang us.

The child is :mod:`tools.nvml`, run as a script. It writes one JSON line before each call and one after each GPU; here
the clock is watched. A child that stops talking is killed and left behind, even where the kernel holds it in
uninterruptible sleep, and new children go on with the other GPUs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.nvml_report import STATES, GpuProcess, GpuReport, GpuState, NvlinkReport, NvmlReport, Reading
from tools.shell import Listener

START_SECONDS = 15.0
"""Longest wait for the child to start Python and load the library; generous, for a machine under load."""
MAX_CHILDREN = 4
CHILD = Path(__file__).with_name("nvml.py")


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
    child = _Child((str(index),), timeout_seconds).run()
    if index in child.gpus:
        return child.gpus[index]
    state: GpuState = "timeout" if child.report.state == "timeout" else "error"
    return GpuReport(index, state, call=child.call, code=child.report.code, words=child.report.words)


def _in_order(gpus: Mapping[int, GpuReport]) -> tuple[GpuReport, ...]:
    return tuple(gpus[index] for index in sorted(gpus))


def start_child(arguments: Iterable[str]) -> Listener:
    """Start a child; it runs this very Python, with no folder of ours on its path."""
    return Listener([sys.executable, "-P", str(CHILD), *arguments])


def parse_message(line: bytes) -> dict[str, Any] | None:
    """Read one line of a child; None for what a library writes to standard output too."""
    return json.loads(line) if line.startswith(b'{"kind"') else None


class _Child:
    """One child process and what it has told so far."""

    def __init__(self, arguments: Sequence[str], timeout_seconds: float) -> None:
        self._arguments = arguments
        self._timeout = timeout_seconds
        self._identity = GpuReport(0)
        self._current: int | None = None
        self._finished = False
        self.report = NvmlReport("error")
        self.gpus: dict[int, GpuReport] = {}
        self.count = 0
        self.call = ""

    def run(self) -> _Child:
        """Start the child and listen until it ends or stops talking."""
        with start_child(self._arguments) as listener:
            timed_out = not self._listen(listener)
            exit_code = listener.stop()
        if not self._finished:
            self._note_end(timed_out=timed_out, exit_code=exit_code)
        return self

    def _note_end(self, *, timed_out: bool, exit_code: int | None) -> None:
        """Put down what a child that was not done leaves open: the GPU that it was at, or NVML as a whole."""
        words = f"no answer within {self._timeout:g} s" if timed_out else f"the library ended the process ({exit_code})"
        if self._current is not None:
            state: GpuState = "timeout" if timed_out else "error"
            self.gpus[self._current] = replace(self._identity, state=state, call=self.call, words=words)
        elif self.report.state != "ok":
            self.report = NvmlReport("timeout" if timed_out else "error", f"{self.call or 'the NVML child'}: {words}")

    def _listen(self, listener: Listener) -> bool:
        """Take in lines until the child is done (True) or a deadline passes (False)."""
        deadline = time.monotonic() + START_SECONDS
        while not self._finished:
            lines = listener.read(max(0.0, deadline - time.monotonic()))
            if lines is None:
                return False
            if not lines and listener.has_ended:
                return True
            for line in lines:
                message = parse_message(line)
                if message is not None and self._take(message):
                    deadline = time.monotonic() + self._timeout
        return True

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
    processes = tuple(GpuProcess(*one) for one in message.pop("processes"))
    links = tuple(NvlinkReport(*one) for one in message.pop("links"))
    mig = tuple(message.pop("mig"))
    return GpuReport(**message, readings=readings, processes=processes, links=links, mig=mig)
