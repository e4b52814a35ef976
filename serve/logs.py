"""Structured logs of the server: one JSON object a line on standard error, or words where a person sits there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

from tools.harmless import neutralise, redact_url

LogFormat = Literal["json", "text"]


def start_logs(form: LogFormat) -> None:
    """Set up the logs of this process."""
    draw: Any = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _make_harmless,
            draw,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def open_log() -> Any:  # noqa: ANN401 (structlog's own type is as wide)
    """The log of the server."""
    return structlog.stdlib.get_logger("daytwo")


def _make_harmless(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Names of files and callers are foreign text, and an address may hold a password."""
    return {key: neutralise(redact_url(value)) if isinstance(value, str) else value for key, value in event.items()}
