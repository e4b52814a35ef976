"""Guests of this machine: what the programs of its hypervisor list, where such a program is on the path.

What KVM guests read and write is told by their cgroups and processes, what Xen guests do by
:mod:`tools.host_xen`; the lists give names, memory, and which block device is whose.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tools.document import TextDocument
from tools.errors import UpstreamError
from tools.host_parsers import find_parser
from tools.host_paths import HostPaths
from tools.shell import expect_success, run_command
from tools.types import Coverage, Facts, merge_facts

PROGRAM_SECONDS = 5.0
"""Longest wait for one list: a toolstack that hangs must not hold up a triage (a guess)."""
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("xl", "list"),
    ("xe", "vm-list", "is-control-domain=false"),
    ("virsh", "--readonly", "list", "--all"),
    ("virsh", "--readonly", "domstats", "--block"),
)


def read_guest_facts(*, node: str, paths: HostPaths) -> Facts:
    """Ask each program that is there; a machine without any has nothing to tell.

    Args:
        node: Name of this machine.
        paths: Where the machine is; programs are asked only where it is the one that we run on.
    """
    if not paths.is_live:
        return Facts()
    wanted = [argv for argv in COMMANDS if shutil.which(argv[0]) is not None]
    if not wanted:
        return Facts()
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        return merge_facts(pool.map(lambda argv: _ask(node, argv), wanted))


def _ask(node: str, argv: Sequence[str]) -> Facts:
    try:
        result = expect_success(run_command(argv, timeout_seconds=PROGRAM_SECONDS))
    except UpstreamError as error:
        # No fix on this row: a toolstack that is installed and not in use makes nothing unknown.
        return Facts(coverage=(Coverage(f"node:{node}", "guests", "partial", error.message.rstrip(".")),))
    facts = find_parser("guests").parse(TextDocument(result.command, node, result.stdout)).facts
    return facts + Facts(coverage=(Coverage(f"node:{node}", "guests", "read"),))
