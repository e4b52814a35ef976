"""What the present evidence tells that is worth remembering: faults, boots, resets, returns, as records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agent.faults import load_faults
from agent.history import HOUR_SECONDS, RETURNS, Did, Kind, OpenState, Record, is_same, spell_host
from agent.policy import decide
from agent.types import Case, CoverageRow, Verdict
from tools.entities import same_node
from tools.types import Entity, Event, Facts, Finding, Moment, Quote


@dataclass(frozen=True, slots=True)
class Boot:
    """The present boot of a live machine: its id, and when it began in Unix seconds."""

    host: str
    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """When the evidence was read, in Unix seconds, and of which boot it is where that is known."""

    seconds: float
    boot: Boot | None = None


CURE_CODES: dict[str, Kind] = {"kernel:boot": "boot", "gpu:reset": "reset"}
STRETCH_SECONDS = HOUR_SECONDS
"""Signs of one fault nearer than this, with no boot or reset between them, are one record: a storm is not a history."""
MAX_TEXT = 300
MAX_MENTIONED = 3


def find_hosts(facts: Facts) -> list[str]:
    """Names under which the history of what the facts speak of is kept; `localhost` and the like have none."""
    nodes = {event.node for event in facts.events}
    nodes |= {entity.node or entity.name for entity in facts.entities if entity.kind == "node"}
    nodes |= {entity.node for entity in facts.entities}
    nodes |= {entity.node for window in facts.windows for entity in window.entities}
    if facts.subject is not None:
        nodes.add(facts.subject.node)
    return sorted({spell_host(node) for node in nodes} - {""})


def read_happenings(cases: Iterable[Case], facts: Facts, reading: Reading) -> list[Record]:
    """Build the records of one reading: what cures, and each stretch of each case's own fault.

    Args:
        cases: As judged, without history.
        facts: Where boots, resets and returns are read.
        reading: When it was read, for what tells no wall time.
    """
    cures = list(_read_cures(facts, reading))
    if reading.boot is not None:
        cures.append(_record_boot(reading.boot, reading))
    faults = [record for case in cases for record in _read_stretches(case, cures, reading)]
    return sorted([*cures, *faults], key=lambda record: record.order)


def _read_cures(facts: Facts, reading: Reading) -> Iterable[Record]:
    returns: dict[tuple[str, str], Record] = {}
    for event in facts.events:
        # What a user can write into the log ends nothing; the present boot has a record of its own.
        if event.writer == "user" or (event.code == "kernel:boot" and _is_of_this_boot(event, reading)):
            continue
        if event.code in CURE_CODES:
            yield _record(CURE_CODES[event.code], event.entity, event.moment, event.quote, reading)
        elif event.code in RETURNS.values():
            record = _record("return", event.entity, event.moment, event.quote, reading)
            returns[event.code, str(event.entity)] = replace(record, text=event.code)
    yield from returns.values()


def _read_stretches(case: Case, cures: Sequence[Record], reading: Reading) -> list[Record]:
    primary = case.primary
    if load_faults()[primary.fault].scope == "meta" or not primary.quotes:
        return []
    if not primary.events:
        return [_record_finding(case, primary.findings[0], reading)]
    ends = [cure.order for cure in cures if cure.kind != "return" and _is_on(cure.entity, primary.entity)]
    stretches: list[Record] = []
    for record in sorted((_record_event(case, e, reading) for e in primary.events), key=lambda r: r.order):
        last = stretches[-1] if stretches else None
        if last and _is_near(last, record) and not any(last.order < end < record.order for end in ends):
            stretches[-1] = replace(last, until_seconds=record.at_seconds)
        else:
            stretches.append(record)
    return stretches


def _is_near(last: Record, record: Record) -> bool:
    return record.at_seconds - last.until_seconds <= STRETCH_SECONDS


def _is_on(cure: Entity, entity: Entity) -> bool:
    return same_node(cure.node, entity.node) if cure.kind == "node" else is_same(cure, entity)


def _record_event(case: Case, event: Event, reading: Reading) -> Record:
    record = _record("fault", case.primary.entity, event.moment, event.quote, reading, fault=case.primary.fault)
    return _of_case(record, case)


def _record_finding(case: Case, finding: Finding, reading: Reading) -> Record:
    # A reading that is taken again and again says the same in other figures: one record an hour is enough.
    hour = f"{_wall(finding.start) or 0.0:.0f}"[:-3] if finding.start.clock == "utc" else ""
    quote = replace(finding.quotes[0], text=hour) if hour and finding.quotes else None
    shown = finding.quotes[0] if finding.quotes else Quote(finding.detector, None, finding.note)
    record = _record("fault", case.primary.entity, finding.start, quote or shown, reading, fault=case.primary.fault)
    end = _wall(finding.end) or record.at_seconds
    return replace(_of_case(record, case), until_seconds=max(end, record.at_seconds), text=shown.text[:MAX_TEXT])


def _of_case(record: Record, case: Case) -> Record:
    return replace(record, case_id=case.case_id, confidence=case.confidence)


def _record(kind: Kind, entity: Entity, moment: Moment, quote: Quote, reading: Reading, *, fault: str = "") -> Record:
    told = _place_in_time(entity, moment, reading)
    at = reading.seconds if told is None else told
    clock = "none" if told is None else "utc" if moment.clock == "boot" else moment.clock
    # Two boots of one kernel begin with the same line.
    text = f"{reading.boot.id} {quote.text}" if reading.boot and moment.clock == "boot" and told else quote.text
    return Record(
        key=name_record(kind, entity, moment, text, fault=fault),
        kind=kind,
        entity=entity,
        at_seconds=at,
        seen_seconds=reading.seconds,
        until_seconds=at,
        clock=clock,
        position=quote.line or 0,
        fault=fault,
        place=quote.place,
        text=quote.text[:MAX_TEXT],
    )


def _place_in_time(entity: Entity, moment: Moment, reading: Reading) -> float | None:
    boot = reading.boot
    if moment.clock == "boot" and boot is not None and moment.seconds is not None:
        return boot.seconds + moment.seconds if spell_host(entity.node) == spell_host(boot.host) else None
    return _wall(moment)


def _is_of_this_boot(event: Event, reading: Reading) -> bool:
    return reading.boot is not None and event.moment.clock == "boot" and event.node == reading.boot.host


def _record_boot(boot: Boot, reading: Reading) -> Record:
    node = Entity("node", boot.host)
    quote = Quote("/proc/stat", None, f"boot {boot.id}")
    return replace(_record("boot", node, Moment("utc", boot.seconds, year_known=False), quote, reading), position=-1)


def _wall(moment: Moment) -> float | None:
    return moment.seconds if moment.clock in ("utc", "local") else None


def name_record(kind: Kind, entity: Entity, moment: Moment, text: str, *, fault: str = "") -> str:
    """Derive the key of a record from what was told, and not from the file or the line number where it stands.

    A guessed year is no part of it: it would be another one next year.
    """
    subject = entity.id_map.get("uuid") or entity.id_map.get("pci") or entity.name
    when = f"{moment.seconds:.3f}" if _wall(moment) is not None and moment.year_known else ""
    words = "|".join((kind, entity.kind, spell_host(entity.node), subject, fault, when, text.strip()))
    return "h-" + hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:24]


def judge_records(records: Iterable[Record], verdicts: Iterable[Verdict]) -> list[Record]:
    """Add to fault records what the verdict on their case decided; what only a model named is not remembered as its."""
    decided = {verdict.case_id: verdict for verdict in verdicts if verdict.decided_by != "model"}
    judged = []
    for record in records:
        verdict = decided.get(record.case_id)
        if record.kind != "fault":
            judged.append(record)
        elif verdict is not None:
            judged.append(replace(record, severity=verdict.severity, action=verdict.action))
    return judged


def build_clear(entity: Entity, *, who: str, why: str, did: Did, now_seconds: float) -> Record:
    """Build the record of a person's clear: who did it, why, and what was done to the machine."""
    quote = Quote("daytwo clear", None, f"{who} {why}")
    record = _record("clear", entity, Moment("utc", now_seconds), quote, Reading(now_seconds))
    return replace(record, who=who, why=why, did=did)


def cover_open(states: Iterable[OpenState]) -> list[CoverageRow]:
    """Say in the coverage what is open from before: read, and with the command that ends it."""
    return [
        CoverageRow(entity=str(s.entity), domain="history", status="read", reason=str(s), fix=s.clear_command)
        for s in states
    ]


def mention_open(cases: Sequence[Case], states: Sequence[OpenState]) -> tuple[Case, ...]:
    """Let a first case that is no trouble name what is still open, so that it is not taken for the all-clear."""
    first = cases[0]
    quiet = load_faults()[first.primary.fault].scope == "meta" or decide(first).severity in ("ok", "info")
    if not states or not quiet:
        return tuple(cases)
    words = [f"{state}; once repaired: {state.clear_command}." for state in states[:MAX_MENTIONED]]
    if len(states) > MAX_MENTIONED:
        words.append(f"{len(states) - MAX_MENTIONED} more are open.")
    return (replace(first, history=(*first.history, *words)), *cases[1:])


def find_unseen(states: Iterable[OpenState], cases: Iterable[Case]) -> tuple[OpenState, ...]:
    """The open states that no case of the present evidence tells of again."""
    primaries = [case.primary for case in cases]
    return tuple(s for s in states if not any(p.fault == s.fault and is_same(p.entity, s.entity) for p in primaries))
