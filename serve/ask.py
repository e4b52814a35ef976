"""`daytwo ask`: one question, one answer, for people in a hurry and for scripts."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from agent.dialogue import Asked, Found, Heard, Said, Turn, answer_question
from agent.settings import load_settings
from serve.chat_desk import open_desk
from serve.chat_export import describe_turn
from serve.chat_model import TalkModel
from serve.chat_screen import AnswerView, render_foot, render_sentence
from serve.terminal import is_terminal, print_by, print_people, print_text
from serve.types import Request
from tools.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

NOT_ANSWERED = 2


def run_ask(question: str, request: Request, *, as_json: bool) -> int:
    """Answer one question and print the answer.

    Args:
        question: In the person's words.
        request: What to read; the kept cases where it names nothing.
        as_json: One ``daytwo.answer/1`` document.

    Returns:
        0 where something of the answer stands, else 2.

    Raises:
        DaytwoError: Nothing could be read, or the question is empty.
    """
    if not question.strip():
        raise OperatorError("There is no question.", fix='daytwo ask "what is wrong?" PATH')
    settings = load_settings()
    model = TalkModel(settings, request.model or settings.model)
    desk = open_desk(request, settings, datetime.now(UTC))
    model.reach()
    chair = model.sit_down(desk)
    told: list[Turn] = []

    def draw(console: Console) -> None:
        with AnswerView(console).open() as view:
            told.append(answer_question(question, desk, (), chair, tell=view.tell))

    if not as_json and is_terminal(sys.stdout):
        print_by(draw)
    else:
        told.append(answer_question(question, desk, (), chair, tell=_keep_silent))
    turn = told[0]
    model.keep_cost(turn)
    if as_json:
        print_text(json.dumps(describe_turn(turn, desk), indent=2))
    else:
        _print_rest(turn, model, render_foot(turn, desk))
    return 0 if turn.answered else NOT_ANSWERED


def _print_rest(turn: Turn, model: TalkModel, foot: object) -> None:
    from rich.console import Group

    if not is_terminal(sys.stdout):
        print_people(*map(render_sentence, turn.sentences))
    assert isinstance(foot, Group)
    print_people(foot)
    if model.why_none:
        print_people(Text(model.describe(), "yellow"))


def _keep_silent(happening: Asked | Found | Heard | Said) -> None:
    """A script waits for the whole answer."""
