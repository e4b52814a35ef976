"""The chat with a model: drawn as it grows, struck out, stopped by Ctrl-C, broken, not there."""

from __future__ import annotations

import re

from chat_terminal import answer_at_length, answer_question, struck

from evals.manners import Manners
from evals.scripted import ScriptedServer


def test_an_answer_is_drawn_as_it_grows_and_what_no_evidence_holds_is_struck_out(chat):
    with ScriptedServer(answer_question, manners=Manners()) as server:
        person = chat("kern.log", "--no-store", "--model", server.spec)
        assert "checked by code" in person.wait()
        shown = person.type("why is the card gone?")
        sent = [request for request in server.requests if "messages" in request]
    assert re.search(r"read_events code=xid limit=5 +e1 +\d+ ms", shown)
    assert "✓ The card logged Xid 79 and has fallen off the bus [e1]." in " ".join(shown.split())
    assert "· I could not read its temperature." in shown
    assert [sentence.partition(" — ")[0] for sentence in struck(shown)] == [
        "It ran at 412 C for 9 hours [e1].",
        "Replace the card at once.",
    ]
    assert "policy chooses" in " ".join(shown.split())
    assert "▸ e1 kern.log:1" in shown
    assert "2 calls" in shown and "price not known" in shown
    assert all(request["stream"] for request in sent)
    assert "read_events" in person.type("/record") and "412" in person.type("/record 1")
    assert "not known" in person.type("/cost")
    person.leave()


def test_ctrl_c_ends_the_answer_and_not_the_program(chat):
    with ScriptedServer(answer_at_length, manners=Manners(piece_seconds=0.1)) as server:
        person = chat("kern.log", "--no-store", "--model", server.spec)
        person.wait()
        person.type("tell me all", "nothing else")
        person.child.sendintr()
        stopped = person.wait()
        assert "stopped by Ctrl-C" in stopped
        person.child.send("half a line")
        person.child.expect_exact("line")
        person.child.sendintr()
        person.wait()
        assert "gpu_off_bus" in person.type("/cases"), "the half line is gone, and the program is not"
        person.leave()


def test_a_model_that_is_not_there_is_told_and_rules_answer(chat):
    with ScriptedServer("refuse") as server:
        person = chat("kern.log", "--no-store", "--model", server.spec)
        assert "Rules answer: Nothing answers at" in " ".join(person.wait().split())
        assert "answered by rules" in person.type("why?")
        assert "No model: rules answer" in person.type("/model none")
        person.leave()


def test_a_model_that_breaks_costs_only_its_words(chat):
    with ScriptedServer("html") as server:
        person = chat("kern.log", "--no-store", "--model", server.spec)
        person.wait()
        shown = person.type("why?")
    assert "the model was not heard" in shown and "answered by rules" in shown
    assert "The GPU stopped" in shown
    person.leave()
