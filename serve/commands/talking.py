"""Commands that talk: chat, ask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.app import JsonOption, SinceOption, app

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATH]...", help="Evidence; if left out, the cases that are kept."),
]
HostOption = Annotated[bool, typer.Option("--host", help="Read this machine, live.")]
ModelOption = Annotated[str, typer.Option("--model", help="Who answers; rules if left out.", metavar="URL#NAME")]
NodeOption = Annotated[str, typer.Option("--node", help="Host of evidence that names none.", metavar="NAME")]
NoStoreOption = Annotated[bool, typer.Option("--no-store", help="Do not keep the verdicts.")]


@app.command()
def chat(
    paths: PathsArgument = None,
    host: HostOption = False,
    model: ModelOption = "",
    resume: Annotated[
        str, typer.Option("--resume", help="Go on with a kept conversation: its id, or `last`.", metavar="ID")
    ] = "",
    list_: Annotated[bool, typer.Option("--list", help="The kept conversations.")] = False,
    since: SinceOption = "",
    node: NodeOption = "",
    no_store: NoStoreOption = False,
) -> None:
    """Talk about the present cases, with a model or with rules."""
    from serve.chat import run_chat, run_list
    from serve.types import Request

    if list_:
        raise typer.Exit(run_list())
    request = Request(tuple(paths or ()), host=host, model=model, since=since, store=not no_store, node=node)
    raise typer.Exit(run_chat(request, resume=resume))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="In your own words, in quotes.")],
    paths: PathsArgument = None,
    host: HostOption = False,
    model: ModelOption = "",
    as_json: JsonOption = False,
    since: SinceOption = "",
    node: NodeOption = "",
    no_store: NoStoreOption = False,
) -> None:
    """Ask one question: dmesg | daytwo ask "why is gpu 3 gone?" -."""
    from serve.ask import run_ask
    from serve.types import Request

    request = Request(tuple(paths or ()), host=host, model=model, since=since, store=not no_store, node=node)
    raise typer.Exit(run_ask(question, request, as_json=as_json))
