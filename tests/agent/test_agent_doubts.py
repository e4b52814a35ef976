"""What speaks against a suspicion is said, and nothing is confirmed against it."""

from datetime import UTC, datetime

import numpy as np
import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from tools.entities import make_gpu
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote, Window

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
READ = (Coverage("node:node-d3", "kernel_log", "read"),)
GPU, OTHER = make_gpu("node-d3", pci="0000:3b:00.0"), make_gpu("node-d3", pci="0000:5e:00.0")


def event(code, entity=GPU, seconds=1000.0, **fields):
    return Event(Moment("utc", seconds), entity, code, Quote("kern.log", 7, f"{code} as logged"), fields, "kernel")


def reading(entity, seconds, **values):
    cells = {signal: np.array([[float(value)]]) for signal, value in values.items()}
    return Window((entity,), np.array([float(seconds)]), cells, "nvidia-smi -q")


def first(*events, windows=()):
    return triage(Facts(windows=tuple(windows), events=events, coverage=READ), site=SitePolicy(), now=NOW).verdicts[0]


def disk(name):
    return Entity("disk", "node-d3", name)


LOST, FAILED = event("xid:79", pci="0000:3b:00"), event("xid:64")
NEXT_ADDRESS = event("xid:79", pci="0000:3b:00", rest="GPU at 0000:5e:00.0 has fallen off the bus.")


@pytest.mark.parametrize(
    ("events", "windows", "words"),
    [
        ([NEXT_ADDRESS], [], "kern.log:7 names 0000:3b:00 at its head and 0000:5e:00.0 in its text"),
        ([LOST], [reading(GPU, 2000, gpu_temperature_celsius=41)], "it may have come back"),
        ([LOST], [reading(GPU, np.nan, gpu_temperature_celsius=41)], "it may have come back"),
        ([FAILED], [reading(GPU, 2000, gpu_row_remap_failure=0)], "the flag of a failed remap is not set"),
        ([event("block:medium_error", disk("sdc")), event("smart:healthy", disk("sdc"))], [],
         "the drive's own assessment is that it is healthy"),
    ],
)  # fmt: skip
def test_what_speaks_against_it_is_said_and_lowers_the_confidence(events, windows, words):
    verdict = first(*events, windows=windows)
    assert verdict.confidence == "likely"
    assert "Against it: " in verdict.summary
    assert words in verdict.summary


@pytest.mark.parametrize(
    ("events", "windows"),
    [
        ([LOST], []),
        ([event("xid:79", pci="0000:3b:00", rest="GPU at 0000:3B:00.0 has fallen off the bus.")], []),
        ([LOST], [reading(GPU, 500, gpu_temperature_celsius=41)]),
        ([LOST], [reading(OTHER, 2000, gpu_temperature_celsius=41)]),
        ([LOST], [reading(GPU, 2000, gpu_temperature_celsius=np.nan)]),
        ([FAILED], [reading(GPU, 2000, gpu_row_remap_failure=1)]),
        ([event("block:medium_error", disk("sdc")), event("smart:healthy", disk("sdd"))], []),
    ],
    ids=["alone", "same address", "before it", "another GPU", "no reading", "flag set", "another drive"],
)
def test_what_does_not_speak_against_it_changes_nothing(events, windows):
    verdict = first(*events, windows=windows)
    assert verdict.confidence == "confirmed"
    assert "Against it" not in verdict.summary
