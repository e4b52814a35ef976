"""Rows of event logs of several vendors: which code the words of a BMC make, and what they take back."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts
from tools.document import TextDocument
from tools.parsers import ipmi
from tools.parsers._ipmi_rules import classify


def codes(text: str) -> list[str]:
    return [event.code for event in ipmi.parse(TextDocument("sel.txt", "", text)).facts.events]


ROWS = """
bmc:memory_ecc_uncorrected|Memory #0x7a | Transition to Non-recoverable
bmc:memory_ecc_uncorrected|Memory Mem ECC Warning | Transition to Critical from less severe | Asserted
bmc:memory_ecc_corrected|Memory Mem ECC Warning | Transition to Non-critical from OK | Asserted
bmc:cpu_error|Processor #0x7b | Transition to Non-recoverable
bmc:slot_fault|Slot / Connector #0x0b | Fault Status | Asserted
bmc:psu_input_lost|Power Supply #0x7c | Power Supply AC lost | Asserted
bmc:psu_input_lost|Power Unit #0x01 | AC lost | Asserted
bmc:temperature_critical|Temperature CPU2 Temp | Upper Critical going high | Asserted
bmc:pcie_fatal|Critical Interrupt #0x05 | Bus Uncorrectable error | Asserted
bmc:cpu_error|Processor #0xc9 | IERR | Asserted
bmc:intrusion|Physical Security #0x73 | General Chassis intrusion | Asserted
""".strip("\n").splitlines()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[:60])
def test_one_row_of_each_rule(row: str) -> None:
    code, _, cells = row.partition("|")
    text = f"  1a | 02/03/2025 | 07:11:09 | {cells}\n  1b | 02/03/2025 | 07:12:09 | System Event #0x83 | Timestamp Clock Sync | Asserted\n"
    assert codes(text) == [code]
    assert code in code_facts()


DESCRIPTIONS = {
    "The power input for power supply 1 is lost.": "bmc:psu_input_lost",
    "A fatal error was detected on a component at bus 23 device 1 function 0.": "bmc:pcie_fatal",
    "A runtime critical stop occurred.": "bmc:os_stop",
    "Multi-bit memory errors detected on a memory device at location(s) DIMM_A5.": "bmc:memory_ecc_uncorrected",
}


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a_sentence_of_a_record(description: str) -> None:
    text = (
        "Record:      7\nDate/Time:   02/03/2025 07:11:09\nSource:      system\nSeverity:    Critical\n"
        f"Description: {description}\n"
    )
    assert codes(text) == [DESCRIPTIONS[description]]


def test_what_is_taken_back_has_ended() -> None:
    text = (
        "  1a | 02/03/2025 | 07:11:09 | Power Supply PS2 Status | Power Supply AC lost | Asserted\n"
        "  1b | 02/03/2025 | 07:14:09 | Power Supply PS2 Status | Power Supply AC lost | Deasserted\n"
    )
    assert codes(text) == ["bmc:ended"]


@pytest.mark.parametrize(
    ("subject", "event"),
    [
        ("System Event #0x83", "Timestamp Clock Sync"),
        ("Event Logging Disabled #0x72", "Log area reset/cleared"),
        ("OS Boot", "C: boot completed"),
        ("Temperature Inlet Temp", "Upper Non-critical going high"),
        ("Processor #0x60", "Presence detected"),
        ("Temperature CPU1 Temp", "Transition to OK"),
    ],
)
def test_what_is_no_trouble_fits_no_rule(subject: str, event: str) -> None:
    assert classify(subject, event) is None
