"""tools/host_guests.py and tools/host_xen.py: hypervisor programs on the path, and the counters of Xen's block backend."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tools import host_guests
from tools.host_cgroups import Counts
from tools.host_consumers import build_consumer_facts, read_consumers
from tools.host_guests import read_guest_facts
from tools.host_paths import HostPaths
from tools.host_xen import read_domain_names, read_virtual_disks
from tools.sources.host import HostSource

XL = """\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0  8192     8     r-----  123456.7
build-07                                     3  4096     2     -b----    1234.5
mail-2                                      11 16384     8     r-----   99887.1
"""
VIRSH_LIST = """\
 Id   Name       State
----------------------------
 4    ci-3       running
 -    old-ci     shut off

"""
VIRSH_STATS = """\
Domain: 'ci-3'
  block.count=1
  block.0.name=vda
  block.0.path=/dev/vg0/ci-3
  block.0.rd.reqs=812
  block.0.rd.bytes=41943040

"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def add_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def add_text(folder: Path, name: str, text: str) -> Path:
    path = folder.parent / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_machine_without_a_hypervisor_has_nothing_to_tell(programs):
    facts = read_guest_facts(node="hv-3", paths=HostPaths())
    assert (facts.entities, facts.coverage) == ((), ())


def test_xen_guests_are_listed_with_their_memory(programs):
    add_program(programs, "xl", f'[ "$*" = list ] || exit 2\ncat {add_text(programs, "xl.txt", XL)}')
    facts = read_guest_facts(node="hv-3", paths=HostPaths())
    assert [str(entity) for entity in facts.entities] == ["guest:hv-3/build-07", "guest:hv-3/mail-2"]
    (window,) = facts.windows
    assert window.latest(1, "guest_memory_bytes") == 16384 * 1024**2
    assert window.quotes[0].source == "xl list"
    assert [(row.domain, row.status) for row in facts.coverage] == [("guests", "read")]
    assert read_domain_names(HostPaths()) == {0: "Domain-0", 3: "build-07", 11: "mail-2"}


def test_kvm_guests_are_listed_with_their_disks(programs):
    names, stats = add_text(programs, "list.txt", VIRSH_LIST), add_text(programs, "stats.txt", VIRSH_STATS)
    add_program(
        programs, "virsh", f'case "$*" in *domstats*) cat {stats};; *"list --all"*) cat {names};; *) exit 2;; esac'
    )
    facts = read_guest_facts(node="hv-3", paths=HostPaths())
    assert {str(entity) for entity in facts.entities} == {"guest:hv-3/ci-3", "guest:hv-3/old-ci"}
    (link,) = facts.links
    assert (str(link.subject), link.relation, str(link.object)) == ("guest:hv-3/ci-3", "uses", "disk:hv-3/vg0-ci--3")


def test_a_toolstack_that_is_not_in_use_is_said_and_makes_nothing_unknown(programs):
    add_program(programs, "virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1")
    facts = read_guest_facts(node="hv-3", paths=HostPaths())
    assert {(row.domain, row.status, row.fix) for row in facts.coverage} == {("guests", "partial", "")}
    assert "failed to connect to the hypervisor" in facts.coverage[0].reason


def test_a_toolstack_that_hangs_costs_its_time_out(programs, monkeypatch):
    monkeypatch.setattr(host_guests, "PROGRAM_SECONDS", 0.3)
    add_program(programs, "xl", "exec sleep 60")
    started = time.monotonic()
    facts = read_guest_facts(node="hv-3", paths=HostPaths())
    assert time.monotonic() - started < 5
    assert "no answer within 0.3 s" in facts.coverage[0].reason


def test_programs_of_this_machine_tell_nothing_of_a_recorded_one(programs, tmp_path):
    add_program(programs, "xl", f"cat {add_text(programs, 'xl.txt', XL)}")
    recorded = HostPaths(tmp_path, tmp_path)
    assert read_guest_facts(node="hv-3", paths=recorded).entities == ()
    assert read_domain_names(recorded) == {}


def test_a_live_triage_asks_for_guests(programs, nvml_standin):
    nvml_standin({"init_error": "DRIVER_NOT_LOADED"})
    add_program(programs, "xl", f"cat {add_text(programs, 'xl.txt', XL)}")
    facts = HostSource(node="hv-3", gpu_timeout_seconds=5.0, iostat_seconds=1).read_facts()
    assert "guest:hv-3/mail-2" in {str(entity) for entity in facts.entities}


class XenHost:
    """A recorded Xen host: sda, dm-3 on it, and guests' virtual disks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = HostPaths(root / "proc", root / "sys")
        (root / "proc").mkdir(parents=True)
        self.write("block/sda/dev", "8:0")
        self.write("block/dm-3/dev", "253:3")
        self.write("block/dm-3/slaves/sda/dev", "8:0")

    def write(self, path: str, text: str) -> None:
        target = self.root / "sys" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{text}\n", encoding="utf-8")

    def disk(self, name: str, device: str, *, read: int, written: int, requests: int) -> None:
        folder = f"bus/xen-backend/devices/{name}"
        self.write(f"{folder}/physical_device", device)
        for key, value in (("rd_sect", read), ("wr_sect", written), ("rd_req", requests), ("wr_req", requests)):
            self.write(f"{folder}/statistics/{key}", str(value))


@pytest.fixture
def xen(tmp_path: Path) -> XenHost:
    return XenHost(tmp_path / "xen")


def test_virtual_disks_are_read_with_their_numbers_in_hexadecimal(xen):
    xen.disk("vbd-3-51712", "fd:3", read=2, written=4, requests=1)
    xen.disk("vbd-11-51728", "8:0", read=0, written=0, requests=0)
    xen.write("bus/xen-backend/devices/vif-3-0/state", "4")
    xen.write("bus/xen-backend/devices/vbd-12-51712/physical_device", "")  # being set up
    disks = read_virtual_disks(xen.paths)
    assert {(one.domain, one.device) for one in disks.values()} == {(3, "253:3"), (11, "8:0")}
    assert disks["vbd-3-51712"].counts == Counts(1024, 2048, 1, 1)


def test_what_each_guest_did_between_two_samples_is_tied_to_its_disk(xen):
    xen.disk("vbd-3-51712", "fd:3", read=1000, written=1000, requests=10)
    xen.disk("vbd-11-51712", "8:0", read=5, written=5, requests=5)
    first = read_consumers(xen.paths)
    xen.disk("vbd-3-51712", "fd:3", read=1000, written=1000 + 204800, requests=110)
    xen.disk("vbd-11-51712", "8:0", read=5 + 64, written=5, requests=6)
    second = replace(read_consumers(xen.paths), monotonic_seconds=first.monotonic_seconds + 1.0)
    facts = build_consumer_facts(first, second, node="hv-3", paths=xen.paths)
    (window,) = facts.windows
    rows = {str(entity): row for row, entity in enumerate(window.entities)}
    heavy = rows["guest:hv-3/domain-3"]
    assert window.latest(heavy, "consumer_disk_write_bytes_per_second") == 204800 * 512
    assert window.latest(heavy, "consumer_disk_writes_per_second") == 100
    uses = {(str(link.subject), str(link.object)) for link in facts.links if link.relation == "uses"}
    assert uses == {("guest:hv-3/domain-3", "disk:hv-3/dm-3"), ("guest:hv-3/domain-11", "disk:hv-3/sda")}
    assert "vbd-3-51712" in window.quotes[heavy].source


def test_a_guest_that_came_or_went_in_between_counts_nothing(xen):
    xen.disk("vbd-3-51712", "fd:3", read=1000, written=0, requests=10)
    first = read_consumers(xen.paths)
    xen.disk("vbd-4-51712", "fd:3", read=900000, written=0, requests=10)
    second = replace(read_consumers(xen.paths), monotonic_seconds=first.monotonic_seconds + 1.0)
    assert build_consumer_facts(first, second, node="hv-3", paths=xen.paths).windows == ()
