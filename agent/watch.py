"""A growing log under watch: its events are kept once, its cases judged anew, and what is news is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.follow import Followed, Step, find_news, find_returned, is_trouble
from agent.history import NO_PAST, Record
from agent.own_model import OwnModel
from agent.policy import SitePolicy
from agent.remember import Boot, find_hosts
from agent.triage import Memory, triage
from agent.types import SEVERITY_RANK, TriageReport, Verdict
from tools.host_follow import LogTail, Piece
from tools.host_xids import XidListener
from tools.types import Coverage, Entity, Event, Facts

if TYPE_CHECKING:
    from agent.store.store import Store

_LOST_FIX = "journalctl -k --since -1h; ls -l /var/log: another copy of the log may still have it"
_SHOWN_GAPS = 3


@dataclass
class Watch:
    """One followed log.

    Attributes:
        node: Host of the log.
        tail: Reads its lines.
        store: Where events, verdicts and the position are kept; None keeps nothing.
        source: Under which the position is kept.
        boot: The present boot.
        xids: Hears of Xids beside the log; None where only the log is followed.
        tell: Called with each report that holds news: only its new or changed verdicts, never none.
        list_own: Lists Daytwo's own models that run now.
        gaps: What was lost, in words.
        told_trouble: Whether a fault was told that is a warning or worse.
    """

    node: str
    tail: LogTail
    site: SitePolicy
    store: Store | None
    source: str
    boot: Boot | None
    tell: Callable[[TriageReport], None]
    xids: XidListener | None = None
    list_own: Callable[[], tuple[OwnModel, ...]] = tuple
    gaps: list[str] = field(default_factory=list)
    told_trouble: bool = False

    def __post_init__(self) -> None:
        self._followed = Followed(self.source) if self.store is None else self.store.find_followed(self.source)
        self._position = self._followed.position
        self._is_behind = True
        self._untold_gap = False

    def spell_start(self) -> str:
        """Say where it goes on."""
        return " from where the last reading stopped" if self._followed.position else " from its beginning"

    def take(self, piece: Piece, *, is_last: bool = False) -> None:
        """Keep what a piece told, and tell what of it is news; old lines are told once they are caught up with.

        Args:
            piece: What was read.
            is_last: Nothing comes after it.
        """
        fresh = self.tail.take(piece.lines) if piece.lines else ()
        fresh += self.tail.add(self._hear(fresh, is_last=is_last))
        self._position = piece.position or self._position
        if piece.gap:
            self.gaps.append(piece.gap)
            self._untold_gap = True
        if not fresh and not piece.gap and not (self._is_behind and not piece.more):
            return
        records: list[Record] = []
        report = self._judge(records)
        if piece.more:
            self._keep(fresh, records, None)
            return
        self._is_behind = False
        news = find_news(report, self._followed.told, back=find_returned(self.tail.events, fresh))
        verdicts = news.verdicts or (report.verdicts[:1] if self._untold_gap else ())
        told = TriageReport(verdicts=list(verdicts), coverage=report.coverage) if verdicts else None
        self._keep(fresh, records, told)
        if told is not None:
            self._tell(told)
        self._note(news.told)

    def _hear(self, logged: Sequence[Event], *, is_last: bool) -> tuple[Event, ...]:
        if self.xids is None:
            return ()
        return self.xids.take(logged) + (self.xids.flush() if is_last else ())

    def save(self) -> None:
        """Keep the position, where it moved over lines that told nothing."""
        if self._position != self._followed.position:
            self._keep((), (), None)

    def _tell(self, report: TriageReport) -> None:
        self.told_trouble |= any(map(_is_grave, report.verdicts))
        self._untold_gap = False
        self.tell(report)

    def _note(self, told: dict[str, str]) -> None:
        # Only now: what was kept and not yet told when we were killed is told at the next start.
        if told != self._followed.told:
            self._followed = replace(self._followed, told=told)
            if self.store is not None:
                self.store.note_told(self._followed)

    def _judge(self, records: list[Record]) -> TriageReport:
        lack = "; ".join(self.gaps[-_SHOWN_GAPS:])
        node = Entity("node", self.node)
        row = Coverage(str(node), "kernel_log", "partial" if lack else "read", lack, _LOST_FIX if lack else "")
        beside = self.xids.coverage if self.xids is not None else ()
        facts = Facts(
            events=self.tail.events, entities=(node, *self.tail.entities), coverage=(row, *beside), subject=node
        )
        past = self.store.read_past(find_hosts(facts)) if self.store is not None else NO_PAST
        memory = Memory(past, records.extend, self.boot, self.list_own())
        return triage(facts, site=self.site, now=datetime.now(UTC), memory=memory)

    def _keep(self, events: Sequence[Event], records: Sequence[Record], report: TriageReport | None) -> None:
        if self.store is None:
            self._followed = replace(self._followed, position=self._position)
            return
        self._followed = self.store.add_step(Step(self._followed, self._position, events, records, report))


def _is_grave(verdict: Verdict) -> bool:
    return is_trouble(verdict) and SEVERITY_RANK[verdict.severity] >= SEVERITY_RANK["warning"]
