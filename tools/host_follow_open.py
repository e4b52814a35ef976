"""Find the place where the kernel log of this machine can be followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools.errors import EvidenceNotFound, EvidenceUnreadable, OperatorError, UpstreamError
from tools.host_follow import Follower
from tools.host_follow_file import FileFollower
from tools.host_follow_journal import LABEL, JournalFollower, has_kernel_lines
from tools.host_follow_ring import RingFollower
from tools.host_paths import HostPaths

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
JOURNAL = "journal"


def open_follower(source: str, *, node: str, paths: HostPaths, find_position: Callable[[str], str]) -> Follower:
    """Open a place to follow.

    Args:
        source: ``journal``, the ring buffer or a file; empty for the first of the three that can be read. The journal
            comes first, as it still has what was told while nobody followed.
        node: Name of this machine.
        paths: Where the machine is.
        find_position: Label of a follower to where an earlier one stopped, empty if there was none.

    Raises:
        OperatorError: It is not there, or there is no right to read it.
    """
    if source == JOURNAL:
        if not has_kernel_lines():
            raise EvidenceNotFound(
                "No journal with lines of the kernel can be read here.",
                fix="sudo daytwo follow journal, or daytwo follow /dev/kmsg",
            )
        return JournalFollower(node, find_position(LABEL))
    if source:
        return _open_path(Path(source), paths, find_position)
    if paths.is_live and _has_journal():
        return JournalFollower(node, find_position(LABEL))
    failures = []
    for path in (paths.kmsg, *(path for path in paths.kernel_logs if path.exists())):
        try:
            return _open_path(path, paths, find_position)
        except OperatorError as error:
            failures.append(error.message.rstrip("."))
    raise OperatorError(f"There is no kernel log to follow: {'; '.join(failures)}.", fix="sudo daytwo follow")


def _has_journal() -> bool:
    try:
        return JOURNAL_SOCKET.exists() and has_kernel_lines()
    except UpstreamError:
        return False  # the ring buffer or a file will do


def _open_path(path: Path, paths: HostPaths, find_position: Callable[[str], str]) -> Follower:
    try:
        if path == paths.kmsg:
            return RingFollower(paths, find_position(str(path)))
        with path.open("rb"):
            pass  # fails here and now where there is no right to read it
        return FileFollower(path.absolute(), find_position(str(path.absolute())))
    except FileNotFoundError:
        raise EvidenceNotFound(f"{path} does not exist.", fix=f"ls -l {path.parent}") from None
    except OSError as error:
        raise EvidenceUnreadable(
            f"{path} cannot be read: {error.strerror}.", fix=f"sudo daytwo follow {path}"
        ) from None
