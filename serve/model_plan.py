"""`daytwo model plan`: which weights fit on which cards, how many conversations, and the command that serves them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from serve.sizing import (
    GIB,
    SHOWN_CONTEXTS,
    UTILISATION,
    Card,
    KvType,
    Plan,
    find_model,
    match_card,
    parse_cards,
    parse_tokens,
    plan_service,
)
from serve.terminal import note, print_people, print_text
from tools.errors import SiteConfigError
from tools.nvml_reader import read_gpus

SCHEMA = "daytwo.model-plan/1"
COMMON = ("24GB", "L4", "3090", "2x3090", "4090", "L40S", "A6000", "A100-40", "A100-80", "H100", "H200", "B200")
"""Cards of the table that is shown where neither a card is named nor one is found here."""
ARITHMETIC = ("weights_gib", "kv_bytes_per_token", "cache_gib", "contexts", "fits")
ONLY_ARITHMETIC = (
    "All figures are arithmetic, none is measured. The server's start-up log has the truth: look for "
    "'GPU KV cache size' and 'Maximum concurrency'."
)


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What was asked for, as it was typed."""

    gpus: Sequence[str]
    model: str
    context: str
    agents: int
    fp8_cache: bool = False


def run_plan(request: PlanRequest, *, gpu_timeout_seconds: float, as_json: bool) -> int:
    """Plan and print.

    Returns:
        0; 2 where the model fits on none of the cards that were named.

    Raises:
        SiteConfigError: A card, a model or a length is not known, or the one card that was named does not hold it.
    """
    named = [parse_cards(gpu) for gpu in request.gpus] or read_own_cards(gpu_timeout_seconds)
    plans, misfits = build_plans(named or [parse_cards(gpu) for gpu in COMMON], request)
    if not plans:
        raise SiteConfigError(
            "; ".join(error.message for error in misfits.values()), fix=next(iter(misfits.values())).fix
        )
    if as_json:
        print_text(json.dumps(build_document(plans, misfits, request), indent=2))
        return 0
    if named:
        for plan in plans:
            print_people(render_plan(plan, request.agents))
    else:
        note("daytwo: no card is named with --gpu and NVML shows none here; these are the common ones")
        print_people(render_overview(plans))
    for card, error in misfits.items():
        note(f"daytwo: {card}: {error.message}")
    print_people(Text(ONLY_ARITHMETIC, "dim"))
    return 0


def read_own_cards(timeout_seconds: float) -> list[tuple[int, Card]]:
    """The cards of this machine by NVML, one row a kind; empty where there are none or they cannot be read."""
    counted: dict[Card, int] = {}
    for gpu in read_gpus(timeout_seconds=timeout_seconds).gpus:
        total = next((reading.value for reading in gpu.readings if reading.call == "MemoryInfo[total]"), None)
        if total:
            card = match_card(gpu.model, round(total / GIB, 1))
            counted[card] = counted.get(card, 0) + 1
    return [(count, card) for card, count in counted.items()]


def build_plans(
    cards: Iterable[tuple[int, Card]], request: PlanRequest
) -> tuple[list[Plan], dict[str, SiteConfigError]]:
    """Plan for each kind of card; what does not fit stands beside, with the reason."""
    model, context_tokens = find_model(request.model), parse_tokens(request.context)
    kv: KvType = "fp8" if request.fp8_cache else "bf16"
    plans: list[Plan] = []
    misfits: dict[str, SiteConfigError] = {}
    for count, card in cards:
        try:
            plans.append(plan_service(count, card, model, context_tokens=context_tokens, agents=request.agents, kv=kv))
        except SiteConfigError as error:
            misfits[spell_cards(count, card)] = error
    return plans, misfits


def build_document(
    plans: Sequence[Plan], misfits: Mapping[str, SiteConfigError], request: PlanRequest
) -> dict[str, Any]:
    """The plan for scripts, schema :data:`SCHEMA`."""
    return {
        "schema": SCHEMA,
        "model": find_model(request.model).name,
        "context_tokens": parse_tokens(request.context),
        "agents": request.agents,
        "gpu_memory_utilization": UTILISATION,
        "plans": [_spell_plan(plan, request.agents) for plan in plans],
        "does_not_fit": [{"cards": cards, "reason": error.message} for cards, error in misfits.items()],
        "figures": {"arithmetic": list(ARITHMETIC), "measured": [], "note": ONLY_ARITHMETIC},
    }


def _spell_plan(plan: Plan, agents: int) -> dict[str, Any]:
    spelled = asdict(plan)
    spelled["weights_gib"], spelled["cache_gib"] = round(plan.weights_gib, 2), round(plan.cache_gib, 2)
    return {**spelled, "holds_all_agents": plan.contexts >= agents}


def spell_cards(count: int, card: Card) -> str:
    """Spell `2 x RTX 3090`, or the name alone."""
    return card.name if count == 1 else f"{count} x {card.name}"


def render_plan(plan: Plan, agents: int) -> Group:
    """Render one plan: card, weights, what fits, the command that can be pasted, and the traps."""
    head = Text(spell_cards(plan.cards, plan.card), "bold")
    head.append(f"  {plan.card.reported_gib:g} GiB each" if plan.cards > 1 else f"  {plan.card.reported_gib:g} GiB")
    enough = plan.contexts >= agents
    holds = f"{plan.contexts} conversations of {plan.context_tokens:,} tokens at once"
    rows = [
        ("model", f"{plan.repository} · {plan.quantisation} · {plan.weights_gib:.1f} GiB of weights"),
        ("layout", _spell_layout(plan)),
        ("cache", f"{plan.cache_gib:.1f} GiB a replica · {plan.kv_bytes_per_token / 1024:g} KiB a token ({plan.kv})"),
        ("holds", holds if enough else f"{holds}: fewer than the {agents} agents; the others wait"),
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in rows:
        table.add_row(Text(f"  {name}", "dim"), Text(words, "" if enough or name != "holds" else "yellow"))
    for trap in plan.traps:
        table.add_row(Text("  trap", "yellow"), Text(trap))
    return Group(
        head,
        table,
        Text("  conversations that fit", "dim"),
        _render_fits(plan),
        Text(f"  $ {plan.command}", "bold"),
        Text(),
    )


def _spell_layout(plan: Plan) -> str:
    wide = f", tensor parallel over {plan.tensor_parallel} cards each" if plan.tensor_parallel > 1 else ""
    if plan.replicas == 1:
        return f"1 replica{wide}"
    return f"{plan.replicas} replicas{wide}: the command below once for each, with CUDA_VISIBLE_DEVICES and --port"


def _render_fits(plan: Plan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("    cache")
    lengths = [tokens for tokens in SHOWN_CONTEXTS if tokens in plan.fits["bf16"]]
    for tokens in lengths:
        table.add_column(f"{tokens // 1024}k", justify="right")
    for kv, fits in plan.fits.items():
        table.add_row(f"    {kv}", *(str(fits[tokens]) for tokens in lengths))
    return table


def render_overview(plans: Sequence[Plan]) -> Table:
    """Render one row a card: weights, layout and how many conversations fit."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("cards", "GiB", "weights", "layout"):
        table.add_column(column, no_wrap=True)
    shown = [(kv, tokens) for kv in plans[0].fits for tokens in plans[0].fits[kv]]
    for kv, tokens in shown:
        table.add_column(f"{tokens // 1024}k {kv}", justify="right")
    for plan in plans:
        layout = f"{plan.replicas} x TP {plan.tensor_parallel}"
        fits = (str(plan.fits[kv][tokens]) for kv, tokens in shown)
        table.add_row(
            spell_cards(plan.cards, plan.card), f"{plan.card.reported_gib:g}", plan.quantisation, layout, *fits
        )
    return table
