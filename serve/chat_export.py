"""A conversation or an answer as a document: Markdown for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.desk import Desk
from agent.dialogue import Turn
from agent.sentences import build_claim
from serve.chat_screen import spell_usage
from serve.chat_sessions import Session
from tools.evidence import Evidence


def describe_turn(turn: Turn, desk: Desk) -> dict[str, Any]:
    """An answer as one ``daytwo.answer/1`` object: what stands, every claim, the evidence of these, what it used."""
    claims = [build_claim(one) for one in turn.sentences if one.standing != "plain"]
    return {
        "schema": "daytwo.answer/1",
        "question": turn.question,
        "answer": turn.text,
        "answered": turn.answered,
        "decided_by": turn.decided_by,
        "model": turn.model or None,
        "reason": turn.failure or ("stopped" if turn.stopped else None),
        "claims": [one.model_dump(mode="json") for one in claims],
        "evidence": [_describe(one) for one in find_cited(turn, desk)],
        "usage": turn.usage.model_dump(mode="json") if turn.usage.calls else None,
    }


def find_cited(turn: Turn, desk: Desk) -> list[Evidence]:
    """The evidence that an answer cites, in the order of its sentences."""
    handles = dict.fromkeys(handle for one in turn.sentences for handle in one.evidence)
    return [one for one in map(desk.book.find, handles) if one is not None]


def spell_session(session: Session, desk: Desk, *, as_json: bool) -> str:
    """A whole conversation as text."""
    if as_json:
        document = {
            "schema": "daytwo.chat/1",
            "id": session.session_id,
            "started": session.started.isoformat(),
            "origin": desk.origin,
            "cases": [one.model_dump(mode="json", by_alias=True) for one in desk.verdicts],
            "turns": [describe_turn(turn, desk) for turn in session.turns],
        }
        return json.dumps(document, indent=2) + "\n"
    lines = [f"# {session.title or 'Conversation'}", "", f"{session.started:%Y-%m-%d %H:%M}, {desk.origin}", ""]
    lines += [f"- {one.severity}: {one.fault} on {one.subject.entity}, do {one.action}" for one in desk.verdicts]
    for turn in session.turns:
        lines += ["", f"## {turn.question}", "", *_spell_sentences(turn), "", *_spell_evidence(find_cited(turn, desk))]
        lines += [f"*{turn.model or 'rules'}: {spell_usage(turn.usage)}*" if turn.usage.calls else "*by rules*"]
    return "\n".join(lines) + "\n"


def _spell_sentences(turn: Turn) -> list[str]:
    return [
        f"~~{one.text}~~ (struck out: {one.why})  " if one.standing == "struck" else f"{one.text}  "
        for one in turn.sentences
    ]


def _spell_evidence(rows: Sequence[Evidence]) -> list[str]:
    if not rows:
        return []
    return [line for one in rows for line in (f"    {one.id} {one.source}", f"    {_flat(one)}")] + [""]


def _flat(evidence: Evidence) -> str:
    return " / ".join(evidence.quote.splitlines())


def _describe(evidence: Evidence) -> Mapping[str, Any]:
    return {
        "id": evidence.id,
        "source": evidence.source,
        "span": evidence.span,
        "quote": evidence.quote,
        "values": dict(evidence.values) or None,
    }
