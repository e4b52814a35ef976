"""The end of a conclusion: how long it may be, what its schema says, how long it is waited for, what a cut leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from agent.backend import Budget, parse_endpoint
from agent.backends.openai import MAX_ANSWER_TOKENS, OpenAIBackend
from agent.bounds import SIZES, choose_size, drop_limits, measure_seconds
from agent.conclude import Conclusion, DraftAlternative, DraftClaim, build_schema, close_cut, find_handles
from agent.profile import ModelProfile, Speed
from evals.manners import Manners
from evals.scripted import ScriptedServer

POSSIBLE = ("gpu_off_bus", "pcie_error")
SLOW = ModelProfile(
    url="http://127.0.0.1:1/v1",
    name="scripted",
    date=datetime(2026, 11, 25, tzinfo=UTC),
    fitness="fit",
    window_tokens=8000,
    conclusion_size="short",
    conclusion_seconds=70.0,
    speed=(Speed(in_flight=1, tokens_per_second=10.0),),
)


def list_ends(schema):
    """Every string and list of a schema with what ends it."""
    if schema["type"] == "object":
        return [end for part in schema["properties"].values() for end in list_ends(part)]
    if schema["type"] == "array":
        return [schema.get("maxItems"), *list_ends(schema["items"])]
    return [schema.get("maxLength") or schema.get("enum")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("handles", [(), ("e1", "e2")])
def test_every_string_and_list_has_an_end(size, handles):
    ends = list_ends(build_schema(POSSIBLE, handles=handles, bounds=SIZES[size]))
    assert len(ends) == 10
    assert all(ends)


def test_the_longest_conclusion_is_shorter_than_an_answer_may_be():
    tokens = [bounds.tokens for bounds in SIZES.values()]
    assert tokens == sorted(tokens, reverse=True)
    assert tokens[0] < MAX_ANSWER_TOKENS
    bounds = SIZES["full"]
    claim = {"text": "x" * bounds.claim, "evidence": ["e12345"] * bounds.handles}
    alternative = {"fault": "x" * 28, "why": "x" * bounds.why}
    longest = {
        "fault": "x" * 28,
        "summary": "x" * bounds.summary,
        "claims": [claim] * bounds.claims,
        "alternatives": [alternative] * bounds.alternatives,
        "check_next": "x" * bounds.check_next,
    }
    written = len(json.dumps(longest, separators=(",", ":")))
    assert written <= bounds.tokens * 2.5 < written * 1.1


def test_only_evidence_that_was_shown_can_be_cited():
    shown = ["[e1] a [e2] b", "nothing", "[e2] again, [e30] c"]
    handles = find_handles(shown)
    assert handles == ["e1", "e2", "e30"]
    cited = build_schema(POSSIBLE, handles=handles)["properties"]["claims"]["items"]["properties"]["evidence"]["items"]
    assert cited == {"type": "string", "enum": handles}
    many = [f"e{number}" for number in range(500)]
    few = build_schema(POSSIBLE, handles=many)["properties"]["claims"]["items"]["properties"]["evidence"]["items"]
    assert few["enum"] == many[-60:]


def test_lengths_are_left_out_and_names_that_look_like_them_are_not():
    schema = build_schema(POSSIBLE)
    schema["properties"]["pattern"] = {"type": "string", "pattern": "^a"}
    loose = drop_limits(schema)
    assert list_ends({**loose, "properties": {**loose["properties"]}}).count(None) == 9
    assert loose["properties"]["pattern"] == {"type": "string"}
    assert loose["required"] == schema["required"]
    assert loose["additionalProperties"] is False


def test_a_slow_model_writes_less_and_is_waited_for():
    assert choose_size(None, 90.0) == ("full", None)
    assert choose_size(40.0, 90.0)[0] == "full"
    assert choose_size(10.5, 90.0) == ("short", round(measure_seconds("short", 10.5), 1))
    size, seconds = choose_size(1.0, 90.0)
    assert size == "terse"
    assert seconds > 90.0, "told as it is, though it is too long"
    assert choose_size(10.5, 90.0, first_token_seconds=60.0)[0] == "terse"


def test_a_sentence_that_was_cut_loses_its_last_word():
    bounds = SIZES["terse"]
    cut = ("the clock fell to 345 MHz and " * 9)[: bounds.claim - 2] + "12"
    ended = ("x " * 200)[: bounds.summary - 1] + "."
    conclusion = Conclusion(
        fault="pcie_error",
        summary=ended,
        claims=(DraftClaim(text=cut), DraftClaim(text="short")),
        alternatives=(DraftAlternative(fault="gpu_off_bus", why="w" * bounds.why),),
    )
    closed = close_cut(conclusion, bounds)
    assert closed.claims[0].text.endswith(" …")
    assert not closed.claims[0].text.removesuffix(" …").endswith("12")
    assert (closed.claims[1].text, closed.summary) == ("short", ended)
    assert closed.alternatives[0].why == "w" * bounds.why + " …"


def test_the_agent_asks_a_slow_model_for_what_it_can_write():
    with ScriptedServer(manners=Manners()) as server:
        backend = OpenAIBackend(*parse_endpoint(server.spec), None, 30.0, SLOW)
        schema = build_schema(POSSIBLE, bounds=SIZES["short"])
        asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "c"}]
        backend.conclude(asked, schema, seconds=60.0)
        backend.step(asked, [], seconds=60.0)
        concluding, step = server.requests
    assert concluding["max_tokens"] == round(SIZES["short"].tokens * 1.2)
    assert step["max_tokens"] == 240, "ten a second for 80% of 30 s"
    assert concluding["response_format"]["json_schema"]["schema"] == schema
    budget = backend.fit_budget(Budget(seconds=100.0))
    assert (budget.window_tokens, budget.bounds, budget.concluding_seconds) == (8000, SIZES["short"], 70.0)
    assert budget.find_concluding_seconds() == 70.0
    assert Budget(seconds=100.0, concluding_seconds=95.0).find_concluding_seconds() == 70.0
    assert Budget(seconds=100.0).find_concluding_seconds() == 30.0


def test_a_conclusion_may_take_longer_than_another_answer():
    patient = SLOW.model_copy(update={"conclusion_seconds": 5.0})
    with ScriptedServer(manners=Manners(delay_seconds=0.6)) as server:
        backend = OpenAIBackend(*parse_endpoint(server.spec), None, 0.3, patient)
        asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "c"}]
        reply = backend.conclude(asked, build_schema(POSSIBLE), seconds=10.0)
    assert reply.text


def test_a_server_that_refuses_lengths_is_asked_without_them_and_then_in_words():
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "c"}]
    for manners, forms in ((Manners(lengths=False), [True, True]), (Manners(schema=False), [True, True, False])):
        with ScriptedServer(manners=manners) as server:
            backend = OpenAIBackend(*parse_endpoint(server.spec), None, 5.0)
            backend.conclude(asked, build_schema(POSSIBLE), seconds=10.0)
            assert ["response_format" in one for one in server.requests] == forms
            backend.conclude(asked, build_schema(POSSIBLE), seconds=10.0)
            assert len(server.requests) == len(forms) + 1, "what was refused is not asked again"
