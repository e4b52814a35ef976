"""Families of GPU, scheduler, Kubernetes and server texts: the sick member, its harmless sister, and tables without heads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from tools.document import TextDocument
from tools.parsers import application_log, dcgmi, gpu_processes, kube_tables, nvidia_smi, nvidia_smi_query, slurm_tables
from tools.parsers._kernel_forms import split_head
from tools.sources.recording import RecordingSource

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)


def judge(tmp_path, text):
    path = tmp_path / "paste.txt"
    path.write_text(text, encoding="utf-8")
    first = triage(RecordingSource([path], max_bytes=10**7).read_facts(), site=SitePolicy(), now=NOW).verdicts[0]
    return first.fault, first.action


def codes(parser, text):
    return [event.code for event in parser.parse(TextDocument("x.txt", "", text)).facts.events]


EVENT_HEAD = "Events:\n  Type     Reason   Age   From   Message\n  ----     ------   ----  ----   -------\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("NVRM: The NVIDIA GPU 0000:c1:00.0 (PCI ID: 10de:2c02) requires use of the NVIDIA open kernel modules.\n"
         "NVRM: GPU 0000:c1:00.0: RmInitAdapter failed! (0x22:0x56:894)\n", "gpu_driver_not_loaded"),
        ("[ 51.7] gdrdrv: disagrees about version of symbol nvidia_p2p_get_pages\n", "gpu_driver_not_loaded"),
        ("[ 60.0] NVRM: nvAssertFailedNoLog: Assertion failed: Back to back GSP RPC timeout detected! GPU marked for "
         "reset @ kernel_gsp.c:2401\n", "gpu_gsp_fault"),
        ("E0701 11:02:44.1 1 health.go:170] XidCriticalError: Xid=64 on Device=GPU-0a1b...; marking device as unhealthy."
         "\nI0701 11:02:44.2 1 server.go:278] 'nvidia.com/gpu' device marked unhealthy: GPU-0a1b...\n",
         "gpu_memory_remap_failure"),
        ("collector: NVML_ERROR_GPU_IS_LOST while reading temperature of device 6\n", "gpu_off_bus"),
        ("pynvml.NVMLError_LibRmVersionMismatch: Driver/library version mismatch\n", "gpu_driver_mismatch"),
        (EVENT_HEAD + "  Normal   NodeNotReady  9m  kubelet, gx-4  Node gx-4 status is now: NodeNotReady\n"
         "  Warning  SystemOOM     4m  kubelet, gx-4  System OOM encountered, victim process: trainer, pid: 9\n",
         "host_memory_exhausted"),
        (EVENT_HEAD + "  Warning  ImageGCFailed  4m  kubelet  wanted to free 12 bytes, but freed 0 bytes\n",
         "host_resource_limit"),
        (EVENT_HEAD + "  Normal  Starting  4m  kubelet  Starting kubelet.\n  Normal  NodeHasNoDiskPressure  4m  kubelet  "
         "Node gx-4 status is now: NodeHasNoDiskPressure\n", "benign"),
        ("Name:               gx-9\nRoles:              worker\nTaints:             node.kubernetes.io/pid-pressure:"
         "NoSchedule\nUnschedulable:      false\n", "host_resource_limit"),
        ("Name:               gx-9\nRoles:              worker\nTaints:             nvidia.com/gpu=present:NoSchedule\n"
         "Unschedulable:      false\n", "healthy"),
        ("Capacity:\n  nvidia.com/gpu:     4\nAllocatable:\n  nvidia.com/gpu:     3\n", "gpu_missing"),
        ("Capacity:\n  nvidia.com/gpu:     4\nAllocatable:\n  nvidia.com/gpu:     4\n", "healthy"),
        ("gx-11   NotReady   worker   9d   v1.29.4\ngx-12   Ready   worker   9d   v1.29.4\n", "node_down"),
        ("Low RealMemory       slurm     2024-05-05T08:00:01 tower[3-4]\n", "config_drift"),
        ("gres/gpu count repor slurm     2024-05-05T08:00:01 tower7\n", "gpu_missing"),
        ("[2025-01-02 03:04:05] Health check failed. Server couldn't get a response from detokenizer for last 20 seconds"
         "\n", "llm_unavailable"),
        ("WARNING: There was an error initializing an OpenFabrics device.\n", "benign"),
        ("  File \"engine/scheduler.py\", line 12, in step\n    assert free >= 0\nAssertionError\n", "job_crash"),
        (" iteration   90/ 100 | consumed samples: 720 | loss scale: 1.0 | grad norm: nan | skipped iterations: 0 |\n",
         "job_crash"),
        ("[17000.1] [n1:7:0]  ib_mlx5.c:77  UCX  ERROR Failed to query mlx5 device attributes\n",
         "job_precondition_failed"),
        ("[17000.1] [n1:7:0]  sock.c:77  UCX  ERROR connect(fd=4, dest_addr=10.1.1.1:99) failed: Connection timed out\n",
         "network_unreachable"),
    ],
)  # fmt: skip
def test_a_family_has_its_fault(tmp_path, text, fault):
    assert judge(tmp_path, text)[0] == fault


def test_a_driver_that_refuses_the_gpu_asks_for_no_reset(tmp_path):
    text = (
        "NVRM: The NVIDIA GPU 0000:41:00.0 (PCI ID: 10de:2b85)\n"
        "NVRM: installed in this system requires use of the NVIDIA open kernel modules.\n"
        "NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x22:0x56:894)\n"
    )
    assert judge(tmp_path, text) == ("gpu_driver_not_loaded", "update_software")


ROW = "|   1  NVIDIA L40S                Off |   00000000:A1:00.0 Off |                    0 |\n"


@pytest.mark.parametrize(
    ("second", "code"),
    [
        ("| N/A   34C    P8           ERR! / 350W |       4MiB /  46068MiB |      0%      Default |\n", "gpu:cell_unreadable"),
        ("| N/A   34C    P8           33W /  ERR! |       4MiB /  46068MiB |      0%      Default |\n", "gpu:cell_unreadable"),
        ("| N/A  ERR!  ERR!           ERR! / ERR! |       4MiB /  46068MiB |     ERR!     Default |\n", "gpu:err_reading"),
        ("| N/A   34C    P8           ERR! / 350W |   GPU is lost          |     ERR!     Default |\n", "gpu:err_reading"),
    ],
)  # fmt: skip
def test_power_alone_that_cannot_be_read_is_a_sensor(second, code):
    assert next(found for found in codes(nvidia_smi, ROW + second) if found.startswith("gpu:")) == code


HEAD = (
    "| NVIDIA-SMI 555.42.02              Driver Version: 555.42.02      CUDA Version: 12.5     |\n"
    "|-----------------------------------------+------------------------+----------------------+\n"
    "|                                         |                        |               MIG M. |\n"
    "|=========================================+========================+======================|\n"
)
WHOLE = ROW.replace("   1  ", "   0  ") + (
    "| N/A   34C    P8           33W /  350W |       4MiB /  46068MiB |      0%      Default |\n"
    "|                                         |                        |             Disabled |\n"
)


def test_whole_rows_of_a_cut_table_are_benign_and_cut_rows_unknown(tmp_path):
    assert judge(tmp_path, HEAD + WHOLE)[0] == "benign"
    assert judge(tmp_path, HEAD + "\n".join(WHOLE.splitlines()[:1]) + "\n")[0] == "unknown"
    assert judge(tmp_path, HEAD + WHOLE + "[...]\n")[0] == "unknown"


def test_errors_of_a_mig_device_are_those_of_its_gpu():
    box = (
        "| MIG devices:                                                                |\n"
        "| GPU  GI  CI  MIG |         Memory-Usage |        Vol|         Shared        |\n"
        "|  3    7   0   0  |     12MiB /  9728MiB | 14      {ecc} |  1   0    0    0    0 |\n"
    )
    for ecc in "02":
        (window,) = nvidia_smi.parse(TextDocument("x", "", box.format(ecc=ecc))).facts.windows
        assert window.values["gpu_ecc_uncorrected_volatile_total"].tolist() == [[float(ecc)]]


def test_counters_of_throttling_are_history():
    text = (
        "    Clocks Event Reasons\n        HW Slowdown                : Not Active\n"
        "    Clocks Event Reasons Counters\n        SW Power Capping           : {} us\n"
        "        HW Thermal Slowdown        : 0 us\n"
    )
    assert codes(nvidia_smi_query, text.format(987654321000)) == ["gpu:was_throttled"]
    assert codes(nvidia_smi_query, text.format(120)) == []


def test_dmon_without_its_head_is_read_by_its_columns():
    rows = "".join(
        f"    {gpu}    412     57     61     98      7      0      0      0      0   2619   1755\n" for gpu in (0, 1)
    )
    assert gpu_processes.recognise(rows.splitlines()) > 0.5
    (window,) = gpu_processes.parse(TextDocument("x", "", rows)).facts.windows
    assert window.values["gpu_temperature_celsius"].tolist() == [[57.0], [57.0]]
    other = " 1 0 0 7312 112 9932 0 0 3 21 11 99\n 2 0 0 7312 112 9932 0 0 3 21 11 99\n"
    assert gpu_processes.recognise(other.splitlines()) == 0.0


def test_a_diagnostic_without_its_head():
    failed = (
        "| GPU Memory                | Fail - GPU: 2                                  |\n"
        "| Warning                   | GPU 2 Thermal violations totaling 9.1 seconds  |\n"
        "|                           |  started at 4.2 seconds into the test for GPU  |\n"
    )
    passed = "| GPU Memory                | Pass - All                                     |\n"
    assert codes(dcgmi, failed) == ["dcgm:thermal"]
    assert codes(dcgmi, passed) == ["dcgm:passed"]
    assert dcgmi.recognise(passed.splitlines()) > 0.9


def test_reasons_without_their_head_name_each_node():
    text = (
        "Kill task failed     root      2024-05-05T08:00:01 n[1-2]\nbatch job complete f root  2024-05-05T08:00:01 n9\n"
    )
    events = slurm_tables.parse(TextDocument("x", "", text)).facts.events
    assert [(event.code, event.node) for event in events] == [
        ("slurm:unkillable", "n1"),
        ("slurm:unkillable", "n2"),
        ("slurm:error", "n9"),
    ]


def test_a_console_line_of_talos_has_a_time_a_host_and_a_writer():
    head = split_head("10.9.8.7: kern:     err: [2026-01-02T03:04:05.5Z]: NVRM: Xid (PCI:0000:0b:00): 79, x")
    assert (head.node, head.writer, head.moment.clock) == ("10.9.8.7", "kernel", "utc")
    assert head.text.startswith("NVRM: Xid")
    assert split_head("10.9.8.7: user: warning: [2026-01-02T03:04:05Z]: NVRM: Xid").writer == "user"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("4m   Warning   Evicted   pod/x   The node was low on resource: ephemeral-storage.", "limit:evicted"),
        ("4m   Warning   Unhealthy   pod/x   Readiness probe failed: HTTP probe failed with statuscode: 503",
         "kube:probe_failed"),
        ("4m   Warning   OddReason   pod/x   Something new", "kube:warning"),
        ("4m   Normal    OddReason   pod/x   Something new", "kube:normal"),
    ],
)  # fmt: skip
def test_events_by_their_reason(row, code):
    assert codes(application_log, row + "\n") == [code]


def test_conditions_of_a_node():
    text = (
        "  DiskPressure     True      Tue, 02 Jan 2024 01:02:03 +0100   Tue, 02 Jan 2024 01:02:03 +0100   K   full\n"
        "  Ready            Unknown   Tue, 02 Jan 2024 01:02:03 +0100   Tue, 02 Jan 2024 01:02:03 +0100   N   gone\n"
        "  PIDPressure      False     Tue, 02 Jan 2024 01:02:03 +0100   Tue, 02 Jan 2024 01:02:03 +0100   K   fine\n"
    )
    assert codes(kube_tables, text) == ["limit:evicted", "kube:node_not_ready"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("watcher: Detected XID 79 on GPU 3", ["xid:79"]),
        ("XID 64(row remapping failed) detected on PCI:0000:ae:00", ["xid:64"]),
        ("gpu-monitor: Xid error: 48 on device nvidia2", ["xid:48"]),
        ("gpu-monitor: ignoring Xid 13 of GPU 2, it is the program's", []),
        ("gpu-monitor: registering GPU events, Xid 79 among them", []),
        ("nfs: RPC xid 4711 timed out", []),
        ("exporter: XID 9999 of GPU 2", []),
    ],
)
def test_monitors_tell_an_xid_in_their_own_words(line, found):
    assert [code for code in codes(application_log, line + "\n") if code.startswith("xid:")] == found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Stopping NVIDIA persistence daemon...\nUnloading NVIDIA driver kernel modules...\n", "healthy"),
        ("Could not resolve Linux kernel version\nResolving Linux kernel version...\n", "gpu_driver_not_loaded"),
        ("docker: Error response from daemon: OCI runtime create failed: stat /usr/bin/hook: no such file\n",
         "job_precondition_failed"),
        ("nvidia-container-cli: initialization error: driver error: failed to process request\n", "gpu_driver_fault"),
        ("(raylet) A worker died or was killed while executing a task by an unexpected system error.\n", "job_crash"),
    ],
)  # fmt: skip
def test_installers_and_containers(tmp_path, text, fault):
    told, action = judge(tmp_path, text)
    assert told == fault
    assert action not in ("reboot_node", "reset_gpu", "replace_part", "drain_node")


def test_the_warning_of_nvidia_smi_is_its_own_word():
    event = nvidia_smi.parse(TextDocument("x", "", "WARNING: infoROM is corrupted at gpu 0000:5B:00.0\n")).facts.events[
        0
    ]
    assert (event.code, event.writer) == ("gpu:inforom", "tool")


def test_rows_of_processes_without_their_head(tmp_path):
    held = "|    3   N/A  N/A     5120      C   [Not Found]                     61440MiB |\n"
    assert codes(nvidia_smi, held) == ["gpu:process_gone"]
    assert codes(nvidia_smi, held.replace("[Not Found]", "/bin/train ")) == []
    assert judge(tmp_path, "    1      5120     C     88     40      -      -    train\n") == ("healthy", "none")


def test_events_of_old_kubernetes_are_set_with_tabs():
    row = "1h\t12s\t34\tkubelet, gx-4\t\tWarning\t\tEvictionThresholdMet\tAttempting to reclaim nodefs\n"
    events = application_log.parse(TextDocument("x", "", row)).facts.events
    assert [event.code for event in events] == ["limit:evicted"]


def test_a_title_and_a_level_make_a_line_of_a_program(tmp_path):
    assert judge(tmp_path, "[TensorRT-LLM][INFO] Engine version 0.17.0 found in the config file\n")[0] == "healthy"
