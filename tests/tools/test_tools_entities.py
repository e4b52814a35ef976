"""tools/entities.py: names of one thing are one thing, and of two things never."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.entities import (
    make_gpu,
    make_pci_device,
    normalise_pci,
    parse_entity,
    resolve_entities,
    same_entity,
    same_node,
)
from tools.types import Entity


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("0000:3b:00", "0000:3b:00.0"),  # Xid lines
        ("PCI:0000:3b:00", "0000:3b:00.0"),
        ("00000000:3B:00.0", "0000:3b:00.0"),  # NVML and nvidia-smi
        ("3b:00.0", "0000:3b:00.0"),  # lspci
        ("0001:3b:00.0", "0001:3b:00.0"),
        ("10000:3b:00.0", "10000:3b:00.0"),  # a domain that does not fit four digits (VMD)
        ("0000:3b:00.1", "0000:3b:00.1"),
        (" 0000:3B:00.0\n", "0000:3b:00.0"),
        ("N/A", "n/a"),
    ],
)
def test_pci_addresses_have_one_spelling(written, canonical):
    assert normalise_pci(written) == canonical


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F), st.integers(0, 7))
def test_every_way_to_write_an_address_comes_to_the_same(domain, bus, device, function):
    canonical = f"{domain:04x}:{bus:02x}:{device:02x}.{function}"
    assert normalise_pci(canonical) == canonical
    assert normalise_pci(f"{domain:08X}:{bus:02X}:{device:02X}.{function}") == canonical
    if domain == 0:
        assert normalise_pci(f"{bus:x}:{device:x}.{function}") == canonical


def test_a_gpu_is_spelled_by_index_else_by_address_else_by_uuid():
    assert str(make_gpu("n1", index=3, pci="0000:5d:00.0")) == "gpu:n1/3"
    assert str(make_gpu("n1", pci="00000000:5D:00.0")) == "gpu:n1/0000:5d:00.0"
    assert str(make_gpu("n1", uuid="GPU-1")) == "gpu:n1/GPU-1"
    assert str(make_gpu("")) == "gpu:?/?"
    assert make_gpu("n1", index=0).name == "0"


def test_a_device_known_by_address_carries_it_as_id():
    assert make_pci_device("nic", "n1", "9B:00.1").ids == (("pci", "0000:9b:00.1"),)


def test_a_log_line_and_nvml_speak_of_one_gpu():
    told = make_gpu("n1", index=3, pci="00000000:5D:00.0", uuid="GPU-3", serial="s3")
    logged = make_gpu("n1", pci="PCI:0000:5d:00")
    other = make_gpu("n1", index=4, pci="0000:9a:00.0", uuid="GPU-4")
    resolved = resolve_entities([logged, told, other])
    assert resolved[logged] == resolved[told]
    assert str(resolved[logged]) == "gpu:n1/3"
    assert resolved[logged].id_map == {"pci": "0000:5d:00.0", "uuid": "GPU-3", "serial": "s3"}
    assert resolved[other] != resolved[logged]


def test_a_shifted_index_does_not_make_two_gpus_one():
    # Before the loss index 3 was one board, after it another: the stable ids say so.
    before = make_gpu("n1", index=3, uuid="GPU-3", pci="0000:5d:00.0")
    after = make_gpu("n1", index=3, uuid="GPU-4", pci="0000:9a:00.0")
    assert not same_entity(before, after)
    resolved = resolve_entities([before, after])
    assert resolved[before] != resolved[after]


def test_the_same_address_on_two_nodes_is_two_gpus():
    one, two = make_gpu("n1", pci="5d:00.0"), make_gpu("n2", pci="5d:00.0")
    assert not same_entity(one, two)
    assert resolve_entities([one, two]) == {one: one, two: two}


def test_an_index_alone_is_one_with_the_gpu_of_that_index():
    full = make_gpu("n1", index=2, uuid="GPU-2", pci="3a:00.0")
    bare = make_gpu("n1", index=2)
    assert resolve_entities([bare, full])[bare].id_map["uuid"] == "GPU-2"


def test_a_gpu_of_unknown_node_joins_only_where_nothing_speaks_against_it():
    known = make_gpu("n1", index=2, pci="3a:00.0")
    nodeless = make_gpu("", pci="3a:00.0")
    assert resolve_entities([nodeless, known])[nodeless].node == "n1"


def test_a_gpu_of_unknown_node_does_not_make_the_gpus_of_two_nodes_one():
    one, two = make_gpu("n1", index=2, pci="3a:00.0"), make_gpu("n2", index=2, pci="3a:00.0")
    nodeless = make_gpu("", pci="3a:00.0")
    rows = list(itertools.permutations([one, two, nodeless]))
    assert rows
    for order in rows:
        resolved = resolve_entities(order)
        assert resolved[one] != resolved[two]
        assert {resolved[one].node, resolved[two].node} == {"n1", "n2"}


def test_a_rich_name_without_a_node_does_not_make_the_gpus_of_two_nodes_one():
    rich = make_gpu("", index=2, pci="3a:00.0", serial="s")
    one, two = make_gpu("n1", pci="3a:00.0"), make_gpu("n2", pci="3a:00.0")
    resolved = resolve_entities([rich, one, two])
    assert resolved[one] != resolved[two]


def test_what_could_be_two_things_stays_alone():
    one, two = make_gpu("n1", index=2, pci="3a:00.0"), make_gpu("n2", index=2, pci="3a:00.0")
    nodeless = make_gpu("", pci="3a:00.0")
    assert resolve_entities([one, two, nodeless])[nodeless] == nodeless
    before, after = make_gpu("n1", index=3, uuid="GPU-3"), make_gpu("n1", index=3, uuid="GPU-4")
    bare = make_gpu("n1", index=3)
    assert resolve_entities([before, after, bare])[bare] == bare


def test_thousands_of_gpus_are_resolved_in_little_time():
    seen = [make_gpu(f"n{node}", index=i, pci=f"{i:02x}:00.0") for node in range(1000) for i in range(8)]
    seen += [make_gpu(f"n{node}", pci=f"{i:02x}:00.0") for node in range(1000) for i in range(8)]
    started = time.process_time()
    resolved = resolve_entities(seen)
    assert len(set(resolved.values())) == 8000
    assert time.process_time() - started < 5.0


def test_the_order_in_which_things_are_seen_does_not_matter():
    seen = [
        make_gpu("n1", index=3, pci="5d:00.0"),
        make_gpu("n1", pci="0000:5d:00"),
        make_gpu("n1", index=3, uuid="GPU-3"),
        make_gpu("n1", index=4, pci="9a:00.0"),
        make_gpu("n1", uuid="GPU-3", pci="5d:00.0"),
        Entity("disk", "n1", "sda"),
    ]
    spelled = {tuple(str(resolve_entities(order)[entity]) for entity in seen) for order in itertools.permutations(seen)}
    assert spelled == {("gpu:n1/3", "gpu:n1/3", "gpu:n1/3", "gpu:n1/4", "gpu:n1/3", "disk:n1/sda")}


def test_short_and_full_host_names_are_one_and_two_sites_are_two():
    assert same_node("gpu-001", "GPU-001.cluster.example")
    assert same_node("gpu-001.a.example", "gpu-001.a.example")
    assert not same_node("gpu-001", "gpu-002")
    assert not same_node("gpu-001.a.example", "gpu-001.b.example")
    assert not same_node("10.0.0.1", "10.0.0.2")
    assert same_node("", "gpu-001")


def test_kinds_are_never_mixed():
    assert not same_entity(Entity("gpu", "n1", "3"), Entity("nic", "n1", "3"))


@pytest.mark.parametrize(
    "entity",
    [
        Entity("gpu", "node-017", "3"),
        Entity("gpu", "n1", "0000:3b:00.0"),
        Entity("node", "node-017"),
        Entity("job", "", "4711"),
        Entity("disk", "n1", "nvme0n1"),
        Entity("rack", "", "r07"),
        Entity("service", "n1", "nvidia-fabricmanager"),
    ],
)
def test_what_is_spelled_can_be_read_back(entity):
    back = parse_entity(str(entity))
    assert back is not None
    assert str(back) == str(entity)
    assert same_entity(back, entity)
    assert back == entity


@pytest.mark.parametrize("text", ["", "gpu", "gpu:", "toaster:n1/3", "the GPU: n1/3"])
def test_what_is_no_spelling_is_none(text):
    assert parse_entity(text) is None
