"""`daytwo model`: plan a model server, serve it, and check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from serve.app import JsonOption, app

models = typer.Typer(help="Plan a model server, serve it, and check one.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models, name="model")

GpuOption = Annotated[
    list[str] | None,
    typer.Option("--gpu", help="24GB, L40S, A100-80, H100, 2x3090; this machine's if left out.", metavar="CARDS"),
]


@models.command(name="plan")
def plan_model(
    gpu: GpuOption = None,
    model: Annotated[str, typer.Option("--model", help="A model of the table.", metavar="NAME")] = "qwen3-coder",
    context: Annotated[str, typer.Option("--context", help="Longest conversation: 8k, 32768.", metavar="N")] = "16k",
    agents: Annotated[int, typer.Option("--agents", min=1, help="Conversations wanted at once.")] = 8,
    fp8_cache: Annotated[bool, typer.Option("--fp8-cache", help="Keep the cache in 8 bits.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what fits on which GPU, and the command that serves it."""
    from agent.settings import load_settings
    from serve.model_plan import PlanRequest, run_plan

    request = PlanRequest(tuple(gpu or ()), model, context, agents, fp8_cache=fp8_cache)
    raise typer.Exit(run_plan(request, gpu_timeout_seconds=load_settings().gpu_timeout_seconds, as_json=as_json))


@models.command(name="serve")
def serve_model(
    gpu: GpuOption = None,
    model: Annotated[
        str, typer.Option("--model", help="A model of the table; with --small 0.5B or 1.5B.", metavar="NAME")
    ] = "",
    context: Annotated[
        str, typer.Option("--context", help="Longest conversation; 16k, with --small 8k.", metavar="N")
    ] = "",
    agents: Annotated[int, typer.Option("--agents", min=0, help="Conversations at once; 8, with --small 4.")] = 0,
    fp8_cache: Annotated[bool, typer.Option("--fp8-cache", help="Keep the cache in 8 bits.")] = False,
    devices: Annotated[
        str, typer.Option("--devices", help="GPUs by index: 0,1; the first if left out.", metavar="N,N")
    ] = "",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of the first server, on 127.0.0.1.")] = 8000,
    env: Annotated[Path | None, typer.Option("--env", help="Virtual environment with vLLM.", metavar="DIR")] = None,
    make_env: Annotated[bool, typer.Option("--make-env", help="Make it first, where it is not there.")] = False,
    weights: Annotated[str, typer.Option("--weights", help="A local folder with the weights.", metavar="DIR")] = "",
    small: Annotated[bool, typer.Option("--small", help="A small model on the processor, without a GPU.")] = False,
    from_: Annotated[
        Path | None, typer.Option("--from", help="Folder with the pieces of the small model.", metavar="DIR")
    ] = None,
    write: Annotated[
        Literal["systemd", "compose", "slurm", "kubernetes"] | None,
        typer.Option("--write", help="Print a unit for the same plan in place of serving."),
    ] = None,
    background: Annotated[bool, typer.Option("--background", help="Return once it is ready.")] = False,
) -> None:
    """Start vLLM for a plan, wait until it is ready, and keep it up."""
    from agent.settings import load_settings
    from serve.model_plan import PlanRequest
    from serve.model_serve import ServeRequest, parse_devices, run_serve

    plan = PlanRequest(tuple(gpu or ()), model, context, agents, fp8_cache=fp8_cache)
    request = ServeRequest(
        plan, parse_devices(devices), port, env, weights, small=small, source=from_, make=make_env, write=write,
        background=background,
    )  # fmt: skip
    raise typer.Exit(run_serve(request, load_settings()))


@models.command(name="status")
def status(as_json: JsonOption = False) -> None:
    """Tell how the model server does, and on which GPUs it runs."""
    from agent.settings import load_settings
    from serve.model_serve import run_status

    raise typer.Exit(run_status(load_settings(), as_json=as_json))


@models.command(name="stop")
def stop() -> None:
    """Stop the model server and all that it started."""
    from agent.settings import load_settings
    from serve.model_serve import run_stop

    raise typer.Exit(run_stop(load_settings()))


@models.command(name="list")
def list_endpoints(as_json: JsonOption = False) -> None:
    """Show which models may be asked for what, whether they answer, and what they cost."""
    from agent.settings import load_settings
    from serve.model_list import run_list

    raise typer.Exit(run_list(load_settings(), as_json=as_json))


@models.command(name="check")
def check(
    endpoint: Annotated[str, typer.Argument(help="Base URL and name of the model.", metavar="URL#NAME")],
    tries: Annotated[int, typer.Option("--tries", min=1, max=200, help="Of tool calls and conclusions.")] = 20,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the profile here too.", metavar="FILE")] = None,
) -> None:
    """Prove a model endpoint, and keep what the agent must know."""
    from agent.settings import load_settings
    from serve.model_check import run_check

    raise typer.Exit(run_check(endpoint, load_settings(), tries=tries, as_json=as_json, out=out))
