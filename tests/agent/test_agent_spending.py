"""What models may cost: the hour out of the kept runs, a part for each case, and the last step that can be paid."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from agent.backend import Budget, Reply
from agent.run import Run
from agent.site import Spending
from agent.spending import LEAST_TOKENS, UNREAD, Purse, Spent, SpentError, must_conclude_for_cost
from agent.stopping import Stop
from agent.store import open_store
from agent.store.spending import SpendingBook
from agent.types import CoverageRow, TriageReport, Usage, Verdict

BUDGET = Budget()


def free(usage: Usage) -> Usage:
    """A price that nobody knows."""
    return usage


def priced(usage: Usage) -> Usage:
    """A dollar for 10,000 tokens."""
    return usage.model_copy(update={"cost": (usage.tokens_in + usage.tokens_out) / 10_000})


def use(tokens: int, price=free) -> Usage:
    return price(Usage(calls=1, tokens_in=tokens, tokens_cached=0, tokens_out=0, seconds=1.0))


def draw(purse: Purse, price=free, seconds: float = 1.0):
    return purse.draw(BUDGET, price, stop=Stop(), seconds=seconds)


def test_without_limits_the_budget_is_what_it_was():
    with draw(Purse(Spending(), Spent(10**9, 1e6))) as (budget, _):
        assert budget == BUDGET


def test_an_hour_that_is_used_up_is_told_with_what_is_left():
    purse = Purse(Spending(tokens_per_hour=100_000), Spent(tokens=96_000))
    with pytest.raises(SpentError, match="of 100,000 tokens an hour 4,000 are left, too few for a case"), draw(purse):
        pass
    assert purse.find_end(free)


def test_dollars_count_where_the_price_is_known_and_only_there():
    limits = Spending(usd_per_hour=2.0)
    with (
        pytest.raises(SpentError, match=r"of 2\.00 dollars an hour 0\.20 are left"),
        draw(Purse(limits, Spent(0, 1.8)), priced),
    ):
        pass
    assert Purse(limits, Spent(0, 1.8)).find_end(free) == ""


def test_what_could_not_be_read_is_not_nothing():
    with pytest.raises(SpentError) as caught, draw(Purse(Spending(tokens_per_hour=10**9), None)):
        pass
    assert str(caught.value) == UNREAD
    with draw(Purse(Spending(tokens_per_investigation=9000), None)) as (budget, _):
        assert budget.tokens == 9000


def test_a_case_gets_what_is_left_and_the_next_one_what_it_left():
    purse = Purse(Spending(tokens_per_hour=50_000, usd_per_investigation=0.5), Spent(tokens=10_000))
    with draw(purse, priced) as (budget, usages):
        assert (budget.tokens, budget.dollars) == (40_000, 0.5)
        usages.append(use(5_000))
    with draw(purse, priced) as (budget, usages):
        assert budget.tokens == 35_000


def test_cases_at_once_share_the_hour_and_wait_for_what_is_set_aside():
    purse = Purse(Spending(tokens_per_hour=20_000), Spent())
    seen: list[int] = []
    inside = threading.Event()

    def first() -> None:
        with draw(purse) as (budget, usages):
            seen.append(budget.tokens)
            inside.set()
            time.sleep(0.3)
            usages.append(use(8_000))

    running = threading.Thread(target=first)
    running.start()
    inside.wait(5)
    with draw(purse, seconds=5.0) as (budget, _):
        seen.append(budget.tokens)
    running.join()
    assert seen == [20_000, 12_000]


def test_second_opinions_are_counted_too():
    purse = Purse(Spending(), Spent(second_opinions=1), second_opinions=2)
    assert purse.take_second() == ""
    assert purse.take_second() == "not asked: 2 second opinions in the last hour are used up"


def step(tokens_in: int, tokens_out: int = 100) -> Reply:
    return Reply(tokens_in=tokens_in, tokens_out=tokens_out)


@pytest.mark.parametrize("limit", [20_000, 40_000, 80_000])
def test_the_last_step_that_leaves_room_for_the_conclusion_is_the_last(limit):
    budget, replies, spent = replace(BUDGET, tokens=limit), [step(4_000)], 4_100
    while not must_conclude_for_cost(replies, budget, free, 1.0):
        replies.append(step(replies[-1].tokens_in + 1_000))
        spent += replies[-1].tokens_in + replies[-1].tokens_out
    conclusion = replies[-1].tokens_in + 1_000 + budget.bounds.tokens
    assert spent + conclusion <= limit
    assert len(replies) > 1, "it looked at more than the brief"


def test_dollars_end_it_as_well_and_an_unknown_price_never_does():
    budget = replace(BUDGET, dollars=0.8)
    assert not must_conclude_for_cost([step(500)], budget, priced, 1.0)
    assert must_conclude_for_cost([step(4_000)], budget, priced, 1.0)
    assert not must_conclude_for_cost([step(4_000)], budget, free, 1.0)


def make_report() -> TriageReport:
    verdict = Verdict(
        verdict_id="v-1", case_id="c-1", time="2026-03-01T12:00:00Z", subject={"entity": "node:n7"}, status="unknown",
        fault="unknown", confidence="inconclusive", severity="warning", action="watch", urgency="none", follow_up="none",
        summary="", decided_by="rules",
    )  # fmt: skip
    return TriageReport(verdicts=[verdict], coverage=[CoverageRow(entity="node:n7", domain="gpu", status="read")])


def make_run(number: int, usage: Usage, role: str = "triage") -> Run:
    return Run(f"r-{number}", "c-1", "v-1", "m", (), {}, usage, role=role)


def test_the_hour_is_read_out_of_the_kept_runs(tmp_path):
    with open_store(tmp_path) as store:
        book, began = SpendingBook(store), time.time()
        assert book.read_spent(began - 3600) == Spent()
        runs = [make_run(1, use(10_000, priced)), make_run(2, use(20_000), "root_cause")]
        store.add_report(make_report(), runs=runs)
        book.add_talk(use(5_000, priced), "m")
        assert book.read_spent(began - 3600) == Spent(35_000, 1.5, 1)
        assert book.read_spent(time.time() + 1) == Spent(), "what is older does not count"
        assert [run["run_id"] for run in store.list_investigations()].count("r-1") == 1
        assert len(store.list_investigations()) == 2, "a question of a conversation is no investigation"


def test_the_least_is_what_an_investigation_takes_at_least():
    assert BUDGET.bounds.tokens + 2_500 <= LEAST_TOKENS
