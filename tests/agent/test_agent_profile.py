"""What a preflight kept changes what the agent then sends: asserted on the server's record of requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from agent.backend import Budget, Reply, ToolCall, parse_endpoint
from agent.backends.http import HttpEndpoint
from agent.backends.openai import OpenAIBackend, open_model
from agent.dialect import count_tokens, fit_messages, read_finish, spell_as_text
from agent.graph import investigate
from agent.judge import judge
from agent.policy import SitePolicy
from agent.preflight.check import check_model
from agent.profile import ModelProfile, load_profile, place_profile, save_profile
from agent.seat import Terms
from agent.settings import Settings
from agent.toolbox import build_definitions
from evals.manners import Manners
from evals.scripted import ScriptedServer
from tools.entities import make_gpu
from tools.errors import ModelError, SiteConfigError
from tools.evidence import EvidenceBook
from tools.tool import ToolContext
from tools.types import Coverage, Event, Facts, Moment, Quote

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LINE = "gx07 kernel: NVRM: Xid (PCI:0000:3b:00): 13, pid=77, Graphics Exception"
FACTS = Facts(
    events=(
        Event(
            Moment("utc", 1_772_330_000.0),
            make_gpu("gx07", pci="0000:3b:00"),
            "xid:13",
            Quote("kern.log", 7, LINE),
            {"pid": "77"},
            "kernel",
        ),
    ),
    coverage=(Coverage("node:gx07", "kernel_log", "read"),),
)


def make_profile(**changes):
    given = {"url": "http://127.0.0.1:1/v1", "name": "scripted", "date": NOW, "fitness": "fit", "window_tokens": 32000}
    return ModelProfile(**given | changes)


def investigate_with(server, profile, **more):
    backend = OpenAIBackend(*parse_endpoint(server.spec), None, 5.0, profile)
    return look(backend, **more)


def look(backend, **more):
    runs = []
    terms = Terms(SitePolicy(), Budget(seconds=20, window_tokens=backend.window_tokens, **more), NOW)
    context = ToolContext(FACTS, EvidenceBook())
    verdict = investigate(judge(FACTS)[0], context, library=None, backend=backend, terms=terms, record=runs.append)
    return verdict, runs[0]


def names(request):
    return [tool["function"]["name"] for tool in request["tools"]]


def test_without_a_profile_the_model_may_call_and_is_asked_in_the_common_way():
    with ScriptedServer() as server:
        _, run = investigate_with(server, None)
    steps = [request for request in server.requests if "tools" in request]
    assert len(steps) >= 3
    assert {request["tool_choice"] for request in steps} == {"auto"}
    assert all("finish" not in names(request) for request in steps)
    assert run.rejected == ""


def test_where_auto_leaks_a_call_is_demanded_and_a_tool_finishes():
    with ScriptedServer(manners=Manners(auto="fenced")) as server:
        _, leaking = investigate_with(server, None)
        server.requests.clear()
        _, run = investigate_with(server, make_profile(tool_mode="required"))
        steps = [request for request in server.requests if "tools" in request]
    assert leaking.repairs["leaked_json_call"] >= 3
    assert run.repairs == {}
    assert len(steps) >= 4
    assert {request["tool_choice"] for request in steps} == {"required"}
    assert all(names(request)[-1] == "finish" for request in steps)
    assert run.rejected == ""
    assert run.tool_counts.get("unknown", 0) == 0, "finish is the backend's, no tool of the box"


def test_where_no_tools_are_taken_they_are_told_in_words():
    with ScriptedServer(manners=Manners(auto="refused", required="refused")) as server:
        _, refused = investigate_with(server, None)
        assert "enable-auto-tool-choice" in refused.rejected
        server.requests.clear()
        _, run = investigate_with(server, make_profile(tool_mode="text"))
    assert len(server.requests) >= 4
    assert all("tools" not in request and "tool_choice" not in request for request in server.requests)
    for request in server.requests:
        roles = [message["role"] for message in request["messages"]]
        assert set(roles) <= {"system", "user", "assistant"}
        assert all(one != other for one, other in pairwise(roles)), "some templates want them in turn"
        assert "- read_events: " in request["messages"][0]["content"]
    assert run.tool_counts["calls"] == 3
    assert run.repairs == {}, "JSON was asked for: it is no leak"
    assert run.rejected == ""


def test_strict_is_left_out_where_it_is_not_taken():
    with ScriptedServer(manners=Manners(strict=False)) as server:
        _, refused = investigate_with(server, make_profile())
        assert "strict" in refused.rejected
        server.requests.clear()
        _, run = investigate_with(server, make_profile(strict=False))
        assert "strict" not in json.dumps([request.get("tools") for request in server.requests])
    assert run.rejected == ""


@pytest.mark.parametrize(("works", "sent"), [(True, [True]), (False, [False])])
def test_a_schema_is_sent_only_where_it_works(works, sent):
    with ScriptedServer(manners=Manners(schema=works)) as server:
        _, run = investigate_with(server, make_profile(json_schema=works))
        asked = [request for request in server.requests if "tools" not in request]
    assert ["response_format" in request for request in asked] == sent
    assert run.rejected == ""


def test_the_proven_window_bounds_prompt_and_answer():
    tools = build_definitions()
    answer = "<evidence>\n" + "\n".join(f"[e{number}] row {number} of a log" for number in range(200)) + "\n</evidence>"
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "brief"}]
    for number in range(5):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "read_events", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": answer})
    with ScriptedServer() as server:
        for window_tokens in (8000, 32000):
            profile = make_profile(window_tokens=window_tokens)
            OpenAIBackend(*parse_endpoint(server.spec), None, 5.0, profile).step(messages, tools, seconds=5)
        small, large = server.requests
    assert small["max_tokens"] <= 2000
    told = [message["content"] for message in small["messages"] if message["role"] == "tool"]
    assert told[0].startswith("This answer was dropped to save room; its evidence still stands: e0, e1,")
    assert told[-1] == told[-2] == answer
    assert small["messages"][1]["content"] == "brief"
    assert large["messages"] == messages


def test_an_investigation_concludes_before_the_window_is_full():
    with ScriptedServer(manners=Manners()) as server:
        _, run = investigate_with(server, make_profile(window_tokens=1800))
        steps = [request for request in server.requests if "tools" in request]
    assert len(steps) == 1
    assert run.rejected == ""


def test_an_unknown_window_that_an_error_names_is_heeded():
    """No profile, and a server of 7,000 tokens: the second try is cut to them."""
    results = [{"role": "tool", "tool_call_id": str(n), "content": "[e1] " + "word " * 1500} for n in range(5)]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "b"}, *results]
    with ScriptedServer(manners=Manners(window_tokens=7000)) as server:
        backend = OpenAIBackend(*parse_endpoint(server.spec), None, 5.0)
        backend.step(messages, [], seconds=5)
        assert len(server.requests) == 2
        assert backend.window_tokens == 7000
        backend.step(messages, [], seconds=5)
        assert len(server.requests) == 3, "it is not run into again"
        hopeless = [{"role": "user", "content": "word " * 20_000}]
        with pytest.raises(ModelError, match="no prompt so long"):
            backend.step(hopeless, [], seconds=5)


def test_from_the_check_to_the_investigation(tmp_path):
    settings = Settings(data_dir=tmp_path)
    with ScriptedServer(manners=Manners(auto="fenced", window_tokens=9000)) as server:
        url, name = parse_endpoint(server.spec)
        profile = check_model(HttpEndpoint(url, name, None, 5.0), tries=3, now=NOW, salt="s", tell=lambda stage: None)
        save_profile(profile, place_profile(tmp_path, url, name))
        server.requests.clear()
        backend = open_model((url, name), settings)
        assert backend.window_tokens == profile.window_tokens
        _, run = look(backend)
        assert {request["tool_choice"] for request in server.requests if "tools" in request} == {"required"}
    assert run.rejected == ""


# -- the file -----------------------------------------------------------------------------------------------------------


def test_a_profile_is_kept_by_endpoint_and_name(tmp_path):
    profile = make_profile(name="Qwen/Qwen3-Coder", tool_mode="text")
    url = "http://10.0.0.1:8000/v1"
    place = place_profile(tmp_path, url, profile.name)
    save_profile(profile, place)
    assert load_profile(tmp_path, url, profile.name) == profile
    assert place == place_profile(tmp_path, url + "/", profile.name)
    assert load_profile(tmp_path, "http://10.0.0.2:8000/v1", profile.name) is None
    assert load_profile(tmp_path, url, "Qwen_Qwen3-Coder") is None, "spelled alike, another model"
    assert json.loads(place.read_text())["schema"] == "daytwo.model-profile/1"
    assert [one.name for one in place.parent.iterdir()] == [place.name]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "daytwo.model-profile/2", "name": "m"}'])
def test_what_is_no_profile_is_none(tmp_path, text):
    place = place_profile(tmp_path, "http://h/v1", "m")
    place.parent.mkdir(parents=True)
    place.write_text(text)
    assert load_profile(tmp_path, "http://h/v1", "m") is None


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SiteConfigError, match="cannot be kept"):
        save_profile(make_profile(), tmp_path / "file" / "profile.json")


# -- the dialect --------------------------------------------------------------------------------------------------------


def test_finishing_ends_and_other_calls_go_first():
    look_call, end = ToolCall("1", "read_events", "{}"), ToolCall("2", "finish", "{}")
    assert read_finish(Reply(calls=(end,))) == Reply(text="done")
    assert read_finish(Reply(calls=(look_call, end))).calls == (look_call,)
    assert read_finish(Reply(text="x", calls=(look_call,))) == Reply(text="x", calls=(look_call,))


def test_a_conversation_is_spelled_without_tools():
    call = {"id": "c", "type": "function", "function": {"name": "read_events", "arguments": '{"limit": 5}'}}
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "one"},
        {"role": "tool", "tool_call_id": "d", "content": "two"},
        {"role": "user", "content": "conclude"},
    ]
    spelled = spell_as_text(messages, build_definitions())
    assert [message["role"] for message in spelled] == ["system", "user", "assistant", "user"]
    assert spelled[2]["content"] == '```json\n{"name": "read_events", "arguments": {"limit": 5}}\n```'
    assert spelled[3]["content"] == "one\ntwo\nconclude"
    assert messages[2]["tool_calls"] == [call], "what was given is not touched"


def test_what_fits_is_left_alone():
    messages = [{"role": "user", "content": "b"}, {"role": "tool", "content": "[e4] x" * 100}]
    assert fit_messages(messages, 10_000) == messages
    assert fit_messages(messages, 1) == messages, "the last answers stay: better too long than blind"
    assert count_tokens([{"content": "7" * 300}]) >= 300, "a digit is a token"
