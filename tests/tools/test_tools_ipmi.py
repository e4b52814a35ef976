import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import ipmi

SEL = """\
[admin@gpu-17 ~]# ipmitool sel elist
   1 | 03/02/2025 | 04:10:11 UTC | Power Supply PS2 Status | Failure detected | Asserted
   2 | 03/02/25 | 04:10:12 CET | Power Unit PS Redundancy | Redundancy Lost | Asserted
   3 |  Pre-Init  |0000000031| Memory DIMM_B2 | Uncorrectable ECC (DIMMB2) | Asserted
   a | 03/02/2025 | 04:11:00 | Fan FAN3A | Lower Critical going low  | Asserted | Reading 0 < Threshold 600 RPM
   b | 03/02/2025 | 04:12:00 | Fan FAN3A | Lower Critical going low  | Deasserted | Reading 6000 > Threshold 600 RPM
  2f | 03/02/2025 | 04:13:00 | Critical Interrupt #0x41 | Bus Fatal Error | Asserted
  30 | 03/02/2025 | 04:14:00 | System Event #0x99 | Timestamp Clock Sync | Asserted
"""
FREEIPMI_SEL = """\
ID  | Date        | Time     | Name             | Type                        | Event
1   | Mar-02-2025 | 04:10:11 | SEL              | Event Logging Disabled      | Log Area Reset/Cleared
2   | Mar-02-2025 | 04:10:12 | PS1 Status       | Power Supply                | Power Supply input lost (AC/DC)
3   | Mar-02-2025 | 04:10:12 | DIMM G1          | Memory                      | Correctable memory error
4   | Mar-02-2025 | 04:10:12 | CPU2 Status      | Processor                   | IERR
5   | Mar-02-2025 | 04:10:13 | Drive 7          | Drive Slot                  | Drive Fault
"""
SENSORS = """\
ID,Name,Type,Reading,Units,Event
4,INLET_TEMP,Temperature,52.00,C,'At or Above (>=) Upper Critical Threshold'
5,CPU0_TEMP,Temperature,41.00,C,'OK'
7,PSU3_STATUS,Power Supply,N/A,N/A,'Presence detected' 'Power Supply Failure detected'
8,FAN_REDUNDANCY,Fan,N/A,N/A,'Fully Redundant'
"""
SDR = """\
Inlet Temp       | 23 degrees C      | ok
FAN5             | 0 RPM             | cr
PSU1 Temp        | 97 degrees C      | nr
Total_Power      | 4200 Watts        | nc
PS2 Status       | C9h | ok  | 10.2 | Presence detected, Power Supply AC lost
"""
SENSOR_TABLE = """\
CPU1 Temp        | 41.000     | degrees C  | ok    | 0.000     | 0.000     | 0.000     | 95.000    | 98.000    | 100.000
P1V8             | 1.200      | Volts      | lcr   | 1.500     | 1.600     | 1.700     | 1.900     | 2.000     | 2.100
PS1 Status       | 0x1        | discrete   | 0x0300| na        | na        | na        | na        | na        | na
PS2 Status       | 0x1        | discrete   | 0x0100| na        | na        | na        | na        | na        | na
"""
PLUGIN = (
    "IPMI Status: Critical [2 system event log (SEL) entries present - details: (PSU A = Critical, Power Supply, "
    "Power Supply Failure detected), (Lid = Critical, Physical Security, General Chassis Intrusion)] | 'T'=41.00\n"
)
VERBOSE = """\
SEL Record ID          : 0004
 Record Type           : 02
 Timestamp             : 03/02/2025 04:10:11
 Generator ID          : 0020
 EvM Revision          : 04
 Sensor Type           : Memory
 Sensor Number         : 87
 Event Type            : Sensor-specific Discrete
 Event Direction       : Assertion Event
 Event Data            : a1ff01
 Description           : Uncorrectable ECC
"""
RACADM = """\
Record:      3
Date/Time:   03/02/2025 04:10:11
Source:      system
Severity:    Critical
Description: Power supply redundancy is lost.
-------------------------------------------------------------------------------
Record:      4
Date/Time:   03/02/2025 04:11:11
Source:      system
Severity:    Ok
Description: The power supplies are redundant.
"""
CHASSIS = """\
System Power         : on
Power Overload       : false
Main Power Fault     : false
Drive Fault          : false
Cooling/Fan Fault    : true
"""
WELL = """\
   1 | 01/07/2025 | 00:15:20 | System Firmware Progress #0x06 | Memory initialization | Asserted
   2 | 01/07/2025 | 00:16:20 | Power Supply #0x51 | Presence detected | Asserted
   3 | 01/07/2025 | 00:17:20 | System ACPI Power State #0x01 | S0/G0: working | Asserted
"""


def read(text, node="n1"):
    return ipmi.parse(TextDocument("sel.txt", node, text))


def codes(text):
    return [event.code for event in read(text).facts.events]


def test_event_log_of_ipmitool():
    assert codes(SEL) == [
        "bmc:psu_failed", "bmc:psu_redundancy_lost", "bmc:memory_ecc_uncorrected", "bmc:ended", "bmc:pcie_fatal",
    ]  # fmt: skip
    first, second, third, fourth, _ = read(SEL).facts.events
    assert first.moment.clock == "utc" and second.moment.clock == "local" and third.moment.seconds is None
    assert first.fields["sensor"] == "PS2 Status" and first.quote.line == 2
    assert fourth.fields["was"] == "bmc:fan_failed"
    assert read(SEL).unread.unread == 0


def test_a_corrected_error_is_not_ended_by_its_own_deassertion():
    row = "  {} | 03/02/25 | 23:09:4{} | Memory #0x88 | Correctable ECC (P1_C0) | {}\n"
    assert codes(row.format(1, 1, "Asserted") + row.format(2, 2, "Deasserted")) == ["bmc:memory_ecc_corrected"]


def test_a_redundancy_that_came_back_ends_its_loss():
    row = " {} | 03/02/25 | 23:09:4{} | Power Unit PS Redundancy | {} | Asserted\n"
    assert codes(row.format(1, 1, "Redundancy Lost") + row.format(2, 2, "Fully Redundant")) == ["bmc:ended"]


def test_event_log_of_freeipmi():
    assert codes(FREEIPMI_SEL) == [
        "bmc:psu_input_lost", "bmc:memory_ecc_corrected", "bmc:cpu_error", "bmc:drive_fault",
    ]  # fmt: skip
    assert str(read(FREEIPMI_SEL).facts.events[-1].entity) == "disk:n1/Drive 7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SENSORS, ["bmc:temperature_critical", "bmc:psu_failed"]),
        (SDR, ["bmc:fan_failed", "bmc:temperature_critical", "bmc:psu_input_lost"]),
        (SENSOR_TABLE, ["bmc:voltage_critical", "bmc:psu_failed"]),
        (VERBOSE, ["bmc:memory_ecc_uncorrected"]),
        (RACADM, ["bmc:psu_redundancy_lost"]),
        (CHASSIS, ["bmc:fan_failed"]),
        (PLUGIN, ["bmc:psu_failed", "bmc:intrusion"]),
        (WELL, []),
        ("IPMI Status: OK | 'Temp'=41.00\n", []),
    ],
)
def test_sensors_in_each_spelling(text, expected):
    assert ipmi.recognise(text.splitlines()) >= 0.6
    assert codes(text) == expected
    assert read(text).unread.unread == 0


def test_a_host_before_each_row_is_the_node():
    (event,) = read(
        "gpu-3: 7 | Mar-02-2025 | 04:10:12 | PS1 | Power Supply | Power Supply Failure detected\n", ""
    ).facts.events
    assert event.node == "gpu-3" and event.code == "bmc:psu_failed"


@pytest.mark.parametrize(
    "text",
    [
        "index, name, temperature.gpu\n0, GPU A, 40\n1, GPU A, 41",
        "|   0  NVIDIA A100-SXM...  On   | 00000000:07:00.0 Off |                    0 |",
        "JobID|JobName|State\n4711|train|FAILED",
        "a,b,c\n1,2,ok",
        "node,rack,gpus\nn1,r1,8",
    ],
)
def test_other_tables_are_left_alone(text):
    assert ipmi.recognise(text.splitlines()) == 0.0


@pytest.mark.parametrize("whole", [SEL, FREEIPMI_SEL, SENSORS, SDR, SENSOR_TABLE, PLUGIN, VERBOSE, RACADM])
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert 0.0 <= ipmi.recognise(whole[start:end].split("\n")) <= 1.0
    read(whole[start:end])


@given(st.text(st.sampled_from("|,:'ab01 /-\n"), max_size=200))
def test_any_text_is_read_without_a_crash(text):
    ipmi.recognise(text.split("\n"))
    read(text)
