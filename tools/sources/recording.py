"""Reads evidence that lies on disk or comes on standard input: files, folders, archives, pasted terminals.

Content decides which parser reads what, never the name. What could not be read is in the coverage.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import IO

from tools.clock import settle_years
from tools.errors import EvidenceNotFound, EvidenceUnreadable
from tools.sources._bug_report import cut_sections, find_node, is_bug_report
from tools.sources._bundles import drop_settings, find_sos_roots, is_bundle, sum_up_unread
from tools.sources._context import NodeNames, is_context_file, read_context
from tools.sources._duplicates import drop_duplicates
from tools.sources._mending import drop_fences, read_mended
from tools.sources._pieces import Piece, Pieces
from tools.sources._probe import GuardedDocument, probe_file
from tools.sources._reading import keep_recent, note_clock_jumps, read_stretch, settle_guest_nodes
from tools.sources._recorded import merge_recordings, take_recordings
from tools.sources._segments import ListDocument, Stretch, TailDocument, cut_stretches, strip_line, strip_margin
from tools.types import Coverage, Document, Facts, Inventory, Line, merge_facts

SCAN_BYTES = 4 * 1024 * 1024
"""How much of a file is held to find where its form changes; beyond, the last form goes on, streamed (a guess)."""
KINDS = (
    "kernel logs (dmesg, journalctl -k, syslog), nvidia-smi and nvidia-smi -q, iostat -x, smartctl, df, ip, ibstat and "
    "other host tables, guest lists, NCCL, PyTorch and Slurm logs, nvidia-bug-report.log, sosreports, inventory.csv, "
    "jobs.csv; plain or packed (gzip, xz, bzip2, Zstandard, tar, zip)"
)
COLLECT = "dmesg -T > kern.log; nvidia-smi -q > gpu.txt; iostat -x 1 2 > io.txt; daytwo triage ."


class RecordingSource:
    """A list of files and folders, or standard input.

    Args:
        paths: Files, folders, archives; ``-`` is standard input, and so is an empty list.
        stdin: Where standard input comes from.
        max_bytes: Most bytes that are read of one file, or unpacked from all archives.
        inventory: What the site says that its nodes have; an inventory.csv among the evidence adds to it.
        node: Host that everything is from, where the caller knows it.
        since: Unix seconds; older events are left out.
    """

    name = "recording"

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        stdin: IO[bytes] | None = None,
        max_bytes: int,
        inventory: tuple[Inventory, ...] = (),
        node: str = "",
        since: float | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._stdin = stdin
        self._max_bytes = max_bytes
        self._inventory = inventory
        self._node = node
        self._since = since

    def read_facts(self) -> Facts:
        """Read everything that was named.

        Raises:
            EvidenceNotFound: A named path does not exist.
            EvidenceUnreadable: Nothing at all could be read; says why, and which commands collect evidence.
        """
        with tempfile.TemporaryDirectory(prefix="daytwo-") as scratch:
            pieces = Pieces(Path(scratch), self._max_bytes)
            found, recordings = take_recordings(pieces.collect(self._paths, self._stdin))
            names = read_context(found, node=self._node, inventory=self._inventory)
            roots = find_sos_roots(found)
            files = drop_settings(found, roots)
            parts = [part for piece in files for part in self._read_piece(piece, names)]
        # A recording alone is judged as its machine was: the inventory of then, and no other.
        inventory = self._inventory if files or not recordings else ()
        facts = merge_facts([Facts(inventory=inventory), *parts, Facts(coverage=tuple(pieces.coverage))])
        if is_bundle(found, roots):
            facts = replace(facts, coverage=sum_up_unread(facts.coverage, len(files), len(found) - len(files)))
        if not recordings and (not files or all(row.status == "missing" for row in facts.coverage)):
            raise self._nothing_read(facts.coverage)
        events = drop_duplicates(list(settle_years(facts.events)))
        facts = settle_guest_nodes(replace(facts, events=events))
        return keep_recent(facts + merge_recordings(recordings), self._since)

    def _nothing_read(self, coverage: Sequence[Coverage]) -> EvidenceUnreadable:
        named = ", ".join(str(path) for path in self._paths) or "standard input"
        why = "; ".join(f"{row.entity}: {row.reason}" for row in coverage[:3]) or "there is no file in it"
        fix = coverage[0].fix if len(coverage) == 1 and coverage[0].fix else COLLECT
        return EvidenceUnreadable(f"Nothing in {named} could be read as evidence ({why}). Read are {KINDS}.", fix=fix)

    def _read_piece(self, piece: Piece, names: NodeNames) -> Iterator[Facts]:
        if is_context_file(piece):
            return
        probe = probe_file(piece, self._max_bytes, names.find(piece))
        if probe.coverage is not None:
            yield Facts(coverage=(probe.coverage,))
        if probe.document is None:
            return
        try:
            yield from self._read_document(probe.document)
        except (EvidenceNotFound, EvidenceUnreadable) as error:
            yield Facts(coverage=(Coverage(piece.label, "input", "missing", error.message, error.fix),))
        if isinstance(probe.document, GuardedDocument) and probe.document.ended is not None:
            yield Facts(coverage=(probe.document.ended,))

    def _read_document(self, document: Document) -> Iterator[Facts]:
        lines = document.lines()
        head: list[Line] = []
        size, coloured = 0, False
        for line in lines:
            coloured = coloured or "\x1b" in line.text
            head.append(strip_line(line))
            size += len(line.text) + 1
            if size >= SCAN_BYTES:
                break
        rest = next(lines, None)
        if is_bug_report(head):
            more = () if rest is None else (rest,)
            yield from _read_bug_report(document, chain(head, more, lines), node=document.node or find_node(head))
            return
        head = drop_fences(strip_margin(head)) if rest is None else head
        if rest is None and (mended := read_mended(document, head)):
            yield mended
            return
        broken = sum("\ufffd" in line.text for line in head)
        stretches = cut_stretches([line.text for line in head])
        for stretch in stretches:
            is_last = stretch is stretches[-1]
            is_whole = len(stretches) == 1 and not coloured
            part = self._choose(document, head, stretch, whole=is_whole, streamed=is_last and rest is not None)
            yield note_clock_jumps(read_stretch(part, stretch.parsers))
        if broken:
            reason = f"{broken} lines hold bytes that are no UTF-8; they were replaced"
            yield Facts(coverage=(Coverage(document.label, "input", "partial", reason, f"file {document.label}"),))

    @staticmethod
    def _choose(document: Document, head: Sequence[Line], stretch: Stretch, *, whole: bool, streamed: bool) -> Document:
        if not streamed:
            return ListDocument(document.label, document.node, tuple(islice(head, stretch.start, stretch.end)))
        return document if whole else TailDocument(document, head[stretch.start].number)


def _read_bug_report(document: Document, lines: Iterable[Line], *, node: str) -> Iterator[Facts]:
    """Read the sections of an nvidia-bug-report; those of no known form are counted in one row."""
    unread: list[str] = []
    count = 0
    for section in cut_sections(lines):
        if not section.title:
            continue
        count += 1
        if section.cut:
            reason = f"{section.title}: the first {section.cut} lines of the section were left out"
            yield Facts(coverage=(Coverage(document.label, "kernel_log", "partial", reason),))
        kept = [strip_line(line) for line in section.lines]
        stretches = cut_stretches([line.text for line in kept]) if section.is_wanted else []
        known = [stretch for stretch in stretches if stretch.parsers]
        if not known and section.lines:
            unread.append(section.title)
        for stretch in known:
            part = ListDocument(document.label, node, tuple(kept[stretch.start : stretch.end]))
            yield note_clock_jumps(read_stretch(part, stretch.parsers))
    if unread:
        reason = f"{len(unread)} of {count} sections hold no form that is read here: {', '.join(unread[:3])}"
        yield Facts(coverage=(Coverage(document.label, "input", "partial", reason),))
