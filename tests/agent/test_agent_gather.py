"""One trouble on many devices: one case, every device named, nothing that asks for another action hidden."""

from datetime import UTC, datetime

import pytest

from agent.history import Past
from agent.policy import SitePolicy
from agent.triage import Memory, triage
from tools.entities import make_gpu
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
READ = (Coverage("node:gpu-07", "kernel_log", "read"),)


def gpu(number, node="gpu-07"):
    return make_gpu(node, pci=f"0000:{16 + number:02x}:00.0")


def event(code, number, seconds, node="gpu-07", **fields):
    quote = Quote("kern.log", number + 1, f"{code} on {number} at {seconds}")
    entity = gpu(number, node)
    return Event(Moment("utc", float(seconds)), entity, code, quote, fields, "kernel")


def report(*events, memory=None):
    return triage(Facts(events=events, coverage=READ), site=SitePolicy(), now=NOW, memory=memory)


def test_eight_lost_gpus_are_one_case_that_names_them_all():
    told = report(*(event("xid:79", n, 1000 + n) for n in range(8)))
    (verdict,) = told.verdicts
    assert (verdict.fault, verdict.action, verdict.subject.entity) == (
        "gpu_off_bus",
        "reboot_node",
        "gpu:gpu-07/0000:10:00.0",
    )
    assert [row.entity for row in verdict.affected] == [f"gpu:gpu-07/0000:{16 + n:02x}:00.0" for n in range(1, 8)]
    assert {row.role for row in verdict.affected} == {"suspect"}
    assert "The same on 7 more of the node: 0000:11:00.0, 0000:12:00.0, 0000:13:00.0 and 4 more." in verdict.summary
    assert len(verdict.evidence) == len(verdict.claims) == 8


@pytest.mark.parametrize(
    "events",
    [
        [event("xid:79", 0, 1000), event("xid:79", 1, 1001)],
        [event("xid:79", n, 1000 + 600 * n) for n in range(3)],
        [event("xid:79", n, 1000, node=f"gpu-{n:02d}") for n in range(3)],
        [event("xid:79", 0, 1000), event("xid:119", 1, 1001), event("xid:95", 2, 1002)],
    ],
    ids=["two may be chance", "far apart", "three nodes", "three faults"],
)
def test_what_shares_nothing_stays_apart(events):
    assert len(report(*events).verdicts) == len(events)


def test_another_action_is_never_hidden():
    words = {"recovery_action": "Node Reboot Required"}
    events = [event("xid:119", n, 1000 + n) for n in range(4)]
    verdicts = report(*events, event("xid:154", 3, 1004, **words)).verdicts
    assert sorted((v.action, len(v.affected)) for v in verdicts) == [("reboot_node", 0), ("reset_gpu", 2)]


def test_one_program_on_two_gpus_is_one_program():
    events = [event("xid:31", n, 1000 + 5000 * n, pid="4711") for n in range(2)]
    (verdict,) = report(*events).verdicts
    assert (verdict.fault, len(verdict.affected)) == ("gpu_app_fault", 1)
    others = [event("xid:31", n, 1000 + 5000 * n, pid=f"47{n}") for n in range(2)]
    assert len(report(*others).verdicts) == 2


def test_a_reset_names_every_gpu():
    (verdict,) = report(*(event("xid:119", n, 1000 + n) for n in range(3))).verdicts
    command = next(step.command for step in verdict.plan if step.action == "reset_gpu")
    assert command.endswith("nvidia-smi --gpu-reset -i 0000:10:00.0,0000:11:00.0,0000:12:00.0")


def test_consequences_of_all_are_told():
    job = Entity("job", "gpu-07", "88")
    hang = Event(Moment("utc", 1900.0), job, "nccl:timeout", Quote("job.log", 1, "watchdog"), {"job": "88"})
    (verdict,) = report(*(event("xid:79", n, 1000 + n) for n in range(3)), hang).verdicts
    assert [row.fault for row in verdict.consequences] == ["collective_hang"]


def test_each_device_keeps_a_history_of_its_own():
    kept = []
    report(*(event("xid:79", n, 1000 + n) for n in range(3)), memory=Memory(remember=kept.extend))
    assert [(record.entity, record.action) for record in kept] == [(gpu(n), "reboot_node") for n in range(3)]
    again = event("xid:79", 2, 1000 + 3 * 86400)
    (verdict,) = report(again, memory=Memory(Past().extend(kept))).verdicts
    assert verdict.action == "inspect_hardware"
