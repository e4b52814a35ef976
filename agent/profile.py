"""What a preflight proved of a model endpoint: kept as a file, and obeyed by the agent."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.bounds import Size
from tools.errors import SiteConfigError
from tools.harmless import redact_url

FOLDER = "models"
ToolMode = Literal["auto", "required", "text", "none"]
Fitness = Literal["fit", "fit with repair", "not fit"]
Overflow = Literal["error", "truncates", "not reached", "unknown"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Tries(_Frozen):
    """How one way of asking went.

    Attributes:
        clean: Answers in the right form as they came.
        repaired: Answers that the plumbing repair put right.
        leaked: Answers with the markup of a call in their text.
        prose: Answers with words beside the call.
        right: Answers that called the tool that was asked for.
        failed: Requests without an answer; `error` tells the first reason.
        calls: Most calls in one answer.
    """

    tries: int = 0
    clean: int = 0
    repaired: int = 0
    leaked: int = 0
    prose: int = 0
    right: int = 0
    failed: int = 0
    calls: int = 0
    error: str = ""

    @property
    def usable(self) -> int:
        """Answers that can be worked with, repaired ones too."""
        return self.clean + self.repaired

    @property
    def lost(self) -> int:
        """Leaks that repair did not put right."""
        return max(self.leaked - self.repaired, 0)


class WindowProof(_Frozen):
    """How long a prompt may be: what was proven, what the server claims, and what it does beyond.

    Attributes:
        proven_tokens: Longest prompt that arrived whole; None where none did provably.
        limit_tokens: The window that the server's error named.
        how: ``usage`` (the server counted the tokens) or ``echo`` (the model repeated a word from the beginning).
        note: Why no more was tried.
    """

    proven_tokens: int | None = None
    claimed_tokens: int | None = None
    limit_tokens: int | None = None
    how: Literal["usage", "echo", "none"] = "none"
    overflow: Overflow = "unknown"
    overflow_status: int | None = None
    overflow_message: str = ""
    note: str = ""


class Speed(_Frozen):
    """So many at once: seconds to the first token (median), tokens a second in all, and how many failed."""

    in_flight: int
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    failed: int = 0


class ModelProfile(_Frozen):
    """One endpoint and model, as a preflight found them.

    Attributes:
        bounded: The server keeps lengths of strings and lists in a JSON schema.
        conclusion_size: The longest conclusion that the model writes in time, and `conclusion_seconds` how long that
            takes at its own speed; None where no speed was measured.
    """

    schema_: Literal["daytwo.model-profile/1"] = Field(default="daytwo.model-profile/1", alias="schema")
    url: str
    name: str
    date: datetime
    engine: str = ""
    engine_version: str = ""
    flags: tuple[str, ...] = ()
    fitness: Fitness
    reasons: tuple[str, ...] = ()
    # What the agent obeys.
    tool_mode: ToolMode = "auto"
    strict: bool = True
    json_schema: bool = True
    bounded: bool = True
    conclusion_size: Size = "full"
    conclusion_seconds: float | None = None
    window_tokens: int | None = None
    concurrency: int = 1
    # What it rests on.
    tools: dict[str, Tries] = Field(default_factory=dict)
    conclusions: Tries = Tries()
    window: WindowProof = WindowProof()
    streams: bool | None = None
    streams_tools: bool | None = None
    tells_usage: bool = False
    tells_cached: bool = False
    seed: Literal["repeats", "differs", "unknown"] = "unknown"
    prefix_fresh_seconds: float | None = None
    prefix_again_seconds: float | None = None
    speed: tuple[Speed, ...] = ()
    wrong_name_status: int | None = None
    wrong_name_message: str = ""
    seconds: float = 0.0

    @property
    def decode_tokens_per_second(self) -> float | None:
        """How fast it writes alone; None where that was not measured."""
        return self.speed[0].tokens_per_second if self.speed else None


def place_profile(data_dir: Path, url: str, name: str) -> Path:
    """Where the profile of an endpoint and model is kept: a hash of the endpoint, and the name."""
    digest = hashlib.sha256(redact_url(url).rstrip("/").encode()).hexdigest()[:12]
    return data_dir / FOLDER / f"{digest}-{re.sub(r'[^A-Za-z0-9._-]+', '_', name)[:80]}.json"


def save_profile(profile: ModelProfile, path: Path) -> None:
    """Write a profile, whole or not at all.

    Raises:
        SiteConfigError: The place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(profile.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise SiteConfigError(f"The profile cannot be kept at {path}: {error.strerror}.", fix="--out FILE") from None


def load_profile(data_dir: Path, url: str, name: str) -> ModelProfile | None:
    """Read what a preflight kept; None where there was none, or where what it kept is of another edition."""
    try:
        text = place_profile(data_dir, url, name).read_text(encoding="utf-8")
        profile = ModelProfile.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    return profile if profile.name == name else None
