"""What SPDK logs of drives and storage networks: the driver in user space, its block layer and its NVMe-oF target.

Known: lib/nvme, lib/nvmf, module/bdev/nvme and module/sock of SPDK 18.04 to 25.x: `file.c:line:function: *LEVEL*:`,
and the heads of products built on it, which keep the file and the line.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import BDF, Fields, Pattern, on_disk, on_node

_FILE = r"\bnvme\w*\.c: *\d+:\w+:? "
_SOURCES = ("nvme_ctrlr.c:", "nvme_pcie.c:", "nvme_pcie_common.c:", "nvme_qpair.c:", "bdev_nvme.c:", "nvme.c:")
_GENERIC, _MEDIA, _PATH = "00", "02", "03"
"""Status code types of the NVMe base specification."""
_TOLD_BY_OTHERS = re.compile(r"ABORTED|SUCCESS")
"""Requests that were given up for a reset say nothing themselves."""
_BROKEN = frozenset({"04", "05", "06"})
"""Generic status: data transfer error, aborted for loss of power, internal device error."""


def _refine_status(fields: Fields) -> Fields | None:
    if _TOLD_BY_OTHERS.search(fields["reason"]):
        return None
    kind, code = fields["sct"], fields["sc"]
    if kind == _MEDIA:
        return {**fields, "code": "spdk:media_error"}
    if kind == _PATH:
        return {**fields, "code": "storage:path_error"}
    return {**fields, "code": "spdk:controller_lost"} if kind == _GENERIC and code in _BROKEN else None


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        # A controller on the bus: SPDK names it by its address.
        "spdk:controller_lost",
        _SOURCES,
        _FILE + rf"(?:\*\w+\*: |\w+: )?(?=[^*]*\b(?P<pci>{BDF}))(?P<reason>.*(?:failed|in failed state|error state"
        r"|timed out|Fatal Status|not shutdown|not become ready|Could not read csts).*)",
        on_disk,
        joins=20,
    ),
    Pattern(
        "storage:path_ok",
        ("esetting controller successful", "eset controller successful"),
        r"(?P<reason>[Rr]eset(?:ting)? controller successful.*)",
        on_node,
    ),
    Pattern(
        "",
        ("print_completion", "_completion: "),
        r"print_completion: (?:\*NOTICE\*: )?(?P<reason>[A-Z][A-Z /-]+) \((?P<sct>\d\d)/(?P<sc>[0-9a-f]{2})\)",
        on_node,
        refine=_refine_status,
        joins=20,
    ),
    Pattern(
        "storage:path_error",
        (
            *_SOURCES,
            "nvme_tcp.c:",
            "nvme_rdma.c:",
            "nvme_fabric.c:",
            "posix.c:",
            "uring.c:",
            "bdev_nvme_rpc.c:",
        ),
        r"\b(?:nvme\w*|bdev_nvme\w*|posix|uring)\.c: *\d+:\w+: \*?(?:ERROR|WARNING|NOTICE)\*?: (?P<reason>.*(?:"
        r"in failed state|in error state|reinitialization failed|[Rr]eset(?:ting)? controller failed"
        r"|connection error|connect\(\) failed|transport error|transport retry counter|Failed to (?:flush|connect|poll"
        r" NVMe-oF|send an NVMe-oF|initialize SSD)|keep alive|RDMA (?:connect|address resolution|route) error"
        r"|writev? failed|readv? failed|Detected a timeout|recv state|not in connected|Start failover"
        r"|controller is disconnected|Unable to perform (?:failover|reset)).*)",
        on_node,
        constants={"kind": "nvme in user space"},
        joins=20,
        echoes=("spdk:controller_lost",),
    ),
    Pattern(
        "storage:path_error",
        ("due to keep alive timeout",),
        r"(?P<reason>Disconnecting host \S+ from subsystem \S+ due to keep alive timeout)",
        on_node,
        constants={"kind": "nvme in user space"},
        joins=20,
    ),
)
