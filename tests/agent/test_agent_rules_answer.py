"""Answers by rules: questions are matched to cases, entities, readings, faults and runbooks; and desks of several triages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.desk import Desk, lay_out
from agent.policy import SitePolicy
from agent.rules_answer import answer_by_rules, find_entities
from agent.triage import triage
from agent.types import CoverageRow
from rag.errors import RagError
from rag.library import Passage
from tools.sources.recording import RecordingSource

BAD_NIGHT = Path(__file__).parents[2] / "examples" / "bad-night"


@pytest.fixture(scope="module")
def desk():
    facts = RecordingSource([BAD_NIGHT], max_bytes=10**8).read_facts()
    return lay_out(Desk(), triage(facts, site=SitePolicy(), now=datetime.now(UTC)), facts, origin="bad-night")


class Shelf:
    def __init__(self, *found: Passage, error: RagError | None = None) -> None:
        self.found, self.error = found, error

    def search(self, query: str, *, limit: int = 5, near: bool = False) -> list[Passage]:
        assert near
        if self.error:
            raise self.error
        return list(self.found)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("why is gpu 3 gone?", "Xid (PCI:0000:4e:00): 79"),
        ("why is @gpu:gpu-017/3 gone?", "gpu_power_supply"),
        ("what should I do about gpu-017?", "4. reboot_node node:gpu-017"),
        ("what happened to job 4711?", "gpu_off_bus"),
        ("how hot is gpu 5 of gpu-017?", "gpu_temperature_celsius 32"),
        ("which guest makes the disk slow?", "io_noisy_neighbor"),
        ("who is touched by it on xen-03?", "tenant-b-etl"),
        ("when did gpu 3 go?", "2026-11-20T02:14:09"),
        ("what is wrong?", "io_noisy_neighbor on disk:xen-03/sdb"),
        ("c-566cb: next?", "reboot_node"),
        ("show me e2", "GPU 0000:4e:00.0: GPU has fallen off the bus"),
        ("what could you not read?", "All that was asked for was read."),
    ],
)
def test_a_question_finds_what_its_words_name(desk, question, said):
    told = answer_by_rules(question, desk)
    assert any(said in one.text for one in told), [one.text for one in told]
    assert all(one.standing != "struck" for one in told)
    assert all(desk.book.find(handle) for one in told for handle in one.evidence)


def test_one_card_of_a_node_is_one_card(desk):
    assert [str(one) for one in find_entities("gpu 3 of gpu-017", desk)] == ["gpu:gpu-017/3"]
    assert [str(one) for one in find_entities("and gpu-017?", desk)] == ["node:gpu-017"]
    assert find_entities("3 of them", desk) == []


def test_a_healthy_card_is_answered_by_its_readings_not_by_anothers_case(desk):
    told = answer_by_rules("what about gpu 5 of gpu-017?", desk)
    assert told and all("gpu:gpu-017/3" not in one.text.split(" | ")[0] for one in told)


def test_what_no_word_leads_to_is_said_to_be_unread(desk):
    told = answer_by_rules("is the coffee machine broken?", desk)
    assert told[0].admits and told[0].text.startswith("I could not read that")
    passage = Passage("x#see", "gpu_off_bus", "see", "t", "Look at the slot.", 1.0)
    assert "gpu_off_bus (see): Look at the slot." in answer_by_rules("coffee?", desk, Shelf(passage))[1].text
    broken = answer_by_rules("coffee?", desk, Shelf(error=RagError("no index", fix="daytwo index")))
    assert "could not be searched" in broken[1].text
    assert all(one.admits for one in broken)


def test_what_was_not_read_is_told_with_what_to_type(desk):
    gap = CoverageRow(entity="node:n1", domain="gpu", status="missing", reason="no driver", fix="modprobe nvidia")
    told = answer_by_rules("what was not read?", replace(desk, coverage=(gap,)))
    assert [one.text for one in told] == ["gpu of node:n1: missing, no driver. To read it: modprobe nvidia"]


def test_an_empty_desk_answers_too():
    told = answer_by_rules("why?", Desk())
    assert told[0].admits and "no case is known" in told[0].text


def test_two_triages_on_one_desk_share_no_handle(desk):
    other = RecordingSource([BAD_NIGHT / "xen-03"], max_bytes=10**8).read_facts()
    both = lay_out(desk, triage(other, site=SitePolicy(), now=datetime.now(UTC)), other, origin="again")
    ids = [one.case_id for one in both.verdicts]
    assert len(ids) == len(set(ids)) and both.origin == "bad-night; again"
    for verdict in both.verdicts:
        for row in verdict.evidence:
            found = both.book.find(row.id)
            assert found is not None and (found.source, found.quote) == (row.source, row.quote)
    assert both.find("1") is both.verdicts[0] and both.find(ids[0][:5]) is both.verdicts[0]
    assert both.find("99") is None and both.find("nothing") is None
    assert "reset_gpu" not in both.actions and "reboot_node" in both.actions
