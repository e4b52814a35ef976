"""When the action differs: circumstances of the policy table, each with and without what makes it."""

import numpy as np
import pytest

from agent.circumstances import CIRCUMSTANCES
from agent.faults import load_differences, load_escalations, load_faults
from agent.judge import judge
from agent.policy import decide
from tools.entities import make_gpu
from tools.types import Coverage, Entity, Event, Facts, Inventory, Link, Moment, Quote, Window

NODE = Entity("node", "node-b07")
GPU = make_gpu("node-b07", pci="0000:3b:00.0")
JOB = Entity("job", "node-b07", "812")
READ = (Coverage("node:node-b07", "kernel_log", "read"),)


def event(code, seconds, entity=NODE, **fields):
    quote = Quote("kern.log", int(seconds) + 1, f"{code} at {seconds}")
    return Event(Moment("utc", float(seconds)), entity, code, quote, fields, "kernel")


def disk(name):
    return Entity("disk", "node-b07", name)


def nic(name):
    return Entity("nic", "node-b07", name)


def first(*events):
    case = judge(Facts(events=events, coverage=READ))[0]
    decision = decide(case)
    return case.primary.fault, decision.severity, decision.action


GSP, REBOOT = event("xid:119", 10, GPU), {"recovery_action": "Node Reboot Required"}
CONTAINED = event("xid:94", 10, GPU)
HANG = event("nccl:timeout", 100, JOB, job="812")
BUTTON = event("pci:hotplug_requested", 10, slot="12")


def gone(*names, at=10, step=0):
    return [event("nvme:disabled", at + step * n, disk(name)) for n, name in enumerate(names)]


def down(*names):
    return [event("nic:link_down", 10 + n, nic(name)) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([GSP], ("gpu_gsp_fault", "critical", "reset_gpu")),
        ([GSP, event("xid:154", 11, GPU, **REBOOT)], ("gpu_gsp_fault", "critical", "reboot_node")),
        ([GSP, event("xid:154", 11, GPU, recovery_action="GPU Reset Required")], ("gpu_gsp_fault", "critical", "reset_gpu")),
        ([GSP, event("xid:154", 11, make_gpu("node-b07", pci="0000:86:00.0"), **REBOOT)],
         ("gpu_gsp_fault", "critical", "reset_gpu")),
        ([CONTAINED], ("gpu_memory_contained", "warning", "restart_job")),
        ([CONTAINED, event("job:requeued", 20, JOB)], ("gpu_memory_contained", "warning", "watch")),
        ([event("job:requeued", 1, JOB), CONTAINED], ("gpu_memory_contained", "warning", "restart_job")),
        ([HANG], ("collective_hang", "warning", "restart_job")),
        ([HANG, event("job:cancelled", 130, JOB)], ("collective_hang", "warning", "check_workload")),
        ([HANG, event("job:cancelled", 130, Entity("job", "node-b07", "99"))],
         ("collective_hang", "warning", "restart_job")),
        (gone("nvme1"), ("disk_lost", "critical", "drain_node")),
        ([event("scsi:not_ready", 10, disk("sdq"), reason="Logical unit not ready, initializing command required"),
          event("block:io_error", 12, disk("sdq"))], ("disk_lost", "warning", "run_diagnostics")),
        ([event("scsi:not_ready", 10, disk("sdq"), reason="Logical unit not ready, hard reset required"),
          event("block:io_error", 12, disk("sdq"))], ("disk_lost", "critical", "drain_node")),
        (gone("nvme1", "nvme2"), ("disk_lost", "critical", "drain_node")),
        (gone("nvme1", "nvme2", "nvme3"), ("storage_path_fault", "critical", "drain_node")),
        (gone("nvme1", "nvme2", "nvme3", step=86400), ("disk_lost", "critical", "drain_node")),
        ([event("md:degraded", 10, disk("sdc"), array="md0")], ("disk_lost", "critical", "inspect_hardware")),
        ([event("block:medium_error", 10, disk("sr0"))], ("disk_media_error", "info", "none")),
        ([event("block:medium_error", 10, disk("sdq"), removable="yes")], ("disk_media_error", "info", "none")),
        ([event("block:medium_error", 10, disk("sdq"))], ("disk_media_error", "critical", "inspect_hardware")),
        (down("ib0", "ib1"), ("nic_link_down", "critical", "drain_node")),
        (down("ib0", "ib1", "ib2"), ("nic_link_down", "warning", "run_diagnostics")),
        ([event("nic:port_down", 10, nic("ib0"))], ("nic_link_down", "warning", "run_diagnostics")),
        ([event("bmc:memory_ecc_corrected", 10)], ("host_memory_correctable", "info", "watch")),
        ([event("bmc:memory_ecc_limit", 10)], ("host_memory_correctable", "warning", "inspect_hardware")),
        ([event("bmc:psu_failed", 10, sensor="PS1")], ("host_chassis_fault", "warning", "inspect_hardware")),
        ([event("bmc:psu_failed", 10, sensor="PS1"), event("bmc:psu_failed", 20, sensor="PS1")],
         ("host_chassis_fault", "warning", "inspect_hardware")),
        ([event("bmc:psu_failed", 10, sensor="PS1"), event("bmc:psu_input_lost", 20, sensor="PS2")],
         ("host_chassis_fault", "critical", "drain_node")),
        ([event("bmc:fan_failed", 10)], ("host_chassis_fault", "warning", "inspect_hardware")),
        ([event("bmc:fan_failed", 10), event("bmc:temperature_critical", 20)],
         ("host_chassis_fault", "critical", "drain_node")),
        ([event("pci:link_down", 12, slot="12")], ("pcie_error", "critical", "drain_node")),
        ([BUTTON, event("pci:link_down", 12, slot="12")], ("benign", "ok", "none")),
        ([BUTTON, event("pci:link_down", 12, slot="9")], ("pcie_error", "critical", "drain_node")),
        ([BUTTON, event("pci:link_down", 500, slot="12")], ("pcie_error", "critical", "drain_node")),
        ([event("pci:link_down", 2, slot="12"), BUTTON], ("pcie_error", "critical", "drain_node")),
        ([event("dcgm:nvlink_down", 10, GPU)], ("nvlink_fault", "warning", "run_diagnostics")),
        ([event("nvlink:down", 10, GPU)], ("nvlink_fault", "critical", "reset_gpu")),
        ([event("xid:149", 10, GPU, decode_severity="Link Fatal", decode_action="IGNORE")],
         ("nvlink_fault", "warning", "watch")),
        ([event("xid:149", 10, GPU, decode_severity="Link Fatal", decode_action="IGNORE"),
          event("xid:154", 11, GPU, **REBOOT)], ("nvlink_fault", "critical", "reboot_node")),
        ([event("xid:149", 10, GPU, decode_severity="Link Fatal", decode_action="RESET_GPU")],
         ("nvlink_fault", "critical", "reset_gpu")),
        ([event("dcgm:pcie_replay", 10, GPU)], ("pcie_link_degraded", "warning", "watch")),
    ],
)  # fmt: skip
def test_action_differs_with_the_circumstance(events, expected):
    assert first(*events) == expected


def gpu_window(gpu, **values):
    readings = {signal: np.array([[float(value)]]) for signal, value in values.items()}
    return Window((gpu,), np.array([1000.0]), readings, "nvidia-smi")


FABRIC, DEAD = event("fabric:down", 10), event("gpu:process_gone", 10, GPU, pid="811")
BAD_SECTOR, DOWN = event("block:medium_error", 10, disk("sdc")), event("slurm:node_down", 10)


@pytest.mark.parametrize(
    ("events", "more", "expected"),
    [
        ([FABRIC], {}, ("fabric_manager_down", "restart_service")),
        ([FABRIC], {"windows": (gpu_window(GPU, gpu_process_count=0),)}, ("fabric_manager_down", "restart_service")),
        ([FABRIC], {"windows": (gpu_window(GPU, gpu_process_count=2),)}, ("fabric_manager_down", "drain_node")),
        ([FABRIC], {"windows": (gpu_window(make_gpu("node-c01", index=0), gpu_process_count=2),)},
         ("fabric_manager_down", "restart_service")),
        ([event("fabric:version_mismatch", 10)], {}, ("fabric_manager_down", "drain_node")),
        ([DEAD], {}, ("gpu_process_leak", "check_workload")),
        ([DEAD], {"windows": (gpu_window(GPU, gpu_process_count=1),)}, ("gpu_process_leak", "reset_gpu")),
        ([DEAD], {"windows": (gpu_window(GPU, gpu_process_count=2),)}, ("gpu_process_leak", "check_workload")),
        ([BAD_SECTOR], {"links": (Link(disk("md0"), "part_of", disk("sdc1"), Quote("/sys", None, "md0")),)},
         ("disk_media_error", "inspect_hardware", "maintenance")),
        ([BAD_SECTOR], {"links": (Link(disk("md0"), "part_of", disk("sdd1"), Quote("/sys", None, "md0")),)},
         ("disk_media_error", "inspect_hardware", "job_end")),
        ([BAD_SECTOR], {"links": (Link(disk("dm-0"), "part_of", disk("sdc1"), Quote("/sys", None, "dm-0")),)},
         ("disk_media_error", "inspect_hardware", "job_end")),
        ([DOWN], {}, ("node_down", "run_diagnostics")),
        ([DOWN], {"inventory": (Inventory("node-b07", state="maintenance"),)}, ("node_down", "none")),
        ([DOWN], {"inventory": (Inventory("node-b07.example.org", state="retired"),)}, ("node_down", "none")),
        ([DOWN], {"inventory": (Inventory("node-b07"),)}, ("node_down", "run_diagnostics")),
        ([DOWN], {"inventory": (Inventory("node-b08", state="retired"),)}, ("node_down", "run_diagnostics")),
    ],
)  # fmt: skip
def test_action_differs_with_what_else_was_read(events, more, expected):
    case = judge(Facts(events=tuple(events), coverage=READ, **more))[0]
    decision = decide(case)
    assert (case.primary.fault, decision.action, decision.urgency)[: len(expected)] == expected


STARTS_NOT = event("gpu:init_failed", 30, GPU)
SHUT = event("fs:shutdown", 12, device="loop5")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([STARTS_NOT], ("gpu_internal_fault", "critical", "reset_gpu")),
        ([event("driver:firmware_missing", 20), STARTS_NOT], ("gpu_driver_fault", "critical", "reboot_node")),
        ([event("driver:api_mismatch", 20), STARTS_NOT], ("gpu_driver_mismatch", "warning", "reboot_node")),
        ([SHUT], ("filesystem_fault", "critical", "drain_node")),
        ([event("fs:shutdown_requested", 11, device="loop5"), SHUT], ("benign", "ok", "none")),
        ([event("fs:shutdown_requested", 11, device="sdb1"), SHUT], ("filesystem_fault", "critical", "drain_node")),
    ],
)
def test_company_makes_another_thing_of_an_event(events, expected):
    assert first(*events) == expected


def test_an_assertion_beside_exhausted_mappings_is_their_consequence():
    cases = judge(Facts(events=(event("gpu:aperture", 10, GPU), event("driver:assertion", 11)), coverage=READ))
    assert [case.primary.fault for case in cases] == ["gpu_aperture_exhausted"]


DECIDED_ELSEWHERE = {
    "gpu_clock_stuck": "the clock detector names config_drift where application clocks are set",
    "filesystem_fault": "folds.csv puts it under the drive",
    "shared_fs_stall": "folds.csv and the fleet: one case for one server",
    "host_resource_limit": "the summary names the limit",
    "unknown": "the plan of what to collect",
}


def test_what_the_table_says_of_a_node_fault_is_policy():
    with_row = {fault for fault, _ in load_differences()}
    said = {row.id for row in load_faults().values() if row.differs and row.scope in ("node", "meta")}
    assert len(said) > 20
    assert said - with_row - set(DECIDED_ELSEWHERE) == {"gpu_thermal_throttle"}, "many GPUs of a rack: the fleet's"


def test_no_row_of_the_table_is_out_of_reach():
    """Notes come from circumstances, from history, from the judge, or from the weight of the signs."""
    told = {(fault, note) for fault, note, _ in CIRCUMSTANCES}
    told |= {(row.fault, row.note) for rows in load_escalations().values() for row in rows}
    elsewhere = {"weak_only", "with_uncorrectable"}
    assert {key for key in load_differences() if key not in told and key[1] not in elsewhere} == set()


def test_every_circumstance_has_its_row():
    assert {(fault, note) for fault, note, _ in CIRCUMSTANCES} <= set(load_differences())
