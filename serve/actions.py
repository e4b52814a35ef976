"""`daytwo proposals`, `approve`, `reject` and `breaker`: a person's word on what Daytwo proposes."""

from __future__ import annotations

import json
import os
import pwd
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from agent.execution import Order, Outcome, Rehearsal, open_executor
from agent.gates import Situation
from agent.history import spell_time
from agent.proposals import Answer, Proposal, Stop, describe_proposal
from agent.settings import load_settings
from agent.site import load_site
from agent.store.actions import ActionBook, build_refusal
from serve.acting import Hands, build_order, build_situation, carry_out, refresh
from serve.action_lines import render_proposals
from serve.store import open_site_store
from serve.terminal import print_people, print_text, print_words
from tools.errors import OperatorError, SiteConfigError

WAITING = frozenset({"open", "running", "would"})
UNSET_LOGIN = 2**32 - 1
LOGIN = Path("/proc/self/loginuid")
LONGEST_NAME = 64
NOT_REHEARSED = frozenset({"level", "executor", "allow_list", "single_use", "expiry"})


@dataclass(frozen=True, slots=True)
class Word:
    """What a person typed.

    Attributes:
        proposal_id: Or a beginning of it.
        name: As the person calls themselves; empty for the name of the account.
        checked: They have seen that the precondition holds.
        rehearse_only: Show what would be done, and do nothing.
    """

    proposal_id: str
    why: str
    name: str = ""
    checked: bool = False
    rehearse_only: bool = False


def run_proposals(*, case_id: str, everything: bool, as_json: bool) -> int:
    """Print what waits for a word; with `everything` what is over too."""
    with open_site_store(load_settings()) as store:
        proposals = ActionBook(store).list_proposals(case_id=case_id)
    now = time.time()
    shown = [one for one in proposals if everything or one.state_at(now) in WAITING]
    if as_json:
        rows = [describe_proposal(one, now) for one in shown]
        print_text(json.dumps({"schema": "daytwo.proposals/1", "proposals": rows}, indent=2))
    elif shown:
        print_people(render_proposals(shown, now))
    else:
        over = len(proposals) - len(shown)
        print_words("Nothing waits for a word." + (f" {over} are over: daytwo proposals --all" if over else ""))
    return 0


def run_approve(word: Word, *, as_json: bool) -> int:
    """Rehearse a proposal, show that, and do it.

    Returns:
        0 where it was done or handed over, or a second person's word is waited for; 1 where it failed.

    Raises:
        OperatorError: A gate is shut, or the dry run found that it cannot be done; both are written down.
    """
    answer = build_answer(word)
    with _open_hands() as hands:
        proposal = hands.book.find(word.proposal_id)
        situation = build_situation(hands, [proposal.wanted])
        stops = hands.book.find_refusals(proposal.proposal_id, situation, answer)
        order = build_order(proposal, hands)
        rehearsal = _rehearse(order, stops)
        stops += [Stop("dry_run", rehearsal.problem, rehearsal.fix)] if rehearsal.problem else []
        if not as_json:
            _show_rehearsal(proposal, rehearsal)
        if stops and not word.rehearse_only:
            hands.book.refuse(proposal, stops, answer.who, time.time())
        if stops:
            raise build_refusal(proposal, stops)
        if word.rehearse_only:
            return _tell(proposal, rehearsal, None, as_json=as_json, words="Nothing was done: a dry run.")
        outcome, words = _approve(order, hands, situation, answer)
        told = hands.book.find(proposal.proposal_id)
    _tell(told, rehearsal, outcome, as_json=as_json, words=words)
    return 1 if outcome is not None and outcome.state == "failed" else 0


def _approve(order: Order, hands: Hands, situation: Situation, answer: Answer) -> tuple[Outcome | None, str]:
    answered = hands.book.approve(order.proposal.proposal_id, refresh(situation), answer)
    if answered.claim is None:
        line = f"daytwo approve {order.proposal.proposal_id} --why TEXT"
        return None, f"Approved by {answer.who}; a second person's word is needed. They type: {line}"
    outcome = carry_out(order, answered.claim, hands)
    return outcome, f"{outcome.state.replace('_', ' ')}: {outcome.words}"


def _rehearse(order: Order, stops: Sequence[Stop]) -> Rehearsal:
    """Dry run; not where it is over, or where the site does not want it and its executor may not even be there."""
    if any(stop.gate in NOT_REHEARSED for stop in stops):
        return Rehearsal(())
    return open_executor(order.proposal.executor).rehearse(order)


def _show_rehearsal(proposal: Proposal, rehearsal: Rehearsal) -> None:
    wanted = proposal.wanted
    lines = [
        Text.assemble((f"{wanted.action}  ", "bold"), wanted.target, (f"  {wanted.fault}  {wanted.case_id}", "dim"))
    ]
    lines += [Text(f"  {step}") for step in rehearsal.steps]
    if wanted.precondition:
        lines.append(Text(f"  needs that {wanted.precondition}", "yellow"))
    if rehearsal.doubt:
        lines.append(Text(f"  but {rehearsal.doubt}", "yellow"))
    print_people(*lines)


def _tell(proposal: Proposal, rehearsal: Rehearsal, outcome: Outcome | None, *, as_json: bool, words: str) -> int:
    if not as_json:
        print_words("\n".join([words, *(f"  {line}" for line in (outcome.details if outcome else ()))]))
        return 0
    document = {
        "schema": "daytwo.approval/1",
        "proposal": describe_proposal(proposal, time.time()),
        "rehearsal": asdict(rehearsal),
        "outcome": asdict(outcome) if outcome else None,
        "words": words,
    }
    print_text(json.dumps(document, indent=2))
    return 0


def run_reject(word: Word, *, as_json: bool) -> int:
    """Take a person's no."""
    answer = build_answer(word)
    with _open_hands() as hands:
        proposal = hands.book.find(word.proposal_id)
        told = hands.book.reject(proposal.proposal_id, build_situation(hands, []), answer)
    if as_json:
        rows = [describe_proposal(told, time.time())]
        print_text(json.dumps({"schema": "daytwo.proposals/1", "proposals": rows}, indent=2))
    else:
        print_words(f"rejected: {told.wanted.action} of {told.wanted.target} ({told.proposal_id}), by {answer.who}")
    return 0


def run_breaker_show(*, as_json: bool) -> int:
    """Say whether the breaker is open; 1 where it is."""
    with open_site_store(load_settings()) as store:
        state = ActionBook(store).read_breaker()
    since = spell_time(state.opened_seconds) if state.opened_seconds is not None else None
    if as_json:
        rows = {"schema": "daytwo.breaker/1", "open": since is not None, "since": since, "why": state.why}
        print_text(json.dumps(rows, indent=2))
    elif since:
        print_words(f"open since {since}: {state.why}\nNext: daytwo breaker reset --why TEXT")
    else:
        print_words("shut: actions go on")
    return 1 if since else 0


def run_breaker_reset(word: Word, *, as_json: bool) -> int:
    """Shut the breaker again, on a person's word.

    Raises:
        OperatorError: It is shut.
    """
    answer = build_answer(word)
    with open_site_store(load_settings()) as store:
        book = ActionBook(store)
        if book.read_breaker().opened_seconds is None:
            raise OperatorError("The breaker is shut: there is nothing to reset.", fix="daytwo breaker show")
        before = book.reset_breaker(answer)
    if as_json:
        print_text(json.dumps({"schema": "daytwo.breaker/1", "open": False, "was": before.why}, indent=2))
    else:
        print_words(f"shut again by {answer.who}. It was open because {before.why}")
    return 0


def build_answer(word: Word) -> Answer:
    """Build a person's word: who, by which account, why.

    Raises:
        OperatorError: No reason, or a name that is none.
    """
    if not word.why.strip():
        raise OperatorError("A word needs its reason.", fix='--why "seen by hand, ticket 123"')
    account = read_account()
    name = word.name.strip() or account
    if not name.isprintable() or len(name) > LONGEST_NAME or name.casefold() == "daytwo":
        raise OperatorError(f"--as {word.name!r} is no name of a person.", fix="--as alice")
    return Answer(name, account, word.why.strip(), time.time(), word.checked)


def read_account() -> str:
    """The name of the account that logged in, also under sudo; of the process where the kernel does not tell."""
    try:
        login = int(LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        login = UNSET_LOGIN
    number = os.getuid() if login == UNSET_LOGIN else login
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid-{number}"


@contextmanager
def _open_hands() -> Iterator[Hands]:
    settings = load_settings()
    if settings.site_file is None:
        raise SiteConfigError(
            "There is no site's file, so nothing may be done.",
            fix="export DAYTWO_SITE_FILE=site.toml, see docs/actions.md",
        )
    site = load_site(settings.site_file)
    with open_site_store(settings) as store:
        yield Hands(ActionBook(store), site, settings)
