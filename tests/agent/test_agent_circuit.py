"""The breaker before an endpoint: opened by what the server does wrong, tried by one, shared by all processes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from agent.circuit import COOL_SECONDS, FAILURES, FORGET_SECONDS, JITTER, MOST_COOL_SECONDS, Circuit, open_circuit
from tools.errors import ModelDown, ModelError

DOWN = ModelDown("Nothing answers at http://127.0.0.1:9/v1.", fix="curl")


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def circuit(tmp_path, clock):
    return Circuit(tmp_path / "c.json", clock=clock, chance=lambda: 0.5)


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.note(DOWN)


def test_it_opens_after_so_many_in_a_row_and_says_why(circuit):
    fail(circuit, FAILURES - 1)
    assert (circuit.state, circuit.ask()) == ("closed", "")
    fail(circuit, 1)
    assert circuit.state == "open"
    assert circuit.ask() == (
        "not asked: it failed 3 times in a row (Nothing answers at http://127.0.0.1:9/v1); it is tried again in 30 s"
    )


def test_an_answer_in_between_starts_the_count_anew(circuit):
    fail(circuit, FAILURES - 1)
    circuit.note(None)
    fail(circuit, FAILURES - 1)
    assert circuit.state == "closed"


def test_failures_that_are_far_apart_are_not_in_a_row(circuit, clock):
    for _ in range(3 * FAILURES):
        circuit.note(DOWN)
        clock.now += FORGET_SECONDS + 1
    assert circuit.state == "closed"


def test_what_a_server_refuses_with_a_reason_neither_opens_nor_closes_it(circuit):
    for _ in range(2 * FAILURES):
        circuit.note(ModelError("http://127.0.0.1:9/v1 answered 401: no.", fix="export KEY"))
    assert circuit.read().failures == 0
    fail(circuit, FAILURES)
    circuit.note(ModelError("http://127.0.0.1:9/v1 answered 404: no.", fix="curl"))
    assert circuit.state == "open"


def test_when_its_time_is_over_one_tries_and_the_others_wait(circuit, clock):
    fail(circuit, FAILURES)
    clock.now += COOL_SECONDS + 1
    other = Circuit(circuit.path, clock=clock)
    assert circuit.state == "half-open"
    assert circuit.ask() == ""
    assert "another process is trying it now" in other.ask()
    circuit.note(None)
    assert (other.state, other.ask()) == ("closed", "")


def test_one_who_tries_and_never_comes_back_blocks_nobody_for_ever(circuit, clock):
    fail(circuit, FAILURES)
    clock.now += COOL_SECONDS + 1
    assert circuit.ask() == ""
    clock.now += 120
    assert Circuit(circuit.path, clock=clock).ask() == ""


def test_the_wait_doubles_up_to_a_bound_and_late_failures_do_not_lengthen_it(circuit, clock):
    fail(circuit, FAILURES)
    waits = []
    for _ in range(8):
        waits.append(circuit.read().until - clock.now)
        fail(circuit, 2)  # questions that were under way
        assert circuit.read().until - clock.now == waits[-1]
        clock.now = circuit.read().until
        assert circuit.ask() == ""
        fail(circuit, 1)
    assert waits[:4] == [30.0, 60.0, 120.0, 240.0]
    assert waits[-1] == MOST_COOL_SECONDS


@pytest.mark.parametrize(("chance", "share"), [(0.0, 1 - JITTER), (1.0, 1 + JITTER)])
def test_not_every_process_tries_in_the_same_second(tmp_path, clock, chance, share):
    circuit = Circuit(tmp_path / "c.json", clock=clock, chance=lambda: chance)
    fail(circuit, FAILURES)
    assert circuit.read().until - clock.now == pytest.approx(COOL_SECONDS * share)


def test_what_is_written_holds_no_secret(circuit):
    circuit.note(ModelDown("Nothing answers at http://me:hunter2@llm.example/v1.", fix=""))
    assert "hunter2" not in circuit.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "{", '{"failures": "many"}', "[]", "\x00"])
def test_a_broken_file_is_a_closed_circuit(circuit, text):
    circuit.path.write_text(text, encoding="utf-8")
    assert (circuit.state, circuit.ask()) == ("closed", "")
    fail(circuit, FAILURES)
    assert circuit.state == "open"


def test_a_folder_that_cannot_be_written_costs_the_breaker_alone(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    circuit = Circuit(tmp_path / "file" / "c.json")
    fail(circuit, FAILURES)
    assert (circuit.state, circuit.ask()) == ("closed", "")


def test_processes_share_it_and_lose_no_failure(tmp_path):
    url, name = "http://127.0.0.1:9/v1", "m"
    code = (
        "import sys; from pathlib import Path; from agent.circuit import open_circuit; from tools.errors import ModelDown\n"
        f"c = open_circuit(Path(sys.argv[1]), {url!r}, {name!r})\n"
        "for _ in range(20): c.note(ModelDown('no answer.', fix=''))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [one.wait(30) for one in running] == [0, 0]
    circuit = open_circuit(tmp_path, url, name)
    assert circuit.read().failures == 40
    assert circuit.state == "open"
    assert open_circuit(tmp_path, url, "another").state == "closed"
