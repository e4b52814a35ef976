"""Answers heard as they grow: the real client on a real socket, and names put back across the borders of pieces."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.backend import EndpointKind, Hear, Message, Reply, parse_endpoint, stream_reply
from agent.backends.openai import OpenAIBackend
from agent.backends.pieces import CUT, Pieces
from agent.masking import Mask, MaskedBackend, Unmasker
from agent.profile import ModelProfile
from evals.manners import Manners
from evals.scripted import ScriptedServer
from evals.scripts import Answer
from tools.entities import make_gpu
from tools.errors import ModelError
from tools.types import Event, Facts, Moment, Quote

WORDS = "The card at gx07 fell off the bus at 02:14:09 [e1]. Nothing else was read."
MESSAGES: list[Message] = [{"role": "system", "content": "s"}, {"role": "user", "content": "why?"}]
TOOLS = [
    {"type": "function", "function": {"name": "read_coverage", "parameters": {"type": "object", "properties": {}}}}
]
NOW = "2026-11-25T00:00:00Z"


def open_backend(server: ScriptedServer, timeout_seconds: float = 5.0, **profile: object) -> OpenAIBackend:
    url, name = parse_endpoint(server.spec)
    found = {"url": url, "name": name, "date": NOW, "fitness": "fit", "window_tokens": 16384, **profile}
    return OpenAIBackend(url, name, None, timeout_seconds, ModelProfile.model_validate(found))


def test_an_answer_is_heard_in_pieces_and_returned_whole():
    heard: list[str] = []
    with ScriptedServer(lambda talk: Answer(WORDS), manners=Manners()) as server:
        reply = open_backend(server).stream(MESSAGES, TOOLS, seconds=5, hear=heard.append)
        sent = server.requests[0]
    assert sent["stream"] is True and sent["stream_options"] == {"include_usage": True}
    assert sent["tool_choice"] == "auto"
    assert len(heard) > 2
    assert "".join(heard) == reply.text == WORDS
    assert reply.tokens_in > 0 and reply.finish_reason == "stop"


def test_calls_are_put_together_from_their_pieces():
    script = lambda talk: Answer(calls=(("read_coverage", '{"a": "bcdefg"}'), ("read_coverage", "{}")))  # noqa: E731
    with ScriptedServer(script, manners=Manners()) as server:
        reply = open_backend(server).stream(MESSAGES, TOOLS, seconds=5, hear=lambda text: None)
    assert [(call.name, call.arguments) for call in reply.calls] == [
        ("read_coverage", '{"a": "bcdefg"}'),
        ("read_coverage", "{}"),
    ]


def test_without_tools_the_model_is_asked_for_words_alone():
    with ScriptedServer(lambda talk: Answer(WORDS), manners=Manners()) as server:
        open_backend(server).stream(MESSAGES, (), seconds=5, hear=lambda text: None)
        assert "tools" not in server.requests[0]


@pytest.mark.parametrize("profile", [{"streams": False}, {"streams_tools": False}])
def test_a_profile_that_knows_better_is_obeyed(profile):
    heard: list[str] = []
    with ScriptedServer(lambda talk: Answer(WORDS), manners=Manners()) as server:
        open_backend(server, **profile).stream(MESSAGES, TOOLS, seconds=5, hear=heard.append)
        assert "stream" not in server.requests[0]
    assert heard == [WORDS]


def test_a_server_that_answers_at_once_is_heard_at_once():
    heard: list[str] = []
    with ScriptedServer(lambda talk: Answer(WORDS)) as server:
        reply = open_backend(server).stream(MESSAGES, TOOLS, seconds=5, hear=heard.append)
    assert heard == [reply.text] == [WORDS]


@pytest.mark.parametrize(
    ("trouble", "said"), [("hang", "in time"), ("drip", "in time"), ("error_500", "answered 500"), ("html", "web page")]
)
def test_trouble_ends_in_an_error_within_the_time(trouble, said):
    with ScriptedServer(trouble) as server:
        began = time.monotonic()
        with pytest.raises(ModelError, match=said):
            open_backend(server, 1.0).stream(MESSAGES, TOOLS, seconds=1, hear=lambda text: None)
        assert time.monotonic() - began < 3.0


def test_a_stream_that_ends_early_says_so():
    pieces = Pieces()
    pieces.feed(b'data: {"choices": [{"delta": {"content": "The ca')
    pieces.feed(b'rd"}}]}\n')
    assert pieces.text == "The card"
    assert pieces.close() == CUT
    told = Pieces()
    told.feed(b'data: {"error": {"message": "CUDA out of memory"}}\n')
    assert told.close() == "CUDA out of memory"


FACTS = Facts(events=(Event(Moment(), make_gpu("gx07", pci="0000:3b:00"), "xid:79", Quote("k", 1, "x"), {}, "kernel"),))
TOLD = (
    "host gx07 and gx07: user=tklein from 10.3.4.5, 10.3.4.50, serial number: s5xyz123, "
    "mail tklein@corp.example.com; password=hunter22secret! gx07.\nAgain gx07"
)


def test_names_are_put_back_wherever_the_pieces_are_cut():
    mask = Mask(FACTS)
    hidden = str(mask.hide_messages([{"role": "user", "content": TOLD}])[0]["content"])
    assert "gx07" not in hidden and "tklein" not in hidden
    chance = random.Random(5)
    for _ in range(200):
        cuts = sorted(chance.sample(range(1, len(hidden)), chance.randint(0, 40)))
        heard: list[str] = []
        shown = Unmasker(mask, heard.append)
        for start, end in zip([0, *cuts], [*cuts, len(hidden)], strict=True):
            shown.hear(hidden[start:end])
        shown.close()
        assert "".join(heard) == mask.show(hidden) == TOLD


@dataclass
class Parrot:
    """A model elsewhere that streams what it was told, three letters at a time, or cannot stream."""

    name: str = "parrot"
    endpoint_kind: EndpointKind = "remote"
    told: list[str] = field(default_factory=list)

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        self.told.append(str(messages[-1]["content"]))
        return Reply(text=self.told[-1])

    conclude = step


class StreamingParrot(Parrot):
    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float, hear: Hear
    ) -> Reply:
        reply = self.step(messages, tools, seconds=seconds)
        for at in range(0, len(reply.text), 3):
            hear(reply.text[at : at + 3])
        return reply


@pytest.mark.parametrize("kind", [Parrot, StreamingParrot])
def test_a_masked_stream_sends_stand_ins_and_is_heard_with_names(kind):
    heard: list[str] = []
    inner = kind()
    backend = MaskedBackend(inner, Mask(FACTS))
    reply = stream_reply(backend, [{"role": "user", "content": TOLD}], (), seconds=1, hear=heard.append)
    assert "gx07" not in inner.told[0] and "10.3.4.5" not in inner.told[0]
    assert "".join(heard) == reply.text == TOLD
