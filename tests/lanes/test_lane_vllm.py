"""Real vLLM with a tiny random mixture of experts: what it proves is plumbing, as its words are noise."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest
from lane_parts import CASE, Server, find_port, wait_for
from typer.testing import CliRunner

from agent.backend import Budget, parse_endpoint
from agent.backends.http import HttpEndpoint
from agent.backends.load import find_load, parse_load
from agent.backends.openai import OpenAIBackend
from agent.bounds import SIZES
from agent.conclude import Conclusion, build_schema, parse_conclusion
from agent.preflight.check import check_model
from agent.preflight.dialogue import POSSIBLE, ask_conclusion, fill, open_case
from agent.preflight.endpoint import Question
from agent.profile import place_profile, save_profile
from agent.toolbox import build_definitions
from agent.types import TriageReport
from evals.runner import run_eval
from serve.main import app
from serve.model_launch import HOST, QUIET, STRUCTURE, Launch
from serve.model_replica import GRACE_SECONDS
from serve.vllm import list_session, read_start
from tools.errors import ModelError

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1800)]
NAME = "tiny"
WINDOW = 8192
SEQUENCES = 16
BLOCK_TOKENS = 32


@pytest.fixture(scope="module")
def server(environment, tiny_model, tmp_path_factory):
    """The flags of a plan, with what a processor wants in place of what a GPU wants."""
    port = find_port()
    flags = [
        "--served-model-name", NAME, "--host", HOST, "--port", str(port), "--max-model-len", str(WINDOW),
        "--max-num-seqs", str(SEQUENCES), "--dtype", "bfloat16", "--enforce-eager", "--block-size", str(BLOCK_TOKENS),
        "--enable-prefix-caching", "--enable-prompt-tokens-details", "--enable-auto-tool-choice",
        "--tool-call-parser", "qwen3_coder", "--tool-strict-level", "parameter", *STRUCTURE,
    ]  # fmt: skip
    env = {**QUIET, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    launch = Launch((*environment.start, str(tiny_model), *flags), env, NAME, port, (), SEQUENCES)
    with Server(launch, tmp_path_factory.mktemp("service")).running() as server:
        yield server
        pid = server.replica.describe().pid
    assert list_session(pid) == [], "nothing of it is left, no engine and no worker"


@pytest.fixture(scope="module")
def profile(server):
    endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, 60.0)
    return check_model(endpoint, tries=4, now=datetime.now(UTC), salt=f"{time.time()}", tell=lambda stage: None)


@pytest.fixture
def backend(server, profile):
    return OpenAIBackend(server.url, NAME, None, 60.0, profile)


@pytest.fixture
def environment_of_a_person(server, profile, tmp_path, monkeypatch):
    """A data folder with the profile in it, as `daytwo model check` leaves it."""
    for name, value in (("DAYTWO_DATA_DIR", str(tmp_path)), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    save_profile(profile, place_profile(tmp_path, server.url, NAME))
    return tmp_path


def read_counter(server: Server, name: str) -> float:
    text = httpx.get(f"{server.url.removesuffix('/v1')}/metrics", timeout=10).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))


def test_it_came_up_with_progress_and_its_own_figures(server):
    told = "\n".join(server.told)
    for words in ("starting vLLM 0.32.0", "loading the weights", "KV cache:", "opening the port", "ready after"):
        assert words in told
    state = server.replica.describe()
    assert state.kv_cache_tokens > 100_000
    assert len(list_session(state.pid)) >= 3, "server, engine and worker are one session"


def test_the_preflight_finds_out_how_it_is_asked(profile):
    assert (profile.engine, profile.engine_version) == ("vLLM", "0.32.0")
    assert profile.tools["auto"].clean == 0, "a model that says nothing calls nothing"
    assert profile.tools["required"].usable == profile.tools["required"].tries == 4
    assert profile.tools["named"].usable == 3
    assert (profile.tool_mode, profile.strict, profile.json_schema, profile.bounded) == ("required", True, True, True)
    assert profile.conclusions.clean == 4
    assert (profile.streams, profile.streams_tools, profile.tells_usage, profile.tells_cached) == (
        True,
        True,
        True,
        True,
    )
    assert profile.seed == "repeats"
    assert profile.wrong_name_status == 404
    assert WINDOW * 0.95 < profile.window_tokens <= WINDOW
    assert profile.window.overflow == "error"
    assert "maximum context length is 8192" in profile.window.overflow_message
    assert profile.prefix_again_seconds < profile.prefix_fresh_seconds


def test_an_investigation_ends_in_the_verdict_of_the_rules(server, environment_of_a_person, tmp_path):
    log = tmp_path / "kern.log"
    log.write_text(CASE, encoding="utf-8")
    rules = CliRunner().invoke(app, ["triage", str(log), "--json", "--no-store"])
    asked = CliRunner().invoke(app, ["triage", str(log), "--json", "--model", server.spec])
    before, after = (TriageReport.model_validate_json(one.stdout).verdicts[0] for one in (rules, asked))
    assert after.model.name == NAME
    assert after.usage.calls >= 2
    assert after.usage.tokens_out > 0
    assert "no whole answer" not in (after.reason or ""), "the conclusion came to its end"
    assert (after.fault, after.action, after.severity) == (before.fault, before.action, before.severity)


def test_noise_in_the_seat_harms_nobody(server, environment_of_a_person):
    report = run_eval([server.spec], scenario_ids=["s-0103", "s-0107", "s-0114"])
    row = report.backends[0]
    assert row.infrastructure_errors == 0
    assert row.harmful.count == 0
    assert row.false_alarms.count == 0


def test_sixteen_at_once_all_conclude(server, backend):
    before = read_counter(server, "vllm:request_success_total")
    schema = build_schema(POSSIBLE, handles=("e1",), bounds=SIZES["full"])

    def conclude(number: int):
        return parse_conclusion(backend.conclude(ask_conclusion(number), schema, seconds=120.0).text, POSSIBLE)

    with ThreadPoolExecutor(SEQUENCES) as pool:
        found = list(pool.map(conclude, range(SEQUENCES)))
    assert all(isinstance(one, Conclusion) for one in found)
    assert read_counter(server, "vllm:request_success_total") - before == SEQUENCES


def test_what_an_earlier_step_sent_comes_from_the_cache(server, backend):
    """Steps are demanded calls; the answers of tools are long, as those of a log are."""
    hits = read_counter(server, "vllm:prefix_cache_hits_total")
    tools = build_definitions()
    messages = open_case(77)
    messages[0]["content"] += f" {time.time()}"
    replies = []
    for number in range(6):
        replies.append(backend.step(messages, tools, seconds=60.0))
        call = {"id": f"call-{number}", "type": "function", "function": {"name": "read_events", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": f"[e{number + 2}] {fill(300, str(number))}"},
        ]
    sent = sum(reply.tokens_in for reply in replies[:-1])
    cached = sum(reply.tokens_cached for reply in replies[1:])
    assert cached / sent >= 0.95
    assert read_counter(server, "vllm:prefix_cache_hits_total") - hits == sum(reply.tokens_cached for reply in replies)


def test_the_system_part_is_shared_by_investigations(backend):
    tools = build_definitions()
    first, second = (backend.step(open_case(number), tools, seconds=60.0) for number in (201, 202))
    system = backend.step(open_case(203)[:1], tools, seconds=60.0)
    assert second.tokens_cached >= system.tokens_in - 2 * BLOCK_TOKENS
    assert first.tokens_in > system.tokens_in


def test_its_load_is_read_by_both_names(server):
    load = find_load(server.url)()
    assert (load.running, load.waiting, load.preemptions) == (0.0, 0.0, 0.0)
    assert 0.0 <= load.cache_share < 1.0
    page = httpx.get(f"{server.url.removesuffix('/v1')}/metrics", timeout=10).text
    assert "vllm:kv_cache_usage_perc" in page
    older = page.replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    assert parse_load(older).cache_share == parse_load(page).cache_share


def test_killed_in_the_middle_of_a_stream_it_is_up_again_by_itself(server, backend, environment_of_a_person, tmp_path):
    log = tmp_path / "kern.log"
    log.write_text(CASE, encoding="utf-8")
    before = server.replica.describe()
    members = list_session(before.pid)
    endpoint = HttpEndpoint(*parse_endpoint(server.spec), None, 60.0)
    endless = Question(open_case(5), {"ignore_eos": True, "min_tokens": 4000}, 4000, stream=True)
    answers = []
    talk = threading.Thread(target=lambda: answers.append(endpoint.ask(endless)))
    talk.start()
    wait_for(lambda: read_counter(server, "vllm:num_requests_running") > 0, 30, "an answer in flight")
    began = time.monotonic()
    os.kill(before.pid, signal.SIGKILL)
    talk.join(30)
    assert not answers[0].ok
    assert "broke off" in answers[0].message
    assert time.monotonic() - began < 30
    # Who asks meanwhile gets the rules' verdict, and soon.
    asked = CliRunner().invoke(app, ["triage", str(log), "--json", "--no-store", "--model", server.spec])
    verdict = TriageReport.model_validate_json(asked.stdout).verdicts[0]
    assert verdict.decided_by == "rules"
    with pytest.raises(ModelError):
        backend.step(open_case(6), build_definitions(), seconds=5.0)
    server.wait_for_state("restarting")
    wait_for(lambda: all(read_start(pid) is None for pid in members), GRACE_SECONDS, "the old engine is gone")
    server.wait_for_state("ready")
    after = server.replica.describe()
    assert after.restarts == 1
    assert after.pid != before.pid
    assert "killed (signal 9)" in "\n".join(server.told)
    assert endpoint.ask(Question(open_case(7), {}, 8)).ok
    assert Budget().seconds > 0
