"""Commands that read evidence: triage, record, follow, inject."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.app import JsonOption, SinceOption, app


@app.command()
def triage(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Logs or folders of evidence; - is standard input.")
    ] = None,
    host: Annotated[bool, typer.Option("--host", help="Read this machine, live.")] = False,
    as_json: JsonOption = False,
    model: Annotated[
        str, typer.Option("--model", help="Let a model look at what rules leave open.", metavar="URL#NAME")
    ] = "",
    since: SinceOption = "",
    node: Annotated[
        str, typer.Option("--node", help="Host of evidence that names none, as of dmesg.", metavar="NAME")
    ] = "",
    full: Annotated[bool, typer.Option("--full", help="All on each verdict, in place of one screen.")] = False,
    no_store: Annotated[bool, typer.Option("--no-store", help="Do not keep the verdicts.")] = False,
) -> None:
    """Say what is wrong, where, how sure, and what to do."""
    from serve.triage import run_triage
    from serve.types import Request

    request = Request(tuple(paths or ()), host=host, model=model, since=since, store=not no_store, node=node)
    raise typer.Exit(run_triage(request, as_json=as_json, full=full))


@app.command()
def record(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; made new, or empty.", metavar="DIR")],
    for_: Annotated[
        str, typer.Option("--for", help="Read again and again for so long: 10m, 2h.", metavar="SPAN")
    ] = "0s",
    every: Annotated[
        str, typer.Option("--every", help="From the start of one reading to that of the next.", metavar="SPAN")
    ] = "15s",
    scrub: Annotated[
        bool, typer.Option("--scrub", help="Replace names of hosts and users, addresses, serial numbers and UUIDs.")
    ] = False,
    scrub_map: Annotated[
        Path | None,
        typer.Option(
            "--scrub-map", help="Scrub, and keep who is who in this file, for the next time too.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Write all that this machine shows into a folder, to be triaged anywhere."""
    from serve.record import run_record

    raise typer.Exit(run_record(out, seconds=for_, every=every, scrub=scrub, scrub_map=scrub_map))


@app.command()
def follow(
    source: Annotated[
        str, typer.Argument(help="journal, /dev/kmsg or a log file; the first that can be read if left out.")
    ] = "",
    for_: Annotated[str, typer.Option("--for", help="End by itself after so long: 60s, 10m.", metavar="SPAN")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
    no_store: Annotated[bool, typer.Option("--no-store", help="Keep nothing: neither verdicts nor the place.")] = False,
) -> None:
    """Follow this machine's kernel log, and tell what is new."""
    from serve.follow import Wish, run_follow

    raise typer.Exit(run_follow(Wish(source, for_, as_json=as_json, store=not no_store)))


@app.command()
def inject(
    fault: Annotated[str, typer.Argument(help="A fault id, as in `daytwo faults`.")] = "",
    to: Annotated[
        str,
        typer.Option("--to", help="A file to append to, - , stand-in:FILE.json, or /dev/kmsg.", metavar="TARGET"),
    ] = "-",
    gpu: Annotated[str, typer.Option("--gpu", help="Index or PCI address.", metavar="N|PCI")] = "0",
    node: Annotated[str, typer.Option("--node", help="Host in the lines; this one if left out.", metavar="NAME")] = "",
    marker: Annotated[
        bool | None,
        typer.Option("--marker/--no-marker", help="Let log lines say that they are a test; so /dev/kmsg and /var/log."),
    ] = None,
    yes_really: Annotated[bool, typer.Option("--yes-really", help="Write to the kernel's own log.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="What can be injected, and how.")] = False,
) -> None:
    """Make a fault appear, to see your own alarms work."""
    from serve.inject import run_inject, run_list

    if list_ or not fault:
        raise typer.Exit(run_list())
    raise typer.Exit(run_inject(fault, gpu=gpu, node=node, to=to, marked=marker, yes_really=yes_really))
