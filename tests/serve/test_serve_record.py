"""`daytwo record` and its replay: the recording of a machine gives the verdicts that the machine gave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from serve.record import parse_span, run_record
from serve.triage import run_triage
from serve.types import Request
from tools import record_tables
from tools.errors import OperatorError
from tools.host_paths import HostPaths
from tools.record import collect_readings
from tools.record_folder import Manifest, write_recording
from tools.scrub import Scrubber
from tools.sources import host
from tools.sources.host import HostSource
from tools.sources.recording import RecordingSource
from tools.types import Coverage, Entity, Event, Facts, Inventory, Link, Moment, Quote, Window

NODE = "trn-b07-114"
NOW = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)
LOG = """\
[  100.000000] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  570.124.06
[ 7206.118233] NVRM: Xid (PCI:0000:5d:00): 94, pid=81233, name=python3, Ch 00000008, errorString CTX SWITCH TIMEOUT
[ 7300.004211] nfs: server filer-3.store.hpc-lab.net not responding, still trying
[ 7301.771002] usb 1-4: SerialNumber: 4C530001290814105412
[ 7302.000001] audit: user=mkeller addr=10.44.7.19 ether 3c:ec:ef:8a:10:2b /home/mkeller/run.sh trn-b07-115 fe80::3eec:efff:fe8a:102b
"""
FAULTY = {
    "gpus": {
        "1": {"row_remap_failure": 1},
        "2": {
            "clock_event_reasons": "0x40",
            "temperature_celsius": 92,
            "sm_clock_mhz": 900,
            "utilization_percent": 100,
        },
        "5": {"lost": True},
        "6": {"pcie_width": 4, "utilization_percent": 90},
    }
}


@pytest.fixture
def machine(tmp_path: Path) -> HostPaths:
    """A recorded tree of a machine whose kernel log lies in a file, with a failed array member."""
    root = tmp_path / "machine"
    for folder in ("proc", "sys/bus/pci/devices", "sys/module", "sys/class/net"):
        (root / folder).mkdir(parents=True)
    (root / "proc/modules").write_text("nvidia 56827904 9 - Live 0x0\n")
    (root / "proc/stat").write_text("btime 1763600000\n")
    (root / "proc/diskstats").write_text("   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n")
    (root / "proc/mdstat").write_text("md0 : active raid1 sda1[0]\n      1024 blocks [2/1] [U_]\n")
    (root / "kern.log").write_text(LOG)
    return HostPaths(root / "proc", root / "sys", root / "kmsg", (root / "kern.log",))


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("DAYTWO_NODE", NODE)
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(tmp_path / "data"))


def read_live(paths: HostPaths, inventory: tuple[Inventory, ...] = ()) -> Facts:
    source = HostSource(node=NODE, gpu_timeout_seconds=5.0, iostat_seconds=0, inventory=inventory, paths=paths)
    return source.read_facts()


def replay(folder: Path) -> Facts:
    return RecordingSource([folder], max_bytes=1 << 30).read_facts()


def report(facts: Facts) -> str:
    """A triage as JSON, all but the ids that are new each time."""
    document = triage(facts, site=SitePolicy(), now=NOW).model_dump(mode="json", by_alias=True)
    for verdict in document["verdicts"]:
        verdict["verdict_id"] = ""
    return json.dumps(document, indent=1)


def write(folder: Path, facts: Facts, *, log: str = LOG, scrubber: Scrubber | None = None) -> Path:
    manifest = Manifest(node=NODE, started="", ended="", readings=1, every_seconds=15.0)
    write_recording(folder, manifest, facts, kernel_log=log.splitlines(), scrubber=scrubber)
    return folder


def assert_same_windows(one: Facts, other: Facts) -> None:
    assert len(one.windows) == len(other.windows) > 0
    for left, right in zip(one.windows, other.windows, strict=True):
        assert (left.entities, left.source, left.clock, left.step_seconds) == (
            right.entities, right.source, right.clock, right.step_seconds,
        )  # fmt: skip
        assert (left.reasons, left.quotes, left.signal_quotes) == (right.reasons, right.quotes, right.signal_quotes)
        np.testing.assert_array_equal(left.times, right.times)
        assert list(left.values) == list(right.values)
        for name, array in left.values.items():
            np.testing.assert_array_equal(array, right.values[name])


# ---- the same verdicts ----


@pytest.mark.parametrize("parquet", [True, False])
def test_a_replay_is_the_live_triage_to_the_byte(machine, nvml_standin, tmp_path, monkeypatch, parquet):
    nvml_standin(FAULTY)
    monkeypatch.setattr(record_tables, "has_polars", lambda: parquet)
    live = read_live(machine, (Inventory(NODE, gpus=9, rack="b07", aliases=("trn114",)),))
    folder = write(tmp_path / "rec", live)
    assert (folder / ("windows.parquet" if parquet else "windows.csv")).exists()
    again = replay(folder)
    assert_same_windows(live, again)
    assert (again.events, again.entities, again.links) == (live.events, live.entities, live.links)
    assert (again.inventory, again.coverage, again.subject) == (live.inventory, live.coverage, live.subject)
    assert report(again) == report(live)
    faults = {verdict["fault"] for verdict in json.loads(report(live))["verdicts"]}
    assert faults >= {"gpu_off_bus", "gpu_memory_remap_failure", "gpu_thermal_throttle", "gpu_memory_contained"}


def test_links_of_guests_and_boot_clocks_survive(tmp_path):
    quote = Quote("xl list -l", 7, "vm-a xvda phy:/dev/sdb")
    window = Window(
        (Entity("disk", NODE, "sdb"),), np.array([np.nan, 5.5]), {"disk_queue_length": np.array([[np.nan, 0.1]])}, "iostat",
        1.0, {(0, "disk_queue_length"): "no_requests"}, {0: quote}, "local",
    )  # fmt: skip
    facts = Facts(
        (window,),
        (Event(Moment("boot", 12.25), Entity("job", NODE, ""), "oom:kill", quote, {"pid": "7"}, "user"),),
        links=(Link(Entity("guest", NODE, "vm-a"), "uses", Entity("disk", NODE, "sdb"), quote),),
        coverage=(Coverage("x", "disk", "partial", "why", "what"),),
    )
    again = replay(write(tmp_path / "rec", facts))
    assert_same_windows(facts, again)
    assert (again.events, again.links, again.coverage, again.subject) == (
        facts.events,
        facts.links,
        facts.coverage,
        None,
    )


def normalise(text: str) -> str:
    document = json.loads(text)
    for verdict in document["verdicts"]:
        verdict["verdict_id"] = verdict["time"] = ""
        for row in verdict["evidence"]:
            row["span"] = None
    return json.dumps(document, indent=1, sort_keys=True)


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).with_name("daytwo")), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**os.environ, "TERM": "dumb"})


def test_the_command_gives_the_same_live_and_replayed(machine, nvml_standin, tmp_path, monkeypatch, capsys):
    """Two readings of a machine that stands still: all of the document, through the code of the command."""
    nvml_standin(FAULTY)
    monkeypatch.setenv("DAYTWO_GPU_TIMEOUT_SECONDS", "30")
    monkeypatch.setattr(host, "HostPaths", lambda: machine)
    live_code = run_triage(Request((), host=True, store=False), as_json=True)
    live = capsys.readouterr().out
    run_record(tmp_path / "rec", seconds="0s", every="15s", scrub=False, scrub_map=None, paths=machine)
    assert f"Next: daytwo triage {tmp_path / 'rec'}" in capsys.readouterr().out
    assert run_triage(Request((tmp_path / "rec",), store=False), as_json=True) == live_code == 1
    again = capsys.readouterr().out
    assert normalise(again) == normalise(live)
    assert {row["domain"] for row in json.loads(live)["coverage"]} >= {"gpu", "kernel_log", "disk", "network", "host"}


def test_the_command_line_records_what_it_triages(nvml_standin, tmp_path, monkeypatch):
    """Real processes on this machine, which does not stand still: what the stand-in shows is the same."""
    nvml_standin(FAULTY)
    monkeypatch.setenv("DAYTWO_GPU_TIMEOUT_SECONDS", "30")
    live = run_command("triage", "--host", "--json", "--no-store")
    made = run_command("record", "--out", str(tmp_path / "rec"))
    assert made.returncode == 0, made.stderr
    assert f"Next: daytwo triage {tmp_path / 'rec'}" in made.stdout
    again = run_command("triage", str(tmp_path / "rec"), "--json", "--no-store")
    assert live.returncode == again.returncode == 1
    assert keep_gpus(again.stdout) == keep_gpus(live.stdout)
    assert json.loads(live.stdout)["verdicts"][0]["fault"] in ("gpu_off_bus", "gpu_memory_remap_failure")


def keep_gpus(text: str) -> tuple[list[object], list[object]]:
    document = json.loads(normalise(text))
    verdicts = [one for one in document["verdicts"] if one["subject"]["entity"].startswith("gpu:")]
    rows = [row for row in document["coverage"] if row["domain"] == "gpu"]
    assert len(verdicts) >= 4
    assert rows
    return verdicts, rows


def test_a_recording_stands_beside_other_evidence_and_in_an_archive(machine, nvml_standin, tmp_path):
    nvml_standin({"gpus": {"5": {"lost": True}}})
    live = read_live(machine)
    write(tmp_path / "case" / "rec", live)
    (tmp_path / "case" / "more.log").write_text(
        "[9.0] EXT4-fs error (device sdb1): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0\n"
    )
    both = RecordingSource([tmp_path / "case"], max_bytes=1 << 30).read_facts()
    assert len(both.events) == len(live.events) + 1
    subprocess.run(["tar", "-C", str(tmp_path / "case"), "-czf", str(tmp_path / "rec.tar.gz"), "rec"], check=True)
    assert report(replay(tmp_path / "rec.tar.gz")) == report(live)


# ---- over a while ----


class Steps:
    """A source that reads what it is given, one after the other."""

    name = "steps"

    def __init__(self, *facts: Facts) -> None:
        self._facts = list(facts)

    def read_facts(self) -> Facts:
        if not self._facts:
            raise KeyboardInterrupt
        return self._facts.pop(0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def reading(time: float, value: float, *lines: str, coverage: Coverage | None = None) -> Facts:
    gpu = Entity("gpu", NODE, "0")
    events = tuple(
        Event(Moment("utc", time), gpu, "xid:31", Quote("/dev/kmsg", n, text)) for n, text in enumerate(lines, 1)
    )
    window = Window(
        (gpu,),
        np.array([time]),
        {"gpu_power_watts": np.array([[value]])},
        "NVML",
        None,
        {},
        {0: Quote("NVML", None, str(value))},
    )
    return Facts((window,), events, (gpu,), coverage=(coverage or Coverage(f"node:{NODE}", "gpu", "read"),))


def collect(*facts: Facts, seconds: float = 30.0):
    clock = Clock()
    return collect_readings(
        Steps(*facts), seconds=seconds, every_seconds=15.0, clock=lambda: clock.now, sleep=clock.sleep
    )


def test_readings_become_one_window_and_lines_are_kept_once():
    gap = Coverage(f"node:{NODE}", "gpu", "partial", "one GPU hung", "look")
    readings = collect(
        reading(100, 1.0, "a", "b", "b"), reading(115, 2.0, "b", "b", "c", coverage=gap), reading(130, 3.0, "c")
    )
    facts = readings.build_facts()
    assert readings.count == 3
    (window,) = facts.windows
    assert window.values["gpu_power_watts"].tolist() == [[1.0, 2.0, 3.0]]
    assert (window.times.tolist(), window.step_seconds) == ([100, 115, 130], 15.0)
    assert window.quotes[0].text == "3.0"
    assert [event.quote.text for event in facts.events] == ["a", "b", "b", "c"]
    assert facts.coverage == (gap,)


def test_ctrl_c_keeps_what_was_read_and_no_reading_at_all_is_an_end():
    assert collect(reading(100, 1.0, "a"), seconds=600).count == 1
    with pytest.raises(KeyboardInterrupt):
        collect(seconds=600)


def test_a_gpu_that_drops_out_begins_another_window():
    two = reading(115, 2.0)
    other = Facts(tuple(Window((Entity("gpu", NODE, "1"),), w.times, w.values, w.source) for w in two.windows))
    assert [
        len(window.times) for window in collect(reading(100, 1.0), other, reading(130, 1.0)).build_facts().windows
    ] == [2, 1]


def test_the_command_reads_again_and_again(machine, nvml_standin, tmp_path, capsys):
    nvml_standin({"gpu_count": 2})
    assert run_record(tmp_path / "rec", seconds="2s", every="1s", scrub=False, scrub_map=None, paths=machine) == 0
    manifest = json.loads((tmp_path / "rec/manifest.json").read_text())
    assert manifest["schema"] == "daytwo.recording/1"
    assert manifest["readings"] >= 2
    assert {"daytwo", "python", "kernel"} <= set(manifest["versions"])
    gpus = replay(tmp_path / "rec").windows[0]
    assert gpus.values["gpu_power_watts"].shape == (2, manifest["readings"])
    assert (tmp_path / "rec/kernel.log").read_text() == LOG
    assert "Ctrl-C" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("90s", 90), ("10m", 600), ("2h", 7200)])
def test_spans(text, seconds):
    assert parse_span("--for", text) == seconds


def test_a_wrong_span_and_a_full_folder_are_refused(machine, tmp_path):
    with pytest.raises(OperatorError, match="no span"):
        parse_span("--for", "soon")
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec/mine").write_text("x")
    with pytest.raises(OperatorError, match="not an empty folder"):
        run_record(tmp_path / "rec", seconds="0s", every="15s", scrub=False, scrub_map=None, paths=machine)
    with pytest.raises(OperatorError, match="handed on"):
        run_record(
            tmp_path / "new", seconds="0s", every="15s", scrub=True, scrub_map=tmp_path / "new/map", paths=machine
        )


# ---- damage ----


@pytest.fixture
def recording(machine, nvml_standin, tmp_path, monkeypatch) -> Path:
    nvml_standin({"gpus": {"5": {"lost": True}}})
    monkeypatch.setattr(record_tables, "has_polars", lambda: False)
    return write(tmp_path / "rec", read_live(machine))


def find_row(facts: Facts, name: str) -> Coverage:
    (row,) = [row for row in facts.coverage if row.entity == name]
    return row


@pytest.mark.parametrize("name", ["events.jsonl", "kernel.log", "windows.csv", "facts.json"])
def test_a_file_that_was_changed_is_partial(recording, name):
    path = recording / name
    text = path.read_text()
    path.write_text(text.replace("5d:00", "9a:00") if name != "windows.csv" else text.replace("16.0\n", "8.0\n", 1))
    facts = replay(recording)
    row = find_row(facts, name)
    assert (row.domain, row.status) == ("input", "partial")
    assert "SHA-256" in row.reason
    assert row.fix
    assert facts.events


@pytest.mark.parametrize(("name", "text"), [
    ("events.jsonl", '{"code": 7}\n'), ("windows.csv", "window,row,column,signal,value\n0,99,0,gpu_power_watts,1\n"),
    ("windows.csv", "nonsense\n1,2\n"), ("facts.json", "{"),
])  # fmt: skip
def test_a_file_that_cannot_be_read_is_missing_and_the_others_are_read(recording, name, text):
    (recording / name).write_text(text)
    facts = replay(recording)
    assert "missing" in {row.status for row in facts.coverage if row.entity == name}
    assert facts.events or name == "events.jsonl"
    assert report(facts)


def test_a_file_that_is_gone_is_missing(recording):
    for name in ("windows.csv", "kernel.log"):
        (recording / name).unlink()
    facts = replay(recording)
    assert find_row(facts, "windows.csv").status == "missing"
    assert find_row(facts, "kernel.log").status == "partial"


def test_parquet_without_polars_says_what_to_install(machine, nvml_standin, tmp_path, monkeypatch):
    nvml_standin({"gpu_count": 1})
    folder = write(tmp_path / "rec", read_live(machine))
    monkeypatch.setattr(record_tables, "has_polars", lambda: False)
    row = find_row(replay(folder), "windows.parquet")
    assert (row.status, row.fix) == ("missing", "pip install 'daytwo[fleet]'")


def test_a_manifest_of_something_else_is_no_recording(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema": "other/1", "node": "a-1"}')
    (tmp_path / "kern.log").write_text(
        "[7.0] NVRM: Xid (PCI:0000:5d:00): 79, pid=1, name=x, GPU has fallen off the bus.\n"
    )
    (event, *_) = replay(tmp_path).events
    assert event.node == "a-1"


# ---- scrubbed ----

ORIGINALS = (
    "trn-b07-114", "trn-b07-115", "b07-114", "mkeller", "filer-3", "store.hpc-lab.net", "hpc-lab", "10.44.7.19", "3c:ec:ef:8a:10:2b",
    "fe80::3eec", "4C530001290814105412", "5a0d17c0", "1650223000000", "1650223000007", "trn114", "hall-north", "group-lattice",
)  # fmt: skip
INVENTORY = Inventory(
    NODE, gpus=9, rack="hall-north-r7", owner="group-lattice", aliases=("trn114",),
    quote=Quote("inventory.csv", 2, f"{NODE},hall-north-r7,9,group-lattice,trn114"),
)  # fmt: skip


def test_no_original_survives_and_the_verdicts_are_the_same_but_for_names(machine, nvml_standin, tmp_path):
    nvml_standin(FAULTY)
    live = read_live(machine, (INVENTORY,))
    scrubber = Scrubber()
    folder = write(tmp_path / "rec", live, scrubber=scrubber)
    everything = "\n".join(path.read_text() for path in folder.iterdir() if path.suffix != ".parquet").lower()
    before = "\n".join([LOG, report(live), repr(live)]).lower()
    for original in ORIGINALS:
        assert original.lower() in before, original
        assert original.lower() not in everything, original
    # A case id is a hash of what names the case.
    again, renamed = (
        re.sub("c-[0-9a-f]{12}", "c-", json.dumps(document, indent=1)).splitlines()
        for document in (json.loads(report(replay(folder))), scrubber.scrub(json.loads(report(live))))
    )
    assert again == renamed


def test_a_second_recording_goes_on_with_the_map(machine, nvml_standin, tmp_path):
    nvml_standin({"gpu_count": 1})
    names = tmp_path / "names.json"
    for out in ("one", "two"):
        run_record(tmp_path / out, seconds="0s", every="15s", scrub=False, scrub_map=names, paths=machine)
    one, two = ((tmp_path / out / "kernel.log").read_text() for out in ("one", "two"))
    assert one == two != LOG
    assert names.stat().st_mode & 0o777 == 0o600
    mapping = json.loads(names.read_text())
    assert mapping["host"][NODE] == json.loads((tmp_path / "one/manifest.json").read_text())["node"]
    assert len(mapping["user"]) == len(set(mapping["user"].values()))
    run_record(tmp_path / "three", seconds="0s", every="15s", scrub=True, scrub_map=None, paths=machine)
    assert not list(tmp_path.glob("three/*map*"))
