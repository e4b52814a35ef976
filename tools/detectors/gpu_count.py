"""Fewer GPUs than the inventory says: only where the GPUs of the node were really listed in full.

A text that was cut, a driver that could not be asked, or a node without any GPU reading is *unknown*, not missing.
"""

from __future__ import annotations

from collections.abc import Iterable

from tools.detectors._rows import Row, find_rows
from tools.entities import resolve_entities, same_node
from tools.types import Entity, Facts, Finding, Inventory, Quote

FAULTS = frozenset({"gpu_missing"})

DETECTOR = "gpu_count"
COUNT_SIGNAL = "node_gpu_count"
"""What the driver itself counts: `Attached GPUs` of `nvidia-smi -q`, true even where the list below it is cut."""
_UNREAD = frozenset({"partial", "missing", "not_applicable"})


def detect(facts: Facts) -> list[Finding]:
    """Hold the GPUs that were seen against the inventory, node by node."""
    findings = (_check_node(facts, entry) for entry in facts.inventory if entry.gpus and entry.state != "retired")
    return [finding for finding in findings if finding is not None]


def _check_node(facts: Facts, entry: Inventory) -> Finding | None:
    rows = [row for row in find_rows(facts, "gpu") if _is_of(row.entity.node, entry, facts)]
    counted = [
        (row, count)
        for row in find_rows(facts, "node")
        if _is_of(row.entity.node, entry, facts) and (count := row.latest(COUNT_SIGNAL)) is not None
    ]
    if counted:
        row, count = counted[-1]
        return _build(entry, int(count), row.window.quotes_of(row.number, COUNT_SIGNAL), row)
    if not rows or _is_unsure(facts, entry, rows):
        return None
    gpus = set(resolve_entities(row.entity for row in rows).values())
    return _build(entry, len(gpus), _quotes(rows), rows[0])


def _is_of(node: str, entry: Inventory, facts: Facts) -> bool:
    if not node:
        # A text of no known host can only be held against an inventory of one node.
        return len(facts.inventory) == 1
    return any(same_node(node, spelling) for spelling in (entry.node, *entry.aliases))


def _is_unsure(facts: Facts, entry: Inventory, rows: Iterable[Row]) -> bool:
    places = {row.window.source for row in rows} | {f"node:{name}" for name in (entry.node, *entry.aliases)}
    places |= {f"node:{row.entity.node}" for row in rows}
    # A GPU that gave no answer is still counted; what could not be listed is not.
    return any(
        row.domain in ("gpu", "driver")
        and row.status in _UNREAD
        and row.entity in places
        and not _is_listed(row.reason)
        for row in facts.coverage
    )


def _is_listed(reason: str) -> bool:
    return "lines unread" in reason or "could not be read in full" in reason


def _quotes(rows: Iterable[Row]) -> tuple[Quote, ...]:
    return tuple(dict.fromkeys(quote for row in rows for quote in row.window.quotes_of(row.number)))


def _build(entry: Inventory, seen: int, quotes: tuple[Quote, ...], row: Row) -> Finding | None:
    expected = entry.gpus or 0
    if seen >= expected:
        return None
    start, end = row.span
    return Finding(
        detector=DETECTOR,
        entity=Entity("node", node=entry.node),
        fault_hint="gpu_missing",
        severity="critical",
        score=round(expected / max(seen, 1), 3),
        quotes=(*quotes, *([entry.quote] if entry.quote is not None else [])),
        values={"gpus_seen": float(seen), "gpus_expected": float(expected)},
        settles=True,
        start=start,
        end=end,
        note=f"{seen} of {expected} GPUs are there",
    )
