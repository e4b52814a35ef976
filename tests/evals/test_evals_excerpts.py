"""Excerpts: the answer in name and header is cut off before anything sees it; the first verdict counts."""

import pytest

from agent.types import TriageReport
from evals.excerpts import cut_header, score_excerpts
from evals.runner import triage_paths
from tools.errors import EvidenceNotFound, SiteConfigError

LINES = "[  100.118] NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "gpu_off_bus__one.txt").write_text(f"# source: a page\n# resolution: board replaced\n{LINES}", "utf-8")
    (tmp_path / "control__two.txt").write_text(f"# source: a page\n{LINES}", "utf-8")
    (tmp_path / "accepted.csv").write_text(
        "file,format,accepted_faults,harmful_actions,why\n"
        "gpu_off_bus__one.txt,kernel_log,gpu_off_bus|gpu_missing,replace_part,79\n"
        "control__two.txt,kernel_log,healthy|benign,drain_node|reboot_node,wrong on purpose\n"
        "not_there.txt,smartctl,disk_wearout,,gone\n",
        "utf-8",
    )
    return tmp_path


def test_excerpts_are_scored_by_the_first_verdict(folder):
    report = score_excerpts(folder)
    rows = {row.file: row for row in report.rows}
    assert (rows["gpu_off_bus__one.txt"].right, rows["gpu_off_bus__one.txt"].harm) == (True, False)
    assert (rows["control__two.txt"].right, rows["control__two.txt"].harm) == (False, True)
    assert not rows["not_there.txt"].right
    assert "not_there.txt" in rows["not_there.txt"].error
    assert (report.right.count, report.right.total, report.harmful.count) == (1, 3, 1)
    assert (report.controls.count, report.controls.total) == (0, 1)
    assert report.by_form["kernel_log"].count == 1


def test_neither_name_nor_header_reaches_the_triage(folder, monkeypatch):
    seen = []

    def watch(paths, seat, *args, **kwargs) -> TriageReport:
        seen.extend((path.name, path.read_text("utf-8")) for path in paths)
        return triage_paths(paths, seat, *args, **kwargs)

    monkeypatch.setattr("evals.excerpts.triage_paths", watch)
    score_excerpts(folder)
    assert seen == [("input-0001.txt", LINES), ("input-0002.txt", LINES)]


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"# a\n# b\nline\n# not a header\n", b"line\n# not a header\n"),
        (b"line\n", b"line\n"),
        (b"# only\n", b""),
        (b"# no end", b""),
        (b"", b""),
        (b"# a\r\n\xff\xfe\x00\r\n", b"\xff\xfe\x00\r\n"),
    ],
)
def test_only_leading_comment_lines_are_cut(data, kept):
    assert cut_header(data) == kept


def test_a_folder_without_accepted_csv_is_told(tmp_path):
    with pytest.raises(EvidenceNotFound, match=r"accepted\.csv"):
        score_excerpts(tmp_path)


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "accepted.csv").write_text("file,why\n", "utf-8")
    with pytest.raises(SiteConfigError, match="accepted_faults, harmful_actions"):
        score_excerpts(tmp_path)
