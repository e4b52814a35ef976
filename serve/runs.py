"""`daytwo runs`: what a model was asked and answered, step by step; and the same investigation again without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.settings import Settings, load_settings
from serve.store import open_site_store
from serve.terminal import print_people, print_text
from serve.types import Request
from tools.errors import EvidenceNotFound, OperatorError
from tools.harmless import neutralise

FOLDED_LINES = 12
ROLES = {"system": "system prompt", "user": "Daytwo", "assistant": "model", "tool": "tool"}


def run_list(*, limit: int, as_json: bool) -> int:
    """Print the newest investigations, a line each."""
    with open_site_store(load_settings()) as store:
        runs = store.list_investigations(limit=limit)
    if as_json:
        kept = [{key: value for key, value in run.items() if key not in ("messages", "replies")} for run in runs]
        print_text(json.dumps({"schema": "daytwo.runs/1", "runs": kept}, indent=2))
        return 0
    table = Table("run", "time", "case", "model", "steps", "tokens in/cached/out", "s", "USD", "opinion", box=None)
    for run in runs:
        table.add_row(*_build_row(run))
    print_people(table if runs else Text("No investigation is kept yet: daytwo triage --host --model URL#NAME"))
    return 0


def _build_row(run: Mapping[str, Any]) -> list[str]:
    usage = run["usage"]
    tokens = "/".join(f"{usage[key]:,}" for key in ("tokens_in", "tokens_cached", "tokens_out"))
    cost = usage.get("cost")
    return [
        run["run_id"],
        _spell_time(run["time_seconds"]),
        run["case_id"],
        neutralise(run["backend"]),
        str(len(run["steps"])),
        tokens,
        f"{usage['seconds']:.1f}",
        "unknown" if cost is None else f"{cost:.4f}",
        neutralise(run["rejected"]) if run["rejected"] else "used",
    ]


def run_show(run_id: str, *, full: bool, as_json: bool) -> int:
    """Print one investigation step by step.

    Raises:
        OperatorError: No run, or more than one, begins so.
    """
    run = find_run(run_id, load_settings())
    if as_json:
        print_text(json.dumps({"schema": "daytwo.run/1", **run}, indent=2))
        return 0
    print_people(*_render_run(run, full=full))
    return 0


def run_replay(run_id: str, request: Request, *, as_json: bool) -> int:
    """Hold a kept investigation again over evidence, with the recorded answers in the seat.

    Args:
        run_id: Of the store, or a file that ``daytwo runs show --json`` wrote.
        request: Where the evidence is.
        as_json: One document in place of sentences.

    Returns:
        0 where the same conversation led to the same opinion, else 1.
    """
    settings = load_settings()
    run = _read_file(Path(run_id)) if Path(run_id).is_file() else find_run(run_id, settings)
    found = replay(run, request, settings, datetime.now(UTC))
    if as_json:
        print_text(json.dumps({"schema": "daytwo.replay/1", **found}, indent=2))
    else:
        print_people(*[Text(f"{key.replace('_', ' ')}: {value or 'none'}") for key, value in found.items()])
    return 1 if found["divergence"] else 0


def replay(run: Mapping[str, Any], request: Request, settings: Settings, now: datetime) -> dict[str, str]:
    """Hold an investigation again.

    Returns:
        The case, the fault and what decided it, and where the conversation left the recorded one.

    Raises:
        OperatorError: The evidence holds no such case.
    """
    from agent.backend import Budget
    from agent.backends.replay import ReplayBackend, find_divergence, parse_replies
    from agent.graph import investigate
    from agent.policy import SitePolicy
    from agent.run import Run
    from agent.seat import Terms
    from agent.triage import triage
    from agent.types import Case, Verdict
    from agent.verdicts import build_verdict
    from serve.known import read_besides
    from serve.library import open_library
    from serve.triage import read_facts
    from tools.evidence import EvidenceBook
    from tools.tool import ToolContext

    facts, site, runs = read_facts(request, settings, now), SitePolicy(scheduler=settings.scheduler), list[Run]()
    backend = ReplayBackend(run["backend"], parse_replies(run.get("replies", [])))
    besides = read_besides(facts, settings)
    terms = Terms(site, Budget(steps=settings.max_steps, seconds=settings.investigation_seconds), now)

    def look(case: Case, book: EvidenceBook) -> Verdict:
        if case.case_id != run["case_id"]:
            return build_verdict(case, book, facts=facts, site=site, now=now)
        context = ToolContext(facts, book, besides.past, besides.facts)
        library = open_library(settings)
        return investigate(case, context, library=library, backend=backend, terms=terms, record=runs.append)

    report = triage(facts, site=site, now=now, investigator=look)
    if not runs:
        raise OperatorError(
            f"The evidence holds no case {run['case_id']}.",
            fix=f"daytwo explain {run['case_id']} names the evidence that it came from",
        )
    verdict = next(one for one in report.verdicts if one.case_id == run["case_id"])
    return {
        "case_id": verdict.case_id,
        "fault": verdict.fault,
        "decided_by": verdict.decided_by,
        "action": verdict.action,
        "rejected": runs[0].rejected,
        "divergence": find_divergence(run.get("messages", []), runs[0].messages),
    }


def find_run(run_id: str, settings: Settings) -> dict[str, Any]:
    """Find one kept investigation.

    Raises:
        OperatorError: None begins so, or more than one.
    """
    with open_site_store(settings) as store:
        found = store.find_investigations(run_id)
    if len(found) == 1:
        return found[0]
    if not found:
        raise OperatorError(f"No investigation begins with {run_id!r}.", fix="daytwo runs list")
    ids = ", ".join(sorted(run["run_id"] for run in found))
    raise OperatorError(f"More than one investigation begins so: {ids}.", fix=f"daytwo runs show {found[0]['run_id']}")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        run = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EvidenceNotFound(f"{path} holds no run: {error}.", fix="daytwo runs show ID --json > run.json") from None
    if not isinstance(run, dict) or run.get("schema") != "daytwo.run/1":
        raise EvidenceNotFound(f"{path} holds no run.", fix="daytwo runs show ID --json > run.json")
    return run


def _render_run(run: Mapping[str, Any], *, full: bool) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text.assemble(
            (run["run_id"], "bold"),
            f"  {_spell_time(run['time_seconds'])}  {run['case_id']}  {neutralise(run['backend'])}",
        )
    ]
    for number, message in enumerate(run.get("messages", []), 1):
        parts.append(_render_message(number, message, full=full))
    rows = [step for step in run["steps"] if step["kind"] in ("tool", "model", "conclude", "ground")]
    table = Table("step", "what", "seconds", box=None)
    for step in rows:
        table.add_row(step["kind"], neutralise(step["name"]), f"{step['seconds']:.3f}")
    parts.append(table)
    repaired = ", ".join(f"{kind} {count}" for kind, count in run["repairs"].items())
    parts.append(Text(f"repairs: {repaired or 'none'}; opinion: {neutralise(run['rejected']) or 'used'}"))
    return parts


def _render_message(number: int, message: Mapping[str, Any], *, full: bool) -> Panel:
    lines = neutralise(str(message.get("content") or "")).splitlines()
    for call in message.get("tool_calls") or []:
        function = call["function"]
        lines.append(neutralise(f"→ {function['name']}({function['arguments']})"))
    hidden = 0 if full else max(len(lines) - FOLDED_LINES, 0)
    shown: Sequence[str] = lines[: len(lines) - hidden]
    more = [f"… {hidden} more lines: --full"] if hidden else []
    title = f"{number} {ROLES.get(str(message.get('role')), '?')}"
    return Panel(Text("\n".join([*shown, *more])), title=title, title_align="left")


def _spell_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
