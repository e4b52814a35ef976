"""The model of a conversation: opened at the first question, and behind a mask that knows the facts of the moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.backend import Backend, Budget, parse_endpoint
from agent.desk import Desk
from agent.dialogue import Chair
from agent.settings import Settings
from serve.asking import reach_endpoint
from tools.errors import ModelError
from tools.harmless import redact_url

if TYPE_CHECKING:
    from agent.backends.openai import OpenAIBackend
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
        if self._opened is None:
            from serve.library import open_library

            self._opened = open_library(self.settings)
        return self._opened.search(query, limit=limit, near=near)


@dataclass
class TalkModel:
    """Who answers in this conversation; nobody where `spec` is empty.

    Attributes:
        spec: URL#NAME.
        why_none: Why nobody answers though one is named.
    """

    settings: Settings
    spec: str = ""
    why_none: str = ""
    books: Books = field(init=False)
    _backend: OpenAIBackend | None = None
    _guarded: tuple[Facts, Backend] | None = None

    def __post_init__(self) -> None:
        """Runbooks are there with and without a model."""
        self.books = Books(self.settings)

    @property
    def is_there(self) -> bool:
        """Whether a model is named and could be reached."""
        return bool(self.spec) and not self.why_none

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
        self.spec, self.why_none, self._backend, self._guarded = spec, "", None, None
        self.reach()

    def reach(self) -> None:
        """Knock at the endpoint, so that one that is not there is told at once."""
        if not self.spec:
            return
        try:
            reach_endpoint(parse_endpoint(self.spec)[0])
            self.why_none = ""
        except ModelError as error:
            self.why_none = str(error)

    def describe(self) -> str:
        """Who answers, in a line."""
        if not self.spec:
            return NO_MODEL
        shown = redact_url(self.spec)
        return f"Rules answer: {self.why_none}" if self.why_none else f"Answers come from {shown}, checked by code."

    def sit_down(self, desk: Desk) -> Chair:
        """Build who answers a question about a desk.

        Raises:
            SiteConfigError: The site does not ask models elsewhere.
        """
        if self.spec and self.why_none:
            self.reach()
        if not self.is_there:
            return Chair(library=self.books)
        from agent.cost import price_usage
        from agent.site import load_site

        endpoint, models = parse_endpoint(self.spec), load_site(self.settings.site_file).models
        backend = self._open(endpoint, desk)
        assert self._backend is not None
        budget = Budget(
            steps=self.settings.max_steps,
            seconds=self.settings.investigation_seconds,
            window_tokens=self._backend.window_tokens,
        )
        return Chair(backend, self.books, budget, lambda usage: price_usage(usage, *endpoint, models))

    def _open(self, endpoint: tuple[str, str], desk: Desk) -> Backend:
        if self._guarded is not None and self._guarded[0] is desk.facts:
            return self._guarded[1]
        from urllib.parse import urlsplit

        from agent.backends.openai import open_model
        from agent.masking import guard_endpoint
        from agent.site import load_site
        from agent.tracing import TracedBackend

        self._backend = self._backend or open_model(endpoint, self.settings)
        guarded = guard_endpoint(self._backend, endpoint[0], desk.facts, load_site(self.settings.site_file).models)
        traced = TracedBackend(guarded, urlsplit(endpoint[0]).hostname or "")
        self._guarded = (desk.facts, traced)
        return traced
