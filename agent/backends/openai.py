"""Any OpenAI-compatible endpoint in the seat, through the official client.

Every way in which an endpoint can fail becomes a `ModelError` at one seam, within the seconds that the caller gives:
the body is read under a deadline, so that a server that drips bytes cannot hold an investigation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionMessageParam

from agent.backend import Budget, EndpointKind, Hear, Message, Reply, is_private
from agent.backends.cutting import Connections
from agent.backends.reading import find_path_fix, read_pieces, read_reply
from agent.backends.wire import parse_limit, tells_overflow
from agent.bounds import SIZES
from agent.dialect import (
    DONE,
    FINISH_TOOL,
    count_tokens,
    drop_strict,
    fit_messages,
    list_forms,
    read_finish,
    read_text_calls,
    spell_as_text,
    spell_form,
)
from agent.profile import ModelProfile, load_profile
from agent.settings import Settings
from agent.stopping import Stop
from tools.errors import ModelDown, ModelError

MAX_BODY_BYTES = 4 * 1024**2
MAX_ANSWER_TOKENS = 1500
ATTEMPTS = 2
RETRY_SECONDS = 0.5
LATE_SECONDS = 0.1
"""How long after its time a question is cut off whose answer has not begun: a server may drip its head for ever."""
MAX_RETRY_AFTER_SECONDS = 5.0
SCRIPTED_PREFIX = "scripted"
UNPROVEN_WINDOW_TOKENS = 16_384
"""Window of a model that was never checked: eight steps fit (a guess); an error that names another is heeded."""
ANSWER_SHARE = 4
"""An answer gets at most a quarter of the window (a guess)."""
WRITING_SHARE = 0.8
"""Of the longest wait, what its words may take of a model whose speed is known (a guess)."""
LEAST_ANSWER_TOKENS = 200
FAIR_SHARE = 0.5
"""Of the longest wait: one that had less time than that and gave no answer is not known to be down (a guess)."""
CONCLUSION_ROOM = 1.2
"""How much longer than its bounds a conclusion may be where the server keeps none (a guess)."""
CHECK_FIX = "daytwo model check URL#NAME, which finds the window out"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
TOOLS_FIX = "vllm serve MODEL --enable-auto-tool-choice --tool-call-parser qwen3_coder"


class OpenAIBackend:
    """A model behind a chat completions endpoint.

    Args:
        url: Base URL, such as ``http://127.0.0.1:8000/v1``.
        name: Model name as the server knows it.
        key: API key; None sends ``none``, which local servers accept.
        timeout_seconds: Longest wait for one answer, retry included.
        profile: What a preflight proved of it; None asks in the common way, within a cautious window.
    """

    def __init__(
        self, url: str, name: str, key: str | None, timeout_seconds: float, profile: ModelProfile | None = None
    ) -> None:
        self._url = url
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._mode = profile.tool_mode if profile else "auto"
        self._strict = profile.strict if profile else True
        self._forms = list_forms(profile)
        self._size, self._conclusion_seconds = (
            (profile.conclusion_size, profile.conclusion_seconds) if profile else ("full", None)
        )
        self._tokens_per_second = profile.decode_tokens_per_second if profile else None
        self._streams = profile is None or profile.streams is not False
        self._streams_tools = profile is None or profile.streams_tools is not False
        self._window_tokens = (profile.window_tokens if profile else None) or UNPROVEN_WINDOW_TOKENS
        self._told_tools: Sequence[Mapping[str, Any]] = ()
        self.failure: ModelError | None = None
        """What the endpoint did wrong last; it may do so again."""
        self.connections = Connections()
        """Of this model alone, so that a question can be cut off."""
        self._note: Callable[[ModelError | None], None] = lambda _: None
        self._stop = Stop()
        self._client = openai.OpenAI(
            base_url=url,
            api_key=key or "none",
            max_retries=0,
            timeout=timeout_seconds,
            # A redirect would carry the whole conversation to an endpoint that nobody named.
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False, event_hooks={"request": [self.connections.follow]}
            ),
        )

    def report_to(self, note: Callable[[ModelError | None], None], stop: Stop) -> None:
        """Tell how each question went, None for an answer; where it was stopped nothing is told and nothing asked."""
        self._note, self._stop = note, stop

    @property
    def name(self) -> str:
        """How the model is called in verdicts."""
        return self._name

    @property
    def endpoint_kind(self) -> EndpointKind:
        """``scripted`` for a test double, ``local`` for a private address, else ``remote``."""
        if self._name.startswith(SCRIPTED_PREFIX):
            return "scripted"
        return "local" if is_private(urlsplit(self._url).hostname or "") else "remote"

    @property
    def window_tokens(self) -> int:
        """Longest prompt and answer together: what was proven, or a cautious guess."""
        return self._window_tokens

    def fit_budget(self, budget: Budget) -> Budget:
        """The budget with what is known of the model: its window, and how long a conclusion it writes in what time."""
        return replace(
            budget,
            window_tokens=self._window_tokens,
            bounds=SIZES[self._size],
            concluding_seconds=self._conclusion_seconds,
        )

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Go on with the investigation.

        Raises:
            ModelError: The endpoint refused, hung, or answered with something that is no answer.
        """
        return self._step(messages, tools, seconds, None)

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float, hear: Hear
    ) -> Reply:
        """As :meth:`step`, told piece by piece; without tools it is asked for words alone.

        A server that does not stream is heard all at once.

        Raises:
            ModelError: As for :meth:`step`.
        """
        deadline = time.monotonic() + seconds
        ask = partial(self._step, messages, tools) if tools else partial(self._ask, messages, {})
        if self._streams and (self._streams_tools or not tools):
            try:
                return ask(seconds, hear)
            except _StreamRefusedError:
                self._streams = False
        reply = ask(deadline - time.monotonic(), None)
        hear(reply.text)
        return reply

    def _step(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], seconds: float, hear: Hear | None
    ) -> Reply:
        self._told_tools = tools
        if self._mode in ("text", "none"):
            return read_text_calls(self._ask(messages, {}, seconds, hear), tools)
        offered: list[Mapping[str, Any]] = list(tools) if self._mode == "auto" else [*tools, FINISH_TOOL]
        if not self._strict:
            offered = list(drop_strict(offered))
        reply = self._ask(messages, {"tools": offered, "tool_choice": self._mode}, seconds, hear)
        # Where a call is demanded, an answer without one is an empty list: the model wants to say no more.
        empty = self._mode == "required" and not reply.calls and not reply.text
        return replace(reply, text=DONE) if empty else read_finish(reply)

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Ask for one JSON object under a schema; without it where the server does not know schemas.

        Raises:
            ModelError: As for :meth:`step`.
        """
        longest = max(self._timeout_seconds, self._conclusion_seconds or 0.0)
        deadline = time.monotonic() + min(seconds, longest)
        most = round(SIZES[self._size].tokens * CONCLUSION_ROOM) if self._tokens_per_second else MAX_ANSWER_TOKENS
        while True:
            forms = self._forms  # another thread may learn the same at the same time
            spelled = {"max_tokens": min(most, self._answer_tokens), **spell_form(forms[0], schema)}
            try:
                return self._ask(messages, spelled, deadline - time.monotonic(), longest=longest)
            except _SchemaRefusedError:
                self._forms = forms[1:]

    def _ask(
        self,
        messages: Sequence[Message],
        extra: Mapping[str, Any],
        seconds: float,
        hear: Hear | None = None,
        *,
        longest: float | None = None,
    ) -> Reply:
        patience = min(seconds, longest or self._timeout_seconds)
        extra = {**extra, **(STREAM if hear is not None else {})}
        try:
            reply = self._fit_and_try(messages, extra, time.monotonic() + patience, hear)
        except (_SchemaRefusedError, _StreamRefusedError):
            raise
        except ModelError as error:
            if self._stop.why:
                raise ModelError(self._stop.why, fix="") from None
            self.failure = error
            if not isinstance(error, _LateError) or patience >= self._timeout_seconds * FAIR_SHARE:
                self._note(error)
            raise
        self._note(None)
        return reply

    def _fit_and_try(
        self, messages: Sequence[Message], extra: Mapping[str, Any], deadline: float, hear: Hear | None
    ) -> Reply:
        try:
            return self._try(self._fit(messages, extra), extra, deadline, hear)
        except _OverflowError as error:
            if not error.limit_tokens or error.limit_tokens >= self._window_tokens:
                raise
            self._window_tokens = error.limit_tokens
            return self._try(self._fit(messages, extra), extra, deadline, hear)

    def _fit(self, messages: Sequence[Message], extra: Mapping[str, Any]) -> list[Message]:
        """The conversation in the words that the model takes, cut to its window."""
        offered = self._told_tools if self._mode in ("text", "none") else extra.get("tools", ())
        room = self._window_tokens - self._answer_tokens - count_tokens([{"content": json.dumps(list(offered))}])
        fitted = fit_messages(messages, room)
        return spell_as_text(fitted, self._told_tools) if self._mode in ("text", "none") else fitted

    @property
    def _answer_tokens(self) -> int:
        return min(MAX_ANSWER_TOKENS, self._window_tokens // ANSWER_SHARE)

    @property
    def _step_tokens(self) -> int:
        """What a model of known speed writes in time: an answer cut short can be mended, a late one not."""
        if not self._tokens_per_second:
            return MAX_ANSWER_TOKENS
        return max(round(self._tokens_per_second * self._timeout_seconds * WRITING_SHARE), LEAST_ANSWER_TOKENS)

    def _try(self, messages: Sequence[Message], extra: Mapping[str, Any], deadline: float, hear: Hear | None) -> Reply:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._post(messages, extra, deadline, hear)
            except openai.APIStatusError as error:
                wait = _find_wait(error)
                if attempt == ATTEMPTS or wait is None or time.monotonic() + wait > deadline:
                    raise _map_status(error, self._url, self._name, extra) from None
                time.sleep(wait)
            except (openai.OpenAIError, httpx2.HTTPError) as error:
                raise (self._late() if time.monotonic() >= deadline else self._map_error(error)) from None
        raise ModelError(f"The model at {self._url} gave no answer.", fix="daytwo doctor")

    def _post(self, messages: Sequence[Message], extra: Mapping[str, Any], deadline: float, hear: Hear | None) -> Reply:
        left = deadline - time.monotonic()
        if left <= 0 or self._stop.why:
            raise self._late()
        with (
            self.connections.limit(left + LATE_SECONDS),
            self._client.chat.completions.with_streaming_response.create(
                model=self._name,
                messages=cast("list[ChatCompletionMessageParam]", list(messages)),
                temperature=0,
                max_tokens=min(self._answer_tokens, self._step_tokens),
                timeout=left,
                extra_body=dict(extra),
            ) as response,
        ):
            chunks = self._until_late(response.iter_bytes(), deadline)
            if "event-stream" in response.headers.get("content-type", ""):
                return read_pieces(chunks, messages, self._url, hear)
            body = b"".join(chunks)
        reply = read_reply(body, messages, self._url)
        if hear is not None:
            hear(reply.text)
        return reply

    def _until_late(self, chunks: Iterator[bytes], deadline: float) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if time.monotonic() > deadline:
                raise self._late()
            if size > MAX_BODY_BYTES:
                raise ModelError(
                    f"The answer of {self._url} is larger than {MAX_BODY_BYTES} bytes.",
                    fix=f"curl {self._url}/models: this may be no model at all",
                )
            yield chunk

    def _late(self) -> ModelError:
        return _LateError(
            f"The model at {self._url} gave no whole answer in time.",
            fix="raise DAYTWO_MODEL_TIMEOUT_SECONDS, or look at the server's queue",
        )

    def _map_error(self, error: Exception) -> ModelError:
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            return self._late()
        if isinstance(error, openai.APIConnectionError):
            return ModelDown(f"Nothing answers at {self._url}.", fix=f"curl {self._url}/models")
        return ModelDown(
            f"The answer of {self._url} broke off ({type(error).__name__}).", fix="look at the server's log"
        )


class _LateError(ModelDown):
    """No whole answer in the time that it was given."""


class _SchemaRefusedError(ModelError):
    """The server does not take a JSON schema; the same question without one may work."""


class _StreamRefusedError(ModelError):
    """The server does not stream; the same question answered at once may work."""


class _OverflowError(ModelError):
    """The prompt is longer than the window; `limit_tokens` where the server says how long that is."""

    limit_tokens: int | None = None


def open_model(endpoint: tuple[str, str], settings: Settings) -> OpenAIBackend:
    """Open a model as the settings say, with the profile that `daytwo model check` kept of it.

    Args:
        endpoint: Base URL and name of the model.
        settings: Key, time-out and the data folder.
    """
    return open_endpoint(endpoint, settings.model_key.get_secret_value() if settings.model_key else None, settings)


def open_endpoint(endpoint: tuple[str, str], key: str | None, settings: Settings) -> OpenAIBackend:
    """Open a model with a key of its own; as :func:`open_model` else."""
    profile = load_profile(settings.data_dir, *endpoint)
    return OpenAIBackend(*endpoint, key, settings.model_timeout_seconds, profile)


def _find_wait(error: openai.APIStatusError) -> float | None:
    """Seconds to wait before a second try, None where a second try cannot help."""
    if error.status_code != 429 and error.status_code < 500:
        return None
    try:
        wait = float(error.response.headers.get("retry-after", RETRY_SECONDS))
    except ValueError:
        wait = RETRY_SECONDS
    return max(wait, 0.0) if wait <= MAX_RETRY_AFTER_SECONDS else None


def _map_status(error: openai.APIStatusError, url: str, name: str, extra: Mapping[str, Any]) -> ModelError:
    code = error.status_code
    said = " ".join(str(error.message).split())[:160].rstrip(".")
    lists = f"curl {url}/models shows the names that are served; {name} may not be one"
    # A server that knows the path but not the model says so; one that does not know the path speaks of no model.
    knows_path = "model" in said.lower()
    fixes = {
        401: "export DAYTWO_MODEL_KEY=KEY: the endpoint wants a key, or another one",
        403: "export DAYTWO_MODEL_KEY=KEY, of a key with the right to this model",
        404: lists if knows_path else find_path_fix(url),
        405: find_path_fix(url),
        429: "the endpoint limits requests: wait, or lower the load",
    }
    if 300 <= code < 400:
        return ModelError(f"{url} sends one elsewhere ({code}), where nothing was sent.", fix=find_path_fix(url))
    if code in (400, 413, 422, 500) and tells_overflow(str(error.message)):
        overflow = _OverflowError(f"{url} takes no prompt so long ({code}: {said}).", fix=CHECK_FIX)
        overflow.limit_tokens = parse_limit(f"{error.message} {error.body}")
        return overflow
    if code in (400, 422, 500, 501) and "stream" in extra and "stream" in said.lower():
        return _StreamRefusedError(f"{url} does not stream ({code}: {said}).", fix=CHECK_FIX)
    if code in (400, 422) and "response_format" in extra:
        return _SchemaRefusedError(f"{url} takes no JSON schema ({code}: {said}).", fix=TOOLS_FIX)
    if code in (400, 422) and "tool" in said.lower():
        return ModelError(f"{url} takes no tools ({code}: {said}).", fix=TOOLS_FIX)
    kind = ModelDown if code >= 500 else ModelError
    return kind(f"{url} answered {code}: {said}.", fix=fixes.get(code, "look at the server's log"))
