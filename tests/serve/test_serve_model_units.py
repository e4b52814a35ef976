"""Units for the same plan, each held against the program or the grammar that will read it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from serve.main import app
from serve.model_units import quote_systemd
from tools.errors import OperatorError, SiteConfigError

PLAN = ("--gpu", "4x3090", "--agents", "12", "--context", "16k")


@pytest.fixture
def write(tmp_path):
    def run(*words):
        env = {"NO_COLOR": "1", "DAYTWO_DATA_DIR": str(tmp_path), "DAYTWO_VLLM_ENV": "/opt/vllm"}
        return CliRunner(env=env).invoke(app, ["model", "serve", *words])

    return run


def run(*argv: str) -> subprocess.CompletedProcess:
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def read_argument(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_a_systemd_unit_starts_our_own_supervisor(write, tmp_path):
    text = write(*PLAN, "--write", "systemd").stdout
    start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert start.split()[1:3] == ["model", "serve"]
    assert "--gpu 4x3090 --context 16k --agents 12 --port 8000 --env /opt/vllm" in start
    assert f"Environment=DAYTWO_DATA_DIR={tmp_path}" in text
    assert "RestartPreventExitStatus=2" in text, "our exit code says that no further start helps"
    assert Path(start.split()[0].removeprefix("ExecStart=")).name == "daytwo"


def test_the_small_model_has_a_systemd_unit_and_no_other(write):
    assert " --small" in write("--small", "--write", "systemd").stdout
    for kind in ("compose", "slurm", "kubernetes"):
        refused = write("--small", "--write", kind)
        assert isinstance(refused.exception, OperatorError)
        assert "--write systemd" in refused.exception.fix


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("words", [PLAN, ("--small",)], ids=["plan", "small"])
def test_systemd_takes_the_unit(write, tmp_path, words):
    unit = tmp_path / "daytwo-model.service"
    unit.write_text(write(*words, "--write", "systemd").stdout, encoding="utf-8")
    done = run("systemd-analyze", "verify", str(unit))
    ours = [line for line in done.stderr.splitlines() if "daytwo-model" in line]
    assert ours == []
    unit.write_text(unit.read_text(encoding="utf-8").replace("Type=exec", "Type=nonsense"), encoding="utf-8")
    assert "nonsense" in run("systemd-analyze", "verify", str(unit)).stderr, "it looks at the unit at all"


def test_words_are_quoted_for_systemd():
    assert quote_systemd("/a/b-c_1.2") == "/a/b-c_1.2"
    assert quote_systemd("50%") == "50%%"
    assert quote_systemd("$HOME") == '"$$HOME"'
    assert quote_systemd('a "b"\\') == '"a \\"b\\"\\\\"'


def test_a_compose_file_has_a_service_for_each_replica(write):
    document = yaml.safe_load(write(*PLAN, "--write", "compose").stdout)
    services = document["services"]
    assert list(services) == ["model-0", "model-1"]
    devices = [one["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for one in services.values()]
    assert devices == [["0", "1"], ["2", "3"]]
    for number, service in enumerate(services.values()):
        command = service["command"]
        assert service["image"] == "vllm/vllm-openai:v0.32.0"
        assert command[0] == "QuantTrio/Qwen3-Coder-30B-A3B-Instruct-AWQ"
        assert read_argument(command, "--host") == "0.0.0.0"
        assert read_argument(command, "--port") == str(8000 + number)
        assert read_argument(command, "--tool-call-parser") == "qwen3_coder"
        assert read_argument(command, "--max-model-len") == "16384"
        assert yaml.safe_load(read_argument(command, "--structured-outputs-config"))["disable_any_whitespace"] is True
        assert service["ports"] == [f"127.0.0.1:{8000 + number}:{8000 + number}"], "not open to the network"
        assert service["environment"]["VLLM_NO_USAGE_STATS"] == "1"


def test_devices_that_are_named_are_the_ones(write):
    document = yaml.safe_load(write("--gpu", "2xH100", "--devices", "4,6", "--write", "compose").stdout)
    held = [
        one["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for one in document["services"].values()
    ]
    assert held == [["4"], ["6"]]


def test_a_slurm_script_is_an_array_of_replicas(write, tmp_path):
    text = write(*PLAN, "--write", "slurm").stdout
    script = tmp_path / "daytwo-model.sbatch"
    script.write_text(text, encoding="utf-8")
    assert run("bash", "-n", str(script)).returncode == 0
    assert "#SBATCH --array=0-1" in text
    assert "#SBATCH --gres=gpu:2" in text
    assert "exec /opt/vllm/bin/vllm serve" in text
    one = write("--gpu", "H100", "--write", "slurm").stdout
    assert "--array" not in one
    assert "#SBATCH --gres=gpu:1" in one


def test_a_slurm_script_starts_the_server_with_a_key_and_its_own_port(write, tmp_path):
    """Run as a job would be, with an environment that writes down what it was given."""
    text = write(*PLAN, "--write", "slurm").stdout.replace("/opt/vllm/bin/vllm", str(tmp_path / "vllm"))
    script, server = tmp_path / "job", tmp_path / "vllm"
    script.write_text(text, encoding="utf-8")
    server.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "$VLLM_NO_USAGE_STATS"\n', encoding="utf-8")
    server.chmod(0o755)
    refused = subprocess.run(["bash", script], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert refused.returncode != 0
    assert "export VLLM_API_KEY=KEY" in refused.stderr
    env = {"PATH": "/usr/bin:/bin", "VLLM_API_KEY": "k", "SLURM_ARRAY_TASK_ID": "1"}
    told = subprocess.run(["bash", script], capture_output=True, text=True, env=env).stdout.splitlines()
    assert told[0].endswith(":8001/v1#Qwen3-Coder-30B-A3B")
    assert told[1:3] == ["serve", "QuantTrio/Qwen3-Coder-30B-A3B-Instruct-AWQ"]
    assert read_argument(told, "--port") == "8001"
    assert read_argument(told, "--structured-outputs-config").startswith('{"backend"')
    assert told[-1] == "1"


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="Slurm is not installed")
def test_slurm_takes_the_script(write, tmp_path):
    script = tmp_path / "daytwo-model.sbatch"
    script.write_text(write("--gpu", "H100", "--write", "slurm").stdout, encoding="utf-8")
    done = run("sbatch", "--test-only", str(script))
    # Without a cluster, or GPUs in it, it is read to its end and then refused for that.
    assert done.returncode == 0 or "nvalid generic resource" in done.stderr or "contact" in done.stderr


def test_kubernetes_gets_a_service_and_a_set_with_probes(write):
    service, workload = yaml.safe_load_all(write(*PLAN, "--write", "kubernetes").stdout)
    assert (service["kind"], workload["kind"]) == ("Service", "StatefulSet")
    assert service["spec"]["selector"] == workload["spec"]["selector"]["matchLabels"]
    assert workload["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
    assert workload["spec"]["replicas"] == 2
    container = workload["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert read_argument(container["args"], "--tensor-parallel-size") == "2"
    assert read_argument(container["args"], "--port") == "8000"
    keyed = next(one for one in container["env"] if one["name"] == "VLLM_API_KEY")
    assert keyed["valueFrom"]["secretKeyRef"] == {"name": "daytwo-model-key", "key": "key"}
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 3600
    claims = {one["metadata"]["name"] for one in workload["spec"]["volumeClaimTemplates"]}
    volumes = {one["name"] for one in workload["spec"]["template"]["spec"]["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == claims | volumes


def test_without_cards_there_is_no_plan_to_write(write, nvml_standin):
    nvml_standin({"gpu_count": 0})
    refused = write("--write", "slurm")
    assert isinstance(refused.exception, SiteConfigError)
    assert "--gpu H100 --write" in refused.exception.fix
