"""The preflight against a server that has each capability, and one that lacks it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from agent.backend import ToolCall, parse_endpoint
from agent.backends.http import HttpEndpoint
from agent.backends.wire import parse_limit, read_error, tells_overflow
from agent.bounds import SIZES
from agent.preflight.calls import mark_calls, mark_conclusion
from agent.preflight.check import check_model
from agent.preflight.endpoint import Answer, Question
from agent.preflight.judge import choose_mode, judge_model
from agent.preflight.speed import choose_concurrency, measure_prefix, tell_slow
from agent.preflight.window import prove_window
from agent.profile import Speed, Tries, WindowProof
from agent.toolbox import find_tools
from evals.manners import Manners
from evals.scripted import ScriptedServer
from evals.scripts import SCRIPTS
from evals.scripts import Answer as Scripted
from tools.errors import ModelError

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SCHEMAS = {name: spec.schema for name, spec in find_tools().items()}


def check(script="careful", tries=4, timeout_seconds=60.0, concluding_seconds=90.0, **manners):
    with ScriptedServer(script, manners=Manners(**manners)) as server:
        endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, timeout_seconds)
        profile = check_model(
            endpoint,
            tries=tries,
            now=NOW,
            salt="salt-1",
            tell=lambda stage: None,
            concluding_seconds=concluding_seconds,
        )
        return profile, server.requests


def test_a_server_that_does_everything_fits():
    profile, requests = check(engine="vllm", any_name=False)
    assert (profile.fitness, profile.tool_mode, profile.strict, profile.json_schema) == ("fit", "auto", True, True)
    assert (profile.engine, profile.engine_version) == ("vLLM", "0.32.0")
    for way in ("auto", "required"):
        assert profile.tools[way].clean == profile.tools[way].right == profile.tools[way].tries == 4
    assert profile.tools["named"].clean == 3
    assert "text" not in profile.tools, "not needed, so not asked"
    assert profile.conclusions.clean == 4
    assert profile.streams
    assert profile.streams_tools
    assert profile.tells_usage
    assert profile.tells_cached
    assert profile.seed == "repeats"
    assert profile.wrong_name_status == 404
    assert "does not exist" in profile.wrong_name_message
    assert [speed.in_flight for speed in profile.speed] == [1, 4, 8]
    assert all(speed.failed == 0 and speed.tokens_per_second > 0 for speed in profile.speed)
    assert {request["model"] for request in requests} == {"scripted", "no-such-model"}


def test_a_model_that_always_leaks_in_auto_is_made_to_call():
    """As small coder models do: fenced JSON in the text, and proper calls where one is demanded."""
    profile, _ = check(auto="fenced", tries=20)
    auto = profile.tools["auto"]
    assert (auto.tries, auto.clean, auto.leaked, auto.repaired, auto.lost) == (20, 0, 20, 20, 0)
    assert profile.tools["required"].clean == 20
    assert (profile.fitness, profile.tool_mode) == ("fit with repair", "required")
    assert "leak into the text in `auto`: 20 of 20" in profile.reasons[0]


@pytest.mark.parametrize("shape", ["fenced", "tagged"])
def test_leaks_that_repair_puts_right_will_do_where_nothing_can_be_demanded(shape):
    profile, _ = check(auto=shape, required="refused")
    assert profile.tools["required"].failed == profile.tools["required"].tries
    assert "unsupported" in profile.tools["required"].error
    assert (profile.fitness, profile.tool_mode) == ("fit with repair", "auto")


def test_a_server_without_tools_is_told_of_them_in_words():
    profile, requests = check(auto="refused", required="refused")
    assert (profile.fitness, profile.tool_mode) == ("fit with repair", "text")
    assert profile.tools["text"].clean == 4
    assert "--enable-auto-tool-choice is off" in profile.flags
    told = [one for one in requests if "To call a tool, answer with one JSON object" in one["messages"][0]["content"]]
    assert len(told) == 4
    assert all("tools" not in one for one in told)


def test_a_model_that_only_talks_does_not_fit():
    profile, _ = check(script=lambda talk: Scripted("I would look at it."))
    assert (profile.fitness, profile.tool_mode) == ("not fit", "none")
    assert any("no way of calling tools" in reason for reason in profile.reasons)
    assert any("conclusions: 0 of 4 valid under the schema" in reason for reason in profile.reasons)


ABSENT = {
    "strict": ({"strict": False}, {"strict": False, "fitness": "fit with repair"}),
    "schema": ({"schema": False}, {"json_schema": False, "fitness": "fit with repair"}),
    "streams": ({"streams": False}, {"streams": False, "streams_tools": False}),
    "usage": ({"usage": False}, {"tells_usage": False, "tells_cached": False}),
    "cached": ({"cached": False}, {"tells_usage": True, "tells_cached": False}),
    "seeds": ({"seeds": False}, {"seed": "differs"}),
    "names": ({"any_name": True}, {"wrong_name_status": 200}),
    "engine": ({"engine": "llama.cpp"}, {"engine": "llama.cpp", "engine_version": "b7062-9b17d74ab"}),
}


@pytest.mark.parametrize("lacking", ABSENT)
def test_what_is_absent_is_found_out(lacking):
    manners, found = ABSENT[lacking]
    profile, _ = check(**manners)
    assert {name: getattr(profile, name) for name in found} == found


def test_more_at_once_than_a_server_takes_is_no_concurrency():
    profile, _ = check(most_at_once=4, delay_seconds=0.03)
    assert profile.speed[-1].failed > 0
    assert profile.concurrency < 8


def test_a_prefix_cache_shows_in_the_first_token():
    with ScriptedServer(manners=Manners(prefill_seconds=0.1)) as server:
        fresh, again, cached = measure_prefix(HttpEndpoint(*parse_endpoint(server.spec), None, 5.0), salt="s")
    assert again < fresh / 2
    assert cached > 1000


def test_calls_in_one_answer_are_counted():
    def twice(talk):
        answer = SCRIPTS["careful"](talk)
        both = "Call two tools" in talk.brief and not talk.concluding
        return Scripted(calls=(*answer.calls, ("read_coverage", "{}"))) if both else answer

    assert check(script=twice)[0].tools["both"].calls == 2
    assert check()[0].tools["both"].calls == 1


# -- the window ---------------------------------------------------------------------------------------------------------


def prove(**manners):
    with ScriptedServer(manners=Manners(**manners)) as server:
        endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, 10.0)
        claimed = manners.get("claimed_tokens")
        return prove_window(endpoint, claimed_tokens=claimed, salt="salt-2"), server.requests


def test_a_window_that_ends_in_an_error_is_found_and_its_words_kept():
    proof, _ = prove(window_tokens=6000)
    assert 5600 < proof.proven_tokens <= 6000
    assert (proof.overflow, proof.overflow_status, proof.limit_tokens) == ("error", 400, 6000)
    assert "maximum context length is 6000" in proof.overflow_message


def test_a_claim_is_not_believed():
    proof, _ = prove(window_tokens=3000, claimed_tokens=16384)
    assert 2700 < proof.proven_tokens <= 3000
    assert proof.claimed_tokens == 16384


def test_a_claim_that_holds_is_reached_and_its_end_seen():
    proof, _ = prove(window_tokens=9000, claimed_tokens=9000)
    assert 8700 < proof.proven_tokens <= 9000
    assert proof.overflow == "error"


@pytest.mark.parametrize(("usage", "how"), [(True, "usage"), (False, "echo")])
def test_a_silent_cut_is_no_window(usage, how):
    proof, _ = prove(window_tokens=5000, overflow="truncate", usage=usage)
    assert (proof.overflow, proof.how) == ("truncates", how)
    assert 3000 < proof.proven_tokens <= 5000, "without a count a word is one token: fewer, never more"


def test_where_nothing_can_be_proven_nothing_is():
    proof, requests = prove(usage=False, echoes=False)
    assert proof.proven_tokens is None
    assert proof.how == "none"
    assert "nothing can be proven" in proof.note
    assert len(requests) == 1, "a longer prompt would prove no more"


def test_the_end_of_a_large_window_is_not_reached():
    proof, requests = prove()
    assert proof.proven_tokens > 32000
    assert proof.overflow == "not reached"
    assert max(len(request["messages"][0]["content"]) for request in requests) < 40_000 * 8


def test_a_prompt_that_takes_too_long_is_no_window_and_shorter_ones_are_tried():
    """Half a second for 1,000 new tokens: of twice as many the new half comes too late, of half as many more it does not."""
    with ScriptedServer(manners=Manners(prefill_seconds=0.5)) as server:
        endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, 1.2)
        proof = prove_window(endpoint, claimed_tokens=8192, salt="salt-3")
    assert "was not answered: no whole answer within 1.2 s" in proof.note
    assert 5500 < proof.proven_tokens < 8128
    assert proof.overflow == "not reached"


def test_a_small_window_does_not_fit():
    profile, _ = check(window_tokens=5000)
    assert profile.fitness == "not fit"
    assert "6,144 needed" in profile.reasons[0]


# -- what never answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("html", "web page"),
        ("hang", "no whole answer within"),
        ("drip", "no whole answer within"),
        ("cut", "broke off"),
        ("empty", "empty body"),
        ("empty_choices", "no chat completion"),
        ("error_401", "status 401"),
        ("error_500", "out of memory"),
        ("refuse", "nothing answers"),
    ],
)
def test_what_gives_no_answer_is_told_with_what_to_type(trouble, words):
    with ScriptedServer(trouble) as server:
        endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, 0.5 if trouble in ("hang", "drip") else 5.0)
        started = time.monotonic()
        with pytest.raises(ModelError, match=words) as caught:
            check_model(endpoint, tries=2, now=NOW, salt="s", tell=lambda stage: None)
    assert time.monotonic() - started < 6
    assert "/models" in caught.value.fix


def test_a_server_that_is_too_slow_for_long_prompts_keeps_what_it_proved():
    with ScriptedServer(manners=Manners(prefill_seconds=0.1)) as server:
        endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, 0.5)
        proof = prove_window(endpoint, claimed_tokens=None, salt="s")
    assert 1000 < proof.proven_tokens < 20_000
    assert "was not answered: no whole answer" in proof.note


def test_a_streamed_answer_is_put_together():
    with ScriptedServer(manners=Manners()) as server:
        endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, 5.0)
        words = [{"role": "user", "content": "The code word is K1234. What is the code word?"}]
        whole, pieces = (endpoint.ask(Question(words, {}, 8, stream=stream)) for stream in (False, True))
    assert (whole.text, whole.streamed) == ("K1234", False)
    assert (pieces.text, pieces.streamed, pieces.tokens_in) == ("K1234", True, whole.tokens_in)
    assert 0 < pieces.first_token_seconds <= pieces.seconds


# -- pure parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", 8192),
        ("the request exceeds the available context size. try increasing it (n_ctx: 4096)", 4096),
        ("Requested tokens (2285) exceed context window of 2048", 2048),
        ("prompt is too long", None),
    ],
)
def test_errors_of_overflow_are_read(words, limit):
    assert tells_overflow(words)
    assert parse_limit(words) == limit


def test_other_errors_are_no_overflow():
    assert not tells_overflow("CUDA error: out of memory")
    assert not tells_overflow("The model `x` does not exist.")
    body = {"error": {"code": 400, "message": "exceeds the available context size", "n_prompt_tokens": 9, "n_ctx": 256}}
    assert parse_limit(read_error(json.dumps(body))) == 256
    assert read_error("<html>") == "a web page"
    assert read_error('{"detail": "Not Found"}') == "Not Found"


CALL = '{"entity": "gpu:n/3", "code": "", "around": "", "limit": 20}'


@pytest.mark.parametrize(
    ("answer", "clean", "repaired", "leaked", "prose"),
    [
        (Answer(200, calls=(ToolCall("1", "read_events", CALL),)), True, False, False, False),
        (Answer(200, text="Let me look.", calls=(ToolCall("1", "read_events", CALL),)), True, False, False, True),
        (Answer(200, calls=(ToolCall("1", "Read_Events", CALL),)), False, True, False, False),
        (
            Answer(200, text=f'Now:\n```json\n{{"name": "read_events", "arguments": {CALL}}}\n```'),
            False,
            True,
            True,
            True,
        ),
        (Answer(200, text="<tool_call> broken </tool_call>"), False, False, True, False),
        (Answer(200, calls=(ToolCall("1", "reset_gpu", "{}"),)), False, False, False, False),
        (Answer(200, text="I do not know."), False, False, False, False),
    ],
)
def test_each_answer_is_marked(answer, clean, repaired, leaked, prose):
    mark = mark_calls(answer, SCHEMAS)
    assert (mark.clean, mark.repaired, mark.leaked, mark.prose) == (clean, repaired, leaked, prose)


def test_a_conclusion_is_marked_by_its_form():
    whole = {"fault": "gpu_off_bus", "summary": "s", "claims": [], "alternatives": [], "check_next": ""}
    assert mark_conclusion(Answer(200, text=json.dumps(whole))).clean
    assert mark_conclusion(Answer(200, text=f"Sure!\n```json\n{json.dumps(whole)}\n```")).repaired
    assert not mark_conclusion(Answer(200, text=json.dumps(whole | {"fault": "fire"}))).clean
    assert mark_conclusion(Answer(200)).error == "an empty answer"


GOOD, LEAKY, BAD = Tries(tries=20, clean=20), Tries(tries=20, repaired=20, leaked=20), Tries(tries=20)


@pytest.mark.parametrize(
    ("tools", "mode"),
    [
        ({"auto": GOOD, "required": GOOD}, "auto"),
        ({"auto": LEAKY, "required": GOOD}, "required"),
        ({"auto": LEAKY, "required": BAD}, "auto"),
        ({"auto": BAD, "required": BAD, "text": GOOD}, "text"),
        ({"auto": BAD, "required": BAD, "text": BAD}, "none"),
        ({"auto": Tries(tries=20, clean=19, repaired=1, leaked=1), "required": GOOD}, "required"),
        ({}, "none"),
    ],
)
def test_the_way_to_ask_is_chosen(tools, mode):
    assert choose_mode(tools) == mode


def test_one_reason_is_enough_not_to_fit():
    window = WindowProof(proven_tokens=32000)
    tools = {"auto": GOOD, "required": GOOD}
    assert judge_model(tools, GOOD, Tries(), window, strict=True).fitness == "fit"
    assert judge_model(tools, BAD, BAD, window, strict=True).fitness == "not fit"
    assert judge_model(tools, BAD, GOOD, window, strict=True).fitness == "fit with repair"
    assert judge_model(tools, GOOD, Tries(), WindowProof(), strict=True).fitness == "not fit"


def test_a_model_too_slow_for_a_full_conclusion_is_told():
    slow = tell_slow([Speed(in_flight=1, tokens_per_second=1.0)], "terse", 366.0, 90.0)
    assert "the shortest conclusion takes 366 s at 1 tok/s, and it may take 90 s" in slow
    short = tell_slow([Speed(in_flight=1, tokens_per_second=10.0)], "short", 66.0, 90.0)
    assert short == "slow: 10 tok/s, so conclusions are asked for in a short form"
    assert tell_slow([Speed(in_flight=1, tokens_per_second=40.0)], "full", 35.0, 90.0) == ""
    assert tell_slow([Speed(in_flight=1)], "full", None, 90.0) == ""
    window = WindowProof(proven_tokens=32000)
    judged = judge_model({"auto": GOOD}, GOOD, Tries(), window, strict=True, slow=slow)
    assert (judged.fitness, judged.reasons) == ("fit with repair", (slow,))


def test_the_speed_decides_how_long_a_conclusion_is_asked_for():
    """64 tokens in 0.2 s and a bit are some 150 a second: a full conclusion takes 10 s, more than these 8."""
    profile, requests = check(delay_seconds=0.2, tries=1, concluding_seconds=8.0)
    assert profile.conclusion_size == "terse"
    assert profile.conclusion_seconds == 10.0
    assert any("the shortest conclusion takes 10 s" in reason for reason in profile.reasons)
    schema = next(one for one in requests if "response_format" in one)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["summary"]["maxLength"] == SIZES["terse"].summary
    patient, _ = check(delay_seconds=0.2, tries=1, concluding_seconds=90.0)
    assert (patient.conclusion_size, patient.reasons[0][:5]) == ("full", "calls")


def test_a_server_that_knows_no_lengths_is_asked_without_them():
    profile, requests = check(lengths=False, tries=2)
    assert (profile.json_schema, profile.bounded, profile.fitness) == (True, False, "fit")
    assert profile.conclusions.clean == 2
    assert sum('"maxLength"' in json.dumps(one) for one in requests) == 2, "refused twice, not asked again"


def test_concurrency_is_where_more_at_once_gives_more():
    rates = {1: 40.0, 4: 120.0, 8: 30.0}
    assert choose_concurrency([Speed(in_flight=n, tokens_per_second=rate) for n, rate in rates.items()]) == 4
    assert choose_concurrency([Speed(in_flight=1), Speed(in_flight=4), Speed(in_flight=8, failed=1)]) == 4
    assert choose_concurrency([]) == 1
