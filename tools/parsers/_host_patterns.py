"""What processors, limits and the kernel core print to the kernel log.

Known: Linux 3.10 (RHEL 7) to 6.14: hung tasks, lock-ups, RCU stalls,
panics, oopses, segmentation faults; limits of files, processes and space.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Pattern, on_node

_PROCESSORS = (
    Pattern(
        "task:hung",
        ("blocked for more than",),
        (
            r"task (?P<process>.+?):(?P<pid>\d+) (?:<.*> )?blocked (?:in I/O wait )?for more than "
            r"(?P<seconds>\d+) seconds"
        ),
        on_node,
    ),
    Pattern(
        "task:hung",
        (
            "[nfs",
            "[sunrpc]",
            "[lustre]",
            "[ptlrpc]",
            "[mgc]",
            "[osc]",
            "[wekafs",
            "[ceph]",
            "[beegfs]",
            "[mmfs",
            "[nvidia]",
            "[nvidia_uvm]",
            "[xfs]",
            "rpc_wait_bit",
        ),
        r"\+0x\w+/0x\w+ \[(?P<waits_in>\w+)\]|(?P<waits_in2>rpc_wait_bit\w*)",
        on_node,
        joins=30,
        attaches=True,
    ),
    Pattern(
        "cpu:soft_lockup",
        ("soft lockup",),
        (r"soft lockup - CPU#(?P<cpu>\d+) stuck for (?P<seconds>\d+)s!(?: \[(?P<process>.+?):" r"(?P<pid>\d+)\])?"),
        on_node,
    ),
    Pattern(
        "cpu:soft_lockup",
        ("workqueue lockup",),
        r"BUG: workqueue lockup - pool cpus=(?P<cpu>\S+)",
        on_node,
        constants={"kind": "workqueue"},
    ),
    Pattern("cpu:hard_lockup", ("hard LOCKUP", "hard lockup"), r"(?i:hard lockup) on cpu (?P<cpu>\d+)", on_node),
    Pattern(
        "cpu:rcu_stall",
        ("stall on CPU", "stalls on CPU", "detected stall", "detected expedited stall", "kthread starved"),
        (
            r"(?P<flavour>rcu\w*)(?::)?.*?(?P<reason>(?:self-)?detected (?:expedited )?stalls? on "
            r"CPUs?\S*|kthread (?:timer wakeup didn't happen|starved) for \d+ jiffies)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "cpu:thermal",
        ("temperature above threshold", "ritical temperature reached", "PROCHOT"),
        (
            r"(?:CPU(?P<cpu>\d+): )?(?P<reason>(?:Core|Package) temperature(?:/speed)? above "
            r"threshold.*|[Cc]ritical temperature reached.*|PROCHOT.*)"
        ),
        on_node,
    ),
    Pattern(
        "cpu:thermal_normal",
        ("temperature/speed normal", "temperature normal"),
        r"(?:CPU(?P<cpu>\d+): )?(?P<reason>(?:Core|Package) temperature(?:/speed)? normal)",
        on_node,
    ),
    Pattern(
        "kernel:panic",
        ("Kernel panic", "kernel panic"),
        r"[Kk]ernel panic(?: - not syncing)?:? ?(?P<reason>.*)",
        on_node,
    ),
    Pattern(
        "kernel:oops",
        (
            "BUG: unable to handle",
            "kernel BUG at",
            "Oops: ",
            "Unable to handle kernel",
            "general protection fault",
            "BUG: Bad page state",
            "BUG: kernel NULL",
            "divide error: ",
            "invalid opcode: ",
            "list_del corruption",
            "list_add corruption",
            "BUG: scheduling while atomic",
            "stack segment: ",
            "recursive fault but reboot",
        ),
        (
            r"(?P<reason>BUG: (?:unable to handle|kernel NULL) .*|kernel BUG at .*|Oops: .*|Unable to handle kernel .*"
            r"|general protection fault(?=[,:]).*?(?:\[#\d+\]|0000|canonical).*|BUG: Bad page state.*|"
            r"(?:divide error|invalid opcode|stack segment): \d+ .*|list_(?:del|add) corruption.*"
            r"|BUG: scheduling while atomic.*|Fixing recursive fault but reboot is needed.*)"
        ),
        on_node,
        joins=12,
    ),
    Pattern("kernel:oops", ("RIP: ",), r"RIP: 00\w+:(?P<function>[A-Za-z_]\w+)\+", on_node, joins=30, attaches=True),
    Pattern(
        "kernel:boot",
        ("Linux version ", "-- Reboot --", "-- Boot "),
        r"^(?:kernel: )?Linux version (?P<version>\S+)|^-- (?P<reason>Reboot|Boot \w+)",
        on_node,
    ),
    Pattern(
        "segfault:process",
        ("segfault at ", "general protection", "trap invalid opcode", "trap divide error"),
        (
            r"(?:traps: )?(?<!\S)(?P<process>[^\s\[]{1,64})\[(?P<pid>\d+)\]:? (?P<kind>segfault at \w+|general "
            r"protection(?: fault)?|trap (?!int3)\w+ ?\w*):? ip:?\s?\w+ sp:?\s?\w+ error:?\s?(?P<error>\w+)"
            r"(?: in (?P<library>[^\[]+)\[)?"
        ),
        on_node,
    ),
)

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
        ),
        (
            r"(?P<reason>fork rejected by pids controller)(?: in (?P<cgroup>\S+))?|(?P<reason2>(?:fork"
            r"|pthread_create|clone)\S*:? .*(?:Resource temporarily unavailable|Cannot allocate memory"
            r"|retry))|(?P<reason3>unable to fork.*)"
        ),
        on_node,
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
        ("table full, dropping packet", "neighbor table overflow", "neighbour: arp_cache"),
        r"(?P<reason>nf_conntrack: .*table full, dropping packet|\w+: neighbor table overflow)",
        on_node,
    ),
    Pattern(
        "limit:memory_lock",
        ("RLIMIT_MEMLOCK", "memlock"),
        r"(?P<reason>(?i:memlock).*(?:too low|too small|limit|limited))",
        on_node,
    ),
)

_MORE = (
    Pattern(
        "cpu:power_limited",
        ("ower limit notification",),
        r"(?:CPU(?P<cpu>\d+): )?(?P<reason>(?:Core|Package) power limit notification.*)",
        on_node,
    ),
    Pattern(
        "cpu:thermal",
        ("emperature reached", "thermal_zone", "ritical temperature"),
        r"(?P<reason>thermal thermal_zone\d+: .*(?:critical|hot) temperature.*|ACPI: .*[Cc]ritical temperature.*)",
        on_node,
    ),
    Pattern(
        "kernel:nmi",
        ("NMI received for unknown reason", "NMI: IOCK error", "Dazed and confused"),
        r"(?P<reason>NMI received for unknown reason \w+.*|NMI: IOCK error.*)",
        on_node,
        joins=3,
    ),
    Pattern(
        "segfault:process",
        ("dumped core",),
        r"systemd-coredump\S*: (?:.*?)Process (?P<pid>\d+) \((?P<process>[^)]*)\) of user \d+ dumped core",
        on_node,
        joins=6,
    ),
    Pattern(
        "limit:shared_memory",
        ("out of shared memory", "unable to open shared memory object", "of shared memory"),
        r"(?P<reason>.*workers? (?:are|is) out of shared memory.*|unable to (?:open|mmap|resize) .*shared memory.*)",
        on_node,
    ),
    Pattern(
        "clock:wrong",
        ("System clock wrong by", "time reset", "Rewound credential", "xpired credential", "lock skew", "clock offset"),
        (
            r"(?P<reason>System clock wrong by (?P<seconds>-?[\d.]+) seconds.*|time reset (?P<seconds2>[+-][\d.]+) s"
            r"|(?:Rewound|Expired) credential.*|[Cc]lock skew (?:detected|too).*)"
        ),
        on_node,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_PROCESSORS, *_LIMITS, *_MORE)

STACK_LINE = re.compile(
    r"^\s*(?:Call Trace:|Call trace:|</?(?:TASK|IRQ|NMI|EOE|#\w+)>|Modules linked in:"
    r"|CPU: \d+ |Hardware name:|RIP: |RSP: "
    r"|R[A-Z0-9]{2}: |[ER]?[A-Z]{2}[ 0-9]?: [0-9a-f]{4}|FS: |CR2: |DR\d: |PKRU: |Code: "
    r"|---\[ |\? ?[\w.]+\+0x|[\w.]+\+0x[0-9a-f]+/0x"
    r"|\[<[0-9a-f]+>\]|Workqueue: |Tainted: |Mem-Info:|Node \d+|Call Trace|x\d+ *: |pc : "
    r"|lr : |sp : |pstate: |Kernel Offset:"
    r"|Tasks state|\[ *\d+\] +\d+ |task:\S+ +state:|\"echo 0 > )"
)
"""Lines of a stack, a register dump or a memory report: they belong to their head."""
