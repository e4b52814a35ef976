"""The scripted server as others use it: by context, by name, and from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import pytest

from evals.conversation import Conversation
from evals.scripted import ScriptedServer
from evals.scripts import SCRIPTS


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


BRIEF = (
    "# Brief\n\nSubject: disk:hv3/sdb\nRules hold: io_saturated (likely, evidence points there)\n\n<evidence>\n"
    "[e1] iostat.txt:7 | - | disk:hv3/sdb disk_saturation | sdb 0.00 44.30 97.82 | x\n</evidence>\n"
)


def make_request(**more: object) -> dict:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": BRIEF}]
    return {"model": "scripted", "messages": messages, **more}


def test_a_script_asks_by_kind_of_subject_and_concludes_from_what_it_saw() -> None:
    tools = [{"type": "function", "function": {"name": "read_events"}}]
    with ScriptedServer() as server:
        first = post(server.url, make_request(tools=tools))["choices"][0]["message"]
        assert first["tool_calls"][0]["function"]["name"] == "read_events"
        request = make_request(tools=tools)
        request["messages"].append({"role": "tool", "content": "<evidence>\ncall 1: empty\n</evidence>"})
        second = post(server.url, request)["choices"][0]["message"]
        assert second["tool_calls"][0]["function"]["name"] == "read_disks_and_guests"
        schema = {"properties": {"fault": {"enum": ["io_noisy_neighbor", "io_saturated", "unknown"]}}}
        form = {"type": "json_schema", "json_schema": {"schema": schema}}
        said = json.loads(post(server.url, make_request(response_format=form))["choices"][0]["message"]["content"])
    assert said["fault"] == "io_saturated"
    assert said["claims"][0] == {
        "text": 'The evidence for io saturated reads "sdb 0.00 44.30 97.82 | x".',
        "evidence": ["e1"],
    }
    assert "113 times" in said["claims"][-1]["text"]


def test_the_careful_script_takes_the_fault_from_the_conversation() -> None:
    """Where rules hold nothing, the runbooks that a search returned choose among the possible faults."""
    request = make_request()
    request["messages"][1]["content"] = BRIEF.replace("io_saturated", "unknown")
    request["messages"] += [
        {"role": "tool", "content": "<evidence>\ndisk_wearout#see | words\nio_noisy_neighbor#see | words\n</evidence>"},
        {"role": "user", "content": '{"fault": one of disk_lost, io_noisy_neighbor, unknown,\n'},
    ]
    said = json.loads(SCRIPTS["careful"](Conversation(request)).text)
    assert said["fault"] == "io_noisy_neighbor"


def test_the_server_runs_from_the_command_line() -> None:
    command = [sys.executable, "-m", "evals.scripted", "--script", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            spec = process.stdout.readline().strip()
            url, _, name = spec.partition("#")
            assert name == "scripted"
            with urllib.request.urlopen(f"{url}/models", timeout=10) as answer:
                assert json.load(answer)["data"][0]["id"] == "scripted"
        finally:
            process.terminate()


def test_an_unknown_script_is_named() -> None:
    with pytest.raises(KeyError):
        ScriptedServer("no such script")
