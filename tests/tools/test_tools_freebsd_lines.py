"""Lines of FreeBSD's kernel about drives, adapters, pools and memory: which code, on which thing."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts
from tools.document import TextDocument
from tools.parsers import kernel_log

# code | entity ('' where any will do) | line
LINES = r"""
scsi:offline|disk:ada6|(ada6:ahcich6:0:0:0): lost device
scsi:offline|disk:nda2|(nda2:nvme2:0:0:1): Error 6, Periph was invalidated
block:io_error|disk:da9|(da9:mps1:0:9:0): Error 5, Retries exhausted
scsi:sense_medium|disk:da9|(da9:mps1:0:9:0): SCSI sense: MEDIUM ERROR asc:11,0 (Unrecovered read error)
smart:failing|disk:da9|(da9:mps1:0:9:0): SCSI sense: HARDWARE FAILURE asc:5d,10 (Hardware impending failure, prediction)
scsi:transport_error|disk:da9|(da9:mps1:0:9:0): SCSI sense: ABORTED COMMAND asc:47,3 (Information unit iuCRC error detected)
block:removable_error|disk:da9|(da9:umass-sim1:1:0:0): SCSI sense: NOT READY asc:3a,0 (Medium not present)
scsi:timeout|disk:ada6|(ada6:ahcich6:0:0:0): CAM status: Command timeout
scsi:transport_error|disk:ada6|(ada6:ahcich6:0:0:0): CAM status: Uncorrectable parity/CRC error
ata:media_error|disk:ada6|(ada6:ahcich6:0:0:0): ATA status: 51 (DRDY SERV ERR), error: 40 (UNC )
ata:link_error|disk:ada6|(ada6:ahcich6:0:0:0): ATA status: 51 (DRDY SERV ERR), error: 84 (ICRC ABRT )
scsi:controller_fault||mpr1: IOC Fault 0x40007e23, Resetting
scsi:timeout||ahcich6: AHCI reset: device not ready after 31000ms (tfd = 00000080)
nvme:timeout|disk:nvme2|nvme2: Resetting controller due to a timeout and possible hot unplug.
nvme:reset_failed|disk:nvme2|nvme2: controller ready did not become 1 within 60500 ms
nvme:timeout|disk:nvme2|nvme2: ABORTED - BY REQUEST (00/07) sqid:3 cid:88 cdw0:0
block:medium_error|disk:nvme2|nvme2: UNRECOVERED READ ERROR (02/81) crd:0 m:0 dnr:0 sqid:3 cid:88 cdw0:0
nvme:critical_warning|disk:nvme2|nvme2: available spare space below threshold
disk:hot|disk:nvme2|nvme2: temperature above threshold
ata:media_error|disk:ad12|ad12: FAILURE - READ_DMA48 status=51<READY,DSC,ERROR> error=40<UNCORRECTABLE> LBA=8841
ata:link_error|disk:ad12|ad12: WARNING - READ_DMA UDMA ICRC error (retrying request) LBA=8841
block:io_error|disk:ada6|g_vfs_done():ada6p2[READ(offset=8841, length=4096)]error = 5
md:degraded|disk:ada6|GEOM_MIRROR: Device gm3: provider ada6p3 disconnected.
block:io_error|disk:da9p1|ZFS: vdev I/O failure, zpool=stage path=/dev/da9p1 offset=8841 size=4096 error=5
fs:error||ZFS: catastrophic pool I/O failure, zpool=stage
mce:corrected||MCA: Bank 9, Status 0x8c00004000010090
mce:uncorrected||MCA: Bank 9, Status 0xbe00000000800400
kernel:panic||Fatal trap 12: page fault while in kernel mode
"""
ROWS = [row.split("|", 2) for row in LINES.strip().splitlines()]


@pytest.mark.parametrize(("code", "entity", "line"), ROWS)
def test_lines_make_their_code(code: str, entity: str, line: str) -> None:
    assert code in code_facts()
    text = f"Aug  3 15:06:02 n7 kernel: {line}\n"
    events = kernel_log.parse(TextDocument("messages", "n7", text)).facts.events
    assert [event.code for event in events] == [code]
    if entity:
        assert f"{events[0].entity.kind}:{events[0].entity.name}" == entity


@pytest.mark.parametrize(
    "line",
    [
        "(da9:mps1:0:9:0): SCSI status: Check Condition",
        "(da9:mps1:0:9:0): Retrying command (per sense data)",
        "da9: 600.000MB/s transfers",
        "nvme2: INVALID FIELD (00/02) sqid:0 cid:5 cdw0:0",
        "(da9:mps1:0:9:0): SCSI sense: UNIT ATTENTION asc:29,0 (Power on, reset, or bus device reset occurred)",
    ],
)
def test_what_goes_with_a_trouble_makes_no_event(line: str) -> None:
    assert kernel_log.parse(TextDocument("messages", "n7", f"{line}\n")).facts.events == ()
