"""What the disks of this machine say of their own health, by smartctl."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tools.document import TextDocument
from tools.errors import UpstreamError
from tools.host_parsers import find_parser
from tools.host_paths import HostPaths
from tools.shell import CommandResult, install_hint, run_command
from tools.types import Coverage, Facts, merge_facts

DISK_SECONDS = 10.0
"""Longest wait for one disk; a disk that is failing answers late or never (a guess)."""
MAX_AT_ONCE = 16
"""Disks that are asked at the same time (a guess): sixty of them behind one controller need a second then."""
_PHYSICAL = re.compile(r"sd[a-z]+|nvme\d+n\d+")
_COULD_NOT_ASK = 0b011
"""Bits of smartctl's exit code: wrong command line, device could not be opened; all other bits are findings."""


def read_smart_facts(*, node: str, paths: HostPaths) -> Facts:
    """Ask each physical disk for its health; virtual disks have none.

    Args:
        node: Name of this machine.
        paths: Where the machine's list of disks is; smartctl itself asks the real ones.
    """
    disks = find_physical_disks(paths)
    if reason := tell_missing_smartctl(disks):
        return Facts(coverage=(Coverage(f"node:{node}", "disk", "partial", reason, install_hint("smartctl")),))
    # Side by side: one that answers late must not make all others late.
    with ThreadPoolExecutor(max_workers=MAX_AT_ONCE) as pool:
        return merge_facts(pool.map(lambda name: _read_disk(node, name), disks))


def find_physical_disks(paths: HostPaths) -> list[str]:
    """Name the disks that can be asked for their health."""
    disks = sorted(path.name for path in (paths.sys / "block").glob("*") if _PHYSICAL.fullmatch(path.name))
    return [name for name in disks if (paths.sys / "block" / name / "device").exists()]


def tell_missing_smartctl(disks: Sequence[str]) -> str:
    """Say what is lost without smartctl; empty where it is there, or there is no disk to ask."""
    if not disks or shutil.which("smartctl") is not None:
        return ""
    return f"the health of {', '.join(disks)} is not read: smartctl is not installed"


def _read_disk(node: str, name: str) -> Facts:
    argv = ["smartctl", "-a", f"/dev/{name}"]
    try:
        result = run_command(argv, timeout_seconds=DISK_SECONDS)
    except UpstreamError as error:
        return Facts(coverage=(Coverage(f"disk:{node}/{name}", "disk", "missing", error.message, error.fix),))
    if result.exit_code < 0 or result.exit_code & _COULD_NOT_ASK:
        row = Coverage(f"disk:{node}/{name}", "disk", "missing", _last_words(result), f"sudo {result.command}")
        return Facts(coverage=(row,))
    # The text does not name its disk; the command above it does, as in a pasted terminal.
    text = f"# {result.command}\n{result.stdout}"
    return find_parser("smartctl").parse(TextDocument(result.command, node, text)).facts


def _last_words(result: CommandResult) -> str:
    lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"smartctl ended with code {result.exit_code}"
