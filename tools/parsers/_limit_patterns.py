"""What a limit that is reached looks like: files, processes, space, tables of the network; and clocks that are wrong.

Known: Linux 2.6.32 (RHEL 6) to 6.14; chrony 2 to 4, ntpd 4.2, systemd-timesyncd 219 to 256, ptp4l; Go and Java.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, no_event, on_node

_STEP_SECONDS = 1.0
"""A step below this is how a clock is kept, not a clock that is wrong (our judgement; munge allows 300 s)."""


def _refine_step(fields: Fields) -> Fields | None:
    seconds = fields.get("seconds") or fields.get("seconds2") or fields.get("seconds3") or ""
    return None if seconds and abs(float(seconds)) < _STEP_SECONDS else {**fields, "seconds": seconds}


_LIMITS = (
    Pattern(
        "limit:file_max",
        ("file-max limit", "Too many open files", "too many open files"),
        r"(?P<reason>file-max limit (?P<limit>\d+) reached|[Tt]oo many open files(?: in system)?)",
        on_node,
    ),
    Pattern(
        "limit:processes",
        (
            "fork rejected by pids",
            "fork: Resource temporarily",
            "fork: Cannot allocate",
            "fork: retry",
            "pids.max",
            "unable to fork",
            "Resource temporarily unavailable",
            "create new OS thread",
            "create new native thread",
            "create native thread",
            "max user processes",
        ),
        (
            r"(?P<reason>fork rejected by pids controller)(?: in (?P<cgroup>\S+))?|(?P<reason2>(?:fork"
            r"|pthread_create|clone)\S*:? .*(?:Resource temporarily unavailable|Cannot allocate memory"
            r"|retry))|(?P<reason3>unable to fork.*|failed to create new OS thread.*"
            r"|unable to create (?:new )?native "
            r"thread.*|may need to increase max user processes.*)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "limit:disk_space",
        ("No space left on device", "ENOSPC", "Disk quota exceeded", "no space left on device"),
        r"(?P<reason>[Nn]o space left on device|\bENOSPC\b|Disk quota exceeded)",
        on_node,
    ),
    Pattern(
        "limit:disk_space",
        ("failed to extend /dev/shm",),
        r"failed to extend (?P<path>/dev/shm/\S+) to (?P<bytes>\d+) bytes",
        on_node,
    ),
    Pattern(
        "limit:network_table",
        (
            "table full, dropping packet",
            "able overflow",
            "neighbour: arp_cache",
            "oute cache is full",
            "cache overflow",
        ),
        (
            r"(?P<reason>(?:nf|ip)_conntrack: .*table full, dropping packet|(?i:neighbou?r table overflow)"
            r"|\w*[Rr]oute cache "
            r"is full.*|dst cache overflow.*|time wait bucket table overflow.*)"
        ),
        on_node,
        joins=50,
    ),
    Pattern(
        "limit:sockets",
        ("Possible SYN flooding", "possible SYN flooding", "too many orphaned sockets", "too many of orphaned"),
        r"(?P<reason>[Pp]ossible SYN flooding on port .*|too many (?:of )?orphaned sockets)",
        on_node,
        joins=50,
    ),
    Pattern(
        "limit:audit_backlog",
        ("audit: backlog limit exceeded", "audit: audit_backlog="),
        r"(?P<reason>audit: backlog limit exceeded|audit: audit_backlog=\d+ > audit_backlog_limit=\d+)",
        on_node,
        joins=50,
    ),
    Pattern(
        "limit:memory_lock",
        ("RLIMIT_MEMLOCK", "memlock"),
        r"(?P<reason>(?i:memlock).*(?:too low|too small|limit|limited))",
        on_node,
    ),
    Pattern(
        "limit:shared_memory",
        ("out of shared memory", "unable to open shared memory object", "of shared memory"),
        r"(?P<reason>.*workers? (?:are|is) out of shared memory.*|unable to (?:open|mmap|resize) .*shared memory.*)",
        on_node,
    ),
)

_CLOCKS = (
    Pattern(
        "clock:wrong",
        (
            "System clock wrong by",
            "time reset",
            "Rewound credential",
            "xpired credential",
            "lock skew",
            "time jump detected",
            "clock was stepped by",
            "exceeds sanity limit",
            "exceeds tolerance",
            "step time server",
            "just moved backwards",
            "clock jumped ",
        ),
        (
            r"(?P<reason>System clock wrong by (?P<seconds>-?[\d.]+) seconds.*|time reset (?P<seconds2>[+-][\d.]+) s"
            r"|(?:Rewound|Expired) credential.*|[Cc]lock skew (?:detected|too|[\d.]+s > max).*|(?:Forward"
            r"|Backward) time jump detected.*"
            r"|System clock was stepped by (?P<seconds3>-?[\d.]+) seconds.*|time correction of .*exceeds sanity "
            r"limit.*"
            r"|frequency error .*exceeds tolerance.*|step time server \S+ offset [+-]?[1-9]\d*\.\d+ sec"
            r"|[Tt]ime just moved backwards by .*|clockcheck: clock jumped (?:back|for)ward.*"
            r")"
        ),
        on_node,
        refine=_refine_step,
    ),
    Pattern(
        "clock:unsynchronised",
        (
            "Can't synchronise",
            "Can't synchronize",
            "no servers reachable",
            "no server suitable for synchronization",
            "Timed out waiting for reply from",
            "Clock Unsynchronized",
            "FAULT_DETECTED",
            "SYNCHRONIZATION_FAULT",
            "clock not set",
            "servers unreachable",
            "is Unreachable",
            "ynchronization lost",
            "polling for tx timestamp",
        ),
        (
            r"(?P<reason>(?:chronyd|ntpd|ntpdate|xntpd|timesyncd|ptp4l|phc2sys)\S*: .*(?:Can't synchroni[sz]e.*"
            r"|no servers "
            r"reachable|no server suitable.*|Timed out waiting for reply from.*|Clock Unsynchronized|FAULT_DETECTED.*"
            r"|SYNCHRONIZATION_FAULT|clock not set|(?:all )?servers unreachable|NTP Server \S+ is Unreachable"
            r"|[Ss]ynchronization lost.*|polling for tx timestamp)"
            r"|Can't synchroni[sz]e: .*)"
        ),
        on_node,
        joins=50,
    ),
    Pattern(
        "clock:synchronised",
        ("ontacted time server", "nitial synchronization", "nitial clock synchronization", "Selected source "),
        r"(?:chronyd|timesyncd|ntpd)\S*: (?P<reason>Contacted time server.*|Initial (?:clock )?synchronization to .*"
        r"|Synchronized to time server.*|Selected source .*)",
        on_node,
        joins=50,
    ),
    Pattern(
        "clock:stepped_back",
        ("ime jumped backwards", "lock jumped backwards"),
        r"(?P<reason>Time jumped backwards, rotating|Realtime clock jumped backwards relative to last journal entry)",
        on_node,
        joins=50,
    ),
    Pattern(
        "clock:source_unstable",
        ("unstable", "Losing some ticks", "Losing too many ticks"),
        (
            r"(?P<reason>Marking clocksource '?\S+? as unstable.*|Clocksource \S+ unstable.*"
            r"|Marking TSC unstable(?! due to (?:TSC halts|TSCs unsync|cpufreq)).*"
            r"|Losing (?:some|too many) ticks.*)"
        ),
        on_node,
        joins=50,
    ),
    Pattern(
        "",
        ("interrupt took too long", "interrupt took ", "too long to run", "hogged CPU for", "RT throttling activated"),
        (
            r"perf: interrupt took too long|hrtimer: interrupt took \d+ ns|NMI handler \(\w+\) took too long"
            r"|hogged CPU for >\d+us|sched: (?:DL|RT) (?:replenish|throttling)"
        ),
        on_node,
        refine=no_event,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_LIMITS, *_CLOCKS)
