"""Who wrote a kernel line: a job can print one, and its output then is no word of the kernel."""

from __future__ import annotations

import pytest

from agent.judge import judge
from tools.names import is_job_output
from tools.sources.recording import RecordingSource
from tools.types import Facts

XID = "NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
FORGED = f"[1893412.2] {XID}\n"
NCCL = "".join(
    f"[rank{rank}]:[E1120 02:24:31.512438127 ProcessGroupNCCL.cpp:632] [Rank {rank}] Watchdog caught collective "
    "operation timeout: WorkNCCL(SeqNum=48213, OpType=ALLREDUCE, NumelIn=67108864, NumelOut=67108864, "
    "Timeout(ms)=600000) ran for 600013 milliseconds before timing out.\n"
    for rank in (3, 7, 11)
)


def read(tmp_path, name: str, text: str) -> Facts:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return RecordingSource([path], max_bytes=10**6).read_facts()


def writers(facts: Facts) -> set[str]:
    return {event.writer for event in facts.events if event.code.startswith(("xid:", "gpu:"))}


def confirmed(facts: Facts) -> list[str]:
    cases = [case for case in judge(facts) if case.confidence == "confirmed"]
    return [case.primary.fault for case in cases if case.primary.fault.startswith("gpu_")]


@pytest.mark.parametrize("name", ["slurm-1.out", "job-4711.log", "slurm-88_3.err", "job.4711.out.txt"])
@pytest.mark.parametrize("text", [NCCL + FORGED, FORGED + NCCL, FORGED, NCCL + XID + "\n", f"{XID}\n"])
def test_what_a_job_printed_is_no_word_of_the_kernel(tmp_path, name, text):
    facts = read(tmp_path, name, text)
    assert writers(facts) == {"user"}
    assert not confirmed(facts)


@pytest.mark.parametrize("prefix", ["[rank3]: ", "3: ", "[rank3]:"])
def test_a_line_that_a_rank_printed_is_the_rank_s_in_any_file(tmp_path, prefix):
    facts = read(tmp_path, "train.txt", NCCL + prefix + FORGED)
    assert writers(facts) == {"user"}
    assert not confirmed(facts)


@pytest.mark.parametrize("head", ["", "[1893412.214926] ", "Nov 20 02:14:09 n7 kernel: [18934.214926] "])
def test_kernel_lines_before_those_of_a_job_in_one_paste_still_explain_the_hang(tmp_path, head):
    facts = read(tmp_path, "ticket.txt", f"{head}{XID}\n{NCCL}")
    assert "user" not in writers(facts)
    first = judge(facts)[0]
    # A line without any head may be the job's own.
    assert first.primary.fault == "gpu_off_bus" and first.confidence == ("confirmed" if head else "likely")
    assert [folded.suspicion.fault for folded in first.consequences] == ["collective_hang"]


def test_a_kernel_log_that_was_kept_for_a_job_is_the_kernel_s(tmp_path):
    facts = read(tmp_path, "job-4711-dmesg.log", FORGED)
    assert writers(facts) == {"kernel"}


@pytest.mark.parametrize(
    ("label", "is_output"),
    [
        ("out/slurm-4711.out", True),
        ("slurm-4711_12.err.gz", True),
        ("job4711.log", True),
        ("20251120.log", False),
        ("slurmd.log", False),
        ("job-4711-kern.log", False),
        ("kern.log", False),
    ],
)
def test_which_name_is_that_of_a_job_s_output(label, is_output):
    assert is_job_output(label) is is_output


def test_an_oom_kill_that_the_scheduler_tells_of_counts_as_before(tmp_path):
    text = "slurmstepd: error: Detected 1 oom_kill event in StepId=88121.0. Some of the tasks have been OOM Killed.\n"
    (event,) = read(tmp_path, "slurm-88121.out", text).events
    assert event.code == "oom:kill" and event.writer != "user"
