"""The agent's reading of events: log lines, grouped, with handles."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tools.clock import measure_distance
from tools.evidence import Evidence, EvidenceBook
from tools.lookup import EntityIndex, covers, list_names, read_state
from tools.tool import ToolContext, ToolResult, show_evidence, spell_moment, tool
from tools.types import Entity, Event, Quote

AROUND_SECONDS = 600.0  # a guess: a burst and what it sets off fit well into ten minutes
MAX_EVENTS = 30
SHOWN_OF_A_GROUP = 2
LOG_DOMAINS = ("kernel_log", "application", "jobs")
# What a person would grep for; families without a word of their own are found by what follows the colon.
GREP_WORDS = {"xid": "NVRM: Xid", "sxid": "SXid", "gpu": "NVRM", "nvme": "nvme", "mlx5": "mlx5_core", "pci": "pcieport",
              "nccl": "NCCL", "cuda": "CUDA", "fs": "EXT4-fs|XFS", "oom": "Out of memory"}  # fmt: skip


@tool
def read_events(
    context: ToolContext, entity: str = "", code: str = "", around: str = "", limit: int = 20
) -> ToolResult:
    """Read what logs say: events by entity, by code, or within ten minutes of a moment.

    Repeats of one code on one entity are counted. Like `journalctl -k | grep -n 'NVRM: Xid'`.

    Args:
        context: The facts and the book of evidence.
        entity: An entity as spelled in the brief, such as gpu:HOST/3, node:HOST or job:ID; "" for all.
        code: Start of an event code, such as xid, xid:31, nccl or nvme:timeout; "" for all.
        around: An evidence handle such as e1, or an RFC 3339 time; "" for any time.
        limit: Most rows to show, at most 30.
    """
    index = EntityIndex(context.everything)
    wanted = index.find(entity)
    if entity and not wanted:
        return _unknown_entity(entity, index)
    near, problem = _build_clock_filter(context, around)
    if problem:
        return ToolResult(problem, 0, 0, "", "not_read")
    events = [
        event
        for event in context.everything.events
        if _on_any(event, wanted, index) and _has_code(event, code) and near(event)
    ]
    command = _spell_command(events, code)
    if not events:
        return _explain_empty(context, entity, code, wanted, command)
    return _show_groups(context.book, events, index, min(max(limit, 1), MAX_EVENTS), command)


def _show_groups(
    book: EvidenceBook, events: Sequence[Event], index: EntityIndex, limit: int, command: str
) -> ToolResult:
    groups: dict[tuple[Entity, str], list[Event]] = {}
    for event in events:
        groups.setdefault((index.resolve(event.entity), event.code), []).append(event)
    rows: list[str] = []
    handles: list[str] = []
    shown = 0
    for (entity, code), members in groups.items():
        kept = members if len(members) <= SHOWN_OF_A_GROUP + 1 else [*members[:SHOWN_OF_A_GROUP], members[-1]]
        for event in kept[: max(limit - len(rows), 0)]:
            evidence = book.add(event.quote, start=event.moment)
            rows.append(show_evidence(evidence, f"{entity} {code}"))
            handles.append(evidence.id)
            shown += 1
        if len(kept) < len(members) and len(rows) < limit:
            total = _count_group(book, entity, code, members)
            rows.append(show_evidence(total))
            handles.append(total.id)
    narrow = "" if shown == len(events) else "give entity, code or around for the others"
    return ToolResult("\n".join(rows), shown, len(events), command, "ok", tuple(handles), narrow)


def _count_group(book: EvidenceBook, entity: Entity, code: str, members: Sequence[Event]) -> Evidence:
    first, last = members[0], members[-1]
    text = (
        f"{len(members)} events {code} on {entity}, from {first.quote.place} ({spell_moment(first.moment)}) "
        f"to {last.quote.place} ({spell_moment(last.moment)})"
    )
    quote = Quote(f"read_events entity={entity} code={code}", None, text)
    return book.add(quote, start=first.moment, end=last.moment, values={"events": float(len(members))})


def _on_any(event: Event, wanted: Sequence[Entity], index: EntityIndex) -> bool:
    if not wanted:
        return True
    own = index.resolve(event.entity)
    return any(covers(one, own) or (one.kind == "job" and event.job == one.name) for one in wanted)


def _has_code(event: Event, code: str) -> bool:
    wanted = code.strip().lower().replace(" ", ":")
    own = event.code.lower()
    # "xid:7" must not find xid:79, and "xid" must not find a code of another family that starts alike.
    return not wanted or own == wanted or own.startswith(f"{wanted.rstrip(':')}:")


def _build_clock_filter(context: ToolContext, around: str) -> tuple[Callable[[Event], bool], str]:
    if not around.strip():
        return (lambda event: True), ""
    evidence = context.book.find(around)
    if evidence is not None:
        anchor = next((e for e in context.everything.events if e.quote.place == evidence.source), None)
        if anchor is None:
            return (lambda event: False), f"{around} is no log line; give a handle of a log line or a time"
        return (lambda event: _within(measure_distance(anchor, event).seconds)), ""
    try:
        time = datetime.fromisoformat(around.strip())
        # A time without zone is meant as the log has it: wall clock read as if it were UTC.
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return (lambda event: False), f"{around!r} is neither a handle seen so far nor an RFC 3339 time"
    return (lambda event: event.moment.clock in ("utc", "local") and _within(_minus(event, seconds))), ""


def _minus(event: Event, seconds: float) -> float | None:
    return None if event.moment.seconds is None else event.moment.seconds - seconds


def _within(distance_seconds: float | None) -> bool:
    return distance_seconds is not None and abs(distance_seconds) <= AROUND_SECONDS


def _spell_command(events: Sequence[Event], code: str) -> str:
    family, _, what = code.partition(":")
    word = GREP_WORDS.get(family, what.replace("_", " ") or family or ".")
    sources = list(dict.fromkeys(event.quote.source for event in events))[:3]
    if not code.strip() and sources and not any(" " in source for source in sources):
        return f"less {' '.join(shlex.quote(source) for source in sources)}"
    if any(" " in source for source in sources) or not sources:
        return f"journalctl -k | grep -nE {shlex.quote(word)}"
    return f"grep -nE {shlex.quote(word)} {' '.join(shlex.quote(source) for source in sources)}"


def _explain_empty(context: ToolContext, entity: str, code: str, wanted: Sequence[Entity], command: str) -> ToolResult:
    node = wanted[0].node if wanted else ""
    state, note = read_state(context.everything, LOG_DOMAINS, node)
    # Events of other kinds prove that logs were read even where the coverage does not list them.
    if state == "not_read" and context.everything.events:
        state, note = "empty", note
    what = f"no event{f' {code}' if code else ''}{f' on {entity}' if entity else ''}"
    codes = ", ".join(sorted({event.code for event in context.everything.events})[:20])
    hint = f"; codes that were seen: {codes}" if codes else ""
    return ToolResult(f"{what}{f' ({note})' if note else ''}{hint}", 0, 0, command, state)


def _unknown_entity(entity: str, index: EntityIndex) -> ToolResult:
    names = list_names(index.known)
    return ToolResult(f"no entity goes by {entity!r} here; known: {names}", 0, 0, "", "not_read")
