"""Lines that say of themselves that they are a test: those of `daytwo inject`, and of the kernel's own injector."""

from __future__ import annotations

import re

from tools.parsers._patterns import Pattern, on_node

MARKER = "[daytwo-inject, a test]"
"""Ends a marked line. Longer than the 15 characters of a process name, which would else hide a fault."""

PATTERNS: tuple[Pattern, ...] = (
    Pattern("test:injected", (MARKER,), rf" {re.escape(MARKER)}$", on_node),
    # That the kernel can inject errors is printed at every boot, and is no injection.
    Pattern(
        "test:injected",
        ("EINJ: ", "mce-inject", "mce_inject", "einj"),
        r"EINJ: Error INJection(?! is initialized)|mce[-_]inject",
        on_node,
    ),
)
