"""What management controllers write in whole sentences: their logs pasted, or sent on to syslog.

Known: Dell iDRAC 7 to 9 (lifecycle log, `racadm getsel`, Server Administrator), HPE iLO 4 to 6 (integrated management
log), Lenovo IMM2 and XCC; `ipmievd` and `ipmiseld` in syslog. Tables of `ipmitool` and FreeIPMI have another parser.
"""

from __future__ import annotations

from tools.parsers._ipmi_rules import classify
from tools.parsers._patterns import Fields, Pattern, on_node


def _refine_daemon(fields: Fields) -> Fields | None:
    # What a daemon copies from the event log: sensor and event in one sentence, read by the same rules as the log.
    rule = None if "deassert" in fields["text"].lower() else classify(fields["text"], fields["text"])
    return {**fields, "code": rule.code} if rule is not None else None


_ROWS = (
    (
        "bmc:memory_ecc_uncorrected",
        ("ncorrectable Memory Error", "ncorrectable memory error has been", "ulti-bit memory errors detected"),
        (
            r"Uncorrectable Memory Error.*|[Uu]ncorrectable memory error has been detected.*"
            r"|Multi-bit memory errors detected.*"
        ),
    ),
    (
        "bmc:memory_ecc_limit",
        ("orrectable memory error rate", "orrectable Memory Error Threshold", "emory logging limit"),
        r"[Cc]orrectable memory error rate exceeded.*|Corrected Memory Error [Tt]hreshold [Ee]xceeded.*"
        r"|Correctable Memory Error Threshold Exceeded.*|[Mm]emory [Ll]ogging [Ll]imit [Rr]eached.*",
    ),
    (
        "bmc:pcie_fatal",
        ("ncorrectable PCI Express Error", "fatal error was detected on a component", "ncorrectable PCIe"),
        r"Uncorrectable PCI Express Error.*|(?:bus )?fatal error was detected on a component.*|[Uu]ncorrectable PCIe "
        r"(?:[Ee]rror|AER).*",
    ),
    (
        "bmc:cpu_error",
        ("internal error (IERR)", "machine check error detected", "ncorrectable Machine Check Exception"),
        r"has an internal error \(IERR\).*|machine check error detected.*|Uncorrectable Machine Check Exception.*",
    ),
    (
        "bmc:psu_input_lost",
        (
            "lost input",
            "ower input for power supply",
            "nput power for power supply",
            "AC power is lost",
            "AC Power Loss",
        ),
        r"(?i:power supply|PSU|sensor) ?\S* has lost input.*|[Pp]ower input for power supply \d+ is lost.*"
        r"|[Ii]nput power "
        r"for power supply .*\blost.*|AC [Pp]ower (?:is lost|[Ll]oss).*",
    ),
    (
        "bmc:psu_failed",
        ("ower Supply Failure", "ower supply detected a failure", "ower Supply Failed"),
        r"[Pp]ower [Ss]upply (?:Failure|Failed|detected a failure)(?! deass).*",
    ),
    (
        "bmc:psu_redundancy_lost",
        ("ower supply redundancy is lost", "ower Supplies Not Redundant", "ower supplies are no longer redundant"),
        (
            r"[Pp]ower supply redundancy is lost.*|Power Supplies Not Redundant.*"
            r"|[Pp]ower supplies are no longer redundant.*"
        ),
    ),
    (
        "bmc:fan_failed",
        ("RPM is less than the lower critical", "ystem Fan Failure", "an Failure (", "ystem Fan Failed"),
        r"RPM is less than the lower critical threshold.*|System Fan (?:Failure|Failed).*|Fan Failure \(.*",
    ),
    (
        "bmc:temperature_critical",
        ("greater than the upper critical threshold", "ystem Overheating", "emperature has exceeded"),
        r"temperature is greater than the upper critical threshold.*|System Overheating.*",
    ),
)

PATTERNS: tuple[Pattern, ...] = (
    *(Pattern(code, literals, rf"(?P<reason>{words})", on_node) for code, literals, words in _ROWS),
    Pattern(
        "",
        ("ipmievd", "ipmiseld", "ipmi-seld"),
        r"ipmi(?:evd|seld|-seld)\S*: (?P<text>.*)",
        on_node,
        refine=_refine_daemon,
    ),
)
