"""Reads what a host says of its clock: `chronyc` of chrony 2 to 4, `timedatectl`, `ntpq -p`, linuxptp 2 to 4.

A clock that is not disciplined is no proof that it is wrong; an offset of a tenth of a second is (a guess: logs of two
hosts can then no longer be put in order by the second).
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, parse_number
from tools.parsers._sheet import Sheet
from tools.types import Coverage, Document, Domain, Facts, Line, Parsed

FORM = "clock_state"
DOMAIN: Domain = "host"

OFFSET_SECONDS = 0.1
_TRACKING = Lazy(
    r"^\s*(?P<key>Reference ID|Stratum|Ref time \(UTC\)|System time|Last offset|RMS offset|Frequency|"
    r"Residual freq|Skew|Root delay|Root dispersion|Update interval|Leap status)\s*:\s*(?P<value>.*?)\s*$"
)
_SOURCES_HEAD = Lazy(r"^\s*MS Name/IP address\s+Stratum Poll Reach|^210 Number of sources|^\s*={10,}")
_SOURCE = Lazy(
    r"^(?P<mode>[\^=#])(?P<state>[*+\-?x~ ]) (?P<name>\S+)\s+(?P<stratum>\d+)\s+-?\d+\s+(?P<reach>[0-7]+)\s+\S.*$"
)
_LEGEND = Lazy(r"^\s*(?:\.-- Source mode|/ \.- Source state|\|\s*/|\|\|\s|\.- xxxx)")
_TIMEDATE = Lazy(
    r"^\s*(?P<key>Local time|Universal time|RTC time|Time zone|Timezone|System clock synchronized|NTP service|"
    r"NTP enabled|NTP synchronized|Network time on|systemd-timesyncd\.service active|RTC in local TZ|DST active)"
    r"\s*:\s*(?P<value>.*?)\s*$"
)
_NTPQ_HEAD = Lazy(r"^\s*remote\s+refid\s+st t when poll reach")
_NTPQ = Lazy(
    r"^(?P<tally>[ *#o+x.\-])(?P<name>\S+)\s+(?P<refid>\S+)\s+\d+\s+[a-zA-Z-]\s+\S+\s+\S+\s+(?P<reach>\d+)\s+"
    r"(?P<delay>-?[\d.]+)\s+(?P<offset>-?[\d.]+)\s+(?P<jitter>[\d.]+)\s*$"
)
_PTP = Lazy(
    r"^(?:\S.{0,60} )?(?:ptp4l|phc2sys|ts2phc)\[\d[\d.]*\]: (?:\[[\w.-]+\] )?"
    r"(?:.*?\b(?:rms|offset) +(?P<nanoseconds>-?\d+)\b)?"
)
_FAILURE = Lazy(r"^(?:506 Cannot talk to daemon|.*: Connection refused$|No association ID's returned)")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: two fields of `chronyc tracking` or `timedatectl`, or a head of a table of sources."""
    kept = [text for text in clip_sample(sample) if text.strip()]
    if any(_NTPQ_HEAD.match(text) or text.lstrip().startswith("MS Name/IP address") for text in kept):
        return 0.95
    told = [text for text in kept if not is_noise(text)]
    fields = sum(bool(_TRACKING.match(text) or _TIMEDATE.match(text)) for text in told)
    sources = sum(bool(_SOURCE.match(text)) for text in told)
    if fields >= 2 or (told and sources * 2 > len(told)):
        return 0.9
    ptp = sum(bool((found := _PTP.match(text)) and found["nanoseconds"]) for text in told)
    if ptp and sum(bool(_PTP.match(text)) for text in told) * 2 > len(told):
        return 0.9
    return 0.9 if any(text.startswith("506 Cannot talk to daemon") for text in told) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of an offset that matters, and of a clock that nothing disciplines."""
    state = _State(document)
    parsed = state.sheet.read(
        state.read_tracking, state.read_sources, state.read_ntpq, state.read_timedate, state.read_ptp
    )
    return Parsed(state.build(), parsed.unread)


class _State:
    """State of reading: the sources of a table, and whether one of them is followed."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.node = self.sheet.make_node()
        self.told = 0
        self.sources: list[Line] = []
        self.is_followed = False
        self.failed = False

    def _tell(self, line: Line, code: str, **fields: str) -> None:
        if not any(event.code == code for event in self.sheet.events):
            self.sheet.add(line, self.node, code, fields)

    def read_tracking(self, line: Line) -> bool:
        match = _TRACKING.match(line.text)
        if match is None:
            return False
        self.told += 1
        offset = parse_number(match["value"])
        if match["key"].lower() == "system time" and offset is not None and abs(offset) >= OFFSET_SECONDS:
            self._tell(line, "clock:offset", seconds=f"{offset:g}")
        elif match["key"].lower() == "leap status" and match["value"].lower().startswith("not synch"):
            self._tell(line, "clock:unsynchronised")
        return True

    def read_sources(self, line: Line) -> bool:
        match = _SOURCE.match(line.text)
        if match is not None:
            self.sources.append(line)
            self.is_followed = self.is_followed or match["state"] == "*"
            return True
        if line.text.lstrip().startswith("MS Name/IP address"):
            self.close_table()
        return bool(_SOURCES_HEAD.match(line.text) or _LEGEND.match(line.text))

    def read_ntpq(self, line: Line) -> bool:
        match = _NTPQ.match(line.text)
        if match is None:
            if _FAILURE.match(line.text):
                self.failed = True
                return True
            is_head = bool(_NTPQ_HEAD.match(line.text))
            if is_head:
                self.close_table()
            return is_head
        self.sources.append(line)
        is_peer = match["tally"] in "*o#"
        self.is_followed = self.is_followed or is_peer
        # ntpq tells milliseconds.
        offset = (parse_number(match["offset"]) or 0.0) / 1000
        if is_peer and abs(offset) >= OFFSET_SECONDS:
            self._tell(line, "clock:offset", seconds=f"{offset:g}")
        return True

    def read_timedate(self, line: Line) -> bool:
        match = _TIMEDATE.match(line.text)
        if match is None:
            return False
        self.told += 1
        if match["key"].lower() in ("system clock synchronized", "ntp synchronized") and match["value"].lower() == "no":
            self._tell(line, "clock:unsynchronised")
        return True

    def read_ptp(self, line: Line) -> bool:
        match = _PTP.match(line.text)
        if match is None:
            return False
        self.told += 1
        offset = int(match["nanoseconds"][:18]) / 1e9 if match["nanoseconds"] else 0.0
        if abs(offset) >= OFFSET_SECONDS:
            self._tell(line, "clock:offset", seconds=f"{offset:g}")
        return True

    def close_table(self) -> None:
        """Judge the sources of the table that is at an end."""
        self.told += len(self.sources)
        if self.sources and not self.is_followed:
            self._tell(self.sources[0], "clock:unsynchronised")
        self.sources, self.is_followed = [], False

    def build(self) -> Facts:
        """The events; a table of sources without a row, or a daemon that does not answer, is told as a gap."""
        self.close_table()
        facts = self.sheet.build_facts()
        if self.told:
            return facts
        reason = "the time service does not answer" if self.failed else "a table without a source of time"
        gap = Coverage(
            self.sheet.document.label, DOMAIN, "partial", reason, "systemctl status chronyd; chronyc tracking"
        )
        return facts + Facts(coverage=(gap,))
