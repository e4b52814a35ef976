"""`daytwo inject`: every fault that can be injected is the one that a triage then names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from string import Template

import pytest

from agent.faults import load_faults
from agent.policy import SitePolicy
from agent.triage import triage
from serve import inject as serve_inject
from serve.inject import run_inject, run_list
from tools.entities import same_node
from tools.errors import DaytwoError, OperatorError
from tools.host_log import read_kernel_log_facts
from tools.host_paths import HostPaths
from tools.inject import (
    BOARD_WAYS,
    KERNEL_RING,
    TEXT_WAYS,
    Place,
    append_text,
    choose_place,
    find_injection,
    is_device,
    is_kernel_ring,
    load_injections,
    merge_board,
    render_text,
    write_ring,
)
from tools.sources.host import HostSource
from tools.sources.recording import RecordingSource
from tools.types import Facts, Inventory

NODE = "trn-b07-114"
NOW = datetime(2026, 11, 20, 10, 15, 3, tzinfo=UTC)
PLACE = Place(NODE, 3, "0000:5d:00.0")
WAYS = [(fault, one.way) for fault, ways in load_injections().items() for one in ways]
TEXTS = [pair for pair in WAYS if pair[1] in TEXT_WAYS]
BOARDS = [pair for pair in WAYS if pair[1] in BOARD_WAYS]


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("DAYTWO_NODE", NODE)
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(tmp_path / "data"))


def triage_facts(facts: Facts):
    return triage(facts, site=SitePolicy(), now=NOW).verdicts


def triage_file(path: Path):
    return triage_facts(RecordingSource([path], max_bytes=1 << 30).read_facts())


def test_every_node_fault_has_a_way_or_a_reason():
    table = load_injections()
    assert set(table) == {fault.id for fault in load_faults().values() if fault.scope == "node"}
    for fault, ways in table.items():
        for one in ways:
            assert one.way in (*TEXT_WAYS, *BOARD_WAYS, "none"), (fault, one.way)
            assert one.note or one.way != "none", fault
    assert sum(ways[0].way == "none" for ways in table.values()) <= 2


@pytest.mark.parametrize(("fault", "way"), TEXTS)
def test_a_triage_of_the_file_names_the_fault_that_was_injected(fault, way, tmp_path):
    path = tmp_path / "evidence.txt"
    append_text(render_text(find_injection(fault, (way,)), PLACE, now=NOW, marked=False), path)
    first, *others = triage_file(path)
    assert first.fault == fault
    assert {other.fault for other in others} <= {fault}
    assert first.evidence


@pytest.mark.parametrize(("fault", "way"), BOARDS)
def test_a_live_triage_on_the_stand_in_names_the_fault_that_was_injected(fault, way, tmp_path, nvml_standin):
    path = tmp_path / "gpus.json"
    merge_board(find_injection(fault, (way,)), PLACE, path)
    nvml_standin(json.loads(path.read_text()))
    paths = make_machine(tmp_path / "machine")
    inventory = (Inventory(NODE, gpus=8),)
    source = HostSource(node=NODE, gpu_timeout_seconds=5.0, iostat_seconds=0, inventory=inventory, paths=paths)
    first = triage_facts(source.read_facts())[0]
    assert first.fault == fault
    if first.subject.entity.startswith("gpu:"):
        assert first.subject.entity in (f"gpu:{NODE}/3", f"gpu:{NODE}/0000:5d:00.0")


def make_machine(root: Path, log: str = "[    1.0] Linux version 6.8.0\n") -> HostPaths:
    for folder in ("proc", "sys/module/nvidia", "sys/class/net", "sys/bus/pci/devices/0000:5d:00.0"):
        (root / folder).mkdir(parents=True)
    (root / "proc/stat").write_text("btime 1763600000\n")
    (root / "proc/diskstats").write_text("   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n")
    (root / "proc/modules").write_text("nvidia 56827904 9 - Live 0x0\n")
    for name, text in (("vendor", "0x10de"), ("device", "0x2330"), ("class", "0x030200")):
        (root / "sys/bus/pci/devices/0000:5d:00.0" / name).write_text(text + "\n")
    (root / "kern.log").write_text(log)
    return HostPaths(root / "proc", root / "sys", root / "kmsg", (root / "kern.log",))


@pytest.mark.parametrize(("fault", "way"), [pair for pair in TEXTS if pair[1] in ("kernel", "syslog")])
def test_a_marked_line_says_that_it_is_a_test(fault, way, tmp_path):
    path = tmp_path / "kern.log"
    append_text(render_text(find_injection(fault, (way,)), PLACE, now=NOW, marked=True), path)
    facts = RecordingSource([path], max_bytes=1 << 30).read_facts()
    assert {event.code for event in facts.events} == {"test:injected"}
    (verdict,) = triage_facts(facts)
    assert verdict.fault == "benign"
    assert "test" in verdict.summary


def test_a_real_fault_beside_a_marked_one_is_still_seen(tmp_path):
    path = tmp_path / "kern.log"
    append_text(render_text(find_injection("gpu_off_bus", ("kernel",)), PLACE, now=NOW, marked=True), path)
    append_text(render_text(find_injection("gpu_gsp_fault", ("kernel",)), PLACE, now=NOW, marked=False), path)
    assert triage_file(path)[0].fault == "gpu_gsp_fault"


@pytest.mark.parametrize("name", ["[daytwo-inject]", "[daytwo-inject,", "daytwo-inject"])
def test_no_process_can_hide_a_fault_by_its_name(name, tmp_path):
    path = tmp_path / "kern.log"
    path.write_text(f"[7.0] NVRM: Xid (PCI:0000:5d:00): 119, pid=7, name={name}\n")
    assert triage_file(path)[0].fault == "gpu_gsp_fault"


def test_every_line_is_filled(tmp_path):
    lines = [line for fault, way in WAYS for line in find_injection(fault, (way,)).lines]
    assert len(lines) > 100
    for line in lines:
        assert "$" not in PLACE.fill(line, NOW), line
        assert set(Template(line).get_identifiers()) <= {"pci", "slot", "port", "gpu", "node", "us_date", "smi_pci"}


# ---- where ----


def test_an_index_is_looked_up_on_the_bus(tmp_path):
    paths = make_machine(tmp_path)
    assert choose_place(NODE, "0", paths=paths) == Place(NODE, 0, "0000:5d:00.0")
    assert choose_place(NODE, "5D:00", paths=paths) == Place(NODE, 0, "0000:5d:00.0")
    nothing = HostPaths(proc=tmp_path / "no", sys=tmp_path / "no")
    assert choose_place(NODE, "3", paths=nothing).pci == "0000:5d:00.0"
    for wrong in ("99", "third", "5d"):
        with pytest.raises(OperatorError):
            choose_place(NODE, wrong if wrong != "5d" else "5d:0x", paths=nothing)


def test_the_command_names_host_and_gpu(tmp_path, capsys):
    target = tmp_path / "kern.log"
    for gpu in ("0000:9a:00", "0000:ab:00"):
        assert run_inject("gpu_off_bus", gpu=gpu, node="rk4-n09", to=str(target), marked=None, yes_really=False) == 0
    assert f"daytwo triage {target}" in capsys.readouterr().err
    verdicts = triage_file(target)
    assert {verdict.subject.entity for verdict in verdicts} == {"gpu:rk4-n09/0000:9a:00.0", "gpu:rk4-n09/0000:ab:00.0"}
    assert run_inject("host_task_hung", gpu="0", node="", to="-", marked=True, yes_really=False) == 0
    out = capsys.readouterr().out
    assert same_node(out.split()[1], NODE)
    assert out.rstrip().endswith("[daytwo-inject, a test]")


def test_the_stand_in_keeps_what_stands_in_its_file(tmp_path, capsys):
    path = tmp_path / "gpus.json"
    path.write_text('{"gpu_count": 4, "gpus": {"1": {"pcie_width": 8}}}')
    for fault in ("gpu_off_bus", "gpu_thermal_throttle"):
        run_inject(fault, gpu="1", node="", to=f"stand-in:{path}", marked=None, yes_really=False)
    board = json.loads(path.read_text())
    assert board["gpu_count"] == 4
    assert {"pcie_width", "lost", "temperature_celsius"} <= set(board["gpus"]["1"])
    path.write_text("[]")
    with pytest.raises(DaytwoError, match="no description"):
        run_inject("gpu_off_bus", gpu="1", node="", to=f"stand-in:{path}", marked=None, yes_really=False)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_what_is_told_to_type_for_the_stand_in_works(tmp_path, capsys):
    path = tmp_path / "my gpus.json"
    run_inject("gpu_off_bus", gpu="1", node="", to=f"stand-in:{path}", marked=None, yes_really=False)
    said = capsys.readouterr().err
    typed = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    (tmp_path / "tests").symlink_to(Path(__file__).parents[1])
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "-ec", "\n".join(typed)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1, result.stderr
    assert "gpu_off_bus" in result.stdout
    assert "not installed with it" in said


def test_what_cannot_be_shown_so_says_how_it_can(tmp_path):
    with pytest.raises(OperatorError, match="shown by nvml") as error:
        find_injection("gpu_thermal_throttle", TEXT_WAYS)
    assert "stand-in:" in error.value.fix
    with pytest.raises(OperatorError, match="needs a model"):
        find_injection("gpu_clock_stuck", TEXT_WAYS)
    with pytest.raises(OperatorError, match="no injection"):
        find_injection("gpu_on_fire", TEXT_WAYS)


def test_the_list_shows_every_node_fault(capsys):
    assert run_list() == 0
    out = capsys.readouterr().out
    assert all(fault in out for fault in load_injections())


# ---- the kernel's own log ----


def test_the_kernel_log_is_never_written_without_a_word(monkeypatch, tmp_path):
    monkeypatch.setattr(serve_inject, "write_ring", lambda *_, **__: pytest.fail("written"))
    link = tmp_path / "harmless.log"
    link.symlink_to("/dev/kmsg")
    for to in ("/dev/kmsg", *([str(link)] if KERNEL_RING.exists() else [])):
        with pytest.raises(OperatorError, match="everybody who watches it") as error:
            run_inject("gpu_off_bus", gpu="0", node="", to=to, marked=None, yes_really=False)
        assert "--yes-really" in error.value.fix
    with pytest.raises(OperatorError):
        run_inject("io_saturated", gpu="0", node="", to="/dev/kmsg", marked=None, yes_really=True)


def test_other_devices_are_never_written(tmp_path):
    assert is_device(Path("/dev/null")) and not is_kernel_ring(Path("/dev/null"))
    assert not is_kernel_ring(tmp_path / "none")
    with pytest.raises(OperatorError, match="is a device"):
        append_text(["x"], Path("/dev/null"))


def test_what_the_ring_buffer_gets_is_marked_and_read_as_a_test(monkeypatch, tmp_path):
    ring = tmp_path / "ring"
    ring.write_text("")
    written: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: written.append(data) or real(descriptor, data))
    monkeypatch.setattr(serve_inject, "is_kernel_ring", lambda path: path == ring)
    run_inject("gpu_off_bus", gpu="0000:5d:00", node="", to=str(ring), marked=None, yes_really=True)
    assert len(written) == 3  # one write, one record
    assert all(line.startswith(b"<11>NVRM: ") and line.endswith(b"[daytwo-inject, a test]\n") for line in written)
    # as the kernel gives it back: priority, number, microseconds, flags
    records = "".join(f"11,{n},{n}000000,-;{line.decode()[4:]}" for n, line in enumerate(written))
    paths = make_machine(tmp_path / "machine")
    paths.kmsg.write_text(records)
    facts = read_kernel_log_facts(node=NODE, paths=paths)
    assert {event.code for event in facts.events} == {"test:injected"}
    assert write_ring(find_injection("gpu_off_bus", ("kernel",)), PLACE, now=NOW, marked=False, ring=ring) == 3
    assert b"daytwo" not in written[-1]


def test_a_log_of_this_machine_is_marked_unless_told_otherwise(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(serve_inject, "SYSTEM_LOGS", tmp_path)
    for marked, expected in ((None, "benign"), (False, "gpu_off_bus")):
        path = tmp_path / f"{expected}.log"
        run_inject("gpu_off_bus", gpu="0000:5d:00", node="", to=str(path), marked=marked, yes_really=False)
        assert triage_file(path)[0].fault == expected
