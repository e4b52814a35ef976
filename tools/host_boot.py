"""The present boot of this machine: its id and when it began."""

from __future__ import annotations

from tools.host_paths import HostPaths, read_line


def read_boot(paths: HostPaths | None = None) -> tuple[str, float] | None:
    """Read the kernel's boot id and the boot time in Unix seconds; None where the kernel does not tell both."""
    proc = (paths or HostPaths()).proc
    boot_id = read_line(proc / "sys" / "kernel" / "random" / "boot_id")
    try:
        with (proc / "stat").open(encoding="utf-8") as stream:
            seconds = next((line.split()[1] for line in stream if line.startswith("btime ")), "")
    except OSError:
        return None
    return (boot_id, float(seconds)) if boot_id and seconds.isdigit() else None
