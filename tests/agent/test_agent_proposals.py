"""From a verdict to a proposal, and every gate on the way: shut by one thing each, and open without it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.gates import GATES, BreakerState, Question, Situation, find_stops
from agent.permission import find_overload, find_refusals, is_decided, judge_wanted
from agent.proposals import Answer, Proposal, Wanted, describe_proposal, find_wanted, is_allowed
from agent.site import Autonomy, Site
from agent.toolbox import build_definitions
from agent.types import EvidenceRow, PlanStep, Subject, Verdict
from tools.types import Inventory

NOW = 1_764_000_000.0
UNIT = "service:n7/nvidia-fabricmanager"
RULES = {"level": "act", "executor": "restart_service", "allow": ["service:*/nvidia-fabricmanager"]}
ALL = ("proposing", "acting alone", "doing")


def build_site(**autonomy: object) -> Autonomy:
    actions = autonomy.pop("actions", {"restart_service": RULES})
    return Site.model_validate({"autonomy": {"actions": actions, **autonomy}}).autonomy


def with_rules(**more: object) -> Autonomy:
    return build_site(actions={"restart_service": {**RULES, **more}})


WANTED = Wanted(
    case_id="c-1",
    verdict_id="v-1",
    fault="fabric_manager_down",
    action="restart_service",
    target=UNIT,
    node="n7",
    precondition="no program runs on the GPUs",
    command="ssh n7 systemctl restart nvidia-fabricmanager",
    urgency="job_end",
    confidence="confirmed",
    decided_by="rules",
    summary="It does not run.",
    seen_seconds=NOW - 60,
    live=True,
)
SITUATION = Situation(
    now_seconds=NOW,
    autonomy=build_site(),
    inventory=(Inventory("n7"), Inventory("n8")),
    executors=frozenset({"restart_service", "webhook"}),
    programs={"n7": False},
)
PROPOSAL = Proposal("p-1", WANTED, "restart_service", "open", NOW - 600, NOW + 3000)
ALICE = Answer("alice", "root", "seen", NOW)


def build_verdict(action: str = "reboot_node", **more: object) -> Verdict:
    fields = {
        "verdict_id": "v-1",
        "case_id": "c-1",
        "time": "2026-11-20T10:00:00.000Z",
        "subject": Subject(entity="gpu:n7/3"),
        "status": "failed",
        "fault": "gpu_off_bus",
        "confidence": "confirmed",
        "severity": "critical",
        "action": action,
        "urgency": "now",
        "follow_up": "inspect_hardware",
        "summary": "It is gone.",
        "decided_by": "rules",
        "plan": [
            PlanStep(step=1, action="collect_evidence", target="node:n7"),
            PlanStep(step=2, action="drain_node", target="node:n7", command="scontrol …"),
            PlanStep(step=3, action="wait_for_jobs", target="node:n7"),
            PlanStep(step=4, action="reboot_node", target="node:n7", precondition="no job runs on the node"),
            PlanStep(step=5, action="inspect_hardware", target="node:n7"),
            PlanStep(step=6, action="return_to_service", target="node:n7"),
        ],
    }
    return Verdict(**{**fields, **more})


def past(state: str, **more: object) -> Proposal:
    fields = {"started_seconds": NOW - 1200, "ended_seconds": NOW - 1190} if state in ("done", "failed") else {}
    named = {"proposal_id": "p-0", "state": state, "created_seconds": NOW - 1300}
    return replace(PROPOSAL, **{**named, **fields, **more})


def names(stops: list) -> list[str]:
    return [stop.gate for stop in stops]


def test_steps_that_change_something_up_to_the_remedy_and_none_behind_it():
    wanted = find_wanted(build_verdict(), live=False)
    assert [(one.action, one.target, one.precondition) for one in wanted] == [
        ("drain_node", "node:n7", ""),
        ("reboot_node", "node:n7", "no job runs on the node"),
    ]
    assert wanted[0].node == "n7"


@pytest.mark.parametrize("action", ["none", "watch", "check_workload"])
def test_what_changes_nothing_is_never_wanted(action):
    assert find_wanted(build_verdict(action), live=True) == []


def test_a_restart_names_the_unit_of_its_fault_and_waits_for_the_jobs():
    plan = [PlanStep(step=1, action="restart_service", target="node:n7")]
    known = build_verdict("restart_service", fault="fabric_manager_down", urgency="job_end", plan=plan)
    (wanted,) = find_wanted(known, live=True)
    assert (wanted.target, wanted.precondition) == (UNIT, "no program runs on the GPUs")
    (wanted,) = find_wanted(build_verdict("restart_service", fault="telemetry_stale", plan=plan), live=True)
    assert names(find_stops(Question(wanted, SITUATION), ["proposing"])) == ["target", "allow_list"]


def test_the_newest_evidence_tells_when_it_was_seen():
    spans = [("2026-11-20T10:00:00Z", "2026-11-20T10:00:05Z"), None, ("2026-11-20T09:00:00Z", "2026-11-20T09:30:00Z")]
    rows = [EvidenceRow(id=f"e{n}", source="x:1", span=span, quote="q") for n, span in enumerate(spans)]
    assert find_wanted(build_verdict(evidence=rows), live=True)[0].seen_seconds == 1795168805.0
    assert find_wanted(build_verdict(evidence=rows[1:2]), live=True)[0].seen_seconds is None


@pytest.mark.parametrize(
    ("target", "pattern", "fits"),
    [
        (UNIT, "service:*/nvidia-fabricmanager", True),
        (UNIT, "service:*/nvidia-fabricmanager.service", True),
        ("service:N7/nvidia-fabricmanager", "service:n7/nvidia-*", True),
        ("service:n7/evil/nvidia-fabricmanager", "service:*/nvidia-fabricmanager", False),
        ("service:n7/x", "service:*", False),
        ("node:gpu-017", "node:gpu-*", True),
        ("node:xgpu-017", "node:gpu-*", False),
        ("gpu:n7/3", "node:n7", False),
        ("job:4711", "job:*", True),
        (UNIT, "*", False),
        (UNIT, "", False),
        ("service:n7/NVIDIA-fabricmanager", "service:n7/nvidia-fabricmanager", False),
    ],
)
def test_allow_lists(target, pattern, fits):
    assert is_allowed(target, (pattern,)) is fits
    assert is_allowed(target, ()) is False


def test_with_every_gate_open_it_is_ready():
    judged = judge_wanted(WANTED, SITUATION)
    assert (judged.stops, judged.is_ready, judged.is_refused) == ((), True, False)
    assert find_refusals(PROPOSAL, SITUATION, ALICE) == []


def shut(gate: str, wanted=WANTED, situation=SITUATION, proposal=PROPOSAL, answer=None):
    return pytest.param(gate, Question(wanted, situation, proposal, answer), id=gate)


def seen(**more: object) -> Wanted:
    return replace(WANTED, **more)


def at(**more: object) -> Situation:
    return replace(SITUATION, **more)


SECOND = build_site(second_person=["restart_service"])
CASES = [
    shut("level", situation=at(autonomy=with_rules(level="observe"))),
    shut("executor", situation=at(autonomy=with_rules(executor=""))),
    shut("executor", situation=at(autonomy=with_rules(executor="../evil"))),
    shut("executor", proposal=replace(PROPOSAL, executor="webhook")),
    shut("target", wanted=seen(node="")),
    shut("allow_list", situation=at(autonomy=with_rules(allow=["service:n8/*"]))),
    shut("allow_list", situation=at(autonomy=with_rules(allow=[]))),
    shut("unknown_asset", situation=at(inventory=None)),
    shut("unknown_asset", situation=at(inventory=(Inventory("n8"),))),
    shut("unknown_asset", situation=at(inventory=(Inventory("n7.a"), Inventory("n7.b")))),
    *(
        shut("asset_state", situation=at(inventory=(Inventory("n7", state=state),)))
        for state in ("burn_in", "maintenance", "retired")
    ),
    shut(
        "answered",
        wanted=seen(seen_seconds=NOW - 1201),
        situation=at(past=(past("failed"),), autonomy=with_rules(cooldown_minutes=0)),
        proposal=None,
    ),
    shut("asking", situation=at(autonomy=with_rules(level="propose"))),
    shut("proof", wanted=seen(decided_by="model")),
    shut("proof", wanted=seen(confidence="likely")),
    shut("presence", wanted=seen(live=False)),
    shut("presence", wanted=seen(seen_seconds=None)),
    shut("presence", wanted=seen(seen_seconds=NOW - 3601)),
    shut("window", wanted=seen(urgency="maintenance")),
    shut("persons", situation=at(autonomy=SECOND)),
    shut("shadow", situation=at(autonomy=build_site(shadow=True))),
    shut("kill_switch", situation=at(halted="the file is there")),
    *(shut("single_use", proposal=replace(PROPOSAL, state=state)) for state in ("running", "done", "rejected")),
    shut("single_use", proposal=replace(PROPOSAL, state="would")),
    shut("expiry", proposal=replace(PROPOSAL, expires_seconds=NOW)),
    shut("expiry", situation=at(now_seconds=NOW - 1000), wanted=seen(seen_seconds=NOW - 1000)),
    shut("second_person", proposal=replace(PROPOSAL, approvals=(ALICE,)), answer=replace(ALICE, who="Alice")),
    shut("breaker", situation=at(breaker=BreakerState(NOW - 10, "a storm"))),
    shut("rate_limit", situation=at(autonomy=with_rules(per_hour=0))),
    shut("precondition", situation=at(programs={"n7": True})),
    shut("precondition", situation=at(programs={})),
    shut("precondition", situation=at(programs={"n8": False})),
]


@pytest.mark.parametrize(("gate", "question"), CASES)
def test_each_gate_is_shut_by_one_thing_and_is_the_only_one(gate, question):
    (stop,) = find_stops(question, ALL)
    assert stop.gate == gate
    assert stop.why and stop.fix
    assert "{" not in stop.fix


def test_every_gate_has_a_case_here():
    assert {case.values[0] for case in CASES} | {"cooldown"} == {gate.name for gate in GATES}


def test_rates_and_cooldowns_count_what_was_begun():
    others = tuple(
        past("done", proposal_id=f"p-x{n}", wanted=seen(target=f"service:n{n}/u", case_id=f"c-x{n}")) for n in range(3)
    )
    situation = at(past=others)
    assert names(find_stops(Question(WANTED, situation), ALL)) == ["rate_limit"]
    assert find_stops(Question(WANTED, at(past=others[:2])), ALL) == []
    assert find_stops(Question(WANTED, at(past=others, now_seconds=NOW + 2401)), ["doing"]) == []
    same = past("done", wanted=seen(case_id="c-0"))
    assert names(find_stops(Question(WANTED, at(past=(same,))), ALL)) == ["cooldown"]
    assert names(find_stops(Question(seen(seen_seconds=NOW - 1300), at(past=(same,))), ["proposing"])) == ["answered"]
    assert find_stops(Question(WANTED, at(past=(same,), now_seconds=NOW + 600)), ["doing"]) == []
    never_begun = past("open", wanted=seen(case_id="c-0"))
    assert find_stops(Question(WANTED, at(past=(never_begun,))), ALL) == []


def test_in_shadow_what_would_have_been_done_counts_against_the_limits():
    shadow = build_site(shadow=True, actions={"restart_service": {**RULES, "per_hour": 1, "cooldown_minutes": 0}})
    would = past("would", wanted=seen(case_id="c-0", target="service:n8/nvidia-fabricmanager"))
    assert names(find_stops(Question(WANTED, at(autonomy=shadow, past=(would,))), ALL)) == ["shadow", "rate_limit"]
    assert names(find_stops(Question(WANTED, at(autonomy=with_rules(per_hour=1), past=(would,))), ALL)) == []


def test_a_case_that_was_dealt_with_needs_something_new():
    done = past("done")
    assert judge_wanted(seen(seen_seconds=NOW - 1300), at(past=(done,))).is_refused
    assert judge_wanted(seen(seen_seconds=None), at(past=(done,))).is_refused
    again = judge_wanted(seen(seen_seconds=NOW - 10), at(past=(done,)))
    assert names(list(again.stops)) == ["cooldown"]
    no = past("rejected", rejection=replace(ALICE, at_seconds=NOW - 1200))
    assert names(list(judge_wanted(WANTED, at(past=(no,))).stops)) == ["answered"]
    assert not judge_wanted(seen(seen_seconds=NOW + 590), at(past=(no,), now_seconds=NOW + 601)).is_refused


def test_a_person_may_answer_for_the_precondition_but_not_against_what_is_seen():
    unknown, busy = at(programs={}), at(programs={"n7": True})
    looked = replace(ALICE, checked=True)
    assert names(find_refusals(PROPOSAL, unknown, ALICE)) == ["precondition"]
    assert find_refusals(PROPOSAL, unknown, looked) == []
    assert names(find_refusals(PROPOSAL, busy, looked)) == ["precondition"]


def test_idle_gpus_do_not_prove_that_no_job_runs():
    reboot = seen(precondition="no job runs on the node")
    assert names(find_stops(Question(reboot, SITUATION), ALL)) == ["precondition"]


def test_a_person_is_not_held_to_what_only_binds_the_machine():
    site = build_site(actions={"restart_service": {**RULES, "level": "propose"}})
    proposal = replace(PROPOSAL, wanted=seen(live=False, confidence="likely", seen_seconds=None))
    assert find_refusals(proposal, at(autonomy=site), ALICE) == []
    assert names(find_refusals(proposal, at(autonomy=site), None)) == ["asking", "proof", "presence"]


def test_two_persons_where_the_site_wants_two():
    assert is_decided(PROPOSAL, SITUATION, ALICE)
    situation = at(autonomy=SECOND)
    assert not is_decided(PROPOSAL, situation, ALICE)
    bob, once = replace(ALICE, who="bob"), replace(PROPOSAL, approvals=(ALICE,))
    assert is_decided(once, situation, bob)
    assert find_refusals(once, situation, bob) == []
    assert names(find_refusals(once, situation, ALICE)) == ["second_person"]


def storm(count: int, nodes: int) -> tuple[Proposal, ...]:
    wanted = [seen(node=f"n{n % nodes}", case_id=f"c-{n}") for n in range(count)]
    return tuple(
        replace(PROPOSAL, proposal_id=f"p-{n}", wanted=w, created_seconds=NOW - 10) for n, w in enumerate(wanted)
    )


@pytest.mark.parametrize(
    ("count", "nodes", "opens"), [(2, 2, False), (3, 2, False), (3, 3, True), (6, 2, False), (4, 4, True)]
)
def test_the_breaker_opens_at_more_than_half_of_the_nodes_and_three_actions(count, nodes, opens):
    situation = at(inventory=tuple(Inventory(f"n{n}") for n in range(4)), past=storm(count, nodes))
    assert bool(find_overload(situation)) is opens


def test_the_breaker_forgets_what_was_before_its_reset_and_what_was_only_shadow():
    inventory = tuple(Inventory(f"n{n}") for n in range(4))
    many = storm(4, 4)
    assert find_overload(at(inventory=inventory, past=many, breaker=BreakerState(reset_seconds=NOW - 5))) == ""
    assert find_overload(at(inventory=inventory, past=tuple(replace(p, state="would") for p in many))) == ""
    assert find_overload(at(inventory=inventory, past=many, now_seconds=NOW + 300)) == ""


def test_a_proposal_as_scripts_read_it():
    document = describe_proposal(PROPOSAL, NOW)
    assert document["answer"] == "daytwo approve p-1 --why TEXT"
    assert describe_proposal(PROPOSAL, NOW + 3000)["state"] == "expired"
    assert describe_proposal(PROPOSAL, NOW + 3000)["answer"] is None


def test_the_documented_table_of_gates_is_the_one_that_is_used():
    page = (Path(__file__).parents[2] / "docs" / "actions.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \| `(\w+)` \| ([a-z ]+) \| (.+) \|$", page, re.M)
    assert rows == [(gate.name, gate.shuts, gate.means) for gate in GATES]


def test_a_model_is_offered_nothing_that_changes_anything():
    text = str(build_definitions())
    offered = {one["function"]["name"] for one in build_definitions()}
    assert offered
    assert not offered & {"restart_service", "webhook", "approve", "reject", "execute"}
    assert all(
        name.startswith(("read_", "query_", "search_", "open_", "list_", "find_", "look")) for name in offered
    ), offered
    assert "systemctl restart" not in text


def test_no_executor_is_even_imported_by_what_judges_or_by_a_toolbox():
    words = (
        "import sys, agent.permission, agent.toolbox, agent.execution, agent.store.actions, serve.acting, serve.triage\n"
        "agent.toolbox.build_definitions(); agent.execution.list_executors()\n"
        "print([name for name in sys.modules if name.startswith('agent.executors.')])"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_claims_are_made_in_the_store_only():
    root = Path(__file__).parents[2]
    makers = [
        str(path.relative_to(root))
        for room in ("agent", "tools", "evals", "serve", "rag", "prompts")
        for path in (root / room).rglob("*.py")
        if re.search(r"\bClaim\(", re.sub(r"class Claim\b.*", "", path.read_text("utf-8")))
        and "from agent.execution import" in path.read_text("utf-8")
    ]
    assert makers == ["agent/store/actions.py"]
