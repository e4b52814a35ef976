"""Lines about drives, arrays, paths and file systems, as their drivers print them: which code, on which thing."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts
from tools.document import TextDocument
from tools.parsers import kernel_log
from tools.types import Event

# code | entity ('' where any will do) | line
LINES = r"""
ata:device_error|disk:ata6.00|ata6.00: cmd 61/08:10:00:28:c4/00:00:09:00:00/40 tag 2 ncq dma 4096 out res 41/04:00:00:00:00/00:00:00:00:00/40 Emask 0x401 (device error) <F>
ata:link_error|disk:ata6|ata6: COMRESET failed (errno=-16)
ata:link_error|disk:ata6|ata6.00: exception Emask 0x10 SAct 0x0 SErr 0x400100 action 0x6 frozen
nvme:timeout|disk:0000:5e:00.0|nvme 0000:5e:00.0: Timeout I/O 88 QID 6
nvme:disabled|disk:nvme7|nvme nvme7: I/O 88 QID 6 timeout, disable controller
fs:error||btrfs: unable to fixup (regular) error at logical 8841 on dev /dev/sdt
fs:error||parent transid verify failed on 8841 wanted 12 found 11
scsi:controller_fault||megaraid_sas 0000:5e:00.0: Init cmd return status FAILED for SCSI host 3
scsi:transport_error|disk:sdu|sd 9:0:0:0: [sdu] tag#7 Add. Sense: Information unit iuCRC error detected
block:removable_error||floppy: error -5 while reading block 0
nvme:timeout|disk:nvme7|nvme nvme7: Device shutdown incomplete; abort shutdown
scsi:controller_fault||mpt3sas_cm3: mpt3sas_base_hard_reset_handler: FAILED
scsi:timeout||mpt3sas_cm3: issue target reset: handle = (0x000a)
fs:error||JBD2: recovery failed
fs:error||XFS (sdt1): page discard on page 00000000, inode 0x88, offset 4096.
lustre:error||LNetError: 88:0:(o2iblnd_cb.c:3311:kiblnd_check_txs_locked()) Timed out tx: active_txs, 7 seconds
shared_fs:error||mmfsd: Disk failure. Volume stage1. rc = 19. Physical volume nsd88
pci:iommu_fault||DMAR: DRHD: handling fault status reg 2
kernel:warning||irq 88: nobody cared (try booting with the "irqpoll" option)
kernel:oops||Internal error: synchronous external abort: 96000210 [#1] SMP
kernel:oops||kernel tried to execute NX-protected page - exploit attempt? (uid: 0)
mce:uncorrected||Severe Machine check interrupt [Not recovered]
mce:corrected||Harmless Machine check interrupt [Recovered]
mce:untold||{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1
mce:corrected||Corrected error
mce:corrected||CPU 6: Machine Check Exception: 0 Bank 5: 8c00004000010090
mce:uncorrected||CPU 6: Machine Check Exception: 5 Bank 9
mce:uncorrected||Uncorrected error
mce:corrected||rasdaemon[88]: rasdaemon: Result of offlining page at 0x8841000: offlined
network:link_error||- 1132234526 2005.11.17 R1 2005-11-17-05.35.26.782649 R1 RAS KERNEL INFO 88 torus sender z- retransmission error(s) (dcr 0x02f9) detected and corrected over 9 seconds
network:timeout||- 1132234526 2005.11.17 R1 2005-11-17-05.35.26.782649 R1 RAS KERNEL FATAL link failure on torus network
bmc:power_fault||- 1132234526 2005.11.17 R1 2005-11-17-05.35.26.782649 R1 RAS KERNEL FATAL Power Good signal deactivated: R1
bmc:fan_failed||88 Interconnect-9N00 switch_module fan 1119372267 1 Fan speeds ( 3552 **** 3534 )
nic:thermal||88 gige9 gige temperature 1072878243 1 critical
ata:media_error|disk:ata6.00|ata6.00: error: { IDNF }
ata:media_error|disk:hdb|hdb: dma_intr: error=0x40 { UncorrectableError }, LBAsect=8841, sector=8840
block:io_error|disk:ata6.00|ata6.00: status: { DRDY DF ERR }
block:io_error|disk:drbd2|block drbd2: Local IO failed in drbd_endio_write_sec_final. Detaching...
block:io_error|disk:sdt|BTRFS error (device sds): bdev /dev/sdt errs: wr 0, rd 2, flush 0, corrupt 0, gen 0
block:io_error|disk:ata-MODEL_1234|zio pool=stage vdev=/dev/disk/by-id/ata-MODEL_1234-part1 error=5 type=1 offset=4096 size=512 flags=180880
block:io_error|disk:sdt|zed[881]: eid=71 class=io pool='stage' vdev=sdt1 size=4096 offset=88 priority=0 err=5
block:medium_error||device-mapper: crypt: dm-3: INTEGRITY AEAD ERROR, sector 8841
block:medium_error|disk:sdu|critical medium error, dev sdu, sector 8841 op 0x0:(READ) flags 0x80700 phys_seg 2 prio class 2
block:refused|disk:sdu|critical target error, dev sdu, sector 8841 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2
block:reservation|disk:sdu|reservation conflict error, dev sdu, sector 8841 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2
disk:error_count|disk:sdu|Device: /dev/sdu [SAT], ATA error count increased from 4 to 9
disk:hot|disk:nvme3|smartd[881]: Device: /dev/nvme3, Critical Warning (0x02): Temperature
disk:hot|disk:sdu|smartd[881]: Device: /dev/sdu [SAT], Failed SMART usage Attribute: 194 Temperature_Celsius.
disk:no_answer|disk:sdu|smartd[881]: Device: /dev/sdu [SAT], failed to read SMART Attribute Data
disk:pending_sectors|disk:megaraid_disk_11|smartd[881]: Device: /dev/bus/0 [megaraid_disk_11] [SAT], 24 Currently unreadable (pending) sectors
disk:pending_sectors|disk:sdu|Device: /dev/sdu [SAT], 24 Offline uncorrectable sectors
disk:self_test_failed|disk:sdu|smartd[881]: Device: /dev/sdu [SAT], Self-Test Log error count increased from 0 to 1
scsi:offline|disk:sdu|scsi 9:0:0:0: [sdu] Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK
scsi:offline|disk:sdu|sd 9:0:0:0: [sdu] tag#7 FAILED Result: hostbyte=0x01 driverbyte=0x00 cmd_age=3s
scsi:timeout|disk:sdu|sd 9:0:0:0: [sdu] tag#7 FAILED Result: hostbyte=0x03 driverbyte=0x00 cmd_age=31s
scsi:timeout||sd 9:2:0:0: [sdu] megasas: RESET cmd=2a retries=0
scsi:timeout||megaraid_sas 0000:5e:00.0: [ 5]waiting for 9 commands to complete for scsi9
scsi:transport_error|disk:sdu|sd 9:0:0:0: [sdu] tag#7 FAILED Result: hostbyte=0x07 driverbyte=0x00 cmd_age=3s
scsi:transport_error|disk:mmcblk7|mmcblk7: error -84 transferring data, sector 8841, nr 8, card status 0x900
mmc:error|disk:mmcblk7|mmcblk7: error -110 transferring data, sector 8841, nr 8, card status 0x900
md:degraded||MR_MONITOR[881]: <MRMON114> Controller ID:  0   State change on PD:   PD  -:-:3  Previous = Online  Current = Failed
smart:failing||MR_MONITOR[881]: <MRMON096> Controller ID:  0   Predictive failure: PD  -:-:3
storage:path_abort||qla2xxx [0000:5e:00.0]-801c:9: Abort command issued nexus=9:3:33 -- 1 2002.
storage:path_abort||qla2xxx 0000:5e:00.0: scsi(9:10:0): DEVICE RESET ISSUED.
shared_fs:reconnect|storage:gpfs|Close connection to 192.0.2.44 n44. Attempting reconnect.
shared_fs:ok|storage:ceph|libceph (8841ab-77 e859): osd2 up
shared_fs:error|storage:ceph|libceph (8841ab-77 e857): osd2 down
fs:error||device-mapper: thin: 253:7: unable to service pool target messages in READ_ONLY or FAIL mode
fs:error||BTRFS critical (device sds): corrupt leaf: root=5 block=8841 slot=3, bad key order
fs:error||EXT4-fs warning (device sds): __ext4_read_dirblock:905: error -5 reading directory block (ino 8841, block 0)
fs:error||F2FS-fs (sds): Inconsistent segment (8841) type [1, 0] in SSA and SIT
fs:error||LDISKFS-fs error (device dm-9): ldiskfs_lookup:1817: inode #8841: comm ll_ost00_001: iget: bad extra_isize
fs:error||ntfs3(sds1): failed to read volume at offset 0x8841000
fs:error||VERIFY3(0 == dmu_object_claim(os, 8841)) failed (0 == 17)
fs:old_errors||BTRFS info (device sds): bdev /dev/sdt errs: wr 0, rd 9, flush 0, corrupt 3, gen 0
fs:repaired||BTRFS info (device sds): read error corrected: ino 8841 off 4096 (dev /dev/sdt sector 8841)
fs:shutdown||WARNING: Pool 'stage' has encountered an uncorrectable I/O failure and has been suspended.
fs:shutdown||WARNING: MMP writes to pool 'stage' have not succeeded in over 60010 ms; suspending pool
limit:disk_space||BTRFS: error (device sds) in btrfs_run_delayed_refs:2210: errno=-28 No space left
limit:disk_space||XFS (dm-9): metadata I/O error in "xfs_buf_ioend+0x1/0x2 [xfs]" at daddr 0x8 len 8 error 28
limit:disk_space||critical space allocation error, dev dm-9, sector 8841 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2
limit:disk_space||device-mapper: thin: 253:7: switching pool to out-of-data-space (queue IO) mode
limit:disk_space||LustreError: 11-0: stage-OST0003-osc-ffff: operation ost_write to node 10.2.0.7@o2ib failed: rc = -28
lustre:evicted|storage:stage|Lustre: stage-MDT0000: haven't heard from client 8841-ab (at 10.2.0.9@o2ib) in 227 seconds. I think it's dead, and I am evicting it. exp ffff
lustre:error|storage:stage|Lustre: stage-OST0003-osc-ffff: Connection to stage-OST0003 (at 10.2.0.7@o2ib) was lost; in progress operations using this service will wait for recovery to complete
md:degraded|disk:sdu|md/raid10:md9: Disk failure on sdu1, disabling device.
md:degraded|disk:sdu|mdadm[881]: Fail event detected on md device /dev/md9, component device /dev/sdu1
md:degraded||A DegradedArray event had been detected on md device /dev/md9.
md:degraded|disk:sdu|zed[881]: eid=72 class=statechange pool_guid=0x12 vdev_path=/dev/sdu1 vdev_state=FAULTED
md:degraded||BTRFS warning (device sds): devid 4 uuid 8841-ab is missing
md:failed|disk:nvme5n1|md/raid0:md9: Disk failure on nvme5n1 detected, failing array.
md:failed||md/raid:md9: not enough operational devices (2/4 failed)
md:read_corrected|disk:sdu|md/raid:md9: read error corrected (8 sectors at 8841 on sdu1)
mmc:error|disk:mmc1|mmc1: error -110 whilst initialising SD card
multipath:path_failed||device-mapper: multipath: 253:9: Failing path 65:16.
multipath:path_failed||multipathd[881]: mpathk: remaining active paths: 0
multipath:path_ok||multipathd[881]: 65:16: reinstated
multipath:paths_left||multipathd[881]: mpathk: remaining active paths: 3
nvme:reset_failed|disk:nvme3|nvme nvme3: IO queues not created
nvme:timeout|disk:nvme3|nvme nvme3: I/O tag 44 (a02c) opcode 0x1 (I/O Cmd) QID 9 timeout, aborting req_op:WRITE(1) size:4096
scsi:controller_fault||smartpqi 0000:84:00.0: controller not ready after 90 seconds
scsi:controller_fault||Host adapter appears dead
scsi:offline|disk:ata6|ata6: EH pending after 5 tries, giving up
scsi:offline|disk:sdu|sd 9:0:4:0: [sdu] Synchronize Cache(10) failed: Result: hostbyte=DID_ERROR driverbyte=DRIVER_OK
scsi:offline|disk:sdu|device offline error, dev sdu, sector 8841 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2
scsi:sense_medium|disk:sdu|sd 9:0:4:0: [sdu] tag#7 Sense Key : 0x3 [current]
scsi:sense_medium|disk:sdu|sdu: Current: sense key: Medium Error
scsi:transport_error|disk:sdu|sd 9:0:4:0: [sdu] Unaligned partial completion (resid=512, sector_sz=4096)
shared_fs:error|storage:ceph|libceph: osd14 (1)10.2.0.7:6801 bad crc/signature
shared_fs:error|storage:ceph|ceph: [8841ab]: mds0 hung
shared_fs:error|storage:rbd3|rbd: rbd3: block request 0xffff8841 expired after 120000ms
shared_fs:error|storage:gpfs|2026-03-04_10:11:12.345+0000: [E] Node 10.2.0.7 (io3) is being expelled due to expired lease.
shared_fs:error|storage:nfs|mount.nfs: Connection timed out
shared_fs:error|storage:/stage/run7/log|tail: /stage/run7/log: Stale file handle
shared_fs:ok|storage:ceph|libceph: mon1 (1)10.2.0.8:6789 session established
shared_fs:reconnect|storage:ceph|libceph: osd14 (1)10.2.0.7:6801 socket closed (con state OPEN)
smart:failing|disk:cciss_disk_03|Device: /dev/sg2 [cciss_disk_03] [SCSI], SMART Failure: DATA CHANNEL IMPENDING FAILURE GENERAL HARD DRIVE FAILURE
storage:path_error|disk:nvme3|nvme nvme3: failed to connect socket: -111
storage:path_error||sd 9:0:4:0: [sdu] tag#7 FAILED Result: hostbyte=DID_TRANSPORT_DISRUPTED driverbyte=DRIVER_OK
storage:path_ok|disk:nvme3|nvme nvme3: Successfully reconnected (2 attempt)
usb:disk_timeout|disk:sdu|sd 9:0:4:0: [sdu] tag#7 uas_eh_abort_handler 0 uas-tag 8 inflight: CMD OUT
spdk:controller_lost|disk:0000:5e:00.0|[2025-03-04 10:11:12.204417] nvme_ctrlr.c:1100:nvme_ctrlr_fail: *ERROR*: [0000:5e:00.0, 0] in failed state.
spdk:controller_lost|disk:0000:5e:00.0|nvme_ctrlr.c:2520:nvme_ctrlr_process_init Get registers for 0000:5e:00.0 failed while waiting for CSTS.RDY == 1
spdk:media_error||nvme_qpair.c: 474:spdk_nvme_print_completion: *NOTICE*: UNRECOVERED READ ERROR (02/81) qid:1 cid:88 cdw0:0 sqhd:0004 p:1 m:0 dnr:0
storage:path_error||nvme_qpair.c: 474:spdk_nvme_print_completion: *NOTICE*: ASYMMETRIC ACCESS INACCESSIBLE (03/02) qid:1 cid:88 cdw0:0 sqhd:0004 p:1 m:0 dnr:0
storage:path_error||[2025-03-04 10:11:12.204417] nvme_ctrlr.c:1100:nvme_ctrlr_fail: *ERROR*: [nqn.2016-06.io.spdk:cnode8, 3] in failed state.
storage:path_error||posix.c:1055:posix_sock_create: *ERROR*: connect() failed, errno = 110
storage:path_error||ctrlr.c: 181:nvmf_ctrlr_keep_alive_poll: *NOTICE*: Disconnecting host nqn.2014-08.org.nvmexpress:uuid:88 from subsystem nqn.2016-06.io.spdk:cnode8 due to keep alive timeout.
storage:path_ok||bdev_nvme.c:2183:_bdev_nvme_reset_ctrlr_complete: *NOTICE*: Resetting controller successful.
scsi:controller_fault||mpt3sas_cm3: failure at drivers/scsi/mpt3sas/mpt3sas_scsih.c:12345/_scsih_probe()!
scsi:controller_fault||qla2xxx [0000:5e:00.0]-5003:9: ISP System Error - mbx1=8841h mbx2=0h mbx3=0h.
scsi:controller_fault||megaraid_sas 0000:5e:00.0: Reset failed, killing adapter scsi9.
scsi:timeout|disk:sdu|sd 9:0:4:0: [sdu] tag#7 UNKNOWN(0x2003) Result: hostbyte=0x00 driverbyte=0x06 cmd_age=30s
scsi:transport_error|disk:sdu|sd 9:0:4:0: [sdu] tag#7 FAILED Result: hostbyte=DID_ABORT driverbyte=DRIVER_OK
limit:disk_space||'rootfs' space usage 97.4% matches resource limit [space usage>90.0%]
limit:disk_space||DISK CRITICAL - free space: /scratch 88 MB (1% inode=88%);
limit:disk_space||sdt1: write failed, user block limit reached.
limit:disk_space||pid 881 (rsync), uid 0 inumber 88 on /var: filesystem full
limit:disk_space||flood stage disk watermark [95%] exceeded on [8841][node8], all indices on this node will be marked read-only
scsi:not_ready|disk:9:0:4:0|sd 9:0:4:0: Device not ready: <6>: Current: sense key: Not Ready
scsi:not_ready||    Additional sense: Logical unit not ready, hard reset required
scsi:transport_error||    Additional sense: Scsi parity error
scsi:transport_error|disk:9:0:4:0|sd 9:0:4:0: SCSI error: return code = 0x00070000
scsi:timeout|disk:9:0:4:0|sd 9:0:4:0: SCSI error: return code = 0x06000000
storage:path_error|disk:9:0:4:0|sd 9:0:4:0: SCSI error: return code = 0x000e0000
storage:path_error|disk:naa.6000881|vmkernel: 8:03:44:19.039 cpu4:4100)NMP: nmp_CompleteCommandForPath: Command 0x2a (0x4100020e0b00) to NMP device "naa.6000881" failed on physical path "vmhba9:C0:T0:L88" H:0x1 D:0x0 P:0x0 Possible sense data: 0x0 0x0 0x0.
scsi:sense_medium|disk:naa.6000881|2025-03-04T10:11:12.931Z cpu7:2098577)ScsiDeviceIO: 4644: Cmd(0x45dd59aeb940) 0x28, CmdSN 0x80000048 from world 2116310 to dev "naa.6000881" failed H:0x0 D:0x2 P:0x0 Valid sense data: 0x3 0x11 0x0
storage:path_error||2025-03-04T10:11:12.931Z cpu7:2098577)StorageApdHandler: 1203: APD Timeout event for 0x430384e1 [88414b2a-9ab1f1c4]
scsi:offline|disk:naa.6000881|Device naa.6000881 has been removed or is permanently inaccessible. Affected datastores: stage8
disk:slow|disk:naa.6000881|Device naa.6000881 performance has deteriorated. I/O latency increased from average value of 881 microseconds to 88412 microseconds.
md:degraded||[filer8: config_thread: raid.config.filesystem.disk.failed:error]: File system Disk 0b.18 Shelf 1 Bay 2 failed.
disk:read_failed||Tue Mar  4 10:11:12 CET [filer8:disk.ioMediumError:warning]: Medium error on disk 0b.18: op 0x28:00884100:0008 sector 8841: SCSI:medium error
limit:disk_space||[filer8: wafl_exempt04: wafl.vol.full:notice]: Insufficient space on volume stage8 to perform operation.
storage:enclosure||[filer8: ses_admin: ses.status.psError:CRITICAL]: DS8841 (S/N 8) shelf 1 on channel 0b power supply error
disk:slow_sync||2025-03-04 10:11:12.884100 W | wal: sync duration of 1.884s, expected less than 1s
disk:slow_sync||{"level":"warn","ts":"2025-03-04T10:11:12.884Z","caller":"wal/wal.go:884","msg":"slow fdatasync","took":"1.884s","expected-duration":"1s"}
disk:read_failed||InnoDB: Operating system error number 5 in a file operation.
disk:read_failed||/build/ceph/src/os/bluestore/KernelDevice.cc: 884: FAILED assert(0 == "unexpected aio error")
disk:read_failed||ERROR:  could not read block 8841 in file "base/88/41": Input/output error
storage:path_error||taking drive /mnt/stage8 offline, time since last response 30.884s
fsck:damage||/dev/sdt1: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.
fsck:damage||mount: /stage: can't read superblock on /dev/sdt1.
mount:refused||mount: /stage: wrong fs type, bad option, bad superblock on /dev/sdt1, missing codepage or helper program, or other error.
disk:read_failed|disk:sdt|dd: error reading '/dev/sdt': Input/output error
disk:read_failed||Pass completed, 88 bad blocks found. (88/0/0 errors)
usb:reset||usb 4-1.2: reset SuperSpeed USB device number 9 using xhci_hcd
""".strip("\n").splitlines()

BENIGN = """
sd 9:0:4:0: [sdu] Attached SCSI disk
sd 9:0:4:0: [sdu] Write Protect is off
sd 9:0:4:0: [sdu] tag#7 Sense Key : Illegal Request [current]
sd 9:0:4:0: [sdu] tag#7 Sense Key : Unit Attention [current]
sd 9:0:4:0: Power-on or device reset occurred
critical target error, dev nvme3n1, sector 8841 op 0x3:(DISCARD) flags 0x800 phys_seg 1 prio class 2
nvme3n1: Identify(0x6), Invalid Field in Command (sct 0x0 / sc 0x2) DNR
nvme nvme3: 16/0/0 default/read/poll queues
ata6: SATA link up 6.0 Gbps (SStatus 133 SControl 300)
md/raid1:md9: active with 2 out of 2 mirrors
md: data-check of RAID array md9
EXT4-fs (sds1): recovery complete
EXT4-fs (sds1): error count since last fsck: 2
XFS (sds1): Ending recovery (logdev: internal)
BTRFS info (device sds): bdev /dev/sdt errs: wr 0, rd 0, flush 0, corrupt 0, gen 0
BTRFS warning (device sds): failed to load free space cache for block group 8841, rebuilding it now
F2FS-fs (sds1): Mounted with checkpoint version = 8841ab
zed[881]: eid=73 class=scrub_finish pool='stage'
zed[881]: eid=74 class=statechange pool='stage' vdev=sdt1 vdev_state=ONLINE
mpt3sas_cm0: log_info(0x31080000): originator(PL), code(0x08), sub_code(0x0000)
smartd[881]: Device: /dev/sdu [SAT], SMART Prefailure Attribute: 1 Raw_Read_Error_Rate changed from 80 to 82
smartd[881]: Device: /dev/sdu [SAT], starting scheduled Long Self-Test.
smartd[881]: Device: /dev/nvme3, Critical Warning (0x00): none
mpt2sas_cm3: sending diag reset !!
mpt2sas_cm3: diag reset: SUCCESS
ata6: softreset failed (device not ready)
ata6.00: ACPI cmd f5/00:00:00:00:00:a0 (SECURITY FREEZE LOCK) filtered out
sd 9:0:4:0: SCSI error: return code = 0x08000002
vmkernel: 8:03:44:19.039 cpu4:4100)ScsiDeviceIO: 2077: Command 0x2a to device "naa.6000881" failed H:0x0 D:0x8 P:0x0
vmkernel: 8:03:44:19.039 cpu4:4100)NMP: nmp_ThrottleLogForDevice: Cmd 0x1a (0x8841, 0) to dev "mpx.vmhba1:C0:T0:L0" on path "vmhba1:C0:T0:L0" Failed: H:0x0 D:0x2 P:0x0 Valid sense data: 0x5 0x24 0x0.
[filer8: raid_disk_thread: raid.rg.scrub.done:notice]: /aggr8/plex0/rg0: scrub completed in 8:41:12.10
[filer8: isp_intrd: scsi.cmd.retrySuccess:info]: Disk device 0b.18: request successful after retry #1/#0
Pass completed, 0 bad blocks found. (0/0/0 errors)
multipathd: sdt: add missing path
multipathd: sdt: failed to get sysfs uid: Invalid argument
DISK OK - free space: / 88412 MB (88% inode=99%);
nvme_qpair.c: 474:spdk_nvme_print_completion: *NOTICE*: ABORTED - SQ DELETION (00/08) qid:1 cid:88 cdw0:0 sqhd:0004 p:0 m:0 dnr:0
nvme_qpair.c: 474:spdk_nvme_print_completion: *NOTICE*: INVALID FIELD (00/02) qid:0 cid:88 cdw0:0 sqhd:0004 p:1 m:0 dnr:1
Lustre: Mounted stage-client
""".strip("\n").splitlines()

HEADS = (
    "{line}",
    "[ 8841.204417] {line}",
    "[Tue Mar  4 10:11:12 2025] {line}",
    "Mar  4 10:11:12 gpu-17 kernel: [ 8841.204417] {line}",
    "2025-03-04T10:11:12.204417+01:00 gpu-17 kernel: {line}",
    "<3>1 2025-03-04T10:11:12Z gpu-17 kernel - - - {line}",
    "3,4410,8841204417,-;{line}",
    "> [ 8841.204417] {line}",
)


def events(text: str) -> list[Event]:
    return list(kernel_log.parse(TextDocument("x.log", "", text)).facts.events)


def name_of(event: Event) -> str:
    return f"{event.entity.kind}:{event.entity.name}"


@pytest.mark.parametrize("row", LINES, ids=lambda row: row[:60])
def test_a_line_makes_its_code_on_its_thing(row: str) -> None:
    code, name, line = row.split("|", 2)
    found = events(line + "\n")
    assert [event.code for event in found] == [code]
    assert code in code_facts()
    assert not name or name_of(found[0]) == name


@pytest.mark.parametrize("line", BENIGN)
def test_what_drivers_say_of_a_healthy_machine_is_no_event(line: str) -> None:
    assert events(f"[ 8841.204417] {line}\n") == []


KERNELS_OWN = [row for row in LINES if not row.split("|", 2)[2].startswith(("smartd", "zed", "mdadm", "multipathd"))]


@pytest.mark.parametrize("head", HEADS)
def test_every_head_of_a_line_gives_the_same_code(head: str) -> None:
    for row in KERNELS_OWN:
        code, _, line = row.split("|", 2)
        assert [event.code for event in events(head.format(line=line) + "\n")] == [code], line


def test_a_disk_behind_a_usb_host_is_removable_by_its_address() -> None:
    text = (
        "[1000.1] scsi host9: usb-storage 4-1.2:1.0\n"
        "[1200.2] sd 9:0:0:0: rejecting I/O to offline device\n"
        "[1200.3] sd 2:0:0:0: rejecting I/O to offline device\n"
    )
    assert [(event.entity.name, event.fields.get("removable", "")) for event in events(text)] == [
        ("9:0:0:0", "yes"),
        ("2:0:0:0", ""),
    ]


def test_fields_of_a_line_are_no_marks_of_an_episode() -> None:
    # A field of the name of a mark would make another event of it: 'drives_lost', 'kicked', 'over', …
    marks = {"over", "flaps", "devices", "drives_lost", "kicked", "waits_for_storage"}
    seen = [(row, event) for row in LINES for event in events(row.split("|", 2)[2] + "\n")]
    assert seen
    for row, event in seen:
        assert not marks & set(event.fields), row


def test_an_old_kernel_names_address_and_disk_in_different_lines() -> None:
    text = (
        "[1000.1] sd 9:0:0:0: Device not ready: <6>: Current: sense key: Not Ready\n"
        "[1000.1]     Additional sense: Logical unit not ready, initializing cmd. required\n"
        "[1000.1] end_request: I/O error, dev sdt, sector 8841\n"
    )
    assert [(event.code, event.entity.name) for event in events(text)] == [
        ("scsi:not_ready", "sdt"),
        ("block:io_error", "sdt"),
    ]
