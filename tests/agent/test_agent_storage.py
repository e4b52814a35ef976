"""Verdicts on storage lines: what is the culprit, what only follows from it, and what must not be drained or replaced."""

from __future__ import annotations

import pytest

from agent.judge import detect_all, judge
from agent.policy import decide
from tools.document import TextDocument
from tools.parsers import kernel_log, zpool

LOST = "[900.2] sd 9:0:0:0: rejecting I/O to offline device\n[900.3] Buffer I/O error on dev sdu1, logical block 3, lost async page write\n"
MEDIUM = (
    "[900.1] sd 9:0:0:0: [sdu] tag#7 Sense Key : Medium Error [current]\n"
    "[900.2] critical medium error, dev sdu, sector 8841 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2\n"
)
STICK = "[880.0] scsi host9: usb-storage 4-1.2:1.0\n[890.0] sd 9:0:0:0: [sdu] Attached SCSI disk\n"
THIN = (
    "[900.1] device-mapper: thin: 253:7: reached low water mark for data device: sending event.\n"
    "[910.1] device-mapper: thin: 253:7: switching pool to out-of-data-space (error IO) mode\n"
)
EXT4 = (
    "[911.2] EXT4-fs error (device sdu1): ext4_lookup:1841: inode #2: comm worker: iget: bad extended attribute block\n"
)
NVME = "[900.1] nvme nvme3: I/O 44 QID 9 timeout, aborting\n[900.2] nvme nvme3: Abort status: 0x0\n"
TRANSID = "[900.1] BTRFS error (device dm-7): parent transid verify failed on 88410 wanted 44 found 22\n"
MENDED = "[900.2] BTRFS info (device dm-7): read error corrected: ino 0 off 88410 (dev /dev/mapper/vg-b sector 8841)\n"
PATHS = "Mar  4 10:11:12 n1 multipathd[881]: mpathk: sdt - tur checker reports path is down\n"
STALL = "[900.1] nfs: server nas-7 not responding, still trying\n"

CASES = [
    # (lines, fault, severity, action)
    (LOST, "disk_lost", "critical", "drain_node"),
    (STICK + LOST, "disk_lost", "warning", "watch"),
    (LOST + "[905.0] usb 4-1.2: USB disconnect, device number 9\n", "disk_lost", "warning", "watch"),
    (LOST + "[9905.0] usb 4-1.2: USB disconnect, device number 9\n", "disk_lost", "critical", "drain_node"),
    (LOST + "[901.0] usb 4-1.2: new SuperSpeed USB device number 10 using xhci_hcd\n", "disk_lost", "warning", "watch"),
    (
        "[900.1] blk_update_request: I/O error, dev sdu, sector 8841 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 0\n"
        "[930.1] usb 4-1.2: USB disconnect, device number 9\n",
        "disk_lost", "warning", "watch",
    ),
    (
        "[900.1]     Additional sense: Scsi parity error\n[900.1] end_request: I/O error, dev sdu, sector 8841\n",
        "disk_link_error", "warning", "inspect_hardware",
    ),
    (
        "[900.1] nvme_ctrlr.c:1100:nvme_ctrlr_fail: *ERROR*: [nqn.2016-06.io.spdk:cnode8, 3] in failed state.\n"
        "[909.1] bdev_nvme.c:2183:_bdev_nvme_reset_ctrlr_complete: *NOTICE*: Resetting controller successful.\n",
        "benign", "ok", "none",
    ),
    ("[900.1]  connection4:0: detected conn error (1022)\n", "storage_path_fault", "critical", "run_diagnostics"),
    (
        "[900.1]  connection4:0: detected conn error (1022)\n[1020.1]  session4: session recovery timed out after 120 secs\n",
        "storage_path_fault", "critical", "drain_node",
    ),
    (
        "Mar  4 10:11:12 n1 kernel: connection4:0: detected conn error (1022)\n"
        "Mar  4 10:11:15 n1 iscsid: connection4:0 is operational after recovery (1 attempts)\n",
        "benign", "ok", "none",
    ),
    (MEDIUM, "disk_media_error", "critical", "inspect_hardware"),
    (STICK + MEDIUM, "disk_media_error", "info", "none"),
    (MEDIUM + "[900.9] md/raid1:md9: Disk failure on sdu1, disabling device.\n", "disk_media_error", "warning", "inspect_hardware"),
    ("[900.9] md/raid1:md9: Disk failure on sdu1, disabling device.\n", "disk_lost", "critical", "inspect_hardware"),
    ("[900.9] md/raid0:md9: Disk failure on sdu1 detected, failing array.\n", "disk_lost", "critical", "drain_node"),
    (MEDIUM + EXT4, "disk_media_error", "critical", "inspect_hardware"),
    (EXT4, "filesystem_fault", "critical", "drain_node"),
    ("[900.2] FAT-fs (sdu1): error, corrupted directory (invalid entries)\n", "filesystem_fault", "warning", "watch"),
    (THIN, "host_resource_limit", "warning", "check_workload"),
    (THIN + "[912.0] Buffer I/O error on dev dm-9, logical block 5, lost async page write\n", "host_resource_limit", "warning",
     "check_workload"),
    (THIN.replace("thin: 253:7", "thin: 253:7") + EXT4.replace("sdu1", "dm-9"), "host_resource_limit", "warning", "check_workload"),
    (NVME, "disk_lost", "warning", "watch"),
    (NVME + "[960.1] nvme nvme3: Disabling device after reset failure: -19\n", "disk_lost", "critical", "drain_node"),
    ("[900.1] nvme nvme3: I/O 44 QID 9 timeout, completion polled\n", "disk_lost", "info", "watch"),
    (PATHS + "Mar  4 10:11:13 n1 multipathd[881]: mpathk: remaining active paths: 1\n", "storage_path_fault", "warning",
     "inspect_hardware"),
    (PATHS + "Mar  4 10:11:13 n1 multipathd[881]: mpathk: remaining active paths: 0\n", "storage_path_fault", "critical", "drain_node"),
    (PATHS + "Mar  4 10:12:13 n1 multipathd[881]: mpathk: sdt - tur checker reports path is up\n", "benign", "ok", "none"),
    (TRANSID, "filesystem_fault", "critical", "drain_node"),
    (EXT4.replace("sdu1", "mmcblk7p2"), "filesystem_fault", "warning", "watch"),
    (TRANSID + MENDED, "disk_media_error", "warning", "run_diagnostics"),
    (TRANSID + MENDED.replace("dm-7", "dm-8"), "filesystem_fault", "critical", "drain_node"),
    (TRANSID + MENDED + "[901.0] BTRFS info (device dm-7): forced readonly\n", "filesystem_fault", "critical", "drain_node"),
    (STALL, "shared_fs_stall", "critical", "watch"),
    (STALL + "[930.1] nfs: server nas-7 OK\n", "benign", "ok", "none"),
    ("[900.1] libceph: osd14 down\n[960.1] libceph: osd14 up\n", "benign", "ok", "none"),
    ("[900.1] nvme nvme3: failed to connect socket: -111\n[960.1] nvme nvme3: Successfully reconnected (2 attempt)\n", "benign",
     "ok", "none"),
]  # fmt: skip


def first(text, parser=kernel_log):
    facts = parser.parse(TextDocument("kern.log", "n1", text)).facts
    assert detect_all(facts) == []
    case = judge(facts)[0]
    decision = decide(case)
    return case.primary.fault, decision.severity, decision.action


@pytest.mark.parametrize(("text", "fault", "severity", "action"), CASES)
def test_first_verdict(text, fault, severity, action):
    assert first(text) == (fault, severity, action)


def test_the_disk_that_lost_its_array_is_told_with_what_follows():
    text = MEDIUM + EXT4
    case = judge(kernel_log.parse(TextDocument("kern.log", "n1", text)).facts)[0]
    assert str(case.primary.entity) == "disk:n1/sdu"
    assert [folded.suspicion.fault for folded in case.consequences] == ["filesystem_fault"]


@pytest.mark.parametrize("module", ["nfs", "lustre", "wekafs"])
def test_a_task_that_waits_inside_a_shared_file_system_speaks_of_it(module):
    stack = (
        "[900.1] INFO: task python:8841 blocked for more than 120 seconds.\n"
        "[900.2] Call Trace:\n"
        f"[900.3]  wait_for_reply+0x41/0x90 [{module}]\n"
    )
    assert first(stack)[0] == "shared_fs_stall"
    assert first(stack.replace(module, "xfs"))[0] == "host_task_hung"


def test_a_degraded_pool_is_repaired_in_place():
    text = (
        "  pool: stage\n state: DEGRADED\nconfig:\n\n\tNAME  STATE  READ WRITE CKSUM\n\tstage  DEGRADED  0  0  0\n"
        "\t  mirror-0  DEGRADED  0  0  0\n\t    sdt  ONLINE  0  0  0\n\t    sdu  UNAVAIL  0  0  0\n\nerrors: No known data errors\n"
    )
    assert first(text, zpool) == ("disk_lost", "critical", "inspect_hardware")
