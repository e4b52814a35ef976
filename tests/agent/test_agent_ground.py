"""Grounding: what stands in the evidence passes, what does not is struck out with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.conclude import Conclusion, build_opinion
from agent.ground import Lookup, ground_claims
from agent.types import Claim, ModelUse, Opinion, Usage
from tools.entities import make_gpu
from tools.evidence import EvidenceBook
from tools.types import Entity, Event, Facts, Moment, Quote, Window

START = 1_772_330_000.0  # 2026-03-01T01:53:20Z
XID_LINE = (
    "Mar  1 01:53:20 gx07 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=52110, name=trainer, GPU has fallen off the bus."
)
NCCL_LINE = (
    "gx07:881:902 [3] [rank3]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum=9, OpType=ALLREDUCE, "
    "NumelIn=1048576, Timeout(ms)=600000) ran for 600012 milliseconds before timing out."
)
SMI_LINE = "|  3  H100 SXM5  On | 00000000:3B:00.0 Off | 87C P0 349W / 700W | 61440MiB / 81559MiB | 97% Default |"
BOOT_LINE = "[ 8123.441] nvme nvme1: I/O 712 QID 3 timeout, aborting"


def gpu() -> Entity:
    return make_gpu("gx07", pci="0000:3b:00")


def make_facts() -> Facts:
    return Facts(
        events=(
            Event(Moment("utc", START), gpu(), "xid:79", Quote("kern.log", 118, XID_LINE), {"pid": "52110"}, "kernel"),
            Event(
                Moment("utc", START + 612),
                Entity("job", name="4711"),
                "nccl:timeout",
                Quote("train.log", 9, NCCL_LINE),
                {"rank": "3", "job": "4711"},
            ),
            Event(
                Moment("boot", 8123.441), Entity("disk", "gx07", "nvme1"), "nvme:timeout", Quote("dmesg", 4, BOOT_LINE)
            ),
        )
    )


def make_book(facts: Facts) -> EvidenceBook:
    """e1 the Xid line, e2 the NCCL line, e3 an nvidia-smi row, e4 readings of a disk, e5 a line since boot."""
    book = EvidenceBook()
    xid, nccl, boot = facts.events
    book.add(xid.quote, start=xid.moment)
    book.add(nccl.quote, start=nccl.moment)
    book.add(Quote("nvidia-smi.txt", 14, SMI_LINE), values={"gpu_temperature_celsius": 87.0})
    readings = {
        "disk_read_await_seconds": 0.4127,
        "disk_utilization_ratio": 0.9782,
        "disk_read_bytes_per_second": 104857600.0,
        "disk_reads_per_second": 1250.0,
    }
    book.add(Quote("iostat.txt", 7, "sdb 1250.00 102400.00 0.00 412.70 97.82"), values=readings)
    book.add(boot.quote, start=boot.moment)
    return book


def ground(text: str, *evidence: str) -> Claim:
    facts = make_facts()
    claim = Claim(text=text, evidence=list(evidence), verified=False)
    return ground_claims([claim], make_book(facts), facts)[0]


TRUE_CLAIMS = [
    ("Xid 79 was logged for the GPU at 0000:3b:00.0.", ["e1"]),
    ("The GPU at PCI 3b:00.0 on gx07 logged XID 79 at 01:53:20.", ["e1"]),
    ("gpu:gx07/0000:3b:00.0 has code xid:79 (e1).", ["e1"]),
    ('The kernel wrote "GPU has fallen off the bus" while pid 52110 ran.', ["e1"]),
    ("The kernel wrote “NVRM: Xid … fallen off the bus” at 2026-03-01T01:53:20Z.", ["e1"]),
    ("kern.log:118 shows that the GPU fell off the bus.", ["e1"]),
    ("An ALLREDUCE of rank 3 in job 4711 ran for 600,012 ms; the time-out is 600 s.", ["e2"]),
    ("The collective timed out after its 10 minutes limit.", ["e2"]),
    ("GPU 3 stood at 87 °C and 349 W of 700 W.", ["e3"]),
    ("GPU memory used is 60 GiB (61,440 MiB), utilisation 97%.", ["e3"]),
    ("GPU temperature was 87C.", ["e3"]),
    ("sdb: read wait 413 ms, or 0.41 s, at 98% busy and 1,250 IOPS.", ["e4"]),
    ("sdb was read at 100 MiB/s, 104.9 MB/s.", ["e4"]),
    ("sdb is 97.8 % busy.", ["e4"]),
    ("Two events were logged on gx07: Xid 79 and then a timeout of rank 3.", ["e1", "e2"]),
    ("The GPU fell off the bus (Xid 79), which led to the collective timeout of rank 3.", ["e1", "e2"]),
    ("The collective operation timeout on rank 3 is due to the GPU that has fallen off the bus.", ["e1", "e2"]),
    ("nvme1 had an I/O timeout on QID 3.", ["e5"]),
]


@pytest.mark.parametrize(("text", "evidence"), TRUE_CLAIMS, ids=[text[:40] for text, _ in TRUE_CLAIMS])
def test_what_stands_in_the_evidence_passes(text: str, evidence: list[str]) -> None:
    claim = ground(text, *evidence)
    assert claim.verified, claim.rejected_because
    assert claim.rejected_because is None


FALSE_CLAIMS = [
    ("The GPU fell off the bus.", [], "cites no evidence"),
    ("The GPU fell off the bus.", ["e9"], "never shown"),
    ("As e17 shows, the GPU fell off the bus.", ["e1"], "e17"),
    ("Xid 31 was logged.", ["e1"], "Xid 31"),
    ("Xid 79 was logged.", ["e2"], "Xid 79"),
    ("Xid 52110 was logged.", ["e1"], "Xid 52110"),
    ("Xid 79 was logged 37 times.", ["e1"], "37"),
    ("Xid 79 was logged for the GPU at 0000:af:00.0.", ["e1"], "address"),
    ("Xid 79 was logged at 02:53:20.", ["e1"], "time"),
    ("Xid 79 was logged at 2026-03-02T01:53:20Z.", ["e1"], "time"),
    ("Xid 79 was logged on gx08.", ["e1"], "gx08"),
    ("gpu:gx07/4 logged Xid 79.", ["e1"], "gpu:gx07/4"),
    ('The kernel wrote "GPU is lost".', ["e1"], "GPU is lost"),
    ("The GPU draws 79 W.", ["e1"], "79 W"),
    ("GPU 3 stood at 88 C.", ["e3"], "88 C"),
    ("GPU 3 drew 87 W.", ["e3"], "87 W"),
    ("GPU 5 stood at 87 C.", ["e3"], "GPU 5"),
    ("sdb: read wait 431 ms.", ["e4"], "431 ms"),
    ("sdb: read wait 412.9 ms.", ["e4"], "412.9 ms"),
    ("sdb is 99% busy.", ["e4"], "99%"),
    ("Three ranks timed out.", ["e2"], "three ranks"),
    ("Job 4712 timed out.", ["e2"], "4712"),
    ("Rank 3 ran for 600,013 ms before timing out.", ["e2"], "600,013 ms"),
    ("Error 0x5f was logged on the bus.", ["e1"], "0x5f"),
    ("The GPU fell off the bus because of the power supply.", ["e1"], "on one piece"),
    ("The collective operation timeout of rank 3 caused the GPU to fall off the bus.", ["e1", "e2"], "later than"),
    ("The fallen off GPU led to the nvme I/O timeout, aborting.", ["e1", "e5"], "cannot be told"),
    ("Everything is fine.", ["e1"], "says nothing"),
    ("The GPU has not fallen off the bus.", ["e1"], "denies"),
    ("No other GPU has fallen off the bus.", ["e1"], "denies"),
    ("The bus is gone: replace the GPU.", ["e1"], "advises"),
    ("The GPU has fallen off the bus, so reboot_node is the action.", ["e1"], "advises"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "evidence", "why"), FALSE_CLAIMS, ids=[text[:40] for text, _, _ in FALSE_CLAIMS])
def test_what_does_not_stand_there_is_struck_out(text: str, evidence: list[str], why: str) -> None:
    claim = ground(text, *evidence)
    assert not claim.verified
    assert claim.rejected_because is not None
    assert why in claim.rejected_because


def test_a_known_name_without_digits_is_looked_up_too() -> None:
    facts = Facts(entities=(Entity("disk", "gx07", "sdc"), Entity("guest", "gx07", "billing-etl")))
    book = make_book(make_facts())
    claims = [
        Claim(text=text, evidence=["e4"], verified=True)
        for text in ("sdc is 97.8% busy.", "sdb is 97.8% busy with billing-etl.")
    ]
    assert [claim.verified for claim in ground_claims(claims, book, facts)] == [False, False]


def test_the_word_of_a_model_that_a_claim_is_verified_counts_for_nothing() -> None:
    claim = Claim(text="Xid 31 was logged.", evidence=["e1"], verified=True)
    facts = make_facts()
    assert not ground_claims([claim], make_book(facts), facts)[0].verified


def test_a_log_line_that_names_an_action_lets_nobody_advise_more_than_it_says() -> None:
    book = EvidenceBook()
    book.add(
        Quote(
            "kern.log", 3, "Unable to determine the device handle: GPU is lost. Reboot the system to recover this GPU"
        )
    )
    claims = [
        Claim(text="The driver says to reboot the system.", evidence=["e1"], verified=False),
        Claim(text="The driver says to replace the GPU.", evidence=["e1"], verified=False),
    ]
    assert [claim.verified for claim in ground_claims(claims, book)] == [True, False]


def test_a_bracket_that_the_prompt_made_harmless_is_quoted_back_as_it_stood() -> None:
    book = EvidenceBook()
    book.add(Quote("x.log", 1, "state <DOWN> of port 1"))
    claim = Claim(text='The log reads "state \u2039DOWN> of port 1".', evidence=["e1"], verified=False)
    assert ground_claims([claim], book)[0].verified


def conclude(**parts: object) -> Conclusion:
    whole = {
        "fault": "gpu_off_bus",
        "claims": [{"text": "The GPU has fallen off the bus.", "evidence": ["e1"]}],
        **parts,
    }
    return Conclusion.model_validate(whole)


def opine(conclusion: Conclusion) -> Opinion:
    facts = make_facts()
    possible = {"gpu_off_bus": "what rules hold", "gpu_power_supply": "less likely: no sign of power loss"}
    model = ModelUse(name="m", endpoint_kind="local", prompt_hashes={})
    usage = Usage(calls=1, tokens_in=1, tokens_cached=0, tokens_out=1, seconds=0.1)
    return build_opinion(conclusion, make_book(facts), facts, possible, model=model, usage=usage)


def test_an_opinion_falls_with_its_main_claim_only() -> None:
    good = {"text": "Xid 79 was logged.", "evidence": ["e1"]}
    bad = {"text": "Xid 79 was logged 900 times.", "evidence": ["e1"]}
    assert opine(conclude(claims=[good, bad])).rejected == ""
    fallen = opine(conclude(claims=[bad, good]))
    assert "900" in fallen.rejected
    assert [claim.verified for claim in fallen.claims] == [False, True]
    assert opine(conclude(claims=[])).rejected
    assert opine(conclude(fault="unknown")).rejected


@pytest.mark.parametrize(
    ("summary", "kept"),
    [
        ("The GPU at 0000:3b:00.0 has fallen off the bus.", True),
        ("7 of 8 GPUs have fallen off the bus.", False),
        ("The GPU has fallen off the bus; replace it.", False),
        ("Something is broken.", False),
        ("", False),
    ],
)
def test_a_summary_beyond_the_evidence_is_dropped(summary: str, kept: bool) -> None:
    assert bool(opine(conclude(summary=summary)).summary) == kept


def test_alternatives_are_possible_faults_with_reasons_that_hold() -> None:
    rows = [
        {"fault": "GPU power supply", "why": "the board lost 54 V at 12:00:00"},
        {"fault": "replace_part", "why": "because"},
        {"fault": "gpu_off_bus", "why": "it is the verdict itself"},
    ]
    alternatives = opine(conclude(alternatives=rows)).alternatives
    assert alternatives == (("gpu_power_supply", "less likely: no sign of power loss"),)


def test_a_sentence_may_rest_on_several_pieces() -> None:
    facts = make_facts()
    lookup = Lookup(make_book(facts), facts)
    assert lookup.find_unsupported("Xid 79, and sdb at 97.82%.", ["e1", "e4"]) == ""
    assert "97.82%" in lookup.find_unsupported("Xid 79, and 97.82% busy.", ["e1"])


def test_a_causal_word_inside_a_quotation_is_the_quotation_s_own() -> None:
    book = EvidenceBook()
    book.add(Quote("train.log", 1, "Due to the asynchronous nature of CUDA kernels, we are taking the process down."))
    claim = Claim(text='It ends with "Due to the asynchronous nature of CUDA".', evidence=["e1"], verified=False)
    assert ground_claims([claim], book)[0].verified


def test_a_table_row_is_known_by_its_entity_and_its_typed_readings() -> None:
    row = Quote("iostat.txt", 7, "sdb 0.00 44.30 97.82")
    disk = Entity("disk", "hv3", "sdb")
    window = Window(
        (disk,), np.array([np.nan]), {"disk_utilization_ratio": np.array([[0.9782]])}, "iostat.txt", quotes={0: row}
    )
    book = EvidenceBook()
    book.add(row)
    claims = [
        Claim(text=text, evidence=["e1"], verified=False)
        for text in ("disk:hv3/sdb is 97.8% busy.", "disk:hv4/sdb is 97.8% busy.", "disk:hv3/sdb is 96% busy.")
    ]
    assert [claim.verified for claim in ground_claims(claims, book, Facts(windows=(window,)))] == [True, False, False]


@given(seen=st.integers(0, 10**9), claimed=st.integers(0, 10**9), unit=st.sampled_from(["", " ms", " W", " MiB"]))
def test_whole_numbers_pass_only_where_they_are_equal(seen: int, claimed: int, unit: str) -> None:
    book = EvidenceBook()
    book.add(Quote("x.log", 1, f"the counter reads {seen}{unit} now"))
    for number in (seen, claimed):
        for spelled in (str(number), f"{number:,}"):
            claim = Claim(text=f"The counter reads {spelled}{unit}.", evidence=["e1"], verified=False)
            assert ground_claims([claim], book)[0].verified == (number == seen)


@given(seen=st.floats(0.001, 10**6), digits=st.integers(1, 4))
@example(seen=1.16015625, digits=4)
@example(seen=150004.0, digits=4)
def test_decimals_pass_where_the_digits_shown_are_those_of_the_evidence(seen: float, digits: int) -> None:
    book = EvidenceBook()
    book.add(Quote("x.log", 1, "await"), values={"disk_read_await_seconds": seen})
    shown = f"{seen * 1000:.{digits}f}"
    off = f"{seen * 1000 + 2 * 10.0**-digits:.{digits}f}"
    claims = [Claim(text=f"await {number} ms", evidence=["e1"], verified=False) for number in (shown, off)]
    assert [claim.verified for claim in ground_claims(claims, book)] == [True, False]


@given(text=st.text(max_size=200))
def test_no_text_makes_grounding_fail(text: str) -> None:
    facts = make_facts()
    ground_claims([Claim(text=text, evidence=["e1", "e2"], verified=False)], make_book(facts), facts)


def test_a_denial_stands_where_the_evidence_itself_denies() -> None:
    book = EvidenceBook()
    book.add(Quote("dmesg", 1, "device not responding, lane 3 is missing"))
    claim = Claim(text="The device does not respond.", evidence=["e1"], verified=False)
    assert ground_claims([claim], book)[0].verified


def test_a_domain_that_stands_nowhere_is_struck_out() -> None:
    book = EvidenceBook()
    book.add(Quote("train.log", 1, "connect to node1.lab.example failed"))
    said = (
        "The connection to node1.lab.example failed.",
        "The connection to evil.example failed.",
        "It failed, e.g. twice.",
    )
    claims = [Claim(text=text, evidence=["e1"], verified=False) for text in said]
    assert [claim.verified for claim in ground_claims(claims, book)][:2] == [True, False]
    assert "evil.example" in (ground_claims(claims, book)[1].rejected_because or "")


def test_that_something_is_well_stands_only_where_the_evidence_says_so() -> None:
    book = EvidenceBook()
    book.add(Quote("dmesg", 1, "nvidia 0000:3b:00.0: device recovered after an error"))
    said = (
        "The device has recovered: it is recovered after the error.",
        "The device is healthy and all errors are over.",
    )
    claims = [Claim(text=text, evidence=["e1"], verified=False) for text in said]
    grounded = ground_claims(claims, book)
    assert [claim.verified for claim in grounded] == [True, False]
    assert "healthy" in (grounded[1].rejected_because or "")


def test_names_and_addresses_that_look_like_handles_are_none() -> None:
    book = EvidenceBook()
    book.add(Quote("kern.log", 1, "node-e09 kernel: pcieport 0000:e0:03.1: Link Down"))
    said = {
        'The log of node-e09 reads "pcieport 0000:e0:03.1: Link Down".': True,
        "The link of 0000:e0:03.1 on node-e09 is down [e1].": True,
        "The link is down, as (e1) shows.": True,
        "The link is down, as e1-e3 show.": False,
        "The link is down, as e7 shows.": False,
    }
    for text, stands in said.items():
        (claim,) = ground_claims([Claim(text=text, evidence=["e1"], verified=False)], book)
        assert claim.verified is stands, (text, claim.rejected_because)
