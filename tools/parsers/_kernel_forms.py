"""Heads of log lines: time, host and writer in every form that a kernel log is kept or pasted in.

Known: util-linux 2.20 to 2.40 (`dmesg`, `-T`, `-H`, `-x`, `-r`, `--time-format iso`), `/dev/kmsg`, syslog of
RFC 3164 and RFC 5424, rsyslog's file formats, systemd 219 to 256 (`journalctl` short, short-precise, short-iso,
short-full, short-monotonic, short-unix, json), `talosctl dmesg`, CRI and Docker prefixes, `grep` and `pdsh` prefixes,
mail quoting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import orjson

from tools.parsers._moments import iso_moment, local_moment, yearless_moment
from tools.parsers._writers import is_program_line
from tools.types import NO_MOMENT, Moment, Writer


class Head(NamedTuple):
    """What stands before the message of a line.

    Attributes:
        text: The message, without head; a user's program name stays as ``name: message``.
        form: Name of the form; empty for a bare line.
        tag: Program that a syslog line names.
    """

    text: str
    form: str = ""
    moment: Moment = NO_MOMENT
    node: str = ""
    writer: Writer = "unknown"
    tag: str = ""


MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DAY = r"[ 0-3]?\d"
CLOCK = r"\d\d:\d\d:\d\d"

ANY_HEAD = re.compile(
    (
        r"(?:<\d{1,3}>)?(?:"
        r"\[ *\d+\.\d+\]"
        rf"|\[(?:{_WEEKDAY} )?{MONTH} {_DAY} (?:\d{{4}} )?{CLOCK}"
        rf"|\[{MONTH}{_DAY} \d\d:\d\d\]|\[ *[+<]"
        rf"|{MONTH} {_DAY} (?:\d{{4}} )?{CLOCK}"
        rf"|\[?(?:{_WEEKDAY} )?\d{{4}}-\d\d-\d\d[T ]{CLOCK}"
        r"|\d+,\d+,\d+,[^;\n]*;|1 \d{4}-\d\d-|\d{10}\.\d{3,9} "
        r"|[a-z0-9]+ *:[a-z]+ *: |(?:[\w.-]+: )?kern: +[a-z]+: \["
        r"|(?:-|[A-Z][A-Z0-9_]+) \d{9,10} \d{4}\.\d\d\.\d\d "
        r"|\d{1,9} [\w.-]+ [\w.]+ [\w.-]+ \d{9,10} [01] "
        r"|\[[IWEF]\d{4} \d\d:|[\w.-]+:\d+:\d+ \[\d+\]|-- "
        r")"
    ).encode()
)
"""Start of a line whose form is known, for counting; :func:`split_head` reads it."""
_PLAIN_SYSLOG = re.compile(rf"^{MONTH} [ 0-3]\d {CLOCK} ")
_MONTH_LETTERS = frozenset("JFMASOND")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
_QUOTED = re.compile(r"^(?:[>|] ?)+")
_GREP = re.compile(
    r"^(?:\.{0,2}/)?[\w./-]*?(?:\.(?:log|txt|out|err)|messages|syslog|dmesg|kern)(?:[-.]\d[\w.-]*)?:(?:\d+:)?(?! )"
)
_NUMBERED = re.compile(r"^(?:\[pod/[^\]]+\]|[\w.-]+\s+\|)\s?")
_PDSH = re.compile(
    rf"^(?P<node>[A-Za-z][\w.-]*): (?=\[ *\d+\.\d+\]|\[{_WEEKDAY} |{MONTH} {_DAY} {CLOCK}|\d{{4}}-\d\d-\d\d[T ])"
)
_CRI = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) [FP] ")
_PRIORITY = re.compile(r"^<(\d{1,3})>(?!1 \d{4}-)")
_FACILITY_LETTERS = frozenset("kumdaslnucf")
_COLUMNS = re.compile(
    r"^(?P<facility>kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local\d) *"
    r":(?:emerg|alert|crit|err|warn|notice|info|debug) *: ?"
)
_ISO = (
    r"(?P<date>\d{4}-\d\d-\d\d)(?P<gap>[T ])(?P<clock>\d\d:\d\d:\d\d)"
    r"(?:(?P<point>[.,])(?P<fraction>\d+))?"
    r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)(?![\w.-])| (?P<word>[A-Z]{2,5}(?= [\w.-]+ kernel: )))?"
)
_LOCAL = rf"(?P<month>{MONTH}) (?P<day>{_DAY}) (?:(?P<year>\d{{4}}) )?(?P<clock>{CLOCK})(?:\.(?P<fraction>\d+))?"
_CTIME = (
    rf"^\[{_WEEKDAY} (?P<month>{MONTH}) (?P<day>{_DAY}) (?P<clock>{CLOCK})(?:\."
    rf"(?P<fraction>\d+))? (?P<year>\d{{4}})\]"
    r"(?:\[ *[CT]\d+\])? ?"
)
_LOGREAD = (
    rf"^{_WEEKDAY} (?P<month>{MONTH}) (?P<day>{_DAY}) (?P<clock>{CLOCK}) (?P<year>\d{{4}}) (?P<facility>[a-z]+\d?)\."
    r"[a-z]+ (?P<tag>[\w./-]+)(?:\[\d+\])?: (?:\[ *\d+\.\d+\] ?)?"
)
"""OpenWrt's `logread`."""
_TAGGED = re.compile(
    r"^(?P<host>[\w.-]+) (?P<tag>[^\s\[\]:(]+(?:\([\w.-]+\))?)(?:\[(?P<pid>[\d.]+)\])?:(?:\s+|$)(?P<text>.*)$",
    re.DOTALL,
)
NO_HOST = re.compile(
    r"^(?:nvme|sd|sr|md|pcieport|pci|nvidia|mlx\d\w*|ib_\w+|EXT\d-fs|XFS|BTRFS|Buffer|EDAC|mce|usb|ata[\d.]+|scsi|task"
    r"|INFO|BUG|WARNING|WARN|ERROR|ERR|CRITICAL|CRIT|FATAL|DEBUG|NOTICE|TRACE|Out|Memory|Kernel|kernel|rcu|Lustre\w*"
    r"|LNet\w*|nfs|NFS|VFS|CPU\d*|Call|watchdog|NMI|block|blk_\w+|print_req_error|critical|I|libceph|ceph|RAS)$"
)
_KERNEL_STAMP = re.compile(r"^(?:kernel: )?\[ *(?P<seconds>\d+\.\d+)\](?:\[ *[CT]\d+\])?:? ?")
_BARE_KERNEL = re.compile(r"^(?:(?P<host>[\w.-]+) )?kernel: (?:\[ *\d+\.\d+\] ?)?")
_KERNEL_USER = re.compile(
    r"^(?:systemd|systemd-\w+|dracut|cloud-init|dockerd|containerd|kubelet|multipathd)(?:\[\d+\])?: "
)
_OF_KERNEL = r"(?=[A-Za-z])(?!systemd|dracut|cloud-init|dockerd|containerd|kubelet|multipathd|kernel:|[\w.-]+ kernel: )"
_USUAL = re.compile(
    rf"(?P<month>{MONTH}) (?P<day>[ 0-3]\d) (?P<clock>{CLOCK}) (?P<host>[\w.-]+) "
    rf"(?:kernel: (?:\[ *\d+\.\d+\] )?{_OF_KERNEL}"
    r"|(?P<tag>(?!kernel[:\[])[^\s\[\]:(]+)(?:\[[\d.]+\])?: (?=\S))"
    rf"|\[ *(?P<seconds>\d{{1,12}}\.\d{{1,12}})\] {_OF_KERNEL}"
)
"""A line as most syslogs and `dmesg` have it: what this reads, all other expressions read the same."""


def strip_decoration(raw: str) -> tuple[str, str]:
    """Remove what a paste, a mail or a collector put around a line.

    Returns:
        The line, and the host that a ``pdsh`` prefix names (empty for none).
    """
    text = _ANSI.sub("", raw) if "\x1b" in raw else raw
    text = text.rstrip("\r\n \t").removeprefix("\ufeff")
    if text[:1] in _MONTH_LETTERS and _PLAIN_SYSLOG.match(text):
        return text, ""  # the form that is met most: nothing of what follows can stand before it
    if text[:1] in ">|":
        text = _QUOTED.sub("", text)
    text = _NUMBERED.sub("", _GREP.sub("", text)) if text[:1] not in "[<" or text.startswith("[pod/") else text
    match = _PDSH.match(text)
    return (text[match.end() :], match["node"]) if match else (text, "")


def split_head(raw: str) -> Head:
    """Read the head of a line; a line of no known form comes back whole, without moment and writer."""
    if (usual := _USUAL.match(raw)) is not None and "\x1b" not in raw and "msg=" not in raw:
        return _read_usual(usual, raw[usual.end() :].rstrip("\r\n \t"))
    return _split_any(raw)


def _split_any(raw: str) -> Head:
    text, node = strip_decoration(raw)
    in_container = _CRI.match(text) if text[:1].isdecimal() else None
    if in_container:
        text = text[in_container.end() :]
    head = _split_json(text) if text[:1] == "{" else _split_plain(text)
    if node and not head.node:
        head = head._replace(node=node)
    return head._replace(writer="user") if in_container or is_program_line(raw) else head


def _read_usual(match: re.Match[str], text: str) -> Head:
    month, day, clock, host, tag, seconds = match.groups()
    if seconds is not None:
        return Head(text, "dmesg", Moment("boot", float(seconds)), "", "kernel")
    moment = yearless_moment(month, day, clock)
    if tag is not None:
        return Head(f"{tag}: {text}", "rfc3164", moment, host, "user", tag)
    return Head(text, "rfc3164", moment, host, "kernel", "kernel")


def _split_plain(text: str) -> Head:
    facility = ""
    first = text[:1]
    if first == "<" and (priority := _PRIORITY.match(text)) is not None:
        facility, text = ("kern" if int(priority[1]) >> 3 == 0 else "user"), text[priority.end() :]
    elif first in _FACILITY_LETTERS and (columns := _COLUMNS.match(text)) is not None:
        facility, text = columns["facility"], text[columns.end() :]
    for form, regex, read in _forms_of(text[:1] if text[:1].isascii() else _NOT_ASCII):
        match = regex.match(text)
        if match is not None:
            return _settle_writer(read(match, text[match.end() :]), form, facility)
    return _settle_writer(_split_bare(text), "", facility)


def _settle_writer(head: Head, form: str, facility: str) -> Head:
    # Only facility 0 is the kernel's own; /dev/kmsg and logger -t kernel carry another one.
    writer: Writer = head.writer
    if facility:
        form = form or head.form or "columns"
        writer = "kernel" if facility == "kern" and not _is_user(head) else "user"
    elif writer == "kernel" and _is_user(head):
        writer = "user"
    return Head(head.text, form, head.moment, head.node, writer, head.tag)


def _is_user(head: Head) -> bool:
    return (head.tag not in ("", "kernel")) or bool(_KERNEL_USER.match(head.text))


def _split_bare(text: str) -> Head:
    match = _BARE_KERNEL.match(text)
    return Head(text[match.end() :], node=match["host"] or "", writer="kernel") if match else Head(text)


def _split_tagged(rest: str, moment: Moment, *, strict: bool) -> Head:
    # strict: a form that need not have a host; then a driver's name must not be taken for one.
    match = _TAGGED.match(rest)
    if match is None or (strict and match["tag"] != "kernel" and NO_HOST.match(match["host"])):
        return Head(rest, moment=moment)
    # The kernel is no process: what calls itself so and has a number is somebody else.
    tag = match["tag"] if match["tag"] != "kernel" or match["pid"] in (None, "0") else f"kernel[{match['pid']}]"
    return _tagged(match["host"], tag, match["text"], moment)


def _tagged(host: str, tag: str, text: str, moment: Moment) -> Head:
    if tag == "kernel":
        stamp = _KERNEL_STAMP.match(text)
        return Head(text[stamp.end() :] if stamp else text, moment=moment, node=host, writer="kernel", tag=tag)
    return Head(f"{tag}: {text}", moment=moment, node=host, writer="user", tag=tag)


# Forms --------------------------------------------------------------------------------------------------------------


def _read_seconds(match: re.Match[str], rest: str) -> Head:
    moment = Moment("boot", float(match["seconds"]))
    tagged = re.match(r"^(?P<host>[\w.-]+) kernel: ", rest)
    if tagged:
        return _tagged(tagged["host"], "kernel", rest[tagged.end() :], moment)
    return Head(rest, moment=moment, writer="kernel")


def _read_ctime(match: re.Match[str], rest: str) -> Head:
    moment = local_moment(match["month"], match["day"], match["year"], match["clock"], match["fraction"])
    return Head(rest, moment=moment, writer="kernel")


def _read_logread(match: re.Match[str], rest: str) -> Head:
    moment = local_moment(match["month"], match["day"], match["year"], match["clock"], None)
    if match["facility"] == "kern" and match["tag"] == "kernel":
        return Head(rest, moment=moment, writer="kernel", tag="kernel")
    return Head(f"{match['tag']}: {rest}", moment=moment, writer="user", tag=match["tag"])


def _read_human(match: re.Match[str], rest: str) -> Head:
    moment = NO_MOMENT
    if match["month"]:
        moment = local_moment(match["month"], match["day"], None, match["clock"] + ":00", None)
    return Head(rest, moment=moment, writer="kernel")


def _read_kmsg(match: re.Match[str], rest: str) -> Head:
    moment = Moment("boot", int(match["microseconds"]) / 1e6)
    return Head(rest, moment=moment, writer="kernel" if int(match["priority"]) >> 3 == 0 else "user")


def _read_rfc5424(match: re.Match[str], rest: str) -> Head:
    moment = iso_moment(match) if match["date"] else NO_MOMENT
    head = _tagged(match["host"].strip("-"), match["app"], rest.removeprefix("\ufeff"), moment)
    kernel = head.writer == "kernel" and int(match["priority"]) >> 3 == 0
    return head._replace(writer="kernel" if kernel else "user")


def _read_iso(match: re.Match[str], rest: str) -> Head:
    moment = iso_moment(match)
    if match["point"] == "," and match["gap"] == "T":
        return Head(rest, moment=moment, writer="kernel")
    head = _split_tagged(rest, moment, strict=True)
    return head if head.tag else head._replace(writer="unknown" if match["gap"] == "T" else "user")


def _read_rfc3164(match: re.Match[str], rest: str) -> Head:
    moment = local_moment(match["month"], match["day"], match["year"], match["clock"], match["fraction"])
    return _split_tagged(rest, moment, strict=False)


def _read_talos(match: re.Match[str], rest: str) -> Head:
    writer: Writer = "kernel" if match["facility"] == "kern" else "user"
    return Head(rest, moment=iso_moment(match), node=match["node"] or "", writer=writer)


def _read_unix(match: re.Match[str], rest: str) -> Head:
    return _split_tagged(rest, Moment("utc", float(match["seconds"])), strict=True)


def _read_ras(match: re.Match[str], rest: str) -> Head:
    # Alert label, Unix time, date, location: the public HPC logs; then either RAS fields or a syslog line.
    moment = Moment("utc", float(match["seconds"]))
    tail = re.match(rf"^(?:{MONTH} {_DAY} {CLOCK} )(?P<rest>.*)$", rest)
    if tail is None:
        text = re.sub(r"^\d{4}-\d\d-\d\d-[\d.]+ \S+ ", "", rest)
        return Head(text, moment=moment, node=match["node"], writer="unknown", tag="ras")
    inner = _TAGGED.match(re.sub(r"^(?:\S+[/@])", "", tail["rest"], count=1))
    if inner is None:
        return Head(tail["rest"], moment=moment, node=match["node"])
    return _tagged(match["node"], inner["tag"], inner["text"], moment)


def _read_event_table(match: re.Match[str], rest: str) -> Head:
    # The event table of LANL's clusters: id, node, component, state, Unix time, flag, text.
    text = f"{match['component']} {match['state']}: {rest}"
    return Head(text, moment=Moment("utc", float(match["seconds"])), node=match["node"], writer="unknown", tag="ras")


_Reader = Callable[[re.Match[str], str], Head]
_DMESG = r"^\[ *(?P<seconds>\d{1,12}\.\d{1,12})(?: <[^>]*>)?\](?:\[ *[CT]\d+\])?:? ?"
_HUMAN = rf"^\[(?:(?P<month>{MONTH})(?P<day>{_DAY}) (?P<clock>\d\d:\d\d)|[ +<][^\]]*\d)\] ?"
_RFC5424 = rf"^<(?P<priority>\d{{1,3}})>1 (?:{_ISO}|-) (?P<host>\S+) (?P<app>\S+) \S+ \S+ (?:-|\[.*?[^\\]\](?= |$)) ?"
_RAS = r"^(?:-|[A-Z][A-Z0-9_]+) (?P<seconds>\d{9,10}) \d{4}\.\d\d\.\d\d (?P<node>\S+) "
_EVENT_TABLE = r"^\d{1,9} (?P<node>[\w.-]+) (?P<component>[\w.]+) (?P<state>[\w.-]+) (?P<seconds>\d{9,10}) [01] "
_FORMS: tuple[tuple[str, str, _Reader], ...] = (
    ("dmesg", _DMESG, _read_seconds),
    ("dmesg -T", _CTIME, _read_ctime),
    ("dmesg -H", _HUMAN, _read_human),
    ("kmsg", r"^(?P<priority>\d{1,4}),\d+,(?P<microseconds>\d{1,18}),[^;]*;", _read_kmsg),
    ("rfc5424", _RFC5424, _read_rfc5424),
    ("iso", rf"^(?:{_WEEKDAY} )?{_ISO}[ :]\s*", _read_iso),
    ("logread", _LOGREAD, _read_logread),
    ("rfc3164", rf"^(?:{_WEEKDAY} )?{_LOCAL} ", _read_rfc3164),
    (
        "talos",
        rf"^(?:(?P<node>[\w.-]+): )?(?P<facility>kern|user|daemon|syslog): +[a-z]+: \[{_ISO}\]: ",
        _read_talos,
    ),
    ("unix", r"^(?P<seconds>\d{10}\.\d{3,9}) ", _read_unix),
    ("ras", _RAS, _read_ras),
    ("event table", _EVENT_TABLE, _read_event_table),
)

_DIGITS, _CAPITALS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST_LETTERS: dict[str, str] = {
    "dmesg": "[",
    "dmesg -T": "[",
    "dmesg -H": "[",
    "kmsg": _DIGITS,
    "rfc5424": "<",
    "iso": _DIGITS + _CAPITALS,
    "logread": _CAPITALS,
    "rfc3164": _CAPITALS,
    "talos": _DIGITS + "abcdefghijklmnopqrstuvwxyz",
    "unix": _DIGITS,
    "ras": "-" + _CAPITALS,
    "event table": _DIGITS,
}
"""What a line of a form can begin with, in ASCII; for any other letter all forms are tried."""
_NOT_ASCII = "\x80"


@cache
def _forms_of(letter: str) -> tuple[tuple[str, re.Pattern[str], _Reader], ...]:
    # Most logs begin with one or two letters: the expressions of the other forms are never compiled.
    rows = (row for row in _FORMS if letter == _NOT_ASCII or letter in _FIRST_LETTERS[row[0]])
    return tuple((form, re.compile(source), read) for form, source, read in rows)


def _split_json(text: str) -> Head:
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Head(text)
    if not isinstance(record, dict):
        return Head(text)
    if isinstance(record.get("MESSAGE"), str):
        return _read_journal(record)
    if isinstance(record.get("log"), str):
        return _split_plain(record["log"].rstrip("\n"))._replace(form="docker", writer="user")
    return Head(text)


def _read_journal(record: dict[str, object]) -> Head:
    stamp, message = str(record.get("__REALTIME_TIMESTAMP", "")), str(record["MESSAGE"])
    moment = Moment("utc", int(stamp) / 1e6) if stamp.isdecimal() and len(stamp) < 18 else NO_MOMENT
    host = str(record.get("_HOSTNAME", ""))
    if record.get("_TRANSPORT") == "kernel":
        return _tagged(host, "kernel", message, moment)._replace(form="journal json")
    tag = str(record.get("SYSLOG_IDENTIFIER", "") or "user")
    return _tagged(host, tag, message, moment)._replace(form="journal json", writer="user")
