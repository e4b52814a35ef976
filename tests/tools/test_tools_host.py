"""tools/sources/host.py and its helpers: this machine for real, and recorded trees for the ones that are not here."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from tools.doctor import check_host
from tools.host_bus import is_driver_loaded, read_pci_gpus
from tools.host_driver import read_gpu_facts
from tools.host_log import read_boot_time, read_kernel_log_facts
from tools.host_network import read_network_facts
from tools.host_paths import HostPaths
from tools.host_smart import read_smart_facts
from tools.host_state import read_state_facts
from tools.sources.host import HostSource
from tools.types import Inventory, Source

BOOTED = 1_700_000_000
XID = "NVRM: Xid (PCI:0000:5d:00): 79, pid=4242, name=python3, GPU has fallen off the bus."


class Tree:
    """A recorded machine: a proc and a sys folder, filled as a test needs."""

    def __init__(self, root: Path) -> None:
        self.paths = HostPaths(root / "proc", root / "sys", root / "kmsg", (root / "kern.log", root / "messages"))
        for folder in ("proc", "sys/bus/pci/devices", "sys/module", "sys/class/net"):
            (root / folder).mkdir(parents=True)
        self.root = root
        self.write("proc/modules", "xt_conntrack 16384 1 - Live 0x0000000000000000\n")
        self.write("proc/stat", f"cpu  1 2 3\nbtime {BOOTED}\n")

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def add_pci(self, address: str, *, vendor: str = "0x10de", kind: str = "0x030200", driver: str = "") -> None:
        folder = f"sys/bus/pci/devices/{address}"
        for name, text in (("vendor", vendor), ("device", "0x2330"), ("class", kind)):
            self.write(f"{folder}/{name}", f"{text}\n")
        if driver:
            (self.root / "sys/bus/pci/drivers" / driver).mkdir(parents=True, exist_ok=True)
            (self.root / folder / "driver").symlink_to(f"../../drivers/{driver}")

    def load_driver(self) -> None:
        self.write("proc/modules", "nvidia_uvm 1503232 0 - Live 0x0\nnvidia 56827904 9 nvidia_uvm, Live 0x0 (POE)\n")

    def add_port(self, name: str, *, up: bool, wanted: bool = True) -> None:
        folder = f"sys/class/net/{name}"
        self.write(f"{folder}/operstate", "up\n" if up else "down\n")
        self.write(f"{folder}/flags", "0x1003\n" if wanted else "0x1002\n")
        self.write(f"{folder}/carrier", "1\n" if up else "0\n")
        self.write(f"{folder}/device/vendor", "0x15b3\n")

    def read_gpus(self, inventory: tuple[Inventory, ...] = ()):
        return read_gpu_facts(node="n-1", timeout_seconds=2.0, paths=self.paths, inventory=inventory)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch) -> Tree:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return Tree(tmp_path)


def one_row(facts, domain: str):
    (row,) = [row for row in facts.coverage if row.domain == domain]
    return row


# ---- GPUs: bus, driver, NVML, inventory ----


def test_no_gpu_on_the_bus_and_none_expected_is_not_applicable(tree, nvml_standin):
    nvml_standin({"init_error": "DRIVER_NOT_LOADED"})
    tree.add_pci("0000:00:1f.0", vendor="0x8086", kind="0x030000")  # another maker's display
    tree.add_pci("0000:05:00.0", kind="0x068000")  # NVIDIA's, and no GPU
    facts = tree.read_gpus()
    row = one_row(facts, "gpu")
    assert (row.entity, row.status) == ("node:n-1", "not_applicable")
    assert row.reason
    assert facts.events == ()


def test_gpus_in_the_inventory_and_none_on_the_bus_is_left_to_the_inventory(tree, nvml_standin):
    nvml_standin({"init_error": "DRIVER_NOT_LOADED"})
    facts = tree.read_gpus((Inventory("other", gpus=4), Inventory("n-1.cluster.example", gpus=8)))
    assert one_row(facts, "gpu").status == "read"
    assert facts.entities == ()


@pytest.mark.parametrize("error", ["DRIVER_NOT_LOADED", None])
def test_a_gpu_without_a_driver_is_a_fault(tree, nvml_standin, error):
    if error:
        nvml_standin({"init_error": error})
    tree.add_pci("0000:5d:00.0")
    tree.add_pci("0000:9a:00.0", driver="nouveau")
    facts = tree.read_gpus()
    (event,) = facts.events
    assert (event.code, str(event.entity), event.writer) == ("driver:not_loaded", "node:n-1", "kernel")
    assert "0000:5d:00.0 vendor 0x10de device 0x2330 class 0x030200 driver none" in event.quote.text
    row = one_row(facts, "gpu")
    assert row.status == "missing"
    assert "modprobe nvidia" in row.fix


@pytest.mark.parametrize("error", ["DRIVER_NOT_LOADED", "NO_PERMISSION", "UNKNOWN"])
def test_a_driver_that_cannot_be_asked_is_unknown_and_no_fault(tree, nvml_standin, error):
    nvml_standin({"init_error": error})
    tree.add_pci("0000:5d:00.0", driver="nvidia")
    tree.load_driver()
    facts = tree.read_gpus()
    row = one_row(facts, "gpu")
    assert row.status == "missing"
    assert row.fix
    assert facts.events == ()


def test_a_missing_library_is_unknown_and_says_what_to_install(tree, tmp_path, monkeypatch):
    empty = tmp_path / "libnvidia-ml.so.1"
    empty.write_bytes(b"no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    tree.add_pci("0000:5d:00.0", driver="nvidia")
    tree.load_driver()
    row = one_row(tree.read_gpus(), "gpu")
    assert row.status == "missing"
    assert "libnvidia-ml.so.1" in row.reason
    assert "libnvidia-ml1" in row.fix


def test_nvml_that_hangs_is_unknown(tree, nvml_standin):
    nvml_standin({"init_hang": True})
    tree.add_pci("0000:5d:00.0", driver="nvidia")
    tree.load_driver()
    started = time.monotonic()
    row = one_row(tree.read_gpus(), "gpu")
    assert row.status == "missing"
    assert "no answer within 2 s" in row.reason
    assert time.monotonic() - started < 6


def test_two_versions_are_a_fault(tree, nvml_standin):
    nvml_standin({"init_error": "LIB_RM_VERSION_MISMATCH"})
    tree.add_pci("0000:5d:00.0", driver="nvidia")
    tree.load_driver()
    facts = tree.read_gpus()
    assert [event.code for event in facts.events] == ["driver:library_mismatch"]
    assert one_row(facts, "gpu").status == "missing"


def test_gpus_that_belong_to_guests_are_not_ours(tree, nvml_standin):
    nvml_standin({"init_error": "DRIVER_NOT_LOADED"})
    tree.add_pci("0000:5d:00.0", driver="vfio-pci")
    facts = tree.read_gpus()
    row = one_row(facts, "gpu")
    assert (row.status, facts.events) == ("not_applicable", ())
    assert "vfio-pci" in row.reason


def test_a_driver_that_lists_no_gpu_is_an_event(tree, nvml_standin):
    nvml_standin({"gpu_count": 0})
    tree.add_pci("0000:5d:00.0", driver="nvidia")
    tree.load_driver()
    assert [event.code for event in tree.read_gpus().events] == ["gpu:no_devices"]


def test_a_loaded_driver_without_any_gpu_on_the_bus_is_unknown(tree, nvml_standin):
    nvml_standin({"gpu_count": 0})
    tree.load_driver()
    assert one_row(tree.read_gpus(), "gpu").status == "missing"


def test_a_bus_that_cannot_be_read_is_unknown(tmp_path, nvml_standin):
    nvml_standin({"init_error": "DRIVER_NOT_LOADED"})
    paths = HostPaths(proc=tmp_path / "proc", sys=tmp_path / "sys")
    assert (read_pci_gpus(paths), is_driver_loaded(paths)) == (None, None)
    facts = read_gpu_facts(node="n-1", timeout_seconds=2.0, paths=paths)
    assert one_row(facts, "gpu").status == "missing"


def test_nvml_is_believed_where_the_bus_is_hidden(tmp_path, nvml_standin):
    nvml_standin({"gpu_count": 2})
    facts = read_gpu_facts(node="n-1", timeout_seconds=5.0, paths=HostPaths(tmp_path, tmp_path))
    assert len(facts.entities) == 2
    assert one_row(facts, "gpu").status == "read"


def test_a_gpu_that_the_driver_has_and_nvml_does_not_list_is_unknown(tree, nvml_standin):
    nvml_standin({"gpu_count": 2, "gpus": {"1": {"missing": True}}})
    tree.load_driver()
    for address in ("0000:18:00.0", "0000:2a:00.0", "0000:3a:00.0"):
        tree.add_pci(address, driver="nvidia")
    (tree.root / "proc/driver/nvidia/gpus/0000:18:00.0").mkdir(parents=True)
    (tree.root / "proc/driver/nvidia/gpus/0000:2a:00.0").mkdir()
    facts = tree.read_gpus()
    # 0000:3a:00.0 is on the bus and not the driver's here: a container that was given two of three.
    missing = [row.entity for row in facts.coverage if row.status == "missing"]
    assert missing == ["gpu:n-1/0000:2a:00.0"]


def test_a_gpu_that_cannot_be_opened_gets_the_address_that_is_left_over(tree, nvml_standin):
    gone = {"errors": {"nvmlDeviceGetHandleByIndex_v2": "GPU_IS_LOST"}}
    nvml_standin({"gpu_count": 3, "gpus": {"1": gone}})
    tree.load_driver()
    for address in ("0000:18:00.0", "0000:2a:00.0", "0000:3a:00.0"):
        tree.add_pci(address, driver="nvidia")
        (tree.root / "proc/driver/nvidia/gpus" / address).mkdir(parents=True)
    (event,) = tree.read_gpus().events
    assert (event.code, str(event.entity), event.entity.id_map) == ("gpu:lost", "gpu:n-1/1", {"pci": "0000:2a:00.0"})
    assert event.quote.source.endswith("(0000:2a:00.0)")


def test_an_address_is_never_guessed(tree, nvml_standin):
    gone = {"errors": {"nvmlDeviceGetHandleByIndex_v2": "GPU_IS_LOST"}}
    nvml_standin({"gpu_count": 3, "gpus": {"0": gone, "1": gone}})
    tree.load_driver()
    for address in ("0000:18:00.0", "0000:2a:00.0", "0000:3a:00.0"):
        (tree.root / "proc/driver/nvidia/gpus" / address).mkdir(parents=True)
    assert [event.entity.ids for event in tree.read_gpus().events] == [(), ()]


# ---- the kernel log ----


def kmsg(*lines: str, start: int = 0) -> str:
    return "".join(f"4,{start + i},{1_000_000 * (i + 10)},-;{line}\n" for i, line in enumerate(lines))


def test_the_ring_buffer_is_read_and_put_on_the_wall_clock(tree):
    tree.write("kmsg", kmsg("usb 1-1: new device", XID) + " SUBSYSTEM=pci\n DEVICE=+pci:0000:5d:00.0\n")
    facts = read_kernel_log_facts(node="n-1", paths=tree.paths)
    (event,) = [event for event in facts.events if event.code == "xid:79"]
    assert (event.moment.clock, event.moment.seconds) == ("utc", BOOTED + 11)
    assert event.quote.text == f"<4>[   11.000000] {XID}"
    assert event.quote.place == f"{tree.paths.kmsg}:2"
    assert event.entity.id_map["pci"] == "0000:5d:00.0"
    assert event.writer == "kernel"
    assert one_row(facts, "kernel_log").status == "read"


def test_a_line_that_a_user_wrote_into_the_ring_buffer_is_told_apart(tree):
    tree.write("kmsg", f"12,0,5000000,-;{XID}\n")
    facts = read_kernel_log_facts(node="n-1", paths=tree.paths)
    assert all(event.writer != "kernel" for event in facts.events)


def test_a_ring_buffer_without_its_beginning_is_partly_read(tree):
    tree.write("kmsg", kmsg(XID, start=9000))
    row = one_row(read_kernel_log_facts(node="n-1", paths=tree.paths), "kernel_log")
    assert row.status == "partial"
    assert "9000" in row.reason


def test_older_events_are_left_out(tree):
    tree.write("kmsg", kmsg(XID, XID.replace("79", "31")))
    facts = read_kernel_log_facts(node="n-1", paths=tree.paths, since=BOOTED + 10.5)
    assert [event.code for event in facts.events] == ["xid:31"]


def test_a_log_file_stands_in_and_its_local_time_is_made_utc(tree, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        year = datetime.now().astimezone().year - 1
        tree.write("messages", f"{year}-03-01T09:00:00.500000+09:00 n-1 kernel: [   11.0] {XID}\n")
        zoned = read_kernel_log_facts(node="n-1", paths=tree.paths).events[0]
        tree.write("kern.log", f"Mar  1 09:00:00 n-1 kernel: [   11.0] {XID}\n")
        unzoned = read_kernel_log_facts(node="n-1", paths=tree.paths).events[0]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert zoned.moment.clock == unzoned.moment.clock == "utc"
    assert time.gmtime(zoned.moment.seconds)[3] == time.gmtime(unzoned.moment.seconds)[3] == 0
    assert unzoned.quote.place == f"{tree.root / 'kern.log'}:1"


def test_no_log_at_all_is_missing_with_what_to_type(tree):
    row = one_row(read_kernel_log_facts(node="n-1", paths=tree.paths), "kernel_log")
    assert row.status == "missing"
    assert "No such file" in row.reason
    assert row.fix


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_without_the_right_to_read_every_way_is_tried_and_named(tmp_path, monkeypatch):
    # Programs as a person without rights meets them: the real ones would answer root.
    program(tmp_path, "dmesg", "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1")
    program(tmp_path, "journalctl", "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    paths = HostPaths(kmsg=tmp_path / "kmsg", kernel_logs=())
    row = one_row(read_kernel_log_facts(node="n-1", paths=paths), "kernel_log")
    assert row.status == "missing"
    assert "Operation not permitted" in row.reason
    assert "insufficient permissions" in row.reason
    assert row.fix == "run as root, or: sysctl kernel.dmesg_restrict=0"


def test_dmesg_then_the_journal_stand_in(tmp_path, monkeypatch):
    program(tmp_path, "dmesg", f"echo '<4>[   11.000000] {XID}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    paths = HostPaths(kmsg=tmp_path / "kmsg", kernel_logs=())
    (event,) = read_kernel_log_facts(node="n-1", paths=paths).events
    assert event.quote.source == "dmesg --raw"
    assert event.moment.seconds == pytest.approx((read_boot_time(paths) or 0) + 11, abs=1.0)
    program(tmp_path, "dmesg", "exit 1")
    program(tmp_path, "journalctl", f"echo '2024-05-01T10:00:00+0000 n-1 kernel: {XID}'")
    (event,) = read_kernel_log_facts(node="n-1", paths=paths).events
    assert event.quote.source == "journalctl -k -b -o short-iso"
    assert event.code == "xid:79"


def test_boot_time_by_both_ways_agrees():
    live = read_boot_time(HostPaths())
    assert live is not None
    (btime,) = [
        line.split()[1] for line in Path("/proc/stat").read_text(encoding="ascii").splitlines() if line[:6] == "btime "
    ]
    assert live == pytest.approx(float(btime), abs=2.0)


# ---- network ----


def test_ports_are_read_and_a_port_without_link_is_no_fault_by_itself(tree):
    tree.add_port("eth0", up=True)
    tree.add_port("eth1", up=False)
    (tree.root / "sys/class/net/lo").mkdir()  # nothing behind it
    facts = read_network_facts(node="n-1", paths=tree.paths)
    assert [str(port) for port in facts.entities] == ["nic:n-1/eth0", "nic:n-1/eth1"]
    assert (one_row(facts, "network").status, facts.events) == ("read", ())


def test_fewer_links_than_the_inventory_wants_name_the_ports(tree):
    tree.add_port("eth0", up=True)
    tree.add_port("eth1", up=False)
    tree.add_port("eth2", up=False, wanted=False)
    facts = read_network_facts(node="n-1", paths=tree.paths, inventory=(Inventory("n-1", nics=2),))
    (event,) = facts.events
    assert (event.code, str(event.entity)) == ("nic:link_down", "nic:n-1/eth1")
    assert event.quote.text.startswith("eth1: operstate down, carrier 0")


def test_infiniband_ports_are_read(tree):
    for number, state, physical in ((1, "4: ACTIVE", "5: LinkUp"), (2, "1: DOWN", "2: Polling")):
        folder = f"sys/class/infiniband/mlx5_0/ports/{number}"
        for name, text in (("state", state), ("phys_state", physical), ("rate", "400 Gb/sec (4X NDR)")):
            tree.write(f"{folder}/{name}", f"{text}\n")
    facts = read_network_facts(node="n-1", paths=tree.paths)
    assert [str(port) for port in facts.entities] == ["nic:n-1/mlx5_0"]
    assert one_row(facts, "network").status == "read"


def test_no_network_hardware_is_not_applicable_and_no_sysfs_is_missing(tree, tmp_path):
    assert one_row(read_network_facts(node="n-1", paths=tree.paths), "network").status == "not_applicable"
    nowhere = HostPaths(proc=tmp_path / "no", sys=tmp_path / "no")
    assert one_row(read_network_facts(node="n-1", paths=nowhere), "network").status == "missing"


# ---- disks and memory ----


def test_a_raid_that_lost_a_disk_and_memory_errors_are_events(tree):
    tree.write(
        "proc/mdstat",
        "Personalities : [raid1]\n"
        "md0 : active raid1 sdb1[1](F) sda1[0]\n      976630464 blocks super 1.2 [2/1] [U_]\n\n"
        "md1 : active raid1 sdd1[1] sdc1[0]\n      976630464 blocks super 1.2 [2/2] [UU]\n",
    )
    tree.write("sys/devices/system/edac/mc/mc0/ue_count", "0\n")
    tree.write("sys/devices/system/edac/mc/mc1/ue_count", "2\n")
    facts = read_state_facts(node="n-1", paths=tree.paths)
    raid, memory = facts.events
    assert (raid.code, str(raid.entity)) == ("md:degraded", "disk:n-1/md0")
    assert "sdb1[1](F)" in raid.quote.text
    assert "[2/1]" in raid.quote.text
    assert (memory.code, str(memory.entity)) == ("edac:uncorrected", "node:n-1")
    assert memory.quote.text == "mc1 ue_count 2 since boot"
    assert one_row(facts, "host").status == "read"


def test_a_machine_without_raid_and_edac_has_nothing_to_tell(tree):
    assert read_state_facts(node="n-1", paths=tree.paths).events == ()


def test_disks_whose_health_cannot_be_asked_are_named(tree, tmp_path, monkeypatch):
    (tree.root / "sys/block/sda/device").mkdir(parents=True)
    (tree.root / "sys/block/nvme0n1/device").mkdir(parents=True)
    (tree.root / "sys/block/vda/device").mkdir(parents=True)  # a virtual disk has no health of its own
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    row = one_row(read_smart_facts(node="n-1", paths=tree.paths), "disk")
    assert row.status == "partial"
    assert "nvme0n1, sda" in row.reason
    assert "smartmontools" in row.fix


def test_a_machine_of_virtual_disks_needs_no_smartctl(tree):
    (tree.root / "sys/block/vda/device").mkdir(parents=True)
    facts = read_smart_facts(node="n-1", paths=tree.paths)
    assert (facts.coverage, facts.events, facts.windows) == ((), (), ())


@pytest.mark.parametrize(("disk", "status"), [("sda", "missing"), ("vda", "partial")])
def test_the_doctor_and_the_triage_say_one_thing_of_smartctl(tree, tmp_path, monkeypatch, disk, status):
    (tree.root / f"sys/block/{disk}/device").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (check,) = [check for check in check_host(tree.paths) if check.name == "smartctl"]
    told = read_smart_facts(node="n-1", paths=tree.paths).coverage
    assert check.status == status
    assert [row.reason for row in told] == ([check.detail] if status == "missing" else [])
    assert bool(check.fix) == bool(told)


SMART = """smartctl 7.3 2022-02-28 r5338 [x86_64-linux] (local build)

=== START OF READ SMART DATA SECTION ===
SMART overall-health self-assessment test result: FAILED!
Drive failure expected in less than 24 hours. SAVE ALL DATA.
"""


def test_disks_are_asked_for_their_health(tree, tmp_path, monkeypatch):
    (tree.root / "sys/block/sda/device").mkdir(parents=True)
    (tree.root / "sys/block/sdb/device").mkdir(parents=True)
    (tmp_path / "smart.txt").write_text(SMART, encoding="utf-8")
    refused = "Smartctl open device: /dev/sdb failed: Permission denied"
    script = f'case "$*" in *sda) cat {tmp_path}/smart.txt; exit 8;; *) echo "{refused}"; exit 2;; esac'
    program(tmp_path, "smartctl", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    facts = read_smart_facts(node="n-1", paths=tree.paths)
    assert any(str(entity) == "disk:n-1/sda" for entity in facts.entities)
    assert any(event.code == "smart:failing" for event in facts.events) or any(
        window.latest(0, "disk_smart_failed") == 1 for window in facts.windows
    )
    row = one_row(facts, "disk")
    assert (row.entity, row.status, row.fix) == ("disk:n-1/sdb", "missing", "sudo smartctl -a /dev/sdb")
    assert "Permission denied" in row.reason


def test_many_slow_disks_are_asked_side_by_side(tree, tmp_path, monkeypatch):
    for number in range(12):
        (tree.root / f"sys/block/nvme{number}n1/device").mkdir(parents=True)
    program(tmp_path, "smartctl", "sleep 0.5; echo 'SMART overall-health self-assessment test result: PASSED'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    started = time.monotonic()
    facts = read_smart_facts(node="n-1", paths=tree.paths)
    assert time.monotonic() - started < 4  # one after the other would be six seconds
    assert len(facts.entities) == 12
    assert [entity.name for entity in facts.entities] == sorted(entity.name for entity in facts.entities)


# ---- the whole ----


def test_a_recorded_machine_as_a_whole(tree, nvml_standin):
    nvml_standin({"gpus": {"3": {"lost": True}}})
    tree.load_driver()
    tree.add_pci("0000:5d:00.0", driver="nvidia")
    tree.write("kmsg", kmsg(XID))
    tree.add_port("eth0", up=True)
    inventory = (Inventory("other", gpus=8), Inventory("n-1", gpus=8))
    source: Source = HostSource(
        node="n-1", gpu_timeout_seconds=5.0, iostat_seconds=1, inventory=inventory, paths=tree.paths
    )
    facts = source.read_facts()
    assert sorted(event.code for event in facts.events) == ["gpu:lost", "xid:79"]
    assert {(row.domain, row.status) for row in facts.coverage} == {
        ("gpu", "read"), ("kernel_log", "read"), ("disk", "missing"), ("network", "read"), ("host", "read"),
    }  # fmt: skip
    assert facts.inventory == (inventory[1],)
    assert str(facts.subject) == "node:n-1"
    lost, logged = sorted(facts.events, key=lambda event: event.code)
    assert lost.entity.id_map["pci"] == logged.entity.id_map["pci"]


def test_this_machine_is_read_for_real():
    started = time.monotonic()
    facts = HostSource(node="", gpu_timeout_seconds=5.0, iostat_seconds=1).read_facts()
    assert {row.domain for row in facts.coverage} >= {"gpu", "kernel_log", "disk", "network"}
    assert all(row.reason for row in facts.coverage if row.status != "read")
    assert all(row.fix for row in facts.coverage if row.status == "missing")
    assert str(facts.subject) == f"node:{os.uname().nodename}"
    assert time.monotonic() - started < 20


def test_the_doctor_names_what_to_type(tree, nvml_standin):
    nvml_standin({"init_error": "DRIVER_NOT_LOADED"})
    tree.add_pci("0000:5d:00.0")
    checks = {check.name: check for check in check_host(tree.paths)}
    assert set(checks) == {
        "python", "iostat", "smartctl", "gcc", "kernel log", "GPUs on the bus", "GPU driver", "NVML",
    }  # fmt: skip
    assert checks["python"].status == "present"
    assert checks["GPUs on the bus"].status == "present"
    assert checks["GPU driver"].status == "missing"
    assert "modprobe nvidia" in checks["GPU driver"].fix
    assert checks["NVML"].status == "missing"
    assert checks["NVML"].fix
    assert checks["kernel log"].status == "missing"


def test_the_doctor_counts_gpus_that_do_not_answer(tree, nvml_standin):
    nvml_standin({"gpu_count": 2, "gpus": {"1": {"lost": True}}})
    checks = {check.name: check for check in check_host(tree.paths)}
    assert (checks["NVML"].status, "2 GPUs, 1 of them" in checks["NVML"].detail) == ("partial", True)
