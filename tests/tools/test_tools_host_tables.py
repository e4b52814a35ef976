import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import clock_state, filesystems, host_state, lspci, md_arrays, sensors, services, slurm_tables

DF = """\
Filesystem     1K-blocks      Used Available Use% Mounted on
/dev/sda2      102400000 {used} {use}% /
/dev/loop3         65000     65000         0 100% /snap/core20/1234
tmpfs           65832000         0  65832000   0% /dev/shm
"""
FREE = """\
               total        used        free      shared  buff/cache   available
Mem:      1056000000   {used}     4000000      200000     9000000    {available}
Swap:              0           0           0
"""
CHRONY = """\
Reference ID    : 0A010001 (ntp1)
Stratum         : 3
System time     : {offset} seconds fast of NTP time
Leap status     : {leap}
"""
SENSORS = """\
coretemp-isa-0000
Adapter: ISA adapter
Package id 0:  +62.0°C  (high = +84.0°C, crit = +94.0°C)
Core 1:        +97.0°C  (high = +84.0°C, crit = +94.0°C)  ALARM (CRIT)
"""
EDAC = "mc0: csrow1: CPU_SrcID#0_Ha#0_Chan#1_DIMM#0: 14 Corrected Errors\nmc1: 0 Uncorrected Errors with no DIMM info\n"
STATUS = """\
● nvidia-fabricmanager.service - NVIDIA fabric manager service
     Loaded: loaded (/lib/systemd/system/nvidia-fabricmanager.service; enabled)
     Active: {active}
    Process: 2211 ExecStart=/usr/bin/nv-fabricmanager (code=exited, status=1/FAILURE)
"""
FAILED = """\
  UNIT                LOAD   ACTIVE SUB    DESCRIPTION
● slurmd.service      loaded failed failed Slurm node daemon
● motd-news.service   loaded failed failed Message of the Day

LOAD   = Reflects whether the unit definition was properly loaded.
2 loaded units listed.
"""
MDSTAT = """\
Personalities : [raid1] [raid6]
md0 : active raid1 sdb1[1] sda1[0]
      976630464 blocks super 1.2 [2/{have}] [{map}]
      bitmap: 2/8 pages [8KB], 65536KB chunk

unused devices: <none>
"""
MDADM = """\
/dev/md127:
        Raid Level : raid10
      Raid Devices : 4
             State : {state}
    Active Devices : 3
    Failed Devices : 1
"""
LSPCI = """\
3b:00.0 3D controller: NVIDIA Corporation GH100 [H100 SXM5 80GB] (rev {rev})
\tLnkCap:\tPort #0, Speed 32GT/s, Width x16, ASPM not supported
\tLnkSta:\tSpeed 2.5GT/s (downgraded), Width x{width}{word}
41:00.0 Ethernet controller: Mellanox Technologies MT2892 Family [ConnectX-6 Dx]
"""
REASONS = """\
REASON               USER      TIMESTAMP           NODELIST
Not responding       slurm     2025-03-02T04:10:11 gpu[17-18]
gres/gpu count reported lower than configured (7 < 8) slurm 2025-03-02T04:10:11 gpu21
scheduled maintenance root     2025-03-01T08:00:00 gpu30
"""
NODE = """\
NodeName=gpu17 Arch=x86_64 CoresPerSocket=48
   CPUAlloc=0 CPUTot=96 CPULoad=0.01
   State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1
   Reason={reason} [slurm@2025-03-02T04:10:11]
"""
SACCT = """\
JobID           JobName  Partition      State ExitCode
------------ ---------- ---------- ---------- --------
4711              train        gpu  NODE_FAIL      1:0
4711.0            train             CANCELLED      0:9
4712              train        gpu  COMPLETED      0:0
"""
SINFO = """\
PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST
gpu*         up   infinite      1  down* gpu17
gpu*         up   infinite     30    mix gpu[18-47]
"""
WRAPPED = """\
Filesystem           1K-blocks      Used Available Use% Mounted on
/dev/mapper/vg_scratch-lv_scratch
                     976762584 976762584         0 100% /scratch
"""
HUMAN = """\
               total        used        free      shared  buff/cache   available
Mem:           503Gi       501Gi       412Mi        12Gi       1.2Gi       600Mi
"""
ONE_LINE = "NodeName=gpu17 Arch=x86_64 CPUTot=96 State=DOWN+DRAIN Weight=1 Reason=gres/gpu count too low [root@2025-03-02T04:10:11]\n"
FORMS = [
    (slurm_tables, SINFO, ["slurm:node_down"]),
    (slurm_tables, ONE_LINE, ["slurm:gpu_missing"]),
    (filesystems, WRAPPED, ["limit:disk_space"]),
    (host_state, HUMAN, ["memory:low"]),
    (filesystems, DF.format(used="102400000 0", use=100), ["limit:disk_space"]),
    (filesystems, DF.format(used="50000000 52400000", use=49), []),
    (host_state, FREE.format(used="1043000000", available="3000000"), ["memory:low"]),
    (host_state, FREE.format(used="843000000", available="200000000"), []),
    (clock_state, CHRONY.format(offset="0.000000123", leap="Normal"), []),
    (clock_state, CHRONY.format(offset="2.5", leap="Not synchronised"), ["clock:offset", "clock:unsynchronised"]),
    (sensors, SENSORS, ["bmc:temperature_critical"]),
    (host_state, EDAC, ["edac:corrected"]),
    (services, STATUS.format(active="failed (Result: exit-code) since Mon"), ["fabric:down"]),
    (services, STATUS.format(active="inactive (dead)"), ["fabric:down"]),
    (services, STATUS.format(active="active (running) since Mon"), []),
    (services, FAILED, ["service:failed", "service:other"]),
    (md_arrays, MDSTAT.format(have=1, map="U_"), ["md:degraded"]),
    (md_arrays, MDSTAT.format(have=2, map="UU"), []),
    (md_arrays, MDADM.format(state="clean, degraded"), ["md:degraded"]),
    (lspci, LSPCI.format(rev="a1", width=16, word=" (ok)"), []),
    (lspci, LSPCI.format(rev="a1", width=4, word=" (downgraded)"), ["pci:link_degraded"]),
    (lspci, LSPCI.format(rev="ff", width=16, word=""), ["gpu:lost"]),
    (slurm_tables, REASONS, ["slurm:node_down", "slurm:node_down", "slurm:gpu_missing", "slurm:planned"]),
    (slurm_tables, NODE.format(state="DOWN*+DRAIN", reason="Not responding"), ["slurm:node_down"]),
    (slurm_tables, NODE.format(state="MIXED", reason="x"), []),
    (slurm_tables, SACCT, ["slurm:node_down"]),
]


def read(text, parser):
    return parser.parse(TextDocument("t.txt", "n1", text))


@pytest.mark.parametrize(("parser", "text", "expected"), FORMS)
def test_only_what_is_wrong_is_an_event(parser, text, expected):
    assert parser.recognise(text.splitlines()) >= 0.6
    parsed = read(text, parser)
    assert [event.code for event in parsed.facts.events] == expected
    assert parsed.unread.unread == 0


def test_nodes_and_devices_are_named():
    assert [event.node for event in read(REASONS, slurm_tables).facts.events] == ["gpu17", "gpu18", "gpu21", "gpu30"]
    (event,) = read(LSPCI.format(rev="ff", width=16, word=""), lspci).facts.events
    assert event.entity.id_map == {"pci": "0000:3b:00.0"}
    (event,) = read(MDADM.format(state="clean, degraded"), md_arrays).facts.events
    assert str(event.entity) == "disk:n1/md127"


PARSERS = [host_state, filesystems, clock_state, sensors, services, md_arrays, lspci, slurm_tables]


@pytest.mark.parametrize(
    "text", ["Mem: abc", "State: x\nfoo: y", "Active: yes", "a.b.c", "10:20:30.1 hello there", "Name: x\nReason=y"]
)
def test_other_texts_are_left_alone(text):
    for parser in PARSERS:
        if "Active" not in text:
            assert parser.recognise(text.splitlines()) < 0.3, parser.FORM


@pytest.mark.parametrize(("parser", "whole"), [(parser, text) for parser, text, _ in FORMS])
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(parser, whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert 0.0 <= parser.recognise(whole[start:end].split("\n")) <= 1.0
    read(whole[start:end], parser)
