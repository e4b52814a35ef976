"""The readings of a recording as one long table: window, row, column, signal, value.

The same table is Parquet where polars is installed, and CSV where it is not: polars brings 170 MB, and a GPU node must
be able to record and to replay without them. A reading that is missing has no line; a value is written so that it
reads back to the same bits.
"""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.errors import EvidenceUnreadable
from tools.types import Window

COLUMNS = ("window", "row", "column", "signal", "value")
PARQUET, CSV = "windows.parquet", "windows.csv"
TABLE_NAMES = (PARQUET, CSV)
FIX_POLARS = "pip install 'daytwo[fleet]'"


class Cell(NamedTuple):
    """One reading: number of the window, of its row and of its column (time), signal, value."""

    window: int
    row: int
    column: int
    signal: str
    value: float


def has_polars() -> bool:
    """Whether Parquet can be written and read here; looked up, not imported."""
    return importlib.util.find_spec("polars") is not None


def list_cells(windows: Sequence[Window]) -> Iterator[Cell]:
    """List every reading that is not missing."""
    for number, window in enumerate(windows):
        for signal, array in window.values.items():
            for row, column in np.argwhere(~np.isnan(array)):
                yield Cell(number, int(row), int(column), signal, float(array[row, column]))


def write_table(windows: Sequence[Window], folder: Path) -> Path:
    """Write the readings into a folder.

    Returns:
        The file: ``windows.parquet``, or ``windows.csv`` where polars is not installed.
    """
    return _write_parquet(windows, folder) if has_polars() else _write_csv(windows, folder)


def _write_parquet(windows: Sequence[Window], folder: Path) -> Path:
    import polars

    kinds = (polars.Int32, polars.Int32, polars.Int32, polars.String, polars.Float64)
    schema = dict(zip(COLUMNS, kinds, strict=True))
    path = folder / PARQUET
    polars.DataFrame(list(list_cells(windows)), schema=schema, orient="row").write_parquet(path)
    return path


def _write_csv(windows: Sequence[Window], folder: Path) -> Path:
    path = folder / CSV
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        # repr gives the shortest digits that read back to the same float.
        writer.writerows((*cell[:4], repr(cell.value)) for cell in list_cells(windows))
    return path


def read_table(path: Path) -> list[Cell]:
    """Read a table back, by the name of its file.

    Raises:
        EvidenceUnreadable: It is damaged, or it is Parquet and polars is not installed.
    """
    if path.name == PARQUET and not has_polars():
        raise EvidenceUnreadable(f"{path.name} is Parquet, and polars is not installed.", fix=FIX_POLARS)
    try:
        rows = _read_parquet(path) if path.name == PARQUET else _read_csv(path)
        return [Cell(int(a), int(b), int(c), str(signal), float(value)) for a, b, c, signal, value in rows]
    except (ValueError, TypeError, OSError) as error:
        raise EvidenceUnreadable(f"{path.name} is damaged: {error}.", fix="record again") from None


def _read_parquet(path: Path) -> Iterable[tuple[str, ...]]:
    import polars

    try:
        return polars.read_parquet(path).select(COLUMNS).rows()
    except polars.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from None


def _read_csv(path: Path) -> Iterable[tuple[str, ...]]:
    reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    if tuple(next(reader, ())) != COLUMNS:
        raise ValueError(f"its first line is not {','.join(COLUMNS)}")
    return [(row[0], row[1], row[2], row[3], row[4]) if len(row) == len(COLUMNS) else _refuse(row) for row in reader]


def _refuse(row: Sequence[str]) -> tuple[str, ...]:
    raise ValueError(f"a line of {len(row)} cells: {','.join(row)[:80]}")


def build_arrays(
    cells: Iterable[Cell], shapes: Sequence[tuple[int, int]], signals: Sequence[Sequence[str]]
) -> list[Mapping[str, NDArray[np.float64]]]:
    """Build the arrays of all windows; what has no cell is NaN.

    Args:
        cells: Readings in any order.
        shapes: Entities and times of each window.
        signals: Names of the signals of each window, in their order.

    Raises:
        EvidenceUnreadable: A cell lies outside of what the frame of its window tells.
    """
    arrays = [{name: np.full(shape, np.nan) for name in names} for shape, names in zip(shapes, signals, strict=True)]
    for cell in cells:
        fits = 0 <= cell.window < len(arrays) and cell.signal in arrays[cell.window]
        if not fits or not (0 <= cell.row < shapes[cell.window][0] and 0 <= cell.column < shapes[cell.window][1]):
            raise EvidenceUnreadable(f"the table of readings holds a cell that no window has: {cell}.")
        arrays[cell.window][cell.signal][cell.row, cell.column] = cell.value
    return list(arrays)
