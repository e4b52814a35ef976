"""The agent's reading of network adapters: state, rate and error counters, the ones that err first."""

from __future__ import annotations

from tools.entities import same_node
from tools.lookup import EntityIndex, read_state
from tools.read_readings import describe_series, find_series
from tools.tool import ToolContext, ToolResult, show_evidence, tool

MAX_ROWS = 24
COMMAND = "ibstat; ethtool -S IFACE | grep -iE 'err|drop|crc|symbol'; perfquery -x"
_ERROR_WORDS = ("error", "symbol", "discard", "drop", "recover", "down", "crc", "fail")


@tool
def read_nic_counters(context: ToolContext, node: str = "") -> ToolResult:
    """Read the counters of network adapters; error counters that are not zero come first, with their growth and peers.

    Like `perfquery -x` or `ethtool -S eth0`.

    Args:
        context: The facts and the book of evidence.
        node: Host name; "" for all.
    """
    facts = context.everything
    index = EntityIndex(facts)
    nics = [one for one in index.known if one.kind == "nic" and (not node or same_node(one.node, node))]
    found = [(one, series) for one in nics for series in find_series(facts.windows, one, index)]
    read = [(one, series) for one, series in found if series.latest is not None]
    if not read:
        state, note = read_state(facts, ("network",), node)
        return ToolResult(f"no counter of an adapter{f' ({note})' if note else ''}", 0, 0, COMMAND, state)
    ranked = sorted(read, key=lambda item: (not (_is_error(item[1].signal) and item[1].latest), str(item[0])))
    rows: list[str] = []
    handles: list[str] = []
    for one, series in ranked[:MAX_ROWS]:
        evidence = describe_series(context.book, one, series)
        rows.append(show_evidence(evidence))
        handles.append(evidence.id)
    narrow = "name one node, or read_readings of one adapter" if len(read) > MAX_ROWS else ""
    return ToolResult("\n".join(rows), len(rows), len(read), COMMAND, "ok", tuple(handles), narrow)


def _is_error(signal: str) -> bool:
    return any(word in signal for word in _ERROR_WORDS)
