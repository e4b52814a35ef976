"""How many conversations fit: the arithmetic, the choice of weights, the flags that a card needs."""

import pytest

from serve.sizing import find_model, load_cards, parse_cards, parse_tokens, plan_service
from tools.errors import SiteConfigError

CODER = find_model("qwen3-coder")


def plan(gpu, context="8k", agents=8, **more):
    cards, card = parse_cards(gpu)
    return plan_service(cards, card, CODER, context_tokens=parse_tokens(context), agents=agents, **more)


def test_a_token_of_cache_is_96_kib_and_half_of_it_in_fp8():
    assert (CODER.kv_bytes(), CODER.kv_bytes("fp8")) == (96 * 1024, 48 * 1024)


@pytest.mark.parametrize(
    ("gpu", "agents", "quantisation", "short", "long"),
    [
        ("24GB", 1, "awq", 5, 1),
        ("3090", 1, "awq", 5, 1),
        ("L40S", 16, "awq", 30, 7),
        ("A6000", 16, "awq", 33, 8),
        ("H100", 8, "fp8", 54, 13),
        ("H200", 16, "fp8", 127, 31),
        ("B200", 16, "fp8", 173, 43),
    ],
)
def test_contexts_that_fit(gpu, agents, quantisation, short, long):
    assert (plan(gpu, "8k", agents).quantisation, plan(gpu, "8k", agents).contexts) == (quantisation, short)
    assert plan(gpu, "32k", agents).contexts == long


def test_an_fp8_cache_holds_twice_as_many():
    assert plan("H200", kv="fp8").contexts == pytest.approx(2 * plan("H200").contexts, abs=1)
    assert "--kv-cache-dtype fp8" in plan("H200", kv="fp8").command


def test_replicas_come_before_tensor_parallelism():
    two = plan("2x3090")
    assert (two.replicas, two.tensor_parallel, two.contexts) == (2, 1, 10)
    assert "--tensor-parallel-size" not in two.command


def test_a_model_that_one_card_does_not_hold_is_spread_with_the_flags_of_the_card():
    spread = plan("2x3090", "64k", agents=1)
    assert (spread.replicas, spread.tensor_parallel) == (1, 2)
    assert "--tensor-parallel-size 2 --disable-custom-all-reduce" in spread.command
    assert any("all-reduce" in trap for trap in spread.traps)


def test_no_fp8_below_8_9_or_where_the_card_is_only_a_size():
    assert plan("A100-80").quantisation == "awq"
    assert plan("80GB").quantisation == "awq"
    assert any("not told" in trap for trap in plan("80GB").traps)


def test_the_command_can_be_pasted():
    assert plan("H100", "32k").command == (
        "vllm serve Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8 --served-model-name Qwen3-Coder-30B-A3B --host 127.0.0.1 "
        "--max-model-len 32768 --gpu-memory-utilization 0.90 --max-num-seqs 13 --enable-prefix-caching "
        "--enable-auto-tool-choice --tool-call-parser qwen3_coder"
    )


@pytest.mark.parametrize("gpu", ["", "H9000", "0xH100", "x3090", "-1GB"])
def test_an_unknown_card_names_the_known_ones(gpu):
    with pytest.raises(SiteConfigError, match="H100 80 GB"):
        parse_cards(gpu)


def test_what_does_not_fit_says_by_how_much():
    with pytest.raises(SiteConfigError, match=r"15\.7 GiB, and 1 x a card of 16 GiB leave 12\.4 GiB"):
        plan("16GB")
    with pytest.raises(SiteConfigError, match="262144 tokens at most"):
        plan("B200", "512k")
    with pytest.raises(SiteConfigError, match="no number of tokens"):
        parse_tokens("8kb")


def test_no_name_means_two_cards():
    assert len(load_cards()) == len({name.lower() for name in load_cards()}) > 12
