"""What people read: golden pages at 80 columns, and plain text off a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.types import CoverageRow, TriageReport, Verdict
from serve.render import render_coverage, render_lines, render_report, render_verdict, unwrap
from serve.terminal import render_plain

GOLDEN = Path(__file__).parent / "golden"

LOST = {
    "verdict_id": "v-1",
    "case_id": "c-8f1d22",
    "time": "2026-11-20T10:00:00.000Z",
    "subject": {"entity": "gpu:n7/3", "ids": {"pci": "0000:3b:00.0"}},
    "status": "failed",
    "fault": "gpu_off_bus",
    "confidence": "confirmed",
    "severity": "critical",
    "action": "reboot_node",
    "urgency": "now",
    "follow_up": "inspect_hardware",
    "summary": "GPU 3 of n7 no longer answers on PCIe. The driver says so, and two ranks of a job timed out after it.",
    "plan": [
        {"step": 1, "action": "collect_evidence", "target": "node:n7", "command": "nvidia-bug-report.sh --safe-mode"},
        {
            "step": 2,
            "action": "drain_node",
            "target": "node:n7",
            "command": 'scontrol update NodeName=n7 State=DRAIN Reason="daytwo c-8f1d22: gpu_off_bus"',
        },
        {
            "step": 3,
            "action": "reboot_node",
            "target": "node:n7",
            "command": "systemctl reboot",
            "precondition": "no job runs on the node",
        },
    ],
    "evidence": [
        {
            "id": "e1",
            "source": "kern.log:118",
            "quote": "Nov 20 02:14:09 n7 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.",
        },
        {"id": "e2", "source": "kern.log:119", "quote": "[not markup] [/red] stays as it is"},
    ],
    "consequences": [
        {"fault": "collective_hang", "entity": "job:4711", "evidence": ["e3", "e4"], "count": 2},
        {
            "fault": "gpu_app_fault",
            "entity": "gpu:n7/5",
            "evidence": ["e5"],
            "confidence": "likely",
            "why": "one log has seconds since boot, the other wall time",
        },
    ],
    "affected": [{"entity": "job:4711", "role": "victim"}],
    "claims": [
        {"text": "GPU 3 fell off the bus", "evidence": ["e1"], "verified": True},
        {
            "text": "The GPU reached 97 C before it was lost",
            "evidence": ["e1"],
            "verified": False,
            "rejected_because": "97 does not stand in e1",
        },
    ],
    "alternatives": [{"fault": "gpu_power_supply", "less_likely_because": "no line speaks of missing power"}],
    "runbook": {"id": "gpu_off_bus", "section": "do"},
    "decided_by": "rules",
    "reason": "The model was not asked for its opinion twice.",
    "model": {"name": "some/model", "endpoint_kind": "local", "prompt_hashes": {}},
    "usage": {"calls": 3, "tokens_in": 4100, "tokens_cached": 0, "tokens_out": 220, "seconds": 2.25},
}
COVERAGE = [
    CoverageRow(entity="kern.log", domain="kernel_log", status="read"),
    CoverageRow(
        entity="node:n7",
        domain="disk",
        status="missing",
        reason="iostat is not installed",
        fix="apt-get install sysstat",
    ),
    CoverageRow(entity="node:n7", domain="guests", status="not_applicable", reason="no hypervisor here"),
]


def build(**changes: object) -> Verdict:
    return Verdict.model_validate({**LOST, **changes})


def excerpt(_: object) -> str:
    steps = "\n".join(f"{number}. step" for number in range(3, 40))
    return f"1. Collect evidence\n   before anything is restarted.\n\n2. Drain the node.\n{steps}"


def hold(name: str, text: str) -> None:
    path = GOLDEN / name
    assert path.is_file(), f"no golden page {name}; it would be:\n{text}"
    assert text == path.read_text(encoding="utf-8")


def test_a_report_at_80_columns():
    report = TriageReport(verdicts=[build()], coverage=COVERAGE)
    text = render_plain(render_report(report, excerpt=excerpt), width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    hold("report-80.txt", text)


def test_a_report_off_a_terminal_keeps_lines_whole():
    report = TriageReport(verdicts=[build()], coverage=COVERAGE)
    text = render_plain(render_report(report))
    assert LOST["evidence"][0]["quote"] in text
    assert LOST["plan"][1]["command"] in text
    hold("report-plain.txt", text)


def test_many_verdicts_become_lines():
    others = [build(case_id=f"c-{number}", fault="io_saturated", severity="warning") for number in range(6)]
    text = render_plain(render_report(TriageReport(verdicts=[build(), *others], coverage=[])), width=80)
    assert text.count("case       c-") == 4, "four in full"
    assert text.count("▲ WARNING  io_saturated") == 6
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("▲") and "c-" in line] == [
        "c-3",
        "c-4",
        "c-5",
    ]


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        ({"status": "healthy", "severity": "ok", "fault": "healthy", "confidence": "likely"}, "✔ HEALTHY  healthy"),
        ({"status": "unknown", "severity": "warning", "fault": "unknown"}, "? UNKNOWN  unknown"),
        ({"status": "unknown", "severity": "ok", "fault": "benign"}, "? PARTLY READ  benign"),
        ({"status": "not_applicable", "severity": "ok", "fault": "not_applicable"}, "✔ NOT APPLICABLE"),
        ({"status": "degraded", "severity": "warning"}, "▲ WARNING  gpu_off_bus"),
        ({"status": "healthy", "severity": "info", "fault": "gpu_app_fault"}, "● INFO  gpu_app_fault"),
    ],
)
def test_heads(changes, head):
    assert render_plain(render_verdict(build(**changes)), width=80).startswith(head)


def test_markup_in_evidence_is_text():
    assert "[not markup] [/red] stays as it is" in render_plain(render_verdict(build()))


def test_what_was_thrown_out_says_why():
    text = render_plain(render_verdict(build()))
    assert "✗ The GPU reached 97 C before it was lost (e1) — thrown out: 97 does not stand in e1" in text


def test_evidence_is_capped_and_says_so():
    rows = [{"id": f"e{n}", "source": f"k:{n}", "quote": "x" * 900} for n in range(20)]
    text = render_plain(render_verdict(build(evidence=rows)))
    assert "and 14 more" in text
    assert "x" * 401 not in text


def test_readings_are_shown_once_with_their_limits():
    values = {"disk_queue_length": 163.1, "threshold_queue_length": 2.0, "await_seconds": 0.03858, "share:a": 1.0}
    rows = [{"id": f"e{n}", "source": f"io:{n}", "quote": "sdb      1.00     2.00", "values": values} for n in (1, 2)]
    text = render_plain(render_verdict(build(evidence=rows)))
    assert text.count("disk_queue_length 163.1 (limit 2), await_seconds 0.03858\n") == 1
    assert "“sdb  1.00  2.00”" in text


def test_coverage_counts_what_is_missing_and_says_what_to_type():
    text = render_plain(render_coverage(COVERAGE))
    assert text.startswith("Coverage  1 of 3 not read in full")
    assert "→ apt-get install sysstat" in text
    assert render_plain(render_coverage(COVERAGE[:1])).startswith("Coverage  all was read")


def test_claims_of_rules_that_all_hold_only_repeat_the_evidence():
    held = [claim for claim in LOST["claims"] if claim["verified"]]
    assert "✓" not in render_plain(render_verdict(build(claims=held, model=None, decided_by="rules")))
    assert "✓" in render_plain(render_verdict(build(claims=held)))


def test_lines_hold_what_a_list_needs():
    assert render_plain(render_lines([build()])).split() == [
        "✖", "CRITICAL", "gpu_off_bus", "gpu:n7/3", "reboot_node", "c-8f1d22",
    ]  # fmt: skip


def test_unwrap_joins_prose_and_keeps_code():
    text = "A long\nsentence.\n- one\n  more of one\n- two\n```\nls -l |\n  wc\n```\n"
    assert unwrap(text) == ["A long sentence.", "- one more of one", "- two", "ls -l |", "  wc"]
    assert unwrap("") == []
