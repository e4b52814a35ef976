"""What the NVIDIA drivers and the module loader print about the driver itself: versions, probing, assertions.

Known: driver branches 390 to 590, proprietary and open modules, nvidia-peermem.
"""

from __future__ import annotations

import re

from tools.parsers import _vendor_patterns
from tools.parsers._patterns import BDF, Fields, Pattern, on_gpu, on_node


def _refine_load(fields: Fields) -> Fields | None:
    module = fields.get("module", "")
    if module.startswith(("mlx", "ib_")):
        return {**fields, "code": "nic:driver"}
    return {**fields, "code": "driver:peermem"} if module in _PEER_MODULES else fields


def _refine_assertion(fields: Fields) -> Fields | None:
    # What an assertion quotes or waits for is the finding, where it names it.
    found = next((code for told, code in _ASSERTIONS if told.search(fields["assertion"])), None)
    return fields if found is None else {**fields, "code": found}


_ASSERTIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"NV_ERR_RESET_REQUIRED"), "gpu:reset_required"),
    (re.compile(r"NV_ERR_ECC_ERROR"), "cuda:ecc"),
    (re.compile(r"NV_ERR_INSUFFICIENT_POWER"), "gpu:power_missing"),
    (
        re.compile(r"GSP RPC timeout|GSP (?:has )?(?:crashed|halted|hung)|marked for reset @ kernel_gsp"),
        "driver:gsp_error",
    ),
)
"""Status names of the driver's `nvstatuscodes.h` that say more than that something failed."""
_PEER_MODULES = frozenset(
    {"nvidia_peermem", "nvidia-peermem", "nv_peer_mem", "nvidia_fs", "nvidia-fs", "gdrdrv", "nv_rsync_mem"}
)
"""Modules that lend GPU memory to others: GPUs work without them, transfers to adapters and disks do not."""

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "driver:api_mismatch",
        ("API mismatch",),
        (
            r"NVRM: API mismatch: (?:this|the)?.*?(?:client (?:'(?P<process>[^']*)' \(pid "
            r"(?P<pid>\d+)\)|has the version (?P<client_version>[\d.]+)))?(?:, but|$)"
        ),
        on_node,
        joins=0,
    ),
    Pattern(
        "driver:api_mismatch",
        ("has the version",),
        r"NVRM: has the version (?P<client_version>[\d.]+[\d]), but",
        on_node,
        joins=6,
        attaches=True,
    ),
    Pattern(
        "driver:api_mismatch",
        ("the version ", "module has the version"),
        r"NVRM: (?:this kernel module has )?the version (?P<kernel_version>[\d.]*\d)",
        on_node,
        joins=6,
        attaches=True,
    ),
    Pattern(
        "driver:library_mismatch",
        ("ersion mismatch",),
        r"(?i:Driver/library version mismatch)|NVML.*version mismatch",
        on_node,
    ),
    Pattern(
        "driver:not_loaded",
        (
            "couldn't communicate with the NVIDIA driver",
            "Driver Not Loaded",
            "river not loaded",
            "Module nvidia not found",
            "NVIDIA driver is not loaded",
        ),
        (
            r"couldn't communicate with the NVIDIA driver|(?i:NVML: Driver Not Loaded|NVIDIA driver "
            r"(?:is )?not loaded)|Module (?P<module>nvidia\S*) not found in directory "
            r"(?P<directory>\S+)"
        ),
        on_node,
    ),
    Pattern(
        "driver:load_failed",
        (
            "version magic",
            "disagrees about version of symbol",
            "Unknown symbol",
            "Key was rejected",
            "ey was rejected",
            "xec format error",
            "unsigned module loading",
            "unavailable key is rejected",
            "unsigned module is rejected",
        ),
        (
            r"(?:insert '|insmod: .*|modprobe: .*|^)?(?P<module>nvidia[\w-]*|nouveau|gdrdrv|mlx\d_core"
            r"|mlx\d_ib|ib_\w+|nv_peer_mem|nv_rsync_mem|amdgpu)\b'?:? .*?(?P<reason>version magic '[^']*' should be "
            r"'[^']*'|disagrees about version of symbol \S+|Unknown symbol \S+|[Kk]ey was rejected by "
            r"service|[Ee]xec format error|unsigned module)"
        ),
        on_node,
        refine=_refine_load,
    ),
    Pattern(
        "driver:load_failed",
        (
            "could not insert 'nvidia",
            "insmod nvidia",
            "nable to load the kernel module 'nvidia",
            "nable to build the NVIDIA",
            "failed for nvidia",
            "var/lib/dkms/nvidia",
            "modprobe nvidia",
        ),
        (
            r"could not insert '(?P<module>nvidia[\w-]*)': (?P<reason>.*)"
            r"|modprobe nvidia\S* (?P<reason3>failed with exit code [1-9]\d*)"
            r"|(?P<reason2>[Uu]nable to (?:load the kernel module 'nvidia|build the NVIDIA kernel module).*"
            r"|dkms .*failed for nvidia.*|Consult /var/lib/dkms/nvidia\S* for more information.*)"
        ),
        on_node,
        refine=_refine_load,
    ),
    Pattern(
        "driver:load_failed",
        ("Loading of ",),
        r"Loading of (?:unsigned module|module with unavailable key) is (?P<reason>rejected)",
        on_node,
    ),
    Pattern(
        "driver:device_taken",
        (
            "NVIDIA probe routine was not called",
            "NVIDIA devices probed",
            "graphics adapter probed",
            "another driver was loaded",
            "already bound to",
        ),
        (
            rf"NVRM: (?:GPU (?P<pci>{BDF}) )?(?P<reason>The NVIDIA probe routine was not called for (?P<unbound>\d+)"
            rf" device|No NVIDIA (?:devices|graphics adapter) probed"
            r"|This can occur when another driver was loaded|(?:is )?already bound to"
            rf" (?P<owner>[\w-]+))"
        ),
        on_node,
        joins=10,
    ),
    Pattern(
        "driver:unsupported_gpu",
        (
            "installed in this system is not supported",
            "installed in this system requires",
            "requires use of the NVIDIA open",
            "NVIDIA open kernel modules",
            "Legacy drivers",
            "legacy GPU",
            "NVIDIA driver will ignore",
        ),
        (
            rf"(?:NVRM: .*?(?P<pci>{BDF}).*)?(?P<reason>installed in this system (?:is not supported by"
            rf"|requires use of).*"
            rf"|requires use of the NVIDIA open kernel modules.*|is supported through the NVIDIA .* Legacy drivers.*"
            rf"|ignoring the legacy GPU.*)|NVRM: +(?P<reason2>.*NVIDIA driver will ignore.*)"
        ),
        on_node,
        joins=6,
    ),
    Pattern(
        "driver:probe_failed",
        ("NVIDIA probe routine failed", "NVIDIA devices were initialized", "NVIDIA adapters were initialized"),
        (
            r"NVRM: (?:The NVIDIA probe routine (?P<reason>failed) for "
            r"(?P<devices>\d+) device|None of the NVIDIA (?:graphics )?(?:adapters|devices) were "
            r"initialized)"
        ),
        on_node,
        joins=4,
        echoes=("gpu:bar_invalid",),
    ),
    Pattern(
        "driver:removed_in_use",
        ("zero usage count",),
        rf"NVRM: .*[Rr]emove device (?P<pci>{BDF}) with non-?zero usage count",
        on_gpu,
        joins=10,
    ),
    Pattern(
        "driver:suspend_failed",
        ("nv_pmops_", "nvidia_suspend", "PreserveVideoMemoryAllocations module", "System Power Management attempted"),
        (
            rf"(?:(?P<pci>{BDF}).*?)?(?P<reason>nv_pmops_\w+\S* .*returns -\d+|PreserveVideoMemoryAllocations module"
            rf" parameter is set.*|nvidia_suspend\w* .*fail.*)"
        ),
        on_node,
        joins=10,
    ),
    Pattern(
        "driver:uvm_fatal",
        ("Encountered a global fatal error", "Fatal UVM", "uvm encountered a"),
        r"nvidia-uvm: .*(?P<reason>(?:Encountered a global fatal error|Fatal UVM|uvm encountered a).*)",
        on_node,
        joins=10,
    ),
    Pattern(
        "driver:probe_failed",
        ("failed with error -",),
        (
            rf"\bnvidia(?:: probe of| (?=\S+: probe)) ?(?P<pci>{BDF}):?(?: probe)?(?: with driver "
            rf"nvidia)? failed with error (?P<error>-\d+)"
        ),
        on_gpu,
        echoes=("gpu:bar_invalid",),
    ),
    Pattern(
        "driver:firmware_missing",
        ("irect firmware load for nvidia", "SP firmware image", "gsp_ga10x.bin", "gsp_tu10x.bin"),
        (
            rf"(?:nvidia (?P<pci>{BDF}): )?(?P<reason>Direct firmware load for nvidia/(?!\S*_log_)\S+ failed.*"
            r"|.*GSP firmware image .*(?:not found|failed|could not).*)"
        ),
        on_node,
    ),
    Pattern(
        "driver:platform_notice",
        (
            "PRH failed",
            "pfmreqhndlr",
            "PlatformRequestHandler",
            "Power Source change event",
            "falling back to PCIe virtual",
            "gsp_log_",
            "Chipset Setup Function Error",
        ),
        (
            r"(?:NVRM: .*|nvidia \S+: )(?P<reason>PRH failed.*|pfmreqhndlr\w+: .*|PlatformRequestHandler.*"
            r"|Failed to handle Power Source change event.*|Failed to enable MSI; falling back.*"
            r"|.*\bgsp_log_\S+ failed, error.*|Failed to load gsp_log_.*)"
            r"|NVRM.*?(?P<reason2>Chipset Setup Function Error)"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "driver:assertion",
        ("nvCheckOkFailed", "nvCheckFailed", "Check failed: ", "bad register read"),
        r"NVRM: .*?(?P<assertion>Check failed: .*|Possible bad register read.*)",
        on_node,
        joins=3,
    ),
    Pattern(
        "driver:probe_failed",
        (
            "request_mem_region failed",
            "pci_enable_device failed",
            "can't enable device: BAR",
            "device not available (can't",
        ),
        (
            rf"(?:NVRM|nvidia).*?(?:(?P<pci>{BDF}).*?)?(?P<reason>request_mem_region failed.*"
            rf"|pci_enable_device failed.*|can't enable device: BAR.*|device not available \(can't reserve.*)"
        ),
        on_node,
        joins=4,
    ),
    Pattern(
        "gpu:bar_invalid",
        ("no space for [mem", "failed to assign [mem", "can't assign; no space", "no space for"),
        rf"nvidia (?P<pci>{BDF}): (?P<reason>BAR \d+.*(?:no space for|failed to assign|can't assign).*)",
        on_gpu,
    ),
    Pattern(
        "driver:peermem_context",
        ("ERROR detected invalid context",),
        r"nvidia[-_]peermem.*detected invalid context",
        on_node,
    ),
    Pattern(
        "driver:assertion",
        ("nvAssert", "Assertion failed", "assertion failed"),
        r"NVRM: (?:GPU(?P<gpu_number>\d+) )?.*?(?P<assertion>[Aa]ssertion failed: .*)",
        on_node,
        refine=_refine_assertion,
    ),
    Pattern(
        "driver:gsp_error",
        ("GSP", "kgsp"),
        (
            rf"NVRM: (?!.*_kgspLogXid).*?(?:(?P<pci>{BDF}).*?)?(?P<reason>GSP (?:RPC|RM control).*?(?:failed|timed?"
            rf" ?out)|rpc.*?timeout|_?kgsp\w+: .*(?i:fail|timed? ?out|unexpected|lockdown|crash|error).*"
            rf"|_kgspRpc\w+: .*|\*+ GSP Timeout \*+|GSP-CrashCat Report.*|GSP-?RM .*(?:crash|halted|heartbeat).*)"
        ),
        on_gpu,
        joins=30,
        echoes=("xid:119", "xid:120"),
    ),
    Pattern(
        "driver:vgpu_error",
        ("vmiop_", "nvidia-vgpu-vfio]"),
        r"error: (?P<reason>vmiop_\w+: .*)|\[nvidia-vgpu-vfio\] (?P<reason2>.*\bfailed\b.*)",
        on_node,
        joins=40,
    ),
    *_vendor_patterns.PATTERNS,
)
