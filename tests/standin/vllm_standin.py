"""A vLLM that is none: an environment whose server says what a real one says, and ends as real ones do.

Each start plays the next word of `acts.txt`: `ready`, or the name of a way to end. It starts a child, as vLLM does with
its engine; behind `!` that child ignores the wish to end.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

START = """\
(APIServer pid=7) INFO 11-25 01:06:06 [model.py:733] Resolved architecture: Qwen2ForCausalLM
(EngineCore pid=8) INFO 11-25 01:06:32 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='m'
(Worker pid=9) INFO 11-25 01:06:50 [cpu_model_runner.py:68] Starting to load model m...
"""
LOADED = """\
Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:01<00:00,  1.68s/it]
(Worker pid=9) INFO 11-25 01:06:52 [default_loader.py:501] Loading weights took 1.68 seconds
(EngineCore pid=8) INFO 11-25 01:06:56 [kv_cache_utils.py:2327] CPU KV cache size: 87,296 tokens, Maximum concurrency for 8,192 tokens per request: 10.66x
"""
MEMORY = """\
(EngineCore pid=8) ERROR 11-25 01:06:52 [core.py:842] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 80.00 MiB. GPU 0 has a total capacity of 23.68 GiB of which 60.69 MiB is free.
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
FLAG = "api_server.py: error: unrecognized arguments: --no-such-flag\n"
PROGRAM = """
import http.server, json, os, subprocess, sys, threading, time
from pathlib import Path

FOLDER = Path({folder!r})
START, LOADED, MEMORY, FLAG = {texts!r}


def say(text):
    sys.stderr.write(text)
    sys.stderr.flush()


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sick = (FOLDER / "sick").exists()
        body = {{"data": [{{"id": option("--served-model-name")}}]}}
        self.send_response(503 if sick else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *words):
        pass


def main():
    acts = (FOLDER / "acts.txt").read_text().split()
    number = len(list(FOLDER.glob("start-*.json")))
    names = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "VLLM_CPU_KVCACHE_SPACE", "VLLM_NO_USAGE_STATS", "HF_HUB_OFFLINE")
    env = {{name: os.environ[name] for name in names if name in os.environ}}
    act = acts[min(number, len(acts) - 1)]
    deaf = "signal.signal(15, signal.SIG_IGN); " if act.endswith("!") else ""
    engine = subprocess.Popen([sys.executable, "-c", f"import signal, time; {{deaf}}time.sleep(300)"])
    act = act.rstrip("!")
    told = {{"argv": sys.argv[1:], "env": env, "engine": engine.pid, "pid": os.getpid()}}
    (FOLDER / f"start-{{number}}-{{os.getpid()}}.json").write_text(json.dumps(told))
    if act == "silent":
        time.sleep(300)
    say(START)
    if act == "flag":
        say(FLAG)
        sys.exit(2)
    if act == "memory":
        say(MEMORY)
        sys.exit(1)
    if act == "killed":
        os.kill(os.getpid(), 9)
    say(LOADED)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(option("--port"))), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while act == "shuts":
        time.sleep(0.05)
        if (FOLDER / "shut").exists():
            server.shutdown()
            server.server_close()
            break
    if act == "brief":
        time.sleep(1.5)
        say("EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.\\n")
        os._exit(1)
    time.sleep(300)


main()
"""


def make_env(folder: Path, acts: str, *, distribution: str = "vllm_cpu") -> Path:
    """Make an environment whose vLLM plays the acts; returns its folder."""
    env = folder / "env"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = env / "lib" / version / "site-packages"
    module = site / "vllm" / "entrypoints" / "openai"
    module.mkdir(parents=True)
    (site / f"{distribution}-0.32.0.dist-info").mkdir()
    for package in (site / "vllm", site / "vllm" / "entrypoints", module):
        (package / "__init__.py").touch()
    program = PROGRAM.format(folder=str(folder), texts=(START, LOADED, MEMORY, FLAG))
    (module / "api_server.py").write_text(program)
    (env / "bin").mkdir()
    base = Path(sys.base_prefix) / "bin" / version
    (env / "bin" / "python").symlink_to(base if base.exists() else os.path.realpath(sys.executable))
    (env / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    command = env / "bin" / "vllm"
    command.write_text(f"#!{env / 'bin' / 'python'}\n{program}")
    command.chmod(0o755)
    (folder / "acts.txt").write_text(acts)
    return env
