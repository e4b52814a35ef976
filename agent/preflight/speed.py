"""Times: the first token of a long prefix fresh and repeated, and so many answers at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from agent.bounds import Size
from agent.preflight.dialogue import ask_plainly, fill
from agent.preflight.endpoint import Answer, Endpoint, Question
from agent.profile import Speed

PREFIX_WORDS = 1500
"""About the fixed part of an investigation: system prompt and tools."""
IN_FLIGHT = (1, 4, 8)
SPEED_TOKENS = 64
FAST_ENOUGH = 1.0
"""More at once are of use where they give at least as many tokens a second in all as one alone."""
TASK = "Count from 1 to 60 in words, and write nothing else."


def measure_prefix(endpoint: Endpoint, *, salt: str) -> tuple[float | None, float | None, int | None]:
    """Ask twice with one long beginning that no cache has seen.

    Returns:
        Seconds to the first token, fresh and repeated, and how many tokens of the second came from the cache, by the
        server's count; None for what was not told.
    """
    prefix = fill(PREFIX_WORDS, salt)
    fresh, again = (
        endpoint.ask(Question(ask_plainly(f"{prefix}\n{end}"), {}, 1, stream=True)) for end in ("Say yes.", "Say no.")
    )
    return _first(fresh), _first(again), again.tokens_cached if again.ok else None


def _first(answer: Answer) -> float | None:
    # One token was asked for, so the whole answer of a server that does not stream is as good.
    return round(answer.first_token_seconds or answer.seconds, 4) if answer.ok else None


def measure_speeds(endpoint: Endpoint, *, salt: str, in_flight: Sequence[int] = IN_FLIGHT) -> tuple[Speed, ...]:
    """Ask one, four and eight questions at once; ends where all of a round failed."""
    speeds: list[Speed] = []
    for many in in_flight:
        speeds.append(_measure(endpoint, many, salt))
        if speeds[-1].failed == many:
            break
    return tuple(speeds)


def _measure(endpoint: Endpoint, many: int, salt: str) -> Speed:
    questions = [
        Question(ask_plainly(f"{salt} {many}.{number}: {TASK}"), {}, SPEED_TOKENS, stream=True)
        for number in range(many)
    ]
    started = time.monotonic()
    with ThreadPoolExecutor(many) as pool:
        answers = list(pool.map(endpoint.ask, questions))
    seconds = time.monotonic() - started
    good = [answer for answer in answers if answer.ok]
    firsts = [answer.first_token_seconds for answer in good if answer.first_token_seconds is not None]
    told = [answer.tokens_out for answer in good if answer.tokens_out is not None]
    return Speed(
        in_flight=many,
        first_token_seconds=round(median(firsts), 4) if firsts else None,
        tokens_per_second=round(sum(told) / seconds, 1) if told and seconds > 0 else None,
        failed=many - len(good),
    )


def tell_slow(speeds: Sequence[Speed], size: Size, needed_seconds: float | None, allowed_seconds: float) -> str:
    """Say that only a shorter conclusion is written in time, or none; empty where a full one is, or nobody knows."""
    rate = speeds[0].tokens_per_second if speeds else None
    if not rate or needed_seconds is None:
        return ""
    if needed_seconds > allowed_seconds:
        return (
            f"slow: the shortest conclusion takes {needed_seconds:.0f} s at {rate:g} tok/s, and it may take "
            f"{allowed_seconds:.0f} s (half of DAYTWO_INVESTIGATION_SECONDS)"
        )
    return "" if size == "full" else f"slow: {rate:g} tok/s, so conclusions are asked for in a {size} form"


def choose_concurrency(speeds: Sequence[Speed]) -> int:
    """The most at once without a failure and without fewer tokens a second than one alone."""
    alone = speeds[0].tokens_per_second if speeds else None
    useful = [
        speed.in_flight
        for speed in speeds
        if not speed.failed and (not alone or (speed.tokens_per_second or 0) >= alone * FAST_ENOUGH)
    ]
    return max(useful, default=1)
