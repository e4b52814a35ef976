"""One question and its answer: the loop with models good, bad and broken, and rules where none is heard."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.backend import Budget, EndpointKind, Hear, Message, Reply, ToolCall, parse_endpoint
from agent.backends.openai import OpenAIBackend
from agent.desk import Desk, lay_out
from agent.dialogue import Asked, Chair, Found, Heard, Said, Turn, Voice, answer_question, build_messages, count_context
from agent.policy import SitePolicy
from agent.profile import ModelProfile
from agent.triage import triage
from evals.conversation import Conversation
from evals.manners import Manners
from evals.scripted import ScriptedServer
from evals.scripts import Answer
from tools.errors import ModelError
from tools.sources.recording import RecordingSource

BAD_NIGHT = Path(__file__).parents[2] / "examples" / "bad-night"
TRUE = "The card has fallen off the bus [e1]."
FALSE = "It ran at 412 C [e1]."


@pytest.fixture(scope="module")
def facts():
    return RecordingSource([BAD_NIGHT], max_bytes=10**8).read_facts()


@pytest.fixture
def desk(facts):
    return lay_out(Desk(), triage(facts, site=SitePolicy(), now=datetime.now(UTC)), facts, origin="bad-night")


@dataclass
class Scripted:
    """A model that streams what it was given, one answer a step; an error in the list is raised."""

    answers: list[Reply | Exception | type[BaseException]]
    name: str = "scripted"
    endpoint_kind: EndpointKind = "scripted"
    asked: list[tuple[list[Message], bool]] = field(default_factory=list)

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float, hear: Hear
    ) -> Reply:
        self.asked.append(([dict(message) for message in messages], bool(tools)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not isinstance(answer, Reply):
            hear(f"{TRUE} And th")
            raise answer
        for at in range(0, len(answer.text), 7):
            hear(answer.text[at : at + 7])
        return answer

    def step(self, messages, tools, *, seconds):
        raise AssertionError("it streams")

    conclude = step


def call(name: str, **arguments: object) -> Reply:
    return Reply("Let me see 412 things.", (ToolCall("x", name, json.dumps(arguments)),), 10, 0, 5)


EVENTS = call("read_events", entity="", code="xid", around="", limit=3)


def hold(desk: Desk, *answers: Reply | Exception | type[BaseException], past: Sequence[Turn] = (), **budget: Any):
    backend, told = Scripted(list(answers)), []
    turn = answer_question("why is gpu 3 gone?", desk, past, Chair(backend, None, Budget(**budget)), tell=told.append)
    return turn, backend, told


def test_calls_then_checked_sentences(desk):
    turn, backend, told = hold(desk, EVENTS, Reply(f"{TRUE} {FALSE} I could not read why.", tokens_in=20))
    assert [one.standing for one in turn.sentences] == ["borne_out", "struck", "plain"]
    assert turn.text == f"{TRUE} I could not read why."
    assert turn.answered and turn.decided_by == "model" and not turn.failure
    kinds = [type(one) for one in told if not isinstance(one, Heard)]
    assert kinds == [Asked, Found, Said, Said, Said]
    assert any(isinstance(one, Heard) and "412 things" in one.text for one in told), "heard, and not said"
    assert (turn.usage.calls, turn.usage.tokens_in) == (2, 30)
    assert [step.name for step in turn.steps] == ["step", "read_events", "step"]
    assert [message["role"] for message in backend.asked[1][0]] == ["system", "user", "assistant", "tool"]


def test_the_same_call_is_not_made_twice_and_the_last_step_answers(desk):
    turn, backend, _ = hold(desk, EVENTS, EVENTS, EVENTS, Reply(TRUE), steps=4)
    assert turn.tool_counts["repeated"] == 2
    assert [offered for _, offered in backend.asked] == [True, True, True, False]
    assert turn.answered


def test_a_budget_of_tokens_ends_the_looking(desk):
    _, backend, _ = hold(desk, EVENTS, Reply(TRUE), tokens=10)
    assert [offered for _, offered in backend.asked] == [True, False]


@pytest.mark.parametrize("first", ["done", "", "<think>It ran at 412 C.</think>"])
def test_a_model_that_has_seen_enough_is_asked_for_the_answer(desk, first):
    turn, backend, _ = hold(desk, Reply(first), Reply(f"<think>{FALSE}</think>{TRUE}"))
    assert [one.text for one in turn.sentences] == [TRUE]
    assert backend.asked[1][1] is False
    assert "No more tools" in str(backend.asked[1][0][-1]["content"])


def test_a_leaked_call_is_made_and_its_markup_is_no_answer(desk):
    leak = '<tool_call>\n{"name": "Read_Coverage", "arguments": {}}\n</tool_call>'
    turn, _, told = hold(desk, Reply(leak), Reply(f"{TRUE}\n{leak}"), Reply(TRUE))
    assert turn.repairs["leaked_tool_call_tag"] >= 1 and turn.repairs["name_off_by_case"] >= 1
    assert all("tool_call" not in one.text for one in told if isinstance(one, Heard))
    assert {one.text for one in turn.sentences} == {TRUE}


def test_a_model_without_words_is_asked_once_more_and_then_rules_answer(desk):
    turn, backend, _ = hold(desk, Reply("done"))
    assert len(backend.asked) == 3
    assert turn.decided_by == "rules" and "no answer in words" in turn.failure
    assert any("fallen off the bus" in one.text for one in turn.sentences)


def test_a_model_that_fails_costs_only_its_words(desk):
    turn, _, _ = hold(desk, ModelError("it broke", fix="look"))
    assert (turn.decided_by, turn.failure) == ("rules", "it broke Next: look")
    assert turn.answered


def test_what_was_said_before_it_broke_stands(desk):
    turn, _, _ = hold(desk, Reply("done"), ModelError("it broke"))
    assert [one.text for one in turn.sentences] == [TRUE]
    assert (turn.decided_by, turn.failure) == ("model", "it broke")


def test_ctrl_c_keeps_what_was_said(desk):
    turn, _, _ = hold(desk, Reply("done"), KeyboardInterrupt)
    assert turn.stopped and [one.text for one in turn.sentences] == [TRUE]


def test_earlier_turns_are_told_without_what_was_struck_out(desk):
    first, _, _ = hold(desk, Reply(f"{TRUE} {FALSE}"))
    _, backend, _ = hold(desk, Reply(TRUE), past=[first])
    sent = backend.asked[0][0]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert str(sent[1]["content"]).startswith("# Cases") and sent[2]["content"] == TRUE


def test_the_head_of_the_prompt_never_changes_and_old_turns_go_first(desk):
    turn, _, _ = hold(desk, Reply(TRUE))
    few, many = (build_messages("and now?", desk, [turn] * count, window_tokens=2000) for count in (2, 100))
    assert few[0] == many[0] and desk.brief in str(many[1]["content"])
    assert len(many) < 80
    told = count_context(desk, [turn], 16384)
    assert told["system"] + told["tools"] < 4000 and told["earlier turns"] > 0


def test_a_voice_keeps_thinking_and_markup_back_wherever_they_are_cut():
    text = f"<think>{FALSE} </think>{TRUE} Then more. <tool_call>{{}}</tool_call> Lost."
    for size in (1, 2, 3, 7, 200):
        said: list[str] = []
        heard: list[Heard] = []
        voice = Voice(heard.append, said.append)
        for at in range(0, len(text), size):
            voice.hear(text[at : at + size])
        voice.hear("", last=True)
        assert said == [TRUE, "Then more."]
        assert not any("412" in one.text or "tool" in one.text for one in heard)


@pytest.mark.parametrize("script", ["careful", "bad", "obedient", "wrong", "hang", "cut", "malformed", "empty_choices"])
def test_every_scripted_model_ends_in_an_answer_within_its_time(desk, script):
    with ScriptedServer(script) as server:
        backend = OpenAIBackend(*parse_endpoint(server.spec), None, 0.5)
        began = time.monotonic()
        turn = answer_question("why?", desk, (), Chair(backend, None, Budget(seconds=3)), tell=lambda happening: None)
    assert time.monotonic() - began < 4
    assert turn.sentences
    assert not any("replace" in one.text.lower() and one.standing != "struck" for one in turn.sentences)


@pytest.mark.parametrize(
    ("mode", "shape"), [("auto", "native"), ("auto", "fenced"), ("required", "native"), ("text", "fenced")]
)
def test_whatever_way_of_asking_a_profile_names_there_is_an_answer(desk, mode, shape):
    def script(talk: Conversation) -> Answer:
        if talk.concluding:
            return Answer(TRUE)
        if talk.tool_answers:
            return Answer(calls=(("finish", "{}"),))
        return Answer(calls=(("read_events", json.dumps({"entity": "", "code": "xid", "around": "", "limit": 3})),))

    with ScriptedServer(script, manners=Manners(auto=shape, required=shape)) as server:
        url, name = parse_endpoint(server.spec)
        found = {"url": url, "name": name, "date": "2026-11-25T00:00:00Z", "fitness": "fit", "tool_mode": mode}
        backend = OpenAIBackend(url, name, None, 5.0, ModelProfile.model_validate({**found, "window_tokens": 16384}))
        told: list[object] = []
        turn = answer_question("why?", desk, (), Chair(backend), tell=told.append)
        assert all(request.get("stream") for request in server.requests)
    assert [one.text for one in turn.sentences] == [TRUE], turn
    assert turn.tool_counts["calls"] >= 1 and turn.decided_by == "model"
    assert not any("read_events" in one.text for one in told if isinstance(one, Heard)), "markup is kept back"
