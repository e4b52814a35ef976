"""How busy a model server is, out of what it tells Prometheus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent.admission import Load

LOAD_SECONDS = 2.0
"""A busy server answers its metrics late; longer than this they are old (a guess)."""
NAMES = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "cache_share",  # since V1 of the engine
    "vllm:gpu_cache_usage_perc": "cache_share",  # before
    "vllm:num_preemptions_total": "preemptions",
    "vllm:num_preemptions": "preemptions",
    "llamacpp:requests_processing": "running",
    "llamacpp:requests_deferred": "waiting",
    "llamacpp:kv_cache_usage_ratio": "cache_share",
    "sglang:num_running_reqs": "running",
    "sglang:num_queue_reqs": "waiting",
    "sglang:token_usage": "cache_share",
}
"""vLLM with the names of both its engines, llama.cpp (``--metrics``), SGLang (``--enable-metrics``)."""
WORST = frozenset({"cache_share"})
"""The fullest engine counts; of everything else the sum over the engines."""


def parse_load(text: str) -> Load | None:
    """Read a metrics page; None where it tells neither requests nor cache."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except ValueError:
        return None
    for sample in samples:
        if field := NAMES.get(sample.name):
            found[field][sample.name].append(sample.value)
    if not found.keys() & {"running", "waiting", "cache_share"}:
        return None
    told = {field: _join(field, by_name.values()) for field, by_name in found.items()}
    return Load(**told)


def _join(field: str, rows: Iterable[list[float]]) -> float:
    # A server that tells both names of one thing tells it twice.
    return max(max(values) if field in WORST else sum(values) for values in rows)


def find_load(url: str) -> Callable[[], Load | None] | None:
    """Build what reads a server's load; None where it tells none now.

    Args:
        url: Base URL of the API; the numbers stand beside it, without a key.
    """
    place = f"{url.removesuffix('/v1')}/metrics"

    def read() -> Load | None:
        try:
            answer = httpx.get(place, timeout=LOAD_SECONDS)
        except httpx.HTTPError:
            return None
        return parse_load(answer.text) if answer.status_code == 200 else None

    return read if read() is not None else None
