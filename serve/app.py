"""The command `daytwo` itself: its name, its help, and the options that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="daytwo",
    help="Triage for GPU fleets: what is wrong, where, how sure, what to do next, and on which evidence.",
    epilog="Exit codes of triage: 0 nothing is wrong, 1 something is, 2 something could not be read.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
SinceOption = Annotated[
    str, typer.Option("--since", help="Leave out what is older: 2h, 3d, or 2026-11-20T02:00.", metavar="TIME")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"daytwo {version('daytwo')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Hold the options of the command itself."""
