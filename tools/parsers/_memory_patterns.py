"""What the lack of memory looks like: the kernel's killer, systemd-oomd, earlyoom, failed allocations.

Known: Linux 2.6.32 (RHEL 6) to 6.14, systemd 247 to 256, earlyoom 1.x, Slurm, LSF. The errors of memory itself are in
`_machine_check_patterns`, which come first.
"""

from __future__ import annotations

import re

from tools.parsers import _machine_check_patterns
from tools.parsers._patterns import Fields, Pattern, on_job, on_node

_JOB_IN_CGROUP = re.compile(r"\bjob_?(?P<job>\d+)\b")
_POD_IN_CGROUP = re.compile(r"\bpod(?P<pod>[0-9a-f_-]{32,36})\b")


def _refine_kill(fields: Fields) -> Fields | None:
    cgroup = fields.get("cgroup", "")
    for expression in (_JOB_IN_CGROUP, _POD_IN_CGROUP):
        if (found := expression.search(cgroup)) is not None:
            fields.update(found.groupdict())
    return fields


_OOM: tuple[Pattern, ...] = (
    Pattern(
        "oom:kill",
        ("oom-kill:constraint=",),
        (
            r"oom-kill:constraint=(?P<constraint>CONSTRAINT_\w+)(?:.*?(?:oom|task)_memcg="
            r"(?P<cgroup>\S+?),)?.*?task=(?P<process>[^,]+),pid=(?P<pid>\d+)"
        ),
        on_node,
        refine=_refine_kill,
        joins=400,
    ),
    Pattern(
        "oom:kill",
        ("Killed process", "Kill process"),
        (
            r"(?P<scope>Memory cgroup out of memory|Out of memory|out of memory)?.*?\bKill(?:ed)? "
            r"process (?P<pid>\d+),? ?(?:UID \d+,? ?)?\((?P<process>[^)]*)\)(?:.*?anon-rss:"
            r"(?P<anon_rss_kib>\d+)kB)?"
        ),
        on_node,
        refine=_refine_kill,
        joins=400,
    ),
    Pattern(
        "oom:kill",
        ("Task in ", "Tasks in "),
        r"Tasks? in (?P<cgroup>\S+) (?:are going to be )?killed as a result of limit of",
        on_node,
        refine=_refine_kill,
        joins=400,
    ),
    Pattern(
        "oom:kill",
        ("OOM encountered",),
        r"OOM encountered, victim process: (?P<process>.+?), pid: (?P<pid>\d+)",
        on_node,
    ),
    Pattern("oom:kill", ("invoked oom-killer",), r"(?<!\S)(?P<invoked_by>\S{1,64}) invoked oom-killer", on_node),
    Pattern(
        "oom:kill",
        ("oom_kill event", "oom-kill event"),
        (r"(?:Detected|Some) (?P<events>\d+) oom[-_]kill event\(?s?\)? in (?:StepId=|step |StepId )" r"(?P<job>\d+)"),
        on_job,
    ),
    Pattern(
        "oom:kill",
        (
            "due to memory",
            "due to swap",
            "earlyoom",
            "oomd attempting to kill",
            "systemd-oomd killed",
            "'oom-kill'",
            "with reclaim activity",
        ),
        (
            r"systemd-oomd\S*: (?:Killed|Marked) (?P<cgroup>\S+) (?:for killing )?due to (?:memory|swap) "
            r"(?:pressure|used)"
            r"|earlyoom\S*: .*(?:sending SIG\w+ to process|escalating to SIGKILL.*process) (?P<pid>\d+).*?"
            r"\"(?P<process>[^\"]+)\"|oomd attempting to kill (?P<pid2>\d+) with|systemd-oomd killed [1-9]\d* process"
            r"|(?P<unit>[\w@\\.:-]+): Failed with result 'oom-kill'"
            r"|Memory pressure for \S+ is [\d.]+% > .*reclaim activity"
        ),
        on_node,
        refine=_refine_kill,
    ),
    Pattern(
        "oom:alloc_failure",
        ("page allocation failure",),
        r"(?P<process>\S+): page allocation failure.*?order:(?P<order>\d+)",
        on_node,
    ),
    Pattern(
        "oom:kill",
        ("killed by the OOM killer", "LSF memory usage limit", "exceeded limit"),
        (
            r"(?:(?P<unit>[\w@.-]+\.(?:service|scope)): )?(?P<reason>A process of this unit has been killed by the OOM "
            r"killer"
            r"|TERM_MEMLIMIT: job killed.*|job killed: v?mem \S+ exceeded limit.*)"
        ),
        on_node,
        joins=400,
    ),
    Pattern(
        "oom:alloc_failure",
        ("memory allocation deadlock", "TCP: out of memory"),
        r"(?P<reason>possible memory allocation deadlock.*|TCP: out of memory.*)",
        on_node,
    ),
    Pattern(
        "oom:kill",
        (
            "oom_reaper: reaped",
            "VM: killing process",
            "no killable process",
            "Out of memory and no",
            "cgroup out of memory: killed",
        ),
        (
            r"oom_reaper: reaped process (?P<pid>\d+) \((?P<process>[^)]*)\)|^VM: killing process (?P<process2>\S+)"
            r"|(?P<reason>(?:Out of memory and|out of memory,?) no killable process.*"
            r"|Memory cgroup out of memory: killed \d+ tasks?.*)"
        ),
        on_node,
        joins=400,
    ),
    Pattern(
        "oom:alloc_failure",
        (
            "vmalloc",
            "page allocation stalls",
            "Unable to allocate memory on node",
            "-order allocation failed",
            "Mem-Info:",
        ),
        (
            r"(?P<reason>vmalloc: allocation failure.*|.*vmalloc error: size \d+.*|.*page allocation stalls for \d+ms.*"
            r"|SLUB: Unable to allocate memory on node.*|__alloc_pages: \d+-order allocation failed.*|^Mem-Info:.*)"
        ),
        on_node,
        joins=20,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_machine_check_patterns.PATTERNS, *_OOM)
