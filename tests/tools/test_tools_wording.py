"""Texts that no rule knows: their words speak, softly; what is known is never outvoted by words."""

from datetime import UTC, datetime

import pytest

from agent.faults import load_event_policy, load_faults
from agent.policy import ACTION_RANK, SitePolicy
from agent.triage import exit_code, triage
from tools.errors import EvidenceUnreadable
from tools.parsers._log_alarm import MAX_LINES
from tools.parsers._wording import find_subject, load_wording
from tools.sources.recording import RecordingSource

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)


def report(tmp_path, text):
    path = tmp_path / "paste.txt"
    path.write_text(text, encoding="utf-8")
    return triage(RecordingSource([path], max_bytes=10**7).read_facts(), site=SitePolicy(), now=NOW)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("storaged: drive in bay 7 was dropped from the enclosure", "disk_lost"),
        ("arrayd: volume metadata is corrupt, mounting it read-only was refused", "filesystem_fault"),
        ("fancontrol: fan tray 2 below minimum", "host_chassis_fault"),
        ("xport: qsfp module of port 4 reports high temperature", "nic_power_or_thermal"),
        ("memmon: DIMM_B2 single-bit errors corrected by scrubbing", "host_memory_correctable"),
        ("the weather is fine", ""),
        ("collector finished with 0 errors on drive 3", ""),
    ],
)
def test_the_words_of_a_line_name_its_subject(line, fault):
    assert find_subject(line) == fault


def test_every_row_names_a_fault_of_the_table():
    faults = load_wording().faults
    assert len(faults) > 30
    assert set(faults) <= set(load_faults())
    assert {f"wording:{fault}" for fault in faults} <= set(load_event_policy())


def test_words_alone_are_inconclusive_soft_and_quoted(tmp_path):
    told = report(
        tmp_path, "storaged: drive in bay 7 was dropped from the enclosure\nstoraged: drive gone, giving up\n"
    )
    verdict = told.verdicts[0]
    assert (verdict.fault, verdict.confidence, verdict.severity) == ("disk_lost", "inconclusive", "warning")
    assert ACTION_RANK[verdict.action] <= ACTION_RANK["run_diagnostics"]
    assert verdict.evidence[0].quote.startswith("storaged: drive in bay 7")
    assert "No rule knows these lines" in (verdict.reason or "")
    assert any(row.status == "partial" and "by its words alone" in row.reason for row in told.coverage)


def test_words_of_well_being_are_no_health(tmp_path):
    told = report(tmp_path, "turboarray bay 1: optimal\nturboarray bay 2: optimal\n")
    assert (told.verdicts[0].fault, told.verdicts[0].status) == ("benign", "unknown")
    assert exit_code(told) == 2


def test_what_is_known_silences_words(tmp_path):
    known = "kernel: [12.5] NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.\n"
    told = report(tmp_path, known + "storaged: drive in bay 7 was dropped from the enclosure\n")
    assert "disk_lost" not in [verdict.fault for verdict in told.verdicts]


def test_a_long_text_is_not_read_by_its_words(tmp_path):
    lines = [f"storaged {n}: drive in bay 7 was dropped" for n in range(MAX_LINES + 1)]
    with pytest.raises(EvidenceUnreadable, match="of no form that is known"):
        report(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("collectd: no answer from data source rack7", "telemetry_stale"),
        ("nightd: BUG: soft lockup seen on cpu 12, stuck for 30 s", "host_cpu_lockup"),
        ("md3 : active raid1 sdq1[0](F) sdr1[1]", "disk_lost"),
        ("scheduler: request 17 preempted, kv cache full", "llm_kv_pressure"),
        ("health: NIC link width x4, expected value x16: Unhealthy", "pcie_link_degraded"),
        ("uncorrectable ECC errors     : 0", ""),
        ("Errors Corrected              = none", ""),
    ],
)
def test_a_subject_of_its_own_goes_before_a_common_one(line, fault):
    assert find_subject(line) == fault


@pytest.mark.parametrize("line", ["Uncorrectable ECC errors seen by the tool: 0", "Uncorrectable memory errors = none"])
def test_a_count_of_none_is_no_fault(tmp_path, line):
    assert report(tmp_path, f"{line}\nall disks: OK\n").verdicts[0].fault in ("healthy", "benign")
