"""The model in the seat: wiring of the investigation, imported only where an endpoint is named."""

from __future__ import annotations

from datetime import datetime

from agent.backends.openai import OpenAIBackend
from agent.graph import investigate
from rag.library import Library

from agent.backend import Budget, parse_endpoint
from agent.policy import SitePolicy
from agent.run import Run
from agent.settings import Settings
from agent.store import open_store
from agent.triage import Investigator
from agent.types import Case, Verdict
from rag.errors import RagError
from serve.library import open_library
from serve.terminal import note
from tools.errors import DaytwoError
from tools.evidence import EvidenceBook
from tools.types import Facts


def build_model_investigator(
    spec: str, facts: Facts, settings: Settings, now: datetime, *, keep_runs: bool
) -> Investigator:
    """Build what looks at a case that rules leave open.

    Args:
        spec: URL#NAME of an OpenAI-compatible endpoint.
        facts: What the model's tools may read.
        settings: Key, time-outs and limits.
        now: Time of the verdicts.
        keep_runs: Keep the audit of each investigation in the store.

    Raises:
        OperatorError: The spec is no URL#NAME.
    """
    url, name = parse_endpoint(spec)
    key = settings.model_key.get_secret_value() if settings.model_key else None
    backend = OpenAIBackend(url, name, key, settings.model_timeout_seconds)
    budget = Budget(steps=settings.max_steps, seconds=settings.investigation_seconds)
    library = _open_library(settings)

    def keep_run(run: Run) -> None:
        try:
            open_store(settings.data_dir).add_run(run)
        except DaytwoError as error:
            note(f"daytwo: the investigation was not kept. {error}")

    def look(case: Case, book: EvidenceBook) -> Verdict:
        return investigate(
            case,
            facts=facts,
            book=book,
            library=library,
            backend=backend,
            site=SitePolicy(scheduler=settings.scheduler),
            budget=budget,
            now=now,
            record=keep_run if keep_runs else None,
        )

    return look


def _open_library(settings: Settings) -> Library | None:
    try:
        return open_library(settings)
    except RagError as error:
        note(f"daytwo: the model goes without runbooks. {error}")
        return None
