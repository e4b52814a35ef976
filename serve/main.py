"""The command `daytwo`: options and wiring only; every command imports what it needs when it runs."""

from __future__ import annotations

import gc
import io
import json
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal

import typer

from rag.errors import RagError
from tools.errors import DaytwoError
from tools.harmless import neutralise, redact_url

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


@app.command(name="eval")
def evaluate(
    backend: Annotated[
        list[str] | None, typer.Option("--backend", help="`rules` or URL#NAME; may be repeated.", metavar="NAME")
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
    as_json: JsonOption = False,
) -> None:
    """Score the rules, or a model, on frozen scenarios."""
    from serve.evaluate import EvalRequest, run_evaluate

    request = EvalRequest(tuple(backend or ["rules"]), tuple(scripted or ()), repeats, tuple(scenario or ()), excerpts)
    raise typer.Exit(run_evaluate(request, as_json=as_json))


@app.command()
def serve(
    bind: Annotated[str, typer.Option("--bind", help="Where to listen.", metavar="HOST:PORT")] = "127.0.0.1:8220",
) -> None:
    """Serve the HTTP API, on this machine, with a token."""
    from serve.server import run_server

    raise typer.Exit(run_server(bind))


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


@app.command()
def demo() -> None:
    """Show the main job in three acts."""
    from serve.demo import run_demo

    raise typer.Exit(run_demo())


class _BugSeam:
    """Give an error of our own the exit code 2: 1 would tell a script that the fleet is ill."""

    def __enter__(self) -> None:
        """Nothing to do at first."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not isinstance(error, Exception):
            return
        told = neutralise(redact_url("".join(traceback.format_exception(kind, error, trace))))
        sys.stderr.write(
            told + "daytwo: this is a bug of Daytwo, not of your evidence.\nNext: report the lines above\n"
        )
        sys.exit(2)


def _spell_error(message: str, fix: str, *, as_json: bool) -> str:
    """A sentence and the next command; for scripts one JSON object in a line."""
    message, fix = neutralise(redact_url(message)), neutralise(redact_url(fix))
    if as_json:
        return json.dumps({"schema": "daytwo.error/1", "error": message, "next": fix}) + "\n"
    return f"daytwo: {message}\n" + (f"Next: {fix}\n" if fix else "")


def main() -> None:
    """Run the command; an error that a person can mend becomes one sentence and the next command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    # Events by the thousand and no cycles among them: looking for cycles every 700 objects cost a twentieth of reading.
    gc.set_threshold(100_000, 50, 100)
    with _BugSeam():
        try:
            # An option that does not exist is quoted back by the library, as it is.
            app([neutralise(word) if word.startswith("-") else word for word in sys.argv[1:]])
        except (DaytwoError, RagError) as error:
            sys.stderr.write(_spell_error(error.message, error.fix, as_json="--json" in sys.argv))
            sys.exit(2)
        except KeyboardInterrupt:
            sys.exit(130)
