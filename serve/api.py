"""The HTTP API: triage evidence that is sent, read verdicts that are kept."""

from __future__ import annotations

import asyncio
import re
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.run import Run
from agent.settings import Settings
from agent.stopping import Stop
from agent.types import Border, TriageReport, Verdict
from rag.errors import RagError
from serve.doors import list_states, open_doors
from serve.logs import open_log
from serve.metrics import CONTENT_TYPE, Metrics
from serve.store import open_site_store
from serve.triage import parse_since, triage_request
from serve.types import Request as TriageRequest
from tools.errors import DaytwoError, OperatorError, SiteConfigError
from tools.harmless import redact_url

MAX_FILES = 200
TRIAGES_AT_ONCE = 4
"""More wait in line: each holds its evidence in memory (a guess)."""
MAX_NAME_CHARACTERS = 80
GONE = "not asked to its end: whoever asked went away"
UNPACKED_PER_UPLOAD = 16
"""A request may unpack to so many times the largest body: logs shrink to a tenth or a twentieth (a guess)."""
BEARER = HTTPBearer(auto_error=False, description="The token in DATA_DIR/token, or DAYTWO_API_TOKEN.")
STATUS_OF_ERROR: Mapping[type[Exception], int] = {OperatorError: 422, SiteConfigError: 500, RagError: 500}
UPSTREAM_STATUS = 502
CURL = """curl -H "Authorization: Bearer $TOKEN" """
EXAMPLE = f"{CURL}-F files=@kern.log URL/v1/triage"
JSON_EXAMPLE = f"""{CURL}--json '{{"text": "…", "name": "kern.log"}}' URL/v1/triage"""
"""What to type in place of a body that cannot be read; URL is where the request went."""
NEXT_STEPS = {
    400: EXAMPLE,
    401: "send Authorization: Bearer TOKEN",
    404: "GET /v1/verdicts",
    413: "send less, or raise DAYTWO_MAX_UPLOAD_BYTES",
    415: EXAMPLE,
    422: f"{EXAMPLE}, or {JSON_EXAMPLE}",
}


class TriageText(Border):
    """Evidence as text, and the file name that quotes will show."""

    text: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1, max_length=200)] = "evidence.txt"


class Health(Border):
    """That the API answers, and which version it is."""

    status: Literal["ok"]
    version: str


class VerdictList(Border):
    """Kept verdicts, newest first."""

    schema_: Literal["daytwo.verdicts/1"] = Field("daytwo.verdicts/1", alias="schema")
    verdicts: list[Verdict]

    model_config = TriageReport.model_config


class Problem(Border):
    """What went wrong, and what to do next."""

    error: str
    next: str


TRIAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": TriageText.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "contentMediaType": "text/plain"}}
                    },
                }
            },
        },
    }
}
PROBLEMS: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (401, 413, 422)}


def build_api(settings: Settings, token: str) -> FastAPI:
    """Build the API.

    Args:
        settings: Where the store is, how large a body may be, which model may be asked.
        token: What a caller must present on everything but `/healthz`.
    """

    def check_token(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        presented = given.credentials if given else ""
        if not secrets.compare_digest(presented.encode(), token.encode()):
            raise HTTPException(401, "A bearer token is needed.", headers={"WWW-Authenticate": "Bearer"})

    # No pages of documentation: they would load their scripts from elsewhere.
    api = FastAPI(title="Daytwo", version=version("daytwo"), docs_url=None, redoc_url=None)
    api.add_middleware(BodyLimit, max_bytes=settings.max_upload_bytes)
    guarded = [Depends(check_token)]
    counted = Metrics()
    api.middleware("http")(log_request)
    slots = asyncio.Semaphore(TRIAGES_AT_ONCE)

    @api.get("/healthz")
    def tell_health() -> Health:
        """Say that the API answers; open to all."""
        return Health(status="ok", version=version("daytwo"))

    @api.post("/v1/triage", dependencies=guarded, openapi_extra=TRIAGE_BODY, responses=PROBLEMS)
    async def triage_evidence(request: Request) -> TriageReport:
        """Triage evidence: JSON with `text`, or a multipart form with files. The verdicts are kept."""
        evidence = await read_evidence(request)
        async with stop_when_gone(request) as stop, slots:
            started = time.monotonic()
            report = await run_in_threadpool(triage_texts, evidence, settings, counted.observe_run, stop)
            counted.observe_report(report, time.monotonic() - started)
            return report

    @api.get("/v1/verdicts", dependencies=guarded, responses=PROBLEMS)
    def list_verdicts(
        limit: Annotated[int, Query(ge=1, le=1000)] = 50, fault: str = "", entity: str = "", since: str = ""
    ) -> VerdictList:
        """List kept verdicts, newest first. `entity=node:NAME` means all on that node; `since` takes 2h or a time."""
        moment = parse_since(since, datetime.now(UTC))
        with open_site_store(settings) as store:
            return VerdictList(verdicts=store.list_verdicts(limit=limit, fault=fault, entity=entity, since=moment))

    @api.get("/v1/verdicts/{verdict_id}", dependencies=guarded, responses={**PROBLEMS, 404: {"model": Problem}})
    def find_verdict(verdict_id: str) -> Verdict:
        """Find one kept verdict."""
        with open_site_store(settings) as store:
            verdict = store.find_verdict(verdict_id)
        if verdict is None:
            raise HTTPException(404, f"No verdict {verdict_id} is kept.")
        return verdict

    @api.get("/metrics", dependencies=guarded, response_class=Response, responses=PROBLEMS)
    def show_metrics() -> Response:
        """Counts and times for Prometheus; scrape it with the token as `authorization.credentials`."""
        return Response(render_metrics(counted, settings), media_type=CONTENT_TYPE)

    return _tell_errors(api)


async def log_request(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Write a line for each request: what was asked, what came of it, how long it took; never its body or token."""
    started = time.monotonic()
    response = await go_on(request)
    told = {"method": request.method, "path": request.url.path, "status": response.status_code}
    open_log().info("request", **told, seconds=round(time.monotonic() - started, 4))
    return response


def _tell_errors(api: FastAPI) -> FastAPI:
    """Give every error one shape: what went wrong, and what to do next."""

    async def tell_http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, StarletteHTTPException):
            raise error
        step = NEXT_STEPS.get(error.status_code, "GET /openapi.json")
        body = {"error": str(error.detail), "next": step.replace("URL", str(request.base_url).rstrip("/"))}
        return JSONResponse(body, error.status_code, headers=error.headers)

    async def tell_invalid(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise error
        first = error.errors()[0]
        told = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
        return JSONResponse({"error": told, "next": "GET /openapi.json"}, 422)

    async def tell_known(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, DaytwoError | RagError):
            raise error
        code = next((code for kind, code in STATUS_OF_ERROR.items() if isinstance(error, kind)), UPSTREAM_STATUS)
        return JSONResponse({"error": redact_url(error.message), "next": redact_url(error.fix)}, code)

    api.add_exception_handler(StarletteHTTPException, tell_http)
    api.add_exception_handler(RequestValidationError, tell_invalid)
    api.add_exception_handler(DaytwoError, tell_known)
    api.add_exception_handler(RagError, tell_known)
    return api


async def read_evidence(request: Request) -> dict[str, bytes]:
    """Read the evidence of a request.

    Returns:
        Contents by a name that is safe as a file name; never the caller's own path.

    Raises:
        HTTPException: 415 another kind of body, 422 nothing in it.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _read_json(await request.body())
    if kind == "multipart/form-data":
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
            files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
            return name_files([(file.filename or "", await file.read()) for file in files])
    raise HTTPException(415, f"The body is {kind or 'of no told kind'}; send application/json or multipart/form-data.")


class BodyLimit:
    """Refuse a body that is too large: before it is read where its length is told, else as soon as it shows."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what it sends."""
        told = dict(scope.get("headers", [])).get(b"content-length", b"").decode("latin-1")
        seen = int(told) if told.isdigit() and int(told) > self._max_bytes else 0

        async def count() -> Message:
            nonlocal seen
            if seen <= self._max_bytes:
                message = await receive()
                seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise HTTPException(413, f"The body is larger than {self._max_bytes} bytes.")
            return message

        await self._app(scope, count, send)


def _read_json(body: bytes) -> dict[str, bytes]:
    try:
        evidence = TriageText.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise HTTPException(422, f"{where}: {first['msg']}.") from None
    return name_files([(evidence.name, evidence.text.encode("utf-8", "surrogatepass"))])


def name_files(files: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """Give each file a name of our own making that still tells a reader which it is.

    Raises:
        HTTPException: 422 where there is nothing to read.
    """
    named: dict[str, bytes] = {}
    for number, (name, content) in enumerate(files, 1):
        base = re.sub(r"[^A-Za-z0-9._-]+", "_", re.split(r"[/\\]", name)[-1]).strip("._")[-MAX_NAME_CHARACTERS:]
        clean = base or f"evidence-{number}.txt"
        named[clean if clean not in named else f"{number}-{clean}"] = content
    if not any(named.values()):
        raise HTTPException(422, "There is no evidence in the request.")
    return named


def render_metrics(counted: Metrics, settings: Settings) -> bytes:
    """The page with what was counted, and how the model endpoints stand now."""
    counted.observe_endpoints(list_states(settings), open_doors().list_standings())
    return counted.render()


@asynccontextmanager
async def stop_when_gone(request: Request) -> AsyncIterator[Stop]:
    """Listen whether the caller, whose body was read, goes away, and stop the questions to models then."""
    stop = Stop()

    async def listen() -> None:
        # Not `is_disconnected()`: behind a middleware it never hears of it.
        while (await request.receive())["type"] != "http.disconnect":
            pass
        stop.say(GONE)

    listening = asyncio.create_task(listen())
    try:
        yield stop
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


def triage_texts(
    evidence: Mapping[str, bytes],
    settings: Settings,
    record: Callable[[Run], None] | None = None,
    stop: Stop | None = None,
) -> TriageReport:
    """Triage texts as if they stood in a folder, which they do for as long as it takes."""
    with tempfile.TemporaryDirectory(prefix="daytwo-") as name:
        folder = Path(name)
        for label, content in evidence.items():
            (folder / label).write_bytes(content)
        request = TriageRequest(paths=(folder,), origin=tuple(evidence))
        try:
            limited = limit_unpacking(evidence, settings)
            return triage_request(request, limited, datetime.now(UTC), record=record, stop=stop)
        except OperatorError as error:
            # Where the texts stood meanwhile is nobody's business.
            raise OperatorError(error.message.replace(name, "the request"), fix=error.fix) from None


def limit_unpacking(evidence: Mapping[str, bytes], settings: Settings) -> Settings:
    """Settings under which a request cannot unpack to more than its share; what is cut is told in the coverage.

    The limit is one file's, so the files of a request divide it; nothing that is not packed is ever cut.
    """
    share = UNPACKED_PER_UPLOAD * settings.max_upload_bytes // max(1, len(evidence))
    largest = max(map(len, evidence.values()), default=0)
    return settings.model_copy(update={"max_input_bytes": min(settings.max_input_bytes, max(share, largest))})
