"""How a conversation looks: the cases on one screen, an answer as it grows, and what stands behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.desk import Desk
from agent.dialogue import Asked, Found, Heard, Said, Turn, count_context
from agent.sentences import Sentence
from agent.types import Usage
from serve.render import cut_words, render_do, render_lines, render_step
from tools.evidence import Evidence
from tools.harmless import neutralise

if TYPE_CHECKING:
    from rich.console import Console

    from agent.backend import ToolCall
    from agent.toolbox import Answer
    from serve.chat_sessions import Session

MAX_LINES = 10
MAX_SUMMARY = 300
MAX_ARGUMENTS = 60
FOLDED_CHARACTERS = 100
PENDING_LINES = 4
MARKS = {"borne_out": ("✓ ", "green"), "plain": ("· ", "dim"), "struck": ("✗ ", "bold red")}
LEGEND = "✓ borne out by its evidence   · says nothing that could be checked   ✗ struck out"


def render_opening(desk: Desk, model: str) -> Group:
    """Render what lies on the desk on one screen: each case in a line, what the gravest is and what to do about it."""
    parts: list[RenderableType] = []
    if desk.verdicts:
        first = desk.verdicts[0]
        said = Group(Text(cut_words(first.summary, MAX_SUMMARY)), render_do(first))
        parts += [render_cases(desk), Text(), Padding(said, (0, 0, 0, 2))]
    else:
        parts.append(Text(f"No case: {desk.origin or 'nothing was read'}. Paste a log, or daytwo chat PATH or --host."))
    unread = sum(row.status in ("missing", "partial") for row in desk.coverage)
    if unread:
        parts.append(Text(f"{unread} of {len(desk.coverage)} not read in full: ask what is missing", "yellow"))
    hints = Text.assemble(("/help", "cyan"), " shows the commands; ", ("@", "cyan"), " completes names; Ctrl-D leaves.")
    return Group(*parts, Text(), Text(model, "dim"), hints)


def render_cases(desk: Desk) -> Group:
    """Render the cases in a line each, by which `/open 2` finds them."""
    shown = render_lines(desk.verdicts[:MAX_LINES])
    table = Table.grid(padding=(0, 1))
    table.add_row(Text("\n".join(str(n) for n in range(1, min(len(desk.verdicts), MAX_LINES) + 1)), "dim"), shown)
    more = len(desk.verdicts) - MAX_LINES
    return Group(table, *([Text(f"and {more} more", "dim")] if more > 0 else []))


def render_sentence(sentence: Sentence) -> Text:
    """Write a sentence of an answer; one that does not hold is struck out, with the reason."""
    mark, colour = MARKS[sentence.standing]
    text = Text.assemble((mark, colour))
    if sentence.standing == "struck":
        return text.append(sentence.text, "strike red").append(f" — struck out: {sentence.why}", "red")
    return text.append(sentence.text, "dim" if sentence.standing == "plain" and not sentence.admits else "")


def render_call(call: ToolCall, answer: Answer | None = None, seconds: float = 0.0) -> Text:
    """Write a call in a line; with its answer how much it gave, under which handles, and how long it took."""
    try:
        given = json.loads(call.arguments or "{}")
    except ValueError:
        given = {}
    told = {k: v for k, v in given.items() if v not in ("", [], None)} if isinstance(given, dict) else {}
    words = cut_words(" ".join(f"{key}={value}" for key, value in told.items()), MAX_ARGUMENTS)
    if answer is None:
        return Text.assemble(call.name, (f" {words} …", "dim"))
    mark = {"ok": ("⚙ ", "cyan"), "empty": ("⚙ ", "dim"), "not_read": ("⚙ ", "yellow")}[answer.reading]
    gave = {"ok": spell_handles(answer.evidence), "empty": "nothing there", "not_read": "not read"}[answer.reading]
    return Text.assemble(mark, (call.name, "cyan"), (f" {words}  {gave}  {seconds * 1e3:.0f} ms", "dim"))


def spell_handles(handles: Sequence[str]) -> str:
    """``e3``, ``e3, e7``, or ``e3 to e9`` and how many."""
    if len(handles) <= 3:
        return ", ".join(handles) or "read"
    return f"{handles[0]} … {handles[-1]} ({len(handles)})"


def render_foot(turn: Turn, desk: Desk) -> Group:
    """Render what stands below an answer: the evidence folded, why no model was heard, what it cost."""
    cited = list(dict.fromkeys(handle for one in turn.sentences if one.standing != "struck" for handle in one.evidence))
    rows = [render_folded(one) for one in map(desk.book.find, cited) if one is not None]
    parts: list[RenderableType] = [Padding(Group(*rows), (0, 0, 0, 2))] if rows else []
    if turn.failure:
        how = "not heard to its end" if turn.decided_by == "model" else "not heard"
        parts.append(Text(f"the model was {how}: {turn.failure}", "yellow"))
    if turn.stopped:
        parts.append(Text("stopped by Ctrl-C", "yellow"))
    if turn.decided_by == "rules":
        parts.append(Text("answered by rules", "dim"))
    if turn.usage.calls:
        parts.append(Text(f"{turn.model}: {spell_usage(turn.usage)}", "dim"))
    return Group(*parts)


def render_folded(evidence: Evidence) -> Text:
    """Write a piece of evidence in a line; `/evidence` shows it whole."""
    quote = cut_words(" ".join(evidence.quote.split()), FOLDED_CHARACTERS)
    text = Text.assemble((f"▸ {evidence.id} ", "dim"), (evidence.source, "underline"), (f"  {quote}", "dim green"))
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def render_evidence(evidence: Evidence, beside: Sequence[Evidence] = ()) -> Group:
    """Render a piece of evidence whole, with its numbers and the lines beside it."""
    head = Text.assemble((f"▾ {evidence.id} ", "bold"), (evidence.source, "underline"))
    if evidence.span:
        head.append(f"  {evidence.span[0]}", "dim")
    rows: list[RenderableType] = [Text(evidence.quote, "green")]
    if evidence.values:
        table = Table.grid(padding=(0, 2))
        for name, value in evidence.values.items():
            table.add_row(Text(name, "dim"), Text(f"{value:.6g}" if isinstance(value, float) else str(value)))
        rows.append(table)
    rows += [render_folded(one) for one in beside]
    return Group(head, Padding(Group(*rows), (0, 0, 0, 2)))


def spell_usage(usage: Usage) -> str:
    """Write what was used: calls, tokens, seconds, dollars where a price is known."""
    cached = f" ({usage.tokens_cached} cached)" if usage.tokens_cached else ""
    cost = "price not known" if usage.cost is None else f"${usage.cost:.4f}"
    tokens = f"{usage.tokens_in} tokens in{cached}, {usage.tokens_out} out"
    return f"{usage.calls} calls, {tokens}, {usage.seconds:.1f} s, {cost}"


def render_costs(turns: Sequence[Turn]) -> RenderableType:
    """Render what each question used, and all of them together."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("question", "by", "calls", "in", "cached", "out", "seconds", "dollars"):
        table.add_column(
            title, justify="left" if title in ("question", "by") else "right", overflow="ellipsis", no_wrap=True
        )
    for turn in turns:
        one = turn.usage
        cost = "unknown" if one.cost is None and one.calls else f"{one.cost or 0:.4f}" if one.calls else "-"
        by = turn.model if turn.decided_by == "model" else "rules"
        table.add_row(
            Text(cut_words(turn.question, 40)), Text(by), str(one.calls), str(one.tokens_in), str(one.tokens_cached),
            str(one.tokens_out), f"{one.seconds:.1f}", cost,
        )  # fmt: skip
    asked = [turn.usage for turn in turns if turn.usage.calls]
    known = [one.cost for one in asked if one.cost is not None]
    dollars = f"${sum(known):.4f}" if asked and len(known) == len(asked) else "not known"
    tokens = f"{sum(one.tokens_in for one in asked)} in, {sum(one.tokens_out for one in asked)} out"
    return Group(table, Text(f"together {tokens}; dollars: {dollars if asked else 'none, no model was asked'}", "bold"))


def render_context(desk: Desk, turns: Sequence[Turn], window_tokens: int | None) -> RenderableType:
    """Render what the model is told with the next question, in estimated tokens."""
    table = Table.grid(padding=(0, 2))
    total = 0
    for name, tokens in count_context(desk, turns, window_tokens).items():
        total += tokens
        table.add_row(Text(name, "dim"), Text(f"{tokens}", justify="right"))
    share = f" of {window_tokens} ({100 * total / window_tokens:.0f} %)" if window_tokens else ""
    table.add_row(Text("together", "bold"), Text(f"{total}{share} tokens, estimated", "bold"))
    told = f"{len(desk.verdicts)} cases, {len(desk.book)} pieces of evidence, {len(desk.facts.events)} events"
    return Group(table, Text(f"{told}; from {desk.origin or 'nothing'}", "dim"))


def render_record(turn: Turn) -> Group:
    """Render how an answer came to be, step by step."""
    struck = [render_sentence(one) for one in turn.sentences if one.standing == "struck"]
    told = [f"{count} x {name}" for name, count in {**turn.repairs, **turn.tool_counts}.items()]
    steps = [render_step(asdict(step)) for step in turn.steps] or [Text("  no model was asked", "dim")]
    tail = [Text(f"  {', '.join(told)}", "dim")] if told else []
    return Group(Text(turn.question, "bold"), *steps, *tail, *struck, Text(f"  {spell_usage(turn.usage)}", "dim"))


def render_sessions(sessions: Sequence[Session]) -> RenderableType:
    """Render the kept conversations, a line each."""
    if not sessions:
        return Text("No conversation is kept.")
    table = Table.grid(padding=(0, 2))
    for one in sessions:
        when = one.changed.isoformat(sep=" ", timespec="minutes")[:16]
        table.add_row(Text(one.session_id, "cyan"), Text(when, "dim"), Text(f"{len(one.turns)} turns"), Text(one.title))
    return Group(table, Text("daytwo chat --resume ID goes on with one", "dim"))


class AnswerView:
    """Draws an answer as it grows: calls with their durations, words that are not checked yet, checked sentences."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self._console = console
        self._spinner = Spinner("dots")
        self._live = Live(self._spinner, console=console, transient=True, refresh_per_second=8)

    @contextmanager
    def open(self) -> Iterator[AnswerView]:
        """Draw for as long as the answer grows."""
        self._spinner.update(text=Text("thinking", "dim"))
        with self._live:
            yield self

    def tell(self, happening: Asked | Found | Heard | Said) -> None:
        """Draw one thing that happened."""
        if isinstance(happening, Said):
            self._console.print(render_sentence(happening.sentence))
        elif isinstance(happening, Found):
            self._console.print(render_call(happening.call, happening.answer, happening.seconds))
            self._spinner.update(text=Text("thinking", "dim"))
        elif isinstance(happening, Asked):
            self._spinner.update(text=render_call(happening.call))
        else:
            # What is live is drawn past the hook that makes text harmless.
            words = neutralise(happening.text).strip().splitlines()[-PENDING_LINES:]
            self._spinner.update(text=Text("\n".join(words) or "thinking", "dim italic"))
