"""One question and its answer: ask the model, call the tools that it names, check what it says, or let rules answer.

The loop is :func:`answer_question`; who draws it is told of every step. Refusals, repairs and budgets are those of the
investigation: no call is made twice, the last step must answer, and a model that fails costs only its own words.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from agent.backend import Backend, Budget, Message, Reply, ToolCall, stream_reply
from agent.desk import Desk
from agent.dialect import DONE, count_tokens, speak
from agent.repair import repair_reply
from agent.rules_answer import Shelf, answer_by_rules
from agent.run import Step, build_step
from agent.seat import CALLS_PER_STEP, CONCLUDING_WINDOW_SHARE
from agent.sentences import Judge, Sentence, cut_sentences
from agent.spending import must_conclude_for_cost
from agent.toolbox import Answer, Toolbox
from agent.tracing import trace_tool
from agent.types import DecidedBy, Usage
from prompts.render import render_prompt
from tools.errors import ModelError

PAST_SHARE = 0.25
"""So much of the window is for earlier questions and their answers (a guess); older ones are dropped first."""
UNPROVEN_WINDOW_TOKENS = 16_384
NO_WORDS = "the model gave no answer in words"
_HIDDEN = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_MARKUP = re.compile(r"</?tool_call>|<function=|```|^\s*\{\s*\"", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asked:
    """A tool is being called."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Found:
    """A tool has answered."""

    call: ToolCall
    answer: Answer
    seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What is being said and was not checked yet, whole each time; empty where nothing is."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence that was checked."""

    sentence: Sentence


Tell = Callable[[Asked | Found | Heard | Said], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its answer, and how it came to be.

    Attributes:
        sentences: In order, those that were struck out too.
        model: Who was asked; empty where none was.
        failure: Why the model was not heard, or not to its end.
        stopped: A person ended it before it had ended.
    """

    question: str
    sentences: tuple[Sentence, ...]
    decided_by: DecidedBy
    usage: Usage
    model: str = ""
    steps: tuple[Step, ...] = ()
    repairs: Mapping[str, int] = field(default_factory=dict)
    tool_counts: Mapping[str, int] = field(default_factory=dict)
    failure: str = ""
    stopped: bool = False

    @property
    def text(self) -> str:
        """What of the answer stands."""
        return " ".join(one.text for one in self.sentences if one.standing != "struck")

    @property
    def answered(self) -> bool:
        """Whether anything stands that is more than not knowing."""
        return any(one.standing != "struck" and not one.admits for one in self.sentences)


@dataclass(frozen=True)
class Chair:
    """Who answers, with what, and at what cost."""

    backend: Backend | None = None
    library: Shelf | None = None
    budget: Budget = field(default_factory=Budget)
    price: Callable[[Usage], Usage] = field(default=lambda usage: usage)


def answer_question(question: str, desk: Desk, past: Sequence[Turn], chair: Chair, *, tell: Tell) -> Turn:
    """Answer a question about what lies on the desk.

    Args:
        question: In the person's words.
        desk: Cases, facts and evidence.
        past: Earlier turns of the conversation.
        chair: The model, the runbooks, the budget.
        tell: Told of calls, words and checked sentences as they come.

    Returns:
        A turn in every case: where no model is heard rules answer, and Ctrl-C keeps what was said so far.
    """
    talk = Talk(question, desk, past, chair, tell)
    failure, stopped = "" if chair.backend else "no model", False
    try:
        while not failure and not talk.must_answer() and (calls := talk.step()):
            for call in calls:
                talk.use(call)
        if not failure and not talk.sentences:
            failure = talk.answer()
    except ModelError as error:
        failure = str(error)
    except KeyboardInterrupt:
        stopped = True
    tell(Heard(""))
    if failure and not talk.sentences and not stopped:
        for sentence in answer_by_rules(question, desk, chair.library):
            tell(Said(sentence))
            talk.sentences.append(sentence)
        return talk.build_turn("rules", failure=failure if chair.backend else "")
    return talk.build_turn("model", failure=failure, stopped=stopped)


class Talk:
    """A question on its way to its answer."""

    def __init__(self, question: str, desk: Desk, past: Sequence[Turn], chair: Chair, tell: Tell) -> None:
        self._question, self._chair, self._tell = question, chair, tell
        self._toolbox = Toolbox(desk.context, chair.library)
        self._judge = Judge(desk.book, desk.lookup, desk.actions, question)
        self._messages = build_messages(question, desk, past, window_tokens=chair.budget.window_tokens)
        self._replies: list[Reply] = []
        self._repairs: list[str] = []
        self._steps: list[Step] = []
        self._started = time.monotonic()
        self.sentences: list[Sentence] = []

    def must_answer(self) -> bool:
        """Whether the budget leaves room for the answer only."""
        budget, last = self._chair.budget, self._replies[-1] if self._replies else Reply()
        window = budget.window_tokens
        return (
            len(self._replies) >= budget.steps - 1
            or must_conclude_for_cost(self._replies, budget, self._chair.price, time.monotonic() - self._started)
            or (window is not None and last.tokens_in + last.tokens_out >= window * (1 - CONCLUDING_WINDOW_SHARE))
            or self._seconds_left() <= budget.find_concluding_seconds()
        )

    def step(self) -> tuple[ToolCall, ...]:
        """Ask once; what comes are calls, or the answer itself, which is checked."""
        voice = Voice(self._tell, None)
        reply, calls = self._ask(self._toolbox.definitions, voice)
        self._messages.append(speak(reply.text, calls))
        if not calls:
            Voice(self._tell, self._say).hear(reply.text, last=True)
        return calls

    def use(self, call: ToolCall) -> None:
        """Make a call; its answer goes into the conversation."""
        began = time.monotonic()
        self._tell(Asked(call))
        with trace_tool(call.name if call.name in self._toolbox.schemas else "unknown", call.id):
            answer = self._toolbox.call(call)
        seconds = time.monotonic() - began
        self._messages.append({"role": "tool", "tool_call_id": call.id, "content": answer.text})
        self._steps.append(build_step("tool", call.name, answer.text, seconds=seconds, arguments=call.arguments[:1000]))
        self._tell(Found(call, answer, seconds))

    def answer(self) -> str:
        """Ask for the answer without tools, once more where no words came; returns why there is none."""
        problem = ""
        for _ in range(2):
            add_words(self._messages, render_prompt("chat_answer", problem=problem))
            voice = Voice(self._tell, self._say)
            reply, _ = self._ask((), voice)
            voice.hear("", last=True)
            if self.sentences:
                return ""
            self._messages.append(speak(reply.text, ()))
            self._repairs.append("answer_asked_again")
            problem = "it was no answer in words"
        return NO_WORDS

    def build_turn(self, decided_by: DecidedBy, *, failure: str, stopped: bool = False) -> Turn:
        """Build the record of it."""
        usage = Usage(
            calls=len(self._replies),
            tokens_in=sum(one.tokens_in for one in self._replies),
            tokens_cached=sum(one.tokens_cached for one in self._replies),
            tokens_out=sum(one.tokens_out for one in self._replies),
            seconds=round(time.monotonic() - self._started, 3),
        )
        return Turn(
            question=self._question,
            sentences=tuple(self.sentences),
            decided_by=decided_by,
            usage=self._chair.price(usage),
            model=self._chair.backend.name if self._chair.backend else "",
            steps=tuple(self._steps),
            repairs=dict(Counter(self._repairs)),
            tool_counts=dict(self._toolbox.counts),
            failure=failure,
            stopped=stopped,
        )

    def _ask(self, tools: Sequence[Mapping[str, object]], voice: Voice) -> tuple[Reply, tuple[ToolCall, ...]]:
        assert self._chair.backend is not None
        began = time.monotonic()
        reply = stream_reply(
            self._chair.backend, self._messages, tools, seconds=self._seconds_left(), hear=partial(voice.hear)
        )
        self._replies.append(reply)
        mended, repairs = repair_reply(reply, self._toolbox.schemas)
        self._repairs += repairs
        self._steps.append(
            build_step("model", "step", f"{reply.text}\n{reply.calls}", seconds=time.monotonic() - began)
        )
        calls = [
            ToolCall(f"call-{len(self._messages)}-{place}", call.name, call.arguments)
            for place, call in enumerate(mended.calls[:CALLS_PER_STEP])
        ]
        return mended, tuple(calls)

    def _say(self, text: str) -> None:
        if is_done(text):
            return
        self.sentences.append(self._judge.check(text))
        self._tell(Said(self.sentences[-1]))

    def _seconds_left(self) -> float:
        return self._chair.budget.seconds - (time.monotonic() - self._started)


def is_done(text: str) -> bool:
    """Whether a model says no more than that it has seen enough."""
    return text.strip(" .*\n").lower() == DONE


class Voice:
    """Hears an answer grow: thinking and leaked markup are kept back, whole sentences are passed on to be checked.

    Args:
        tell: Told what is being said.
        say: Given each whole sentence; None where it may still turn out to be no answer.
    """

    def __init__(self, tell: Tell, say: Callable[[str], None] | None) -> None:
        self._tell, self._say = tell, say
        self._text = ""
        self._done = 0

    def hear(self, piece: str, *, last: bool = False) -> None:
        """Take the next piece; with the last one nothing waits any more."""
        self._text += piece
        shown = _HIDDEN.sub("", self._text)
        markup = _MARKUP.search(shown)
        shown = shown[: markup.start()] if markup else shown
        opened = shown.rfind("<")
        if not last and ">" not in shown[opened:] and opened >= 0:
            shown = shown[:opened]
        if self._say is None:
            self._tell(Heard(shown))
            return
        sentences, rest = cut_sentences(shown[self._done :])
        self._done = len(shown) - len(rest)
        for sentence in [*sentences, *([rest.strip()] if last and rest.strip() else [])]:
            self._tell(Heard(""))
            self._say(sentence)
        self._tell(Heard("" if last else rest))


def build_messages(
    question: str, desk: Desk, past: Sequence[Turn], *, window_tokens: int | None = None
) -> list[Message]:
    """Build the conversation so far: what never changes first, then the brief, then as many turns as there is room for.

    What tools answered to earlier questions is not sent again: its evidence still stands under its handles.
    """
    room = PAST_SHARE * (window_tokens or UNPROVEN_WINDOW_TOKENS)
    pairs: list[list[Message]] = []
    for turn in reversed(past):
        pair = [
            {"role": "user", "content": f"Question: {turn.question}"},
            {"role": "assistant", "content": turn.text or "I could not answer that."},
        ]
        room -= count_tokens(pair)
        if room < 0:
            break
        pairs.insert(0, pair)
    messages: list[Message] = [{"role": "system", "content": render_prompt("chat")}]
    add_words(messages, desk.brief)
    for asked, answered in pairs:
        add_words(messages, str(asked["content"]))
        messages.append(answered)
    add_words(messages, f"Question: {question}")
    return messages


def add_words(messages: list[Message], text: str) -> None:
    """Add words of the person's side; two messages of one role in a row become one, as some templates refuse them."""
    if messages[-1]["role"] == "user":
        messages[-1] = {"role": "user", "content": f"{messages[-1]['content']}\n\n{text}"}
    else:
        messages.append({"role": "user", "content": text})


def count_context(desk: Desk, past: Sequence[Turn], window_tokens: int | None = None) -> dict[str, int]:
    """Estimate how many tokens each part of the next prompt takes."""
    messages = build_messages("", desk, past, window_tokens=window_tokens)
    tools = Toolbox(desk.context).definitions
    brief = count_tokens([{"content": desk.brief}])
    system = count_tokens(messages[:1])
    return {
        "system": system,
        "tools": count_tokens([{"content": json.dumps(tools)}]),
        "brief": brief,
        "earlier turns": max(count_tokens(messages) - system - brief, 0),
    }
