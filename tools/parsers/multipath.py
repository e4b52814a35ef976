"""Reads `multipath -ll` and `multipathd show paths` of multipath-tools 0.4.9 to 0.11."""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Line, Parsed

FORM = "multipath"
DOMAIN: Domain = "disk"

_MAP = Lazy(r"^(?:(?:create|reload|reject|unchanged): )?(?P<map>[\w.-]+)(?: \([\w.-]+\))? ?(?P<dm>dm-\d+) \S")
_PATH = Lazy(
    r"(?P<hcil>[\d#]+:[\d#]+:[\d#]+:[\d#]+)\s+(?P<disk>\w+|-)\s+(?P<number>[\d#]+:[\d#]+)\s+(?P<dm>active|failed|undef)"
    r"\s+(?P<check>ready|ghost|faulty|shaky|undef|delayed|i/o pending|i/o timeout)\s+(?P<state>\w+)"
)
_GROUP = Lazy(
    r"^(?:[|` ]*[-+]+ ?)?(?:size=|policy=|\[?features=|hwhandler=|wp=)|^\[size=|^[\\_ ]+round-robin|^hcil\s+dev"
)


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a row of a path, or a map with its groups."""
    kept = clip_sample(sample)
    if any(_PATH.search(text) for text in kept):
        return 0.95
    return 0.9 if any(_MAP.match(text) for text in kept) and any(_GROUP.match(text) for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each path that failed, and of the maps that have others."""
    sheet = Sheet(document, DOMAIN)
    current = {"map": ""}

    def read_path(line: Line) -> bool:
        row, head = _PATH.search(line.text), _MAP.match(line.text)
        if row is not None:
            failed = (
                row["dm"] == "failed" or row["check"] in ("faulty", "shaky", "i/o timeout") or row["state"] == "offline"
            )
            fields = {"map": current["map"], "server": row["number"], "hop": row["disk"], "reason": row["check"]}
            if failed:
                sheet.add(line, sheet.make_node(), "multipath:path_failed", fields)
            elif row["dm"] == "active" or row["check"] in ("ready", "ghost"):
                sheet.add(line, sheet.make_node(), "multipath:paths_left", fields)
            return True
        if head is not None:
            current["map"] = head["map"]
        return head is not None or bool(_GROUP.match(line.text))

    return sheet.read(read_path)
