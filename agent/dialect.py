"""How the investigation is spoken to a model that does not take tools as the agent means them.

The agent always thinks in tool calls. A model whose automatic calls leak is made to call (`required`), with one more
tool to say that it has seen enough; a model that takes no tools at all is told of them in words, and answers in JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.backend import Message, Reply, ToolCall
from agent.bounds import drop_limits
from agent.profile import ModelProfile
from agent.repair import match_name, repair_reply
from agent.tokens import count_text_tokens
from prompts.render import render_prompt

FINISH = "finish"
FINISH_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": FINISH,
        "description": "Say that you have seen enough; you are then asked for the conclusion.",
        "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        "strict": True,
    },
}
DONE = "done"
MAX_SPOKEN_CHARACTERS = 2000
KEPT_RESULTS = 2
TOKENS_PER_MESSAGE = 5
"""What a chat template writes around each message of Qwen: two marks, the role, two line ends."""
MARGIN = 1.05
"""For what must fit: other vocabularies cut a little finer than Qwen's (a guess)."""
_HANDLE = re.compile(r"^\s*\[(e\d+)\]", re.MULTILINE)


def speak(text: str, calls: tuple[ToolCall, ...]) -> Message:
    """Put an answer back into the conversation, in the form of the API; an empty one needs some word."""
    message: Message = {"role": "assistant", "content": text[:MAX_SPOKEN_CHARACTERS] or ("" if calls else "done")}
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in calls
        ]
    return message


def drop_strict(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same tools for a server that does not know `strict`."""
    return [
        {**tool, "function": {key: value for key, value in tool["function"].items() if key != "strict"}}
        for tool in tools
    ]


def list_schemas(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Tool name to the schema of its parameters."""
    return {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in tools}


def read_finish(reply: Reply) -> Reply:
    """Turn a call of the finishing tool into the word that ends an investigation; other calls go first."""
    calls = tuple(call for call in reply.calls if match_name(call.name, [FINISH]) != FINISH)
    if len(calls) == len(reply.calls):
        return reply
    return replace(reply, calls=calls, text=reply.text or ("" if calls else DONE))


def read_text_calls(reply: Reply, tools: Sequence[Mapping[str, Any]]) -> Reply:
    """Read the calls out of the words of a model that was told to write them as JSON."""
    lifted, _ = repair_reply(reply, list_schemas([*tools, FINISH_TOOL]))
    return read_finish(lifted)


def spell_as_text(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Tell of the tools in the system prompt, and of calls and their answers in plain messages.

    Two messages of one role in a row become one, as some chat templates refuse them.
    """
    told = [
        {
            "name": tool["function"]["name"],
            "description": tool["function"].get("description", ""),
            "parameters": json.dumps(tool["function"].get("parameters", {}).get("properties", {})),
        }
        for tool in [*tools, FINISH_TOOL]
    ]
    spelled: list[Message] = []
    for message in messages:
        role, content = _spell_message(message)
        if role == "system" and tools:
            content += "\n" + render_prompt("text_tools", tools=told)
        if spelled and spelled[-1]["role"] == role:
            spelled[-1] = {"role": role, "content": f"{spelled[-1]['content']}\n{content}"}
        else:
            spelled.append({"role": role, "content": content})
    return spelled


def _spell_message(message: Message) -> tuple[str, str]:
    content = str(message.get("content") or "")
    if message["role"] == "tool":
        return "user", content
    calls = [call["function"] for call in message.get("tool_calls", [])]
    rows = [f'{{"name": "{call["name"]}", "arguments": {call["arguments"] or "{}"}}}' for call in calls]
    return message["role"], "\n".join([*filter(None, [content]), *(f"```json\n{row}\n```" for row in rows)])


def count_tokens(messages: Sequence[Message]) -> int:
    """Count on the safe side how many tokens messages take."""
    written = sum(
        count_text_tokens(str(one.get("content") or ""))
        + (count_text_tokens(json.dumps(one["tool_calls"])) if one.get("tool_calls") else 0)
        + TOKENS_PER_MESSAGE
        for one in messages
    )
    return math.ceil(written * MARGIN)


def fit_messages(messages: Sequence[Message], room_tokens: int) -> list[Message]:
    """Drop answers of tools to their handles, oldest first, until the rest fits; brief and last answers stay."""
    fitted = [dict(message) for message in messages]
    results = [place for place, message in enumerate(fitted) if message["role"] == "tool"]
    for place in results[: max(len(results) - KEPT_RESULTS, 0)]:
        if count_tokens(fitted) <= room_tokens:
            break
        handles = ", ".join(dict.fromkeys(_HANDLE.findall(str(fitted[place]["content"]))))
        still = f"its evidence still stands: {handles}" if handles else "it held no evidence"
        fitted[place]["content"] = f"This answer was dropped to save room; {still}."
    return fitted


def list_forms(profile: ModelProfile | None) -> list[str]:
    """In which forms a conclusion is asked for, one after the other until the server takes it; words always are."""
    works, bounded = (profile.json_schema, profile.bounded) if profile else (True, True)
    return [*(["bounded"] if works and bounded else []), *(["unbounded"] if works else []), "words"]


def spell_form(form: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in the request for a conclusion in a form."""
    if form == "words":
        return {}
    told = dict(schema) if form == "bounded" else drop_limits(schema)
    named = {"name": "conclusion", "strict": True, "schema": told}
    return {"response_format": {"type": "json_schema", "json_schema": named}}
