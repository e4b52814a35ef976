"""The models in their seats: wiring of the investigations, imported only where an endpoint is there and answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from agent.admission import Admission, NotAdmittedError
from agent.backend import Backend, Budget
from agent.backends.openai import OpenAIBackend, open_endpoint
from agent.circuit import Circuit, open_circuit
from agent.cost import price_usage
from agent.graph import investigate
from agent.masking import guard_endpoint
from agent.policy import SitePolicy, decide
from agent.run import Run
from agent.seat import Terms
from agent.second import choose_opinion, wants_second
from agent.site import Endpoint, ModelRole
from agent.spending import Price, Purse, SpentError
from agent.tracing import TracedBackend
from agent.triage import Investigator, Look
from agent.types import SEVERITY_RANK, Case, Usage, Verdict
from rag.errors import RagError
from rag.library import Library, Passage
from serve.asking import STOPPED, Occasion, Progress
from serve.doors import choose_endpoint, open_door
from serve.known import Besides, read_besides
from serve.library import open_library
from serve.telemetry import start_telemetry
from serve.terminal import note
from tools.errors import SiteConfigError
from tools.evidence import EvidenceBook
from tools.harmless import neutralise
from tools.tool import ToolContext
from tools.types import Facts

FAILED_BEFORE = "not asked: the model had failed before in this triage"
OUT_OF_TIME = "not asked: the time for questions to a model was used up (DAYTWO_MODEL_TOTAL_SECONDS)"
MOST_THREADS = 16
"""Cases that wait or are looked at together; further ones wait behind them (a guess)."""


@dataclass
class Patience:
    """How long one triage waits for its models in all, and why it waits no more."""

    seconds: float
    gone: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def left_seconds(self) -> float:
        """What is left of it."""
        return self.seconds - (time.monotonic() - self.started)

    def find_end(self) -> str:
        """Say why no model is asked any more; empty where one may be."""
        return self.gone or (OUT_OF_TIME if self.left_seconds <= 0 else "")


@dataclass(frozen=True)
class Post:
    """One endpoint, opened: who sits there, and the door before it."""

    endpoint: Endpoint
    role: ModelRole
    backend: OpenAIBackend
    circuit: Circuit
    door: Admission
    price: Price

    def find_end(self) -> str:
        """Say why it is asked no more; an endpoint that failed on one case is not asked about the next one."""
        return FAILED_BEFORE if self.backend.failure else ""


class Shelf:
    """The runbooks, searched by one case at a time."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()

    def search(self, query: str, *, limit: int = 5) -> Sequence[Passage]:
        """Find the sections nearest to a query, best first."""
        with self._lock:
            return self._library.search(query, limit=limit)

    def section(self, runbook: str, section: str) -> Passage | None:
        """Read one section by name; None where there is none."""
        with self._lock:
            return self._library.section(runbook, section)


class Panel:
    """The models of one triage: the first looks at every case, a second one where the site's policy says so.

    Args:
        first: Who is there for the first opinion.
        occasion: What is looked at, for whom, under which limits.
        silent: Gives the rules' verdict with the reason why no model was heard.
        progress: Tells whom the model looks at, for as long as it does.
    """

    def __init__(
        self, first: Endpoint, occasion: Occasion, *, silent: Callable[[str], Investigator], progress: Progress
    ) -> None:
        self._occasion = occasion
        self._silent = silent
        self._progress = progress
        settings, models = occasion.settings, occasion.roster.models
        start_telemetry(settings)
        self._first = self._open(first, "triage")
        self._purse = Purse(models.spending, occasion.spent, models.escalation.per_hour)
        self._patience = Patience(settings.model_total_seconds)
        self._shelf = _open_shelf(occasion)
        self._besides = read_besides(occasion.facts, settings) if occasion.kept else Besides()
        self._second: tuple[Post | None, str] | None = None
        self._choosing = threading.Lock()

    def look(self, case: Case, book: EvidenceBook) -> Verdict:
        """Look at one case: the rules' verdict with what was made of it, in every case."""
        runs: list[Run] = []
        verdict = self._ask(self._first, case, book, runs)
        models = self._occasion.roster.models
        # One that gave no answer at all gave no first opinion.
        if any(run.usage.calls for run in runs) and wants_second(verdict, models.escalation):
            verdict = self._ask_second(verdict, case, book, runs)
        for run in runs:
            self._occasion.record(replace(run, verdict_id=verdict.verdict_id))
        return verdict

    def look_together(self, looks: Sequence[Look]) -> list[Verdict]:
        """Hold the looks side by side where the endpoint bears more than one; Ctrl-C ends the questions, no more."""
        # One that comes back from a failure is tried with one case.
        alone = len(looks) if self._first.door.most == 1 else int(self._first.circuit.state != "closed")
        alone = len(looks) if len(looks) - alone < 2 else alone
        verdicts = [look() for look in looks[:alone]]
        rest = looks[alone:]
        if rest:
            with ThreadPoolExecutor(min(len(rest), MOST_THREADS), thread_name_prefix="daytwo-case") as pool:
                futures = [pool.submit(look) for look in rest]
                with self._progress(f"{len(rest)} cases"):
                    self._wait(futures)
                verdicts += [future.result() for future in futures]
        return verdicts

    def _wait(self, futures: Sequence[Future[Verdict]]) -> None:
        try:
            wait(futures)
        except KeyboardInterrupt:
            self._stop_for_person()
            wait(futures)

    def _stop_for_person(self) -> None:
        self._occasion.stop.say(STOPPED)
        note(f"daytwo: {STOPPED}; the rules' verdict stands")

    def _ask(self, post: Post, case: Case, book: EvidenceBook, runs: list[Run]) -> Verdict:
        """Ask one model about one case, when its turn comes and if it can be paid."""
        stop = self._occasion.stop
        rank = SEVERITY_RANK[decide(case).severity]
        try:
            if end := self._find_end(post):
                raise NotAdmittedError(end)
            with (
                post.door.enter(rank, stop=stop, seconds=self._patience.left_seconds),
                stop.watch(post.backend.connections.cut),
                self._progress(neutralise(str(case.primary.entity))),
            ):
                if end := self._find_end(post):
                    raise NotAdmittedError(end)
                return self._investigate(post, case, book, runs)
        except (NotAdmittedError, SpentError) as error:
            return self._silent(str(error))(case, book)
        except KeyboardInterrupt:
            self._stop_for_person()
            return self._silent(STOPPED)(case, book)

    def _investigate(self, post: Post, case: Case, book: EvidenceBook, runs: list[Run]) -> Verdict:
        occasion, settings = self._occasion, self._occasion.settings
        seconds = min(settings.investigation_seconds, self._patience.left_seconds)
        budget = post.backend.fit_budget(Budget(steps=settings.max_steps, seconds=seconds))
        site = SitePolicy(scheduler=settings.scheduler)
        with self._purse.draw(budget, post.price, stop=occasion.stop, seconds=seconds) as (fitted, usages):
            before = len(runs)
            verdict = investigate(
                case,
                ToolContext(occasion.facts, book, self._besides.past, self._besides.facts),
                library=self._shelf,
                backend=self._guard(post),
                terms=Terms(site, fitted, occasion.now, post.price),
                record=lambda run: runs.append(replace(run, role=post.role)),
            )
            usages += [run.usage for run in runs[before:]]
        return verdict

    def _ask_second(self, first: Verdict, case: Case, book: EvidenceBook, runs: list[Run]) -> Verdict:
        with self._choosing:
            if self._second is None:
                self._second = self._choose_second()
            post, why = self._second
        if post is None or (why := self._purse.take_second()):
            said = [part for part in (first.reason, f"second opinion {why}" if why else "") if part]
            return first.model_copy(update={"reason": "; ".join(said) or None})
        return choose_opinion(first, self._ask(post, case, book, runs))

    def _choose_second(self) -> tuple[Post | None, str]:
        endpoint, why = choose_endpoint(self._occasion.roster.list_for("root_cause"), self._occasion.settings)
        try:
            return (self._open(endpoint, "root_cause") if endpoint else None), why
        except SiteConfigError as error:
            return None, f"not asked: {error}"

    def _open(self, endpoint: Endpoint, role: ModelRole) -> Post:
        """Open an endpoint.

        Raises:
            SiteConfigError: Its key is not there, or the site asks only its own models, and this is none.
        """
        settings, roster = self._occasion.settings, self._occasion.roster
        url, name = endpoint.url, endpoint.name
        backend = open_endpoint((url, name), roster.read_key(endpoint, settings), settings)
        guard_endpoint(backend, url, Facts(), roster.models)
        circuit = open_circuit(settings.data_dir, url, name)
        backend.report_to(circuit.note, self._occasion.stop)

        def price(usage: Usage) -> Usage:
            return price_usage(usage, url, name, roster.models)

        return Post(endpoint, role, backend, circuit, open_door(endpoint, roster.models, settings), price)

    def _guard(self, post: Post) -> Backend:
        # A mask for each case: stand-ins come from the facts first, so they are the same however many run together.
        url, models = post.endpoint.url, self._occasion.roster.models
        guarded = guard_endpoint(post.backend, url, self._besides.name_all(self._occasion.facts), models)
        return TracedBackend(guarded, urlsplit(url).hostname or "")

    def _find_end(self, post: Post) -> str:
        return self._occasion.stop.why or self._patience.find_end() or post.find_end()


def _open_shelf(occasion: Occasion) -> Shelf | None:
    try:
        return Shelf(open_library(occasion.settings))
    except RagError as error:
        note(f"daytwo: the model goes without runbooks. {error}")
        return None
