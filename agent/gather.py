"""One trouble on many devices is one case: GPUs that go together are one page, not eight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from agent.episodes import BURST_GAP_SECONDS, MANY_DEVICES
from agent.history import Record
from agent.types import Case, Folded, Role
from tools.clock import measure_distance
from tools.entities import list_file_hosts, list_search_hosts, same_node
from tools.types import Entity, Event, Quote

DEVICES = frozenset({"gpu", "nic", "disk"})
ENOUGH = {"gpu_app_fault": 2}
"""One program on two GPUs is one program; of all else :data:`agent.episodes.MANY_DEVICES` are needed."""

MAX_NAMED_SIBLINGS = 3


def gather_siblings(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Put cases that tell the same of several devices of one node, within one burst, under the first of them.

    Only what has the same fault, the same certainty and the same notes is gathered, so that nothing which asks for
    another action disappears. Two devices may be chance; three share something.
    """
    filed: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, case in enumerate(cases):
        for key in _list_keys(case, list_file_hosts):
            filed[key].append(number)
    taken: set[int] = set()
    gathered: list[Case] = []
    for number, first in enumerate(cases):
        if number in taken:
            continue
        near = sorted(
            {other for key in _list_keys(first, list_search_hosts, 1) for other in filed.get(key, ())} - taken
        )
        alike = [other for other in near if other > number and _is_sibling(first, cases[other])]
        enough = 1 + len(alike) >= ENOUGH.get(first.primary.fault, MANY_DEVICES)
        taken |= {number, *alike} if enough else {number}
        gathered.append(_merge(first, [cases[other] for other in alike]) if enough else first)
    return tuple(gathered)


def _list_keys(case: Case, list_hosts: Callable[[str], Iterable[str]], reach: int = 0) -> Iterator[tuple[object, ...]]:
    """Keys that siblings share: fault, kind and host with the stretch of time, the source or the program."""
    primary, sign = case.primary, _first_sign(case)
    if primary.entity.kind not in DEVICES:
        return
    alike: list[object] = [f"pid {pid}" for pid in _programs(case)]
    if sign.moment.seconds is None:
        alike.append(sign.quote.source)
    else:
        stretch = int(sign.moment.seconds // BURST_GAP_SECONDS)
        alike += range(stretch - reach, stretch + reach + 1)
    yield from (
        (primary.fault, primary.entity.kind, host, one) for host in list_hosts(primary.entity.node) for one in alike
    )


def _is_sibling(first: Case, case: Case) -> bool:
    one, other = first.primary, case.primary
    same_kind = one.entity.kind == other.entity.kind and one.entity.kind in DEVICES
    if not same_kind or one.fault != other.fault or not same_node(one.entity.node, other.entity.node):
        return False
    same_weight = (first.confidence, first.notes, first.history) == (case.confidence, case.notes, case.history)
    is_one_program = one.fault in ENOUGH and bool(_programs(first) & _programs(case))
    return same_weight and (is_one_program or _is_one_burst(first, case))


def _is_one_burst(first: Case, case: Case) -> bool:
    """Whether both began within one burst; readings without a time did where one source told both."""
    one, other = _first_sign(first), _first_sign(case)
    if one.moment.seconds is None or other.moment.seconds is None:
        return not (first.primary.events or case.primary.events) and one.quote.source == other.quote.source
    return abs(measure_distance(one, other).seconds or 0.0) <= BURST_GAP_SECONDS


def _first_sign(case: Case) -> Event:
    if case.primary.events:
        return case.primary.events[0]
    quotes = case.primary.quotes
    return Event(case.primary.start, case.primary.entity, "", quotes[0] if quotes else Quote("", None, ""))


def _programs(case: Case) -> set[str]:
    return {event.fields["pid"] for event in case.primary.events if event.fields.get("pid", "").isdigit()}


def _merge(first: Case, alike: Sequence[Case]) -> Case:
    consequences: tuple[Folded, ...] = (*first.consequences, *(f for case in alike for f in case.consequences))
    roles: list[tuple[Entity, Role]] = [*first.affected]
    for case in alike:
        roles += [(case.primary.entity, "suspect"), *case.affected]
    return replace(first, siblings=tuple(alike), consequences=consequences, affected=tuple(dict.fromkeys(roles)))


def rename_records(records: Iterable[Record], cases: Iterable[Case]) -> list[Record]:
    """Give the records of gathered cases the id of the case that speaks for them."""
    names = {sibling.case_id: case.case_id for case in cases for sibling in case.siblings}
    return [replace(record, case_id=names.get(record.case_id, record.case_id)) for record in records]


def spell_siblings(case: Case) -> str:
    """Say in one sentence which further devices have the same; empty where none has."""
    if not case.siblings:
        return ""
    names = [sibling.primary.entity.name for sibling in case.siblings]
    rest = len(names) - MAX_NAMED_SIBLINGS
    named = ", ".join(names[:MAX_NAMED_SIBLINGS]) + (f" and {rest} more" if rest > 0 else "")
    return f"The same on {len(names)} more of the node: {named}."
