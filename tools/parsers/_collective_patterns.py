"""What the communication of a GPU job writes: NCCL, the watchdog of PyTorch, gloo, MPI, UCX.

Known: NCCL 2.4 to 2.27, PyTorch 1.8 to 2.8, Open MPI 3 to 5, UCX 1.8 to 1.18.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, on_job

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


def _refine_completion(fields: Fields) -> Fields | None:
    return {**fields, "meaning": _WC_ERRORS.get(fields.get("status", ""), "other")}


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
        "nccl:remote_error",
        ("losed by remote peer",),
        r"[Cc]onnection closed by remote peer(?: (?P<peer>\S+))?",
        on_job,
    ),
    Pattern(
        "nccl:network_error",
        ("NCCL WARN", "socketStartConnect", "socketPollConnect", "ncclSocket"),
        (
            rf"(?:NCCL WARN|\b[sS]ocket\w{{1,40}}).*?(?:[Cc]all to (?P<call>\w+)|[Cc]onnect(?:ing)?)(?: to "
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
        ),
        (
            r"NCCL WARN.*?(?P<reason>[Nn]o socket interface found.*|No interface found.*|No usable listening "
            r"interface.*"
            r"|NET/IB ?: No device found.*|.*network \S+(?: \S+)? not found.*)"
        ),
        on_job,
    ),
    Pattern(
        "nccl:usage_error",
        (
            "Duplicate GPU detected",
            "Mismatched collective",
            "Message truncated",
            "ersion mismatch",
            "invalid argument",
            "both on CUDA device",
        ),
        (
            r"NCCL WARN.*?(?P<reason>Duplicate GPU detected.*|Mismatched collective.*|Message truncated.*|.*NCCL "
            r"version"
            r" mismatch.*)"
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

_NETWORK = (
    Pattern(
        "network:timeout",
        (
            "ransport retry count exceeded",
            "retry counter exceeded",
            "RETRY_EXC_ERR",
            "RETRY EXCEEDED ERROR",
            "RNR_RETRY",
            "WC_RESP_TIMEOUT",
        ),
        (
            r"(?P<reason>[Tt]ransport retry (?:count|counter) exceeded|retry counter exceeded"
            r"|\w*RETRY_EXC_ERR|RETRY EXCEEDED ERROR|WC_RESP_TIMEOUT\w*)(?: on (?P<device>[\w:/.-]+))?"
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
            "daemon has unexpectedly failed",
            "unable to complete a TCP connection",
            "failed to TCP connect to a peer",
            "unable to reach each other",
            "PMIX ERROR",
            "PMIx",
        ),
        (
            rf"\b(?:btl_tcp\S{{0,80}}|oob_tcp\S{{0,80}}|ORTE|PRTE|PMI[Xx]).*?(?P<reason>{_NET_REASONS}|lost "
            rf"communication.*"
            rf"|unable to reliably start.*|daemon has unexpectedly failed.*|ERROR: (?:UNREACHABLE|LOST|TIMEOUT|COMM).*)"
            rf"|(?P<reason2>unable to complete a TCP connection.*|failed to TCP connect to a peer.*|unable to reach "
            rf"each other.*)"
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

_MPI = (
    Pattern(
        "network:timeout",
        ("client socket has", "endezvous", "TCPStore", "c10d store", "gloo connect", "connectFullMesh"),
        (
            r"(?P<reason>[Cc]lient socket has (?:timed out|failed to connect).*|RendezvousTimeout\w*"
            r"|RendezvousConnectionError.*"
            r"|connection to the C10d store has failed.*|(?:TCPStore|connectFullMesh).*(?:timed out|failed|refused).*)"
        ),
        on_job,
    ),
    Pattern(
        "job:precondition",
        (
            "not enough slots available",
            "no allocated resources for the application",
            "already filled",
            "unable to find the specified executable",
            "could not access",
            "binding more processes than",
            "attempt to run as root",
            "server socket has failed to",
            "ddress already in use",
            "EADDRINUSE",
            "launch the specified application",
            "No such file or directory: 'mpirun",
            "mapping policy",
        ),
        (
            r"(?P<reason>not enough slots available.*|no allocated resources for the application.*|All nodes which are "
            r"allocated"
            r".*already filled.*|unable to find the specified executable.*|unable to launch the specified application.*"
            r"|.*binding more processes than.*|attempt to run as root.*|server socket has failed to (?:bind|listen).*"
            r"|EADDRINUSE|Errno 98\].*[Aa]ddress already in use)"
        ),
        on_job,
        joins=6,
    ),
    Pattern(
        "limit:memory_lock",
        ("locked memory", "memlock", "ulimit -l"),
        r"(?P<reason>.*(?:allocate some locked memory|max locked memory|ulimit -l|locked memory limit).*)",
        on_job,
        joins=6,
    ),
    Pattern(
        "network:timeout",
        ("OpenFabrics", "openib", "ibv_open_device", "fi_", "UCX  WARN", "error polling"),
        (
            r"(?P<reason>error initializing an OpenFabrics device|error polling [HL]P CQ with status.*|OpenFabrics "
            r"\(openib\) BTL"
            r" failed to initialize.*)"
        ),
        on_job,
        joins=6,
    ),
    Pattern(
        "job:failed",
        (
            "non-zero exit code",
            "BAD TERMINATION",
            "Fatal error in ",
            "on node ",
            "non-zero status",
            "Abort(",
        ),
        (
            r"(?P<reason>process returned\s+a non-zero exit code.*|exited with non-zero status.*|BAD TERMINATION OF "
            r"ONE OF.*"
            r"|Fatal error in P?MPI_\w+.*|Abort\(\d+\) on node \d+.*)"
        ),
        on_job,
        joins=6,
    ),
    Pattern(
        "job:killed",
        ("KILLED BY SIGNAL", "received signal", "Signal: "),
        r"(?P<reason>KILLED BY SIGNAL: (?P<signal>\d+)|\*\*\* Process received signal \*\*\*|Signal: (?P<name>\w+ \w*) "
        r"?\((?P<signal2>\d+)\))",
        on_job,
        joins=6,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_NCCL, *_NCCL_SETUP, *_NETWORK, *_MPI)
