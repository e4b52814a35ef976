"""The noisy neighbour with real load: fio in two process trees against one loop device of this machine.

The loop device lies on a file, and what the file's disk takes of the load is held down by a cgroup's limit: so the loop
device is saturated for certain, at a few dozen MB/s, and the machine is not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.judge import judge
from tools.detectors import disk_saturation
from tools.host_disk import read_disk_facts
from tools.host_paths import HostPaths
from tools.types import Facts, Finding

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices, mounts and cgroups need root"),
    pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed: apt-get install fio"),
    pytest.mark.skipif(shutil.which("losetup") is None, reason="losetup is not installed: apt-get install mount"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="loop devices are Linux's"),
]
MIB = 1024**2
SIZE = 192 * MIB
LIMIT = 32 * MIB
SECONDS = 2


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass
class Bench:
    """A loop device, groups with a limit below it, and the load that runs."""

    device: str
    lower: str
    root: Path
    version: int
    loads: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def disk(self) -> str:
        return self.device.removeprefix("/dev/")

    def add_group(self, name: str, limit: int) -> Path:
        group = self.root / name
        group.mkdir()
        number = Path(f"/sys/block/{self.disk}/dev").read_text(encoding="ascii").strip()
        if self.version == 1:
            (group / "blkio.throttle.write_bps_device").write_text(f"{self.lower} {limit}", encoding="ascii")
            # Counters of v1 begin with a limit: one that is never met.
            (group / "blkio.throttle.write_bps_device").write_text(f"{number} {2**50}", encoding="ascii")
        else:
            (group / "io.max").write_text(f"{self.lower} wbps={limit}", encoding="ascii")
        return group

    def start(self, group: Path, target: str, *, depth: int, rate: str = "") -> None:
        """Start one tree: a shell that joins the group, fio below it, and fio's own worker below that."""
        fio = f"fio --name=load --filename={target} --rw=randwrite --bs=64k --iodepth={depth} --ioengine=libaio"
        fio += f" --direct=1 --time_based --runtime=60 --size={SIZE // 2} --output-format=terse {rate}"
        script = f"echo $$ > {group}/cgroup.procs && {fio}; true"
        null = subprocess.DEVNULL
        # A session of its own, so that all of it can be ended.
        self.loads.append(
            subprocess.Popen(["sh", "-c", script], stdin=null, stdout=null, stderr=null, start_new_session=True)
        )

    def read(self, hint: str = "") -> tuple[Facts, Finding]:
        """Watch until the load is under way, then say what is seen: the first of four looks that has the hint, or the last."""
        deadline = time.monotonic() + 8
        while sum(len(procs) for procs in self.list_members().values()) < 3 * len(self.loads):
            assert time.monotonic() < deadline, "fio did not start"
            time.sleep(0.1)
        time.sleep(1.0)
        # Others may load the machine meanwhile: the disk below is then the saturated one, or the load starves.
        last: tuple[Facts, Finding] | None = None
        for _ in range(4):
            facts = read_disk_facts(node="n-1", seconds=SECONDS, paths=HostPaths())
            found = [finding for finding in disk_saturation.detect(facts) if finding.entity.name == self.disk]
            if found and found[0].fault_hint != "benign":
                last = facts, found[0]
                if hint in ("", found[0].fault_hint):
                    return last
        if last is not None:
            return last
        pytest.fail(f"{self.disk} is not saturated: {[window.quotes for window in facts.windows]}")

    def list_members(self) -> dict[Path, list[int]]:
        groups = [path for path in self.root.iterdir() if path.is_dir()]
        return {
            group: [int(pid) for pid in (group / "cgroup.procs").read_text(encoding="ascii").split()]
            for group in groups
        }

    def end(self) -> None:
        deadline = time.monotonic() + 8
        while (
            members := [pid for pids in self.list_members().values() for pid in pids]
        ) and time.monotonic() < deadline:
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            time.sleep(0.1)
        for load in self.loads:
            load.kill()
            load.wait(timeout=10)
        for group in self.list_members():
            group.rmdir()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        try:
            made = build_bench(tmp_path, stack)
        except OSError as error:
            pytest.skip(f"no loop device with a limit below it can be made here: {error}")
        yield made


def build_bench(folder: Path, stack: contextlib.ExitStack) -> Bench:
    image = folder / "disk.img"
    stack.callback(image.unlink, missing_ok=True)
    run("fallocate", "-l", str(SIZE), str(image))
    number = image.stat().st_dev
    lower = f"{os.major(number)}:{os.minor(number)}"
    if not Path(f"/sys/dev/block/{lower}").exists():
        raise OSError(f"{image} is on no block device")
    if (partition := Path(f"/sys/dev/block/{lower}")).joinpath("partition").exists():
        lower = (partition.resolve().parent / "dev").read_text(encoding="ascii").strip()
    device = run("losetup", "--find", "--show", "--direct-io=on", str(image))
    stack.callback(run, "losetup", "--detach", device)
    base, version = find_hierarchy()
    root = base / f"daytwo-test-{os.getpid()}-{time.monotonic_ns()}"
    root.mkdir()
    stack.callback(root.rmdir)
    if version == 2:
        (root / "cgroup.subtree_control").write_text("+io", encoding="ascii")
    bench = Bench(device, lower, root, version)
    stack.callback(bench.end)
    return bench


def find_hierarchy() -> tuple[Path, int]:
    base = Path("/sys/fs/cgroup")
    if (base / "blkio" / "blkio.throttle.write_bps_device").exists():
        return base / "blkio", 1
    controllers = base / "cgroup.subtree_control"
    if controllers.exists() and "io" in controllers.read_text(encoding="ascii").split():
        return base, 2
    raise OSError("no cgroup hierarchy with an I/O limit")


def name_of(bench: Bench, finding: Finding) -> str:
    assert finding.culprit is not None, finding
    return finding.culprit.name


def test_the_heavier_of_two_process_trees_is_named_with_its_share(bench: Bench):
    group = bench.add_group("load", LIMIT)
    bench.start(group, bench.device, depth=32)
    bench.start(group, bench.device, depth=2, rate="--rate_iops=40")
    facts, finding = bench.read("io_noisy_neighbor")
    assert finding.fault_hint == "io_noisy_neighbor", finding
    heavy = bench.loads[0].pid
    assert finding.culprit is not None
    command, _, pid = finding.culprit.name.removesuffix("]").partition("[")
    assert command == "fio"
    assert heavy in list_ancestors(int(pid))
    assert finding.values["share"] > 0.7
    assert finding.values["share"] > 2 * finding.values["next_share"]
    # Other processes of this machine may have files open on it too; fio's second tree is among the victims.
    (light,) = [name for name in str(finding.values["victims"]).split(", ") if name.startswith("fio[")]
    assert bench.loads[1].pid in list_ancestors(int(light.removesuffix("]").removeprefix("fio[")))
    # The others wait as long as all on this device.
    assert finding.values[f"await_seconds:{light}"] == finding.values["await_seconds"] >= 0.02
    assert "await_before_seconds" in finding.values
    assert any(quote.text.startswith(f"{finding.culprit.name} on {bench.disk}: ") for quote in finding.quotes)
    cases = [case for case in judge(facts) if case.primary.entity.name == bench.disk]
    assert [case.primary.fault for case in cases] == ["io_noisy_neighbor"]
    assert (finding.culprit, "culprit") in cases[0].affected
    assert (f"guest:n-1/{light}", "victim") in [(str(entity), role) for entity, role in cases[0].affected]


def test_equal_process_trees_have_no_culprit(bench: Bench):
    group = bench.add_group("load", LIMIT)
    for _ in range(2):
        bench.start(group, bench.device, depth=16)
    facts, finding = bench.read("io_saturated")
    assert (finding.fault_hint, finding.culprit) == ("io_saturated", None), finding
    shares = sorted(value for key, value in finding.values.items() if key.startswith("share:fio["))
    assert len(shares) == 2
    assert shares[1] < 0.67
    assert [case.primary.fault for case in judge(facts) if case.primary.entity.name == bench.disk] == ["io_saturated"]


@pytest.mark.parametrize(("small", "culprit"), [(LIMIT // 8, True), (LIMIT, False)], ids=["heavy", "equal"])
def test_groups_that_are_named_are_told_by_their_own_counters(bench: Bench, small: int, culprit: bool):
    names = [f"docker-{letter * 64}.scope" for letter in "ab"]
    for name, limit in zip(names, (LIMIT, small), strict=True):
        bench.start(bench.add_group(name, limit), bench.device, depth=16)
    _, finding = bench.read("io_noisy_neighbor" if culprit else "io_saturated")
    used = [quote for quote in finding.quotes if quote.source.startswith(str(bench.root))]
    if culprit:
        assert (finding.fault_hint, name_of(bench, finding)) == ("io_noisy_neighbor", f"docker-{'a' * 12}")
        assert finding.values["share"] > 0.7 and f"docker-{'b' * 12}" in str(finding.values["victims"])
        assert used and "w/s" in used[0].text, "counted by device, not by process"
    else:
        assert (finding.fault_hint, finding.culprit) == ("io_saturated", None)
        assert {key for key in finding.values if key.startswith("share:docker-")} == {
            f"share:docker-{'a' * 12}", f"share:docker-{'b' * 12}",
        }  # fmt: skip


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not installed: apt-get install e2fsprogs")
@pytest.mark.parametrize("equal", [False, True], ids=["heavy", "equal"])
def test_two_process_trees_on_one_file_system(bench: Bench, tmp_path: Path, equal: bool):
    run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard", bench.device)
    mount = tmp_path / "mounted"
    mount.mkdir()
    try:
        run("mount", bench.device, str(mount))
    except OSError as error:
        pytest.skip(str(error))
    try:
        group = bench.add_group("load", LIMIT)
        for name in ("one", "two"):
            run("fallocate", "-l", str(SIZE // 4), str(mount / name))
        size = f"--size={SIZE // 4}"
        bench.start(group, str(mount / "one"), depth=16, rate=size)
        bench.start(
            group, str(mount / "two"), depth=16 if equal else 2, rate=size + ("" if equal else " --rate_iops=40")
        )
        _, finding = bench.read("io_saturated" if equal else "io_noisy_neighbor")
        if equal:
            assert (finding.fault_hint, finding.culprit) == ("io_saturated", None), finding
        else:
            assert finding.fault_hint == "io_noisy_neighbor", finding
            assert bench.loads[0].pid in list_ancestors(int(name_of(bench, finding).split("[")[1][:-1]))
    finally:
        bench.end()
        run("umount", str(mount))


def list_ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        found.append(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return found
