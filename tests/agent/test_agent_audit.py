"""The audit: what is changed, removed, slipped in or cut off is found, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DatabaseError

from agent.audit import FIRST_HASH, AuditLine, Entry, Head, chain_entry, find_break, seal
from agent.run import Run, build_step
from agent.store import open_store
from agent.store.actions import ActionBook
from agent.store.audit_log import append_entries
from agent.store.store import Store
from agent.types import Claim, EvidenceRow, ModelUse, Subject, TriageReport, Usage, Verdict
from tools.errors import SiteConfigError

HERE = Path(__file__).parent
DROP_GUARDS = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["DROP TRIGGER audit_no_change ON audit"],
}


def open_place(place: str) -> Store:
    return open_store(url=place) if place.startswith("postgresql") else open_store(Path(place))


def build_report() -> TriageReport:
    verdict = Verdict(
        verdict_id="v-1",
        case_id="c-1",
        time="2026-11-20T10:00:00.000Z",
        subject=Subject(entity="gpu:n7/3"),
        status="failed",
        fault="gpu_off_bus",
        confidence="confirmed",
        severity="critical",
        action="reboot_node",
        urgency="now",
        follow_up="inspect_hardware",
        summary="It is gone.",
        evidence=[EvidenceRow(id="e1", source="kern.log:1", quote="Xid 79 \ud800 \x00 ü")],
        claims=[Claim(text="it is gone", evidence=["e1"], verified=True)],
        decided_by="rules",
        model=ModelUse(name="m", endpoint_kind="local", prompt_hashes={"system": "abc"}),
    )
    return TriageReport(verdicts=[verdict], coverage=[])


def build_run() -> Run:
    step = build_step("tool", "read_events", "ten rows", seconds=0.1, arguments='{"entity": "gpu:n7/3"}')
    usage = Usage(calls=1, tokens_in=1, tokens_cached=0, tokens_out=1, seconds=0.1)
    return Run("r-1", "c-1", "v-1", "m", (step,), {"system": "abc"}, usage)


def fill(store: Store, count: int) -> None:
    for number in range(count):
        with store._write() as session:
            append_entries(session, [Entry("decision", f"c-{number}", {"n": number, "words": "ü \ud800"})])


def chain(*kinds: str) -> tuple[list[AuditLine], Head]:
    lines, head = [], Head()
    for kind in kinds:
        lines.append(chain_entry(Entry(kind, "c-1", {"b": 1, "a": [1.5, None]}), head, 1e9))
        head = Head(lines[-1].number, lines[-1].hash)
    return lines, head


def test_a_row_is_sealed_with_the_one_before_it_over_canonical_json():
    (first, second), _ = chain("decision", "approval")
    body = '{"case_id":"c-1","data":{"a":[1.5,null],"b":1},"kind":"decision","number":1,"time":1000000000.0,"who":"daytwo"}'
    assert first.body == body
    assert first.hash == hashlib.sha256((FIRST_HASH + body).encode()).hexdigest()
    assert second.previous == first.hash


def test_an_empty_log_holds_and_any_cut_is_found():
    assert find_break([], Head()) is None
    lines, head = chain("decision", "approval", "result")
    assert find_break(lines, head) is None
    for kept in range(3):
        broken = find_break(lines[:kept], head)
        assert (broken.number, "missing" in broken.why) == (kept + 1, True)
    assert find_break(lines[1:], head).number == 1
    assert find_break([lines[0], lines[2]], head).number == 2
    assert find_break(lines, Head(2, lines[1].hash)).number == 2


def test_a_kept_head_finds_a_log_that_was_written_anew():
    lines, head = chain("decision", "approval", "result")
    assert find_break(lines, head, kept=Head(2, lines[1].hash)) is None
    assert find_break(lines, head, kept=Head(0, lines[1].hash)) is None
    others, other_head = chain("decision", "rejection", "result")
    assert find_break(others, other_head) is None
    assert find_break(others, other_head, kept=Head(2, lines[1].hash)).number == 2
    assert find_break(others[:1], Head(1, others[0].hash), kept=head).number == 3
    assert "gone" in find_break(others, other_head, kept=Head(0, head.hash)).why


def test_a_triage_leaves_what_was_decided_and_asked_in_the_same_transaction(place):
    store = open_place(place)
    book = ActionBook(store)
    report = build_report()
    report = report.model_copy(
        update={
            "verdicts": [
                report.verdicts[0].model_copy(update={"evidence": [EvidenceRow(id="e1", source="k:1", quote="q")]})
            ]
        }
    )
    store.add_report(report, runs=[build_run()])
    run, decision = book.read_audit()
    assert (run.kind, decision.kind, decision.case_id) == ("investigation", "decision", "c-1")
    assert run.words["data"]["prompts"] == {"system": "abc"}
    assert run.words["data"]["steps"][0]["name"] == "read_events"
    assert decision.words["data"]["claims"][0]["verified"] is True
    assert decision.words["data"]["evidence"] == [
        {"id": "e1", "source": "k:1", "hash": hashlib.sha256(b"q").hexdigest()[:16]}
    ]
    with pytest.raises(SiteConfigError, match=r"(?i)unique"):
        store.add_report(report)  # the same verdict id: nothing of it is kept
    assert len(book.read_audit()) == 2
    assert book.check_audit()[1] is None
    store.close()


def change(place: str, *statements: str, guards: bool = False) -> None:
    engine = create_engine(place if "://" in place else f"sqlite:///{place}/daytwo.db")
    try:
        with engine.begin() as connection:
            for statement in [*([] if guards else DROP_GUARDS[engine.dialect.name]), *statements]:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


TAMPERING = [
    pytest.param(["UPDATE audit SET body = replace(body, '\"n\":2', '\"n\":9') WHERE number = 3"], 3, id="words"),
    pytest.param(["UPDATE audit SET time_seconds = 1.0 WHERE number = 2"], 2, id="column"),
    pytest.param(["UPDATE audit SET case_id = 'c-9' WHERE number = 4"], 4, id="case"),
    pytest.param(["UPDATE audit SET hash = previous WHERE number = 2"], 2, id="hash"),
    pytest.param(["DELETE FROM audit WHERE number = 1"], 1, id="first"),
    pytest.param(["DELETE FROM audit WHERE number = 3"], 3, id="middle"),
    pytest.param(["DELETE FROM audit WHERE number = 6"], 6, id="last"),
    pytest.param(["DELETE FROM audit WHERE number > 3"], 4, id="end"),
    pytest.param(["DELETE FROM audit"], 1, id="all"),
    pytest.param(
        ["DELETE FROM audit WHERE number = 3", "UPDATE audit SET number = number - 1 WHERE number > 3"],
        3,
        id="renumbered",
    ),
    pytest.param(
        [
            "UPDATE audit SET number = 99 WHERE number = 2",
            "UPDATE audit SET number = 2 WHERE number = 3",
            "UPDATE audit SET number = 3 WHERE number = 99",
        ],
        2,
        id="swapped",
    ),
    pytest.param(["UPDATE audit_head SET hash = 'x'"], 6, id="head"),
    pytest.param(["DELETE FROM audit_head"], 1, id="no-head"),
]


@pytest.mark.parametrize(("statements", "row"), TAMPERING)
def test_tampering_is_found_at_its_first_row(place, statements, row):
    store = open_place(place)
    fill(store, 6)
    assert ActionBook(store).check_audit()[1] is None
    change(place, *statements)
    _, broken = ActionBook(store).check_audit()
    assert broken is not None
    assert broken.number == row
    store.close()


def test_a_cut_with_the_head_set_back_is_found_by_the_head_that_was_kept(place):
    store = open_place(place)
    fill(store, 6)
    kept, _ = ActionBook(store).check_audit()
    third = ActionBook(store).read_audit()[2]
    change(
        place,
        "DELETE FROM audit WHERE number > 3",
        f"UPDATE audit_head SET number = 3, hash = '{third.hash}'",
    )
    assert ActionBook(store).check_audit()[1] is None  # which is why a head is to be kept
    assert ActionBook(store).check_audit(kept)[1].number == 6
    assert ActionBook(store).check_audit(Head(3, third.hash))[1] is None
    fill(store, 5)
    assert ActionBook(store).check_audit()[1] is None
    assert ActionBook(store).check_audit(kept)[1].number == 6
    assert ActionBook(store).check_audit(Head(0, kept.hash))[1] is not None
    store.close()


def test_a_log_written_anew_with_right_hashes_is_found_by_the_head_that_was_kept(place):
    store = open_place(place)
    fill(store, 3)
    book = ActionBook(store)
    kept, _ = book.check_audit()
    lines = book.read_audit()
    body = lines[2].body.replace('"n":2', '"n":9')
    fresh = seal(lines[1].hash, body)
    change(
        place,
        f"UPDATE audit SET body = '{body}', hash = '{fresh}' WHERE number = 3",
        f"UPDATE audit_head SET hash = '{fresh}'",
    )
    assert book.check_audit()[1] is None
    assert book.check_audit(kept)[1].number == 3
    store.close()


@pytest.mark.parametrize("statement", ["UPDATE audit SET kind = 'x'", "DELETE FROM audit WHERE number = 2"])
def test_the_database_itself_refuses_to_change_a_row(place, statement):
    store = open_place(place)
    fill(store, 2)
    with pytest.raises(DatabaseError, match="never changed"):
        change(place, statement, guards=True)
    assert ActionBook(store).check_audit()[1] is None
    store.close()


def test_rows_of_a_case_and_the_newest_ones(place):
    store = open_place(place)
    fill(store, 5)
    book = ActionBook(store)
    assert [line.number for line in book.read_audit(limit=2)] == [4, 5]
    assert [line.number for line in book.read_audit(case_id="c-3")] == [4]
    store.close()


WRITER = """
import sys
sys.path.insert(0, {here!r})
from test_agent_audit import fill, open_place
store = open_place({place!r})
fill(store, 20)
"""


def test_many_processes_write_one_chain(place):
    open_place(place).close()
    words = WRITER.format(here=str(HERE), place=place)
    writers = [subprocess.Popen([sys.executable, "-c", words]) for _ in range(2)]
    store = open_place(place)
    while any(writer.poll() is None for writer in writers):
        assert ActionBook(store).check_audit()[1] is None  # also while others write
        time.sleep(0.05)
    assert [writer.returncode for writer in writers] == [0, 0]
    head, broken = ActionBook(store).check_audit()
    assert (head.number, broken) == (40, None)
    store.close()
