"""Reads what Slurm says of nodes and jobs: `sinfo -R`, `sinfo -N`, `scontrol show node`, `sacct` of Slurm 18 to 24.

A reason that names a fault in its own words (a GPU count, a health check, a node that does not answer) is told with the
node; a node that somebody drained for work on it is no fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.parsers._hostlist import expand_hostlist
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "slurm_tables"
DOMAIN: Domain = "application"

_REASONS = Lazy(r"^REASON\s+(?:USER\s+TIMESTAMP\s+)?NODELIST")
_REASON_ROW = Lazy(
    r"^(?P<reason>\S.*?)\s{1,}(?P<user>\S+)\s+(?P<stamp>\d{4}-\d\d-\d\dT[\d:]+|Unknown)\s+(?P<nodes>\S+)\s*$"
)
_LONG_ROW = Lazy(
    r"^(?P<reason>\S.*?)\s+(?P<user>[\w.-]+(?:\(\d+\))?)\s+(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\s+"
    r"(?:[a-z]+[*~#$@%^!+-]*\s+)?(?P<nodes>[A-Za-z][\w.,\[\]-]*)\s*$"
)
"""A row of `sinfo -R` or `-lR` by itself: reason, who wrote it, when, and the nodes at the end."""
_SHORT_ROW = Lazy(r"^(?P<reason>\S.*?)\s{2,}(?P<nodes>[A-Za-z][\w.,\[\]-]*)\s*$")
_NODE = Lazy(r"^\s*NodeName=(?P<node>\S+)")
_STATE = Lazy(r"\bState=(?P<state>[A-Z_+*$@~#!%^-]+)")
_REASON = Lazy(r"^(?:.*\s)?Reason=(?P<reason>.*?)(?: \[(?P<who>[^\]@]*)@(?P<stamp>[^\]]*)\])?\s*$")
_PAIRS = Lazy(r"^\s+[A-Z]\w+=")
_SACCT = Lazy(r"^\s*JobID[\s|](?:[^\s|]*[\s|])*?State\b")
_SINFO = Lazy(r"^(?:NODELIST\s+NODES\s+PARTITION\s+STATE|PARTITION\s+AVAIL\s+(?:[A-Z_]+\s+){1,9}STATE)")
_BAD_STATE = Lazy(r"^(?:down|drain(?:ed|ing)?|drng|fail(?:ing)?)[*~#$@%^!-]*$")
_PLANNED = Lazy(
    r"maint|planned|upgrade|reserv|reboot(?:ing)? (?:for|asap)|patch|scheduled|burn-?in|decommission|test(?:ing)?\b"
)
_CODES: tuple[tuple[Lazy, str], ...] = tuple(
    (Lazy(pattern), code)
    for pattern, code in (
        (r"(?i)gres/gpu (?:c|$)|gpu count|fewer gpus|low gpu|missing gpu|gpu.{0,12}missing", "slurm:gpu_missing"),
        (r"(?i)not respond|node unexpectedly re", "slurm:node_down"),
        (r"(?i)kill task fail|job not ending", "slurm:unkillable"),
        (r"(?i)epilog|prolog|batch job complete f", "slurm:error"),
        (r"(?i)low (?:realmem|socket|cpu|core|tmpdisk)", "slurm:config_differs"),
    )
)
_JOB_CODES: Mapping[str, str] = {
    "NODE_FAIL": "slurm:node_down", "FAILED": "job:failed", "OUT_OF_MEMORY": "job:killed", "TIMEOUT": "job:cancelled",
    "CANCELLED": "job:cancelled", "BOOT_FAIL": "slurm:node_down",
}  # fmt: skip


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a header of `sinfo` or `sacct`, or a node's record."""
    kept = clip_sample(sample)
    if any(_REASONS.match(text) or _SACCT.match(text) or _SINFO.match(text) for text in kept):
        return 0.95
    if any(_NODE.match(text) for text in kept):
        return 0.95
    return 0.85 if any(_LONG_ROW.match(text) for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make events of nodes that are down or drained without a plan, and of jobs that ended badly."""
    table = _Table(document)
    parsed = table.sheet.read(table.read_head, table.read_node, table.read_reason, table.read_job)
    table.close_node()
    return Parsed(table.sheet.build_facts(), parsed.unread)


class _Table:
    """State of reading: the open table, and the node of the open record."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.mode = ""
        self.by_partition = False
        self.columns: list[str] = []
        self.node = self.state = self.reason = ""
        self.line: Line | None = None

    def read_head(self, line: Line) -> bool:
        if _REASONS.match(line.text):
            self.mode = "reasons"
        elif _SINFO.match(line.text):
            self.mode = "sinfo"
            self.by_partition = line.text.startswith("PARTITION")
        elif _SACCT.match(line.text):
            self.mode = "jobs"
            self.columns = line.text.replace("|", " ").split()
        else:
            return self.mode == "sinfo" and not _NODE.match(line.text) and self._read_partition(line)
        return True

    def _read_partition(self, line: Line) -> bool:
        cells = line.text.split()
        if len(cells) < 4:
            return False
        state = next((cell for cell in cells if _BAD_STATE.match(cell)), "")
        place = cells[-1] if self.by_partition else cells[0]
        for node in list(expand_hostlist(place))[:64] if state else []:
            self._tell(line, node, "", state)
        return True

    def read_node(self, line: Line) -> bool:
        node, state, reason = _NODE.match(line.text), _STATE.search(line.text), _REASON.match(line.text)
        if node is not None:
            self.close_node()
            self.node, self.state, self.reason, self.line, self.mode = node["node"], "", "", None, "node"
        if self.mode != "node":
            return False
        if state is not None:
            self.state, self.line = state["state"], self.line or line
        if reason is not None:
            self.reason, self.line = reason["reason"], line
        return bool(node or state or reason or _PAIRS.match(line.text))

    def close_node(self) -> None:
        """Make an event of the open record where its state is a bad one."""
        bad = "DOWN" in self.state or "DRAIN" in self.state or "FAIL" in self.state or self.state.endswith("*")
        if self.node and self.line is not None and bad:
            self._tell(self.line, self.node, self.reason, self.state)
        self.node = ""

    def read_reason(self, line: Line) -> bool:
        match = _LONG_ROW.match(line.text)
        if match is None and self.mode == "reasons":
            match = _REASON_ROW.match(line.text) or _SHORT_ROW.match(line.text)
        if match is not None:
            for node in list(expand_hostlist(match["nodes"]))[:64]:
                self._tell(line, node, match["reason"], "")
        return match is not None

    def _tell(self, line: Line, node: str, reason: str, state: str) -> None:
        planned = bool(_PLANNED.search(reason)) or "MAINT" in state or "PLANNED" in state
        code = next((code for pattern, code in _CODES if pattern.search(reason)), "slurm:node_down")
        entity = Entity("node", node=node)
        self.sheet.add(line, entity, "slurm:planned" if planned else code, {"reason": reason, "state": state})

    def read_job(self, line: Line) -> bool:
        if self.mode != "jobs":
            return False
        cells = line.text.split("|") if "|" in line.text else line.text.split()
        row = dict(zip([name.lower() for name in self.columns], cells, strict=False))
        job = row.get("jobid", "").split(".")[0]
        state = next((cell for cell in cells if cell.strip("+").isupper() and cell.strip("+") in _JOB_CODES), "")
        if "." not in row.get("jobid", ".") and job[:1].isdecimal() and state:
            entity = Entity("job", self.sheet.node, job)
            self.sheet.add(line, entity, _JOB_CODES[state.strip("+")], {"job": job, "state": state})
        return bool(job[:1].isdecimal())
