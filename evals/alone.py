"""A model alone: no rules, no tools, no policy, all faults in the prompt and the evidence as it lies there.

It is what a model brings by itself, beside what it brings in the seat: its answer is believed, and its fault's row in
the table is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.backend import Backend
from agent.faults import load_faults
from agent.policy import META_STATUS, STATUS_OF_SEVERITY
from agent.repair import match_name, parse_lenient_json
from agent.types import ModelUse, Subject, TriageReport, Usage, Verdict
from agent.verdicts import make_verdict_id
from prompts.render import render_prompt
from tools.clock import format_time

EVIDENCE_CHARACTERS = 9_000
"""Of the evidence, its beginning and its end: with the faults it fits a window of 8k (a guess)."""
ENTITY_CHARACTERS = 60
SECONDS = 600.0
UNREADABLE = "unknown"


def answer_alone(backend: Backend, paths: Sequence[Path], now: datetime) -> TriageReport:
    """Let a model answer by itself.

    Args:
        backend: The model.
        paths: Folders with the evidence.
        now: Time of the verdict.

    Raises:
        ModelError: It gives no answer.
    """
    faults = load_faults()
    told = [(fault.id, fault.what.partition(":")[0]) for fault in faults.values()]
    prompt = render_prompt("alone", evidence=_read_evidence(paths), faults=told)
    reply = backend.conclude([{"role": "user", "content": prompt}], build_form(list(faults)), seconds=SECONDS)
    fault, entity = read_answer(reply.text, list(faults))
    row = faults[fault]
    digest = hashlib.sha256(f"{fault} {entity}".encode()).hexdigest()[:12]
    kind = backend.endpoint_kind
    verdict = Verdict(
        verdict_id=make_verdict_id(now),
        case_id=f"c-{digest}",
        time=format_time(now.timestamp()),
        subject=Subject(entity=entity),
        status=META_STATUS.get(fault, STATUS_OF_SEVERITY[row.severity]),
        fault=fault,
        confidence="likely",
        severity=row.severity,
        action=row.action,
        urgency=row.urgency,
        follow_up=row.follow_up,
        summary=row.what,
        decided_by="model",
        model=None if kind == "rules" else ModelUse(name=backend.name, endpoint_kind=kind, prompt_hashes={}),
        usage=Usage(
            calls=1,
            tokens_in=reply.tokens_in,
            tokens_cached=reply.tokens_cached,
            tokens_out=reply.tokens_out,
            seconds=0.0,
        ),
    )
    return TriageReport(verdicts=[verdict], coverage=[])


def build_form(faults: Sequence[str]) -> dict[str, Any]:
    """The schema of the answer."""
    return {
        "type": "object",
        "properties": {
            "fault": {"type": "string", "enum": list(faults)},
            "entity": {"type": "string", "maxLength": ENTITY_CHARACTERS},
        },
        "required": ["fault", "entity"],
        "additionalProperties": False,
    }


def read_answer(text: str, faults: Sequence[str]) -> tuple[str, str]:
    """Fault and entity out of an answer; an answer that names no fault says that it does not know."""
    try:
        parsed = parse_lenient_json(text)
    except ValueError:
        return UNREADABLE, ""
    told = parsed if isinstance(parsed, dict) else {}
    return match_name(str(told.get("fault", "")), faults) or UNREADABLE, str(told.get("entity", ""))[:ENTITY_CHARACTERS]


def _read_evidence(paths: Sequence[Path]) -> str:
    """All files one after the other, each with its name; of too much the middle is left out."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    texts = [f"== {file.name}\n{file.read_text(encoding='utf-8', errors='replace')}" for file in files]
    text = "\n".join(texts)
    half = EVIDENCE_CHARACTERS // 2
    return text if len(text) <= EVIDENCE_CHARACTERS else f"{text[:half]}\n[…]\n{text[-half:]}"
