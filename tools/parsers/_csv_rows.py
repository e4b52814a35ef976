"""Reads comma-separated rows of a document, one line a row, with the line that each came from."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from tools.types import Document, Line


def split_row(text: str) -> list[str]:
    """Split one line at its commas, quotes respected; a line that is no CSV is one cell."""
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return [text]


def find_header(sample: Sequence[str], required: frozenset[str]) -> list[str] | None:
    """Return the column names of the first line that is no comment, None where one of the required is missing."""
    for text in sample:
        if text.strip() and not text.lstrip().startswith("#"):
            names = [name.strip().lower() for name in split_row(text)]
            return names if required <= set(names) else None
    return None


def read_rows(document: Document) -> Iterator[tuple[Line, dict[str, str]]]:
    """Yield every row below the header as column name to cell, with its line."""
    names: list[str] | None = None
    for line in document.lines():
        if not line.text.strip() or line.text.lstrip().startswith("#"):
            continue
        cells = split_row(line.text)
        if names is None:
            names = [name.strip().lower() for name in cells]
        else:
            yield line, {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
