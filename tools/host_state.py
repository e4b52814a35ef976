"""What the kernel tells of its own state now: software RAID arrays and memory error counters."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from tools.host_paths import HostPaths, read_line
from tools.types import Coverage, Entity, Event, Facts, Moment, Quote

_ARRAY = re.compile(r"^(?P<name>md\S*) : (?P<state>\S+) .*")
_MEMBERS = re.compile(r"\[(?P<wanted>\d+)/(?P<present>\d+)\] \[[U_]+\]")


def read_state_facts(*, node: str, paths: HostPaths) -> Facts:
    """Read arrays that lack a member and memory errors that were not corrected.

    Args:
        node: Name of this machine.
        paths: Where the machine is.
    """
    if not paths.proc.is_dir():
        row = Coverage(f"node:{node}", "host", "missing", f"{paths.proc} cannot be read", "mount -t proc proc /proc")
        return Facts(coverage=(row,))
    events = (*_read_arrays(node, paths), *_read_memory_errors(node, paths))
    return Facts(events=events, coverage=(Coverage(f"node:{node}", "host", "read"),))


def _read_arrays(node: str, paths: HostPaths) -> Iterator[Event]:
    path = paths.proc / "mdstat"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return  # no software RAID in this kernel
    array: re.Match[str] | None = None
    for number, line in enumerate(lines, start=1):
        array = _ARRAY.match(line) or array
        members = _MEMBERS.search(line)
        if array is None or members is None or int(members["present"]) >= int(members["wanted"]):
            continue
        quote = Quote(str(path), number, f"{array.group().strip()} / {line.strip()}")
        fields = {"array": array["name"], "present": members["present"], "wanted": members["wanted"]}
        yield Event(_now(), Entity("disk", node, array["name"]), "md:degraded", quote, fields, "kernel")


def _read_memory_errors(node: str, paths: HostPaths) -> Iterator[Event]:
    for path in sorted((paths.sys / "devices" / "system" / "edac" / "mc").glob("mc*/ue_count")):
        count = read_line(path) or "0"
        if count.isdigit() and int(count) > 0:
            quote = Quote(str(path), None, f"{path.parent.name} ue_count {count} since boot")
            fields = {"count": count, "controller": path.parent.name}
            yield Event(_now(), Entity("node", node), "edac:uncorrected", quote, fields, "kernel")


def _now() -> Moment:
    return Moment("utc", time.time())
