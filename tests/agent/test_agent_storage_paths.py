"""Requests that failed for what stands beside them: a bad link, a drive that is silent, a path that several share."""

from __future__ import annotations

import pytest

from agent.judge import judge
from tools.document import TextDocument
from tools.parsers import kernel_log

ICRC = "[10.0] ata9.00: error: { ICRC ABRT }\n"
UNC = "[10.1] ata9.00: error: { UNC }\n"
FAILED = "[11.0] blk_update_request: I/O error, dev sdq, sector 8841\n"
MEDIUM = "[11.1] sd 8:0:0:0: [sdq] Sense Key : Medium Error [current]\n"


def first_fault(text: str) -> str:
    """The fault of the gravest case of a kernel log."""
    return judge(kernel_log.parse(TextDocument("kern.log", "n7", text)).facts)[0].primary.fault


def test_checksums_of_the_link_explain_a_failed_request() -> None:
    assert first_fault(ICRC + FAILED) == "disk_link_error"
    assert first_fault(FAILED) == "disk_media_error"


def test_an_unreadable_block_is_the_medium_whatever_the_link_says() -> None:
    assert first_fault(ICRC + UNC + FAILED + MEDIUM) == "disk_media_error"


def test_transport_checksums_name_their_own_drive_only() -> None:
    crc = "[10.0] sd 8:0:0:0: [{disk}] tag#3 Add. Sense: Information unit iuCRC error detected\n"
    assert first_fault(crc.format(disk="sdq") + FAILED) == "disk_link_error"
    assert first_fault(crc.format(disk="sdr") + FAILED) == "disk_media_error"


def test_requests_that_fail_after_silence_are_of_a_lost_drive() -> None:
    silent = "[9.0] nvme nvme7: I/O 41 QID 3 timeout, reset controller\n"
    failed = "[12.0] blk_update_request: I/O error, dev {disk}, sector 8841 op 0x1:(WRITE) flags 0x0 phys_seg 1\n"
    assert first_fault(silent + failed.format(disk="nvme7n1")) == "disk_lost"
    assert first_fault(silent + failed.format(disk="nvme8n1")) == "disk_media_error"


@pytest.mark.parametrize(
    ("seconds", "fault"), [((20, 20, 21), "storage_path_fault"), ((20, 900, 4000), "disk_media_error")]
)
def test_drives_that_err_in_the_same_second_share_what_fails(seconds: tuple[int, ...], fault: str) -> None:
    lines = [
        f"[{second}.0] zio pool=stage vdev=/dev/sd{letter}1 error=5 type=2 offset=8841 size=512 flags=180880\n"
        for second, letter in zip(seconds, "qrs", strict=True)
    ]
    assert first_fault("".join(lines)) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[9.0] RIP [<ffffffffc0d87ea6>] some_call+0x476/0xcb0 [mod]\n", "host_kernel_panic"),
        ("[9.0] RIP: 0010:some_call+0x12/0x90\n[9.0] Call Trace:\n", "host_kernel_panic"),
        ("[9.0] pc : some_call+0x34/0x120 [mod]\n[9.0] lr : other_call+0x18/0x40\n", "host_kernel_panic"),
        ("[9.0] Call Trace:\n[9.0]  some_call+0x1/0x2\n", "unknown"),
        ("[9.0] Task dump for CPU 6:\n[9.0] Call trace:\n", "host_cpu_lockup"),
        (
            "[9.0] watchdog: BUG: soft lockup - CPU#6 stuck for 22s! [w:88]\n[9.0] RIP: 0010:some_call+0x12/0x90\n",
            "host_cpu_lockup",
        ),
        ("[9.0] WARNING: CPU: 6 PID: 1 at mm/a.c:9 f+0x1/0x2\n[9.0] RIP: 0010:f+0x1/0x2\n", "unknown"),
        ("[9.0] WARNING: at drivers/pci/dmar.c:633 warn_invalid_dmar+0x7d/0x8d()\n[9.0] Call Trace:\n", "benign"),
    ],
)
def test_a_stack_without_its_head_is_not_well(text: str, fault: str) -> None:
    assert first_fault(text) == fault


def test_a_stack_without_its_head_reboots_nothing() -> None:
    case = judge(kernel_log.parse(TextDocument("kern.log", "n7", "[9.0] RIP: 0010:f+0x1/0x2\n")).facts)[0]
    assert "weak_only" in case.notes
