"""Names of hosts and devices as they come out of evidence, made safe to print and to put into a command."""

from __future__ import annotations

import re

MAX_NAME_CHARACTERS = 253
"""Longest host name of the DNS (RFC 1035); no device has a longer one."""
_NODE_OTHER = re.compile(r"[^A-Za-z0-9._:@/+-]")
_JOB_OUTPUT = re.compile(r"(?:^|/)(?:slurm|job|jobid)[-_.]?\d+(?:[_.+-]\d+)*(?:[_.-](?:out|err|log|stdout|stderr))*$")
_DEVICE_OTHER = re.compile(r"[^\w ._:@/+\-\[\],=%?~]")


def clean_name(text: str) -> str:
    """Make a host name of any text: letters, digits and ``._:@/+-`` stay, others become ``_``.

    Evidence is written by whoever wants to write it; a name must not steer a terminal nor end a shell word, and with a
    leading ``-`` it would be an option. At most 253 characters are kept.
    """
    return _clean(text, _NODE_OTHER)


def clean_device_name(text: str) -> str:
    """Make a device, job or process name of any text: as a host name, but spaces, brackets and ``,=%?~`` stay too."""
    return _clean(text, _DEVICE_OTHER)


def _clean(text: str, other: re.Pattern[str]) -> str:
    if len(text) <= MAX_NAME_CHARACTERS and text[:1] not in ("-", " ") and other.search(text) is None:
        return text
    return other.sub("_", text[: 2 * MAX_NAME_CHARACTERS].lstrip("- "))[:MAX_NAME_CHARACTERS]


def is_job_output(label: str) -> bool:
    """Say whether a file is by its name what a job printed, and no more: ``slurm-4711.out``, not ``job-4711-dmesg``."""
    return bool(_JOB_OUTPUT.search(label.removesuffix(".gz").removesuffix(".txt")))
