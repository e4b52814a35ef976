"""Sensors of a BMC at length: what they assert, not what they could."""

import pytest

from tools.document import TextDocument
from tools.parsers import ipmi_verbose

HEAD = """Sensor ID              : {name} (0x4a)
 Entity ID             : 10.1 (Power Supply)
 Sensor Type ({way}) : {kind} (0x08)
 Sensor Reading        : 0h
 Event Message Control : Per-threshold
"""
DISCRETE = (
    HEAD
    + """ States Asserted       : {kind}
                         [{state}]
 Assertions Enabled    : {kind}
                         [Presence detected]
                         [Failure detected]
                         [Redundancy Lost]
"""
)
THRESHOLD = (
    HEAD
    + """ Status                : {state}
 Lower Critical        : 500.000
 Upper Critical        : na
"""
)


def told(text, **words):
    document = TextDocument("sdr.txt", "node-b1", text.format(way="Discrete", **words))
    assert ipmi_verbose.recognise(text.format(way="Discrete", **words).splitlines()) > 0.9
    parsed = ipmi_verbose.parse(document)
    assert parsed.unread.unread == 0
    return [(event.code, event.quote.line) for event in parsed.facts.events]


@pytest.mark.parametrize(
    ("name", "kind", "state", "code"),
    [
        ("PS2 Status", "Power Supply", "Failure detected", "bmc:psu_failed"),
        ("Pwr Unit Redund", "Power Unit", "Redundancy Lost", "bmc:psu_redundancy_lost"),
        ("DIMM_C2", "Memory", "Uncorrectable ECC", "bmc:memory_ecc_uncorrected"),
    ],
)
def test_a_state_that_is_asserted(name, kind, state, code):
    assert told(DISCRETE, name=name, kind=kind, state=state) == [(code, 7)]


def test_a_state_that_could_be_asserted_is_none():
    assert told(DISCRETE, name="PS1 Status", kind="Power Supply", state="Presence detected") == []
    assert told(DISCRETE, name="Pwr Unit Redund", kind="Power Unit", state="Fully Redundant") == []


@pytest.mark.parametrize(("state", "codes"), [("ok", []), ("Lower Critical", [("bmc:fan_failed", 6)])])
def test_the_status_of_a_reading(state, codes):
    assert told(THRESHOLD, name="FAN 3", kind="Fan", state=state) == codes


def test_a_table_of_sensors_is_another_form():
    assert ipmi_verbose.recognise(["FAN 3 | 4200.000 | RPM | ok | na | 500 | na | na | na | na"] * 4) == 0.0
