"""What the drivers of other GPUs print: amdgpu with its KFD, nouveau, i915 and xe.

Known: kernels 4.15 to 6.14. Messages as `drivers/gpu/drm` prints them; only those that tell of a fault.
"""

from __future__ import annotations

from tools.parsers._patterns import BDF, Pattern, on_gpu

_AMD = rf"amdgpu(?: (?P<pci>{BDF}))?:? (?:amdgpu: )?(?:\[\w+\] )?"
_DRM = r"\[drm:\w[\w.]*(?: \[amdgpu\])?\] (?:\*ERROR\* )?"

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "gpu:fallen_off_bus",
        ("lost from bus",),
        rf"(?:(?P<pci>{BDF}).*?)?(?P<reason>device lost from bus)",
        on_gpu,
    ),
    Pattern(
        "gpu:ras_corrected",
        (" 0 uncorrectable hardware", " 0 correctable hardware"),
        rf"{_AMD}.*\b0 (?:new )?(?:un)?correctable hardware errors",
        on_gpu,
        refine=lambda _: None,  # a count of nothing
    ),
    Pattern(
        "gpu:ras_uncorrected",
        ("ncorrectable hardware errors detected", "ncorrectable error", "oison "),
        (
            rf"{_AMD}(?P<reason>.*?\b[1-9]\d* (?:new )?uncorrectable hardware errors? detected.*"
            rf"|.*[Uu]ncorrectable error.*detected.*|.*[Pp]oison (?:is )?(?:created|consumed|consumption).*)"
        ),
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:ras_corrected",
        ("orrectable hardware errors detected",),
        rf"{_AMD}(?P<reason>.*?\b(?P<count>[1-9]\d*) (?:new )?correctable hardware errors? detected.*)",
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:reset_failed",
        ("eset failed", "eset(", "Recovery Failed", "GPU init"),
        (
            rf"{_AMD}(?P<reason>.*GPU reset(?:\(\d+\))? failed.*|.*GPU reset end with ret = -\d+.*"
            rf"|GPU Recovery Failed.*|Fatal error during GPU init)"
        ),
        on_gpu,
        joins=30,
    ),
    Pattern(
        "gpu:ring_timeout",
        (
            "timeout, signaled seq",
            "timeout, but soft recovered",
            "fence wait loop timeout",
            "GPU reset begin",
            "failed to respond to msg",
            "failed to response msg",
            "might be in an unrecoverable state",
        ),
        (
            rf"(?:{_AMD}|{_DRM})(?P<reason>ring \S+ timeout,.*|.*fence wait loop timeout expired|GPU reset begin.*"
            rf"|MES\S* failed to respon\w+.*|.*might be in an? unrecoverable state.*)"
        ),
        on_gpu,
        joins=30,
    ),
    Pattern(
        "gpu:page_fault",
        ("page fault (src_id", "no-retry page fault", "VM fault ("),
        rf"{_AMD}(?P<reason>(?:\[\w+\] )?(?:no-retry |retry )?page fault \(src_id.*|.*VM fault \(.*)",
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:page_fault",
        ("nouveau",),
        (
            rf"nouveau (?P<pci>{BDF}): (?P<reason>(?:fifo|gr|mmu|bus|disp)\w*:? .*(?:fault \S+ \[|SCHED_ERROR|TRAP"
            rf"|killed|DATA_ERROR|ILLEGAL).*|.*channel \d+ killed.*)"
        ),
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:ring_timeout",
        ("GPU HANG", "Engine reset", "nouveau"),
        (
            rf"(?:(?:i915|xe) (?P<pci>{BDF}): .*?(?P<reason>GPU HANG: .*|Engine reset:.*)"
            rf"|nouveau (?P<pci2>{BDF}): (?P<reason2>.*(?:failed to idle channel|timeout).*))"
        ),
        on_gpu,
        refine=lambda f: {**f, "pci": f.get("pci") or f.get("pci2", "")},
        joins=20,
    ),
)
