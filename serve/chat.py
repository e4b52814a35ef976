"""`daytwo chat`: a conversation in the terminal about the present cases, with a model or with rules alone."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from agent.desk import Desk
from agent.dialogue import Turn, answer_question
from agent.settings import Settings, load_settings
from rag.errors import RagError
from serve.chat_commands import run_command
from serve.chat_desk import lay_out_again, lay_out_text, open_desk
from serve.chat_model import TalkModel
from serve.chat_screen import AnswerView, render_foot, render_opening, render_sentence, render_sessions
from serve.chat_sessions import Session, begin_session, find_session, keep_session, list_sessions, make_folder
from serve.page import render_page
from serve.terminal import is_terminal, note, print_by, print_people
from serve.types import Request
from tools.errors import DaytwoError, OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from serve.chat_prompt import Pastes


@dataclass
class Chat:
    """A conversation as it goes on.

    Attributes:
        chosen: Id of the case that was opened last.
    """

    settings: Settings
    desk: Desk
    session: Session
    model: TalkModel
    chosen: str = ""
    names: list[str] = field(default_factory=list)

    def show(self, *parts: RenderableType) -> None:
        """Print for the person."""
        print_people(Group(*parts))

    def ask(self, question: str) -> Turn:
        """Answer a question, drawn as the answer grows, and keep it."""
        chair = self.model.sit_down(self.desk)
        told: list[Turn] = []

        def draw(console: Console) -> None:
            with AnswerView(console).open() as view:
                told.append(answer_question(question, self.desk, self.session.turns, chair, tell=view.tell))

        print_by(draw)
        self.show(render_foot(told[0], self.desk))
        self.model.keep_cost(told[0])
        self.session = self.session.with_turn(told[0])
        self.keep()
        return told[0]

    def read_paste(self, name: str, text: str) -> None:
        """Read a pasted text as evidence; what it tells becomes a case of the conversation."""
        self.desk, report = lay_out_text(self.desk, text, name, self.settings)
        self.chosen = report.verdicts[0].case_id
        self.session = replace(self.session, pastes=self.session.pastes + 1)
        self.show(Text(f"{name}, {len(text.splitlines())} lines:", "dim"), render_page(report.verdicts[0], kept=False))
        self.keep()

    def keep(self) -> None:
        """Write the conversation; what goes wrong with that costs a note."""
        try:
            self.session = keep_session(self.session, self.desk, self.settings.data_dir, datetime.now(UTC))
        except DaytwoError as error:
            note(f"daytwo: {error}")

    def list_names(self) -> list[str]:
        """All names that may stand behind an ``@``: of the inventory, and of what is known."""
        known = [str(one) for one in self.desk.index.known]
        nodes = [one.partition(":")[2] for one in known if one.startswith("node:")]
        return list(dict.fromkeys([*self.names, *nodes, *known]))

    def list_runbooks(self) -> set[str]:
        """Ids of the runbooks."""
        from rag.chunks import SHIPPED, SITE_FOLDER, read_runbooks

        return set(read_runbooks(SHIPPED, self.settings.data_dir / SITE_FOLDER))


def run_list() -> int:
    """Print the kept conversations."""
    print_people(render_sessions(list_sessions(load_settings().data_dir)))
    return 0


def run_chat(request: Request, *, resume: str = "") -> int:
    """Hold a conversation until the person leaves.

    Args:
        request: What to read at the start; the kept cases where it names nothing.
        resume: Id of a kept conversation to go on with, or ``last``.

    Raises:
        OperatorError: No person sits before it, or there is no such conversation.
    """
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise OperatorError("A chat needs a terminal.", fix='daytwo ask "what is wrong?" PATH')
    settings = load_settings()
    chat = open_chat(request, settings, resume)
    chat.model.reach()
    chat.show(render_opening(chat.desk, chat.model.describe()))
    for turn in chat.session.turns[-1:]:
        chat.show(Text(f"\n{turn.question}", "bold"), *map(render_sentence, turn.sentences))
    converse(chat)
    if chat.session.turns or chat.session.pastes:
        chat.show(Text(f"daytwo chat --resume {chat.session.session_id} goes on with this", "dim"))
    return 0


def open_chat(request: Request, settings: Settings, resume: str = "") -> Chat:
    """Open a new conversation, or a kept one as it was."""
    from serve.triage import read_inventory

    now = datetime.now(UTC)
    model = TalkModel(settings, request.model or settings.model)
    names = [name for row in read_inventory(settings) for name in (row.node, *row.aliases)]
    if not resume:
        return Chat(settings, open_desk(request, settings, now), begin_session(now), model, names=names)
    session = find_session(settings.data_dir, resume)
    desk = lay_out_again(session.verdicts, session.evidence, settings, session.origin)
    return Chat(settings, desk, session, model, names=names)


def converse(chat: Chat) -> None:
    """Read line after line; Ctrl-C at the prompt empties it, and in an answer ends the answer."""
    from serve.chat_prompt import Pastes, build_prompt

    pastes = Pastes(chat.session.pastes)
    prompt = build_prompt(chat.list_names, pastes, make_folder(chat.settings.data_dir))
    while True:
        try:
            take_line(chat, prompt.prompt(), pastes)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def take_line(chat: Chat, line: str, pastes: Pastes) -> None:
    """Do what one line asks for; an error is told, and the conversation goes on."""
    words, texts = pastes.take(line)
    try:
        for name, text in texts.items():
            chat.read_paste(name, text)
        if words.startswith("/"):
            run_command(chat, words)
        elif words:
            chat.ask(words)
    except (DaytwoError, RagError) as error:
        note(f"{error.message}\nNext: {error.fix}" if error.fix else error.message)
