"""Logs of GPU jobs and services: what comes out, about which job and node, on which clock."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts
from tools.document import TextDocument
from tools.parsers import application_log, kernel_log
from tools.parsers._app_forms import job_of_label
from tools.types import Event


def events(text: str, *, label: str = "run.log", node: str = "") -> list[Event]:
    return list(application_log.parse(TextDocument(label, node, text)).facts.events)


def one(text: str, *, label: str = "run.log", node: str = "") -> Event:
    found = events(text, label=label, node=node)
    assert len(found) == 1, [e.code for e in found]
    return found[0]


LINES = """
nccl:timeout|[rank5]:[E304 09:25:03.120044771 ProcessGroupNCCL.cpp:616] [Rank 5] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=90211, OpType=_REDUCE_SCATTER_BASE, NumelIn=4096, NumelOut=512, Timeout(ms)=1800000) ran for 1800044 milliseconds before timing out.
nccl:timeout|[E ProcessGroupNCCL.cpp:474] [Rank 2] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7, OpType=ALLGATHER, Timeout(ms)=1800000) ran for 1800611 milliseconds before timing out.
nccl:timeout|[E ProcessGroupNCCL.cpp:566] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(OpType=ALLREDUCE, TensorShape=[1], Timeout(ms)=1800000) ran for 1808422 milliseconds before timing out.
nccl:timeout|[rank0]:[F304 09:25:03.1 ProcessGroupNCCL.cpp:1557] [PG ID 0 PG GUID 0(default_pg) Rank 0] [PG ID 0 PG GUID 0(default_pg) Rank 0] Terminating the process after attempting to dump debug info, due to collective timeout or exception. Heartbeat monitor timed out!
nccl:timeout|torch.distributed.DistStoreError: Timed out after 1801 seconds waiting for clients. 3/4 clients joined.
nccl:desync|Detected mismatch between collectives on ranks. Rank 3 is running collective: CollectiveFingerPrint(OpType=BROADCAST)
nccl:network_error|gpu-7:4410:4502 [3] NCCL WARN NET/IB : Got completion from peer 10.7.0.3<41010> with status=12 opcode=129 len=0 vendor err 129 (Recv)
nic:link_down|gpu-7:4410:4502 [3] transport/net_ib.cc:1298 NCCL WARN NET/IB : mlx5_2:1 Got async event : port error
nccl:network_error|gpu-7:4410:4502 [0] NCCL WARN socketStartConnect: Connect to 10.7.0.3<50011> failed : No route to host
nccl:network_error|gpu-7:4410:4502 [0] misc/socket.cc:484 NCCL WARN socketStartConnect: Connect to 10.7.0.3<50011> failed : Connection refused
nccl:remote_error|gpu-7:4410:4502 [0] NCCL WARN Net : Connection closed by remote peer gpu-8.cluster<48110>
nccl:system_error|ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.
nccl:remote_error|ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.
nccl:ok|gpu-7:4410:4502 [0] NCCL INFO comm 0x5581 rank 0 nranks 16 cudaDev 0 nvmlDev 0 busId 1b000 commId 0x7a - Init COMPLETE
cuda:error|RuntimeError: CUDA error: an illegal memory access was encountered
cuda:error|[rank1]: torch.AcceleratorError: CUDA error: unspecified launch failure
cuda:error|gpu-7:4410:4502 [0] NCCL WARN Cuda failure 'an illegal memory access was encountered'
cuda:error|RuntimeError: CUDA error: device-side assert triggered
cuda:ecc|RuntimeError: CUDA error: uncorrectable ECC error encountered
cuda:oom|torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 3 has a total capacity of 79.11 GiB
cuda:no_device|RuntimeError: No CUDA GPUs are available
cuda:driver_insufficient|RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version
fabric:down|RuntimeError: CUDA error: system not yet initialized
network:timeout|[1741076703.120] [gpu-7:4410:0]    ib_mlx5_log.c:177  UCX  ERROR Transport retry count exceeded on mlx5_2:1/IB (synd 0x15 vend 0x81 hw_synd 0/0)
network:timeout|[gpu-7][[4410,1],3][btl_tcp_endpoint.c:626:mca_btl_tcp_endpoint_recv_connect_ack] connect() to 10.7.0.3 failed: Connection timed out (110)
job:killed|mpirun noticed that process rank 3 with PID 4410 on node gpu-7 exited on signal 9 (Killed).
job:killed|srun: error: gpu-7: task 3: Killed
job:failed|srun: error: gpu-7: tasks 0-7: Exited with exit code 1
job:cancelled|slurmstepd: error: *** JOB 88121 ON gpu-7 CANCELLED AT 2025-03-04T09:25:03 DUE TO TIME LIMIT ***
oom:kill|slurmstepd: error: Detected 1 oom_kill event in StepId=88121.0. Some of the step tasks have been OOM Killed.
torch:error|torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
torch:error|ValueError: batch size must be positive
torch:error|E0304 09:25:03.120000 4410 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 2 (pid: 4502) of binary: /usr/bin/python3
fabric:error|[Mar 04 2025 09:25:03] [ERROR] [tid 881] failed to find the GPU handle 81230 in the multicast team request setup 7712.
sxid:20034|[Mar 04 2025 09:25:03] [ERROR] [tid 881] detected NVSwitch fatal error 20034 on fid 0 on NVSwitch pci bus id 00000000:86:00.0 physical id 3 port 12
fabric:not_needed|[Mar 04 2025 09:25:03] [ERROR] [tid 881] request to query NVSwitch device information from NVSwitch driver failed with error:WARNING Nothing to do [NV_WARN_NOTHING_TO_DO]
fabric:down|Mar  4 09:25:03 gpu-7 systemd[1]: nvidia-fabricmanager.service: Main process exited, code=exited, status=1/FAILURE
fabric:down|Mar  4 09:25:03 gpu-7 systemd[1]: Failed to start NVIDIA fabric manager service.
driver:persistence_failed|Mar  4 09:25:03 gpu-7 systemd[1]: nvidia-persistenced.service: Failed with result 'exit-code'.
slurm:error|[2025-03-04T09:25:03.120] slurmd: fatal: Unable to create a socket
slurm:node_down|[2025-03-04T09:25:03.120] error: Nodes gpu-7 not responding, setting DOWN
slurm:gpu_missing|[2025-03-04T09:25:03.120] error: _slurm_rpc_node_registration node=gpu-7: gres/gpu count reported lower than configured (7 < 8)
vllm:engine_dead|ERROR 03-04 09:25:03 [async_llm.py:419] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.
vllm:preempted|WARNING 03-04 09:25:03 scheduler.py:1057] Sequence group 7 is preempted by PreemptionMode.RECOMPUTE mode because there is not enough KV cache space.
limit:disk_space|OSError: [Errno 28] No space left on device
network:timeout|APPRETRY 1120000010 2005.06.28 R77-M1-N3-I:J18-U01 2005-06-28-16.06.50.101010 R77-M1-N3-I:J18-U01 RAS APP FATAL ciod: failed to read message prefix on control stream (CioStream socket to 10.1.2.3:4410
lustre:mount_failed|MNTX 1120000010 2005.06.28 R77-M1-N3-I:J18-U01 2005-06-28-16.06.50.101010 R77-M1-N3-I:J18-U01 RAS KERNEL FATAL Lustre mount FAILED : io77 : point /p/scratch
edac:uncorrected|- 1120000010 2005.06.28 R77-M1-N3-C:J18-U01 2005-06-28-16.06.50.101010 R77-M1-N3-C:J18-U01 RAS KERNEL FATAL uncorrectable error detected in directory 0
kernel:panic|KPANIC 1120000010 2005.06.28 R77-M1-N3-C:J18-U01 2005-06-28-16.06.50.101010 R77-M1-N3-C:J18-U01 RAS KERNEL FATAL rts: kernel terminated for reason 1004
""".strip().splitlines()


@pytest.mark.parametrize("row", LINES, ids=lambda row: row[:46])
def test_one_line_of_every_family(row: str) -> None:
    code, _, line = row.partition("|")
    event = one(line + "\n")
    assert event.code == code
    assert code in code_facts() or code.startswith("sxid:")
    assert application_log.recognise([line]) + kernel_log.recognise([line]) >= 0.6


HARMLESS = """
[Mar 04 2025 09:25:03] [INFO] [tid 881] multicast group 3 is allocated.
gpu-7:4410:4502 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB [RO]; OOB eth0:10.7.0.2<0>
gpu-7:4410:4410 [0] NCCL INFO Bootstrap : Using eth0:10.7.0.2<0>
[rank0]: step 4711 loss 2.117 tokens/s 91022
INFO 03-04 09:25:03 [loggers.py:116] Engine 000: Avg prompt throughput: 812.0 tokens/s, GPU KV cache usage: 11.0%
[2025-03-04T09:25:03.120] launch task StepId=88121.0 request from UID:1002
2025-03-04 09:25:03,120 - INFO - saved checkpoint 12
- 1120000010 2005.06.28 R77-M1-N3-C:J18-U01 2005-06-28-16.06.50.101010 R77-M1-N3-C:J18-U01 RAS KERNEL INFO generating core.881
Mar  4 09:25:03 gpu-7 systemd[1]: nvidia-fabricmanager.service: Deactivated successfully.
Mar  4 09:25:03 gpu-7 systemd[1]: nvidia-persistenced.service: Main process exited, code=exited, status=0/SUCCESS
Mar  4 09:25:03 gpu-7 sshd[881]: Connection closed by 10.1.2.3 port 41010 [preauth]
""".strip().splitlines()


@pytest.mark.parametrize("line", HARMLESS)
def test_healthy_lines_make_no_event_and_are_read(line: str) -> None:
    parsed = application_log.parse(TextDocument("x", "", line + "\n"))
    assert parsed.facts.events == ()
    assert parsed.unread.unread == 0


def test_the_fields_of_a_watchdog_line() -> None:
    event = one(LINES[0].partition("|")[2], label="logs/slurm-88121.out", node="gpu-7")
    wanted = {"rank": "5", "seq": "90211", "op": "_REDUCE_SCATTER_BASE", "timeout_ms": "1800000", "ran_ms": "1800044"}
    assert {key: event.fields[key] for key in wanted} == wanted
    assert str(event.entity) == "job:88121"
    assert (event.job, event.node) == ("88121", "gpu-7")
    assert (event.moment.clock, event.moment.year_known) == ("none", True) or event.moment.clock == "local"
    assert one(LINES[1].partition("|")[2]).fields["rank"] == "2"


def test_the_clock_of_glog_has_no_year() -> None:
    line = "[rank0]:[E0304 09:25:03.120044 ProcessGroupNCCL.cpp:616] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1, OpType=BROADCAST, Timeout(ms)=1) ran for 2 milliseconds before timing out."
    moment = one(line).moment
    assert moment.clock == "local"
    assert not moment.year_known
    stamped = one(LINES[33].partition("|")[2]).moment
    assert (stamped.clock, stamped.year_known) == ("local", True)


def test_without_a_job_the_events_of_a_node_are_its_unnamed_job() -> None:
    event = one(LINES[6].partition("|")[2])
    assert str(event.entity) == "job:gpu-7/?"
    assert event.node == "gpu-7"
    assert event.fields["peer"] == "10.7.0.3<41010>"
    assert event.fields["meaning"] == "retry_exceeded"


def test_the_job_of_the_line_comes_before_the_job_of_the_file() -> None:
    line = "slurmstepd: error: *** JOB 91 ON gpu-7 CANCELLED AT 2025-03-04T09:25:03 DUE TO NODE FAILURE ***"
    event = one(line, label="slurm-88121.out")
    assert event.job == "91"
    assert event.fields["reason"] == "NODE FAILURE"
    assert event.fields["node"] == "gpu-7"


@pytest.mark.parametrize(
    ("label", "job"),
    [
        ("slurm-88121.out", "88121"), ("logs/job-88121.log", "88121"), ("job_88121.err", "88121"),
        ("slurm-88121_4.out", "88121"), ("run.log", ""), ("kern.log", ""), ("messages-20250304", ""), ("88121.out", "88121"),
    ],
)  # fmt: skip
def test_the_job_in_the_name_of_a_file(label: str, job: str) -> None:
    assert job_of_label(label) == job


def test_a_traceback_is_read_and_its_last_line_is_the_event() -> None:
    parsed = application_log.parse(
        TextDocument(
            "slurm-5001.out",
            "",
            "Traceback (most recent call last):\n"
            '  File "/home/u/train.py", line 41, in <module>\n'
            "    main()\n"
            '  File "/home/u/train.py", line 12, in main\n'
            "    raise RuntimeError(reason)\n"
            "RuntimeError: the data set is empty\n",
        )
    )
    (event,) = parsed.facts.events
    assert (event.code, event.fields["error"], event.job) == ("torch:error", "RuntimeError", "5001")
    assert parsed.unread.unread == 0


def test_a_program_that_prints_a_kernel_line_is_no_kernel() -> None:
    line = "2025-03-04 09:25:03,120 ERROR trainer: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=x, GPU has fallen off the bus."
    event = one(line)
    assert (event.code, event.writer) == ("xid:79", "user")


def test_only_one_of_the_two_parsers_takes_a_log() -> None:
    kernel = ["[1.0] usb 1-1: new device", "[1.1] NVRM: loading"]
    program = [row.partition("|")[2] for row in LINES[:6]]
    assert kernel_log.recognise(kernel) > 0
    assert application_log.recognise(kernel) == 0
    assert application_log.recognise(program) > 0
    assert kernel_log.recognise(program) == 0
    assert kernel_log.recognise(["Device r/s w/s", "sda 0.1 0.2"]) == 0
    assert application_log.recognise(["Device r/s w/s", "sda 0.1 0.2", ""]) == 0


@pytest.mark.parametrize("prefix", ["gpu-01: ", "gpu-01:", "gpu-01: 3: "])
def test_the_host_that_a_launcher_puts_first_is_read_and_hides_no_time(prefix):
    line = (
        "[rank3]:[E1124 02:40:31.512 ProcessGroupNCCL.cpp:632] [Rank 3] Watchdog caught collective operation timeout: "
    )
    text = f"{prefix}{line}WorkNCCL(SeqNum=7, OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600001 milliseconds\n"
    (event,) = application_log.parse(TextDocument("train.log", "", text)).facts.events
    assert event.code == "nccl:timeout" and event.fields["rank"] == "3"
    assert event.node == "gpu-01"
    assert event.moment.clock == "local" and event.moment.seconds is not None
