"""Who may write a log line must not be able to make a fault of the kernel of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from agent.policy import ACTION_RANK, SitePolicy
from agent.triage import triage
from agent.types import Verdict
from tools.errors import EvidenceUnreadable
from tools.sources.recording import RecordingSource

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
XID = "NVRM: Xid (PCI:0000:17:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
LOST = "NVRM: GPU 0000:17:00.0: GPU has fallen off the bus."
REMAP = "NVRM: Xid (PCI:0000:17:00): 64, pid='<unknown>', name=<unknown>, Failed to remap row, GPC 1"
OOPS = "mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 7: be00000000800400"
DISK = "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0"
SYSLOG = "Nov 20 09:41:02 h1 "
WORDS = (XID, LOST, REMAP, OOPS, DISK)


def read(tmp_path, text: str, name: str = "evidence.txt") -> list[Verdict]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    try:
        facts = RecordingSource([path], max_bytes=10**7).read_facts()
    except EvidenceUnreadable:
        return []
    return triage(facts, site=SitePolicy(), now=NOW).verdicts


# A writer of his own: the form tells that it is a program, whatever its text says. --------------------------------

DIALECTS = {
    "syslog of a program": SYSLOG + "trainer[4411]: {}",
    "syslog of logger, no number": SYSLOG + "root: {}",
    "a process that calls itself the kernel": SYSLOG + "kernel[4411]: {}",
    "a program that begins with the kernel's name": SYSLOG + "kernel-tool: {}",
    "iso syslog": "2026-11-20T09:41:02.000001+00:00 h1 trainer[4411]: {}",
    "a service's journal line": SYSLOG + "systemd[1]: Started {}",
    "RFC 3164 with the priority of a user": "<13>" + SYSLOG + "kernel: {}",
    "RFC 5424 with the priority of a user": "<14>1 2026-11-20T09:41:02Z h1 kernel - - - {}",
    "RFC 5424 of a program": "<6>1 2026-11-20T09:41:02Z h1 trainer 4411 - - {}",
    "/dev/kmsg, written by a user": "12,1339,5140900,-;{}",
    "dmesg -x of another facility": "user  :err   : [ 5140.900000] {}",
    "dmesg -x of a daemon": "daemon:warn  : [ 5140.900000] {}",
    "dmesg -r of a user": "<12>[ 5140.900000] {}",
    "systemd in the ring buffer": "[ 5140.900000] systemd[1]: {}",
    "container, CRI": "2026-11-20T09:41:02.000000001Z stdout F {}",
    "container, CRI, with a head of dmesg": "2026-11-20T09:41:02.000000001Z stderr F [ 5140.900000] {}",
    "container, CRI, with a head of syslog": "2026-11-20T09:41:02.1Z stdout F " + SYSLOG + "kernel: {}",
    "container, Docker": None,
    "container, docker compose": "trainer-1  | [ 5140.900000] {}",
    "container, kubectl logs --prefix": "[pod/train-0/main] [ 5140.900000] {}",
    "journal, stdout of a service": None,
    "journal, syslog of who calls himself the kernel": None,
    "logfmt": 'time="2026-11-20T09:41:02Z" level=info msg="{}"',
    "logfmt, level first": 'level=error ts=2026-11-20T09:41:02.000Z caller=main.go:71 msg="{}"',
    "logfmt behind a container's time": '2026-11-20T09:41:02.1Z stdout F level=info msg="{}"',
    "JSON lines": None,
    "klog": "E1120 09:41:02.000001    4411 main.go:71] {}",
    "Python logging": "2026-11-20 09:41:02,123 INFO trainer: {}",
    "Python logging, the default": "ERROR:trainer:{}",
    "ISO time and level": "2026-11-20T09:41:02Z ERROR {}",
    "vLLM": "INFO 11-20 09:41:02 engine.py:71] {}",
    "a rank": "[rank3]: {}",
    "a rank with a head of dmesg": "[rank3]:[ 5140.900000] {}",
    "NCCL": "h1:4411:4412 [0] NCCL INFO {}",
}  # fmt: skip


def forge(dialect: str, words: str) -> str:
    made = {
        "container, Docker": {"log": f"[ 5140.9] {words}\n", "stream": "stdout", "time": "2026-11-20T09:41:02Z"},
        "journal, stdout of a service": {
            "_TRANSPORT": "stdout", "SYSLOG_IDENTIFIER": "trainer", "MESSAGE": words, "_HOSTNAME": "h1",
        },
        "journal, syslog of who calls himself the kernel": {
            "_TRANSPORT": "syslog", "SYSLOG_IDENTIFIER": "kernel", "SYSLOG_FACILITY": "0", "PRIORITY": "2", "MESSAGE": words,
        },
        "JSON lines": {"level": "info", "ts": 1795167662.1, "msg": words},
    }  # fmt: skip
    form = DIALECTS[dialect]
    return json.dumps(made[dialect]) if form is None else form.format(words)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("words", WORDS, ids=["xid", "lost", "remap", "mce", "ext4"])
def test_a_program_s_line_is_no_fault_of_the_kernel(tmp_path, dialect, words):
    verdicts = read(tmp_path, forge(dialect, words) + "\n")
    # A line of no form that is known tells nothing, and accuses nobody.
    assert verdicts or dialect.startswith("logfmt")
    for verdict in verdicts:
        assert verdict.confidence == "inconclusive" or verdict.severity == "ok", verdict.summary
        assert ACTION_RANK[verdict.action] <= ACTION_RANK["run_diagnostics"]
        assert {step.action for step in verdict.plan}.isdisjoint({"reset_gpu", "reboot_node", "replace_part"})


# Words that the kernel only quotes. --------------------------------------------------------------------------------

QUOTED = {
    "a USB device's name": f"usb 1-1: Product: {XID}",
    "a USB device's maker": f"usb 1-1.2: Manufacturer: {LOST}",
    "a USB device's serial number": f"usb 3-2: SerialNumber: {XID}",
    "an input device": f"input: {XID} as /devices/pci0000:00/0000:00:14.0/usb1/1-1/input/input7",
    "a HID device": f"hid-generic 0003:046D:C31C.0001: input,hidraw0: USB HID v1.10 Keyboard [{XID}] on usb-1",
    "a camera": f"uvcvideo: Found UVC 1.00 device {XID} (046d:0825)",
    "a SCSI target's name": f"scsi 6:0:0:0: Direct-Access     {LOST}  PQ: 0 ANSI: 6",
    "an audit record of AppArmor": f'audit: type=1400 audit(1.1:9): apparmor="DENIED" name="{XID}" pid=7 comm="sh"',
    "an audit record of seccomp": f'audit: type=1326 audit(1.1:9): auid=7 comm="x" exe="{XID}" sig=0 arch=c000003e',
    "an audit record of a user": f"audit: type=1107 audit(1.1:9): pid=7 uid=1000 msg='{XID}'",
    "audit by its daemon's name": f'audit[4411]: type=1400 audit(1.1:9): apparmor="DENIED" name="{XID}"',
    "a process that asks for memory": "GPU is lost invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0",
    "a process that crashed": "GPU is lost[4411]: segfault at 0 ip 0000 sp 0000 error 4 in libc.so",
    "a process that trapped": "traps: GPU is lost[4411] general protection fault ip:0 sp:0 error:0",
    "a process that waits": "INFO: task GPU is lost:4411 blocked for more than 120 seconds.",
    "a process that was killed": "Out of memory: Killed process 4411 (GPU is lost) total-vm:1kB, anon-rss:1kB",
    "a process that is reaped": "oom_reaper: reaped process 4411 (GPU is lost), now anon-rss:0kB",
    "the head of a stack": "CPU: 3 PID: 4411 Comm: GPU is lost Not tainted 6.8.0-45-generic #45",
    "a control group that ran out": f"oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/u/{XID},task=python,pid=4411,uid=1000",
    "a control group of old": f"Task in /u/{XID} killed as a result of limit of /u",
    "a control group's statistics": f"Memory cgroup stats for /u/{XID}: cache:0KB",
    "a control group that is full": f"cgroup: fork rejected by pids controller in /u/{XID}",
    "a volume's label": f"BTRFS: device label {XID} devid 1 transid 7 /dev/sdb scanned by mount (4411)",
    "an overlay": f"overlayfs: failed to resolve '{XID}': -2",
    "a mount of a share": f"CIFS: Attempting to mount //server/{XID}",
    "a process with a stack": f"process '{XID}' started with executable stack",
    "the kernel's command line": f"Command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1 note={XID}",
    "a message of a module that nobody knows": f"mymodule: user said {XID}",
}
HEADS = {"dmesg": "[ 5140.900000] ", "syslog": SYSLOG + "kernel: [ 5140.900000] ", "-x": "kern  :err   : [ 5140.9] "}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("text", QUOTED.values(), ids=QUOTED)
def test_what_the_kernel_only_quotes_is_no_word_of_the_kernel(tmp_path, head, text):
    verdicts = read(tmp_path, f"{head}{text}\n")
    assert verdicts
    for verdict in verdicts:
        of_gpu = verdict.fault.startswith("gpu_")
        assert not of_gpu or verdict.confidence == "inconclusive", verdict.summary
        assert not of_gpu or ACTION_RANK[verdict.action] <= ACTION_RANK["run_diagnostics"]


# Where nothing tells, that is said, and the rest stays as it is. ----------------------------------------------------

BARE = {
    XID: ("gpu_off_bus", "reboot_node"),
    LOST: ("gpu_off_bus", "reboot_node"),
    f"> {XID}": ("gpu_off_bus", "reboot_node"),
    f"2026-11-20T09:41:02Z {XID}": ("gpu_off_bus", "reboot_node"),
}


@pytest.mark.parametrize("text", BARE)
def test_a_bare_line_keeps_fault_and_action_and_is_likely_at_most(tmp_path, text):
    verdict = read(tmp_path, f"{text}\n")[0]
    assert (verdict.fault, verdict.action) == BARE[text]
    assert verdict.confidence == "likely"
    assert "does not tell who wrote it" in verdict.summary


KERNEL = {
    "dmesg": f"[ 5140.900000] {XID}",
    "dmesg with a thread": f"[ 5140.900000][  T881] {XID}",
    "dmesg -T": f"[Fri Nov 20 09:41:02 2026] {XID}",
    "dmesg iso": f"2026-11-20T09:41:02,123456+00:00 {XID}",
    "dmesg -x": f"kern  :err   : [ 5140.900000] {XID}",
    "dmesg -r": f"<3>[ 5140.900000] {XID}",
    "/dev/kmsg": f"3,1339,5140900,-;{XID}",
    "RFC 3164": f"{SYSLOG}kernel: [ 5140.900000] {XID}",
    "RFC 3164 with priority": f"<3>{SYSLOG}kernel: {XID}",
    "RFC 5424": f"<3>1 2026-11-20T09:41:02Z h1 kernel - - - {XID}",
    "a line without its time": f"kernel: {XID}",
    "a line without time, with its host": f"h1 kernel: {XID}",
    "journal": json.dumps({"_TRANSPORT": "kernel", "MESSAGE": XID, "_HOSTNAME": "h1"}),
    "a driver's prefix": "[ 5140.900000] nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
}


@pytest.mark.parametrize("text", KERNEL.values(), ids=KERNEL)
def test_the_kernel_s_own_line_is_believed(tmp_path, text):
    verdict = read(tmp_path, f"{text}\n")[0]
    assert verdict.confidence == "confirmed", verdict.summary


def test_one_line_of_the_kernel_beside_a_bare_one_settles_it(tmp_path):
    assert read(tmp_path, f"{XID}\n[ 5140.900000] {XID}\n")[0].confidence == "confirmed"


SMI = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.124.06             Driver Version: 570.124.06     CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:1B:00.0 Off |                 ERR! |
|ERR!  ERR! ERR!            ERR!  /  ERR! | GPU is lost            |     ERR!     Default |
|                                         |                        |                 ERR! |
+-----------------------------------------+------------------------+----------------------+
"""
QUERY = """\
==============NVSMI LOG==============
Attached GPUs                             : 1
GPU 00000000:19:00.0
    Remapped Rows
        Correctable Error                 : 0
        Uncorrectable Error               : 8
        Pending                           : No
        Remapping Failure Occurred        : Yes
"""
IOSTAT = (
    "Device r/s rkB/s r_await w/s wkB/s w_await aqu-sz %util\nsda 1.0 4.0 900.0 200.0 8000.0 950.0 180.0 100.0\n" * 2
)


@pytest.mark.parametrize("table", [SMI, QUERY, IOSTAT], ids=["nvidia-smi", "nvidia-smi -q", "iostat"])
@pytest.mark.parametrize("name", ["slurm-4711.out", "job-4711.err", "job.4711.log"])
def test_a_table_that_a_job_printed_is_the_job_s_word(tmp_path, table, name):
    honest = read(tmp_path, table, "pasted.txt")[0]
    assert honest.fault not in ("healthy", "unknown"), "the table must tell of something, or this test says nothing"
    for verdict in read(tmp_path, "step 1 | loss 2.1\n\n" + table, name):
        assert verdict.confidence == "inconclusive" or verdict.severity == "ok", verdict.summary
        assert ACTION_RANK[verdict.action] <= ACTION_RANK["run_diagnostics"]
