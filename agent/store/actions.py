"""Proposals in the store: made once, answered once, begun once, whichever process comes first.

Every transaction begins with a write to the one row of the breaker. On SQLite that takes the database's write lock, on
PostgreSQL the row's; so rates, cooldowns and states are read and changed by one process at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import or_, select, text, update
from sqlalchemy.orm import Session

from agent.audit import ITSELF, AuditKind, AuditLine, Break, Entry, Head, find_break
from agent.execution import Claim, Outcome
from agent.gates import HOUR_SECONDS, BreakerState, Situation
from agent.permission import Judged, find_overload, find_refusals, is_decided, judge_wanted, with_past
from agent.proposals import Answer, Proposal, Stop, Wanted, describe_answer
from agent.store.audit_log import append_entries, read_head, read_lines
from agent.store.models import BreakerRow, ProposalRow
from agent.store.store import Store
from tools.errors import OperatorError

DAY_SECONDS = 86_400.0
MAX_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a person's word.

    Attributes:
        claim: The right to do it; None where a second person's word is waited for.
    """

    proposal: Proposal
    claim: Claim | None = None


class ActionBook:
    """Proposals, the breaker and the audit of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.place = store.place

    def propose(self, wanted: Sequence[Wanted], situation: Situation) -> list[Judged]:
        """Keep what is proposed, and write down what is refused.

        Returns:
            One judgement for each step, in order; a step that waits already is judged anew with what is known now.
        """
        if not wanted:
            return []
        with self._decide(situation, [one.target for one in wanted]) as (session, known, entries):
            judged = []
            for one in wanted:
                judged.append(_propose(session, one, known, entries))
                made = judged[-1].proposal if judged[-1].is_new else None
                known = replace(known, past=(*known.past, *([made] if made else [])))
            _trip(session, known, entries)
            return judged

    def approve(self, proposal_id: str, situation: Situation, answer: Answer) -> Answered:
        """Take a person's word, and give out the claim where it was the last that is needed.

        Raises:
            OperatorError: A gate is shut; it is named, and written down.
        """

        def take(session: Session, proposal: Proposal, known: Situation, entries: list[Entry]) -> Answered:
            told = replace(proposal, approvals=(*proposal.approvals, answer))
            entries.append(_entry("approval", told, who=answer.who, answer=describe_answer(answer)))
            if is_decided(proposal, known, answer):
                return _begin(session, told, known, entries)
            _save(session, told)
            return Answered(told)

        return self._answer(proposal_id, situation, answer, take)

    def act(self, proposal_id: str, situation: Situation) -> Answered:
        """Give out the claim with nobody's word, where no gate at all is shut.

        Raises:
            OperatorError: A gate is shut.
        """

        def take(session: Session, proposal: Proposal, known: Situation, entries: list[Entry]) -> Answered:
            return _begin(session, proposal, known, entries)

        return self._answer(proposal_id, situation, None, take)

    def _answer(
        self,
        proposal_id: str,
        situation: Situation,
        answer: Answer | None,
        take: Callable[[Session, Proposal, Situation, list[Entry]], Answered],
    ) -> Answered:
        refused: list[Stop] = []
        with self._decide(situation, []) as (session, known, entries):
            proposal = _find(session, proposal_id)
            refused = find_refusals(proposal, known, answer)
            if not refused:
                return take(session, proposal, known, entries)
            who = answer.who if answer else ITSELF
            entries.append(_entry("refusal", proposal, who=who, stops=[asdict(stop) for stop in refused]))
        raise build_refusal(proposal, refused)

    def find_refusals(self, proposal_id: str, situation: Situation, answer: Answer) -> list[Stop]:
        """Look at all gates without doing or writing anything."""
        with self._store._read() as session:
            proposal = _find(session, proposal_id)
            known = with_past(situation, _read_past(session, situation, [proposal.wanted.target]), _breaker(session))
            return find_refusals(proposal, known, answer)

    def reject(self, proposal_id: str, situation: Situation, answer: Answer) -> Proposal:
        """Take a person's no.

        Raises:
            OperatorError: It is not open any more.
        """
        with self._decide(situation, []) as (session, _, entries):
            proposal = _find(session, proposal_id)
            state = proposal.state_at(situation.now_seconds)
            if state != "open":
                raise OperatorError(
                    f"{proposal_id} is {state.replace('_', ' ')}: there is nothing to reject.",
                    fix=f"daytwo proposals --case {proposal.wanted.case_id} --all",
                )
            told = replace(proposal, state="rejected", rejection=answer)
            _save(session, told)
            entries.append(_entry("rejection", told, who=answer.who, answer=describe_answer(answer)))
            return told

    def finish(self, claim: Claim, outcome: Outcome, now_seconds: float) -> Proposal:
        """Write down what came of a claim."""
        with self._store._write() as session:
            _hold(session)
            proposal = _find(session, claim.proposal.proposal_id)
            told = replace(proposal, state=outcome.state, ended_seconds=now_seconds, outcome=outcome.words)
            _save(session, told)
            entry = _entry("result", told, details=list(outcome.details))
            append_entries(session, [entry], now_seconds=now_seconds)
            return told

    def refuse(self, proposal: Proposal, stops: Sequence[Stop], who: str, now_seconds: float) -> None:
        """Write down that a proposal was not done, and why: gates that are shut, or what a dry run found."""
        with self._store._write() as session:
            entry = _entry("refusal", proposal, who=who, stops=[asdict(stop) for stop in stops])
            append_entries(session, [entry], now_seconds=now_seconds)

    def find(self, proposal_id: str) -> Proposal:
        """Find a proposal by its id, or a beginning of it that only one has.

        Raises:
            OperatorError: None or more than one begins so.
        """
        with self._store._read() as session:
            return _find(session, proposal_id)

    def list_proposals(self, *, case_id: str = "", limit: int = 100) -> list[Proposal]:
        """List proposals, newest first."""
        query = select(ProposalRow).order_by(ProposalRow.created_seconds.desc(), ProposalRow.proposal_id)
        if case_id:
            query = query.where(ProposalRow.case_id.startswith(case_id, autoescape=True))
        with self._store._read() as session:
            return [_read(row) for row in session.scalars(query.limit(max(1, min(limit, MAX_ROWS))))]

    def read_breaker(self) -> BreakerState:
        """Say whether the breaker is open."""
        with self._store._read() as session:
            return _breaker(session)

    def reset_breaker(self, answer: Answer) -> BreakerState:
        """Shut the breaker again.

        Returns:
            As it was before.
        """
        with self._store._write() as session:
            _hold(session)
            before = _breaker(session)
            values = {"opened_seconds": None, "why": "", "reset_seconds": answer.at_seconds}
            session.execute(update(BreakerRow).values(**values))
            data = {"state": "shut", "answer": describe_answer(answer), "was": before.why}
            append_entries(session, [Entry("breaker", "", data, answer.who)], now_seconds=answer.at_seconds)
            return before

    def read_audit(self, *, case_id: str = "", limit: int | None = None) -> list[AuditLine]:
        """Read rows of the audit, oldest first; with a limit the newest so many."""
        with self._store._read() as session:
            return list(read_lines(session, case_id=case_id, limit=limit))

    def check_audit(self, kept: Head | None = None) -> tuple[Head, Break | None]:
        """Check the whole chain; one row at a time is held in memory."""
        with self._store._read() as session:
            # Rows and head of one moment: others may write meanwhile.
            if session.get_bind().dialect.name == "postgresql":
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            else:
                session.execute(text("BEGIN"))
            head = read_head(session)
            return head, find_break(read_lines(session), head, kept=kept)

    @contextmanager
    def _decide(self, situation: Situation, targets: Iterable[str]) -> Iterator[tuple[Session, Situation, list[Entry]]]:
        """One decision: alone, with all that the store knows, and written down at its end."""
        entries: list[Entry] = []
        with self._store._write() as session:
            _hold(session)
            entries += _expire(session, situation.now_seconds)
            known = with_past(situation, _read_past(session, situation, targets), _breaker(session))
            yield session, known, entries
            session.flush()
            append_entries(session, entries, now_seconds=situation.now_seconds)


def build_refusal(proposal: Proposal, stops: Sequence[Stop]) -> OperatorError:
    """Say which gate is shut first, and how many more are."""
    first, *others = stops
    more = f" Shut too: {', '.join(stop.gate for stop in others)}." if others else ""
    return OperatorError(
        f"{proposal.proposal_id} is not done: {first.why} ({first.gate}).{more}",
        fix=first.fix or f"daytwo proposals --case {proposal.wanted.case_id} --all",
    )


def _hold(session: Session) -> None:
    session.execute(update(BreakerRow).values(looks=BreakerRow.looks + 1))


def _breaker(session: Session) -> BreakerState:
    row = session.execute(select(BreakerRow.opened_seconds, BreakerRow.why, BreakerRow.reset_seconds)).one()
    return BreakerState(row.opened_seconds, row.why, row.reset_seconds)


def _read_past(session: Session, situation: Situation, targets: Iterable[str]) -> list[Proposal]:
    """What may matter to a gate: the longest cooldown, the hour of the rates, the breaker's minutes, the targets."""
    autonomy = situation.autonomy
    rests = [rules.cooldown_minutes * 60.0 for rules in autonomy.actions.values()]
    span = max(HOUR_SECONDS, autonomy.breaker.minutes * 60.0, *rests) if rests else HOUR_SECONDS
    since = situation.now_seconds - span
    lately = or_(ProposalRow.created_seconds >= since, ProposalRow.started_seconds >= since)
    named = sorted(set(targets))
    query = select(ProposalRow).where(or_(lately, ProposalRow.target.in_(named)) if named else lately)
    return [_read(row) for row in session.scalars(query)]


def _expire(session: Session, now_seconds: float) -> list[Entry]:
    """Close what nobody answered in time; what shadow mode wrote down may then be written down again."""
    over = (ProposalRow.open_key.is_not(None), ProposalRow.expires_seconds <= now_seconds)
    entries = []
    for row in session.scalars(select(ProposalRow).where(*over)).all():
        proposal = _read(row)
        if proposal.state == "open":
            proposal = replace(proposal, state="expired")
            entries.append(_entry("expiry", proposal))
        _save(session, proposal, is_over=True)
    session.flush()
    return entries


def _propose(session: Session, wanted: Wanted, known: Situation, entries: list[Entry]) -> Judged:
    row = session.scalars(select(ProposalRow).where(ProposalRow.open_key == wanted.key)).one_or_none()
    judged = judge_wanted(wanted, known, _read(row) if row is not None else None)
    stops = [asdict(stop) for stop in judged.stops]
    if judged.is_refused:
        entries.append(Entry("refusal", wanted.case_id, {**_describe(wanted), "stops": stops}))
        return judged
    if judged.proposal is not None:
        return judged
    shadow = known.autonomy.shadow
    proposal = Proposal(
        proposal_id=f"p-{secrets.token_hex(4)}",
        wanted=wanted,
        executor=known.autonomy.rules_of(wanted.action).executor,
        state="would" if shadow else "open",
        created_seconds=known.now_seconds,
        expires_seconds=known.now_seconds + known.autonomy.expiry_minutes * 60.0,
        stops=judged.stops,
    )
    session.add(_build_row(proposal))
    session.flush()
    entries.append(_entry("would" if shadow else "proposal", proposal, stops=stops))
    return replace(judged, proposal=proposal)


def _trip(session: Session, known: Situation, entries: list[Entry]) -> None:
    """Open the breaker where too much is proposed at once."""
    why = "" if known.breaker.opened_seconds is not None else find_overload(known)
    if why:
        session.execute(update(BreakerRow).values(opened_seconds=known.now_seconds, why=why))
        entries.append(Entry("breaker", "", {"state": "open", "why": why}))


def _begin(session: Session, proposal: Proposal, known: Situation, entries: list[Entry]) -> Answered:
    """Mark a proposal as begun; from here on it is never begun again."""
    begun = replace(proposal, state="running", started_seconds=known.now_seconds)
    _save(session, begun)
    by = tuple(answer.who for answer in begun.approvals) or (ITSELF,)
    entries.append(_entry("execution", begun, by=list(by)))
    return Answered(begun, Claim(begun, by))


def _find(session: Session, proposal_id: str) -> Proposal:
    begins = ProposalRow.proposal_id.startswith(proposal_id, autoescape=True)
    rows = session.scalars(select(ProposalRow).where(begins).limit(6)).all() if proposal_id.strip() else []
    if len(rows) != 1:
        names = ", ".join(sorted(row.proposal_id for row in rows))
        told = f"{len(rows)} proposals begin with '{proposal_id}': {names}" if rows else f"No proposal '{proposal_id}'"
        raise OperatorError(f"{told}{'' if rows else ' is kept'}.", fix="daytwo proposals --all")
    return _read(rows[0])


def _save(session: Session, proposal: Proposal, *, is_over: bool = False) -> None:
    fresh = _build_row(proposal)
    values = {
        "state": fresh.state,
        "open_key": None if is_over else fresh.open_key,
        "started_seconds": fresh.started_seconds,
        "document": fresh.document,
    }
    session.execute(update(ProposalRow).where(ProposalRow.proposal_id == proposal.proposal_id).values(**values))


def _build_row(proposal: Proposal) -> ProposalRow:
    return ProposalRow(
        proposal_id=proposal.proposal_id,
        open_key=proposal.wanted.key if proposal.state in ("open", "would") else None,
        case_id=proposal.wanted.case_id,
        action=proposal.wanted.action,
        target=proposal.wanted.target,
        state=proposal.state,
        created_seconds=proposal.created_seconds,
        expires_seconds=proposal.expires_seconds,
        started_seconds=proposal.started_seconds,
        document=asdict(proposal),
    )


def _read(row: ProposalRow) -> Proposal:
    document: dict[str, Any] = dict(row.document)
    document["wanted"] = Wanted(**document["wanted"])
    document["stops"] = tuple(Stop(**one) for one in document["stops"])
    document["approvals"] = tuple(Answer(**one) for one in document["approvals"])
    document["rejection"] = Answer(**document["rejection"]) if document["rejection"] else None
    return Proposal(**document)


def _describe(wanted: Wanted) -> dict[str, Any]:
    return {
        "verdict_id": wanted.verdict_id,
        "fault": wanted.fault,
        "action": wanted.action,
        "target": wanted.target,
        "live": wanted.live,
    }


def _entry(kind: AuditKind, proposal: Proposal, *, who: str = ITSELF, **more: object) -> Entry:
    data = {
        "proposal_id": proposal.proposal_id,
        "state": proposal.state,
        "executor": proposal.executor,
        **_describe(proposal.wanted),
        **({"outcome": proposal.outcome} if proposal.outcome else {}),
        **more,
    }
    return Entry(kind, proposal.wanted.case_id, data, who)
