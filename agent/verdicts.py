"""Write the verdict: the case, what policy decided, and what an opinion is worth."""

from __future__ import annotations

import os
import time
from datetime import datetime
from functools import cache
from importlib.resources import files

from agent.faults import load_faults
from agent.gather import spell_siblings
from agent.health import weigh_health
from agent.judge import possible_faults
from agent.plan import build_plan
from agent.policy import Decision, SitePolicy, at_most, decide, decide_for_model
from agent.symptoms import NOT_A_FAULT
from agent.types import (
    Affected,
    Alternative,
    Case,
    Claim,
    Confidence,
    Consequence,
    DecidedBy,
    EvidenceRow,
    Opinion,
    PlanStep,
    RunbookRef,
    Subject,
    Suspicion,
    Verdict,
)
from tools.clock import format_time
from tools.evidence import Evidence, EvidenceBook
from tools.types import Facts

MAX_QUOTES_PER_SUSPICION = 5
MAX_DOUBTS = 2
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def build_verdict(
    case: Case,
    book: EvidenceBook,
    *,
    facts: Facts,
    site: SitePolicy,
    now: datetime,
    opinion: Opinion | None = None,
) -> Verdict:
    """Write the verdict of a case.

    An opinion may explain, and may name another fault where rules left that open; it never changes what a rule
    confirmed, and never makes the action more invasive.
    """
    decision, decided_by, reason = settle(case, facts, opinion)
    evidence = cite_case(case, book)
    claims = _rule_claims(case, book) + list(opinion.claims if opinion else ())
    cited = dict.fromkeys([row.id for row in evidence] + [i for claim in claims for i in claim.evidence])
    rows = [found for found in (book.find(handle) for handle in cited) if found is not None]
    by_model = decided_by == "model"
    confidence = at_most(case.confidence, "likely") if by_model else case.confidence
    rests_on = ""
    if decision.fault == "healthy":
        confidence, rests_on = weigh_health(facts, now)
    return Verdict(
        verdict_id=make_verdict_id(now),
        case_id=case.case_id,
        time=format_time(now.timestamp()),
        subject=Subject(entity=str(case.primary.entity), ids=case.primary.entity.id_map),
        status=decision.status,
        fault=decision.fault,
        alternatives=_alternatives(case, decision.fault, () if reason or opinion is None else opinion.alternatives),
        confidence=confidence,
        severity=decision.severity,
        action=decision.action,
        urgency=decision.urgency,
        follow_up=decision.follow_up,
        plan=_plan(case, decision, site, by_model=by_model),
        summary=_summary(case, decision, confidence, rests_on, "" if reason or not opinion else opinion.summary),
        affected=[Affected(entity=str(entity), role=role) for entity, role in case.affected],
        consequences=_consequences(case, book),
        evidence=[_row(item) for item in rows],
        claims=claims,
        runbook=_runbook(decision.fault, "do" if case.confidence == "confirmed" else "confirm"),
        decided_by=decided_by,
        reason=reason or decision.why or None,
        model=opinion.model if opinion else None,
        usage=opinion.usage if opinion else None,
    )


def _plan(case: Case, decision: Decision, site: SitePolicy, *, by_model: bool) -> list[PlanStep]:
    """The plan; under a model's fault no step that the rules' own plan does not have."""
    if not by_model:
        return build_plan(case, decision, site)
    rules = {step.action for step in build_plan(case, decide(case), site)}
    return build_plan(case, decision, site, only=rules)


def settle(case: Case, facts: Facts, opinion: Opinion | None) -> tuple[Decision, DecidedBy, str]:
    """Weigh an opinion against the rules.

    Returns:
        The decision that stands, who made it, and why the opinion was not followed (empty where it was).
    """
    rules = decide(case)
    if opinion is None:
        return rules, "rules", ""
    if opinion.rejected:
        return rules, "rules", opinion.rejected
    possible = possible_faults(case, facts)
    if opinion.fault == case.primary.fault:
        return rules, "rules+model" if opinion.model else "rules", ""
    if opinion.fault not in possible or opinion.fault not in load_faults():
        return rules, "rules", f"the model named {opinion.fault!r}, which the evidence does not allow"
    return decide_for_model(case, opinion.fault, possible), "model", ""


def cite_case(case: Case, book: EvidenceBook) -> list[Evidence]:
    """Number the evidence of a case: its primary first, then what it explains."""
    cited = cite_suspicion(case.primary, book)
    for sibling in case.siblings:
        cited += cite_suspicion(sibling.primary, book)[:1]
    for folded in case.consequences:
        cited += cite_suspicion(folded.suspicion, book)
    return cited


def cite_suspicion(suspicion: Suspicion, book: EvidenceBook) -> list[Evidence]:
    """Number the first quotes of a suspicion, at most five of events and all of findings."""
    rows = [book.add(event.quote, start=event.moment) for event in suspicion.events[:MAX_QUOTES_PER_SUSPICION]]
    for finding in suspicion.findings:
        for quote in finding.quotes[:MAX_QUOTES_PER_SUSPICION]:
            rows.append(book.add(quote, start=finding.start, end=finding.end, values=finding.values))
    return rows


def _row(evidence: Evidence) -> EvidenceRow:
    return EvidenceRow(
        id=evidence.id,
        source=evidence.source,
        span=evidence.span,
        quote=evidence.quote,
        values=dict(evidence.values) or None,
    )


def _rule_claims(case: Case, book: EvidenceBook) -> list[Claim]:
    claims = []
    siblings = (sibling.primary for sibling in case.siblings)
    for suspicion in (case.primary, *siblings, *(folded.suspicion for folded in case.consequences)):
        rows = cite_suspicion(suspicion, book)
        if rows:
            signs = list(dict.fromkeys([e.code for e in suspicion.events] + [f.detector for f in suspicion.findings]))
            text = f"{suspicion.entity}: {', '.join(signs)} speaks for {suspicion.fault}"
            claims.append(Claim(text=text, evidence=list(dict.fromkeys(row.id for row in rows)), verified=True))
    return claims


def _consequences(case: Case, book: EvidenceBook) -> list[Consequence]:
    return [
        Consequence(
            fault=folded.suspicion.fault,
            entity=str(folded.suspicion.entity),
            evidence=list(dict.fromkeys(row.id for row in cite_suspicion(folded.suspicion, book))),
            count=max(len(folded.suspicion.events) + len(folded.suspicion.findings), 1),
            confidence=folded.confidence,
            why=folded.why,
        )
        for folded in case.consequences
    ]


def _alternatives(case: Case, chosen: str, by_model: tuple[tuple[str, str], ...]) -> list[Alternative]:
    named = dict(case.alternatives)
    named.update(
        {fault: f"the model: {why}" for fault, why in by_model if fault in load_faults() and fault not in named}
    )
    rows = [Alternative(fault=fault, less_likely_because=why) for fault, why in named.items() if fault != chosen]
    if chosen != case.primary.fault:
        why = "the rules' own reading, which does not settle it"
        rows.insert(0, Alternative(fault=case.primary.fault, less_likely_because=why))
    return rows


def _summary(case: Case, decision: Decision, confidence: Confidence, rests_on: str, words: str) -> str:
    """A model's own words where it gave some that hold, with what policy decided; else the rules' summary."""
    said = " ".join([words.strip(), *case.history, _next_sentence(case, decision)])
    return said if words.strip() else summarise(case, decision, confidence, rests_on)


SURENESS: dict[Confidence, str] = {
    "confirmed": "",
    "likely": "Likely, not proven: ",
    "inconclusive": "Possible, and no more than that: ",
}
"""How a summary begins, so that it is no surer than its verdict."""


def summarise(case: Case, decision: Decision, confidence: Confidence, rests_on: str = "") -> str:
    """Say in two or three sentences what is wrong, what it explains and what to do.

    Args:
        case: What was found.
        decision: What policy made of it.
        confidence: Of the verdict.
        rests_on: A sentence on what was read, where nothing was found.
    """
    fault = load_faults()[decision.fault]
    culprit = _culprit_sentence(case)
    sure = "" if fault.scope == "meta" else SURENESS[confidence]
    # The words before the colon say what it is; the rest of the row lists every sign that it may have.
    first = f"{case.primary.entity}: {sure}{fault.what.partition(':')[0]}"
    parts = [f"{first}{_first_place(case)}.", rests_on, spell_siblings(case), culprit]
    unexplained = decision.fault == "unknown" and not case.primary.quotes
    if case.notes and (unexplained or decision.fault in NOT_A_FAULT):
        parts.append(f"Seen: {'; '.join(note for note in case.notes if note != 'gaps')[:300].rstrip('.')}.")
    if case.consequences:
        names = ", ".join(dict.fromkeys(folded.suspicion.fault for folded in case.consequences))
        parts.append(f"It explains {len(case.consequences)} more: {names}.")
    if case.primary.doubts:
        parts.append(f"Against it: {'; '.join(case.primary.doubts[:MAX_DOUBTS])}.")
    doubts = [folded.why for folded in case.consequences if folded.confidence != "confirmed"]
    parts += [f"Not certain: {doubts[0]}." if doubts else "", *case.history]
    parts.append(_next_sentence(case, decision))
    return " ".join(part for part in parts if part)


def _culprit_sentence(case: Case) -> str:
    finding = next((f for f in case.primary.findings if f.culprit), None)
    if finding is None:
        return ""
    return f"The culprit is {finding.culprit}{': ' + finding.note.rstrip('.') if finding.note else ''}."


def _first_place(case: Case) -> str:
    quotes = case.primary.quotes
    return f" ({quotes[0].place})" if quotes else ""


def _next_sentence(case: Case, decision: Decision) -> str:
    if decision.action == "none":
        return "Nothing else has to be done." if case.history else "Nothing has to be done."
    if decision.action == "watch":
        return "Watch it."
    when = {"now": "now", "job_end": "when the running jobs end", "maintenance": "at maintenance"}.get(decision.urgency)
    then = f", then {decision.follow_up}" if decision.follow_up not in ("none", decision.action) else ""
    return f"Next: {decision.action}{' ' + when if when else ''}{then}."


@cache
def _runbook(fault: str, section: str) -> RunbookRef | None:
    exists = files("rag").joinpath("runbooks", f"{fault}.md").is_file()
    return RunbookRef(id=fault, section=section) if exists else None


def make_verdict_id(now: datetime) -> str:
    """Make a new sortable id after the ULID scheme: 48 bits of milliseconds, 80 random bits, Crockford base 32."""
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    digits = [_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return "v-" + "".join(digits)


def read_clock() -> datetime:
    """The present time with zone, for entry points."""
    return datetime.fromtimestamp(time.time()).astimezone()
