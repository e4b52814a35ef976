"""The agent's reading of numbers: the signals of an entity, held against its peers and its own past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tools.evidence import Evidence, EvidenceBook
from tools.lookup import EntityIndex, list_names, read_state
from tools.tool import Reading, ToolContext, ToolResult, show_evidence, tool
from tools.types import Domain, Entity, Moment, Quote, Window

MAX_SIGNALS = 24
DOMAIN_OF_KIND: dict[str, Domain] = {"gpu": "gpu", "disk": "disk", "nic": "network", "guest": "guests", "node": "host"}


@dataclass(frozen=True, slots=True)
class Series:
    """One signal of one entity in one window; `latest` is None where it could not be read, with the reason."""

    signal: str
    window: Window
    row: int
    latest: float | None
    reason: str

    def describe(self, entity: Entity) -> tuple[str, dict[str, float | str]]:
        """Spell the reading with its own range and its peers; and the same as numbers."""
        if self.latest is None:
            return f"{entity} {self.signal} not read ({self.reason})", {}
        series = self.window.values[self.signal]
        own = series[self.row][~np.isnan(series[self.row])]
        values: dict[str, float | str] = {self.signal: self.latest}
        text = f"{entity} {self.signal} {_spell(self.latest)}"
        if len(own) > 1:
            values |= {f"lowest_{self.signal}": float(own.min()), f"highest_{self.signal}": float(own.max())}
            text += f", lowest {_spell(own.min())}, highest {_spell(own.max())} of {len(own)} readings"
        peers = self._read_peers()
        if peers:
            middle = float(np.median(peers))
            rank = 1.0 + sum(peer > self.latest for peer in peers)
            values |= {f"peers_median_{self.signal}": middle, "peers": float(len(peers)), "rank_from_the_highest": rank}
            text += f"; {len(peers)} peers: median {_spell(middle)}, {_spell(min(peers))} to {_spell(max(peers))}"
            text += f", this is number {rank:.0f} from the highest"
        return text, values

    def _read_peers(self) -> list[float]:
        kind = self.window.entities[self.row].kind
        others = [row for row, peer in enumerate(self.window.entities) if row != self.row and peer.kind == kind]
        read = [self.window.latest(row, self.signal) for row in others]
        return [value for value in read if value is not None]


@tool
def read_readings(context: ToolContext, entity: str, signals: list[str]) -> ToolResult:
    """Read the numbers of one entity against its peers of the same kind (median, rank) and its own past.

    Base units stand in the names. Like `nvidia-smi -q -i 3` or `iostat -x 1`.

    Args:
        context: The facts and the book of evidence.
        entity: A gpu, disk, nic, guest or node as spelled in the brief.
        signals: Signals or parts of their names, such as temperature or gpu_power; [] for all.
    """
    index = EntityIndex(context.everything)
    wanted = index.find(entity)
    if not wanted:
        return ToolResult(f"no entity goes by {entity!r} here; known: {list_names(index.known)}", 0, 0, "", "not_read")
    found = [(one, reading) for one in wanted for reading in find_series(context.everything.windows, one, index)]
    kept = [(one, reading) for one, reading in found if _is_asked(reading.signal, signals)]
    command = _spell_command(wanted[0], found[0][1].window if found else None)
    if not kept:
        return _explain_empty(context, wanted[0], [reading.signal for _, reading in found], command)
    rows, handles = [], []
    for one, reading in kept[:MAX_SIGNALS]:
        evidence = describe_series(context.book, one, reading)
        rows.append(show_evidence(evidence))
        handles.append(evidence.id)
    state: Reading = "ok" if any(series.latest is not None for _, series in kept) else "not_read"
    narrow = "name the signals that you need" if len(kept) > MAX_SIGNALS else ""
    return ToolResult("\n".join(rows), len(rows), len(kept), command, state, tuple(handles), narrow)


def describe_series(book: EvidenceBook, entity: Entity, series: Series) -> Evidence:
    """Number one signal of one entity, with its range, its peers and the span of its window."""
    text, values = series.describe(entity)
    start, end = _span_of(series.window)
    return book.add(Quote(series.window.source, None, text), start=start, end=end, values=values)


def find_series(windows: Sequence[Window], entity: Entity, index: EntityIndex) -> Iterator[Series]:
    """Find every signal of an entity in every window that holds it: its present and its past."""
    for window in windows:
        for row, member in enumerate(window.entities):
            if index.resolve(member) != entity:
                continue
            for signal in window.values:
                latest = window.latest(row, signal)
                reason = window.reasons.get((row, signal), "")
                if latest is not None or reason:
                    yield Series(signal, window, row, latest, reason)


def _is_asked(signal: str, signals: Sequence[str]) -> bool:
    asked = [word.strip().lower().replace(" ", "_") for word in signals if word.strip()]
    return not asked or any(word in signal for word in asked)


def _span_of(window: Window) -> tuple[Moment, Moment]:
    times = window.times[~np.isnan(window.times)]
    if not len(times):
        return Moment(), Moment()
    return Moment(window.clock, float(times[0])), Moment(window.clock, float(times[-1]))


def _spell(number: float) -> str:
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.4g}"


def _spell_command(entity: Entity, window: Window | None) -> str:
    if entity.kind == "gpu":
        return f"nvidia-smi -q -i {entity.id_map.get('pci', entity.name)}"
    return f"iostat -x 1 2 {entity.name}" if entity.kind == "disk" else (window.source if window else "")


def _explain_empty(context: ToolContext, entity: Entity, signals: Sequence[str], command: str) -> ToolResult:
    if signals:
        names = ", ".join(sorted(set(signals)))
        return ToolResult(f"no such signal of {entity}; there are: {names}", 0, 0, command, "empty")
    domain = DOMAIN_OF_KIND.get(entity.kind, "host")
    _, note = read_state(context.everything, (domain,), entity.node)
    return ToolResult(f"no reading of {entity}{f' ({note})' if note else ''}", 0, 0, command, "not_read")
