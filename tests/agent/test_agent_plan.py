"""What a plan tells to type is what the runbook of the fault tells to type."""

from __future__ import annotations

import re

from agent.faults import load_faults
from agent.plan import spell_command
from agent.policy import SitePolicy
from agent.types import Case, Suspicion
from rag.chunks import SHIPPED, read_runbooks
from tools.types import Entity

VALIDATES = re.compile(r"validat|\breturn\b|\bresume\b|all tests", re.IGNORECASE)
LEVEL = re.compile(r"dcgmi diag -r ([\w,]+)")
VERBS = {
    "drain_node": r"scontrol update NodeName=NODE State=\w+",
    "return_to_service": r"scontrol update NodeName=NODE State=RESUME",
}


def spell(action: str, fault: str) -> str:
    component = load_faults()[fault].component
    kind = component if component in ("gpu", "disk", "nic") else "node"
    case = Case("c-1", Suspicion(fault, Entity(kind, "", "X" if kind != "node" else ""), "settles"))
    return spell_command(action, case, SitePolicy()) or ""


def test_a_validation_is_the_one_of_the_runbook():
    held = 0
    for fault, book in read_runbooks(SHIPPED, None).items():
        steps = re.split(r"\n(?=\d+\. )", book.sections["do"])
        named = {level for step in steps if VALIDATES.search(step) for level in LEVEL.findall(step)}
        told = LEVEL.findall(spell("validate", fault))
        if named and told:
            held += 1
            assert told[0] in named, f"{fault}: the plan says {told[0]}, the runbook {named}"
    assert held > 15


def test_a_diagnosis_of_one_fault_is_the_one_of_the_runbook():
    held = 0
    for fault, book in read_runbooks(SHIPPED, None).items():
        text = book.sections["confirm"] + "\n".join(
            step for step in re.split(r"\n(?=\d+\. )", book.sections["do"]) if not VALIDATES.search(step)
        )
        named = set(LEVEL.findall(text))
        told = LEVEL.findall(spell("run_diagnostics", fault))
        if named and told:
            held += 1
            assert told[0] in named, f"{fault}: the plan says {told[0]}, the runbook {named}"
    assert held >= 5


def test_the_scheduler_is_spoken_to_in_the_same_words():
    held = 0
    for fault, book in read_runbooks(SHIPPED, None).items():
        for action, verb in VERBS.items():
            named = set(re.findall(r"scontrol update NodeName=NODE State=\w+", book.sections["do"]))
            told = re.match(verb, spell(action, fault))
            assert told, (fault, action)
            if action == "drain_node" and named:
                held += 1
                assert named <= {told[0], "scontrol update NodeName=NODE State=RESUME"}, (fault, named)
    assert held > 10
