"""`daytwo runs`: what a model was asked and answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.app import JsonOption, app

runs = typer.Typer(help="See what a model was asked and answered.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(runs, name="runs")


@runs.command(name="list")
def list_runs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 20, as_json: JsonOption = False
) -> None:
    """Show the newest investigations, a line each."""
    from serve.runs import run_list

    raise typer.Exit(run_list(limit=limit, as_json=as_json))


@runs.command(name="show")
def show_run(
    run: Annotated[str, typer.Argument(help="Id of an investigation, or its beginning.")],
    full: Annotated[bool, typer.Option("--full", help="Every message whole.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show an investigation step by step."""
    from serve.runs import run_show

    raise typer.Exit(run_show(run, full=full, as_json=as_json))


@runs.command(name="replay")
def replay_run(
    run: Annotated[str, typer.Argument(help="Id, or a file of `runs show --json`.")],
    paths: Annotated[list[Path], typer.Argument(help="The evidence that it was held on.")],
    as_json: JsonOption = False,
) -> None:
    """Hold an investigation again with its recorded answers, and say where it differs."""
    from serve.runs import run_replay
    from serve.types import Request

    raise typer.Exit(run_replay(run, Request(tuple(paths), store=False), as_json=as_json))
