"""The scenarios themselves: complete, with twins, and silent about their answers."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from agent.faults import load_faults
from evals.scenario import SCENARIO_FOLDER, EvidenceFile, Scenario, Truth, load_scenarios, write_evidence
from tools.errors import OperatorError

EDITION = frozenset(fault.id for fault in load_faults().values() if fault.scope == "node")
PLAIN_NAME = re.compile(r"[a-z0-9_./-]+")
# Words of fault ids that would give an answer away in a name; names of programs and forms stay free to use.
FREE_WORDS = {"gpu", "app", "disk", "fs", "io", "host", "nic", "job", "sensor", "network"}
HINT_WORDS = {word for fault in EDITION for word in fault.split("_")} - FREE_WORDS
HINT_WORDS |= {"xid", "sxid", "bad", "good", "ill", "healthy", "twin", "benign", "broken", "failed", "noisy"}


@pytest.fixture(scope="module")
def scenarios() -> tuple[Scenario, ...]:
    return load_scenarios()


def test_every_fault_of_a_node_has_a_scenario(scenarios):
    assert len(EDITION) == 55
    assert {s.truth.fault for s in scenarios} >= EDITION


def test_every_truth_speaks_of_faults_of_the_table(scenarios):
    known = set(load_faults())
    assert scenarios
    for scenario in scenarios:
        for truth in (scenario.truth, scenario.twin.truth):
            named = {*truth.faults, *truth.folded, *truth.absent, *truth.separate}
            assert named <= known, scenario.id


def test_every_scenario_names_a_harm_and_a_right_action(scenarios):
    assert scenarios
    for scenario in scenarios:
        for truth in (scenario.truth, scenario.twin.truth):
            assert truth.action and truth.harmful, scenario.id
            assert not set(truth.action) & set(truth.harmful), scenario.id


def test_the_twin_is_quiet_and_of_the_same_forms(scenarios):
    quiet = {"healthy", "benign", "not_applicable", "nvswitch_nonfatal", "gpu_app_fault"}
    assert scenarios
    for scenario in scenarios:
        assert scenario.twin.truth.fault in quiet, scenario.id
        assert scenario.twin.evidence != scenario.evidence
        own = {file.path for file in scenario.evidence}
        assert {file.path for file in scenario.twin.evidence} <= own, scenario.id


def test_names_of_scenarios_files_and_hosts_do_not_hint(scenarios):
    assert scenarios
    for scenario in scenarios:
        for file in (*scenario.evidence, *scenario.twin.evidence):
            assert PLAIN_NAME.fullmatch(file.path), file.path
            words = set(re.split(r"[^a-z]+", file.path))
            assert not words & HINT_WORDS, (scenario.id, file.path, words & HINT_WORDS)
            hosts = set(re.findall(r"\bnode-\w+(?!\w|\[)", file.text))
            assert all(re.fullmatch(r"node-[a-z]\d\d", host) for host in hosts), (scenario.id, hosts)


def test_evidence_holds_no_fault_id_and_no_scenario_id(scenarios):
    assert scenarios
    for scenario in scenarios:
        for file in (*scenario.evidence, *scenario.twin.evidence):
            assert not any(fault in file.text for fault in EDITION), scenario.id
            assert scenario.id not in file.text
            assert scenario.id not in file.path


def test_ids_do_not_follow_the_order_of_the_faults(scenarios):
    order = [scenario.truth.fault for scenario in scenarios]
    neighbours = sum(a == b for a, b in pairwise(order))
    assert neighbours <= 3


def test_several_forms_of_kernel_time_occur(scenarios):
    text = "\n".join(file.text for s in scenarios for file in s.evidence)
    forms = (
        r"^\[\d+\.\d{6}\] ",
        r"^\[\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}\] ",
        r"^\w{3} +\d+ \d\d:\d\d:\d\d node",
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000 ",
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 ",
    )
    for form in forms:
        assert re.search(form, text, re.MULTILINE), form


def test_load_refuses_what_is_no_scenario(tmp_path):
    (tmp_path / "s-0001.yaml").write_text("id: s-0001\nabout: x\n", encoding="utf-8")
    with pytest.raises(OperatorError, match=r"s-0001\.yaml is no scenario"):
        load_scenarios(tmp_path)
    with pytest.raises(OperatorError, match="any scenario"):
        load_scenarios(tmp_path / "nothing")
    with pytest.raises(OperatorError, match="s-9999"):
        load_scenarios(SCENARIO_FOLDER, ["s-9999"])


def test_load_refuses_a_name_that_is_not_the_id(tmp_path):
    text = (SCENARIO_FOLDER / "s-0417.yaml").read_text(encoding="utf-8")
    (tmp_path / "s-0002.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(OperatorError, match="s-0417"):
        load_scenarios(tmp_path)


def test_load_picks_by_id():
    assert [scenario.id for scenario in load_scenarios(ids=["s-0417"])] == ["s-0417"]


def test_a_truth_cannot_call_an_action_both_right_and_harmful():
    with pytest.raises(ValueError, match="both right and harmful"):
        Truth(fault="gpu_off_bus", action=("reboot_node",), harmful=("reboot_node",))


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.log", "a/../../up.log", ""])
def test_evidence_cannot_leave_its_folder(path):
    with pytest.raises(ValueError, match="no relative path"):
        EvidenceFile(path=path, text="x")


def test_written_evidence_is_paths_and_texts_and_nothing_else(tmp_path, scenarios):
    scenario = next(s for s in scenarios if any("/" in file.path for file in s.evidence))
    write_evidence(scenario.evidence, tmp_path)
    found = {str(p.relative_to(tmp_path)): p.read_text(encoding="utf-8") for p in Path(tmp_path).rglob("*.*")}
    assert found == {file.path: file.text for file in scenario.evidence}
