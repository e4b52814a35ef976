"""What CUDA and its libraries say through a program: errors of the runtime, the driver API, cuBLAS, cuDNN.

Known: CUDA 9 to 13 as PyTorch, TensorFlow, JAX, NCCL and plain programs print it.
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


def _refine_cuda(fields: Fields) -> Fields | None:
    error = fields.get("error", "")
    code = next((code for expression, code in _CUDA_CODES if expression.search(error)), "cuda:error")
    return None if error.startswith(("(", "cudaSuccess")) and "err" not in error.lower() else {**fields, "code": code}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "cuda:error",
        ("unhandled cuda error", "ncclUnhandledCudaError", "Cuda failure"),
        r"(?P<error>Cuda failure (?:\d+ )?'[^']*'|unhandled cuda error|ncclUnhandledCudaError)",
        on_job,
        refine=_refine_cuda,
    ),
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
