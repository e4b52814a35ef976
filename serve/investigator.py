"""The model in the seat: wiring of the investigation, imported only where an endpoint is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from agent.backend import Budget, parse_endpoint
from agent.backends.openai import OpenAIBackend
from agent.graph import investigate
from agent.policy import SitePolicy
from agent.run import Run
from agent.seat import Terms
from agent.settings import Settings
from agent.triage import Investigator
from agent.types import Case, Verdict
from rag.errors import RagError
from rag.library import Library
from serve.library import open_library
from serve.terminal import note
from tools.evidence import EvidenceBook
from tools.tool import ToolContext
from tools.types import Facts


def build_model_investigator(
    spec: str, facts: Facts, settings: Settings, now: datetime, *, record: Callable[[Run], None] | None
) -> Investigator:
    """Build what looks at a case that rules leave open.

    Args:
        spec: URL#NAME of an OpenAI-compatible endpoint.
        facts: What the model's tools may read.
        settings: Key, time-outs and limits.
        now: Time of the verdicts.
        record: Called with the audit of each investigation.

    Raises:
        OperatorError: The spec is no URL#NAME.
    """
    url, name = parse_endpoint(spec)
    key = settings.model_key.get_secret_value() if settings.model_key else None
    backend = OpenAIBackend(url, name, key, settings.model_timeout_seconds)
    budget = Budget(steps=settings.max_steps, seconds=settings.investigation_seconds)
    terms = Terms(SitePolicy(scheduler=settings.scheduler), budget, now)
    library = _open_library(settings)

    def look(case: Case, book: EvidenceBook) -> Verdict:
        context = ToolContext(facts, book)
        return investigate(case, context, library=library, backend=backend, terms=terms, record=record)

    return look


def _open_library(settings: Settings) -> Library | None:
    try:
        return open_library(settings)
    except RagError as error:
        note(f"daytwo: the model goes without runbooks. {error}")
        return None
