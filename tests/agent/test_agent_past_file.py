"""History read straight from the file is the store's; where it cannot be, the store is asked."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.history import NO_PAST, Record
from agent.store import open_store, read_past_file
from agent.store.past_file import DATABASE_NAME, MAX_HOSTS
from tools.types import Entity

RECORDS = [
    Record(
        f"k{number}",
        "fault" if number % 2 else "boot",
        Entity("gpu", f"n{number % 3}", f"0000:{number:02x}:00.0", (("pci", f"0000:{number:02x}:00.0"),)),
        at_seconds=1e9 - number,
        seen_seconds=2e9,
        position=number,
        fault="gpu_off_bus" if number % 2 else "",
        text="GPU has fallen off the bus, über alles",
        severity="critical",
    )
    for number in range(9)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_store(tmp_path) as store:
        store.add_records(RECORDS)
    return tmp_path


@pytest.mark.parametrize("hosts", [["n0"], ["n1", "n2", ""], ["n0", "n1", "n2"], ["n9"], []])
def test_the_file_tells_what_the_store_tells(folder: Path, hosts: list[str]) -> None:
    with open_store(folder) as store:
        told = store.read_past(hosts)
    assert read_past_file(folder, hosts) == told
    assert len(told.records) == 3 * len({*hosts} & {"n0", "n1", "n2"})


def test_the_file_is_read_while_another_one_writes(folder: Path) -> None:
    writer = sqlite3.connect(folder / DATABASE_NAME)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM records")
    past = read_past_file(folder, ["n1"])
    writer.rollback()
    writer.close()
    assert past is not None
    assert len(past.records) == 3


def test_what_only_the_store_can_tell_is_left_to_it(folder: Path, tmp_path: Path) -> None:
    assert read_past_file(tmp_path / "nowhere", ["n1"]) is None
    assert read_past_file(folder, [f"n{number}" for number in range(MAX_HOSTS + 1)]) is None
    with sqlite3.connect(folder / DATABASE_NAME) as connection:
        connection.execute("UPDATE records SET document = '{}' WHERE key = 'k1'")
    assert read_past_file(folder, ["n1"]) is None
    assert read_past_file(folder, ["n2"]) not in (None, NO_PAST)
    with sqlite3.connect(folder / DATABASE_NAME) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert read_past_file(folder, ["n2"]) is None
    (folder / DATABASE_NAME).write_bytes(b"no database at all" * 500)
    assert read_past_file(folder, ["n2"]) is None


SHOWN = """
import sys
from serve import main, triage
real = triage.print_report
def show(*arguments, **options):
    real(*arguments, **options)
    print("SQLALCHEMY", "sqlalchemy" in sys.modules)
triage.print_report = show
sys.argv = ["daytwo", "triage", sys.argv[1]]
main.main()
"""


def test_a_verdict_is_shown_before_the_store_is_opened_and_kept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(tmp_path / "data"))
    log = tmp_path / "kern.log"
    log.write_text(
        "Nov 14 07:00:01 n1 kernel: [ 1000.000001] NVRM: Xid (PCI:0000:4e:00): 79, pid=1, name=x, GPU has fallen off the bus.\n",
        encoding="utf-8",
    )
    open_store(tmp_path / "data").close()
    told = [
        subprocess.run([sys.executable, "-c", SHOWN, str(log)], capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert [run.returncode for run in told] == [1, 1], told[0].stderr
    assert all("SQLALCHEMY False" in run.stdout for run in told)
    with open_store(tmp_path / "data") as store:
        assert len(store.list_verdicts(fault="gpu_off_bus")) == 2
        assert len(store.read_past(["n1"]).records) == 1
