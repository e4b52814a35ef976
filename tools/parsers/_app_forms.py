"""Heads of lines that programs write: NCCL, glog, rank prefixes, Slurm, fabric manager; and the job they belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tools.parsers._kernel_forms import Head
from tools.parsers._moments import MONTHS, guess_year, local_moment, wall_seconds
from tools.parsers._patterns import Fields
from tools.types import NO_MOMENT, Moment

_RANK = re.compile(r"^\[(?:default|rank|Rank )(?P<rank>\d+)\]:? ?|^(?P<label>\d{1,6}): (?=\[|[\w.-]+:\d+:\d+ \[)")
_LAUNCHER_HOST = re.compile(
    r"^(?P<host>[A-Za-z][\w.-]{0,252}): ?"
    r"(?=(?:\d{1,6}: )?(?:\[(?:default|rank|Rank )\d+\]|[\w.-]+:\d+:\d+ \[|\[[IWEF]\d{4} ))"
)
"""What pdsh and launchers put before the line of a rank; only where such a line follows."""
_INNER_RANK = re.compile(r"\[(?:PG (?:ID )?(?P<group>[^\s\]]{1,40})[^\]]{0,80}? )?[Rr]ank ?(?P<rank>\d+)\]")
_HEAD_CHARACTERS = 300
_GLOG = re.compile(
    r"^\[?(?P<level>[IWEF])(?P<month>\d\d)(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d)\.(?P<fraction>\d+) +"
    r"(?:\d+ )?(?P<file>[\w./-]+:\d+)\] ?"
)
_GLOG_BARE = re.compile(r"^\[?[IWEF](?:\d{4})? +(?P<file>[\w./-]+:\d+)\] ?")
_BARE_TAG = re.compile(r"^(?P<tag>[A-Za-z][\w.@-]{1,40})\[\d+\]: (?=\S)")
_NCCL = re.compile(
    r"^(?:\[\d{1,6}\] )?(?:(?P<host>[\w.-]+):(?P<pid>\d+):(?P<tid>\d+) )?\[(?P<gpu_index>\d+)\] ?"
    r"(?=.*NCCL|INFO )"
)
"""Behind the rank that a launcher puts first; without the host where a person cut it off."""
_STAMP = re.compile(
    r"^\[(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]?\d) (?P<year>\d{4}) (?P<clock>\d\d:\d\d:\d\d)\] ?(?=\[[A-Z]+\] \[tid )"
)
_BRACKETED = re.compile(
    r"^\[(?P<date>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,:](?P<fraction>\d+))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\] ?"
)
_LEVEL_FIRST = re.compile(
    r"^(?:\([^)]*\) )?(?P<level>INFO|WARNING|ERROR|CRITICAL|DEBUG) (?P<month>\d\d)-(?P<day>\d\d) "
    r"(?P<clock>\d\d:\d\d:\d\d) "
)
_CLOCKED = re.compile(
    r"^\d\d:\d\d:\d\d(?:[.,]\d{1,6})?[ |]+"
    r"\[?(?P<level>INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|DEBUG)\]?[ :|]+(?=\S)"
)
"""A time of the day and a level, as installers and many programs write them."""
_PYTHON = re.compile(r"^(?P<level>INFO|WARNING|ERROR|CRITICAL|DEBUG):(?P<logger>[A-Za-z_][\w.-]{0,60}):")
_SERVER = re.compile(r"^(?:\([\w .=-]{1,80}\) )?(?P<level>INFO|WARNING|ERROR|CRITICAL|DEBUG): {2,}(?=\S)")
"""What uvicorn writes, and vLLM before it: ``INFO:     10.0.3.7:51234 - "POST …``."""
_WORKER = re.compile(r"^\[(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(?P<rank> [DPTE]P\d+)*\] ?")
"""Worker of SGLang: ``[15:58:39 TP0]``, ``[2025-04-21 07:28:41 DP1 TP3]``."""
_KEYED = re.compile(
    r"^(?:time|ts)=\"?(?P<date>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\"? level=\"?(?P<level>\w+)\"? "
)
"""Keys and values as logrus and other Go loggers write them."""
_GO = re.compile(
    r"^(?:(?P<host>[\w.-]+): )?(?P<date>\d{4}/\d\d/\d\d) (?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))? "
)
"""Time as the log of Go's standard library writes it, behind the host that `talosctl logs` puts first."""
_EVENT = re.compile(
    r"^\s*(?:\d+[smhd]\S*\s+)?(?:Normal|Warning) {2,}[A-Z]\w+ {2,}\S"
    r"|^\s*(?:LAST SEEN|Type) {2,}(?:TYPE|Reason) "
)
"""A row of `kubectl get events` or of the events of `kubectl describe`, or their head."""
_SCHEDULER = re.compile(r"^(?:srun|salloc|sbatch|slurmstepd|slurmctld|slurmd|slurmdbd|scancel)(?:-\S+)?(?:\[\d+\])?: ")
_RAY = re.compile(r"^\((?:raylet|autoscaler|gcs_server|[A-Za-z_]\w{1,60} pid=\d+)(?:, ip=[\d.]+)?\) ")
_PLAIN = re.compile(r"^\S+\.py:\d+: \w*Warning: |^  warnings\.warn\(|^\{'\w+': [\d.-]")
"""What Python warns about, and the numbers of a step as trainers print them."""
_LABEL_JOB = re.compile(
    r"(?:^|[/_.-])(?:slurm|job|jobid)[-_.]?(?P<job>\d{2,})(?:[_.+-]\w+)*$"
    r"|(?:^|/)(?P<only>\d{4,})\.(?:out|err|log)$"
)
SCHEDULER_LINE = re.compile(r"^(?:slurmstepd|slurmd|srun)(?:-[\w.-]+)?(?:\[\d+\])?: ")
"""What Slurm itself writes into the output of a job: the usual place for it."""
_INLINE_JOB = re.compile(
    r"\b(?:JobId|JobID|job_id|jobid|job id|SLURM_JOB_ID|SLURM_JOBID|StepId|[Jj]ob|JOB|STEP)[ =:#]{1,2}(?P<job>\d{2,})\b"
)
_JOB_PARTS = ("ob", "OB", "Step", "STEP")
"""One of them stands in every word for a job; looking for them costs less than the expression."""
_TRACEBACK = re.compile(
    r"^(?:Traceback \(most recent call last\)|  File \"|During handling of the above|The above exception)"
)

_TITLED = re.compile(
    r"^(?:\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] )?\[[A-Z][\w .-]{1,30}\] ?"
    r"\[(?:INFO|WARNING|ERROR|DEBUG|VERBOSE|[IWEDV])\] "
)
"""A program's title and a level, as TensorRT and TensorRT-LLM write them."""

_METRIC = re.compile(r"^(?:# (?:HELP|TYPE) [a-zA-Z_:][\w:]* \S|[a-zA-Z_:][\w:]*\{\w+=\"[^\n]*\} -?[\d.]+)")
"""A metric as Prometheus reads it, and what stands before it."""

_ROCM = re.compile(
    r"^(?:={6,} +(?:End of )?ROCm S|(?:GPU|Device) +(?:Node +IDs|Temp +(?:AvgPwr|Power))"
    r"|\d{1,2} +[\d.]+c +[\d.]+W +\d+Mhz)"
)
"""The concise table of rocm-smi: what it shows of a card is no more than that it answers."""

_WHOLE = (
    ("metric", _METRIC),
    ("rocm", _ROCM),
    ("titled", _TITLED),
    ("traceback", _TRACEBACK),
    ("event", _EVENT),
    ("scheduler", _SCHEDULER),
    ("python", _PLAIN),
)
"""Lines known by their beginning, which stays a part of the message."""

PAYLOAD_HEAD = re.compile(rb"^\[[A-Z][a-z]{2} [ \d]\d \d{4} \d\d:\d\d:\d\d\] \[\w+\] \[tid \d+\]")
"""Head of the fabric manager, whose messages may go on for lines without a head of their own."""
MAX_PAYLOAD_LINES = 12
"""Most lines of one message (a guess): what goes on longer is something else."""


@dataclass(frozen=True, slots=True)
class AppHead:
    """What a program's own head tells.

    Attributes:
        head: The line's head with moment and node filled in where the program told them; text without the head.
        fields: rank, pid, gpu_index, level, job.
        form: Name of the form; empty where the line has no head of a program.
    """

    head: Head
    fields: Fields = field(default_factory=dict)
    form: str = ""


_Step = tuple[Head, Fields, str]


def read_app_head(head: Head) -> AppHead:
    """Read what stands before a program's message, behind whatever head the collector wrote."""
    fields: Fields = {}
    forms: list[str] = []
    for _ in range(5):  # a host, a rank prefix, a time, NCCL's own prefix: in any order, each at most once
        step = _read_step(head)
        if step is None:
            break
        head, new, form = step
        for name, value in new.items():
            fields.setdefault(name, value)
        forms.append(form)
    if not forms and (known := next((form for form, regex in _WHOLE if regex.match(head.text)), "")):
        forms.append(known)
    start = head.text[:_HEAD_CHARACTERS]
    if "ank" in start and (inner := _INNER_RANK.search(start)) is not None:
        fields.update({name: value for name, value in inner.groupdict().items() if value is not None})
    if any(part in start for part in _JOB_PARTS) and (job := _INLINE_JOB.search(start)) is not None:
        fields.setdefault("job", job["job"])
    return AppHead(head, fields, "+".join(forms))


def _read_step(head: Head) -> _Step | None:
    first = head.text[:1]
    for reader in _LOWER_READERS if "a" <= first <= "z" else _READERS:
        if (made := reader(head)) is not None:
            return made
    return None


_OF_PROGRAMS = frozenset({"rank", "python logging", "glog", "nccl", "vllm", "server"})


def is_of_program(form: str) -> bool:
    """Say whether a head that :func:`read_app_head` found is one that only programs of users and services write."""
    return not _OF_PROGRAMS.isdisjoint(form.split("+"))


def job_of_label(label: str) -> str:
    """Read the job from the name of its output file: ``slurm-4711.out``, ``job-4711.log``; empty where none."""
    stem = re.sub(r"\.(?:out|err|log|txt|gz)$", "", label)
    match = _LABEL_JOB.search(stem) or _LABEL_JOB.search(label)
    return (match["job"] or match["only"]) if match else ""


def _read_tag(head: Head) -> _Step | None:
    # A syslog line without its time and host, as people cut it: 'kubelet[881]: …'. The kernel never writes so.
    match = _BARE_TAG.match(head.text) if not head.tag and not head.form else None
    return (_cut(head, match)._replace(tag=match["tag"]), {}, "tag") if match else None


def _cut(head: Head, match: re.Match[str], moment: Moment = NO_MOMENT) -> Head:
    # The collector's own time and zone are surer than a program's wall clock without zone.
    kept = head.moment if head.moment.seconds is not None else moment
    return head._replace(text=head.text[match.end() :], moment=kept)


def _read_rank(head: Head) -> _Step | None:
    match = _RANK.match(head.text)
    if match is None:
        return None
    return _cut(head, match), {"rank": match["rank"] or match["label"]}, "rank"


def _read_launcher_host(head: Head) -> _Step | None:
    # A collector's head names the host already; what follows it is the program.
    match = None if head.node or head.tag else _LAUNCHER_HOST.match(head.text)
    return (_cut(head, match)._replace(node=match["host"]), {}, "launcher") if match else None


def _read_glog(head: Head) -> _Step | None:
    if (bare := _GLOG_BARE.match(head.text)) is not None:
        return _cut(head, bare), {"file": bare["file"]}, "glog"
    match = _GLOG.match(head.text)
    if match is None:
        return None
    month, day = int(match["month"]), int(match["day"])
    seconds = wall_seconds((guess_year(month, day), month, day), match["clock"], match["fraction"])
    moment = NO_MOMENT if seconds is None else Moment("local", seconds, year_known=False)
    return _cut(head, match, moment), {"file": match["file"]}, "glog"


def _read_nccl(head: Head) -> _Step | None:
    match = _NCCL.match(head.text) if "NCCL" in head.text or "] INFO " in head.text else None
    if match is None:
        return None
    fields = {name: match[name] for name in ("pid", "gpu_index") if match[name]}
    return _cut(head, match)._replace(node=match["host"] or head.node), fields, "nccl"


def _read_stamp(head: Head) -> _Step | None:
    match = _STAMP.match(head.text)
    if match is None or match["month"] not in MONTHS:
        return None
    moment = local_moment(match["month"], match["day"], match["year"], match["clock"], None)
    return _cut(head, match, moment), {}, "fabric manager"


def _read_bracketed(head: Head) -> _Step | None:
    match = _BRACKETED.match(head.text)
    if match is None:
        return None
    year, month, day = (int(part) for part in match["date"].split("-"))
    seconds = wall_seconds((year, month, day), match["clock"], match["fraction"])
    moment = NO_MOMENT if seconds is None else Moment("local", seconds)
    return _cut(head, match, moment), {}, "bracketed"


def _read_level_first(head: Head) -> _Step | None:
    match = _LEVEL_FIRST.match(head.text)
    if match is None:
        return None
    month, day = int(match["month"]), int(match["day"])
    seconds = wall_seconds((guess_year(month, day), month, day), match["clock"], None)
    moment = NO_MOMENT if seconds is None else Moment("local", seconds, year_known=False)
    return _cut(head, match, moment), {"level": match["level"]}, "vllm"


def _read_python(head: Head) -> _Step | None:
    match = _PYTHON.match(head.text)
    return (_cut(head, match), {"level": match["level"]}, "python logging") if match else None


def _read_clocked(head: Head) -> _Step | None:
    match = _CLOCKED.match(head.text)
    return (_cut(head, match), {"level": match["level"]}, "clocked") if match else None


def _read_server(head: Head) -> _Step | None:
    match = _SERVER.match(head.text)
    return (_cut(head, match), {"level": match["level"]}, "server") if match else None


def _read_worker(head: Head) -> _Step | None:
    match = _WORKER.match(head.text)
    return (_cut(head, match), {}, "server") if match else None


def _read_keyed(head: Head) -> _Step | None:
    match = _KEYED.match(head.text)
    return (_cut(head, match, _iso(match)), {"level": match["level"]}, "keyed") if match else None


def _read_go(head: Head) -> _Step | None:
    match = _GO.match(head.text)
    if match is None:
        return None
    year, month, day = (int(part) for part in match["date"].split("/"))
    seconds = wall_seconds((year, month, day), match["clock"], match["fraction"])
    moment = NO_MOMENT if seconds is None else Moment("local", seconds)
    made = _cut(head, match, moment)
    return made._replace(node=head.node or match["host"] or ""), {}, "go"


def _iso(match: re.Match[str]) -> Moment:
    year, month, day = (int(part) for part in match["date"].split("-"))
    seconds = wall_seconds((year, month, day), match["clock"], match["fraction"])
    if seconds is None:
        return NO_MOMENT
    return Moment("utc" if match["zone"] == "Z" else "local", seconds)


def _read_ray(head: Head) -> _Step | None:
    match = _RAY.match(head.text)
    return (_cut(head, match), {}, "ray") if match else None


_READERS = (
    _read_tag,
    _read_python,
    _read_launcher_host,
    _read_rank,
    _read_glog,
    _read_nccl,
    _read_stamp,
    _read_bracketed,
    _read_level_first,
    _read_server,
    _read_clocked,
    _read_worker,
    _read_keyed,
    _read_go,
    _read_ray,
)
_LOWER_READERS = (_read_tag, _read_launcher_host, _read_nccl, _read_keyed, _read_go)
"""Those whose line can begin with a small letter; in the same order."""
