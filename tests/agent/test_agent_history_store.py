"""The event store on SQLite and on PostgreSQL: nothing is read twice, nothing is lost, whenever it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, func, select, text

from agent.follow import Followed, Step
from agent.history import Record
from agent.store import open_store
from agent.store.models import Base, EventRow
from agent.store.store import Store
from agent.types import CoverageRow, Subject, TriageReport, Verdict
from tools.errors import OperatorError, SiteConfigError
from tools.types import Entity, Event, Moment, Quote

HERE = Path(__file__).parent
GPU = Entity("gpu", "n7", "3").with_ids(pci="0000:4e:00.0", uuid="GPU-1")


def open_place(place: str) -> Store:
    return open_store(url=place) if place.startswith("postgresql") else open_store(Path(place))


def build_report(number: int) -> TriageReport:
    verdict = Verdict(
        verdict_id=f"v-{os.getpid()}-{number}-{os.urandom(4).hex()}",
        case_id="c-1",
        time="2026-11-20T10:00:00.000Z",
        subject=Subject(entity=str(GPU)),
        status="failed",
        fault="gpu_off_bus",
        confidence="confirmed",
        severity="critical",
        action="reboot_node",
        urgency="now",
        follow_up="inspect_hardware",
        summary="It is gone.",
        decided_by="rules",
    )
    return TriageReport(verdicts=[verdict], coverage=[CoverageRow(entity="x", domain="gpu", status="read")])


def build_event(number: int, *, source: str = "kern.log", line: int | None = None, words: str = "") -> Event:
    quote = Quote(source, line or number, words or f"line {number}")
    return Event(Moment("utc", 1000.0 * number), GPU, "xid:79", quote, {}, "kernel")


def build_record(number: int, **more: object) -> Record:
    fields = {"fault": "gpu_off_bus", "case_id": "c-1", "severity": "critical", "confidence": "likely"} | more
    return Record(f"k-{number}", "fault", GPU, float(number), 5000.0, float(number), "utc", number, **fields)


def count(store: Store) -> int:
    query = select(func.coalesce(func.sum(EventRow.count), 0)).where(EventRow.entity == str(GPU))
    with store._engine.connect() as connection:
        return connection.execute(query).scalar_one()


def test_migrations_equal_models(place):
    open_place(place).close()
    engine = create_engine(place if "://" in place else f"sqlite:///{place}/daytwo.db")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_a_store_of_the_first_edition_is_brought_up_to_date(place):
    open_place(place).close()
    engine = create_engine(place if "://" in place else f"sqlite:///{place}/daytwo.db")
    with engine.begin() as connection:
        for table in ("positions", "cursors", "records", "proposals", "breaker", "audit", "audit_head"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    store = open_place(place)
    assert store.add_records([build_record(1)]) == 1
    store.close()


def test_a_record_comes_back_as_it_was_and_is_kept_once(place):
    store = open_place(place)
    record = build_record(1, place="kern.log:7", text='a "line" with \u00fc and \\', why="", who="")
    assert store.add_records([record, record]) == 1
    assert store.add_records([record]) == 0
    assert store.read_past(["n7"]).records == (record,)
    assert store.read_past(["n8", ""]).records == ()
    assert store.read_records_of(GPU).records == (record,)
    store.close()


def test_a_surer_or_longer_reading_of_a_record_wins(place):
    store = open_place(place)
    store.add_records([build_record(1, confidence="inconclusive", action="run_diagnostics")])
    longer = build_record(1, confidence="confirmed", action="reboot_node")
    store.add_records([longer])
    store.add_records([build_record(1, confidence="inconclusive", action="watch")])
    (kept,) = store.read_past(["n7"]).records
    assert (kept.confidence, kept.action) == ("confirmed", "reboot_node")
    store.close()


def test_history_of_what_is_on_no_host(place):
    store = open_place(place)
    job = Entity("job", name="4711")
    record = Record("k", "fault", job, 1.0, 2.0, 1.0, fault="job_crash")
    store.add_records([record])
    assert store.read_records_of(job).records == (record,)
    store.close()


def read(store: Store, events: list[Event]) -> int:
    before = count(store)
    store.add_report(build_report(0), events=events)
    return count(store) - before


def test_a_growing_log_is_counted_once(place):
    store = open_place(place)
    log = [build_event(number) for number in range(1, 11)]
    assert read(store, log[:4]) == 4
    assert read(store, log[:4]) == 0
    assert read(store, log[:9]) == 5
    assert read(store, log[:3]) == 0, "its beginning alone"
    assert read(store, log) == 1
    store.close()


def test_a_log_that_was_rotated_renamed_or_cut_at_its_head_is_still_known(place):
    store = open_place(place)
    log = [build_event(number) for number in range(1, 11)]
    assert read(store, log[:6]) == 6
    renamed = [build_event(number, source="kern.log.1") for number in range(1, 9)]
    assert read(store, renamed) == 2
    ring = [build_event(number, line=number - 4) for number in range(5, 11)]
    assert read(store, ring) == 2
    fresh = [build_event(number, line=number - 10) for number in range(11, 14)]
    assert read(store, fresh) == 3, "a new file of the same name"
    assert read(store, fresh) == 0
    assert count(store) == 13
    store.close()


def test_lines_equal_to_the_letter_are_counted_by_their_place(place):
    store = open_place(place)
    same = [
        Event(Moment("local", 9.0, False), GPU, "xid:79", Quote("k", n, "NVRM: gone"), {}, "kernel")
        for n in range(1, 7)
    ]
    assert read(store, same[:5]) == 5
    assert read(store, same[:5]) == 0
    assert read(store, same) == 1
    store.close()


def test_two_logs_of_one_host_have_a_cursor_each(place):
    store = open_place(place)
    one = [build_event(number) for number in range(1, 4)]
    two = [build_event(number, source="other.log", words=f"other {number}") for number in range(1, 4)]
    assert read(store, one + two) == 6
    assert read(store, two + one) == 0
    store.close()


def test_many_writers_at_once_count_and_keep_everything_once(place):
    open_place(place).close()
    log = [build_event(number) for number in range(1, 21)]

    def write() -> None:
        store = open_place(place)
        for end in range(1, 21):
            store.add_report(build_report(end), events=log[:end], records=[build_record(end)])
        store.close()

    with ThreadPoolExecutor(3) as pool:
        for writer in [pool.submit(write) for _ in range(3)]:
            writer.result()
    store = open_place(place)
    assert count(store) == 20
    assert len(store.read_past(["n7"]).records) == 20
    assert store.count_verdicts(["c-1"]) == {"c-1": 60}
    store.close()


KILLER = """
import multiprocessing, os, random, signal, sys, time
sys.path.insert(0, sys.argv[2])
sys.path.insert(0, sys.argv[3])
from test_agent_history_store import build_event, build_record, build_report, count, open_place
place = sys.argv[1]
LOG = [build_event(number) for number in range(1, 3001)]


def write(stop, written=None):
    store = open_place(place)
    while count(store) < stop:
        end = count(store) + 1
        store.add_report(build_report(end), events=LOG[:end], records=[build_record(n) for n in range(max(1, end - 5), end + 1)])
        if written is not None:
            written.value += 1


def check():
    store = open_place(place)
    events, records = count(store), [r.position for r in store.read_past(["n7"]).records]
    verdicts = store.count_verdicts(["c-1"]).get("c-1", 0)
    runs = len(store.find_runs("c-1"))
    store.close()
    assert records == list(range(1, events + 1)), (events, records[-5:])
    assert events == verdicts == runs, (events, verdicts, runs)
    return events


open_place(place).close()
context = multiprocessing.get_context("fork")
random.seed(int(sys.argv[4]))
last = killed = 0
for _ in range(20):
    written = context.Value("i", 0)
    child = context.Process(target=write, args=(len(LOG), written))
    child.start()
    goal, patience = random.randint(1, 4), time.monotonic() + 20
    while written.value < goal and time.monotonic() < patience:
        time.sleep(0.001)
    time.sleep(random.uniform(0.0, 0.02))
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    killed += child.exitcode == -signal.SIGKILL
    now = check()
    assert now >= last, "what was there stays there"
    last = now
write(last + 3)
assert check() == last + 3
print(killed, last)
"""


def test_killed_at_any_point_nothing_is_lost_or_there_twice(place):
    words = [sys.executable, "-c", KILLER, place, str(HERE), str(HERE.parent / "standin"), "7"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    killed, reports = map(int, done.stdout.split())
    assert killed == 20
    assert reports >= 20, "each writer got at least one report done before it was killed"


def test_a_database_that_is_not_there_is_a_clear_error():
    with pytest.raises(SiteConfigError) as caught:
        open_store(url="postgresql+psycopg://daytwo:secret@/daytwo?host=/nowhere")
    assert "secret" not in caught.value.message
    assert "--no-store" in caught.value.fix or "daytwo[postgres]" in caught.value.fix


# ---- a log that is followed ----


def test_a_step_is_kept_whole_and_once(place):
    store = open_place(place)
    start = store.find_followed("n7 kern.log")
    step = Step(start, "a", [build_event(1), build_event(2)], [build_record(1)], build_report(1))
    after = store.add_step(step)
    assert store.find_followed("n7 kern.log") == after == Followed("n7 kern.log", "a")
    assert (count(store), len(store.read_past(["n7"]).records)) == (2, 1)
    assert [verdict.fault for verdict in store.list_verdicts()] == ["gpu_off_bus"]
    # Another follower, or a bug that keeps the same step twice: nothing of it is kept.
    for again in (step, Step(start, "b", [build_event(3)])):
        with pytest.raises(OperatorError, match="Another daytwo follows"):
            store.add_step(again)
    assert (count(store), store.find_followed("n7 kern.log").position) == (2, "a")
    store.close()


def test_lines_that_are_equal_are_all_counted_where_the_position_tells_that_they_are_new(place):
    store = open_place(place)
    followed = store.add_step(Step(store.find_followed("n7 kern.log"), "a", [build_event(1, line=1, words="x")]))
    store.add_step(Step(followed, "b", [build_event(1, line=2, words="x")]))
    assert count(store) == 2
    # A triage that reads the whole log afterwards finds nothing new, and what came since.
    lines = [build_event(1, line=number, words="x") for number in (1, 2)]
    store.add_report(build_report(2), events=lines)
    assert count(store) == 2
    store.add_report(build_report(3), events=[*lines, build_event(9, line=3)])
    assert count(store) == 3
    store.close()


def test_what_was_told_is_kept_apart_from_the_position(place):
    store = open_place(place)
    followed = store.add_step(Step(store.find_followed("n7 kern.log"), "a"))
    store.note_told(replace(followed, told={"gpu:n7/3 gpu_off_bus": "1f"}))
    assert store.find_followed("n7 kern.log").told == {"gpu:n7/3 gpu_off_bus": "1f"}
    moved = store.add_step(Step(store.find_followed("n7 kern.log"), "b"))
    assert (moved.position, moved.told) == ("b", {"gpu:n7/3 gpu_off_bus": "1f"})
    store.close()
