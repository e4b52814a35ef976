"""GPUs of other makers and other times: open drivers, old drivers, virtual GPUs; and what schedulers and plug-ins calm."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from tools.document import TextDocument
from tools.parsers import kernel_log
from tools.sources.recording import RecordingSource

NOW = datetime(2026, 11, 25, 4, tzinfo=UTC)


def judge(tmp_path, text):
    path = tmp_path / "paste.txt"
    path.write_text(text, encoding="utf-8")
    first = triage(RecordingSource([path], max_bytes=10**7).read_facts(), site=SitePolicy(), now=NOW).verdicts[0]
    return first.fault, first.action


def read(line):
    return [
        (e.code, e.fields.get("pci", "")) for e in kernel_log.parse(TextDocument("x", "", line + "\n")).facts.events
    ]


@pytest.mark.parametrize(
    ("line", "code", "pci"),
    [
        ("nouveau 0000:0a:00.0: gsp: Xid:31 Ch 0000000c, engmask 00000111", "xid:31", "0000:0a:00.0"),
        ("nouveau 0000:0a:00.0: gsp: rc engn:00000001 chid:8 type:31 scope:1 part:233", "gpu:page_fault", "0000:0a:00.0"),
        ("nouveau 0000:0a:00.0: therm: temperature (97 C) hit the 'critical' threshold", "gpu:thermal", "0000:0a:00.0"),
        ("nouveau E[  PGRAPH][0000:0a:00.0] init failed, -110", "gpu:engine_failed", "0000:0a:00.0"),
        ("nouveau E[compton[877]] failed to idle channel 0xcccc0003 [compton[877]]", "gpu:ring_timeout", ""),
        ("nouveau 0000:0a:00.0: unknown chipset (1b2000a1)", "gpu:engine_failed", "0000:0a:00.0"),
        ("nouveau: probe of 0000:0a:00.0 failed with error -22", "gpu:engine_failed", "0000:0a:00.0"),
        ("nouveau E[  PGRAPH][0000:0a:00.0] failed to load fuc41ad", "driver:firmware_missing", "0000:0a:00.0"),
        ("[drm] nouveau 0000:0a:00.0: PFIFO_CACHE_ERROR - Ch 1/3 Mthd 0x0184 Data 0x8000000e", "gpu:page_fault",
         "0000:0a:00.0"),
        ("radeon 0000:0b:00.0: GPU lockup CP stall for more than 10144msec", "gpu:ring_timeout", "0000:0b:00.0"),
        ("radeon 0000:0b:00.0: ring 3 stalled for more than 10240msec", "gpu:ring_timeout", "0000:0b:00.0"),
        ("radeon 0000:0b:00.0: GPU fault detected: 146 0x0d36880c", "gpu:page_fault", "0000:0b:00.0"),
        ("[drm:evergreen_startup [radeon]] *ERROR* ring 0 test failed (scratch(0x8504)=0xCAFEDEAD)", "gpu:init_failed", ""),
        ("[drm:amdgpu_device_init [amdgpu]] *ERROR* hw_init of IP block <psp> failed -22", "gpu:init_failed", ""),
        ("[drm] GPU HANG: ecode 7:1:0x6fbffffe, in glmark2 [914], reason: Hang on render ring", "gpu:ring_timeout", ""),
        ("[drm:i915_hangcheck_elapsed [i915]] *ERROR* Hangcheck timer elapsed... render ring idle", "gpu:ring_timeout", ""),
        ("[fglrx] ASIC hang happened", "gpu:ring_timeout", ""),
        ("i915 0000:00:02.0: [drm] *ERROR* [CRTC:51:pipe A] flip_done timed out", "gpu:display_stalled", "0000:00:02.0"),
        ("[nvidia-vgpu-vfio] 0c1d: start failed. status: 0x1", "driver:vgpu_error", ""),
        ("NVRM: nvAssertOkFailedNoLog: Assertion failed: Reset required [NV_ERR_RESET_REQUIRED] (0x00000062) returned "
         "from rmStatus @ fifo.c:9", "gpu:reset_required", ""),
    ],
)  # fmt: skip
def test_lines_of_other_drivers(line, code, pci):
    assert read(line) == [(code, pci)]


@pytest.mark.parametrize(
    "line",
    [
        "nouveau 0000:0a:00.0: therm: temperature (61 C) went below the 'fanboost' threshold",
        "nouveau 0000:0a:00.0: bus: MMIO read of 00000000 FAULT at 619444 [ PRIVRING ]",
        "nouveau 0000:0a:00.0: DRM: Pointer to flat panel table invalid",
        "nouveau  [     PFB][0000:0a:00.0] RAM size: 1024 MiB",
        "radeon 0000:0b:00.0: ring 5 use gpu addr 0x0000000000072118",
        "[drm] ring test on 3 succeeded in 2 usecs",
    ],
)
def test_what_other_drivers_say_at_every_start_is_no_event(line):
    assert read(line) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[ 7.1] NVRM: Xid (0004:00): 6, PE0002 0120 00000001 00000000 00000000 00000000\n", "gpu_app_fault"),
        ("[ 7.1] NVRM: Xid (0000:05:00): 5, CMDre 00000001\n", "benign"),
        ("[ 5.1] NVRM:  information.  The 304.88 NVIDIA driver will ignore\n[ 5.1] NVRM:  this GPU.  Continuing probe...\n"
         "[ 5.2] NVRM: No NVIDIA graphics adapter found!\n", "gpu_driver_not_loaded"),
        ("slurmstepd: error: *** JOB 12 ON gx-1 CANCELLED AT 2025-03-01T10:00:00 DUE TO TIME LIMIT ***\n"
         "srun: error: gx-1: task 0: Killed\n", "benign"),
        ("srun: error: gx-1: task 0: Killed\n", "job_crash"),
        ("srun: error: gx-1: task 3: Segmentation fault\nslurmstepd: error: *** STEP 12.0 ON gx-1 CANCELLED AT "
         "2025-03-01T10:00:00 ***\n", "job_crash"),
        ("gx-1:4:9 [0] plugin.cc:9 NCCL WARN Could not bind listener, trying the next one\n"
         "gx-1:4:9 [0] NCCL INFO NET/Fast : Connected after 12 retries.\n", "benign"),
        ("gx-1:4:9 [0] plugin.cc:9 NCCL WARN Could not bind listener, trying the next one\n", "network_unreachable"),
        ("gx-1:4:9 [0] a.cc:9 NCCL WARN Cannot get CPU affinity of the thread\n"
         "gx-1:4:9 [0] NCCL INFO Connected all rings\n", "healthy"),
        ("Didn't receive health check response for replica Replica(id='x1', deployment='llm') after 10.0s, marking it "
         "unhealthy.\n", "llm_unavailable"),
    ],
)  # fmt: skip
def test_what_is_made_of_them(tmp_path, text, fault):
    told, action = judge(tmp_path, text)
    assert told == fault
    assert action not in ("drain_node", "reboot_node", "reset_gpu", "replace_part")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("slurmd: error: Security violation, ping RPC from uid 991\n", "job_precondition_failed"),
        ("[2025-02-02T08:00:00.100] error: Couldn't find the specified plugin name for cgroup/v2\n",
         "job_precondition_failed"),
        ("slurmd: error: Controller memory is not enabled!\nslurmd: error: cpu cgroup controller is not available.\n",
         "job_precondition_failed"),
        ("slurmd: error: Job 12 cgroup/v2: job_12 memory limit exceeded.\n", "host_memory_exhausted"),
        ("2023-05-10 12:16:23.63: E cuda_driver.cc:271] failed call to cuInit: UNKNOWN ERROR (303)\n2023-05-10 12:16:23.64"
         ": I cuda_diagnostics.cc:156] kernel driver does not appear to be running on this host (gx-1): /proc/driver/"
         "nvidia/version does not exist\n", "gpu_driver_not_loaded"),
        ("Nov 25 03:00:01 gx-1 (udev-worker)[77]: nvidia: Process '/sbin/modprobe nvidia-modeset' failed with exit code "
         "1.\n", "gpu_driver_not_loaded"),
        ("Nov 25 03:00:01 gx-1 systemd[1]: nvidia-persistenced.service: Failed with result 'exit-code'.\n",
         "gpu_driver_fault"),
        ("gx-1:4:9 [0] misc/ibvwrap.cc:63 NCCL WARN Failed to open libibverbs.so[.1]\n", "healthy"),
        ("allocatable:\n  cpu: \"8\"\n  nvidia.com/gpu: \"3\"\ncapacity:\n  cpu: \"8\"\n  nvidia.com/gpu: \"4\"\n",
         "gpu_missing"),
        ("\"allocatable\": {\n  \"nvidia.com/gpu\": \"4\"\n},\n\"capacity\": {\n  \"nvidia.com/gpu\": \"4\"\n}\n", "healthy"),
    ],
)  # fmt: skip
def test_what_keeps_a_service_or_a_program_from_its_gpus(tmp_path, text, fault):
    told, action = judge(tmp_path, text)
    assert told == fault
    assert action not in ("reboot_node", "reset_gpu", "replace_part")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("chroot: failed to run command 'nvidia-smi': No such file or directory\ncommand failed, retrying after 5 seconds\n",
         "gpu_driver_not_loaded"),
        ("NAME       DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE\n"
         "exporter   4         4         1       4            1           gpu=true        3h\n", "job_precondition_failed"),
        ("NAME     READY   UP-TO-DATE   AVAILABLE   AGE\nserver   2/2     2            2           3h\n", "healthy"),
        ("Memory access fault by GPU node-3 (Agent handle: 0x5581) on address 0x7f0a. Reason: Page not present.\n",
         "gpu_app_fault"),
        ("HW Exception by GPU node-4 (Agent handle: 0x12) reason :GPU Hang\n", "gpu_app_fault"),
        ("gx-1:4:9 [0] /src/transport/p2p.cc:201 NCCL WARN hipIpcOpenMemHandle failed : invalid argument\n",
         "gpu_app_fault"),
        ("12:00:01 WARN: NVML: can't get fan speed for GPU #2, error code 999\n", "sensor_invalid"),
        ("[ 7.1] NVRM Xid (PCI:0000:0b:00) : 31, Ch 00000009, intr 00008000\n", "gpu_app_fault"),
        ("[2025-07-19 10:43:06,114] [WARNING] [runner.py:196:fetch_hostfile] Unable to find hostfile, will proceed with "
         "training with local resources only.\n", "healthy"),
        ("DCGM_FI_DEV_GPU_TEMP{gpu=\"0\",UUID=\"GPU-1\",Hostname=\"gx-1\"} 41\n", "healthy"),
        ("DCGM_EXP_XID_ERRORS_COUNT{gpu=\"1\",Hostname=\"gx-1\",window_size_in_ms=\"300000\",xid=\"79\"} 1\n", "gpu_off_bus"),
        ("DCGM_EXP_XID_ERRORS_COUNT{gpu=\"1\",Hostname=\"gx-1\",window_size_in_ms=\"300000\",xid=\"79\"} 0\n", "healthy"),
    ],
)  # fmt: skip
def test_metrics_workloads_and_runtimes(tmp_path, text, fault):
    told, action = judge(tmp_path, text)
    assert told == fault
    assert action not in ("reset_gpu", "replace_part", "drain_node")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pstate -> [GPU requires reset]\n", "gpu_internal_fault"),
        ("|   0  NVIDIA L40S                    On  |   XXXXXXXX:XX:XX.X Off |                    0 |\n"
         "| N/A   31C    P8             33W / 350W |       1MiB / 46068MiB |      0%      Default |\n"
         "|                                         |                      |                  N/A |\n", "healthy"),
        ("==> /sys/bus/pci/devices/0000:21:00.0/max_link_width <==\n16\n\n"
         "==> /sys/bus/pci/devices/0000:21:00.0/current_link_width <==\n4\n", "pcie_link_degraded"),
        ("/sys/bus/pci/devices/0000:21:00.0/current_link_width:16\n/sys/bus/pci/devices/0000:21:00.0/max_link_width:16\n",
         "healthy"),
    ],
)  # fmt: skip
def test_cells_that_are_blotted_out_and_lanes_below_sys(tmp_path, text, fault):
    told, action = judge(tmp_path, text)
    assert told == fault
    assert action not in ("reboot_node", "replace_part", "drain_node")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 10020).",
            "gpu_driver_mismatch",
        ),
        (
            "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
            "gpu_driver_not_loaded",
        ),
        (
            "WARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available.",
            "gpu_driver_not_loaded",
        ),
        (
            "ERROR: This container was built for NVIDIA Driver Release 550.54 or later, but\n"
            "       version 470.82 was detected and compatibility mode is UNAVAILABLE.\n\n"
            "       [[System has unsupported display driver / cuda driver combination (error 803)]]",
            "gpu_driver_mismatch",
        ),
        (
            "WARNING: The NVIDIA Driver is present, but CUDA failed to initialize.\n"
            "   [[ System not yet initialized (error 802) ]]",
            "fabric_manager_down",
        ),
        (
            "./solver: error while loading shared libraries: libmpi_cxx.so.40: cannot open shared object file",
            "job_precondition_failed",
        ),
        (
            "OSError: libcublasLt.so.12: cannot open shared object file: No such file or directory",
            "job_precondition_failed",
        ),
        (
            "python: symbol lookup error: /opt/e/libnccl.so.2: undefined symbol: cudaGetDriverEntryPoint",
            "job_precondition_failed",
        ),
        (
            "nvidia-container-cli: ldcache error: process /sbin/ldconfig failed with error code: 1",
            "job_precondition_failed",
        ),
        (
            "RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:1200, invalid usage, NCCL version 2.18.1",
            "job_precondition_failed",
        ),
        (
            "WARNING: There is at least non-excluded one OpenFabrics device found,\n"
            "but there are no active ports detected (or Open MPI was unable to use\nthem).  Local host: c7",
            "nic_link_down",
        ),
        ("\t\tLnkSta:\tSpeed 16GT/s, Width x4 (downgraded)\n\t\t\tTrErr- Train- SlotClk+", "pcie_link_degraded"),
    ],
)
def test_what_is_missing_before_a_program_starts(tmp_path, text, fault):
    """What containers, loaders and launchers lack is told apart from what fails while they run."""
    assert judge(tmp_path, text + "\n")[0] == fault


@pytest.mark.parametrize(
    "text",
    [
        "c3:11:11 [0] NCCL INFO NET/Plugin: Could not find: libnccl-net.so. Using internal network plugin.",
        "NOTE: CUDA Forward Compatibility mode ENABLED.\n  Using CUDA 12.4 driver version 550.54.14 with kernel driver 535.1",
        "W tf2xla/dso_loader.cc:64] Could not load dynamic library 'libnvinfer.so.7'; dlerror: libnvinfer.so.7: cannot open"
        " shared object file\nEpoch 1/3 loss: 0.41\nEpoch 2/3 loss: 0.36",
        "\t\tLnkSta:\tSpeed 2.5GT/s (downgraded), Width x4\n\t\tLnkSta:\tSpeed 8GT/s, Width x8 (downgraded)\n"
        "\t\tLnkSta:\tSpeed 8GT/s, Width x16",
    ],
)
def test_what_is_tried_and_passed_over_is_no_fault(tmp_path, text):
    """A plug-in or a library that a program can do without, and links of devices that nobody named."""
    assert judge(tmp_path, text + "\n")[0] in ("healthy", "benign", "unknown")


@pytest.mark.parametrize(
    ("line", "code", "pci"),
    [
        (
            "amdgpu 0000:0a:00.0: uncorrectable hardware error(ERREVENT_ATHUB_INTERRUPT) detected!",
            "gpu:ras_uncorrected",
            "0000:0a:00.0",
        ),
        (
            "amdgpu 0000:0a:00.0: {4}[Hardware Error]: aca entry[02].STATUS=0xb8000000003e0000",
            "gpu:ras_uncorrected",
            "0000:0a:00.0",
        ),
        (
            "amdgpu 0000:0a:00.0: {4}[Hardware Error]: aca entry[02].STATUS=0x98000000003e0000",
            "gpu:ras_corrected",
            "0000:0a:00.0",
        ),
        (
            "amdgpu 0000:0a:00.0: amdgpu: MES might be in unrecoverable state, issue a GPU reset",
            "gpu:reset_failed",
            "0000:0a:00.0",
        ),
        (
            "habanalabs 0000:9a:00.0: Failed to initialize hl5. Device is NOT usable !",
            "gpu:init_failed",
            "0000:9a:00.0",
        ),
        ("habanalabs hl5: Device heartbeat failed!", "driver:gsp_error", ""),
    ],
)
def test_accelerators_that_fail(line, code, pci):
    """Uncorrected is told from corrected by the status register; a firmware that is silent is its own fault."""
    assert read(f"[ 60.100200] {line}") == [(code, pci)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "One or more tensors were submitted to be reduced by subset of ranks and are waiting for remainder of ranks for"
            " more than 60 seconds. Stalled ops: g0 [ready ranks: 1, 3]",
            "collective_hang",
        ),
        (
            "[ 8.1] NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:\n"
            "[ 8.1] NVRM: BAR1 is 0M @ 0x0 (PCI:0000:3b:00.0)\n"
            "[ 8.2] nvidia: probe of 0000:3b:00.0 failed with error -1\n"
            "[ 8.2] NVRM: The NVIDIA probe routine failed for 1 device(s).",
            "gpu_driver_not_loaded",
        ),
        (
            "qemu-system-x86_64: -device vfio-pci,host=0000:3b:00.0: vfio 0000:3b:00.0: group 41 is not viable",
            "job_precondition_failed",
        ),
        (
            "REASON                    NODELIST\nLow RealMemory            n[07-09]",
            "config_drift",
        ),
    ],
)
def test_what_holds_back_jobs_and_machines(tmp_path, text, fault):
    """Ranks that do not come, windows without room, devices that are held, nodes below their configuration."""
    assert judge(tmp_path, text + "\n")[0] == fault


@pytest.mark.parametrize(
    "text",
    [
        "2024-04-02 12:54:06.828 ERROR [126:128] [[NvSwitch]] Not attached to NvSwitches. Aborting [/a/b.cpp:967] [c::D]",
        "Not supported on the device(s)\nFailed to process command line",
        "GPU 0: Quadro T1000 (UUID: GPU-0f8ad1c3-2222-4f4f-8a8a-0123456789ab",
        "PARTITION AVAIL  TIMELIMIT   JOB_SIZE ROOT  NODES       STATE NODELIST\nbatch*     up   infinite 1-infinite   no     12       idle~ c[01-12]",
        "n7:70:75 [0] INFO Ring 0 :    0   1\nn7:71:76 [1] INFO 1 -> 0 via P2P/IPC\nn7:70:75 [0] INFO Launch mode Parallel",
        "training ...\n[before the start of training step] datetime: 2024-01-02 03:04:05\ntime (ms) | forward-compute: 19.1",
        "GPU   Temp   AvgPwr   SCLK    MCLK    PCLK  Fan  Perf  PwrCap  GPU%\n0     71.0c  92.0W    1138Mhz 800Mhz  8.0GT/s, x16   30%  auto  110.0W  97%",
        "| GPU instance profiles:                                                      |\n"
        "|   0  MIG 2g.20gb       14     3/3        19.50      No     28     1     0   |",
    ],
)
def test_tables_and_starts_that_show_nothing_wrong(tmp_path, text):
    """What merely lists or begins, and what a monitor asks of hardware that a host does not have."""
    assert judge(tmp_path, text + "\n")[0] in ("healthy", "benign")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ErrorCode:DCGM_FR_IMEX_UNHEALTHY GPU:3 PCI:0000:0a:00.0", "fabric_manager_down"),
        ("ErrorCode:DCGM_FR_FALLEN_OFF_BUS GPU:3 PCI:0000:0a:00.0", "gpu_off_bus"),
        ("ErrorCode:DCGM_FR_NVSWITCH_FATAL_ERROR GPU:3 PCI:0000:0a:00.0", "nvswitch_fault"),
        ("ErrorCode:DCGM_FR_PENDING_ROW_REMAP GPU:3 PCI:0000:0a:00.0", "gpu_memory_remap_pending"),
        ("amdgpu: [powerplay] GPU over temperature range detected on PCIe 3:0.0!", "gpu_thermal_throttle"),
        (
            "[ 9.1] amdgpu 0000:0a:00.0: amdgpu: ERROR: System is going to shutdown due to GPU HW CTF!",
            "gpu_thermal_throttle",
        ),
        ("[ 9.1] amdgpu 0000:0a:00.0: amdgpu: SMU: No response msg_reg: 6 resp_reg: 0", "gpu_driver_fault"),
        ("[ERROR] [tid 9] Received import response from node id 4 with failure status 3", "fabric_manager_down"),
    ],
)
def test_names_of_checks_and_words_of_firmware(tmp_path, text, fault):
    """A check of DCGM is known by its name alone; heat and silence of an AMD card by their own words."""
    assert judge(tmp_path, text + "\n")[0] == fault


def test_a_server_that_starts_with_warnings_is_healthy(tmp_path):
    """Warnings that vLLM gives at every start do not make a start suspicious."""
    text = (
        "INFO 06-22 02:54:47 [gpu_worker.py:232] Available KV cache memory: 21.90 GiB\n"
        "WARNING 06-22 02:54:47 [utils.py:101] Unable to detect current VLLM config. Defaulting to NHD kv cache layout.\n"
        "WARNING 06-22 02:54:49 [marlin.py:49] Your GPU does not have native support for FP8 computation\n"
        "INFO 06-22 02:55:02 [gpu_model_runner.py:2196] Graph capturing finished in 14 secs, took 0.84 GiB\n"
    )
    assert judge(tmp_path, text)[0] in ("healthy", "benign")
