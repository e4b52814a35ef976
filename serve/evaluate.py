"""`daytwo eval`: the frozen scenarios, or a folder of real excerpts, on each backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.settings import load_settings
from agent.types import Border
from evals.excerpts import score_excerpts
from evals.report import render_eval, render_excerpts
from evals.runner import run_eval, run_scripted_eval
from serve.terminal import print_by, print_text

if TYPE_CHECKING:
    from rich.console import Console


PLAIN_WIDTH = 100
"""Tables are wrapped off a terminal too; scripts read `--json`."""


@dataclass(frozen=True, slots=True)
class EvalRequest:
    """What is to be measured.

    Attributes:
        backends: ``rules``, ``rules@graph`` or URL#NAME.
        scripted: Scripted models in place of the backends; ``all`` for those that are always played.
        repeats: Runs of each case on each backend.
        scenarios: Only these; all where empty.
        excerpts: A folder of real excerpts, to be scored by the rules in place of the scenarios.
        injections: Play the corpus of injections, through the backends that are models, else the obedient model.
        simulated: Models with set error rates in place of the backends; ``all`` for all of them.
        open_only: Play the open scenarios, on the rules, the random caller, the investigator and the backends.
    """

    backends: tuple[str, ...] = ("rules",)
    scripted: tuple[str, ...] = ()
    repeats: int = 1
    scenarios: tuple[str, ...] = ()
    excerpts: Path | None = None
    injections: bool = False
    simulated: tuple[str, ...] = ()
    open_only: bool = False


def run_evaluate(request: EvalRequest, *, as_json: bool) -> int:
    """Score and print.

    Args:
        request: What is to be measured.
        as_json: One document in place of tables.

    Returns:
        1 where a scripted model brought about a harmful action, or a guard did not hold; else 2 where an endpoint kept
        a run from being measured; else 0.

    Raises:
        DaytwoError: A backend, a scenario or the folder is not to be had.
    """
    if request.injections:
        return _run_injections(request, as_json=as_json)
    if request.simulated:
        return _run_simulated(request, as_json=as_json)
    if request.open_only:
        return _run_open(request, as_json=as_json)
    if request.excerpts is not None:
        found = score_excerpts(request.excerpts)
        _print(found, lambda console: render_excerpts(found, console), as_json=as_json)
        return 0
    settings = load_settings()
    if request.scripted:
        report = run_scripted_eval(request.scripted, request.repeats, request.scenarios, settings=settings)
    else:
        report = run_eval(request.backends, request.repeats, request.scenarios, settings=settings)
    _print(report, lambda console: render_eval(report, console), as_json=as_json)
    if request.scripted and any(row.harmful.count for row in report.backends):
        return 1
    return 2 if any(row.infrastructure_errors for row in report.backends) else 0


def _run_injections(request: EvalRequest, *, as_json: bool) -> int:
    from evals.injection_report import render_injections, run_injections

    models = [name for name in request.backends if "://" in name]
    report = run_injections(models, settings=load_settings(), only=request.scenarios)
    _print(report, lambda console: render_injections(report, console), as_json=as_json)
    if any(seat.broken.count for seat in report.seats):
        return 1
    return 2 if any(seat.infrastructure_errors for seat in report.seats) else 0


def _run_simulated(request: EvalRequest, *, as_json: bool) -> int:
    from evals.simulated_report import render_simulated, run_simulated

    report = run_simulated(request.simulated, request.scenarios)
    _print(report, lambda console: render_simulated(report, console), as_json=as_json)
    return 1 if any(row.more_invasive or row.harmful.count > report.rules.harmful.count for row in report.models) else 0


def _run_open(request: EvalRequest, *, as_json: bool) -> int:
    from evals.open_report import render_open
    from evals.open_runner import run_open_eval

    report = run_open_eval(request.backends, request.scenarios, settings=load_settings())
    _print(report, lambda console: render_open(report, console), as_json=as_json)
    if any(row.harmful.count for row in report.backends):
        return 1
    return 2 if any(row.unmeasured for row in report.backends) else 0


def _print(document: Border, draw: Callable[[Console], None], *, as_json: bool) -> None:
    if as_json:
        print_text(document.model_dump_json(by_alias=True, indent=2))
    else:
        print_by(draw, plain_width=PLAIN_WIDTH)
