"""Cuts an `nvidia-bug-report.log` into its sections; each is read as a text of its own, all are of one machine.

Known: the script of drivers 390 to 590. A section begins with a rule of underscores and an empty line; then comes
``*** PATH`` with a line of `ls` for a file that was copied, or the command whose output follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tools.types import Line

MAX_SECTION_LINES = 400_000
"""Lines held of one section: a journal of a busy week; of more, the latest are what is wanted (a guess)."""
HEAD_LINES = 40
_START = re.compile(r"^\s*Start of NVIDIA bug report log file")
_RULE = re.compile(r"^_{20,}\s*$")
_UNAME = re.compile(r"^uname: (?:Linux|FreeBSD) (?P<node>[A-Za-z0-9][\w.-]*) ")
_TITLE = re.compile(r"^\*\*\* (?P<path>/\S.*?)\s*$")
_LISTED = re.compile(r"^\*\*\* ls: ")
_ABSENT = re.compile(r" (?:does not exist|is not readable)$|^Skipping .* output|^-- No entries --$")
_OTHER = re.compile(
    r"Xorg|\bX\b|X11|xorg|gdm|make\.log|installer|uninstall|dmidecode|coredumpctl|nvidia-settings|application-profile|base64|"
    r"xset|xrandr|xprop|vulkan|Vulkan|ldd |modinfo|lsusb|gcc|/proc/(?:cpuinfo|interrupts|modules|iomem|mtrr|pci|asound|"
    r"acpi|cmdline|version)|/etc/|vbios|glxinfo|/sys/class/drm|debugdump|acpidump"
)
"""Sections that tell how a machine is set up, or what its screen does, and nothing of what ails it."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its title, and the lines below it with their numbers kept."""

    title: str
    lines: tuple[Line, ...]
    cut: int = 0

    @property
    def is_wanted(self) -> bool:
        """Whether what it holds can tell of trouble."""
        return bool(self.lines) and not _OTHER.search(self.title)


def is_bug_report(lines: Sequence[Line]) -> bool:
    """Say whether a text begins as such a report does, whatever a ticket put around it."""
    return any(_START.match(line.text) for line in lines[:HEAD_LINES])


def find_node(lines: Sequence[Line]) -> str:
    """Find the host in the report's first lines; empty where it is not told."""
    found = (_UNAME.match(line.text) for line in lines[:HEAD_LINES])
    return next((match["node"] for match in found if match), "")


def cut_sections(lines: Iterable[Line]) -> Iterator[Section]:
    """Cut a report into sections, one held at a time; the first is the report's own head."""
    kept: list[Line] = []
    cut = 0
    for line in lines:
        if _RULE.match(line.text):
            yield _build_section(kept, cut)
            kept, cut = [], 0
            continue
        kept.append(line)
        if len(kept) > MAX_SECTION_LINES:
            # The latest lines are the nearest to the trouble.
            cut += len(kept) // 2
            del kept[: len(kept) // 2]
    yield _build_section(kept, cut)


def _build_section(lines: Sequence[Line], cut: int) -> Section:
    first = next((number for number, line in enumerate(lines) if line.text.strip()), None)
    if first is None:
        return Section("", (), cut)
    head = lines[first].text.strip()
    path = _TITLE.match(head)
    # A title is no evidence: it stays out, so that no parser counts it as unread.
    body = [line for line in lines[first + 1 :] if not _LISTED.match(line.text)]
    if _ABSENT.search(head) or all(not line.text.strip() or _ABSENT.search(line.text) for line in body):
        return Section(head, (), cut)
    return Section(path["path"] if path else head.rstrip(":"), tuple(body), cut)
