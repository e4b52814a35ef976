"""What training and serving programs write when they end or suffer: PyTorch, Python itself, vLLM.

Known: PyTorch 1.8 to 2.8, Python 3.6 to 3.13, vLLM 0.4 to 0.11.
"""

from __future__ import annotations

from tools.parsers import _framework_patterns
from tools.parsers._patterns import Pattern, on_job

PATTERNS: tuple[Pattern, ...] = (
    *_framework_patterns.PATTERNS,
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
            "oss: nan",
            "oss: NaN",
            "oss nan",
            "oss=nan",
            "oss': nan",
            "orm: nan",
            "orm: NaN",
            "orm=nan",
            "orm': nan",
        ),
        (
            r"(?P<reason>[Ll]oss is (?i:nan).*|grad(?:ient)? norm is (?i:nan).*|[Ff]ound NaN.*|\bNaN "
            r"in (?:loss|grad).*|\b\w*[Ll]oss'?[=: ]+(?i:nan)\b|\bgrad(?:ient)?[_ ]?norm'?[=:] ?(?i:nan)\b)"
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
        "job:killed",
        ("DataLoader worker",),
        r"DataLoader worker \(pid\(?s?\)? ?(?P<pid>\d+).*?\) (?P<reason>is killed by signal: [\w ]+|exited "
        r"unexpectedly.*)",
        on_job,
    ),
    Pattern(
        "job:cancelled",
        ("TERM_RUNLIMIT", "walltime", "TERM_OWNER"),
        r"(?P<reason>TERM_RUNLIMIT: job killed.*|TERM_OWNER: job killed.*|job killed: walltime \S+ exceeded limit.*)",
        on_job,
    ),
    Pattern(
        "vllm:unavailable",
        ("Service Unavailable", 'HTTP/1.1" 503', 'HTTP/1.1" 500'),
        r"(?P<reason>HTTP/\S+\" (?P<status>50[0-4]) [\w ]+)",
        on_job,
    ),
    # The loader's own words. Plug-ins that are tried and passed over say no more than "cannot open".
    Pattern(
        "job:library_missing",
        (
            "error while loading shared libraries",
            "cannot open shared object file",
            "undefined symbol",
            "not found (required by",
            "Could not load library",
            "Could not load dynamic library",
            "Cannot dlopen some GPU libraries",
            "Unable to load NCCL library",
        ),
        (
            r"(?P<reason>error while loading shared libraries: \S.*|symbol lookup error: .*undefined symbol.*"
            r"|(?:ImportError|OSError): .*(?:cannot open shared object file|undefined symbol|not found \(required by).*"
            r"|version `\S+' not found \(required by .*|Unable to load NCCL library.*"
            r"|Could not load (?:dynamic )?library (?!'?libnv(?:infer|rtc-b))\S.*|Cannot dlopen some GPU libraries.*)"
        ),
        on_job,
        joins=20,
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
    Pattern(
        "torch:error",
        (
            "AssertionError",
            "NotImplementedError",
            "EOFError",
            "RuntimeError",
            "TimeoutError",
            "KeyError",
            "ValueError",
            "TypeError",
            "IndexError",
            "AttributeError",
            "OSError",
            "RecursionError",
            "CancelledError",
            "BrokenPipeError",
            "ConnectionError",
            "ConnectionResetError",
            "ConnectionRefusedError",
            "ConnectionAbortedError",
            "queue.Empty",
        ),
        (
            r"^(?:\[?(?:rank)?(?P<rank>\d+)\]?: ?)?(?P<error>(?:\w+\.)*(?:Assertion|NotImplemented|EOF|Runtime"
            r"|Timeout|Key|Value|Type|Index|Attribute|OS|Recursion|Connection(?:Reset|Refused|Aborted)?|BrokenPipe"
            r"|Cancelled)Error|queue\.Empty)\s*$"
        ),
        on_job,
        joins=3,
    ),
)
