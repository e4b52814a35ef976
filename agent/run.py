"""The record of one investigation, step by step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.backend import Message, Reply
from agent.types import Usage

HEAD_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was asked, a hash and the head of what came back, and how long it took.

    Attributes:
        kind: ``brief``, ``model``, ``tool``, ``conclude`` or ``ground``.
        name: Tool or prompt name.
        arguments: JSON text of the arguments of a tool; empty otherwise.
    """

    kind: Literal["brief", "model", "tool", "conclude", "ground"]
    name: str
    arguments: str
    result_hash: str
    result_head: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One investigation: everything that led to a verdict, for replay and audit.

    Attributes:
        role: Which model's part it was: ``triage``, or ``root_cause`` for a second opinion.
        repairs: Kind of plumbing repair to how often it was needed.
        tool_counts: ``calls``, ``repeated``, ``unknown``, ``invalid``, ``empty``, ``not_read``.
        rejected: Why the model's opinion was not used; empty where it was.
        check_next: What the model would read next: for people, never acted on.
        messages: The whole conversation, as it was held on this machine.
        replies: Every answer of the model as it came, in order: with them the investigation can be held again.
    """

    run_id: str
    case_id: str
    verdict_id: str
    backend: str
    steps: tuple[Step, ...]
    prompt_hashes: Mapping[str, str]
    usage: Usage
    repairs: Mapping[str, int] = field(default_factory=dict)
    tool_counts: Mapping[str, int] = field(default_factory=dict)
    rejected: str = ""
    check_next: str = ""
    messages: tuple[Message, ...] = ()
    replies: tuple[Reply, ...] = ()
    role: str = "triage"


def build_step(
    kind: Literal["brief", "model", "tool", "conclude", "ground"],
    name: str,
    result: str,
    *,
    seconds: float,
    arguments: str = "",
) -> Step:
    """Record a step with the SHA-256 (16 hex digits) and the head of its result."""
    digest = hashlib.sha256(result.encode("utf-8", "replace")).hexdigest()[:16]
    return Step(kind, name, arguments, digest, result[:HEAD_CHARACTERS], round(seconds, 4))
