"""What DCGM's error messages mean, from the texts of dcgm_errors.h (DCGM 2 to 4), by kind."""

from __future__ import annotations

from tools.parsers._lazy import Lazy

_XID = Lazy(r"\bXID (?P<xid>\d{1,3})\b")
_RULES: tuple[tuple[Lazy, str], ...] = tuple(
    (Lazy(pattern), code)
    for pattern, code in (
        (r"row ?-?remap\w* fail", "dcgm:remap_failure"),
        (r"\bfallen off|GPU is lost|detached from the bus", "gpu:lost"),
        (r"uncontained error", "dcgm:memory_uncorrectable"),
        (r"pending retired page|pending page retirement|row remappings? (?:are|is) pending|pending row remap",
         "dcgm:remap_pending"),
        (r"rows were remapped", "dcgm:rows_remapped"),
        (r"double-bit|\bDBE\b|_DBE_|uncorrectable (?:memory|ecc)", "dcgm:memory_uncorrectable"),
        (r"faulty memory|memory mismatch|miscompare", "dcgm:memory_faulty"),
        (r"retired pages", "dcgm:retired_pages"),
        (r"single-bit|\bSBE\b|_SBE_", "dcgm:memory_corrected"),
        (r"corrupt infoROM", "dcgm:inforom"),
        (r"thermal|temperature \d+ of|hw_therm", "dcgm:thermal"),
        (r"nonfatal errors? on NvSwitch|non-fatal .*NvSwitch|nvswitch non ?fatal", "dcgm:nvswitch_nonfatal"),
        (r"fatal (?:errors? on )?NvSwitch|nvswitch fatal", "dcgm:nvswitch_fatal"),
        (r"NvLinks? .*\bdown\b|NvLinks are up out of", "dcgm:nvlink_down"),
        (r"NvLink errors?|NVLINK_\w*ERROR|\bCRC_FLIT|\bNvLink\b.*exceed", "dcgm:nvlink_errors"),
        (r"peer-to-peer", "dcgm:p2p_failed"),
        (r"\breplays?\b|REPLAY", "dcgm:pcie_replay"),
        (r"PCI link (?:generation|width)", "dcgm:pcie_link"),
        (r"power violation|power brake|power_violation", "dcgm:power"),
        (r"fabric manager|\bimex\b", "dcgm:fabric_manager"),
        (r"number of devices NVML returns", "dcgm:device_count"),
        (r"persistence mode|graphics (?:processes|contexts)|denylist|blacklist|environment variable|permission|"
         r"could not be accessed|not enabled|not turned on|\bskip|couldn't allocate|cannot allocate|pending state|"
         r"root user|enforced power limit|user-specified|in use by|aborted early", "dcgm:precondition"),
        (r"did not reach|bandwidth of|latency type|being throttled|throttling", "dcgm:low_performance"),
        (r"NVML|CUDA|\bAPI\b|libnvidia|cannot open library|host engine", "dcgm:driver"),
    )
)  # fmt: skip
_TESTS: tuple[tuple[Lazy, str], ...] = tuple(
    (Lazy(pattern), code)
    for pattern, code in (
        (r"page retirement|row remap", "dcgm:remap_pending"),
        (r"memory bandwidth|targeted|diagnostic|pulse|stress|nvbandwidth", "dcgm:low_performance"),
        (r"gpu memory|memtest|\bmemory", "dcgm:memory_faulty"),
        (r"pcie|\bbus\b", "dcgm:pcie_failed"),
        (r"nvlink", "dcgm:nvlink_errors"),
        (r"inforom", "dcgm:inforom"),
        (r"persistence|denylist|blacklist|permission|graphics|environment|eud", "dcgm:precondition"),
        (r"library|cuda|toolkit", "dcgm:driver"),
        (r"thermal", "dcgm:thermal"),
        (r"power", "dcgm:power"),
    )
)


def classify_message(text: str) -> str | None:
    """The code of a warning or error text; ``xid:N`` where it tells an Xid; None where no row knows it."""
    xid = _XID.search(text)
    if xid is not None:
        return f"xid:{int(xid['xid'])}"
    return next((code for pattern, code in _RULES if pattern.search(text)), None)


def classify_test(name: str) -> str:
    """The code of a test that failed without a text that tells why."""
    return next((code for pattern, code in _TESTS if pattern.search(name)), "dcgm:fail")
