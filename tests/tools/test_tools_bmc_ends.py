"""Trouble that was taken back, and alarms that say nothing: entries of Redfish, chips whose limits were never set."""

import json

import pytest

from tools.document import TextDocument
from tools.parsers import redfish, sensors


def entry(message, severity, created, number=None):
    told = {"@odata.type": "#LogEntry.v1_4_0.LogEntry", "Id": created, "Created": f"2024-05-01T{created}:00Z"}
    told |= {"EntryType": "SEL", "Message": message, "Severity": severity}
    return told | ({"SensorNumber": number} if number else {})


def codes(parser, text):
    return [event.code for event in parser.parse(TextDocument("x", "", text)).facts.events]


LOST = ("Power supply redundancy is lost.", "Critical", "04:10", 91)


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (("The power supplies are redundant.", "OK", "04:31", 91), "bmc:ended"),
        (("The power supplies are redundant.", "OK", "03:31", 91), "stands"),
        (("Fan 4 RPM is within range.", "OK", "04:31", 17), "stands"),
    ],
)
@pytest.mark.parametrize("is_array", [True, False])
def test_an_entry_ends_when_its_sensor_is_well_again(after, code, is_array):
    entries = [entry(*after), entry(*LOST)]
    text = json.dumps({"Members": entries}) if is_array else ",".join(json.dumps(told) for told in entries)
    assert [("bmc:ended" if found == "bmc:ended" else "stands") for found in codes(redfish, text)] == [code]


CHIP = """w83795-isa-0a30
Adapter: ISA adapter
in2:          +1.61 V  ({limits})  ALARM
fan3:            0 RPM  (min = {least} RPM)  ALARM
temp2:        +{celsius}.0\u00b0C  (high = +80.0\u00b0C, crit = +95.0\u00b0C)  {flag}
"""
ZERO, SCRAMBLED, SANE = (
    "min =  +0.00 V, max =  +0.00 V",
    "min =  +2.70 V, max =  +0.30 V",
    "min =  +1.70 V, max =  +2.00 V",
)


@pytest.mark.parametrize(
    ("limits", "least", "celsius", "flag", "expected"),
    [
        (SCRAMBLED, 5273, 44, "", {"bmc:limits_unset"}),
        (SCRAMBLED, 5273, 97, "ALARM", {"bmc:limits_unset", "bmc:temperature_critical"}),
        (ZERO, 600, 44, "", {"bmc:limits_unset", "bmc:sensor_critical"}),
        (SANE, 600, 44, "", {"bmc:sensor_critical"}),
    ],
)
def test_limits_that_nothing_can_keep_were_never_set(limits, least, celsius, flag, expected):
    text = CHIP.format(limits=limits, least=least, celsius=celsius, flag=flag)
    assert set(codes(sensors, text)) == expected
