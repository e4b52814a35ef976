import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import iostat

SYSTEM = "Linux 5.15.0-91-generic (hv-12) \t03/04/2026 \t_x86_64_\t(64 CPU)\n\n"
CPU = (
    "avg-cpu:  %user   %nice %system %iowait  %steal   %idle\n"
    "           3.12    0.00    1.48   30.18    0.01   65.21\n\n"
)
NEW = (
    "Device            r/s     rkB/s   rrqm/s  %rrqm r_await rareq-sz     w/s     wkB/s   wrqm/s  %wrqm w_await "
    "wareq-sz  aqu-sz  %util\n"
)
IDLE = (
    "sdb              1.00      8.00     0.00   0.00    0.50     8.00    2.00     16.00     0.00   0.00    0.70"
    "     8.00    0.00   0.30\n"
)
BUSY = (
    "sdb            100.00   4096.00     0.00   0.00   20.00    40.96  400.00  51200.00     1.00   0.20   90.00"
    "   128.00   48.10  99.70\n"
)
OLD = """\
Device:         rrqm/s   wrqm/s     r/s     w/s   rsec/s   wsec/s avgrq-sz avgqu-sz   await  svctm  %util
dm-3              0,00     0,00    5,00   10,00    80,00   160,00    16,00     1,50   30,00   4,00   6,00
"""


def read(text, node=""):
    return iostat.parse(TextDocument("io.txt", node, text))


def told(window, row=0):
    return {signal: window.latest(row, signal) for signal in window.values}


def test_first_report_is_dropped_where_another_follows():
    parsed = read(SYSTEM + CPU + NEW + IDLE + "\n" + CPU + NEW + BUSY)
    (window,) = parsed.facts.windows
    assert str(window.entities[0]) == "disk:hv-12/sdb" and len(window.times) == 1
    assert told(window) == {
        "disk_reads_per_second": 100.0,
        "disk_writes_per_second": 400.0,
        "disk_read_bytes_per_second": 4096.0 * 1024,
        "disk_write_bytes_per_second": 51200.0 * 1024,
        "disk_read_await_seconds": 0.02,
        "disk_write_await_seconds": 0.09,
        "disk_queue_length": 48.1,
        "disk_utilization_ratio": 0.997,
    }
    assert window.quotes[0].text.startswith("sdb            100.00") and window.quotes[0].line == 13
    assert parsed.facts.coverage == () and parsed.unread.unread == 0 and window.reasons == {}


def test_one_report_only_is_partial_and_marked():
    facts = read(SYSTEM + CPU + NEW + BUSY).facts
    (row,) = facts.coverage
    assert (row.status, row.reason, row.fix) == ("partial", "one report only: averages since boot", "iostat -x 1 2")
    (window,) = facts.windows
    assert window.reasons == {(0, "disk_utilization_ratio"): iostat.SINCE_BOOT}
    assert window.latest(0, "disk_utilization_ratio") == 0.997


def test_one_report_without_the_system_line_may_be_since_boot():
    facts = read(NEW + BUSY).facts
    assert facts.windows[0].reasons == {(0, "disk_utilization_ratio"): iostat.MAYBE_SINCE_BOOT}
    (row,) = facts.coverage
    assert row.reason == "one report only: may be averages since boot"


def test_old_columns_sectors_and_decimal_commas():
    (window,) = read(OLD).facts.windows
    assert told(window) == {
        "disk_reads_per_second": 5.0,
        "disk_writes_per_second": 10.0,
        "disk_read_bytes_per_second": 80.0 * 512,
        "disk_write_bytes_per_second": 160.0 * 512,
        "disk_read_await_seconds": 0.03,
        "disk_write_await_seconds": 0.03,
        "disk_queue_length": 1.5,
        "disk_utilization_ratio": 0.06,
    }


def test_split_awaits_win_over_the_mean_one():
    text = (
        "Device:  rrqm/s wrqm/s r/s w/s rMB/s wMB/s avgrq-sz avgqu-sz await r_await w_await svctm %util\n"
        "xvda 0.0 0.0 1.0 1.0 2.0 3.0 8.0 0.5 9.0 4.0 14.0 1.0 2.0\n"
    )
    (window,) = read(text).facts.windows
    assert window.latest(0, "disk_read_await_seconds") == 0.004
    assert window.latest(0, "disk_write_await_seconds") == 0.014
    assert window.latest(0, "disk_write_bytes_per_second") == 3 * 1024**2


@pytest.mark.parametrize("device", ["dm-3", "tda", "nbd0", "loop0", "xvda", "vg0-db--3", "c0d0p1"])
def test_device_names_stay_as_they_are(device):
    (window,) = read(NEW + BUSY.replace("sdb", device)).facts.windows
    assert window.entities[0].name == device


@pytest.mark.parametrize(
    ("stamp", "clock", "iso_utc"),
    [
        ("03/04/2026 06:42:12 PM", "local", "2026-03-04T18:42:12"),
        ("03/04/26 18:42:12", "local", "2026-03-04T18:42:12"),
        ("04.03.2026 18:42:12", "local", "2026-03-04T18:42:12"),
        ("2026-03-04T18:42:12+0100", "utc", "2026-03-04T17:42:12"),
        ("2026-03-04T18:42:12Z", "utc", "2026-03-04T18:42:12"),
        ("2026年03月04日 18時42分12秒", "local", "2026-03-04T18:42:12"),
        ("04/03/26 18:42:12", "local", "2026-03-04T18:42:12"),
        ("Time: 06:42:12 PM", "local", "2026-03-04T18:42:12"),
    ],
)
def test_timestamps_of_several_locales(stamp, clock, iso_utc):
    from datetime import UTC, datetime

    text = SYSTEM + "03/04/26 18:42:11\n" + CPU + NEW + IDLE + f"\n{stamp}\n" + CPU + NEW + BUSY
    parsed = read(text)
    (window,) = parsed.facts.windows
    assert window.clock == clock
    assert datetime.fromtimestamp(window.times[-1], UTC).isoformat()[:19] == iso_utc
    assert parsed.unread.unread == 0


def test_json_as_iostat_prints_it():
    disk = {"disk_device": "sdb", "r/s": 1.0, "w/s": 2.0, "rkB/s": 4.0, "wkB/s": 8.0, "r_await": 0.5, "w_await": 0.25}
    disk |= {"aqu-sz": 0.01, "util": 0.3}
    busy = disk | {"util": 99.0, "aqu-sz": 30.0, "w_await": 80.0}
    statistics = [
        {"timestamp": f"2026-03-04T18:42:1{number}+0000", "avg-cpu": {"user": 1.0}, "disk": [reading]}
        for number, reading in enumerate((disk, busy))
    ]
    host = {"nodename": "hv-12", "sysname": "Linux", "date": "03/04/26", "statistics": statistics}
    lines = ['{"sysstat": {', '"hosts": [', "{", f'"nodename": "{host["nodename"]}",', '"date": "03/04/26",']
    lines += ['"statistics": [']
    for entry in statistics:
        lines += ["{", f'"timestamp": "{entry["timestamp"]}",', '"avg-cpu":  {"user": 1.00},', '"disk": [']
        lines += [json.dumps(entry["disk"][0]), "]", "},"]
    whole = "\n".join(lines)
    assert iostat.recognise(whole.splitlines()) == 1.0
    (window,) = read(whole).facts.windows  # cut before the closing brackets, as Ctrl-C leaves it
    assert str(window.entities[0]) == "disk:hv-12/sdb" and window.clock == "utc" and len(window.times) == 1
    assert window.latest(0, "disk_utilization_ratio") == 0.99
    assert window.latest(0, "disk_write_await_seconds") == 0.08


def test_human_readable_tables_in_parts():
    text = (
        "     r/s     rkB/s   rrqm/s  %rrqm r_await rareq-sz Device\n"
        "   47.86      2.2M    12.22  20.3%    0.45    47.0k vda\n\n"
        "     d/s     dkB/s   drqm/s  %drqm d_await dareq-sz Device\n"
        "    4.14    133.5k     0.04   0.8%    0.08    32.2k vda\n\n"
        "     f/s f_await  aqu-sz  %util Device\n"
        "    0.31    0.04    0.03   0.6% vda\n"
    )
    parsed = read(text)
    (window,) = parsed.facts.windows
    assert len(window.times) == 1 and parsed.unread.unread == 0
    assert window.latest(0, "disk_read_bytes_per_second") == pytest.approx(2.2 * 1024**2)
    assert window.latest(0, "disk_utilization_ratio") == pytest.approx(0.006)


def test_cut_row_keeps_whole_cells_only():
    facts = read(NEW + IDLE + "\n" + NEW + BUSY[:60] + "\n").facts
    (window,) = facts.windows
    assert window.latest(0, "disk_reads_per_second") == 100.0
    assert window.latest(0, "disk_utilization_ratio") is None
    assert any(row.reason == "1 rows are cut" for row in facts.coverage)


def test_a_long_run_keeps_its_latest_reports():
    text = "".join(f"{NEW}{BUSY.replace('99.70', f'{n % 100}.00')}\n" for n in range(1000))
    facts = read(text).facts
    (window,) = facts.windows
    assert len(window.times) == 719 and window.latest(0, "disk_utilization_ratio") == 0.99
    assert any("older reports" in row.reason for row in facts.coverage)


SAMPLES = [SYSTEM + CPU + NEW + IDLE + "\n" + CPU + NEW + BUSY, OLD]


@pytest.mark.parametrize("whole", SAMPLES)
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert 0.0 <= iostat.recognise(whole[start:end].splitlines()) <= 1.0
    read(whole[start:end])


@given(text=st.text(st.characters(codec="utf-8"), max_size=400))
def test_any_text_is_read_without_a_crash(text):
    assert 0.0 <= iostat.recognise(text.split("\n")) <= 1.0
    read(NEW + text)
