"""Tools that look beside the case: neighbours, jobs, earlier verdicts, adapters; and several of them at once."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import numpy as np

from agent.backend import ToolCall
from agent.toolbox import Answer, Toolbox
from tools.evidence import EvidenceBook
from tools.past import PastCase
from tools.tool import ToolContext
from tools.types import Coverage, Entity, Event, Facts, Inventory, Link, Moment, Quote, Window

NODES = ("hx01", "hx02", "hx03")


def make_row(node: str, **cells: object) -> Inventory:
    return Inventory(node, quote=Quote("inventory.csv", 2, f"{node},…"), **cells)  # type: ignore[arg-type]


def make_event(node: str, code: str, second: float, *, source: str = "old.log", **fields: str) -> Event:
    quote = Quote(source, int(second) + 1, f"{node} says {code}")
    return Event(Moment("utc", 1_795_000_000 + second), Entity("node", node), code, quote, fields)


def call(context: ToolContext, name: str, **arguments: object) -> Answer:
    return Toolbox(context).call(ToolCall("c", name, json.dumps(arguments)))


def test_neighbours_are_those_of_the_inventory_and_of_links_with_what_was_found() -> None:
    inventory = (
        make_row("hx01", leaf="l7", rack="r1", storage=("nas-1",)),
        make_row("hx02", leaf="l7", rack="r2"),
        make_row("hx03", leaf="l8", rack="r2", storage=("nas-1", "nas-2")),
        make_row("hx04", leaf="l9", rack="r9"),
    )
    beside = Facts(
        events=(make_event("hx02", "nic:link_down", 5.0),), coverage=(Coverage("node:hx03", "host", "read"),)
    )
    facts = Facts(inventory=inventory, entities=(Entity("node", "hx01"),))
    text = call(ToolContext(facts, EvidenceBook(), beside=beside), "read_neighbours", entity="node:hx01").text
    assert "2 of 2" in text
    assert "node:hx02: same leaf switch l7; nic:link_down x1" in text
    assert "hx02 says nic:link_down" in text
    assert "node:hx03: same storage nas-1; nothing found" in text
    assert "hx04" not in text
    assert text.index("hx02: same") < text.index("hx03: same"), "who has events comes first"


def test_who_uses_one_disk_or_runs_one_job_is_a_neighbour() -> None:
    disk, quote = Entity("disk", "xn1", "sda"), Quote("map.txt", 1, "web sda")
    links = (
        *(Link(Entity("guest", "xn1", name), "uses", disk, quote) for name in ("web", "etl")),
        *(Link(Entity("job", name="77"), "runs_on", Entity("node", node), quote) for node in ("xn1", "xn2")),
    )
    context = ToolContext(Facts(links=links), EvidenceBook())
    assert "guest:xn1/etl: same disk disk:xn1/sda" in call(context, "read_neighbours", entity="guest:xn1/web").text
    beside_job = call(context, "read_neighbours", entity="node:xn1").text
    assert "node:xn2: same job:77; nothing told of it" in beside_job


def test_nobody_beside_is_not_read_without_an_inventory() -> None:
    lonely = Facts(entities=(Entity("node", "hx01"),))
    assert call(ToolContext(lonely, EvidenceBook()), "read_neighbours", entity="node:hx01").reading == "not_read"
    listed = Facts(inventory=(make_row("hx01", rack="r1"),), coverage=(Coverage("inventory", "inventory", "read"),))
    whole = ToolContext(listed + lonely, EvidenceBook())
    assert call(whole, "read_neighbours", entity="node:hx01").reading == "empty"


def test_jobs_of_a_node_with_their_rows_and_the_words_of_their_ranks() -> None:
    quote = Quote("jobs.csv", 2, '77,train,ana,OUT_OF_MEMORY,2026-11-19T08:00:00,,"hx[01-02]"')
    links = tuple(Link(Entity("job", name="77"), "runs_on", Entity("node", node), quote) for node in NODES[:2])
    events = tuple(make_event("hx01", "nccl:timeout", rank, job="77", rank=str(rank)) for rank in range(8))
    context = ToolContext(Facts(links=links, events=events), EvidenceBook())
    told = call(context, "read_jobs", entity="node:hx02")
    assert "OUT_OF_MEMORY" in told.text
    assert "8 events of 8 ranks" in told.text
    assert call(context, "read_jobs", entity="").text.count("OUT_OF_MEMORY") == 1
    assert call(ToolContext(Facts(), EvidenceBook()), "read_jobs", entity="").reading == "not_read"


def test_earlier_verdicts_of_the_thing_come_before_those_of_its_node() -> None:
    past = (
        PastCase(Entity("node", "hx01"), "clock_skew", 1_795_000_900.0, "likely", state="ended", ended_by="a boot"),
        PastCase(Entity("gpu", "hx01", "3"), "gpu_off_bus", 1_795_000_000.0, "confirmed", state="open", sign="Xid 79"),
        PastCase(Entity("gpu", "hx09", "1"), "gpu_off_bus", None, "confirmed"),
    )
    facts = Facts(entities=(Entity("gpu", "hx01", "3"),))
    context = ToolContext(facts, EvidenceBook(), past=past)
    text = call(context, "read_past_cases", entity="gpu:hx01/3", fault="").text
    assert text.index("gpu_off_bus (confirmed)") < text.index("clock_skew (likely)")
    assert 'nothing has ended it since; its first sign: "Xid 79"' in text
    assert "ended by a boot" in text
    assert "hx09" not in text
    elsewhere = call(context, "read_past_cases", entity="", fault="gpu_off_bus").text
    assert "gpu:hx09/1 had gpu_off_bus" in elsewhere
    assert "whether it ended is not told" in elsewhere


def test_none_earlier_is_empty_and_no_memory_is_not_read() -> None:
    facts = Facts(entities=(Entity("gpu", "hx01", "3"),))
    readings = [
        call(ToolContext(facts, EvidenceBook(), past=past), "read_past_cases", entity="gpu:hx01/3", fault="").reading
        for past in ((), None)
    ]
    assert readings == ["empty", "not_read"]


def test_adapters_that_err_come_first_with_growth_and_peers() -> None:
    nics = tuple(Entity("nic", "hx01", f"mlx5_{number}") for number in range(4))
    symbols = np.array([[0.0, 0.0], [0.0, 0.0], [10.0, 900.0], [0.0, 1.0]])
    rates = np.full((4, 2), 5e10)
    values = {"nic_link_rate_bytes_per_second": rates, "nic_symbol_errors_total": symbols}
    window = Window(nics, np.array([1.0, 61.0]), values, "perfquery -x")
    context = ToolContext(Facts(windows=(window,)), EvidenceBook())
    answer = call(context, "read_nic_counters", node="hx01")
    first = answer.text.splitlines()[2]
    assert "nic:hx01/mlx5_2 nic_symbol_errors_total 900, lowest 10" in first
    assert "3 peers: median 0" in first
    assert "number 1 from the highest" in first
    assert answer.text.startswith("<evidence>\ncall 1: 8 of 8")
    unread = ToolContext(Facts(coverage=(Coverage("node:hx01", "network", "missing", "no ibstat"),)), EvidenceBook())
    assert "no ibstat" in call(unread, "read_nic_counters", node="").text


def test_what_was_read_besides_answers_too_and_is_not_judged() -> None:
    facts = Facts(events=(make_event("hx01", "xid:45", 600.0, source="kern.log"),))
    beside = Facts(events=(make_event("hx01", "xid:64", 1.0),))
    context = ToolContext(facts, EvidenceBook(), beside=beside)
    assert "xid:64" in call(context, "read_events", entity="node:hx01", code="", around="", limit=20).text
    assert [event.code for event in context.facts.events] == ["xid:45"]


def test_calls_of_one_answer_run_side_by_side_and_are_numbered_in_their_order() -> None:
    facts = Facts(events=tuple(make_event("hx01", f"fs:error{n}", float(n)) for n in range(6)))
    codes = [f"fs:error{n}" for n in (4, 0, 2)]
    calls = [ToolCall(str(n), "read_events", json.dumps({"code": code})) for n, code in enumerate(codes)]
    met = threading.Barrier(len(calls), timeout=5)

    @contextmanager
    def meet(_: ToolCall):  # type: ignore[no-untyped-def]
        # Nobody goes on before all three are under way: one after the other would time out.
        met.wait()
        yield

    box = Toolbox(ToolContext(facts, EvidenceBook()))
    answers = box.call_all(calls, meet)
    assert [answer.evidence for answer in answers] == [("e1",), ("e2",), ("e3",)]
    assert all(f"[e{n}] old.log" in answer.text for n, answer in enumerate(answers, start=1))
    assert not any("\x00" in answer.text for answer in answers)
    again = box.call_all([calls[0], ToolCall("x", "open_evidence", '{"id": "e2"}')])
    assert "answer of call 1 stands above" in again[0].text
    assert "hx01 says fs:error0" in again[1].text


def test_the_same_line_shown_by_two_calls_at_once_has_one_handle() -> None:
    book = EvidenceBook()
    facts = Facts(events=(make_event("hx01", "fs:error1", 1.0),))
    calls = [ToolCall(str(n), "read_events", json.dumps({"limit": n})) for n in (5, 6)]
    answers = Toolbox(ToolContext(facts, book)).call_all(calls)
    assert [answer.evidence for answer in answers] == [("e1",), ("e1",)]
    assert len(book) == 1


def test_what_there_is_to_read_is_decided_by_code() -> None:
    bare = Toolbox(ToolContext(Facts(), EvidenceBook())).available
    assert not bare["read_jobs"]
    assert not bare["read_past_cases"]
    assert bare["read_events"]
    window = Window((Entity("nic", "hx01", "eth0"),), np.array([1.0]), {"nic_x": np.array([[1.0]])}, "ethtool")
    full = ToolContext(Facts(windows=(window,)), EvidenceBook(), past=(PastCase(Entity("node", "hx01"), "node_down"),))
    assert Toolbox(full).available["read_nic_counters"]
    assert Toolbox(full).available["read_past_cases"]
