"""Rows of `kubectl get events` and of the events of `kubectl describe`: the type, and the reason as one word.

Known: reasons of the kubelet and the controllers of Kubernetes 1.10 to 1.33 (pkg/kubelet/events), and of the
node-problem-detector 0.6 to 0.8. What a message tells by itself has rows of its own, which are tried first.
"""

from __future__ import annotations

from collections.abc import Mapping

from tools.parsers._patterns import Fields, Pattern, on_node

REASON_CODES: Mapping[str, str] = {
    "SystemOOM": "oom:kill", "OOMKilling": "oom:kill",
    "NodeHasInsufficientMemory": "kube:memory_pressure",
    "NodeHasDiskPressure": "limit:evicted", "NodeOutOfDisk": "limit:evicted",
    "NodeHasInsufficientDisk": "limit:evicted",
    "FreeDiskSpaceFailed": "limit:evicted", "ImageGCFailed": "limit:evicted", "Evicted": "limit:evicted",
    "EvictionThresholdMet": "limit:evicted", "NodeHasInsufficientPID": "limit:processes",
    "NodeNotReady": "kube:node_not_ready", "NodeControllerEviction": "kube:node_not_ready",
    "TaintManagerEviction": "kube:node_not_ready", "ContainerRuntimeUnhealthy": "kube:node_not_ready",
    "DockerHung": "kube:node_not_ready", "KubeletUnhealthy": "kube:node_not_ready",
    "NodeNotSchedulable": "kube:cordoned",
    "TaskHung": "task:hung", "KernelOops": "kernel:oops", "KernelPanic": "kernel:panic",
    "FilesystemIsReadOnly": "fs:readonly", "ReadonlyFilesystem": "fs:readonly", "Ext4Error": "fs:error",
    "IOError": "block:io_error", "MemoryReadError": "edac:uncorrected", "CorruptDockerOverlay2": "job:precondition",
    "FailedScheduling": "job:precondition", "FailedMount": "job:precondition", "FailedAttachVolume": "job:precondition",
    "FailedCreatePodSandBox": "job:precondition", "FailedCreatePodContainer": "job:precondition",
    "FailedCreate": "job:precondition", "ErrImageNeverPull": "job:precondition", "InspectFailed": "job:precondition",
    "FailedBinding": "job:precondition", "ProvisioningFailed": "job:precondition", "Failed": "job:failed",
    "BackOff": "job:failed", "BackoffLimitExceeded": "job:failed", "FailedPostStartHook": "job:failed",
    "Unhealthy": "kube:probe_failed",
    "Rebooted": "kube:normal", "InvalidDiskCapacity": "kube:normal", "DNSConfigForming": "kube:normal",
    "CheckLimitsForResolvConf": "kube:normal", "MissingClusterDNS": "kube:normal",
    "PossibleMemoryBackedVolumesOnDisk": "kube:normal",
}  # fmt: skip
"""Reasons that tell a fault whatever type they are of, and warnings that every start of a node writes."""
_READY = frozenset({"NodeReady"})


def _refine(fields: Fields) -> Fields | None:
    code = REASON_CODES.get(fields["reason"])
    if code is None:
        is_ready = fields["reason"] in _READY
        code = "kube:node_ready" if is_ready else "kube:normal" if fields["type"] == "Normal" else "kube:warning"
    return {**fields, "code": code}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "",
        ("Normal  ", "Warning  ", "Normal\t", "Warning\t"),
        (
            r"(?:^|[ \t])(?P<type>Normal|Warning)[ \t]{2,}(?P<reason>[A-Z][a-z]\w+|[A-Z]{2,}[a-z]\w+)"
            r"(?:[ \t]{2,}|\t)(?=\S)"
            r"(?:.*?(?:\bkubelet, |\b[Nn]ode[ /])(?P<node>[a-z0-9][\w.-]*))?"
        ),
        on_node,
        refine=_refine,
    ),
)
