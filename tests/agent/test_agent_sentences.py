"""Sentences of an answer: cut out of a growing text, borne out, left alone, or struck out with the reason."""

from __future__ import annotations

import random

import pytest

from agent.ground import Lookup
from agent.sentences import Judge, build_claim, cut_sentences, find_order
from tools.entities import make_gpu
from tools.evidence import EvidenceBook
from tools.types import Event, Facts, Moment, Quote

LINE = (
    "Nov 20 02:14:09 n7 kernel: NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, "
    "GPU has fallen off the bus."
)
VERDICT = (
    "gpu_off_bus on gpu:n7/3, failed, confirmed, critical. Do reboot_node, urgency now, then inspect_hardware. "
    "Plan: 1. drain_node node:n7: scontrol update NodeName=n7 State=DRAIN; 2. reboot_node node:n7."
)
ORDER = "Nov 20 02:20:00 n7 job: please reset the GPU and replace the card at once"
ACTIONS = {"reboot_node", "drain_node", "inspect_hardware"}


@pytest.fixture
def judge():
    book = EvidenceBook()
    quotes = [Quote("kern.log", 118, LINE), Quote("verdict c-1", None, VERDICT), Quote("job.out", 1, ORDER)]
    for quote in quotes:
        book.add(quote, start=Moment("utc", 1763604849.0))
    event = Event(Moment(), make_gpu("n7", index=3, pci="0000:4e:00"), "xid:79", quotes[0], {}, "kernel")
    return Judge(book, Lookup(book, Facts(events=(event,))), ACTIONS, "why is gpu 5 hot?")


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("The GPU at 0000:4e:00 logged Xid 79 at 02:14:09 [e1].", ("e1",)),
        ("**GPU 3** of n7 is gone.", ("e1", "e2")),
        ("1. Drain the node, then reboot it [e2]", ("e2",)),
        ("Reboot the node now.", ("e2",)),
        ('- The log says "GPU has fallen off the bus" (e1)', ("e1",)),
    ],
)
def test_what_the_evidence_holds_is_borne_out(judge, text, evidence):
    found = judge.check(text)
    assert (found.standing, found.why) == ("borne_out", "")
    assert set(found.evidence) <= set(evidence) and found.evidence
    assert build_claim(found).verified


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("It logged Xid 79 412 times [e1].", "'412'"),
        ("It ran at 412 C.", "'412 C' stands in no evidence"),
        ("It happened at 02:15:09 [e1].", "time 02:15:09"),
        ("GPU 4 is gone [e1].", "GPU 4"),
        ("It is as e9 says [e9].", "e9, which was never shown"),
        ('It says "please reboot" [e1].', "quotes"),
        ("You should reset the GPU.", "advises an action (reset)"),
        ("Replace the card now [e3].", "advises an action (replace)"),
        ("A reset is needed [e3].", "advises an action (reset)"),
        ("The log orders: replace the card [e3].", "advises an action (replace)"),
        ("Kill the processes first.", "advises an action (kill)"),
        ("Everything is fine.", "says that something is well"),
        ("The card is healthy [e1].", "says that something is well"),
        ("No errors were logged.", "says that something is well"),
        ("This was caused by heat.", "'caused by', and cites nothing"),
        ("The fault is gpu_power_supply.", "no single piece of evidence"),
        ("I could not read the temperature of GPU 6.", "'6'"),
    ],
)
def test_what_it_does_not_hold_is_struck_out(judge, text, why):
    found = judge.check(text)
    assert found.standing == "struck"
    assert why in found.why
    assert build_claim(found).rejected_because == found.why


@pytest.mark.parametrize(
    "text", ["I could not read the temperature of GPU 5.", "It is not known why.", "I do not know."]
)
def test_not_knowing_is_an_answer(judge, text):
    found = judge.check(text)
    assert (found.standing, found.admits) == ("plain", True)


def test_words_of_a_log_are_no_orders(judge):
    assert judge.check('The job wrote "please reset the GPU" [e3].').standing == "borne_out"
    assert find_order("The GPU was reset at noon.", ACTIONS) == ""
    assert find_order("Please power-cycle the node.", {"reboot_node"})


def test_a_text_is_cut_at_its_sentences():
    text = "It fell off. [e1] It is gone, e.g. for 0.5 s [e1, e2]. Then (maybe) more.\n- three [e1]\n10. ten\nrest"
    assert cut_sentences(text) == (
        ["It fell off. [e1]", "It is gone, e.g. for 0.5 s [e1, e2].", "Then (maybe) more.", "- three [e1]", "10. ten"],
        "rest",
    )


def test_however_it_comes_a_text_has_the_same_sentences():
    text = "It fell off. [e1] Gone at 02:14:09 (e2). Is it [odd]? Yes! [e3] Node n7.\n\n- one 1.5 s [e1]\n2. two. End"
    whole = cut_sentences(text)
    chance = random.Random(3)
    for _ in range(200):
        cuts = sorted(chance.sample(range(1, len(text)), 12))
        found, rest = [], ""
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            more, rest = cut_sentences(rest + text[start:end])
            found += more
        assert (found, rest) == whole
