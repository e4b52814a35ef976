"""The model in the seat: wiring of the investigation, imported only where an endpoint is named and answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from agent.backend import Budget
from agent.backends.openai import open_model
from agent.cost import price_usage
from agent.graph import investigate
from agent.masking import guard_endpoint
from agent.policy import SitePolicy
from agent.run import Run
from agent.seat import Terms
from agent.settings import Settings
from agent.site import load_site
from agent.tracing import TracedBackend
from agent.triage import Investigator
from agent.types import Case, Verdict
from rag.errors import RagError
from rag.library import Library
from serve.asking import STOPPED, Progress
from serve.library import open_library
from serve.telemetry import start_telemetry
from serve.terminal import note
from tools.evidence import EvidenceBook
from tools.harmless import neutralise
from tools.tool import ToolContext
from tools.types import Facts

FAILED_BEFORE = "not asked: the model had failed before in this triage"
OUT_OF_TIME = "not asked: the time for questions to a model was used up (DAYTWO_MODEL_TOTAL_SECONDS)"


@dataclass
class Patience:
    """How long one triage waits for its model in all, and why it waits no more."""

    seconds: float
    gone: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def left_seconds(self) -> float:
        """What is left of it."""
        return self.seconds - (time.monotonic() - self.started)

    def find_end(self) -> str:
        """Say why the model is asked no more; empty where it may be."""
        return self.gone or (OUT_OF_TIME if self.left_seconds <= 0 else "")


def build_model_investigator(
    endpoint: tuple[str, str],
    facts: Facts,
    settings: Settings,
    now: datetime,
    *,
    record: Callable[[Run], None] | None,
    silent: Callable[[str], Investigator],
    progress: Progress,
) -> Investigator:
    """Build what looks at a case that rules leave open.

    An endpoint that failed on one case is not asked about the next one, and Ctrl-C ends the questions, not the triage.

    Args:
        endpoint: Base URL and name of the model.
        facts: What the model's tools may read.
        settings: Key, time-outs and limits.
        now: Time of the verdicts.
        record: Called with the audit of each investigation.
        silent: Gives the rules' verdict with the reason why no model was heard.
        progress: Tells whom the model looks at, for as long as it does.
    """
    backend = open_model(endpoint, settings)
    models = load_site(settings.site_file).models
    start_telemetry(settings)
    guarded = TracedBackend(guard_endpoint(backend, endpoint[0], facts, models), urlsplit(endpoint[0]).hostname or "")
    site = SitePolicy(scheduler=settings.scheduler)
    library = _open_library(settings)
    patience = Patience(settings.model_total_seconds)

    def look(case: Case, book: EvidenceBook) -> Verdict:
        if end := patience.find_end():
            return silent(end)(case, book)
        seconds = min(settings.investigation_seconds, patience.left_seconds)
        budget = backend.fit_budget(Budget(steps=settings.max_steps, seconds=seconds))
        terms = Terms(site, budget, now, lambda usage: price_usage(usage, *endpoint, models))
        try:
            with progress(neutralise(str(case.primary.entity))):
                context = ToolContext(facts, book)
                verdict = investigate(case, context, library=library, backend=guarded, terms=terms, record=record)
        except KeyboardInterrupt:
            patience.gone = STOPPED
            note(f"daytwo: {STOPPED}; the rules' verdict stands")
            return silent(STOPPED)(case, book)
        patience.gone = FAILED_BEFORE if backend.failure else ""
        return verdict

    return look


def _open_library(settings: Settings) -> Library | None:
    try:
        return open_library(settings)
    except RagError as error:
        note(f"daytwo: the model goes without runbooks. {error}")
        return None
