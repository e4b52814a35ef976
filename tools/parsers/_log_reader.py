"""One pass over a log: find the lines of interest, read their heads, match their patterns, keep a bounded number.

Lines are looked at closely only where a literal of the tables stands in them; all others are only counted: as read
where their form is known, as unread where it is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import takewhile

from tools.entities import make_gpu, normalise_pci
from tools.evidence import MAX_QUOTE_CHARACTERS
from tools.harmless import neutralise
from tools.names import is_job_output
from tools.parsers import (
    _collective_patterns,
    _controller_patterns,
    _cuda_patterns,
    _disk_patterns,
    _driver_patterns,
    _filer_patterns,
    _filesystem_patterns,
    _fsck_patterns,
    _host_patterns,
    _injected,
    _memory_patterns,
    _network_patterns,
    _nvidia_patterns,
    _orchestrator_patterns,
    _pci_patterns,
    _raid_patterns,
    _ras_patterns,
    _service_patterns,
    _shared_fs_patterns,
    _spdk_patterns,
    _store_patterns,
    _training_patterns,
)
from tools.parsers._app_forms import (
    SCHEDULER_LINE,
    AppHead,
    is_of_program,
    job_of_label,
    read_app_head,
)
from tools.parsers._blocks import iterate_blocks
from tools.parsers._foreign import speaks_of_gpus
from tools.parsers._kernel_forms import Head, split_head
from tools.parsers._line_shapes import Offsets, find_ends
from tools.parsers._log_alarm import ALARM_SHARE, LONE_ALARM_SHARE, MAX_LINES, count_alarms
from tools.parsers._log_counter import LineCounter
from tools.parsers._log_draft import Draft, conflicts, merge_match
from tools.parsers._log_names import NAME_LITERALS, DiskNames, name_storages, tells_name
from tools.parsers._patterns import Judgement, Match, Pattern, PatternTable, on_gpu, on_node
from tools.parsers._scout import Scout
from tools.types import Document, Entity, Event, Facts, Moment, Parsed, Quote, Unread

KEEP_PER_KEY = 1000
"""Events kept of one code on one entity; of the rest only the last, with how many it stands for."""
MAX_EVENTS = 20_000
"""Events kept in full of one document; beyond, each further (entity, code) keeps its first and its last."""
MAX_KEYS = 10_000
"""Different (entity, code) pairs kept apart; beyond, events fold onto their host."""
_RECENT = 64
_SUBJECT_LINES = 4


@dataclass(slots=True)
class _Kept:
    drafts: list[Draft] = field(default_factory=list)
    last: Draft | None = None
    folded: int = 0


KERNEL_PATTERNS: tuple[Pattern, ...] = (
    *_injected.PATTERNS,
    *_nvidia_patterns.PATTERNS,
    *_driver_patterns.PATTERNS,
    *_ras_patterns.PATTERNS,
    *_pci_patterns.PATTERNS,
    *_disk_patterns.PATTERNS,
    *_raid_patterns.PATTERNS,
    *_controller_patterns.PATTERNS,
    *_network_patterns.PATTERNS,
    *_filesystem_patterns.PATTERNS,
    *_shared_fs_patterns.PATTERNS,
    *_memory_patterns.PATTERNS,
    *_host_patterns.PATTERNS,
)
"""What the kernel, its drivers and link daemons print, in the order in which it is tried."""
_KERNEL_IDS = frozenset(id(pattern) for pattern in KERNEL_PATTERNS)
APPLICATION_PATTERNS: tuple[Pattern, ...] = (
    *_cuda_patterns.PATTERNS,
    *_collective_patterns.PATTERNS,
    *_orchestrator_patterns.PATTERNS,
    *_service_patterns.PATTERNS,
    *_spdk_patterns.PATTERNS,
    *_store_patterns.PATTERNS,
    *_filer_patterns.PATTERNS,
    *_fsck_patterns.PATTERNS,
    *_training_patterns.PATTERNS,
)
"""What programs and services write; tried after the kernel's."""
_NAMING = (
    Pattern("naming", _nvidia_patterns.SUBJECT_LITERALS, r"NVRM: (?:GPU at|GPU Board|The NVIDIA)", on_node),
    Pattern(
        "naming",
        NAME_LITERALS,
        r"\b(?:sd|scsi) [\d:]+: \[sd|\bscsi ?host\d|\bata\d+: [SP]ATA max |nvme\d+: pci function",
        on_node,
    ),
)
"""Lines that make no event and tell names that the events of other lines need."""
_OF_DRIVERS = ("xid:", "sxid:", "gpu:")
_UNEXPLAINED = Pattern("log:unexplained", (), "", on_node)
_ECHO_LINES = 20
_spell_pci = lru_cache(maxsize=4096)(normalise_pci)
_AT_BOOT = {"nic:link_down": "nic:no_link_at_boot", "clock:stepped_back": "clock:set_at_boot"}
_BOOT_SECONDS = 120.0
"""Drivers report ports as down when they start them, and the clock is set: over after two minutes (a guess)."""


@cache
def pattern_table() -> PatternTable:
    """All patterns with their automaton; built once, when the first log is read."""
    return PatternTable((*KERNEL_PATTERNS, *APPLICATION_PATTERNS, *_NAMING))


class LogReader:
    """Reads one document; made for one use."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._job = job_of_label(document.label)
        self._is_job_output = is_job_output(document.label)
        self._table = pattern_table()
        self._kept: dict[tuple[Entity, str], _Kept] = {}
        self._recent: deque[Draft] = deque(maxlen=_RECENT)
        self._gpus: dict[tuple[str, str], Entity] = {}
        self._subject: tuple[str, int] = ("", -_SUBJECT_LINES)
        self._stored = 0
        self._counter = LineCounter(self._table)
        self._scout = Scout(self._table)
        self._disks = DiskNames()
        self._plain: list[tuple[int, str]] = []  # lines without an event, of a text that is short so far

    def read(self) -> Parsed:
        """Read the whole document."""
        counter = self._counter
        for block in iterate_blocks(self._document):
            first = counter.lines + 1
            ends = find_ends(block)
            understood = self._read_hits(block, ends, first)
            counter.count(block, understood, ends)
            self._hold_plain(block, understood, first)
        self._note_unexplained()
        facts = Facts(events=tuple(self._events()), entities=tuple(self._gpus.values()))
        return Parsed(facts, Unread(counter.total, counter.unread, tuple(counter.samples)))

    def _read_hits(self, block: bytes, ends: Offsets, first: int) -> set[int]:
        understood: set[int] = set()
        scout = self._scout
        for number, start, raw, rows in scout.find_candidates(block, ends):
            head = split_head(raw)
            told, app = self._judge(head, rows)
            # Most lines with a literal are none of its rows' after all: they tell nothing of names either.
            is_worth = told.is_touched or raw[:1] == "{" or self._table.is_tied(rows)
            if not is_worth:
                scout.note_miss(rows)
            elif self._read_line(first + number, raw, head, told, app):
                understood.add(start)
        return understood

    def _judge(self, head: Head, rows: Sequence[int]) -> tuple[Judgement, AppHead | None]:
        if head.writer == "kernel":
            return self._table.judge(head.text, rows), None
        app = read_app_head(head)
        told = self._table.judge(app.head.text, rows)
        if told.found is None and app.head.text != head.text:
            whole = self._table.judge(head.text, rows)
            told = whole._replace(is_touched=whole.is_touched or told.is_touched)
        return told, app

    def _read_line(self, number: int, raw: str, head: Head, told: Judgement, app: AppHead | None) -> bool:
        if self._note_gpu(number, head):
            return True
        if tells_name(head.text):
            self._disks.note(head.node or self._document.node, number, head.text)
        found = told.found
        if app is not None:
            head = app.head._replace(writer="user") if is_of_program(app.form) else app.head
            if found is not None:
                found = Match(found.pattern, found.code, {**app.fields, **found.fields})
        if found is None:
            return told.is_refused
        if found.code == "naming":
            return True
        # A job can print what the kernel prints; what it printed is its word, and not the kernel's.
        own = self._is_job_output and id(found.pattern) in _KERNEL_IDS and not SCHEDULER_LINE.match(head.text)
        if own or (found.code.startswith(_OF_DRIVERS) and head.writer == "kernel" and not speaks_of_gpus(head.text)):
            head = head._replace(writer="user")
        self._take(number, raw, head, found)
        return True

    def _note_gpu(self, number: int, head: Head) -> bool:
        # These lines make no event; they name the GPU that the next lines speak of.
        if "NVRM: " not in head.text or head.writer == "user" or not speaks_of_gpus(head.text):
            return False
        node = head.node or self._document.node
        if (match := _nvidia_patterns.UUID_LINE.search(head.text)) is not None:
            pci = normalise_pci(match["pci"])
            self._subject = (pci, number)
            if len(self._gpus) < MAX_KEYS:
                self._gpus[node, pci] = make_gpu(node, pci=pci, uuid=match["uuid"])
            return True
        if (match := _nvidia_patterns.SERIAL_LINE.search(head.text)) is not None:
            known = self._gpus.get((node, self._subject[0]))
            if known is not None:
                self._gpus[node, self._subject[0]] = known.with_ids(serial=match["serial"])
            return True
        if (match := _nvidia_patterns.SUBJECT_LINE.search(head.text)) is not None and "fallen off" not in head.text:
            self._subject = (normalise_pci(match["pci"]), number)
            return True
        return False

    def _take(self, number: int, raw: str, head: Head, found: Match) -> None:
        node = head.node or self._document.node
        if found.pattern.joins and self._join(number, node, found):
            return
        if found.pattern.attaches or self._is_echo(number, node, found.pattern):
            return
        if found.pattern.entity is on_gpu and not found.fields.get("pci"):
            pci, told_at = self._subject
            if number - told_at <= _SUBJECT_LINES:
                found.fields["pci"] = pci
        if found.fields.get("pci"):
            found.fields["pci"] = _spell_pci(found.fields["pci"])
        if self._job and head.writer != "kernel":
            found.fields.setdefault("job", self._job)
        text = raw.rstrip("\r\n")[:MAX_QUOTE_CHARACTERS]
        entity = found.pattern.entity(node, found.fields)
        code = found.code
        if code in _AT_BOOT and _is_at_boot(head.moment) and (entity, "nic:link_up") not in self._kept:
            code = _AT_BOOT[code]
        draft = Draft(number, code, entity, text, head.moment, head.writer, found.pattern, node, found.fields)
        self._recent.append(draft)
        self._keep(draft)

    def _join(self, number: int, node: str, found: Match) -> bool:
        for draft in reversed(self._recent):
            if number - draft.number > found.pattern.joins:
                break
            fits = draft.code.startswith(found.code) if found.pattern.attaches else draft.code == found.code
            if fits and node in ("", draft.node) and not conflicts(draft.fields, found.fields):
                merge_match(draft, found)
                return True
        return False

    def _is_echo(self, number: int, node: str, pattern: Pattern) -> bool:
        if not pattern.echoes:
            return False
        near = takewhile(lambda draft: number - draft.number <= _ECHO_LINES, reversed(self._recent))
        return any(draft.code in pattern.echoes and node in ("", draft.node) for draft in near)

    def _note_unexplained(self) -> None:
        if not self._plain or self._counter.total > MAX_LINES:
            return
        alarms, first = count_alarms(text for _, text in self._plain if not self._table.knows(text))
        is_told = any(code != "kernel:boot" for _, code in self._kept)
        if not alarms or alarms < (ALARM_SHARE if is_told else LONE_ALARM_SHARE) * self._counter.total:
            return
        number = next(number for number, text in self._plain if text == first)
        head = split_head(first)
        node = head.node or self._document.node
        fields = {"lines": str(alarms)}
        draft = Draft(
            number, "log:unexplained", on_node(node, {}), first, head.moment, head.writer, _UNEXPLAINED, node, fields
        )
        self._keep(draft)

    def _keep(self, draft: Draft) -> None:
        kept = self._kept.get((draft.entity, draft.code))
        if kept is None:
            kept = self._open(draft)
        if len(kept.drafts) < (KEEP_PER_KEY if self._stored < MAX_EVENTS else 1):
            kept.drafts.append(draft)
            self._stored += 1
        else:
            kept.last = draft
            kept.folded += 1

    def _open(self, draft: Draft) -> _Kept:
        code, keys = draft.code, len(self._kept)
        if keys >= MAX_KEYS:
            draft.entity = Entity("node", draft.node[:64] if keys < 2 * MAX_KEYS else "")
            code = code if keys < 2 * MAX_KEYS else code.partition(":")[0] + ":*"
        return self._kept.setdefault((draft.entity, code), _Kept())

    def _events(self) -> Iterator[Event]:
        drafts: list[Draft] = []
        for kept in self._kept.values():
            drafts.extend(kept.drafts)
            if kept.last is not None:
                kept.last.fields["count"] = str(kept.folded)
                drafts.append(kept.last)
        storages = name_storages((draft.code, draft.entity) for draft in drafts)
        for draft in sorted(drafts, key=lambda d: d.number):
            quote = Quote(self._document.label, draft.number, _clean(draft.text))
            entity = self._disks.resolve(draft.entity, draft.number)
            if (named := storages.get((draft.code, entity))) is not None:
                entity = named
                draft.fields["server"] = named.name
            if self._disks.is_removable(entity):
                draft.fields["removable"] = "yes"
            yield Event(draft.moment, entity, draft.code, quote, draft.fields, draft.writer)

    def _hold_plain(self, block: bytes, understood: set[int], number: int) -> None:
        if self._counter.total > MAX_LINES:
            self._plain = []
            return
        position = 0
        for line in block.split(b"\n"):
            if line.strip() and position not in understood:
                self._plain.append((number, line[:MAX_QUOTE_CHARACTERS].decode("utf-8", errors="replace")))
            position += len(line) + 1
            number += 1


def _is_at_boot(moment: Moment) -> bool:
    return moment.clock == "boot" and moment.seconds is not None and moment.seconds < _BOOT_SECONDS


def _clean(text: str) -> str:
    return text if text.isprintable() else neutralise(text)
