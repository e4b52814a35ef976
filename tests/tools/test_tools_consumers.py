import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.detectors import disk_saturation
from tools.document import TextDocument
from tools.parsers import consumers, disk_activity
from tools.sources.recording import RecordingSource

SAR = """\
Linux 5.15.0-91-generic (hv-3) \t03/02/2025 \t_x86_64_\t(64 CPU)

12:00:01 AM       DEV       tps     rkB/s     wkB/s     dkB/s   areq-sz    aqu-sz     await     %util
12:10:01 AM       sdb    300.00   1024.00  51200.00      0.00    170.00     31.00     90.00     99.80
12:10:01 AM       sda      1.00      0.00      8.00      0.00      8.00      0.00      0.40      0.10
12:20:01 AM       sdb    310.00   1024.00  51200.00      0.00    170.00     33.00     95.00     99.90
12:20:01 AM       sda      1.00      0.00      8.00      0.00      8.00      0.00      0.40      0.10
Average:          sdb    305.00   1024.00  51200.00      0.00    170.00     32.00     92.00     99.85
"""
DISKSTATS = "   8       0 sda 100 0 800 50 200 0 1600 90 0 100 140 0 0 0 0\n   7       0 loop0 1 0 8 0 0 0 0 0 0 0 0\n"
XENTOP = """\
      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID
  Domain-0 -----r       9000   12.0    4194304    1.6   no limit       n/a    16    0        0        0    0        0        0        0          0          0    0
      db-3 --b---       5000   {cpu}   67108864   25.0   67108864      25.0     8    1       10       20    2        0     {rd}     {wr}     {rs}     {ws}    0
     web-1 --b---        500    2.0    8388608    3.1    8388608       3.1     4    1       10       20    1        0     1000     2000      8000      16000    0
"""
TWICE = XENTOP.format(cpu="90.0", rd=1000, wr=2000, rs=8000, ws=16000) + XENTOP.format(
    cpu="95.0", rd=1300, wr=3500, rs=10400, ws=316000
)
DOCKER = """\
CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT     MEM %     NET I/O           BLOCK I/O         PIDS
0123456789ab   trainer   812.50%   41.5GiB / 503.5GiB    8.24%     1.2GB / 3.4GB     120GB / 3.1GB     214
"""
PIDSTAT = """\
Linux 5.15.0-91-generic (hv-3) \t03/02/2025 \t_x86_64_\t(64 CPU)

04:12:01 AM   UID       PID   kB_rd/s   kB_wr/s kB_ccwr/s iodelay  Command
04:12:06 AM     0      4711      0.00  50100.00      0.00     480  backup
04:12:06 AM   999      5122     12.00    220.00      0.00       3  postgres
"""
IOTOP = """\
Total DISK READ:         0.00 B/s | Total DISK WRITE:        49.10 M/s
    TID  PRIO  USER     DISK READ  DISK WRITE  SWAPIN      IO    COMMAND
   4711 be/4 root        0.00 B/s   48.90 M/s  0.00 % 92.10 % /usr/bin/backup --all
   5122 be/4 postgres   12.00 K/s  220.00 K/s  0.00 %  1.00 % postgres: checkpointer
"""
IOSTAT = """\
Linux 5.15.0-91-generic (hv-3) \t03/04/2026 \t_x86_64_\t(64 CPU)

Device            r/s     w/s     rkB/s     wkB/s r_await w_await aqu-sz  %util
sdb              1.00    2.00      8.00     16.00    0.50    0.70   0.00   0.30

Device            r/s     w/s     rkB/s     wkB/s r_await w_await aqu-sz  %util
sdb            100.00  520.00    812.00  50400.00   20.00   90.00  48.10  99.70
"""


def read(text, parser=consumers):
    return parser.parse(TextDocument("t.txt", "", text))


def test_sar_is_read_as_intervals():
    assert disk_activity.recognise(SAR.splitlines()) > 0.9
    parsed = read(SAR, disk_activity)
    (window,) = parsed.facts.windows
    assert [str(disk) for disk in window.entities] == ["disk:hv-3/sdb", "disk:hv-3/sda"]
    assert window.times[1] - window.times[0] == 600 and window.latest(0, "disk_write_await_seconds") == 0.095
    (finding,) = disk_saturation.detect(parsed.facts)
    assert finding.fault_hint == "io_saturated" and finding.entity.name == "sdb"
    assert parsed.unread.unread == 0


def test_counters_since_boot_are_no_present():
    assert disk_activity.recognise(DISKSTATS.splitlines()) > 0.8
    parsed = read(DISKSTATS, disk_activity)
    (gap,) = parsed.facts.coverage
    assert "since boot" in gap.reason and gap.fix and not parsed.facts.windows
    assert [disk.name for disk in parsed.facts.entities] == ["sda"]


def test_two_reports_of_xentop_make_rates():
    facts = read(TWICE).facts
    window = facts.windows[0]
    row = next(i for i, entity in enumerate(window.entities) if entity.name == "db-3 [all disks]")
    assert (
        window.latest(row, "disk_writes_per_second") == 500
        and window.latest(row, "disk_write_bytes_per_second") == 51_200_000
    )
    assert not facts.coverage
    rows = read(XENTOP.format(cpu="1.0", rd=1, wr=2, rs=3, ws=4)).facts.coverage
    (gap,) = [row for row in rows if row.domain == "guests"]
    assert "no rates" in gap.reason


@pytest.mark.parametrize(("text", "culprit"), [(TWICE, "db-3"), (PIDSTAT, "backup[4711]"), (IOTOP, "backup[4711]")])
def test_a_consumer_beside_a_saturated_disk_is_named(text, culprit):
    facts = RecordingSource(
        [], stdin=io.BytesIO(f"$ iostat -x 1 2\n{IOSTAT}\n$ more\n{text}".encode()), max_bytes=10**9
    ).read_facts()
    (finding,) = disk_saturation.detect(facts)
    assert finding.fault_hint == "io_noisy_neighbor" and finding.culprit.name == culprit
    assert finding.score > 0 and not finding.settles


def test_containers_have_cpu_and_memory():
    (window,) = read(DOCKER).facts.windows
    assert window.entities[0].name == "trainer"
    assert window.latest(0, "guest_cpu_ratio") == 8.125 and window.latest(0, "guest_memory_bytes") == 41.5 * 1024**3


@pytest.mark.parametrize("text", ["NAME STATE\na b", "UID PID", "1 2 sda", "12:00:01 foo bar"])
def test_other_texts_are_left_alone(text):
    assert consumers.recognise(text.splitlines()) == 0.0 and disk_activity.recognise(text.splitlines()) == 0.0


@pytest.mark.parametrize("whole", [SAR, DISKSTATS, TWICE, DOCKER, PIDSTAT, IOTOP])
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    for parser in (consumers, disk_activity):
        assert 0.0 <= parser.recognise(whole[start:end].split("\n")) <= 1.0
        read(whole[start:end], parser)


IOTOP_HEAD = """Total DISK READ :  {total} M/s | Total DISK WRITE :       1.00 K/s
    TID  PRIO  USER     DISK READ  DISK WRITE  SWAPIN      IO    COMMAND
"""


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        (("  71 be/4 root 180.00 M/s 0.00 B/s 0.00 % 97.10 % rsync -a /a /b",
          "  72 be/4 app   10.00 K/s 0.00 B/s 0.00 % 88.00 % served"), ["consumers:hog"]),
        (("  71 be/4 root 90.00 M/s 0.00 B/s 0.00 % 97.10 % rsync -a /a /b",
          "  72 be/4 app  85.00 M/s 0.00 B/s 0.00 % 88.00 % served"), []),
        (("  71 be/4 root 180.00 M/s 0.00 B/s 0.00 % 3.00 % rsync -a /a /b",), []),
        (("  71 be/3 root  12.00 K/s 3.00 K/s 0.00 % 0.10 % [jbd2/vda1-8]",), ["guests:quiet"]),
    ],
)  # fmt: skip
def test_who_holds_the_disks_while_others_wait_is_named(rows, codes):
    text = IOTOP_HEAD.format(total="180.00") + "\n".join(rows) + "\n"
    assert [event.code for event in read(text).facts.events] == codes


DOCKER_HEAD = "CONTAINER ID  NAME  CPU %  MEM USAGE / LIMIT  MEM %  NET I/O  BLOCK I/O  PIDS\n"


@pytest.mark.parametrize(
    ("used", "share", "code"),
    [("1.93GiB / 2GiB", "96.51", "guest:memory_full"), ("80.1 MiB / 2 GiB", "3.91", "guests:quiet")],
)
def test_a_container_at_its_limit_is_told(used, share, code):
    text = f"{DOCKER_HEAD}0a1b2c3d4e5f  fit  1.00%  {used}  {share}%  1kB / 0B  2MB / 0B  7\n"
    assert [event.code for event in read(text).facts.events] == [code]
