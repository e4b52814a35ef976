"""Reads `kubectl get nodes`, `get pods` and `describe node`, wide or not, of Kubernetes 1.10 to 1.33.

A node that is not ready and a pod that ended badly are told by name; what runs or has completed tells of no fault. Of
a node that is described, its conditions and taints are read, and whether all of its GPUs can be given out; its events
are rows that `_kube_patterns` knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "kube_tables"
DOMAIN: Domain = "application"

_HEAD = Lazy(
    r"^\s*(?:NAMESPACE\s+)?NAME\s+(?:STATUS\s+ROLES\s+AGE|READY\s+STATUS\s+RESTARTS|DESIRED\s+CURRENT\s+READY"
    r"|READY\s+UP-TO-DATE\s+AVAILABLE)\b"
)
_NODE_ROW = Lazy(
    r"^\s*(?P<node>[a-z0-9][\w.-]*)\s+(?P<state>(?:Not)?Ready(?:,SchedulingDisabled)?)\s+(?:[\w.,/-]+|<none>)\s+"
    r"(?:\d+[smhdy])+\s+v1\."
)
_POD_ROW = Lazy(
    r"^\s*(?:[a-z0-9][\w.-]*\s+)?(?P<pod>[a-z0-9][\w.-]*)\s+\d+/\d+\s+(?P<state>(?:Init:)?[A-Z]\w+)\s+\d+"
    r"(?:\s+\([\w ]+ ago\))?\s+(?:\d+[smhdy])+(?:\s|$)"
)
_NAME = Lazy(r"^Name:\s+(?P<node>[a-z0-9][\w.-]*)\s*$")
_DESCRIBED = Lazy(
    r"^(?:Roles|Taints|Unschedulable|Conditions|Capacity|Allocatable|System Info|Non-terminated Pods|"
    r"Allocated resources|PodCIDRs?|ProviderID|CreationTimestamp):"
)
_CONDITION = Lazy(
    r"^\s*(?P<type>[A-Z][A-Za-z]+)\s+(?P<status>True|False|Unknown)\s+(?=\w{3}, \d\d \w{3} \d{4}|<|[A-Z])"
)
_CONDITIONS_HEAD = Lazy(r"^\s*Type\s+Status\s+LastHeartbeatTime")
_TAINT = Lazy(r"^(?:Taints:)?\s*(?P<key>[\w./-]+)(?:=[\w.-]*)?:(?:NoSchedule|NoExecute|PreferNoSchedule)\s*$")
_GPUS = Lazy(r"^\s*\"?(?:nvidia|amd)\.com/gpu\"?:\s+\"?(?P<count>\d{1,4})\"?,?\s*$")
_AMOUNTS = Lazy(r"^\s*\"?(?P<section>[Cc]apacity|[Aa]llocatable)\"?:\s*\{?\s*$")
"""What a node has and what of it can be given out: of a description, or of the object as YAML or JSON."""
_FIELD = Lazy(r"^\s*[\w./ -]+[:=].*$|^\s+[\w.-]+/[\w.-]+")
_CONDITIONS: Mapping[tuple[str, str], str] = {
    ("MemoryPressure", "True"): "kube:memory_pressure", ("DiskPressure", "True"): "limit:evicted",
    ("OutOfDisk", "True"): "limit:evicted", ("PIDPressure", "True"): "limit:processes",
    ("NetworkUnavailable", "True"): "kube:network_unavailable",
    ("Ready", "False"): "kube:node_not_ready", ("Ready", "Unknown"): "kube:node_not_ready",
    ("Ready", "True"): "kube:normal", ("KernelDeadlock", "True"): "task:hung",
    ("ReadonlyFilesystem", "True"): "fs:readonly", ("ContainerRuntimeUnhealthy", "True"): "kube:node_not_ready",
    ("FrequentKubeletRestart", "True"): "service:other", ("FrequentContainerdRestart", "True"): "service:other",
    ("FrequentDockerRestart", "True"): "service:other", ("KubeletUnhealthy", "True"): "kube:node_not_ready",
}  # fmt: skip
"""A condition of a node and its status, and the event that they make; all others tell nothing by themselves."""
_TAINTS: Mapping[str, str] = {
    "disk-pressure": "limit:evicted", "out-of-disk": "limit:evicted", "memory-pressure": "kube:memory_pressure",
    "pid-pressure": "limit:processes", "not-ready": "kube:node_not_ready", "unreachable": "kube:node_not_ready",
    "network-unavailable": "kube:network_unavailable", "unschedulable": "kube:cordoned", "out-of-service":
    "kube:node_not_ready",
}  # fmt: skip
"""Taints `node.kubernetes.io/…` that the controllers put on a node."""
_STATES: Mapping[str, str] = {
    "CrashLoopBackOff": "job:failed", "Error": "job:failed", "RunContainerError": "job:failed",
    "StartError": "job:failed", "CreateContainerError": "job:failed", "OOMKilled": "oom:kill",
    "Evicted": "limit:evicted", "ImagePullBackOff": "job:precondition", "ErrImagePull": "job:precondition",
    "InvalidImageName": "job:precondition", "CreateContainerConfigError": "job:precondition",
    "UnexpectedAdmissionError": "gpu:not_enough",
}  # fmt: skip
"""What the column of a pod's state says, and the event that it makes."""


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the head or the rows of one of the tables, or parts of a description."""
    kept = clip_sample(sample)
    if any(_HEAD.match(text) or _CONDITIONS_HEAD.match(text) for text in kept):
        return 0.95
    if any(_NODE_ROW.match(text) or _POD_ROW.match(text) or _CONDITION.match(text) for text in kept):
        return 0.9
    parts = sum(bool(_DESCRIBED.match(text) or _NAME.match(text) or _AMOUNTS.match(text)) for text in kept)
    return 0.9 if parts > 1 or any(_TAINT.match(text) for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make events of nodes that are not ready and of pods that ended badly."""
    table = _Table(document)
    return table.sheet.read(table.read_head, table.read_described, table.read_row)


class _Table:
    """State of reading: the columns of the open table."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.columns: list[str] = []
        self.node = ""
        self.is_described = False
        self.section = ""
        self.amounts: dict[str, int] = {}

    def read_head(self, line: Line) -> bool:
        is_head = bool(_HEAD.match(line.text))
        if is_head:
            self.columns, self.is_described = line.text.split(), False
        return is_head

    def read_described(self, line: Line) -> bool:
        """Read a line of `kubectl describe node`; a condition and a taint are known wherever they stand."""
        text = line.text
        name, condition, taint, gpus = _NAME.match(text), _CONDITION.match(text), _TAINT.match(text), _GPUS.match(text)
        if name is not None:
            self.node, self.is_described, self.columns = name["node"], True, []
        elif condition is not None:
            self._tell(line, _CONDITIONS.get((condition["type"], condition["status"])), condition["type"])
        elif taint is not None:
            own = taint["key"].startswith("node.kubernetes.io/")
            self._tell(line, _TAINTS.get(taint["key"].rpartition("/")[2]) if own else None, taint["key"])
        elif gpus is not None:
            self._compare_gpus(line, int(gpus["count"]))
        elif amounts := _AMOUNTS.match(text):
            self.is_described, self.section, self.columns = True, amounts["section"].lower(), []
        elif _DESCRIBED.match(text):
            self.is_described, self.section, self.columns = True, "", []
        else:
            return bool(_CONDITIONS_HEAD.match(text) or (self.is_described and _FIELD.match(text)))
        return True

    def _tell(self, line: Line, code: str | None, reason: str) -> None:
        if code is not None:
            self.sheet.add(line, Entity("node", node=self.node or self.sheet.node), code, {"reason": reason})

    def _compare_gpus(self, line: Line, count: int) -> None:
        if not self.section:
            return
        self.amounts[self.section] = count
        if len(self.amounts) == 2 and self.amounts["allocatable"] < self.amounts["capacity"]:
            told = f"{self.amounts['allocatable']} of {self.amounts['capacity']} GPUs can be given out"
            self._tell(line, "gpu:marked_unhealthy", told)
        self.amounts = {} if len(self.amounts) == 2 else self.amounts

    def read_row(self, line: Line) -> bool:
        if not self.columns:
            return self._read_bare_row(line)
        cells = line.text.split()
        if len(self.columns) < 4 or len(cells) < 4:
            return False
        row = dict(zip(self.columns, cells, strict=False))
        if "STATUS" not in row:
            return self._tell_workload(line, row)
        state = row["STATUS"]
        if "ROLES" in row:
            self._tell_node(line, row["NAME"], state)
        else:
            self._tell_pod(line, row, state.removeprefix("Init:"))
        return True

    def _read_bare_row(self, line: Line) -> bool:
        node, pod = _NODE_ROW.match(line.text), _POD_ROW.match(line.text)
        if node is not None:
            self._tell_node(line, node["node"], node["state"])
        elif pod is not None:
            self._tell_pod(line, {"NAME": pod["pod"]}, pod["state"].removeprefix("Init:"))
        return bool(node or pod)

    def _tell_node(self, line: Line, node: str, state: str) -> None:
        if state.startswith("NotReady"):
            self.sheet.add(line, Entity("node", node=node), "kube:node_not_ready", {"state": state})

    def _tell_workload(self, line: Line, row: Mapping[str, str]) -> bool:
        ready, _, wanted = row["READY"].partition("/")
        wanted = wanted or row.get("DESIRED", "")
        if not (ready.isdecimal() and wanted.isdecimal()):
            return False
        if int(ready) < int(wanted):
            told = {"reason": f"{ready} of {wanted} ready", "process": row["NAME"]}
            self.sheet.add(line, self.sheet.make_node(), "kube:not_all_ready", told)
        return True

    def _tell_pod(self, line: Line, row: Mapping[str, str], state: str) -> None:
        code = _STATES.get(state)
        if code is not None:
            self.sheet.add(line, self.sheet.make_node(), code, {"reason": state, "process": row["NAME"]})
