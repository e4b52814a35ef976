"""Commands that score, serve and show: eval, serve, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.app import JsonOption, app


@app.command(name="eval")
def evaluate(
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", help="`rules`, URL#NAME or alone@URL#NAME; may be repeated.", metavar="NAME"),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", "-k", min=1, max=50, help="Runs of each case.")] = 1,
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", help="Only this one; may be repeated.", metavar="NAME")
    ] = None,
    excerpts: Annotated[
        Path | None, typer.Option("--excerpts", help="Score a folder of real excerpts with accepted.csv in it instead.")
    ] = None,
    scripted: Annotated[
        list[str] | None,
        typer.Option("--scripted", help="A scripted model, good or bad, or `all`; may be repeated.", metavar="NAME"),
    ] = None,
    injections: Annotated[
        bool,
        typer.Option("--injections", help="Play orders hidden in evidence, through --backend or an obedient model."),
    ] = False,
    simulated: Annotated[
        list[str] | None,
        typer.Option("--simulated", help="A model with a set error rate, or `all`; may be repeated.", metavar="NAME"),
    ] = None,
    open_only: Annotated[
        bool,
        typer.Option("--open", help="Play what rules leave open: floor, ceiling, and each --backend between them."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score the rules, or a model, on frozen scenarios."""
    from serve.evaluate import EvalRequest, run_evaluate

    request = EvalRequest(
        tuple(backend or ["rules"]),
        tuple(scripted or ()),
        repeats,
        tuple(scenario or ()),
        excerpts,
        injections,
        tuple(simulated or ()),
        open_only,
    )
    raise typer.Exit(run_evaluate(request, as_json=as_json))


@app.command()
def serve(
    bind: Annotated[str, typer.Option("--bind", help="Where to listen.", metavar="HOST:PORT")] = "127.0.0.1:8220",
) -> None:
    """Serve the HTTP API, on this machine, with a token."""
    from serve.server import run_server

    raise typer.Exit(run_server(bind))


@app.command()
def demo() -> None:
    """Show the main job in three acts."""
    from serve.demo import run_demo

    raise typer.Exit(run_demo())
