"""What support tools collect: bug reports of the driver, sosreports, and the same line in several files."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from tools.sources.recording import RecordingSource

RULE = "____________________________________________\n\n"
SMI = """\
==============NVSMI LOG==============

Timestamp                                 : Tue Mar  4 04:20:11 2025
Driver Version                            : 550.54.15
CUDA Version                              : 12.4

Attached GPUs                             : 1
GPU 00000000:3B:00.0
    Product Name                          : NVIDIA A100-SXM4-80GB
    Minor Number                          : 0
    GPU UUID                              : GPU-1a2b3c4d-0000-1111-2222-333344445555
    Remapped Rows
        Correctable Error                 : 0
        Uncorrectable Error               : 1
        Pending                           : Yes
        Remapping Failure Occurred        : No
    Temperature
        GPU Current Temp                  : 41 C
"""
DMESG = """\
[    0.000000] Linux version 5.15.0-91-generic (buildd@lcy02) #101-Ubuntu SMP
[  812.334455] NVRM: Xid (PCI:0000:3b:00): 63, pid=1, Row Remapper: New row marked for remapping, reset gpu to activate.
[  812.400000] nvidia-nvlink: Nvlink Core is being initialized
"""
LSPCI = """\
3b:00.0 3D controller: NVIDIA Corporation GA100 [A100 SXM4 80GB] (rev a1)
\tSubsystem: NVIDIA Corporation Device 1463
\tFlags: bus master, fast devsel, latency 0, IRQ 16
"""


def section(title, body):
    return f"{RULE}{title}\n{body}\n"


def copied(path, body):
    return section(f"*** {path}", f"*** ls: -r--r--r-- 1 root root 0 2025-03-04 04:20:10.0 +0000 {path}\n{body}")


def make_report(*, dmesg=DMESG, smi=SMI, node="gpu-017"):
    head = (
        f"{RULE}Start of NVIDIA bug report log file.  Please include this file, along\n"
        "with a detailed description of your problem.\n\n"
        "nvidia-bug-report.sh Version: 33500000\n\n"
        f"Date: Tue Mar  4 04:20:10 UTC 2025\nuname: Linux {node} 5.15.0-91-generic #101-Ubuntu SMP x86_64 GNU/Linux\n"
        "command line flags: \n\n"
    )
    return (
        head
        + copied("/etc/issue", "Ubuntu 22.04.3 LTS \\n \\l\n")
        + f"{RULE}*** /var/log/nvidia-installer.log does not exist\n\n"
        + section("journalctl -b -0 _COMM=Xorg", "\n-- No entries --\n")
        + section('/usr/bin/lspci -d "10de:*" -v -xxx', "\n" + LSPCI)
        + section("/usr/bin/lspci -t", "\n-[0000:00]-+-00.0\n           +-01.0-[01]--\n")
        + section("Scanning kernel log files for NVIDIA kernel messages:", "\n  journalctl -b -0:\n")
        + section("dmesg:", "\n" + dmesg)
        + copied("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n" * 64)
        + copied(
            "/proc/meminfo",
            "MemTotal:       263868484 kB\nMemFree:        200000000 kB\nMemAvailable:   210000000 kB\n",
        )
        + section("/usr/bin/nvidia-smi --query", "\n" + smi)
        + RULE
        + "End of NVIDIA bug report log file.\n"
    )


def read(*paths, stdin=None):
    return RecordingSource([Path(path) for path in paths], stdin=stdin, max_bytes=10**9).read_facts()


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())])
def test_each_section_of_a_bug_report_is_read_and_all_are_of_one_node(tmp_path, pack):
    path = tmp_path / "nvidia-bug-report.log.gz"
    path.write_bytes(pack(make_report()))
    facts = read(path)
    assert "xid:63" in {event.code for event in facts.events}
    assert {event.node for event in facts.events} == {"gpu-017"}
    gpus = [entity for window in facts.windows for entity in window.entities if entity.kind == "gpu"]
    assert gpus and {gpu.node for gpu in gpus} == {"gpu-017"}
    assert {row.domain for row in facts.coverage if row.status == "read"} >= {"kernel_log", "gpu", "host"}
    assert not [row for row in facts.coverage if row.status == "missing"], facts.coverage
    assert "sections hold no form that is read here" in " ".join(row.reason for row in facts.coverage)


def test_quotes_of_a_bug_report_name_the_line_of_the_report():
    text = make_report()
    facts = read("-", stdin=io.BytesIO(text.encode()))
    assert facts.events
    for event in facts.events:
        assert text.splitlines()[event.quote.line - 1].strip() == event.quote.text.strip()


def test_a_bug_report_in_a_ticket_is_read():
    text = "We lost a card, here is the report:\n\n```\n" + make_report() + "```\n"
    facts = read("-", stdin=io.BytesIO(text.encode()))
    assert "xid:63" in {event.code for event in facts.events}


def test_more_sections_than_a_pasted_terminal_may_have_are_read():
    extra = "".join(copied(f"/sys/bus/pci/devices/0000:{n:02x}:00.0/power/control", "auto\n") for n in range(250)) * 2
    text = make_report().replace(RULE + "dmesg:", extra + RULE + "dmesg:")
    facts = read("-", stdin=io.BytesIO(text.encode()))
    assert "xid:63" in {event.code for event in facts.events}


SYSLOG = "Mar  4 04:12:07 gpu-018 kernel: [  812.334455] NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.\n"
JOURNAL = "Mar 04 04:12:07 gpu-018 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.\n"
RING = "[  812.334455] NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.\n"
SOS = {
    "sos_commands/host/hostname": "gpu-018\n",
    "sos_commands/kernel/dmesg": RING,
    "sos_commands/logs/journalctl_--no-pager": JOURNAL,
    "sos_commands/filesys/df_-al_-x_autofs": (
        "Filesystem     1K-blocks     Used Available Use% Mounted on\n"
        "/dev/nvme0n1p2 459924552 45992455 413932097  10% /\n"
    ),
    "sos_commands/selinux/sestatus": "SELinux status: disabled\n",
    "var/log/messages": SYSLOG,
    "proc/meminfo": "MemTotal:       263868484 kB\nMemFree:        200000000 kB\nMemAvailable:   210000000 kB\n",
    "etc/fstab": "UUID=1 / ext4 defaults 0 1\n",
    "etc/hostname": "gpu-018\n",
    "sos_reports/manifest.json": '{"version": "4.5"}',
    "version.txt": "sosreport: 4.5.4\n",
    "uptime": " 04:20:11 up 3 days,  2:11,  1 user,  load average: 0.10, 0.20, 0.15\n",
}


def write_sos(folder):
    for name, text in SOS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "dmesg").symlink_to("sos_commands/kernel/dmesg")
    (folder / "hostname").symlink_to("sos_commands/host/hostname")


@pytest.mark.parametrize("packed", [False, True])
def test_a_sosreport_is_of_its_host_and_tells_each_line_once(tmp_path, packed):
    folder = tmp_path / "sosreport-gpu-018-2025-03-04-abcdefg"
    write_sos(folder)
    path = folder
    if packed:
        path = tmp_path / "sosreport.tar.xz"
        with tarfile.open(path, "w:xz") as archive:
            archive.add(folder, folder.name)
    facts = read(path)
    lost = [event for event in facts.events if event.code == "xid:79"]
    assert [event.node for event in lost] == ["gpu-018"]
    assert not [row for row in facts.coverage if row.status == "missing"], facts.coverage
    told = next(row for row in facts.coverage if row.entity == "bundle")
    assert "settings" in told.reason


def test_what_repeats_in_one_file_is_kept_and_unknown_hosts_are_two(tmp_path):
    later = JOURNAL.replace("04:12:07", "04:52:07")
    (tmp_path / "messages").write_text(SYSLOG)
    (tmp_path / "journal").write_text(JOURNAL + later)
    facts = read(tmp_path)
    assert sum(event.code == "xid:79" for event in facts.events) == 2
    (tmp_path / "a").mkdir()
    for name in ("one", "two"):
        (tmp_path / "a" / name).write_text(RING)
    assert sum(event.code == "xid:79" for event in read(tmp_path / "a").events) == 2
