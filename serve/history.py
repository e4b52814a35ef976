"""`daytwo explain`: a kept case again, with what was read and what the model did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from agent.settings import load_settings
from agent.store import open_store
from agent.types import Verdict
from serve.library import read_excerpts
from serve.render import render_lines, render_step, render_verdict
from serve.terminal import print_people, print_text
from tools.errors import OperatorError


def run_explain(case: str, *, as_json: bool) -> int:
    """Print a case: its newest verdict in full, the older ones in a line each, its runs.

    Raises:
        OperatorError: Nothing is kept under that id, or more than one case begins so.
    """
    settings = load_settings()
    store = open_store(settings.data_dir)
    one = store.find_verdict(case)
    verdicts = [one] if one else store.find_case(case)
    if not verdicts:
        raise OperatorError(
            f"No case or verdict '{case}' is kept in {store.place}.", fix=_suggest(store.list_verdicts(limit=3))
        )
    runs = store.find_runs(verdicts[0].case_id)
    if as_json:
        document = {
            "schema": "daytwo.case/1",
            "case_id": verdicts[0].case_id,
            "verdicts": [verdict.model_dump(mode="json", by_alias=True) for verdict in verdicts],
            "runs": runs,
        }
        print_text(json.dumps(document, indent=2))
        return 0
    newest = verdicts[0]
    excerpts = read_excerpts([newest.runbook] if newest.runbook else [], settings)
    print_people(render_verdict(newest, excerpt=excerpts.get), Text())
    if verdicts[1:]:
        print_people(Text("Before", "bold"), render_lines(verdicts[1:]), Text())
    print_people(*[_render_run(run) for run in runs])
    return 0


def _suggest(recent: Sequence[Verdict]) -> str:
    if not recent:
        return "daytwo triage --host (nothing is kept yet)"
    return " or ".join(f"daytwo explain {verdict.case_id}" for verdict in recent)


def _render_run(run: Mapping[str, Any]) -> Group:
    when = datetime.fromtimestamp(run["time_seconds"], UTC).isoformat(timespec="seconds")
    origin = run.get("origin", {})
    where = "this machine" if origin.get("host") else ", ".join(origin.get("paths", []))
    said = f"not used: {run['rejected']}" if run.get("rejected") else ""
    head = Text.assemble((f"{run['kind']} ", "bold"), f"{when} {where}{said}", (f"  {run['run_id']}", "dim"))
    return Group(head, *[render_step(step) for step in run.get("steps", [])])
