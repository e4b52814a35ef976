"""What frameworks say at every start and what means nothing: read so that it is not taken for trouble.

Known: TensorFlow 2.4 to 2.19, PyTorch 1.12 to 2.8, transformers 4.x, Open MPI 3.0 to 5.0.
"""

from __future__ import annotations

from tools.parsers._patterns import Pattern, on_job

NCCL_HINTS = (
    r"incoming CPU|[Aa]ffinity|\bNUMA\b|real path of|reverse path|iommu=pt|kernel command line|topology file|libibverbs"
)
"""What NCCL would like to know for speed's sake: that it does not, stops nothing."""

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "job:notice",
        (
            "IPv6 network addresses of",
            "failed to connect to [localhost]",
            "failed to connect to [ip6-localhost]",
            "Unable to register cu",
            "Could not find TensorRT",
            "dynamic library 'libnv",
            "Not attached to NvSwitches",
            "detect current VLLM config",
            "ampling parameters have been overridden",
            "native support for FP8",
            "Not enough SMs to use max_autotune",
            "ReadNvSwitch",
            "upported on the device(s)",
            "Failed to process command line",
            "oneDNN custom operations are on",
            "Setting OMP_NUM_THREADS",
            "No preset parameters were found for the device",
            "NOT expected if you are initializing",
            "The current process just got forked",
            "process group has NOT been destroyed",
            "could not find environment variable",
            "may result in lower",
            "falling back to simple order",
            "allocator cache flushes since last step",
            "too old to support healt",
            "gsp_log_",
            "NCCL WARN",
            "Unable to find hostfile",
            "dev libraries",
            "sparse_attn requires",
        ),
        (
            r"(?P<reason>\[c10d\] The IPv6 network addresses of .* cannot be retrieved"
            r"|client socket has failed to connect to \[(?:ip6-)?localhost\]:\d+ \(errno: 99\b"
            r"|Unable to register cu\w+ factory: Attempting to register factory .* when one has already been registered"
            r"|Could not load dynamic library 'libnv(?:infer|rtc-b)\S*"
            r"|Unable to detect current VLLM config|ampling parameters have been overridden"
            r"|GPU does not have native support for FP8|Not enough SMs to use max_autotune"
            r"|\[\[NvSwitch\]\] (?:Not attached to NvSwitches|Read\w+\(\) returned).*"
            r"|^(?:Not supported on the device\(s\)|Failed to process command line)$"
            r"|Could not find TensorRT|oneDNN custom operations are on|Setting OMP_NUM_THREADS environment variable"
            r"|No preset parameters were found for the device"
            r"|This IS(?: NOT)? expected if you are initializing"
            r"|The current process just got forked, after parallelism has already been used"
            r"|process group has NOT been destroyed before we destruct"
            r"|NCCL WARN Could not find a path for pattern -?\d+, falling back to simple order"
            rf"|NCCL WARN .*(?:{NCCL_HINTS})"
            r"|Unable to find hostfile, will proceed with|async_io requires the dev|sparse_attn requires a torch"
            r"|\d+ pytorch allocator cache flushes since last step|is too old to support healt\w+"
            r"|Warning: could not find environment variable|parameters will be used, which may result in lower)"
        ),
        on_job,
    ),
)
