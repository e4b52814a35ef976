"""Proposals in the store, on SQLite and on PostgreSQL: made once, answered once, begun once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from test_agent_proposals import ALICE, NOW, SITUATION, WANTED, build_site, with_rules

from agent.execution import Claim, Outcome
from agent.gates import Situation
from agent.proposals import Answer, Stop
from agent.store import open_store
from agent.store.actions import ActionBook
from tools.errors import OperatorError
from tools.types import Inventory

HERE = Path(__file__).parent
BOB = Answer("bob", "root", "seen too", NOW)
PROPOSE = replace(SITUATION, autonomy=with_rules(level="propose"))


def open_book(place: str) -> ActionBook:
    return ActionBook(open_store(url=place) if place.startswith("postgresql") else open_store(Path(place)))


@pytest.fixture
def book(place):
    book = open_book(place)
    yield book
    book._store.close()


def kinds(book: ActionBook) -> list[str]:
    return [line.kind for line in book.read_audit()]


def later(seconds: float, situation: Situation = PROPOSE) -> Situation:
    return replace(situation, now_seconds=NOW + seconds)


def test_a_step_is_proposed_once_and_comes_back_as_it_was(book):
    (first,) = book.propose([WANTED], PROPOSE)
    (again,) = book.propose([replace(WANTED, verdict_id="v-2")], later(60))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.proposal == first.proposal == book.find(first.proposal.proposal_id)
    assert book.find(first.proposal.proposal_id[:6]) == first.proposal
    assert first.proposal.wanted == WANTED
    assert [stop.gate for stop in first.proposal.stops] == ["asking"]
    assert kinds(book) == ["proposal"]
    assert book.propose([], PROPOSE) == []


def test_what_is_refused_is_written_down_with_every_gate_and_not_kept(book):
    (judged,) = book.propose([replace(WANTED, node="n9", target="service:n9/sshd")], PROPOSE)
    assert judged.is_refused
    assert book.list_proposals() == []
    (line,) = book.read_audit(case_id="c-1")
    assert line.kind == "refusal"
    assert [stop["gate"] for stop in line.words["data"]["stops"]] == ["allow_list", "unknown_asset"]


def test_an_approval_is_used_once(book):
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    answered = book.approve(proposal.proposal_id, PROPOSE, ALICE)
    assert (answered.claim.by, answered.proposal.state) == (("alice",), "running")
    with pytest.raises(OperatorError, match=r"is running since .* by alice: a word counts once"):
        book.approve(proposal.proposal_id, PROPOSE, BOB)
    told = book.finish(answered.claim, Outcome("done", "it runs", ("systemctl …",)), NOW + 3)
    assert (told.state, told.outcome, told.ended_seconds) == ("done", "it runs", NOW + 3)
    with pytest.raises(OperatorError, match="is done since"):
        book.approve(proposal.proposal_id, PROPOSE, BOB)
    with pytest.raises(OperatorError, match="is done: there is nothing to reject"):
        book.reject(proposal.proposal_id, PROPOSE, BOB)
    assert kinds(book) == ["proposal", "approval", "execution", "refusal", "result", "refusal"]
    assert book.read_audit()[1].words["who"] == "alice"


def test_expiry_when_the_clock_has_moved_and_a_new_proposal_then(book):
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    with pytest.raises(OperatorError, match=r"is expired since|expired at"):
        book.approve(proposal.proposal_id, later(3600), ALICE)
    assert book.find(proposal.proposal_id).state == "expired"
    (fresh,) = book.propose([replace(WANTED, seen_seconds=NOW + 3600)], later(3601))
    assert fresh.is_new
    assert fresh.proposal.proposal_id != proposal.proposal_id
    assert kinds(book) == ["proposal", "expiry", "refusal", "proposal"]


def test_a_clock_that_was_turned_back_opens_nothing(book):
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    with pytest.raises(OperatorError, match="the clock says"):
        book.approve(proposal.proposal_id, later(-3600), ALICE)


def test_rejected_is_rejected(book):
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    told = book.reject(proposal.proposal_id, PROPOSE, replace(ALICE, why="not now"))
    assert (told.state, told.rejection.why) == ("rejected", "not now")
    with pytest.raises(OperatorError, match=r"is rejected since .* by alice"):
        book.approve(proposal.proposal_id, PROPOSE, BOB)
    (again,) = book.propose([WANTED], later(60))
    assert again.is_refused
    assert again.stops[0].gate == "answered"


def test_two_persons(book):
    two = replace(PROPOSE, autonomy=build_site(second_person=["restart_service"]))
    proposal = book.propose([WANTED], two)[0].proposal
    first = book.approve(proposal.proposal_id, two, ALICE)
    assert (first.claim, first.proposal.state) == (None, "open")
    with pytest.raises(OperatorError, match="alice has approved it already"):
        book.approve(proposal.proposal_id, two, replace(ALICE, who="ALICE"))
    assert book.approve(proposal.proposal_id, two, BOB).claim.by == ("alice", "bob")


def test_without_a_word_only_what_no_gate_stops(book):
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    with pytest.raises(OperatorError, match="a person decides"):
        book.act(proposal.proposal_id, PROPOSE)
    (judged,) = book.propose([WANTED], SITUATION)
    assert judged.is_ready
    assert book.act(proposal.proposal_id, SITUATION).claim.by == ("daytwo",)


def test_the_site_may_have_changed_since(book):
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    with pytest.raises(OperatorError, match="not on the allow-list"):
        book.approve(proposal.proposal_id, replace(PROPOSE, autonomy=with_rules(allow=[])), ALICE)
    with pytest.raises(OperatorError, match=r"shadow mode.*Shut too: kill_switch"):
        shadow = build_site(shadow=True)
        book.approve(proposal.proposal_id, replace(PROPOSE, autonomy=shadow, halted="stop"), ALICE)
    assert book.find(proposal.proposal_id).state == "open"


def test_shadow_is_written_down_and_never_done(book):
    shadow = replace(SITUATION, autonomy=build_site(shadow=True))
    (judged,) = book.propose([WANTED], shadow)
    assert (judged.proposal.state, judged.is_ready) == ("would", False)
    for situation in (shadow, SITUATION):
        with pytest.raises(OperatorError, match="shadow mode"):
            book.approve(judged.proposal.proposal_id, situation, ALICE)
    (again,) = book.propose([WANTED], replace(shadow, now_seconds=NOW + 60))
    assert not again.is_new
    assert [one.state for one in book.list_proposals()] == ["would"]
    assert kinds(book) == ["would", "refusal", "refusal"]
    (fresh,) = book.propose([replace(WANTED, seen_seconds=NOW + 3601)], replace(shadow, now_seconds=NOW + 3601))
    assert fresh.is_new


def test_the_breaker_opens_on_a_storm_and_only_a_person_shuts_it(book):
    nodes = tuple(Inventory(f"n{n}") for n in range(4))
    calm = replace(SITUATION, inventory=nodes, programs={f"n{n}": False for n in range(4)})
    wanted = [
        replace(WANTED, node=f"n{n}", target=f"service:n{n}/nvidia-fabricmanager", case_id=f"c-{n}") for n in range(3)
    ]
    judged = book.propose(wanted, calm)
    assert [one.is_ready for one in judged] == [True, True, True]
    first = judged[0].proposal.proposal_id
    with pytest.raises(OperatorError, match=r"the breaker is open since .*: 3 actions on 3 of 4 nodes"):
        book.act(first, calm)
    much_later = replace(calm, now_seconds=NOW + 3000)
    with pytest.raises(OperatorError, match="the breaker is open"):
        book.approve(first, much_later, ALICE)
    assert book.reset_breaker(replace(ALICE, at_seconds=NOW + 3001)).why.startswith("3 actions")
    assert book.read_breaker().opened_seconds is None
    assert book.approve(first, replace(calm, now_seconds=NOW + 3002), ALICE).claim is not None
    assert kinds(book) == ["proposal"] * 3 + ["breaker", "refusal", "refusal", "breaker", "approval", "execution"]


def test_ids_that_name_none_or_more_than_one(book):
    with pytest.raises(OperatorError, match="No proposal 'p-9' is kept"):
        book.find("p-9")
    with pytest.raises(OperatorError, match="No proposal '%'"):
        book.find("%")
    with pytest.raises(OperatorError, match="No proposal ''"):
        book.find("")
    book.propose([WANTED, replace(WANTED, case_id="c-2")], PROPOSE)
    with pytest.raises(OperatorError, match="2 proposals begin with 'p-'"):
        book.find("p-")


def test_a_refusal_found_by_a_dry_run_is_written_down(book):
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    book.refuse(proposal, [Stop("dry_run", "no such unit")], "alice", NOW)
    assert book.read_audit()[-1].words["data"]["stops"] == [{"fix": "", "gate": "dry_run", "why": "no such unit"}]


RACER = """
import json, sys
sys.path[:0] = [{here!r}, {standin!r}]
from test_agent_actions_store import race
print(json.dumps(race({place!r}, {proposal!r}, {who!r})))
"""


def race(place: str, proposal_id: str, who: str) -> str:
    book = open_book(place)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        claim: Claim | None = book.approve(proposal_id, PROPOSE, replace(ALICE, who=who)).claim
    except OperatorError as error:
        return error.message
    return f"claimed by {claim.by[0]}" if claim else "waits"


def test_of_two_processes_one_gets_the_claim(place):
    book = open_book(place)
    proposal = book.propose([WANTED], PROPOSE)[0].proposal
    racers = []
    for who in ("a", "b"):
        words = RACER.format(
            here=str(HERE), standin=str(HERE.parent / "standin"), place=place, proposal=proposal.proposal_id, who=who
        )
        racers.append(
            subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert sum(words.startswith("claimed") for words in said) == 1
    assert sum("a word counts once" in words for words in said) == 1
    assert kinds(book).count("execution") == 1
    assert book.check_audit()[1] is None
    book._store.close()


def test_the_rate_holds_against_threads_that_come_at_once(place):
    book = open_book(place)
    situation = replace(SITUATION, autonomy=with_rules(per_hour=2))
    targets = [replace(WANTED, case_id=f"c-{n}", target=f"service:n7/nvidia-fabricmanager{n}") for n in range(6)]
    situation = replace(situation, autonomy=with_rules(per_hour=2, allow=["service:*/nvidia-fabricmanager*"]))
    situation = replace(
        situation, autonomy=situation.autonomy.model_copy(update={"breaker": build_site(breaker={"least": 99}).breaker})
    )
    ids = [one.proposal.proposal_id for one in book.propose(targets, situation)]
    got: list[str] = []

    def act(proposal_id: str) -> None:
        try:
            book.act(proposal_id, situation)
            got.append(proposal_id)
        except OperatorError as error:
            assert "within the hour" in error.message

    threads = [threading.Thread(target=act, args=(one,)) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 2
    book._store.close()
