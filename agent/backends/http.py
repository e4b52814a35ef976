"""An endpoint asked over plain HTTP, so that a preflight sees statuses, pieces and times as they come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from agent.backends.pieces import Pieces
from agent.backends.wire import read_calls, read_error, read_usage
from agent.preflight.endpoint import Answer, Question

MAX_BODY_BYTES = 4 * 1024**2
MAX_MESSAGE_CHARACTERS = 300
LOOK_SECONDS = 5.0
"""How long a server may take to tell of itself (a guess; a live one answers in milliseconds)."""


class _LateError(Exception):
    """The deadline passed while the answer was being read."""


class HttpEndpoint:
    """A chat completions endpoint, asked without retries.

    Args:
        url: Base URL, such as ``http://127.0.0.1:8000/v1``.
        name: Model name as the server knows it.
        key: API key, or None.
        timeout_seconds: Longest wait for one answer.
    """

    def __init__(self, url: str, name: str, key: str | None, timeout_seconds: float) -> None:
        self.url = url
        self.name = name
        self.timeout_seconds = timeout_seconds
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout_seconds)

    def read(self, path: str) -> Mapping[str, Any] | None:
        """Read a JSON object; a path that begins with ``/`` is beside the API, another below it."""
        base = self.url.removesuffix("/v1") if path.startswith("/") else f"{self.url}/"
        try:
            answer = self._client.get(f"{base}{path}", timeout=min(LOOK_SECONDS, self.timeout_seconds))
            parsed = answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, RecursionError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def ask(self, question: Question) -> Answer:
        """Ask once; whatever goes wrong is in the answer."""
        started, patience = time.monotonic(), question.seconds or self.timeout_seconds
        body = {
            "model": question.model or self.name,
            "messages": list(question.messages),
            "temperature": question.temperature,
            "max_tokens": question.max_tokens,
            **({"stream": True, "stream_options": {"include_usage": True}} if question.stream else {}),
            **question.extra,
        }
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body, timeout=patience) as response:
                return self._read(response, started, patience)
        except (httpx.TimeoutException, _LateError):
            late = f"no whole answer within {patience:g} s"
            return Answer(0, late, seconds=time.monotonic() - started, late=True)
        except httpx.ConnectError:
            return Answer(0, "nothing answers", seconds=time.monotonic() - started)
        except httpx.HTTPError as error:
            return Answer(0, f"the answer broke off ({type(error).__name__})", seconds=time.monotonic() - started)

    def _read(self, response: httpx.Response, started: float, patience: float) -> Answer:
        streamed = "event-stream" in response.headers.get("content-type", "")
        if response.status_code == 200 and streamed:
            return self._read_pieces(response, started, patience)
        body = b"".join(_until_late(response.iter_bytes(), started, patience)).decode("utf-8", "replace")
        seconds = time.monotonic() - started
        if response.status_code != 200:
            words = read_error(body)[:MAX_MESSAGE_CHARACTERS]
            return Answer(response.status_code, words or "no words", seconds=seconds)
        return _read_completion(body, seconds)

    def _read_pieces(self, response: httpx.Response, started: float, patience: float) -> Answer:
        pieces = Pieces()
        for chunk in _until_late(response.iter_bytes(), started, patience):
            pieces.feed(chunk, time.monotonic() - started)
        seconds = time.monotonic() - started
        broken = pieces.close(seconds)
        tokens_in, cached, tokens_out = read_usage(pieces.usage)
        return Answer(
            200, broken, pieces.text, pieces.calls, pieces.finish_reason, tokens_in, cached, tokens_out,
            seconds, pieces.first_seconds, streamed=True,
        )  # fmt: skip


def _until_late(chunks: Iterator[bytes], started: float, patience: float) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if time.monotonic() - started > patience or size > MAX_BODY_BYTES:
            raise _LateError
        yield chunk


def _read_completion(body: str, seconds: float) -> Answer:
    try:
        parsed = json.loads(body, strict=False)
        choice = parsed["choices"][0]
        message = choice["message"]
        text = message.get("content")
        calls = read_calls(message.get("tool_calls"))
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        words = "a web page" if body.lstrip()[:1] == "<" else f"{body[:60]!r}" if body else "an empty body"
        return Answer(200, f"the answer is no chat completion but {words}", seconds=seconds)
    tokens_in, cached, tokens_out = read_usage(parsed.get("usage"))
    return Answer(
        200, "", text if isinstance(text, str) else "", calls, str(choice.get("finish_reason") or ""),
        tokens_in, cached, tokens_out, seconds,
    )  # fmt: skip
