"""What the programs of a GPU job write: NCCL, PyTorch, CUDA, MPI, UCX, vLLM.

Known: NCCL 2.4 to 2.27, PyTorch 1.8 to 2.8, Open MPI 3 to 5, UCX 1.8 to 1.18, vLLM 0.4 to 0.11.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_job

_CUDA_ECC = re.compile(r"(?i)\bECC error|cudaErrorECCUncorrectable|CUDA_ERROR_ECC")
_CUDA_CODES: tuple[tuple[re.Pattern[str], str], ...] = (
    (_CUDA_ECC, "cuda:ecc"),
    (re.compile(r"(?i)out of memory|cudaErrorMemoryAllocation"), "cuda:oom"),
    (re.compile(r"(?i)no CUDA-capable device|cudaErrorNoDevice|CUDA_ERROR_NO_DEVICE"), "cuda:no_device"),
    (
        re.compile(
            r"(?i)driver version is insufficient|forward compatibility was attempted"
            r"|driver / cuda driver|CUDA_ERROR_COMPAT|cudaErrorInsufficientDriver|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
        ),
        "cuda:driver_insufficient",
    ),
    (re.compile(r"(?i)system not yet initialized|CUDA_ERROR_SYSTEM_NOT_READY|cudaErrorSystemNotReady"), "fabric:down"),
    (re.compile(r"(?i)GPU is lost|device lost|CUDA_ERROR_DEVICE_UNAVAILABLE.*lost"), "gpu:lost"),
)
_NET_REASONS = (
    r"Connection refused|No route to host|Connection timed out|Network is unreachable"
    r"|Connection reset by peer|Broken pipe|Host is down|timed out"
)
_WC_ERRORS = {
    "5": "flush",
    "9": "remote_invalid_request",
    "10": "remote_access",
    "12": "retry_exceeded",
    "13": "rnr_retry_exceeded",
}
"""ibv_wc_status numbers of libibverbs that NCCL prints."""


def _refine_cuda(fields: Fields) -> Fields | None:
    error = fields.get("error", "")
    code = next((code for expression, code in _CUDA_CODES if expression.search(error)), "cuda:error")
    return None if error.startswith(("(", "cudaSuccess")) and "err" not in error.lower() else {**fields, "code": code}


def _refine_completion(fields: Fields) -> Fields | None:
    return {**fields, "meaning": _WC_ERRORS.get(fields.get("status", ""), "other")}


_NCCL = (
    Pattern(
        "nccl:network_error",
        ("Got completion",),
        (
            r"Got completion (?:from peer (?P<peer>\S+) )?with (?:error |status=?(?:IBV_\w+)?\(?)"
            r"(?P<status>\d+)\)?.*?vendor[ _]err(?:=| )(?P<vendor_err>\d+)"
        ),
        on_job,
        refine=_refine_completion,
    ),
    Pattern(
        "nccl:network_error",
        ("async event",),
        (
            r"NET/IB ?: (?P<device>\S+ )?.*?[Gg]ot (?:\w+-?\w* )?async event ?: (?P<reason>(?:port "
            r"error|link down|device fatal|QP fatal|local catastrophic|[\w ]*err).*)"
        ),
        on_job,
    ),
    Pattern(
        "nccl:network_error",
        ("ibv_",),
        r"NCCL WARN.*?(?P<reason>Call to ibv_\w+ failed.*|ibv_\w+.*(?:failed|timed out).*)",
        on_job,
    ),
    Pattern(
        "nccl:remote_error",
        ("losed by remote peer",),
        r"[Cc]onnection closed by remote peer(?: (?P<peer>\S+))?",
        on_job,
    ),
    Pattern(
        "nccl:network_error",
        ("NCCL WARN", "socketStartConnect", "socketPollConnect", "ncclSocket"),
        (
            rf"(?:NCCL WARN|[sS]ocket\w+).*?(?:[Cc]all to (?P<call>\w+)|[Cc]onnect(?:ing)?)(?: to "
            rf"(?P<peer>\S+))?.*?(?P<reason>{_NET_REASONS})"
        ),
        on_job,
    ),
    Pattern(
        "nccl:timeout",
        ("ollective operation timeout",),
        (
            r"(?:[Ww]atchdog c|C)aught collective operation timeout: WorkNCCL\((?:SeqNum="
            r"(?P<seq>\d+), )?(?:OpType=(?P<op>\w+))?.*?(?:Timeout\(ms\)=(?P<timeout_ms>\d+))?\)(?: "
            r"ran for (?P<ran_ms>\d+) milliseconds)?"
        ),
        on_job,
    ),
    Pattern(
        "nccl:timeout",
        (
            "Heartbeat monitor timed out",
            "collective timeout",
            "Monitor timed out",
            "monitoredBarrier",
            "store based barrier",
            "store_based_barrier",
            "waitForInput",
            "waiting for recv",
            "for recv operation",
            "for send operation",
            "wait timeout after",
            "Timed out waiting",
            "Timed out after",
        ),
        (
            r"(?P<reason>[Hh]eartbeat monitor timed out.*|due to a collective timeout(?: from"
            r" +rank (?P<from_rank>\d+))?|monitoredBarrier.*(?:did not|received errors|failed).*"
            r"|[Tt]imed out (?:initializing|waiting|after).*(?:barrier|recv|send|clients|workers|rank"
            r"|operation).*|wait timeout after (?P<timeout_ms>\d+)ms.*)"
        ),
        on_job,
    ),
    Pattern(
        "nccl:desync",
        (
            "ollective desync",
            "esync report",
            "joined but didn't finish",
            "ismatch between collectives",
            "ifferent collective",
        ),
        (
            r"(?P<reason>[Cc]ollective desync.*|[Dd]esync report.*|joined but didn't finish.*"
            r"|[Dd]etected mismatch between collectives.*|different collective.*)"
        ),
        on_job,
    ),
    Pattern(
        "nccl:remote_error",
        ("ncclRemoteError", "remote process exited or there was a network error"),
        r"(?P<reason>ncclRemoteError|remote process exited or there was a network error)",
        on_job,
    ),
    Pattern(
        "nccl:system_error",
        ("ncclSystemError", "unhandled system error"),
        r"(?P<reason>ncclSystemError|unhandled system error)",
        on_job,
    ),
    Pattern(
        "nccl:aborted",
        (
            "NCCL operations have failed or timed out",
            "entire process down",
            "NCCLABORTEDCOMM",
            "aborted communicator",
            "communicator was aborted",
        ),
        (
            r"(?P<reason>[Ss]ome NCCL operations have failed or timed out|taking the entire "
            r"process down|NCCLABORTEDCOMM|NCCL communicator was aborted)"
        ),
        on_job,
        joins=4,
    ),
    Pattern(
        "nccl:usage_error",
        ("ncclInvalidUsage", "ncclInvalidArgument", "ncclInternalError"),
        r"(?P<reason>ncclInvalidUsage|ncclInvalidArgument|ncclInternalError)",
        on_job,
    ),
    Pattern("nccl:ok", ("Init COMPLETE",), r"NCCL INFO.*?\bInit COMPLETE", on_job, refine=lambda f: f),
    Pattern(
        "cuda:error",
        ("unhandled cuda error", "ncclUnhandledCudaError", "Cuda failure"),
        r"(?P<error>Cuda failure (?:\d+ )?'[^']*'|unhandled cuda error|ncclUnhandledCudaError)",
        on_job,
        refine=_refine_cuda,
    ),
)

_CUDA = (
    Pattern(
        "cuda:oom",
        ("CUDA out of memory", "OutOfMemoryError", "CUDA_OUT_OF_MEMORY"),
        (
            r"(?:CUDA out of memory|cuda\.OutOfMemoryError)(?:.*?[Tt]ried to allocate "
            r"(?P<wanted>[\d.]+ \w+))?(?:.*?\bGPU (?P<gpu_index>\d+))?"
        ),
        on_job,
    ),
    Pattern(
        "",
        ("CUDA error", "CUDA runtime error", "CUDA driver error", "cudaError", "CUDA_ERROR_", "CUDA failure"),
        (
            r"(?:CUDA (?:runtime |driver |Runtime |Driver )?(?:error|failure)(?: ?\(?"
            r"(?P<number>\d+)\)?)?:? (?:in .*?: )?|(?=\b(?:cudaError[A-Z]|CUDA_ERROR_)))(?P<error>.+)"
        ),
        on_job,
        refine=_refine_cuda,
    ),
    Pattern("cuda:ecc", ("ncorrectable ECC error",), r"(?P<error>uncorrectable ECC error(?: encountered)?)", on_job),
    Pattern(
        "cuda:error",
        (
            "illegal memory access",
            "device-side assert",
            "unspecified launch failure",
            "misaligned address",
            "illegal instruction was",
        ),
        (
            r"(?P<error>an illegal memory access was encountered|device-side assert triggered"
            r"|unspecified launch failure|misaligned address|an illegal instruction was encountered)"
        ),
        on_job,
    ),
    Pattern(
        "cuda:no_device",
        ("No CUDA GPUs are available", "no CUDA-capable device", "Torch not compiled with CUDA", "CUDA unknown error"),
        r"(?P<error>No CUDA GPUs are available|no CUDA-capable device is detected|CUDA unknown error)",
        on_job,
    ),
    Pattern(
        "cuda:driver_insufficient",
        (
            "driver version is insufficient",
            "NVIDIA driver on your system is too old",
            "orward compatibility was attempted",
        ),
        (
            r"(?P<error>CUDA driver version is insufficient.*|The NVIDIA driver on your system is too "
            r"old.*|forward compatibility was attempted.*)"
        ),
        on_job,
    ),
    Pattern(
        "cuda:error",
        ("CUBLAS_STATUS_", "CUDNN_STATUS_", "CUSOLVER_STATUS_"),
        r"(?P<error>(?:CUBLAS|CUDNN|CUSOLVER)_STATUS_(?!SUCCESS)\w+)",
        on_job,
    ),
)

_NETWORK = (
    Pattern(
        "network:timeout",
        ("ransport retry count exceeded", "retry counter exceeded", "RETRY_EXC_ERR"),
        (
            r"(?P<reason>[Tt]ransport retry (?:count|counter) exceeded|retry counter exceeded"
            r"|\w*RETRY_EXC_ERR)(?: on (?P<device>[\w:/.-]+))?"
        ),
        on_job,
    ),
    Pattern(
        "network:timeout",
        ("UCX",),
        (
            r"\bUCX\s+(?:ERROR|FATAL)\s+(?P<reason>.*(?:[Tt]imed? ?out|[Uu]nreachable|reset by "
            r"(?:remote )?peer|[Rr]emote (?:access|operation|endpoint)|[Ll]ocal (?:QP|protection)"
            r"|connection (?:failed|closed)|no route).*)"
        ),
        on_job,
    ),
    Pattern(
        "network:timeout",
        (
            "btl_tcp",
            "ORTE has lost communication",
            "PRTE has lost communication",
            "ORTE was unable to reliably",
            "lost communication with",
            "oob_tcp",
        ),
        (
            rf"(?:btl_tcp\S*|oob_tcp\S*|ORTE|PRTE).*?(?P<reason>{_NET_REASONS}|lost communication.*"
            rf"|unable to reliably start.*)"
        ),
        on_job,
    ),
    Pattern(
        "job:killed",
        ("exited on signal", "terminated by signal"),
        (
            r"process rank (?P<rank>\d+)(?: with PID (?P<pid>\d+))? on node (?P<node>\S+) exited on "
            r"signal (?P<signal>\d+) \((?P<reason>[^)]*)\)"
        ),
        on_job,
    ),
    Pattern(
        "job:failed",
        ("MPI_ABORT was invoked", "MPI_Abort("),
        r"(?P<reason>MPI_ABORT was invoked on rank (?P<rank>\d+).*|MPI_Abort\(.*)",
        on_job,
    ),
)

_TORCH = (
    Pattern(
        "torch:error",
        ("ChildFailedError", "failed (exitcode:"),
        (
            r"(?P<reason>ChildFailedError|failed \(exitcode: (?P<exitcode>-?\d+)\)(?: local_rank: "
            r"(?P<local_rank>\d+))?)"
        ),
        on_job,
    ),
    Pattern(
        "job:killed",
        ("(SIGKILL) received by PID", "(SIGBUS) received by PID", "exitcode: -9", "exitcode  : -9"),
        (
            r"Signal (?P<signal>\d+) \((?P<reason>SIG\w+)\) received by PID (?P<pid>\d+)|exitcode *: "
            r"(?P<exitcode>-9)"
        ),
        on_job,
    ),
    Pattern(
        "train:nan",
        (
            "loss is nan",
            "loss is NaN",
            "Loss is NaN",
            "loss is Nan",
            "grad norm is nan",
            "NaN in",
            "found NaN",
            "Found NaN",
        ),
        (
            r"(?P<reason>[Ll]oss is (?i:nan).*|grad(?:ient)? norm is (?i:nan).*|[Ff]ound NaN.*|\bNaN "
            r"in (?:loss|grad).*)"
        ),
        on_job,
    ),
    Pattern(
        "vllm:engine_dead",
        (
            "EngineDeadError",
            "Engine core proc",
            "EngineCore failed",
            "ngine process failed",
            "engine loop is dead",
            "ngine is dead",
        ),
        (
            r"(?P<reason>(?:Async)?EngineDeadError|Engine core proc \S+ died.*|EngineCore failed to "
            r"start.*|[Ee]ngine process failed to start.*|(?:[Bb]ackground|[Ee]ngine) loop (?:is dead"
            r"|has errored).*|[Ee]ngine is dead)"
        ),
        on_job,
    ),
    Pattern(
        "vllm:cache_too_small",
        ("No available memory for the cache blocks", "KV cache", "max seq len"),
        (
            r"(?P<reason>No available memory for the cache blocks|larger than the maximum number of "
            r"tokens that can be stored in KV cache.*|KV cache is needed, which is larger than.*)"
        ),
        on_job,
    ),
    Pattern(
        "vllm:preempted",
        ("is preempted by PreemptionMode",),
        r"(?P<reason>is preempted by PreemptionMode\.\w+.*)",
        on_job,
    ),
    Pattern(
        "torch:error",
        ("Error: ", "Exception: "),
        (
            r"^(?:\[?(?:rank)?(?P<rank>\d+)\]?: ?)?(?:[\w]+\.)*(?P<error>[A-Z]\w*(?:Error"
            r"|Exception)): (?P<reason>.*)"
        ),
        on_job,
        refine=lambda f: None if f["error"] in ("LNetError", "LustreError") else f,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_NCCL, *_CUDA, *_NETWORK, *_TORCH)
