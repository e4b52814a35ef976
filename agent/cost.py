"""What asking a model cost, in dollars: a hosted one by its price list, a local one by the hours of its GPUs.

A price that is not known is None, never 0. The price list is that of genai-prices, dated by its release; what the site
writes down goes before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

from agent.masking import is_loopback
from agent.site import Endpoint, Models
from agent.types import Usage

MILLION = 1e6
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars of one investigation.

    Attributes:
        loaded: All that is to be paid: the price of the tokens, or the GPUs' hours as if they did nothing else.
        marginal: What this one added: the price of the tokens, or the power that the GPUs drew meanwhile.
        basis: Where the prices come from, in words.
    """

    loaded: float | None = None
    marginal: float | None = None
    basis: str = ""


def find_endpoint(models: Models, url: str, name: str) -> Endpoint | None:
    """What the site says of a model; None where it does not name it."""
    same = (one for one in models.endpoints if one.url.rstrip("/") == url and one.name == name)
    return next(same, None)


def price_usage(usage: Usage, url: str, name: str, models: Models) -> Usage:
    """Add to a usage what it cost; nothing where no call was made."""
    if not usage.calls:
        return usage
    cost = measure_cost(usage, url, name, models)
    return usage.model_copy(
        update={"cost": cost.loaded, "cost_marginal": cost.marginal, "cost_basis": cost.basis or None}
    )


def measure_cost(usage: Usage, url: str, name: str, models: Models) -> Cost:
    """Measure what the calls cost.

    Args:
        usage: Tokens and seconds; its tokens in contain those from the cache.
        url: Base URL of the endpoint that was asked.
        name: The model's name at it.
        models: Prices of the site.
    """
    endpoint = find_endpoint(models, url, name)
    if endpoint is not None and endpoint.million_in_usd is not None and endpoint.million_out_usd is not None:
        return _price_by_site(usage, endpoint)
    if endpoint is not None and endpoint.gpus:
        return _price_by_hours(usage, endpoint)
    return Cost() if is_loopback(urlsplit(url).hostname or "") else _price_by_list(usage, url, name)


def _price_by_site(usage: Usage, endpoint: Endpoint) -> Cost:
    dear, out = endpoint.million_in_usd or 0.0, endpoint.million_out_usd or 0.0
    cached = dear if endpoint.million_cached_usd is None else endpoint.million_cached_usd
    new = usage.tokens_in - usage.tokens_cached
    dollars = (new * dear + usage.tokens_cached * cached + usage.tokens_out * out) / MILLION
    return Cost(dollars, dollars, "prices of the site")


def _price_by_hours(usage: Usage, endpoint: Endpoint) -> Cost:
    hours = endpoint.gpus * usage.seconds / SECONDS_PER_HOUR
    loaded = None if endpoint.gpu_hour_usd is None else hours * endpoint.gpu_hour_usd
    drawn = None
    if endpoint.gpu_watts is not None and endpoint.kwh_usd is not None:
        drawn = hours * endpoint.gpu_watts / 1000.0 * endpoint.kwh_usd
    return Cost(loaded, drawn, "hours of the site's GPUs")


def _price_by_list(usage: Usage, url: str, name: str) -> Cost:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(input_tokens=usage.tokens_in, cache_read_tokens=usage.tokens_cached, output_tokens=usage.tokens_out)
    try:
        dollars = float(calc_price(tokens, name, provider_api_url=url).total_price)
    except LookupError:
        return Cost()
    return Cost(dollars, dollars, f"genai-prices {version('genai-prices')}")
