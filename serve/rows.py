"""The tables beside this room's code: `serve/tables/`."""

from __future__ import annotations

import csv
from importlib.resources import files


def read_rows(name: str) -> list[dict[str, str]]:
    """Read a table: one mapping a row, by the names of its first line."""
    text = files("serve").joinpath("tables", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
