"""What the drivers of other GPUs print: amdgpu with its KFD, radeon, fglrx, nouveau, i915 and xe.

Known: kernels 2.6.32 to 6.14. Messages as `drivers/gpu/drm` prints them; only those that tell of a fault.
"""

from __future__ import annotations

from tools.parsers._patterns import BDF, Fields, Pattern, on_gpu

_AMD = rf"(?:amdgpu|radeon)(?: (?P<pci>{BDF}))?:? (?:amdgpu: )?(?:\[\w+\] )?"
_DRM = r"\[drm:\w[\w.]*(?: \[\w+\])?\] (?:\*ERROR\* )?"
_NOUVEAU = (
    rf"nouveau (?:(?P<pci>{BDF}): |[E!]\[ *(?:\w+|[^\s\[\]]{{1,32}}\[\d+\])\](?:\[(?P<pci2>{BDF})\])? |\[ *\w+\]\[\S+ )"
)
"""Since kernel 4.3 the address stands first; from 3.7 on a level and a unit do (``E[  PFIFO][0000:01:00.0]``)."""


def _refine_place(fields: Fields) -> Fields | None:
    # Two ways to spell the head are two groups; one address is left.
    return {**{k: v for k, v in fields.items() if k != "pci2"}, "pci": fields.get("pci") or fields.get("pci2", "")}


_NOUVEAU_PATTERNS = (
    Pattern(
        "",
        ("Pointer to ", "firmware unavailable"),
        rf"{_NOUVEAU}\w+: ?(?:Pointer to .* (?:invalid|not found)|firmware unavailable)",
        on_gpu,
        refine=lambda _: None,  # said at every start
    ),
    Pattern(
        "xid:{xid}",
        ("gsp: Xid:",),
        rf"nouveau (?P<pci>{BDF}): gsp: Xid:(?P<xid>[1-9]\d{{0,2}})\b ?(?P<rest>.*)",
        on_gpu,
    ),
    Pattern(
        "gpu:thermal",
        ("hit the 'critical'", "hit the 'shutdown'", "hit the 'downclock'"),
        rf"{_NOUVEAU}(?:therm: )?(?P<reason>temperature \(\d+ C\) hit the '\w+' threshold)",
        on_gpu,
        refine=_refine_place,
        joins=20,
    ),
    Pattern(
        "driver:firmware_missing",
        ("failed to load ", "load for nouveau/"),
        rf"{_NOUVEAU}(?:\w+: )?(?P<reason>failed to load \w+.*|Direct firmware load for nouveau/\S+ failed.*)",
        on_gpu,
        refine=_refine_place,
        joins=20,
    ),
    Pattern(
        "gpu:engine_failed",
        ("nouveau",),
        (
            rf"{_NOUVEAU}(?P<reason>.*(?:(?:init|ctor|create|construct)\w* failed,? -?\d+|failed to construct context"
            rf"|unknown chipset|failed to create \w+).*)"
            rf"|nouveau: probe of (?P<pci3>{BDF}) (?P<reason2>failed with error.*)"
        ),
        on_gpu,
        refine=lambda f: _refine_place({**f, "pci": f.get("pci") or f.get("pci3", "")}),
        joins=20,
    ),
    Pattern(
        "gpu:page_fault",
        ("nouveau",),
        (
            rf"{_NOUVEAU}(?P<reason>(?!bus: MMIO).*(?:fault \S+ \[|SCHED_ERROR|CACHE_ERROR|DMA_PUSHER|TRAP|killed"
            rf"|DATA_ERROR|ILLEGAL|(?:read|write) fault|gsp: rc engn).*)"
        ),
        on_gpu,
        refine=_refine_place,
        joins=20,
    ),
    Pattern(
        "gpu:ring_timeout",
        ("nouveau",),
        rf"{_NOUVEAU}(?P<reason>.*(?:[Ff]ailed to idle channel|timeout|timed out|GPU lockup).*)",
        on_gpu,
        refine=_refine_place,
        joins=20,
    ),
)

_HABANA = rf"habanalabs (?:hl(?P<minor>\d+)|(?P<pci>{BDF})): (?:\S+: )?"
_HABANA_PATTERNS = (
    Pattern(
        "gpu:init_failed",
        ("habanalabs",),
        rf"{_HABANA}(?P<reason>.*(?:Device is NOT usable"
        r"|[Ff]ailed to (?:initialize the H/W|load firmware|initialize hl)"
        r"|[Ff]ailed to (?:reset|resume) (?:the )?device|reset failed).*)",
        on_gpu,
        joins=20,
    ),
    Pattern(
        "driver:gsp_error",
        ("habanalabs",),
        rf"{_HABANA}(?P<reason>.*(?:heartbeat failed|communicate with Device CPU|CPU-CP timeout|CPU packet timeout"
        r"|failed to initialize CPU H/W queues|[Dd]evice CPU (?:is )?(?:stuck|not respond\w+)).*)",
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:ras_uncorrected",
        ("habanalabs",),
        rf"{_HABANA}(?P<reason>.*(?:[Dd]ouble[- ]bit|DERR|[Uu]ncorrectable|critical ECC|ECC DERR).*)",
        on_gpu,
        joins=20,
    ),
)

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
        ("ncorrectable hardware error", "ncorrectable error", "oison ", "aca entry["),
        (
            rf"{_AMD}(?P<reason>.*?\b[1-9]\d* (?:new )?uncorrectable hardware errors? detected.*"
            rf"|.*uncorrectable hardware error ?\(.*detected.*|.*aca entry\[\d+\]\.STATUS=0x[2367abef][0-9a-f]{{15}}"
            rf"|.*[Uu]ncorrectable error.*detected.*|.*[Pp]oison (?:is )?(?:created|consumed|consumption).*)"
        ),
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:ras_corrected",
        ("orrectable hardware errors detected", "aca entry["),
        rf"{_AMD}(?P<reason>.*?\b(?P<count>[1-9]\d*) (?:new )?correctable hardware errors? detected.*"
        rf"|.*aca entry\[\d+\]\.STATUS=0x[89cd][0-9a-f]{{15}})",
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:reset_failed",
        ("eset failed", "eset(", "Recovery Failed", "might be in unrecoverable", "might be in an unrecoverable"),
        (
            rf"{_AMD}(?P<reason>.*GPU reset(?:\(\d+\))? failed.*|.*GPU reset end with ret = -\d+.*"
            rf"|GPU Recovery Failed.*|.*might be in (?:an )?unrecoverable state.*)"
        ),
        on_gpu,
        joins=30,
    ),
    Pattern(
        "gpu:init_failed",
        (
            "GPU init",
            "test failed (",
            "of IP block <",
            "_ip_init failed",
            "testing IB on ",
            "isabling GPU acceleration",
        ),
        (
            rf"(?:{_AMD}|{_DRM})(?P<reason>Fatal error during GPU init|(?:radeon: |amdgpu: )?ring \S+ test failed .*"
            rf"|\w+_init of IP block <\w+> failed .*|amdgpu_device_ip_init failed|.*failed testing IB on .*"
            rf"|[Dd]isabling GPU acceleration.*)"
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
            "stalled for more than ",
            "GPU lockup ",
            "GPU softreset",
        ),
        (
            rf"(?:{_AMD}|{_DRM})(?P<reason>ring \S+ timeout,.*|.*fence wait loop timeout expired|GPU reset begin.*"
            rf"|ring \d+ stalled for more than .*|GPU lockup (?:CP stall|\().*|GPU softreset: .*"
            rf"|MES\S* failed to respon\w+.*)"
        ),
        on_gpu,
        joins=30,
    ),
    Pattern(
        "gpu:page_fault",
        ("page fault (src_id", "no-retry page fault", "VM fault (", "GPU fault detected: "),
        (
            rf"{_AMD}(?P<reason>(?:\[\w+\] )?(?:no-retry |retry )?page fault \(src_id.*|.*VM fault \(.*"
            rf"|GPU fault detected: .*)"
        ),
        on_gpu,
        joins=20,
    ),
    *_NOUVEAU_PATTERNS,
    *_HABANA_PATTERNS,
    Pattern(
        "gpu:thermal",
        ("over temperature range", "GPU SW CTF", "GPU HW CTF", "Critical Temperature Fault"),
        rf"{_AMD}(?:ERROR: |WARN: )?(?P<reason>GPU over temperature range.*|GPU HW Critical Temperature Fault.*"
        r"|System is going to shutdown due to GPU [SH]W CTF.*)",
        on_gpu,
        joins=30,
    ),
    Pattern(
        "gpu:firmware_busy",
        ("SMU: ", "SMU metrics", "end message 0x"),
        rf"{_AMD}(?P<reason>SMU: (?:I'm not done|No response|response:0x(?!0*1\b)).*|Failed to export SMU metrics.*"
        r"|[Ff]ailed to send message 0x.*)",
        on_gpu,
        joins=30,
    ),
    Pattern(
        "gpu:ring_timeout",
        (
            "GPU HANG",
            "Engine reset",
            "Hangcheck timer elapsed",
            "stuck on ",
            "ASIC hang happened",
            "Timedout job",
            "Resetting chip ",
        ),
        (
            rf"(?:(?:i915|xe) (?P<pci>{BDF}): |\[drm\] |{_DRM}|\[fglrx\] )(?:\[drm\] )?"
            rf"(?P<reason>.*?GPU HANG: .*|.*?Engine reset:.*|Hangcheck timer elapsed.*|stuck on \w+ ring.*"
            rf"|ASIC hang happened.*|.*Timedout job.*"
            rf"|Resetting chip (?:after|for) .*)"
        ),
        on_gpu,
        joins=20,
    ),
    Pattern(
        "gpu:display_stalled",
        ("flip_done timed out", "Waiting for fences timed out"),
        rf"(?:(?P<pci>{BDF}).*?)?(?P<reason>flip_done timed out|Waiting for fences timed out)",
        on_gpu,
        joins=30,
    ),
)
