"""Who sits in the model's seat during an evaluation, and what happened on the wire while they sat there.

A seat is named ``rules`` (the judge alone, nobody in the seat), ``rules@graph`` (the rules' own policy in the seat of
the investigation graph; must say the same as the judge), ``URL#NAME`` (a model behind an OpenAI-compatible endpoint) or
``alone@URL#NAME`` (such a model without rules, tools and policy).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.backend import Backend, Budget, EndpointKind, Message, Reply, parse_endpoint
from agent.policy import SitePolicy
from agent.run import Run
from agent.settings import Settings, load_settings
from agent.types import Case, Verdict
from tools.errors import ModelError
from tools.evidence import EvidenceBook
from tools.past import PastCase
from tools.tool import ToolContext
from tools.types import Facts

if TYPE_CHECKING:
    from rag.library import Library

RULES = "rules"
RULES_IN_SEAT = "rules@graph"
ALONE = "alone@"
PLANNED: tuple[str, ...] = ("investigator", "random")
"""Callers of tools without a model: the ceiling and the floor of open scenarios."""
Investigator = Callable[[Case, EvidenceBook], Verdict]


@dataclass(slots=True)
class WatchedBackend:
    """Passes every call on, and keeps what was asked and what broke: a broken wire is no wrong answer.

    Attributes:
        errors: What the endpoint did wrong, in order.
        asked: Every prompt as it went out, in order.
    """

    inner: Backend
    errors: list[str] = field(default_factory=list)
    asked: list[tuple[Message, ...]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How the model is called in verdicts."""
        return self.inner.name

    @property
    def endpoint_kind(self) -> EndpointKind:
        """Where it runs."""
        return self.inner.endpoint_kind

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Pass a step on."""
        return self._watch(messages, lambda: self.inner.step(messages, tools, seconds=seconds))

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Pass the conclusion on."""
        return self._watch(messages, lambda: self.inner.conclude(messages, schema, seconds=seconds))

    def _watch(self, messages: Sequence[Message], call: Callable[[], Reply]) -> Reply:
        self.asked.append(tuple(dict(message) for message in messages))
        try:
            return call()
        except ModelError as error:
            self.errors.append(str(error))
            raise


@dataclass(frozen=True, slots=True)
class Known:
    """What tools return beyond the facts that are triaged, and who is told of each investigation."""

    past: tuple[PastCase, ...] | None = None
    beside: Facts | None = None
    record: Callable[[Run], None] | None = None


NOTHING_KNOWN = Known()


@dataclass(frozen=True, slots=True)
class Seat:
    """A backend that was opened once for a whole evaluation.

    Attributes:
        backend: None where the judge alone decides.
        alone: The model answers by itself, without rules, tools and policy.
    """

    name: str
    backend: Backend | None = None
    library: Library | None = None
    budget: Budget = field(default_factory=Budget)
    alone: bool = False

    def build_investigator(
        self, facts: Facts, watched: WatchedBackend, now: datetime, known: Known = NOTHING_KNOWN
    ) -> Investigator:
        """Bind the seat to the facts of one case, and to what is known besides."""
        from agent.graph import investigate
        from agent.seat import Terms

        terms = Terms(SitePolicy(), self.budget, now)

        def look(case: Case, book: EvidenceBook) -> Verdict:
            context = ToolContext(facts, book, known.past, known.beside)
            return investigate(case, context, library=self.library, backend=watched, terms=terms, record=known.record)

        return look


def open_seat(name: str, settings: Settings | None = None) -> Seat:
    """Open a backend by name; the settings are read where none are given and a seat needs them.

    Raises:
        OperatorError: The name is neither ``rules``, ``rules@graph``, one of `PLANNED`, URL#NAME nor alone@URL#NAME.
    """
    if name == RULES:
        return Seat(name)
    if name in PLANNED:
        from evals.investigator import Investigator as Planned
        from evals.investigator import RandomCaller

        return Seat(name, Planned() if name == PLANNED[0] else RandomCaller())
    settings = settings or load_settings()
    budget = Budget(steps=settings.max_steps, seconds=settings.investigation_seconds)
    if name == RULES_IN_SEAT:
        from agent.backends.rules import RulesBackend

        return Seat(name, RulesBackend(), budget=budget)
    alone = name.startswith(ALONE)
    url, model = parse_endpoint(name.removeprefix(ALONE))
    from agent.backends.openai import open_model
    from rag.library import open_library

    backend = open_model((url, model), settings)
    if alone:
        return Seat(name, backend, alone=True)
    library = open_library(settings.data_dir, embedding=settings.embedding)
    return Seat(name, backend, library, backend.fit_budget(budget))
