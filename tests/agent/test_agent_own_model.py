"""Daytwo's own model on a GPU that is judged: who says so, and which steps it stands in the way of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.own_model import STOP_FIRST, OwnModel
from agent.policy import SitePolicy
from agent.triage import Memory, triage
from tools.entities import make_gpu
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote

NOW = datetime(2026, 11, 25, tzinfo=UTC)
HELD = make_gpu("gx07", index=3, pci="0000:3b:00.0", uuid="GPU-1111")
MODEL = OwnModel("Qwen3-Coder-30B-A3B", "gx07.example.net", (HELD,))


def judge_xid(gpu, code=79, own=(MODEL,), node="gx07"):
    line = f"{node} kernel: NVRM: Xid (PCI:0000:3b:00): {code}, pid=77, GPU has fallen off the bus."
    event = Event(
        Moment("utc", NOW.timestamp() - 60), gpu, f"xid:{code}", Quote("kern.log", 7, line), {"pid": "77"}, "kernel"
    )
    coverage = (Coverage(f"node:{node}", "kernel_log", "read"),) if node else ()
    facts = Facts(events=(event,), coverage=coverage)
    return triage(facts, site=SitePolicy(), now=NOW, memory=Memory(own=own))


def list_guarded(verdict):
    return [step.action for step in verdict.plan if STOP_FIRST in (step.precondition or "")]


def test_a_fault_of_its_gpu_touches_the_model_and_the_plan_stops_it_first():
    report = judge_xid(make_gpu("gx07", pci="0000:3b:00.0"))
    verdict = report.verdicts[0]
    assert verdict.action == "reboot_node"
    assert ("service:gx07.example.net/daytwo-model", "victim") in [(a.entity, a.role) for a in verdict.affected]
    assert "reboot_node" in list_guarded(verdict)
    assert "drain_node" not in list_guarded(verdict), "a drain leaves a running service alone"
    guarded = next(step for step in verdict.plan if step.action == "reboot_node")
    assert guarded.precondition.startswith("no job runs on the node; "), "what stood there still stands"
    row = report.coverage[-1]
    assert (row.domain, row.status) == ("service", "read")
    assert row.reason == "Daytwo's own model Qwen3-Coder-30B-A3B runs on GPU 3 (GPU-1111)"


@pytest.mark.parametrize(
    "gpu",
    [
        make_gpu("gx07", pci="0000:86:00.0"),
        make_gpu("gx07", index=3, pci="0000:86:00.0"),
        make_gpu("gx08", pci="0000:3b:00.0"),
        make_gpu("", pci="0000:3b:00.0"),
    ],
    ids=["another", "an index that shifted", "another host", "a host that nobody told"],
)
def test_other_gpus_are_no_matter_of_the_model(gpu):
    verdict = judge_xid(gpu, node=gpu.node).verdicts[0]
    assert list_guarded(verdict) == []
    assert all("daytwo-model" not in one.entity for one in verdict.affected)


def test_a_uuid_is_enough_where_no_host_is_told():
    verdict = judge_xid(make_gpu("", pci="0000:3b:00.0", uuid="GPU-1111"), node="").verdicts[0]
    assert "reboot_node" in list_guarded(verdict)


def test_trouble_of_the_node_is_trouble_of_what_runs_on_it():
    line = "gx07 kernel: Out of memory: Killed process 4242 (python3) total-vm:1kB"
    event = Event(
        Moment("utc", NOW.timestamp() - 60),
        Entity("node", "gx07"),
        "oom:kill",
        Quote("kern.log", 1, line),
        {},
        "kernel",
    )
    facts = Facts(events=(event,), coverage=(Coverage("node:gx07", "kernel_log", "read"),))
    on_the_processor = OwnModel("small", "gx07")
    report = triage(facts, site=SitePolicy(), now=NOW, memory=Memory(own=(on_the_processor,)))
    assert report.verdicts[0].subject.entity == "node:gx07"
    assert any(one.entity == "service:gx07/daytwo-model" for one in report.verdicts[0].affected)
    assert report.coverage[-1].reason.endswith("runs on the processor")


def test_a_log_of_another_machine_hears_nothing_of_it():
    report = judge_xid(make_gpu("other", pci="0000:3b:00.0"), node="other")
    assert all(row.domain != "service" for row in report.coverage)


def test_without_a_model_nothing_changes():
    with_none, without = judge_xid(HELD, own=()), judge_xid(make_gpu("gx07", pci="0000:86:00.0"), own=())
    assert with_none.coverage == without.coverage
    assert list_guarded(with_none.verdicts[0]) == []
