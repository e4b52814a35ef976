"""The OpenAI-compatible backend through the real client, against the scripted server on a real socket."""

from __future__ import annotations

import json
import time

import pytest

from agent.backend import parse_endpoint
from agent.backends.openai import OpenAIBackend
from evals.conversation import Conversation
from evals.scripted import ScriptedServer
from evals.scripts import Answer
from tools.errors import ModelError, OperatorError

MESSAGES = [
    {"role": "system", "content": "You look into it."},
    {"role": "user", "content": "# Brief\n\nSubject: gpu:gx07/3\nRules hold: gpu_off_bus (likely)\n"},
]
TOOLS = [
    {"type": "function", "function": {"name": "read_coverage", "parameters": {"type": "object", "properties": {}}}}
]
SCHEMA = {"type": "object", "properties": {"fault": {"type": "string", "enum": ["gpu_off_bus", "unknown"]}}}


def open_backend(server: ScriptedServer, timeout_seconds: float = 5.0) -> OpenAIBackend:
    return OpenAIBackend(*parse_endpoint(server.spec), None, timeout_seconds)


def test_a_step_carries_tools_and_returns_calls_and_usage() -> None:
    with ScriptedServer() as server:
        backend = open_backend(server)
        reply = backend.step(MESSAGES, TOOLS, seconds=5)
        assert [call.name for call in reply.calls] == ["read_events"]
        assert json.loads(reply.calls[0].arguments)["entity"] == "gpu:gx07/3"
        assert reply.tokens_in > 0
        assert reply.tokens_cached == 0
        assert reply.finish_reason == "tool_calls"
        again = backend.step(MESSAGES, TOOLS, seconds=5)
        assert again.tokens_cached == again.tokens_in
        sent = server.requests[0]
    assert sent["temperature"] == 0
    assert sent["tool_choice"] == "auto"
    assert sent["tools"] == TOOLS
    assert "stream" not in sent


def test_the_conclusion_goes_without_tools_under_a_strict_schema() -> None:
    with ScriptedServer() as server:
        open_backend(server).conclude(MESSAGES, SCHEMA, seconds=5)
        sent = server.requests[0]
    assert "tools" not in sent
    assert sent["response_format"]["json_schema"] == {"name": "conclusion", "strict": True, "schema": SCHEMA}


def test_a_server_without_schemas_is_asked_once_more_without() -> None:
    with ScriptedServer("no_schema") as server:
        backend = open_backend(server)
        assert json.loads(backend.conclude(MESSAGES, SCHEMA, seconds=5).text)
        backend.conclude(MESSAGES, SCHEMA, seconds=5)
        assert ["response_format" in request for request in server.requests] == [True, True, False, False]


TROUBLES = {
    "refuse": "Nothing answers",
    "hang": "no whole answer in time",
    "drip": "no whole answer in time",
    "cut": "broke off",
    "html": "web page",
    "empty": "answered with an empty body",
    "empty_choices": "no choices",
    "malformed": "malformed JSON",
    "error_401": "answered 401",
    "error_404": "answered 404",
    "error_500": "answered 500: Error code: 500 - CUDA error",
    "limit_429": "answered 429",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_trouble_on_the_wire_is_one_error_within_its_time(trouble: str) -> None:
    with ScriptedServer(trouble) as server:
        backend = open_backend(server, timeout_seconds=0.6 if trouble in ("hang", "drip") else 10.0)
        for ask in (
            lambda: backend.step(MESSAGES, TOOLS, seconds=60),
            lambda: backend.conclude(MESSAGES, SCHEMA, seconds=60),
        ):
            started = time.monotonic()
            with pytest.raises(ModelError, match=TROUBLES[trouble]) as caught:
                ask()
            assert time.monotonic() - started < 5.0
            assert caught.value.fix


NEXT = {
    "empty": "curl -i http",
    "html": "/models: it must list models",
    "error_401": "export DAYTWO_MODEL_KEY=KEY",
    "error_404": "/models: it must list models",
}


@pytest.mark.parametrize("trouble", NEXT)
def test_what_went_wrong_is_told_with_what_to_type(trouble: str) -> None:
    with ScriptedServer(trouble) as server:
        backend = open_backend(server)
        with pytest.raises(ModelError) as caught:
            backend.step(MESSAGES, TOOLS, seconds=5)
        assert NEXT[trouble] in caught.value.fix
        assert backend.failure is caught.value


def test_a_url_without_its_version_is_told_so() -> None:
    with ScriptedServer() as server:
        url, name = parse_endpoint(server.spec)
        backend = OpenAIBackend(url.removesuffix("/v1"), name, None, 5.0)
        with pytest.raises(ModelError, match="404") as caught:
            backend.step(MESSAGES, TOOLS, seconds=5)
        assert caught.value.fix.startswith(f"--model {url}#NAME")


def test_the_seconds_of_the_caller_bound_the_call_too() -> None:
    with ScriptedServer("hang") as server:
        started = time.monotonic()
        with pytest.raises(ModelError):
            open_backend(server, timeout_seconds=60).step(MESSAGES, TOOLS, seconds=0.3)
        assert time.monotonic() - started < 1.5
        with pytest.raises(ModelError, match="in time"):
            open_backend(server).step(MESSAGES, TOOLS, seconds=-1)


def test_a_limit_that_passes_is_waited_for_once() -> None:
    answers = iter([Answer(trouble="limit_429"), Answer("done")])
    with ScriptedServer(lambda talk: next(answers)) as server:
        assert open_backend(server).step(MESSAGES, TOOLS, seconds=5).text == "done"
        assert len(server.requests) == 2


def test_what_a_server_leaves_out_is_estimated_or_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def strip(self: ScriptedServer, body: dict, answer: Answer) -> dict:
        call = {"type": "function", "function": {"name": "read_coverage", "arguments": {}}}
        message = {"role": "assistant", "tool_calls": [call, {"function": None}, "rubbish"]}
        return {"choices": [{"message": message}], "usage": {"prompt_tokens": "many"}}

    monkeypatch.setattr(ScriptedServer, "_build_completion", strip)
    with ScriptedServer() as server:
        reply = open_backend(server).step(MESSAGES, TOOLS, seconds=5)
    assert [(call.name, call.arguments) for call in reply.calls] == [("read_coverage", "{}")]
    assert reply.tokens_in == sum(len(message["content"]) for message in MESSAGES) // 4
    assert reply.finish_reason == "stop"


@pytest.mark.parametrize(
    ("url", "name", "kind"),
    [
        ("http://127.0.0.1:8000/v1", "Qwen/Qwen3-Coder-30B-A3B-Instruct", "local"),
        ("http://10.1.2.3:8000/v1", "m", "local"),
        ("http://localhost/v1", "m", "local"),
        ("https://api.example.com/v1", "m", "remote"),
        ("http://8.8.8.8/v1", "m", "remote"),
        ("http://127.0.0.1:1/v1", "scripted", "scripted"),
    ],
)
def test_where_an_endpoint_stands(url: str, name: str, kind: str) -> None:
    assert OpenAIBackend(url, name, None, 1.0).endpoint_kind == kind


def test_endpoints_are_read_in_one_place() -> None:
    assert parse_endpoint(" http://h:8000/v1/#Qwen/Qwen3 ") == ("http://h:8000/v1", "Qwen/Qwen3")
    for wrong in ("h:8000/v1#m", "http://h/v1", "http://h/v1#", "http://#m", "", "file:///etc/passwd#m"):
        with pytest.raises(OperatorError) as caught:
            parse_endpoint(wrong)
        assert "--model http" in caught.value.fix


@pytest.mark.parametrize(
    "text",
    ["http://me:s3cret@h:8000/v1#m", "http://s3cret@h/v1#m", "http://me:s3/cret@h/v1#m", "http://me:s3#cret@h/v1#m",
     "http://h/v1?api_key=s3cret#m", "me://x:s3cret@h#m"],
)  # fmt: skip
def test_an_endpoint_with_a_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(OperatorError) as caught:
        parse_endpoint(text)
    assert "s3" not in f"{caught.value.message}{caught.value.fix}"
    assert "cret" not in caught.value.message.replace("secret", "")
    assert "DAYTWO_MODEL_KEY" in caught.value.fix


@pytest.mark.parametrize("text", ["http://h:8000/v1#org/m@r2", "http://[::1]:8000/v1#m@r", "http://[::1]/v1#m@r"])
def test_an_at_in_a_model_name_is_no_secret(text: str) -> None:
    assert parse_endpoint(text)[1].partition("@")[2].startswith("r")


def test_a_script_reads_nothing_but_its_request() -> None:
    talk = Conversation({"messages": MESSAGES, "tools": TOOLS})
    assert talk.find_line("Subject:") == "gpu:gx07/3"
    assert not talk.concluding
    assert talk.faults == []
