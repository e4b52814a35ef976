"""Which drive holds what."""

import pytest

from tools.document import TextDocument
from tools.parsers import mounts

MOUNT = (
    "/dev/sda2 on / type ext4 (rw,relatime)\nproc on /proc type proc (rw,nosuid)\n/dev/sdb1 on /data type xfs (rw)\n"
)
PROC = "/dev/nvme0n1p2 / xfs rw,relatime 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\nfiler:/home /home nfs4 rw,vers=4.2 0 0\n"
FINDMNT = "/ /dev/vda1 ext4 rw,relatime\n/scratch /dev/vdb xfs rw\n"


@pytest.mark.parametrize(
    ("text", "drives"),
    [(MOUNT, {"sda2": "/"}), (PROC, {"nvme0n1p2": "/"}), (FINDMNT, {"vda1": "/", "vdb": "/scratch"})],
)
def test_drives_of_the_system_are_noted(text, drives):
    assert mounts.recognise(text.splitlines()) > 0.5
    parsed = mounts.parse(TextDocument("mounts.txt", "node-1", text))
    assert {event.entity.name: event.fields["place"] for event in parsed.facts.events} == drives
    assert parsed.unread.unread == 0


def test_prose_is_no_mount_table():
    assert mounts.recognise(["the disk is mounted on / and it is fine", "kernel: XFS (sda2): Mounting V5"]) == 0.0
