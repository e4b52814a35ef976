"""What is started: the command, the variables and the GPUs of each server of a plan, or of the small model."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.model_env import Environment
from serve.model_state import HeldGpu
from serve.sizing import GIB, STRUCTURE, Model, Plan
from tools.errors import SiteConfigError
from tools.nvml_reader import read_gpus

HOST = "127.0.0.1"
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""vLLM tells its makers how it is used unless it is told not to; a site without a way out waits for that."""
PCI_ORDER = "PCI_BUS_ID"
"""Without this CUDA numbers GPUs by their speed, and NVML by their slot."""
CPU_BLOCK_TOKENS = 32
"""The smallest that vLLM 0.32 takes on a processor, where it has 128 by itself: what a later step can take from the
cache ends at a whole block."""
SMALL_AGENTS = 4
SMALL_CONTEXT = "8k"


@dataclass(frozen=True, slots=True)
class Launch:
    """One server.

    Attributes:
        argv: Program and arguments.
        env: Variables on top of the process' own.
        contexts: Whole conversations that it holds by arithmetic.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    name: str
    port: int
    gpus: tuple[HeldGpu, ...] = ()
    contexts: int | None = None

    @property
    def url(self) -> str:
        """Base URL for a client."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def spec(self) -> str:
        """``URL#NAME``, as `--model` takes it."""
        return f"{self.url}#{self.name}"


def choose_gpus(wanted: int, devices: Sequence[int], timeout_seconds: float) -> tuple[HeldGpu, ...]:
    """Choose GPUs of this machine, by their NVML index.

    Args:
        wanted: How many.
        devices: These; the first ones where none are named.
        timeout_seconds: Longest wait for one GPU.

    Raises:
        SiteConfigError: They are not there.
    """
    report = read_gpus(timeout_seconds=timeout_seconds)
    usable = {
        gpu.index: HeldGpu(index=gpu.index, uuid=gpu.uuid, pci=gpu.pci) for gpu in report.gpus if gpu.state == "ok"
    }
    chosen = list(devices) or sorted(usable)[:wanted]
    missing = [index for index in chosen if index not in usable]
    if missing or len(chosen) < wanted:
        seen = ", ".join(map(str, sorted(usable))) or "none"
        raise SiteConfigError(
            f"The plan needs {wanted} GPUs; NVML shows {seen} here{f', not {missing[0]}' if missing else ''}.",
            fix="nvidia-smi -L; for another machine --write systemd|compose|slurm|kubernetes; without a GPU: --small",
        )
    return tuple(usable[index] for index in chosen[:wanted])


def build_launches(
    plan: Plan, environment: Environment, gpus: Sequence[HeldGpu], *, port: int, weights: str = ""
) -> list[Launch]:
    """One server for each replica of a plan, each on its own GPUs and on a port after the one before.

    Args:
        plan: What is served, and with which flags.
        environment: Whose vLLM.
        gpus: All GPUs of the plan.
        port: Of the first one.
        weights: A local folder in place of the repository.
    """
    flags = list_flags(plan)
    launches = []
    for number in range(plan.replicas):
        own = tuple(gpus[number * plan.tensor_parallel : (number + 1) * plan.tensor_parallel])
        env = {
            **QUIET,
            **({"HF_HUB_OFFLINE": "1"} if weights else {}),
            "CUDA_DEVICE_ORDER": PCI_ORDER,
            "CUDA_VISIBLE_DEVICES": ",".join(str(gpu.index) for gpu in own),
        }
        argv = (*environment.start, weights or plan.repository, *flags, "--port", str(port + number))
        launches.append(Launch(argv, env, plan.model, port + number, own, plan.contexts // plan.replicas))
    return launches


def list_flags(plan: Plan) -> list[str]:
    """The flags of a plan's command, without program and model."""
    return shlex.split(plan.command)[3:]


def build_small_launch(
    model: Model, environment: Environment, folder: Path, *, context_tokens: int, agents: int, port: int
) -> Launch:
    """The server of a small model on the processor.

    Its cache is sized for the conversations that are wanted, as memory is shared with everything else.

    Args:
        model: Its shape.
        environment: Whose vLLM.
        folder: Its weights.
        context_tokens: Longest conversation.
        agents: Conversations at once.
        port: Where it listens.
    """
    if context_tokens > model.max_context:
        raise SiteConfigError(f"{model.name} knows {model.max_context} tokens at most.", fix="--context 8k")
    cache_gib = max(1, math.ceil(agents * context_tokens * model.kv_bytes() / GIB))
    flags = [
        "--served-model-name", model.name, "--host", HOST, "--port", str(port),
        "--max-model-len", str(context_tokens), "--max-num-seqs", str(agents), "--dtype", "bfloat16",
        "--enable-prefix-caching", "--enable-prompt-tokens-details",
        "--enable-auto-tool-choice", "--tool-call-parser", model.tool_parser, *STRUCTURE,
        "--block-size", str(CPU_BLOCK_TOKENS), "--enforce-eager",
    ]  # fmt: skip
    env = {**QUIET, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": str(cache_gib)}
    return Launch((*environment.start, str(folder), *flags), env, model.name, port, (), agents)
