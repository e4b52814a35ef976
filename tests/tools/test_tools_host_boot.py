"""The present boot of a machine."""

from __future__ import annotations

import time

from tools.host_boot import read_boot
from tools.host_paths import HostPaths


def test_this_machine_has_booted():
    told = read_boot()
    assert told is not None
    assert len(told[0]) == 36 and 0 < told[1] < time.time()


def test_a_recorded_tree(tmp_path):
    (tmp_path / "stat").write_text("cpu 1 2 3\nbtime 1795140000\nprocesses 5\n", encoding="utf-8")
    assert read_boot(HostPaths(proc=tmp_path)) is None, "a boot without an id could be any"
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("b-1\n", encoding="utf-8")
    assert read_boot(HostPaths(proc=tmp_path)) == ("b-1", 1795140000.0)
    (tmp_path / "stat").unlink()
    assert read_boot(HostPaths(proc=tmp_path)) is None
