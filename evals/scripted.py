"""A scripted OpenAI-compatible server on a real socket: the test double for models, good, bad and broken.

Run it as ``python -m evals.scripted --script demo --port 0``; it prints its URL#NAME on the first line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from evals.completion import build_completion, spell_prompt
from evals.conversation import Conversation
from evals.manners import Manners, answer_plainly, count_tokens, cut_prompt, find_refusal, read_told_tools, shape_answer
from evals.scripts import SCRIPTS, Answer, Script

START_SECONDS = 10.0
DRIP_SECONDS = 0.05
MODEL_NAME = "scripted"


class ScriptedServer:
    """Serves one script on a loopback port, in a thread, for as long as the context is open.

    Args:
        script: Name of a script of `evals/scripts.py`, or a function from conversation to answer; ``refuse`` gives
            the URL of a port on which nothing listens.
        port: Port to listen on; 0 picks a free one.
        manners: How it behaves on the wire; None is the plain server that knows everything and answers any question as
            a case.
    """

    def __init__(self, script: str | Script = "careful", port: int = 0, manners: Manners | None = None) -> None:
        self._manners = manners
        self._in_flight = 0
        self._refuses = script == "refuse"
        self._script = SCRIPTS["careful" if self._refuses else script] if isinstance(script, str) else script
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        # From here on a client may connect; it is served as soon as the server runs.
        self._socket.listen()
        self._port = int(self._socket.getsockname()[1])
        routes = [
            Route("/v1/models", self._list_models),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/version", self._tell_version),
            Route("/props", self._tell_properties),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._last_prompt = ""
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Base URL for an OpenAI client."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def spec(self) -> str:
        """``URL#NAME``, as ``--model`` takes it."""
        return f"{self.url}#{MODEL_NAME}"

    def __enter__(self) -> ScriptedServer:
        if self._refuses:
            self._socket.close()
            return self
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._refuses:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(START_SECONDS)
        self._socket.close()

    def serve_until_stopped(self) -> None:
        """Serve in the calling thread until it is interrupted."""
        self._server.run(sockets=[self._socket])

    async def _list_models(self, request: Request) -> Response:
        claimed = self._manners.claimed_tokens if self._manners else None
        row = {"id": MODEL_NAME, "object": "model"} | ({"max_model_len": claimed} if claimed else {})
        return JSONResponse({"object": "list", "data": [row]})

    async def _tell_version(self, request: Request) -> Response:
        if self._manners is None or self._manners.engine != "vllm":
            return JSONResponse({"detail": "Not Found"}, 404)
        return JSONResponse({"version": "0.32.0"})

    async def _tell_properties(self, request: Request) -> Response:
        if self._manners is None or self._manners.engine != "llama.cpp":
            return JSONResponse({"detail": "Not Found"}, 404)
        settings = {"n_ctx": self._manners.claimed_tokens}
        return JSONResponse({"build_info": "b7062-9b17d74ab", "default_generation_settings": settings})

    async def _complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.requests.append(body)
        self._in_flight += 1
        try:
            return await self._answer(body)
        finally:
            self._in_flight -= 1

    async def _answer(self, body: dict[str, Any]) -> Response:
        manners = self._manners
        if manners is None:
            answer = self._script(Conversation(body))
            return (
                await self._break(answer.trouble)
                if answer.trouble
                else JSONResponse(self._build_completion(body, answer))
            )
        many = manners.most_at_once is not None and self._in_flight > manners.most_at_once
        refusal = (503, "too many requests") if many else find_refusal(body, manners, MODEL_NAME)
        if refusal is not None:
            return JSONResponse({"error": {"message": refusal[1], "code": refusal[0]}}, refusal[0])
        seen = cut_prompt(body, manners)
        answer = answer_plainly(seen, manners) or shape_answer(
            self._script(Conversation(read_told_tools(seen))), body, manners
        )
        completion = self._build_completion(seen, answer, name=str(body["model"]))
        fresh = count_tokens(seen) - completion["usage"]["prompt_tokens_details"]["cached_tokens"]
        await asyncio.sleep(manners.delay_seconds + manners.prefill_seconds * fresh / 1000)
        if answer.trouble:
            return await self._break(answer.trouble)
        if not manners.cached:
            del completion["usage"]["prompt_tokens_details"]
        if not manners.usage:
            del completion["usage"]
        if body.get("stream") and manners.streams:
            return StreamingResponse(cut_into_pieces(completion, manners.piece_seconds), media_type="text/event-stream")
        return JSONResponse(completion)

    async def _break(self, trouble: str) -> Response:
        if trouble == "hang":
            while not self._server.should_exit:
                await asyncio.sleep(0.02)
        plain: dict[str, Response] = {
            "html": HTMLResponse("<html><body>Welcome to nginx!</body></html>"),
            "empty": Response(b"", media_type="application/json"),
            "empty_choices": JSONResponse({"id": "x", "object": "chat.completion", "choices": []}),
            "malformed": Response('{"id": "x", "choices": [{"mess', media_type="application/json"),
            "error_401": JSONResponse({"error": {"message": "Unauthorized"}}, 401),
            "error_404": JSONResponse({"detail": "Not Found"}, 404),
            "error_500": JSONResponse({"error": {"message": "CUDA error: out of memory"}}, 500),
            "limit_429": JSONResponse({"error": {"message": "slow down"}}, 429, {"retry-after": "0.05"}),
            "no_schema": JSONResponse({"error": {"message": "response_format is not supported"}}, 400),
        }
        if trouble in plain:
            return plain[trouble]
        return StreamingResponse(self._drip(cut=trouble == "cut"), media_type="application/json")

    async def _drip(self, *, cut: bool) -> AsyncIterator[bytes]:
        yield b'{"id": "x", '
        if cut:
            raise ConnectionResetError("cut by the script")
        while not self._server.should_exit:
            await asyncio.sleep(DRIP_SECONDS)
            yield b" "

    def _build_completion(self, body: dict[str, Any], answer: Answer, name: str = MODEL_NAME) -> dict[str, Any]:
        completion = build_completion(body, answer, name=name, number=len(self.requests), last_prompt=self._last_prompt)
        self._last_prompt = spell_prompt(body)
        return completion


async def cut_into_pieces(completion: dict[str, Any], piece_seconds: float = 0.0) -> AsyncIterator[bytes]:
    """A whole answer as server-sent events: words by threes, each call's arguments in two pieces, the usage last."""
    choice = completion["choices"][0]
    message = choice["message"]
    text, calls = message["content"] or "", message.get("tool_calls", [])
    deltas: list[dict[str, Any]] = [{"content": text[at : at + 20]} for at in range(0, len(text), 20)]
    for index, call in enumerate(calls):
        function, half = call["function"], len(call["function"]["arguments"]) // 2
        head = {"name": function["name"], "arguments": function["arguments"][:half]}
        deltas.append({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": head}]})
        rest = {"arguments": function["arguments"][half:]}
        deltas.append({"tool_calls": [{"index": index, "function": rest}]})
    base = {key: completion[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    rows = [base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    rows.append(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if "usage" in completion:
        rows.append(base | {"choices": [], "usage": completion["usage"]})
    for row in rows:
        await asyncio.sleep(piece_seconds)
        yield f"data: {json.dumps(row)}\n\n".encode()
    yield b"data: [DONE]\n\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a script from the command line until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m evals.scripted", description=__doc__)
    parser.add_argument("--script", default="demo", choices=sorted(SCRIPTS))
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    server = ScriptedServer(options.script, options.port)
    sys.stdout.write(f"{server.spec}\n")
    sys.stdout.flush()
    server.serve_until_stopped()


if __name__ == "__main__":
    main()
