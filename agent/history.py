"""What earlier triages said of an entity: does a fault come back, and what is still open. Pure: records in, words out.

A *record* is one thing that happened: a fault that was told, a boot, a reset, a link that came back, a person's clear.
Everything else (episodes, escalations, open states) is replayed from the records, so that nothing can disagree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.faults import Escalation, load_escalations, load_faults
from agent.policy import decide
from agent.types import CONFIDENCE_RANK, SEVERITY_RANK, Action, Case, Confidence, SeverityWord
from tools.clock import format_time
from tools.entities import Token, list_file_tokens, list_search_tokens, same_entity, same_node
from tools.types import Clock, Entity

Kind = Literal["fault", "boot", "reset", "return", "clear"]
Did = Literal["nothing", "reset", "reboot", "replace"]

HOUR_SECONDS, DAY_SECONDS = 3600.0, 86400.0
ZONE_SPREAD_SECONDS = 14 * HOUR_SECONDS
"""Largest offset of a time zone from UTC: how far the clock of a log without a zone may be off."""
ANONYMOUS_HOSTS = frozenset({"", "?", "localhost", "localhost.localdomain", "(none)"})
"""Names that many machines have: what one of them told says nothing about another."""
CURES: dict[Action, frozenset[Kind]] = {
    "reset_gpu": frozenset({"reset", "boot"}),
    "reboot_node": frozenset({"boot"}),
}
"""What ends an open state follows from the verdict's action: a fault for hands is open until a person clears it."""
RETURNS: dict[str, str] = {"nic_link_down": "nic:link_up"}
"""Faults that the log itself says are over."""
STICKY_KINDS = frozenset({"hardware", "firmware"})
ENDED_BY: dict[Did, Kind] = {"reset": "reset", "reboot": "boot"}


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened to an entity.

    Attributes:
        key: Identifies it: the same line read again, from whatever file, has the same key.
        at_seconds: Unix seconds: when it was, where the evidence tells; else when it was first seen.
        seen_seconds: Unix seconds of the triage that first saw it.
        until_seconds: When a fault was last told in this stretch; `at_seconds` for what has no length.
        clock: On which clock `at_seconds` was told; ``none`` where it was not, and `seen_seconds` stands in.
        position: Order among records of one reading with the same time.
        did: What a person did who cleared it; ``nothing`` for every other record.
    """

    key: str
    kind: Kind
    entity: Entity
    at_seconds: float
    seen_seconds: float
    until_seconds: float = 0.0
    clock: Clock = "none"
    position: int = 0
    fault: str = ""
    case_id: str = ""
    severity: SeverityWord = "ok"
    action: Action = "none"
    confidence: Confidence = "inconclusive"
    place: str = ""
    text: str = ""
    who: str = ""
    why: str = ""
    did: Did = "nothing"

    @property
    def order(self) -> tuple[float, int]:
        """What records are sorted by."""
        return (self.at_seconds, self.position)

    @property
    def source(self) -> str:
        """What was read: `place` without the line number."""
        return self.place.rpartition(":")[0] if self.position else self.place

    @property
    def counts(self) -> bool:
        """Whether a fault was told surely and gravely enough to count when it comes back."""
        return self.confidence != "inconclusive" and SEVERITY_RANK[self.severity] >= SEVERITY_RANK["warning"]


@dataclass(frozen=True, slots=True)
class Past:
    """Records of some hosts, those of earlier triages and, once it was read, the present one's.

    Attributes:
        records: In time order.
        present: Keys of the records that the present evidence tells too.
    """

    records: tuple[Record, ...] = ()
    present: frozenset[str] = field(default=frozenset())
    ends: tuple[Record, ...] = field(init=False, default=(), compare=False, repr=False)
    _filed: dict[tuple[str, Token], list[int]] = field(init=False, default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Set apart what ends a fault: few records, asked for by every case."""
        object.__setattr__(self, "ends", tuple(record for record in self.records if record.kind != "fault"))

    def find_faults(self, fault: str, entity: Entity) -> list[Record]:
        """Records of one fault on one entity, in time order; filed at the first question, as cases ask one by one."""
        if not self._filed:
            for number, record in enumerate(self.records):
                for token in list_file_tokens(record.entity) if record.kind == "fault" else ():
                    self._filed.setdefault((record.fault, token), []).append(number)
        near = {n for token in list_search_tokens(entity) for n in self._filed.get((fault, token), ())}
        return [self.records[number] for number in sorted(near) if is_same(self.records[number].entity, entity)]

    def extend(self, records: Iterable[Record]) -> Past:
        """Add what the present evidence tells; what was known before keeps the time at which it was first seen."""
        whole = {record.key: record for record in self.records}
        fresh = list(records)
        for record in fresh:
            whole[record.key] = merge(whole[record.key], record) if record.key in whole else record
        listed = sorted(whole.values(), key=lambda record: record.order)
        return Past(tuple(listed), self.present | {record.key for record in fresh})


NO_PAST = Past()


@dataclass(frozen=True, slots=True)
class OpenState:
    """A critical fault of the hardware that nothing has ended yet.

    Attributes:
        since_seconds, last_seconds: First and last time that it was told, Unix seconds.
    """

    entity: Entity
    fault: str
    case_id: str
    since_seconds: float
    last_seconds: float
    severity: SeverityWord
    action: Action

    @property
    def clear_command(self) -> str:
        """What a person types once it is repaired."""
        return f"daytwo clear {self.entity} --why TEXT"

    def __str__(self) -> str:
        """Spell it for people."""
        return f"{self.fault} on {self.entity} is still open since {spell_time(self.since_seconds)}"


def merge(known: Record, fresh: Record) -> Record:
    """Put two readings of one thing together: first seen stays, the longer stretch and the surer judgement win."""
    longer = replace(known, until_seconds=max(known.until_seconds, fresh.until_seconds))
    if CONFIDENCE_RANK[fresh.confidence] <= CONFIDENCE_RANK[known.confidence]:
        return longer
    return replace(
        longer,
        case_id=fresh.case_id,
        severity=fresh.severity,
        action=fresh.action,
        confidence=fresh.confidence,
    )


def measure_gap(earlier: Record, later: Record) -> float:
    """How many seconds surely lie between two records; minus infinity where their order is not known.

    What tells no wall time was at any time before it was first seen. A clock without a zone may be off by 14 hours
    against one with a zone, not against its own kind. A thing that was seen before a certain moment was before it.
    """
    if later.clock == "none":
        one_text = earlier.source == later.source and earlier.seen_seconds == later.seen_seconds
        in_order = earlier.clock == "none" and earlier.position < later.position
        return 0.0 if one_text and in_order else -math.inf
    seen = later.at_seconds - earlier.seen_seconds - (0.0 if later.clock == "utc" else ZONE_SPREAD_SECONDS)
    if earlier.clock == "none":
        return seen
    zone = 0.0 if earlier.clock == later.clock else ZONE_SPREAD_SECONDS
    return max(seen, later.at_seconds - max(earlier.at_seconds, earlier.until_seconds) - zone)


def is_before(earlier: Record, later: Record) -> bool:
    """Say whether one record is surely before another; lines of one time are in the order of their reading."""
    gap = measure_gap(earlier, later)
    return gap > 0 or (gap == 0 and earlier.position < later.position)


def spell_time(seconds: float) -> str:
    """Spell Unix seconds as RFC 3339 to the second: a time line needs no more."""
    return format_time(seconds).partition(".")[0] + "Z"


def spell_host(name: str) -> str:
    """The name under which a host's history is kept: first label, lower case; empty where many machines have it."""
    label = name.strip().lower()
    return "" if label in ANONYMOUS_HOSTS else label.partition(".")[0]


def is_same(one: Entity, other: Entity) -> bool:
    """Say whether two records speak of one thing: unlike within one log, an untold host is nobody else's."""
    return bool(one.node) == bool(other.node) and same_entity(one, other)


def concerns(end: Record, entity: Entity) -> bool:
    """Say whether a boot, reset, return or clear is about an entity: of the node, it is about all that is on it."""
    if end.entity.kind == "node":
        return bool(end.entity.node) == bool(entity.node) and same_node(end.entity.node, entity.node)
    return is_same(end.entity, entity)


def find_escalation(case: Case, past: Past) -> tuple[Escalation, tuple[Record, ...]] | None:
    """Find the first row of `escalations.csv` that holds for a case.

    A fault that is information, or a case that is not settled, is never escalated. Only what was before the present
    evidence counts, so that an old log read again gives its old answer.

    Args:
        case: As the rules see it.
        past: With the present evidence in it.

    Returns:
        The row, and the first record of each earlier episode; None where none holds.
    """
    if case.confidence == "inconclusive" or SEVERITY_RANK[decide(case).severity] < SEVERITY_RANK["warning"]:
        return None
    told = _told_so_far(case, past)
    if not told:
        return None
    ends = [record for record in past.ends if concerns(record, case.primary.entity)]
    for row in load_escalations().get(case.primary.fault, ()):
        recent = [record for record in told if record.at_seconds >= told[-1].at_seconds - row.within_days * DAY_SECONDS]
        episodes = split_episodes(recent, ends, row)
        if len(episodes) > row.times:
            return row, tuple(episode[0] for episode in episodes[:-1])
    return None


def _told_so_far(case: Case, past: Past) -> list[Record]:
    """All that was told of the case's fault on its entity, up to the last that the present evidence tells."""
    own = [
        record
        for record in past.find_faults(case.primary.fault, case.primary.entity)
        if record.counts or record.key in past.present
    ]
    last = max((record.order for record in own if record.key in past.present), default=None)
    replaced = [r for r in past.ends if r.did == "replace" and concerns(r, case.primary.entity)]
    return [
        record
        for record in own
        if last is not None and record.order <= last and not any(is_before(record, part) for part in replaced)
    ]


def split_episodes(told: Sequence[Record], ends: Sequence[Record], row: Escalation) -> list[list[Record]]:
    """Split what was told into episodes: at each end of the kind that the row names, or after enough quiet.

    Quiet alone splits only where the row says ``any``: a GPU that was never reset did not come back after a reset.
    Where the clocks leave the order open nothing is split.
    """
    kinds = {"reset": ("reset", "boot"), "reboot": ("boot",)}.get(row.after, ("reset", "boot", "return", "clear"))
    marks = [end for end in ends if end.kind in kinds or ENDED_BY.get(end.did) in kinds]
    quiet_seconds = row.quiet_hours * HOUR_SECONDS if row.after == "any" else math.inf
    episodes: list[list[Record]] = []
    for record in told:
        if episodes and not _is_apart(episodes[-1][-1], record, marks, quiet_seconds):
            episodes[-1].append(record)
        else:
            episodes.append([record])
    return episodes


def _is_apart(earlier: Record, later: Record, marks: Sequence[Record], quiet_seconds: float) -> bool:
    if measure_gap(earlier, later) > quiet_seconds:
        return True
    return any(is_before(earlier, mark) and is_before(mark, later) for mark in marks)


def apply_history(case: Case, past: Past) -> Case:
    """Add to a case what history knows: the note that changes its action, and when it was before."""
    cleared = find_clear(case, past)
    if cleared is not None:
        words = f"{cleared.who or 'Somebody'} cleared it since, {spell_time(cleared.at_seconds)}: {cleared.why}"
        case = replace(case, history=(*case.history, f"{words.rstrip('.')}."))
    found = find_escalation(case, past)
    if found is None:
        return case
    row, before = found
    times = ", ".join(spell_time(record.at_seconds) for record in before[-3:])
    notes = case.notes if row.note in case.notes else (*case.notes, row.note)
    return replace(case, notes=notes, history=(*case.history, f"It came back: it was told at {times}."))


def find_open(past: Past) -> tuple[OpenState, ...]:
    """Replay the records: which critical hardware faults has nothing ended?

    A state opens with a critical, not inconclusive verdict on hardware or firmware. What its action does ends it
    (:data:`CURES`), or the log says that it is over (:data:`RETURNS`), or a person clears it; an end is only one for
    what was surely before it.
    """
    ends = past.ends
    states: list[OpenState] = []
    for record in past.records:
        if is_sticky(record) and not any(_ends(end, record) for end in ends):
            states = _open(states, record)
    return tuple(sorted(states, key=lambda state: (state.since_seconds, str(state.entity))))


def find_end(past: Past, record: Record) -> Record | None:
    """What ended a fault first: a boot or a reset that cures it, a return in the log, a person's clear."""
    return next((end for end in past.ends if _ends(end, record)), None)


def is_sticky(record: Record) -> bool:
    """Say whether a record is a fault that stays until it is cured or cleared."""
    row = load_faults().get(record.fault) if record.kind == "fault" else None
    return row is not None and row.kind in STICKY_KINDS and record.counts and record.severity == "critical"


def _open(states: Sequence[OpenState], record: Record) -> list[OpenState]:
    old = next((s for s in states if s.fault == record.fault and is_same(s.entity, record.entity)), None)
    new = OpenState(
        # The later spelling knows more: an index beside the address.
        record.entity,
        record.fault,
        record.case_id,
        old.since_seconds if old else record.at_seconds,
        max(record.at_seconds, record.until_seconds),
        record.severity,
        record.action,
    )
    return [*(state for state in states if state is not old), new]


def _ends(end: Record, fault: Record) -> bool:
    if end.kind == "clear":
        is_end = True
    elif end.kind == "return":
        is_end = RETURNS.get(fault.fault) == end.text
    else:
        is_end = end.kind in CURES.get(fault.action, ())
    return is_end and concerns(end, fault.entity) and is_before(fault, end)


def find_clear(case: Case, past: Past) -> Record | None:
    """The clear by a person that stands after all that the present evidence tells of a case; None without one."""
    told = _told_so_far(case, past)
    clears = [r for r in past.ends if r.kind == "clear" and concerns(r, case.primary.entity)]
    after = [clear for clear in clears if told and is_before(told[-1], clear)]
    return after[-1] if after else None
