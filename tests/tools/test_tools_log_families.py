"""One line of every family of messages that drivers, services and launchers print: which code, on which thing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tools.catalogue.tables import code_facts
from tools.document import FileDocument, TextDocument
from tools.parsers import application_log, kernel_log
from tools.parsers._regex_bounds import bound_gaps
from tools.sources._probe import GuardedDocument
from tools.types import Event


def events(text: str) -> list[Event]:
    return list(kernel_log.parse(TextDocument("x.log", "", text)).facts.events)


def entity_name(event: Event) -> str:
    return f"{event.entity.kind}:{event.entity.name}" if event.entity.name else event.entity.kind


KERNEL = """
nic:driver|nic:0000:4b:00.0|igb 0000:4b:00.0: Detected Tx Unit Hang
nic:driver|nic:eno2|e1000e 0000:00:1f.6 eno2: Detected Hardware Unit Hang:
nic:driver|nic:ens7|NETDEV WATCHDOG: ens7 (i40e): transmit queue 11 timed out
nic:driver|nic:ens7f0|ixgbe 0000:81:00.0 ens7f0: NETDEV WATCHDOG: CPU: 12: transmit queue 4 timed out 5132 ms
nic:driver|nic:ens7f0|ixgbe 0000:81:00.0 ens7f0: tx hang 3 detected on queue 4, resetting adapter
nic:driver|nic:ens7f0|ixgbe 0000:81:00.0 ens7f0: initiating reset due to tx timeout
nic:driver|nic:ens9f1|i40e 0000:18:00.1 ens9f1: tx_timeout: VSI_seid: 391, Q 7, NTC: 0x1a, HWB: 0x1a, NTU: 0x2f, TAIL: 0x2f, INT: 0x1
nic:driver|nic:0000:18:00.1|i40e 0000:18:00.1: TX driver issue detected on PF
nic:driver|nic:0000:5e:00.0|ice 0000:5e:00.0: Malicious Driver Detection event 2 on TX queue 61 PF# 0 VF# 3
nic:driver|nic:0000:5e:00.0|ice 0000:5e:00.0: PF reset requested
nic:driver|nic:0000:5e:00.0|ice 0000:5e:00.0: Rebuild failed, unload and reload driver
nic:driver|nic:ens5|ena 0000:00:05.0 ens5: Found a Tx that wasn't completed on time, qid 6, index 881. 5210 msecs have passed
nic:driver|nic:ens5|ena 0000:00:05.0 ens5: Keep alive watchdog timeout.
nic:driver|nic:ens3f0np0|bnxt_en 0000:65:00.0 ens3f0np0: TX timeout detected, starting reset task!
nic:firmware|nic:ens3f0np0|bnxt_en 0000:65:00.0 ens3f0np0: Firmware not responding, status: 0x2eff
nic:firmware|nic:0000:02:00.0|igb 0000:02:00.0: The NVM Checksum Is Not Valid
nic:firmware|nic:enp2s0|igb 0000:02:00.0 enp2s0: PCIe link lost, device now detached
nic:thermal|nic:0000:81:00.0|ixgbe 0000:81:00.0: Network adapter has been stopped because it has over heated. Restart the computer.
nic:module_error|nic:0000:81:00.1|ixgbe 0000:81:00.1: failed to load because an unsupported SFP+ or QSFP module type was detected.
nic:driver|nic:ib1|ib1: transmit timeout: latency 1410 msecs
nic:driver|nic:0000:c1:00.0|mlx5_core 0000:c1:00.0: mlx5_cmd_eq_recover:249:(pid 881): Recovered 2 EQEs on cmd_eq
nic:driver|nic:0000:c1:00.0|mlx5_core 0000:c1:00.0: mlx5_eq_cq_event / CQ error on CQN 0x4a1, syndrome 0x1
nic:driver|nic:0000:c1:00.1|mlx5_core 0000:c1:00.1: mlx5_sriov_enable:168:(pid 4410): pci_enable_sriov failed : -12
nic:driver|nic:enp193s0f0|mlx5_core 0000:c1:00.0 enp193s0f0: ERR CQE on SQ: 0x1441
nic:driver|nic:enp193s0f0|mlx5_core 0000:c1:00.0 enp193s0f0: TX timeout on queue: 9, SQ: 0x1441, CQ: 0x48, SQ Cons: 0x7 SQ Prod: 0x9
nic:complaint|nic:0000:c1:00.0|mlx5_core 0000:c1:00.0: devlink reload was refused, could not stop: cannot take the lock
nic:cable_unplugged|nic:0000:c1:00.1|mlx5_core 0000:c1:00.1: Port module event: module 1, Cable unplugged
nic:link_down|nic:hfi1_0|hfi1 0000:05:00.0: hfi1_0: logical state changed to PORT_DOWN (0x1)
scsi:controller_fault||megaraid_sas 0000:3b:00.0: FW in FAULT state Fault code:0x10000 subcode:0x0 func:megasas_wait_for_outstanding_fusion
block:medium_error||megaraid_sas 0000:3b:00.0: 4711 (781204411s/0x0002/FATAL) - Unrecoverable medium error during recovery on PD 04(e0x20/s4) at 1f2b3c
md:degraded||megaraid_sas 0000:3b:00.0: 4712 (781204412s/0x0001/CRIT) - VD 01/1 is now DEGRADED
smart:failing||megaraid_sas 0000:3b:00.0: 4713 (781204413s/0x0002/CRIT) - Predictive failure: PD 07(e0x20/s7)
scsi:controller_fault||mpt3sas_cm1: SAS host is non-operational !!!!
scsi:controller_fault||mpt2sas_cm0: fault_state(0x265d)!
scsi:controller_fault||hpsa 0000:05:00.0: Controller lockup detected: 0x00130000 after 30
scsi:controller_fault||smartpqi 0000:5c:00.0: controller is offline: status code 0x6100c
scsi:controller_fault||aacraid: Host adapter BLINK LED 0x7
scsi:timeout||aacraid: Host adapter abort request (0,0,3,0)
md:degraded||3w-9xxx: scsi0: AEN: ERROR (0x04:0x0002): Degraded unit detected:unit=0, port=5
storage:reconnect|| connection3:0: detected conn error (1022)
storage:path_error|| session3: session recovery timed out after 120 secs
storage:reconnect||iscsid: Kernel reported iSCSI connection 3:0 error (1022 - Invalid or unknown error code) state (3)
storage:path_error||qla2xxx [0000:07:00.0]-500b:7: LOOP DOWN detected (2 7 0 0).
storage:path_error|| rport-7:0-3: blocked FC remote port time out: removing target and saving binding
storage:path_error|disk:nvme4|nvme nvme4: starting error recovery
storage:path_error|disk:nvme4|nvme nvme4: Failed reconnect attempt 6
multipath:path_failed||multipathd[881]: mpathc: sdk - tur checker reports path is down
block:medium_error|disk:nvme5n1|nvme5n1: Read(0x2) @ LBA 884120, 256 blocks, Unrecovered Read Error (sct 0x2 / sc 0x81) MORE
block:io_error|disk:nvme5n1|nvme5n1: I/O Cmd(0x1) @ LBA 884120, 256 blocks, I/O Error (sct 0x3 / sc 0x71)
nvme:reset_failed|disk:nvme5|nvme nvme5: frozen state error detected, reset controller
scsi:not_ready|disk:sdp|sd 8:0:3:0: [sdp] tag#41 Sense Key : Not Ready [current]
smart:failing|disk:sdp|sd 8:0:3:0: [sdp] tag#41 Add. Sense: Failure prediction threshold exceeded
smart:failing|disk:sdp|smartd[881]: Device: /dev/sdp [SAT], FAILED SMART self-check. BACK UP DATA NOW!
disk:pending_sectors|disk:sdp|smartd[881]: Device: /dev/sdp [SAT], 16 Currently unreadable (pending) sectors
scsi:offline|disk:ata9|ata9: reset failed, giving up
scsi:timeout|disk:ata9.00|ata9.00: failed to IDENTIFY (I/O error, err_mask=0x4)
block:medium_error|disk:sdm|md/raid:md3: read error not correctable (sector 8841200 on sdm1).
block:io_error|disk:sdm|md/raid1:md3: sdm1: rescheduling sector 4410
md:failed||md/raid:md3: cannot start dirty degraded array.
md:failed||md/raid:md3: not enough operational devices (2/6 failed)
limit:disk_space||device-mapper: thin: 253:4: switching pool to out-of-data-space (queue IO) mode
fs:error||device-mapper: verity: 253:0: data block 4410 is corrupted
block:io_error|disk:sdn|BTRFS error (device sdn): bdev /dev/sdn errs: wr 0, rd 3, flush 0, corrupt 0, gen 0
fs:error||BTRFS critical (device sdn): corrupt leaf: root=5 block=884120 slot=3, unexpected item end
fs:error||BTRFS warning (device sdn): csum failed root 5 ino 4410 off 0 csum 0x1 expected csum 0x2 mirror 1
fs:error||BTRFS: error (device sdn: state A) in btrfs_commit_transaction:2460: errno=-5 IO failure
limit:disk_space||BTRFS: error (device sdn) in __btrfs_free_extent:3069: errno=-28 No space left
fs:readonly||BTRFS info (device sdn: state E): forced readonly
fs:error||bcachefs (sdn): btree node read error: no device to read from
fs:readonly||bcachefs (sdn): inconsistency detected - emergency read only
fs:error||F2FS-fs (sdn1): Inconsistent node block, nid:44, node_footer[nid:0,ino:0]
fs:error||zed[881]: eid=41 class=checksum pool='tank' vdev=sdn1 size=4096 offset=884120
md:degraded||zed[881]: eid=42 class=statechange pool='tank' vdev=sdn1 vdev_state=FAULTED
fs:shutdown||WARNING: Pool 'tank' has encountered an uncorrectable I/O failure and has been suspended.
fs:error||EXT4-fs warning (device sdn1): ext4_end_bio:343: I/O error 10 writing to inode 4410 starting block 88412)
fs:error||EXT4-fs (sdn1): Delayed block allocation failed for inode 4410 at logical offset 0 with max blocks 8 with error 5
fs:error||XFS (sdn1): SB validate failed with error -117.
edac:corrected||EDAC skx MC3: 1 CE memory read error on CPU_SrcID#1_MC#1_Chan#0_DIMM#0 (channel:0 slot:0 page:0x44 offset:0x0)
edac:uncorrected||EDAC MC0: 1 UE memory read error on DIMM_B2 (channel:1 slot:1 page:0x441 offset:0x0 grain:64)
mce:corrected||[Hardware Error]: CPU:12 (19:1:1) MC17_STATUS[Over|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: 0xdc2040000000011b
mce:uncorrected||[Hardware Error]: CPU:12 (19:1:1) MC17_STATUS[-|UE|MiscV|AddrV|-|-|SyndV|UECC|-|-|-]: 0xbc2020000000011b
mce:corrected||STATUS 8c00004000010091 MCGSTATUS 0
mce:uncorrected||STATUS be00000000800400 MCGSTATUS 4
mce:corrected||mcelog: Corrected memory errors on page 44100 exceed threshold 10 in 24h: 11 in 24h
mce:corrected||RAS: Soft-offlining pfn: 0x44100
edac:uncorrected||Server Administrator: Instrumentation Service EventID: 1404  Memory device status is critical
cpu:power_limited||CPU7: Package power limit notification (total events = 3)
cpu:thermal_shutdown||thermal thermal_zone4: critical temperature reached (105 C), shutting down
cpu:thermal_normal||CPU7: Package temperature/speed normal
kernel:nmi||Uhhuh. NMI received for unknown reason 3d on CPU 7.
pci:serr||NMI: PCI system error (SERR) for reason b1 on CPU 0.
pci:iommu_fault||DMAR: [DMA Read] Request device [c1:00.0] fault addr 44100000 [fault reason 06] PTE Read access is not set
pci:iommu_fault||AMD-Vi: Event logged [IO_PAGE_FAULT device=c1:00.0 domain=0x001e address=0x4410000 flags=0x0020]
pci:config_unreadable||pci 0000:c1:01.2: unknown header type 7f, ignoring device
pci:link_degraded||pci 0000:c1:00.0: 126.016 Gb/s available PCIe bandwidth, limited by 16.0 GT/s PCIe x8 link at 0000:c0:01.0 (capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)
pci:link_generation||pci 0000:c1:00.0: 126.016 Gb/s available PCIe bandwidth, limited by 8.0 GT/s PCIe x16 link at 0000:c0:01.0 (capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)
driver:firmware_missing||nvidia 0000:3b:00.0: Direct firmware load for nvidia/550.54.15/gsp_ga10x.bin failed with error -2
driver:assertion||NVRM: GPU0 nvCheckOkFailedNoLog: Check failed: Call timed out [NV_ERR_TIMEOUT] (0x00000065) returned from rpcX
gpu:bar_invalid|gpu:0000:3b:00.0|nvidia 0000:3b:00.0: BAR 1: no space for [mem size 0x2000000000 64bit pref]
gpu:aperture||NVRM: dmaAllocMapping_GM107: can't alloc VA space for mapping.
segfault:process||systemd-coredump[4411]: Process 4410 (trainer) of user 1203 dumped core.
oom:kill||systemd[1]: trainer.service: A process of this unit has been killed by the OOM killer.
oom:alloc_failure||TCP: out of memory -- consider tuning tcp_mem
clock:wrong||chronyd[881]: System clock wrong by 4.410 seconds
clock:wrong||slurmd[881]: error: Munge decode failed: Rewound credential
shared_fs:error|storage:cifs|CIFS: VFS: cifs_mount failed w/return code = -112
shared_fs:error|storage:gpfs|GPFS Deadman Switch timer [0] has expired; IOs in progress: 2
shared_fs:error|storage:scratchvol|[2025-03-04 09:15:02.120044] E [rpc-clnt-ping.c:160:rpc_clnt_ping_timer_expired] 0-scratchvol-client-3: server 10.1.1.7:49152 has not responded in the last 42 seconds, disconnecting.
lustre:error|storage:work|LustreError: 4410:0:(client.c:1216:ptlrpc_import_delay_req()) work-OST0007-osc-ffff: operation failed: rc = -5
fs:error||900441 node-D7 clusterfilesystem fdmn.panic 1131228351 1 ServerFileSystem: An ServerFileSystem domain panic has occurred on storage77
shared_fs:error|storage:clusterfilesystem|900442 node-D7 clusterfilesystem clusterfilesystem.no_server 1131228351 1 ClusterFileSystem: There is no server for ServerFileSystem domain storage77
nic:link_down|nic:alt3|900443 node-77 unix.hw net.niff.down 1131228351 1 NIFF: node node-77 detected a failed network connection on network 10.3.0.0 via interface alt3
bmc:psu_failed||900444 node-77 node psu 1131228351 1 psu failure\\ ambient=33
block:removable_error|disk:fd0|blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0
block:removable_error|disk:sr1|sr 3:0:0:0: [sr1] tag#0 Sense Key : Medium Error [current]
kernel:panic||R_KPANIC 1131566461 2005.11.09 dn77 Nov 9 12:01:01 dn77/dn77 kernel: Kernel panic - not syncing: Fatal exception
""".strip("\n").splitlines()


@pytest.mark.parametrize("row", KERNEL, ids=lambda row: row[:60])
def test_one_line_of_every_kernel_family(row: str) -> None:
    code, name, line = row.split("|", 2)
    found = events(line + "\n")
    assert [event.code for event in found] == [code]
    assert not name or entity_name(found[0]) == name
    assert code in code_facts()


APPLICATIONS = """
fabric:down|UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized (Triggered internally at c10/cuda/CUDAFunctions.cpp:109.)
cuda:driver_insufficient|UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported display driver / cuda driver combination
cuda:no_device|E tensorflow/stream_executor/cuda/cuda_driver.cc:271] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected
cuda:unknown|RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment
cuda:busy|RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable
cuda:invalid_device|RuntimeError: CUDA error: invalid device ordinal
cuda:no_kernel_image|RuntimeError: CUDA error: no kernel image is available for execution on the device
cuda:os_error|CUDA Runtime API error 304: OS call failed or operation not supported on this OS: CUDA error 304
cuda:nvlink|terminate called: CUDA error: uncorrectable NVLink error detected during the execution
cuda:error|RuntimeError: CUDA error: unspecified launch failure (code 719)
cuda:ecc|CUDA error 214 at trainer.cu:88: uncorrectable ECC error encountered
nccl:nvls_failed|gpu-7:4410:4502 [2] transport/nvls.cc:254 NCCL WARN Cuda failure 401 'the operation cannot be performed in the present state'
nccl:nvls_failed|gpu-7:4410:4502 [2] NCCL WARN Failed to bind NVLink SHARP (NVLS) Multicast memory of size 2097152 : CUDA error 1
nccl:network_error|gpu-7:4410:4502 [0] transport/net_ib.cc:1296 NCCL WARN Got completion from peer 10.7.0.3<41010> with error 12, opcode 0, len
nccl:network_error|gpu-7:4410:4502 [0] NCCL WARN NET/OFI Request 0x7f completed with error. RC: 113. Error: 113 (No route to host).
nccl:no_interface|gpu-7:4410:4502 [0] NCCL WARN Bootstrap : no socket interface found
nccl:usage_error|gpu-7:4410:4502 [0] NCCL WARN Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 1b000
limit:disk_space|gpu-7:4410:4502 [0] NCCL WARN Error while creating shared memory segment /dev/shm/nccl-ab12 (size 9637888)
nccl:remote_error|[/pytorch/third_party/gloo/transport/tcp/pair.cc:534] gloo/transport/tcp/pair.cc Connection closed by peer [10.7.0.3]:41010
network:timeout|[W socket.cpp:663] [c10d] The client socket has failed to connect to [gpu-1]:29500 (errno: 110 - Connection timed out).
network:timeout|An ORTE daemon has unexpectedly failed after launch and before
network:timeout|[gpu-7:04410] PMIX ERROR: UNREACHABLE in file ptl_tcp_component.c at line 1845
network:timeout|[[4410,1],3][btl_openib_component.c:3671:handle_wc] from gpu-7 to: gpu-8 error polling LP CQ with status RETRY EXCEEDED ERROR status number 12
job:precondition|There are not enough slots available in the system to satisfy the 64
job:precondition|mpirun was unable to find the specified executable file, and therefore
job:precondition|[W socket.cpp:426] [c10d] The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use).
limit:memory_lock|initialize while trying to allocate some locked memory.  This typically
job:failed|Fatal error in PMPI_Init: Other MPI error, error stack:
job:failed|=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
job:killed|RuntimeError: DataLoader worker (pid 4410) is killed by signal: Killed.
limit:shared_memory|RuntimeError: DataLoader worker (pid(s) 4410) hit a bus error: dataloader's workers are out of shared memory.
train:nan|step 4410 | loss: nan | lr 3e-4
job:cancelled|TERM_RUNLIMIT: job killed after reaching LSF run time limit.
oom:kill|TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.
limit:evicted|I0304 09:25:03.120044    4410 eviction_manager.go:341] "Eviction manager: attempting to reclaim" resourceName="ephemeral-storage"
kube:memory_pressure|W0304 09:25:03.120044    4410 eviction_manager.go:330] eviction manager: attempting to reclaim memory
kube:node_not_ready|E0304 09:25:03.120044    4410 kubelet.go:2855] "Container runtime network not ready" networkReady="NetworkReady=false"
kube:node_not_ready|I0304 09:25:03.120044    4410 setters.go:600] "Node became not ready" node="gpu-7"
oom:kill|Last State:     Terminated  Reason: OOMKilled  Exit Code: 137
driver:not_loaded|Error: failed to create containerd task: OCI runtime create failed: nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown
driver:library_mismatch|nvidia-container-cli: initialization error: nvml error: driver/library version mismatch
cuda:driver_insufficient|nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.4, please update your driver to a newer version
gpu:unknown_device|nvidia-container-cli: device error: GPU-0a: unknown device
driver:nvml_unknown|Failed to initialize NVML: Unknown Error
gpu:marked_unhealthy|2025/03/04 09:25:03 'nvidia.com/gpu' device marked unhealthy: GPU-11111111-2222-3333-4444-555555555555
xid:79|2025/03/04 09:25:03 XidCriticalError: Xid=79 on Device=GPU-11111111-2222-3333-4444-555555555555, the device will go unhealthy.
slurm:unkillable|slurmstepd: error: *** STEP 88121.0 STEPD TERMINATED ON gpu-7 AT 2025-03-04T09:25:03 DUE TO JOB NOT ENDING WITH SIGNALS ***
job:requeued|[2025-03-04T09:25:03.120] _job_complete: requeue JobId=88121 due to node failure
slurm:node_down|[2025-03-04T09:25:03.120] Killing JobId=88121 on failed node gpu-7
slurm:config_differs|[2025-03-04T09:25:03.120] error: Node gpu-7 has low real_memory size (515000 < 1030000)
slurm:config_differs|[2025-03-04T09:25:03.120] error: Node gpu-7 appears to have a different slurm.conf than the slurmctld.
slurm:error|slurmd: error: Unable to contact slurm controller (connect failure)
slurm:error|[2025-03-04T09:25:03.120] error: Prolog failed; draining node gpu-7
fabric:version_mismatch|fabric manager NVIDIA GPU driver interface version 550.54.14 don't match with driver version 550.54.15. Please update with matching NVIDIA driver package.
service:failed|Error: unable to establish a connection to the specified host: localhost, Host engine is not running
vllm:unavailable|INFO:     10.1.1.3:51044 - "POST /v1/completions HTTP/1.1" 503 Service Unavailable
""".strip().splitlines()


@pytest.mark.parametrize("row", APPLICATIONS, ids=lambda row: row[:60])
def test_one_line_of_every_family_of_programs(row: str) -> None:
    code, _, line = row.partition("|")
    found = list(application_log.parse(TextDocument("x.log", "", line + "\n")).facts.events)
    assert [event.code for event in found] == [code]
    assert code in code_facts() or code.startswith("xid:")


PROGRESS = """
step 120 | loss 2.417
training finished, 900 steps
saved checkpoint-1200 in 12.4 s
epoch 2/9 finished, val_loss 1.044
 iteration      120/  500000 | consumed samples:       122880 | elapsed time per iteration (ms): 4410.2 | learning rate: 3.000E-05 | lm loss: 2.417E+00 |
[2025-03-04 09:25:03,120] [INFO] [logging.py:128:log_dist] [Rank 0] step=120, skipped=0, lr=[3e-05], mom=[(0.9, 0.95)]
[INFO] step=120, skipped=0, lr=[3e-05]
{'loss': 2.417, 'grad_norm': 0.61, 'learning_rate': 3e-05, 'epoch': 0.12}
{'train_runtime': 4410.2, 'train_samples_per_second': 11.0, 'epoch': 3.0}
Epoch 4:  37%|███▋      | 370/1000 [02:11<03:44,  2.81it/s, v_num=7, train_loss=1.210]
 12%|█▏        | 120/1000 [00:41<05:03,  2.90it/s]
iter 120: loss 2.4170, time 210.31ms, mfu 41.20%
step 1000: train loss 2.1034, val loss 2.2410
step: 120  loss:  2.4170  memory: 41.10GiB(51.98%)  tps: 8,120  mfu: 41.20%
Epoch: [4][ 120/5005]\tTime  0.210 ( 0.241)\tLoss 2.4170e+00 (2.5041e+00)\tAcc@1  44.12 ( 43.81)
120/500 [======>.......................] - ETA: 41s - loss: 2.4170 - accuracy: 0.4412
completed step: 120, seconds: 2.410, TFLOP/s/device: 210.412, loss: 2.417
# nThread 1 nGpus 8 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0
     1048576        262144     float     sum      -1    44.10   23.77   41.60      0    43.20   24.27   42.47      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 41.2041
INFO:     10.1.1.3:51044 - "POST /v1/completions HTTP/1.1" 200 OK
""".strip("\n").splitlines()


@pytest.mark.parametrize("line", PROGRESS, ids=lambda line: line[:50])
def test_a_job_that_goes_on_is_read_and_makes_no_event(line: str) -> None:
    parsed = application_log.parse(TextDocument("x.log", "", line + "\n"))
    assert parsed.facts.events == ()
    assert parsed.unread.unread == 0
    assert line.startswith("#") or application_log.recognise([line]) >= 0.3


def test_a_cry_that_no_rule_knows_is_an_event_of_its_own() -> None:
    text = (
        "[   12.1] quuxdrv: firmware download failed\n[   12.2] quuxdrv: fatal: cannot start\n[   12.3] quuxdrv: bye\n"
    )
    (event,) = events(text)
    assert event.code == "log:unexplained"
    assert event.fields["lines"] == "2"
    assert event.quote.line == 1


def test_a_long_log_may_hold_cries() -> None:
    assert events("[   12.1] quuxdrv: firmware download failed\n" * 300) == []


def test_a_log_of_other_things_with_one_cry_is_not_unexplained() -> None:
    calm = "".join(f"[   12.{number}] quuxdrv: hello\n" for number in range(10))
    cry = "[   13.2] quuxdrv: error\n"
    assert events(calm + cry) == []
    (event,) = events(calm[: len(calm) // 2] + cry)
    assert (event.code, event.quote.line) == ("log:unexplained", 6)


def test_one_cry_beside_something_that_is_known_is_left_to_it() -> None:
    text = "[   12.1] nfs: server io3 OK\n[   12.2] quuxdrv: error\n[   12.3] quuxdrv: bye\n"
    assert [event.code for event in events(text)] == ["nfs:ok"]


def test_an_ata_port_is_its_disk_where_the_boot_tells() -> None:
    text = (
        "[    1.1] scsi host9: ahci\n[    1.1] scsi host10: ahci\n"
        "[    1.2] ata3: SATA max UDMA/133 abar m524288@0x9d100000 port 0x9d100100 irq 31\n"
        "[    1.2] ata4: SATA max UDMA/133 abar m524288@0x9d100000 port 0x9d100180 irq 31\n"
        "[    2.1] sd 9:0:0:0: [sdc] Attached SCSI disk\n[    2.2] sd 10:0:0:0: [sdd] Attached SCSI disk\n"
        "[  900.1] ata4.00: status: { DRDY ERR }\n[  900.2] ata4.00: error: { UNC }\n"
    )
    assert [entity_name(event) for event in events(text)] == ["disk:sdd"]


def test_an_ata_port_is_the_disk_that_errs_beside_it_or_keeps_its_name() -> None:
    near = "[  900.2] ata7.00: error: { UNC }\n[  900.3] sd 20:0:0:0: [sdx] tag#3 Sense Key : Medium Error [current]\n"
    assert {entity_name(event) for event in events(near)} == {"disk:sdx"}
    alone = "[  900.2] ata7.00: error: { UNC }\n"
    assert {entity_name(event) for event in events(alone)} == {"disk:ata7.00"}
    two = near + "[  900.4] sd 31:0:0:0: [sdg] tag#3 Add. Sense: Unrecovered read error\n"
    assert "disk:ata7.00" in {entity_name(event) for event in events(two)}


def test_a_scsi_address_is_the_disk_that_the_log_names() -> None:
    text = "[  1.1] sd 6:0:9:0: [sdh] Attached SCSI disk\n[  9.1] sd 6:0:9:0: Device offlined - not ready after error recovery\n"
    assert [entity_name(event) for event in events(text)] == ["disk:sdh"]


def test_one_trouble_of_a_lustre_is_one_storage() -> None:
    text = (
        "[  1.1] LustreError: 15f-b: flash-MDT0000: cannot register this client with the MGS: rc = -110\n"
        "[  1.2] LustreError: 4410:0:(super25.c:176:lustre_fill_super()) llite: Unable to mount <unknown>: rc = -110\n"
        "[  1.3] mount.lustre: mount 10.9.8.2@o2ib:10.9.8.3@o2ib:/flash/sub at /mnt/flash failed: Connection timed out\n"
    )
    assert {entity_name(event) for event in events(text)} == {"storage:flash"}


def test_a_machine_check_record_of_throttling_is_no_memory_error() -> None:
    text = (
        "[  1.1] CPU3: Core temperature above threshold, cpu clock throttled (total events = 44)\n"
        "[  1.2] mce: [Hardware Error]: Machine check events logged\n[  1.3] CPU3: Core temperature/speed normal\n"
    )
    assert [event.code for event in events(text)] == ["cpu:thermal", "cpu:thermal_normal"]


def test_a_polled_completion_says_so() -> None:
    (event,) = events("[  1.1] nvme nvme3: I/O 881 QID 14 timeout, completion polled\n")
    assert event.fields["polled"] == "yes"


def test_a_fabric_manager_without_a_switch_is_not_down() -> None:
    text = (
        "Mar  4 09:15:02 ws-1 nv-fabricmanager[881]: request to query NVSwitch device information failed with error:"
        "WARNING Nothing to do [NV_WARN_NOTHING_TO_DO]\n"
        "Mar  4 09:15:02 ws-1 systemd[1]: nvidia-fabricmanager.service: Control process exited, code=exited, status=1/FAILURE\n"
    )
    assert [event.code for event in events(text)] == ["fabric:not_needed"]


def test_a_port_that_never_was_up_at_boot_is_not_down() -> None:
    boot = "[   11.1] r8169 0000:08:00.0 enp8s0: link down\n"
    later = "[  911.1] r8169 0000:08:00.0 enp8s0: Link is Down\n"
    assert [event.code for event in events(boot)] == ["nic:no_link_at_boot"]
    assert [event.code for event in events(later)] == ["nic:link_down"]
    up = "[    9.1] r8169 0000:08:00.0 enp8s0: Link is Up - 1Gbps/Full\n"
    assert [event.code for event in events(up + boot)] == ["nic:link_up", "nic:link_down"]


def test_a_disk_that_the_log_calls_removable_says_so() -> None:
    text = (
        "[  1.1] sd 12:0:0:0: [sdz] Attached SCSI removable disk\n[  1.2] sd 13:0:0:0: [sdy] Attached SCSI disk\n"
        "[  9.1] critical medium error, dev sdz, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2\n"
        "[  9.2] critical medium error, dev sdy, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2\n"
    )
    assert [event.fields.get("removable", "") for event in events(text)] == ["yes", ""]


BOUNDS = {
    r"a.*?(?P<why>.*failed.*|hung.*)": r"a.{0,400}?(?P<why>failed.*|hung.*)",
    r"a(?P<why>.*failed.*)": r"a(?P<why>.{0,400}failed.*)",
    r"a.*?(?:[)|]x|\(.*y|.*z)b.*": r"a.{0,400}?(?:[)|]x|\(.{0,400}y|z)b.*",
    r"(?=.*down).*?up": r"(?=.{0,400}down).{0,400}?up",
}


@pytest.mark.parametrize("regex", BOUNDS)
def test_gaps_get_a_length(regex: str) -> None:
    assert bound_gaps(regex) == BOUNDS[regex]


@pytest.mark.parametrize(
    "filler", ["socketPollConnect", "beegfs", "btl_tcp", "nfs4_", "NCCL WARN Call to ", "mlx5_core "]
)
def test_a_line_of_nothing_but_triggers_costs_little(filler: str) -> None:
    started = time.process_time()
    events(filler * 300 + "\n")
    assert time.process_time() - started < 3.0


def test_a_guarded_text_in_blocks_is_the_same_as_in_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("".join(f"[  {n}.0] line {n}\n" for n in range(200)), encoding="utf-8")
    for limit in (10**6, 300):
        by_line = GuardedDocument(FileDocument("x.log", "", path), limit)
        by_block = GuardedDocument(FileDocument("x.log", "", path), limit)
        lines = [line.text for line in by_line.lines()]
        blocks = b"".join(by_block.blocks()).decode().splitlines()
        assert blocks == lines
        assert by_block.ended == by_line.ended
        assert (by_block.ended is not None) == (limit == 300)
