"""Lines that `daytwo inject` marked: they say of themselves that they are a test."""

from __future__ import annotations

import re

from tools.parsers._patterns import Pattern, on_node

MARKER = "[daytwo-inject, a test]"
"""Ends a marked line. Longer than the 15 characters of a process name, which would else hide a fault."""

PATTERNS: tuple[Pattern, ...] = (Pattern("test:injected", (MARKER,), rf" {re.escape(MARKER)}$", on_node),)
