"""Kernel logs in every form: dmesg, /dev/kmsg, syslog, journal, bare pastes; program lines between them are read too.

Known: Linux 3.10 to 6.14, util-linux 2.20 to 2.40, rsyslog and systemd-journald; see the tables for the drivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tools.parsers._log_hosts import read_hosts
from tools.parsers._log_reader import LogReader
from tools.parsers._log_share import score_forms
from tools.types import Document, Domain, Facts, Parsed

FORM = "kernel_log"
DOMAIN: Domain = "kernel_log"


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is that the sample is a kernel log or syslog; 0.0 where program lines prevail."""
    kernel, application = score_forms(sample)
    return kernel if kernel >= application else 0.0


def parse(document: Document) -> Parsed:
    """Read events from a kernel log: faults, their entities, whose log it is, and which GPU has which UUID.

    Equivalent by hand: ``dmesg -T | grep -E 'NVRM|nvme|mlx5|EXT4|…'``.
    """
    parsed = LogReader(document).read()
    return replace(parsed, facts=parsed.facts + Facts(entities=read_hosts(document)))
