"""A PostgreSQL server of our own for a test: in a folder of its own, on a socket, gone afterwards."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

SERVERS = Path("/usr/lib/postgresql")
START_SECONDS = 60


def find_reason_to_skip() -> str:
    """Why no server can be started here; empty where one can."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: make test-postgres"
    if find_programs() is None:
        return "no PostgreSQL server is installed: apt-get install postgresql"
    if os.geteuid() == 0 and _find_user() is None:
        return "PostgreSQL does not run as root, and there is no other user to run it as"
    return ""


def find_programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, of the newest server."""
    found = sorted(SERVERS.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    where = shutil.which("initdb")
    return Path(where).parent if where else None


def _find_user() -> str | None:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@contextlib.contextmanager
def run_postgres() -> Iterator[str]:
    """Run a server; gives the SQLAlchemy URL of its first database."""
    programs = find_programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="daytwo-pg-"))
    user = _find_user() if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)

    def run(*words: str) -> None:
        done = subprocess.run(
            words, user=user, cwd=folder, capture_output=True, timeout=START_SECONDS, check=False, env={"LC_ALL": "C"}
        )
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()

    data = str(folder / "data")
    try:
        run(str(programs / "initdb"), "-D", data, "--auth=trust", "-U", "daytwo", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run(str(programs / "pg_ctl"), "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql+psycopg://daytwo@/postgres?host={folder}"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
