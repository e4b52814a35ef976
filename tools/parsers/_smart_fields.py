"""Which field of SMART output gives which signal: NVMe log, ATA attributes, SAS pages."""

from __future__ import annotations

import re
from collections.abc import Mapping

NVME_FIELDS: Mapping[str, tuple[str, float]] = {
    "critical warning": ("disk_critical_warning", 1.0),
    "available spare": ("disk_spare_ratio", 0.01),
    "available spare threshold": ("disk_spare_threshold_ratio", 0.01),
    "avail spare": ("disk_spare_ratio", 0.01),
    "spare thresh": ("disk_spare_threshold_ratio", 0.01),
    "percent used": ("disk_wear_ratio", 0.01),
    "percentage used": ("disk_wear_ratio", 0.01),
    "media and data integrity errors": ("disk_media_errors_total", 1.0),
    "media errors": ("disk_media_errors_total", 1.0),
    "percentage used endurance indicator": ("disk_wear_ratio", 0.01),
    "elements in grown defect list": ("disk_reallocated_sectors_total", 1.0),
}
"""Names in lower case, underscores as spaces: smartctl's text, its JSON and `nvme smart-log` agree in most of them."""

DRIVE_FAILED = "disk_smart_failed"
MEDIA_ERRORS = "disk_media_errors_total"
SELF_TEST_RESULTS: tuple[tuple[str, str], ...] = (
    (r"read (?:element )?fail|unknown failure|failed in segment|failed segments?", MEDIA_ERRORS),
    (r"electrical|servo|handling damage|fatal|failed", DRIVE_FAILED),
)
"""Words of a self-test's result, lower case, to what they show: blocks that cannot be read, or a drive that fails."""


def judge_self_test(result: str) -> str:
    """Name the signal that a failed self-test raises; empty for one that passed, was aborted or still runs."""
    word = result.lower()
    if "without error" in word or "abort" in word or "interrupt" in word or "in progress" in word:
        return ""
    return next((signal for pattern, signal in SELF_TEST_RESULTS if re.search(pattern, word)), "")


ATA_RAW: Mapping[int, str] = {
    5: "disk_reallocated_sectors_total",
    187: "disk_media_errors_total",
    197: "disk_media_errors_total",
    198: "disk_media_errors_total",
    199: "disk_crc_errors_total",
}
"""ATA attribute to the signal of its raw value. 187, 197 and 198 count overlapping sectors: the largest stands."""

ATA_WEAR: Mapping[int, tuple[str, ...]] = {
    169: ("remaining_lifetime", "remain"),
    177: ("wear_leveling",),
    202: ("lifetime", "life"),
    231: ("life", "ssd_life"),
    233: ("wearout", "media_wear"),
}
"""ATA attribute and a word of its name: the normalised value counts down from 100 as the flash wears."""


def is_wear_attribute(number: int, name: str) -> bool:
    """Say whether the normalised value of an attribute is the life that is left, in percent."""
    return any(word in name.lower() for word in ATA_WEAR.get(number, ()))


def mask_raw(number: int, value: int) -> int | None:
    """Return the count in a raw value; None where a maker packs several numbers into it.

    Counts of sectors beyond 2^32 do not occur; raw values are 48 bits and some makers keep times in the upper ones.
    """
    return value if 0 <= value < 2**32 else None
