"""What models may still cost: tokens and dollars of the last hour and of one investigation.

The hour is read from the kept runs; cases that are looked at together share what is left of it, each with a part set
aside for it while it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from agent.backend import Budget, Reply
from agent.site import Spending
from agent.stopping import Stop
from agent.types import Usage

HOUR_SECONDS = 3600.0
LEAST_TOKENS = 6000
"""One that looks at nothing and concludes: prompt and tools 2,500, brief and conclusion 3,500 (a guess)."""
OUT_SHARE = 0.1
"""Of an investigation's tokens, those that the model writes (a guess; the rest is prompts sent again)."""
RESULT_TOKENS = 1000
"""What the answers of tools add to the next prompt (a guess: one answer is at most 4,000 characters)."""
WAIT_SECONDS = 0.2
UNREAD = "not asked: what models cost in the last hour could not be read, and models.spending limits it"
Price = Callable[[Usage], Usage]


class SpentError(Exception):
    """Nothing may be spent any more; the words say what is used up."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What models cost since some time; what has no known price counts against no limit in dollars."""

    tokens: int = 0
    dollars: float = 0.0
    second_opinions: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.tokens + other.tokens,
            self.dollars + other.dollars,
            self.second_opinions + other.second_opinions,
        )


def measure_spent(usage: Usage | None) -> Spent:
    """What one usage spent."""
    if usage is None:
        return Spent()
    return Spent(usage.tokens_in + usage.tokens_out, usage.cost or 0.0)


class Purse:
    """What may be spent, shared by all that is asked in one triage.

    Args:
        limits: Of the site.
        spent: In the last hour; None where that could not be read.
        second_opinions: So many an hour.
    """

    def __init__(self, limits: Spending, spent: Spent | None, second_opinions: int = 0) -> None:
        self._limits = limits
        self._spent = spent or Spent()
        self._unread = spent is None
        self._second_opinions = second_opinions
        self._reserved = Spent()
        self._changed = threading.Condition()

    @contextmanager
    def draw(self, budget: Budget, price: Price, *, stop: Stop, seconds: float) -> Iterator[tuple[Budget, list[Usage]]]:
        """Set a part of what is left aside for one investigation, and take what it really cost at its end.

        Args:
            budget: What it may cost else.
            price: Puts a price on a usage.
            stop: Ends a wait for what others have set aside.
            seconds: Longest such wait.

        Yields:
            The budget that can be afforded, and a list that takes the usage.

        Raises:
            SpentError: Nothing is left.
        """
        fitted, reserved = self._reserve(budget, price, stop, seconds)
        usages: list[Usage] = []
        try:
            yield fitted, usages
        finally:
            with self._changed:
                self._reserved = _subtract(self._reserved, reserved)
                for usage in usages:
                    self._spent += measure_spent(usage)
                self._changed.notify_all()

    def take_second(self) -> str:
        """Take one of the hour's second opinions; says why there is none, empty where there is."""
        with self._changed:
            if self._unread:
                return UNREAD
            if self._spent.second_opinions >= self._second_opinions:
                return f"not asked: {self._second_opinions} second opinions in the last hour are used up"
            self._spent += Spent(second_opinions=1)
            return ""

    def find_end(self, price: Price) -> str:
        """Say what is used up; empty where an investigation can be paid."""
        with self._changed:
            return self._find_lack(_estimate(LEAST_TOKENS, 0.0, price), self._spent)

    def _reserve(self, budget: Budget, price: Price, stop: Stop, seconds: float) -> tuple[Budget, Spent]:
        with self._changed:
            while True:
                least = _estimate(LEAST_TOKENS, 0.0, price)
                if lack := self._find_lack(least, self._spent):
                    raise SpentError(lack)
                if not self._find_lack(least, self._spent + self._reserved):
                    break
                if stop.why or seconds <= 0:
                    raise SpentError(stop.why or "not asked: what is left of the hour is set aside for other cases")
                self._changed.wait(WAIT_SECONDS)
                seconds -= WAIT_SECONDS
            fitted = self.fit(budget)
            most = _estimate(fitted.tokens, fitted.seconds, price)
            dollars = most.dollars if fitted.dollars is None else min(most.dollars, fitted.dollars)
            reserved = Spent(fitted.tokens, dollars)
            self._reserved += reserved
            return fitted, reserved

    def _find_lack(self, least: Spent, gone: Spent) -> str:
        limits = self._limits
        if self._unread and limits.by_hour:
            return UNREAD
        if limits.tokens_per_hour is not None and gone.tokens + least.tokens > limits.tokens_per_hour:
            left = max(limits.tokens_per_hour - gone.tokens, 0)
            return f"not asked: of {limits.tokens_per_hour:,} tokens an hour {left:,} are left, too few for a case"
        dollars = limits.usd_per_hour
        if dollars is not None and (gone.dollars >= dollars or gone.dollars + least.dollars > dollars):
            left_usd = max(dollars - gone.dollars, 0.0)
            return f"not asked: of {dollars:.2f} dollars an hour {left_usd:.2f} are left, too little for a case"
        return ""

    def fit(self, budget: Budget) -> Budget:
        """The budget, within what is left."""
        limits, gone = self._limits, self._spent + self._reserved
        tokens = [budget.tokens, limits.tokens_per_investigation]
        dollars = [limits.usd_per_investigation]
        if limits.tokens_per_hour is not None:
            tokens.append(limits.tokens_per_hour - gone.tokens)
        if limits.usd_per_hour is not None:
            dollars.append(limits.usd_per_hour - gone.dollars)
        return replace(
            budget,
            tokens=min(one for one in tokens if one is not None),
            dollars=min((one for one in dollars if one is not None), default=None),
        )


def _estimate(tokens: int, seconds: float, price: Price) -> Spent:
    out = round(tokens * OUT_SHARE)
    usage = Usage(calls=1, tokens_in=tokens - out, tokens_cached=0, tokens_out=out, seconds=seconds)
    return measure_spent(price(usage))


def _subtract(one: Spent, other: Spent) -> Spent:
    return Spent(one.tokens - other.tokens, one.dollars - other.dollars, one.second_opinions - other.second_opinions)


def must_conclude_for_cost(replies: Sequence[Reply], budget: Budget, price: Price, seconds: float) -> bool:
    """Whether one more step would leave nothing for the conclusion.

    Args:
        replies: So far; a step costs at least what the last one did, with its answer and what tools told in the prompt.
        budget: What the investigation may cost.
        price: Puts a price on a usage.
        seconds: Since it began.
    """
    if not replies:
        return False
    last = replies[-1]
    step_in = last.tokens_in + last.tokens_out + RESULT_TOKENS
    end_in = step_in + last.tokens_out + RESULT_TOKENS
    tokens_in = sum(one.tokens_in for one in replies) + step_in + end_in
    tokens_out = sum(one.tokens_out for one in replies) + last.tokens_out + budget.bounds.tokens
    if tokens_in + tokens_out > budget.tokens:
        return True
    if budget.dollars is None:
        return False
    # Of the two prompts to come only what was sent before may come from the cache, and that where it did so before.
    cached = sum(one.tokens_cached for one in replies) + 2 * last.tokens_cached
    count = len(replies) + 2
    usage = Usage(
        calls=count,
        tokens_in=tokens_in,
        tokens_cached=cached,
        tokens_out=tokens_out,
        seconds=seconds * count / len(replies),
    )
    cost = price(usage).cost
    return cost is not None and cost > budget.dollars
