"""`daytwo ask` for people and scripts: answer, exit code, document; and what stands behind it and behind the chat."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chat_terminal import FULL, LOST, answer_question
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from agent.desk import Desk
from agent.masking import MaskedBackend
from agent.settings import Settings, load_settings
from agent.tracing import TracedBackend
from agent.types import Verdict
from evals.manners import Manners
from evals.scripted import ScriptedServer
from serve import asking
from serve.ask import run_ask
from serve.chat import open_chat, run_list
from serve.chat_commands import COMMANDS
from serve.chat_desk import is_over, lay_out_text, open_desk
from serve.chat_model import TalkModel
from serve.chat_prompt import Pastes, build_prompt
from serve.chat_sessions import begin_session, find_session, keep_session, list_sessions
from serve.history import run_clear
from serve.triage import run_triage
from serve.types import Request
from tools.errors import EvidenceUnreadable, OperatorError, SiteConfigError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def place(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("DAYTWO_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kern.log").write_text(LOST, encoding="utf-8")
    return tmp_path


@pytest.fixture
def ask(place, capsys):
    def run(question: str, *, model: str = "", as_json: bool = True) -> tuple[int, str]:
        request = Request((place / "kern.log",), model=model, store=False)
        code = run_ask(question, request, as_json=as_json)
        return code, capsys.readouterr().out

    return run


def test_a_script_gets_answer_claims_evidence_and_usage(ask):
    with ScriptedServer(answer_question, manners=Manners()) as server:
        code, text = ask("why is the card gone?", model=server.spec)
    told = json.loads(text)
    assert (code, told["schema"], told["answered"], told["decided_by"]) == (0, "daytwo.answer/1", True, "model")
    assert told["answer"].startswith("The card logged Xid 79") and "412" not in told["answer"]
    assert [claim["verified"] for claim in told["claims"]] == [True, False, False]
    assert "'412 C'" in told["claims"][1]["rejected_because"]
    assert told["evidence"][0]["id"] == "e1" and "Xid" in told["evidence"][0]["quote"]
    assert told["usage"]["calls"] == 2 and told["usage"]["cost"] is None


def test_rules_answer_without_a_model(ask):
    code, text = ask("why is it gone?", as_json=False)
    assert code == 0
    assert "GPU has fallen off the bus" in text and text.rstrip().endswith("answered by rules")


def test_what_could_not_be_answered_is_exit_code_2(ask):
    code, text = ask("is the coffee machine broken?")
    assert code == 2
    assert json.loads(text)["answered"] is False
    with pytest.raises(OperatorError):
        ask("  ")


def test_an_endpoint_that_is_down_is_told_and_rules_answer(ask):
    with ScriptedServer("refuse") as server:
        code, text = ask("why?", model=server.spec, as_json=False)
    assert code == 0 and "Rules answer: Nothing answers at" in text


def test_evidence_comes_from_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOST.encode()), encoding="utf-8"))
    assert run_ask("what should I do?", Request((Path("-"),), store=False), as_json=False) == 0
    assert "reboot_node" in capsys.readouterr().out


def test_kept_cases_lie_on_the_desk_until_a_person_clears_them(place, data_dir, capsys):
    run_triage(Request((place / "kern.log",)), as_json=True)
    report = json.loads(capsys.readouterr().out)
    now = datetime.now(UTC)
    desk = open_desk(Request(), load_settings(), now)
    assert [one.case_id for one in desk.verdicts] == [report["verdicts"][0]["case_id"]]
    assert [(str(one.entity), one.code, one.quote.place) for one in desk.facts.events] == [
        ("gpu:n7/0000:4e:00.0", "xid:79", f"{place / 'kern.log'}:1".replace(f"{place}/", ""))
    ]
    run_clear("node:n7", why="replaced", did="replace", now=datetime.now(UTC))
    assert open_desk(Request(), load_settings(), datetime.now(UTC)).verdicts == ()
    verdict = Verdict.model_validate(report["verdicts"][0])
    assert not is_over(verdict, ())


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.setattr(asking, "reach_endpoint", lambda url: None)

    def sit(site: str = "", place=None) -> TalkModel:
        settings = Settings()
        if site:
            (place / "site.toml").write_text(site, encoding="utf-8")
            settings = Settings(site_file=place / "site.toml")
        return TalkModel(settings, "http://llm.example:8000/v1#m")

    return sit


def test_a_model_elsewhere_sits_behind_a_mask_that_knows_what_was_pasted_since(remote):
    model, desk = remote(), Desk()
    first = model.sit_down(desk).backend
    assert isinstance(first, TracedBackend) and isinstance(first.inner, MaskedBackend)
    assert model.sit_down(desk).backend is first
    laid, _ = lay_out_text(desk, LOST.replace(" n7 ", " blade0707 "), "paste-1", Settings())
    again = model.sit_down(laid).backend
    assert isinstance(again, TracedBackend) and isinstance(again.inner, MaskedBackend)
    assert "blade0707" in first.inner.mask.hide("so blade0707 it is")
    assert "blade0707" not in again.inner.mask.hide("so blade0707 it is")
    assert again is not first


def test_a_site_that_asks_only_its_own_models_is_obeyed(remote, place):
    with pytest.raises(SiteConfigError, match=r"llm\.example"):
        remote("[models]\nlocal_only = true\n", place).sit_down(Desk())


def test_a_model_must_be_a_model(remote):
    with pytest.raises(OperatorError):
        remote().change("http://somewhere")


def test_a_pasted_text_that_is_no_log_is_an_error(place):
    with pytest.raises(EvidenceUnreadable):
        lay_out_text(Desk(), "hello\nworld", "paste-1", Settings())


def test_a_conversation_is_kept_with_every_handle(place, data_dir, capsys):
    chat = open_chat(Request((place / "kern.log",), store=False), load_settings())
    chat.read_paste("paste-1", FULL)
    chat.ask("why?")
    kept = find_session(data_dir, "last")
    assert kept.session_id == chat.session.session_id and kept.pastes == 1 and len(kept.turns) == 1
    run_list()
    assert kept.session_id in capsys.readouterr().out
    again = open_chat(Request(), load_settings(), kept.session_id[:-1])
    assert [(one.id, one.source, one.quote) for one in again.desk.book] == [
        (one.id, one.source, one.quote) for one in chat.desk.book
    ]
    assert again.desk.handles == chat.desk.handles and again.desk.verdicts == chat.desk.verdicts
    assert {one.code for one in again.desk.facts.events} == {one.code for one in chat.desk.facts.events}
    assert "n7" in again.list_names() and "n8" in again.list_names()


def test_a_broken_file_is_no_conversation(tmp_path):
    now = datetime.now(UTC)
    keep_session(begin_session(now), Desk(), tmp_path, now)
    (tmp_path / "chats" / "x.json").write_text("{", encoding="utf-8")
    assert len(list_sessions(tmp_path)) == 1
    with pytest.raises(OperatorError, match="No conversation 'nothing'"):
        find_session(tmp_path, "nothing")


def type_keys(keys: str, names: list[str], folder) -> tuple[str, Pastes]:
    pastes = Pastes()
    with create_pipe_input() as pipe:
        pipe.send_text(keys)
        return build_prompt(lambda: names, pastes, folder, input=pipe, output=DummyOutput()).prompt(), pastes


def test_several_pasted_lines_are_held_and_one_is_typed(tmp_path):
    line, pastes = type_keys("look: \x1b[200~one\r\ntwo\r\n\x1b[201~\x1b[200~three\n\x1b[201~\r", [], tmp_path)
    assert line == "look: [paste-1: 2 lines] three"
    assert pastes.take(line) == ("look: three", {"paste-1": "one\ntwo\n"})
    assert pastes.take(line) == ("look: three", {})
    assert (tmp_path / "history").stat().st_mode & 0o077 == 0


def test_an_end_of_a_paste_within_a_paste_approves_nothing(tmp_path):
    """A terminal that lets the mark through: what follows is typed, but an approval needs an id that no log knows."""
    line, _ = type_keys("\x1b[200~a\nb\x1b[201~/approve\r", [], tmp_path)
    assert line == "[paste-1: 2 lines] /approve"


def test_the_command_needs_a_terminal(place, capsys):
    from serve.chat import run_chat

    with pytest.raises(OperatorError, match="needs a terminal"):
        run_chat(Request())


def test_the_manual_shows_the_table_of_commands():
    manual = (Path(__file__).parents[2] / "docs" / "chat.md").read_text(encoding="utf-8")
    for one in COMMANDS.values():
        assert f"| `/{one.name} {one.takes}".rstrip() + "` |" in manual or one.name == "help"
