"""When a second model is asked about a case, and whose opinion stands then."""

from __future__ import annotations

from agent.site import Escalation
from agent.types import SEVERITY_RANK, Usage, Verdict

UNKNOWN = "unknown"


def wants_second(verdict: Verdict, escalation: Escalation) -> bool:
    """Whether a case is open and grave enough for a second opinion.

    Args:
        verdict: As it stands after the first opinion.
        escalation: What the site allows; at zero an hour nothing is.
    """
    grave = SEVERITY_RANK[verdict.severity] >= SEVERITY_RANK[escalation.least_severity]
    return escalation.per_hour > 0 and grave and verdict.confidence in escalation.confidences


def choose_opinion(first: Verdict, second: Verdict) -> Verdict:
    """Take the second opinion where policy followed it and code found a claim of its own true; else the first stands.

    Both verdicts are bounded by the rules alone: neither is ever more invasive than these.
    """
    refused = find_refusal(first, second)
    usage = add_usage(first.usage, second.usage)
    if not refused:
        return second.model_copy(update={"verdict_id": first.verdict_id, "usage": usage})
    named = second.model.name if second.model else "the second model"
    reason = "; ".join(part for part in (first.reason, f"second opinion of {named} not used: {refused}") if part)
    return first.model_copy(update={"reason": reason, "usage": usage})


def find_refusal(first: Verdict, second: Verdict) -> str:
    """Say why the second opinion is not followed; empty where it is."""
    if second.decided_by == "rules":
        return second.reason or "it could not be had"
    if second.fault == UNKNOWN:
        return "it does not know either"
    # Claims of the rules come first and are the same in both.
    known = {claim.text for claim in first.claims if first.decided_by == "rules"}
    own = [claim for claim in second.claims if claim.text not in known]
    return "" if any(claim.verified for claim in own) else "no claim of it holds"


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Both together; a cost of which a part is not known is not known."""
    if one is None or other is None:
        return one or other
    return Usage(
        calls=one.calls + other.calls,
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_cached=one.tokens_cached + other.tokens_cached,
        tokens_out=one.tokens_out + other.tokens_out,
        seconds=round(one.seconds + other.seconds, 3),
        cost=_add(one.cost, other.cost),
        cost_marginal=_add(one.cost_marginal, other.cost_marginal),
        cost_basis="; ".join(dict.fromkeys(basis for basis in (one.cost_basis, other.cost_basis) if basis)) or None,
    )


def _add(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
