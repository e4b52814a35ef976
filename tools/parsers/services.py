"""Reads `systemctl status UNIT`, `systemctl --failed` and `systemctl list-units` of systemd 219 to 256.

A unit that failed matters where GPU jobs need it: the fabric manager, the scheduler, network and storage clients. Any
other failed unit is told as weaker evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Line, Parsed

FORM = "services"
DOMAIN: Domain = "host"

_UNIT = Lazy(
    r"^\s*(?:[^\w\s]\s+)?(?P<unit>[\w@.:\\-]+\.(?:service|mount|socket|timer|target|slice|scope))"
    r"(?: - .*|\s+(?:loaded|not-found|masked|error)\s+(?P<active>\w+)\s+(?P<sub>[\w-]+).*)?$"
)
_ACTIVE = Lazy(r"^\s*Active: (?P<state>[\w-]+)(?: \((?P<why>[^)]*)\))?")
_DETAIL = Lazy(
    r"^\s*(?:Loaded|Main PID|Process|Tasks|Memory|CPU|CGroup|Docs|Status|Drop-In|TriggeredBy|Duration|Invocation|"
    r"Triggers|Transient):|^\s*[├└│─|`-]+|LOAD\s*=|ACTIVE\s*=|SUB\s*=|loaded units listed|UNIT\s+LOAD\s+ACTIVE"
)
_FABRIC = Lazy(r"fabricmanager|fabric-manager|nvlsm")
_NEEDED = Lazy(
    r"nvidia|dcgm|slurm|munge|openibd|opensm|weka|beegfs|lustre|lnet|mmfs|gpfs|nfs|ceph|kubelet|containerd|docker|"
    r"libvirt|xen|chrony|ntp|rdma|mlnx|ipmi|sssd|\.mount$"
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the state of a unit, or rows of a list of units."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    units = [found for text in kept if (found := _UNIT.match(text))]
    if any(_ACTIVE.match(text) for text in kept) and any("Loaded:" in text or "CGroup:" in text for text in kept):
        return 0.95
    if any(found["active"] for found in units) or any("loaded units listed" in text for text in kept):
        return 0.9
    return 0.8 if any(_ACTIVE.match(text) for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each unit that failed, and of a fabric manager that does not run."""
    units = _Units(document)
    return units.sheet.read(units.read_unit)


class _Units:
    """State of reading: the unit that the lines are of."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.unit = ""

    def read_unit(self, line: Line) -> bool:
        match, active = _UNIT.match(line.text), _ACTIVE.match(line.text)
        if active is not None:
            if active["state"] == "failed" or (active["state"] == "inactive" and _FABRIC.search(self.unit)):
                self._fail(line, self.unit, active["why"] or active["state"])
            elif active["state"] == "activating" and "auto-restart" in (active["why"] or ""):
                self._fail(line, self.unit, active["why"] or "")
            return True
        if match is not None:
            self.unit = match["unit"]
            if match["active"] == "failed":
                self._fail(line, match["unit"], match["sub"] or "")
            return True
        return bool(_DETAIL.search(line.text))

    def _fail(self, line: Line, unit: str, why: str) -> None:
        code = "fabric:down" if _FABRIC.search(unit) else "service:failed" if _NEEDED.search(unit) else "service:other"
        self.sheet.add(line, self.sheet.make_node(), code, {"unit": unit, "reason": why})
