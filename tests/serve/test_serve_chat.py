"""The chat with rules alone: every command, pastes, completion, on a real pseudo-terminal."""

from __future__ import annotations

import json

from chat_terminal import FULL


def test_with_no_model_every_command_works_and_it_says_so(chat, tmp_path):
    person = chat("kern.log", "--no-store")
    opening = person.wait()
    assert "No model: rules answer." in opening
    assert "gpu_off_bus" in opening and "reboot_node" in opening
    assert len(opening.splitlines()) <= 24, "one screen"
    assert "The GPU stopped" in person.type("why is it gone?")
    assert "answered by rules" in person.type("what should I do next?")
    assert "I could not read that" in person.type("is the coffee machine warm enough today?")
    assert "drain_node" in person.type("/next")
    assert "gpu_power_supply" in person.type("/why 1")
    assert "PCIe" in person.type("/runbook")
    assert "kern.log:1" in person.type("/evidence")
    assert "18934.214926" in person.type("/evidence e1")
    assert "decided" in person.type("/open 1")
    assert "system" in person.type("/context")
    assert "no model was asked" in person.type("/record")
    assert "none, no model was asked" in person.type("/cost")
    assert "Next: /cases" in person.type("/case")
    assert "there is e1 to" in person.type("/evidence e99")
    helped = person.type("/help")
    for name in (
        "cases",
        "open",
        "evidence",
        "why",
        "runbook",
        "next",
        "approve",
        "model",
        "cost",
        "context",
        "record",
    ):
        assert f"/{name}" in helped
    assert "wrote talk.json" in person.type("/export talk.json")
    told = json.loads((tmp_path / "talk.json").read_text())
    assert [turn["decided_by"] for turn in told["turns"]] == ["rules"] * 3
    assert told["turns"][2]["answered"] is False
    assert "--resume" in person.leave()


def test_a_pasted_log_becomes_a_case(chat):
    person = chat("kern.log", "--no-store")
    person.wait()
    person.child.send(f"\x1b[200~{FULL}{FULL.replace('455', '456')}\x1b[201~")
    person.child.expect_exact("[paste-1: 2 lines]")
    shown = person.type("what is wrong with n8?")
    assert "paste-1, 2 lines" in shown
    assert "filesystem" in shown and "n8" in shown
    assert "paste-1:1" in person.type("/evidence")
    assert "gpu_off_bus" in (cases := person.type("/cases")) and "n8" in cases
    person.child.send("\x1b[200~no log at all\nof any machine\x1b[201~")
    person.type("")
    assert "gpu_off_bus" in person.type("/cases"), "what cannot be read is told, and the conversation goes on"
    person.leave()


def test_names_are_completed_behind_an_at(chat):
    person = chat("kern.log", "--no-store")
    person.wait()
    person.child.send("why @n")
    person.child.expect_exact("node:n7")
    assert "gpu_off_bus" in person.type("\t"), "the first name is taken, and asked for"
    person.leave()
