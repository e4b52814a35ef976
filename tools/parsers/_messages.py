"""The message of a line whose head is of the commonest forms, found with one expression.

A quick look only: what is worth more is read by :func:`~tools.parsers._kernel_forms.split_head`, which finds the same.
"""

from __future__ import annotations

import re

from tools.parsers._kernel_forms import CLOCK, MONTH, NO_HOST

_HEAD = re.compile(
    rf"(?:{MONTH} [ 0-3]\d {CLOCK}|(?P<iso>\d{{4}}-\d\d-\d\dT{CLOCK}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)))"
    r" (?P<host>[\w.-]+) (?P<tag>[^\s\[\]:(]+)(?:\[\d+\])?: (?=\S)(?P<stamp>\[ *\d+\.\d+\] (?=\w))?"
    r"|\[ *\d{1,12}\.\d{1,12}\] (?=[A-Za-z])"
)


def find_message(raw: str) -> str:
    """Return the message of a raw line as `split_head` would; the whole line where its head is of a rarer form."""
    match = _HEAD.match(raw)
    if match is None:
        return raw
    tag = match["tag"]
    if tag == "kernel" or tag is None:
        return raw[match.end() :]
    if match["iso"] and NO_HOST.match(match["host"]):
        return raw
    return f"{tag}: {raw[match.start('stamp') if match['stamp'] else match.end() :]}"
