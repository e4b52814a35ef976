"""The chat over time and against an enemy: resumed, on kept cases, over evidence that would steer the terminal."""

from __future__ import annotations

import re
from pathlib import Path

from chat_terminal import LOST, answer_question, struck

from evals.conversation import Conversation
from evals.manners import Manners
from evals.scripted import ScriptedServer
from evals.scripts import Answer
from serve.triage import run_triage
from serve.types import Request

STEERING = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;cm0gLXJmIH4K\x07\x9b2J\x1bP+q544e\x1b\\\x08\x08\u202egnp.exe"


def test_a_conversation_goes_on_where_it_was_left(chat, chat_data_dir):
    with ScriptedServer(answer_question, manners=Manners()) as server:
        first = chat("kern.log", "--no-store", "--model", server.spec)
        first.wait()
        first.type("why is the card gone?")
        name = re.search(r"--resume (\S+)", first.leave())[1]
        kept = chat_data_dir / "chats" / f"{name}.json"
        assert kept.stat().st_mode & 0o077 == 0, "lines of logs are nobody else's"
        second = chat("--resume", name[:-1], "--model", server.spec)
        opening = " ".join(second.wait().split())
        assert "gpu_off_bus" in opening and "why is the card gone?" in opening and "✗ It ran at 412 C" in opening
        assert "18934.214926" in second.type("/evidence e1")
        second.type("and before?")
        said = [str(message["content"]) for message in server.requests[-1]["messages"]]
        second.leave()
    assert any("Question: why is the card gone?" in words for words in said)
    assert any("fallen off the bus [e1]" in words for words in said)
    assert not any("412 C" in words for words in said), "what was struck out is not said again"


def test_the_kept_cases_are_there_without_a_path(chat, chat_data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(chat_data_dir))
    monkeypatch.chdir(tmp_path)
    run_triage(Request((Path("kern.log"),)), as_json=True)
    person = chat()
    assert "gpu_off_bus" in person.wait()
    assert "only the lines that were kept" in " ".join(person.type("what was not read?").split())
    assert "18934.214926" in person.type("/evidence e1")
    person.leave()


def test_hostile_evidence_steers_no_terminal(chat, tmp_path):
    hostile = LOST.replace("<unknown>", f"{STEERING}x")
    (tmp_path / "kern.log").write_text(hostile, encoding="utf-8")

    def repeat(talk: Conversation) -> Answer:
        return Answer(f"It says {STEERING} 79 [e1]. <think>{STEERING}</think> Reset the GPU now [e1].")

    with ScriptedServer(repeat, manners=Manners(piece_seconds=0.02)) as server:
        person = chat("kern.log", "--no-store", "--model", server.spec)
        person.wait()
        assert "Reset the GPU now" in struck(person.type("what does it say?"))[-1]
        for command in ("/evidence e1", "/evidence", "/why", "/open", "/cases", "/record", "/context"):
            person.type(command)
        person.child.send(f"\x1b[200~{hostile}{hostile}\x1b[201~")
        person.child.expect_exact("lines]")
        person.raw = person.raw[: -len("lines]")]
        person.type("")
        person.leave()
    for steering in ("\x1b[2J", "\x1b]", "\x1bP", "\x9b", "\x07", "\u202e"):
        assert steering not in person.raw
