"""A disk that completes nothing of what is open on it, and one that is only busy or only since boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.detectors import disk_saturation, disk_stuck
from tools.sources.recording import RecordingSource

HEAD = "Device:         rrqm/s   wrqm/s     r/s     w/s    rMB/s    wMB/s avgrq-sz avgqu-sz   await r_await w_await  svctm  %util\n"
BOOT = (
    HEAD
    + "sdk               0.10     5.00    3.00    6.00     0.20     0.20    90.00     0.02    3.00    5.00    2.00   3.00   3.00\n\n"
)


@pytest.mark.parametrize(
    ("row", "stuck"),
    [
        ("sdk  0.00  0.00  0.00  0.00  0.00  0.00  0.00  17.00  0.00  0.00  0.00  0.00 100.00", True),
        ("sdk  0.00  0.00  0.00  4.00  0.00  0.02  9.00  17.00  900.0  0.00  900.0  250.0 100.00", False),
        ("sdk  0.00  0.00  0.00  0.00  0.00  0.00  0.00  0.00  0.00  0.00  0.00  0.00 100.00", False),
        ("sdk  0.00  0.00  0.00  0.00  0.00  0.00  0.00  17.00  0.00  0.00  0.00  0.00  20.00", False),
    ],
)
def test_open_requests_of_which_none_completes(tmp_path: Path, row: str, stuck: bool) -> None:
    (tmp_path / "io.txt").write_text(f"{BOOT}{HEAD}{row}\n", encoding="utf-8")
    facts = RecordingSource([tmp_path / "io.txt"], max_bytes=1 << 20).read_facts()
    found = disk_stuck.detect(facts)
    assert [f.fault_hint for f in found] == (["disk_fail_slow"] if stuck else [])
    if stuck:
        assert "17 requests are open" in found[0].note
        assert disk_saturation.detect(facts) == []


def test_averages_since_boot_show_no_stuck_disk(tmp_path: Path) -> None:
    row = "sdk  0.00  0.00  0.00  0.00  0.00  0.00  0.00  17.00  0.00  0.00  0.00  0.00 100.00"
    (tmp_path / "io.txt").write_text(f"{HEAD}{row}\n", encoding="utf-8")
    assert disk_stuck.detect(RecordingSource([tmp_path / "io.txt"], max_bytes=1 << 20).read_facts()) == []
