"""A chat completion as an OpenAI-compatible server writes it, and a scripted model that needs no socket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.backend import EndpointKind, Message, Reply
from agent.backends.reading import read_reply
from agent.dialect import spell_form
from evals.conversation import Conversation

if TYPE_CHECKING:
    from evals.scripts import Answer, Script

CHARACTERS_PER_TOKEN = 4
NO_SOCKET = "http://in-process/v1"


def build_completion(
    body: Mapping[str, Any], answer: Answer, *, name: str, number: int, last_prompt: str = ""
) -> dict[str, Any]:
    """Build the answer of a server; as cached counts what the prompt before began with too."""
    prompt = spell_prompt(body)
    calls = [
        {"id": f"call_{place}", "type": "function", "function": {"name": called, "arguments": arguments}}
        for place, (called, arguments) in enumerate(answer.calls)
    ]
    written = answer.text + "".join(arguments for _, arguments in answer.calls)
    message = {"role": "assistant", "content": answer.text or None} | ({"tool_calls": calls} if calls else {})
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": name,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {
            "prompt_tokens": len(prompt) // CHARACTERS_PER_TOKEN,
            "completion_tokens": len(written) // CHARACTERS_PER_TOKEN,
            "total_tokens": (len(prompt) + len(written)) // CHARACTERS_PER_TOKEN,
            "prompt_tokens_details": {"cached_tokens": _count_shared(prompt, last_prompt) // CHARACTERS_PER_TOKEN},
        },
    }


def spell_prompt(body: Mapping[str, Any]) -> str:
    """What of a request is counted as its prompt."""
    return json.dumps([body.get("tools"), body["messages"]])


@dataclass
class ScriptedBackend:
    """A script in the seat without a socket: the same bytes as from the server, read by the same reader.

    Attributes:
        requests: Every request, in order.
    """

    script: Script
    name: str = "scripted"
    endpoint_kind: EndpointKind = "scripted"
    requests: list[dict[str, Any]] = field(default_factory=list)
    _last_prompt: str = ""

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Go on with the investigation."""
        return self._ask(messages, {"tools": list(tools), "tool_choice": "auto"})

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Answer under the schema."""
        return self._ask(messages, spell_form("bounded", schema))

    def _ask(self, messages: Sequence[Message], extra: Mapping[str, Any]) -> Reply:
        body = {"model": self.name, "messages": list(messages), **extra}
        self.requests.append(body)
        answer = self.script(Conversation(body))
        completion = build_completion(
            body, answer, name=self.name, number=len(self.requests), last_prompt=self._last_prompt
        )
        self._last_prompt = spell_prompt(body)
        return read_reply(json.dumps(completion).encode(), messages, NO_SOCKET)


def _count_shared(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
