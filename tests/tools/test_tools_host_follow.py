"""tools/host_follow*.py and tools/host_rotation.py: growing files, their rotations, the ring buffer, a journal."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest

from tools import host_follow_open
from tools.errors import OperatorError, ToolFailed
from tools.host_follow import MAX_PIECE_LINES, LogTail
from tools.host_follow_file import FileFollower
from tools.host_follow_journal import MISSED_MESSAGE, JournalFollower
from tools.host_follow_open import open_follower
from tools.host_follow_ring import RingFollower
from tools.host_paths import HostPaths
from tools.types import Line

BOOT = "1f0a7c52-0000-4000-8000-000000000001"
XID = "NVRM: Xid (PCI:0000:{bus:02x}:00): 79, pid=4242, name=python3, GPU has fallen off the bus."


def texts(piece) -> list[str]:
    return [line.text for line in piece.lines]


def append(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + end)


# ---- files ----


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "kern.log"
    append(path, *(f"2026-11-20T10:00:{n:02d}+00:00 n-1 kernel: line {n}" for n in range(10)))
    return path


def test_a_file_is_read_once_however_often_it_is_opened(log):
    first = FileFollower(log, "")
    piece = first.read()
    assert [line.number for line in piece.lines] == list(range(1, 11))
    assert texts(first.read()) == []
    append(log, "eleven")
    assert [(line.number, line.text) for line in first.read().lines] == [(11, "eleven")]
    # Another process, that was told where the first piece ended, goes on there and sees what is before it.
    second = FileFollower(log, piece.position)
    context = second.read_context()
    assert [line.number for line in context] == list(range(1, 11))
    assert context[-1].text.endswith("line 9")
    assert texts(second.read()) == ["eleven"]


def test_half_a_line_is_left_until_it_is_whole(log):
    follower = FileFollower(log, "")
    follower.read()
    append(log, "NVRM: Xid (PCI:0000:", end="")
    piece = follower.read()
    assert texts(piece) == []
    append(log, "5d:00): 79")
    assert texts(FileFollower(log, piece.position).read()) == ["NVRM: Xid (PCI:0000:5d:00): 79"]
    assert texts(follower.read()) == ["NVRM: Xid (PCI:0000:5d:00): 79"]


def test_a_renamed_file_is_read_to_its_end_and_then_its_successor(log):
    follower = FileFollower(log, "")
    follower.read()
    log.rename(log.with_name("kern.log.1"))
    append(log.with_name("kern.log.1"), "late: the daemon was not told yet")
    assert texts(follower.read()) == ["late: the daemon was not told yet"]
    assert texts(follower.read()) == []
    append(log, "first of the new file")
    assert [(line.number, line.text) for line in follower.read().lines] == [(1, "first of the new file")]


def test_two_rotations_between_two_looks_lose_nothing(log):
    follower = FileFollower(log, "")
    follower.read()
    append(log, "a")
    log.rename(log.with_name("kern.log.2"))
    append(log, "b")
    os.utime(log, ns=(log.stat().st_atime_ns, log.stat().st_mtime_ns + 10**9))
    log.rename(log.with_name("kern.log.1"))
    append(log, "c")
    piece = follower.read()
    assert (texts(piece), piece.gap) == (["a", "b", "c"], "")


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("way", ["rename", "copytruncate"])
def test_rotations_while_nobody_looked_are_caught_up_with(log, way, pack):
    stopped = FileFollower(log, "")
    position = stopped.read().position
    stopped.close()
    append(log, "a", "b")
    old = log.with_name("kern.log.1")
    if way == "rename":
        log.rename(old)
    else:
        shutil.copy2(log, old)
        os.truncate(log, 0)
    if pack:
        with gzip.open(f"{old}.gz", "wb") as stream:
            stream.write(old.read_bytes())
        shutil.copystat(old, f"{old}.gz")
        old.unlink()
    append(log, "c")
    follower = FileFollower(log, position)
    assert follower.read_context()[-1].text.endswith("line 9")
    piece = follower.read()
    assert (texts(piece), piece.gap) == (["a", "b", "c"], "")
    assert [line.number for line in piece.lines] == [11, 12, 1]
    # The new position is one of the new file.
    append(log, "d")
    assert texts(FileFollower(log, piece.position).read()) == ["d"]


def test_copy_and_truncate_is_noticed_while_it_is_followed_even_if_the_file_grew_beyond(log):
    follower = FileFollower(log, "")
    follower.read()
    append(log, "a")
    shutil.copy2(log, log.with_name("kern.log.1"))
    os.truncate(log, 0)
    append(log, *(f"2026-11-20T11:00:{n % 60:02d}+00:00 n-1 kernel: after {n}" for n in range(40)))
    piece = follower.read()
    assert texts(piece)[0] == "a"
    assert len(piece.lines) == 41
    assert piece.gap == ""


def test_a_file_that_is_gone_for_good_is_said_and_the_new_one_is_read_whole(log):
    position = FileFollower(log, "").read().position
    log.unlink()
    append(log, "2026-11-21 another file")
    piece = FileFollower(log, position).read()
    assert "what it held behind line 10 is lost" in piece.gap
    assert texts(piece) == ["2026-11-21 another file"]


def test_a_file_that_is_emptied_by_hand_is_said(log):
    follower = FileFollower(log, "")
    follower.read()
    os.truncate(log, 0)
    append(log, "new")
    piece = follower.read()
    assert "is lost" in piece.gap
    assert texts(piece) == ["new"]


def test_a_long_file_comes_in_pieces(tmp_path):
    path = tmp_path / "kern.log"
    append(path, *(f"line {n}" for n in range(MAX_PIECE_LINES + 5)))
    follower = FileFollower(path, "")
    first, second = follower.read(), follower.read()
    assert (len(first.lines), first.more) == (MAX_PIECE_LINES, True)
    assert (len(second.lines), second.more) == (5, False)


# ---- the ring buffer ----


@pytest.fixture
def ring(tmp_path: Path) -> HostPaths:
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text(f"{BOOT}\n")
    (tmp_path / "proc/stat").write_text("btime 1700000000\n")
    (tmp_path / "kmsg").write_text("")
    return HostPaths(tmp_path / "proc", tmp_path / "sys", tmp_path / "kmsg", ())


def add_records(paths: HostPaths, *numbers: int) -> None:
    with paths.kmsg.open("a", encoding="utf-8") as stream:
        stream.writelines(f"4,{n},{n * 1_000_000},-;record {n}\n SUBSYSTEM=pci\n" for n in numbers)


def test_the_ring_goes_on_behind_its_record(ring):
    add_records(ring, 0, 1, 2)
    follower = RingFollower(ring, "")
    piece = follower.read()
    assert texts(piece) == [f"<4>[{n:5d}.000000] record {n}" for n in range(3)]
    assert [line.number for line in piece.lines] == [1, 2, 3]
    add_records(ring, 3)
    assert texts(follower.read()) == ["<4>[    3.000000] record 3"]
    again = RingFollower(ring, piece.position)
    assert [line.number for line in again.read_context()] == [1, 2, 3]
    assert [line.number for line in again.read().lines] == [4]


def test_an_overrun_is_counted(ring):
    add_records(ring, 0, 1)
    follower = RingFollower(ring, "")
    follower.read()
    add_records(ring, 40, 41)
    piece = follower.read()
    assert piece.gap == "38 records of the ring buffer were overwritten before they were read"
    assert len(piece.lines) == 2


def test_a_reader_that_the_kernel_says_was_overtaken_goes_on_and_counts(ring, monkeypatch):
    add_records(ring, 0, 1)
    follower = RingFollower(ring, "")
    follower.read()
    add_records(ring, 7)
    real, answers = os.read, [BrokenPipeError()]

    def read(descriptor: int, size: int) -> bytes:
        if answers:
            raise answers.pop()  # EPIPE, once, as /dev/kmsg does
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    piece = follower.read()
    monkeypatch.undo()
    assert [line.number for line in piece.lines] == [8]
    assert piece.gap.startswith("5 records")


def test_an_overrun_while_nobody_read_is_counted_too(ring):
    add_records(ring, 0, 1)
    position = RingFollower(ring, "").read().position
    ring.kmsg.write_text("")
    add_records(ring, 12)
    follower = RingFollower(ring, position)
    assert list(follower.read_context()) == []
    assert follower.read().gap.startswith("10 records")


def test_after_a_reboot_all_records_are_new_and_the_gap_is_said(ring):
    add_records(ring, 0, 1, 2)
    position = RingFollower(ring, "").read().position
    (ring.proc / "sys/kernel/random/boot_id").write_text("another\n")
    piece = RingFollower(ring, position).read()
    assert len(piece.lines) == 3
    assert "started again" in piece.gap


def test_the_beginning_that_a_first_reader_never_had_is_no_gap(ring):
    add_records(ring, 900, 901)
    assert RingFollower(ring, "").read().gap == ""


@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="no right to read /dev/kmsg")
def test_the_real_ring_is_read_once():
    follower = RingFollower(HostPaths(), "")
    piece = follower.read()
    while piece.more:
        piece = follower.read()
    again = RingFollower(HostPaths(), piece.position)
    again.read_context()
    assert len(again.read().lines) < 50  # what the kernel said in between, and not all of it again
    assert again.descriptor is not None


# ---- the journal ----

JOURNALCTL = """#!/usr/bin/env python3
# A stand-in for journalctl: entries of a file, one JSON a line, behind a cursor or the last so many.
import json, sys
arguments = sys.argv[1:]
entries = [json.loads(line) for line in open({entries!r}, encoding="utf-8")]
assert "-o" in arguments and arguments[arguments.index("-o") + 1] == "json", arguments
if "--after-cursor" in arguments:
    cursor = arguments[arguments.index("--after-cursor") + 1]
    known = [place for place, entry in enumerate(entries) if entry["__CURSOR"] == cursor]
    if not known:
        print("Failed to seek to cursor: Invalid argument", file=sys.stderr)
        sys.exit(1)
    entries = entries[known[0] + 1:]
else:
    assert "-b" in arguments or "-n" in arguments
wanted = {{word.partition("=")[0]: word.partition("=")[2] for word in arguments if "=" in word}}
entries = [entry for entry in entries if any(entry.get(key) == value for key, value in wanted.items())]
if "-n" in arguments:
    entries = entries[-int(arguments[arguments.index("-n") + 1]):]
for entry in entries:
    print(json.dumps(entry))
"""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch) -> Path:
    entries = tmp_path / "entries.jsonl"
    entries.write_text("")
    program = tmp_path / "bin/journalctl"
    program.parent.mkdir()
    program.write_text(JOURNALCTL.format(entries=str(entries)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return entries


def add_entries(path: Path, *numbers: int, **more: str) -> None:
    rows = (
        {
            "__CURSOR": f"s=ab;i={n:x}",
            "__REALTIME_TIMESTAMP": str(1_763_600_000_000_000 + n * 1_000_000),
            "_TRANSPORT": "kernel",
            "_HOSTNAME": "elsewhere",
            "MESSAGE": f"entry {n}",
            **more,
        }
        for n in numbers
    )
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def test_the_journal_goes_on_behind_its_cursor(journal):
    add_entries(journal, 1, 2)
    follower = JournalFollower("n-1", "")
    piece = follower.read()
    assert texts(piece) == [
        "2025-11-20T00:53:21.000000+00:00 n-1 kernel: entry 1",
        "2025-11-20T00:53:22.000000+00:00 n-1 kernel: entry 2",
    ]
    assert texts(follower.read()) == []
    add_entries(journal, 3)
    again = JournalFollower("n-1", piece.position)
    assert [line.number for line in again.read_context()] == [1, 2]
    assert [(line.number, line.text[-7:]) for line in again.read().lines] == [(3, "entry 3")]


def test_who_wrote_it_is_told_by_the_facility_and_programs_are_not_asked_for(journal):
    add_entries(journal, 1, SYSLOG_FACILITY="1", SYSLOG_IDENTIFIER="bash")
    add_entries(journal, 2, _TRANSPORT="stdout")
    assert texts(JournalFollower("n-1", "").read()) == ["2025-11-20T00:53:21.000000+00:00 n-1 bash: entry 1"]


def test_what_journald_itself_missed_is_a_gap(journal):
    add_entries(journal, 1)
    add_entries(journal, 2, _TRANSPORT="driver", MESSAGE="Missed 12 kernel messages", MESSAGE_ID=MISSED_MESSAGE)
    piece = JournalFollower("n-1", "").read()
    assert piece.gap == "Missed 12 kernel messages"


def test_a_journal_that_was_made_anew_is_read_from_its_beginning_and_said(journal):
    add_entries(journal, 7)
    piece = JournalFollower("n-1", '{"cursor":"s=gone","entries":5}').read()
    assert [line.number for line in piece.lines] == [6]
    assert "no longer knows" in piece.gap


def test_a_journal_that_cannot_be_read_says_so(journal, tmp_path):
    (tmp_path / "bin/journalctl").write_text("#!/bin/sh\necho 'No journal files were opened' >&2; exit 1\n")
    with pytest.raises(ToolFailed, match="No journal files"):
        JournalFollower("n-1", "").read()


# ---- which place ----


@pytest.mark.parametrize("readable", [True, False])
def test_the_journal_comes_first_where_its_kernel_lines_can_be_read(journal, tmp_path, monkeypatch, readable):
    socket = tmp_path / "socket"
    socket.touch()
    monkeypatch.setattr(host_follow_open, "JOURNAL_SOCKET", socket)
    if readable:
        add_entries(journal, 1)
    paths = HostPaths(kmsg=tmp_path / "kmsg", kernel_logs=())
    paths.kmsg.write_text("")
    follower = open_follower("", node="n-1", paths=paths, find_position=lambda _: "")
    assert follower.label == ("journalctl -k -o json" if readable else str(paths.kmsg))
    if not readable:
        with pytest.raises(OperatorError, match="No journal with lines of the kernel"):
            open_follower("journal", node="n-1", paths=paths, find_position=lambda _: "")


def test_the_first_place_that_can_be_read_is_followed(ring, tmp_path):
    assert open_follower("", node="n-1", paths=ring, find_position=lambda _: "").label == str(ring.kmsg)
    ring.kmsg.unlink()
    log = tmp_path / "messages"
    append(log, "one")
    paths = HostPaths(ring.proc, ring.sys, ring.kmsg, (tmp_path / "none", log))
    assert open_follower("", node="n-1", paths=paths, find_position=lambda _: "").label == str(log)
    with pytest.raises(OperatorError, match="no kernel log to follow"):
        open_follower("", node="n-1", paths=ring, find_position=lambda _: "")
    with pytest.raises(OperatorError, match="does not exist"):
        open_follower(str(tmp_path / "none"), node="n-1", paths=paths, find_position=lambda _: "")


# ---- the lines ----


def numbered(*lines: str, start: int = 1) -> list[Line]:
    return [Line(number, text) for number, text in enumerate(lines, start=start)]


def test_events_carry_the_line_number_of_their_place_and_the_wall_clock():
    tail = LogTail("/dev/kmsg", "n-1", 1_700_000_000.0)
    assert tail.take(numbered("<6>[    1.000000] usb 1-1: new device")) == ()
    (event,) = tail.take(numbered("<4>[   11.500000] " + XID.format(bus=0x5D), start=812))
    assert (event.code, event.quote.place, event.writer) == ("xid:79", "/dev/kmsg:812", "kernel")
    assert (event.moment.clock, event.moment.seconds) == ("utc", 1_700_000_011.5)
    assert tail.take(numbered("<6>[   12.000000] usb 1-1: gone", start=813)) == ()
    assert tail.events == (event,)


def test_an_event_of_several_lines_is_one_wherever_the_reading_stopped():
    lines = numbered(
        "<3>[   10.000000] nvme nvme0: I/O 12 QID 4 timeout, aborting",
        "<4>[   11.000000] " + XID.format(bus=0x5D),
        "<3>[   12.000000] NVRM: GPU 0000:5d:00.0: GPU has fallen off the bus.",
        "<6>[   13.000000] usb 1-1: new device",
    )
    whole = LogTail("k", "n-1", 0.0)
    whole.take(lines)
    rows = list(range(1, len(lines)))
    assert rows
    for cut in rows:
        tail = LogTail("k", "n-1", 0.0)
        told = [*tail.take(lines[:cut]), *tail.take(lines[cut:])]
        assert [event.quote.line for event in told] == [event.quote.line for event in whole.events]
        assert tail.events == whole.events


def test_a_storm_is_told_event_by_event():
    tail = LogTail("k", "n-1", 0.0)
    storm = numbered(*(f"<4>[{n:5d}.000000] {XID.format(bus=0x5D)}" for n in range(3000)))
    assert len(tail.take(storm)) == 3000
    assert len(tail.take(numbered(f"<4>[ 4000.000000] {XID.format(bus=0x5E)}", start=3001))) == 1
    assert len(tail.events) == 3001


def test_what_is_older_than_a_day_no_longer_counts():
    tail = LogTail("k", "n-1", 0.0)
    tail.take(numbered(f"<4>[ 1000.000000] {XID.format(bus=0x5D)}"))
    tail.take(numbered(f"<4>[90000.000000] {XID.format(bus=0x5E)}", start=2))
    assert [event.entity.name for event in tail.events] == ["0000:5e:00.0"]


def test_a_few_odd_words_are_no_event_of_their_own():
    assert LogTail("k", "n-1", 0.0).take(numbered("fatal error failed abort panic")) == ()
