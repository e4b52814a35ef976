"""`daytwo eval`: the frozen scenarios, or a folder of real excerpts, on each backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.settings import load_settings
from evals.excerpts import score_excerpts
from evals.report import render_eval, render_excerpts
from evals.runner import run_eval
from serve.terminal import print_by, print_text


def run_evaluate(
    backends: Sequence[str], *, repeats: int, scenarios: Sequence[str], excerpts: Path | None, as_json: bool
) -> int:
    """Score and print.

    Args:
        backends: ``rules``, ``rules@graph`` or URL#NAME.
        repeats: Runs of each case on each backend.
        scenarios: Only these; all where empty.
        excerpts: A folder of real excerpts, to be scored by the rules in place of the scenarios.
        as_json: One document in place of tables.

    Returns:
        0 where all was measured, 2 where an endpoint kept a run from being measured.

    Raises:
        DaytwoError: A backend, a scenario or the folder is not to be had.
    """
    if excerpts is not None:
        found = score_excerpts(excerpts)
        if as_json:
            print_text(found.model_dump_json(by_alias=True, indent=2))
        else:
            print_by(lambda console: render_excerpts(found, console))
        return 0
    report = run_eval(backends, repeats, scenarios, settings=load_settings())
    if as_json:
        print_text(report.model_dump_json(by_alias=True, indent=2))
    else:
        print_by(lambda console: render_eval(report, console))
    return 2 if any(row.infrastructure_errors for row in report.backends) else 0
