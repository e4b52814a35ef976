"""tools/scrub.py: names go, always by the same stand-in; what a triage needs stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.errors import OperatorError
from tools.scrub import Scrubber, learn_facts, read_map, read_users, write_map
from tools.types import Entity, Facts, Inventory


def scrub(text: str, **names: list[str]) -> str:
    scrubber = Scrubber()
    for kind, known in names.items():
        scrubber.learn(kind, known)
    scrubber.study([text])
    return scrubber.scrub_text(text)


@pytest.mark.parametrize("text", [
    "[ 1234.567890] NVRM: Xid (PCI:0000:5d:00): 79, pid=41, name=python3, GPU has fallen off the bus.",
    "00000000:3B:00.0 0000:3b:00.0 01:00.0",
    "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  570.124.06  12.570.124.06",
    "2026-11-20T10:15:03.123456+00:00 12:34:56 Nov 20 10:15:03",
    "mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 7: fe200000000c110a ADDR 3f2c1a000",
    "RIP: 0010:std::vector<int>::push_back 127.0.0.1 ::1 0.0.0.0",
    "gpu_temperature_celsius node disk GPU 5 job 4711 user space fault in user mode, serial8250: ttyS0",
    "EDAC MC1: 1 UE on CPU_SrcID#1 (channel:1 slot:0 page:0x3f2c1a offset:0x0)",
])  # fmt: skip
def test_what_names_nobody_stays(text):
    assert scrub(text, host=["trn-9"], user=["mkeller"]) == text


@pytest.mark.parametrize(("text", "gone"), [
    ("from 10.44.7.19:22, then 10.44.7.19.", "10.44.7.19"),
    ("ether 3c:ec:ef:8a:10:2b up", "3c:ec:ef"),
    ("HWaddr 3C-EC-EF-8A-10-2B", "3C-EC"),
    ("inet6 fe80::3eec:efff:fe8a:102b/64", "3eec"),
    ("localGid ::ffff:10.20.0.17", "10.20.0.17"),
    ("Port GUID: 0x506b4b0300c1d2e3 gid ec0d:9a03:0045:1f2a", "506b4b"),
    ("gid ec0d:9a03:0045:1f2a", "9a03"),
    ("wwn-0x5000c500a1b2c3d4 naa.5000c500a1b2c3d4", "c500a1b2"),
    ("GPU-5a0d17c0-1234-4000-8000-0000000000aa MIG-5a0d17c0-1234-4000-8000-0000000000ab", "5a0d17c0"),
    ("Serial Number:    PHYF1234005X3P8EGN", "PHYF1234"),
    ("NVRM: GPU Board Serial Number: 1650223000003", "1650223000003"),
    ("usb 1-4: SerialNumber: 4C530001290814105412", "4C5300"),
    ("audit: user=mkeller exe=/home/jfrei/run", "mkeller"),
    ("/home/jfrei/run by jfrei", "jfrei"),
    ("uid=1004(mkeller) gid=1004", "mkeller"),
    ("mail to ops.team@hpc-lab.net now", "hpc-lab"),
])  # fmt: skip
def test_names_that_their_form_tells_go(text, gone):
    assert gone not in scrub(text)


def test_a_host_is_the_same_in_all_of_its_spellings():
    text = "trn-9 TRN-9 trn-9.hpc-lab.net trn-9-ib0 (trn-9) node:trn-9 gpu:trn-9/3 xtrn-9 trn-90"
    scrubbed = scrub(text, host=["trn-9.hpc-lab.net"])
    assert scrubbed == (
        "host-0001 host-0001 host-0001.domain-1.invalid host-0001-ib0 (host-0001) node:host-0001 gpu:host-0001/3 xtrn-9 trn-90"
    )


def test_sibling_hosts_and_hosts_of_a_known_domain_go_too():
    scrubbed = scrub(
        "rk4-n018 lost, rk4-n117 and login.hpc-lab.net alive; rk4-n1 is none", host=["rk4-n017.hpc-lab.net"]
    )
    assert "rk4-n018" not in scrubbed and "rk4-n117" not in scrubbed and "login" not in scrubbed
    assert "rk4-n1 is none" in scrubbed


def test_a_host_that_is_called_as_a_word_of_the_trade_goes_by_its_place():
    scrubber = Scrubber()
    scrubber.learn("host", ["gpu", "n1"])
    text = "2026-11-20T10:15:03+00:00 gpu kernel: NVRM: gpu lost"
    assert scrubber.scrub_text(text) == "2026-11-20T10:15:03+00:00 host-0001 kernel: NVRM: gpu lost"
    assert scrubber.scrub({"kind": "gpu", "node": "gpu", "name": "3", "entity": "gpu:gpu/3"}) == {
        "kind": "gpu", "node": "host-0001", "name": "3", "entity": "gpu:host-0001/3",
    }  # fmt: skip
    assert scrubber.scrub([{"entity": "node:n1"}]) == [{"entity": "node:host-0002"}]


def test_names_of_facts_are_learned():
    scrubber = Scrubber()
    row = Inventory("trn-9", rack="hall-north-r7", site="lucerne", owner="group-lattice", aliases=("t9alias",))
    entities = (Entity("gpu", "trn-9", "0").with_ids(serial="1650223000003"), Entity("guest", "trn-9", "vm-customer"))
    learn_facts(scrubber, Facts(entities=(*entities, Entity("storage", "trn-9", "filer-3")), inventory=(row,)))
    text = "trn-9 t9alias hall-north-r7 lucerne group-lattice 1650223000003 vm-customer filer-3"
    assert not set(text.split()) & set(scrubber.scrub_text(text).split())


def test_scrubbing_twice_changes_nothing_more():
    text = "trn-9 10.44.7.19 3c:ec:ef:8a:10:2b fe80::1:2 /home/mkeller Serial Number: PHYF1234005X a@hpc-lab.net"
    scrubber = Scrubber()
    scrubber.learn("host", ["trn-9"])
    scrubber.study([text])
    once = scrubber.scrub_text(text)
    scrubber.study([once])
    assert scrubber.scrub_text(once) == once


def test_a_map_goes_on_and_is_for_its_owner_only(tmp_path):
    path = tmp_path / "names.json"
    assert read_map(path) == {}
    first = Scrubber()
    first.learn("host", ["trn-9"])
    known = first.scrub_text("trn-9 10.1.2.3 10.1.2.4")
    write_map(path, first)
    assert path.stat().st_mode & 0o777 == 0o600
    second = Scrubber(read_map(path))
    assert second.scrub_text("10.1.2.9") != second.scrub_text("10.1.2.4")
    assert second.scrub_text("trn-9 10.1.2.3 10.1.2.4") == known
    path.write_text("[1]")
    with pytest.raises(OperatorError, match="no map"):
        read_map(path)


def test_people_are_read_from_passwd(tmp_path):
    passwd = tmp_path / "passwd"
    passwd.write_text(
        "root:x:0:0::/root:/bin/sh\nmkeller:x:1004:1004::/home/mkeller:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbroken\n"
    )
    assert read_users(passwd) == ["mkeller"]
    assert read_users(tmp_path / "none") == []


@given(st.text(max_size=300))
def test_any_text_can_be_scrubbed(text):
    scrubber = Scrubber()
    scrubber.learn("host", ["trn-9"])
    scrubber.study([text])
    assert "trn-9" not in scrubber.scrub_text(f"{text} trn-9 ").split()


@given(st.integers(0, 2**32 - 1))
def test_different_addresses_stay_different(number):
    text = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
    scrubber = Scrubber()
    other = "11.22.33.44" if text != "11.22.33.44" else "11.22.33.45"
    one, two = scrubber.scrub_text(text), scrubber.scrub_text(other)
    assert one != two
