"""Fixtures of an empty store, on SQLite and on a PostgreSQL server of the tests' own; shared by every room's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import find_reason_to_skip, run_postgres
from sqlalchemy import create_engine, text


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of the first database of a server."""
    if reason := find_reason_to_skip():
        if os.environ.get("DAYTWO_TEST_POSTGRES") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with run_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Folder or URL of an empty store."""
    if request.param == "sqlite":
        return str(tmp_path)
    first: str = request.getfixturevalue("postgres")
    name = f"t{abs(hash(request.node.nodeid))}"
    engine = create_engine(first, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return first.replace("/postgres?", f"/{name}?")
