"""What the kernel only quotes: names of processes, devices, groups and labels that a user or a device chose.

Known from: kernel/audit.c, mm/oom_kill.c, kernel/hung_task.c, arch/x86/kernel/traps.c and mm/fault.c, fs/exec.c,
drivers/usb/core/hub.c, drivers/input/input.c, drivers/hid/hid-core.c, drivers/scsi/scsi_scan.c, fs/btrfs/volumes.c,
fs/overlayfs/super.c, kernel/cgroup/pids.c of Linux 3.10 to 6.14; `name=` of the NVIDIA drivers.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from tools.parsers._covers import derive_covers

_COMM = r".{1,16}?"
"""A process is called by up to 15 characters, and they may be any (TASK_COMM_LEN)."""
_QUOTING = (
    r"^audit(?:\[\d+\])?: type=(?P<audit>.*)",
    r"^(?:usb|hub) [\w.:-]+: (?:Product|Manufacturer|SerialNumber): (?P<usb>.*)",
    r"^(?:input|hid-[\w-]+|uvcvideo|Bluetooth|uinput|cdc_\w+|usbtmc|usb-storage)\b(?P<input>.*)",
    r"^scsi [\d:]+: (?:Direct-Access|CD-ROM|Sequential-Access|Processor|Enclosure)(?P<scsi>.*)",
    r"^(?:overlayfs:|CIFS: Attempting to mount|cgroup: fork rejected by pids controller in) (?P<mount>.*)",
    r"^(?:Kernel c|C)ommand line: (?P<command>.*)",
    rf"^(?:traps: )?(?P<first>{_COMM})(?: ?\(\d+\)| ?\[\d+\]|/\d+):? (?=segfault|trap|general protection|bad "
    r"frame|unhandled|vsyscall|memfd_create|took a|drop_caches|used greatest|potentially|is using|uses )",
    rf"^(?P<asks>{_COMM}) invoked oom-killer",
    rf"\bComm: (?P<comm>{_COMM})(?= (?:Not tainted|Tainted|Kdump)|$)",
    rf"\btask (?P<task>{_COMM}):\d+ blocked for more",
    rf"\b(?:process|reaped process|to) \d+,? ?\((?P<killed>{_COMM})\)",
    rf"\bcomm[ =:]+(?P<told>\"[^\"]*\"|{_COMM}(?=:|,|$))",
    r"\b(?:task_memcg|oom_memcg|cpuset)=(?P<group>.*?)(?=,(?:task|mems_allowed|global_oom|oom_memcg|task_memcg)\b|$)",
    r"\btask=(?P<dies>.*?)(?=,pid=|$)",
    r"^Task in (?P<inside>.*?)(?= killed as|$)",
    r"^Memory cgroup stats for (?P<stats>.*)",
    r"\b[Pp]rocess [`'\"](?P<quoted>.*?)['\"](?= |$)",
    rf", name=(?P<name>{_COMM})(?=, |$)",
    r"\bdevice label (?P<label>.*?)(?= devid \d|$)",
    rf"\bscanned by (?P<scanner>{_COMM})(?= \(|$)",
    r"\blast mounted on (?P<place>.*)",
    r"\b(?:label|volume|source|name|exe|proctitle|msg|profile)=(?P<value>\"[^\"]*\"|'[^']*')",
)
"""How the kernel quotes; the group of each is what is somebody else's word."""
_LETTERS = re.compile(r"\w")


def mask_foreign(text: str) -> str:
    """Blot out, letter by letter, what a message of the kernel only quotes; the same text where it quotes nothing."""
    groups, at_start, of_start = _needles()
    rows = of_start if at_start.match(text) else 0
    for mark, needles in groups:
        if mark in text:
            for needle, bits in needles:
                if needle in text:
                    rows |= bits
    return _alternatives(rows).sub(_blot, text) if rows else text


_MARKS = ("=", "rocess ", "ommand line: ", "omm", "usb", "cgroup", "hub ", "input", "task ")
"""What several of the words for quoting hold: most texts hold none of these, and need not be asked for the words."""


@cache
def _needles() -> tuple[list[tuple[str, list[tuple[str, int]]]], re.Pattern[str], int]:
    """Find what stands in every text that a row can match; the others are tied to the start of a text.

    Returns:
        Words, each with one bit for each of its rows, under what they have in common; the expression of all rows that
        are tied, and their bits.
    """
    bits_of: dict[str, int] = {}
    tied = 0
    for number, expression in enumerate(_QUOTING):
        covers = derive_covers(expression)
        for text in min(covers, key=len, default=()):
            bits_of[text] = bits_of.get(text, 0) | 1 << number
        tied |= 0 if covers else 1 << number
    groups: dict[str, list[tuple[str, int]]] = {}
    for word, bits in bits_of.items():
        groups.setdefault(next((mark for mark in _MARKS if mark in word), word), []).append((word, bits))
    return list(groups.items()), _alternatives(tied), tied


@lru_cache(maxsize=256)
def _alternatives(rows: int) -> re.Pattern[str]:
    """The expression of some rows: most texts hold the words of one or two, and all are slow to ask."""
    return re.compile("|".join(expression for number, expression in enumerate(_QUOTING) if rows >> number & 1))


def _blot(match: re.Match[str]) -> str:
    start, whole = match.start(), match.group()
    for name, value in match.groupdict().items():
        if value:
            first, last = match.span(name)
            whole = whole[: first - start] + _LETTERS.sub("x", value) + whole[last - start :]
    return whole


_SPEAKER = re.compile(
    r"^(?:\[[^\]]{0,40}\]\s*|<\d+>|kernel: )*(?:NVRM|nvidia|Xid|SXid|XID|GPU|pci|vfio|amdgpu|nouveau|drm|EEH|AER|DMAR"
    r"|iommu|vgpu|ACPI|snd_|i2c|xhci|The NVIDIA)",
    re.IGNORECASE,
)


def speaks_of_gpus(text: str) -> bool:
    """Say whether a message begins as those of a driver that knows of GPUs; else it repeats another's words."""
    return bool(_SPEAKER.match(text))
