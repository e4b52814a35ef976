"""One server under watch: ends, loops, hangs and sick engines, with a clock that the test turns and a real process."""

from __future__ import annotations

import json
import socket
import time

import pytest
from vllm_standin import make_env

from serve import vllm
from serve.model_env import open_env
from serve.model_launch import build_small_launch
from serve.model_log import Ending
from serve.model_replica import (
    BACKOFF_SECONDS,
    HEALTH_SECONDS,
    KEPT_LOG_BYTES,
    MAX_LOG_BYTES,
    MOST_ENDS,
    MUTE_PROBES,
    SILENT_SECONDS,
    Replica,
    choose_delay,
    cut_log,
)
from serve.sizing import find_model
from serve.vllm import read_start


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Play acts: one server without a supervisor, what it tells, and how each start was called."""
    monkeypatch.setattr(vllm, "LEFT_SECONDS", 0.1)
    replicas = []

    def start(acts):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = open_env(make_env(tmp_path, acts), "cpu")
        small = find_model("qwen2.5-coder-0.5b")
        launch = build_small_launch(small, env, tmp_path, context_tokens=8192, agents=4, port=port)
        told = []
        replicas.append(Replica(launch, tmp_path, told.append))
        return replicas[0], told

    yield start
    for replica in replicas:
        replica.stop()


def look_until(replica, holds, step=1.0):
    now = 1000.0
    deadline = time.monotonic() + 60.0
    while not holds() and time.monotonic() < deadline:
        replica.look(now)
        now += step
        time.sleep(0.02)
    assert holds()


@pytest.mark.parametrize(
    ("act", "words", "quote"),
    [
        (
            "memory",
            "the GPU ran out of memory",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 80.00 MiB",
        ),
        ("killed", "it was killed (signal 9), most often by the kernel for want of memory", ""),
    ],
)
def test_a_loop_is_left_with_the_servers_own_words(play, tmp_path, act, words, quote):
    replica, told = play(act)
    look_until(replica, lambda: replica.state == "failed")
    assert replica.ending.words == words
    assert replica.ending.quotes[0].startswith(quote)
    starts = [json.loads(path.read_text()) for path in tmp_path.glob("start-*.json")]
    assert len(starts) == MOST_ENDS
    assert all(read_start(start["engine"]) is None for start in starts)
    waits = [line.rpartition(" ")[0][-5:] for line in told if "another start" in line]
    assert waits == [" in 2", "in 10", "in 30"]


def test_one_whose_engine_is_dead_is_ended_and_started_again(play, tmp_path):
    replica, told = play("ready")
    look_until(replica, lambda: replica.state == "ready")
    sick = tmp_path / "sick"
    sick.touch()
    look_until(replica, lambda: replica.state == "restarting", step=HEALTH_SECONDS)
    sick.unlink()
    look_until(replica, lambda: replica.state == "ready")
    assert replica.describe().restarts == 1
    assert any("its engine is dead, by its own word" in line for line in told)


def test_one_that_takes_no_more_connections_is_ended_and_started_again(play, tmp_path):
    """As vLLM does that was told to end by somebody else, and waits for ever for a client to hang up."""
    replica, told = play("shuts")
    look_until(replica, lambda: replica.state == "ready")
    (tmp_path / "shut").touch()
    look_until(replica, lambda: replica.state == "restarting", step=HEALTH_SECONDS)
    assert any("it runs and takes no more connections" in line for line in told)


def test_one_that_answers_late_is_given_five_minutes(play, monkeypatch):
    replica, told = play("ready")
    look_until(replica, lambda: replica.state == "ready")
    monkeypatch.setattr("serve.model_replica.probe_health", lambda launch: 0)
    looks = []
    look_until(replica, lambda: looks.append(1) or replica.state == "restarting", step=HEALTH_SECONDS)
    assert MUTE_PROBES <= len(looks) <= MUTE_PROBES + 10
    assert any("has not answered for five minutes" in line for line in told)


def test_a_start_that_says_nothing_for_long_is_a_hang_and_is_told_of_before(play):
    replica, told = play("silent")
    look_until(replica, lambda: any("(still)" in line for line in told), step=40.0)
    look_until(replica, lambda: replica.state == "restarting", step=SILENT_SECONDS / 3)
    assert any("has said nothing for half an hour" in line for line in told)


def test_a_log_that_grows_without_end_is_cut(tmp_path):
    log = tmp_path / "server-1.log"
    log.write_bytes(b"x" * 10)
    assert cut_log(log) == 10
    with log.open("ab") as out:
        out.truncate(MAX_LOG_BYTES)
        out.write(b"last words")
        out.flush()
        assert cut_log(log) == 0
        out.write(b"and on")
    assert log.read_bytes() == b"and on", "the server writes on at the new end"
    kept = (tmp_path / "server-1.old.log").read_bytes()
    assert len(kept) == KEPT_LOG_BYTES
    assert kept.endswith(b"last words")
    assert cut_log(tmp_path / "none.log") == 0


MEMORY = Ending("gpu_memory", "the GPU ran out of memory", "", again=True)
FLAG = Ending("flag", "no such flag", "", again=False)


def test_starts_are_tried_again_later_and_later_and_not_for_ever():
    delays = [
        choose_delay(MEMORY, [float(n) for n in range(count)], 10.0, was_ready=False) for count in range(1, MOST_ENDS)
    ]
    assert delays == list(BACKOFF_SECONDS[: MOST_ENDS - 1])
    assert choose_delay(MEMORY, [1.0] * MOST_ENDS, 10.0, was_ready=True) is None
    assert choose_delay(MEMORY, [1.0] * 3 + [10_000.0], 10_000.0, was_ready=True) == BACKOFF_SECONDS[0], "long ago"
    assert choose_delay(FLAG, [1.0], 1.0, was_ready=False) is None
    assert choose_delay(FLAG, [1.0], 1.0, was_ready=True) == BACKOFF_SECONDS[0]
