"""A healthy verdict says on how much it rests; a summary is no surer than its verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from agent.types import Verdict
from agent.verdicts import SURENESS
from tools.sources.recording import RecordingSource

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LINE = (
    "2026-11-{day:02d}T02:{minute:02d}:00+00:00 n7 kernel: usb 1-1: new high-speed USB device number 2 using xhci_hcd\n"
)
IOSTAT = Path(__file__).parents[2] / "examples" / "bad-night" / "xen-03" / "iostat.txt"


def judge(folder: Path, name: str, text: str, *, now: datetime = NOW) -> Verdict:
    (folder / name).write_text(text, encoding="utf-8")
    facts = RecordingSource([folder], max_bytes=1 << 24).read_facts()
    return triage(facts, site=SitePolicy(), now=now).verdicts[0]


def quiet(lines: int, day: int = 20) -> str:
    return "".join(LINE.format(day=day, minute=minute) for minute in range(lines))


def test_one_quiet_line_is_likely_at_best(tmp_path):
    verdict = judge(tmp_path, "kern.log", quiet(1))
    assert (verdict.fault, verdict.confidence) == ("healthy", "likely")
    assert "Read: 1 line of logs, up to 2026-11-20T02:00:00.000Z; that is little." in verdict.summary


def test_a_quiet_hour_of_today_is_confirmed(tmp_path):
    verdict = judge(tmp_path, "kern.log", quiet(50))
    assert (verdict.fault, verdict.confidence) == ("healthy", "confirmed")
    assert "Read: 50 lines of logs, up to 2026-11-20T02:49:00.000Z." in verdict.summary


def test_an_old_log_tells_nothing_since(tmp_path):
    verdict = judge(tmp_path, "kern.log", quiet(50, day=9))
    assert (verdict.fault, verdict.confidence) == ("healthy", "likely")
    assert "it ends 11 days ago and tells nothing since" in verdict.summary
    assert judge(tmp_path, "kern.log", quiet(50, day=9), now=NOW - timedelta(days=11)).confidence == "confirmed"


def test_what_tells_no_wall_time_has_no_age(tmp_path):
    text = "".join(f"[{9000 + n}.5] usb 1-1: new high-speed USB device number 2 using xhci_hcd\n" for n in range(30))
    verdict = judge(tmp_path, "dmesg.txt", text)
    assert (verdict.fault, verdict.confidence) == ("healthy", "confirmed")
    assert "Read: 30 lines of logs." in verdict.summary


WEAK = {
    "confirmed": "NVRM: Xid (PCI:0000:4e:00): 79, pid=1, name=x, GPU has fallen off the bus.\n",
    "inconclusive": "Nov 20 02:14:09 n7 app[77]: NVRM: Xid (PCI:0000:4e:00): 79, GPU has fallen off the bus.\n",
}


@pytest.mark.parametrize("confidence", WEAK)
def test_a_summary_is_as_sure_as_its_verdict(tmp_path, confidence):
    text = WEAK[confidence] if confidence == "inconclusive" else f"Nov 20 02:14:09 n7 kernel: {WEAK[confidence]}"
    verdict = judge(tmp_path, "messages", text)
    assert (verdict.fault, verdict.confidence) == ("gpu_off_bus", confidence)
    said = verdict.summary.removeprefix(f"{verdict.subject.entity}: ")
    assert said.startswith(f"{SURENESS[confidence]}The GPU stopped answering")


def test_a_likely_fault_is_said_to_be_likely(tmp_path):
    verdict = judge(tmp_path, "iostat.txt", IOSTAT.read_text(encoding="utf-8"))
    assert verdict.confidence == "likely"
    assert SURENESS["likely"] in verdict.summary
