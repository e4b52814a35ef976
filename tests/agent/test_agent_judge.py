"""Rules: what folds, what does not, what pages, what absence means. Events are made by hand; parsing is elsewhere."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.judge import judge, possible_faults
from agent.policy import SitePolicy
from agent.triage import exit_code, triage
from tools.entities import make_gpu
from tools.types import Coverage, Entity, Event, Facts, Finding, Link, Moment, Quote

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GPU = make_gpu("node-a17", pci="0000:3b:00.0")
READ = (Coverage("node:node-a17", "kernel_log", "read"),)


def event(code, seconds, entity=GPU, *, clock="utc", source="kern.log", line=1, writer="kernel", **fields):
    quote = Quote(source, line, f"{code} as the log spells it at {seconds}")
    return Event(Moment(clock, seconds), entity, code, quote, fields, writer)


def hang(seconds, *, rank, node="node-a17", job="", clock="utc", source="train.log", line=50):
    return event(
        "nccl:timeout", seconds, Entity("job", node, job), clock=clock, source=source, line=line + rank,
        writer="user", rank=str(rank), job=job,
    )  # fmt: skip


def run(*events, coverage=READ, **more):
    return triage(Facts(events=events, coverage=coverage, **more), site=SitePolicy(), now=NOW)


def faults(report):
    return [verdict.fault for verdict in report.verdicts]


LOST = (event("xid:79", 1000, line=1), event("gpu:fallen_off_bus", 1000, line=2))


def test_lost_gpu_explains_the_time_outs_that_follow_it():
    report = run(*LOST, hang(1600, rank=0), hang(1601, rank=1))
    assert faults(report) == ["gpu_off_bus"]
    verdict = report.verdicts[0]
    assert (verdict.severity, verdict.action, verdict.follow_up) == ("critical", "reboot_node", "inspect_hardware")
    assert verdict.confidence == "confirmed"
    assert [(c.fault, c.count, c.confidence) for c in verdict.consequences] == [("collective_hang", 2, "confirmed")]
    order = [step.action for step in verdict.plan]
    assert (
        order.index("collect_evidence")
        < order.index("drain_node")
        < order.index("wait_for_jobs")
        < order.index("reboot_node")
    )
    assert any("gpu:fallen_off_bus" in row.quote for row in verdict.evidence)


def test_time_outs_alone_are_a_hang():
    report = run(hang(1600, rank=0), hang(1601, rank=1))
    assert faults(report) == ["collective_hang"]
    assert report.verdicts[0].confidence == "likely"
    assert exit_code(report) == 1


def test_time_outs_before_the_loss_are_not_explained_by_it():
    assert sorted(faults(run(hang(400, rank=0), *LOST))) == ["collective_hang", "gpu_off_bus"]


def test_time_outs_of_another_node_are_not_explained():
    assert sorted(faults(run(*LOST, hang(1600, rank=0, node="node-b02")))) == ["collective_hang", "gpu_off_bus"]


def test_time_outs_of_another_job_are_not_explained():
    links = tuple(
        Link(Entity("job", name=job), "runs_on", Entity("node", node=node), Quote("jobs.csv", 2, job))
        for job, node in (("4711", "node-a17"), ("4712", "node-b02"))
    )
    other = run(*LOST, hang(1600, rank=0, node="", job="4712"), links=links)
    assert sorted(faults(other)) == ["collective_hang", "gpu_off_bus"]
    same = run(*LOST, hang(1600, rank=0, node="node-b02", job="4711"), links=links)
    assert faults(same) == ["gpu_off_bus"], "a rank on another node of the same job waits for the lost GPU"


@pytest.mark.parametrize("clock", ["boot", "none"])
def test_clocks_that_cannot_be_aligned_fold_as_likely_and_say_why(clock):
    report = run(*LOST, hang(1600 if clock == "boot" else None, rank=0, clock=clock))
    assert faults(report) == ["gpu_off_bus"]
    consequence = report.verdicts[0].consequences[0]
    assert consequence.confidence == "likely"
    assert "train.log" in consequence.why and "kern.log" in consequence.why
    assert "Not certain" in report.verdicts[0].summary


def test_lines_without_times_in_one_file_are_ordered_by_line():
    lost = event("xid:79", None, clock="none", source="paste", line=1)
    after = hang(None, rank=0, clock="none", source="paste", line=5)
    before = hang(None, rank=0, clock="none", source="paste", line=-5)
    assert run(lost, after).verdicts[0].consequences[0].confidence == "confirmed"
    assert len(run(lost, before).verdicts) == 2


def test_a_time_out_hours_later_is_another_matter():
    assert len(run(*LOST, hang(1000 + 7200, rank=0)).verdicts) == 2


def test_xid_45_alone_is_information():
    report = run(event("xid:45", 1000, pid="77"))
    verdict = report.verdicts[0]
    assert (verdict.fault, verdict.severity, verdict.action) == ("gpu_app_fault", "info", "none")
    assert exit_code(report) == 0


def test_xid_45_behind_a_lost_gpu_is_its_consequence():
    other = make_gpu("node-a17", pci="0000:af:00.0")
    report = run(*LOST, event("xid:45", 1002, other, line=4))
    assert faults(report) == ["gpu_off_bus"]
    assert report.verdicts[0].consequences[0].entity == "gpu:node-a17/0000:af:00.0"


@pytest.mark.parametrize(
    ("codes", "fault", "urgency"),
    [
        (["xid:48", "xid:63"], "gpu_memory_remap_pending", "now"),
        (["xid:63"], "gpu_memory_remap_pending", "job_end"),
        (["xid:48", "xid:64", "xid:94"], "gpu_memory_remap_failure", "now"),
        (["xid:48", "xid:171"], "gpu_memory_uncorrectable", "now"),
        (["xid:94"], "gpu_memory_contained", "now"),
        (["xid:119", "xid:45"], "gpu_gsp_fault", "now"),
    ],
)
def test_memory_events_of_one_gpu_are_one_case(codes, fault, urgency):
    report = run(*(event(code, 1000 + n, line=n + 1) for n, code in enumerate(codes)))
    assert faults(report) == [fault]
    assert report.verdicts[0].urgency == urgency
    cited = {row.quote.split()[0] for row in report.verdicts[0].evidence}
    assert cited == set(codes), "co-occurring codes are shown, never dropped"


def test_unused_xid_pages_nobody():
    report = run(event("xid:5", 1000))
    assert faults(report) == ["benign"] and exit_code(report) == 0


def test_an_xid_that_the_catalogue_does_not_know_is_unknown():
    report = run(event("xid:999", 1000))
    assert faults(report) == ["unknown"] and exit_code(report) == 1
    assert "xid:999" in report.verdicts[0].evidence[0].quote


@pytest.mark.parametrize(
    ("bursts", "place", "action"),
    [(1, ("1", "2"), "check_workload"), (2, ("1", "2"), "run_diagnostics"), (2, None, "check_workload")],
)
def test_xid_13_comes_back_on_one_place(bursts, place, action):
    events = []
    for n in range(bursts):
        gpc, tpc = place or (str(n), str(n))
        events.append(event("xid:13", 1000 + 400 * n, line=n + 1, gpc=gpc, tpc=tpc))
    assert run(*events).verdicts[0].action == action


def test_nvlink_event_follows_its_decode_row():
    nonfatal = run(event("xid:145", 1, decode_severity="Non-fatal", decode_action="IGNORE")).verdicts[0]
    fatal = run(event("xid:149", 1, decode_severity="Link Fatal", decode_action="RESET_GPU")).verdicts[0]
    assert (nonfatal.fault, nonfatal.action, nonfatal.severity) == ("nvlink_nonfatal", "watch", "info")
    assert (fatal.fault, fatal.action) == ("nvlink_fault", "reset_gpu")


def test_nfs_that_answers_again_is_over():
    storage = Entity("storage", name="filer-1")
    down, up = (
        event("nfs:not_responding", 10, storage, server="filer-1"),
        event("nfs:ok", 90, storage, server="filer-1"),
    )
    assert faults(run(down)) == ["shared_fs_stall"]
    over = run(down, up)
    assert faults(over) == ["benign"] and exit_code(over) == 0
    assert "over, by kern.log:1" in over.verdicts[0].summary
    assert faults(run(up, down)) == ["shared_fs_stall"], "an answer before the silence ends nothing"


def test_a_contained_link_explains_the_drive_behind_it_and_an_error_on_the_way_does_not():
    disk = Entity("disk", "node-a17", "nvme1")
    gone = event("nvme:removed", 1005, disk, line=2)
    contained = run(event("pci:dpc", 1000, Entity("node", "node-a17"), line=1), gone)
    assert faults(contained) == ["pcie_error"]
    assert (contained.verdicts[0].action, contained.verdicts[0].severity) == ("drain_node", "critical")
    assert [c.fault for c in contained.verdicts[0].consequences] == ["disk_lost"]
    assert "disk_lost" in faults(run(event("pci:aer_nonfatal", 1000, Entity("node", "node-a17"), line=1), gone))


def test_a_lighter_fault_that_is_less_sure_explains_no_graver_one():
    disk = Entity("disk", "node-a17", "sda")
    worn = Finding("smart", disk, "disk_wearout", "warning", 1.5, (Quote("smart.txt", 9, "5 Reallocated 1288"),))
    failed = Finding(
        "smart", disk, "disk_media_error", "critical", 2.0, (Quote("smart.txt", 12, "197 Pending 64"),), settles=True
    )
    from agent.fold import fold_suspicions
    from agent.symptoms import read_suspicions

    roots = fold_suspicions(read_suspicions(Facts(), [worn, failed]), Facts())
    assert "disk_media_error" in [primary.fault for primary, _ in roots]


def link(code, seconds, line):
    return event(f"nic:link_{code}", seconds, Entity("nic", "node-a17", "ib0"), line=line)


@pytest.mark.parametrize(
    ("returns", "gap", "fault", "action"),
    [
        (1, 600, "nic_link_flap", "watch"),
        (3, 600, "nic_link_flap", "drain_node"),
        (3, 8 * 3600, "nic_link_flap", "watch"),
        (2.5, 600, "nic_link_flap", "drain_node"),
        (1.5, 600, "nic_link_down", "drain_node"),
    ],
)
def test_a_port_flaps_from_three_returns_in_twelve_hours(returns, gap, fault, action):
    changes = []
    for n in range(int(returns + 0.5)):
        changes += [link("down", 1000 + n * gap, 2 * n + 1), link("up", 1060 + n * gap, 2 * n + 2)]
    changes = changes[: int(2 * returns)]  # a half is a loss that nothing ended
    verdict = run(*changes).verdicts[0]
    assert (verdict.fault, verdict.action) == (fault, action)


@pytest.mark.parametrize(
    ("words", "action"), [(("lan7 is up", "link of lan7 up"), "watch"), (("up", "up"), "drain_node")]
)
def test_what_two_writers_tell_of_one_change_is_one_return(words, action):
    changes = []
    for n in range(2):
        at, line = 1000 + n * 70, 10 * n
        changes.append(link("down", at, line + 1))
        for later, text in enumerate(words):
            up = link("up", at + 4 + later, line + 3 + later)
            changes.append(replace(up, quote=Quote("kern.log", line + 3 + later, text)))
    verdict = run(*changes).verdicts[0]
    assert (verdict.fault, verdict.action) == ("nic_link_flap", action)


def test_gpus_that_all_fail_to_start_are_the_drivers_matter():
    gpus = [make_gpu("node-a17", pci=f"0000:{bus}:00.0") for bus in ("19", "3b", "4c")]
    many = run(*(event("gpu:init_failed", 100 + n, gpu, line=n + 1) for n, gpu in enumerate(gpus)))
    assert [(v.fault, v.subject.entity) for v in many.verdicts] == [("gpu_driver_fault", "node:node-a17")]
    assert faults(run(event("gpu:init_failed", 100, gpus[0]))) == ["gpu_internal_fault"]


def test_a_kernel_line_that_a_user_wrote_settles_nothing():
    verdict = run(event("xid:79", 1000, writer="user")).verdicts[0]
    assert verdict.confidence == "inconclusive"
    assert verdict.action in ("watch", "run_diagnostics")


def test_noisy_neighbor_names_the_guest_and_its_victims():
    disk = Entity("disk", "xen-4", "sdb")
    loud, quiet = Entity("guest", "xen-4", "db-replica"), Entity("guest", "xen-4", "web-2")
    links = tuple(
        Link(guest, "uses", Entity("disk", "xen-4", name), Quote("guests", n, guest.name))
        for n, (guest, name) in enumerate(((loud, "dm-3"), (quiet, "dm-4")))
    ) + tuple(
        Link(Entity("disk", "xen-4", name), "part_of", disk, Quote("guests", 9, name)) for name in ("dm-3", "dm-4")
    )
    finding = Finding(
        "disk_saturation", disk, "io_noisy_neighbor", "warning", 2.0, (Quote("iostat", 7, "sdb 99%"),),
        {"share": 0.9}, settles=True, culprit=loud,
    )  # fmt: skip
    from agent.judge import build_case
    from agent.symptoms import read_suspicions
    from agent.verdicts import build_verdict
    from tools.evidence import EvidenceBook

    facts = Facts(links=links, coverage=READ)
    case = build_case(read_suspicions(facts, [finding])[0], (), facts)
    verdict = build_verdict(case, EvidenceBook(), facts=facts, site=SitePolicy(), now=NOW)
    assert [(a.entity, a.role) for a in verdict.affected] == [
        ("guest:xen-4/db-replica", "culprit"),
        ("guest:xen-4/web-2", "victim"),
    ]
    assert "guest:xen-4/db-replica" in verdict.summary
    assert verdict.action == "limit_tenant"


@pytest.mark.parametrize(
    ("coverage", "fault", "status", "code"),
    [
        ([("kernel_log", "read", "")], "healthy", "healthy", 0),
        ([("kernel_log", "read", ""), ("gpu", "missing", "type this")], "unknown", "unknown", 2),
        ([("gpu", "not_applicable", "")], "not_applicable", "not_applicable", 0),
        ([("gpu", "partial", "run it again")], "unknown", "unknown", 2),
        ([("kernel_log", "partial", "")], "healthy", "healthy", 0),
        ([], "unknown", "unknown", 2),
    ],
)
def test_absence_of_findings(coverage, fault, status, code):
    rows = tuple(Coverage("node:node-a17", domain, state, "why", fix) for domain, state, fix in coverage)
    report = run(coverage=rows)
    assert (report.verdicts[0].fault, report.verdicts[0].status) == (fault, status)
    assert exit_code(report) == code


def test_no_gpu_is_not_applicable_first_and_the_rest_of_the_host_after_it():
    rows = (Coverage("node:h", "gpu", "not_applicable", "none on the bus"), Coverage("node:h", "disk", "read"))
    assert faults(run(coverage=rows)) == ["not_applicable", "healthy"]


def test_same_evidence_same_case_new_verdict():
    one, two = run(*LOST), run(*LOST)
    assert one.verdicts[0].case_id == two.verdicts[0].case_id
    assert one.verdicts[0].verdict_id != two.verdicts[0].verdict_id


def test_possible_faults_narrow_with_confidence():
    confirmed = judge(Facts(events=LOST, coverage=READ))[0]
    likely = judge(Facts(events=(hang(1, rank=0),), coverage=READ))[0]
    assert set(possible_faults(confirmed, Facts(events=LOST))) == {"gpu_off_bus"}
    assert {"collective_hang", "network_unreachable"} <= set(possible_faults(likely, Facts()))
