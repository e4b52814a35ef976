"""What a store knows besides: earlier verdicts and older lines, of these machines and of those beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.policy import SitePolicy
from agent.remember import build_clear, find_hosts
from agent.roster import build_roster
from agent.settings import Settings
from agent.site import Site
from agent.store import open_store
from agent.triage import Memory, triage
from evals.scripted import ScriptedServer
from serve.asking import Occasion, open_investigator
from serve.known import Besides, read_besides
from tools.past import PastCase
from tools.sources.recording import RecordingSource
from tools.types import Entity, Facts, Inventory

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def read(folder: Path, text: str) -> Facts:
    folder.mkdir()
    (folder / "kern.log").write_text(text, encoding="utf-8")
    return RecordingSource([folder], max_bytes=10**6).read_facts()


def keep(facts: Facts, data: Path, now: datetime) -> None:
    records = []
    with open_store(data) as store:
        memory = Memory(store.read_past(find_hosts(facts)), records.extend)
        report = triage(facts, site=SitePolicy(), now=now, memory=memory)
        store.add_report(report, events=facts.events, records=records)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def today(tmp_path: Path) -> Facts:
    line = "2026-11-20T09:00:00+00:00 bk1 kernel: NVRM: Xid (PCI:0000:41:00): 45, pid=7, name=python3, Ch 00000010\n"
    rows = tuple(Inventory(node, leaf=leaf) for node, leaf in (("bk1", "l1"), ("bk2", "l1"), ("bk3", "l2")))
    return replace(read(tmp_path / "today", line), inventory=rows)


def lose(host: str, day: int) -> str:
    words = "NVRM: Xid (PCI:0000:41:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
    return f"2026-11-{day}T09:00:00+00:00 {host} kernel: {words}\n"


def test_an_empty_store_knows_nothing_and_says_that_it_looked(today: Facts, settings: Settings) -> None:
    assert read_besides(today, settings) == Besides((), None)


def test_verdicts_and_lines_of_the_machine_and_its_neighbour_are_known(
    today: Facts, settings: Settings, tmp_path: Path
) -> None:
    for number, host in enumerate(("bk1", "bk2", "bk3")):
        keep(read(tmp_path / host, lose(host, 17 + number)), settings.data_dir, NOW - 3 * DAY + number * DAY)
    known = read_besides(today, settings)
    assert known.past is not None
    told = {str(case.entity).partition("/")[0]: case for case in known.past if case.fault == "gpu_off_bus"}
    assert set(told) == {"gpu:bk1", "gpu:bk2", "gpu:bk3"}
    assert told["gpu:bk1"].state == "open"
    assert "fallen off the bus" in told["gpu:bk1"].sign
    assert told["gpu:bk3"].state == "not_told", "a stranger is known by its verdict alone"
    assert known.facts is not None
    assert {event.node for event in known.facts.events} == {"bk1", "bk2"}, "lines of neighbours, not of strangers"


def test_a_clear_ends_it_with_its_reason(today: Facts, settings: Settings, tmp_path: Path) -> None:
    keep(read(tmp_path / "old", lose("bk1", 17)), settings.data_dir, NOW - 3 * DAY)
    gpu = Entity("gpu", "bk1", "0000:41:00.0").with_ids(pci="0000:41:00.0")
    cleared = build_clear(gpu, who="ana", why="card swapped", did="replace", now_seconds=(NOW - DAY).timestamp())
    with open_store(settings.data_dir) as store:
        store.add_records([cleared])
    past = read_besides(today, settings).past
    assert past is not None
    case = next(one for one in past if one.fault == "gpu_off_bus")
    assert (case.state, "card swapped" in case.ended_by) == ("ended", True)


def test_what_the_evidence_tells_itself_is_no_past(settings: Settings, tmp_path: Path) -> None:
    facts = read(tmp_path / "old", lose("bk1", 17))
    keep(facts, settings.data_dir, NOW - DAY)
    assert read_besides(facts, settings) == Besides((), None)


def test_a_store_that_cannot_be_read_costs_nothing(today: Facts, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    assert read_besides(today, Settings(data_dir=tmp_path / "file")) == Besides()
    assert "without earlier verdicts" in capsys.readouterr().err


def test_every_name_that_a_tool_may_tell_is_there_to_be_masked(today: Facts) -> None:
    other = read_names(Besides((PastCase(Entity("gpu", "secret-host", "1"), "gpu_off_bus"),), None).name_all(today))
    assert "secret-host" in other


def read_names(facts: Facts) -> set[str]:
    return {entity.node for entity in facts.entities}


@pytest.mark.parametrize("kept", [True, False])
def test_a_model_hears_of_the_past_unless_nothing_is_to_be_kept(
    kept: bool, today: Facts, settings: Settings, tmp_path: Path
) -> None:
    keep(read(tmp_path / "old", lose("bk2", 17)), settings.data_dir, NOW - 3 * DAY)
    with ScriptedServer("careful") as server:
        roster = build_roster(server.spec, Site().models)
        asking = open_investigator(Occasion(roster, today, settings, NOW, lambda run: None, kept=kept))
        triage(today, site=SitePolicy(), now=NOW, investigator=asking.look, together=asking.together)
        briefs = [str(request["messages"][1]["content"]) for request in server.requests if request.get("tools")]
    assert briefs
    idle = next((line for line in briefs[0].splitlines() if line.startswith("Nothing to read for: ")), "")
    assert ("read_past_cases" in idle) is not kept
