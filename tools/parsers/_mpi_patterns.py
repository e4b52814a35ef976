"""What MPI launchers, PMIx, UCX and rendezvous stores write when a job cannot start or loses a peer.

Known: Open MPI 3 to 5, MPICH and Intel MPI, UCX 1.8 to 1.18, libfabric 1.9 to 2.1, torchrun of PyTorch 1.8 to 2.8.
"""

from __future__ import annotations

from tools.parsers._patterns import Pattern, on_job

NET_REASONS = (
    r"Connection refused|No route to host|Connection timed out|Network is unreachable"
    r"|Connection reset by peer|Broken pipe|Host is down|timed out|Software caused connection abort"
)
"""How sockets say that a peer cannot be reached."""

_NETWORK = (
    Pattern(
        "network:timeout",
        ("t connect to ", "ot set up InfiniPath", "hfi unit", "hfi_userinit", "PSM2 ", "PSM_EP", "No InfiniPath"),
        r"(?P<reason>[Cc]ould ?n[o']t connect to (?P<peer>[\w.-]+), rank \d+\. Time elapsed.*"
        r"|PSM could not set up InfiniPath.*|PSM2? (?:was unable|can't|could not|timed out).*|hfi_userinit: .*failed.*"
        r"|PSM2?_EP_\w+ failed.*|No InfiniPath (?:device|port).*|[Nn]o hfi units are (?:active|available).*)",
        on_job,
        joins=10,
    ),
    # What the libraries of user-space networking write before they abort.
    Pattern("job:failed", ("PANIC in ",), r"^(?P<reason>PANIC in \w+\(\):.*)", on_job),
    Pattern(
        "network:timeout",
        ("libfabric:",),
        r"libfabric:\d+:(?:\d+:)?:?(?P<provider>[\w;]+):[\w-]+:\w+\(\):\d+<(?:warn|critical"
        r"|error)> (?P<reason>.*(?:err: "
        r"\d+, message: .*|[Uu]nresponsive|[Uu]nreachable|[Rr]eceiver not ready|[Rr]etry|[Tt]imed? ?out"
        r"|[Cc]onnection "
        r"(?:refused|reset|lost|closed)|[Cc]ompletion (?:with )?error|[Ii]nvalid (?:address|AHN?)|CQ error).*)",
        on_job,
        joins=6,
    ),
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
            r"|[Cc]onnection (?:failed|closed|refused)|no route|No route).*)"
        ),
        on_job,
    ),
    Pattern(
        "nccl:registration_failed",
        ("UCX",),
        (
            r"\bUCX\s+(?:ERROR|FATAL|WARN)\s+(?P<reason>(?!.*(?:[Cc]onnect|[Tt]imed? ?out|peer|endpoint))"
            r"(?:(?:[Ff]ailed|[Uu]nable) to (?:get|create|query|open|init\w*|alloc\w*|load|map|register|modify"
            r"|set)\b.*"
            r"|.*\b(?:transport|device|network device)s? '?[\w:.,-]+'?(?:, ?'?[\w:.,-]+'?)* (?:is|are) not "
            r"(?:available|supported).*|no usable transports?.*))"
        ),
        on_job,
        joins=6,
    ),
    Pattern(
        "nccl:complaint",
        ("UCX  ERROR", "UCX  FATAL", "pml_ucx.c"),
        r"(?:\bUCX\s+(?:ERROR|FATAL)\s+|\bpml_ucx\.c:\d+ +Error: )(?P<reason>(?!.*No space left)\S.*)",
        on_job,
        joins=6,
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
            rf"\b(?:btl_tcp\S{{0,80}}|oob_tcp\S{{0,80}}|ORTE|PRTE|PMI[Xx]).*?(?P<reason>{NET_REASONS}|lost "
            rf"communication.*"
            r"|unable to reliably start.*|daemon has unexpectedly failed.*|ERROR: (?:UNREACHABLE|LOST|TIMEOUT"
            r"|COMM).*)"
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
        (
            "client socket has",
            "failed to connect to ",
            "ssh: connect to host ",
            "endezvous",
            "TCPStore",
            "c10d store",
            "gloo connect",
            "connectFullMesh",
        ),
        (
            r"(?P<reason>ssh: connect to host \S+ port \d+: \w.*|failed to connect to (?:all addresses|'?ipv[46]:).*"
            r"|[Cc]lient socket has (?:timed out|failed to connect).*|RendezvousTimeout\w*"
            r"|RendezvousConnectionError.*"
            r"|connection to the C10d store has failed.*|(?:TCPStore|connectFullMesh).*(?:timed out|failed"
            r"|refused).*)"
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
            "please use one or more of: ",
        ),
        (
            r"(?P<reason>not enough slots available.*|network device '[^']*' is not available.*"
            r"|no allocated resources for the application.*|All nodes which are allocated.*already filled.*"
            r"|unable to find the specified executable.*|unable to launch the specified application.*"
            r"|.*binding more processes than.*|attempt to run as root.*|server socket has failed to (?:bind|listen).*"
            r"|EADDRINUSE|(?:\w+(?:Error|Exception): |[Ee]rrno:? ?98\b).{0,80}\b[Aa]ddress already in use)"
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
        "mpi:device_warning",
        ("an OpenFabrics device", "error in device init"),
        r"(?P<reason>error initializing an OpenFabrics device|help-mpi-btl-openib\.txt / error in device init)",
        on_job,
        joins=20,
    ),
    Pattern(
        "mpi:no_active_port",
        ("are no active ports detected",),
        r"(?P<reason>there are no active ports detected.*)",
        on_job,
        joins=20,
    ),
    Pattern(
        "network:timeout",
        ("OpenFabrics", "openib", "ibv_open_device", "fi_", "UCX  WARN", "error polling"),
        (
            r"(?P<reason>error polling [HL]P CQ with status.*|OpenFabrics "
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
        ("KILLED BY SIGNAL", "received signal", "Signal: ", "Caught signal ", "xit code 13", "xit code: 13", "xitCode"),
        (
            r"(?P<reason>KILLED BY SIGNAL: (?P<signal>\d+)|Caught signal \d+ \([^)]*\)"
            r"|\b[Ee]xit ?[Cc]ode\W{1,9}(?:137|139|134)\b|\*\*\* Process received signal \*\*\*"
            r"|Signal: (?P<name>\w+ \w*) ?\((?P<signal2>\d+)\))"
        ),
        on_job,
        joins=6,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_NETWORK, *_MPI)
