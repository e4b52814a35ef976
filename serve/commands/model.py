"""`daytwo model`: plan a model server, and check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.app import JsonOption, app

models = typer.Typer(help="Plan a model server, and check one.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models, name="model")


@models.command(name="plan")
def plan_model(
    gpu: Annotated[
        list[str] | None,
        typer.Option("--gpu", help="24GB, L40S, A100-80, H100, 2x3090; this machine's if left out.", metavar="CARDS"),
    ] = None,
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
