"""What answers of tools say, to one who reads them by a plan: rows in, signs of faults out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.backend import Message
from agent.faults import load_event_policy, load_faults
from evals.conversation import Conversation

_FENCE = re.compile(r"<evidence>\n(.*?)\n</evidence>", re.DOTALL)
_ROW = re.compile(r"^(\s*)\[(e\d+)\] (.*?) \| (\S+) \| (.*?) \| (.*)$", re.MULTILINE)
_UNAVAILABLE = re.compile(r"^Nothing to read for: (.+)$", re.MULTILINE)
_PASSAGE = re.compile(r"^(\w+)#\w+ \| (.*)$", re.MULTILINE)
_PAST = re.compile(
    r"^(?P<entity>\S+) had (?P<fault>\w+) \((?P<sure>\w+)\).*?; "
    r"(?P<end>nothing has ended it since|ended by|whether it ended)(?:.*?; its first sign: \"(?P<sign>.*)\"?)?"
)
_READING = re.compile(
    r"^(?P<entity>\S+) (?P<signal>\w+) (?P<value>[\d.e+-]+)(?:, lowest \S+, highest \S+ of \d+ readings)?"
    r"(?:; \d+ peers: median (?P<median>[\d.e+-]+))?"
)
_CODE = re.compile(r"\b(?=\w*[A-Za-z])(?=\w*\d\w*\d)\w{5,}\b")
_ASKED = re.compile(r"(?<!`)`([^`]{8,})`(?!`)")
STRENGTH = {"settles": 3.0, "indicates": 2.0}
ENDING_CODES = frozenset({"kernel:boot", "gpu:reset"})
QUOTED_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an answer, and which tool gave it; ``brief`` for those of the brief."""

    tool: str
    deep: bool
    handle: str
    time: str
    words: str
    text: str

    @property
    def entity(self) -> str:
        """The entity of an event's row."""
        return self.words.rpartition(" ")[0]

    @property
    def code(self) -> str:
        """The code of an event's row."""
        return self.words.rpartition(" ")[2]


@dataclass(frozen=True, slots=True)
class Sign:
    """A row that speaks for a fault, and how strongly."""

    fault: str
    strength: float
    handle: str
    text: str


@dataclass(frozen=True, slots=True)
class Notes:
    """What a conversation has shown so far."""

    subject: str
    rows: tuple[Row, ...]
    calls: tuple[Mapping[str, Any], ...]
    passages: tuple[tuple[str, str], ...]
    unavailable: frozenset[str]

    @classmethod
    def read(cls, messages: Sequence[Message]) -> Notes:
        """Read the brief and every answer of a tool, each with the call that it answers."""
        talk = Conversation({"messages": messages})
        calls = {call["id"]: call["function"] for message in messages for call in message.get("tool_calls", [])}
        rows = list(_read_rows("brief", talk.brief))
        passages: list[tuple[str, str]] = []
        for message in messages:
            if message["role"] == "tool":
                name = calls[message["tool_call_id"]]["name"]
                rows += _read_rows(name, str(message["content"]))
                passages += _PASSAGE.findall(str(message["content"])) if name == "search_runbooks" else []
        told = _UNAVAILABLE.search(talk.brief)
        named = frozenset(told[1].split(", ")) if told else frozenset()
        return cls(talk.find_line("Subject:"), tuple(rows), tuple(calls.values()), tuple(passages), named)

    @property
    def node(self) -> str:
        """The host of the subject; empty for a job."""
        kind, _, rest = self.subject.partition(":")
        return "" if kind == "job" else rest.partition("/")[0]

    @property
    def nodes(self) -> list[str]:
        """The host of the subject, or those that run it."""
        told = [row.text.partition(":")[2].partition(":")[0] for row in self.rows if ": runs it" in row.text]
        return [self.node] if self.node else told

    @property
    def first_text(self) -> str:
        """The words of the first piece of evidence."""
        return next((row.text for row in self.rows if row.tool == "brief"), "")

    @property
    def coded_runbooks(self) -> list[str]:
        """Faults whose runbooks name a code that stands in the evidence."""
        codes = set(_CODE.findall(self.first_text))
        return list(dict.fromkeys(fault for fault, passage in self.passages if codes & set(_CODE.findall(passage))))

    def of(self, *tools: str) -> list[Row]:
        """Rows that some tools gave."""
        return [row for row in self.rows if row.tool in tools]


def find_signs(notes: Notes) -> list[Sign]:
    """Read every answer by what its tool is for."""
    return [sign for reader in READERS for sign in reader(notes)]


def quote(text: str) -> str:
    """The first words of a row, without what would end a quotation."""
    plain = text.partition("…")[0].partition('"')[0].strip()
    return plain if len(plain) <= QUOTED_CHARACTERS else plain[:QUOTED_CHARACTERS].rpartition(" ")[0]


def _read_rows(tool: str, text: str) -> Iterator[Row]:
    for block in _FENCE.findall(text):
        for indent, handle, _, time, words, told in _ROW.findall(block):
            yield Row(tool, bool(indent), handle, time, words, told)


def _judge(row: Row) -> tuple[str, float]:
    code = row.code
    if code.startswith("sxid:"):
        code = "sxid:fatal" if ", fatal," in row.text.lower() else "sxid:nonfatal"
    policy = load_event_policy().get(code)
    if policy is None:
        return "", 0.0
    fault = load_faults().get(policy.fault)
    # What is only worth knowing explains nothing that is wrong.
    told = STRENGTH.get(policy.weight, 0.0) if fault is not None and fault.severity in ("warning", "critical") else 0.0
    return policy.fault, told


def _read_older(notes: Notes) -> Iterator[Sign]:
    """Lines of the thing itself or of its machine, unless a boot or a reset stands after them."""
    rows = notes.of("read_events")
    opening = {row.code for row in notes.of("brief")}
    ends = [row.time for row in rows if row.code in ENDING_CODES]
    for row in rows:
        fault, strength = _judge(row)
        ended = any(row.time < end for end in ends)
        if strength and row.code not in opening and not ended and _touches(row.entity, notes.subject):
            yield Sign(fault, strength + (row.entity == notes.subject), row.handle, row.text)


def _touches(entity: str, subject: str) -> bool:
    # Another device of the same machine has its own troubles.
    return entity == subject or entity.startswith("node:") or subject.startswith("node:")


SHARED: Mapping[str, tuple[frozenset[str], int]] = {
    "same storage": (frozenset({"shared_fs_stall", "filesystem_fault"}), 1),
    "same leaf switch": (frozenset({"nic_link_down", "nic_link_flap", "nic_link_degraded"}), 2),
    "same NVLink domain": (frozenset({"nvswitch_fault", "fabric_manager_down", "nvlink_fault"}), 1),
    "same disk": (frozenset({"disk_media_error", "disk_lost", "io_noisy_neighbor"}), 1),
    "same rack": (frozenset({"host_chassis_fault", "gpu_thermal_throttle"}), 2),
    "same job": (frozenset(), 1),
    "runs it": (frozenset(), 1),
}
"""What is shared: faults that it can pass on (any where none is named), and on how many neighbours they must stand."""


def _read_neighbours(notes: Notes) -> Iterator[Sign]:
    shared: list[str] = []
    told: list[tuple[str, Sign]] = []
    for row in notes.of("read_neighbours"):
        if not row.deep:
            shared = [word for word in SHARED if word in row.text]
            continue
        fault, strength = _judge(row)
        told += [(word, Sign(fault, strength, row.handle, row.text)) for word in shared if strength]
    counts = Counter((word, sign.fault) for word, sign in told)
    for word, sign in told:
        faults, least = SHARED[word]
        if (not faults or sign.fault in faults) and counts[word, sign.fault] >= least:
            yield sign


def _read_past(notes: Notes) -> Iterator[Sign]:
    opening = _plain(notes.first_text)
    for row in notes.of("read_past_cases"):
        match = _PAST.match(row.text)
        if match is None or match["sure"] == "inconclusive":
            continue
        if match["entity"] == notes.subject and match["end"].startswith("nothing"):
            yield Sign(match["fault"], 3.0, row.handle, row.text)
        # The same words on another machine: what they turned out to be there.
        sign = _plain((match["sign"] or "").rstrip('"'))
        if match["entity"] != notes.subject and match["sure"] == "confirmed" and len(sign) > 8 and sign in opening:
            yield Sign(match["fault"], 2.0, row.handle, row.text)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


Reads = Callable[[float, float], bool]
READINGS: tuple[tuple[str, Reads, str, float], ...] = (
    ("remap_failure", lambda value, _: value > 0, "gpu_memory_remap_failure", 3.0),
    ("remap_pending", lambda value, _: value > 0, "gpu_memory_remap_pending", 3.0),
    ("retired_pages_pending", lambda value, _: value > 0, "gpu_memory_remap_pending", 3.0),
    ("ecc_corrected", lambda value, peers: value > 100 + 10 * peers, "gpu_memory_correctable_rising", 2.0),
    ("pcie_width", lambda value, peers: value < peers, "pcie_link_degraded", 2.0),
    ("temperature", lambda value, peers: value >= 85 and value > peers + 10, "gpu_thermal_throttle", 2.5),
    ("sm_clock", lambda value, peers: value < 0.6 * peers, "gpu_clock_stuck", 2.0),
    ("symbol_errors", lambda value, peers: value > 100 + 10 * peers, "nic_link_degraded", 2.0),
    ("link_recoveries", lambda value, peers: value > 10 + 10 * peers, "nic_link_degraded", 2.0),
)
"""Signals, when a reading is out of line with its peers, and what it then speaks for; the bounds are guesses."""


def _read_readings(notes: Notes) -> Iterator[Sign]:
    for row in notes.of("read_readings", "read_nic_counters"):
        match = _READING.match(row.text)
        if match is None or match["median"] is None:
            continue
        value, peers = float(match["value"]), float(match["median"])
        for signal, reads, fault, strength in READINGS:
            if signal in match["signal"] and reads(value, peers):
                yield Sign(fault, strength, row.handle, row.text)


JOB_STATES: Mapping[str, str] = {"OUT_OF_MEMORY": "host_memory_exhausted", "OUT_OF_ME+": "host_memory_exhausted"}


def _read_jobs(notes: Notes) -> Iterator[Sign]:
    rows = [row for row in notes.of("read_jobs") if not row.deep]
    for row in rows:
        for state, fault in JOB_STATES.items():
            if state in row.text and (row.words == notes.subject or not notes.subject.startswith("job:")):
                yield Sign(fault, 2.5, row.handle, row.text)
    own = next((row for row in rows if row.words == notes.subject), None)
    for row in rows:
        # Somebody else's job on the same machine that has not ended, though this one was given all of it.
        if own is not None and row.words != own.words and ",RUNNING," in row.text and ",FAILED," in own.text:
            yield Sign("job_precondition_failed", 2.0, row.handle, row.text)


def _read_runbooks(notes: Notes) -> Iterator[Sign]:
    """A runbook that names the very code of the evidence, where the line that it asks for was read."""
    codes = set(_CODE.findall(notes.first_text))
    read = [row for row in notes.rows if row.tool not in ("brief", "read_past_cases")]
    for fault, passage in notes.passages:
        if not codes & set(_CODE.findall(passage)):
            continue
        asked = [_plain(phrase) for phrase in _ASKED.findall(passage)]
        confirming = next((row for row in read if any(phrase in _plain(row.text) for phrase in asked)), None)
        if confirming is not None:
            yield Sign(fault, 2.5, confirming.handle, confirming.text)


READERS: tuple[Callable[[Notes], Iterator[Sign]], ...] = (
    _read_older,
    _read_neighbours,
    _read_past,
    _read_readings,
    _read_jobs,
    _read_runbooks,
)
