"""What leaves for a model elsewhere: nothing that names somebody, and everything comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.backend import EndpointKind, Message, Reply, ToolCall
from agent.masking import Mask, MaskedBackend, guard_endpoint, is_loopback
from agent.site import Models
from tools.entities import make_gpu
from tools.errors import ModelError, SiteConfigError
from tools.types import Event, Facts, Moment, Quote

LINE = "Nov 24 10:00:01 gx07 sshd[1]: Accepted password for tklein from 10.3.4.5 port 22 ssh2"
FACTS = Facts(events=(Event(Moment(), make_gpu("gx07", pci="0000:3b:00"), "xid:79", Quote("k", 1, "x"), {}, "kernel"),))


@dataclass
class Listener:
    """A model that notes what it is told and answers with it."""

    name: str = "listener"
    endpoint_kind: EndpointKind = "remote"
    heard: list[Message] = field(default_factory=list)
    says: str = ""

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        self.heard = list(messages)
        arguments = json.dumps({"entity": "gpu:host-0001/0000:3b:00.0"})
        return Reply(text=str(messages[-1]["content"]), calls=(ToolCall("1", "read_events", arguments),))

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        self.heard = list(messages)
        return Reply(text=self.says or str(messages[-1]["content"]))


def test_names_go_out_as_stand_ins_and_come_back_as_they_were() -> None:
    inner = Listener()
    reply = MaskedBackend(inner, Mask(FACTS)).step([{"role": "user", "content": LINE}], [], seconds=1)
    told = str(inner.heard[0]["content"])
    assert not any(name in told for name in ("gx07", "tklein", "10.3.4.5"))
    assert "Accepted password for" in told
    assert reply.text == LINE
    assert json.loads(reply.calls[0].arguments) == {"entity": "gpu:gx07/0000:3b:00.0"}


def test_a_user_whom_a_later_line_tells_is_hidden_from_the_first_prompt_on() -> None:
    told = Event(
        Moment(), make_gpu("gx07"), "nccl:error", Quote("k", 2, "peer gone, user=mkowalski"), {}, "application"
    )
    shown = Mask(Facts(events=(told,))).hide("mkowalski: permission denied")
    assert "mkowalski" not in shown
    assert shown.endswith(": permission denied")


def test_a_name_has_the_same_stand_in_in_every_step() -> None:
    inner = Listener()
    backend = MaskedBackend(inner, Mask(FACTS))
    backend.step([{"role": "user", "content": LINE}], [], seconds=1)
    first = str(inner.heard[0]["content"])
    backend.conclude([{"role": "user", "content": LINE}, {"role": "user", "content": "gx07 again"}], {}, seconds=1)
    assert str(inner.heard[0]["content"]) == first
    assert str(inner.heard[1]["content"]).split()[0] in first


def test_a_secret_with_a_quote_comes_back_into_valid_json() -> None:
    secret = 'pa"ss\\word9'
    inner = Listener(says='{"fault": "unknown", "summary": "uses [SECRET-0001]"}')
    reply = MaskedBackend(inner, Mask(FACTS)).conclude(
        [{"role": "user", "content": f"login with password: {secret} now"}], {}, seconds=1
    )
    assert "word9" not in str(inner.heard)
    assert json.loads(reply.text)["summary"] == f"uses {secret}"


def test_calls_and_answers_of_tools_are_masked_too_and_the_protocol_stays() -> None:
    inner = Listener()
    call = {"id": "call-gx07", "type": "function", "function": {"name": "read_events", "arguments": '{"node": "gx07"}'}}
    messages: list[Message] = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-gx07", "content": LINE},
    ]
    MaskedBackend(inner, Mask(FACTS)).step(messages, [], seconds=1)
    assert inner.heard[0]["tool_calls"][0]["id"] == "call-gx07"
    assert "gx07" not in inner.heard[0]["tool_calls"][0]["function"]["arguments"]
    assert inner.heard[1]["tool_call_id"] == "call-gx07"
    assert "gx07" not in inner.heard[1]["content"]


def test_nothing_is_sent_where_masking_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    inner, mask = Listener(), Mask(FACTS)
    monkeypatch.setattr(mask, "hide_messages", list)  # a mask that hides nothing
    with pytest.raises(ModelError, match="Nothing was sent"):
        MaskedBackend(inner, mask).step([{"role": "user", "content": LINE}], [], seconds=1)
    assert inner.heard == []


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.2", False)]
)
def test_this_machine_is_told_apart(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_a_site_that_asks_only_its_own_models_refuses_others() -> None:
    inner = Listener()
    only_own = Models(local_only=True, allow=("llm.example",))
    assert guard_endpoint(inner, "http://127.0.0.1:8000/v1", FACTS, only_own) is inner
    assert guard_endpoint(inner, "https://llm.example/v1", FACTS, only_own) is inner
    with pytest.raises(SiteConfigError, match=r"api\.example"):
        guard_endpoint(inner, "https://api.example/v1", FACTS, only_own)
    assert isinstance(guard_endpoint(inner, "https://api.example/v1", FACTS, Models()), MaskedBackend)
