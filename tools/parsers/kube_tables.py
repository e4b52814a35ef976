"""Reads the tables of `kubectl get nodes` and `kubectl get pods`, wide or not, of Kubernetes 1.14 to 1.33.

A node that is not ready and a pod that ended badly are told by name; what runs or has completed tells of no fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "kube_tables"
DOMAIN: Domain = "application"

_HEAD = Lazy(r"^\s*(?:NAMESPACE\s+)?NAME\s+(?:STATUS\s+ROLES\s+AGE|READY\s+STATUS\s+RESTARTS)\b")
_STATES: Mapping[str, str] = {
    "CrashLoopBackOff": "job:failed", "Error": "job:failed", "RunContainerError": "job:failed",
    "StartError": "job:failed", "CreateContainerError": "job:failed", "OOMKilled": "oom:kill",
    "Evicted": "limit:evicted", "ImagePullBackOff": "job:precondition", "ErrImagePull": "job:precondition",
    "InvalidImageName": "job:precondition", "CreateContainerConfigError": "job:precondition",
    "UnexpectedAdmissionError": "gpu:not_enough",
}  # fmt: skip
"""What the column of a pod's state says, and the event that it makes."""


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the head of one of the two tables."""
    return 0.95 if any(_HEAD.match(text) for text in clip_sample(sample)) else 0.0


def parse(document: Document) -> Parsed:
    """Make events of nodes that are not ready and of pods that ended badly."""
    table = _Table(document)
    return table.sheet.read(table.read_head, table.read_row)


class _Table:
    """State of reading: the columns of the open table."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.columns: list[str] = []

    def read_head(self, line: Line) -> bool:
        is_head = bool(_HEAD.match(line.text))
        if is_head:
            self.columns = line.text.split()
        return is_head

    def read_row(self, line: Line) -> bool:
        cells = line.text.split()
        if len(self.columns) < 4 or len(cells) < 4:
            return False
        row = dict(zip(self.columns, cells, strict=False))
        state = row["STATUS"]
        if "ROLES" in row:
            self._tell_node(line, row["NAME"], state)
        else:
            self._tell_pod(line, row, state.removeprefix("Init:"))
        return True

    def _tell_node(self, line: Line, node: str, state: str) -> None:
        if state.startswith("NotReady"):
            self.sheet.add(line, Entity("node", node=node), "kube:node_not_ready", {"state": state})

    def _tell_pod(self, line: Line, row: Mapping[str, str], state: str) -> None:
        code = _STATES.get(state)
        if code is not None:
            self.sheet.add(line, self.sheet.make_node(), code, {"reason": state, "process": row["NAME"]})
