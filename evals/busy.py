"""A scripted server that is busy: its metrics page tells so as that of vLLM does, and a full one throws requests out.

What a real one does is in its scheduler: a request that the cache has no room for waits; one that outgrows it is
preempted and computed anew. Here each request takes one share of the cache.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from evals.scripted import MODEL_NAME, ScriptedServer
from evals.scripts import Script

LOOK_SECONDS = 0.02
CACHE_NAMES = {"new": "vllm:kv_cache_usage_perc", "old": "vllm:gpu_cache_usage_perc"}


class BusyServer(ScriptedServer):
    """A scripted server with a metrics page.

    Args:
        script: As for `ScriptedServer`.
        holds: So many requests fill its cache; more at once are preemptions.
        seconds: Each answer takes so long.
        names: With which names it tells its load; ``none`` has no metrics page.

    Attributes:
        most: Most requests that were under way at once.
        gone: Requests whose client went away before the answer.
        preemptions, waiting, others: What its page tells; `others` are requests of other clients.
    """

    def __init__(
        self,
        script: str | Script = "careful",
        *,
        holds: int = 1000,
        seconds: float = 0.0,
        names: Literal["new", "old", "none"] = "new",
    ) -> None:
        super().__init__(script)
        self._holds, self._seconds, self._names = holds, seconds, names
        self.running = self.most = self.gone = self.preemptions = self.waiting = self.others = 0
        if names != "none":
            app = cast(Starlette, self._server.config.app)
            app.router.routes.append(Route("/metrics", self._tell_load))

    async def _complete(self, request: Request) -> Response:
        await request.body()
        self.running += 1
        self.most = max(self.most, self.running)
        self.preemptions += int(self.running + self.others > self._holds)
        try:
            until = time.monotonic() + self._seconds
            while time.monotonic() < until:
                if await request.is_disconnected():
                    self.gone += 1
                    return Response(status_code=499)
                await asyncio.sleep(LOOK_SECONDS)
            return await super()._complete(request)
        finally:
            self.running -= 1

    async def _tell_load(self, request: Request) -> Response:
        return PlainTextResponse(self.spell_load())

    def spell_load(self) -> str:
        """The page, with the labels and the engines of a real one."""
        labels = f'engine="0",model_name="{MODEL_NAME}"'
        share = min((self.running + self.others) / self._holds, 1.0)
        rows: dict[str, tuple[str, Any]] = {
            "vllm:num_requests_running": ("gauge", float(self.running + self.others)),
            "vllm:num_requests_waiting": ("gauge", float(self.waiting)),
            CACHE_NAMES.get(self._names, ""): ("gauge", share),
            "vllm:num_preemptions_total": ("counter", float(self.preemptions)),
        }
        return "".join(
            f"# HELP {name} As vLLM has it.\n# TYPE {name} {kind}\n{name}{{{labels}}} {value}\n"
            for name, (kind, value) in rows.items()
        )
