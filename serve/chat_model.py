"""The model of a conversation: opened at the first question, and behind a mask that knows the facts of the moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.backend import Backend, Budget, parse_endpoint
from agent.desk import Desk
from agent.dialogue import Chair, Turn
from agent.settings import Settings
from agent.types import Usage
from tools.harmless import redact_url

if TYPE_CHECKING:
    from agent.backends.openai import OpenAIBackend
    from agent.roster import Roster
    from agent.site import Endpoint
    from agent.toolbox import Passage
    from rag.library import Library
    from tools.types import Facts

NO_MODEL = "No model: rules answer. /model URL#NAME brings one in."


@dataclass
class Books:
    """The runbooks, opened when they are searched for the first time."""

    settings: Settings
    _opened: Library | None = None

    def search(self, query: str, *, limit: int = 5, near: bool = False) -> Sequence[Passage]:
        """Find the sections nearest to a query, best first; with `near` none where nothing is."""
        return self._open().search(query, limit=limit, near=near)

    def section(self, runbook: str, section: str) -> Passage | None:
        """Read one section by name; None where there is none."""
        return self._open().section(runbook, section)

    def _open(self) -> Library:
        if self._opened is None:
            from serve.library import open_library

            self._opened = open_library(self.settings)
        return self._opened


@dataclass
class TalkModel:
    """Who answers in this conversation: the model that is named, else the site's for `handoff`, else nobody.

    Attributes:
        spec: URL#NAME; empty for those of the site.
        why_none: Why nobody answers though one is named.
    """

    settings: Settings
    spec: str = ""
    why_none: str = ""
    books: Books = field(init=False)
    _is_off: bool = False
    _roster: Roster | None = None
    _endpoint: Endpoint | None = None
    _backend: OpenAIBackend | None = None
    _guarded: tuple[Facts, Backend] | None = None

    def __post_init__(self) -> None:
        """Runbooks are there with and without a model."""
        self.books = Books(self.settings)

    @property
    def is_named(self) -> bool:
        """Whether a person or the site names a model."""
        return not self._is_off and bool(self.spec or (self.settings.site_file and self._find_roster().endpoints))

    @property
    def is_there(self) -> bool:
        """Whether a model is named and could be reached."""
        return self.is_named and not self.why_none

    @property
    def window_tokens(self) -> int | None:
        """The window of the model that was opened; None where none was."""
        return self._backend.window_tokens if self._backend else None

    def change(self, spec: str) -> None:
        """Take another model, or none.

        Raises:
            OperatorError: It is no URL#NAME.
            SiteConfigError: The site does not ask models elsewhere.
        """
        if spec:
            parse_endpoint(spec)
        self.spec, self.why_none, self._is_off = spec, "", not spec
        self._roster = self._endpoint = self._backend = self._guarded = None
        self.reach()

    def reach(self) -> None:
        """Knock at the endpoint, so that one that is not there is told at once."""
        if not self.is_named:
            return
        from serve.doors import choose_endpoint

        endpoint, self.why_none = choose_endpoint(self._find_roster().list_for("handoff"), self.settings)
        if endpoint != self._endpoint:
            self._endpoint, self._backend, self._guarded = endpoint, None, None

    def describe(self) -> str:
        """Who answers, in a line."""
        if not self.is_named:
            return NO_MODEL
        if self.why_none:
            return f"Rules answer: {self.why_none}"
        shown = f"{self._endpoint.url}#{self._endpoint.name}" if self._endpoint else self.spec
        return f"Answers come from {redact_url(shown)}, checked by code."

    def sit_down(self, desk: Desk) -> Chair:
        """Build who answers a question about a desk.

        Raises:
            SiteConfigError: The site does not ask models elsewhere, or a key is not there.
        """
        if self.is_named and (self.why_none or self._endpoint is None):
            self.reach()
        if not self.is_there or self._endpoint is None:
            return Chair(library=self.books)
        from agent.cost import price_usage
        from agent.spending import Purse
        from serve.spent import read_spent

        url, name, models = self._endpoint.url, self._endpoint.name, self._find_roster().models

        def price(usage: Usage) -> Usage:
            return price_usage(usage, url, name, models)

        purse = Purse(models.spending, read_spent(self.settings, models))
        self.why_none = purse.find_end(price)
        if self.why_none:
            return Chair(library=self.books)
        backend = self._open(self._endpoint, desk)
        assert self._backend is not None
        budget = Budget(
            steps=self.settings.max_steps,
            seconds=self.settings.investigation_seconds,
            window_tokens=self._backend.window_tokens,
        )
        return Chair(backend, self.books, purse.fit(budget), price)

    def keep_cost(self, turn: Turn) -> None:
        """Count what an answer cost towards the hour, where the site limits it."""
        if turn.usage.calls:
            from serve.spent import keep_talk

            keep_talk(self.settings, self._find_roster().models, turn.usage, turn.model)

    def _find_roster(self) -> Roster:
        if self._roster is None:
            from agent.roster import build_roster
            from agent.site import load_site

            self._roster = build_roster(self.spec, load_site(self.settings.site_file).models)
        return self._roster

    def _open(self, endpoint: Endpoint, desk: Desk) -> Backend:
        if self._guarded is not None and self._guarded[0] is desk.facts:
            return self._guarded[1]
        from urllib.parse import urlsplit

        from agent.masking import guard_endpoint
        from agent.tracing import TracedBackend
        from serve.known import Besides

        roster = self._find_roster()
        named = Besides(desk.past, desk.beside).name_all(desk.facts)
        self._backend = self._backend or self._open_backend(endpoint, roster)
        guarded = guard_endpoint(self._backend, endpoint.url, named, roster.models)
        traced = TracedBackend(guarded, urlsplit(endpoint.url).hostname or "")
        self._guarded = (desk.facts, traced)
        return traced

    def _open_backend(self, endpoint: Endpoint, roster: Roster) -> OpenAIBackend:
        from agent.backends.openai import open_endpoint
        from agent.circuit import open_circuit
        from agent.stopping import Stop

        key = roster.read_key(endpoint, self.settings)
        backend = open_endpoint((endpoint.url, endpoint.name), key, self.settings)
        circuit = open_circuit(self.settings.data_dir, endpoint.url, endpoint.name)
        backend.report_to(circuit.note, Stop())
        return backend
