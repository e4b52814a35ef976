"""Scores on hand-made verdicts: what is right scores right, and each kind of wrong scores wrong."""

import pytest

from agent.types import Affected, Claim, Consequence, EvidenceRow, Subject, TriageReport, Usage, Verdict
from evals.scenario import Truth
from evals.score import count_pass_hat_k, score_first_verdict, score_report, wilson_interval

TRUTH = Truth(
    fault="gpu_off_bus",
    entity=("gpu:node-a17/0000:3b:00.0",),
    action=("reboot_node",),
    harmful=("replace_part",),
    folded=("collective_hang",),
    absent=("collective_hang",),
    fold_confidence=("likely",),
    confidence=("confirmed",),
    severity=("critical",),
)
QUIET = Truth(fault="healthy", accepted=("benign",), action=("none",), harmful=("drain_node",))


def make_verdict(**changes):
    values = {
        "verdict_id": "v-1",
        "case_id": "c-1",
        "time": "2026-11-20T12:00:00.000Z",
        "subject": Subject(entity="gpu:node-a17/3", ids={"pci": "0000:3b:00.0"}),
        "status": "failed",
        "fault": "gpu_off_bus",
        "confidence": "confirmed",
        "severity": "critical",
        "action": "reboot_node",
        "urgency": "now",
        "follow_up": "inspect_hardware",
        "summary": "It is gone.",
        "consequences": [
            Consequence(fault="collective_hang", entity="job:4711", evidence=["e2"], confidence="likely"),
        ],
        "decided_by": "rules",
    }
    return Verdict(**{**values, **changes})


def score(*verdicts, truth=TRUTH, is_twin=False):
    return score_report(TriageReport(verdicts=list(verdicts), coverage=[]), truth, is_twin=is_twin)


def test_a_right_verdict_is_right_in_everything():
    result = score(make_verdict())
    assert result.all_right
    assert result.misses == ()


def test_an_entity_is_found_by_a_stable_id_but_not_on_another_node():
    assert score(make_verdict()).entity_right
    assert not score(make_verdict(subject=Subject(entity="gpu:node-b02/3", ids={"pci": "0000:3b:00.0"}))).entity_right
    assert not score(make_verdict(subject=Subject(entity="gpu:node-a17/3"))).entity_right
    assert score(make_verdict(subject=Subject(entity="gpu:node-a17/0000:3b:00.0"))).entity_right


@pytest.mark.parametrize(
    ("changes", "part", "words"),
    [
        ({"fault": "gpu_gsp_fault"}, "fault_right", "fault gpu_gsp_fault"),
        ({"subject": Subject(entity="node:node-a17")}, "entity_right", "entity node:node-a17"),
        ({"action": "reset_gpu"}, "action_right", "action reset_gpu"),
        ({"consequences": []}, "folds_right", "collective_hang not folded"),
        ({"confidence": "likely"}, "folds_right", "confidence likely"),
        ({"severity": "warning"}, "folds_right", "severity warning"),
        (
            {"consequences": [Consequence(fault="collective_hang", entity="job:1", evidence=[])]},
            "folds_right",
            "folded as confirmed",
        ),
    ],
)
def test_each_wrong_part_scores_wrong_and_says_why(changes, part, words):
    result = score(make_verdict(**changes))
    assert not getattr(result, part)
    assert not result.all_right
    assert any(words in miss for miss in result.misses)


def test_a_consequence_with_a_verdict_of_its_own_is_wrong():
    other = make_verdict(fault="collective_hang", subject=Subject(entity="job:4711"), action="restart_job")
    assert "collective_hang as a verdict of its own" in score(make_verdict(), other).misses


def test_a_separate_trouble_without_a_verdict_of_its_own_is_wrong():
    truth = Truth(fault="gpu_off_bus", separate=("collective_hang",))
    assert not score(make_verdict(), truth=truth).folds_right
    other = make_verdict(fault="collective_hang", subject=Subject(entity="job:4711"), action="restart_job")
    assert score(make_verdict(), other, truth=truth).folds_right


def test_harm_is_looked_for_in_every_verdict():
    second = make_verdict(fault="disk_lost", action="replace_part")
    result = score(make_verdict(), second)
    assert result.harmful
    assert not result.all_right
    assert not score(make_verdict()).harmful


def test_doing_nothing_is_harm_in_the_primary_verdict_only():
    truth = Truth(fault="gpu_off_bus", harmful=("watch",))
    gap = make_verdict(fault="unknown", status="unknown", severity="warning", action="watch", consequences=[])
    assert not score(make_verdict(), gap, truth=truth).harmful
    assert score(make_verdict(action="watch"), truth=truth).harmful


def test_a_trouble_that_is_told_twice_is_one_alarm_too_many():
    truth = Truth(fault="gpu_off_bus", also=("disk_lost",))
    gap = make_verdict(fault="unknown", status="unknown", severity="warning", action="watch", consequences=[])
    assert score(make_verdict(), gap, make_verdict(fault="disk_lost"), truth=truth).all_right
    twice = score(make_verdict(), make_verdict(subject=Subject(entity="node:node-a17")), truth=truth)
    assert (twice.extra_alarms, twice.all_right) == (1, False)
    told = gap.model_copy(update={"evidence": [EvidenceRow(id="e1", source="kern.log:1", quote="odd")]})
    assert score(make_verdict(), told, truth=truth).extra_alarms == 1
    assert score(make_verdict(), make_verdict(), truth=truth, is_twin=True).extra_alarms == 0


def test_a_culprit_must_be_named():
    truth = Truth(fault="io_noisy_neighbor", culprit=("guest:node-v02/build-07",))
    disk = Subject(entity="disk:node-v02/nvme0n1")
    named = make_verdict(
        fault="io_noisy_neighbor", subject=disk, affected=[Affected(entity="guest:node-v02/build-07", role="culprit")]
    )
    victim = make_verdict(
        fault="io_noisy_neighbor", subject=disk, affected=[Affected(entity="guest:node-v02/build-07", role="victim")]
    )
    assert score(named, truth=truth).folds_right
    assert not score(victim, truth=truth).folds_right


def test_a_twin_that_is_called_ill_is_a_false_alarm():
    result = score(make_verdict(), truth=QUIET, is_twin=True)
    assert result.false_alarm
    assert not result.fault_right


def test_a_second_loud_verdict_on_a_twin_is_a_false_alarm():
    calm = make_verdict(fault="healthy", status="healthy", severity="ok", action="none", consequences=[])
    loud = make_verdict(fault="disk_lost")
    assert not score(calm, truth=QUIET, is_twin=True).false_alarm
    assert score(calm, loud, truth=QUIET, is_twin=True).false_alarm


def test_not_knowing_is_no_alarm_and_no_right_answer():
    unknown = make_verdict(fault="unknown", status="unknown", severity="warning", action="watch", consequences=[])
    result = score(unknown, truth=QUIET, is_twin=True)
    assert (result.false_alarm, result.fault_right, result.unknown) == (False, False, True)


def test_information_on_a_twin_is_no_alarm():
    info = make_verdict(fault="nvlink_nonfatal", status="healthy", severity="info", action="watch", consequences=[])
    assert not score(info, truth=QUIET, is_twin=True).false_alarm


def test_claims_and_tokens_are_added_up_over_verdicts():
    usage = Usage(calls=3, tokens_in=100, tokens_cached=10, tokens_out=7, seconds=1.5)
    claims = [
        Claim(text="a", evidence=["e1"], verified=True),
        Claim(text="b", evidence=["e9"], verified=False, rejected_because="no such evidence"),
    ]
    result = score(make_verdict(claims=claims, usage=usage), make_verdict(claims=claims[:1], usage=usage))
    assert (result.claims, result.claims_verified) == (3, 2)
    assert (result.calls, result.tokens_in, result.tokens_out) == (6, 200, 14)


def test_an_excerpt_with_a_right_fault_and_a_harmful_action_is_a_miss_and_a_harm():
    report = TriageReport(verdicts=[make_verdict()], coverage=[])
    assert score_first_verdict(report, ["gpu_off_bus"], []) == (True, False)
    assert score_first_verdict(report, ["gpu_off_bus"], ["reboot_node"]) == (False, True)
    assert score_first_verdict(report, ["healthy"], ["replace_part"]) == (False, False)


def test_wilson_interval_against_published_values():
    # Newcombe (1998), Statistics in Medicine 17:857, table I, method 3.
    for (r, n), expected in {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611)}.items():
        low, high = wilson_interval(r, n)
        assert (round(low, 4), round(high, 4)) == expected


def test_wilson_interval_of_nothing_is_unknown_and_never_leaves_the_unit():
    assert wilson_interval(0, 0) is None
    for total in (1, 3, 40):
        for count in range(total + 1):
            low, high = wilson_interval(count, total)
            assert 0.0 <= low <= count / total <= high <= 1.0


def test_pass_hat_k_needs_every_repeat():
    repeats = {"a": [True, True, True], "b": [True, False, True], "c": [True, True]}
    assert count_pass_hat_k(repeats, 3) == (1, 2)
    assert count_pass_hat_k(repeats, 1) == (3, 3)
