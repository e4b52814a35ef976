"""What container platforms and GPU services write: kubelet, containerd, NVIDIA container tools, device plugin, DCGM.

Known: Kubernetes 1.14 to 1.33 (klog text, plain and structured), containerd 1.4 to 2.1, Docker 19 to 28, NVIDIA
container toolkit 1.3 to 1.18, device plugin 0.7 to 0.17, nvidia-persistenced 390 to 580, DCGM 2.0 to 4.4.
"""

from __future__ import annotations

import re

from tools.parsers import _cluster_patterns, _kube_patterns, _metrics_patterns
from tools.parsers._dcgm_rules import classify_message, classify_test
from tools.parsers._metrics_patterns import on_uuid
from tools.parsers._patterns import Fields, Pattern, on_gpu, on_job, on_node

_LAST_XID = 172
_TOLD_BY_XID = tuple(f"xid:{number}" for number in range(1, _LAST_XID + 1))


_NVML_RESULTS: dict[str, str] = {
    "DRIVER_NOT_LOADED": "driver:not_loaded", "LIBRARY_NOT_FOUND": "driver:not_loaded",
    "LIB_RM_VERSION_MISMATCH": "driver:library_mismatch", "RESET_REQUIRED": "gpu:reset_required",
    "CORRUPTED_INFOROM": "gpu:inforom_corrupted", "UNKNOWN": "driver:nvml_unknown", "IRQ_ISSUE": "driver:nvml_failed",
    "INSUFFICIENT_POWER": "gpu:power_missing", "GPU_NOT_FOUND": "gpu:unknown_device",
}  # fmt: skip
"""What NVML returns, by the name that programs print; what they ask in vain (NOT_SUPPORTED) is no fault."""


def _refine_result(fields: Fields) -> Fields | None:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", fields["result"]).upper()
    code = _NVML_RESULTS.get("LIB_RM_VERSION_MISMATCH" if name == "LIB_RM_VERSION_MISMATCH" else name)
    return None if code is None else {**fields, "code": code}


def _refine_eviction(fields: Fields) -> Fields | None:
    resource = fields.get("resource") or fields.get("resource2") or fields.get("resource3") or ""
    fields["resource"] = resource
    return {**fields, "code": "kube:memory_pressure" if "emory" in resource else "limit:evicted"}


def _refine_container(fields: Fields) -> Fields | None:
    reason = fields["reason"].lower()
    if "libnvidia-ml" in reason:
        return {**fields, "code": "driver:not_loaded"}
    if "driver not loaded" in reason or "driver is not loaded" in reason:
        return {**fields, "code": "driver:not_loaded"}
    if "version mismatch" in reason:
        return {**fields, "code": "driver:library_mismatch"}
    if "unsatisfied condition" in reason:
        return {**fields, "code": "cuda:driver_insufficient"}
    if "unknown device" in reason:
        return {**fields, "code": "gpu:unknown_device"}
    asked = any(word in reason for word in ("nvml error", "load library", "driver rpc", "driver error"))
    return {**fields, "code": "driver:nvml_unknown" if asked else "job:precondition"}


def _refine_nvml(fields: Fields) -> Fields | None:
    reason = fields["reason"].lower()
    if "driver/library version mismatch" in reason:
        return {**fields, "code": "driver:library_mismatch"}
    if "driver not loaded" in reason or "libnvidia-ml" in reason or "nvml library not found" in reason:
        return {**fields, "code": "driver:not_loaded"}
    return {**fields, "code": "driver:nvml_unknown"} if "unknown error" in reason else fields


def _refine_health(fields: Fields) -> Fields | None:
    reason = fields.get("reason") or fields.get("reason2", "")
    system = fields.get("system") or fields.get("system2", "")
    named = classify_message(reason) or classify_message(system.replace("_", " ").lower())
    return {**fields, "reason": reason, "code": named or classify_test(system)}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "",
        ("in health system", "DCGM_FR_"),
        (
            r"Detected a (?:WARNING|FAILURE|ERROR) in health system (?P<system>\w+): '?(?P<reason>.*)"
            r"|\bDCGM_FR_(?P<system2>[A-Z_]+)\W+(?P<reason2>\w.*)"
        ),
        on_node,
        refine=_refine_health,
        joins=20,
    ),
    Pattern("xid:{xid}", ("XID error: ",), r"^\s*XID error: (?P<xid>\d{1,3})\s*$", on_node),
    Pattern(
        "",
        ("violated policy manager values",),
        r"^\s*(?!.*XID)(?P<reason>[\w -]+?) (?:has|have) (?:been )?violated policy manager values",
        on_node,
        refine=lambda f: {**f, "code": classify_test(f["reason"])},
    ),
    Pattern(
        "gpu:unknown_device",
        ("dev/nvidia",),
        r"/dev/nvidia(?P<gpu_index>\d{1,3})['\"]?: (?P<reason>(?i:no such device|no such file|input/output error)\b.*)",
        on_node,
        joins=10,
    ),
    Pattern(
        "gpu:none_to_serve",
        ("No devices found. Waiting", "ailed to detect NVIDIA devices", "No valid resources detected"),
        r"(?P<reason>No devices found\. Waiting indefinitely|failed to detect NVIDIA devices)",
        on_node,
    ),
    Pattern(
        "gpu:driver_missing",
        ("could not select device driver", "unknown or invalid runtime name", "unresolvable CDI devices"),
        (
            r"(?P<reason>could not select device driver .*|unknown or invalid runtime name: nvidia.*"
            r"|unresolvable CDI devices .*)"
        ),
        on_node,
        joins=10,
    ),
    Pattern(
        "",
        ("nvidia-container-cli: ",),
        (
            r"nvidia-container-cli: (?P<reason>(?:initialization|detection|requirement|device|mount|container) error: "
            r".*?"
            r"(?:driver not loaded|driver is not loaded|version mismatch|unsatisfied condition: [^,\s]+|unknown "
            r"device.*"
            r"|nvml error: .*|load library failed: .*|driver rpc error: .*|driver error: .*)"
            r"|(?:mount|ldcache|container|permission|namespace association|input) error: \S.*)"
        ),
        on_node,
        refine=_refine_container,
    ),
    # A virtual machine that does not get its device: who holds the group is in the host's log.
    Pattern(
        "job:precondition",
        ("getting device from group", "is not viable", "ailed to open /dev/vfio", "container for group"),
        r"(?P<reason>vfio [^ ]{1,60}: (?:error getting device from group|group \d+ is not viable"
        r"|failed to open /dev/vfio\S*|failed to setup container for group).*)",
        on_node,
        joins=10,
    ),
    Pattern(
        "xid:{xid}",
        ("XidCriticalError", "Xid=", "xid=", "XID_CRITICAL"),
        (
            r"(?i:Xid_?Critical_?Error):? ?(?i:Xid)[=:] ?(?P<xid>\d{1,3})\b(?:.*?\b(?i:Device|GPU|UUID)[=:] ?\"?"
            r"(?P<uuid>(?:GPU|MIG)-[0-9a-fA-F][\w-]*))?"
        ),
        on_uuid,
    ),
    Pattern(
        "xid:{xid}",
        ("XID ", "Xid ", "XID: ", "Xid: ", "XID=", "XID:"),
        (
            r"^(?!.*(?:NVRM: |[Ii]gnor|[Ss]kip|[Rr]egister|[Mm]ask|[Dd]isabl|previous Xid))"
            r"(?=.*(?:GPU|gpu|PCI|NVIDIA|nvidia|DCGM|detected))"
            r".*?\b(?:XID|Xid)(?: (?:error|code|event))?s?[ :=#]{1,2}(?P<xid>[1-9]\d{0,2})\b(?![.:]\d)"
            r"(?:.*?\bPCI:(?P<pci>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?))?"
        ),
        on_gpu,
        refine=lambda f: f if int(f["xid"]) <= _LAST_XID else None,
    ),
    Pattern(
        "gpu:marked_unhealthy",
        (
            "marked unhealthy",
            "will go unhealthy",
            "arking device unhealthy",
            "evice is unhealthy",
            "no healthy devices",
        ),
        (
            r"(?P<reason>device marked unhealthy: (?P<uuid>GPU-[0-9a-fA-F][\w-]*)?.*|device will go unhealthy.*"
            r"|[Mm]arking (?:\w+ )?device (?:as )?unhealthy.*|Allocate failed due to no healthy devices present.*)"
        ),
        on_uuid,
        echoes=_TOLD_BY_XID,
    ),
    Pattern(
        "",
        (
            "nitialize NVML",
            "nitialise NVML",
            "could not load NVML",
            "ould not load NVML",
            "NVML library not found",
            "rror initializing NVML",
            "nvml.Init",
            "libnvidia-ml.so",
        ),
        (
            r"(?P<reason>[Ff]ailed to initiali[sz]e NVML.*|[Cc]ould not load NVML.*|NVML library not found.*"
            r"|[Ee]rror initializing NVML.*|.*libnvidia-ml\.so\S* .*(?:not found|cannot open|No such file).*)"
        ),
        on_node,
        refine=lambda f: _refine_nvml({"code": "driver:nvml_failed", **f}),
    ),
    Pattern(
        "",
        ("NVML_ERROR_", "NVMLError_", "ERROR_DRIVER_NOT_LOADED", "ERROR_LIB_RM_VERSION", "ERROR_RESET_REQUIRED"),
        r"\b(?:NVML_ERROR_|NVMLError_|ERROR_)(?P<result>[A-Z]\w+)",
        on_node,
        refine=_refine_result,
        joins=10,
    ),
    Pattern(
        "driver:not_loaded",
        ("Failed to query NVIDIA devices",),
        r"(?P<reason>Failed to query NVIDIA devices.*)",
        on_node,
    ),
    Pattern(
        "gpu:open_failed",
        ("ailed to open", "persistence mode"),
        (
            r"(?:nvidia-persistenced\S*: )?[Dd]evice (?P<pci>[0-9a-fA-F:.]{7,16}) - (?P<reason>failed to (?:open"
            r"|enable persistence mode|query).*)"
        ),
        on_gpu,
    ),
    Pattern(
        "",
        (
            "viction manager",
            "The node was low on resource",
            "he node had condition",
            "has disk pressure",
            "Disk usage on image filesystem",
        ),
        (
            r"[Ee]viction manager:? ?\"?(?:.*?attempting to reclaim\"? ?(?:resourceName=\"?)?(?P<resource>[\w-]+)"
            r"|.*?must evict pod\(s\) to reclaim\"? ?(?:resourceName=\"?)?(?P<resource2>[\w-]+)"
            r"|.*?(?:pods? \S+ evicted, waiting|pods ranked for eviction|unable to evict any pods).*)"
            r"|low on resource: (?P<resource3>[\w-]+)|Disk usage on image filesystem is (?:at|over).*|has disk pressure"
        ),
        on_node,
        refine=_refine_eviction,
        joins=20,
    ),
    Pattern(
        "kube:node_not_ready",
        (
            "NodeNotReady",
            "ecame not ready",
            "PLEG is not healthy",
            "ontainer runtime is down",
            "runtime network not ready",
        ),
        (
            r"(?P<reason>status is now: NodeNotReady|Node became not ready.*|PLEG is not healthy.*|[Cc]ontainer "
            r"runtime is"
            r" down.*|[Cc]ontainer runtime network not ready.*)"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "oom:kill",
        (
            "exceeded memory limit",
            "xceeded job memory limit",
            "been OOM Killed",
            "Out Of Memory",
            "memory limit exceeded",
        ),
        (
            r"(?P<reason>(?:[Ss]tep|[Jj]ob) (?P<job>\d+)\S* exceeded memory limit .*|srun: Exceeded job memory limit"
            r""
            r"|(?:[Jj]ob|[Ss]tep|cgroup)\S* .*memory limit exceeded|step tasks have been OOM Killed"
            r"|srun: error: (?P<host>\S+): tasks? [\d,-]+: Out Of Memory)"
        ),
        on_job,
        joins=20,
    ),
    Pattern(
        "oom:kill",
        ("OOMKilled", "OOMKilling", "oom_kill_process", "TaskOOM event", "memory limit at some point"),
        (
            r"(?P<reason>\bOOMKilled\b|OOMKilling|TaskOOM event|Exceeded (?:step|job) memory limit)"
            r"(?:.*?(?:container|pod)[ =:\"]+(?P<process>[\w./-]+))?"
        ),
        on_node,
        joins=6,
    ),
    Pattern(
        "job:precondition",
        ("ImagePullBackOff", "ErrImagePull", "Failed to pull image", "InvalidImageName"),
        r"(?P<reason>ImagePullBackOff|ErrImagePull|Failed to pull image.*|InvalidImageName)",
        on_node,
        joins=20,
    ),
    Pattern(
        "job:failed",
        ("CrashLoopBackOff", "RunContainerError", "StartError"),
        r"(?P<reason>CrashLoopBackOff|RunContainerError|StartError)",
        on_node,
        joins=20,
    ),
    Pattern(
        "gpu:not_enough",
        ("Insufficient nvidia.com/gpu", "UnexpectedAdmissionError", "requested number of devices unavailable"),
        (
            r"(?P<reason>Insufficient nvidia\.com/gpu|UnexpectedAdmissionError|requested number of devices unavailable "
            r"for "
            r"nvidia\.com/gpu.*)"
        ),
        on_node,
        joins=6,
    ),
    Pattern(
        "service:failed",
        ("ost engine is not running", "onnection to the host engine", "unable to connect to host engine"),
        (
            r"(?P<reason>[Hh]ost engine is not running.*|[Ee]rror: unable to (?:establish a )?connect\w* to (?:the "
            r"|specified"
            r" )?host engine.*|connection to the host engine is not valid.*)"
        ),
        on_node,
        constants={"unit": "nvidia-dcgm"},
    ),
    Pattern(
        "job:precondition",
        ("OCI runtime create failed", "runc create failed", "failed to create shim task", "containerd task: failed"),
        r"(?P<reason>(?:OCI runtime create failed|runc create failed|failed to create shim task|failed to create "
        r"containerd task).*)",
        on_node,
        joins=10,
    ),
    Pattern(
        "driver:load_failed",
        ("Could not resolve Linux kernel version", "failed to install elfutils", "kernel headers for"),
        r"(?P<reason>Could not resolve Linux kernel version|(?:[Uu]nable|[Ff]ailed) to (?:find|install|locate).{0,40}"
        r"kernel headers.*)",
        on_node,
    ),
    Pattern(
        "job:notice",
        ("NVIDIA driver", "NVIDIA Software Installer", "urrent value of", "NVIDIA persistence daemon", "Linux kernel"),
        (
            r"^(?P<reason>=+ NVIDIA Software Installer =+|Starting installation of NVIDIA driver|(?:Stopping|Unloading|"
            r"Unmounting|Checking|Compiling|Relinking|Building|Installing|Loading|Mounting|Parsing) NVIDIA |"
            r"(?:Resolving|Proceeding with|Installing|Generating) Linux kernel |(?:Getting current|Current) value of )"
        ),
        on_node,
        joins=40,
    ),
    Pattern(
        "driver:tool_missing",
        ("command 'nvidia-smi'", "nvidia-smi\u2019: No such"),
        r"(?P<reason>(?:failed|unable) to (?:run|execute) command .nvidia-smi.: No such file or directory)",
        on_node,
        joins=20,
    ),
    Pattern(
        "gpu:cell_unreadable",
        ("get fan speed", "get temperature", "get power", "get memory clock", "get core clock"),
        r"(?P<reason>(?:can\W?t|cannot|unable to) get (?:fan speed|temperature|power|(?:memory|core) clock)\w*\b.*)",
        on_node,
        joins=40,
    ),
    *_metrics_patterns.PATTERNS,
    *_kube_patterns.PATTERNS,
    *_cluster_patterns.PATTERNS,
)
