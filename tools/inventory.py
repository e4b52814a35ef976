"""What should be there: the site's inventory, one row a node.

Columns ``node,site,hall,rack,sku,gpu_model,gpus,nics,state,owner,aliases,leaf,nvlink_domain,storage``; only ``node``
must be there. Aliases and storage systems are apart by semicolons or spaces.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.errors import SiteConfigError
from tools.types import Inventory, Quote

COLUMNS = (
    "node", "site", "hall", "rack", "sku", "gpu_model", "gpus", "nics", "state", "owner", "aliases",
    "leaf", "nvlink_domain", "storage",
)  # fmt: skip
STATES = frozenset({"burn_in", "production", "maintenance", "retired"})
_EXAMPLE = "node,rack,gpu_model,gpus,nics,state"


def read_inventory(path: Path) -> tuple[Inventory, ...]:
    """Read an inventory file.

    Raises:
        SiteConfigError: The file cannot be read, has no column ``node``, or a row does not fit; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteConfigError(f"Inventory {path} cannot be read: {error}.", fix="unset DAYTWO_INVENTORY") from None
    return tuple(_read_rows(text, path))


def _read_rows(text: str, path: Path) -> Iterator[Inventory]:
    reader = csv.DictReader(text.splitlines(), restkey="")
    if "node" not in [name.strip().lower() for name in reader.fieldnames or ()]:
        raise SiteConfigError(f"Inventory {path} has no column `node`.", fix=f"make its first line {_EXAMPLE}")
    seen: set[str] = set()
    for row in reader:
        line = reader.line_num
        quote = Quote(path.name, line, text.splitlines()[line - 1])
        try:
            entry = parse_row({key: value for key, value in row.items() if key}, quote)
            if entry.node in seen:
                raise ValueError(f"node {entry.node} stands there twice")
        except ValueError as error:
            raise SiteConfigError(f"Inventory {path}, line {line}: {error}.", fix=f"edit {path}") from None
        seen.add(entry.node)
        yield entry


def parse_row(row: Mapping[str, str | None], quote: Quote) -> Inventory:
    """Read one row.

    Raises:
        ValueError: What does not fit, in plain words.
    """
    cells = {key.strip().lower(): (value or "").strip() for key, value in row.items()}
    node = cells.get("node", "")
    if not node:
        raise ValueError("no node name")
    state = cells.get("state") or "production"
    if state not in STATES:
        raise ValueError(f"state {state!r} is none of {', '.join(sorted(STATES))}")
    return Inventory(
        node=node,
        gpus=_read_count(cells, "gpus"),
        nics=_read_count(cells, "nics"),
        state=state,
        gpu_model=cells.get("gpu_model", ""),
        rack=cells.get("rack", ""),
        site=cells.get("site", ""),
        owner=cells.get("owner", ""),
        aliases=_read_names(cells, "aliases"),
        quote=quote,
        leaf=cells.get("leaf", ""),
        nvlink_domain=cells.get("nvlink_domain", ""),
        storage=_read_names(cells, "storage"),
    )


def _read_names(cells: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[;|\s]+", cells.get(name, "")) if word)


def _read_count(cells: Mapping[str, str], name: str) -> int | None:
    text = cells.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise ValueError(f"{name} {text!r} is no count")
    return int(text)
