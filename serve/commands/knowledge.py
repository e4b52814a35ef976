"""Commands about what is known: doctor, runbook, index, faults."""

from __future__ import annotations

from typing import Annotated

import typer

from serve.app import JsonOption, app


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Check what Daytwo needs here, and say what to type."""
    from serve.doctor import run_doctor

    raise typer.Exit(run_doctor(as_json=as_json))


@app.command()
def runbook(
    words: Annotated[list[str], typer.Argument(help="A fault id, `list`, or `search` and words of your own.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=20, help="How many sections a search shows.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Show a runbook, list all, or search them: runbook search WORDS."""
    from serve.library import run_runbook

    raise typer.Exit(run_runbook(words, limit=limit, as_json=as_json))


@app.command()
def index(as_json: JsonOption = False) -> None:
    """Bring the index of the runbooks up to date."""
    from serve.library import run_index

    raise typer.Exit(run_index(as_json=as_json))


@app.command()
def faults(as_json: JsonOption = False) -> None:
    """Show the table of faults and what is done about each."""
    from serve.catalogue import run_faults

    raise typer.Exit(run_faults(as_json=as_json))
