"""The rules' own policy in the model's seat: the same loop with no model, deterministic and free."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent.backend import EndpointKind, Message, Reply, ToolCall

_SUBJECT = re.compile(r"^Subject: (.+)$", re.MULTILINE)
_FAULT = re.compile(r"^Rules hold: (\w+)", re.MULTILINE)
_ROW = re.compile(r"^\[(e\d+)\] (?:[^|\n]+ \| ){3}(.+)$", re.MULTILINE)
QUOTED_CHARACTERS = 120
MAX_CLAIMS = 3


class RulesBackend:
    """Reads the brief as a model would, asks three fixed questions, and holds what the rules hold."""

    name = "rules"
    endpoint_kind: EndpointKind = "rules"

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Ask the next of the fixed questions: the subject's events, the coverage, the runbook."""
        brief = str(messages[1]["content"])
        subject, fault = _find(_SUBJECT, brief), _find(_FAULT, brief)
        questions: list[tuple[str, dict[str, Any]]] = [
            ("read_events", {"entity": subject, "code": "", "around": "", "limit": 20}),
            ("read_coverage", {}),
            ("search_runbooks", {"query": fault.replace("_", " ")}),
        ]
        asked = sum(1 for message in messages if message["role"] == "tool")
        if asked >= len(questions):
            return Reply(text="done")
        name, arguments = questions[asked]
        return Reply(calls=(ToolCall(f"rules-{asked}", name, json.dumps(arguments)),), finish_reason="tool_calls")

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Conclude with the rules' fault, and claims that quote the evidence of the brief."""
        brief = str(messages[1]["content"])
        claims = [
            {"text": f'The evidence reads "{_shorten(text)}".', "evidence": [handle]}
            for handle, text in _ROW.findall(brief)[:MAX_CLAIMS]
        ]
        conclusion = {
            "fault": _find(_FAULT, brief) or "unknown",
            "summary": "",
            "claims": claims,
            "alternatives": [],
            "check_next": "",
        }
        return Reply(text=json.dumps(conclusion))


def _find(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1].strip() if match else ""


def _shorten(text: str) -> str:
    # Double quotes inside would end the quotation early.
    return text.partition("…")[0].partition('"')[0].strip()[:QUOTED_CHARACTERS]
