"""Kernel log lines: every form, every family, forgery, stacks, storms, and text that is no log at all."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.catalogue.tables import code_facts
from tools.document import FileDocument, TextDocument
from tools.parsers import application_log, kernel_log
from tools.parsers._kernel_forms import ANY_HEAD, split_head
from tools.parsers._log_reader import APPLICATION_PATTERNS, KEEP_PER_KEY, KERNEL_PATTERNS, MAX_EVENTS
from tools.types import Event, Parsed


def read(text: str, *, label: str = "kern.log", node: str = "") -> Parsed:
    return kernel_log.parse(TextDocument(label, node, text))


def events(text: str, **named: str) -> list[Event]:
    return list(read(text, **named).facts.events)


def one(text: str, **named: str) -> Event:
    found = events(text, **named)
    assert len(found) == 1, [e.code for e in found]
    return found[0]


XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid=4411, name=trainer, GPU has fallen off the bus."
MESSAGES = {
    XID: ("xid:79", "0000:3b:00.0"),
    "nvme nvme3: I/O tag 77 (1c4d) opcode 0x1 (I/O Cmd) QID 9 timeout, aborting req_op:WRITE(1) size:8192": (
        "nvme:timeout",
        "nvme3",
    ),
    "mlx5_core 0000:9a:00.1: mlx5_health_check:420:(pid 0): Fatal error 3 detected": ("mlx5:firmware", "0000:9a:00.1"),
    "EXT4-fs error (device sdk2): ext4_lookup:1855: inode #12: comm rsync: iget: checksum invalid": ("fs:error", ""),
    "INFO: task ptlrpcd_01_03:2210 blocked for more than 122 seconds.": ("task:hung", ""),
    "critical medium error, dev sdq, sector 991288 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2": (
        "block:medium_error",
        "sdq",
    ),
}
FORMS = {
    "dmesg": "[ 8123.004411] {}",
    "dmesg thread": "[ 8123.004411][  T881] {}",
    "dmesg -d": "[ 8123.004411 <    0.000021>] {}",
    "dmesg -r": "<4>[ 8123.004411] {}",
    "dmesg -T": "[Tue Mar  4 09:15:02 2025] {}",
    "dmesg -x": "kern  :warn  : [ 8123.004411] {}",
    "dmesg -x -T": "kern  :err   : [Tue Mar  4 09:15:02 2025] {}",
    "dmesg -H": "[Mar 4 09:15] {}",
    "dmesg -H step": "[  +0.000412] {}",
    "dmesg iso": "2025-03-04T09:15:02,120044+01:00 {}",
    "dmesg -x iso": "kern  :warn  : 2025-03-04T09:15:02,120044+01:00 {}",
    "kmsg": "4,88121,8123004411,-;{}",
    "rfc3164": "Mar  4 09:15:02 gpu-041 kernel: [ 8123.004411] {}",
    "rfc3164 bare stamp": "Mar  4 09:15:02 gpu-041 kernel: {}",
    "rfc3164 priority": "<4>Mar  4 09:15:02 gpu-041 kernel: {}",
    "rfc5424": "<4>1 2025-03-04T09:15:02.120044+01:00 gpu-041 kernel - - - [ 8123.004411] {}",
    "rfc5424 data": '<4>1 2025-03-04T09:15:02Z gpu-041 kernel - - [origin ip="10.1.1.1"] {}',
    "rsyslog iso": "2025-03-04T09:15:02.120044+01:00 gpu-041 kernel: [ 8123.004411] {}",
    "journal short-iso": "2025-03-04T09:15:02+0100 gpu-041 kernel: {}",
    "journal short-precise": "Mar 04 09:15:02.120044 gpu-041 kernel: {}",
    "journal short-full": "Tue 2025-03-04 09:15:02 CET gpu-041 kernel: {}",
    "journal monotonic": "[ 8123.004411] gpu-041 kernel: {}",
    "journal unix": "1741076102.120044 gpu-041 kernel: {}",
    "bare": "{}",
    "tag only": "kernel: {}",
    "mail": "> > [ 8123.004411] {}",
    "colour": "\x1b[32m[ 8123.004411] \x1b[0m\x1b[31m{}\x1b[0m",
    "grep": "/var/log/kern.log:118:Mar  4 09:15:02 gpu-041 kernel: {}",
    "pdsh": "gpu-041: [ 8123.004411] {}",
    "crlf": "[ 8123.004411] {}\r",
    "cri": "2025-03-04T09:15:02.120044Z stdout F [ 8123.004411] {}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_reads_the_same_in_every_form(form: str, message: str) -> None:
    code, name = MESSAGES[message]
    parsed = read(FORMS[form].format(message) + "\n")
    (event,) = parsed.facts.events
    assert event.code == code
    assert event.entity.name in (name, "gpu-041") if not name else event.entity.name == name
    assert parsed.unread.unread == 0
    assert parsed.unread.total == 1


@pytest.mark.parametrize("form", FORMS)
def test_counting_and_reading_agree_on_what_a_head_is(form: str) -> None:
    line = FORMS[form].format("some message that nobody looks for")
    if ANY_HEAD.match(line.encode()):
        assert split_head(line).form


NODES = {name for name, form in FORMS.items() if "gpu-041" in form}


@pytest.mark.parametrize("form", FORMS)
def test_the_host_comes_from_the_line(form: str) -> None:
    event = one(FORMS[form].format(XID), node="from-the-folder")
    assert event.entity.node == ("gpu-041" if form in NODES else "from-the-folder")


CLOCKS = {
    "dmesg": ("boot", 8123.004411),
    "journal monotonic": ("boot", 8123.004411),
    "kmsg": ("boot", 8123.004411),
    "dmesg -T": ("local", datetime(2025, 3, 4, 9, 15, 2, tzinfo=UTC).timestamp()),
    "dmesg iso": ("utc", datetime(2025, 3, 4, 8, 15, 2, 120044, tzinfo=UTC).timestamp()),
    "rsyslog iso": ("utc", datetime(2025, 3, 4, 8, 15, 2, 120044, tzinfo=UTC).timestamp()),
    "journal short-iso": ("utc", datetime(2025, 3, 4, 8, 15, 2, tzinfo=UTC).timestamp()),
    "rfc5424": ("utc", datetime(2025, 3, 4, 8, 15, 2, 120044, tzinfo=UTC).timestamp()),
    "journal short-full": ("local", datetime(2025, 3, 4, 9, 15, 2, tzinfo=UTC).timestamp()),
    "journal unix": ("utc", 1741076102.120044),
    "bare": ("none", None),
    "dmesg -H step": ("none", None),
}


@pytest.mark.parametrize("form", CLOCKS)
def test_the_clock_of_a_form(form: str) -> None:
    moment = one(FORMS[form].format(XID)).moment
    clock, seconds = CLOCKS[form]
    assert moment.clock == clock
    assert moment.seconds == (pytest.approx(seconds, abs=1e-4) if seconds is not None else None)
    assert moment.year_known


def test_a_form_without_year_says_that_the_year_is_a_guess() -> None:
    moment = one("Dec 31 23:59:58 gpu-041 kernel: " + XID).moment
    assert moment.clock == "local"
    assert not moment.year_known
    assert moment.seconds is not None
    assert moment.seconds <= datetime.now(UTC).timestamp() + 2 * 86400
    assert one("Feb 30 10:00:00 gpu-041 kernel: " + XID).moment.seconds is None


WRITERS = {
    "Mar  4 09:15:02 gpu-041 kernel: {}": "kernel",
    "Mar  4 09:15:02 gpu-041 root: {}": "user",
    "Mar  4 09:15:02 gpu-041 python3[811]: {}": "user",
    "<13>Mar  4 09:15:02 gpu-041 kernel: {}": "user",
    "<14>1 2025-03-04T09:15:02Z gpu-041 kernel - - - {}": "user",
    "[ 8123.004411] {}": "kernel",
    "user  :notice: [ 8123.004411] {}": "user",
    "12,88121,8123004411,-;{}": "user",
    "2025-03-04T09:15:02.12Z stdout F {}": "user",
    "{}": "unknown",
}


@pytest.mark.parametrize("form", WRITERS)
def test_a_forged_line_is_read_and_says_who_can_have_written_it(form: str) -> None:
    event = one(form.format(XID))
    assert event.code == "xid:79"
    assert event.writer == WRITERS[form]


def test_journal_json_tells_the_writer_by_its_transport() -> None:
    record = {
        "__REALTIME_TIMESTAMP": "1741076102120044",
        "_HOSTNAME": "gpu-041",
        "_TRANSPORT": "kernel",
        "MESSAGE": XID,
        "SYSLOG_IDENTIFIER": "kernel",
    }
    honest, forged = json.dumps(record), json.dumps({**record, "_TRANSPORT": "syslog"})
    first, second = events(f"{honest}\n{forged}\n")
    assert (first.writer, second.writer) == ("kernel", "user")
    assert first.entity.node == "gpu-041"
    assert first.moment.seconds == pytest.approx(1741076102.120044)


FAMILIES = """
xid:31|NVRM: Xid (PCI:0000:c1:00): 31, pid=1200, name=python, Ch 00000010, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_3 faulted @ 0x7f1c_02000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE
xid:13|NVRM: Xid (0000:04:00): 13, 0001 00000000 0000a0c0 00000248 00000000
xid:62|NVRM: Xid (PCI:0000:5e:00.0): 62, 2071(28f4) 00000000 00000000
xid:95|NVRM: Xid (PCI:0000:e1:00 GPU-I:02 GPU-CI:00): 95, pid=88, Uncontained: LTC TAG (0x1,0x0). RST: Yes, D-RST: No
xid:63|NVRM: Xid (PCI:0000:18:00): 63, pid='<unknown>', name=<unknown>, Row Remapper: New row marked for remapping, reset gpu to activate.
xid:74|NVRM: Xid (PCI:0000:b7:00): 74, pid=11, NVLink: fatal error detected on link 4(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)
xid:154|NVRM: Xid (PCI:0000:b7:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)
xid:43|nvidia-vgpu-mgr[301]: error: vmiop_log: (0x0): XID 43 detected on physical_chid:0x25, guest_chid:0x1d
sxid:20034|nvidia-nvswitch3: SXid (PCI:0000:a4:00.0): 20034, Fatal, Link 21 LTSSM Fault Up
sxid:12028|nvidia-nvswitch0: SXid (PCI:0000:a1:00.0): 12028, Non-fatal, Link 40 egress non-posted PRIV error (First)
gpu:fallen_off_bus|NVRM: GPU at 0000:83:00.0 has fallen off the bus.
gpu:lost|nvidia 0000:41:00.0: Unable to change power state from D3cold to D0, device inaccessible
gpu:init_failed|NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x24:0x65:1412)
gpu:power_missing|NVRM: GPU 0000:41:00.0: GPU does not have the necessary power cables connected.
gpu:inforom|NVRM: GPU 0000:41:00.0: InfoROM is corrupted
gpu:aperture|NVRM: dmaAllocMapping_GM107: can't alloc VA space for mapping.
gpu:bar_invalid|NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:
gpu:no_devices|NVRM: No NVIDIA GPU found.
driver:probe_failed|nvidia: probe of 0000:41:00.0 failed with error -1
driver:probe_failed|NVRM: The NVIDIA probe routine failed for 2 device(s).
driver:load_failed|nvidia: version magic '5.15.0-91-generic SMP mod_unload ' should be '5.15.0-97-generic SMP mod_unload '
driver:load_failed|nvidia: Unknown symbol drm_gem_object_free (err -2)
driver:load_failed|modprobe: ERROR: could not insert 'nvidia': Key was rejected by service
driver:peermem|nvidia_peermem: disagrees about version of symbol ib_register_peer_memory_client
driver:not_loaded|modprobe: FATAL: Module nvidia not found in directory /lib/modules/6.8.0-41-generic
driver:assertion|NVRM: nvAssertFailedNoLog: Assertion failed: 0 @ kern_bus.c:288
pci:aer_nonfatal|pcieport 0000:80:01.1: AER: Multiple Uncorrected (Non-Fatal) error received: 0000:81:00.0
pci:aer_nonfatal|nvme 0000:81:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, (Requester ID)
pci:aer_corrected|mlx5_core 0000:9a:00.0: PCIe Bus Error: severity=Corrected, type=Data Link Layer, (Transmitter ID)
pci:aer_fatal|nvidia 0000:3b:00.0: AER: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Inaccessible, (Unregistered Agent ID)
pci:dpc|pcieport 0000:64:02.0: DPC: containment event, status:0x1f11 source:0x0000
pci:link_down|pcieport 0000:5d:02.0: pciehp: Slot(18): Link Down
pci:link_down|pciehp 0000:00:1c.0:pcie004: Slot(3): Card not present
pci:hotplug_requested|pcieport 0000:5d:02.0: pciehp: Slot(18): Attention button pressed
pci:link_degraded|pci 0000:3b:00.0: 63.008 Gb/s available PCIe bandwidth, limited by 8.0 GT/s PCIe x8 link at 0000:3a:00.0 (capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)
nvme:timeout|nvme nvme2: I/O 301 QID 12 timeout, completion polled
nvme:timeout|nvme nvme2: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10
nvme:reset_failed|nvme nvme2: Device not ready; aborting initialisation, CSTS=0x0
nvme:disabled|nvme nvme2: Disabling device after reset failure: -5
nvme:removed|nvme nvme2: Removing after probe failure status: -19
nvme:removed|nvme2n1: detected capacity change from 7501476528 to 0
nvme:no_path|block nvme2n1: no available path - failing I/O
block:io_error|blk_update_request: I/O error, dev sdc, sector 2048 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 0
block:io_error|Buffer I/O error on dev sdc1, logical block 4, async page read
scsi:sense_medium|sd 2:0:3:0: [sdc] tag#12 Sense Key : Hardware Error [current]
scsi:offline|sd 2:0:3:0: rejecting I/O to offline device
scsi:offline|sd 2:0:3:0: Device offlined - not ready after error recovery
scsi:offline|sd 2:0:3:0: [sdc] tag#3 FAILED Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK cmd_age=2s
scsi:timeout|sd 2:0:3:0: [sdc] tag#3 timing out command, waited 180s
scsi:controller_fault|mpt3sas_cm0: fault_state(0x5854)!
ata:media_error|ata5.00: error: { UNC }
ata:link_error|ata5.00: error: { ICRC ABRT }
ata:link_error|ata5: hard resetting link
md:degraded|md/raid10:md127: Disk failure on nvme4n1p2, disabling device.
fs:readonly|EXT4-fs (sdk2): Remounting filesystem read-only
fs:readonly|BTRFS info (device sdk2): forced readonly
fs:error|Aborting journal on device sdk2-8.
fs:error|XFS (dm-4): metadata I/O error in "xfs_buf_ioend+0x1d5/0x4a0 [xfs]" at daddr 0x1b8 len 8 error 5
block:io_error|BTRFS error (device sdk2): bdev /dev/sdk2 errs: wr 3, rd 17, flush 0, corrupt 0, gen 0
fs:shutdown|XFS (dm-4): Log I/O Error Detected. Shutting down filesystem
nfs:not_responding|nfs: server filer-2.cluster not responding, still trying
nfs:not_responding|nfs: server filer-2.cluster not responding, timed out
nfs:ok|nfs: server filer-2.cluster OK
lustre:error|LustreError: 11-0: work-OST001a-osc-ffff9d: operation ost_write to node 10.9.4.2@o2ib failed: rc = -110
lustre:error|Lustre: work-OST001a-osc-ffff9d: Connection to work-OST001a (at 10.9.4.2@o2ib) was lost; in progress operations using this service will wait for recovery to complete
lustre:evicted|LustreError: 167-0: work-MDT0000-mdc-ffff9d: This client was evicted by work-MDT0000; in progress operations using this service will fail.
shared_fs:error|libceph: mds0 (1)10.4.0.9:6801 socket error on write
shared_fs:error|ceph: mds1 hung
mlx5:health|mlx5_core 0000:9a:00.0: poll_health:955:(pid 0): device's health compromised - reached miss count
mlx5:command_timeout|mlx5_core 0000:9a:00.0: wait_func:1170:(pid 31): QUERY_VPORT_COUNTER(0x770) timeout. Will cause a leak of a command resource
mlx5:power|mlx5_core 0000:9a:00.0: mlx5_pcie_event:301:(pid 88): Detected insufficient power on the PCIe slot (26W).
mlx5:temperature|mlx5_core 0000:9a:00.0: Port module event[error]: module 1, Cable error, High Temperature
mlx5:access_reg|mlx5_core 0000:9a:00.0: mlx5_cmd_out_err:808:(pid 12): ACCESS_REG(0x805) op_mod(0x1) failed, status bad resource(0x5), syndrome (0x1), err(-22)
nic:link_down|mlx5_core 0000:9a:00.0 ens9f0: Link down
nic:link_down|ixgbe 0000:17:00.0 eno1: NIC Link is Down
nic:link_down|bond0: (slave ens9f1): link status definitely down, disabling slave
nic:link_up|IPv6: ADDRCONF(NETDEV_CHANGE): ens9f0: link becomes ready
nic:driver|NETDEV WATCHDOG: ens9f0 (mlx5_core): transmit queue 4 timed out
edac:corrected|EDAC MC2: 1 CE memory read error on CPU_SrcID#1_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x8a1 offset:0x40 grain:32 syndrome:0x0)
edac:uncorrected|EDAC MC0: UE page 0x1f, offset 0x0, grain 0, row 2, labels ":": i3000 UE
mce:uncorrected|mce: [Hardware Error]: CPU 14: Machine Check Exception: 5 Bank 7: be00000000800400
mce:corrected|mce: [Hardware Error]: CPU 14: Machine Check: 0 Bank 7: 8c00004000010090
mce:uncorrected|{3}[Hardware Error]: event severity: recoverable
mce:corrected|{3}[Hardware Error]: event severity: corrected
oom:kill|Out of memory: Killed process 8812 (java) total-vm:9kB, anon-rss:81234kB, file-rss:0kB, shmem-rss:0kB, UID:1001 pgtables:9kB oom_score_adj:0
cpu:soft_lockup|watchdog: BUG: soft lockup - CPU#41 stuck for 26s! [kworker/41:2:8812]
cpu:hard_lockup|NMI watchdog: Watchdog detected hard LOCKUP on cpu 7
cpu:rcu_stall|rcu: INFO: rcu_sched self-detected stall on CPU
cpu:thermal|mce: CPU12: Core temperature above threshold, cpu clock throttled (total events = 31)
kernel:panic|Kernel panic - not syncing: Fatal exception in interrupt
kernel:oops|BUG: kernel NULL pointer dereference, address: 0000000000000018
kernel:oops|general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP NOPTI
kernel:boot|Linux version 6.8.0-41-generic (buildd@host) (gcc 13.2.0)
limit:file_max|VFS: file-max limit 65536 reached
limit:processes|cgroup: fork rejected by pids controller in /slurm/uid_1002/job_881
segfault:process|traps: python3[771] general protection fault ip:7f1 sp:7ff error:0 in libtorch_cpu.so[7f0+1000]
segfault:process|pt_main_thread[2201]: segfault at 18 ip 00007f2 sp 00007f3 error 4 in libnccl.so.2.18.5[7f2+e000000]
usb:disconnect|usb 3-1.2: USB disconnect, device number 9
usb:over_current|usb usb2-port1: over-current change #3
""".strip().splitlines()


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row[:40])
def test_one_line_of_every_family(row: str) -> None:
    code, _, line = row.partition("|")
    event = one(f"[  912.000001] {line}\n")
    assert event.code == code
    assert event.quote.text.endswith(line.strip()[-20:])
    assert kernel_log.recognise([line]) >= 0.6


HARMLESS = """
NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024
nvidia: loading out-of-tree module taints kernel.
nvidia: module verification failed: signature and/or required key missing - tainting kernel
nvidia-nvlink: Nvlink Core is being initialized, major device number 510
nvidia 0000:3b:00.0: enabling device (0140 -> 0142)
pcieport 0000:00:1c.0: AER: enabled with IRQ 122
pcieport 0000:64:02.0: DPC: enabled with IRQ 41
pcieport 0000:64:02.0: DPC: error containment capabilities: Int Msg #0, RPExt+ PoisonedTLP+ SwTrigger+ RP PIO Log 4
nvme nvme0: Shutdown timeout set to 10 seconds
nvme nvme0: 32/0/0 default/read/poll queues
EDAC MC0: Giving out device to module i10nm_edac controller Intel_10nm Socket#0 IMC#0: DEV 0000:fe:0c.0 (INTERRUPT)
EDAC i10nm: v0.0.6
mce: CPU supports 32 MCE banks
ACPI BIOS Error (bug): Could not resolve symbol [\\_SB.PCI0.LPC], AE_NOT_FOUND (20221020/dswload2-162)
EXT4-fs (sda2): mounted filesystem with ordered data mode. Opts: errors=remount-ro
EXT4-fs (sda2): re-mounted. Opts: errors=remount-ro. Quota mode: none.
XFS (dm-1): Mounting V5 Filesystem
XFS (dm-1): Ending clean mount
BTRFS info (device sdb1): bdev /dev/sdb1 errs: wr 0, rd 0, flush 0, corrupt 0, gen 0
ata3: SATA link down (SStatus 0 SControl 300)
ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)
md/raid1:md0: active with 2 out of 2 mirrors
mlx5_core 0000:9a:00.0: 252.048 Gb/s available PCIe bandwidth (16.0 GT/s PCIe x16 link)
mlx5_core 0000:9a:00.0: Port module event: module 0, Cable plugged
systemd-networkd[311]: veth8c1a: Lost carrier
docker0: port 3(veth8c1a) entered disabled state
Lustre: Mounted work-client
Lustre: Lustre: Build Version: 2.15.4
RAS: Correctable Errors collector initialized.
FAT-fs (sdb1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.
traps: init[1] trap int3 ip:402178 sp:7ffe5518ee50 error:0
perf: interrupt took too long (2503 > 2500), lowering kernel.perf_event_max_sample_rate to 79750
rcu: Hierarchical RCU implementation.
Memory: 131072K/262144K available
""".strip().splitlines()


@pytest.mark.parametrize("line", HARMLESS)
def test_harmless_lines_make_no_event(line: str) -> None:
    parsed = read(f"[    4.210000] {line}\n")
    assert parsed.facts.events == ()
    assert parsed.unread.unread == 0


def test_the_fields_of_an_xid() -> None:
    text = "[1.0] NVRM: Xid (PCI:0000:C1:00): 13, pid=1200, name=my, odd name, Graphics SM Warp Exception on (GPC 3, TPC 2, SM 1): Misaligned Address\n"
    event = one(text)
    assert event.entity.id_map["pci"] == "0000:c1:00.0"
    wanted = {"pid": "1200", "process": "my", "gpc": "3", "tpc": "2", "sm": "1"}
    assert {key: event.fields[key] for key in wanted} == wanted
    recovery = one(FAMILIES[6].partition("|")[2])
    assert recovery.fields["recovery_action"] == "Node Reboot Required"
    assert "pid" not in one(FAMILIES[4].partition("|")[2]).fields


def test_an_nvlink5_line_carries_its_decode_row() -> None:
    line = "NVRM: Xid (PCI:0009:01:00): 145, pid=7, name=x, RLW_REMAP Nonfatal XC0 i0 Link 02 (0x00000082 0x00000004 0x0 0x0 0x0 0x0)"
    fields = one(line).fields
    assert (fields["unit"], fields["severity"], fields["link"]) == ("RLW_REMAP", "nonfatal", "02")
    assert fields["decode_action"] == "XID_154_EVAL"
    assert fields["decode_severity"] == "Non-fatal"


def test_lines_that_belong_together_are_one_event() -> None:
    mismatch = one(
        "[5.1] NVRM: API mismatch: the client 'nvidia-smi' (pid 812)\n"
        "[5.1] NVRM: has the version 550.90.07, but this kernel module has\n"
        "[5.1] NVRM: the version 535.183.01.  Please make sure that this\n"
        "[5.1] NVRM: kernel module and all NVIDIA driver components\n"
        "[5.1] NVRM: have the same version.\n"
    )
    assert mismatch.code == "driver:api_mismatch"
    assert mismatch.fields["client_version"] == "550.90.07"
    assert mismatch.fields["kernel_version"] == "535.183.01"
    lost = one(
        "[5.1] NVRM: The NVIDIA GPU 0000:3b:00.0\n"
        "[5.1] NVRM: (PCI ID: 10de:2330) installed in this system has\n"
        "[5.1] NVRM: fallen off the bus and is not responding to commands.\n"
    )
    assert lost.code == "gpu:fallen_off_bus"
    assert lost.entity.name == "0000:3b:00.0"
    killed = one(
        "[9.1] python invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
        "[9.1] Call Trace:\n[9.1]  dump_stack+0x1/0x2\n"
        "[9.1] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=s,mems_allowed=0-1,oom_memcg=/slurm/uid_1002/job_88121,task_memcg=/slurm/uid_1002/job_88121/step_0,task=python,pid=771,uid=1002\n"
        "[9.1] Memory cgroup out of memory: Killed process 771 (python) total-vm:9kB, anon-rss:8kB, file-rss:0kB\n"
    )
    assert (killed.fields["process"], killed.fields["pid"], killed.job) == ("python", "771", "88121")
    aer = one(
        "[7.0] pcieport 0000:40:01.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, (Requester ID)\n"
        "[7.0] pcieport 0000:40:01.0:   device [1022:1483] error status/mask=00004000/04400000\n"
        "[7.0] pcieport 0000:40:01.0:    [14] CmpltTO                (First)\n"
        "[7.0] pcieport 0000:40:01.0: AER: device recovery successful\n"
    )
    assert aer.fields["error"] == "CmpltTO"
    assert "successful" in aer.fields["recovery"]


def test_a_firmware_record_of_a_pcie_error_is_no_memory_error() -> None:
    event = one(
        "[3.0] {1}[Hardware Error]: event severity: fatal\n"
        "[3.0] {1}[Hardware Error]:  Error 0, type: fatal\n"
        "[3.0] {1}[Hardware Error]:   section_type: PCIe error\n"
    )
    assert event.code == "pci:aer_fatal"


def test_the_stack_of_a_hung_task_tells_what_it_waits_in() -> None:
    event = one(
        "INFO: task rsync:812 blocked for more than 120 seconds.\n"
        "      Not tainted 5.15.0-91-generic #101\n"
        '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.\n'
        "task:rsync           state:D stack:    0 pid:  812 ppid:     1 flags:0x00004002\n"
        "Call Trace:\n <TASK>\n __schedule+0x2cd/0x890\n nfs_wait_bit_killable+0x1e/0x90 [nfs]\n </TASK>\n"
    )
    assert event.fields["waits_in"] == "nfs"


def test_gpus_are_named_by_uuid_and_serial() -> None:
    parsed = read(
        "NVRM: GPU at PCI:0000:C1:00: GPU-00000000-1111-2222-3333-444444444444\n"
        "NVRM: GPU Board Serial Number: 1650000000001\n",
        node="gpu-041",
    )
    (gpu,) = [entity for entity in parsed.facts.entities if entity.kind == "gpu"]
    assert gpu.id_map == {
        "pci": "0000:c1:00.0",
        "uuid": "GPU-00000000-1111-2222-3333-444444444444",
        "serial": "1650000000001",
    }
    assert gpu.node == "gpu-041"


def test_entities_of_other_devices() -> None:
    assert (
        str(one("nvme 0000:81:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)").entity)
        == "disk:?/0000:81:00.0"
    )
    assert str(one("Buffer I/O error on dev nvme1n1p3, logical block 9, async page read").entity) == "disk:?/nvme1n1"
    port = one("Mar  4 09:15:02 gpu-041 kernel: mlx5_core 0000:9a:00.0 ens9f0: Link down").entity
    assert str(port) == "nic:gpu-041/ens9f0"
    assert port.id_map["pci"] == "0000:9a:00.0"
    assert str(one("nfs: server filer-2.cluster not responding, still trying").entity) == "storage:filer-2.cluster"
    lustre = next(row for row in FAMILIES if row.startswith("lustre:evicted"))
    assert str(one(lustre.partition("|")[2]).entity) == "storage:work"


def test_a_syslog_with_program_lines_gives_both() -> None:
    parsed = read(
        f"Mar  4 09:15:02 gpu-041 kernel: {XID}\n"
        "Mar  4 09:25:02 gpu-041 trainer[881]: gpu-041:881:1203 [3] NCCL WARN NET/IB : Got completion from peer 10.7.0.3<41010> with error 12, opcode 0, len 0, vendor err 129\n"
        "Mar  4 09:25:03 gpu-041 trainer[881]: [rank3]:[E304 09:25:03.120044 ProcessGroupNCCL.cpp:607] [Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=881, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600012 milliseconds before timing out.\n"
        "Mar  4 09:25:04 gpu-041 systemd[1]: Started Session 4 of User root.\n"
    )
    assert [e.code for e in parsed.facts.events] == ["xid:79", "nccl:network_error", "nccl:timeout"]
    assert {e.node for e in parsed.facts.events} == {"gpu-041"}
    assert parsed.unread == type(parsed.unread)(4, 0, ())


def test_unread_lines_are_counted_and_three_are_kept() -> None:
    parsed = read("[1.0] fine\n\nwhat is this\nand this\nthird\nfourth \x1b[2J\n" + XID + "\n")
    assert (parsed.unread.total, parsed.unread.unread) == (6, 4)
    assert parsed.unread.samples == ("what is this", "and this", "third")
    assert parsed.facts.events[0].quote.line == 7


def test_a_storm_is_counted_and_does_not_fill_the_memory() -> None:
    storm = (
        "".join(f"[{n}.0] {XID}\n" for n in range(KEEP_PER_KEY + 5000))
        + "[99999.0] nvme nvme2: I/O 3 QID 1 timeout, aborting\n"
    )
    found = events(storm)
    assert len(found) == KEEP_PER_KEY + 2
    last = [e for e in found if e.code == "xid:79"][-1]
    assert last.fields["count"] == "5000"
    assert last.moment.seconds == KEEP_PER_KEY + 4999
    assert found[-1].code == "nvme:timeout"


def test_many_entities_do_not_fill_the_memory_either() -> None:
    lines = (f"NVRM: Xid ({n:04x}:{n % 256:02x}:00): 31, pid={n}\n" for n in range(15_000))
    found = events("".join(lines))
    assert 10_000 <= len(found) <= 12_000


def test_a_storm_on_many_devices_keeps_the_first_and_the_last_of_each() -> None:
    lines = (f"[{n}.0] NVRM: Xid (PCI:0000:{n % 60:02x}:00): 31, pid={n}\n" for n in range(40_000))
    found = events("".join(lines))
    assert len(found) <= MAX_EVENTS + 120
    assert sum(int(e.fields.get("count", "1")) for e in found) == 40_000
    assert found[-1].fields["pid"] == "39999"


def test_escapes_never_reach_the_quote() -> None:
    event = one(f"[1.0] {XID}\x1b]0;owned\x07 \x1b[2J")
    assert "\x1b" not in event.quote.text
    assert "\x07" not in event.quote.text


def test_blocks_and_lines_give_the_same(tmp_path: object) -> None:
    from pathlib import Path

    text = "".join(f"[{n}.5] {row.partition('|')[2]}\nunknown {n}\n" for n, row in enumerate(FAMILIES * 40))
    path = Path(str(tmp_path)) / "kern.log"
    path.write_text(text, encoding="utf-8")
    by_lines = kernel_log.parse(TextDocument("kern.log", "", text))
    by_blocks = kernel_log.parse(FileDocument("kern.log", "", path))
    assert by_blocks == by_lines
    assert by_lines.unread.unread == len(FAMILIES) * 40


def test_parsers_make_no_code_that_is_not_listed() -> None:
    listed = set(code_facts())
    plain = {
        p.code for p in (*KERNEL_PATTERNS, *APPLICATION_PATTERNS) if not p.attaches and p.code and "{" not in p.code
    }
    assert plain <= listed, plain - listed
    made = {row.partition("|")[0] for row in FAMILIES}
    assert {code for code in made if not code.startswith(("xid:", "sxid:"))} <= listed


def test_a_long_hostile_line_costs_little() -> None:
    fillers = ("a", "0:", "eth0 ", "- ", "[", "rank ")
    text = "".join(f"{filler * 20_000}{row.partition('|')[2]}\n" for filler in fillers for row in FAMILIES[::5])
    started = time.process_time()
    assert read(text).unread.total == len(fillers) * len(FAMILIES[::5])
    assert time.process_time() - started < 20


def test_every_literal_can_stand_in_a_line_of_its_pattern() -> None:
    for pattern in (*KERNEL_PATTERNS, *APPLICATION_PATTERNS):
        assert pattern.literals, pattern.code
        assert all(literal and "\n" not in literal for literal in pattern.literals)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=80),
            st.sampled_from([row.partition("|")[2] for row in FAMILIES] + HARMLESS),
            st.builds(
                lambda form, text: form.format("{}").replace("{}", text),
                st.sampled_from(list(FORMS.values())),
                st.text(max_size=60),
            ),
        ),
        max_size=12,
    )
)
def test_no_text_crashes_and_every_line_is_counted(lines: list[str]) -> None:
    text = "\n".join(lines)
    for parser in (kernel_log, application_log):
        parsed = parser.parse(TextDocument("x", "", text))
        kept = [line for line in text.split("\n") if line.encode("utf-8", "replace").strip()]
        assert parsed.unread.total == len(kept)
        assert 0 <= parsed.unread.unread <= parsed.unread.total
        assert len(parsed.unread.samples) == min(3, parsed.unread.unread)
        assert 0.0 <= parser.recognise(lines) <= 1.0
        for event in parsed.facts.events:
            assert event.quote.line is not None
            assert event.quote.line <= text.count("\n") + 1


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(sorted(FORMS)),
    bus=st.integers(0, 255),
    xid=st.sampled_from([13, 31, 43, 48, 63, 64, 74, 79, 94, 95, 119, 144, 154]),
    pid=st.integers(1, 4_194_304),
    name=st.from_regex(r"\A[a-z][a-z0-9_.:/-]{0,14}\Z"),
)
def test_xids_of_any_gpu_in_any_form(form: str, bus: int, xid: int, pid: int, name: str) -> None:
    event = one(FORMS[form].format(f"NVRM: Xid (PCI:0000:{bus:02x}:00): {xid}, pid={pid}, name={name}, Ch 00000008"))
    assert event.code == f"xid:{xid}"
    assert event.entity.id_map["pci"] == f"0000:{bus:02x}:00.0"
    assert event.fields["pid"] == str(pid)
