"""Regular expressions that are compiled when they are first needed: most forms are absent from most evidence."""

from __future__ import annotations

import re


class Lazy:
    """A regular expression, compiled at its first use; importing a parser costs nothing for it.

    Args:
        source: The expression.
        flags: Flags of `re`, ignoring letter case by default, since programs differ in it.
    """

    __slots__ = ("_compiled", "_flags", "source")

    def __init__(self, source: str, flags: re.RegexFlag = re.IGNORECASE) -> None:
        self.source = source
        self._flags = flags
        self._compiled: re.Pattern[str] | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """The compiled expression."""
        if self._compiled is None:
            self._compiled = re.compile(self.source, self._flags)
        return self._compiled

    def match(self, text: str) -> re.Match[str] | None:
        """Match at the start of a text."""
        return self.pattern.match(text)

    def search(self, text: str) -> re.Match[str] | None:
        """Find the first place that matches."""
        return self.pattern.search(text)
