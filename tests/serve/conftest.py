"""Fixtures of this room: a chat on a terminal of its own."""

from __future__ import annotations

import pytest
from chat_terminal import LOST, Terminal


@pytest.fixture(scope="module")
def chat_data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")  # the index of the runbooks is built once


@pytest.fixture
def chat(chat_data_dir, tmp_path):
    opened: list[Terminal] = []
    (tmp_path / "kern.log").write_text(LOST, encoding="utf-8")

    def open_chat(*words: str) -> Terminal:
        opened.append(Terminal(["chat", *words], chat_data_dir, tmp_path))
        return opened[-1]

    yield open_chat
    for one in opened:
        one.child.close(force=True)
