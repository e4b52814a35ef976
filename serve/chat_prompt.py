"""Where a person types: history, editing, completion of commands and names, and pastes that are evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from serve.chat_commands import COMMANDS

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

MAX_NAMES = 50
_PASTE = re.compile(r"\[(paste-\d+): \d+ lines\] ?")
_AT = re.compile(r"@([\w.:/\-]*)$")
Names = Callable[[], Iterable[str]]


class Words(Completer):
    """Completes commands behind a slash, and names behind an ``@``.

    Args:
        names: Gives the names of the inventory and of all that is known at the moment.
    """

    def __init__(self, names: Names) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Complete what stands before the cursor; the name of this method is the library's."""
        text = document.text_before_cursor
        if text.startswith("/") and " " not in text:
            found = (one for one in COMMANDS.values() if one.name.startswith(text[1:].lower()))
            yield from (Completion(f"/{one.name}", -len(text), display_meta=one.does) for one in found)
        elif match := _AT.search(text):
            typed = match[1].lower()
            known = [name for name in self._names() if typed in name.lower()]
            known.sort(key=lambda name: (not name.lower().startswith(typed), name))
            yield from (Completion(f"@{name}", -len(match[0])) for name in known[:MAX_NAMES])


class Pastes:
    """Texts of several lines that were pasted: each stands in what is typed as one word, until it is sent.

    Args:
        count: How many there were before.
    """

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self._texts: dict[str, str] = {}

    def hold(self, text: str) -> str:
        """Keep a text, and return the word that stands for it."""
        self.count += 1
        name = f"paste-{self.count}"
        self._texts[name] = text
        return f"[{name}: {len(text.splitlines())} lines] "

    def take(self, line: str) -> tuple[str, Mapping[str, str]]:
        """What was typed without these words, and the texts that they stand for."""
        found = {name: self._texts.pop(name) for name in _PASTE.findall(line) if name in self._texts}
        return _PASTE.sub("", line).strip(), found


def bind_paste(pastes: Pastes) -> KeyBindings:
    """Bind the paste of a terminal: one line is typed, several are held as evidence."""
    bindings = KeyBindings()

    @bindings.add(Keys.BracketedPaste)
    def paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        several = "\n" in text.strip("\n")
        event.current_buffer.insert_text(pastes.hold(text) if several else text.strip("\n"))

    return bindings


def build_prompt(
    names: Names, pastes: Pastes, folder: Path, *, input: Input | None = None, output: Output | None = None
) -> PromptSession[str]:
    """Build the line that a person types on.

    Args:
        names: For completion.
        pastes: Holds what is pasted.
        folder: Where the history of what was typed is kept.
        input: In place of the keyboard.
        output: In place of the screen.
    """
    path = folder / "history"
    path.touch(mode=0o600, exist_ok=True)
    return PromptSession(
        FormattedText([("bold", "daytwo> ")]),
        history=FileHistory(path),
        completer=Words(names),
        key_bindings=bind_paste(pastes),
        complete_while_typing=True,
        enable_open_in_editor=False,
        reserve_space_for_menu=4,
        input=input,
        output=output,
    )
