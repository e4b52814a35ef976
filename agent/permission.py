"""May this be done? What becomes of a wanted step, and of a proposal that somebody wants to have done now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from agent.gates import BreakerState, Question, Shuts, Situation, count_persons, find_stops
from agent.proposals import Answer, Proposal, Stop, Wanted


@dataclass(frozen=True, slots=True)
class Judged:
    """What comes of one wanted step.

    Attributes:
        proposal: As it is kept; None where it is not.
        stops: All gates that are shut.
        is_ready: Nothing stands in the way of doing it at once.
        is_new: It was not there before.
        is_refused: It is not even proposed.
    """

    wanted: Wanted
    stops: tuple[Stop, ...]
    proposal: Proposal | None = None
    is_ready: bool = False
    is_new: bool = True
    is_refused: bool = False


def judge_wanted(wanted: Wanted, situation: Situation, proposal: Proposal | None = None) -> Judged:
    """Say whether a step is refused, proposed, or ready to be done at once.

    Args:
        wanted: One step.
        situation: With what was proposed lately.
        proposal: The open one for the same step, where there is one.
    """
    question = Question(wanted, situation, proposal)
    refused = find_stops(question, ("proposing",))
    if refused:
        return Judged(wanted, tuple(refused), is_refused=True)
    stops = tuple(find_stops(question, ("acting alone", "doing")))
    return Judged(wanted, stops, proposal, is_ready=not stops, is_new=proposal is None)


def find_refusals(proposal: Proposal, situation: Situation, answer: Answer | None) -> list[Stop]:
    """Find what forbids that a proposal is done now, with a person's word or, where `answer` is None, without.

    The standing gates are looked at again: the site's file, the inventory and the store may have changed meanwhile.
    """
    shuts: tuple[Shuts, ...] = ("proposing", "doing") if answer else ("proposing", "acting alone", "doing")
    return find_stops(Question(proposal.wanted, situation, proposal, answer), shuts)


def is_decided(proposal: Proposal, situation: Situation, answer: Answer) -> bool:
    """Whether this answer is the last one that it needs."""
    return len(proposal.approvals) + 1 >= count_persons(Question(proposal.wanted, situation, proposal, answer))


def find_overload(situation: Situation) -> str:
    """Say why the breaker opens; empty where it stays shut. What shadow mode would have done does not count.

    Counted is what was proposed, not what was done: a storm shows before the rate limits let much of it happen.
    """
    rules = situation.autonomy.breaker
    since = max(situation.now_seconds - rules.minutes * 60.0, situation.breaker.reset_seconds)
    recent = [one for one in situation.past if one.created_seconds > since and one.state != "would"]
    nodes = {one.wanted.node.lower() for one in recent if one.wanted.node}
    total = sum(row.state == "production" for row in situation.inventory or ())
    if len(recent) < rules.least or not total or len(nodes) <= rules.share * total:
        return ""
    return f"{len(recent)} actions on {len(nodes)} of {total} nodes were proposed within {rules.minutes:g} minutes"


def with_past(situation: Situation, past: Iterable[Proposal], breaker: BreakerState) -> Situation:
    """The same situation, with what the store knows."""
    return replace(situation, past=tuple(past), breaker=breaker)
