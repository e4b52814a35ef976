"""Files of /sys shown with their paths: counters, states and alarms."""

from __future__ import annotations

import pytest

from tools.document import TextDocument
from tools.parsers import sysfs_values

EDAC = "/sys/devices/system/edac/mc/mc3"


def read(text: str) -> list[tuple[str, str]]:
    """Read a text and tell the code and the entity's name of each event."""
    parsed = sysfs_values.parse(TextDocument("paste.txt", "n7", text))
    assert parsed.unread.unread == 0
    return [(event.code, event.entity.name) for event in parsed.facts.events]


@pytest.mark.parametrize("shape", ["{path}:{value}", "{path}\n{value}", "==> {path} <==\n{value}", "{path} = {value}"])
@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (f"{EDAC}/ce_count", "0", []),
        (f"{EDAC}/csrow2/ch0_ce_count", "41", [("edac:corrected", "")]),
        (f"{EDAC}/ue_count", "2", [("edac:uncorrected", "")]),
        ("/sys/class/hwmon/hwmon3/temp1_crit_alarm", "1", [("bmc:temperature_critical", "")]),
        ("/sys/class/hwmon/hwmon3/fan4_fault", "0", []),
        ("/sys/block/sdq/device/state", "offline", [("scsi:offline", "sdq")]),
        ("/sys/block/sdq/device/state", "running", []),
        ("/sys/class/nvme/nvme5/state", "dead", [("nvme:disabled", "nvme5")]),
        ("/sys/block/md9/md/degraded", "1", [("md:degraded", "md9")]),
        ("/sys/bus/pci/devices/0000:5e:00.0/current_link_speed", "32.0 GT/s PCIe", []),
    ],
)
def test_a_value_tells_trouble_in_every_shape(path: str, value: str, shape: str, expected: list[str]) -> None:
    text = shape.format(path=path, value=value) + "\n"
    assert sysfs_values.recognise(text.splitlines()) > 0.8
    assert read(text) == expected


def test_counts_are_kept() -> None:
    parsed = sysfs_values.parse(TextDocument("paste.txt", "n7", f"{EDAC}/ce_count:128\n"))
    assert [event.fields["count"] for event in parsed.facts.events] == ["128"]


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("mc3: csrow1: DIMM_B2: 77 Corrected Errors", ["edac:corrected"]),
        ("mc3: 3 Uncorrected Errors with no DIMM info", ["edac:uncorrected"]),
        ("mc3: csrow1: 0 Uncorrected Errors", []),
        ("edac-util: No errors to report.", []),
    ],
)
def test_edac_util_counts(line: str, codes: list[str]) -> None:
    assert sysfs_values.recognise([line]) > 0.8
    assert [code for code, _ in read(line + "\n")] == codes


def test_program_lines_are_no_values() -> None:
    assert sysfs_values.recognise(["opening /sys/class/net/eth0 for reading", "done", "all is well"]) == 0.0
