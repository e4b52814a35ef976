"""Lines about GPUs in the wordings of driver branches, services and other makers; what a job prints around them."""

from __future__ import annotations

import time

import pytest

from agent.symptoms import weigh_event
from tools.catalogue.tables import code_facts, decode_xid74
from tools.document import TextDocument
from tools.parsers import application_log, kernel_log
from tools.parsers._app_forms import read_app_head
from tools.parsers._kernel_forms import split_head
from tools.types import Event


def read(text: str) -> list[Event]:
    return list(kernel_log.parse(TextDocument("x.log", "", text)).facts.events)


def codes(text: str) -> list[str]:
    return [event.code for event in read(text)]


DRIVER = r"""
xid:79|0000:c4:00.0|NVRM: Xid (PCI:0000:c4:00): 79, GPU has fallen off the bus.
xid:14|0000:c4:00.0|NVRM: Xid (0000:c4:00): 14, Channel 00000004
xid:13||NVRM: Xid (0003:00): 13, 0001 00000000 00005039 00000328 00000000 00000002
gpu:fallen_off_bus|0000:1b:00.0|NVRM: GPU at PCI:0000:1b:00.0 fell off the bus.
gpu:lost||NVRM: GPU2 _intrServiceStallCommonCheckBegin: Failed GPU reg read : 0xffffffff. Check whether GPU is present on the bus
gpu:lost||nvidia-uvm: uvm_global.c:417 uvm_global_set_fatal_error_impl[pid:99] Encountered a global fatal error: GPU lost from the bus [NV_ERR_GPU_IS_LOST]
gpu:lost||NVRM: _threadNodeCheckTimeout: API_GPU_ATTACHED_SANITY_CHECK failed!
gpu:watchdog||NVRM: krcWatchdog_IMPL: RC watchdog: GPU is probably locked!  Notify Timeout Seconds: 7
gpu:watchdog||nvidia-modeset: ERROR: GPU:1: Error while waiting for GPU progress: 0x0000c37d:0 2:0:4048:4040
gpu:init_failed|0000:5e:00.0|NVRM: GPU 0000:5e:00.0: Failed to copy vbios to system memory.
gpu:init_failed||NVRM: gpuWaitForGfwBootComplete_TU102: failed to wait for GFW_BOOT: (progress 0x3)
driver:platform_notice||NVRM: GPU 0000:01:00.0: Failed to enable MSI; falling back to PCIe virtual-wire interrupts.
driver:platform_notice||NVRM: GPU0 nvAssertFailedNoLog: Assertion failed: PRH failed to update thermal limit! @ platform_request_handler.c:855
driver:device_taken||NVRM: The NVIDIA probe routine was not called for 4 device(s).
driver:device_taken||NVRM: GPU 0000:3b:00.0 is already bound to nouveau.
driver:unsupported_gpu||NVRM: installed in this system is not supported by the NVIDIA 580.65.06 driver release.
driver:probe_failed||NVRM: The NVIDIA probe routine failed for 2 device(s).
driver:removed_in_use|0000:e1:00.0|NVRM: Attempting to remove device 0000:e1:00.0 with non-zero usage count!
driver:suspend_failed||nvidia 0000:01:00.0: PM: pci_pm_suspend(): nv_pmops_suspend+0x0/0x30 [nvidia] returns -5
driver:uvm_fatal||nvidia-uvm: uvm_global.c:411 uvm_global_set_fatal_error_impl[pid:7] Encountered a global fatal error: RC error [NV_ERR_RC_ERROR]
driver:load_failed||modprobe: ERROR: could not insert 'nvidia': Key was rejected by service
driver:load_failed||ERROR: Unable to load the kernel module 'nvidia.ko'.  This happens most frequently when
driver:load_failed||dkms autoinstall on 6.5.0-41-generic/x86_64 failed for nvidia(10)
driver:peermem||nvidia_peermem: Unknown symbol ib_register_peer_memory_client (err -2)
nic:driver||mlx5_core: disagrees about version of symbol devlink_register
driver:gsp_error||NVRM: GPU5 _kgspIsHeartbeatTimedOut: Heartbeat timed out, timeout 5200
driver:gsp_error||NVRM: GPU0 kgspExecuteFwsec_TU102: failed to execute FWSEC for FRTS: FRTS error code 0x492f
nvlink:driver_error||NVRM: knvlinkDiscoverPostRxDetLinks_GH100: Getting peer3's postRxDetLinkMask failed!
nvlink:driver_error|0000:65:00.0|NVRM: GPU 0000:65:00.0: NVLink link 4 disabled due to error
nvlink:driver_error||nvidia-nvlink: Link 3 of device 0 is in bad state
nvswitch:driver_error||nvidia-nvswitch2: nvswitch_initialize_device failed, status 0x65
gpu:ring_timeout|0000:0a:00.0|amdgpu 0000:0a:00.0: amdgpu: ring sdma0 timeout, signaled seq=16060, emitted seq=16062
gpu:ring_timeout||[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx_0.0.0 timeout, signaled seq=502589, emitted seq=502591
gpu:page_fault|0000:c1:00.0|amdgpu 0000:c1:00.0: amdgpu: [gfxhub0] no-retry page fault (src_id:0 ring:24 vmid:8 pasid:32769)
gpu:page_fault|0000:01:00.0|nouveau 0000:01:00.0: fifo: fault 00 [READ] at 0000000000000000 engine 00 [GR] client 14 [HUB/SCC] reason 02 [PTE]
gpu:ras_uncorrected|0000:c1:00.0|amdgpu 0000:c1:00.0: amdgpu: socket: 0, die: 0 2 uncorrectable hardware errors detected in total in umc block
gpu:ras_corrected|0000:c1:00.0|amdgpu 0000:c1:00.0: amdgpu: socket: 0, die: 0 7 correctable hardware errors detected in total in umc block
gpu:reset_failed|0000:c1:00.0|amdgpu 0000:c1:00.0: amdgpu: GPU reset(3) failed
"""
QUIET = """
nvidia: module verification failed: signature and/or required key missing - tainting kernel
nvidia-nvlink: Nvlink Core is being initialized, major device number 235
nvidia-nvswitch0: Probing device 0000:07:00.0, vendor 0x10de, device 0x1af1
NVRM: Persistence mode is deprecated and will be removed in a future release. Please use nvidia-persistenced instead.
NVRM: GSP firmware loaded
nvidia-modeset: Loading NVIDIA UNIX Open Kernel Mode Setting Driver for x86_64  570.124.06
amdgpu 0000:c1:00.0: amdgpu: RAS: optional ras ta ucode is not available
amdgpu 0000:c1:00.0: amdgpu: socket: 0, die: 0 0 uncorrectable hardware errors detected in total in umc block
amdgpu 0000:c1:00.0: amdgpu: GPU reset succeeded, trying to resume
srun: Job step aborted: Waiting up to 32 seconds for job step to finish.
DCGM_FI_DEV_XID_ERRORS{gpu="1",UUID="GPU-704ac76c-d9cf-fef3-62e9-d92044ab6e52",device="nvidia1"} 0
"""
PROGRAMS = """
limit:memory_lock|n1:51:62 [2] misc/ibvwrap.cc:278 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
limit:memory_lock|n1:51:62 [2] register_mr_buffers:465 NCCL WARN NET/OFI Unable to register memory (type = 1) for device 0. RC: 12, Error: Cannot allocate memory
nccl:registration_failed|n1:51:62 [2] misc/ibvwrap.cc:262 NCCL WARN Call to ibv_create_cq failed with error Operation not permitted
nccl:network_error|n1:51:62 [2] misc/ibvwrap.cc:328 NCCL WARN Call to ibv_modify_qp failed with error Connection timed out
nccl:network_error|n1:51:62 [2] misc/socket.cc:483 NCCL WARN socketStartConnect: Connect to 10.9.0.2<4573> failed : Software caused connection abort
nccl:usage_error|n1:51:62 [2] init.cc:1012 NCCL WARN Mismatched NCCL version detected : rank 0 version 21805 rank 1 version 21403
nccl:timeout|[rank3]:[E ProcessGroupNCCL.cpp:563] [Rank 3] Watchdog caught collective operation timeout:
nccl:timeout|[rank7]:[F1203 04:11:05.118292031 ProcessGroupNCCL.cpp:1557] [PG ID 0 PG GUID 0 Rank 7] Terminating the process after attempting to dump debug info, due to ProcessGroupNCCL watchdog hang.
nccl:timeout|E external/xla/tsl/coordination_service.cc:1170] /job:jax_worker/replica:0/task:4 has been set to ERROR in coordination service: UNAVAILABLE
nccl:desync|Not all ranks joining collective, sequence number: 104
nccl:remote_error|recvValue failed on SocketImpl(fd=71): failed to recv, got 0 bytes
network:timeout|failed to connect to 'ipv4:10.20.0.9:2222': socket error: connection refused
cuda:contained|CUDA_ERROR_CONTAINED: Invalid access of peer GPU memory over nvlink or a hardware error
cuda:oom|jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 21474836480 bytes.
cuda:oom|torch.cuda.OutOfMemoryError: HIP out of memory. Tried to allocate 512.00 MiB. GPU 1 has a total capacity of 63.98 GiB
cuda:driver_insufficient|Error 803: system has unsupported display driver / cuda driver combination
ray:memory_kill|node_manager.cc:3064: 12 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed due to other reasons at node
ray:node_lost|The node with node id: 3ddf and address: 10.0.1.17 has been marked dead because the detector has missed too many heartbeats from it.
vllm:memory_short|ValueError: Free memory on device (10.3/23.53 GiB) on startup is less than desired GPU memory utilization (0.9, 21.18 GiB).
vllm:engine_dead|text_generation_launcher: Shard 0 crashed
vllm:preempted|Engine 000: Avg generation throughput: 1189.0 tokens/s, Running: 64 reqs, Waiting: 35 reqs, GPU KV cache usage: 98.7%
serve:incompatible|6: The engine plan file is generated on an incompatible device, expecting compute 8.9 got compute 8.0, please rebuild.
serve:model_failed|model_lifecycle.cc:621] failed to load 'tensorrt_llm' version 1: Internal: unexpected error
job:stale_file|OSError: [Errno 116] Stale file handle: '/mnt/nfs/ckpt/step_4000/optim.pt'
job:io_error|OSError: [Errno 5] Input/output error: '/scratch/train-00012.parquet'
torch:error|FileNotFoundError: [Errno 2] No such file or directory: 'config.yaml'
gpu:driver_missing|docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].
driver:not_loaded|nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file
driver:nvml_unknown|Failed to initialize NVML: Unknown Error
driver:library_mismatch|Failed to initialize NVML: Driver/library version mismatch
dcgm:thermal|ERROR [15:17] [[Health]] Detected a WARNING in health system Thermal: 'Detected clocks event due to thermal violation in GPU 2.'
xid:43|DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52",device="nvidia0"} 43
dcgm:remap_failure|DCGM_FI_DEV_ROW_REMAP_FAILURE{gpu="0",UUID="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"} 1
nvlink:training_failed|[Jul 09 2024 02:12:07] [ERROR] [tid 2134] detected NVLink training failure for GPU index 3 link 11
slurm:node_down|srun: error: Node failure on gpu-b12-3
slurm:node_down|slurmstepd: error: *** JOB 884127 ON gpu-b12-3 CANCELLED AT 2023-11-02T03:12:44 DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***
job:cancelled|srun: error: nid01934: tasks 2,4-5,7: Terminated
slurm:error|salloc: Prolog failure on node k003-006
slurm:config_differs|slurmd: error: Node configuration differs from hardware: CPUs=64:128(hw) Boards=1:1(hw)
job:precondition|Failed to pull image "nvcr.io/nvidia/pytorch:99.01-py3": rpc error: code = NotFound
"""


def rows(table: str) -> list[str]:
    return [line for line in table.strip().splitlines() if line]


@pytest.mark.parametrize("row", rows(DRIVER))
def test_driver_lines_in_many_wordings(row: str) -> None:
    code, pci, line = row.split("|", 2)
    found = read(f"[  912.000001] {line}\n")
    assert [event.code for event in found] == [code]
    assert found[0].entity.id_map.get("pci", "") == pci


@pytest.mark.parametrize("line", rows(QUIET))
def test_what_no_fault_says_makes_no_event(line: str) -> None:
    assert codes(f"[  912.000001] {line}\n") == []
    assert application_log.parse(TextDocument("x.log", "", line + "\n")).facts.events == ()


@pytest.mark.parametrize("row", rows(PROGRAMS))
def test_lines_of_programs_and_services(row: str) -> None:
    code, _, line = row.partition("|")
    found = application_log.parse(TextDocument("x.log", "", line + "\n")).facts.events
    assert [event.code for event in found] == [code]
    assert code in code_facts() or code.startswith("xid:")


def xid74(registers: str) -> Event:
    head = "NVRM: Xid (PCI:0000:3b:00): 74, pid='<unknown>', name=<unknown>, NVLink: fatal error detected on link 6"
    return read(f"[1.000001] {head}({registers})\n")[0]


def test_the_registers_of_xid_74_are_explained() -> None:
    event = xid74("0x200000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0")
    assert event.code == "xid:74"
    assert event.fields["link"] == "6"
    assert "register 1 bit 21: marginal signal" in event.fields["registers_say"]
    assert "register 3 bit 16" in xid74("0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0").fields["registers_say"]


def test_registers_that_need_no_action_are_minor_and_an_unknown_bit_is_not() -> None:
    assert xid74("0x40800001, 0x0, 0x0, 0x0, 0x100000, 0x0, 0x0").code == "nvlink:minor"
    assert xid74("0x40800001, 0x0, 0x0, 0x0, 0x100001, 0x0, 0x0").code == "xid:74"
    assert xid74("0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0").code == "xid:74"
    assert [bit.kind for bit in decode_xid74([0, 4])] == ["undocumented"]


def test_a_link_error_under_another_number_and_a_channel_that_died_of_one() -> None:
    line = "[1.5] NVRM: Xid (PCI:0000:b9:00): 71, NVLink: fatal error detected on link 6(0x10000, 0x0, 0x0)\n"
    assert codes(line) == ["nvlink:fatal_error"]
    killed = "[1.5] NVRM: Xid (PCI:0000:dc:00): 45, pid=9, name=python3, Ch 00000001 caused by previous Xid {}\n"
    assert codes(killed.format(145)) == ["nvlink:channel_killed"]
    assert codes(killed.format(31)) == ["xid:45"]


def test_the_word_of_the_line_stands_over_the_decode_table() -> None:
    line = (
        "[1.5] NVRM: Xid (PCI:0000:9b:00): 145, RLW_RXPIPE {} XC0 i0 Link 13 "
        "(0x0409a0c2 0x00000008 0x00000001 0x00000000 0x00100000 0x00000004)\n"
    )
    calm, grave = read(line.format("Nonfatal"))[0], read(line.format("Fatal"))[0]
    assert "non" in calm.fields["decode_severity"].lower()
    assert grave.fields["decode_severity"] == "Fatal"
    assert "non" in grave.fields["decode_disagrees"].lower()


def test_a_data_line_alone_is_calmed_by_the_catalogue_and_joins_its_own_head_else() -> None:
    data = "[2.5] nvidia-nvswitch1: SXid (PCI:0000:84:00.0): 12028, Data {0x000001c0, 0x00bd5c8a}\n"
    assert read(data)[0].fields["severity"] == "nonfatal"
    head = "[2.4] nvidia-nvswitch1: SXid (PCI:0000:84:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error\n"
    both = read(head + data)
    assert [event.fields["severity"] for event in both] == ["nonfatal"]
    assert "data" in both[0].fields


def test_the_new_expressions_stay_cheap_on_a_hostile_line() -> None:
    parts = (
        "NVRM: nvlink: fail ",
        "ring timeout, signaled seq amdgpu: ",
        "NCCL WARN ibv_reg_mr ",
        "[Errno 5] ",
        "Shard ",
    )
    started = time.process_time()
    for part in parts:
        read("[1.5] " + part * (60_000 // len(part)) + "\n")
    assert time.process_time() - started < 2.0


HEADS = """
keyed|time="2024-05-02T10:11:12Z" level=warning msg="slow answer" module=registry
event|5m12s       Normal    Scheduled   pod/train-0   Successfully assigned ml/train-0 to gpu-3
ray|(RayTrainWorker pid=4411, ip=10.0.1.17) starting
scheduler|slurmctld: debug2: node registration complete for gpu-3
python|/opt/venv/lib/python3.11/site-packages/torch/nn/init.py:42: UserWarning: zero-element tensors
python|{'loss': 2.3041, 'grad_norm': 1.2, 'epoch': 0.1}
"""


@pytest.mark.parametrize("row", rows(HEADS))
def test_heads_of_programs_are_known(row: str) -> None:
    form, _, line = row.partition("|")
    assert read_app_head(split_head(line)).form == form


NOTICES = """
[W socket.cpp:663] [c10d] The client socket has failed to connect to [localhost]:29500 (errno: 99 - Cannot assign requested address).
E external/local_xla/xla/stream_executor/cuda/cuda_dnn.cc:9261] Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one has already been registered
[2024-08-01 10:10:10,100] [WARNING] [stage3.py:2069:step] 3 pytorch allocator cache flushes since last step. this happens when there is high memory pressure
[rank0]:[W1023 15:02:11.123456789 ProcessGroupNCCL.cpp:1250] Warning: WARNING: process group has NOT been destroyed before we destruct ProcessGroupNCCL.
"""


@pytest.mark.parametrize("line", rows(NOTICES))
def test_what_frameworks_say_at_every_start_is_no_fault(line: str) -> None:
    found = application_log.parse(TextDocument("x.log", "", line + "\n")).facts.events
    assert [event.code for event in found] == ["job:notice"]


def test_a_port_in_use_is_the_programs_only_where_the_program_says_so() -> None:
    daemon = "Nov 18 02:36:36 n1 slurmd[19]: error: Error binding slurm stream socket: Address already in use\n"
    assert "job:precondition" not in codes(daemon)
    found = application_log.parse(
        TextDocument("x.log", "", "OSError: [Errno 98] Address already in use\n")
    ).facts.events
    assert [event.code for event in found] == ["job:precondition"]


LATER = """
nccl:usage_error|hpc-25-14:18569:18835 [0] bootstrap.cc:131 NCCL WARN Bootstrap Root : rank 1 of 8 ranks has already checked in
nccl:network_error|(ActorModelRayActor pid=41, ip=10.19.24.110) mlx5: gpu-7: got completion with error:
gpu:none_to_serve|2023/06/12 09:21:25 No devices found. Waiting indefinitely.
gpu:marked_unhealthy|Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu
ray:memory_kill|[2022-08-17 02:34:49,260 E 99 99] (raylet) node_manager.cc:2926: [0] Killing worker with the latest task assigned time to free up memory.
ray:node_lost|2023-02-24 04:30:19,237 WARNING worker.py:1851 -- Raylet is terminated: ip=10.1.7.5, id=abc3. Termination is unexpected.
oom:kill|slurmstepd-gpu7: error: Step 1141810.0 exceeded memory limit (52917772 > 20971520), being killed
oom:kill|srun: error: gpu-b7: task 0: Out Of Memory
slurm:error|slurmd[13562]: spank-epilog: error: pyxis: mkdir: cannot create directory '/scratch/enroot/data': Permission denied
"""


@pytest.mark.parametrize("row", rows(LATER))
def test_lines_of_plugins_runtimes_and_launchers(row: str) -> None:
    code, _, line = row.partition("|")
    found = application_log.parse(TextDocument("x.log", "", line + "\n")).facts.events
    assert [event.code for event in found] == [code]


def test_a_probe_that_was_not_called_means_another_driver_and_is_no_fault_of_gpus() -> None:
    (event,) = read("[  12.0] NVRM: The NVIDIA probe routine was not called for 3 device(s).\n")
    assert event.code == "driver:device_taken"
    assert weigh_event(event).fault == "gpu_driver_not_loaded"


def test_logs_of_the_firmware_that_are_not_shipped_are_no_fault() -> None:
    lines = "nvidia 0000:01:00.0: Direct firmware load for nvidia/610.57.04/gsp_log_ga10x.bin failed, error -2"
    assert codes(f"[  9.0] {lines}\n") == ["driver:platform_notice"]
    assert codes("[  9.0] nvidia 0000:01:00.0: Direct firmware load for nvidia/610.57.04/gsp_ga10x.bin failed\n") == [
        "driver:firmware_missing"
    ]
