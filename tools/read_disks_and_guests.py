"""The agent's join of disks and guests: who is on a busy disk."""

from __future__ import annotations

from tools.entities import same_node
from tools.lookup import EntityIndex, read_state
from tools.tool import ToolContext, ToolResult, show_evidence, tool
from tools.types import Entity, Link, Quote, Window

MAX_DISKS = 12
# Signal, short word, factor and unit as iostat users know them.
COLUMNS = (
    ("disk_utilization_ratio", "busy", 100.0, "%"),
    ("disk_read_await_seconds", "read wait", 1000.0, "ms"),
    ("disk_write_await_seconds", "write wait", 1000.0, "ms"),
    ("disk_queue_length", "queue", 1.0, ""),
    ("disk_reads_per_second", "reads", 1.0, "/s"),
    ("disk_writes_per_second", "writes", 1.0, "/s"),
    ("disk_read_bytes_per_second", "read", 1e-6, "MB/s"),
    ("disk_write_bytes_per_second", "written", 1e-6, "MB/s"),
)


@tool
def read_disks_and_guests(context: ToolContext, node: str = "") -> ToolResult:
    """Read every disk, busiest first, with the guests that use it.

    Like `iostat -x 1 2` beside `virsh domblklist GUEST` or `xl list`.

    Args:
        context: The facts and the book of evidence.
        node: Host name; "" for all hosts.
    """
    index = EntityIndex(context.everything)
    disks = _find_disks(context, index, node)
    uses = [link for link in context.everything.links if link.relation == "uses" and link.object.kind == "disk"]
    command = "iostat -x 1 2; virsh list; virsh domblklist GUEST"
    if not disks:
        state, note = read_state(context.everything, ("disk", "guests"), node)
        return ToolResult(f"no disk readings{f' ({note})' if note else ''}", 0, 0, command, state)
    ranked = sorted(disks.items(), key=lambda item: -(item[1][0].latest(item[1][1], COLUMNS[0][0]) or 0.0))
    rows: list[str] = []
    handles: list[str] = []
    for disk, (window, row) in ranked[:MAX_DISKS]:
        guests = [link for link in uses if index.resolve(link.object) == disk]
        text, values = _describe(disk, window, row, guests)
        evidence = context.book.add(Quote(window.source, None, text), values=values)
        rows.append(show_evidence(evidence))
        handles.append(evidence.id)
        for link in guests[:4]:
            shown = context.book.add(link.quote)
            rows.append("  " + show_evidence(shown, f"{link.subject} uses {disk}"))
            handles.append(shown.id)
    state, note = read_state(context.everything, ("guests",), node)
    if not uses:
        rows.append(f"guests: {'none listed' if state == 'empty' else f'not read ({note})'}")
    narrow = "name one node" if len(disks) > MAX_DISKS else ""
    return ToolResult("\n".join(rows), min(len(disks), MAX_DISKS), len(disks), command, "ok", tuple(handles), narrow)


def _find_disks(context: ToolContext, index: EntityIndex, node: str) -> dict[Entity, tuple[Window, int]]:
    found: dict[Entity, tuple[Window, int]] = {}
    for window in context.everything.windows:
        for row, entity in enumerate(window.entities):
            if entity.kind == "disk" and same_node(entity.node, node) and COLUMNS[0][0] in window.values:
                found[index.resolve(entity)] = (window, row)
    return found


def _describe(disk: Entity, window: Window, row: int, guests: list[Link]) -> tuple[str, dict[str, float | str]]:
    parts: list[str] = []
    values: dict[str, float | str] = {}
    for signal, word, factor, unit in COLUMNS:
        latest = window.latest(row, signal)
        if latest is not None:
            values[signal] = latest
            parts.append(f"{word} {latest * factor:.4g}{unit if unit in ('%', '/s', '') else ' ' + unit}")
    names = ", ".join(str(link.subject) for link in guests)
    return f"{disk}: {', '.join(parts) or 'no readings'}; used by {names or 'no guest that is listed'}", values
