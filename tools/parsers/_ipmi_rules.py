"""What the words of a BMC mean: IPMI 2.0 tables 42-2 and 42-3 as ipmitool and FreeIPMI spell them.

A row asks for words of the sensor (its type and name) and words of the event; the first row that fits wins. What is no
trouble (presence, progress of a boot, a state that is fine) fits no row.
"""

from __future__ import annotations

from typing import NamedTuple

from tools.parsers._lazy import Lazy


class Rule(NamedTuple):
    """Words of the sensor, words of the event, the code; and whether the trouble lasts until it is taken back."""

    subject: Lazy
    event: Lazy
    code: str
    lasts: bool = True


_SUPPLY = r"power[ _]?supply|\bps[ _-]?\d|psu"
_POWER = rf"{_SUPPLY}|\bps[ _]|pwr|\bpower\b"
_FAN = r"\bfan|cooling|\bblower|\bpump"
_MEMORY = r"\bmemory|dimm|\bmem\b|\becc\b"
_BOARD_CPU = r"^(?!.*(?:temp|therm|prochot|throttl|\bvr|volt)).*(?:processor|\bcpu)"
_CPU = r"processor|\bcpu|\bp\d[ _]|caterr|ierr|machine check"
_DRIVE = r"\bdrive|\bdisk|\bhdd|\bssd|\bnvme|\bbay\b|\braid"
_CRITICAL = (
    r"(?:lower|upper) (?:critical|non-?recoverable)|transition to (?:critical|non-?recoverable)|"
    r"(?:critical|non-?recoverable) threshold"
)
_LOW = r"lower (?:critical|non-?recoverable)|transition to (?:critical|non-?recoverable)"
_HIGH = r"upper (?:critical|non-?recoverable)|transition to (?:critical|non-?recoverable)"

RULES: tuple[Rule, ...] = tuple(
    Rule(Lazy(subject), Lazy(event), code, lasts)
    for subject, event, code, lasts in (
        (r"leak", rf"state asserted|leak|limit exceeded(?! deass)|{_CRITICAL}", "bmc:leak", True),
        (_MEMORY, r"\buncorrectable|\buncorrected|multi-?bit", "bmc:memory_ecc_uncorrected", False),
        (_MEMORY, r"transition to (?:critical|non-?recoverable)", "bmc:memory_ecc_uncorrected", False),
        (_MEMORY, r"transition to non-?critical", "bmc:memory_ecc_corrected", False),
        (_MEMORY, r"logging (?:limit|disabled)|ecc limit", "bmc:memory_ecc_limit", False),
        (_MEMORY, r"\bcorrectable|\bcorrected|single-?bit", "bmc:memory_ecc_corrected", False),
        (_MEMORY, r"critical over-?temperature", "bmc:temperature_critical", True),
        (_MEMORY, r"device disabled|scrub failed|\bparity|configuration error", "bmc:memory_disabled", True),
        (_CPU, r"thermal trip", "bmc:cpu_thermal_trip", True),
        (_CPU, r"\bcorrectable machine check", "bmc:cpu_corrected", False),
        (_BOARD_CPU, r"transition to (?:critical|non-?recoverable)", "bmc:cpu_error", False),
        (r"caterr|\bierr", r"state asserted|transition to (?:critical|non)", "bmc:cpu_error", False),
        (_CPU, r"\bierr|caterr|uncorrect|machine check|frb[123]|startup/init|configuration error",
         "bmc:cpu_error", False),
        (r"prochot|throttl", r"state asserted|limit exceeded|throttled", "bmc:cpu_throttled", True),
        (_CPU, r"throttled", "bmc:cpu_throttled", True),
        (r"slot ?/ ?connector|\bslot\b", r"\bfault status(?! deass)", "bmc:slot_fault", True),
        (r"", r"fatal error was detected on a component|"
         r"bus (?:uncorrectable|fatal)|\bserr\b|\bperr\b|fatal nmi|bus timeout|pcie?\b.*\b(?:fatal|uncorrect)",
         "bmc:pcie_fatal", False),
        (r"", r"bus correctable|pcie?\b.*\bcorrect", "bmc:pcie_corrected", False),
        (r"", r"bus degraded", "bmc:pcie_degraded", True),
        (_FAN, r"redundancy (?:is )?(?:lost|degraded)|non-redundant", "bmc:fan_redundancy_lost", True),
        (_FAN, rf"{_LOW}|\bfail(?:ed|ure)(?! deass)", "bmc:fan_failed", True),
        (r"temp|thermal|inlet|ambient|exhaust|\bvr\b", rf"{_HIGH}|over-?temp|limit exceeded(?! deass)",
         "bmc:temperature_critical", True),
        (_POWER, r"redundancy (?:is )?(?:lost|degraded)|non-redundant", "bmc:psu_redundancy_lost", True),
        (_POWER, r"\bac lost|input (?:lost|out)|ac out-of-range|input voltage lost|loss of input|input power .*\blost"
         r"|power input .*\blost|lost (?:ac )?input",
         "bmc:psu_input_lost", True),
        (_SUPPLY, r"predictive failure(?! deass)", "bmc:psu_predictive", True),
        (_SUPPLY, rf"\bfail(?:ed|ure)(?! deass)|config(?:uration)? error|{_LOW}", "bmc:psu_failed", True),
        (_POWER, r"240va|interlock|soft-?power control fail|failure detected", "bmc:power_fault", True),
        (_POWER, r"power (?:off|down|cycle)", "bmc:power_off", True),
        (r"\bdrive|\bdisk|\bhdd|\bssd|\bbay\b|\braid", r"predictive failure(?! deass)", "bmc:drive_predictive", True),
        (_DRIVE, r"drive fault|\bfault\b|in failed array", "bmc:drive_fault", True),
        (_DRIVE, r"in critical array|rebuild[^,]*aborted", "bmc:array_degraded", True),
        (r"volt|current|\bv(?:core|bat|dd|cc)|[\d.]+ ?v\b|vrm", rf"{_CRITICAL}|limit exceeded(?! deass)",
         "bmc:voltage_critical", True),
        (r"watchdog", r"timer expired|hard reset|power (?:down|cycle)", "bmc:watchdog", False),
        (r"os (?:critical )?stop|os boot|critical stop",
         r"(?:run-?time|unknown|startup).*stop|error during system start|core dump|panic", "bmc:os_stop", False),
        (r"battery|vbat", rf"\blow\b|\bfailed\b|{_LOW}", "bmc:battery_low", True),
        (r"", r"intrusion(?! deass)", "bmc:intrusion", True),
        (r"", r"undetermined system hardware failure|firmware (?:hang|error)|no (?:usable )?system memory|\bpost error",
         "bmc:firmware_error", False),
        (r"", rf"fru failure|sensor failure|controller unavailable|{_CRITICAL}", "bmc:sensor_critical", True),
    )
)  # fmt: skip

FINE = Lazy(
    r"^\W*(?:ok|fully redundant|transition to ok|limit not exceeded|device (?:inserted/)?present|drive presen\w+|"
    r"presence detected|state deasserted|performance met|s0/g0\W.*)\W*$"
)
"""Words that say that a sensor is well: they end whatever it reported before."""


def classify(subject: str, event: str) -> Rule | None:
    """Find the rule for a sensor (type and name) and an event text; None where it tells of no trouble."""
    text = event.strip()
    if not text or FINE.match(text):
        return None
    return next((rule for rule in RULES if rule.event.search(text) and rule.subject.search(subject)), None)
