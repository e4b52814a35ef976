"""How many conversations fit: the arithmetic, the choice of weights, the flags that a card needs."""

import pytest

from serve.sizing import find_model, load_cards, match_card, parse_cards, parse_tokens, plan_service
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
        "--enable-prompt-tokens-details --enable-auto-tool-choice --tool-call-parser qwen3_coder "
        """--structured-outputs-config '{"backend": "xgrammar", "disable_any_whitespace": true}'"""
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


def test_what_fits_is_told_for_both_caches_and_three_lengths():
    fits = plan("H100").fits
    assert fits["bf16"] == {8192: 54, 16384: 27, 32768: 13}
    assert fits["fp8"][8192] == 108
    assert plan("24GB").fits["bf16"][32768] == 1
    small = plan_service(1, parse_cards("L4")[1], CODER, context_tokens=8192, agents=1)
    assert small.fits["bf16"][32768] == 0, "none, not a negative number"


def test_where_replicas_do_not_hold_the_agents_wider_ones_may():
    """Two cards alone hold two conversations of 16k each; together, with the weights once, fifteen."""
    two = plan("2x3090", "16k", agents=8)
    assert (two.quantisation, two.tensor_parallel, two.contexts) == ("awq", 2, 15)
    assert plan("2x3090", "16k", agents=4).tensor_parallel == 1


def test_more_cards_than_kv_heads_keep_the_cache_more_than_once():
    assert CODER.kv_bytes("bf16", 8) == 2 * CODER.kv_bytes()


def test_quantised_experts_that_do_not_split_get_expert_parallelism():
    """768 over four cards is 192, no multiple of 128."""
    four = plan("4xL4", "128k", agents=4)
    assert (four.tensor_parallel, four.quantisation) == (4, "awq")
    assert "--enable-expert-parallel" in four.command
    assert "--enable-expert-parallel" not in plan("2xL4", "64k", agents=2).command


def test_attention_heads_that_do_not_split_are_no_layout():
    small = find_model("Qwen2.5-Coder-7B")
    cards, card = parse_cards("8xL4")
    layout = plan_service(cards, card, small, context_tokens=32768, agents=500)
    assert small.heads % layout.tensor_parallel == 0


@pytest.mark.parametrize(
    ("told", "gib", "name", "compute"),
    [
        ("NVIDIA H100 80GB HBM3", 79.6, "H100 80 GB", 9.0),
        ("NVIDIA A100-SXM4-40GB", 40.0, "A100 40 GB", 8.0),
        ("NVIDIA A100-PCIE-80GB", 80.0, "A100 80 GB", 8.0),
        ("NVIDIA GeForce RTX 3090", 24.0, "RTX 3090", 8.6),
        ("NVIDIA L40S", 45.0, "L40S", 8.9),
        ("NVIDIA RTX A6000", 48.0, "A6000", 8.6),
        ("NVIDIA GH200 480GB", 95.6, "NVIDIA GH200 480GB", None),
        ("NVIDIA RTX 6000 Ada Generation", 48.0, "NVIDIA RTX 6000 Ada Generation", None),
    ],
)
def test_a_card_is_known_by_the_name_that_the_driver_gives(told, gib, name, compute):
    card = match_card(told, gib)
    assert (card.name, card.compute, card.reported_gib) == (name, compute, gib)
