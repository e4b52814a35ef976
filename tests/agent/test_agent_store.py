"""The store: it keeps what it was given, lets several processes write, and its migrations equal its models."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, select

from agent.run import Run, build_step
from agent.store import open_store
from agent.store.models import Base, EventRow
from agent.store.upgrade import MIGRATIONS, find_head
from agent.types import CoverageRow, Subject, TriageReport, Usage, Verdict
from tools.errors import OperatorError, SiteConfigError
from tools.types import Entity, Event, Moment, Quote


def build_verdict(number: int, *, fault: str = "gpu_off_bus", entity: str = "gpu:n1/3", case_id: str = "") -> Verdict:
    return Verdict(
        verdict_id=f"v-{number:04}",
        case_id=case_id or f"c-{number:04}",
        time=f"2026-11-20T10:00:{number % 60:02}.000Z",
        subject=Subject(entity=entity, ids={"pci": "0000:3b:00.0"}),
        status="failed",
        fault=fault,
        confidence="confirmed",
        severity="critical",
        action="reboot_node",
        urgency="now",
        follow_up="inspect_hardware",
        summary="It is gone.",
        decided_by="rules",
    )


def build_report(*verdicts: Verdict) -> TriageReport:
    row = CoverageRow(entity="node:n1", domain="disk", status="missing", reason="no iostat", fix="apt install sysstat")
    return TriageReport(verdicts=list(verdicts), coverage=[row])


def build_event(code: str, seconds: float | None) -> Event:
    moment = Moment("utc", seconds) if seconds is not None else Moment("boot", 12.0)
    return Event(moment, Entity("gpu", "n1", "3"), code, Quote("kern.log", 7, "a line"), {"pid": "1"}, "kernel")


def test_what_was_added_is_there_after_reopening(tmp_path):
    store = open_store(tmp_path)
    verdict = build_verdict(1)
    run_id = store.add_report(build_report(verdict), origin={"paths": ["kern.log"]})
    store.close()

    again = open_store(tmp_path)
    assert again.find_verdict("v-0001") == verdict
    assert again.find_verdict("v-9999") is None
    (run,) = again.find_runs("c-0001")
    assert run["run_id"] == run_id
    assert run["coverage"][0]["fix"] == "apt install sysstat"
    assert run["origin"] == {"paths": ["kern.log"]}


def test_journal_is_wal(tmp_path):
    open_store(tmp_path).close()
    assert sqlite3.connect(tmp_path / "daytwo.db").execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_list_filters(tmp_path):
    store = open_store(tmp_path)
    store.add_report(build_report(build_verdict(1), build_verdict(2, fault="io_saturated", entity="disk:n1/sda")))
    store.add_report(build_report(build_verdict(30, entity="node:n2"), build_verdict(31, entity="gpu:n10/3")))

    def ids(**filters: object) -> list[str]:
        return [v.verdict_id for v in store.list_verdicts(**filters)]

    assert ids() == ["v-0031", "v-0030", "v-0002", "v-0001"]
    assert ids(limit=1) == ["v-0031"]
    assert ids(fault="io_saturated") == ["v-0002"]
    assert ids(entity="gpu:n1/3") == ["v-0001"]
    assert ids(entity="node:n1") == ["v-0002", "v-0001"]
    assert ids(entity="node:n2") == ["v-0030"]
    since = 1795168825.0  # 2026-11-20T10:00:25Z
    assert ids(since=since) == ["v-0031", "v-0030"]


def test_verdicts_of_one_moment_keep_the_primary_first(tmp_path):
    store = open_store(tmp_path)
    same = [build_verdict(5).model_copy(update={"verdict_id": name}) for name in ("v-z", "v-a", "v-m")]
    store.add_report(build_report(*same))
    assert [v.verdict_id for v in store.list_verdicts()] == ["v-z", "v-a", "v-m"]


def test_case_by_unique_beginning(tmp_path):
    store = open_store(tmp_path)
    store.add_report(build_report(build_verdict(1, case_id="c-abc1")))
    store.add_report(build_report(build_verdict(2, case_id="c-abc1")))
    store.add_report(build_report(build_verdict(3, case_id="c-abd9")))
    assert [v.verdict_id for v in store.find_case("c-abc")] == ["v-0002", "v-0001"]
    assert store.find_case("c-zzz") == []
    assert store.find_case("c-%") == []
    with pytest.raises(OperatorError, match=r"2 cases begin with 'c-ab': c-abc1, c-abd9"):
        store.find_case("c-ab")


def test_a_whole_id_wins_over_longer_ones(tmp_path):
    store = open_store(tmp_path)
    store.add_report(build_report(build_verdict(1, case_id="c-1")))
    store.add_report(build_report(build_verdict(2, case_id="c-12")))
    assert [v.case_id for v in store.find_case("c-1")] == ["c-1"]


def read_event_rows(folder: Path) -> list[tuple[object, ...]]:
    engine = create_engine(f"sqlite:///{folder / 'daytwo.db'}")
    columns = (EventRow.entity, EventRow.code, EventRow.count, EventRow.first_seconds, EventRow.last_seconds)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(select(*columns).order_by(EventRow.code))]
    engine.dispose()
    return rows


def test_events_are_counted_per_entity_and_code(tmp_path):
    store = open_store(tmp_path)
    events = [build_event("xid:79", 100.0), build_event("xid:79", 50.0), build_event("xid:45", None)]
    store.add_report(build_report(build_verdict(1)), events=events)
    assert read_event_rows(tmp_path) == [("gpu:n1/3", "xid:45", 1, None, None), ("gpu:n1/3", "xid:79", 2, 50.0, 100.0)]


def test_the_audit_of_an_investigation_is_kept(tmp_path):
    store = open_store(tmp_path)
    usage = Usage(calls=2, tokens_in=900, tokens_cached=0, tokens_out=40, seconds=1.5)
    step = build_step("tool", "read_log", "e1 a line", seconds=0.25, arguments='{"code": "xid:79"}')
    audit = Run("i-1", "c-9", "v-1", "local", (step,), {"brief": "ab12"}, usage, repairs={"bare_json": 1})
    store.add_report(build_report(build_verdict(1)), runs=[audit])
    (run,) = store.find_runs("c-9")
    assert (run["run_id"], run["kind"]) == ("i-1", "investigation")
    assert run["steps"][0]["arguments"] == '{"code": "xid:79"}'
    assert run["usage"]["tokens_in"] == 900
    assert run["repairs"] == {"bare_json": 1}


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_agent_store import build_event, build_report, build_verdict
    from agent.store import open_store
    base = int(sys.argv[3])
    store = open_store(Path(sys.argv[1]))
    for number in range(base, base + 40):
        store.add_report(build_report(build_verdict(number)), events=[build_event("xid:79", number + 1.0)])
    """
)


def test_two_processes_open_and_write_at_once(tmp_path):
    here = str(__import__("pathlib").Path(__file__).parent)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), here, str(base)], stderr=subprocess.PIPE)
        for base in (0, 1000)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors.decode()
    store = open_store(tmp_path)
    assert len(store.list_verdicts(limit=1000)) == 80
    assert sum(row[2] for row in read_event_rows(tmp_path)) == 80


def test_migrations_equal_models(tmp_path):
    open_store(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'daytwo.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_head_by_file_name_is_head_of_alembic():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == find_head()


def test_an_open_store_that_is_current_does_not_import_alembic(tmp_path):
    open_store(tmp_path).close()
    code = (
        "import sys, pathlib; from agent.store import open_store; open_store(pathlib.Path(sys.argv[1]));"
        "raise SystemExit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0


def test_a_broken_database_is_a_clear_error(tmp_path):
    (tmp_path / "daytwo.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(SiteConfigError, match="file is not a database") as caught:
        open_store(tmp_path)
    assert "--no-store" in caught.value.fix


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(SiteConfigError, match="cannot be made") as caught:
        open_store(tmp_path / "file" / "below")
    assert "DAYTWO_DATA_DIR" in caught.value.fix
