"""Dollars: known where a price is known, and never 0 where it is not."""

from __future__ import annotations

import pytest

from agent.cost import measure_cost, price_usage
from agent.site import Endpoint, Models
from agent.types import Usage

USAGE = Usage(calls=3, tokens_in=1_000_000, tokens_cached=400_000, tokens_out=10_000, seconds=36.0)
LOCAL = "http://127.0.0.1:8000/v1"


def test_a_local_server_costs_its_hours_and_adds_its_power() -> None:
    models = Models(endpoints=(Endpoint(url=LOCAL, name="m", gpus=2, gpu_hour_usd=3.0, gpu_watts=500, kwh_usd=0.2),))
    cost = measure_cost(USAGE, LOCAL, "m", models)
    assert cost.loaded == pytest.approx(2 * 36 / 3600 * 3.0)
    assert cost.marginal == pytest.approx(2 * 36 / 3600 * 0.5 * 0.2)


def test_prices_of_the_site_go_before_the_list() -> None:
    url, name = "https://api.openai.com/v1", "gpt-4o"
    mine = Models(
        endpoints=(Endpoint(url=url, name=name, million_in_usd=1.0, million_cached_usd=0.1, million_out_usd=10.0),)
    )
    assert measure_cost(USAGE, url, name, mine).loaded == pytest.approx(0.6 + 0.04 + 0.1)
    listed = measure_cost(USAGE, url, name, Models())
    assert listed.loaded is not None
    assert listed.loaded > 1.0
    assert listed.basis.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (LOCAL, "gpt-4o"),
        ("https://llm.internal.example/v1", "gpt-4o"),
        ("https://api.openai.com/v1", "a-model-that-nobody-sells"),
    ],
)
def test_an_unknown_price_is_none(url: str, name: str) -> None:
    usage = price_usage(USAGE, url, name, Models())
    assert usage.cost is None
    assert usage.cost_marginal is None
    assert usage.cost_basis is None


def test_a_local_server_without_prices_says_nothing_of_dollars() -> None:
    models = Models(endpoints=(Endpoint(url=LOCAL, name="m", gpus=1),))
    assert measure_cost(USAGE, LOCAL, "m", models).loaded is None


def test_no_call_costs_nothing_at_all() -> None:
    silent = Usage(calls=0, tokens_in=0, tokens_cached=0, tokens_out=0, seconds=0.1)
    assert price_usage(silent, "https://api.openai.com/v1", "gpt-4o", Models()) == silent
