import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import smartctl

ATA = """\
root@st03:~# smartctl -a /dev/sdc
smartctl 7.2 2020-12-30 r5155 [x86_64-linux-5.15.0-91-generic] (local build)

=== START OF INFORMATION SECTION ===
Device Model:     EXAMPLE16T
Serial Number:    ZX0001
=== START OF READ SMART DATA SECTION ===
SMART overall-health self-assessment test result: FAILED!
ID# ATTRIBUTE_NAME          FLAG     VALUE WORST THRESH TYPE      UPDATED  WHEN_FAILED RAW_VALUE
  5 Reallocated_Sector_Ct   0x0033   001   001   010    Pre-fail  Always   FAILING_NOW 40432
187 Reported_Uncorrect      0x0032   001   001   000    Old_age   Always       -       312
197 Current_Pending_Sector  0x0012   100   100   000    Old_age   Always       -       16
199 UDMA_CRC_Error_Count    0x003e   200   200   000    Old_age   Always       -       4
233 Media_Wearout_Indicator 0x0032   042   042   000    Old_age   Always       -       0
"""
NVME = """\
smartctl 7.3 2022-02-28 r5338 [x86_64-linux-6.1.0] (local build)
=== START OF SMART DATA SECTION ===
SMART overall-health self-assessment test result: PASSED

SMART/Health Information (NVMe Log 0x02)
Critical Warning:                   0x04
Temperature:                        41 Celsius
Available Spare:                    8%
Available Spare Threshold:          10%
Percentage Used:                    104%
Data Units Read:                    12,345,678 [6.32 TB]
Media and Data Integrity Errors:    1,024
"""
SAS = """\
smartctl 7.2 2020-12-30 r5155 [x86_64-linux-5.15.0] (local build)
Serial number:        S4S0001
SMART Health Status: FAILURE PREDICTION THRESHOLD EXCEEDED [asc=5d, ascq=10]
Percentage used endurance indicator: 3%
Elements in grown defect list: 7
read:          0        0         0         0          0      16324.123           2
"""
CLI = """\
Smart Log for NVME device:nvme1n1 namespace-id:ffffffff
critical_warning                    : 0
available_spare                     : 100%
available_spare_threshold           : 10%
percentage_used                     : 2%
media_errors                        : 0
"""


def read(text):
    return smartctl.parse(TextDocument("smart.txt", "st03", text))


def told(parsed):
    (window,) = parsed.facts.windows
    return {signal: window.latest(0, signal) for signal in window.values}


def test_ata_text():
    parsed = read(ATA)
    assert str(parsed.facts.entities[0]) == "disk:st03/sdc"
    assert parsed.facts.entities[0].id_map == {"serial": "ZX0001"}
    assert told(parsed) == {
        "disk_smart_failed": 1.0,
        "disk_reallocated_sectors_total": 40432.0,
        "disk_media_errors_total": 312.0,
        "disk_crc_errors_total": 4.0,
        "disk_wear_ratio": 0.58,
    }
    (event,) = parsed.facts.events
    assert event.code == "smart:failing" and "FAILED!" in event.quote.text and parsed.unread.unread == 0


def test_nvme_text():
    parsed = read(NVME)
    assert told(parsed) == {
        "disk_smart_failed": 0.0,
        "disk_critical_warning": 4.0,
        "disk_spare_ratio": 0.08,
        "disk_spare_threshold_ratio": 0.1,
        "disk_wear_ratio": 1.04,
        "disk_media_errors_total": 1024.0,
    }
    (window,) = parsed.facts.windows
    (quote,) = window.quotes_of(0, "disk_media_errors_total")
    assert quote.text.startswith("Media and Data Integrity Errors")


def test_sas_text():
    parsed = read(SAS)
    assert parsed.facts.events[0].code == "smart:failing"
    assert told(parsed)["disk_media_errors_total"] == 2.0
    assert parsed.facts.entities[0].name == "S4S0001"


def test_nvme_cli():
    assert smartctl.recognise(CLI.splitlines()) > 0.9
    parsed = read(CLI)
    assert str(parsed.facts.entities[0]) == "disk:st03/nvme1n1" and parsed.facts.events == ()
    assert told(parsed)["disk_spare_ratio"] == 1.0


def test_two_drives_of_one_terminal():
    assert len(read(ATA + NVME).facts.entities) == 2


JSON = {
    "smartctl": {"version": [7, 2], "exit_status": 0},
    "device": {"name": "/dev/sdd", "protocol": "ATA"},
    "serial_number": "ZX0002",
    "local_time": {"time_t": 1772600000},
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "table": [
            {"id": 187, "name": "Reported_Uncorrect", "value": 90, "raw": {"value": 11}},
            {"id": 202, "name": "Percent_Lifetime_Remain", "value": 75, "raw": {"value": 25}},
            {"id": 5, "name": "Reallocated_Sector_Ct", "value": 1, "when_failed": "now", "raw": {"value": 2**40}},
        ]
    },
}


@pytest.mark.parametrize("indent", [None, 2])
def test_json_with_and_without_line_breaks(indent):
    text = json.dumps(JSON, indent=indent)
    assert smartctl.recognise(text.splitlines()) > 0.9
    parsed = read(text)
    (window,) = parsed.facts.windows
    assert told(parsed) == {"disk_smart_failed": 1.0, "disk_media_errors_total": 11.0, "disk_wear_ratio": 0.25}
    assert (window.clock, window.times[0]) == ("utc", 1772600000.0)
    assert [event.code for event in parsed.facts.events] == ["smart:healthy"]
    assert str(parsed.facts.entities[0]) == "disk:st03/sdd"
    assert all(len(quote.text) < 400 for quote in window.signal_quotes.values())


def test_cut_json_reads_what_is_there_and_says_partial():
    whole = json.dumps(
        {
            "device": {"name": "/dev/nvme0"},
            "smart_status": {"passed": True},
            "nvme_smart_health_information_log": {"critical_warning": 0, "media_errors": 7, "power_on_hours": 12},
        },
        indent=2,
    )
    parsed = read(whole[: whole.index('"power_on_hours"')])
    assert told(parsed)["disk_media_errors_total"] == 7.0
    (row,) = parsed.facts.coverage
    assert row.status == "partial" and "cut" in row.reason and row.fix


@pytest.mark.parametrize("whole", [ATA, NVME, SAS, json.dumps(JSON, indent=1)])
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert 0.0 <= smartctl.recognise(whole[start:end].split("\n")) <= 1.0
    read(whole[start:end])


@given(text=st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_text_is_read_without_a_crash(text):
    read(text)
    read("{" + text)


JSON_KEYS = [
    *("device", "name", "smart_status", "passed", "local_time", "time_t", "table", "id", "raw", "value"),
    *("ata_smart_attributes", "nvme_smart_health_information_log", "media_errors", "serial_number"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(JSON_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read_without_a_crash(value):
    read("{" + json.dumps(value)[1:] if isinstance(value, dict) else json.dumps({"smart_status": value}))


@pytest.mark.parametrize(("code", "failed"), [(0, False), (25, False), (121, True), (116, True), (249, False)])
def test_the_status_byte_tells_how_the_last_self_test_ended(code: int, failed: bool) -> None:
    text = (
        "SMART overall-health self-assessment test result: PASSED\n"
        f"Self-test execution status:      ( {code:3d})\tThe previous self-test routine ...\n"
    )
    windows = smartctl.parse(TextDocument("smart.txt", "n7", text)).facts.windows
    counts = [window.latest(0, "disk_media_errors_total") for window in windows]
    assert (1.0 in counts) is failed


def test_a_self_test_log_without_its_blanks_is_read() -> None:
    text = (
        "Num Test_Description Status Remaining LifeTime(hours) LBA_of_first_error\n"
        "# 1 Short offline Completed: read failure 90% 8841 57169\n"
        "# 2 Short offline Completed without error 00% 8840 -\n"
    )
    assert smartctl.recognise(text.splitlines()) > 0.8
    windows = smartctl.parse(TextDocument("smart.txt", "n7", text)).facts.windows
    assert [window.latest(0, "disk_media_errors_total") for window in windows] == [1.0]
