"""x."""

from __future__ import annotations

from tools.parsers._patterns import Pattern

PATTERNS: tuple[Pattern, ...] = ()
