"""`daytwo faults`: the fault table for people and scripts."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from agent.faults import Fault, load_faults
from serve.render import COLOUR
from serve.terminal import print_people, print_text


def run_faults(*, as_json: bool) -> int:
    """Print the fault table; those that this edition cannot detect yet are marked."""
    faults = list(load_faults().values())
    if as_json:
        print_text(json.dumps([asdict(fault) for fault in faults], indent=2))
    else:
        print_people(render_faults(faults))
    return 0


def render_faults(faults: list[Fault]) -> Table:
    """Render the table, one fault a row."""
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", header_style="bold")
    for column in ("fault", "severity", "action", "then", "what it is"):
        table.add_column(column, overflow="fold")
    for fault in faults:
        table.add_row(
            Text(fault.id if fault.detected or fault.scope == "meta" else f"{fault.id} (not yet)"),
            Text(fault.severity, COLOUR[fault.severity]),
            Text(fault.action),
            Text("" if fault.follow_up == "none" else fault.follow_up),
            Text(fault.what),
        )
    return table
