"""`daytwo model serve`, `status` and `stop`: the plan put to work, in an environment of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from agent.history import spell_host
from agent.settings import Settings
from serve.model_env import VLLM_VERSION, Environment, Kind, make_env, open_env, place_env
from serve.model_launch import (
    SMALL_AGENTS,
    SMALL_CONTEXT,
    Launch,
    build_launches,
    build_small_launch,
    choose_gpus,
)
from serve.model_plan import PlanRequest, build_plans, read_own_cards
from serve.model_replica import GRACE_SECONDS
from serve.model_small import SmallModel, find_small, place_small, prepare_small
from serve.model_state import ServiceState, load_state, place_service, save_state
from serve.model_supervise import Post, supervise
from serve.model_units import Unit, UnitRequest, render_unit
from serve.sizing import Plan, find_model, parse_cards, parse_tokens
from serve.terminal import note, print_people, print_text
from serve.vllm import Child, ask_to_stop, stop_session, wait_for_end
from tools.errors import OperatorError, SiteConfigError, UpstreamError

STOP_SECONDS = GRACE_SECONDS + 20.0
LOOK_SECONDS = 0.5
DEFAULT_MODEL, DEFAULT_CONTEXT, DEFAULT_AGENTS = "qwen3-coder", "16k", 8
"""As `daytwo model plan` has them."""
SUPERVISOR_LOG = "supervisor.log"
STATUS_SCHEMA = "daytwo.model-service/1"


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """What is to be served, as it was typed.

    Attributes:
        plan: As for `daytwo model plan`; model and context are empty where the default is meant.
        devices: NVML indices of the GPUs; the first ones where none are named.
        weights: A local folder in place of the repository.
        small: A small model on the processor.
        source: Folder with the pieces of the small model.
    """

    plan: PlanRequest
    devices: tuple[int, ...] = ()
    port: int = 8000
    env: Path | None = None
    weights: str = ""
    small: bool = False
    source: Path | None = None
    make: bool = False
    write: Unit | None = None
    background: bool = False


def parse_devices(spelling: str) -> tuple[int, ...]:
    """Read `0,1`.

    Raises:
        OperatorError: These are no indices.
    """
    words = [word.strip() for word in spelling.split(",") if word.strip()]
    if not all(word.isascii() and word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise OperatorError(f"--devices {spelling!r} are no indices of GPUs.", fix="nvidia-smi -L; --devices 0,1")
    return tuple(int(word) for word in words)


def spell_words(request: ServeRequest) -> list[str]:
    """The command line again, for a supervisor that is started later or in the background."""
    plan = request.plan
    values = (
        *(("--gpu", gpu) for gpu in plan.gpus),
        ("--model", plan.model),
        ("--context", plan.context),
        ("--agents", str(plan.agents or "")),
        ("--devices", ",".join(map(str, request.devices))),
        ("--port", str(request.port)),
        ("--env", str(request.env.absolute() if request.env else "")),
        ("--weights", request.weights),
        ("--from", str(request.source.absolute() if request.source else "")),
    )
    flags = (("--fp8-cache", plan.fp8_cache), ("--small", request.small), ("--make-env", request.make))
    told = [word for name, value in values if value for word in (name, value)]
    return told + [name for name, holds in flags if holds]


def run_serve(request: ServeRequest, settings: Settings) -> int:
    """Serve until told to end; or write a unit, or leave a supervisor in the background and return once it is ready.

    Raises:
        DaytwoError: It cannot be served here, or the server did not stay up.
    """
    folder = place_service(settings.data_dir)
    if request.write is not None:
        print_text(_write_unit(request, request.write, settings))
        return 0
    if request.background:
        return start_background(request, folder)
    environment = _find_environment(request, settings)
    launches = _build_launches(request, settings, environment)
    note(f"daytwo: vLLM {environment.version} in {environment.path}")
    node = spell_host(settings.node or os.uname().nodename)
    return supervise(launches, Post(folder, environment.path, node, lambda words: note(f"daytwo: {words}")))


def _write_unit(request: ServeRequest, kind: Unit, settings: Settings) -> str:
    env = place_env(request.env or settings.vllm_env, settings.data_dir, "cpu" if request.small else "gpu")
    plan = None if request.small else _plan_one(request, settings)
    words = spell_words(replace(request, env=env, make=False))
    unit = UnitRequest(kind, plan, words, env, settings.data_dir, request.port, request.devices, request.weights)
    return render_unit(unit).rstrip("\n")


def _find_environment(request: ServeRequest, settings: Settings) -> Environment:
    kind: Kind = "cpu" if request.small else "gpu"
    path = place_env(request.env or settings.vllm_env, settings.data_dir, kind)
    if not request.make:
        return open_env(path, kind)
    try:
        environment = open_env(path, kind)
    except SiteConfigError:
        return make_env(path, kind, _tell)
    return environment if environment.version == VLLM_VERSION else make_env(path, kind, _tell)


def _tell(words: str) -> None:
    note(f"daytwo: {words}")


def _build_launches(request: ServeRequest, settings: Settings, environment: Environment) -> list[Launch]:
    if request.small:
        return [_prepare_small(request, settings, environment)]
    plan = _plan_one(request, settings)
    wanted = plan.replicas * plan.tensor_parallel
    gpus = choose_gpus(wanted, request.devices, settings.gpu_timeout_seconds)
    _tell(f"{plan.repository} ({plan.quantisation}) on GPU {', '.join(str(gpu.index) for gpu in gpus)}")
    return build_launches(plan, environment, gpus, port=request.port, weights=request.weights)


def _prepare_small(request: ServeRequest, settings: Settings, environment: Environment) -> Launch:
    small = find_small(request.plan.model)
    _warn_of_memory(small)
    folder = prepare_small(small, place_small(settings.data_dir, small), environment, request.source, _tell)
    _tell(small.score)
    return build_small_launch(
        find_model(small.name),
        environment,
        folder,
        context_tokens=parse_tokens(request.plan.context or SMALL_CONTEXT),
        agents=request.plan.agents or SMALL_AGENTS,
        port=request.port,
    )


def _warn_of_memory(small: SmallModel) -> None:
    free_gb = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if free_gb < small.memory_gb / 2:
        _tell(
            f"{free_gb:.0f} GB of memory are free beside caches; {small.name} was seen to take {small.memory_gb:g} GB"
        )


def _plan_one(request: ServeRequest, settings: Settings) -> Plan:
    """The one plan of the cards that are named, or of this machine's.

    Raises:
        SiteConfigError: There is no card, cards of two kinds, or the model does not fit.
    """
    cards = [parse_cards(gpu) for gpu in request.plan.gpus] or read_own_cards(settings.gpu_timeout_seconds)
    if len(cards) != 1:
        seen = "shows no GPU here" if not cards else f"shows {len(cards)} kinds of cards"
        raise SiteConfigError(
            f"NVML {seen}: name the cards to serve on.",
            fix="daytwo model serve --gpu H100 --write systemd, for another machine; without a GPU: --small",
        )
    if request.devices and not request.plan.gpus:
        cards = [(len(request.devices), cards[0][1])]
    wanted = replace(
        request.plan,
        model=request.plan.model or DEFAULT_MODEL,
        context=request.plan.context or DEFAULT_CONTEXT,
        agents=request.plan.agents or DEFAULT_AGENTS,
    )
    plans, misfits = build_plans(cards, wanted)
    if not plans:
        raise next(iter(misfits.values()))
    return plans[0]


def start_background(request: ServeRequest, folder: Path) -> int:
    """Leave a supervisor in the background, and tell of it until it is ready.

    Raises:
        SiteConfigError: A server runs already.
        UpstreamError: It ended before it was ready.
    """
    state = load_state(folder)
    if state is not None and state.is_alive:
        where = ", ".join(replica.url for replica in state.replicas)
        raise SiteConfigError(f"The model server runs already ({where}).", fix="daytwo model status")
    log = folder / SUPERVISOR_LOG
    log.unlink(missing_ok=True)
    command = "from serve.main import main; main()"
    child = Child([sys.executable, "-P", "-c", command, "model", "serve", *spell_words(request)], {}, log)
    told = 0
    while child.exit_code is None:
        time.sleep(LOOK_SECONDS)
        told = _pass_on(log, told)
        state = load_state(folder)
        if state is not None and state.pid == child.mark.pid and state.state == "ready":
            _pass_on(log, told)
            note("daytwo: it runs in the background; daytwo model status, daytwo model stop")
            return 0
    _pass_on(log, told)
    raise UpstreamError("The model server ended before it was ready; why stands above.", fix=f"less {log}")


def _pass_on(log: Path, told: int) -> int:
    """Tell what is new in a log; returns how much was told."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    for line in text[told : text.rfind("\n") + 1].splitlines():
        note(line)
    return max(text.rfind("\n") + 1, told)


def run_status(settings: Settings, *, as_json: bool) -> int:
    """Tell how the model server does.

    Returns:
        0 where it is ready, else 1.
    """
    state = load_state(place_service(settings.data_dir))
    if state is None:
        if as_json:
            print_text(json.dumps({"schema": STATUS_SCHEMA, "state": "none"}))
        else:
            note("daytwo: no model server was ever started here. Next: daytwo model serve, or --small without a GPU")
        return 1
    now = find_state(state)
    if as_json:
        print_text(now.model_dump_json(by_alias=True, indent=2))
    else:
        print_people(render_status(now))
    return 0 if now.state == "ready" else 1


def find_state(state: ServiceState) -> ServiceState:
    """What the file says, held against the processes that there are."""
    if state.is_supervised or state.state in ("stopped", "failed"):
        return state
    if state.living:
        pids = ", ".join(str(replica.pid) for replica in state.living)
        reason, fix = f"its supervisor is gone; process {pids} still runs", "daytwo model stop"
    else:
        reason, fix = "its processes are gone, and nobody told them to end", "daytwo model serve"
    return state.model_copy(update={"state": "failed", "reason": reason, "fix": fix})


def render_status(state: ServiceState) -> Table:
    """Render the state in a few lines."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(state.state.upper(), "bold"), Text(f"{state.name} on {state.node}", "bold"))
    for replica in state.replicas:
        gpus = f"GPU {', '.join(str(gpu.index) for gpu in replica.gpus)}" if replica.gpus else "the processor"
        measured = f" · KV cache of {replica.kv_cache_tokens:,} tokens (measured)" if replica.kv_cache_tokens else ""
        restarts = f" · ended {replica.restarts} times" if replica.restarts else ""
        table.add_row(Text("  server", "dim"), Text(f"{replica.url}#{state.name} on {gpus}{measured}{restarts}"))
        table.add_row(Text("  now", "dim"), Text(f"{replica.state}: {replica.words}"))
        table.add_row(Text("  log", "dim"), Text(str(replica.log)))
    if state.reason:
        table.add_row(Text("  because", "dim"), Text(state.reason, "yellow"))
    if state.fix:
        table.add_row(Text("  next", "dim"), Text(state.fix))
    return table


def run_stop(settings: Settings) -> int:
    """Stop the model server, with or without its supervisor.

    Returns:
        0 where nothing runs any more.

    Raises:
        UpstreamError: The kernel holds a process.
    """
    folder = place_service(settings.data_dir)
    state = load_state(folder)
    if state is None or not state.is_alive:
        note("daytwo: no model server runs here")
        return 0
    ask_to_stop(state.mark)
    wait_for_end(state.mark, STOP_SECONDS)
    # A supervisor that hangs or is gone leaves its servers: each is a session of its own.
    left = [replica for replica in state.living if not stop_session(replica.mark, GRACE_SECONDS)]
    if left:
        raise UpstreamError(
            f"The kernel does not let go of process {left[0].pid}: it waits for a device.", fix="daytwo triage --host"
        )
    stopped = load_state(folder)
    if stopped is not None and stopped.state != "stopped":
        save_state(stopped.model_copy(update={"state": "stopped", "reason": "", "fix": ""}), folder)
    note("daytwo: the model server is stopped")
    return 0
