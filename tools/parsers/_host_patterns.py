"""What processors and the kernel core print to the kernel log; limits and clocks are in `_limit_patterns`.

Known: Linux 2.6.16 (as in the first HPC logs) to 6.14 on x86, Arm and POWER: hung tasks, lock-ups, RCU stalls, panics,
oopses, kernel warnings, segmentation faults, heat.
"""

from __future__ import annotations

import re

from tools.parsers import _limit_patterns
from tools.parsers._patterns import Pattern, on_node

STACK_HEADS = (
    "kernel:oops", "kernel:panic", "kernel:warning", "kernel:nmi", "cpu:soft_lockup", "cpu:hard_lockup",
    "cpu:rcu_stall", "task:hung", "oom:kill", "oom:alloc_failure", "nic:driver", "kernel:firmware_notice",
)  # fmt: skip
"""What prints a processor's registers and a stack, and has told its kind in the line before them."""
FIRMWARE_NOTICES = (
    "mark_hardware_unsupported", "warn_invalid_dmar", "Your BIOS is broken", "Your hardware is unsupported",
    "UBSAN: ", "WARNING: at drivers/pci/dmar.c", "smt-sibling CPU is not on the"
    " same node", "mtrr: your BIOS has",
    "your BIOS has broken", "BIOS has corrupted hw-PMU resources",
)  # fmt: skip
"""Warnings with a stack that only tell of tables of the firmware, or of a vendor's support: nothing breaks."""

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
        (
            r"soft lockup\.? - CPU#(?P<cpu>\d+) stuck for (?P<seconds>\d+)s!(?: \[(?P<process>.+?):(?P<pid>\d+)\])?"
            r"|soft lockup detected on CPU#(?P<cpu2>\d+)"
        ),
        on_node,
    ),
    Pattern(
        "cpu:soft_lockup",
        ("workqueue lockup",),
        r"BUG: workqueue lockup - pool cpus=(?P<cpu>\S+)",
        on_node,
        constants={"kind": "workqueue"},
    ),
    Pattern(
        "cpu:hard_lockup",
        ("ard LOCKUP", "hard lockup", "detected LOCKUP"),
        (
            r"(?i:hard lockup) on cpu (?P<cpu>\d+)|CPU (?P<cpu2>\d+) (?:self-)?(?:detected )?[Hh]ard LOCKUP.*"
            r"|NMI [Ww]atchdog detected LOCKUP on CPU ?(?P<cpu3>\d+)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        "cpu:rcu_stall",
        (
            "stall on CPU",
            "stalls on CPU",
            "detected stall",
            "detected expedited stall",
            "kthread starved",
            "stalls on tasks",
        ),
        (
            r"(?P<flavour>rcu\w*)(?::)?.*?(?P<reason>(?:self-)?detected (?:expedited )?stalls? on "
            r"(?:CPUs?\S*|tasks)|kthread (?:timer wakeup didn't happen|starved) for \d+ jiffies)"
        ),
        on_node,
        joins=3,
    ),
    Pattern(
        # Of a stall whose head is missing: RCU alone dumps what runs on a processor (`dump_cpu_task`).
        "cpu:rcu_stall",
        ("Task dump for CPU ",),
        r"^\s*Task dump for CPU (?P<cpu>\d+):",
        on_node,
        joins=60,
        echoes=("cpu:soft_lockup", "cpu:hard_lockup", "cpu:rcu_stall"),
    ),
    Pattern(
        "cpu:thermal_shutdown",
        ("ritical temperature reached", "thermal shutdown", "ritical trip point"),
        (
            r"(?P<reason>(?:thermal )?(?:\S*zone\d+)?:? ?.*[Cc]ritical temperature reached.*shutting down.*"
            r"|ACPI: Critical trip point.*)"
        ),
        on_node,
        joins=5,
    ),
    Pattern(
        "cpu:thermal",
        ("emperature above threshold", "ritical temperature reached", "PROCHOT", "in modulated clock mode"),
        (
            r"(?:CPU(?P<cpu>\d+): )?(?P<reason>(?:(?:Core|Package) t|T)emperature(?:/speed)? above "
            r"threshold.*|Running in modulated clock mode|[Cc]ritical temperature reached.*|PROCHOT.*)"
        ),
        on_node,
    ),
    Pattern(
        "cpu:thermal_normal",
        ("emperature/speed normal", "temperature normal"),
        r"(?:CPU(?P<cpu>\d+): )?(?P<reason>(?:(?:Core|Package) t|T)emperature(?:/speed)? normal)",
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
            "double fault: ",
            "Bad page map",
            "stack guard page was hit",
            "PANIC: ",
            "Internal error: Oops",
            "Kernel stack is corrupted",
            "Kernel access of bad area",
            "NX-protected page",
            "Internal error: ",
            "SError Interrupt on CPU",
        ),
        (
            r"(?P<reason>BUG: (?:unable to handle|kernel NULL) .*|kernel BUG at .*|Oops: .*|Unable to handle kernel .*"
            r"|general protection fault(?=[,:]).*?(?:\[#\d+\]|0000|canonical).*|BUG: Bad page (?:state|map).*"
            r"|BUG: stack guard page was hit.*|PANIC: double fault.*|Internal error: (?:Oops.*|.*\[#\d+\].*)"
            r"|kernel tried to execute NX-protected page.*|SError Interrupt on CPU\d+.*|"
            r"Kernel stack is corrupted in.*|"
            r"(?:divide error|invalid opcode|stack segment|double fault): \d+ .*|list_(?:del|add) corruption.*"
            r"|BUG: scheduling while atomic.*|Fixing recursive fault but reboot is needed.*)"
        ),
        on_node,
        joins=12,
    ),
    Pattern(
        # Only what dies prints this line (`__die` of x86 until 4.14); a paste may begin behind its head.
        "kernel:oops",
        ("RIP ",),
        r"^\s*RIP +\[<[0-9a-f]{8,16}>\] (?P<function>[A-Za-z_][\w.]*)\+0x",
        on_node,
        joins=60,
    ),
    Pattern(
        # Oopses, warnings and lock-ups all print it: a stack whose head is missing is trouble of an unknown kind.
        "kernel:stack",
        ("RIP: 0010:", "pc : ", "PC is at ", "epc : "),
        r"^\s*(?:RIP: 0010:|pc : |PC is at |epc : )(?P<function>[A-Za-z_][\w.]*)\+0x",
        on_node,
        joins=60,
        echoes=STACK_HEADS,
    ),
    Pattern(
        "kernel:trace",
        ("Call Trace:", "Call trace:"),
        r"^\s*Call [Tt]race:",
        on_node,
        joins=400,
        echoes=(*STACK_HEADS, "kernel:stack"),
    ),
    Pattern(
        "kernel:firmware_notice",
        FIRMWARE_NOTICES,
        rf"(?P<reason>(?:{'|'.join(FIRMWARE_NOTICES)}).*)",
        on_node,
        joins=400,
    ),
    Pattern(
        "kernel:warning",
        (
            "WARNING: CPU: ",
            "WARNING: at ",
            "WARNING: kernel/",
            "WARNING: drivers/",
            "WARNING: mm/",
            "sleeping function called",
            "Bad rss-counter",
            "possible circular locking",
            "nobody cared",
            "Unhandled fault: ",
        ),
        (
            r"(?P<reason>WARNING: (?:CPU: \d+ PID: \d+ )?(?:at )?(?!at |CPU|net/sched/sch_generic)(?=\w+/)\S+.*"
            r"|BUG: sleeping function called.*"
            r"|BUG: Bad rss-counter.*|WARNING: possible circular locking.*|irq \d+: nobody cared.*|Unhandled fault: .*)"
        ),
        on_node,
        joins=30,
    ),
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
        ("dumped core", "terminated abnormally"),
        r"\bProcess (?P<pid>\d+) \((?P<process>[^)]*)\) (?:of user \d+ )?(?:dumped core|terminated abnormally)",
        on_node,
        joins=6,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_PROCESSORS, *_limit_patterns.PATTERNS, *_MORE)

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
