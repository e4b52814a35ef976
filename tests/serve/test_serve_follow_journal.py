"""`daytwo follow` on a real journal: a journald of its own, in a mount namespace of its own, reading the real kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.errors import EvidenceNotFound
from tools.host_follow_open import JOURNAL_SOCKET, open_follower
from tools.host_paths import HostPaths

JOURNALD = Path("/lib/systemd/systemd-journald")
# Nothing of the machine is touched: /run is new, the journal lies in it, and the kernel's audit stays as it is.
SCRIPT = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal /run/systemd/journald.conf.d
printf '[Journal]\\nAudit=no\\nStorage=volatile\\nForwardToSyslog=no\\nForwardToWall=no\\n' > /run/systemd/journald.conf.d/test.conf
{journald} & journald=$!
trap 'kill $journald' EXIT
for _ in $(seq 50); do [ -n "$(journalctl -k -o json -n 1 --no-pager 2>/dev/null)" ] && break; sleep 0.1; done
follow() {{ {daytwo} follow --for 0s --json > {folder}/told 2> {folder}/said || [ $? -lt 2 ]; }}
count() {{ {python} -c "import sqlite3; print(*sqlite3.connect('{folder}/data/daytwo.db').execute(\\"SELECT coalesce(sum(count), 0) FROM events WHERE code = 'test:injected'\\").fetchone())"; }}
follow; count
{daytwo} inject gpu_off_bus --to /dev/kmsg --yes-really --node n-1 2> /dev/null
sleep 1
follow; count
follow; count
cat {folder}/said
"""


def find_obstacle() -> str:
    """Why it cannot be tried here; empty where it can."""
    if not JOURNALD.exists() or shutil.which("journalctl") is None:
        return "no systemd-journald is installed"
    if os.geteuid() != 0 or not os.access("/dev/kmsg", os.W_OK):
        return "only root may read the kernel's log and mount"
    told = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/run"], capture_output=True, check=False)
    return "" if told.returncode == 0 else "no right to a mount namespace"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "it can be tried")
def test_what_journald_holds_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DAYTWO_NODE", "n-1")
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(tmp_path / "data"))
    script = SCRIPT.format(
        journald=JOURNALD, daytwo=Path(sys.executable).with_name("daytwo"), python=sys.executable, folder=tmp_path
    )
    argv = ["unshare", "-m", "--propagation", "private", "bash", "-c", script]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode == 0, told.stderr
    first, second, third, *said = told.stdout.splitlines()
    assert int(second) == int(first) + 3
    assert third == second
    assert any("following journalctl -k -o json from where the last reading stopped" in line for line in said)


@pytest.mark.skipif(JOURNAL_SOCKET.exists(), reason="a journal is kept here")
def test_a_machine_without_a_journal_says_so():
    with pytest.raises(EvidenceNotFound, match="No journal with lines of the kernel"):
        open_follower("journal", node="n-1", paths=HostPaths(), find_position=lambda _: "")
