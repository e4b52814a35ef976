"""How many conversations of a model fit on a card, and the command that serves them: arithmetic, not measurement.

A context of N tokens takes N x 2 x layers x KV heads x head size x bytes of the cache's type. What is left for the
cache is the share of the card that vLLM may use, less the weights, less what the engine itself needs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from serve.rows import read_rows
from tools.errors import SiteConfigError

Quantisation = Literal["fp8", "awq", "int8", "bf16"]
KvType = Literal["bf16", "fp8"]

UTILISATION = 0.90
"""vLLM's own default for `--gpu-memory-utilization`."""
ENGINE_GIB = 2.0
"""What the engine needs beside weights and cache: an estimate; the server's start-up log tells the true figure."""
KV_BYTES: Mapping[KvType, int] = {"bf16": 2, "fp8": 1}
GIB, GB = 1024**3, 1000**3
FP8_COMPUTE = 8.9
"""Compute capability from which the tensor cores know FP8 (Ada Lovelace and newer)."""
NO_CUSTOM_ALL_REDUCE = 8.6
QUANTISED_BLOCK = 128
"""Weights of FP8, AWQ and GPTQ come in blocks of 128: a slice that is no multiple fails (vLLM issues 25292, 17604)."""
WIDTHS = (1, 2, 4, 8)
MAX_SEQUENCES = 256
STRUCTURE = ("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}')
"""Where blanks between the parts of JSON are free, a small model writes blanks until its answer is cut off."""
SHOWN_CONTEXTS = (8 * 1024, 16 * 1024, 32 * 1024)
ORDER: tuple[Quantisation, ...] = ("fp8", "awq", "int8", "bf16")
"""In which order quantisations are tried: the first that holds all agents wins, else the one that holds most."""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU model: the memory that it reports in GiB and its compute capability, None where it was only told."""

    name: str
    reported_gib: float
    compute: float | None


@dataclass(frozen=True, slots=True)
class Model:
    """What decides the size of a model's cache, and its weights: (quantisation, repository, GB), in :data:`ORDER`."""

    name: str
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    expert_size: int
    max_context: int
    tool_parser: str
    weights: tuple[tuple[Quantisation, str, float], ...]

    def kv_bytes(self, kv: KvType = "bf16", tensor_parallel: int = 1) -> int:
        """Bytes of cache that one token takes over all cards of a replica; each card holds one KV head at least."""
        heads = max(self.kv_heads, tensor_parallel)
        return 2 * self.layers * heads * self.head_size * KV_BYTES[kv]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is served on some cards.

    Attributes:
        contexts: Whole conversations of `context_tokens` that fit at once, over all replicas.
        fits: Whole conversations by type of the cache and by their length, with the same weights and layout.
        tensor_parallel: Cards for one replica.
        command: What starts one replica; `traps` says why it looks as it does.
    """

    card: Card
    cards: int
    model: str
    quantisation: Quantisation
    repository: str
    weights_gib: float
    kv: KvType
    kv_bytes_per_token: int
    context_tokens: int
    contexts: int
    fits: Mapping[KvType, Mapping[int, int]]
    replicas: int
    tensor_parallel: int
    cache_gib: float
    command: str
    traps: tuple[str, ...]


@cache
def load_cards() -> Mapping[str, Card]:
    """Cards by every name that they go by, in lower case."""
    found: dict[str, Card] = {}
    for row in read_rows("gpus.csv"):
        card = Card(row["gpu"], float(row["reported_gib"]), float(row["compute_capability"]))
        found |= {_key(name): card for name in (row["gpu"], *row["aliases"].split("|")) if name}
    return found


@cache
def load_models() -> Mapping[str, Model]:
    """Models by every name that they go by, in lower case."""
    found: dict[str, Model] = {}
    weights = read_rows("weights.csv")
    for row in read_rows("models.csv"):
        model = Model(
            row["model"],
            int(row["layers"]),
            int(row["heads"]),
            int(row["kv_heads"]),
            int(row["head_size"]),
            int(row["expert_size"] or 0),
            int(row["max_context"]),
            row["tool_parser"],
            tuple(
                (name, w["repository"], float(w["gigabytes"]))
                for name in ORDER
                for w in weights
                if (w["model"], w["quantisation"]) == (row["model"], name)
            ),
        )
        found |= {_key(name): model for name in (row["model"], *row["aliases"].split("|")) if name}
    return found


def _key(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def parse_cards(spelling: str) -> tuple[int, Card]:
    """Read `H100`, `24GB`, `2x3090`.

    Raises:
        SiteConfigError: No such card, and no size in GB either.
    """
    match = re.fullmatch(r"(?:(?P<count>\d{1,3})\s*[xX*]\s*)?(?P<card>.+?)", spelling.strip())
    count, name = (int(match["count"] or 1), match["card"]) if match else (1, spelling)
    card = load_cards().get(_key(name))
    size = re.fullmatch(r"(?P<gb>\d+(?:\.\d+)?)\s*(?:gi?b|g)", name.strip(), re.IGNORECASE)
    if card is None and size is not None:
        card = Card(f"a card of {size['gb']} GiB", float(size["gb"]), None)
    if card is None or count < 1:
        known = ", ".join(dict.fromkeys(card.name for card in load_cards().values()))
        raise SiteConfigError(
            f"No card is known by the name {spelling!r}; known: {known}.", fix="daytwo model plan --gpu 24GB"
        )
    return count, card


def match_card(model: str, reported_gib: float) -> Card:
    """Find the card that a driver calls by its long name, such as `NVIDIA A100-SXM4-80GB`, with the memory that it has.

    A name that the table does not hold gives a card of unknown kind.
    """
    words = set(re.findall(r"[a-z0-9]+", model.lower()))
    named = [card for name, card in load_cards().items() if {w for w in name.split("-") if _is_model(w)} & words]
    if not named:
        return Card(model or "an unnamed card", reported_gib, None)
    nearest = min(named, key=lambda card: abs(card.reported_gib - reported_gib))
    return Card(nearest.name, reported_gib, nearest.compute)


def _is_model(word: str) -> bool:
    # 3090, a100, l40s, h200: not rtx, gb or 80.
    return bool(re.fullmatch(r"[a-z]*\d+[a-z]?", word)) and word not in ("80", "40")


def parse_tokens(spelling: str) -> int:
    """Read `8k`, `32768`: k is 1,024 tokens.

    Raises:
        SiteConfigError: Not a positive count.
    """
    match = re.fullmatch(r"(?P<count>\d+)\s*(?P<unit>[kK]?)", spelling.strip())
    tokens = int(match["count"]) * (1024 if match["unit"] else 1) if match else 0
    if tokens < 1:
        raise SiteConfigError(f"{spelling!r} is no number of tokens.", fix="daytwo model plan --context 8k")
    return tokens


def find_model(name: str) -> Model:
    """Find a model of the table.

    Raises:
        SiteConfigError: Not in the table.
    """
    model = load_models().get(_key(name.rpartition("/")[2]))
    if model is None:
        known = ", ".join(dict.fromkeys(one.name for one in load_models().values()))
        raise SiteConfigError(
            f"The table has no model {name!r}; it has {known}.", fix="daytwo model plan --model qwen3-coder"
        )
    return model


def count_contexts(card: Card, weights_gib: float, context_bytes: int, tensor_parallel: int = 1) -> int:
    """Whole contexts that fit beside the weights; 0 or less where none does."""
    return int(measure_cache(card, weights_gib, tensor_parallel) * GIB // context_bytes)


def measure_cache(card: Card, weights_gib: float, tensor_parallel: int = 1) -> float:
    """GiB that are left for the cache on the cards of one replica."""
    return tensor_parallel * (UTILISATION * card.reported_gib - ENGINE_GIB) - weights_gib


def plan_service(
    cards: int, card: Card, model: Model, *, context_tokens: int, agents: int, kv: KvType = "bf16"
) -> Plan:
    """Choose quantisation and layout: the first of :data:`ORDER` that holds all agents, else what holds most.

    Fewer cards a replica are tried first.

    Args:
        cards: How many cards of one kind.
        card: Which.
        model: With its weights.
        context_tokens: Longest conversation.
        agents: Conversations that are wanted at once.
        kv: Type of the cache.

    Raises:
        SiteConfigError: Nothing fits, or the model knows no such context.
    """
    if context_tokens > model.max_context:
        raise SiteConfigError(
            f"{model.name} knows {model.max_context} tokens at most, not {context_tokens}.",
            fix=f"daytwo model plan --context {model.max_context // 1024}k",
        )
    options = [
        plan
        for weights in model.weights
        if _suits(weights[0], card)
        for width in WIDTHS
        if (plan := _lay_out(cards, card, model, weights, width, context_tokens, kv)) is not None
    ]
    if not options:
        smallest = min(gigabytes for _, _, gigabytes in model.weights) * GB / GIB
        raise SiteConfigError(
            f"{model.name} does not fit: its smallest weights are {smallest:.1f} GiB, and {cards} x {card.name} leave "
            f"{cards * (UTILISATION * card.reported_gib - ENGINE_GIB):.1f} GiB for weights and cache.",
            fix="daytwo model plan --gpu 2x3090, a shorter --context, or a smaller --model",
        )
    enough = [plan for plan in options if plan.contexts >= agents]
    return enough[0] if enough else max(options, key=lambda plan: plan.contexts)


def _suits(quantisation: Quantisation, card: Card) -> bool:
    # Of a card that is only told by its size nothing but integer arithmetic may be counted on.
    return quantisation != "fp8" or (card.compute is not None and card.compute >= FP8_COMPUTE)


def _lay_out(
    cards: int,
    card: Card,
    model: Model,
    weights: tuple[Quantisation, str, float],
    width: int,
    context_tokens: int,
    kv: KvType,
) -> Plan | None:
    quantisation, repository, gigabytes = weights
    weights_gib, token_bytes = gigabytes * GB / GIB, model.kv_bytes(kv, width)
    held = count_contexts(card, weights_gib, token_bytes * context_tokens, width)
    if width > cards or model.heads % width or held < 1:
        return None
    replicas = cards // width
    return Plan(
        card=card, cards=cards, model=model.name, quantisation=quantisation, repository=repository,
        weights_gib=weights_gib, kv=kv, kv_bytes_per_token=token_bytes, context_tokens=context_tokens,
        contexts=held * replicas, fits=_tell_fits(card, model, weights_gib, width, replicas),
        replicas=replicas, tensor_parallel=width, cache_gib=measure_cache(card, weights_gib, width),
        command=spell_command(model, repository, context_tokens, held, _flags(card, model, quantisation, width, kv)),
        traps=tuple(_name_traps(card, model, quantisation, width, kv, cards - replicas * width)),
    )  # fmt: skip


def _tell_fits(
    card: Card, model: Model, weights_gib: float, width: int, replicas: int
) -> Mapping[KvType, Mapping[int, int]]:
    return {
        kv: {
            tokens: max(count_contexts(card, weights_gib, model.kv_bytes(kv, width) * tokens, width), 0) * replicas
            for tokens in SHOWN_CONTEXTS
            if tokens <= model.max_context
        }
        for kv in KV_BYTES
    }


def _splits_badly(model: Model, quantisation: Quantisation, width: int) -> bool:
    return quantisation != "bf16" and width > 1 and model.expert_size % (width * QUANTISED_BLOCK) != 0


def _flags(card: Card, model: Model, quantisation: Quantisation, width: int, kv: KvType) -> list[str]:
    flags = [] if width == 1 else ["--tensor-parallel-size", str(width)]
    if width > 1 and card.compute == NO_CUSTOM_ALL_REDUCE:
        flags.append("--disable-custom-all-reduce")
    if _splits_badly(model, quantisation, width):
        flags.append("--enable-expert-parallel")
    return flags + (["--kv-cache-dtype", "fp8"] if kv == "fp8" else [])


def spell_command(model: Model, repository: str, context_tokens: int, sequences: int, more: Sequence[str]) -> str:
    """The command that serves one replica on the loopback address."""
    words = [
        "vllm", "serve", repository, "--served-model-name", model.name, "--host", "127.0.0.1",
        "--max-model-len", str(context_tokens), "--gpu-memory-utilization", f"{UTILISATION:.2f}",
        "--max-num-seqs", str(min(sequences, MAX_SEQUENCES)),
        "--enable-prefix-caching", "--enable-prompt-tokens-details",
        "--enable-auto-tool-choice", "--tool-call-parser", model.tool_parser, *STRUCTURE, *more,
    ]  # fmt: skip
    return shlex.join(words)


def _name_traps(card: Card, model: Model, quantisation: Quantisation, width: int, kv: KvType, idle: int) -> list[str]:
    no_fp8 = card.compute is not None and card.compute < FP8_COMPUTE
    table = (
        (card.compute is None, "the kind of card is not told: FP8 needs compute capability 8.9, so it is left out"),
        (no_fp8, "no FP8 arithmetic on this card: FP8 weights would run as 16 bits, so AWQ or more bits"),
        (width > 1 and card.compute == NO_CUSTOM_ALL_REDUCE, "its own all-reduce hangs on cards of 8.6 without NVLink"),
        (
            _splits_badly(model, quantisation, width),
            f"experts of {model.expert_size} do not split over {width} cards in blocks of {QUANTISED_BLOCK}: "
            "it crashes without expert parallelism",
        ),
        (
            width > 1,
            "one card does not hold it, or not all the agents; where one does, replicas are faster",
        ),
        (kv == "fp8", "an FP8 cache wants calibrated scales: compare `daytwo eval` with and without it"),
        (kv == "fp8" and no_fp8, "an FP8 cache fails on this card with some attention kernels (vLLM issue 26431)"),
        (
            model.tool_parser == "hermes",
            "small Qwen2.5-Coder models write calls as fenced JSON, which this parser leaves in the text: "
            "`daytwo model check` finds out",
        ),
        (idle > 0, f"{idle} of the cards stay idle"),
    )
    return [words for holds, words in table if holds]
