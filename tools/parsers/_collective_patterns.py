"""What the communication of a GPU job writes: NCCL and RCCL, the watchdog of PyTorch, its stores, gloo.

Known: NCCL 2.4 to 2.27, PyTorch 1.8 to 2.8. MPI and UCX are in `_mpi_patterns`.
"""

from __future__ import annotations

from tools.parsers import _mpi_patterns, _notice_patterns
from tools.parsers._mpi_patterns import NET_REASONS
from tools.parsers._patterns import Fields, Pattern, on_job

_WC_ERRORS = {
    "5": "flush",
    "9": "remote_invalid_request",
    "10": "remote_access",
    "12": "retry_exceeded",
    "13": "rnr_retry_exceeded",
}
"""ibv_wc_status numbers of libibverbs that NCCL prints."""


def _refine_completion(fields: Fields) -> Fields | None:
    return {**fields, "meaning": _WC_ERRORS.get(fields.get("status", ""), "other")}


def _refine_registration(fields: Fields) -> Fields | None:
    # A call that only this host answers: memory that may not be locked, a device that is not given to the job.
    no_memory = "annot allocate memory" in fields["reason"] or "RC: 12" in fields["reason"]
    return {**fields, "code": "limit:memory_lock" if no_memory else "nccl:registration_failed"}


_LOCAL = (
    Pattern(
        "",
        ("ibv_", "egister memory", "fi_mr_reg", "ibv_reg_mr"),
        (
            r"(?:NCCL (?:WARN|INFO).*?|UCX +(?:ERROR|WARN|DIAG) +)(?P<reason>(?:Call to )?(?:wrap_)?ibv_(?:reg_\w*mr\w*"
            r"|create_cq|create_qp|alloc_pd|open_device|get_device_list|query_(?:device|port|gid))\b.*fail.*"
            r"|.*[Uu]nable to register memory.*|.*fi_mr_reg\w* .*fail.*)"
        ),
        on_job,
        refine=_refine_registration,
    ),
)

_NCCL = (
    Pattern(
        "nccl:network_error",
        ("Got completion",),
        (
            r"Got completion (?:from peer (?P<peer>\S+) )?with (?:error|status)[ =:]*(?:IBV_\w+)?\(?(?P<status>\d+)?"
            r"(?:.*?vendor[ _]err(?:=| )(?P<vendor_err>\d+))?"
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
        "nccl:network_error",
        ("ot completion with error",),
        r"mlx\d+: (?P<host>\S+): (?P<reason>got completion with error)",
        on_job,
        joins=6,
    ),
    Pattern(
        "nccl:connect_retry",
        ("timed out, retrying", "refused, retrying"),
        r"NCCL INFO Call to (?P<call>connect) returned (?P<reason>Connection (?:timed out|refused)), retrying",
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
        ("NCCL WARN", "socketStartConnect", "socketPollConnect", "ncclSocket", "Net : "),
        (
            rf"(?:NCCL WARN|\b[sS]ocket\w{{1,40}}|\bNet :).*?(?:[Cc]all to (?P<call>\w+)|[Cc]onnect(?:ing)?)(?: to "
            rf"(?P<peer>\S+))?.*?(?P<reason>{NET_REASONS})"
        ),
        on_job,
    ),
    Pattern(
        "nccl:timeout",
        ("ollective operation timeout",),
        (
            r"(?:[Ww]atchdog c|C)aught collective operation timeout(?:: WorkNCCL\((?:SeqNum="
            r"(?P<seq>\d+), )?(?:OpType=(?P<op>\w+))?.*?(?:Timeout\(ms\)=(?P<timeout_ms>\d+))?\)(?: "
            r"ran for (?P<ran_ms>\d+) milliseconds)?)?"
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
            "watchdog hang",
            "watchdog got stuck",
            "Timeout at NCCL work",
            "Termination timeout",
            "may be stuck",
            "coordination service",
            "Barrier timed out",
        ),
        (
            r"(?P<reason>[Hh]eartbeat monitor timed out.*|ProcessGroupNCCL watchdog hang.*|watchdog got stuck for.*"
            r"|Timeout at NCCL work.*|Termination timeout .*exceeded.*|thread has been waiting for .*may be stuck.*"
            r"|has been set to ERROR in coordination service.*|Barrier timed out.*|error from coordination service.*"
            r"|due to a collective timeout(?: from"
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
            "ot all ranks join",
            "issing ranks",
            "ollective sequence number",
            "waiting for remainder of ranks",
            "ranks are stalled for",
        ),
        (
            r"(?P<reason>[Nn]ot all ranks join(?:ed|ing) collective.*|[Cc]ollective sequence number.*mismatch.*"
            r"|[Mm]issing ranks: .*|[Cc]ollective desync.*|[Dd]esync report.*|joined but didn't finish.*"
            r"|[Dd]etected mismatch between collectives.*|different collective.*"
            r"|waiting for remainder of ranks.{0,40}|ranks are stalled for.{0,60})"
        ),
        on_job,
    ),
    Pattern(
        "nccl:remote_error",
        (
            "ncclRemoteError",
            "remote process exited or there was a network error",
            "failed to recv, got 0 bytes",
            "remote server shutdown or crash",
        ),
        (
            r"(?P<reason>ncclRemoteError|remote process exited or there was a network error|failed to recv, got 0 bytes"
            r"|Did the remote server shutdown or crash)"
        ),
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
        (
            "ncclInvalidUsage",
            "ncclInvalidArgument",
            "ncclInternalError",
            "NCCL error",
            "NCCL failure",
            "NCCL operation nccl",
        ),
        r"(?P<reason>ncclInvalidUsage|ncclInvalidArgument|ncclInternalError"
        r"|NCCL (?:error|failure|operation nccl).{0,200}?(?:internal error|invalid usage|invalid argument"
        r"|unknown result code).*)",
        on_job,
    ),
    Pattern("nccl:ok", ("Init COMPLETE",), r"NCCL INFO.*?\bInit COMPLETE", on_job, refine=lambda f: f),
    Pattern(
        "nccl:connected",
        (" : Connected ", ": Connected to", "Connected all rings", "Connected all trees"),
        r"NCCL INFO (?:NET/\w+ ?: Connected\b|Connected all (?:rings|trees))",
        on_job,
        joins=40,
    ),
)

_NCCL_SETUP = (
    Pattern(
        "nccl:network_error",
        ("NET/OFI", "NET/UCX", "NET/Socket", "NET/Plugin", "libfabric"),
        (r"NCCL WARN NET/\w+ (?P<reason>.*(?:completed with error|failed|RC: -?\d+|[Uu]nreachable|timed? ?out).*)"),
        on_job,
    ),
    Pattern(
        "nccl:no_interface",
        (
            "no socket interface found",
            "No socket interface found",
            "No interface found",
            "No usable listening interface",
            "No device found",
            "network IB not found",
            "etwork AWS Libfabric not found",
            "network plugin",
            "find a protocol that worked",
        ),
        (
            r"NCCL WARN.*?(?P<reason>[Nn]o socket interface found.*|No interface found.*|No usable listening "
            r"interface.*"
            r"|NET/IB ?: No device found.*|NET/OFI Unable to find a protocol that worked.*"
            r"|.*network \S+(?: \S+)? not found.*)"
        ),
        on_job,
    ),
    Pattern(
        "nccl:usage_error",
        (
            "Duplicate GPU detected",
            "ismatch",
            "Message truncated",
            "invalid argument",
            "both on CUDA device",
            "has already checked in",
        ),
        (
            r"NCCL WARN.*?(?P<reason>Duplicate GPU detected.*|Mismatched collective.*|Message truncated.*"
            r"|.*ranks has already checked in|.*(?i:mismatch(?:ed)?\b.*(?:version|rank|count)|version mismatch).*)"
        ),
        on_job,
    ),
    Pattern(
        "limit:disk_space",
        ("shared memory segment", "posix_fallocate"),
        r"NCCL WARN.*?(?P<reason>(?:Error|Failed|failed).*shared memory segment.*|Call to posix_fallocate failed.*)",
        on_job,
    ),
    Pattern(
        "nccl:system_error",
        ("[Proxy Service", "Failed to execute operation", "Call to "),
        r"NCCL WARN.*?(?P<reason>Failed to execute operation.*|Call to \w+ failed.*|Call to \w+ returned.*"
        r"|.*Proxy.*(?:failed|error).*)",
        on_job,
    ),
    Pattern(
        "nccl:remote_error",
        ("NCCL WARN", "gloo/transport"),
        (
            r"NCCL WARN.*?(?P<reason>.*(?:peer.*(?:dead|closed|died)|processes dead|ranks? missing).*)"
            r"|gloo/transport\S+ "
            r"(?P<reason2>.*(?:[Cc]onnection (?:reset|closed) by.*|Broken pipe.*))"
        ),
        on_job,
    ),
    Pattern(
        "nccl:complaint",
        ("NCCL WARN",),
        (
            r"NCCL WARN (?!.*(?:NCCL_\w+ (?:set|is)|[Dd]eprecat|ignor|not supported|MTU|[Ff]allback|falling "
            r"back))(?P<reason>.*"
            r"(?:[Ff]ail|[Ee]rror|timed? ?out|[Cc]ould not|[Uu]nable|[Aa]bort|[Cc]annot|[Ii]nvalid).*)"
        ),
        on_job,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_notice_patterns.PATTERNS, *_LOCAL, *_NCCL, *_NCCL_SETUP, *_mpi_patterns.PATTERNS)
