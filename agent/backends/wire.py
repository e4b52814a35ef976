"""What an OpenAI-compatible server puts on the wire, read without trust: calls, token counts, words of an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from agent.backend import ToolCall

# vLLM: "maximum context length is 8192 tokens"; llama.cpp: "n_ctx": 8192; llama-cpp-python: "exceed context window of".
_LIMITS = (
    re.compile(r"maximum (?:context|model|sequence) length (?:is|of) (\d+)", re.IGNORECASE),
    re.compile(r"\"?n_ctx\"?\W{1,4}(\d+)"),
    re.compile(r"context (?:window|size|length)(?: limit)?(?: of| is|:)? ?\(?(\d+)", re.IGNORECASE),
)
_OVERFLOW = re.compile(
    r"context (?:length|window|size)|n_ctx|too many (?:input )?tokens|prompt is too long|maximum model length"
    r"|reduce the length|exceeds? .{0,40}(?:context|tokens)",
    re.IGNORECASE,
)


def read_calls(rows: object) -> tuple[ToolCall, ...]:
    """Read the tool calls of a message; what is none is left out."""
    calls: list[ToolCall] = []
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        function = row.get("function") if isinstance(row, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            continue
        arguments = function.get("arguments")
        spelled = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        calls.append(ToolCall(str(row.get("id") or f"call-{number}"), function["name"], spelled))
    return tuple(calls)


def read_usage(usage: object) -> tuple[int | None, int | None, int | None]:
    """Tokens in, of these cached, and out; None for each that the server does not tell."""
    told: Mapping[str, Any] = usage if isinstance(usage, dict) else {}
    details = told.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return _count(told.get("prompt_tokens")), _count(cached), _count(told.get("completion_tokens"))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_limit(words: str) -> int | None:
    """The context window that an error names; None where it names none."""
    found = next((match for pattern in _LIMITS if (match := pattern.search(words))), None)
    return int(found[1]) if found else None


def tells_overflow(words: str) -> bool:
    """Say whether an error speaks of a prompt that is longer than the window."""
    return bool(_OVERFLOW.search(words))


def read_error(body: str) -> str:
    """The words of an error, whatever form it came in, with the window where it stands beside them."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "a web page" if body.lstrip()[:1] == "<" else " ".join(body.split())
    told = parsed.get("error", parsed) if isinstance(parsed, dict) else parsed
    if not isinstance(told, dict):
        return str(told)
    words = str(told.get("message") or told.get("detail") or told)
    return f"{words} (n_ctx: {told['n_ctx']})" if "n_ctx" in told else words
