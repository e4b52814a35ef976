"""Executors: found by walking `agent/executors/`, rehearsed by anyone, built only with a claim in hand.

An executor is a module with two functions: `rehearse` reads and says what would be done; `build` returns the function
that does it, and wants a :class:`Claim`, which only the store gives out, once for each proposal. Until then no function
that changes anything exists in the process.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Protocol, cast

from agent.proposals import Proposal
from tools.errors import DaytwoError, SiteConfigError

PACKAGE = "agent.executors"
OutcomeState = Literal["done", "handed_over", "failed"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, and what the site says of it.

    Attributes:
        allow: The allow-list of the action, which an executor holds its target against once more.
        webhook: Where the executor `webhook` sends; from the site's file, never from evidence.
        webhook_key: What it signs with.
        here: Name of this machine.
    """

    proposal: Proposal
    allow: tuple[str, ...]
    webhook: str = ""
    webhook_key: bytes | None = field(default=None, repr=False)
    here: str = ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A dry run: what would be done, in the words of a person at a shell.

    Attributes:
        problem: Why it cannot be done; empty where it can.
        doubt: What a person should know before: it is not done with nobody's word.
        fix: What to type about the problem.
    """

    steps: tuple[str, ...]
    problem: str = ""
    doubt: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do one proposal, once: made by the store in the transaction that marks the proposal as begun."""

    proposal: Proposal
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        words: One sentence.
        details: Further lines: what was run, what was answered.
    """

    state: OutcomeState
    words: str
    details: tuple[str, ...] = ()


class Executor(Protocol):
    """What a module of `agent/executors/` offers."""

    def rehearse(self, order: Order) -> Rehearsal:
        """Say what would be done; changes nothing."""
        ...

    def build(self, order: Order, claim: Claim) -> Callable[[], Outcome]:
        """Build the function that does it."""
        ...


@cache
def list_executors() -> frozenset[str]:
    """Names of the executors that there are; none of them is imported."""
    package = importlib.import_module(PACKAGE)
    return frozenset(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_"))


def open_executor(name: str) -> Executor:
    """Import one executor.

    Raises:
        SiteConfigError: There is none of that name.
    """
    if name not in list_executors():
        raise SiteConfigError(
            f"There is no executor {name!r}; there are {', '.join(sorted(list_executors()))}.",
            fix="name one of them in the site's file, see docs/actions.md",
        )
    return cast("Executor", importlib.import_module(f"{PACKAGE}.{name}"))


def execute(order: Order, claim: Claim) -> Outcome:
    """Do what was claimed; what goes wrong is an outcome too, since a claim cannot be used again."""
    try:
        return open_executor(order.proposal.executor).build(order, claim)()
    except DaytwoError as error:
        return Outcome("failed", error.message, (error.fix,) if error.fix else ())
