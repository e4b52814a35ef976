"""What a vLLM server says of itself: lines as vLLM 0.32.0 prints them, and as threads of its users quote them."""

from __future__ import annotations

import pytest

from serve.model_log import LogTail, drop_head, explain_ending, parse_progress
from serve.rows import read_rows

PHASES = [
    (
        "(EngineCore pid=9261) INFO 11-25 01:06:32 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='m', speculative_config=None",
        ("starting", "starting vLLM 0.32.0"),
    ),
    ("Fetching 16 files:  25%|##5       | 4/16 [00:30<01:30,  7.5s/it]", ("downloading", "downloading 16 files: 25%")),
    (
        "model-00001-of-00016.safetensors:  12%|#2        | 490M/4.0G [00:10<01:20, 43MB/s]",
        ("downloading", "downloading model-00001-of-00016.safetensors: 12%"),
    ),
    (
        "(Worker pid=13360) INFO 11-25 01:06:50 [gpu_model_runner.py:5040] Starting to load model Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8...",
        ("loading", "loading the weights of Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8"),
    ),
    (
        "Loading safetensors checkpoint shards:  75% Completed | 3/4 [00:01<00:00,  1.68s/it]",
        ("loading", "loading weights: 3 of 4 files"),
    ),
    (
        "(EngineCore_DP0 pid=1) INFO 11-25 01:07:10 [backends.py:1167] Dynamo bytecode transform time: 7.31 s",
        ("compiling", "compiling"),
    ),
    (
        "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  48%|####8     | 32/67 [00:02<00:02, 14.9it/s]",
        ("graphs", "capturing CUDA graphs: 48%"),
    ),
    (
        "(Worker pid=13360) INFO 11-25 01:06:50 [gpu_model_runner.py:6582] Graph capturing finished in 21 secs, took 0.75 GiB",
        ("graphs", "CUDA graphs captured in 21 s"),
    ),
    (
        "(APIServer pid=2846) INFO 11-25 01:07:03 [entry.py:140] Starting vLLM server on http://127.0.0.1:8931",
        ("opening", "opening the port"),
    ),
    ("(APIServer pid=1) INFO 11-25 01:07:03 [launcher.py:195] Route: /health, Methods: GET", None),
    ('INFO:     127.0.0.1:38682 - "GET /health HTTP/1.1" 200 OK', None),
]


@pytest.mark.parametrize(("line", "expected"), PHASES)
def test_how_far_a_start_has_come(line, expected):
    progress = parse_progress(line)
    assert (progress and (progress.phase, progress.words)) == expected


def test_what_the_server_measured_is_kept():
    line = "(EngineCore pid=9261) INFO 11-25 01:06:56 [kv_cache_utils.py:2327] GPU KV cache size: 487,296 tokens, Maximum concurrency for 8,192 tokens per request: 59.48x"
    progress = parse_progress(line)
    assert (progress.kv_cache_tokens, progress.contexts) == (487_296, 59.48)
    older = [
        parse_progress("INFO 04-24 16:06:40 [kv_cache_utils.py:634] GPU KV cache size: 43,424 tokens"),
        parse_progress(
            "INFO 04-24 16:06:40 [kv_cache_utils.py:637] Maximum concurrency for 32,768 tokens per request: 1.33x"
        ),
    ]
    assert [(one.kv_cache_tokens, one.contexts) for one in older] == [(43_424, None), (None, 1.33)]


ENDINGS = [
    (
        "flag",
        "api_server.py: error: unrecognized arguments: --no-such-flag 1",
        "does not know the flag --no-such-flag 1",
        False,
    ),
    ("port", "OSError: [Errno 98] Address already in use", "the port is taken", False),
    (
        "port",
        "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
        "the port is taken",
        False,
    ),
    (
        "tool_parser",
        "KeyError: 'invalid tool call parser: nosuch (chose from { apertus,hermes,qwen3_coder })'",
        "no tool parser nosuch",
        False,
    ),
    (
        "gpu_memory",
        "(EngineCore_DP0 pid=556790) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 80.00 MiB. GPU 0 has a total capacity of 139.72 GiB of which 60.69 MiB is free.",
        "ran out of memory",
        True,
    ),
    (
        "gpu_taken",
        "(EngineCore pid=3) ERROR 11-25 01:06:32 [core.py:842] ValueError: Free memory on device cuda:0 (3.2/23.7 GiB) on startup is less than desired GPU memory utilization (0.9, 21.3 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        "another program holds",
        True,
    ),
    (
        "cache",
        "ValueError: To serve at least one request with the model's max seq len (32768), (3.0 GiB KV cache is needed, which is larger than the available KV cache memory (1.2 GiB).",
        "no room for one conversation",
        False,
    ),
    (
        "torch",
        "ImportError: /opt/env/lib/python3.11/site-packages/vllm/_C.abi3.so: undefined symbol: _ZN5torch3jit17parseSchemaOrNameERKSsb",
        "another one than this vLLM was built for",
        False,
    ),
    (
        "torch",
        "ImportError: libcudart.so.13: cannot open shared object file: No such file or directory",
        "another one",
        False,
    ),
    (
        "driver",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12020).",
        "driver is too old",
        False,
    ),
    ("no_gpu", "RuntimeError: No CUDA GPUs are available", "sees no GPU", False),
    (
        "capability",
        "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 90. Current capability: 86.",
        "does not know that number format",
        False,
    ),
    (
        "context",
        "  Value error, User-specified max_model_len (65536) is greater than the derived max_model_len (max_position_embeddings=32768.0 or model_max_length=None in model's config.json).",
        "knows no conversation of 65536",
        False,
    ),
    (
        "offline",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the specified revision on the local disk and outgoing traffic has been disabled.",
        "cannot be fetched",
        True,
    ),
    ("gated", "huggingface_hub.errors.GatedRepoError: 401 Client Error.", "behind a login", False),
    ("disk_full", "OSError: [Errno 28] No space left on device", "the disk is full", False),
    (
        "ram",
        "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes.",
        "machine ran out of memory",
        True,
    ),
    (
        "no_vllm",
        "importlib.metadata.PackageNotFoundError: No package metadata was found for vllm",
        "no working vLLM",
        False,
    ),
]


@pytest.mark.parametrize(("reason", "line", "words", "again"), ENDINGS)
def test_why_a_server_ended_is_said_in_its_own_words(reason, line, words, again):
    log = [
        "(APIServer pid=7) INFO 11-25 01:06:06 [model.py:733] Resolved architecture: Qwen2ForCausalLM",
        "(APIServer pid=7) Traceback (most recent call last):",
        '(APIServer pid=7)   File "/opt/env/lib/python3.11/site-packages/vllm/x.py", line 7, in main',
        line,
        "(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    ]
    ending = explain_ending(log, 1)
    assert (ending.reason, ending.again) == (reason, again)
    assert words in ending.words
    assert ending.fix
    assert ending.quotes[0][:60] in line
    assert not ending.quotes[0].startswith("(")


def test_every_row_says_what_to_do_next():
    rows = read_rows("vllm_failures.csv")
    assert len(rows) > 20
    assert all(row["words"] and row["fix"] and row["source"] and row["again"] in ("yes", "no") for row in rows)


def test_the_line_that_says_it_is_quoted_and_not_the_code_that_raised_it():
    log = ["    raise LocalEntryNotFoundError(", "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find it"]
    assert explain_ending(log, 1).quotes == ("huggingface_hub.errors.LocalEntryNotFoundError: Cannot find it",)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "killed (signal 9)"),
        (-11, "crashed"),
        (-4, "lacks instructions"),
        (1, "code 1"),
        (None, "stopped answering"),
    ],
)
def test_without_a_telling_line_the_way_it_ended_is_told(code, words):
    ending = explain_ending(["last words \x1b[31mof it"], code)
    assert words in ending.words
    assert ending.again
    assert "\x1b" not in ending.quotes[0]


def test_an_unknown_error_is_quoted():
    ending = explain_ending(["(EngineCore pid=3) ERROR 11-25 01:06:32 [core.py:842] KeyError: 'rope_parameters'"], 1)
    assert (ending.reason, ending.quotes) == ("unknown", ("KeyError: 'rope_parameters'",))


def test_heads_are_dropped_and_words_are_not():
    assert drop_head("(Worker pid=1) WARNING 11-25 01:06:50 [cpu_worker.py:114] a (b) c") == "a (b) c"
    assert drop_head("(Worker_TP0 pid=1) words") == "words"
    assert drop_head("INFO:     Started server process [2846]") == "INFO:     Started server process [2846]"


def test_a_log_is_read_on_from_where_this_start_began(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"of before\n")
    tail = LogTail(log, log.stat().st_size)
    with log.open("ab") as out:
        out.write(b"one\rtwo\nhal")
    assert list(tail.read_new()) == ["one", "two"]
    with log.open("ab") as out:
        out.write("f \xe9nd\n".encode())
    assert list(tail.read_new()) == ["half \xe9nd"]
    assert tail.read_last() == ["one", "two", "half \xe9nd", ""]
    assert list(LogTail(tmp_path / "none", 0).read_new()) == LogTail(tmp_path / "none", 0).read_last() == []
