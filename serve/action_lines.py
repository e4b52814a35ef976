"""Proposals, gates and the audit for people: a line or two each, with the one line to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.audit import AuditLine
from agent.gates import GATES
from agent.history import spell_time
from agent.proposals import Proposal, Stop, spell_answer

if TYPE_CHECKING:
    from serve.acting import Told

COLOURS = {
    "open": "bold yellow", "running": "bold yellow", "done": "green", "handed_over": "green", "failed": "bold red",
    "rejected": "dim", "expired": "dim", "would": "cyan",
}  # fmt: skip
_ALONE = frozenset(gate.name for gate in GATES if gate.shuts == "acting alone")
SAID = ("proposal_id", "subject", "fault", "confidence", "action", "target", "decided_by", "state", "outcome", "why")
"""What a row of the audit says in one line, as far as it is there."""
LONGEST = 160


def render_told(told: Sequence[Told]) -> Group:
    """Render what became of each step that a triage calls for."""
    parts: list[RenderableType] = [Text("Actions", "bold")]
    for one in told:
        wanted = one.judged.wanted
        parts.append(Padding(Text.assemble((f"{wanted.action}  ", "bold"), wanted.target), (0, 0, 0, 2)))
        parts.append(Padding(Text(spell_fate(one)), (0, 0, 0, 4)))
        if wanted.precondition and spell_line(one):
            parts.append(Padding(Text(f"needs that {wanted.precondition}", "yellow"), (0, 0, 0, 4)))
        if line := spell_line(one):
            parts.append(Padding(Text(line, "cyan", no_wrap=True, overflow="ignore"), (0, 0, 0, 4)))
    return Group(*parts)


def spell_told(told: Told) -> str:
    """The same in one line."""
    wanted, line = told.judged.wanted, spell_line(told)
    return f"{wanted.action} of {wanted.target}: {spell_fate(told)}" + (f". Next: {line}" if line else "")


def spell_fate(told: Told) -> str:
    """Say what became of a step."""
    judged = told.judged
    if told.outcome is not None:
        return f"{told.outcome.state.replace('_', ' ')}: {told.outcome.words}"
    if judged.is_refused:
        return f"not proposed: {_spell_stops(judged.stops)}"
    if judged.proposal is not None and judged.proposal.state == "would":
        return f"shadow: {spell_would(judged.stops)}"
    why = told.problem or _spell_stops(judged.stops)
    until = f" until {spell_time(judged.proposal.expires_seconds)}" if judged.proposal else ""
    return f"waits for your word{until}" + (f": {why}" if why else "")


def spell_would(stops: Sequence[Stop]) -> str:
    """Say what would have become of a step without shadow mode."""
    others = [stop for stop in stops if stop.gate != "shadow"]
    if not others:
        return "would have been done"
    said = "would have waited for a person's word" if others[0].gate in _ALONE else "would have been held back"
    return f"{said}: {_spell_stops(others)}"


def spell_line(told: Told) -> str:
    """The one line to type; empty where there is none."""
    proposal = told.judged.proposal
    if proposal is None or told.outcome is not None or proposal.state != "open":
        return ""
    return spell_answer(proposal)


def _spell_stops(stops: Sequence[Stop]) -> str:
    if not stops:
        return ""
    more = f", and {', '.join(stop.gate for stop in stops[1:])}" if stops[1:] else ""
    return f"{stops[0].why} ({stops[0].gate}{more})"


def render_proposals(proposals: Sequence[Proposal], now_seconds: float) -> Group:
    """Render proposals, newest first: what, where, since when, and the line to type."""
    parts: list[RenderableType] = []
    for one in proposals:
        state = one.state_at(now_seconds)
        head = Text.assemble(
            (f"{one.proposal_id}  ", "bold"), (f"{state.replace('_', ' '):11}", COLOURS[state]),
            f"{one.wanted.action}  {one.wanted.target}  ", (f"{one.wanted.fault}  {one.wanted.case_id}", "dim"),
        )  # fmt: skip
        parts.append(head)
        parts += [Padding(Text(words), (0, 0, 0, 4)) for words in _describe(one, now_seconds)]
        if state == "open":
            parts.append(Padding(Text(spell_answer(one), "cyan", no_wrap=True, overflow="ignore"), (0, 0, 0, 4)))
    return Group(*parts)


def _describe(proposal: Proposal, now_seconds: float) -> list[str]:
    lines = [f"made {spell_time(proposal.created_seconds)}, by {proposal.executor}"]
    if proposal.state_at(now_seconds) == "open":
        lines[0] += f", open until {spell_time(proposal.expires_seconds)}"
        if proposal.stops:
            lines.append(f"not done at once: {_spell_stops(proposal.stops)}")
    if proposal.state == "would":
        lines.append(spell_would(proposal.stops))
    if proposal.wanted.precondition:
        lines.append(f"needs that {proposal.wanted.precondition}")
    lines += [f"approved by {one.who}: {one.why}" for one in proposal.approvals]
    if proposal.rejection is not None:
        lines.append(f"rejected by {proposal.rejection.who}: {proposal.rejection.why}")
    if proposal.state == "running" and proposal.started_seconds is not None:
        lines.append(f"begun {spell_time(proposal.started_seconds)}; its end was not told")
    if proposal.ended_seconds is not None:
        lines.append(f"{spell_time(proposal.ended_seconds)}: {proposal.outcome}")
    return lines


def render_audit(lines: Sequence[AuditLine]) -> Table:
    """Render rows of the audit in a line each."""
    table = Table.grid(padding=(0, 2))
    for _ in range(5):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        words = line.words
        table.add_row(
            Text(str(line.number), "dim"),
            Text(spell_time(line.time_seconds)),
            Text(line.kind, "bold"),
            Text(str(words.get("who", ""))),
            Text(line.case_id, "dim"),
            Text(_spell_data(words.get("data", {}))),
        )
    return table


def _spell_data(data: Mapping[str, Any]) -> str:
    """What a row says, in one line: the words that are there of those that matter."""
    names = (
        "proposal_id",
        "subject",
        "fault",
        "confidence",
        "action",
        "target",
        "decided_by",
        "state",
        "outcome",
        "why",
    )
    said = [str(data[name]) for name in names if data.get(name)]
    answer = data.get("answer") or {}
    said += [f"“{answer['why']}”"] if answer.get("why") else []
    said += [f"{len(data['steps'])} steps of {data.get('backend', '')}"] if data.get("steps") else []
    said += [f"{stop['gate']}: {stop['why']}" for stop in data.get("stops") or []][:1]
    text = "  ".join(said)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
