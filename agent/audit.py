"""The audit: rows that are only ever added, each sealed with the hash of the one before it.

A row's hash is SHA-256 over the hash before it and the row's own words, which are canonical JSON: keys sorted, no
blanks, UTF-8. Whoever changes, removes or slips in a row would have to write every later row anew; whoever does that,
or cuts the end off, is found by a head that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from agent.run import Run
from agent.types import Verdict

AuditKind = Literal[
    "decision", "investigation", "proposal", "would", "refusal", "approval", "rejection", "execution", "result",
    "expiry", "breaker",
]  # fmt: skip
FIRST_HASH = "0" * 64
ITSELF = "daytwo"
"""Who did it, where no person did."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written down.

    Attributes:
        data: JSON values only.
        who: Whose doing it was.
    """

    kind: AuditKind
    case_id: str
    data: Mapping[str, Any]
    who: str = ITSELF


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One row as it is kept; what stands beside the body is there to be searched, and is checked against it."""

    number: int
    time_seconds: float
    kind: str
    case_id: str
    body: str
    previous: str
    hash: str

    @property
    def words(self) -> dict[str, Any]:
        """The body, read."""
        words: dict[str, Any] = orjson.loads(self.body)
        return words


@dataclass(frozen=True, slots=True)
class Head:
    """How many rows there are, and the hash of the last; written as ``12:9f86d0…`` to be kept elsewhere."""

    number: int = 0
    hash: str = FIRST_HASH

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain is broken first, and how."""

    number: int
    why: str


def seal(previous: str, body: str) -> str:
    """Hash a row's words together with the hash before it."""
    return hashlib.sha256((previous + body).encode("utf-8")).hexdigest()


def chain_entry(entry: Entry, head: Head, now_seconds: float) -> AuditLine:
    """Build the row that follows a head."""
    words = {
        "number": head.number + 1,
        "time": now_seconds,
        "kind": entry.kind,
        "case_id": entry.case_id,
        "who": entry.who,
        "data": entry.data,
    }
    body = orjson.dumps(_encodable(words), option=orjson.OPT_SORT_KEYS).decode("utf-8")
    return AuditLine(
        head.number + 1, now_seconds, entry.kind, entry.case_id, body, head.hash, seal(head.hash, body)
    )  # fmt: skip


def _encodable(value: object) -> object:
    """The same without lone surrogates, which stand in names of files and in no UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_encodable(str(key)): _encodable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(one) for one in value]
    return value


def find_break(lines: Iterable[AuditLine], head: Head, *, kept: Head | None = None) -> Break | None:
    """Find the first row at which the chain is broken; None where it holds.

    Args:
        lines: All rows, by number.
        head: What the store says the last row is.
        kept: A head that was kept elsewhere, whose row must be in the chain; its number is 0 where only the hash is
            known.
    """
    last = Head()
    is_kept_found = kept is None or kept.hash == FIRST_HASH
    for line in lines:
        why = _find_fault(line, last)
        if why:
            return Break(last.number + 1, why)
        last = Head(line.number, line.hash)
        is_kept_found = is_kept_found or (kept is not None and kept.hash == line.hash)
        if kept is not None and kept.number == line.number and not is_kept_found:
            return Break(line.number, "it is not the row of which you kept the head: the log was written anew")
    if last != head:
        if last.number < head.number:
            return Break(last.number + 1, f"it is missing, with all behind it: the head tells of {head.number} rows")
        return Break(max(head.number, 1), "the head is not that of the last row")
    if not is_kept_found and kept is not None:
        first = kept.number if kept.number > last.number else last.number + 1
        return Break(first, "the row of which you kept the head is gone: the end was cut off, or the log written anew")
    return None


def _find_fault(line: AuditLine, last: Head) -> str:
    if line.number != last.number + 1:
        return "it is missing"
    if line.previous != last.hash:
        return "it does not follow the row before it"
    if seal(line.previous, line.body) != line.hash:
        return "its words are not those that were sealed"
    words = line.words
    beside = (line.number, line.time_seconds, line.kind, line.case_id)
    if beside != (words.get("number"), words.get("time"), words.get("kind"), words.get("case_id")):
        return "its columns are not those that were sealed"
    return ""


def audit_verdict(verdict: Verdict) -> Entry:
    """Write a decision down: what was decided by whom, on which evidence, with which claims.

    Evidence is named by its place and the hash of its words: the words themselves stand in the verdict.
    """
    return Entry(
        "decision",
        verdict.case_id,
        {
            "verdict_id": verdict.verdict_id,
            "subject": verdict.subject.entity,
            "status": verdict.status,
            "fault": verdict.fault,
            "confidence": verdict.confidence,
            "severity": verdict.severity,
            "action": verdict.action,
            "urgency": verdict.urgency,
            "decided_by": verdict.decided_by,
            "reason": verdict.reason,
            "evidence": [{"id": row.id, "source": row.source, "hash": _hash(row.quote)} for row in verdict.evidence],
            "claims": [claim.model_dump(mode="json") for claim in verdict.claims],
            "model": verdict.model.model_dump(mode="json") if verdict.model else None,
        },
    )


def audit_run(run: Run) -> Entry:
    """Write an investigation down: the hash of each prompt, each call of a tool, and why it was not followed."""
    steps = [
        {"kind": step.kind, "name": step.name, "arguments": step.arguments, "result": step.result_hash}
        for step in run.steps
    ]
    return Entry(
        "investigation",
        run.case_id,
        {
            "run_id": run.run_id,
            "verdict_id": run.verdict_id,
            "backend": run.backend,
            "prompts": dict(run.prompt_hashes),
            "steps": steps,
            "tools": dict(run.tool_counts),
            "rejected": run.rejected,
        },
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
