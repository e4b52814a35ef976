"""Texts that mail folded, a diff marked or a ticket fenced in are read as what they were before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.sources._mending import join_folded, mend
from tools.sources.recording import RecordingSource
from tools.types import Facts, Line

XID = "[ 4021.118273] NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


def read(tmp_path: Path, text: str) -> Facts:
    (tmp_path / "pasted.txt").write_text(text, encoding="utf-8")
    return RecordingSource([tmp_path / "pasted.txt"], max_bytes=1 << 20).read_facts()


def codes(facts: Facts) -> list[str]:
    return [event.code for event in facts.events]


def fold(text: str, width: int) -> str:
    """Fold as a mail program does: at blanks, each line as full as it can be."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


@pytest.mark.parametrize("width", [64, 72, 78])
def test_a_folded_kernel_log_is_read_as_before(tmp_path: Path, width: int) -> None:
    other = (
        XID.replace("4021.118273", "4021.118911")
        .replace("79,", "31,")
        .replace("GPU has fallen off the bus.", "Ch 00000008, intr 00000000. MMU Fault")
    )
    plain = read(tmp_path, f"{XID}\n{other}\n")
    folded = read(tmp_path, f"{fold(XID, width)}\n{fold(other, width)}\n")
    assert codes(folded) == codes(plain)
    assert folded.events[0].quote.line == 1


def test_a_line_with_a_head_of_its_own_is_never_joined() -> None:
    lines = [
        Line(1, "[   1.000000] usb 1-1: new high-speed USB device number 2 using xhci_hcd"),
        Line(2, "[   1.000100] usb 1-1: ok"),
    ]
    assert join_folded(lines) == []


def test_short_lines_are_no_folded_ones() -> None:
    assert join_folded([Line(1, "a" * 40), Line(2, "b" * 30)]) == []


def test_a_folded_table_keeps_its_columns(tmp_path: Path) -> None:
    head = "Device:         rrqm/s   wrqm/s     r/s     w/s    rMB/s    wMB/s"
    rest = "avgrq-sz avgqu-sz   await r_await w_await  svctm  %util"
    row = "nvme0n1           0.00     0.50  636.00 1280.00    45.11    76.19"
    values = "129.65     3.03    1.23    0.67    1.51   0.76  45.50"
    facts = read(tmp_path, "\n".join([head, rest, row, values, row.replace("0n1", "1n1"), values]) + "\n")
    signals = {signal for window in facts.windows for signal in window.values}
    assert {"disk_read_await_seconds", "disk_utilization_ratio"} <= signals
    assert {entity.name for window in facts.windows for entity in window.entities} == {"nvme0n1", "nvme1n1"}


def test_the_marks_of_a_diff_are_no_part_of_it(tmp_path: Path) -> None:
    text = (
        "Smart Log for NVME device:nvme0n1 namespace-id:ffffffff\n"
        "+critical_warning                    : 0x1\n+temperature                         : 38 C\n"
        "+available_spare                     : 3%\n+available_spare_threshold           : 10%\n"
    )
    values = {signal: window.latest(0, signal) for window in read(tmp_path, text).windows for signal in window.values}
    assert values["disk_spare_ratio"] == pytest.approx(0.03)


def test_fences_of_a_page_are_no_evidence(tmp_path: Path) -> None:
    facts = read(tmp_path, f"```console\n{XID}\n```\n")
    assert codes(facts) == ["xid:79"]
    assert all("```" not in row.reason for row in facts.coverage)


def test_what_tells_as_much_as_it_stands_is_left_alone(tmp_path: Path) -> None:
    assert list(mend([Line(1, XID)])) == []
    assert codes(read(tmp_path, f"* {XID[15:]}\n* plain words\n")) == ["xid:79"]
