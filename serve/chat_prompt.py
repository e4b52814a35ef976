"""Where a person types: history, editing, completion of commands and names, and pastes that are evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer, ConditionalCompleter, WordCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from serve.chat_commands import COMMANDS

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

_PASTE = re.compile(r"\[(paste-\d+): \d+ lines\] ?")
_TYPED_COMMAND = re.compile(r"^/\w*$")
_COMPLETED = re.compile(r"^/\w*$|@[\w.:/\-]*$")
_WORD = re.compile(r"[\w.:/\-]*")
Names = Callable[[], Iterable[str]]


def build_completer(names: Names) -> Completer:
    """Complete commands behind a slash at the beginning, and names behind an ``@``.

    Args:
        names: Gives the names of the inventory and of all that is known at the moment.
    """

    def list_words() -> list[str]:
        return [f"/{name}" for name in COMMANDS] if _TYPED_COMMAND.search(_read_typed()) else list(names())

    told = {f"/{one.name}": one.does for one in COMMANDS.values()}
    words = WordCompleter(list_words, ignore_case=True, meta_dict=told, match_middle=True, pattern=_WORD)
    return ConditionalCompleter(words, Condition(lambda: bool(_COMPLETED.search(_read_typed()))))


def _read_typed() -> str:
    return get_app().current_buffer.document.text_before_cursor


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
        completer=build_completer(names),
        key_bindings=bind_paste(pastes),
        complete_while_typing=True,
        enable_open_in_editor=False,
        reserve_space_for_menu=4,
        input=input,
        output=output,
    )
