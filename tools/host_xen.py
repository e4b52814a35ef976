"""What each Xen guest has read and written on which block device, as the block backend of the host counts it.

Linux's xen-blkback shows each virtual disk as ``/sys/bus/xen-backend/devices/vbd-DOMAIN-DEVICE``, with the number of
the device that it lies on in ``physical_device`` (hexadecimal) and counters of requests and 512-byte sectors in
``statistics``: drivers/block/xen-blkback/xenbus.c. Kernel threads do its work, so that no process tells of it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from typing import NamedTuple

from tools.errors import UpstreamError
from tools.host_cgroups import Counts
from tools.host_paths import HostPaths, read_line
from tools.shell import expect_success, run_command

SECTOR_BYTES = 512
PROGRAM_SECONDS = 5.0
_VBD = re.compile(r"vbd-(?P<domain>\d+)-\d+")
_NUMBERS = re.compile(r"(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+)", re.IGNORECASE)
_XL_ROW = re.compile(r"^(?P<name>\S+)\s+(?P<domain>\d+)\s+\d+\s+\d+\s")


class VirtualDisk(NamedTuple):
    """One virtual disk of one guest: domain id, ``MAJ:MIN`` of the device below, counters and where they stand."""

    domain: int
    device: str
    counts: Counts
    place: str


def read_virtual_disks(paths: HostPaths) -> dict[str, VirtualDisk]:
    """Read all virtual disks that this host serves, by the name of their folder; none where it is no Xen host."""
    found: dict[str, VirtualDisk] = {}
    for folder in sorted((paths.sys / "bus" / "xen-backend" / "devices").glob("vbd-*")):
        name, numbers = _VBD.fullmatch(folder.name), _NUMBERS.fullmatch(read_line(folder / "physical_device") or "")
        told = [read_line(folder / "statistics" / key) or "" for key in ("rd_sect", "wr_sect", "rd_req", "wr_req")]
        if name is None or numbers is None or not all(word.isdigit() for word in told):
            continue
        read, written, reads, writes = map(int, told)
        counts = Counts(read * SECTOR_BYTES, written * SECTOR_BYTES, reads, writes)
        device = f"{int(numbers['major'], 16)}:{int(numbers['minor'], 16)}"
        found[folder.name] = VirtualDisk(int(name["domain"]), device, counts, str(folder / "statistics"))
    return found


def read_domain_names(paths: HostPaths) -> Mapping[int, str]:
    """Ask ``xl list`` which guest has which domain id; nothing where it is not there or fails."""
    if not paths.is_live or shutil.which("xl") is None:
        return {}
    try:
        result = expect_success(run_command(["xl", "list"], timeout_seconds=PROGRAM_SECONDS))
    except UpstreamError:
        return {}
    rows = (_XL_ROW.match(line) for line in result.stdout.splitlines())
    return {int(row["domain"]): row["name"] for row in rows if row is not None}
