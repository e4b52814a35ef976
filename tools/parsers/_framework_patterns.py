"""What frameworks and model servers around a GPU job write: Ray, JAX, TGI, SGLang, Triton, TensorRT-LLM, Python errno.

Known: Ray 1.9 to 2.49, JAX 0.4 to 0.7, Text Generation Inference 1 to 3, SGLang 0.3 to 0.5, Triton 22 to 25,
TensorRT-LLM 0.8 to 1.0, vLLM 0.4 to 0.11, Python 3.6 to 3.13.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, on_job, on_node

_ERRNO: dict[str, str] = {
    "5": "job:io_error",
    "12": "job:no_memory",
    "24": "limit:file_max",
    "28": "limit:disk_space",
    "107": "job:stale_file",
    "108": "job:stale_file",
    "116": "job:stale_file",
    "121": "job:io_error",
    "122": "limit:disk_space",
}
"""Linux errno numbers as Python prints them; what a program itself can cause is not among them."""


def _refine_errno(fields: Fields) -> Fields | None:
    code = _ERRNO.get(fields["errno"])
    return None if code is None else {**fields, "code": code}


_RAY = (
    Pattern(
        "ray:memory_kill",
        (
            "memory pressure (OOM)",
            "running low on memory",
            "memory usage threshold",
            "System memory low at node",
            "to free up memory",
            "NODE_OUT_OF_MEMORY",
        ),
        (
            r"(?P<reason>\b[1-9]\d* Workers \(tasks / actors\) killed due to memory pressure.*|killed due to the node"
            r" running low on memory.*|exceeds the memory usage threshold.*|System memory low at node.*"
            r"|Killing worker .*to free up memory.*|exit_type = NODE_OUT_OF_MEMORY.*)"
        ),
        on_node,
        joins=10,
    ),
    Pattern(
        "ray:node_lost",
        ("missed too many heartbeats", "has been marked dead", "NodeDiedError", "Raylet is terminated", "node died"),
        (
            r"(?P<reason>has been marked dead because the detector has missed too many heartbeats"
            r"|missed too many heartbeats|(?:ray\.exceptions\.)?NodeDiedError.*|has been marked dead\b.*"
            r"|Raylet is terminated: .*)"
        ),
        on_node,
        joins=10,
    ),
)

_RAY_DEATHS = (
    Pattern(
        "job:killed",
        ("worker died or was killed", "worker process has died", "Worker unexpectedly exits", "ActorDiedError"),
        (
            r"(?P<reason>A worker died or was killed while executing.*|worker process has died.*"
            r"|Worker unexpectedly exits with.*|ActorDiedError.*)"
        ),
        on_job,
        joins=20,
    ),
)

_SERVERS = (
    Pattern(
        "vllm:memory_short",
        ("Free memory on device", "Error in memory profiling"),
        r"(?P<reason>Free memory on device .*is less than desired GPU memory.*|Error in memory profiling.*)",
        on_job,
    ),
    Pattern(
        "vllm:engine_dead",
        (
            "Engine core initialization failed",
            "EngineCore encountered a fatal",
            "VllmWorker",
            "WorkerProc",
            "Engine iteration timed out",
            "RPC call to ",
            "Watchdog timeout",
            "Shard ",
            "ShardFailed",
            "Scheduler hit an exception",
            "sigquit from a child process",
            "ShardCannotStart",
            "WebserverFailed",
            "WebserverCrashed",
        ),
        (
            r"(?P<reason>Engine core initialization failed|EngineCore encountered a fatal error"
            r"|[Ww]orker proc \S+ died unexpectedly"
            r"|WorkerProc (?:initialization failed|hit an exception)|Engine iteration timed out"
            r"|RPC call to \w+ timed out|Watchdog timeout \(self|Shard (?:\d+ )?(?:crashed|failed)"
            r"|Shard process was signaled|Shard complete standard error"
            r"|Error: (?:Shard|Webserver)(?:Failed|CannotStart|Crashed)"
            r"|Scheduler hit an exception|Received sigquit from a child process)"
        ),
        on_job,
        joins=40,
    ),
    Pattern(
        "vllm:preempted",
        ("KV cache usage: ", "KV cache pool is full", "Retract requests"),
        (
            r"(?P<reason>Waiting: (?P<waiting>[1-9]\d*) reqs.*KV cache usage: (?P<usage>9[5-9]|100)\b.*"
            r"|KV cache pool is full.*)"
        ),
        on_job,
        joins=20,
    ),
    Pattern(
        "serve:incompatible",
        (
            "engine plan file",
            "incompatible device",
            "not compatible with this version of TensorRT",
            "Serialized engine",
        ),
        (
            r"(?P<reason>engine plan file is (?:generated on an incompatible device|not compatible).*"
            r"|[Ss]erialized engine .*(?:version|incompatible).*)"
        ),
        on_job,
    ),
    Pattern(
        "serve:model_failed",
        ("failed to load '", "[TensorRT-LLM][ERROR]", "UNAVAILABLE: Internal: ", "[TRT-LLM] [E]"),
        (
            r"(?P<reason>failed to load '[^']*' version \d+: .*|\[TensorRT-LLM\]\[ERROR\] .*|UNAVAILABLE: Internal: .*"
            r"|\[TRT-LLM\] \[E\] .*)"
        ),
        on_job,
        joins=20,
    ),
)

_REQUESTS = (
    Pattern(
        "vllm:unavailable",
        (
            "ealth check failed",
            "a response from detokenizer",
            "Request failed during generation",
            "Server error: ",
            "No healthy upstream",
            "no healthy upstream",
            "upstream connect error",
            "marking it unhealthy",
            "health check for replica",
        ),
        (
            r"(?P<reason>[Hh]ealth check failed\. Server.*|couldn't get a response from detokenizer.*"
            r"|Request failed during generation.*|Server error: .*|[Nn]o healthy upstream.*|upstream connect error.*"
            r"|.*\b[Rr]eplica\b.*marking it unhealthy.*|[Hh]ealth check for replica .*(?:failed|timed out).*)"
        ),
        on_job,
        joins=20,
    ),
    Pattern(
        "nccl:waiting",
        ("shared memory broadcast block found", "No available block found in"),
        r"(?P<reason>No available (?:shared memory broadcast )?block found in \d+ seconds?.*)",
        on_job,
        joins=20,
    ),
)

_FILES = (
    Pattern(
        "limit:shared_memory",
        ("instead of /dev/shm",),
        r"(?P<reason>object store is using /tmp instead of /dev/shm.*)",
        on_node,
        joins=20,
    ),
    Pattern(
        "",
        ("[Errno ", "(os error ", "errno = "),
        r"(?:\[Errno |\(os error |errno = )(?P<errno>\d{1,3})\b[\])]?:? ?(?P<reason>.*)",
        on_job,
        refine=_refine_errno,
    ),
    Pattern(
        "job:stale_file",
        ("tale file handle", "ransport endpoint is not connected"),
        r"(?P<reason>.*(?:[Ss]tale (?:NFS )?file handle|[Tt]ransport endpoint is not connected).*)",
        on_job,
        joins=10,
    ),
    Pattern(
        "job:io_error",
        (": Input/output error",),
        r"^(?:[\w./-]+: )(?P<reason>.*: Input/output error.*)",
        on_job,
        joins=10,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_RAY, *_RAY_DEATHS, *_SERVERS, *_REQUESTS, *_FILES)
