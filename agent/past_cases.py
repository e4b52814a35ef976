"""Earlier verdicts as plain data for the tools: what a history knows, and where else the same was seen."""

from __future__ import annotations

from collections.abc import Iterable

from agent.history import Past, Record, find_end, is_sticky, spell_host, spell_time
from agent.types import Verdict
from tools.entities import parse_entity
from tools.past import PastCase, PastState
from tools.types import Facts

MAX_VERDICTS = 200
"""Of other machines, the newest: what is older is rarely the same machine park (a guess)."""


def build_past_cases(past: Past, verdicts: Iterable[Verdict], facts: Facts) -> tuple[PastCase, ...]:
    """Build what tools tell of the past.

    Args:
        past: The records of the machines that the facts speak of and of their neighbours.
        verdicts: Of any machine, newest first; those of machines with records are left to the records.
        facts: The present evidence: what it tells itself is no past.
    """
    present = {event.quote.text[:300] for event in facts.events}
    told = [record for record in past.records if record.kind == "fault" and record.text not in present]
    hosts = {spell_host(record.entity.node or record.entity.name) for record in past.records}
    elsewhere = (_read_verdict(verdict, hosts) for verdict in verdicts)
    return (*(_read_record(past, record) for record in told), *(case for case in elsewhere if case is not None))


def _read_record(past: Past, record: Record) -> PastCase:
    end = find_end(past, record)
    state: PastState = "ended" if end else "open" if is_sticky(record) else "not_told"
    return PastCase(
        entity=record.entity,
        fault=record.fault,
        seconds=record.at_seconds,
        confidence=record.confidence,
        action=record.action,
        state=state,
        ended_by=_spell_end(end) if end else "",
        sign=record.text,
        case_id=record.case_id,
    )


def _spell_end(end: Record) -> str:
    why = f": {end.why}" if end.why else ""
    return f"a {end.kind} at {spell_time(end.at_seconds)}{why}"


def _read_verdict(verdict: Verdict, hosts: set[str]) -> PastCase | None:
    entity = parse_entity(verdict.subject.entity)
    # What only a model named is no experience.
    if entity is None or verdict.decided_by == "model" or not verdict.evidence:
        return None
    if spell_host(entity.node or entity.name) in hosts:
        return None
    return PastCase(
        entity=entity,
        fault=verdict.fault,
        confidence=verdict.confidence,
        action=verdict.action,
        sign=verdict.evidence[0].quote[:300],
        case_id=verdict.case_id,
    )
