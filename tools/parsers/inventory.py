"""Reads an `inventory.csv` that lies among the evidence: what each node should have (columns in tools/inventory.py)."""

from __future__ import annotations

from collections.abc import Sequence

from tools.inventory import COLUMNS, parse_row
from tools.parsers._csv_rows import find_header, read_rows
from tools.parsers._lines import Tally, make_quote
from tools.types import Document, Domain, Facts, Inventory, Parsed

FORM = "inventory"
DOMAIN: Domain = "inventory"
_REQUIRED = frozenset({"node"})


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a CSV header with `node` and at least two more columns of an inventory."""
    names = find_header(sample, _REQUIRED)
    return 0.95 if names is not None and len(set(names) & set(COLUMNS)) >= 3 else 0.0


def parse(document: Document) -> Parsed:
    """Read the rows; one that does not fit is counted as unread."""
    tally = Tally()
    entries: list[Inventory] = []
    for line, row in read_rows(document):
        try:
            entries.append(parse_row(row, make_quote(document, line)))
        except ValueError:
            tally.count(line, understood=False)
        else:
            tally.count(line, understood=True)
    return Parsed(Facts(inventory=tuple(entries)), tally.result())
