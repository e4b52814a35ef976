"""The commands of a chat, in one table: what is typed, what it takes, what it does. `/help` is this table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from agent.rules_answer import tell_next, tell_why
from agent.types import Verdict
from serve.chat_screen import (
    LEGEND,
    render_cases,
    render_context,
    render_costs,
    render_evidence,
    render_folded,
    render_record,
    render_sentence,
)
from tools.errors import OperatorError
from tools.evidence import Evidence
from tools.tool import ToolContext

if TYPE_CHECKING:
    from serve.chat import Chat

MAX_FOLDED = 30


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        takes: What may stand behind it; what is in brackets may be left out.
        does: In a line, for `/help`.
    """

    name: str
    takes: str
    does: str
    run: Callable[[Chat, str], None]


def run_command(chat: Chat, line: str) -> None:
    """Run what was typed behind a slash.

    Raises:
        OperatorError: There is no such command, or what stands behind it does not fit.
    """
    name, _, rest = line.removeprefix("/").strip().partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        near = get_close_matches(name, COMMANDS, n=1)
        raise OperatorError(f"There is no command /{name}.", fix=f"/{near[0]}" if near else "/help")
    command.run(chat, rest.strip())


def choose_case(chat: Chat, words: str) -> Verdict:
    """The case that is named, else the one that was opened last, else the first.

    Raises:
        OperatorError: There is none, or none that is called so.
    """
    if not chat.desk.verdicts:
        raise OperatorError("No case lies here.", fix="paste a log, or daytwo chat PATH")
    found = chat.desk.find(words or chat.chosen) or (None if words else chat.desk.verdicts[0])
    if found is None:
        raise OperatorError(f"No case here is called '{words}'.", fix="/cases")
    chat.chosen = found.case_id
    return found


def _show_help(chat: Chat, words: str) -> None:
    table = Table.grid(padding=(0, 2))
    for one in COMMANDS.values():
        table.add_row(Text(f"/{one.name} {one.takes}".rstrip(), "cyan"), Text(one.does))
    keys = "Several pasted lines are read as evidence. @ completes names, Ctrl-C ends an answer, Ctrl-D leaves."
    chat.show(table, Text(keys, "dim"), Text(LEGEND, "dim"))


def _show_cases(chat: Chat, words: str) -> None:
    chat.show(render_cases(chat.desk) if chat.desk.verdicts else Text("No case lies here. Paste a log."))


def _open_case(chat: Chat, words: str) -> None:
    from serve.library import read_excerpts
    from serve.render import render_verdict

    verdict = choose_case(chat, words)
    excerpts = read_excerpts([verdict.runbook] if verdict.runbook else [], chat.settings)
    chat.show(render_verdict(verdict, excerpt=excerpts.get))


def _show_evidence(chat: Chat, words: str) -> None:
    book = chat.desk.book
    if not words:
        cited = [row.id for row in choose_case(chat, "").evidence] if chat.desk.verdicts else []
        if chat.session.turns:
            cited += [handle for one in chat.session.turns[-1].sentences for handle in one.evidence]
        found = [one for one in map(book.find, dict.fromkeys(cited)) if one is not None]
        chat.show(*[render_folded(one) for one in found[:MAX_FOLDED]], Text("/evidence e1 opens one", "dim"))
        return
    for handle in re.split(r"[\s,]+", words):
        evidence = book.find(handle)
        if evidence is None:
            raise OperatorError(f"There is no evidence {handle}; there is e1 to e{len(book)}.", fix="/evidence")
        chat.show(render_evidence(evidence, _read_beside(chat.desk.context, evidence.id)))


def _read_beside(context: ToolContext, handle: str) -> list[Evidence]:
    from tools.read_evidence import open_evidence

    shown = open_evidence(context, id=handle).evidence[1:]
    return [one for one in map(context.book.find, shown) if one is not None]


def _show_why(chat: Chat, words: str) -> None:
    chat.show(*[render_sentence(one) for one in tell_why(choose_case(chat, words), chat.desk)])


def _show_next(chat: Chat, words: str) -> None:
    verdict = choose_case(chat, words)
    note = "Nothing of this is run by asking; /approve shows what waits for your word."
    chat.show(*[render_sentence(one) for one in tell_next(verdict, chat.desk)], Text(note, "dim"))


def _show_runbook(chat: Chat, words: str) -> None:
    from serve.library import run_runbook

    reference = None if words else choose_case(chat, "").runbook
    wanted = reference.id if reference else words
    if not wanted:
        raise OperatorError("The case has no runbook.", fix="/runbook WORDS searches them")
    run_runbook([wanted] if wanted in chat.list_runbooks() else ["search", wanted], limit=3, as_json=False)


def _approve(chat: Chat, words: str) -> None:
    from serve.actions import Word, run_approve, run_proposals

    proposal, _, why = words.partition(" ")
    if not proposal:
        run_proposals(case_id="", everything=False, as_json=False)
    elif not why.strip():
        raise OperatorError("An approval needs its reason.", fix=f"/approve {proposal} WHY")
    else:
        run_approve(Word(proposal, why.strip()), as_json=False)


def _choose_model(chat: Chat, words: str) -> None:
    if words:
        chat.model.change("" if words in ("none", "rules") else words)
    chat.show(Text(chat.model.describe()))


def _show_cost(chat: Chat, words: str) -> None:
    chat.show(render_costs(chat.session.turns) if chat.session.turns else Text("Nothing was asked yet."))


def _show_context(chat: Chat, words: str) -> None:
    chat.show(render_context(chat.desk, chat.session.turns, chat.model.window_tokens))


def _show_record(chat: Chat, words: str) -> None:
    turns = chat.session.turns
    place = int(words) if words.isdecimal() else len(turns)
    if not 0 < place <= len(turns):
        raise OperatorError(
            f"There is no answer {words or 'yet'}.", fix=f"/record 1 to {len(turns)}" if turns else "ask"
        )
    chat.show(render_record(turns[place - 1]))


def _export(chat: Chat, words: str) -> None:
    from serve.chat_export import spell_session

    path = Path(words or f"daytwo-chat-{chat.session.session_id}.md").expanduser()
    text = spell_session(chat.session, chat.desk, as_json=path.suffix == ".json")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}.", fix="/export OTHER-NAME.md") from None
    chat.show(Text(f"wrote {path}"))


def _leave(chat: Chat, words: str) -> None:
    raise EOFError


_ROWS = (
    Command("cases", "", "the cases, the gravest first", _show_cases),
    Command("open", "[CASE]", "all on a case: its number here, or its id", _open_case),
    Command("evidence", "[e1 …]", "the evidence folded, or some of it whole", _show_evidence),
    Command("why", "[CASE]", "on what the verdict rests, and what else it may be", _show_why),
    Command("runbook", "[FAULT or WORDS]", "the runbook of the case or of a fault, or a search", _show_runbook),
    Command("next", "[CASE]", "what to do, step by step", _show_next),
    Command("approve", "[ID WHY]", "what waits for your word, or your word", _approve),
    Command("model", "[URL#NAME or none]", "who answers, or another one", _choose_model),
    Command("cost", "", "tokens, seconds and dollars of each question", _show_cost),
    Command("context", "", "what the model is told with the next question", _show_context),
    Command("record", "[N]", "how the last answer, or the Nth, came to be", _show_record),
    Command("export", "[FILE]", "the conversation as Markdown, or as JSON where FILE ends so", _export),
    Command("help", "", "this", _show_help),
    Command("quit", "", "leave; the conversation is kept", _leave),
)
COMMANDS: Mapping[str, Command] = {one.name: one for one in _ROWS}
