"""Runbooks: every fault that asks for something has one, whole and of use at three in the morning."""

import re

import pytest

from agent.faults import load_faults
from rag.chunks import FRONT_MATTER_FIELDS, SECTIONS, SHIPPED, build_chunks, read_runbook, read_runbooks
from rag.errors import RunbookInvalid

BOOKS = read_runbooks()
FAULTS = load_faults()

META = {"healthy", "benign", "not_applicable"}
"""Faults about which there is nothing to do."""

QUIET = sorted(
    fault.id
    for fault in FAULTS.values()
    if fault.id not in META and (fault.action in {"watch", "check_workload", "none"} or fault.urgency == "maintenance")
)
INVASIVE = sorted(fault.id for fault in FAULTS.values() if fault.action in {"drain_node", "reset_gpu", "reboot_node"})

_REMEDY = re.compile(r"gpu-reset|\b[Rr]eboot|nvidia-smi -r\b|mlxfwreset|power[- ]cycle")
_FAULT_NAME = re.compile(
    r"`((?:gpu|nvlink|nvswitch|fabric|pcie|nic|network|collective|disk|storage|filesystem|shared|host|rack|job|config"
    r"|sensor|telemetry|clock|llm|tail)_[a-z_]+)`"
)


def test_every_fault_that_asks_for_something_has_a_runbook():
    assert set(BOOKS) == set(FAULTS) - META


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
def test_code_fences_and_quotes_are_closed(fault):
    rows = list(BOOKS[fault].sections.values())
    assert rows
    for text in rows:
        outside = text.split("```")[::2]
        assert text.count("```") % 2 == 0
        assert all(part.count("`") % 2 == 0 for part in outside)


@pytest.mark.parametrize("fault", sorted(BOOKS))
def test_runbook_names_only_faults_of_the_table(fault):
    named = set(_FAULT_NAME.findall("\n".join(BOOKS[fault].sections.values())))
    assert named <= set(FAULTS)


@pytest.mark.parametrize("fault", INVASIVE)
def test_new_work_is_kept_off_before_anything_is_reset(fault):
    steps = BOOKS[fault].sections["do"]
    remedy = _REMEDY.search(steps)
    assert "State=DRAIN" in (steps[: remedy.start()] if remedy else steps)


@pytest.mark.parametrize("fault", QUIET)
def test_a_fault_that_can_wait_starts_without_a_drain(fault):
    first = BOOKS[fault].sections["do"].split("\n2. ")[0]
    assert "State=DRAIN" not in first and not _REMEDY.search(first)


@pytest.mark.parametrize("rack", ["rack_cooling_fault", "rack_power_fault"])
def test_a_rack_is_closed_for_new_work_at_once_and_then_sheds_load(rack):
    steps = BOOKS[rack].sections["do"]
    assert "facility now" in steps.split("\n2. ")[0]
    assert steps.index("State=DRAIN") < steps.index("nvidia-smi -pl")


def test_the_unknown_says_what_to_collect_as_commands():
    commands = BOOKS["unknown"].sections["confirm"].split("```")[1]
    for name in (
        "dmesg -T",
        "nvidia-smi -q",
        "nvidia-bug-report.sh",
        "iostat -x",
        "ps -eo",
        "ibstat",
        "ipmitool sel",
        "sacct",
    ):
        assert name in commands


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
