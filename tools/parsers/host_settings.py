"""Reads what a host is and how it is set up: `ulimit -a`, `uname -a`, `lscpu`, `/etc/os-release`, `hostnamectl`.

None of it tells that anything is well or ill; it is known, so that it does not count as unread.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Facts, Line, Parsed

FORM = "host_settings"
DOMAIN: Domain = "inventory"

_ULIMIT = Lazy(
    r"^[a-z][a-z -]+?\s+\((?:[\w0-9 -]+, )?-[a-zA-Z]\)\s+(?:unlimited|\d+)\s*$|^[a-z-]+: [\w ()]+\s+(?:unlimited|\d+)$"
)
_PROC_LIMIT = Lazy(r"^(?:Limit\s+Soft Limit\s+Hard Limit|Max [a-z ]+?\s{2,}(?:unlimited|\d+)\s+(?:unlimited|\d+))")
_UNAME = Lazy(r"^Linux (?P<node>[A-Za-z0-9][\w.-]*) \d+\.\d+\S* #\d+.*GNU/Linux\s*$")
_RELEASE = Lazy(r"^[A-Z][A-Z_]+=\"?[^\"]*\"?\s*$")
_LSCPU = Lazy(
    r"^\s*(?:Architecture|CPU op-mode|CPU op-modes?\(s\)|Byte Order|CPU\(s\)|On-line CPU|Thread\(s\) per core|"
    r"Core\(s\) per|Socket\(s\)|NUMA node|Vendor ID|CPU family|Model|Stepping|CPU MHz|CPU m|BogoMIPS|Virtualization|"
    r"L1[di] cache|L[23] cache|Flags|Address sizes|Vulnerab\w+|Frequency boost|BIOS|Static hostname|Icon name|Chassis|"
    r"Machine ID|Boot ID|Operating System|CPE OS Name|Kernel(?=:\s+Linux)|Hardware (?:Vendor|Model))\b.*:\s*.*$",
    re.NOFLAG,
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: most lines are limits, fields of the processor, or settings of a release file."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    if not kept:
        return 0.0
    limits = sum(bool(_ULIMIT.match(text) or _PROC_LIMIT.match(text)) for text in kept)
    others = sum(bool(_LSCPU.match(text) or _UNAME.match(text)) for text in kept)
    release = sum(bool(_RELEASE.match(text)) for text in kept)
    is_release = release >= 3 and any(text.startswith(("NAME=", "ID=", "PRETTY_NAME=")) for text in kept)
    most = max(limits, others, release if is_release else 0)
    return 0.85 if (limits >= 3 or others >= 4 or is_release) and most * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Read the lines; the only fact is the host's name where `uname -a` tells it."""
    sheet = Sheet(document, DOMAIN)
    named: list[Entity] = []

    def read_line(line: Line) -> bool:
        uname = _UNAME.match(line.text)
        if uname is not None:
            named.append(Entity("node", node=sheet.node or uname["node"]))
        forms = (_ULIMIT, _PROC_LIMIT, _LSCPU, _RELEASE)
        return uname is not None or any(form.match(line.text) for form in forms)

    parsed = sheet.read(read_line)
    return Parsed(Facts(entities=tuple(named)), parsed.unread)
