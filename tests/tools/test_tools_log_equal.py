"""The quick way through a log and the slow one read the same: events, counts and samples, of every mix of forms."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.bench_log import DIALECTS, PEACE, TROUBLE
from tools.parsers import _kernel_forms, _literals, _log_reader, _scout
from tools.parsers._kernel_forms import split_head
from tools.parsers._line_shapes import find_ends
from tools.parsers._literals import build_automaton_finder, build_wide_finder
from tools.parsers._log_reader import LogReader, pattern_table
from tools.parsers._messages import cut_messages
from tools.parsers._patterns import Pattern, PatternTable, on_node
from tools.parsers._regex_bounds import bound_gaps
from tools.parsers._sieve import build_sieve, can_sift
from tools.parsers._widened import widen
from tools.types import Line, Parsed

ODD_HEADS = (
    "[ 1000.000000] ", "Mar 12 06:41:41 gpu-n2 kernel: [    1.000000] ", "Mar 42 06:41:41 n1 kernel: ", "Feb 31 06:41:41 n1 kernel: ",
    "Mar  2 26:41:41 n1 kernel: ", "Mar  2 2026 06:41:41 n1 kernel: ", "Mar  2 06:41:41.123456 n1 sshd[77]: ", "    ", "gpu-n1: ", "",
    "<6>[    1.000000] ", "<3>Mar  2 06:41:41 n1 kernel: ", "<30>1 2026-03-02T06:41:41Z n1 kubelet 77 - - ", "6,1234,5678901,-;",
    "1772433721.123456 n1 kernel: ", "kern  :err   : [    1.000000] ", "\x1b[32m[    1.000000]\x1b[0m ", "> ",
    "Mar  2 06:41:41 n1 kernel:  ", "Mar  2 06:41:41 n1 kernel[7]: ", "Mar  2 06:41:41 n1 kernel[0]: ", "Mar  2 06:41:41 n/1 kernel: ",
    "Mar  2 06:41:41 eth0 kernel: kernel: [ 1.5] ", "Mar  2 06:41:41 n1 systemd-networkd[9]: ", "Mar  2 06:41:41 n1 slurmd[9]:  ",
    "Mar  2 06:41:41 n1 kernel[1.2]: ", "Mar  2 06:41:41 n1 kernelx: ", "Mar  2 06:41:41 n1 cron(x)[9]: ", "2026-03-02T06:41:41.5Z stdout F ", "2026-03-02T06:41:41.5Z n1 containerd[1]: ",
)  # fmt: skip
FRAGMENTS = (
    "\t", "é", "\x00", "\x1c", "\r", "  ", "y" * 2100, "'", "NVRM: ", "eth0: ", "Link down", " error", "failed", 'comm="x" ',
    " msg=x level=info", "x kernel: ", "[ 1.5] ", "systemd[1]: ", "multipathd: ", "{",
)  # fmt: skip


@dataclass(frozen=True)
class Blocks:
    """A text in blocks."""

    given: tuple[bytes, ...]
    label: str = "kern.log"
    node: str = ""

    def lines(self) -> Iterator[Line]:
        text = b"".join(self.given).decode("utf-8", errors="replace")
        return iter([Line(number, line) for number, line in enumerate(text.split("\n"), start=1)])

    def blocks(self) -> Iterator[bytes]:
        return iter(self.given)


def write_mix(seed: int, count: int) -> list[str]:
    """Write lines of every form, of trouble and of peace, a fifth of them broken somewhere."""
    source = random.Random(seed)
    lines = []
    while len(lines) < count:
        tag, words = source.choice(TROUBLE) if source.random() < 0.4 else source.choice(PEACE)[1:]
        told = {"up": "1.5", "n": source.randrange(9999), "p": source.randrange(99), "s": source.randrange(8)}
        told |= {"h": f"{source.getrandbits(28):07x}", "l": "abcd"[source.randrange(4)]}
        tag, words = tag.format(**told), words.format(**told)
        if source.random() < 0.2:
            place = source.choice([0, len(words), source.randrange(len(words))])
            words = words[:place] + source.choice(FRAGMENTS) + words[place:]
        kind = source.random()
        if kind < 0.6:
            host = source.choice(["gpu-r1", "n2", "eth3"])
            lines.append(source.choice(list(DIALECTS.values()))(1000 + len(lines) / 37, host, tag) + words)
        elif kind < 0.95:
            lines.append(source.choice(ODD_HEADS) + words)
        else:
            lines.append(json.dumps({"MESSAGE": words, "_TRANSPORT": source.choice(["kernel", "syslog"])}))
    return lines


def read_slowly(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> Parsed:
    """Read with nothing learned, no head read in short, an automaton for the literals, and each line a block."""
    with monkeypatch.context() as patch:
        patch.setattr(_scout, "LEARN_MISSES", ())
        patch.setattr(_kernel_forms, "_USUAL", re.compile(r"(?!)"))
        patch.setattr(_literals, "build_wide_finder", lambda _: None)
        table = PatternTable((*_log_reader.KERNEL_PATTERNS, *_log_reader.APPLICATION_PATTERNS, *_log_reader._NAMING))
        patch.setattr(_log_reader, "pattern_table", lambda: table)
        return LogReader(Blocks(tuple(f"{line}\n".encode() for line in lines))).read()


def read_quickly(lines: list[str], monkeypatch: pytest.MonkeyPatch, *, noisy_bytes: int, blocks: int) -> Parsed:
    """Read with covers and sieve learned after the first blocks."""
    with monkeypatch.context() as patch:
        patch.setattr(_scout, "LEARN_MISSES", (1, 1, 1))
        patch.setattr(_scout, "NOISY_BYTES", noisy_bytes)
        size = len(lines) // blocks + 1
        parts = [lines[start : start + size] for start in range(0, len(lines), size)]
        reader = LogReader(Blocks(tuple("".join(f"{line}\n" for line in part).encode() for part in parts)))
        parsed = reader.read()
        assert reader._scout._index is not None
        if build_wide_finder([b"x"]) is not None:
            assert reader._scout._sieve is not None
            assert len(reader._scout._sieve.rows) >= 3
        return parsed


@pytest.mark.parametrize("seed", range(6))
def test_what_is_learned_skipped_and_read_in_short_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = write_mix(seed, 900)
    quick = read_quickly(lines, monkeypatch, noisy_bytes=1 << (13 if seed % 2 else 40), blocks=6)
    slow = read_slowly(lines, monkeypatch)
    assert quick.unread == slow.unread
    assert quick.facts.entities == slow.facts.entities
    assert list(quick.facts.events) == list(slow.facts.events)
    assert len(quick.facts.events) > 200
    assert 0 < quick.unread.unread < quick.unread.total


def test_a_form_that_changes_in_the_middle_of_a_file_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    peace = [f"Mar  2 06:41:41 n1 kernel: [ 1000.000000] EXT4-fs (dm-{n}): mounted filesystem" for n in range(300)]
    fault = "NVRM: Xid (PCI:0000:4e:00): 79, pid=1, name=x, GPU has fallen off the bus."
    others = [head + fault for head in ODD_HEADS] + [json.dumps({"MESSAGE": fault, "_TRANSPORT": "kernel"})]
    lines = [*peace, *others, *peace]
    quick = read_quickly([*write_mix(1, 300), *lines], monkeypatch, noisy_bytes=1 << 40, blocks=4)
    told = {event.quote.line for event in quick.facts.events if event.code == "xid:79"}
    missing = [head for number, head in enumerate(ODD_HEADS, start=601) if number not in told]
    assert missing == []


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(ODD_HEADS),
    st.lists(st.sampled_from([*FRAGMENTS, "NVRM: Xid", "sd 1:0:0:0: [sda]", " ", "host kernel: x"]), max_size=5),
)
def test_a_head_read_in_short_is_the_head_read_in_full(head: str, words: list[str]) -> None:
    raw = head + "".join(words)
    assert split_head(raw) == _kernel_forms._split_any(raw)


def test_a_line_end_of_two_characters_hides_no_end_of_a_message() -> None:
    text = (
        "Mar  2 06:41:41 n1 kernel: nfs: server 10.7.0.5 OK\r\nMar  2 06:41:42 n1 kernel: nfs: server 10.7.0.6 OK  \n"
    )
    events = LogReader(Blocks((text.encode(),))).read().facts.events
    assert [(event.code, event.entity.name) for event in events] == [("nfs:ok", "10.7.0.5"), ("nfs:ok", "10.7.0.6")]


ROWS = (*_log_reader.KERNEL_PATTERNS, *_log_reader.APPLICATION_PATTERNS, *_log_reader._NAMING)


def test_every_row_can_be_widened_and_hyperscan_takes_it() -> None:
    if build_wide_finder([b"x"]) is None:
        pytest.skip("hyperscan is not to be had here")
    spelled = [widen(bound_gaps(row.regex)) for row in ROWS]
    refused = [
        row.regex
        for row, text in zip(ROWS, spelled, strict=True)
        if text is None or (len(text) < 300 and build_wide_finder([text.encode()], are_literals=False) is None)
    ]
    assert refused == []


def test_what_an_expression_finds_the_wider_one_finds_too() -> None:
    table = pattern_table()
    lines = [split_head(line).text for seed in range(4) for line in write_mix(seed, 400)]
    lines = [line for line in lines if line and can_sift(line.encode("utf-8", "replace")) and "\n" not in line]
    rows = sorted({row for line in lines for *_, found in table.scan(line.encode()) for row in found})
    sieve = build_sieve(table, rows)
    if sieve is None:
        pytest.skip("hyperscan is not to be had here")
    found = sieve.sift([line.encode() for line in lines])
    checked = 0
    for number, line in enumerate(lines):
        for row in sieve.rows:
            if re.search(table.expression(row), line):
                checked += 1
                assert row in found.get(number, ()), (table.expression(row), line)
    assert checked > 300


@pytest.mark.parametrize(
    ("expression", "finds", "passes"),
    [
        (r"(?:a+b )?(?P<device>\w{2,})(?!veth|docker)x$", ["cdx", "ab cdx y"], ["c", ""]),
        (r"net: (?!veth|lo\b|docker)(?P<device>[\w.-]+): Lost", ["net: eth0: Lost", "net: lo: Lost"], ["net: veth1: Lost", "net: docker0: Lost"]),
        (r"(?i)gpu (?!Fan)\w{4}", ["GPU lost", "gpu heat"], ["gpu fan1", "gpu FAN1"]),
        (r"(?<![\w-])(?P<driver>ice|igb) (?:\d+:)+ (?=x)[^,]*, \S{30,40}end", ["ice 1:2: a, " + "z" * 35 + "end"], ["ice 1: a"]),
        (r"[^\s,]+(?:error|fail).*", ["xerror", "a fail: b zfail"], ["error", " fail"]),
    ],
)  # fmt: skip
def test_a_wider_expression_finds_no_less_and_refuses_what_it_can(
    expression: str, finds: list[str], passes: list[str]
) -> None:
    text = widen(expression)
    assert text is not None
    find = build_wide_finder([text.encode()], are_literals=False)
    if find is None:
        pytest.skip("hyperscan is not to be had here")
    assert all(find(line.encode()) for line in finds)
    assert [line for line in passes if find(line.encode())] == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 9999))
def test_a_message_cut_for_the_sieve_holds_the_message(seed: int) -> None:
    lines = [line.encode("utf-8", "replace") for line in write_mix(seed, 30) if "\n" not in line]
    block = b"\n".join(lines) + b"\n"
    ends = find_ends(block)
    starts = ends.copy()
    starts[:1], starts[1:] = 0, ends[:-1] + 1
    checked = 0
    for line, message in zip(lines, cut_messages(block, starts, ends), strict=True):
        if message is not None and can_sift(line) and b"\x1b" not in line and b"\x1c" not in line:
            checked += 1
            assert split_head(line.decode()).text in message.decode(), (line, message)
    assert checked > 3


def test_a_cover_never_joins_a_program_to_its_words() -> None:
    table = PatternTable([Pattern("a", ("drain",), r"slurmd: drain (?:now|soon): \d", on_node)])
    covers = [sorted(cover) for cover in table.covers(0)]
    assert covers[0] == ["drain"]
    assert covers[1:] == [["drain now", "drain soon"]]


def test_letters_of_another_alphabet_are_left_to_the_expression_itself() -> None:
    assert widen("Übertemperatur") is None
    assert widen(r"(a)\1") is None
    assert widen(r"[é]") is None
    assert build_automaton_finder([b"x"])(b"axx") == [2 << _literals.NUMBER_BITS, 3 << _literals.NUMBER_BITS]
