"""The same plan for those who start services otherwise: a systemd unit, a compose file, a Slurm script, Kubernetes."""

from __future__ import annotations

import json
import math
import os
import pwd
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from serve.model_env import VLLM_VERSION
from serve.model_launch import PCI_ORDER, QUIET, list_flags
from serve.sizing import Plan
from tools.errors import OperatorError

Unit = Literal["systemd", "compose", "slurm", "kubernetes"]
TEMPLATES = Path(__file__).with_name("templates")
IMAGE = f"vllm/vllm-openai:v{VLLM_VERSION}"
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104  # inside of a container, or behind a key
STORAGE_MARGIN_GIB = 10


@dataclass(frozen=True, slots=True)
class UnitRequest:
    """What a unit is written for.

    Attributes:
        kind: Which.
        plan: None for the small model, which only systemd starts.
        words: The command line after `daytwo model serve`, for systemd.
        env: The environment with vLLM, where there is no container.
        devices: GPUs by index, where the plan does not mean the first ones.
        weights: A local folder in place of the repository, where there is no container.
    """

    kind: Unit
    plan: Plan | None
    words: Sequence[str]
    env: Path
    data_dir: Path
    port: int
    devices: Sequence[int] = ()
    weights: str = ""


def render_unit(request: UnitRequest) -> str:
    """Render a unit.

    Raises:
        OperatorError: The small model in anything but systemd.
    """
    if request.kind == "systemd":
        return _render_systemd(request)
    if request.plan is None:
        raise OperatorError(
            "The small model is started by Daytwo itself, so of units there is only the one for systemd.",
            fix="daytwo model serve --small --write systemd",
        )
    return _render_plan(request, request.plan)


def _render_systemd(request: UnitRequest) -> str:
    daytwo = Path(sys.executable).with_name("daytwo")
    return _load_templates().get_template("systemd.j2").render(
        model=request.plan.model if request.plan else "a small model",
        user=pwd.getpwuid(os.getuid()).pw_name,
        data_dir=str(request.data_dir.absolute()),
        command=[str(daytwo), "model", "serve", *request.words],
    )  # fmt: skip


def _render_plan(request: UnitRequest, plan: Plan) -> str:
    width, container = plan.tensor_parallel, request.kind != "slurm"
    devices = [str(index) for index in request.devices or range(plan.replicas * width)]
    repository = plan.repository if container or not request.weights else request.weights
    arguments = [repository, *_open_host(list_flags(plan))]
    replicas = [
        {
            "port": request.port + number,
            "devices": devices[number * width : (number + 1) * width],
            "arguments": [*arguments, "--port", str(request.port + number)],
        }
        for number in range(plan.replicas)
    ]
    return _load_templates().get_template(f"{request.kind}.j2").render(
        model=plan.model,
        specs=[f"http://127.0.0.1:{one['port']}/v1#{plan.model}" for one in replicas],
        image=IMAGE,
        port=request.port,
        width=width,
        replicas=replicas,
        start=[str(request.env.absolute() / "bin" / "vllm"), "serve"],
        arguments=arguments,
        arguments_with_port=[*arguments, "--port", str(request.port)],
        env={**QUIET, "CUDA_DEVICE_ORDER": PCI_ORDER},
        storage_gib=math.ceil(plan.weights_gib) + STORAGE_MARGIN_GIB,
    )  # fmt: skip


def _open_host(flags: Sequence[str]) -> list[str]:
    """The flags with every address in place of the loopback one."""
    opened = list(flags)
    opened[opened.index("--host") + 1] = ALL_ADDRESSES
    return opened


def quote_systemd(word: str) -> str:
    """Quote a word for a line of a unit: `%` and `$` mean something there (systemd.service(5))."""
    escaped = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./-]+", escaped):
        return escaped
    quoted = escaped.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


@cache
def _load_templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        # No HTML: each filter quotes for the form that it stands in.
        autoescape=select_autoescape(enabled_extensions=()),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "yaml": json.dumps,
        "compose": lambda value: json.dumps(value).replace("$", "$$"),
        "shell": shlex.quote,
        "systemd": quote_systemd,
    }
    return environment
