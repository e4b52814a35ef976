"""The answers of a chat completions endpoint, whole or in pieces; anything else is a `ModelError` with what to type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from agent.backend import Hear, Message, Reply
from agent.backends.pieces import Pieces
from agent.backends.wire import read_calls, read_error, read_usage
from tools.errors import ModelDown, ModelError

CHARACTERS_PER_TOKEN = 4  # only where the server reports no usage


def read_reply(raw: bytes, messages: Sequence[Message], url: str) -> Reply:
    """Read a chat completion out of the bytes of an answer; anything else is a `ModelError`."""
    text = raw.decode("utf-8-sig", "replace").strip()
    fix = find_path_fix(url)
    if not text:
        raise ModelError(
            f"{url} answered with an empty body.",
            fix=f"curl -i {url}/models: whatever stands between here and the model may have dropped the answer",
        )
    if text[:1] == "<":
        raise ModelError(f"{url} answered with a web page, not with JSON.", fix=fix)
    try:
        answer = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise ModelError(f"{url} answered with malformed JSON: {text[:60]!r}.", fix=fix) from None
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not choices and isinstance(answer, dict) and answer.get("error"):
        raise ModelError(f"{url} answered with an error: {read_error(text)[:160]}.", fix="look at the server's log")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ModelError(f"The answer of {url} holds no choices.", fix=fix)
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise ModelError(f"The answer of {url} holds no message.", fix=fix)
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    calls = read_calls(message.get("tool_calls"))
    tokens_in, tokens_cached, tokens_out = _count_usage(answer.get("usage"), messages, text)
    return Reply(text, calls, tokens_in, tokens_cached, tokens_out, str(choices[0].get("finish_reason") or "stop"))


def read_pieces(chunks: Iterator[bytes], messages: Sequence[Message], url: str, hear: Hear | None) -> Reply:
    """Put a streamed completion together; one that ends before its end is a `ModelError`."""
    pieces = Pieces(hear)
    for chunk in chunks:
        pieces.feed(chunk)
    if broken := pieces.close():
        raise ModelDown(f"The answer of {url} broke off ({broken}).", fix="look at the server's log")
    tokens_in, tokens_cached, tokens_out = _count_usage(pieces.usage, messages, pieces.text)
    return Reply(pieces.text, pieces.calls, tokens_in, tokens_cached, tokens_out, pieces.finish_reason)


def _count_usage(usage: object, messages: Sequence[Message], text: str) -> tuple[int, int, int]:
    """Tokens in, of these cached, and out; estimated from characters where the server does not say."""
    tokens_in, cached, tokens_out = read_usage(usage)
    written = sum(len(str(message.get("content") or "")) for message in messages)
    return (
        written // CHARACTERS_PER_TOKEN if tokens_in is None else tokens_in,
        cached or 0,
        len(text) // CHARACTERS_PER_TOKEN if tokens_out is None else tokens_out,
    )


def find_path_fix(url: str) -> str:
    """What to type where the server is there and the path seems to be another."""
    if url.endswith("/v1"):
        return f"curl {url}/models: it must list models, as every OpenAI-compatible server does"
    return f"--model {url}/v1#NAME: the URL of an OpenAI-compatible server ends in /v1"
