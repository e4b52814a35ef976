"""A server of faults: everything that an endpoint can do wrong, each by name, on a real socket.

The model behind is the careful one; the fault lies in how its answers travel. Run it as
``python -m evals.faulty --fault NAME``; it prints its URL#NAME on the first line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Literal, get_args

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from evals.conversation import Conversation
from evals.leaks import LEAKS
from evals.scripted import MODEL_NAME, ScriptedServer, cut_into_pieces
from evals.scripts import Answer, Trouble, answer_carefully

Completion = dict[str, Any]
Fault = Callable[["FaultyServer", dict[str, Any]], Awaitable[Response]]
HUGE_CHARACTERS = 6 * 1024**2
DRIP_SECONDS = 0.02
EVENTS = "text/event-stream"


class FaultyServer(ScriptedServer):
    """A server that does one thing wrong, in every answer; what is set as `fault` may change between questions.

    Args:
        fault: Name of a row of `FAULTS`.
        elsewhere: Base URL to which redirects lead.
    """

    def __init__(self, fault: str = "no fault", elsewhere: str = "http://127.0.0.1:9/v1") -> None:
        super().__init__(answer_carefully)
        self.fault = fault
        self.elsewhere = elsewhere

    async def _answer(self, body: dict[str, Any]) -> Response:
        return await FAULTS[self.fault](self, body)

    def complete(self, body: dict[str, Any], answer: Answer | None = None) -> Completion:
        """The right answer to a request."""
        return self._build_completion(body, answer or answer_carefully(Conversation(body)))

    @property
    def stopping(self) -> bool:
        """Whether the server is about to end."""
        return self._server.should_exit

    async def break_off(self, trouble: str) -> Response:
        """One of the troubles that scripts know too."""
        return await self._break(trouble)


async def _hang_after_head(server: FaultyServer, body: dict[str, Any]) -> Response:
    async def wait() -> AsyncIterator[bytes]:
        yield b""
        while not server.stopping:
            await asyncio.sleep(DRIP_SECONDS)

    return StreamingResponse(wait(), media_type="application/json")


async def _drip(server: FaultyServer, body: dict[str, Any]) -> Response:
    """The whole right answer, a byte at a time: no read of it is late, all of them are."""

    async def drip() -> AsyncIterator[bytes]:
        for byte in json.dumps(server.complete(body)).encode():
            if server.stopping:
                return
            yield bytes([byte])
            await asyncio.sleep(DRIP_SECONDS)

    return StreamingResponse(drip(), media_type="application/json")


async def _cut(place: float, server: FaultyServer, body: dict[str, Any]) -> Response:
    """The right answer up to a place, and then the connection is gone."""
    whole = json.dumps(server.complete(body)).encode()

    async def write() -> AsyncIterator[bytes]:
        yield whole[: int(len(whole) * place)]
        raise ConnectionResetError("cut on purpose")

    return StreamingResponse(write(), media_type="application/json")


async def _stream(change: Callable[[bytes], bytes], server: FaultyServer, body: dict[str, Any]) -> Response:
    """A stream nobody asked for, changed on its way."""
    pieces = b"".join([piece async for piece in cut_into_pieces(server.complete(body))])
    return Response(change(pieces), media_type=EVENTS)


async def _change(edit: Callable[[Completion], object], server: FaultyServer, body: dict[str, Any]) -> Response:
    """The right answer with something else in it; what the edit returns is sent in its place where it is not None."""
    completion = server.complete(body)
    changed = edit(completion)
    return JSONResponse(completion if changed is None else changed)


async def _say(response: Callable[[], Response], server: FaultyServer, body: dict[str, Any]) -> Response:
    return response()


async def _say_once(response: Callable[[], Response], server: FaultyServer, body: dict[str, Any]) -> Response:
    return response() if len(server.requests) % 2 else JSONResponse(server.complete(body))


async def _redirect(status: int, server: FaultyServer, body: dict[str, Any]) -> Response:
    return RedirectResponse(f"{server.elsewhere}/chat/completions", status)


async def _leak(shape: str, server: FaultyServer, body: dict[str, Any]) -> Response:
    answer = answer_carefully(Conversation(body))
    leaked = replace(answer, text=LEAKS[shape](answer.calls), calls=()) if answer.calls else answer
    return JSONResponse(server.complete(body, leaked))


async def _spell(
    write: Callable[[Completion], bytes], kind: str, server: FaultyServer, body: dict[str, Any]
) -> Response:
    return Response(write(server.complete(body)), media_type=kind)


def _refuse(
    status: int, words: str, headers: Mapping[str, str] | None = None, **more: object
) -> Callable[[], Response]:
    return lambda: JSONResponse({"error": {"message": words, "code": status, **more}}, status, dict(headers or {}))


def _set_usage(usage: object) -> Callable[[Completion], object]:
    return lambda completion: completion.update(usage=usage)


def _edit_message(edit: Callable[[dict[str, Any]], object]) -> Callable[[Completion], object]:
    def change(completion: Completion) -> None:
        edit(completion["choices"][0]["message"])

    return change


def _edit_calls(edit: Callable[[dict[str, Any]], object]) -> Callable[[Completion], object]:
    def change(completion: Completion) -> None:
        for call in completion["choices"][0]["message"].get("tool_calls") or ():
            edit(call)

    return change


def _repeat_calls(completion: Completion) -> None:
    message = completion["choices"][0]["message"]
    message["tool_calls"] = [*(message.get("tool_calls") or ())] * 200


def _nest(completion: Completion) -> bytes:
    return b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


OVERFLOWS: Mapping[str, Callable[[], Response]] = {
    "vLLM": _refuse(
        400,
        "This model's maximum context length is 2048 tokens. However, you requested 9000 tokens (7500 in the messages, "
        "1500 in the completion). Please reduce the length of the messages or completion.",
    ),
    "vLLM, input alone": _refuse(
        400, "The decoder prompt (length 9000) is longer than the maximum model length of 2048. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens.",
    ),
    "llama.cpp": _refuse(
        400, "the request exceeds the available context size, try increasing it", type="exceed_context_size_error",
        n_prompt_tokens=9000, n_ctx=2048,
    ),
    "OpenAI": _refuse(
        400, "This model's maximum context length is 2048 tokens. However, your messages resulted in 9000 tokens.",
        type="invalid_request_error", param="messages",
    ),
}  # fmt: skip
USAGES: Mapping[str, object] = {
    "strings": {"prompt_tokens": "12", "completion_tokens": "many"},
    "null": None,
    "nulls": {"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": None},
    "negative": {"prompt_tokens": -5, "completion_tokens": -1},
    "a list": [1, 2, 3],
    "fractions": {"prompt_tokens": 1.5, "completion_tokens": True},
    "details that are text": {"prompt_tokens": 9, "completion_tokens": 9, "prompt_tokens_details": "cached"},
}
FAULTS: dict[str, Fault] = {
    "no fault": partial(_change, lambda completion: None),
    **{
        f"trouble: {one}": partial(lambda trouble, server, body: server.break_off(trouble), one)
        for one in get_args(Trouble)
        if one not in ("", "no_schema")
    },
    "hangs after its head": _hang_after_head,
    "drips its answer": _drip,
    "cut at the start": partial(_cut, 0.1),
    "cut in a call": partial(_cut, 0.7),
    "streams unasked": partial(_stream, lambda raw: raw),
    "stream cut in a piece": partial(_stream, lambda raw: raw[: len(raw) * 2 // 3]),
    "stream without its end": partial(_stream, lambda raw: b"".join(raw.partition(b"\n\n")[:2])),
    "stream with an error": partial(_stream, lambda raw: b'data: {"error": {"message": "CUDA error"}}\n\n'),
    "stream of no objects": partial(_stream, lambda raw: b'data: {"choices": ["x", null, 3]}\n\ndata: [DONE]\n\n'),
    "stream of wrong types": partial(
        _stream,
        lambda raw: b'data: {"choices": [{"delta": {"content": ["a"], "tool_calls": [{"index": "a"}, 7]}}]}\n\n',
    ),
    "stream of a wrong delta": partial(_stream, lambda raw: b'data: {"choices": [{"delta": "x"}], "usage": 4}\n\n'),
    "stream that is plain JSON": partial(_spell, lambda completion: json.dumps(completion).encode(), EVENTS),
    "plain text": partial(_spell, lambda completion: json.dumps(completion).encode(), "text/plain"),
    "JSON called a picture": partial(_spell, lambda completion: json.dumps(completion).encode(), "image/png"),
    "with a byte order mark": partial(_spell, lambda c: b"\xef\xbb\xbf" + json.dumps(c).encode(), "application/json"),
    "not UTF-8": partial(_spell, lambda c: b'{"choices": "\xff\xfe\x00"}', "application/json"),
    "nested without end": partial(_spell, _nest, "application/json"),
    "an error with status 200": partial(_change, lambda completion: {"error": {"message": "model is loading"}}),
    "a list": partial(_change, lambda completion: [completion]),
    "a number": partial(_change, lambda completion: 42),
    "choices of no objects": partial(_change, lambda completion: {"choices": ["x"]}),
    "no message": partial(_change, lambda completion: {"choices": [{"index": 0, "message": None}]}),
    "an empty message": partial(_change, _edit_message(lambda message: message.clear())),
    "text in parts": partial(_change, _edit_message(lambda message: message.update(content=[{"type": "text"}]))),
    "a refusal": partial(_change, _edit_message(lambda m: m.update(content=None, tool_calls=[], refusal="no"))),
    "an HTML error page": partial(_say, lambda: HTMLResponse("<h1>502 Bad Gateway</h1>", 502)),
    "429": partial(_say, _refuse(429, "rate limit")),
    "429, soon over": partial(_say_once, _refuse(429, "rate limit", {"retry-after": "0.02"})),
    "429, over in an hour": partial(_say, _refuse(429, "rate limit", {"retry-after": "3600"})),
    "429 with a date": partial(_say, _refuse(429, "rate limit", {"retry-after": "Fri, 20 Nov 2026 12:00:00 GMT"})),
    "429, negative": partial(_say, _refuse(429, "rate limit", {"retry-after": "-5"})),
    "429, not a number": partial(_say, _refuse(429, "rate limit", {"retry-after": "nan"})),
    "500": partial(_say, _refuse(500, "EngineCore encountered an issue")),
    "500, once": partial(_say_once, _refuse(500, "EngineCore encountered an issue", {"retry-after": "0.02"})),
    "503 while it loads": partial(_say, _refuse(503, "Loading model", {"retry-after": "0.02"}, type="unavailable")),
    "204": partial(_say, lambda: Response(status_code=204)),
    "wrong model, vLLM": partial(_say, _refuse(404, "The model `other` does not exist.", type="NotFoundError")),
    "wrong model, OpenAI": partial(
        _say, _refuse(404, "The model `other` does not exist or you do not have access to it.", type="invalid_request")
    ),
    "no parser": partial(
        _say, _refuse(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')
    ),
    "key not taken": partial(_say, _refuse(403, "forbidden")),
    **{f"overflow, {name}": partial(_say, response) for name, response in OVERFLOWS.items()},
    **{f"usage: {name}": partial(_change, _set_usage(usage)) for name, usage in USAGES.items()},
    "no usage": partial(_change, lambda completion: completion.pop("usage") and None),
    "one id for all calls": partial(_change, _edit_calls(lambda call: call.update(id="call_0"))),
    "calls without ids": partial(_change, _edit_calls(lambda call: call.pop("id"))),
    "ids that are numbers": partial(_change, _edit_calls(lambda call: call.update(id=7))),
    "arguments as an object": partial(
        _change, _edit_calls(lambda c: c["function"].update(arguments=json.loads(c["function"]["arguments"])))
    ),
    "calls without a name": partial(_change, _edit_calls(lambda call: call["function"].update(name=None))),
    "calls of nothing": partial(_change, _edit_calls(lambda call: call.update(function=None))),
    "two hundred calls": partial(_change, _repeat_calls),
    "calls that are text": partial(_change, _edit_message(lambda message: message.update(tool_calls="read_events"))),
    "cut by length": partial(_change, lambda c: c["choices"][0].update(finish_reason="length")),
    "huge answer": partial(_change, _edit_message(lambda message: message.update(content="x" * HUGE_CHARACTERS))),
    "huge stream": partial(_stream, lambda raw: b": wait\n" * (HUGE_CHARACTERS // 7)),
    "packed, but not": partial(_say, lambda: Response(b"no gzip", headers={"content-encoding": "gzip"})),
    "redirect 302": partial(_redirect, 302),
    "redirect 307": partial(_redirect, 307),
    "redirect 308": partial(_redirect, 308),
    **{f"leak: {shape}": partial(_leak, shape) for shape in LEAKS},
}  # fmt: skip
"""Fault to what answers a question with it."""

Wire = Literal["closed at once", "reset", "no HTTP", "drips its head", "head without end", "no TLS"]


@dataclass
class RawServer:
    """Faults below HTTP: a socket that accepts and then does what no web server would.

    Attributes:
        wire: What it does.
        seconds: How long it does it at most.
    """

    wire: Wire
    seconds: float = 5.0

    def __enter__(self) -> RawServer:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._ending = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._socket.close()

    @property
    def spec(self) -> str:
        """``URL#NAME``; an https URL where the fault is that it knows no TLS."""
        scheme = "https" if self.wire == "no TLS" else "http"
        return f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}/v1#{MODEL_NAME}"

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            try:
                self._speak(line)
            except OSError:
                return

    def _speak(self, line: socket.socket) -> None:
        if self.wire == "closed at once":
            return
        line.recv(65536)
        if self.wire == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        elif self.wire in ("no HTTP", "no TLS"):
            line.sendall(b"220 mail.example ESMTP ready\r\n")
        else:
            self._drip_head(line)

    def _drip_head(self, line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n")
        ends = time.monotonic() + self.seconds
        number = 0
        while time.monotonic() < ends and not self._ending.is_set():
            line.sendall(b"x" if self.wire == "drips its head" else f"x-{number}: {'y' * 4000}\r\n".encode())
            number += 1
            time.sleep(DRIP_SECONDS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a fault from the command line until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m evals.faulty", description=__doc__)
    parser.add_argument("--fault", default="no fault", choices=sorted(FAULTS))
    server = FaultyServer(parser.parse_args(arguments).fault)
    sys.stdout.write(f"{server.spec}\n")
    sys.stdout.flush()
    server.serve_until_stopped()


if __name__ == "__main__":
    main()
