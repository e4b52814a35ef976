"""The message of a line whose head is of the commonest forms, found with one expression, or with less for many lines.

A quick look only: what is worth more is read by :func:`~tools.parsers._kernel_forms.split_head`, which finds the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tools.parsers._kernel_forms import CLOCK, MONTH, NO_HOST
from tools.parsers._line_shapes import Offsets, find_syslog

_HEAD = re.compile(
    rf"(?:{MONTH} [ 0-3]\d {CLOCK}(?:\.\d+)?|(?P<iso>\d{{4}}-\d\d-\d\dT{CLOCK}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)))"
    r" (?P<host>[\w.-]+) (?P<tag>[^\s\[\]:(]+)(?P<number>\[\d+\])?: (?=\S)(?P<stamp>\[ *\d+\.\d+\] (?=\w))?"
    r"|\[ *\d{1,12}\.\d{1,12}\] (?=[A-Za-z])"
)


def find_message(raw: str) -> str:
    """Return the message of a raw line as `split_head` would; the whole line where its head is of a rarer form."""
    match = _HEAD.match(raw)
    if match is None:
        return raw
    tag = match["tag"]
    if tag is None or (tag == "kernel" and not match["number"]):
        return raw[match.end() :]
    if tag == "kernel" or (match["iso"] and NO_HOST.match(match["host"])):
        return raw
    return f"{tag}: {raw[match.start('stamp') if match['stamp'] else match.end() :]}"


_HOST_AT = 16
"""Where the host stands in a line that begins as ``Mar  2 06:41:41 ``."""
_HOST = re.compile(rb"[A-Za-z0-9_.-]+")
_WRITER = re.compile(rb"(?P<tag>[^\s\[\]:(]+)(?:\[\d+\])?")
_OF_KERNEL = b"kernel: "


def cut_messages(block: bytes, starts: Offsets, ends: Offsets) -> Iterator[bytes | None]:
    """Yield of each line its message, with the kernel's own stamp perhaps; None where its head is of a rarer form."""
    find, begins = block.find, block.startswith
    are_syslog = find_syslog(block, starts, ends).tolist()
    for start, end, is_syslog in zip(starts.tolist(), ends.tolist(), are_syslog, strict=True):
        gap = find(b" ", start + _HOST_AT, end) + 1 if is_syslog else 0
        if gap and _is_host(block[start + _HOST_AT : gap - 1]):
            if begins(_OF_KERNEL, gap):
                yield block[gap + len(_OF_KERNEL) : end]
                continue
            colon = find(b": ", gap, end)
            if colon > 0 and block[colon + 2 : colon + 3] > b" " and (tag := _spell_tag(block[gap:colon])):
                yield tag + block[colon + 2 : end]
                continue
        raw = block[start:end].decode("utf-8", "replace")
        message = find_message(raw)
        # Behind a bracket stands nothing but a time; of other heads a part may stand in the message, put otherwise.
        yield message.encode("utf-8", "replace") if message is not raw or raw[:1] == "[" else None


@lru_cache(maxsize=256)
def _is_host(word: bytes) -> bool:
    return _HOST.fullmatch(word) is not None


@lru_cache(maxsize=4096)
def _spell_tag(writer: bytes) -> bytes:
    """A program's name as it stands before its message, without its number; empty for what is no program."""
    match = _WRITER.fullmatch(writer)
    return match["tag"] + b": " if match is not None and match["tag"] != b"kernel" else b""
