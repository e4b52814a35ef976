"""Tables of sar, mpstat, vmstat and ps: what they say of processors that wait, and that they are read at all."""

import pytest

from tools.document import TextDocument
from tools.parsers import cpu_activity, host_state

MPSTAT = """Linux 6.1.7-fleet (n21) \t03/04/2025 \t_x86_64_\t(64 CPU)

10:00:01     CPU    %usr   %nice    %sys %iowait    %irq   %soft  %steal  %guest  %gnice   %idle
10:00:02     all    2.00    0.00    1.00   {wait}    0.00    0.00    0.00    0.00    0.00   10.00
10:00:03     all    2.00    0.00    1.00   {wait}    0.00    0.00    0.00    0.00    0.00   10.00
Average:     all    2.00    0.00    1.00   {wait}    0.00    0.00    0.00    0.00    0.00   10.00
"""
QUEUE = (
    "12:00:01 AM   runq-sz  plist-sz   ldavg-1   ldavg-5  ldavg-15   blocked\n12:10:01 AM  2  311  0.4  0.3  0.2  0\n"
)
VMSTAT = """procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----
 r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st
 1  0      0 911222  11222 223344    0    0   120    60   90  110  1  1 97  1  0
"""
WAITS = " 1  9      0 911222  11222 223344    0    0 91200   60   90  110  2  2 11 85  0\n"
PS = "USER       PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n"


def codes(parser, text):
    parsed = parser.parse(TextDocument("x", "", text))
    assert parsed.unread.unread == 0
    return [event.code for event in parsed.facts.events]


@pytest.mark.parametrize(("wait", "expected"), [("85.00", ["cpu:iowait"]), (" 9.00", [])])
def test_processors_that_wait_are_told(wait, expected):
    assert codes(cpu_activity, MPSTAT.format(wait=wait)) == expected


def test_other_tables_of_sar_are_read():
    assert cpu_activity.recognise(QUEUE.splitlines()) > 0.3
    assert codes(cpu_activity, QUEUE) == []


@pytest.mark.parametrize("stamp", ["", "11:07:01"])
def test_vmstat_tells_who_waits_with_a_time_before_it_or_without(stamp):
    rows = "".join(f"{stamp}{row}\n" for row in [WAITS.rstrip("\n")] * 4)
    head = VMSTAT.replace("procs", "--time-- procs") if stamp else VMSTAT
    assert codes(host_state, head + rows) == ["cpu:iowait"]
    assert codes(host_state, VMSTAT) == []


@pytest.mark.parametrize(
    ("state", "count", "expected"), [("Ss", 14, []), ("D", 14, ["task:many_waiting"]), ("D", 3, [])]
)
def test_ps_is_read_and_its_waiting_tasks_counted(state, count, expected):
    rows = "".join(f"root {n} 0.0 0.1 1693 1156 ? {state} Jul01 0:12 /usr/bin/w{n}\n" for n in range(100, 100 + count))
    assert host_state.recognise([PS]) > 0.6
    assert codes(host_state, PS + rows) == expected
