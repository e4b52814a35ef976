"""Which drivers serve a network adapter, and what they print before a message.

Known: the drivers of Linux 3.10 (RHEL 7) to 6.14 and of the vendors' own packages: `DRIVER BUS-ADDRESS NAME: …`,
`DRIVER: NAME: …`, `DRIVER USB-OR-VIRTUAL-ADDRESS NAME: …`, `[function:line(NAME)]…`, `infiniband NAME: …`.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import BDF, Fields

# fmt: off
NAMES = (
    "mlx4_core", "mlx4_en", "mlx4_ib", "mlx5_core", "mlx5_ib", "bnxt_en", "bnxt_re", "bnx2x", "bnx2", "tg3", "be2net",
    "ocrdma", "iavf", "ice", "i40evf", "i40e", "i40iw", "irdma", "ixgbevf", "ixgbe", "igbvf", "igb", "igc", "e1000e",
    "e1000", "fm10k", "r8169", "r8168", "r8125", "r8152", "8139cp", "8139too", "sky2", "skge", "forcedeth", "atl1c",
    "alx", "atlantic", "qede", "qedr", "qed", "qlcnic", "qlge", "netxen_nic", "cxgb4vf", "cxgb4", "cxgb3", "iw_cxgb4",
    "sfc", "enic", "usnic", "nfp", "ionic", "pds_core", "hns3", "hns_roce_hw_v2", "hinic", "hinic3", "ena", "efa",
    "gve", "mana", "virtio_net", "vmxnet3", "hv_netvsc", "xen_netfront", "hfi1", "ib_qib", "qib", "ib_ipath",
    "infinipath", "erdma", "ngbe", "txgbe", "ax88179_178a", "cdc_ncm", "octeon_ep", "ftgmac100",
    "tn40xx", "pcnet32", "3c59x", "via-rhine", "eepro100", "stmmac", "mvneta", "mvpp2", "bcmgenet", "lan78xx",
    "smsc95xx", "bnxtnet", "bnxtroce", "nmlx5_core", "nmlx4_core", "i40en", "icen", "ixgben", "igbn", "ntg3",
    "qedentv", "elxnet", "qfle3", "ne1000",
)
# fmt: on
"""Names of drivers of Ethernet, InfiniBand and Omni-Path adapters, the longer first where one begins another."""
_WORDS = frozenset({"ice", "ena", "efa", "enic", "ionic", "mana", "sfc", "alx", "gve", "erdma", "icen"})
"""Names that also end common words, as that of the first does: they count only before a bus address."""
LITERALS = tuple(f"{name} {digit}" for name in NAMES if name in _WORDS for digit in "07") + tuple(
    f"{name} " if len(name) < len("mlx4") else name for name in NAMES if name not in _WORDS
)
"""One of them stands in every line of a driver that is worth a look."""
DRIVERS = "|".join(NAMES)
AT = rf"(?<![\w-])(?P<driver>[\w-]{{1,32}}) (?P<pci>{BDF})"
"""Any driver with the bus address of its device."""
MLX5 = rf"mlx5_core (?P<pci>{BDF})(?: (?P<device>\w+))?: "
HEAD = (
    rf"(?:(?<![\w-])(?P<driver>{DRIVERS})(?: (?P<pci>{BDF})"
    # The mlx5 drivers print which function complains: `mlx5_function_setup:923:(pid 265): `.
    r"(?::? (?!\w{1,60}:\d{1,6}:\(pid )(?P<device>[A-Za-z][\w.@-]{0,30})(?=[:(]| \())?"
    # The drivers of ESXi name the function first, and then the port: `hwrm_send_msg:201: [vmnic4 : 0x450a] `.
    r"|: [\w.:-]{1,60}: \[(?P<device7>vmnic\d+)"
    r"|:? ?\[\w{1,60}:\d{1,6}\((?P<device6>[\w.:-]{0,30})\)\]"
    r"|(?:: | [\w.:-]{1,40}:? )(?P<device2>[A-Za-z][\w.@-]{0,30})(?=:)"
    r"|: (?P<device3>(?:eth|en|ib|em|p\d+p)[\w.@-]{1,15})"
    r"|:|(?= ))"
    r"|\[\w{1,60}:\d{1,6}\((?P<device4>[\w.:-]{0,30})\)\]"
    r"|infiniband (?P<device5>[\w.-]{1,30}): )"
)
"""All forms of a head; :func:`flatten_head` folds what they found into driver, pci and device."""
_NO_NAME = re.compile(r"(?i:NULL|unnamed|error|failed|firmware|hardware|QPLIB|probe|[PV]F|ABORT|warning|hwrm)$")


def flatten(fields: Fields, **names: tuple[str, ...]) -> Fields:
    """Fold the spare names of a group into the right one: an expression cannot name a group twice."""
    merged = dict(fields)
    for name, spares in names.items():
        for spare in spares:
            if (value := merged.pop(spare, "")) and name not in merged:
                merged[name] = value
    return merged


def flatten_head(fields: Fields) -> Fields:
    """Fold what the alternatives of :data:`HEAD` found, and drop what is no name of a port."""
    made = flatten(fields, device=("device2", "device3", "device4", "device5", "device6", "device7"))
    if _NO_NAME.match(made.get("device", "")):
        made.pop("device")
    return made
