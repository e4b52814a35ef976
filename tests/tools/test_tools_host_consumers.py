"""Who uses the disks: recorded cgroup trees of both versions, recorded processes, and what the detector makes of them."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tools.cgroup_names import name_cgroup
from tools.detectors import disk_saturation
from tools.diskstats import build_past_window, build_window, read_sample
from tools.host_cgroups import Counts, compare_cgroups, parse_blkio, parse_io_stat, read_cgroups
from tools.host_consumers import ConsumerSample, build_consumer_facts, read_consumers
from tools.host_devices import read_devices, read_part_links
from tools.host_disk import read_disk_facts
from tools.host_paths import HostPaths
from tools.host_processes import find_trees, read_processes
from tools.record import collect_readings
from tools.types import Entity, Facts

MIB = 1024**2
A, B = "a1b2c3d4e5f6" + "0" * 52, "b2c3d4e5f6a1" + "0" * 52
QEMU = "machine-qemu\\x2d3\\x2ddb\\x2dreplica.scope"
IO_STAT = "8:0 rbytes={} wbytes={} rios={} wios={} dbytes=0 dios=0\n253:0 rbytes={} wbytes={} rios={} wios={} dbytes=0 dios=0\n"


class Machine:
    """A recorded machine with sda, a partition of it, dm-0 on the partition, and nvme0n1."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = HostPaths(root / "proc", root / "sys", root / "kmsg", ())
        (root / "proc").mkdir()
        for path, text in (
            ("block/sda/dev", "8:0"), ("block/sda/sda2/dev", "8:2"), ("block/sda/sda2/partition", "2"),
            ("block/dm-0/dev", "253:0"), ("block/dm-0/slaves/sda2/dev", "8:2"),
            ("block/nvme0n1/dev", "259:0"), ("block/nvme0n1/device/dev", "240:0"),
        ):  # fmt: skip
            self.write(f"sys/{path}", f"{text}\n")

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def v2(self, path: str, megabytes: int, requests: int, *, lvm: bool = False) -> None:
        """Write the counters of a group with all its sub-groups; on LVM the kernel counts at both levels."""
        self.write("sys/fs/cgroup/cgroup.controllers", "cpu io memory\n")
        cells = (0, megabytes * MIB, 0, requests)
        self.write(f"sys/fs/cgroup{path}/io.stat", IO_STAT.format(*cells, *(cells if lvm else (0, 0, 0, 0))))

    def v1(self, path: str, megabytes: int, requests: int, family: str = "throttle.") -> None:
        folder = f"sys/fs/cgroup/blkio{path}"
        self.write(
            f"{folder}/blkio.{family}io_service_bytes",
            f"8:0 Read 0\n8:0 Write {megabytes * MIB}\n8:0 Sync 0\nTotal 1\n",
        )
        self.write(f"{folder}/blkio.{family}io_serviced", f"8:0 Read 0\n8:0 Write {requests}\nTotal 1\n")

    def process(
        self, pid: int, command: str, *, parent: int = 1, group: int = 0, exe: str = "", line: str = "",
        written: int = 0, read: int = 0, cancelled: int = 0, cgroup: str = "0::/\n", flags: int = 0,
        started: int = 50, opened: tuple[Path, ...] = (),
    ) -> None:  # fmt: skip
        stat = (
            f"{pid} ({command}) S {parent} {group or pid} {pid} 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 {started} 0 0\n"
        )
        folder = f"proc/{pid}"
        self.write(f"{folder}/stat", stat)
        self.write(f"{folder}/cmdline", line or command)
        self.write(f"{folder}/cgroup", cgroup)
        io = f"rchar: 1\nwchar: 1\nread_bytes: {read}\nwrite_bytes: {written}\ncancelled_write_bytes: {cancelled}\n"
        self.write(f"{folder}/io", io)
        link = self.root / folder / "exe"
        link.unlink(missing_ok=True)
        link.symlink_to(exe or f"/usr/bin/{command}")
        for number, target in enumerate(opened, start=3):
            (self.root / folder / "fd").mkdir(exist_ok=True)
            (self.root / folder / "fd" / str(number)).unlink(missing_ok=True)
            (self.root / folder / "fd" / str(number)).symlink_to(target)
            self.write(f"{folder}/fdinfo/{number}", "pos:\t0\nflags:\t0100002\nmnt_id:\t29\n")

    def end(self, pid: int) -> None:
        shutil.rmtree(self.root / "proc" / str(pid))

    def place_files_on(self, disk: str) -> None:
        """Let the file system of the tests count as that disk."""
        number = self.root.stat().st_dev
        self.write(f"sys/block/{disk}/dev", f"{os.major(number)}:{os.minor(number)}\n")

    def sample(self) -> ConsumerSample:
        return read_consumers(self.paths)

    def facts(self, first: ConsumerSample, seconds: float = 2.0) -> Facts:
        second = replace(self.sample(), monotonic_seconds=first.monotonic_seconds + seconds)
        return build_consumer_facts(first, second, node="n-1", paths=self.paths)

    def names(self, first: ConsumerSample) -> list[str]:
        return [tree.root.command for tree in find_trees(first.processes, read_processes(self.paths), self.paths)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def rates(facts: Facts, signal: str = "write_bytes") -> dict[tuple[str, str], float]:
    """(consumer, disk) to MiB or requests a second; the disk is empty where none is known."""
    disks = {(link.subject, link.quote): link.object.name for link in facts.links if link.relation == "uses"}
    scale = MIB if signal.endswith("bytes") else 1
    return {
        (str(entity), disks.get((entity, window.quotes[row]), "")): window.values[f"consumer_disk_{signal}_per_second"][
            row, 0
        ]
        / scale
        for window in facts.windows
        for row, entity in enumerate(window.entities)
    }


# ---- names ----


@pytest.mark.parametrize(
    ("path", "entity", "strong"),
    [
        (f"/system.slice/docker-{A}.scope", "guest:n-1/docker-a1b2c3d4e5f6", True),
        (f"/docker/{A}", "guest:n-1/docker-a1b2c3d4e5f6", True),
        (f"/system.slice/docker-{A}.scope/system.slice/nginx.service", "guest:n-1/docker-a1b2c3d4e5f6", True),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-{B}.scope",
         "guest:n-1/cri-containerd-b2c3d4e5f6a1", True),
        (f"/kubepods/besteffort/pod0b7c9f7e-1111-2222-3333-444455556666/{B}", "guest:n-1/container-b2c3d4e5f6a1", True),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope", "guest:n-1/libpod-a1b2c3d4e5f6", True),
        (f"/machine.slice/{QEMU}/libvirt/emulator", "guest:n-1/db-replica", True),
        ("/machine/web-1.libvirt-qemu/vcpu0", "guest:n-1/web-1", True),
        ("/lxc.payload.build7/init.scope", "guest:n-1/build7", True),
        ("/qemu.slice/104.scope", "guest:n-1/104", True),
        ("/slurm/uid_1000/job_4711/step_0", "job:4711", True),
        ("/system.slice/slurmstepd.scope/job_4711/step_batch/user/task_0", "job:4711", True),
        ("/system.slice/backup.service", "service:n-1/backup.service", True),
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "service:n-1/postgresql@15-main.service", True),
        ("/user.slice/user-1000.slice/session-3.scope", "service:n-1/user-1000.slice", False),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope", "service:n-1/user-1000.slice", False),
        ("/lab/heavy", "guest:n-1//lab/heavy", False),
        ("/jobs/job_12", "guest:n-1//jobs/job_12", False),
    ],
)  # fmt: skip
def test_whose_a_cgroup_is(path: str, entity: str, strong: bool):
    named = name_cgroup(path, "n-1")
    assert named is not None
    assert (str(named.entity), named.is_strong) == (entity, strong)
    assert path.startswith(named.path)


def test_the_root_is_nobodys():
    assert name_cgroup("/", "n-1") is None


# ---- cgroups ----


def test_both_formats_are_read_and_broken_lines_left_out():
    text = "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\nbroken rbytes=1\n8:16\n8:32 rbytes=x wbytes=1 rios=1 wios=1\n"
    assert parse_io_stat(text) == {"8:0": Counts(4096, 8192, 1, 2), "8:16": Counts()}
    text = "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 12288\n8:0 Total 12288\nTotal 12288\n8:x Read 1\n"
    assert parse_blkio(text, "8:0 Read 1\n8:0 Write 2\n") == {"8:0": Counts(4096, 8192, 1, 2)}


def test_v2_consumers_by_device(machine: Machine):
    for heavy, light in ((10, 1), (90, 5)):
        machine.v2("/system.slice", heavy + light, heavy + light)
        machine.v2(f"/system.slice/docker-{A}.scope", heavy, heavy)
        machine.v2("/system.slice/backup.service", light, light)
        if heavy == 10:
            first = machine.sample()
    facts = machine.facts(first)
    assert rates(facts) == {("guest:n-1/docker-a1b2c3d4e5f6", "sda"): 40.0, ("service:n-1/backup.service", "sda"): 2.0}
    assert rates(facts, "writes") == {
        ("guest:n-1/docker-a1b2c3d4e5f6", "sda"): 40.0,
        ("service:n-1/backup.service", "sda"): 2.0,
    }
    (link, _) = [link for link in facts.links if link.relation == "uses"]
    assert link.quote.source.endswith(f"docker-{A}.scope/io.stat")
    assert link.quote.text == "docker-a1b2c3d4e5f6 on sda: rkB/s 0.00 wkB/s 40960.00 r/s 0.00 w/s 40.00"


def test_v2_a_group_that_ended_is_not_poured_over_its_parent(machine: Machine):
    machine.v2("/system.slice", 5010, 100)
    machine.v2("/system.slice/old.service", 5000, 90)
    first = read_cgroups(machine.paths)
    shutil.rmtree(machine.root / "sys/fs/cgroup/system.slice/old.service")
    machine.v2("/system.slice", 5012, 102)
    done = compare_cgroups(first, read_cgroups(machine.paths))
    assert done["/system.slice"]["8:0"] == Counts(0, 2 * MIB, 0, 2)


@pytest.mark.parametrize("family", ["throttle.", "bfq.", ""])
def test_v1_steps_of_a_job_add_up(machine: Machine, family: str):
    for done in (0, 30):
        machine.v1("", 7777, 7777, family)  # the root is the machine itself
        machine.v1("/slurm/uid_1000/job_4711", 0, 0, family)
        machine.v1("/slurm/uid_1000/job_4711/step_0", 100 + done, 50, family)
        machine.v1("/slurm/uid_1000/job_4711/step_1", 2 * done, 10 + done, family)
        if not done:
            first = machine.sample()
    facts = machine.facts(first)
    assert first.cgroups.version == 1
    assert rates(facts) == {("job:4711", "sda"): 45.0}
    assert rates(facts, "writes") == {("job:4711", "sda"): 15.0}


def test_a_machine_with_very_many_groups_is_read_in_part(machine: Machine, monkeypatch):
    monkeypatch.setattr("tools.host_cgroups.MAX_CGROUPS", 3)
    for number in range(6):
        machine.v2(f"/system.slice/u{number}.service", 1, 1)
    first = machine.sample()
    assert first.cgroups.is_capped
    assert [row.status for row in machine.facts(first).coverage] == ["partial"]


# ---- processes ----


def test_a_tree_is_one_program(machine: Machine):
    def put(factor: int) -> None:
        machine.process(100, "bash", written=0)
        machine.process(110, "bash", parent=100, exe="/usr/bin/bash", written=factor)  # a script: another program
        machine.process(120, "fio", parent=110, group=110)
        machine.process(121, "fio", parent=120, written=10 * factor)
        machine.process(122, "fio", parent=120, written=20 * factor, cancelled=5 * factor)
        machine.process(130, "fio", parent=110, group=110, written=7 * factor)  # its neighbour
        machine.process(140, "python3", parent=100, line="python3\0serve.py", written=factor)
        machine.process(141, "pt_worker", parent=140, exe="/usr/bin/python3", line="python3\0serve.py", written=factor)
        machine.process(142, "python3", parent=140, line="python3\0other.py", written=3 * factor)
        machine.process(150, "kworker/u8:1", parent=2, flags=0x00208040, written=99 * factor)

    put(MIB)
    first = machine.sample()
    put(3 * MIB)
    trees = find_trees(first.processes, read_processes(machine.paths), machine.paths)
    assert {(tree.root.pid, tree.counts.write_bytes // MIB) for tree in trees} == {
        (110, 2), (120, 2 * 25), (130, 14), (140, 4), (142, 6),
    }  # fmt: skip
    assert trees[0].pids == [122, 121]


def test_a_pipeline_is_one_program_and_children_of_the_first_process_are_not(machine: Machine):
    def put(factor: int) -> None:
        machine.process(1, "init", exe="/sbin/init", parent=0, written=factor)
        machine.process(100, "tar", parent=90, group=100, read=8 * factor)
        machine.process(101, "zstd", parent=90, group=100, written=factor)
        machine.process(200, "init", exe="/sbin/init", parent=1, written=factor)

    put(MIB)
    first = machine.sample()
    put(2 * MIB)
    assert machine.names(first) == ["tar", "init", "init"]


def test_what_an_ended_child_did_before_is_not_its_parents_work(machine: Machine):
    machine.process(100, "make", written=MIB)
    machine.process(101, "cc1", parent=100, written=500 * MIB)
    first = machine.sample()
    machine.end(101)
    machine.process(100, "make", written=MIB + 502 * MIB)  # the kernel has added the child that make waited for
    (tree,) = find_trees(first.processes, read_processes(machine.paths), machine.paths)
    assert (tree.root.command, tree.counts) == ("make", Counts(0, 2 * MIB))


def test_a_process_id_that_was_used_again_starts_from_nothing(machine: Machine):
    machine.process(100, "old", written=500 * MIB)
    first = machine.sample()
    machine.process(100, "new", written=MIB, started=99)
    (tree,) = find_trees(first.processes, read_processes(machine.paths), machine.paths)
    assert (tree.root.command, tree.counts.write_bytes) == ("new", MIB)


def test_names_with_brackets_and_broken_files_do_no_harm(machine: Machine):
    machine.process(100, "a) S (b", written=1)
    machine.write("proc/101/stat", "101 (short) S 1\n")
    machine.write("proc/102/stat", "\n")
    machine.write("proc/100/io", "read_bytes: 7\n\nnonsense\nwrite_bytes: 9\n")
    (process,) = read_processes(machine.paths).values()
    assert (process.command, process.counts) == ("a) S (b", Counts(7, 9))


def test_processes_that_may_not_be_read_are_said(machine: Machine):
    machine.process(100, "secret")
    (machine.root / "proc/100/io").unlink()
    machine.process(101, "mine")
    (row,) = machine.facts(machine.sample()).coverage
    assert (row.domain, row.status, row.fix) == ("guests", "partial", "")
    assert "not ours to read" in row.reason


# ---- from processes to disks ----


def test_a_disk_is_known_by_open_files(machine: Machine, tmp_path: Path):
    machine.place_files_on("nvme0n1")
    data = machine.write("data.bin", "x")
    for done in (0, 20):
        machine.process(100, "dd", written=done * MIB, opened=(data, Path("/dev/null")))
        machine.process(200, "cp", written=done * MIB)
        if not done:
            first = machine.sample()
    facts = machine.facts(first)
    assert rates(facts) == {("guest:n-1/dd[100]", "nvme0n1"): 10.0, ("guest:n-1/cp[200]", ""): 10.0}
    reasons = {reason for window in facts.windows for reason in window.reasons.values()}
    assert reasons == {"disk_from_open_files", "disk_unknown"}


def test_the_kernels_count_by_device_goes_before_and_buffered_writes_of_v1_are_found_in_processes(machine: Machine):
    for done in (0, 40):
        machine.v1(f"/docker/{A}", done, done)
        machine.v1(f"/docker/{B}", 0, 0)
        machine.process(100, "db", written=done * MIB, cgroup=f"9:name=systemd:/\n7:blkio:/docker/{A}\n0::/\n")
        machine.process(200, "tar", written=3 * done * MIB, cgroup=f"7:blkio:/docker/{B}\n")
        machine.process(201, "gzip", written=done * MIB, cgroup=f"7:blkio:/docker/{B}\n")
        if not done:
            first = machine.sample()
    assert rates(machine.facts(first)) == {
        ("guest:n-1/docker-a1b2c3d4e5f6", "sda"): 20.0,
        ("guest:n-1/docker-b2c3d4e5f6a1", ""): 80.0,
    }


def test_a_session_counts_only_where_its_processes_cannot_be_seen(machine: Machine):
    session = "/user.slice/user-1000.slice/session-3.scope"
    for done in (0, 40):
        machine.v2(session, 2 * done, done)
        machine.process(100, "fio", written=done * MIB, cgroup=f"0::{session}\n")
        machine.process(200, "fio", written=done * MIB, cgroup=f"0::{session}\n")
        if not done:
            first = machine.sample()
    assert set(rates(machine.facts(first))) == {("guest:n-1/fio[100]", ""), ("guest:n-1/fio[200]", "")}
    blind = replace(first, processes=None)
    assert set(rates(machine.facts(blind))) == {("service:n-1/user-1000.slice", "sda")}


def test_what_lies_on_what(machine: Machine):
    devices = read_devices(machine.paths)
    assert devices == {"8:0": "sda", "8:2": "sda", "253:0": "dm-0", "259:0": "nvme0n1"}
    machine.place_files_on("nvme0n1")
    image = machine.write("disk.img", "x")
    machine.write("sys/block/loop3/dev", "7:3\n")
    machine.write("sys/block/loop3/loop/backing_file", f"{image}\n")
    links = read_part_links(node="n-1", paths=machine.paths, devices=read_devices(machine.paths))
    assert {(link.subject.name, link.object.name) for link in links} == {("dm-0", "sda"), ("loop3", "nvme0n1")}
    assert f"loop3 is the file {image}" in next(link.quote.text for link in links if link.subject.name == "loop3")


def test_a_file_system_with_its_own_number_is_its_disks(machine: Machine):
    line = "29 1 0:26 / / rw,relatime shared:1 - btrfs /dev/sda2 rw\n30 1 0:27 / /proc rw - proc proc rw\nbroken\n"
    machine.write("proc/self/mountinfo", line)
    assert read_devices(machine.paths)["0:26"] == "sda"
    assert "0:27" not in read_devices(machine.paths)


def test_a_machine_without_anything_is_coverage_and_no_crash(tmp_path: Path):
    paths = HostPaths(tmp_path / "proc", tmp_path / "sys", tmp_path / "kmsg", ())
    facts = build_consumer_facts(read_consumers(paths), read_consumers(paths), node="n-1", paths=paths)
    assert (facts.windows, facts.links) == ((), ())
    assert [row.status for row in facts.coverage] == ["partial"]


# ---- the verdict of the detector ----

DISKSTATS = """\
   8       0 sda {reads} 0 {sectors} {ms} {writes} 0 {written} {write_ms} 0 {busy} {weighted} 0 0 0 0 0 0
 253       0 dm-0 1 0 8 1 1 0 8 1 0 1 1 0 0 0 0 0 0
"""


def saturate(machine: Machine, first: ConsumerSample, *, megabytes: int = 100, read_megabytes: int = 0) -> Facts:
    """Facts of two seconds in which sda was saturated at so many MB written."""

    def put(writes: int, sectors: int, write_ms: int, busy: int, weighted: int, reads: int = 0) -> None:
        machine.write("proc/diskstats", DISKSTATS.format(
            reads=reads, sectors=reads * 2048, ms=reads * 50, writes=writes, written=sectors, write_ms=write_ms,
            busy=busy, weighted=weighted,
        ))  # fmt: skip

    put(1000, 8000, 2000, 500, 2500)
    before = read_sample(machine.paths.proc, machine.paths.sys)
    put(2000, 8000 + megabytes * 2048, 2000 + 60_000, 2500, 62_500, reads=read_megabytes)
    after = replace(
        read_sample(machine.paths.proc, machine.paths.sys), monotonic_seconds=before.monotonic_seconds + 2.0
    )
    past, now = build_past_window(before, node="n-1"), build_window(before, after, node="n-1")
    return Facts(windows=(past, now)) + machine.facts(first)


def judge_v2(machine: Machine, heavy: int, light: int, *, lvm: bool = False):
    for done in (0, 1):
        machine.v2(f"/system.slice/docker-{A}.scope", done * heavy, done * heavy, lvm=lvm)
        machine.v2(f"/system.slice/docker-{B}.scope", done * light, done * light, lvm=lvm)
        if not done:
            first = machine.sample()
    (finding,) = disk_saturation.detect(saturate(machine, first))
    return finding


@pytest.mark.parametrize("lvm", [False, True])
def test_the_container_that_holds_most_is_named_with_what_the_others_wait(machine: Machine, lvm: bool):
    finding = judge_v2(machine, 90, 8, lvm=lvm)
    assert (finding.fault_hint, str(finding.entity)) == ("io_noisy_neighbor", "disk:n-1/sda")
    assert finding.culprit == Entity("guest", "n-1", "docker-a1b2c3d4e5f6")
    assert finding.values["share"] == pytest.approx(0.918, abs=0.02)
    assert finding.values["measures_agreeing"] == 2
    assert finding.values["victims"] == "docker-b2c3d4e5f6a1"
    assert finding.values["await_seconds:docker-b2c3d4e5f6a1"] == finding.values["await_seconds"] == 0.06
    assert finding.values["await_before_seconds"] == 0.002
    assert "a request takes 60 ms, on average since boot 2 ms" in finding.note
    assert any(quote.source.endswith("io.stat") for quote in finding.quotes)
    assert any("since boot" in quote.source for quote in finding.quotes)


def test_equal_containers_have_no_culprit(machine: Machine):
    finding = judge_v2(machine, 50, 48)
    assert (finding.fault_hint, finding.culprit) == ("io_saturated", None)
    assert finding.values["share:docker-a1b2c3d4e5f6"] == 0.5
    assert "no consumer holds more than half" in finding.note


def test_what_nobody_of_them_did_blames_nobody(machine: Machine):
    assert judge_v2(machine, 20, 1).fault_hint == "io_saturated"


def judge_processes(machine: Machine, *, opened: tuple[Path, ...] = (), read: int = 0):
    for done in (0, 1):
        machine.process(100, "dd", written=done * 95 * MIB, read=done * read * MIB, opened=opened)
        machine.process(200, "cp", written=done * 3 * MIB, opened=opened)
        if not done:
            first = machine.sample()
    return disk_saturation.detect(saturate(machine, first))[0]


def test_a_process_that_is_tied_to_no_disk_weighs_less(machine: Machine):
    untied = judge_processes(machine)
    assert (untied.fault_hint, untied.culprit.name) == ("io_noisy_neighbor", "dd[100]")
    assert "which one it is busy on is not known" in untied.note
    machine.place_files_on("sda")
    tied = judge_processes(machine, opened=(machine.write("data.bin", "x"),))
    assert tied.culprit.name == "dd[100]"
    assert untied.score < tied.score


def test_a_process_on_another_disk_is_not_to_blame(machine: Machine):
    machine.place_files_on("nvme0n1")
    assert judge_processes(machine, opened=(machine.write("data.bin", "x"),)).fault_hint == "io_saturated"


def test_reads_that_no_disk_made_came_over_the_network(machine: Machine):
    assert judge_processes(machine, read=400).fault_hint == "io_saturated"


def test_this_machine_is_read_in_little_time():
    started = time.monotonic()
    facts = read_disk_facts(node="n-1", seconds=1, paths=HostPaths())
    assert time.monotonic() - started < 4.0
    for link in facts.links:
        assert link.relation in ("uses", "part_of")
        assert link.object.kind == "disk"


class Script:
    """A source that gives some facts, one reading after the other."""

    name = "script"

    def __init__(self, readings: list[Facts]) -> None:
        self.readings = readings

    def read_facts(self) -> Facts:
        return self.readings.pop(0)


def test_a_recorded_watch_of_many_readings_names_the_one_of_the_last(machine: Machine):
    """Consumers come and go: what is long over blames nobody, and nothing is counted once for each reading."""

    def put(heavy: int, light: int) -> ConsumerSample:
        machine.v2(f"/system.slice/docker-{A}.scope", heavy, heavy)
        machine.v2(f"/system.slice/docker-{B}.scope", light, light)
        return machine.sample()

    first, readings = put(0, 0), []
    for heavy, light in ((3, 90), (93, 90)):  # the second is alone in the last reading
        after = put(heavy, light)
        readings.append(saturate(machine, first))
        first = after
    assert [disk_saturation.detect(facts)[0].culprit.name[-12:] for facts in readings] == [B[:12], A[:12]]
    ticks = iter(range(100))
    collected = collect_readings(
        Script(readings), seconds=20, every_seconds=10, clock=lambda: next(ticks) * 10.0, sleep=lambda _: None
    )
    assert collected.count == 2
    (finding,) = disk_saturation.detect(collected.build_facts())
    assert finding.culprit == Entity("guest", "n-1", "docker-a1b2c3d4e5f6")
    assert finding.values["share"] <= 1.0
