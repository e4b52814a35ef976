"""tools/document.py: what a person sees as line 118 is line 118, and no file fills the memory."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from tools.document import MAX_LINE_BYTES, FileDocument, TextDocument
from tools.errors import EvidenceNotFound, EvidenceUnreadable
from tools.types import Document, Line

TEXT = "one\r\ntwo\x0cstill two\n\nfour é\nfive without end"
LINES = [Line(1, "one"), Line(2, "two\x0cstill two"), Line(3, ""), Line(4, "four é"), Line(5, "five without end")]


def documents(tmp_path: Path, text: str) -> list[Document]:
    plain, packed = tmp_path / "kern.log", tmp_path / "kern.log.1.gz"
    plain.write_bytes(text.encode())
    packed.write_bytes(gzip.compress(text.encode()))
    return [
        TextDocument("t", "n", text),
        FileDocument("kern.log", "n", plain),
        FileDocument("kern.log.1.gz", "n", packed),
    ]


def test_lines_are_numbered_as_every_tool_counts_them(tmp_path):
    both = list(documents(tmp_path, TEXT))
    assert len(both) > 1
    for document in both:
        assert list(document.lines()) == LINES, document.label
        assert list(document.lines()) == LINES, "a document can be read again"


def test_the_end_of_the_last_line_makes_no_further_line(tmp_path):
    both = list(documents(tmp_path, "a\nb\n"))
    assert len(both) > 1
    for document in both:
        assert [line.number for line in document.lines()] == [1, 2]
    for document in documents(tmp_path, ""):
        assert list(document.lines()) == []


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    both = list(documents(tmp_path, "\ufeffNVRM: Xid\n\ufeffkept\n"))
    assert len(both) > 1
    for document in both:
        assert [line.text for line in document.lines()] == ["NVRM: Xid", "\ufeffkept"]


def test_a_degree_of_latin_1_is_one(tmp_path):
    path = tmp_path / "sensors"
    path.write_bytes(b"Tctl:  +45.2\xb0C\nplain\n")
    assert [line.text for line in FileDocument("sensors", "", path).lines()] == ["Tctl:  +45.2°C", "plain"]


def test_broken_bytes_are_replaced(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"a\xff\xfeb\nc\n")
    assert [line.text for line in FileDocument("log", "", path).lines()] == ["a\ufffd\ufffdb", "c"]


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 5 * MAX_LINE_BYTES])
def test_a_long_line_is_cut_and_the_next_keeps_its_number(tmp_path, length):
    both = list(documents(tmp_path, "x" * length + "\nnext\n"))
    assert len(both) > 1
    for document in both:
        first, second = document.lines()
        assert len(first.text) == min(length, MAX_LINE_BYTES)
        assert second == Line(2, "next")


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "blob"
    with path.open("wb") as stream:
        stream.truncate(200 * 1024**2)  # a sparse file of zeros
    tracemalloc.start()
    (line,) = FileDocument("blob", "", path).lines()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(line.text) == MAX_LINE_BYTES
    assert peak < 4 * 1024**2


def test_what_cannot_be_read_says_what_to_type(tmp_path):
    with pytest.raises(EvidenceNotFound) as missing:
        list(FileDocument("kern.log", "", tmp_path / "kern.log").lines())
    assert "ls -l" in missing.value.fix
    broken = tmp_path / "kern.log.gz"
    broken.write_bytes(gzip.compress(b"one\ntwo\n" * 100_000)[:-200])
    with pytest.raises(EvidenceUnreadable) as damaged:
        list(FileDocument("kern.log.gz", "", broken).lines())
    assert "gzip -t" in damaged.value.fix
    with pytest.raises(EvidenceUnreadable):
        list(FileDocument("folder", "", tmp_path).lines())
