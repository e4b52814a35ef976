"""The history of some hosts straight from the SQLite file: what a triage asks for before its verdict.

SQLAlchemy takes longer to import than a small triage takes; it is needed to keep a verdict, not to give it. What is not
plainly so (no file yet, another revision, a locked or damaged file) is left to the store itself.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from agent.history import Past, Record
from tools.types import Entity

DATABASE_NAME = "daytwo.db"
DEFAULT_FOLDER = "~/.local/share/daytwo"
BUSY_SECONDS = 30
"""How long anybody waits for another one: a guess; one report is written in milliseconds."""
MIGRATIONS = Path(__file__).parent / "migrations"
MAX_HOSTS = 400
"""Values in one `IN`: below the limits of any SQLite."""


def find_folder(data_dir: Path | None) -> Path:
    """The folder of this installation: the one that is named, else the usual one."""
    return data_dir or Path(DEFAULT_FOLDER).expanduser()


def find_head() -> str:
    """The newest revision: revisions are numbered files, ``0001_first.py`` and on."""
    return max(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def read_past_file(data_dir: Path | None, hosts: Iterable[str]) -> Past | None:
    """Read all that is remembered of some hosts, named as :func:`agent.history.spell_host` does.

    Returns:
        What the store would return, or None where only the store can tell.
    """
    path = find_folder(data_dir) / DATABASE_NAME
    names = sorted({host for host in hosts if host})
    if len(names) > MAX_HOSTS or not path.is_file():
        return None
    places = ", ".join("?" * len(names))
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", timeout=BUSY_SECONDS, uri=True)
        ) as connection:
            if connection.execute("SELECT version_num FROM alembic_version").fetchall() != [(find_head(),)]:
                return None
            rows = connection.execute(f"SELECT document FROM records WHERE host IN ({places})", names).fetchall()  # noqa: S608 (only question marks)
        records = [read_record(json.loads(document)) for (document,) in rows]
    except (sqlite3.Error, ValueError, TypeError, KeyError):
        return None
    return Past(tuple(sorted(records, key=lambda record: record.order)))


def read_record(told: Mapping[str, Any]) -> Record:
    """Read a record from its document; what this version does not know of it is left out."""
    known = {field.name for field in fields(Record)}
    document = {name: value for name, value in told.items() if name in known}
    entity = document.pop("entity")
    return Record(
        entity=Entity(entity["kind"], entity["node"], entity["name"]).with_ids(**entity["ids"]),
        **document,
    )
