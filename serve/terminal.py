"""Where words go: people's output on standard output, everything else on standard error; plain off a terminal."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from tools.harmless import neutralise, redact_url

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType
    from rich.segment import Segment

PEOPLE_WIDTH = 100
"""Widest text on a terminal: longer lines are hard to read, however wide the window (a guess)."""
PLAIN_WIDTH = 10_000
"""Off a terminal nothing is wrapped, so that grep sees whole lines."""


def is_terminal(stream: TextIO) -> bool:
    """Say whether a person looks at the stream."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def print_people(*parts: RenderableType) -> None:
    """Print for people: colours and wrapped lines on a terminal, plain unwrapped text off it."""
    print_by(lambda console: console.print(*parts, sep="\n", crop=False))


def print_by(draw: Callable[[Console], object], *, plain_width: int = PLAIN_WIDTH) -> None:
    """Let a function draw on the console: coloured and wrapped on a terminal, plain off it.

    Args:
        draw: Given the console.
        plain_width: Columns to wrap at off a terminal; so many that nothing is wrapped, where none is given.
    """
    if not is_terminal(sys.stdout):
        print_text(draw_plain(draw, width=plain_width))
        return
    from rich.console import Console

    console = _make_harmless(Console(highlight=False))
    console.width = min(console.width, PEOPLE_WIDTH)
    with _until_reader_leaves():
        draw(console)


def render_plain(*parts: RenderableType, width: int = PLAIN_WIDTH) -> str:
    """Render to text without colour or trailing blanks.

    Args:
        *parts: What to render, one after the other.
        width: Columns to wrap at.
    """
    return draw_plain(lambda console: console.print(*parts, sep="\n", crop=False), width=width)


def draw_plain(draw: Callable[[Console], object], *, width: int = PLAIN_WIDTH) -> str:
    """Let a function draw on a console in memory; without colour or trailing blanks."""
    from rich.console import Console

    page = io.StringIO()
    console = Console(file=page, width=width, color_system=None, highlight=False, force_terminal=False)
    draw(_make_harmless(console))
    return "".join(line.rstrip() + "\n" for line in page.getvalue().splitlines())


@dataclass(frozen=True, slots=True)
class _Neutral:
    """A renderable whose text cannot steer a terminal, wherever it came from; colours are Rich's own and stay."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.inner, options):
            yield segment if segment.control else segment._replace(text=neutralise(segment.text))


def _make_harmless(console: Console) -> Console:
    from rich.console import RenderHook

    class Hook(RenderHook):
        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [_Neutral(one) for one in renderables]

    console.push_render_hook(Hook())
    return console


def print_words(text: str) -> None:
    """Print plain text for people; what a name of a file or host smuggles in is made harmless."""
    print_text(neutralise(text))


def print_text(text: str) -> None:
    """Print text of our own, or a document for scripts, as it is, with one line end."""
    with _until_reader_leaves():
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()


@contextmanager
def _until_reader_leaves() -> Iterator[None]:
    """End quietly where the reader of a pipe went away, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        # What is still buffered goes nowhere, so that the flush at exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None


def note(text: str) -> None:
    """Tell something beside the result: on standard error."""
    sys.stderr.write(neutralise(redact_url(text)).rstrip("\n") + "\n")
    sys.stderr.flush()
