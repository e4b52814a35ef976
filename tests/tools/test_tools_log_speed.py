"""The quick ways through a log find what the slow ones find: literals, heads, counts, blocks, covers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.bench_log import DIALECTS, PEACE, TROUBLE, write_log
from tools.document import FileDocument
from tools.parsers import _foreign, _host_patterns, _log_reader, _scout
from tools.parsers._app_forms import MAX_PAYLOAD_LINES, PAYLOAD_HEAD
from tools.parsers._covers import derive_covers
from tools.parsers._kernel_forms import ANY_HEAD, split_head
from tools.parsers._line_shapes import find_shapes
from tools.parsers._lines import MAX_SAMPLES
from tools.parsers._literals import build_automaton_finder, build_finder, build_wide_finder
from tools.parsers._log_alarm import is_alarm
from tools.parsers._log_counter import LineCounter, is_understood
from tools.parsers._log_reader import LogReader, pattern_table
from tools.parsers._messages import find_message
from tools.parsers._patterns import MAX_JUDGED, Pattern, PatternTable, no_event, on_node
from tools.parsers._regex_bounds import bound_gaps
from tools.sources._segments import TailDocument
from tools.types import Line, Parsed

HEADS = (
    "[ 1000.000000] ", "[12345.678901] ", "[123456.678901] ", "[1234567.678901] ", "[    1.5] ", "[ 1 2.000000] ", "[.5] ",
    "Mar  2 06:41:41 n1 kernel: ", "Mar 12 06:41:41 n1 kernel: [    1.000000] ", "Mar 42 06:41:41 n1 kernel: ",
    "Mxr  2 06:41:41 n1 kernel: ", "Mar  2 2026 06:41:41 n1 kernel: ", "Mar  2 06:41:41.123456 n1 sshd[77]: ",
    "2026-03-02T06:41:41+0000 n1 kernel: ", "2026-03-02 06:41:41,123 INFO ", "2026-03-02_06:41:41 x ",
    "[Mon Mar  2 06:41:41 2026] ", "[Mxn Mar  2 06:41:41 2026] ", "[Mar  2 2026 06:41:41] [INFO] [tid 77] ",
    "<6>[    1.000000] ", "<30>Mar  2 06:41:41 n1 kernel: ", "6,1234,5678901,-;", "1772433721.123456 n1 kernel: ",
    "kern  :err   : [    1.000000] ", "", "    ", "  File \"", "gpu-n1: ", "\x1b[32m[    1.000000]\x1b[0m ",
)  # fmt: skip
MESSAGES = (
    "", "x", "NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
    "nvme nvme0: I/O 77 QID 3 timeout, aborting", "docker0: port 1(veth12) entered forwarding state", "something fails badly",
    "eth0: renamed from veth1", "prose of a person", "train.py\", line 7, in <module>", "loss.backward()", "Übertemperatur",
    "EXT4-fs (sda1): mounted filesystem", "step 100 | loss 1.5", "\x00\x00\x00", "bad \udcff bytes", "y" * 70_000,
    "device (eth0): carrier: link connected", "{\"MESSAGE\": \"NVRM: GPU at PCI:0000:4e:00\", \"_TRANSPORT\": \"kernel\"}",
)  # fmt: skip
ENDS = ("\n", "\n", "\n", "\r\n", "\n\n", " \n", "\n \t\n", "\n\r\n")


@dataclass(frozen=True)
class CutDocument:
    """A text whose blocks end where the test wants it."""

    blocks_given: tuple[bytes, ...]
    label: str = "kern.log"
    node: str = ""

    def lines(self) -> Iterator[Line]:
        text = b"".join(self.blocks_given).decode("utf-8", errors="replace")
        return iter([Line(number, line) for number, line in enumerate(text.split("\n"), start=1)])

    def blocks(self) -> Iterator[bytes]:
        return iter(self.blocks_given)


def cut(text: bytes, places: Sequence[int]) -> tuple[bytes, ...]:
    lines = text.splitlines(keepends=True) if b"\r" not in text else re.findall(rb"[^\n]*\n|[^\n]+\Z", text)
    marks = sorted({0, len(lines), *(place % (len(lines) + 1) for place in places)})
    return tuple(b"".join(lines[one:other]) for one, other in pairwise(marks))


def count_plainly(text: bytes, understood: set[int], table: PatternTable) -> tuple[int, int, int, list[str]]:
    """Count one line after the other, as the rules say and no faster."""
    total = unread = payload = position = 0
    samples: list[str] = []
    in_frame = False
    lines = text.split(b"\n")
    for line in lines:
        start, position = position, position + len(line) + 1
        if line in (b"", b"\r"):
            continue
        if ANY_HEAD.match(line):
            total += 1
            payload = MAX_PAYLOAD_LINES if PAYLOAD_HEAD.match(line) else 0
            continue
        shown = line[:2000].decode("utf-8", errors="replace")
        if start in understood:
            total += 1
            continue
        if not line[:2000].strip():
            continue
        total += 1
        if table.knows(shown):
            continue
        is_code = in_frame and shown.startswith("    ")
        in_frame = is_code or shown.lstrip().startswith('File "')
        payload -= 1
        if is_code or (payload >= 0 and not is_alarm(shown)) or is_understood(shown):
            continue
        unread += 1
        samples.append(shown.strip()[:200])
    return len(lines) - (lines[-1] == b""), total, unread, samples[:MAX_SAMPLES]


texts = st.lists(st.tuples(st.sampled_from(HEADS), st.sampled_from(MESSAGES), st.sampled_from(ENDS)), max_size=30).map(
    lambda rows: "".join(map("".join, rows)).encode("utf-8", errors="surrogateescape")
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(texts, st.booleans(), st.lists(st.integers(0, 60), max_size=6), st.sets(st.integers(0, 40), max_size=5))
def test_lines_are_counted_as_one_by_one(text: bytes, ended: bool, places: list[int], read: set[int]) -> None:
    text = text if ended else text.rstrip(b"\r\n")
    starts = [0, *(match.end() for match in re.finditer(rb"\n", text))]
    understood = {starts[number] for number in read if number < len(starts)}
    table = pattern_table()
    counter = LineCounter(table)
    offset = 0
    for block in cut(text, places):
        counter.count(block, {at - offset for at in understood if offset <= at < offset + len(block)})
        offset += len(block)
    lines, total, unread, samples = count_plainly(text, understood, table)
    assert (counter.lines, counter.total, counter.unread) == (lines, total, unread)
    assert [sample.replace("\ufffd", "?") for sample in counter.samples] == [
        re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "?", sample.replace("\ufffd", "?")) for sample in samples
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(HEADS).map(str.encode) | st.binary(max_size=24), max_size=20))
def test_every_common_head_is_a_known_form(heads: list[bytes]) -> None:
    lines = [head.replace(b"\n", b"") + b"something more" for head in heads]
    block = b"\n".join(lines)
    shapes = find_shapes(block)
    starts = [0, *(match.end() for match in re.finditer(rb"\n", block))]
    for start, line in zip(starts, lines, strict=False):
        if start not in shapes.others:
            assert ANY_HEAD.match(line), line
    assert shapes.known + shapes.empty + len(shapes.others) == shapes.lines == len(lines)


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_the_usual_heads_are_taken_in_bulk(dialect: str) -> None:
    block = "".join(f"{DIALECTS[dialect](1000.5 + n, 'n1', 'kernel')}words\n" for n in range(100)).encode()
    assert find_shapes(block).known == 100


part = st.sampled_from(
    [
        " ",
        "kernel:",
        "n1",
        "nvme",
        "[ 1.5]",
        "[33]:",
        "foo:",
        "foo",
        "(x)",
        ":",
        "sd",
        "INFO",
        "é",
        "systemd[1]:",
        "|",
        "{",
        "x",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([head.rstrip() for head in HEADS]), st.lists(part, max_size=8))
def test_the_quick_look_at_a_message_misses_nothing_of_it(head: str, words: list[str]) -> None:
    raw = " ".join([head, *words]).rstrip()
    found = find_message(raw)
    assert found == raw or found.endswith(split_head(raw).text)


def test_hyperscan_and_the_automaton_find_the_same() -> None:
    literals = sorted({text.encode() for pattern in _log_reader.KERNEL_PATTERNS for text in pattern.literals})
    wide, plain = build_wide_finder(literals), build_automaton_finder(literals)
    if wide is None:
        pytest.skip("hyperscan is not to be had here")
    source = random.Random(3)
    text = b"\n".join(source.choice(literals) + bytes(source.randrange(256) for _ in range(5)) for _ in range(3000))
    assert wide(text) == plain(text)
    assert len(wide(text)) >= 3000
    assert wide(b"") == plain(b"") == []
    assert build_finder(literals)(text) == plain(text)


@pytest.fixture
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("log") / "kern.log"
    write_log(path, 300_000, seed=5)
    return path.read_bytes()


def read(*blocks: bytes) -> Parsed:
    return LogReader(CutDocument(blocks)).read()


def test_where_a_block_ends_makes_no_difference(log: bytes) -> None:
    head = b"\n".join(log.split(b"\n")[:60]) + b"\nno form at all fails here\n\n"
    whole = read(head)
    lines = head.splitlines(keepends=True)
    assert whole.facts.events
    assert whole.unread.unread == 1
    for place in range(len(lines) + 1):
        parts = read(b"".join(lines[:place]), b"".join(lines[place:]))
        assert parts == whole, place


def test_one_line_a_block_reads_the_same(log: bytes) -> None:
    assert read(*log.splitlines(keepends=True)) == read(log)


def test_what_was_learned_of_a_log_changes_nothing_but_the_time(log: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [log[start:] for start in [0]] + [
        b'{"MESSAGE": "NVRM: Xid (PCI:0000:4e:00): 79, GPU has fallen off the bus.", "_TRANSPORT": "kernel"}\n' + log
    ] * 3
    whole = read(*blocks)
    monkeypatch.setattr(_scout, "LEARN_MISSES", (1, 1, 1))
    monkeypatch.setattr(_scout, "NOISY_BYTES", 1 << 60)
    learned = LogReader(CutDocument(tuple(blocks)))
    assert learned.read() == whole
    assert learned._scout._chosen
    assert sum(event.code == "xid:79" for event in whole.facts.events) >= 3


SAMPLES = [words.format(up="1.5", n=4711, p=77, s=3, h="5a5a5a5", l="c") for *_, words in (*PEACE, *TROUBLE)]


def test_every_line_of_trouble_is_found_among_the_peaceful() -> None:
    lines = [
        f"Mar  2 06:41:41 n1 {tag.format(p=77)}: {words}\n"
        for (*_, tag, _), words in zip((*PEACE, *TROUBLE), SAMPLES, strict=True)
    ]
    events = read("".join(lines).encode()).facts.events
    told = {event.quote.line for event in events}
    missing = [line for number, line in enumerate(lines, start=1) if number > len(PEACE) and number not in told]
    # A taskfile of libata and a SCSI result belong to the I/O error of the same command.
    assert len(missing) <= 5, missing
    assert {"xid:31", "xid:94", "nvme:timeout", "block:io_error", "oom:kill", "task:hung"} <= {
        event.code for event in events
    }


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        (r"EXT4-fs (?:error|warning) \(device (?P<device>\w+)\)", ["EXT4-fs error (device sda)", "EXT4-fs warning (device x)"]),
        (r"\b(?P<driver>mlx5_core|ice) .*?(?P<reason>[Ff]ailed to \w+|link down)", ["ice x Failed to y", "mlx5_core 0 link down"]),
        (r"(?:abc)?def|ghij+", ["def", "abcdef", "ghijjj"]),
        (r"(?:ab|cd){2,3}efg", ["ababefg", "cdabcdefg"]),
        (r"a[xy]c.{0,40}\d+ end(?!ing)", ["axc 1 end", "ayc22 end."]),
        (r"colou?r of", ["color of", "colour of"]),
    ],
)  # fmt: skip
def test_a_cover_holds_a_literal_of_every_match(expression: str, texts: list[str]) -> None:
    covers = derive_covers(expression)
    assert covers
    for text in texts:
        assert re.search(expression, text)
        for cover in covers:
            assert any(literal in text for literal in cover), (cover, text)


def test_no_cover_for_letters_of_either_case() -> None:
    assert derive_covers("(?i)failed") == []
    assert all("failed" not in cover for cover in derive_covers("x(?i:failed)"))


def test_the_covers_of_all_rows_hold_for_the_lines_of_the_mix() -> None:
    checked = 0
    for pattern in (*_log_reader.KERNEL_PATTERNS, *_log_reader.APPLICATION_PATTERNS):
        expression = bound_gaps(pattern.regex)
        covers = derive_covers(expression)
        for line in SAMPLES if covers else ():
            if re.search(expression, line):
                checked += 1
                assert all(any(literal in line for literal in cover) for cover in covers), pattern
    assert checked > 15


QUOTED = (
    "NVRM: Xid (PCI:0000:4e:00): 31, pid=77, ", "name=Xid 79, ", ", name=x, Ch 1", "audit: type=1400 NVRM", "traps: evil(1): ",
    "bash[77]: segfault at 0", "usb 1-1: Product: ", "Comm: EXT4-fs error Not tainted", "INFO: task NVRM:77 blocked for more than",
    "Killed process 77 (nvme) ", " comm nvme: ", "comm=\"Xid\" ", "oom-kill:task=mce,pid=7", "task_memcg=/a b,task=c,pid=1",
    "Task in /x killed as", "profile=\"GPU lost\"", "label='a'", "last mounted on /x y", "device label Xid devid 1", "Command line: x",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(QUOTED) | st.text(max_size=8), max_size=5).map("".join))
def test_what_is_quoted_is_blotted_as_by_one_expression_of_all(text: str) -> None:
    whole = re.compile("|".join(_foreign._QUOTING))
    assert _foreign.mask_foreign(text) == whole.sub(_foreign._blot, text)


def test_a_row_that_never_is_an_event_is_asked_only_of_unknown_lines() -> None:
    table = PatternTable([Pattern("", ("quiet word",), r"a quiet word", on_node, refine=no_event)])
    assert list(table.scan(b"there is a quiet word here\n")) == []
    assert table.knows("there is a quiet word here")
    assert not table.knows("there is one quiet word here")


def test_what_is_added_to_a_remembered_match_stays_out_of_the_next() -> None:
    table = PatternTable([Pattern("a:{word}", ("odd",), r"odd (?P<word>\w+)", on_node)])
    for _ in range(3):
        found = table.match("odd thing", (0,))
        assert found is not None
        assert found.fields == {"word": "thing"}
        found.fields["word"] = "other"
    for number in range(3 * MAX_JUDGED):
        assert table.match(f"odd n{number}", (0,)) is not None
    assert len(table._judged) <= MAX_JUDGED


def test_the_stack_of_a_trace_is_understood() -> None:
    assert is_understood(" ? do_syscall_64+0x5b/0x1b0") == bool(
        _host_patterns.STACK_LINE.match(" ? do_syscall_64+0x5b/0x1b0")
    )


def test_the_same_seed_writes_the_same_log(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("logs")
    one, other = folder / "one", folder / "other"
    lines, interest = write_log(one, 2_000_000)
    assert (lines, interest) == write_log(other, 2_000_000)
    assert one.read_bytes() == other.read_bytes()
    assert len(one.read_bytes().splitlines()) == lines
    assert 0.007 < interest / lines < 0.013
    assert FileDocument("one", "", one).path.stat().st_size >= 2_000_000


@pytest.mark.parametrize("start", [1, 2, 37, 40])
def test_the_rest_of_a_text_is_the_same_in_blocks_and_in_lines(
    tmp_path_factory: pytest.TempPathFactory, start: int
) -> None:
    path = tmp_path_factory.mktemp("tail") / "kern.log"
    lines = [f"\x1b[32m[{number:5d}.000000]\x1b[0m line {number}" for number in range(1, 41)]
    path.write_text("\n".join(lines), encoding="utf-8")
    tail = TailDocument(FileDocument("kern.log", "", path), start)
    told = b"".join(tail.blocks()).decode().split("\n")
    assert told == [""] * (start - 1) + [line.text for line in tail.lines()]
    assert "\x1b" not in told[-1]
    assert told[-1] == "[   40.000000] line 40"


def test_threads_read_at_the_same_time(log: bytes) -> None:
    alone = read(log)
    with ThreadPoolExecutor(4) as pool:
        assert all(parsed == alone for parsed in pool.map(read, [log] * 8))
