"""How the test server behaves on the wire, beside what its script says: its window, its tools, what it hides."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from evals.scripts import Answer

CallShape = Literal["native", "fenced", "tagged", "words", "refused"]
CODE_WORD = re.compile(r"The code word is (\w+)\.")
CHARACTERS_PER_TOKEN = 4
NO_PARSER = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'


@dataclass(frozen=True, slots=True)
class Manners:
    """What a server does with every request, whatever the script answers.

    Attributes:
        engine: Which engine's address for its version there is.
        window_tokens: Longest prompt; beyond it an error, or a silent cut of the beginning.
        claimed_tokens: What the list of models says; None says nothing.
        auto, required: How calls come where the model may and where it must call.
        strict, schema, lengths: Whether strict tools, JSON schemas, and lengths in these are taken.
        usage, cached: Whether tokens, and those from the cache, are counted.
        streams, seeds: Whether pieces and seeds are known.
        any_name: Whether any model name is answered.
        echoes: Whether the model repeats a word from its prompt.
        piece_seconds: Between two pieces of a stream.
        delay_seconds, prefill_seconds: Before each answer; and for each 1,000 tokens that no earlier prompt began with.
        most_at_once: More requests than this in flight are refused.
    """

    engine: Literal["", "vllm", "llama.cpp"] = ""
    window_tokens: int | None = None
    overflow: Literal["error", "truncate"] = "error"
    claimed_tokens: int | None = None
    auto: CallShape = "native"
    required: CallShape = "native"
    strict: bool = True
    schema: bool = True
    lengths: bool = True
    usage: bool = True
    cached: bool = True
    streams: bool = True
    seeds: bool = True
    any_name: bool = True
    echoes: bool = True
    piece_seconds: float = 0.0
    delay_seconds: float = 0.0
    prefill_seconds: float = 0.0
    most_at_once: int | None = None


def count_tokens(body: Mapping[str, Any]) -> int:
    """Tokens of a request as this server counts them."""
    return len(json.dumps([body.get("tools"), body["messages"]])) // CHARACTERS_PER_TOKEN


def find_refusal(body: Mapping[str, Any], manners: Manners, name: str) -> tuple[int, str] | None:
    """Status and words with which a request is refused, as vLLM says them; None where it is taken."""
    tokens, window = count_tokens(body), manners.window_tokens
    choice = body.get("tool_choice")
    tools = body.get("tools") or []
    table = (
        (not manners.any_name and body.get("model") != name, 404, f"The model `{body.get('model')}` does not exist."),
        (
            window is not None and tokens > window and manners.overflow == "error",
            400,
            f"This model's maximum context length is {window} tokens. However, your prompt contains {tokens} input "
            "tokens. Please reduce the length of the input prompt.",
        ),
        (not manners.strict and any("strict" in tool["function"] for tool in tools), 400, "strict: extra field"),
        (not manners.schema and "response_format" in body, 400, "response_format is not supported"),
        (not manners.lengths and '"maxLength"' in json.dumps(body.get("response_format")), 400, "maxLength: unknown"),
        (choice == "auto" and bool(tools) and manners.auto == "refused", 400, NO_PARSER),
        (
            bool(tools) and choice not in ("auto", None) and manners.required == "refused",
            400,
            "tool_choice: unsupported",
        ),
    )
    return next(((status, words) for holds, status, words in table if holds), None)


def cut_prompt(body: Mapping[str, Any], manners: Manners) -> dict[str, Any]:
    """The request as the model sees it: of too long a prompt the beginning is gone."""
    window = manners.window_tokens
    if window is None or manners.overflow != "truncate" or count_tokens(body) <= window:
        return dict(body)
    messages = [dict(message) for message in body["messages"]]
    excess = (count_tokens(body) - window) * CHARACTERS_PER_TOKEN
    for message in messages:
        content = str(message.get("content") or "")
        message["content"] = content[min(excess, len(content)) :]
        excess -= len(content) - len(message["content"])
    return {**body, "messages": messages}


def answer_plainly(body: Mapping[str, Any], manners: Manners) -> Answer | None:
    """What is answered to a plain question: the code word of a long prompt, or words by the seed; None for a case."""
    text = str(body["messages"][-1].get("content"))
    if len(body["messages"]) > 1:
        return None
    if "What is the code word?" in text:
        found = CODE_WORD.search(text)
        return Answer(found[1] if found and manners.echoes else "I do not know.")
    if "Count from" in text:
        return Answer(" ".join(["one"] * int(body.get("max_tokens") or 1)))
    seed = body.get("seed") if manners.seeds else id(body)
    return Answer(f"yes {seed or ''}".strip())


def read_told_tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as if its tools had come natively, where they are told in the words of the system prompt."""
    first, last = body["messages"][0], str(body["messages"][-1].get("content"))
    if body.get("tools") or "To call a tool, answer with one JSON object" not in str(first.get("content")):
        return dict(body)
    messages = [
        {**message, "role": "tool"} if place > 1 and message["role"] == "user" else message
        for place, message in enumerate(body["messages"])
    ]
    if "No more tools" in last:
        return {**body, "messages": [*messages[:-1], body["messages"][-1]]}
    return {**body, "messages": messages, "tools": [{"function": {"name": "told in words"}}]}


def shape_answer(answer: Answer, body: Mapping[str, Any], manners: Manners) -> Answer:
    """Put calls into the form in which this server leaves them."""
    if not body.get("tools"):
        return shape_calls(answer, "fenced") if answer.calls else answer
    demanded = body.get("tool_choice") not in ("auto", None)
    if demanded and not answer.calls and not answer.trouble:
        answer = Answer(calls=(("finish", "{}"),))
    return shape_calls(answer, manners.required if demanded else manners.auto)


def shape_calls(answer: Answer, shape: CallShape) -> Answer:
    """Write calls as a model does whose calls no parser understands."""
    if shape == "native" or not answer.calls:
        return answer
    if shape == "words":
        return Answer(text="I would look at the events of that GPU first.")
    rows = [f'{{"name": "{name}", "arguments": {arguments}}}' for name, arguments in answer.calls]
    edges = {"fenced": ("```json\n", "\n```"), "tagged": ("<tool_call>\n", "\n</tool_call>")}
    before, behind = edges.get(shape, ("", ""))
    return replace(answer, calls=(), text="\n".join(f"{before}{row}{behind}" for row in rows))
