"""The agent's reading of what was read and what was not."""

from __future__ import annotations

from tools.tool import ToolContext, ToolResult, show_evidence, tool
from tools.types import Coverage, Quote

MAX_ROWS = 30
ORDER = {"missing": 0, "partial": 1, "not_applicable": 2, "read": 3}


@tool
def read_coverage(context: ToolContext) -> ToolResult:
    """Read what was asked for and how far it could be read; what is missing comes first.

    Like `daytwo doctor`.
    """
    rows = sorted(context.everything.coverage, key=lambda row: ORDER[row.status])
    if not rows:
        return ToolResult("nothing tells what was read", 0, 0, "daytwo doctor", "not_read")
    shown = [context.book.add(Quote(f"coverage {row.entity}", None, _spell(row))) for row in rows[:MAX_ROWS]]
    text = "\n".join(show_evidence(evidence) for evidence in shown)
    return ToolResult(text, len(shown), len(rows), "daytwo doctor", "ok", tuple(one.id for one in shown))


def _spell(row: Coverage) -> str:
    told = f"{row.domain} of {row.entity}: {row.status.replace('_', ' ')}"
    return told + (f", {row.reason}" if row.reason else "") + (f"; to read it: {row.fix}" if row.fix else "")
