"""Runbooks: every fault of the edition has one, whole and of use at three in the morning."""

import re

import pytest

from rag.chunks import FRONT_MATTER_FIELDS, SECTIONS, SHIPPED, build_chunks, read_runbook, read_runbooks
from rag.errors import RunbookInvalid

EDITION = frozenset(
    """
    gpu_off_bus gpu_missing gpu_memory_uncorrectable gpu_memory_contained gpu_memory_remap_pending
    gpu_memory_remap_failure gpu_gsp_fault gpu_internal_fault gpu_power_supply gpu_driver_fault gpu_thermal_throttle
    gpu_power_throttle gpu_app_fault gpu_driver_mismatch gpu_driver_not_loaded nvlink_fault nvlink_nonfatal
    nvswitch_fault nvswitch_nonfatal pcie_link_degraded pcie_error nic_link_down nic_firmware_fault network_unreachable
    collective_hang disk_media_error disk_lost disk_wearout io_saturated io_noisy_neighbor filesystem_fault
    shared_fs_stall host_memory_error host_memory_exhausted host_cpu_lockup host_kernel_panic host_resource_limit
    host_task_hung
    """.split()  # noqa: SIM905
)
BOOKS = read_runbooks()

# Faults whose action disturbs nobody: their runbook must not open with a drain.
LEAVE_ALONE = ("nvlink_nonfatal", "nvswitch_nonfatal", "gpu_app_fault", "host_memory_exhausted", "io_saturated")
# Faults whose remedy ends in a reset or a reboot: the node is freed of jobs before.
FREE_FIRST = (
    "gpu_off_bus", "gpu_memory_uncorrectable", "gpu_gsp_fault", "gpu_internal_fault", "gpu_driver_fault",
    "gpu_driver_mismatch", "nvlink_fault", "nvswitch_fault", "nic_firmware_fault",
)  # fmt: skip


def test_every_fault_of_the_edition_has_a_runbook():
    assert set(BOOKS) >= EDITION


@pytest.mark.parametrize("fault", sorted(BOOKS))
def test_runbook_is_whole(fault):
    book = BOOKS[fault]
    assert len(book.title) > 10
    assert book.applies_to and all(book.applies_to)
    assert book.sources and all(len(source) > 5 for source in book.sources)
    assert list(book.sections) == list(SECTIONS)
    words = {slug: len(text.split()) for slug, text in book.sections.items()}
    assert words["see"] >= 50 and words["confirm"] >= 50 and words["do"] >= 40
    assert words["dont"] >= 20 and words["escalate"] >= 20
    assert "```" in book.sections["confirm"], "no commands to confirm with"
    assert re.search(r"^1\. ", book.sections["do"], re.MULTILINE), "the steps have no order"
    assert book.sections["dont"].count("- Do not") >= 3


@pytest.mark.parametrize("fault", sorted(BOOKS))
def test_runbook_names_only_faults_that_have_one_or_are_in_the_table(fault):
    fleet_faults = {"rack_cooling_fault", "rack_power_fault"}
    text = "\n".join(BOOKS[fault].sections.values())
    named = set(re.findall(r"`((?:gpu|nvlink|nvswitch|pcie|nic|disk|host|rack)_[a-z_]+)`", text))
    assert named <= set(BOOKS) | fleet_faults


@pytest.mark.parametrize("fault", FREE_FIRST)
def test_reset_and_reboot_come_after_the_drain(fault):
    steps = BOOKS[fault].sections["do"]
    remedy = re.search(r"gpu-reset|[Rr]eboot|nvidia-smi -r\b|mlxfwreset", steps)
    assert remedy is not None
    assert "State=DRAIN" in steps[: remedy.start()]


@pytest.mark.parametrize("fault", LEAVE_ALONE)
def test_harmless_faults_start_without_a_drain(fault):
    first = BOOKS[fault].sections["do"].split("\n2. ")[0]
    assert "State=DRAIN" not in first and "reboot" not in first.lower()


def test_chunk_ids_are_stable():
    chunks = build_chunks(BOOKS["gpu_off_bus"])
    assert [chunk.id for chunk in chunks] == [
        f"gpu_off_bus#{slug}" for slug in ("see", "confirm", "do", "dont", "escalate")
    ]
    assert {chunk.digest for chunk in chunks} == {BOOKS["gpu_off_bus"].digest}


GOOD = (SHIPPED / "disk_lost.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (GOOD.replace("---\n", "", 1), "front matter"),
        (GOOD.replace("title:", "tittle:"), "lacks title"),
        (GOOD.replace("fault: disk_lost", "fault: disk_gone"), "not its file name"),
        (GOOD.replace("## Do not", "## Never"), "sections"),
        (GOOD.replace("## Do\n", "## Do\n\n## Do\n"), "sections"),
        (re.sub(r"## Do not\n.*?(?=\n## )", "## Do not\n", GOOD, flags=re.DOTALL), "nothing under Do not"),
        (GOOD.replace("title: ", "title: [", 1), "YAML"),
    ],
)
def test_wrong_runbook_is_named_with_what_is_wrong(tmp_path, broken, why):
    (tmp_path / "disk_lost.md").write_text(broken, encoding="utf-8")
    with pytest.raises(RunbookInvalid, match=why) as caught:
        read_runbooks(tmp_path)
    assert "disk_lost.md" in caught.value.message
    assert all(field in caught.value.fix for field in FRONT_MATTER_FIELDS)


def test_runbook_that_is_no_text(tmp_path):
    (tmp_path / "disk_lost.md").write_bytes(b"---\n\xff\xfe")
    with pytest.raises(RunbookInvalid, match="UTF-8"):
        read_runbook(tmp_path / "disk_lost.md")


def test_site_runbook_overrides_and_adds(tmp_path):
    (tmp_path / "disk_lost.md").write_text(
        GOOD.replace("title: ", "title: Our own: ", 1).replace("Our own: D", "Our own d"), encoding="utf-8"
    )
    (tmp_path / "tape_jam.md").write_text(GOOD.replace("fault: disk_lost", "fault: tape_jam"), encoding="utf-8")
    (tmp_path / "README.md").write_text("how we write them", encoding="utf-8")
    books = read_runbooks(site=tmp_path)
    assert books["disk_lost"].site and books["disk_lost"].title.startswith("Our own")
    assert books["tape_jam"].site and not books["disk_wearout"].site
