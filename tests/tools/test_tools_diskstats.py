"""tools/diskstats.py: the formulas by hand, and the figures against real iostat while this machine writes."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from tools.diskstats import DiskSample, build_window, parse_diskstats, read_sample
from tools.document import TextDocument
from tools.host_disk import read_disk_facts, read_diskstats_facts
from tools.host_parsers import find_parser
from tools.host_paths import HostPaths
from tools.shell import run_command

BEFORE = """\
   8       0 sda 1000 10 80000 500 2000 20 160000 4000 0 3000 4500 0 0 0 0 0 0
   8       1 sda1 900 10 70000 400 1900 20 150000 3900 0 2900 4300 0 0 0 0 0 0
 259       0 nvme0n1 50 0 400 20 60 0 480 30 0 40 50
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
   8      16 broken 1 2
"""
AFTER = """\
   8       0 sda 1200 10 96000 700 2000 20 160000 4000 1 3500 5500 0 0 0 0 0 0
   8       1 sda1 1100 10 86000 600 1900 20 150000 3900 1 3400 5300 0 0 0 0 0 0
 259       0 nvme0n1 10 0 80 4 12 0 96 6 0 8 10
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
"""


def sample(text: str, at: float) -> DiskSample:
    return DiskSample(at, 1_700_000_000.0 + at, parse_diskstats(text))


def test_the_formulas_by_hand():
    window = build_window(sample(BEFORE, 10.0), sample(AFTER, 12.0), node="n-1")
    # loop0 never did anything; the counters of nvme0n1 went back, so that nothing can be said of it.
    assert [disk.name for disk in window.entities] == ["sda", "sda1"]
    expected = {
        "disk_reads_per_second": 200 / 2.0,
        "disk_writes_per_second": 0.0,
        "disk_read_bytes_per_second": 16000 * 512 / 2.0,
        "disk_write_bytes_per_second": 0.0,
        "disk_read_await_seconds": 0.2 / 200,
        "disk_queue_length": 1000 / 2000,
        "disk_utilization_ratio": 500 / 2000,
    }
    assert {name: window.latest(0, name) for name in expected} == pytest.approx(expected)
    # Without a write nobody knows how long one takes.
    assert math.isnan(window.values["disk_write_await_seconds"][0, 0])
    assert window.reasons[0, "disk_write_await_seconds"] == "no_requests"
    assert window.times[0] == 1_700_000_012.0
    assert window.quotes[0].text.startswith("sda r/s 100.00 w/s 0.00 rkB/s 4000.00")
    assert "w_await" not in window.quotes[0].text


def test_no_disk_or_no_time_between_is_no_window():
    empty = DiskSample(1.0, 1.0, {})
    assert build_window(empty, empty, node="n") is None
    one = sample(BEFORE, 1.0)
    assert build_window(one, one, node="n") is None


def test_an_absent_diskstats_is_coverage(tmp_path: Path):
    facts = read_diskstats_facts(node="n-1", seconds=0, paths=HostPaths(proc=tmp_path, sys=tmp_path))
    (row,) = facts.coverage
    assert (row.domain, row.status) == ("disk", "missing")
    assert row.fix
    assert facts.windows == ()


def test_partitions_are_left_out(tmp_path: Path):
    (tmp_path / "block" / "sda").mkdir(parents=True)
    (tmp_path / "diskstats").write_text(BEFORE, encoding="utf-8")
    assert list(read_sample(tmp_path, tmp_path).disks) == ["sda"]


class Writer(threading.Thread):
    """Writes and syncs until told to stop, at a pace that a small machine keeps."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.path = path

    def run(self) -> None:
        block = os.urandom(256 * 1024)
        with self.path.open("wb", buffering=0) as stream:
            while not self.stop.is_set():
                stream.write(block)
                os.fsync(stream.fileno())
                if stream.tell() > 64 * 1024**2:
                    stream.seek(0)
                time.sleep(0.01)


@pytest.mark.skipif(shutil.which("iostat") is None, reason="sysstat is not installed")
def test_the_same_figures_as_iostat_while_the_disk_works(tmp_path: Path):
    writer = Writer(tmp_path / "load")
    writer.start()
    samples: list[DiskSample] = []

    def watch() -> None:
        samples.append(read_sample())
        time.sleep(3.0)
        samples.append(read_sample())

    try:
        time.sleep(0.3)
        watcher = threading.Thread(target=watch)
        watcher.start()
        result = run_command(["iostat", "-x", "-o", "JSON", "3", "2"], timeout_seconds=20)
        watcher.join()
    finally:
        writer.stop.set()
        writer.join()
    theirs = find_parser("iostat").parse(TextDocument("iostat", "n-1", result.stdout)).facts.windows[-1]
    ours = build_window(samples[0], samples[1], node="n-1")
    assert ours is not None
    assert set(ours.values) <= set(theirs.values)
    names = {disk.name: row for row, disk in enumerate(theirs.entities)}
    compared = 0
    for row, disk in enumerate(ours.entities):
        if (ours.latest(row, "disk_writes_per_second") or 0) < 20:
            continue
        compared += 1
        for signal, (relative, absolute) in TOLERANCES.items():
            our, their = ours.latest(row, signal) or 0.0, theirs.latest(names[disk.name], signal) or 0.0
            assert our == pytest.approx(their, rel=relative, abs=absolute), (disk.name, signal)
    if not compared:
        pytest.skip("the folder of the test is on no disk of this machine")


# The two intervals begin and end some milliseconds apart, and the load of a shared machine is not even.
TOLERANCES = {
    "disk_reads_per_second": (0.25, 5.0),
    "disk_writes_per_second": (0.25, 5.0),
    "disk_read_bytes_per_second": (0.25, 512 * 1024.0),
    "disk_write_bytes_per_second": (0.25, 512 * 1024.0),
    "disk_write_await_seconds": (0.35, 0.001),
    "disk_queue_length": (0.35, 0.1),
    "disk_utilization_ratio": (0.25, 0.05),
}


@pytest.mark.skipif(shutil.which("iostat") is None, reason="sysstat is not installed")
def test_live_iostat_is_read_with_a_time_and_drops_the_mean_since_boot():
    before = time.time()
    facts = read_disk_facts(node="n-1", seconds=1, paths=HostPaths())
    assert ("disk", "read") in [(row.domain, row.status) for row in facts.coverage]
    (window,) = [window for window in facts.windows if "disk_utilization_ratio" in window.values]
    assert window.source == "iostat -x -t -o JSON 1 2"
    assert window.clock == "utc"
    assert len(window.times) == 1
    assert before - 2 < window.times[0] < time.time() + 2
    assert window.reasons == {}


def test_without_sysstat_the_kernel_counters_stand_in(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = read_disk_facts(node="n-1", seconds=1, paths=HostPaths())
    (row,) = [row for row in facts.coverage if row.domain == "disk"]
    assert row.status in ("read", "not_applicable")
    if row.status == "read":
        (window,) = [window for window in facts.windows if "disk_utilization_ratio" in window.values]
        assert window.source.startswith("/proc/diskstats, two samples 1.0")
        assert all(disk.node == "n-1" for disk in window.entities)
