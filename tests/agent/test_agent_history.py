"""History: what comes back escalates, what is critical stays open, and neither a re-read nor a guess counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.faults import load_differences, load_escalations, load_faults
from agent.history import NO_PAST, Past, Record, find_escalation, find_open, is_before, measure_gap, spell_host
from agent.judge import judge
from agent.policy import ACTION_RANK, SitePolicy
from agent.remember import Boot, Reading, build_clear, find_hosts, judge_records, read_happenings
from agent.triage import Memory, exit_code, triage
from tools.entities import make_gpu
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote

DAY = 86400.0
START = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
GPU = make_gpu("n7", pci="0000:4e:00")
NODE = Entity("node", "n7")
READ = (Coverage("kern.log", "kernel_log", "read"),)


class Log:
    """A kernel log in the making: the same calls give the same lines."""

    def __init__(self, name="kern.log", *, clock="utc", year_known=True):
        self.name, self.clock, self.year_known = name, clock, year_known
        self.events = []

    def add(self, days, code, entity=GPU, **fields):
        moment = Moment(self.clock, START + days * DAY, self.year_known) if self.clock != "none" else Moment()
        if self.clock == "boot":
            moment = Moment("boot", days * DAY)
        text = f"[{days}] {code} on {entity}"
        quote = Quote(self.name, len(self.events) + 1, text)
        self.events.append(Event(moment, entity, code, quote, fields, "kernel"))
        return self

    def facts(self):
        return Facts(events=tuple(self.events), entities=(NODE,), coverage=READ)


class Site:
    """A store in memory: what is remembered is what the next triage recalls."""

    def __init__(self):
        self.records = {}

    @property
    def past(self):
        return Past(tuple(sorted(self.records.values(), key=lambda record: record.order)))

    def triage(self, facts, days, *, boot=None):
        now = datetime.fromtimestamp(START + days * DAY, UTC)
        return triage(facts, site=SitePolicy(), now=now, memory=Memory(self.past, self.keep, boot))

    def keep(self, records):
        self.records = {record.key: record for record in self.past.extend(records).records}

    def clear(self, entity, days, did="nothing"):
        self.keep([build_clear(entity, who="ann", why="mended", did=did, now_seconds=START + days * DAY)])

    def open(self):
        return [state.fault for state in find_open(self.past)]


def first_of(report):
    return report.verdicts[0]


def told(verdict):
    return (verdict.fault, verdict.action)


# -- the tables -------------------------------------------------------------------------------------------------------


def test_every_escalation_names_a_row_that_exists():
    table = load_escalations()
    assert {"gpu_off_bus", "gpu_gsp_fault", "gpu_memory_contained", "host_kernel_panic"} <= set(table)
    for fault, rows in table.items():
        assert fault in load_faults()
        for row in rows:
            assert (fault, row.note) in load_differences()
            assert row.times >= 1 and row.within_days > 0 and row.quiet_hours >= 1 and row.why
            assert row.after in ("any", "reset", "reboot")


def test_rows_of_one_fault_stand_from_the_most_to_the_least_often():
    ladders = load_escalations().values()
    assert ladders
    for rows in ladders:
        assert [row.times for row in rows] == sorted((row.times for row in rows), reverse=True)


# -- a fault that comes back ------------------------------------------------------------------------------------------


def test_a_second_loss_within_thirty_days_is_for_hands():
    site = Site()
    assert told(first_of(site.triage(Log().add(1, "xid:79").facts(), 2))) == ("gpu_off_bus", "reboot_node")
    again = first_of(site.triage(Log().add(20, "xid:79").facts(), 21))
    assert told(again) == ("gpu_off_bus", "inspect_hardware")
    assert "2026-11-02T00:00:00Z" in again.summary
    assert again.reason == "The second loss within 30 days is for hands, not for a reboot"
    assert "reboot_node" not in {step.action for step in again.plan}


def test_after_thirty_days_it_is_the_first_again():
    site = Site()
    site.triage(Log().add(1, "xid:79").facts(), 2)
    assert told(first_of(site.triage(Log().add(32, "xid:79").facts(), 33)))[1] == "reboot_node"


def test_another_gpu_and_another_node_are_not_the_same():
    site = Site()
    site.triage(Log().add(1, "xid:79").facts(), 2)
    other = make_gpu("n7", pci="0000:5d:00")
    elsewhere = make_gpu("n8", pci="0000:4e:00")
    assert told(first_of(site.triage(Log().add(3, "xid:79", other).facts(), 4)))[1] == "reboot_node"
    assert told(first_of(site.triage(Log().add(5, "xid:79", elsewhere).facts(), 6)))[1] == "reboot_node"


def test_the_same_log_read_again_is_no_second_time():
    site = Site()
    facts = Log().add(1, "xid:79").facts()
    for days in (2, 3, 9):
        assert told(first_of(site.triage(facts, days)))[1] == "reboot_node"
    copy = Log("backup/kern.log.1").add(1, "xid:79").facts()
    assert told(first_of(site.triage(copy, 10)))[1] == "reboot_node"
    assert len(site.records) == 1


def test_an_old_log_gives_its_old_answer_whatever_came_later():
    site = Site()
    old = Log().add(1, "xid:79").facts()
    new = Log().add(20, "xid:79").facts()
    site.triage(old, 2)
    assert told(first_of(site.triage(new, 21)))[1] == "inspect_hardware"
    assert told(first_of(site.triage(old, 22)))[1] == "reboot_node"
    assert told(first_of(site.triage(new, 23)))[1] == "inspect_hardware"


def test_a_lost_gpu_that_goes_on_complaining_is_one_loss():
    log = Log()
    for hours in range(0, 60, 5):
        log.add(1 + hours / 24, "gpu:lost")
    site = Site()
    assert told(first_of(site.triage(log.facts(), 5)))[1] == "reboot_node"
    log.add(1 + 62 / 24, "gpu:lost")
    assert told(first_of(site.triage(log.facts(), 6)))[1] == "reboot_node"


def test_a_boot_between_makes_two_of_it_in_one_log():
    log = Log().add(1, "xid:79").add(1.01, "kernel:boot", NODE).add(1.02, "xid:79")
    assert told(first_of(Site().triage(log.facts(), 2))) == ("gpu_off_bus", "inspect_hardware")
    alone = triage(log.facts(), site=SitePolicy(), now=datetime.fromtimestamp(START + 2 * DAY, UTC))
    assert told(first_of(alone))[1] == "inspect_hardware", "history is in the log itself"


def test_gsp_climbs_from_reset_to_reboot_to_hands():
    site = Site()
    assert told(first_of(site.triage(Log().add(1, "xid:119").facts(), 1.1)))[1] == "reset_gpu"
    assert told(first_of(site.triage(Log().add(2, "xid:119").facts(), 2.1)))[1] == "reset_gpu", "nobody reset it yet"
    site.clear(GPU, 3, did="reset")
    assert told(first_of(site.triage(Log().add(4, "xid:119").facts(), 4.1)))[1] == "reboot_node"
    log = Log().add(5, "kernel:boot", NODE).add(6, "xid:119")
    assert told(first_of(site.triage(log.facts(), 6.1)))[1] == "inspect_hardware"


def test_a_replaced_part_begins_anew():
    site = Site()
    site.triage(Log().add(1, "xid:79").facts(), 2)
    site.clear(GPU, 3, did="replace")
    assert told(first_of(site.triage(Log().add(5, "xid:79").facts(), 6)))[1] == "reboot_node"


def test_contained_errors_that_come_back_ask_for_diagnostics():
    site = Site()
    assert told(first_of(site.triage(Log().add(1, "xid:94").facts(), 2)))[1] == "restart_job"
    assert told(first_of(site.triage(Log().add(9, "xid:94").facts(), 10)))[1] == "run_diagnostics"


def test_a_panic_again_within_days_drains_the_node():
    site = Site()
    site.triage(Log().add(1, "kernel:panic", NODE).facts(), 2)
    again = first_of(site.triage(Log().add(4, "kernel:panic", NODE).facts(), 5))
    assert (again.action, again.follow_up) == ("drain_node", "inspect_hardware")


@pytest.mark.parametrize("code", ["xid:48", "xid:62"])
def test_two_reboots_did_not_cure_it(code):
    log = Log().add(1, code).add(2, "kernel:boot", NODE).add(3, code)
    assert first_of(Site().triage(log.facts(), 3.5)).action == "reset_gpu"
    log.add(4, "kernel:boot", NODE).add(5, code)
    assert first_of(Site().triage(log.facts(), 5.5)).action == "inspect_hardware"


def test_information_and_inconclusive_cases_never_escalate():
    site = Site()
    for day in range(1, 9):
        info = first_of(site.triage(Log().add(day, "xid:45").facts(), day + 0.1))
        assert info.severity == "info" and ACTION_RANK[info.action] <= ACTION_RANK["check_workload"]
    for day in range(10, 18):
        log = Log().add(day, "xid:79")
        log.events = [
            Event(e.moment, e.entity, e.code, e.quote, e.fields, "user") for e in log.events
        ]  # what a user can write
        forged = first_of(site.triage(log.facts(), day + 0.1))
        assert forged.confidence == "inconclusive"
        assert ACTION_RANK[forged.action] <= ACTION_RANK["run_diagnostics"]
    assert site.open() == []
    assert first_of(site.triage(Log().add(20, "xid:79").facts(), 21)).action == "reboot_node", "forgeries do not count"


def test_an_escalated_case_may_become_the_gravest():
    site = Site()
    site.triage(Log().add(1, "kernel:panic", NODE).add(1.1, "kernel:boot", NODE).facts(), 2)
    log = Log().add(3, "kernel:panic", NODE).add(3.1, "kernel:boot", NODE)
    log.add(3.2, "nvme:timeout", Entity("disk", "n7", "nvme0"))
    report = site.triage(log.facts(), 4)
    assert told(first_of(report)) == ("host_kernel_panic", "drain_node")


# -- what the clocks leave open ---------------------------------------------------------------------------------------


def record(seconds, clock="utc", seen=None, **more):
    when = START + seconds
    seen = START + (seconds if seen is None else seen)
    return Record("k", "fault", GPU, when, seen, when, clock, **more)


@pytest.mark.parametrize(
    ("earlier", "later", "gap"),
    [
        (record(0), record(100), 100),
        (record(0, "local"), record(100, "local", seen=0), 100),
        (record(0, "local", seen=5 * DAY), record(DAY), DAY - 14 * 3600),
        (record(0, "local", seen=10), record(100), 90),  # seen before that moment, whatever its zone
        (record(0, "none"), record(100), 100),
        (record(0), record(100, "none"), float("-inf")),
        (record(0, "none", seen=0), record(0, "none", seen=50), float("-inf")),
    ],
)
def test_gaps_are_what_is_sure(earlier, later, gap):
    assert measure_gap(earlier, later) == gap


def test_lines_without_any_time_are_in_the_order_of_their_text():
    one, two = record(0, "none", place="a:1", position=1), record(0, "none", place="a:2", position=2)
    assert is_before(one, two) and not is_before(two, one)
    elsewhere = record(0, "none", place="b:9", position=9)
    assert not is_before(one, elsewhere)


def test_one_loss_told_by_two_clocks_is_one():
    """The same event from a log with wall time and from dmesg: nothing says that these are two."""
    site = Site()
    site.triage(Log().add(1, "xid:79").facts(), 1.1)
    dmesg = Log("dmesg", clock="boot").add(0.5, "kernel:boot", NODE).add(0.6, "xid:79").facts()
    assert first_of(site.triage(dmesg, 9)).action == "reboot_node"
    assert site.open() == ["gpu_off_bus"], "a boot of unknown time ends nothing"


def test_a_live_machine_knows_when_it_booted():
    site = Site()
    first, second = Boot("n7", "boot-a", START), Boot("n7", "boot-b", START + 5 * DAY)
    live = Log("/dev/kmsg", clock="boot").add(0, "kernel:boot", NODE).add(1, "xid:79").facts()
    assert first_of(site.triage(live, 1.5, boot=first)).action == "reboot_node"
    assert first_of(site.triage(live, 2.5, boot=first)).action == "reboot_node"
    assert site.open() == ["gpu_off_bus"]
    quiet = Log("/dev/kmsg", clock="boot").add(0, "kernel:boot", NODE).facts()
    assert site.triage(quiet, 5.1, boot=second).verdicts[0].status == "healthy"
    assert site.open() == [], "the reboot cured what a reboot cures"
    again = Log("/dev/kmsg", clock="boot").add(0, "kernel:boot", NODE).add(0.2, "xid:79").facts()
    assert first_of(site.triage(again, 5.5, boot=second)).action == "inspect_hardware"


def test_a_guessed_year_makes_no_new_thing():
    site = Site()
    log = Log(clock="local", year_known=False).add(1, "xid:79")
    site.triage(log.facts(), 2)
    later = [
        Event(Moment("local", e.moment.seconds + 365 * DAY, False), e.entity, e.code, e.quote, {}, "kernel")
        for e in log.events
    ]
    site.triage(Facts(events=tuple(later), coverage=READ), 367)
    assert len(site.records) == 1


def test_machines_without_a_name_have_no_common_history():
    assert spell_host("localhost") == spell_host("") == ""
    assert spell_host("N7.example.org") == spell_host("n7")
    facts = Log().add(1, "xid:79", make_gpu("localhost", pci="0000:4e:00")).facts()
    assert find_hosts(Facts(events=facts.events)) == []
    assert find_hosts(facts) == ["n7"]


# -- what is open -----------------------------------------------------------------------------------------------------


def test_a_critical_fault_is_not_forgotten_by_a_healthy_triage_and_pages_nobody_twice():
    site = Site()
    first = first_of(site.triage(Log().add(1, "xid:64").facts(), 2))
    assert (first.fault, first.severity) == ("gpu_memory_remap_failure", "critical")
    report = site.triage(Log().facts(), 5)
    healthy = first_of(report)
    assert healthy.status == "healthy" and exit_code(report) == 0
    assert first.case_id not in {verdict.case_id for verdict in report.verdicts}
    assert "gpu_memory_remap_failure on gpu:n7/0000:4e:00.0 is still open since 2026-11-02T00:00:00Z" in healthy.summary
    (row,) = [row for row in report.coverage if row.domain == "history"]
    assert (row.entity, row.status) == ("gpu:n7/0000:4e:00.0", "read")
    assert row.fix == "daytwo clear gpu:n7/0000:4e:00.0 --why TEXT"


def test_what_is_told_again_is_not_told_twice():
    site = Site()
    facts = Log().add(1, "xid:64").facts()
    one = first_of(site.triage(facts, 2))
    report = site.triage(facts, 3)
    assert first_of(report).case_id == one.case_id
    assert not [row for row in report.coverage if row.domain == "history"]


@pytest.mark.parametrize(
    ("code", "entity", "cure", "left"),
    [
        ("xid:79", GPU, "kernel:boot", []),
        ("xid:119", GPU, "kernel:boot", []),
        ("xid:119", GPU, "gpu:reset", []),
        ("xid:79", GPU, "gpu:reset", ["gpu_off_bus"]),
        ("xid:64", GPU, "kernel:boot", ["gpu_memory_remap_failure"]),
        ("nic:link_down", Entity("nic", "n7", "ib0"), "nic:link_up", []),
        ("nic:link_down", Entity("nic", "n7", "ib0"), "kernel:boot", ["nic_link_down"]),
    ],
)
def test_a_reboot_clears_what_a_reboot_cures(code, entity, cure, left):
    site = Site()
    site.triage(Log().add(1, code, entity).facts(), 2)
    assert len(site.open()) == 1
    where = NODE if cure == "kernel:boot" else entity
    site.triage(Log("other").add(0.5, cure, where).facts(), 3)
    assert len(site.open()) == 1, "a cure before it is none"
    site.triage(Log("third").add(4, cure, where).facts(), 5)
    assert site.open() == left


def test_what_was_escalated_to_hands_is_not_cured_by_a_reboot():
    site = Site()
    site.triage(Log().add(1, "xid:79").facts(), 2)
    site.triage(Log().add(9, "xid:79").facts(), 10)
    site.triage(Log().add(11, "kernel:boot", NODE).facts(), 12)
    assert site.open() == ["gpu_off_bus"]
    site.clear(GPU, 13)
    assert site.open() == []


def test_a_user_cannot_write_a_boot_that_cures():
    site = Site()
    site.triage(Log().add(1, "xid:79").facts(), 2)
    log = Log().add(3, "kernel:boot", NODE)
    log.events = [Event(e.moment, e.entity, e.code, e.quote, e.fields, "user") for e in log.events]
    site.triage(log.facts(), 4)
    assert site.open() == ["gpu_off_bus"]


def test_a_clear_holds_for_what_was_before_it():
    site = Site()
    facts = Log().add(1, "xid:64").facts()
    site.triage(facts, 2)
    site.clear(NODE, 3)
    assert site.open() == []
    again = first_of(site.triage(facts, 4))
    assert again.fault == "gpu_memory_remap_failure", "the evidence still says so"
    assert "ann cleared it since, 2026-11-04T00:00:00Z: mended." in again.summary
    assert site.open() == [], "the old line does not open it again"
    site.triage(Log().add(5, "xid:64").facts(), 6)
    assert site.open() == ["gpu_memory_remap_failure"]


def test_a_clear_does_not_swallow_what_an_unzoned_clock_told_later():
    site = Site()
    site.triage(Log(clock="local").add(1, "xid:64").facts(), 2)
    site.clear(GPU, 3)
    assert site.open() == []
    site.triage(Log("later", clock="local").add(2.8, "xid:64").facts(), 3.2)
    assert site.open() == ["gpu_memory_remap_failure"], "2.8 in a zone west of Greenwich is after 3"


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_storm_is_one_record_and_a_boot_splits_it():
    log = Log()
    for step in range(100):
        log.add(1 + step / 1000, "xid:79")
    log.add(1.5, "kernel:boot", NODE).add(1.5001, "xid:79").add(1.6, "xid:79")
    facts = log.facts()
    records = read_happenings(judge(facts), facts, Reading(START + 2 * DAY))
    assert [r.kind for r in records] == ["fault", "boot", "fault", "fault"]
    assert records[0].until_seconds == pytest.approx(START + 1.099 * DAY)


def test_what_only_a_model_named_is_not_remembered_as_grave():
    facts = Log().add(1, "xid:79").facts()
    records = read_happenings(judge(facts), facts, Reading(START))
    report = triage(facts, site=SitePolicy(), now=datetime.fromtimestamp(START, UTC))
    by_model = [v.model_copy(update={"decided_by": "model"}) for v in report.verdicts]
    assert judge_records(records, by_model) == []
    (kept,) = judge_records(records, report.verdicts)
    assert (kept.severity, kept.action, kept.confidence) == ("critical", "reboot_node", "confirmed")


def test_nothing_is_found_in_no_past():
    facts = Log().add(1, "xid:79").facts()
    assert find_escalation(judge(facts)[0], NO_PAST) is None
    assert find_open(NO_PAST) == ()
