"""One screen at 3 a.m.: what, where, how sure, what to do, on which evidence; then what a model adds."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from agent.types import TriageReport, Verdict
from evals.runner import triage_evidence
from evals.scenario import load_scenarios
from evals.scripted import ScriptedServer
from evals.seats import open_seat
from serve.page import SCREEN_LINES, render_opinions, render_page, render_pages
from serve.render import cut_words, strike_said
from serve.terminal import render_plain

DAYTWO = str(Path(sys.executable).parent / "daytwo")
BAD_NIGHT = Path(__file__).parents[2] / "examples" / "bad-night"
FREE = "no job runs on the node"
COLUMNS = 80


def build(**changes: object) -> Verdict:
    verdict = {
        "verdict_id": "v-1",
        "case_id": "c-8f1d22",
        "time": "2026-11-20T10:00:00.000Z",
        "subject": {"entity": "gpu:n7/3", "ids": {"pci": "0000:3b:00.0"}},
        "status": "failed",
        "fault": "gpu_off_bus",
        "confidence": "confirmed",
        "severity": "critical",
        "action": "reboot_node",
        "urgency": "now",
        "follow_up": "inspect_hardware",
        "summary": "gpu:n7/3: The GPU stopped answering (kern.log:1). Next: reboot_node now, then inspect_hardware.",
        "plan": [
            {"step": 1, "action": "drain_node", "target": "node:n7", "command": "scontrol update " + "x" * 90},
            {
                "step": 2,
                "action": "reboot_node",
                "target": "node:n7",
                "command": "systemctl reboot",
                "precondition": FREE,
            },
            {"step": 3, "action": "validate", "target": "node:n7", "command": "dcgmi diag -r 3", "precondition": FREE},
        ],
        "evidence": [
            {"id": "e1", "source": "kern.log:1", "quote": "GPU has fallen off the bus."},
            {"id": "e2", "source": "kern.log:2", "quote": "again"},
            {"id": "e3", "source": "smi.txt:9", "quote": "ERR!"},
        ],
        "runbook": {"id": "gpu_off_bus", "section": "do"},
        "decided_by": "rules",
    }
    return Verdict.model_validate({**verdict, **changes})


def count_lines(page: str) -> int:
    """Lines on a terminal, which wraps what is wider than it is."""
    return sum(max(1, -(-len(line.rstrip()) // COLUMNS)) for line in page.splitlines())


def draw(part: object) -> str:
    console = Console(file=io.StringIO(), width=COLUMNS, color_system=None, highlight=False, force_terminal=False)
    console.print(part, crop=False)
    return console.file.getvalue()


def test_the_first_verdict_of_every_scenario_fits_on_one_screen():
    rules = open_seat("rules")
    pages = []
    for scenario in load_scenarios():
        for evidence in (scenario.evidence, scenario.twin.evidence):
            verdict = triage_evidence(evidence, rules).verdicts[0]
            page = draw(render_page(verdict, kept=True))
            pages.append(page)
            assert count_lines(page) <= SCREEN_LINES, page
            assert verdict.fault in page.splitlines()[0] + page.splitlines()[1]
            upto = [step.action for step in verdict.plan]
            upto = upto[: upto.index(verdict.action) + 1] if verdict.action in upto else upto
            shown = [step.command for step in verdict.plan[: len(upto)] if step.command]
            assert all(f"$ {command}\n" in page for command in shown), "every command up to the remedy, unbroken"
            assert page.count(FREE) <= 1
    assert len(pages) > 200


def test_a_page_names_what_is_left_out_and_how_to_see_it():
    page = render_plain(render_page(build(), kept=True), width=COLUMNS)
    assert page.startswith(
        "✖ CRITICAL  gpu_off_bus  gpu:n7/3 (0000:3b:00.0)  confirmed\n  The GPU stopped answering (kern.log:1).\n"
    )
    assert "then validate\n" in page
    assert "e1 kern.log:1" in page and "e3 smi.txt:9" in page and "e2" not in page, (
        "another file says more than another line"
    )
    assert "and 1 more\n" in page
    assert page.endswith("more       daytwo explain c-8f1d22  daytwo runbook gpu_off_bus\n")
    assert "the same with --full" in render_plain(render_page(build(), kept=False))


def test_others_are_brief_then_lines():
    others = [build(case_id=f"c-{number}") for number in range(6)]
    page = render_plain(render_pages(TriageReport(verdicts=[build(), *others], coverage=[]), kept=True), width=COLUMNS)
    assert page.count("The GPU stopped answering") == 4
    assert page.count("daytwo explain c-") == 4
    assert [line.split()[-1] for line in page.splitlines()[-4:-1]] == ["c-3", "c-4", "c-5"]


def test_a_condition_is_said_once():
    said: list[str] = []
    assert strike_said(FREE, said) == FREE
    assert strike_said(f"{FREE}, and the fault is still there", said) == "the fault is still there"
    assert strike_said(None, said) == strike_said(FREE, said) == ""


def test_words_are_cut_whole_and_quotations_closed():
    assert cut_words("one two three", 20) == "one two three"
    assert cut_words("one two, three", 9) == "one two …"
    assert cut_words('it says "one two three"', 14) == 'it says "one …"'
    assert cut_words("x" * 30, 10) == "x" * 10 + " …"


# -- what a model adds ------------------------------------------------------------------------------------------------

ASKED = {"model": {"name": "m", "endpoint_kind": "local", "prompt_hashes": {}}}


def opine(rules: Verdict, told: Verdict) -> str:
    one, other = (TriageReport(verdicts=[verdict], coverage=[]) for verdict in (rules, told))
    part = render_opinions(one, other)
    return render_plain(part) if part is not None else ""


def test_nothing_is_added_where_no_model_was_asked():
    assert opine(build(), build()) == ""


def test_an_opinion_is_told_with_the_places_of_its_claims():
    own = {"text": "It fell off.", "evidence": ["e9"], "verified": True}
    thrown = {
        "text": "It was 97 C.",
        "evidence": ["e9"],
        "verified": False,
        "rejected_because": "97 does not stand there",
    }
    rule = {"text": "settled", "evidence": ["e1"], "verified": True}
    row = {"id": "e9", "source": "dmesg:4", "quote": "off the bus"}
    told = opine(
        build(claims=[rule]),
        build(claims=[rule, own, thrown], evidence=[row], decided_by="rules+model", **ASKED),
    )
    assert "agrees: gpu_off_bus on gpu:n7/3" in told
    assert "✓ It fell off. (dmesg:4)" in told
    assert "✗ It was 97 C. (dmesg:4) — thrown out: 97 does not stand there" in told
    assert "settled" not in told


def test_one_reason_for_many_cases_is_told_once():
    rules = TriageReport(verdicts=[build(), build(case_id="c-2", subject={"entity": "disk:n7/sda"})], coverage=[])
    why = "Nothing answers at http://h/v1."
    told = rules.model_copy(update={"verdicts": [v.model_copy(update={"reason": why}) for v in rules.verdicts]})
    text = render_plain(render_opinions(rules, told))
    assert text.count(why) == 1
    assert "gpu:n7/3, disk:n7/sda" in text


class Terminal:
    """A command on a terminal of 80 columns; what it has drawn so far is kept."""

    def __init__(self, words: list[str], folder: Path, **settings: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DAYTWO_")}
        self.pid, self.ours = pty.fork()
        if self.pid == 0:
            os.execve(
                DAYTWO,
                [DAYTWO, *words],
                {**clean, "DAYTWO_DATA_DIR": str(folder), "TERM": "xterm", "COLUMNS": "80", **settings},
            )
        self.drawn = ""
        self.code: int | None = None

    def read_until(self, words: str, seconds: float) -> float:
        """Read until the words are there, or the end; returns the seconds that it took."""
        started = time.monotonic()
        while words not in self.drawn and time.monotonic() - started < seconds:
            try:
                piece = os.read(self.ours, 65536)
            except OSError:
                break
            self.drawn += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece.decode(errors="replace")).replace("\r", "")
        return time.monotonic() - started

    def end(self) -> int:
        self.read_until("\0", 30)
        os.close(self.ours)
        self.drawn = re.sub(r"\s+", " ", self.drawn)  # words may be wrapped anywhere
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_rules_speak_first_and_ctrl_c_keeps_their_verdict(tmp_path):
    with ScriptedServer("hang") as server:
        terminal = Terminal(["triage", str(BAD_NIGHT), "--model", server.spec], tmp_path)
        terminal.read_until("the model looks at", 60)
        assert terminal.drawn.index("gpu_off_bus") < terminal.drawn.index(
            "asking scripted: at most 60 s an answer and 240 s in all"
        )
        os.kill(terminal.pid, signal.SIGINT)
        assert terminal.end() == 1
    assert "stopped by Ctrl-C" in terminal.drawn
    assert "the rules' verdict stands: gpu:gpu-017/3, disk:xen-03/sdb" in terminal.drawn
    kept = subprocess.run(
        [DAYTWO, "explain", "c-566cb0310358"], env={**os.environ, "DAYTWO_DATA_DIR": str(tmp_path)},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "reboot_node" in kept.stdout


def test_a_model_that_hangs_is_asked_once(tmp_path):
    with ScriptedServer("hang") as server:
        terminal = Terminal(
            ["triage", str(BAD_NIGHT), "--model", server.spec], tmp_path, DAYTWO_MODEL_TIMEOUT_SECONDS="1"
        )
        assert terminal.end() == 1
        assert len(server.requests) == 1
    assert "gave no whole answer in time" in terminal.drawn
    assert "not asked: the model had failed before in this triage" in terminal.drawn


@pytest.mark.parametrize("setting", ["0.000001"])
def test_the_time_for_a_model_is_bounded_in_all(tmp_path, setting):
    with ScriptedServer("careful") as server:
        terminal = Terminal(
            ["triage", str(BAD_NIGHT), "--model", server.spec], tmp_path, DAYTWO_MODEL_TOTAL_SECONDS=setting
        )
        assert terminal.end() == 1
        assert server.requests == []
    assert "DAYTWO_MODEL_TOTAL_SECONDS" in terminal.drawn


def test_a_refused_connection_is_told_at_once_and_loads_no_library(tmp_path):
    with ScriptedServer("refuse") as server:
        terminal = Terminal(["triage", str(BAD_NIGHT), "--model", server.spec], tmp_path, PYTHONPROFILEIMPORTTIME="1")
        assert terminal.end() == 1
    assert terminal.drawn.count("Nothing answers at") == 1
    assert "connection refused" in terminal.drawn
    assert "agent.triage" in terminal.drawn, "imports are listed"
    assert re.search(r"\| (langgraph|openai|chromadb) ", terminal.drawn) is None
