"""A second opinion: asked only where policy says so, followed only where code found it true; and who sits where."""

from __future__ import annotations

import pytest

from agent.roster import build_roster
from agent.second import add_usage, choose_opinion, find_refusal, wants_second
from agent.settings import Settings
from agent.site import Escalation, Models
from agent.types import Claim, ModelUse, Usage, Verdict
from tools.errors import OperatorError, SiteConfigError

ALLOWED = Escalation(per_hour=5)
TRUE, FALSE = (Claim(text=f"it is {word}", evidence=["e1"], verified=word == "so") for word in ("so", "not so"))


def make_verdict(number: int = 1, **changes: object) -> Verdict:
    told = {
        "verdict_id": f"v-{number}", "case_id": "c-1", "time": "2026-03-01T12:00:00Z", "subject": {"entity": "node:n7"},
        "status": "unknown", "fault": "unknown", "confidence": "inconclusive", "severity": "critical",
        "action": "watch", "urgency": "none", "follow_up": "none", "summary": "", "decided_by": "rules",
    }  # fmt: skip
    return Verdict.model_validate(told | changes)


def use(cost: float | None, tokens: int = 10) -> Usage:
    return Usage(calls=1, tokens_in=tokens, tokens_cached=0, tokens_out=1, seconds=1.0, cost=cost, cost_basis="list")


MODEL = ModelUse(name="larger", endpoint_kind="local", prompt_hashes={})


def second(**changes: object) -> Verdict:
    told = {"fault": "gpu_hang", "decided_by": "model", "claims": [TRUE], "model": MODEL, "usage": use(0.2)}
    return make_verdict(2, **(told | changes))


@pytest.mark.parametrize(
    ("changes", "policy", "wanted"),
    [
        ({}, ALLOWED, True),
        ({}, Escalation(), False),
        ({"severity": "warning"}, ALLOWED, False),
        ({"severity": "warning"}, Escalation(per_hour=1, least_severity="warning"), True),
        ({"confidence": "likely"}, ALLOWED, False),
        ({"confidence": "likely"}, Escalation(per_hour=1, confidences=("likely",)), True),
    ],
)
def test_when_it_is_asked(changes, policy, wanted):
    assert wants_second(make_verdict(**changes), policy) is wanted


def test_a_grounded_one_stands_under_the_first_ones_id_with_both_costs():
    chosen = choose_opinion(make_verdict(usage=use(0.1)), second())
    assert (chosen.verdict_id, chosen.fault, chosen.decided_by) == ("v-1", "gpu_hang", "model")
    assert chosen.usage is not None
    assert (chosen.usage.calls, chosen.usage.tokens_in, chosen.usage.cost) == (2, 20, pytest.approx(0.3))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"claims": [FALSE]}, "no claim of it holds"),
        ({"claims": []}, "no claim of it holds"),
        ({"fault": "unknown", "decided_by": "rules+model"}, "it does not know either"),
        ({"decided_by": "rules", "reason": "the model named 'x'"}, "the model named 'x'"),
        ({"decided_by": "rules"}, "it could not be had"),
    ],
)
def test_else_the_first_stands_and_says_why(changes, why):
    first = make_verdict(reason="as before", usage=use(0.1))
    chosen = choose_opinion(first, second(**changes))
    assert (chosen.verdict_id, chosen.fault, chosen.claims) == ("v-1", first.fault, first.claims)
    assert chosen.reason is not None
    assert chosen.reason.startswith("as before; second opinion of ") and chosen.reason.endswith(f"not used: {why}")


def test_the_rules_own_claims_are_no_ground_for_an_opinion():
    first = make_verdict(claims=[TRUE])
    assert find_refusal(first, second(claims=[TRUE])) == "no claim of it holds"
    other = Claim(text="and this too", evidence=["e2"], verified=True)
    assert find_refusal(first, second(claims=[TRUE, other])) == ""


def test_a_cost_of_which_a_part_is_unknown_is_unknown():
    both = add_usage(use(None), use(0.2))
    assert both is not None and both.cost is None and both.cost_basis == "list"
    assert add_usage(None, use(0.2)) == use(0.2)
    assert add_usage(None, None) is None


SITE = Models.model_validate(
    {
        "endpoints": [
            {"url": "http://a/v1/", "name": "small", "roles": ["triage"]},
            {"url": "http://b/v1", "name": "large", "roles": ["root_cause"], "key_env": "LARGE_KEY"},
            {"url": "http://c/v1", "name": "spare", "roles": ["triage", "root_cause"]},
        ]
    }
)


def list_names(spec: str, role: str) -> list[str]:
    return [one.name for one in build_roster(spec, SITE).list_for(role)]


def test_roles_are_filled_in_the_sites_order():
    assert list_names("", "triage") == ["small", "spare"]
    assert list_names("", "root_cause") == ["large", "spare"]
    assert list_names("", "handoff") == ["small", "spare"], "who triages hands over too where nobody else does"
    assert build_roster("", SITE).endpoints[0].url == "http://a/v1", "as a profile and a circuit are named"


def test_one_named_model_does_everything_and_gives_no_second_opinion_on_itself():
    spec = "http://b/v1#large"
    assert list_names(spec, "triage") == list_names(spec, "handoff") == ["large"]
    assert list_names(spec, "root_cause") == []


def test_a_key_goes_to_the_endpoint_that_it_is_meant_for_and_to_no_other(monkeypatch):
    settings = Settings(model_key="mine")
    site = build_roster("", SITE)
    assert site.read_key(site.endpoints[0], settings) is None
    monkeypatch.delenv("LARGE_KEY", raising=False)
    with pytest.raises(SiteConfigError, match="LARGE_KEY") as caught:
        site.read_key(site.endpoints[1], settings)
    assert caught.value.fix == "export LARGE_KEY=KEY"
    monkeypatch.setenv("LARGE_KEY", "theirs")
    assert site.read_key(site.endpoints[1], settings) == "theirs"
    named = build_roster("http://other/v1#m", SITE)
    assert named.read_key(named.endpoints[0], settings) == "mine"
    known = build_roster("http://b/v1#large", SITE)
    assert known.read_key(known.endpoints[0], settings) == "theirs"


def test_an_endpoint_of_the_site_must_be_one():
    with pytest.raises(OperatorError):
        build_roster("", Models.model_validate({"endpoints": [{"url": "ftp://x", "name": "m"}]}))
