"""What fuzzing found once, and what people send who mean harm: each must be read or counted, fast, in little memory."""

from __future__ import annotations

import gzip
import json
import resource
import time

import fuzz_mutate
import fuzz_target
import pytest

SMI = (
    "==============NVSMI LOG==============\nAttached GPUs : 1\nGPU 00000000:19:00.0\n"
    "    FB Memory Usage\n        Used : %s MiB\n"
)
NVME = "[12.5] nvme0n1: I/O Cmd(0x2) @ LBA 1, 8 blocks, I/O Error (sct 0x%s / sc 0x81) \n"
FOUND = {
    "digits of other scripts are no hexadecimal number": NVME % "\u2163",
    "a mask that is no number": "index, clocks_event_reasons.active\n0, 0xzz\n1, 0x\u2163\n2, 0x\n",
    "a counter that is a superscript": "/sys/fs/cgroup/a/io.stat:8:0 rbytes=\u00b2 wbytes=\u2163\n",
    "superscripts are no decimal number": "[12.5] NVRM: Xid (PCI:0000:17:00): \u00b2, x\nCUDA error: \u00b2\n",
    "a partition row of sinfo without cells": "PARTITION AVAIL TIMELIMIT NODES STATE NODELIST\n-\n \ngpu*\n",
    "a number that is beyond all measure": SMI % "9e307",
    "a row of blanks without an end": "Diagnostic | Result |\n|" + " " * 590 + "x\n" + ("|" + " " * 590 + "|x|x\n") * 6,
    "a message in itself, many times": "[1.0] "
    + "LustreError: 167-0: scratch-OST0007-osc-ffff90 node-a45 kernel: " * 60,
    "a word without an end": ("a{" * 290 + "\n") * 200,
    "a time of more digits than a number has": "6,1," + "9" * 3000 + ",-;NVRM: Xid (PCI:0000:17:00): 79, x\n",
    "a speed with two points": "81:00.0 3D controller: NVIDIA Corporation GA100\n\t\tLnkCap: Port #0, Speed 5..5GT/s, Width x16\n",
    "a head of many columns that never ends": "JobID|" + "SobName|" * 900 + "\n",
    "a long word before an arrow that is none": '{"disk_critical_warn' + "ial_warn" * 900 + '"}\n',
    "JSON with control characters": '{"device": {"name": "/dev/nvme0"}, "smart_status": \x00\x1b {"passed": false}}\n',
    "a boot time of more digits than a number has": "[" + "9" * 400 + ".5] NVRM: Xid (PCI:0000:17:00): 79, x\n",
}


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_what_was_found_stays_mended(text):
    for cost in (fuzz_target.run_parsers(text.encode()), fuzz_target.run_whole(text.encode())):
        assert cost.seconds < fuzz_target.allow_seconds(len(text)), cost


XML_HEAD = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log [%s]>\n<nvidia_smi_log>%s</nvidia_smi_log>\n'
LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
KERNEL_LINE = "Nov 18 09:41:02 h1 kernel: NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus.\n"
LARGE = {
    "entities that expand": XML_HEAD % ('<!ENTITY a0 "lol">' + LAUGHS, "<gpu>&a11;</gpu>"),
    "an entity from outside": XML_HEAD % ('<!ENTITY x SYSTEM "file:///etc/passwd">', "<gpu><uuid>&x;</uuid></gpu>"),
    "deep XML": XML_HEAD % ("", "<gpu>" * 20_000),
    "deep JSON": '{"a":' * 20_000,
    "deep JSON that closes": "[" * 20_000 + "]" * 20_000,
    "deep JSON of a journal": '{"MESSAGE":' + "[" * 20_000 + "]" * 20_000 + "}\n",
    "a line of a megabyte": "NVRM: Xid (" * 95_000,
    "a line of a megabyte of blanks": "|" + " " * 1_000_000 + "|\n" + KERNEL_LINE,
    "empty lines": "\n" * 100_000 + KERNEL_LINE,
    "carriage returns": "\r" * 100_000 + KERNEL_LINE,
    "prompts": "root@h1:~# nvidia-smi\n" * 20_000,
    "heads of tables": "Device r/s w/s rkB/s wkB/s %util\n" * 10_000,
    "every line another GPU": "".join(f"[1.0] NVRM: Xid (PCI:{n:04x}:17:00): 79, x\n" for n in range(1_000)),
    "every line another host": "".join(
        f"Nov 18 09:41:02 h{n} kernel: NVRM: Xid (PCI:0000:17:00): 31, pid={n}, x\n" for n in range(1_000)
    ),
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_large_and_deep_input_is_read_in_bounded_time_and_memory(text):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with fuzz_target.stop_hangs():
        cost = fuzz_target.run_whole(text.encode(), shown=False)
    assert cost.seconds < 6 * fuzz_target.allow_seconds(len(text)), cost
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


def test_every_place_to_cut_a_page_of_several_forms_is_a_place_to_stop():
    text = KERNEL_LINE + "\nroot@h1:~# iostat -x\nDevice r/s w/s rkB/s wkB/s await aqu-sz %util\nsda 1 2 3 4 5 6 7\n"
    data = (text + json.dumps({"MESSAGE": "x", "_TRANSPORT": "kernel", "__REALTIME_TIMESTAMP": "1"})).encode()
    for place in range(0, len(data), 3):
        fuzz_target.run_whole(data[:place] or b"x", shown=False)


def test_a_bomb_of_gzip_unpacks_to_its_limit_and_no_further():
    start = time.thread_time()
    bomb = gzip.compress(gzip.compress(b"\0" * 200_000_000, 1), 9)
    made = time.thread_time() - start
    cost = fuzz_target.run_whole(bomb, max_bytes=1 << 20)
    assert cost.seconds < 5 + made


def test_archives_in_archives_end():
    data = KERNEL_LINE.encode()
    for depth in range(30):
        data = fuzz_mutate.pack_tar([(f"{depth}.tar", data)]) if depth % 2 else gzip.compress(data)
    assert fuzz_target.run_whole(data).seconds < fuzz_target.MAX_SECONDS * 2
