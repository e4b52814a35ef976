"""The time line of an entity for people: what is open first, then what happened, oldest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.history import OpenState, Record, spell_time
from serve.render import COLOUR
from tools.harmless import neutralise
from tools.types import Entity

MAX_SHOWN = 200
"""So many records are shown, the newest; `--json` has them all."""
MAX_WORDS = 120
WORDS = {"boot": "the node booted", "reset": "the GPU was reset", "return": "it came back"}


def render_timeline(
    entity: Entity, states: Sequence[OpenState], records: Sequence[Record], told: Mapping[str, int]
) -> Group:
    """Render a time line.

    Args:
        entity: What was asked for.
        states: What nothing has ended yet.
        records: In time order.
        told: How often each case was told.
    """
    parts: list[RenderableType] = [Text.assemble((str(entity), "bold"))]
    for state in states:
        text = Text.assemble(("  open  ", COLOUR[state.severity]), f"{state}: {state.action}")
        text.append(f"\n        once repaired: {state.clear_command}", "cyan")
        parts.append(text)
    if not states:
        parts.append(Text("  nothing is open", "dim"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    shown = records[-MAX_SHOWN:]
    for record in shown:
        grid.add_row(_when(record), str(record.entity), _what(record, told))
    parts.append(Padding(grid, (0, 0, 0, 2)))
    if len(shown) < len(records):
        parts.append(Text(f"  {len(records) - len(shown)} older ones: --json shows them all", "dim"))
    return Group(*parts)


def _when(record: Record) -> str:
    # Where the evidence tells no time, all that is known is when it was first seen.
    return ("≤ " if record.clock == "none" else "  ") + spell_time(record.at_seconds)


def _what(record: Record, told: Mapping[str, int]) -> Text:
    if record.kind == "clear":
        done = f" ({record.did})" if record.did != "nothing" else ""
        return Text.assemble(("cleared", "bold green"), f"{done} by {record.who}: {neutralise(record.why)}")
    if record.kind != "fault":
        return Text.assemble((WORDS[record.kind], "green"), (f"  {record.place}", "dim"))
    text = Text.assemble((f"{record.severity} ", COLOUR[record.severity]), (record.fault, "bold"))
    text.append(f" {record.confidence}, {record.action}")
    if record.until_seconds > record.at_seconds:
        text.append(f", until {spell_time(record.until_seconds)}")
    count = told.get(record.case_id, 0)
    text.append(f"  {record.case_id}" + (f", told {count} times" if count > 1 else ""), "dim")
    text.append(f"\n{record.place}  {neutralise(record.text)[:MAX_WORDS]}", "dim")
    return text
