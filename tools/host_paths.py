"""Where a live host keeps what we read; other paths let recorded trees stand for a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostPaths:
    """Roots and files of one machine.

    Attributes:
        proc, sys: Mounted kernel file systems.
        kmsg: The kernel's ring buffer as a device.
        kernel_logs: Files in which a log daemon keeps kernel lines, the first that exists is read.
    """

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    kmsg: Path = Path("/dev/kmsg")
    kernel_logs: tuple[Path, ...] = (Path("/var/log/kern.log"), Path("/var/log/messages"))

    @property
    def is_live(self) -> bool:
        """Whether these are the paths of the machine that we run on, so that its programs tell of it too."""
        return self.proc == Path("/proc") and self.sys == Path("/sys")


def read_line(path: Path) -> str | None:
    """Read the first line of a small kernel file; None where it is absent or refuses (some attributes do by design)."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return None
