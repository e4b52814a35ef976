"""What CUDA and its libraries say through a program: errors of the runtime, the driver API, cuBLAS, cuDNN.

Known: CUDA 9 to 13 as PyTorch, TensorFlow, JAX, NCCL and plain programs print it. Numbers and names: the enumerations
`cudaError` and `CUresult` of the CUDA documentation.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_job

_CODES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\bECC error|cudaErrorECCUncorrectable|CUDA_ERROR_ECC"), "cuda:ecc"),
    (
        re.compile(r"(?i)CUDA_ERROR_CONTAINED|cudaErrorContained|peer GPU memory over nvlink or a hardware"),
        "cuda:contained",
    ),
    (
        re.compile(r"(?i)out of memory|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory"),
        "cuda:oom",
    ),
    (
        re.compile(
            r"(?i)libcuda\.so\S*: cannot open|kernel driver does not appear|\(303\)|SHARED_OBJECT_|no NVIDIA driver"
        ),
        "cuda:no_driver",
    ),
    (re.compile(r"(?i)no CUDA-capable device|cudaErrorNoDevice|CUDA_ERROR_NO_DEVICE"), "cuda:no_device"),
    (
        re.compile(
            r"(?i)driver version is insufficient|forward compatibility was attempted|driver / cuda driver|is too old"
            r"|CUDA_ERROR_COMPAT"
            r"|cudaErrorInsufficientDriver|SYSTEM_DRIVER_MISMATCH|SystemDriverMismatch|system has unsupported display "
            r"driver"
        ),
        "cuda:driver_insufficient",
    ),
    (re.compile(r"(?i)system not yet initialized|CUDA_ERROR_SYSTEM_NOT_READY|cudaErrorSystemNotReady"), "fabric:down"),
    (re.compile(r"(?i)GPU is lost|device lost|DEVICE_UNAVAILABLE.*lost"), "gpu:lost"),
    (re.compile(r"(?i)uncorrectable NVLink|NVLINK_UNCORRECTABLE|NvlinkUncorrectable"), "cuda:nvlink"),
    (re.compile(r"(?i)busy or unavailable|cudaErrorDevicesUnavailable|CUDA_ERROR_DEVICE_UNAVAILABLE"), "cuda:busy"),
    (re.compile(r"(?i)no kernel image|NO_BINARY_FOR_GPU|NoKernelImageForDevice"), "cuda:no_kernel_image"),
    (
        re.compile(r"(?i)invalid device ordinal|cudaErrorInvalidDevice\b|CUDA_ERROR_INVALID_DEVICE"),
        "cuda:invalid_device",
    ),
    (re.compile(r"(?i)OS call failed|OPERATING_SYSTEM|ErrorOperatingSystem"), "cuda:os_error"),
    (re.compile(r"(?i)operation not supported|NOT_SUPPORTED|ErrorNotSupported"), "cuda:not_supported"),
    (
        re.compile(
            r"(?i)unknown error|CUDA_ERROR_UNKNOWN|cudaErrorUnknown|initialization error|ErrorInitializationError"
        ),
        "cuda:unknown",
    ),
)
_NUMBERS = {
    2: "cuda:oom",
    3: "cuda:unknown",
    35: "cuda:driver_insufficient",
    39: "cuda:ecc",
    46: "cuda:busy",
    100: "cuda:no_device",
    101: "cuda:invalid_device",
    209: "cuda:no_kernel_image",
    214: "cuda:ecc",
    220: "cuda:nvlink",
    302: "cuda:no_driver",
    303: "cuda:no_driver",
    304: "cuda:os_error",
    721: "cuda:contained",
    801: "cuda:not_supported",
    802: "fabric:down",
    803: "cuda:driver_insufficient",
    804: "cuda:driver_insufficient",
    999: "cuda:unknown",
}


def _refine(fields: Fields) -> Fields | None:
    error = fields.get("error", "")
    if error.startswith(("(", "cudaSuccess")) and "err" not in error.lower():
        return None
    number = fields.get("number", "")
    told = _NUMBERS.get(int(number)) if number.isdecimal() else None
    code = told or next((code for expression, code in _CODES if expression.search(error)), "cuda:error")
    return {**fields, "code": code}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "nccl:nvls_failed",
        ("NVLS", "nvls.cc"),
        (
            r"NCCL WARN .*?(?P<reason>.*(?:bind|allocate|create|map|[Aa]lloc).{0,40}(?:NVLS|[Mm]ulticast).*"
            r"|.*NVLS.{0,60}(?:failed"
            r"|error).*)|nvls\.cc:\d+ NCCL WARN (?P<reason2>(?:Cuda|CUDA) failure.*)"
        ),
        on_job,
    ),
    Pattern(
        "",
        ("unhandled cuda error", "ncclUnhandledCudaError", "Cuda failure"),
        r"(?P<error>Cuda failure (?:(?P<number>\d+) )?'[^']*'|unhandled cuda error|ncclUnhandledCudaError)",
        on_job,
        refine=_refine,
    ),
    Pattern(
        "",
        ("NCCL WARN hip", "NCCL WARN HIP", "HW Exception by GPU", "Memory access fault by GPU", "HSA_STATUS_ERROR"),
        (
            r"NCCL WARN (?P<error>hip[A-Z]\w+ failed.*|HIP failure.*)|(?P<error2>HW Exception by GPU "
            r"node-(?P<gpu_index>\d+).*|Memory access fault by GPU node-\d+.*|HSA_STATUS_ERROR\w*)"
        ),
        on_job,
        refine=lambda f: _refine({**f, "error": f.get("error") or f.get("error2", "")}),
        joins=20,
    ),
    Pattern(
        "cuda:oom",
        (
            "CUDA out of memory",
            "OutOfMemoryError",
            "HIP out of memory",
            "RESOURCE_EXHAUSTED",
            "OOM when allocating",
            "ut of memory allocating",
            "ut of memory while trying to allocate",
        ),
        (
            r"(?:CUDA out of memory|HIP out of memory|(?:torch|cuda)\.OutOfMemoryError|RESOURCE_EXHAUSTED: .*[Oo]ut of"
            r" memory|OOM when allocating tensor|[Oo]ut of memory (?:allocating|while trying to allocate) \d+)"
            r"(?:.*?[Tt]ried to allocate "
            r"(?P<wanted>[\d.]+ \w+))?(?:.*?\bGPU (?P<gpu_index>\d+))?"
        ),
        on_job,
    ),
    Pattern(
        "",
        ("cudaGetDeviceCount", "NumCudaDevices", "CUDA initialization", "CUDA driver initialization failed"),
        r"(?:Error (?P<number>\d+): ?|CUDA initialization: )(?P<error>(?!Unexpected).+)|(?P<error2>CUDA driver "
        r"initialization failed.*)",
        on_job,
        refine=lambda f: _refine({**f, "error": f.get("error") or f.get("error2", "")}),
        joins=2,
    ),
    Pattern(
        "",
        (
            "CUDA error",
            "CUDA runtime error",
            "API error",
            "CUDA driver error",
            "cudaError",
            "CUDA_ERROR_",
            "CUDA failure",
            "CUDA Error",
            "HIP error",
            "hipError",
        ),
        (
            r"(?:(?:CUDA|HIP) (?:(?:[Rr]untime|[Dd]river) (?:API )?)?(?:[Ee]rror|failure)(?: ?\(?(?:code )?"
            r"(?P<number>\d+)\)?)?:? (?:in .*?: )?|(?=\b(?:cudaError[A-Z]|hipError[A-Z]|CUDA_ERROR_)))(?P<error>.+)"
        ),
        on_job,
        refine=_refine,
    ),
    Pattern(
        "cuda:no_driver",
        (
            "failed call to cuInit: UNKNOWN ERROR (30",
            "kernel driver does not appear to be running",
            "libcuda.so",
            "no NVIDIA driver on your system",
            "NVIDIA Driver was not detected",
            "Failed to detect NVIDIA driver",
        ),
        (
            r"(?P<error>failed call to cuInit: UNKNOWN ERROR \(30[23]\)|kernel driver does not appear to be running on "
            r"this host.*|libcuda\.so\S*: cannot open shared object file.*|Found no NVIDIA driver on your system.*"
            r"|NVIDIA Driver was not detected.*|Failed to detect NVIDIA driver.*)"
        ),
        on_job,
        joins=20,
    ),
    # What the entry point of NVIDIA's containers writes before the program starts.
    Pattern(
        "",
        ("but CUDA failed to initialize", "Unable to read CUDA capable devices", "[["),
        r"(?:\[\[ ?(?P<error>[A-Z].*?) \(error (?P<number>\d{1,3})\) ?\]\]|Unable to read CUDA capable devices"
        r"\. Return status: (?P<number2>\d{1,3}))",
        on_job,
        refine=lambda f: _refine({"error": f.get("error", ""), "number": f.get("number") or f.get("number2", "")}),
        joins=2,
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
            "the launch timed out",
        ),
        (
            r"(?P<error>an illegal memory access was encountered|device-side assert triggered"
            r"|unspecified launch failure|misaligned address|an illegal instruction was encountered"
            r"|the launch timed out and was terminated)"
        ),
        on_job,
    ),
    Pattern(
        "",
        (
            "No CUDA GPUs are available",
            "no CUDA-capable device",
            "CUDA unknown error",
            "all CUDA-capable devices are busy",
            "invalid device ordinal",
            "no kernel image is available",
            "system not yet initialized",
            "system has unsupported display driver",
            "No supported GPU(s) detected",
        ),
        (
            r"(?P<error>No supported GPU\(s\) detected to run.*|system has unsupported display driver.*"
            r"|No CUDA GPUs are available|no CUDA-capable device is detected|CUDA unknown error"
            r"|all CUDA-capable devices are busy or unavailable|invalid device ordinal"
            r"|no kernel image is available.*|system not yet initialized)"
        ),
        on_job,
        refine=lambda f: (
            {**f, "code": "cuda:no_device"} if f["error"].startswith(("No CUDA GPUs", "No supp")) else _refine(f)
        ),
    ),
    Pattern(
        "cuda:driver_insufficient",
        (
            "driver version is insufficient",
            "NVIDIA driver on your system is too old",
            "orward compatibility was attempted",
            "kernel version 4",
            "does not match DSO version",
            "was built for NVIDIA Driver Release",
            "compatibility mode is UNAVAILABLE",
        ),
        (
            r"(?P<error>CUDA driver version is insufficient.*|The NVIDIA driver on your system is too old.*"
            r"|forward compatibility was attempted.*|kernel version .* does not match DSO version.*"
            r"|ERROR: .* was built for NVIDIA Driver Release.*|.*compatibility mode is UNAVAILABLE.*)"
        ),
        on_job,
    ),
    Pattern(
        "cuda:error",
        ("CUBLAS_STATUS_", "CUDNN_STATUS_", "CUSOLVER_STATUS_", "CUFFT_", "CUSPARSE_STATUS_"),
        r"(?P<error>(?:CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_(?!SUCCESS)\w+|CUFFT_(?!SUCCESS)[A-Z_]+)",
        on_job,
    ),
)
