"""Commands about what is kept: explain, history, clear."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from serve.app import JsonOption, app


@app.command()
def explain(
    case: Annotated[str, typer.Argument(help="A case id or its beginning, or a verdict id.")],
    as_json: JsonOption = False,
) -> None:
    """Show a kept case again, with what the model did."""
    from serve.history import run_explain

    raise typer.Exit(run_explain(case, as_json=as_json))


@app.command()
def history(
    entity: Annotated[str, typer.Argument(help="gpu:NODE/3, disk:NODE/sda, node:NODE or NODE.")],
    as_json: JsonOption = False,
) -> None:
    """Show the time line of an entity, and what is open."""
    from serve.history import run_history

    raise typer.Exit(run_history(entity, as_json=as_json))


@app.command()
def clear(
    entity: Annotated[str, typer.Argument(help="What was dealt with; of a node, all that is on it.")],
    why: Annotated[str, typer.Option("--why", help="Why it is over, for those who read it later.", metavar="TEXT")],
    did: Annotated[
        Literal["nothing", "reset", "reboot", "replace"],
        typer.Option("--did", help="What was done; after `replace` the history of the part begins anew."),
    ] = "nothing",
) -> None:
    """End what is open on an entity: clear ENTITY --why TEXT."""
    from datetime import UTC, datetime

    from serve.history import run_clear

    raise typer.Exit(run_clear(entity, why=why, did=did, now=datetime.now(UTC)))
