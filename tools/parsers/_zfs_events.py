"""Which code a class of ZFS events is: in the syslog lines of `zed` and in `zpool events`."""

from __future__ import annotations

_CODES = {
    "io": "block:io_error",
    "probe_failure": "block:io_error",
    "delay": "scsi:timeout",
    "deadman": "scsi:timeout",
    "io_failure": "fs:shutdown",
    "checksum": "fs:error",
    "data": "fs:error",
    "log_replay": "fs:error",
    "authentication": "fs:error",
    "statechange": "md:degraded",
}
"""`vdev.*` are md:degraded too; all others (scrub_finish, history_event, …) are no trouble."""
_BAD_STATES = frozenset({"FAULTED", "DEGRADED", "UNAVAIL", "REMOVED", "OFFLINE"})


def name_zfs_event(event: str, state: str) -> str:
    """Name the code of an event by the last words of its class; an empty string where it is no trouble."""
    if event == "statechange" and state not in _BAD_STATES:
        return ""
    return "md:degraded" if event.startswith("vdev.") else _CODES.get(event, "")
