"""Make text harmless to show: no escapes that steer a terminal, no passwords of addresses."""

from __future__ import annotations

import re

HIDDEN = "***"
_BLANKS = "\t\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"
_USER_INFO = re.compile(r"(?<=://)(?:[^\s/]*@|(?!\[|[^\s/:@]+:\d+(?:/|$))[^\s/@]*:[^\s@]*@)")
"""What stands before the host: up to the last @ before a slash, or beyond it where the password itself has a slash."""
_SECRET_VALUE = re.compile(
    r"([?&][^=&\s#]*(?:pass|pwd|key|token|secret|sig|auth)[^=&\s#]*=|\bpassword=)[^&\s#]+", re.IGNORECASE
)


def redact_url(text: str) -> str:
    """Hide user, password and secret parameters of every URL in a text; the text itself where there are none."""
    return _SECRET_VALUE.sub(rf"\1{HIDDEN}", _USER_INFO.sub(f"{HIDDEN}@", text))


def neutralise(text: str) -> str:
    """Replace what could steer a terminal or turn the order of letters around; tabs and odd blanks become spaces.

    Control characters, marks of direction (U+202E and its kind) and lone surrogates are none of them printable.
    """
    return text if text.isprintable() else "".join(map(_neutralise_character, text))


def neutralise_name(text: str) -> str:
    """Make a name of a file, host or device harmless: as a text, and a line end in it is none either."""
    return neutralise(text).replace("\n", "\ufffd")


def _neutralise_character(c: str) -> str:
    if c.isprintable() or c == "\n":
        return c
    return " " if c in _BLANKS else "�"
